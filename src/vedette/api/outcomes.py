"""Outcomes over HTTP: read them, bring those that were made elsewhere, and judge them late.

Outcomes and feedback are evidence, not changes of what vedette does, so they name no actor and leave no audit entry.
Both may be sent again: an outcome is counted once by its id, and the first judgement by a measure stands.
"""

import base64
import binascii
from collections.abc import Mapping
from typing import Annotated

from fastapi import Depends, Query
from pydantic import Field

from vedette.api.bodies import JsonBody, LinesBody
from vedette.api.requests import NAMED, Create, DomainId, OutcomeId, Pages, Plane, Read
from vedette.api.routes import BODY, many, one, plain, router
from vedette.control.outcomes import Erased, Shipped
from vedette.evidence.outcome import Feedback, Outcome
from vedette.kernel.errors import InvalidInput
from vedette.kernel.fields import Instant
from vedette.kernel.records import record
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
class OneUnit:
    """A unit, as the domain's requests name it."""

    unit: Annotated[str, Field(min_length=1, max_length=1000)]


@record
class UnitToErase:
    """A unit, as the domain's requests name it; ``dryRun`` only counts what there is of it."""

    unit: Annotated[str, Field(min_length=1, max_length=1000)]
    dry_run: bool = False


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


# A unit may be a person: it comes in the body, for addresses stand in the logs of whatever is between.
@routes.post("/domains/{domain}/units/show", responses=plain(404, 409, *BODY))
def show_unit(
    plane: Plane, domain: DomainId, pages: Pages, body: Annotated[OneUnit, Depends(JsonBody(OneUnit))]
) -> Page[Outcome]:
    """List what is kept of one unit of a domain that keeps units, the newest first; the unit stands in the body."""
    found = plane.outcomes.of_unit(domain, body.unit, after=_read(pages.after), limit=pages.limit)
    return Page(items=found.items, next=_cursor(found.next or ""))


@routes.post("/domains/{domain}/units/erase", responses=one(404, 409, *BODY))
def erase_unit(
    plane: Plane, domain: DomainId, body: Annotated[UnitToErase, Depends(JsonBody(UnitToErase))], write: Create
) -> Erased:
    """Erase every outcome of one unit, those on their way too; sums, which hold no unit, stay as they are."""
    return write.give_kept(
        lambda key: plane.outcomes.erase_unit_once(
            domain, body.unit, key, dry_run=body.dry_run, actor=write.actor, request_id=write.request_id
        )
    )


@routes.get("/outcomes/{outcome}", responses=one(404))
def get_outcome(plane: Plane, outcome: OutcomeId, read: Read) -> Outcome:
    """Give one outcome, with whatever feedback has added to it."""
    return read.give(plane.lake.outcome(outcome))


@routes.post("/outcomes", responses=plain(404, 409, *BODY))
def record_outcomes(
    plane: Plane,
    body: Annotated[OutcomeBatch, Depends(LinesBody(OutcomeBatch, Outcome))],
    remember: Annotated[  # noqa: FBT002 - a query
        bool, Query(description="Know their ids for as long as sums are kept: for history, which may come again.")
    ] = False,
) -> Shipped:
    """Record outcomes of answers that did not come through a gateway; each is counted once by its id.

    They come as one document, or one a line. An outcome says in ``exposures`` which arms of which experiments (by id or
    by name) its request was served with.
    """
    return plane.outcomes.record(body.items, remember=remember)


@routes.post("/outcomes/feedback", responses=plain(*BODY))
def judge_outcomes(plane: Plane, body: Annotated[FeedbackBatch, Depends(JsonBody(FeedbackBatch))]) -> FeedbackResult:
    """Add late judgements to many outcomes; those of outcomes not here yet wait for them."""
    return plane.outcomes.judge(body.items)


@routes.post("/outcomes/{outcome}/feedback", responses=plain(*BODY))
def judge_outcome(
    plane: Plane, outcome: OutcomeId, body: Annotated[Judgement, Depends(JsonBody(Judgement))]
) -> FeedbackResult:
    """Add a late judgement to one outcome; it waits when the outcome is not here yet."""
    return plane.outcomes.judge((Feedback(outcome_id=outcome, measures=body.measures),))


def _cursor(after: str) -> str | None:
    return base64.urlsafe_b64encode(after.encode()).decode().rstrip("=") or None


def _read(cursor: str | None) -> str:
    try:
        return base64.urlsafe_b64decode((cursor or "") + "=" * (-len(cursor or "") % 4)).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise InvalidInput("that is no cursor", hint="pass what `next` of the page before said") from error
