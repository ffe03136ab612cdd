"""Two reconcilers on one database at once: each step is decided once, and leases move when one dies or stands still."""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Sequence

import pytest
from tests.control.faults import STEPS, Clock, active, begin, play, prepare, reconcile, serve, story

from vedette.control.plane import ControlPlane, open_plane
from vedette.kernel.errors import Conflict
from vedette.rollouts.machine import Phase

_PATIENCE = 60.0
_TTL = 2.0
_SHORT = [step | {"bake": 0.2} for step in STEPS]
_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload(["tests.control.faults"])


class _Replica:
    """A process that reconciles, and what it says."""

    def __init__(self, url: str) -> None:
        self._channel, channel = _PROCESSES.Pipe(duplex=False)
        self._process = _PROCESSES.Process(target=reconcile, args=(url, channel, _TTL))
        self._process.start()
        channel.close()
        self._deadline = time.monotonic() + _PATIENCE

    def says(self, word: str, *, within: float = 0.1) -> bool:
        """Say whether the replica says ``word`` in that time."""
        deadline = time.monotonic() + within
        while self._channel.poll(max(0.0, deadline - time.monotonic())):
            if self._channel.recv() == word:
                return True
        assert time.monotonic() < self._deadline
        return False

    def hear(self, word: str) -> None:
        """Wait until the replica says ``word``."""
        assert self.says(word, within=_PATIENCE)

    def forget(self) -> None:
        """Do not listen to what the replica has said so far."""
        while self._channel.poll():
            self._channel.recv()

    def signal(self, number: int) -> None:
        """Send it a signal."""
        assert self._process.pid is not None
        os.kill(self._process.pid, number)

    def end(self) -> None:
        """Kill the process."""
        self._process.kill()
        self._process.join()
        self._channel.close()


@pytest.fixture
def plane(store_url):
    """A plane on which rollouts that nothing disturbed have ended, on SQLite and then on PostgreSQL."""
    with open_plane(store_url, instruments=Clock()) as calm:
        prepare(calm, "good", "bad", "pay", "law", "hr")
        play(calm, "good", "bad")
    with open_plane(store_url) as opened:
        yield opened


def _assert_decided_once(plane: ControlPlane, *, good: Sequence[str], bad: Sequence[str]) -> None:
    for like, domains in (("good", good), ("bad", bad)):
        for domain in domains:
            assert story(plane, domain) == story(plane, like)
    assert plane.governance.verify() == ()


def test_rollouts_change_hands_when_a_process_stops_and_when_one_is_killed(plane, store_url):
    """A stopped process is replaced and its late write refused; a killed one is replaced by the one that woke up."""
    domains = ("pay", "law", "hr")
    for domain in domains:
        begin(plane, domain, steps=_SHORT if domain == "hr" else _SHORT[1:])
    first = _Replica(store_url)
    try:
        first.hear("moved")
        second = _Replica(store_url)
        try:
            first.signal(signal.SIGUSR1)
            while not first.says("stopped"):
                serve(plane, *domains, bad="hr")
            second.forget()
            second.hear("moved")
            first.signal(signal.SIGCONT)
            first.hear("refused")
        finally:
            second.end()
        while active(plane, *domains):
            serve(plane, *domains, bad="hr")
            first.says("moved")
    finally:
        first.end()
    _assert_decided_once(plane, good=("pay", "law"), bad=("hr",))


def test_threads_that_take_turns_decide_each_step_once(plane, store_url):
    """Two reconcilers that give their leases back after every pass meet at every decision; a person's abort wins."""
    domains = ("pay", "law", "hr")
    begin(plane, "pay", steps=_SHORT[1:])
    begin(plane, "law", steps=[_SHORT[1], {"weight": 100, "bake": 600}])
    begin(plane, "hr", steps=_SHORT)
    stop = threading.Event()

    def reconcile(own: ControlPlane) -> None:
        while not stop.is_set():
            try:
                own.reconciler.tick()
                own.reconciler.release()
            except Conflict:
                continue

    planes = [open_plane(store_url) for _ in range(2)]
    threads = [threading.Thread(target=reconcile, args=(own,)) for own in planes]
    for thread in threads:
        thread.start()
    try:
        deadline = time.monotonic() + _PATIENCE
        while active(plane, *domains):
            assert time.monotonic() < deadline
            serve(plane, *domains, bad="hr")
            status = plane.canary.get("law").status
            if status.phase is Phase.PROGRESSING and status.step == 1:
                plane.canary.abort("law", actor="ada")
    finally:
        stop.set()
        for thread in threads:
            thread.join()
        for own in planes:
            own.close()
    _assert_decided_once(plane, good=("pay",), bad=("hr",))
    assert plane.versions.aliases("law") == {"stable": "v1"}
    assert [it.decision.action for it in plane.canary.decisions("law").items] == ["start", "advance", "abort"]
