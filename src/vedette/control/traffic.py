"""Traffic: compile each domain's plan from what is stored, publish it, hand it to gateways, take their confirmations.

A plan changes only inside somebody's change (a rollout's step, an experiment's start, a new stable version, a
configuration), in the same transaction; publishing an equal plan writes nothing. Gateways read plans here and nowhere
else.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta

from sqlalchemy import Connection

from vedette.catalog.backend import Backend
from vedette.catalog.budget import Period, Spent
from vedette.catalog.domain import Domain
from vedette.catalog.key import KeyRing, mark_of
from vedette.catalog.lifecycle import DomainState
from vedette.control.change import Change, Changes
from vedette.control.experiment_admission import running_of
from vedette.control.instruments import Instruments
from vedette.control.pepper import Pepper
from vedette.control.spending import Spending
from vedette.kernel.errors import NotFound, Refused
from vedette.kernel.records import evolve
from vedette.rollouts.machine import ACTIVE
from vedette.routing.choose import Choice, CompiledPlan
from vedette.routing.layers import Layer, RunningExperiment
from vedette.routing.plan import Canary, TrafficPlan, millionths
from vedette.store import domains, experiments, keys, plans, rollouts, versions
from vedette.store.experiments import StoredExperiment
from vedette.store.pages import Page
from vedette.store.plans import StoredPlan

ALIVE = timedelta(seconds=15)
"""A gateway that has not been heard of for this long does not hold a rollout up."""


class Traffic:
    """Who serves what, now."""

    def __init__(self, changes: Changes, instruments: Instruments, spending: Spending, pepper: Pepper) -> None:
        self._changes = changes
        self._pepper = pepper
        self._spending = spending
        self._instruments = instruments
        self._compiled: dict[str, CompiledPlan] = {}

    def publish(self, change: Change, domain_id: str) -> TrafficPlan:
        """Compile the domain's plan inside ``change`` and store it as the next revision if it differs from the last.

        The first plan that keeps units makes the pepper, where there is none, and names its mark. Those after it name
        the same for as long as units are kept, whoever publishes them and with which pepper, so nobody's abort is held
        up by one.

        Raises:
            InvalidInput: it begins to keep units, and the pepper is too short.
            Unavailable: it begins to keep units, and the pepper can be neither read nor made.
        """
        connection = change.connection
        stored = plans.current(connection, domain_id)
        last = stored.plan if stored else None
        domain = domains.get(connection, domain_id)
        plan = _compile(connection, domain, last.revision if last else 0, self._mark(change, domain, last))
        if last is not None and evolve(plan, revision=last.revision) == last:
            return last
        plans.publish(connection, plan, at=change.at)
        change.record(
            "traffic.publish",
            domain=domain_id,
            resource=f"plan/{domain_id}/{plan.revision}",
            stable=plan.stable,
            canary=plan.canary.version if plan.canary else "",
            weight=plan.weight,
            experiments=[experiment.name for layer in plan.layers for experiment in layer.experiments],
        )
        return plan

    def _mark(self, change: Change, domain: Domain, last: TrafficPlan | None) -> str:
        if not domain.config.keep_units:
            return ""
        if last is not None and last.config.keep_units:
            return last.pepper
        return mark_of(self._pepper.for_change(change))

    def plan(self, domain_id: str) -> TrafficPlan:
        """Give the plan in force for a domain.

        Raises:
            NotFound: there is no such domain.
        """
        with self._changes.reading() as connection:
            found = plans.current(connection, domain_id)
        if found is None:
            raise NotFound(f"there is no domain {domain_id!r}", hint="`vedette domain list` shows those there are")
        return found.plan

    def pepper(self, domain_id: str) -> str:
        """Give the mark of the pepper that the pseudonyms of a domain are made with, or were last; empty if of none."""
        with self._changes.reading() as connection:
            return plans.pepper(connection, domain_id)

    def revision(self, domain_id: str, number: int) -> StoredPlan:
        """Give a domain's plan at a revision.

        Raises:
            NotFound: there is none.
        """
        with self._changes.reading() as connection:
            return plans.get(connection, domain_id, number)

    def history(self, domain_id: str, *, after: str | None = None, limit: int = 50) -> Page[StoredPlan]:
        """List the plans a domain has had, the newest first.

        Raises:
            NotFound: there is no such domain.
        """
        with self._changes.reading() as connection:
            domains.get(connection, domain_id)
            return plans.history(connection, domain=domain_id, after=after, limit=limit)

    def choose(self, domain_id: str, unit: str) -> Choice:
        """Say which version a unit sees, by the plan in force.

        Raises:
            NotFound: there is no such domain.
            Refused: the domain serves nothing now.
        """
        return self.compiled(domain_id).choose(unit)

    def compiled(self, domain_id: str) -> CompiledPlan:
        """Give the plan in force, ready to choose by.

        Raises:
            NotFound: there is no such domain.
            Refused: the domain serves nothing now.
        """
        plan = self.plan(domain_id)
        if not plan.serving:
            raise Refused(f"domain {domain_id!r} serves nothing now", hint="give it a stable version, or restore it")
        compiled = self._compiled.get(domain_id)
        if compiled is None or compiled.plan != plan:
            compiled = self._compiled[domain_id] = CompiledPlan(plan)
        return compiled

    def poll(self, since: int) -> tuple[int, Sequence[TrafficPlan]]:
        """Give the newest sequence number and every domain's plan that changed after ``since`` (0 for all)."""
        with self._changes.reading() as connection:
            found = plans.since(connection, since)
        return max([since, *(plan.sequence for plan in found)]), [plan.plan for plan in found]

    def keys(self, known: int) -> KeyRing | None:
        """Give the keys that are good; None when they are those of revision ``known``."""
        with self._changes.reading() as connection:
            return None if keys.revision(connection) == known else keys.ring(connection)

    def spending(self, asked: Sequence[tuple[str, Period]]) -> Sequence[Spent]:
        """Give what domains have used in the day or the month that is now."""
        return self._spending.of(asked)

    def confirm(self, router: str, revisions: Mapping[str, int]) -> None:
        """Note that a gateway serves these plan revisions, and that it is alive."""
        now = self._instruments.now()
        with self._changes.store.transaction() as connection:
            plans.seen(connection, router, kind="gateway", at=now)
            plans.confirm(connection, router, revisions, at=now)

    def goodbye(self, router: str) -> None:
        """Forget a gateway that stops, so that no rollout waits for it."""
        with self._changes.store.transaction() as connection:
            plans.forget(connection, router)

    def confirmed(self, connection: Connection, domain_id: str) -> int:
        """Give the newest plan revision that every live gateway serves; 0 when none is alive, or one serves none."""
        now = self._instruments.now()
        alive = now - ALIVE
        # Who was heard of later than now was heard of before the calendar went back: it may be long dead.
        routers = {it.id for it in plans.live(connection, since=alive) if it.last_seen <= now + ALIVE}
        said = {c.router: c.revision for c in plans.confirmations(connection, domain=domain_id, live_since=alive)}
        return min((said.get(router, 0) for router in routers), default=0)


def _compile(connection: Connection, domain: Domain, last: int, pepper: str) -> TrafficPlan:
    stable = versions.aliases(connection, domain.id).get("stable", "")
    running = rollouts.latest(connection, domain.id)
    canary = None
    if running is not None and running.status.phase in ACTIVE and running.status.weight > 0:
        canary = Canary(
            version=running.spec.version,
            rollout=running.id,
            attempt=running.status.attempt,
            step=running.status.step,
            salt=running.status.salt,
            weight=millionths(running.status.weight),
        )
    layers = _layers(experiments.exposing(connection, domain.id))
    named = {stable} - {""} | ({canary.version} if canary else set())
    on_trial = {
        override.version
        for layer in layers
        for experiment in layer.experiments
        for override in experiment.overrides.values()
        if override.version
    }
    return TrafficPlan(
        domain=domain.id,
        revision=last + 1,
        stable=stable,
        canary=canary,
        backends=_backends(connection, domain, named | on_trial),
        config=domain.config,
        serving=domain.state is DomainState.ACTIVE and bool(named),
        layers=layers,
        hold_out=millionths(domain.config.hold_out),
        pepper=pepper,
    )


def _backends(connection: Connection, domain: Domain, named: set[str]) -> dict[str, Backend]:
    """Give where each named version answers, and the one in the shadow, as soon as it is there."""
    found = {name: versions.get(connection, domain.id, name).spec.backend for name in sorted(named)}
    shadow = domain.config.shadow
    if shadow is not None and shadow.version not in found:
        with suppress(NotFound):
            found[shadow.version] = versions.get(connection, domain.id, shadow.version).spec.backend
    return found


def _layers(running: Iterable[StoredExperiment]) -> tuple[Layer, ...]:
    """Put running experiments into their layers; a layer's salt is its name, so that it never moves anybody."""
    by_layer: dict[str, list[RunningExperiment]] = {}
    for experiment in running:
        by_layer.setdefault(experiment.spec.layer, []).append(running_of(experiment))
    return tuple(Layer(name=name, salt=name, experiments=tuple(held)) for name, held in sorted(by_layer.items()))
