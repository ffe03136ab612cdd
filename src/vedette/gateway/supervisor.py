"""Several workers on one socket: started, watched, replaced one by one, and ended together.

The supervisor owns the listening socket, so that no connection is lost while workers come and go: what waits to be
taken waits in the one queue all share, and a table tells whose turn it is (`Loads`). It is also the only one that
speaks with the control plane and the lake: workers ask it for plans, and let go of journals that it ships. So a worker
is small, and its death costs nothing but the requests it was answering.
"""

import logging
import os
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from vedette.gateway.channel import Answers
from vedette.gateway.feed import OutcomeSink, PlanFeed
from vedette.gateway.figures import summed
from vedette.gateway.loads import Loads
from vedette.gateway.metrics import Metrics
from vedette.gateway.process import WorkerProcess
from vedette.gateway.settings import GatewaySettings
from vedette.gateway.shipping import KeptFeed, Shipping
from vedette.kernel.errors import Unavailable
from vedette.kernel.records import evolve

_log = logging.getLogger("vedette.gateway")
_BACKLOG = 4096
_PATIENCE = 30.0  # seconds for a worker to come up
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 10.0  # seconds before a worker that died is started again
_STEADY = 30.0  # a worker that has lived for so many seconds died of something new
_LAST_CALL = 15.0  # seconds beyond its drain timeout for a worker to end by itself


class Supervisor:
    """A gateway of several workers: plans from ``feed``, outcomes to ``sink``, kept in ``folder`` in between.

    ``goodbye`` is told the name of each worker that is gone. ``port`` 0 takes a free one.
    """

    def __init__(
        self,
        feed: PlanFeed,
        sink: OutcomeSink,
        folder: Path,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        workers: int = 1,
        settings: GatewaySettings | None = None,
        goodbye: Callable[[str], object] = lambda _: None,
    ) -> None:
        self._settings = settings or GatewaySettings()
        self._folder, self._host, self._port, self._goodbye = folder, host, port, goodbye
        self._feed = KeptFeed(feed, folder / "plans.json")
        self._shipping = Shipping(folder, sink, self._settings.ship_interval)
        self._name = self._settings.router or f"{socket.gethostname()}-{os.getpid()}"
        self._lock = threading.RLock()
        self._reloading = threading.Lock()
        self._slots: list[WorkerProcess | None] = [None] * workers
        self._alive: set[WorkerProcess] = set()  # those in slots, and those that are retiring
        self._pauses = [_FIRST_PAUSE] * workers
        self._past = Metrics()  # of workers that are gone
        self._restarts = self._born = 0
        self._stopping = False
        self._listening: socket.socket | None = None
        self._loads: BinaryIO | None = None

    @property
    def address(self) -> tuple[str, int]:
        """Host and port the workers listen on.

        Raises:
            Unavailable: it is not started.
        """
        if self._listening is None:
            raise Unavailable("the gateway is not started")
        host, port = self._listening.getsockname()[:2]
        return str(host), int(port)

    @property
    def processes(self) -> tuple[int, ...]:
        """The process ids of the workers in service, by slot."""
        with self._lock:
            return tuple(worker.pid for worker in self._slots if worker)

    def start(self) -> None:
        """Listen and start the workers; returns once all take requests.

        Raises:
            Unavailable: the port or the folder cannot be used, or a worker does not come up.
        """
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        try:
            self._listening = socket.create_server((self._host, self._port), family=family, backlog=_BACKLOG)
        except (OSError, OverflowError) as error:
            raise Unavailable(f"cannot listen on {self._host}:{self._port}: {error}") from error
        try:
            self._loads = Loads.make(self._folder, len(self._slots))
        except OSError as error:
            self._listening.close()
            self._listening = None
            raise Unavailable(f"cannot write to {self._folder}: {error}") from error
        begun = [self._spawn(slot) for slot in range(len(self._slots))]
        self._slots = list(begun)
        for worker in begun:
            if not worker.wait_ready(_PATIENCE):
                self.stop()
                raise Unavailable(f"a worker did not start: {worker.complaint or 'it takes too long'}")
        self._shipping.start()
        _log.info("%d workers listen on %s:%d", len(self._slots), *self.address)

    def _spawn(self, slot: int) -> WorkerProcess:
        if self._listening is None or self._loads is None:
            raise Unavailable("the gateway is not started")
        with self._lock:
            self._born += 1
            name = f"{self._name}/{slot + 1}.{self._born}"
            settings = evolve(self._settings, router=name, worker=f"worker-{slot + 1}")
        answers: Answers = {name: getattr(self._feed, name) for name in ("poll", "keys", "spending", "confirm")}
        # A folder no other worker ever had: what is in it was kept by this one, and waits for nobody but the shipping.
        folder = self._folder / f"{settings.worker}.{os.getpid()}-{time.time_ns()}"
        worker = WorkerProcess(name, self._listening, self._loads, answers, self._sum, self._gone)
        with self._lock:
            self._alive.add(worker)
        worker.start(settings, folder, slot)
        return worker

    # Workers that end.

    def _gone(self, worker: WorkerProcess) -> None:
        """Book a worker that has ended, and start another one where nobody asked it to."""
        with self._lock:
            self._alive.discard(worker)
            self._past = summed([self._past, _ended(worker.figures)])
            slot = self._slots.index(worker) if worker in self._slots else None
            if slot is None or self._stopping:
                pause = None
            else:
                self._slots[slot] = None
                if self._loads:
                    Loads(self._loads.fileno()).write(slot, None)  # nobody waits for it
                self._restarts += 1
                pause = self._pauses[slot] = _next_pause(self._pauses[slot], worker.age)
        try:
            self._goodbye(worker.name)
        except Exception as error:  # noqa: BLE001 - the control plane may be away; it forgets who is silent anyway
            _log.warning("worker %s is gone, which the control plane was not told: %s", worker.name, error)
        if slot is not None and pause is not None:
            _log.error("worker %s died (%s); another one starts in %.1f s", worker.name, worker.cause, pause)
            timer = threading.Timer(pause, self._again, (slot,))
            timer.daemon = True
            timer.start()

    def _again(self, slot: int) -> None:
        with self._lock:
            if self._stopping or self._slots[slot] is not None:
                return
            try:
                self._slots[slot] = self._spawn(slot)
            except OSError as error:
                _log.error("no worker can be started: %s", error)
                threading.Timer(_LONGEST_PAUSE, self._again, (slot,)).start()

    # What its owner asks for.

    def reload(self, settings: GatewaySettings | None = None) -> bool:
        """Replace every worker by a new one, with other ``settings`` if given, without a request failing.

        The old one takes no new connections once the new one does, and ends when those it has are done. A new one that
        does not come up is given up, the old ones stay, the settings too, and this gives False.
        """
        with self._reloading:
            before = self._settings
            self._settings = settings or before
            if self._replace_each():
                self._shipping.interval = self._settings.ship_interval
                return True
            self._settings = before
            return False

    def _replace_each(self) -> bool:
        for slot in range(len(self._slots)):
            if self._stopping:
                return False
            fresh = self._spawn(slot)
            if not fresh.wait_ready(_PATIENCE):
                _log.error("a new worker does not come up (%s); the old ones stay", fresh.complaint or "too slow")
                fresh.kill()
                return False
            with self._lock:
                before, self._slots[slot] = self._slots[slot], fresh
                self._pauses[slot] = _FIRST_PAUSE
            if before:
                before.tell("retire")
        return True

    def hurry(self) -> None:
        """Let workers that finish what is in flight wait no longer."""
        with self._lock:
            for worker in self._alive:
                worker.tell("hurry")

    def stop(self) -> None:
        """Take no new connections, finish what is in flight within the drain timeout, ship every outcome, end."""
        with self._lock:
            self._stopping = True
            alive = tuple(self._alive)
        if self._listening:
            self._listening.close()
        for worker in alive:
            worker.tell("stop")
        begun = time.monotonic()
        for worker in alive:
            if not worker.wait(max(0.1, begun + worker.drain_timeout + _LAST_CALL - time.monotonic())):
                _log.error("worker %s does not end; killing it", worker.name)
                worker.kill()
                worker.wait(_LAST_CALL)
        self._shipping.stop()
        if self._loads:
            self._loads.close()
        self._listening = self._loads = None

    # Figures.

    def _sum(self, worker: WorkerProcess, figures: Metrics) -> Metrics:
        worker.figures = figures
        with self._lock:
            total = summed([self._past, *(each.figures for each in self._alive)])
            total.workers, total.worker_restarts = sum(each is not None for each in self._slots), self._restarts
        total.outcomes_shipped += self._shipping.shipped
        total.ship_failures += self._shipping.failures
        return total


def _ended(figures: Metrics) -> Metrics:
    figures.in_flight = 0
    return figures


def _next_pause(last: float, age: float) -> float:
    return _FIRST_PAUSE if age > _STEADY else min(2 * last, _LONGEST_PAUSE)
