"""One death of a primary that cuts off many commits, each at the point where it does most harm.

Each of them is in a database of its own on the same pair, so none waits for another: a change over the API that has an
idempotency key; a sealer that has written its files and lists them; an eraser that has written the files that are to
take the place of old ones; two passes of retention, of which one marks a segment that is due, and the other takes it
from the list when its ids are forgotten already. What was written had reached the standby, or it had not.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import select
from starlette.testclient import TestClient
from tests.lake.making import NOON, outcome
from tests.standby import Pair, until

from vedette.api.app import create_app
from vedette.catalog.backend import OpenAIBackend
from vedette.catalog.domain import DomainSpec
from vedette.catalog.version import VersionSpec
from vedette.control.plane import ControlPlane, open_plane
from vedette.evidence.outcome import Outcome
from vedette.kernel.errors import VedetteError
from vedette.lake.outcomes import Lake

LAKES = ("sealing", "erasing", "marking", "dropping")
KEYED = {"X-Vedette-Actor": "ada", "Idempotency-Key": "pause-1"}
BARE = {"X-Vedette-Actor": "ada"}
_CUTTING = "&application_name=cutting"
_OLD, _YOUNG = NOON - timedelta(days=31), NOON - timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the API answered."""

    status: int
    replayed: bool
    body: dict[str, Any]


@dataclass
class Cut:
    """What was left behind: what each lake holds, what it said when it was cut off, and what the API answered."""

    pair: Pair
    folder: Path
    kept: bool
    made: dict[str, list[Outcome]] = field(default_factory=dict)
    errors: dict[str, VedetteError] = field(default_factory=dict)
    answers: list[Answer] = field(default_factory=list)
    revision: int = 0  # of the rollout, before

    @contextmanager
    def lake(self, name: str) -> Iterator[Lake]:
        """Open a lake as another process would."""
        with closing(Lake(self.pair.at(name), segments=self.folder / name)) as opened:
            yield opened

    def files(self, name: str) -> set[str]:
        """Name the files in a lake's folder."""
        return {path.name for path in (self.folder / name).iterdir()}


def listed(lake: Lake) -> set[str]:
    """Name the files a lake lists."""
    with lake._database.reading() as connection:
        return set(connection.scalars(select(lake._tables.segments.c.name)))


@contextmanager
def asking(plane: ControlPlane) -> Iterator[TestClient]:
    """The API over a plane."""
    with TestClient(create_app(plane), raise_server_exceptions=False) as client:
        yield client


class Gate:
    """Keeps everybody from writing to a table, and says who waits there."""

    def __init__(self, pair: Pair, database: str, table: str) -> None:
        where = f"host=127.0.0.1 port={pair.primary.port} user=vedette dbname={database}"
        self._connection = psycopg.connect(where)
        self._table = f"lake.{table}"
        self._connection.execute(f"LOCK TABLE {self._table} IN SHARE MODE".encode())

    def reached(self) -> bool:
        """Say whether somebody waits."""
        query = (
            "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND relation = %s::regclass"
            " AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))"
        )
        row = self._connection.execute(query, [self._table]).fetchone()
        return row is not None and row[0] is True

    def open(self) -> None:
        """Let them write."""
        self._connection.close()


def cut(pair: Pair, folder: Path, *, kept: bool) -> Cut:
    """Let it happen; afterwards the standby is the primary."""
    found = Cut(pair, folder, kept)
    with ExitStack() as stack:
        plane = stack.enter_context(open_plane(f"{pair.url}{_CUTTING}", actor="ada"))
        _furnish(plane)
        found.revision = plane.canary.get("support").revision
        client = stack.enter_context(asking(plane))
        lakes = {name: stack.enter_context(closing(_lake(pair, folder, name))) for name in LAKES}
        for name, lake in lakes.items():
            found.made[name] = _fill(lake, seal=name != "sealing")
        gates = {name: Gate(pair, name, "seen" if name == "dropping" else "segments") for name in LAKES}
        acts: dict[str, Callable[[], object]] = {
            "sealing": lakes["sealing"].seal,
            "erasing": lambda: lakes["erasing"].erase("payments"),
            "marking": lambda: lakes["marking"].prune(NOON),
            "dropping": lambda: lakes["dropping"].prune(NOON),
        }
        threads = [threading.Thread(target=_suffer, args=(found, name, act)) for name, act in acts.items()]
        for thread in threads:
            thread.start()
        until(lambda: all(gate.reached() for gate in gates.values()))
        forgotten, gates["dropping"] = gates["dropping"], Gate(pair, "dropping", "segments")
        forgotten.open()
        until(gates["dropping"].reached)
        (pair.hold_up if kept else pair.cut_off)()
        threads.append(threading.Thread(target=lambda: found.answers.append(pause(client, KEYED))))
        threads[-1].start()
        for gate in gates.values():
            gate.open()
        until(lambda: pair.held_up("cutting") == ["SyncRep"] * len(threads))
        if kept:
            until(pair.on_standby)
        pair.primary.kill()
        for thread in threads:
            thread.join()
    pair.standby.promote()
    return found


def pause(client: TestClient, headers: dict[str, str]) -> Answer:
    """Ask for a change that happens as often as it is asked."""
    got = client.post("/api/v1/rollouts/support/pause", headers=headers)
    return Answer(status=got.status_code, replayed="idempotency-replayed" in got.headers, body=got.json())


def _furnish(plane: ControlPlane) -> None:
    plane.domains.create("support", DomainSpec())
    for name in ("v1", "v2"):
        backend = OpenAIBackend(url="http://127.0.0.1:9/v1", model=name)
        plane.versions.register("support", name, VersionSpec(backend=backend))
    plane.versions.install("support", "v1")
    plane.canary.deploy_with_rollout("support", "v2")


def _lake(pair: Pair, folder: Path, name: str) -> Lake:
    pair.primary.ask(f"CREATE DATABASE {name}")
    lake = Lake(f"{pair.at(name)}{_CUTTING}", patience=60.0, segments=folder / name)
    lake.migrate()
    return lake


def _fill(lake: Lake, *, seal: bool) -> list[Outcome]:
    """Store outcomes of two domains on two days; in two segments, or in the spool."""
    made = [outcome(domain=domain, at=at) for at in (_OLD, _YOUNG) for domain in ("payments", "legal") for _ in "abc"]
    for number in range(0, len(made), 4):
        lake.ship(f"batch-{number}", made[number : number + 4])
    if seal:
        assert lake.seal().outcomes == len(made)
    return made


def _suffer(found: Cut, name: str, act: Callable[[], object]) -> None:
    try:
        act()
    except VedetteError as error:
        found.errors[name] = error


def ids(outcomes: Sequence[Outcome]) -> list[str]:
    """Give their ids, in order."""
    return sorted(each.id for each in outcomes)
