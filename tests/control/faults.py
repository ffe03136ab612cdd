"""What faults are injected into: a clock that can be set, a script of two rollouts, and a fuse that ends a process.

The script (`play`) takes two versions live on one plane: one earns every step and is promoted, with a webhook told of
each decision; the other fails all its requests at the second step and is taken back. What gateways and users do in it
is idempotent, as theirs is, so a process that died anywhere in it can be followed by another that plays it again.
"""

import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from multiprocessing.connection import Connection
from typing import Self

from sqlalchemy import Engine, event, update

from vedette.catalog.domain import DomainSpec
from vedette.catalog.version import VersionSpec
from vedette.control.change import Change, Changes
from vedette.control.instruments import Instruments
from vedette.control.plane import ControlPlane, open_plane
from vedette.control.reconcile import Reconciler
from vedette.evidence.outcome import Outcome, OutcomeStatus
from vedette.kernel.documents import load
from vedette.kernel.errors import LeaseLost
from vedette.rollouts.machine import ACTIVE
from vedette.rollouts.spec import RolloutSpec
from vedette.routing.plan import TrafficPlan
from vedette.store import outbox
from vedette.store.tables import leases

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
STEPS = ({"weight": 10, "bake": 15}, {"weight": 50, "bake": 15}, {"weight": 100, "bake": 15})
PASS = 10.0
_REQUESTS = 50
_MOST_PASSES = 60


class Clock(Instruments):
    """Clocks that stand still but when told: ``go`` lets time pass, ``jump`` moves the calendar alone."""

    def __init__(self, calendar: datetime = NOON, monotonic: float = 0.0) -> None:
        self.calendar = calendar
        self.seconds = monotonic

    def now(self) -> datetime:
        """Give the calendar time."""
        return self.calendar

    def monotonic(self) -> float:
        """Give the seconds that only grow."""
        return self.seconds

    def go(self, seconds: float) -> None:
        """Let time pass on both clocks."""
        self.calendar += timedelta(seconds=seconds)
        self.seconds += seconds

    def jump(self, seconds: float) -> None:
        """Set the calendar forward or back while no time passes."""
        self.calendar += timedelta(seconds=seconds)


class Died(BaseException):
    """The end of a process, played: nothing catches it, connections close without a commit."""


class Fuse:
    """Counts the writes of this process, to control state and lake, while it is open; ``blow`` comes before the n-th.

    A statement that changes rows is a write, and so is the commit of a transaction that had one.
    """

    def __init__(self, blow: Callable[[], None], at: int = 0) -> None:
        self.burnt = 0
        self._blow = blow
        self._at = at
        self._dirty = False
        self._ears: Mapping[str, Callable[..., None]] = {
            "before_cursor_execute": self._statement,
            "commit": self._commit,
            "rollback": self._rollback,
        }

    def __enter__(self) -> Self:
        for name, hear in self._ears.items():
            event.listen(Engine, name, hear)
        return self

    def __exit__(self, *_: object) -> None:
        for name, hear in self._ears.items():
            event.remove(Engine, name, hear)

    def set(self, at: int) -> None:
        """Begin to count anew, towards another n; 0 never comes."""
        self.burnt, self._at = 0, at

    def _statement(self, _connection: object, _cursor: object, statement: str, *_: object) -> None:
        if statement.lstrip()[:6].upper() in {"INSERT", "UPDATE", "DELETE"}:
            self._dirty = True
            self._burn()

    def _commit(self, _connection: object) -> None:
        if self._dirty:
            self._dirty = False
            self._burn()

    def _rollback(self, _connection: object) -> None:
        self._dirty = False

    def _burn(self) -> None:
        self.burnt += 1
        if self.burnt == self._at:
            self._blow()


def die() -> None:
    """End the played process."""
    raise Died


def kill() -> None:
    """End this process, really and without a word."""
    os.kill(os.getpid(), signal.SIGKILL)


def heir(plane: ControlPlane, *, monotonic: float = 0.0) -> ControlPlane:
    """Start a process after the one of ``plane`` died: nothing is left but the databases and the calendar."""
    plane.close()
    return ControlPlane(plane.store, plane.lake, plane.folder, Clock(plane.instruments.now(), monotonic))


def prepare(plane: ControlPlane, *domains: str) -> None:
    """Make domains with versions v1, stable, and v2."""
    for domain in domains:
        spec = load(DomainSpec, {"config": {"assignment": {"unit": "request"}}})
        plane.domains.create(domain, spec, actor="ada")
        for version in ("v1", "v2"):
            backend = {"kind": "openai", "url": "http://localhost:1/v1", "model": version}
            plane.versions.register(domain, version, load(VersionSpec, {"backend": backend}), actor="ada")
        plane.versions.install(domain, "v1", actor="ada")


def begin(plane: ControlPlane, domain: str, **fields: object) -> None:
    """Ask for v2 of a domain to go live, as often as one likes."""
    spec = load(RolloutSpec, {"domain": domain, "version": "v2", "steps": list(STEPS)} | fields)
    plane.canary.apply(f"{domain}-v2", spec, actor="ada")


def answer(plane: ControlPlane, domain: str, *, bad: bool = False) -> int:
    """Ship the outcomes of a domain's plan, the same ones however often; a bad canary fails once it has half.

    Gives the plan's revision.
    """
    plan = plane.traffic.plan(domain)
    if plan.canary:
        plane.lake.ship(f"{domain}-{plan.revision}", _answered(plan, plane.instruments.now(), bad=bad))
    return plan.revision


def serve(plane: ControlPlane, *domains: str, bad: str = "") -> None:
    """Be a gateway for a moment: answer by each domain's plan, then say that it is served."""
    plane.traffic.confirm("gateway", {domain: answer(plane, domain, bad=domain == bad) for domain in domains})


def _answered(plan: TrafficPlan, at: datetime, *, bad: bool) -> list[Outcome]:
    share = _REQUESTS * plan.weight // 1_000_000
    made = []
    for number in range(_REQUESTS):
        canary = number < share
        failed = bad and canary and plan.weight >= 500_000
        version = plan.canary.version if canary and plan.canary else plan.stable
        made.append(
            Outcome(
                id=f"{plan.domain}-{plan.revision}-{number:03}",
                domain=plan.domain,
                at=at,
                assigned=version,
                served=version,
                plan_revision=plan.revision,
                bucket=-1,
                status=OutcomeStatus.ERROR if failed else OutcomeStatus.OK,
                measures={"error": float(failed)},
            )
        )
    return made


def active(plane: ControlPlane, *domains: str) -> bool:
    """Say whether any of these domains has a rollout that is not at its end."""
    return any(plane.canary.get(domain).status.phase in ACTIVE for domain in domains)


def undelivered(plane: ControlPlane) -> bool:
    """Say whether effects are still to be performed."""
    with plane.store.reading() as connection:
        return bool(outbox.waiting(connection, limit=1))


def lapse(plane: ControlPlane) -> None:
    """Let every lease run out, as the leases of the dead do in time."""
    with plane.store.transaction() as connection:
        connection.execute(update(leases).values(expires=0.0))


def script(plane: ControlPlane, good: str, bad: str, webhook: str = "") -> Iterator[tuple[str, Callable[[], object]]]:
    """Give what happens, act by act, until both rollouts are at their end and everybody was told."""
    yield "begin good", partial(begin, plane, good, steps=list(STEPS[1:]), webhooks=[webhook] if webhook else [])
    yield "begin bad", partial(begin, plane, bad)
    served: dict[str, int] = {}
    for _ in range(_MOST_PASSES):
        yield "tick", plane.reconciler.tick
        yield "answer good", lambda: served.update({good: answer(plane, good)})
        yield "answer bad", lambda: served.update({bad: answer(plane, bad, bad=True)})
        yield "confirm", partial(plane.traffic.confirm, "gateway", served)
        yield "deliver", plane.courier.deliver
        assert isinstance(plane.instruments, Clock)
        plane.instruments.go(PASS)
        if not active(plane, good, bad) and not undelivered(plane):
            return
    raise AssertionError("the rollouts came to no end")


def play(plane: ControlPlane, good: str, bad: str, webhook: str = "") -> None:
    """Play the script to its end, from wherever the process before this one left it."""
    for _, act in script(plane, good, bad, webhook):
        act()


def play_until_killed(url: str, good: str, bad: str, webhook: str, at: int) -> None:
    """Play the script in a process of its own that is killed before its ``at``-th write."""
    plane = open_plane(url, instruments=Clock())
    with Fuse(kill, at):
        play(plane, good, bad, webhook)


def story(plane: ControlPlane, domain: str) -> dict[str, object]:
    """Tell all that a domain's rollout came to, without the names, ids and times that no two runs share."""
    rollout = plane.canary.get(domain)
    status = rollout.status
    decisions = plane.canary.decisions(domain, limit=1000).items
    looks = plane.canary.looks(domain, limit=1000).items
    entries = plane.governance.entries(domain=domain, limit=1000).items
    return {
        "end": (status.phase, status.attempt, status.step, status.weight, status.step_plan, status.because),
        "decisions": [
            (it.attempt, it.step, it.weight, it.phase, it.decision.action, it.decision.sentence) for it in decisions
        ],
        "looks": [(it.step, it.weight, [verdict["finding"] for verdict in it.verdicts]) for it in looks],
        "plans": [
            (it.plan.revision, it.plan.stable, it.plan.weight) for it in plane.traffic.history(domain, limit=1000).items
        ],
        "aliases": plane.versions.aliases(domain),
        "tenures": [(it.version, it.until is None) for it in plane.versions.tenures(domain, limit=1000).items],
        "audit": [(it.actor, it.action, it.resource.replace(rollout.id, "").replace(domain, "")) for it in entries],
    }


class _Halting(Changes):
    """Changes of a process that stops itself when asked to, at the worst moment: it has decided and not yet written."""

    def __init__(self, plane: ControlPlane, say: Callable[[str], None]) -> None:
        super().__init__(plane.store, plane.instruments)
        self._say = say
        self._asked = False
        signal.signal(signal.SIGUSR1, self._ask)

    def _ask(self, *_: object) -> None:
        self._asked = True

    @contextmanager
    def begin(self, actor: str, request_id: str = "") -> Iterator[Change]:
        """Stop first, if asked to; tell when what was decided before is refused."""
        if self._asked:
            self._asked = False
            self._say("stopped")
            os.kill(os.getpid(), signal.SIGSTOP)
        try:
            with super().begin(actor, request_id) as change:
                yield change
        except LeaseLost:
            self._say("refused")
            raise


def reconcile(url: str, channel: Connection, ttl: float) -> None:
    """Be a process that reconciles until killed; say ``moved`` whenever a pass changed a rollout."""
    plane = open_plane(url)
    changes = _Halting(plane, channel.send)
    reconciler = Reconciler(changes, plane.traffic, plane.lake, plane.instruments, ttl=ttl)
    while True:
        if reconciler.tick():
            channel.send("moved")
        time.sleep(0.1)
