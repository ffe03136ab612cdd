"""Workers take their turns: the one that is ahead lets others go first, as long as they are there."""

import contextlib
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.gateway.stage import wait_for
from tests.gateway.test_workers import Workers, alive, pythons_own_loop, start

from vedette.gateway.loads import PATIENCE, Loads, Seat

__all__ = ["start"]  # a fixture
BURST = 64


@pytest.fixture
def seats(tmp_path) -> Iterator[list[Seat]]:
    """Seat three workers at one table."""
    with Loads.make(tmp_path, 3) as file:
        yield [Seat(Loads(file.fileno()), place) for place in range(3)]


def test_who_has_least_never_waits_and_who_is_ahead_does(seats):
    """With equals a worker takes at once; two ahead of one of them it does not, until that one has caught up."""
    first, second, third = seats
    for seat in seats:
        seat.take()
    assert first.look()
    first.take(2)
    assert not first.look()
    assert second.look()
    second.take(1)
    assert not first.look()
    third.take(1)
    assert first.look()


def test_far_more_connections_may_differ_by_far_more(seats):
    """What counts is the proportion: nobody waits for another one over one connection of many."""
    first, second, third = seats
    first.take(89)
    second.take(80)
    third.take(80)
    assert first.look()
    first.take(10)
    assert not first.look()


def test_nobody_waits_where_nobody_else_is(seats, tmp_path):
    """Alone, beside empty places, or beside one that takes nothing at present, a worker takes whatever waits."""
    first, second, _ = seats
    first.take(1000)
    assert first.look()
    second.take()
    assert not first.look()
    second.rest()
    assert first.look()
    with Loads.make(tmp_path / "alone", 1) as file:
        alone = Seat(Loads(file.fileno()), 0)
        alone.take(1000)
        assert alone.look()


def test_who_does_not_look_is_waited_for_once(seats):
    """One that never looks costs others some moments, not for each connection; once it looks again it goes first."""
    first, second, _ = seats
    second.take()
    first.take(10)
    assert [first.look() for _ in range(PATIENCE + 1)] == [False] * PATIENCE + [True]
    assert first.look()
    first.take(10)
    assert first.look()
    assert second.look()
    assert not first.look()


class Kept:
    """Connections that were opened at once and are kept."""

    def __init__(self, workers: Workers, count: int = BURST) -> None:
        self._port = workers.port
        self._sockets = [socket.create_connection(("127.0.0.1", self._port), 20) for _ in range(count)]

    def close(self) -> None:
        """Close them."""
        for each in self._sockets:
            each.close()

    def taken_by(self, pids: list[int]) -> list[int]:
        """Count those of each process; those that wait to be taken are nobody's."""
        return [len(_sockets_of(pid) & _established(self._port)) for pid in pids]


def _established(port: int) -> set[str]:
    """Name the sockets of the connections whose server side is this port."""
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return {f"socket:[{line[9]}]" for line in lines if line[1].endswith(f":{port:04X}") and line[3] == "01"}


def _sockets_of(pid: int) -> set[str]:
    found = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):  # it was closed just now
            found.add(str(descriptor.readlink()))
    return found


def _is_shared(workers: Workers, pids: list[int]) -> bool:
    """Say whether bursts, one after the other, give no worker more than one and a half times its share.

    One of them may: beside a worker that is given no processor for long others take its part, as they shall.
    """
    even = 0
    for _ in range(5):
        with contextlib.closing(Kept(workers)) as kept:
            wait_for(lambda: sum(kept.taken_by(pids)) == BURST)
            even += max(kept.taken_by(pids)) <= 1.5 * BURST / len(pids)
        wait_for(lambda: sum(kept.taken_by(pids)) == 0)
    return even >= 4


@pytest.mark.parametrize(("count", "loop"), [(2, "uvloop"), (4, "uvloop"), (2, "asyncio")])
def test_a_burst_of_kept_connections_is_everybodys(start, tmp_path, count, loop):
    """Of 64 connections opened at once, time and again, no worker has more than one and a half times its share."""
    workers = start(count, pythons_own_loop(tmp_path) if loop == "asyncio" else {})
    pids = workers.pids()
    wait_for(lambda: _is_shared(workers, pids), 30)  # in a while in which all are given a processor


def test_a_stopped_worker_keeps_no_connection_waiting(start):
    """Beside a worker that is stopped the other one takes all, and once that one goes on it gets the next ones."""
    workers = start(2)
    stopped, other = workers.pids()
    os.kill(stopped, signal.SIGSTOP)
    with contextlib.closing(Kept(workers)) as kept:
        wait_for(lambda: kept.taken_by([stopped, other]) == [0, BURST])
        assert workers.get("/livez")
        os.kill(stopped, signal.SIGCONT)

        def gets_most() -> bool:
            wait_for(lambda: sum(kept.taken_by([stopped, other])) == BURST)
            with contextlib.closing(Kept(workers, 16)) as more:
                wait_for(lambda: sum(more.taken_by([stopped, other])) == BURST + 16)
                return more.taken_by([stopped])[0] >= 12

        wait_for(gets_most, 30)  # until it is given a processor in time


@pytest.mark.parametrize("how", [signal.SIGHUP, signal.SIGKILL])
def test_workers_that_are_replaced_leave_nothing_that_counts(start, how):
    """After a reload, and after a worker was killed, connections are shared among those that are there."""
    workers = start(2)
    before = workers.pids()
    with contextlib.closing(Kept(workers)):
        if how is signal.SIGHUP:
            workers.process.send_signal(how)
        else:
            os.kill(before[0], how)
        gone = before if how is signal.SIGHUP else before[:1]
        workers.wait_replaced(gone)
    wait_for(lambda: not any(alive(pid) for pid in gone), 30)
    pids = workers.pids()

    def all_take() -> bool:
        with contextlib.closing(Kept(workers, 8)) as few:
            wait_for(lambda: sum(few.taken_by(pids)) == 8)
            return all(few.taken_by(pids))

    wait_for(all_take, 30)
    wait_for(lambda: _is_shared(workers, pids), 30)
