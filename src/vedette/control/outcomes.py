"""Outcomes of answers that did not come through a gateway, and late judgements of any: whoever brings them, one way in.

Outcomes and feedback are evidence, not changes of what vedette does, so they name no actor and leave no audit entry.
Both may be brought again: an outcome is counted once by its id, and the first judgement by a measure stands.

Of a domain that keeps units the outcomes of one can be listed, and erased, which is a change and leaves an entry. A
unit may be a person, so neither its name nor its pseudonym stands in the record, in a log or in an error.
"""

from collections.abc import Iterable, Sequence

from vedette.catalog.key import mark_of
from vedette.catalog.unit import key_of, pseudonym
from vedette.connectors.pepper import VARIABLE
from vedette.control.change import Changes
from vedette.control.domains import Domains
from vedette.control.experiments import MultiVariantTestManager
from vedette.control.instruments import Instruments
from vedette.control.pepper import Pepper
from vedette.control.traffic import Traffic
from vedette.evidence.outcome import Feedback, Outcome
from vedette.evidence.tabular import bucket_of_unit
from vedette.kernel.errors import InvalidInput, Refused
from vedette.kernel.hashing import digest
from vedette.kernel.records import evolve, record
from vedette.lake.outcomes import FeedbackResult, Lake
from vedette.store import idempotency
from vedette.store.pages import Page


@record
class Shipped:
    """How many outcomes were new, and how many were there already."""

    stored: int
    duplicate: int


@record
class Erased:
    """How many outcomes of a unit were erased, or would be."""

    domain: str
    outcomes: int
    dry_run: bool = False


class Outcomes:
    """What comes from elsewhere into the lake, and what is known of one unit."""

    def __init__(
        self,
        changes: Changes,
        lake: Lake,
        domains: Domains,
        experiments: MultiVariantTestManager,
        traffic: Traffic,
        instruments: Instruments,
        pepper: Pepper,
    ) -> None:
        self._changes = changes
        self._pepper = pepper
        self._lake = lake
        self._domains = domains
        self._experiments = experiments
        self._traffic = traffic
        self._instruments = instruments

    def record(self, outcomes: Sequence[Outcome], *, remember: bool = False) -> Shipped:
        """Record outcomes of domains and experiments there are, all of them or none; each is counted once by its id.

        An outcome says in ``exposures`` which arms of which experiments (by id or by name) its request was served with.
        With ``remember`` an id is known for as long as sums are kept, not only as long as its outcome is. A ``unit`` is
        the unit itself: its pseudonym is stored where the domain keeps units, and nothing of it where it does not. An
        outcome that names a unit and no bucket is in the bucket of that unit.

        Raises:
            NotFound: there is no such domain or experiment.
            Refused: a domain keeps units, and there is no pepper here, or another than the domain's.
            InvalidInput: an outcome cannot be counted, or an experiment is of another domain, has no such arm, or has
                not had that epoch.
        """
        known = {name: self._domains.get(name) for name in sorted({outcome.domain for outcome in outcomes})}
        keeping = {name for name, domain in known.items() if domain.config.keep_units}
        named = {it.domain for it in outcomes if it.unit} & keeping
        keys = {name: self._key(name) for name in named}
        ids = self._ids(outcomes)
        items = [
            evolve(it, exposures=tuple(evolve(part, experiment=ids[part.experiment]) for part in it.exposures))
            if it.exposures
            else it
            for it in outcomes
        ]
        items = [_of_unit(it, keys.get(it.domain)) if it.unit else it for it in items]
        stored = self._lake.ship(self._instruments.new_id(), items, remember=remember)
        return Shipped(stored=stored, duplicate=len(items) - stored)

    def judge(self, items: Sequence[Feedback]) -> FeedbackResult:
        """Add late judgements to outcomes; those of outcomes not there yet wait for them, for a day."""
        return self._lake.feedback(items)

    def page(self, domain: str, *, after: str | None = None, limit: int = 50) -> Page[Outcome]:
        """List the outcomes of a domain, the newest first.

        Raises:
            NotFound: there is no such domain.
            InvalidInput: ``after`` is not the end of a page.
        """
        self._domains.get(domain)
        found = self._lake.outcomes(domain, after=after or "", limit=limit)
        return Page(items=found.items, next=found.after or None)

    def of_unit(self, domain: str, unit: str, *, after: str | None = None, limit: int = 50) -> Page[Outcome]:
        """Give what is kept of a unit, the newest first.

        Raises:
            NotFound: there is no such domain.
            InvalidInput: no unit was named, or ``after`` is not the end of a page.
            Refused: no units were ever kept here: there is no pepper, or another than the domain's.
        """
        found = self._lake.outcomes(domain, unit=self._known(domain, unit), after=after or "", limit=limit)
        return Page(items=found.items, next=found.after or None)

    def erase_unit(
        self, domain: str, unit: str, *, dry_run: bool = False, actor: str = "", request_id: str = ""
    ) -> Erased:
        """Erase every outcome of a unit, those too that are on their way still; with ``dry_run`` only count them.

        Sums hold no unit, and stay as they are. The record tells who erased how many, and not of whom. It is told just
        before they go: of an erasure that breaks off at that moment an entry stays, and erasing again is told again.

        Raises:
            NotFound: there is no such domain.
            InvalidInput: no unit was named.
            Refused: no units were ever kept here: there is no pepper, or another than the domain's.
            Unavailable: the outcomes cannot be read or written; nothing was erased.
            Conflict: others kept on changing what is stored; nothing was erased.
        """
        return self.erase_unit_once(domain, unit, "", dry_run=dry_run, actor=actor, request_id=request_id)[0]

    def erase_unit_once(
        self, domain: str, unit: str, key: str, *, dry_run: bool = False, actor: str = "", request_id: str = ""
    ) -> tuple[Erased, bool]:
        """Do what `erase_unit` does once for a ``key``; gives the answer too, and whether it is one that was kept.

        The answer is kept for a day, once everything is gone; what has come in since stays then. A repeat before that,
        because the first attempt broke off or is not through, looks again: it leaves no second entry if there is
        nothing left, and one that says ``again`` if there is. A dry run and the empty key keep nothing.

        Raises:
            Conflict: the key was used for another request.
            Unavailable: with a key it may be all gone, and only the answer not kept. Asking again tells.
            VedetteError: and whatever `erase_unit` raises.
        """
        known = self._known(domain, unit)
        if dry_run:
            return Erased(domain=domain, outcomes=self._lake.count_unit(domain, known), dry_run=True), False
        request = digest({"erase": domain, "unit": known})
        with self._changes.reading() as connection:
            before = idempotency.known(connection, key, request, at=self._instruments.now()) if key else None
        if before is not None and before["done"]:
            return Erased(domain=domain, outcomes=before["outcomes"]), True

        def tell(count: int) -> None:
            nonlocal before
            with self._changes.together() as connection:
                before = idempotency.claim(connection, key, request, at=self._instruments.now()) if key else None
                if before is not None and not count:
                    return
                more = {"again": True} if before is not None else {}
                with self._changes.begin(actor, request_id) as change:
                    change.record("outcomes.erase", domain=domain, resource=f"domain/{domain}", outcomes=count, **more)
                if key:
                    idempotency.answer(connection, key, {"outcomes": count, "done": False})

        count = self._lake.erase_unit(domain, known, self._instruments.now(), tell)
        if repeated := before is not None and not count:
            count = before["outcomes"]
        if key:
            with self._changes.together() as connection:
                idempotency.answer(connection, key, {"outcomes": count, "done": True})
        return Erased(domain=domain, outcomes=count), repeated

    def _known(self, domain: str, unit: str) -> str:
        self._domains.get(domain)
        if not unit.strip():
            raise InvalidInput("no unit was named")
        return pseudonym(self._key(domain), unit)

    def _key(self, domain: str) -> bytes:
        seasoning, mark = self._pepper.known(), self._traffic.pepper(domain)
        if seasoning is not None and mark in {"", mark_of(seasoning)}:
            return key_of(seasoning, domain)
        why = "there is no pepper here" if seasoning is None else "their pseudonyms are made with another pepper"
        begin = f"`vedette domain update {domain} --keep-units` begins; {VARIABLE} may hold the pepper"
        mend = f"set {VARIABLE} to that of the gateways; where it is a new one, `vedette domain update {domain}` with "
        raise Refused(
            f"no units of {domain!r} can be known: {why}",
            hint=mend + "--forget-units, and then with --keep-units" if mark else begin,
        )

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


def _of_unit(outcome: Outcome, key: bytes | None) -> Outcome:
    """Put the pseudonym in the unit's place, or nothing where units are not kept, and the outcome into its bucket."""
    bucket = bucket_of_unit(outcome.domain, outcome.unit) if outcome.bucket == -1 else outcome.bucket
    return evolve(outcome, bucket=bucket, unit=pseudonym(key, outcome.unit) if key else "")
