"""A process that dies between any two writes of a rollout, and the next one that goes on: the end is the same."""

import json
import multiprocessing
import signal
import threading
from collections import Counter
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from sqlalchemy import func, select
from tests.control.faults import Clock, Died, Fuse, die, heir, lapse, play, play_until_killed, prepare, script, story

from vedette.control.plane import ControlPlane, open_plane
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
def posted(monkeypatch):
    """What was posted to webhooks: effect ids and bodies."""
    sent: _Posted = []
    monkeypatch.setattr("vedette.connectors.webhook.post", lambda _, body, effect_id: sent.append((effect_id, body)))
    return sent


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
