"""A small world for tests of the control plane: clocks that stand still, one gateway, and traffic as one likes it."""

import hashlib
from datetime import UTC, datetime, timedelta

from sqlalchemy import select

from vedette.catalog.domain import DomainSpec
from vedette.catalog.version import VersionSpec
from vedette.control.instruments import Instruments
from vedette.control.plane import ControlPlane, open_plane
from vedette.evidence.outcome import Outcome, OutcomeStatus
from vedette.kernel.documents import load
from vedette.kernel.ids import milliseconds_of, uuid7
from vedette.rollouts.machine import Phase, RolloutStatus
from vedette.store import tables
from vedette.store.rollouts import StoredRollout

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
TICK = 5.0
"""Seconds between two looks: below the length of a lease."""
STEPS = [{"weight": 10, "bake": 20}, {"weight": 50, "bake": 20}, {"weight": 100, "bake": 20}]


class Clock(Instruments):
    """Clocks that move only when told, and dice that fall the same in every run."""

    def __init__(self) -> None:
        self.calendar = NOON
        self.seconds = 0.0
        self._made = 0

    def now(self) -> datetime:
        """Give the calendar time."""
        return self.calendar

    def monotonic(self) -> float:
        """Give the seconds that only grow."""
        return self.seconds

    def new_id(self, after: str = "") -> str:
        """Give the next id: who is in which arm follows from it, so it is the same in every run."""
        self._made += 1
        earliest = milliseconds_of(after) + 1 if after else 0
        entropy = hashlib.sha256(self._made.to_bytes(8)).digest()[:10]
        return uuid7(max(earliest, int(self.calendar.timestamp() * 1000)), entropy)


class World:
    """One plane on a database, its clock, a gateway, and its users."""

    def __init__(self, url: str) -> None:
        self.clock = Clock()
        self.plane: ControlPlane = open_plane(url, actor="", instruments=self.clock)
        self._sent = 0

    def domain(self, name: str = "pay", *, versions: tuple[str, ...] = ("v1", "v2"), **config: object) -> None:
        """Make a domain with versions, the first of which is stable."""
        asked = load(DomainSpec, {"config": {"assignment": {"unit": "request"}} | config})
        self.plane.domains.create(name, asked, actor="ada")
        for version in versions:
            backend = {"kind": "openai", "url": "http://localhost:1/v1", "model": version}
            self.plane.versions.register(name, version, load(VersionSpec, {"backend": backend}), actor="ada")
        if versions:
            self.plane.versions.install(name, versions[0], actor="ada")

    def deploy(self, domain: str = "pay", version: str = "v2", **schedule: object) -> StoredRollout:
        """Begin a rollout of three short steps."""
        name = str(schedule.pop("name", ""))
        asked = {"steps": STEPS} | schedule
        return self.plane.canary.deploy_with_rollout(domain, version, asked, actor="ada", name=name)

    def status(self, domain: str = "pay") -> RolloutStatus:
        """Give where the newest rollout of a domain is."""
        return self.plane.canary.get(domain).status

    def serve(
        self, domain: str = "pay", *, canary: float = 0.0, stable: float = 0.0, share: float | None = None, n: int = 60
    ) -> None:
        """Confirm the plan in force and answer ``n`` requests by it, with these shares of errors in either arm."""
        plan = self.plane.traffic.plan(domain)
        self.plane.traffic.confirm("gateway", {domain: plan.revision})
        exposed = round(n * (plan.weight / 1e6 if share is None else share))
        served = {plan.stable: (n - exposed, round((n - exposed) * stable))}
        if plan.canary:
            served[plan.canary.version] = (exposed, round(exposed * canary))
        self.ship(domain, plan.revision, served)

    def ship(self, domain: str, revision: int, served: dict[str, tuple[int, int]], **measures: float) -> None:
        """Ship outcomes under a plan revision: for each version how many, and how many of them errors."""
        made = []
        for version, number in ((version, number) for version, (n, _) in served.items() for number in range(n)):
            self._sent += 1
            bad = number < served[version][1]
            made.append(
                Outcome(
                    id=f"o{self._sent:08}",
                    domain=domain,
                    at=self.clock.now(),
                    assigned=version,
                    served=version,
                    plan_revision=revision,
                    bucket=-1,
                    status=OutcomeStatus.ERROR if bad else OutcomeStatus.OK,
                    measures={"error": float(bad), "latency_ms": 20.0 + number % 10, **measures},
                )
            )
        self.plane.lake.ship(f"b{self._sent}", made)

    def go(self, seconds: float = TICK) -> None:
        """Let time pass on both clocks."""
        self.clock.calendar += timedelta(seconds=seconds)
        self.clock.seconds += seconds

    def turn(self, *domains: str, n: int = 60, canary: float = 0.0, stable: float = 0.0) -> None:
        """Let one look and one moment of traffic pass."""
        self.plane.reconciler.tick()
        for domain in domains or ("pay",):
            self.serve(domain, n=n, canary=canary, stable=stable)
        self.go()

    def until(self, *phases: Phase, turns: int = 60, domain: str = "pay", **traffic: float) -> list[float]:
        """Let time pass until the rollout is in one of these phases; give the weights it had."""
        weights: list[float] = []
        for _ in range(turns):
            status = self.status(domain)
            weights += [status.weight] if not weights or weights[-1] != status.weight else []
            if status.phase in phases:
                return weights
            self.turn(domain, **traffic)  # type: ignore[arg-type]  # the rates of errors, by name
        raise AssertionError(f"{domain} came to none of {phases}: {self.status(domain)}")

    def reach(self, step: int, domain: str = "pay") -> None:
        """Let a healthy rollout come to a step (from 0) that gateways confirmed."""
        for _ in range(60):
            status = self.status(domain)
            if status.phase is Phase.PROGRESSING and status.step == step and status.step_since is not None:
                return
            self.turn(domain)
        raise AssertionError(f"{domain} never came to step {step}: {self.status(domain)}")

    def actions(self, domain: str = "pay") -> list[str]:
        """Give what was decided about the newest rollout of a domain, in order."""
        return [str(it.decision.action) for it in self.plane.canary.decisions(domain, limit=1000).items]

    def everything(self, *, leases: bool = False) -> dict[str, list[tuple[object, ...]]]:
        """Read every row of the control store."""
        with self.plane.store.reading() as connection:
            return {
                name: sorted((tuple(row) for row in connection.execute(select(table))), key=repr)
                for name, table in tables.metadata.tables.items()
                if leases or not name.endswith("leases")
            }
