"""A process that dies between any two writes of a rollout, and the next one that goes on: the end is the same."""

import json
import logging
import multiprocessing
import signal
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import psycopg
import pytest
from sqlalchemy import func, select, text
from tests.control.faults import (
    PASS,
    Clock,
    Died,
    Fuse,
    active,
    begin,
    die,
    heir,
    lapse,
    play,
    play_until_killed,
    prepare,
    script,
    serve,
    story,
)
from tests.lake.making import files_no_larger_than

from vedette.control.plane import ControlPlane, open_plane
from vedette.kernel.decision import Action
from vedette.kernel.errors import Unavailable
from vedette.rollouts.machine import Phase
from vedette.store.engine import Store
from vedette.store.tables import audit_head, outbox, rollout_looks

_FEWEST_DEATHS = 150
_KILLS = 12
_WEBHOOK = "http://nobody.example/"
_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload(["tests.control.faults"])


_Posted = list[tuple[str, Mapping[str, Any]]]
_STATE = select(
    select(audit_head.c.sequence).scalar_subquery(),
    select(func.count()).select_from(rollout_looks).scalar_subquery(),
    select(func.count(outbox.c.done_at)).scalar_subquery(),
)
"""How far the rollouts are: by audit entries, looks and effects performed."""


@pytest.fixture
def receiver():
    """A server that takes webhooks: its address and what was posted to it."""
    sent: _Posted = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            sent.append((self.headers["idempotency-key"], body))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/", sent
        server.shutdown()
        thread.join()


@pytest.fixture
def plane(store_url):
    """A plane on a fresh database, on SQLite and then on PostgreSQL."""
    with open_plane(store_url, instruments=Clock()) as opened:
        yield opened


def _effects(plane: ControlPlane, posted: _Posted, domain: str) -> list[tuple[str, str]]:
    """Give the effects of a domain's rollout that were performed, each once: repetitions must be equal."""
    performed = {effect_id: body for effect_id, body in posted if body["domain"] == domain}
    assert all(performed[effect_id] == body for effect_id, body in posted if body["domain"] == domain)
    rollout = plane.canary.get(domain).id
    return [(effect_id.removeprefix(rollout), body["event"]) for effect_id, body in sorted(performed.items())]


def _assert_same_end(plane: ControlPlane, posted: _Posted, number: int) -> None:
    for name in ("good", "bad"):
        assert story(plane, f"{name}-{number}") == story(plane, f"{name}-0")
    assert _effects(plane, posted, f"good-{number}") == _effects(plane, posted, "good-0")
    assert plane.governance.verify() == ()


def test_death_before_any_write_changes_nothing_of_the_end(plane, posted):
    """Killed before each write and each commit in turn, process after process, the rollouts end as undisturbed."""
    prepare(plane, "good-0", "bad-0", "good-1", "bad-1")
    play(plane, "good-0", "bad-0", _WEBHOOK)
    deaths: Counter[tuple[object, ...]] = Counter()
    over = False
    with Fuse(die) as fuse:
        while not over:
            plane = heir(plane)
            lapse(plane)
            try:
                for name, act in script(plane, "good-1", "bad-1", _WEBHOOK):
                    with plane.store.reading() as connection:
                        place = name, *connection.execute(_STATE).one()
                    fuse.set(deaths[place] + 1)
                    act()
                    fuse.set(0)
                over = True
            except Died:
                fuse.set(0)
                deaths[place] += 1
    assert deaths.total() >= _FEWEST_DEATHS
    _assert_same_end(plane, posted, 1)
    plane.close()


def test_process_killed_between_two_writes_is_followed_by_one_that_ends_the_same(plane, store_url, receiver):
    """SIGKILL before a write or commit, early to late: another process ends the rollouts as if nothing had been."""
    webhook, posted = receiver
    prepare(plane, *(f"{name}-{number}" for number in range(_KILLS + 1) for name in ("good", "bad")))
    with Fuse(die) as fuse:
        play(plane, "good-0", "bad-0", webhook)
    for number in range(1, _KILLS + 1):
        at = number * fuse.burnt // (_KILLS + 1)
        lapse(plane)
        names = f"good-{number}", f"bad-{number}"
        process = _PROCESSES.Process(target=play_until_killed, args=(store_url, *names, webhook, at))
        process.start()
        process.join()
        assert process.exitcode == -signal.SIGKILL
        plane = heir(plane)
        lapse(plane)
        play(plane, *names, webhook)
        _assert_same_end(plane, posted, number)
    plane.close()


@contextmanager
def _full_disk(plane: ControlPlane) -> Iterator[ControlPlane]:
    """Let this process write no file beyond its first thousand bytes."""
    with files_no_larger_than(1000):
        yield plane


@contextmanager
def _read_only(plane: ControlPlane) -> Iterator[ControlPlane]:
    """Give a process that may not write: it has no right to the file, or its server is a standby."""
    if plane.store.is_sqlite:
        url = f"sqlite:///file:{plane.store.url.database}?mode=ro&uri=true"
    else:
        standby = plane.store.url.update_query_dict({"options": "-c default_transaction_read_only=on"})
        url = standby.render_as_string(hide_password=False)
    lapse(plane)
    with closing(Store(url)) as store:
        yield ControlPlane(store, plane.lake, plane.folder, plane.instruments)


@contextmanager
def _unreachable(plane: ControlPlane) -> Iterator[ControlPlane]:
    """Cut every connection to the plane's PostgreSQL database, and let nobody in."""
    url = plane.store.url
    server = url.set(drivername="postgresql", database="postgres").render_as_string(hide_password=False)
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(f'ALTER DATABASE "{url.database}" ALLOW_CONNECTIONS false')
        admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [url.database])
        yield plane
        admin.execute(f'ALTER DATABASE "{url.database}" ALLOW_CONNECTIONS true')


_OUTAGES = [
    ("sqlite_url", _full_disk),
    ("sqlite_url", _read_only),
    ("postgres_url", _read_only),
    ("postgres_url", _unreachable),
]


@pytest.mark.parametrize(("database", "outage"), _OUTAGES)
def test_pass_without_a_database_fails_loudly_and_is_made_up_for(request, posted, database, outage):
    """While the disk is full, the database read-only or away, a pass raises and writes nothing; then all goes on."""
    with open_plane(request.getfixturevalue(database), instruments=Clock()) as plane:
        prepare(plane, "good-0", "bad-0", "good-1", "bad-1")
        play(plane, "good-0", "bad-0", _WEBHOOK)
        for name, act in script(plane, "good-1", "bad-1", _WEBHOOK):
            if name == "tick" and active(plane, "good-1", "bad-1"):
                before = plane.governance.head()
                with outage(plane) as broken, pytest.raises(Unavailable):
                    broken.reconciler.tick()
                assert plane.governance.head() == before
            act()
        _assert_same_end(plane, posted, 1)


def test_connection_cut_before_a_write_is_made_up_for(postgres_url, posted):
    """When the server cuts the connection before a write or commit, what was under way fails whole and is repeated."""
    with open_plane(postgres_url, instruments=Clock()) as plane:
        prepare(plane, "good-0", "bad-0", "good-1", "bad-1")
        play(plane, "good-0", "bad-0", _WEBHOOK)
        cuts = 0

        def cut() -> None:
            with _unreachable(plane):
                pass

        with Fuse(cut) as fuse:
            for number, (_, act) in enumerate(script(plane, "good-1", "bad-1", _WEBHOOK)):
                fuse.set(1 + number % 7)
                try:
                    act()
                except Unavailable:
                    cuts += 1
                    fuse.set(0)
                    act()
        assert cuts >= 10
        _assert_same_end(plane, posted, 1)


class _Outage(threading.Event):
    """Tells a loop to stop once the rollout has ended, and takes its database away between passes before."""

    def __init__(self, plane: ControlPlane, outage: AbstractContextManager[object], *, until: int) -> None:
        super().__init__()
        self._plane, self._outage, self._until, self._passes = plane, outage, until, 0

    def wait(self, timeout: float | None = None) -> bool:
        """Do what happens between two passes."""
        assert isinstance(self._plane.instruments, Clock)
        self._plane.instruments.go(timeout or 0)
        self._passes += 1
        if self._passes == 3:
            self._outage.__enter__()
        if self._passes == self._until:
            self._outage.__exit__(None, None, None)
        if not 3 <= self._passes < self._until:
            serve(self._plane, "pay")
            if not active(self._plane, "pay"):
                self.set()
        return self.is_set()


def test_loop_outlives_its_database(postgres_url, caplog):
    """The loop says that passes fail, and that they succeed again, and ends the rollout once the database is back."""
    with open_plane(postgres_url, instruments=Clock()) as plane:
        prepare(plane, "pay")
        begin(plane, "pay")
        with caplog.at_level(logging.INFO, "vedette.control.reconcile"):
            plane.reconciler.run(_Outage(plane, _unreachable(plane), until=15), PASS)
        told = [(it.levelname, it.message) for it in caplog.records if it.message.startswith("a pass of the reconc")]
        assert [level for level, _ in told] == ["WARNING", "WARNING", "INFO"]
        assert "has failed for 1m now, 7 times" in told[1][1]
        assert "failed 12 times within 2m" in told[2][1]
        assert plane.canary.get("pay").status.phase is Phase.PROMOTED


def test_loop_can_be_stopped_without_its_database(postgres_url, caplog):
    """Told to stop while the database is away, the loop ends and says that its leases run out by themselves."""
    with open_plane(postgres_url, instruments=Clock()) as plane:
        prepare(plane, "pay")
        begin(plane, "pay")
        plane.reconciler.tick()
        stop = threading.Event()
        stop.set()
        with _unreachable(plane):
            plane.reconciler.run(stop, PASS)
        assert "will run out" in caplog.text


@contextmanager
def _lake_away(plane: ControlPlane) -> Iterator[None]:
    """Take the outcomes away: their file is elsewhere, or their schema is named otherwise."""
    if not plane.store.is_sqlite:
        with plane.store.transaction() as connection:
            connection.execute(text("ALTER SCHEMA lake RENAME TO elsewhere"))
        yield
        with plane.store.transaction() as connection:
            connection.execute(text("ALTER SCHEMA elsewhere RENAME TO lake"))
        return
    with _lake_replaced(plane, b""):
        yield


@contextmanager
def _lake_damaged(plane: ControlPlane) -> Iterator[None]:
    with _lake_replaced(plane, b"no database at all" * 1000):
        yield


@contextmanager
def _lake_replaced(plane: ControlPlane, content: bytes) -> Iterator[None]:
    path = plane.folder / "outcomes.db"
    plane.lake.close()
    path.rename(path.with_suffix(".kept"))
    path.write_bytes(content)
    yield
    plane.lake.close()
    path.with_suffix(".kept").rename(path)


@pytest.mark.parametrize(
    ("database", "unreadable"),
    [("sqlite_url", _lake_away), ("postgres_url", _lake_away), ("sqlite_url", _lake_damaged)],
)
def test_unreadable_outcomes_hold_and_a_person_can_still_abort(request, database, unreadable, caplog):
    """While outcomes cannot be read nothing is promoted or taken back but by a person, and the log says so once."""
    caplog.set_level(logging.INFO, "vedette.control.reconcile")
    steps = [{"weight": 50, "bake": 5, "deadline": 20}, {"weight": 100, "bake": 5}]
    with open_plane(request.getfixturevalue(database), instruments=Clock()) as plane:
        prepare(plane, "pay", "law")
        for domain in ("pay", "law"):
            begin(plane, domain, steps=steps, on_insufficient="abort")
        clock = plane.instruments
        assert isinstance(clock, Clock)
        plane.reconciler.tick()
        serve(plane, "pay", "law")
        with unreadable(plane):
            for _ in range(5):
                plane.reconciler.tick()
                clock.go(PASS)
                plane.traffic.confirm("gateway", {})
            assert [it.decision.action for it in plane.canary.decisions("pay").items] == [Action.START]
            assert "unmeasurable" in [reason.code for reason in plane.canary.explain("pay").now.reasons]
            assert plane.canary.abort("law", actor="ada").status.phase is Phase.ABORTED
            assert plane.traffic.plan("law").weight == 0
        while active(plane, "pay"):
            plane.reconciler.tick()
            serve(plane, "pay")
            clock.go(PASS)
        assert plane.canary.get("pay").status.phase is Phase.PROMOTED
        assert plane.governance.verify() == ()
        what = f"reading the evidence of rollout {plane.canary.get('pay').id} "
        told = [(it.levelname, it.message.removeprefix(what)) for it in caplog.records if it.message.startswith(what)]
        assert [level for level, _ in told] == ["WARNING", "INFO"]
        assert told[1][1].startswith("succeeds again; it failed 5 times")
