"""An outage of minutes, as two replicas of a control plane and a gateway see it.

Each replica runs every loop it has, on clocks that are put ahead while nobody is primary; leases are short, and nobody
is primary until all of them have run out. Sealed outcomes go to one folder for both.
"""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import select
from tests.database.outage import asking
from tests.gateway.stage import Stage
from tests.lake.dying import lapse
from tests.lake.making import an_hour_later
from tests.standby import Pair, until

from vedette.catalog.domain import DomainSpec
from vedette.catalog.version import VersionSpec
from vedette.control.instruments import Instruments
from vedette.control.plane import ControlPlane, open_plane
from vedette.control.reconcile import Reconciler
from vedette.evidence.outcome import Outcome
from vedette.gateway.server import Gateway
from vedette.kernel.documents import load
from vedette.rollouts.machine import Phase
from vedette.store import leases
from vedette.store.engine import Store
from vedette.store.leases import Lease

DOMAINS = ("payments", "legal")
LOOPS = ("reconciler", "courier", "housekeeper", "archivist")
NAMES = ("first", "second")
STEPS = [{"weight": 50, "bake": 600}, {"weight": 100, "bake": 0}]
_TTL = 5.0  # seconds, in which a slow machine lets both replicas take their lease before one of them has run out
_OUTAGE = 90.0  # seconds the replicas' clocks are put ahead
_FEW = 30


class Ahead(Instruments):
    """Clocks that can be put ahead, for everybody who has them."""

    ahead = 0.0

    def now(self) -> datetime:
        """Give the calendar time."""
        return super().now() + timedelta(seconds=self.ahead)

    def monotonic(self) -> float:
        """Give the seconds that only grow."""
        return super().monotonic() + self.ahead


@dataclass
class Seen:
    """What was seen."""

    answers: dict[str, list[tuple[int, str]]] = field(default_factory=dict)
    other: list[int] = field(default_factory=list)  # statuses of requests to the other domain
    log: list[logging.LogRecord] = field(default_factory=list)
    before: dict[str, Lease] = field(default_factory=dict)
    after: dict[str, Lease] = field(default_factory=dict)
    holders: list[list[bool]] = field(default_factory=list)  # by lease: which replica believes that it has it
    phases: list[Phase] = field(default_factory=list)
    actions: dict[str, list[str]] = field(default_factory=dict)  # of the audit log, by domain
    faults: tuple[object, ...] = ()
    stored: list[Outcome] = field(default_factory=list)
    counted: float = 0.0
    sealed: int = 0
    files: tuple[set[str], set[str]] = (set(), set())  # there are, and are listed

    def told(self, thread: str, level: str) -> list[str]:
        """Give what a loop told at a level."""
        return [it.getMessage() for it in self.log if it.threadName == thread and it.levelname == level]


class Replica:
    """A control plane whose loops run at a pace for tests."""

    def __init__(self, name: str, url: str, segments: Path, clock: Ahead) -> None:
        self.stop = threading.Event()
        self.plane = open_plane(url, actor="ada", instruments=clock, segments=segments)
        it = self.plane
        self.reconciler = Reconciler(it.changes, it.traffic, it.lake, it.instruments, ttl=_TTL)
        runs = (self.reconciler.run, it.courier.run, it.housekeeper.run, it.archivist.run)
        self.threads = [
            threading.Thread(target=run, args=(self.stop, pace), name=f"{name}-{loop}")
            for loop, run, pace in zip(LOOPS, runs, (0.05, 0.05, 0.3, 0.3), strict=True)
        ]

    def close(self) -> None:
        """End every loop."""
        self.stop.set()
        for thread in self.threads:
            if thread.ident:
                thread.join()
        self.plane.close()


def outlast(pair: Pair, folder: Path) -> Seen:
    """Let it happen, and tell what was seen."""
    seen, clock = Seen(), Ahead()
    with ExitStack() as stack:
        stack.enter_context(_logged(seen))
        both = [stack.enter_context(closing(Replica(name, pair.url, folder / "segments", clock))) for name in NAMES]
        plane = both[0].plane
        stage = stack.enter_context(closing(Stage(folder / "gateway")))
        for replica, domain in zip(both, DOMAINS, strict=True):
            _deploy(plane, domain, stage)
            replica.reconciler.tick()
        _open(stage, stack.enter_context(open_plane(pair.url, instruments=clock)))
        seen.before = _held(pair.url)
        for thread in (thread for replica in both for thread in replica.threads):
            thread.start()
        with asking(f"http://127.0.0.1:{stage.port}", seen.answers) as turn:
            turn("before")
            until(lambda: plane.lake.holdings().sealed > _FEW)
            pair.primary.kill()
            turn("headless")
            _wait(pair, both, clock, seen)
            pair.standby.promote()
            turn("after")
            _come_back(pair, both, stage, seen)
        stage.stop()  # which ships what is left
        for replica in both:
            replica.close()
        _look(both[1].plane, folder / "segments", seen)
    return seen


def _deploy(plane: ControlPlane, domain: str, stage: Stage) -> None:
    plane.domains.create(domain, load(DomainSpec, {"config": {"assignment": {"unit": "request"}}}))
    for version in ("v1", "v2"):
        backend = {"kind": "openai", "url": stage.upstream.url, "model": version}
        plane.versions.register(domain, version, load(VersionSpec, {"backend": backend}))
    plane.versions.install(domain, "v1")
    plane.canary.deploy_with_rollout(domain, "v2", {"steps": STEPS})


def _open(stage: Stage, plane: ControlPlane) -> None:
    """Start the gateway on a plane of its own, as `vedette gateway` does."""
    stage.gateway = Gateway(
        plane.traffic, plane.lake, stage.folder, settings=stage.settings, environment=stage.environment
    )
    stage.run(stage.gateway.start())
    stage.started = True
    until(lambda: stage.gateway.app.ready)


def _wait(pair: Pair, both: list[Replica], clock: Ahead, seen: Seen) -> None:
    """Stay without a primary until every loop has told of it, now and a while later, and every lease has run out."""
    threads = [thread.name for replica in both for thread in replica.threads]
    until(lambda: all(seen.told(name, "WARNING") for name in threads))
    clock.ahead = _OUTAGE
    until(lambda: all(len(seen.told(name, "WARNING")) > 1 for name in threads))
    until(lambda: not _held(pair.standby.url))
    until(lambda: len(seen.answers["headless"]) > _FEW)


def _come_back(pair: Pair, both: list[Replica], stage: Stage, seen: Seen) -> None:
    """Do nothing but let time pass until every loop is at work again; then let both rollouts be promoted."""
    plane = both[0].plane
    lapse(plane.lake)  # of the sealer, whose lease is a minute long
    threads = [thread.name for replica in both for thread in replica.threads]
    until(lambda: all(any("succeeds again" in line for line in seen.told(name, "INFO")) for name in threads))
    names = [f"rollout/{plane.canary.get(domain).id}" for domain in DOMAINS]

    def settled() -> bool:
        seen.holders = [[name in replica.reconciler._holding for replica in both] for name in names]
        seen.after = _held(pair.url)
        return all(map(any, seen.holders)) and seen.after.keys() == set(names)

    until(settled)
    for domain in DOMAINS:
        plane.canary.promote(domain)

    def promoted() -> bool:
        seen.other.append(stage.chat("legal").status)  # without evidence nothing is promoted
        return all(plane.canary.get(domain).status.phase is Phase.PROMOTED for domain in DOMAINS)

    until(promoted)
    until(lambda: len(seen.answers["after"]) > _FEW)


def _look(plane: ControlPlane, segments: Path, seen: Seen) -> None:
    """See what is stored in the end."""
    lapse(plane.lake)
    an_hour_later(plane.lake)
    seen.sealed = plane.lake.holdings().sealed
    with plane.lake._database.reading() as connection:
        listed = connection.scalars(select(plane.lake._tables.segments.c.name)).all()
    seen.files = {path.name for path in segments.iterdir()}, set(listed)
    after, first = "", True
    while after or first:
        page = plane.lake.outcomes("payments", after=after, limit=1000)
        seen.stored += page.items
        after, first = page.after, False
    times = [it.at for it in seen.stored]
    minutes = plane.lake.days("payments", min(times), max(times) + timedelta(days=1))
    seen.counted = sum(each.measures["error"].n for each in minutes)
    for domain in DOMAINS:
        seen.actions[domain] = [it.action for it in plane.governance.entries(domain=domain).items]
        seen.phases.append(plane.canary.get(domain).status.phase)
    seen.faults = tuple(plane.governance.verify())


def _held(url: str) -> dict[str, Lease]:
    """Give the leases that are held, by name."""
    with closing(Store(url)) as store, store.reading() as connection:
        return {lease.name: lease for lease in leases.current(connection)}


@contextmanager
def _logged(seen: Seen) -> Iterator[None]:
    """Keep what is logged from info on."""
    handler, logger = _Keeping(seen.log.append), logging.getLogger("vedette")
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.setLevel(before)
        logger.removeHandler(handler)


class _Keeping(logging.Handler):
    def __init__(self, keep: Callable[[logging.LogRecord], None]) -> None:
        super().__init__()
        self._keep = keep

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record."""
        self._keep(record)
