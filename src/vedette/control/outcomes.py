"""Outcomes of answers that did not come through a gateway, and late judgements of any: whoever brings them, one way in.

Outcomes and feedback are evidence, not changes of what vedette does, so they name no actor and leave no audit entry.
Both may be brought again: an outcome is counted once by its id, and the first judgement by a measure stands.
"""

from collections.abc import Iterable, Sequence

from vedette.control.domains import Domains
from vedette.control.experiments import MultiVariantTestManager
from vedette.control.instruments import Instruments
from vedette.evidence.outcome import Feedback, Outcome
from vedette.kernel.errors import InvalidInput
from vedette.kernel.records import evolve, record
from vedette.lake.outcomes import FeedbackResult, Lake


@record
class Shipped:
    """How many outcomes were new, and how many were there already."""

    stored: int
    duplicate: int


class Outcomes:
    """What comes from elsewhere into the lake."""

    def __init__(
        self, lake: Lake, domains: Domains, experiments: MultiVariantTestManager, instruments: Instruments
    ) -> None:
        self._lake = lake
        self._domains = domains
        self._experiments = experiments
        self._instruments = instruments

    def record(self, outcomes: Sequence[Outcome], *, remember: bool = False) -> Shipped:
        """Record outcomes of domains and experiments there are, all of them or none; each is counted once by its id.

        An outcome says in ``exposures`` which arms of which experiments (by id or by name) its request was served with.
        With ``remember`` an id is known for as long as sums are kept, not only as long as its outcome is.

        Raises:
            NotFound: there is no such domain or experiment.
            InvalidInput: an outcome cannot be counted, or an experiment is of another domain, has no such arm, or has
                not had that epoch.
        """
        for domain in sorted({outcome.domain for outcome in outcomes}):
            self._domains.get(domain)
        ids = self._ids(outcomes)
        items = [
            evolve(it, exposures=tuple(evolve(part, experiment=ids[part.experiment]) for part in it.exposures))
            if it.exposures
            else it
            for it in outcomes
        ]
        stored = self._lake.ship(self._instruments.new_id(), items, remember=remember)
        return Shipped(stored=stored, duplicate=len(items) - stored)

    def judge(self, items: Sequence[Feedback]) -> FeedbackResult:
        """Add late judgements to outcomes; those of outcomes not there yet wait for them, for a day."""
        return self._lake.feedback(items)

    def _ids(self, items: Iterable[Outcome]) -> dict[str, str]:
        """Give the id of every experiment that outcomes name, having seen that each is one of theirs."""
        said = {(it.domain, part.experiment, part.arm, part.epoch) for it in items for part in it.exposures}
        known = {ref: self._experiments.get(ref) for ref in sorted({ref for _, ref, _, _ in said})}
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
