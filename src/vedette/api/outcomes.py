"""Outcomes over HTTP: read them, bring those that were made elsewhere, and judge them late.

Outcomes and feedback are evidence, not changes of what vedette does, so they name no actor and leave no audit entry.
Both may be sent again: an outcome is counted once by its id, and the first judgement by a measure stands.
"""

import base64
import binascii
from collections.abc import Iterable, Mapping
from typing import Annotated

from fastapi import Depends, Query
from pydantic import Field

from vedette.api.bodies import JsonBody
from vedette.api.requests import NAMED, DomainId, Instant, OutcomeId, Pages, Plane, Read
from vedette.api.routes import BODY, many, one, plain, router
from vedette.control.plane import ControlPlane
from vedette.evidence.outcome import Feedback, Outcome
from vedette.kernel.errors import InvalidInput
from vedette.kernel.records import evolve, record
from vedette.lake.outcomes import FeedbackResult
from vedette.store.pages import Page

routes = router("outcomes")

_BATCH = 1000


@record
class Judgement:
    """Measures by name, such as ``correct: 1`` or ``score: 0.8``."""

    measures: Mapping[str, float]


@record
class FeedbackBatch:
    """Judgements of many outcomes."""

    items: Annotated[tuple[Feedback, ...], Field(max_length=_BATCH)]


@record
class OutcomeBatch:
    """Outcomes of answers that did not come through a gateway."""

    items: Annotated[tuple[Outcome, ...], Field(max_length=_BATCH)]


@record
class Shipped:
    """How many outcomes were new, and how many were there already."""

    stored: int
    duplicate: int


@routes.get("/domains/{domain}/outcomes", responses=many(404))
def list_outcomes(
    plane: Plane,
    domain: DomainId,
    pages: Pages,
    version: Annotated[str, Query(pattern=f"^$|{NAMED}", description="Only those assigned to this version.")] = "",
    since: Annotated[Instant | None, Query(description="Only from then on.")] = None,
    until: Annotated[Instant | None, Query(description="Only before then.")] = None,
) -> Page[Outcome]:
    """List the outcomes of a domain, the newest first."""
    plane.domains.get(domain)
    found = plane.lake.outcomes(
        domain, version=version, since=since, until=until, after=_read(pages.after), limit=pages.limit
    )
    return pages.give(Page(items=found.items, next=_cursor(found.after)))


@routes.get("/outcomes/{outcome}", responses=one(404))
def get_outcome(plane: Plane, outcome: OutcomeId, read: Read) -> Outcome:
    """Give one outcome, with whatever feedback has added to it."""
    return read.give(plane.lake.outcome(outcome))


@routes.post("/outcomes", responses=plain(404, 409, *BODY))
def record_outcomes(plane: Plane, body: Annotated[OutcomeBatch, Depends(JsonBody(OutcomeBatch))]) -> Shipped:
    """Record outcomes of answers that did not come through a gateway; each is counted once by its id.

    An outcome says in ``exposures`` which arms of which experiments (by id or by name) its request was served with.
    """
    for domain in {outcome.domain for outcome in body.items}:
        plane.domains.get(domain)
    ids = _experiments(plane, body.items)
    items = [
        evolve(it, exposures=tuple(evolve(part, experiment=ids[part.experiment]) for part in it.exposures))
        if it.exposures
        else it
        for it in body.items
    ]
    stored = plane.lake.ship(plane.instruments.new_id(), items)
    return Shipped(stored=stored, duplicate=len(items) - stored)


@routes.post("/outcomes/feedback", responses=plain(*BODY))
def judge_outcomes(plane: Plane, body: Annotated[FeedbackBatch, Depends(JsonBody(FeedbackBatch))]) -> FeedbackResult:
    """Add late judgements to many outcomes; those of outcomes not here yet wait for them."""
    return plane.lake.feedback(body.items)


@routes.post("/outcomes/{outcome}/feedback", responses=plain(*BODY))
def judge_outcome(
    plane: Plane, outcome: OutcomeId, body: Annotated[Judgement, Depends(JsonBody(Judgement))]
) -> FeedbackResult:
    """Add a late judgement to one outcome; it waits when the outcome is not here yet."""
    return plane.lake.feedback((Feedback(outcome_id=outcome, measures=body.measures),))


def _experiments(plane: ControlPlane, items: Iterable[Outcome]) -> dict[str, str]:
    """Give the id of every experiment that outcomes name, having seen that each is one of theirs, arm and epoch too.

    Raises:
        NotFound: there is no such experiment.
        InvalidInput: it is of another domain, has no such arm, or has not had that epoch.
    """
    said = {(it.domain, part.experiment, part.arm, part.epoch) for it in items for part in it.exposures}
    known = {ref: plane.experiments.get(ref) for ref in sorted({ref for _, ref, _, _ in said})}
    for domain, ref, arm, epoch in sorted(said):
        it = known[ref]
        arms = [variant.name for variant in it.spec.variants]
        if it.domain != domain:
            raise InvalidInput(f"experiment {it.name!r} is of domain {it.domain!r}, not {domain!r}")
        if arm not in arms:
            raise InvalidInput(f"experiment {it.name!r} has no arm {arm!r}", hint=f"its arms: {', '.join(arms)}")
        if not 1 <= epoch <= it.status.epoch:
            raise InvalidInput(
                f"experiment {it.name!r} has had {it.status.epoch} epochs, not {epoch}",
                hint="send the epoch that the assignment of the unit said",
            )
    return {ref: it.id for ref, it in known.items()}


def _cursor(after: str) -> str | None:
    return base64.urlsafe_b64encode(after.encode()).decode().rstrip("=") or None


def _read(cursor: str | None) -> str:
    try:
        return base64.urlsafe_b64decode((cursor or "") + "=" * (-len(cursor or "") % 4)).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise InvalidInput("that is no cursor", hint="pass what `next` of the page before said") from error
