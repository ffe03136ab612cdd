"""The composition root: one `ControlPlane` holds one of each service, over one store and one lake."""

import threading
from functools import partial
from getpass import getuser
from pathlib import Path
from typing import Self

from vedette.control.change import Changes
from vedette.control.courier import Courier
from vedette.control.domains import Domains
from vedette.control.experiments import MultiVariantTestManager
from vedette.control.fleet import Fleet
from vedette.control.governance import DomainGovernance
from vedette.control.instruments import Instruments
from vedette.control.jobs import Archivist, Housekeeper
from vedette.control.keys import Keys
from vedette.control.outcomes import Outcomes
from vedette.control.people import People
from vedette.control.pepper import Pepper
from vedette.control.reconcile import Reconciler
from vedette.control.rollouts import CanaryDeployment
from vedette.control.spending import Spending
from vedette.control.traffic import Traffic
from vedette.control.versions import Versions
from vedette.kernel.records import record
from vedette.lake.outcomes import Lake
from vedette.store.engine import Store

DEFAULT = "vedette-data"


class ControlPlane:
    """Everything vedette can do, in one object.

    Attributes:
        changes: the transactions all of the following write in.
        domains: the domain catalogue.
        versions: model versions and what served when.
        canary: rollouts.
        experiments: multi-variant tests.
        fleet: all domains at a glance.
        keys: who may ask the gateways.
        traffic: plans, for gateways and for asking which version a unit sees.
        governance: the audit log.
        people: who may come in, and as what.
        lake: outcomes and the evidence they are.
        outcomes: the way in for outcomes made elsewhere, and for late judgements.
        reconciler: moves rollouts and experiments, one pass at a time or in the background (`start`).
        courier: delivers what committed changes told to do.
        housekeeper: forgets what is older than it is kept.
        archivist: moves outcomes to segments.
        folder: where local files live.
    """

    def __init__(
        self, store: Store, lake: Lake, folder: Path, instruments: Instruments | None = None, actor: str = ""
    ) -> None:
        clocks = instruments or Instruments()
        self.instruments = clocks
        self.store = store
        self.lake = lake
        self.folder = folder
        self.changes = changes = Changes(store, clocks, actor)
        pepper = Pepper(folder)
        self.traffic = Traffic(changes, clocks, Spending(lake, clocks), pepper)
        self.domains = Domains(changes, self.traffic)
        self.versions = Versions(changes, self.traffic)
        self.fleet = Fleet(self)
        self.keys = Keys(changes, clocks, pepper)
        self.canary = CanaryDeployment(self)
        self.experiments = MultiVariantTestManager(self)
        self.outcomes = Outcomes(changes, lake, self.domains, self.experiments, self.traffic, clocks, pepper)
        self.governance = DomainGovernance(self)
        self.people = People(changes, clocks)
        self.reconciler = Reconciler(changes, self.traffic, lake, clocks)
        self.courier = Courier(store, clocks)
        self.housekeeper = Housekeeper(changes, lake, clocks)
        self.archivist = Archivist(lake, clocks)
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self, interval: float = 1.0) -> None:
        """Reconcile and deliver in the background until `close`; a look every ``interval`` seconds."""
        work = {
            "reconciler": partial(self.reconciler.run, self._stop, interval),
            "courier": partial(self.courier.run, self._stop, interval),
            "housekeeper": partial(self.housekeeper.run, self._stop),
            "archivist": partial(self.archivist.run, self._stop),
        }
        for name, run in work.items():
            thread = threading.Thread(target=run, name=f"vedette-{name}", daemon=True)
            thread.start()
            self._threads.append(thread)

    def close(self) -> None:
        """Stop the background work and close every connection."""
        self._stop.set()
        for thread in self._threads:
            thread.join()
        self._threads.clear()
        self.store.close()
        self.lake.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@record
class Places:
    """Where a plane's data is: the folder of local files, the URLs of the store and the lake, the lake's segments.

    ``segments`` is None where the lake has its own place for them, or none at all.
    """

    folder: Path
    control: str
    outcomes: str
    segments: Path | None


def places(url: str | Path, segments: str | Path = "") -> Places:
    """Say where the data of a folder or of a database URL is; segments are beside SQLite's files unless given."""
    place, named = str(url), Path(segments) if str(segments) else None
    if "://" in place and not place.startswith("sqlite"):
        return Places(folder=Path(DEFAULT), control=place, outcomes=place, segments=named)
    control = place if "://" in place else f"sqlite:///{place}/control.db"
    folder = Path(control.split("///", 1)[-1]).parent
    return Places(folder=folder, control=control, outcomes=f"sqlite:///{folder}/outcomes.db", segments=named)


def open_plane(
    url: str | Path = DEFAULT,
    *,
    actor: str | None = None,
    instruments: Instruments | None = None,
    segments: str | Path = "",
    analytics: str = "",
) -> ControlPlane:
    """Open (and make or migrate, when needed) a control plane.

    Args:
        url: a folder (SQLite files in it; the default ``./vedette-data``), or ``postgresql://user:password@host/name``.
        actor: who acts where a call names nobody; the name of the operating system's user unless given. Empty makes
            every write name its actor, as a server needs it.
        instruments: clocks and ids of your own, for tests.
        segments: the folder of sealed outcomes, the same for every process on this data. Unless given it is beside
            SQLite's files; with PostgreSQL there is none, and outcomes stay in the database until they are dropped.
        analytics: what counts stored outcomes: ``spark://host:7077``, ``clickhouse://user:password@host:8123/database``,
            or DuckDB in this process unless given.

    Raises:
        InvalidInput: a URL is none.
        Unavailable: the database does not answer, or the driver of the engine is not installed.
        Refused: a newer vedette made the database.
    """
    where = places(url, segments)
    store, lake = Store(where.control), Lake(where.outcomes, segments=where.segments, analytics=analytics)
    try:
        store.migrate()
        lake.migrate()
    except BaseException:
        store.close()
        lake.close()
        raise
    return ControlPlane(store, lake, where.folder, instruments, _user() if actor is None else actor)


def _user() -> str:
    """Name the operating system's user; empty where it has no name."""
    try:
        return getuser()
    except (KeyError, OSError):
        return ""
