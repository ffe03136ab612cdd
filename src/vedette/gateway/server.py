"""The gateway as one thing to start and stop, in a loop of yours or a thread or process of its own."""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import monotonic

from vedette.gateway.app import GatewayApp
from vedette.gateway.background import HandOver, PlanFollower, Shipper, tell_figures
from vedette.gateway.entrance import Entrance, SharedSocket, enter
from vedette.gateway.exporting import Collector, Exporter
from vedette.gateway.feed import KeyFile, OutcomeSink, PlanFeed, PlanFile
from vedette.gateway.figures import Sum
from vedette.gateway.keys import Admission
from vedette.gateway.local import LocalPool
from vedette.gateway.metrics import Metrics
from vedette.gateway.outlet import Burst
from vedette.gateway.plans import PlanTable
from vedette.gateway.recorder import Recorder
from vedette.gateway.settings import GatewaySettings
from vedette.gateway.shared import SharedCache
from vedette.gateway.tracing import Tracer
from vedette.gateway.upstream import Pool
from vedette.kernel.errors import Unavailable
from vedette.lake.journal import Journal

_log = logging.getLogger("vedette.gateway")
_FLUSH = 1.0  # seconds for clients to take the last bytes
_LAST_CALL = 5.0  # seconds for the last poll and the last batch
_SWEEP = 1.0  # seconds between looks at idle and slow connections


class Gateway:
    """One data plane: plans from ``feed``, outcomes to ``sink``, kept in ``journal_folder`` in between.

    The last plans are kept there too, so that it starts and serves while the control plane is down. ``port`` 0 takes a
    free one; `address` tells which, once it is started.

    A worker among several gets the socket that is ``shared`` by all of them, and takes connections from it once told to
    (`accept`); it has no sink, for its supervisor ships what it lets go of; and ``total`` knows the figures of all.
    """

    def __init__(
        self,
        feed: PlanFeed,
        sink: OutcomeSink | None,
        journal_folder: Path,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        settings: GatewaySettings | None = None,
        environment: Mapping[str, str] | None = None,
        shared: SharedSocket | None = None,
        total: Sum | None = None,
    ) -> None:
        self.settings = settings or GatewaySettings()
        self._feed, self._sink, self._folder = feed, sink, journal_folder
        self._host, self._port = host, port
        self._environment = os.environ if environment is None else environment
        self._shared, self._total = shared, total
        self._entrance: Entrance | None = None
        self._hurried = self._replaced_late = False

    @property
    def address(self) -> tuple[str, int]:
        """Host and port it listens on.

        Raises:
            Unavailable: it is not started.
        """
        if not self._entrance:
            raise Unavailable("the gateway is not started")
        return self._entrance.address

    async def start(self) -> None:
        """Listen and begin to follow the feed; returns once requests are taken, or may be with `accept`.

        Raises:
            Unavailable: the port or the journal folder cannot be used, or a shared cache is set and redis-py missing.
        """
        settings = self.settings
        metrics = Metrics()
        shared = SharedCache(settings, metrics) if settings.cache_url else None
        self._journal = self._begin_journal()
        # Three threads, so that a feed that hangs keeps neither outcomes nor plans from their way.
        self._threads = ThreadPoolExecutor(3, thread_name_prefix="vedette-gateway")
        burst = Burst()
        self._pool, self._local = Pool(settings, burst), LocalPool(settings, metrics)
        table = PlanTable(
            self._pool, self._local, self._threads, self._environment, metrics, shared, settings.pepper_file
        )
        recorder = Recorder(self._journal, metrics)
        admission = Admission(self._environment, settings.pepper_file)
        self.app = GatewayApp(settings, table, metrics, recorder, admission, burst)
        self.app.total, self.app.threads = self._total, self._threads
        self._stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        try:
            self._entrance = await enter(self.app, self._shared, self._host, self._port)
        except OSError as error:
            self._journal.close()
            raise Unavailable(f"cannot listen on {self._host}:{self._port}: {error}") from error
        router = settings.router or f"{socket.gethostname()}:{self.address[1]}"
        # A supervisor keeps them for its workers.
        files = (PlanFile(self._folder / "plans.json"), KeyFile(self._folder / "keys.json")) if self._sink else None
        follower = PlanFollower(self.app, self._feed, files, router, self._threads)
        await follower.begin()
        works = [follower.run(self._stop), self._sweep()]
        if self._sink:
            self._shipper: Shipper | HandOver = Shipper(self.app, self._journal, self._sink, self._threads)
        else:
            self._shipper = HandOver(recorder, self._begin_journal, self._threads)
        works.append(self._shipper.run(self._stop, settings.ship_interval))
        if collector := Collector.of(settings, self._environment, f"{router}/{settings.worker}"):
            recorder.tracer = Tracer(settings.trace_share / 100)
            exporter = Exporter(collector, recorder.tracer, metrics)
            works.append(exporter.run(self._stop, settings.otlp_interval))
        if shared:
            works.append(shared.run(self._stop))
        if self._total:
            works.append(tell_figures(self.app, self._total, self._threads, self._stop))
        self._tasks = [loop.create_task(work) for work in works]
        _log.info("gateway listens on %s:%d", *self.address)

    def _begin_journal(self) -> Journal:
        return Journal(self._folder, self.settings.worker, sync_every=self.settings.sync_every)

    def accept(self) -> None:
        """Take connections from the socket that was handed in."""
        if self._entrance:
            self._entrance.open()

    async def until_ready(self, patience: float) -> None:
        """Wait until plans are known, but no longer than ``patience`` seconds."""
        deadline = asyncio.get_running_loop().time() + patience
        await self._until(deadline, lambda: self.app.ready or self.app.draining)

    async def retire(self) -> None:
        """End because another worker takes over: whoever is connected gets an answer to the next request as well.

        Every answer from now on closes its connection. One that has been idle for `drain_timeout` is closed, and what
        is in flight has `retire_timeout`, for nobody is in a hurry.
        """
        if not self._entrance:
            return
        self.app.draining = self.app.replaced = True
        self._entrance.close()
        loop = asyncio.get_running_loop()
        begun = loop.time()

        def reached() -> bool:
            if loop.time() - begun > self.settings.drain_timeout:
                for connection in tuple(self.app.connections):
                    connection.close_when_idle()
            nobody = not self.app.connections and (self._entrance is None or self._entrance.empty)
            return self._hurried or self._replaced_late or nobody

        await self._until(begun + self.settings.retire_timeout, reached)
        await self.stop()

    def stop_retiring(self) -> None:
        """Let a `retire` become a `stop`: there is nobody to take over any more."""
        self._replaced_late = True

    async def stop(self) -> None:
        """Take no new connections, finish what is in flight within `drain_timeout`, ship the outcomes, end.

        What is not finished by then is cut off with an error the client can read.
        """
        if not self._entrance:
            return
        self.app.draining = True
        self._entrance.close()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self.settings.drain_timeout
        await self._until(deadline, lambda: self._hurried or not self.app.exchanges)
        for exchange in tuple(self.app.exchanges):
            exchange.cut_off()
        for connection in tuple(self.app.connections):
            connection.close_when_idle()
        self.app.shadows.stop()
        flushed = loop.time() + _FLUSH
        await self._until(flushed if self._hurried else max(flushed, deadline), lambda: not self.app.connections)
        for connection in tuple(self.app.connections):
            connection.abort()
        self._stop.set()
        # A feed or sink that hangs must not keep the process: what is not shipped is found by the next start.
        _, hanging = await asyncio.wait(self._tasks, timeout=_LAST_CALL)
        for task in hanging:
            task.cancel()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_CALL):
                await self._shipper.ship()
        self._pool.close()
        self._local.close()
        self.app.recorder.close()
        self._threads.shutdown(wait=False)
        self._entrance = None

    async def _until(self, deadline: float, reached: Callable[[], bool]) -> None:
        """Wait for the end of what ends by callbacks; looking is cheaper than telling, for it happens once."""
        loop = asyncio.get_running_loop()
        while not reached() and loop.time() < deadline:  # noqa: ASYNC110 - the line above
            await asyncio.sleep(0.01)

    def hurry(self) -> None:
        """Let a `stop` that waits for requests in flight wait no longer."""
        self._hurried = True

    async def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        while not self._stop.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_SWEEP):
                    await self._stop.wait()
            for connection in tuple(self.app.connections):
                connection.sweep(loop.time())
            self._pool.sweep(monotonic())


def run(
    gateway: Gateway,
    *,
    started: Callable[[tuple[str, int]], None] | None = None,
    stop: threading.Event | None = None,
) -> None:
    """Run a gateway to its end in a loop of its own, on uvloop where that is installed.

    In the main thread SIGTERM and SIGINT end it, a second one at once; elsewhere set ``stop``. ``started`` is called
    with its address.
    """
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(_run(gateway, started, stop))


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Give what makes uvloop's event loops where that is installed; None for Python's own."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


async def _run(
    gateway: Gateway,
    started: Callable[[tuple[str, int]], None] | None,
    stop: threading.Event | None,
) -> None:
    await gateway.start()
    if started:
        started(gateway.address)
    loop = asyncio.get_running_loop()
    first, second = asyncio.Event(), asyncio.Event()

    def ask_to_end() -> None:
        (second if first.is_set() else first).set()

    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, ask_to_end)
    if stop is not None:
        waiting = threading.Thread(
            target=lambda: (stop.wait(), loop.call_soon_threadsafe(ask_to_end)), name="vedette-stop", daemon=True
        )
        waiting.start()
    await first.wait()
    ending = asyncio.create_task(gateway.stop())
    at_once = asyncio.create_task(second.wait())
    await asyncio.wait({ending, at_once}, return_when=asyncio.FIRST_COMPLETED)
    if not ending.done():
        gateway.hurry()
    at_once.cancel()
    await ending
