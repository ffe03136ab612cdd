"""The two things a gateway does beside answering: it follows the plan feed, and it ships outcomes."""

import asyncio
import copy
import logging
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from time import monotonic
from typing import Protocol

from vedette.gateway.app import GatewayApp
from vedette.gateway.feed import KeyFile, OutcomeSink, PlanFeed, PlanFile
from vedette.gateway.figures import Sum
from vedette.gateway.recorder import OutcomeJournal, Recorder
from vedette.kernel.errors import Corrupt, VedetteError
from vedette.kernel.outage import Outage
from vedette.lake.journal import Batch

_log = logging.getLogger("vedette.gateway")
_LONGEST_PAUSE = 30.0
_TELL = 1.0  # seconds between two tellings of a worker's figures


class Shippable(Protocol):
    """A journal whose batches can be taken out."""

    def unshipped(self) -> Iterator[Batch]:
        """Give every batch that was not declared shipped."""
        ...

    def shipped(self, batch: Batch) -> None:
        """Forget a batch."""
        ...


class PlanFollower:
    """Polls the feed, puts plans into force, keeps them on disk, and confirms them."""

    def __init__(
        self,
        app: GatewayApp,
        feed: PlanFeed,
        files: tuple[PlanFile, KeyFile] | None,
        router: str,
        threads: Executor,
    ) -> None:
        self._app, self._feed, self._router, self._threads = app, feed, router, threads
        self._file = files[0] if files else None
        self._key_file = files[1] if files else None
        self._position = 0
        self._told: set[str] = set()  # domains the feed has spoken of since we began
        self._confirmed = self._summed = 0.0

    async def begin(self) -> None:
        """Serve the plans of last time until the feed answers."""
        if self._file is None or self._key_file is None:
            return
        loop = asyncio.get_running_loop()
        try:
            if ring := await loop.run_in_executor(self._threads, self._key_file.load):
                await loop.run_in_executor(self._threads, self._app.admission.adopt, ring)
        except Corrupt as error:
            _log.error("%s", error)
        try:
            plans = await loop.run_in_executor(self._threads, self._file.load)
        except Corrupt as error:
            _log.error("%s", error)
            return
        if plans:
            await self._app.table.adopt(plans)
            self._app.ready = True

    async def run(self, stop: asyncio.Event) -> None:
        """Follow the feed until ``stop``."""
        outage = Outage("asking for plans, of which the last stay in force,")
        while not stop.is_set():
            try:
                await self._look()
                self._app.feed_error = ""
                if line := outage.succeeded(monotonic()):
                    _log.info("%s", line)
            except Exception as error:  # noqa: BLE001 - whatever the feed does, the plans in force go on being served
                if line := outage.failed(error, monotonic()):
                    _log.warning("%s", line)
                self._app.metrics.poll_failures += 1
                self._app.feed_error = str(error) or type(error).__name__
            await _pause(stop, self._app.settings.poll_interval)

    async def _look(self) -> None:
        loop, table = asyncio.get_running_loop(), self._app.table
        await loop.run_in_executor(self._threads, self._follow_keys)  # first: a plan that wants keys finds them
        position, plans = await loop.run_in_executor(self._threads, self._feed.poll, self._position)
        if position < self._position:
            _log.warning("the plan feed began anew; taking all its plans")
            self._position = 0
            self._told.clear()
            position, plans = await loop.run_in_executor(self._threads, self._feed.poll, 0)
        everything = self._position == 0
        # All the plans of a feed are the truth, even where the file of last time holds higher revisions.
        taken = await table.adopt(plans, anew=everything)
        self._told |= {plan.domain for plan in plans}
        if everything and plans:  # a feed without any plan may be a loss: what is served goes on
            taken += table.forget_all_but(self._told)
        self._position = position
        self._app.ready = True
        due = loop.time() - self._confirmed >= self._app.settings.heartbeat
        if due:
            taken += await table.try_refused_again()
        if taken and self._file is not None:
            in_force = [served.plan for served in table.serving.values()]
            await loop.run_in_executor(self._threads, self._file.save, in_force)
        if taken or due:
            revisions = {name: s.plan.revision for name, s in table.serving.items() if name in self._told}
            await loop.run_in_executor(self._threads, self._feed.confirm, self._router, revisions)
            self._confirmed = loop.time()
        await self._follow_spending()  # last: a lake that is away keeps no plan from being confirmed

    async def _follow_spending(self) -> None:
        """Ask what was used, for domains with budgets, where any changed or some time has passed."""
        app, loop = self._app, asyncio.get_running_loop()
        if loop.time() - self._summed < app.settings.budget_interval:
            return
        budgets = [(name, each) for name, served in app.table.serving.items() for each in served.plan.config.budgets]
        if asked := sorted({(name, budget.per) for name, budget in budgets}):
            app.ledger.take(await loop.run_in_executor(self._threads, self._feed.spending, asked))
            self._summed = loop.time()

    def _follow_keys(self) -> None:
        admission = self._app.admission
        ring = self._feed.keys(-1 if self._position == 0 else admission.ring.revision)
        if ring is not None and ring != admission.ring:
            admission.adopt(ring)
            if self._key_file is not None:
                self._key_file.save(ring)


class HandOver:
    """Lets go of what was kept, so that the supervisor of this worker can ship it; the worker pays for none of that."""

    def __init__(self, recorder: Recorder, begin: Callable[[], OutcomeJournal], threads: Executor) -> None:
        self._recorder, self._begin, self._threads = recorder, begin, threads
        self._outage = Outage("handing outcomes over, which wait in this worker,")

    async def run(self, stop: asyncio.Event, interval: float) -> None:
        """Hand over until ``stop``, a batch every so many seconds."""
        while not stop.is_set():
            await _pause(stop, interval)
            await self.ship()

    async def ship(self) -> bool:
        """Hand over what there is now; False when there can be no new journal, and the old one goes on."""
        if not self._recorder.fresh:
            return True
        loop = asyncio.get_running_loop()
        try:
            journal = await loop.run_in_executor(self._threads, self._begin)
            await loop.run_in_executor(self._threads, self._recorder.replace(journal).close)
        except (VedetteError, OSError) as error:
            if line := self._outage.failed(error, monotonic()):
                _log.error("%s", line)
            return False
        if line := self._outage.succeeded(monotonic()):
            _log.info("%s", line)
        return True


async def tell_figures(app: GatewayApp, total: Sum, threads: Executor, stop: asyncio.Event) -> None:
    """Let the supervisor know this worker's figures, every second, so that any worker can be asked for the sum."""
    while True:  # at once, to know what is spent before anybody asks, and once more at the end
        app.metrics.in_flight = len(app.exchanges)
        own = copy.deepcopy(app.metrics)
        try:
            everybody = await asyncio.get_running_loop().run_in_executor(threads, total.exchange, own)
            app.limiter.hear(everybody, own, monotonic())
            app.ledger.hear(everybody, own)
            app.table.hear(everybody)
        except VedetteError as error:
            _log.debug("figures wait: %s", error)
        if stop.is_set():
            return
        await _pause(stop, _TELL)


class Shipper:
    """Takes outcomes from the journal to the sink, in batches whose names never stand for other outcomes."""

    def __init__(self, app: GatewayApp, journal: Shippable, sink: OutcomeSink, threads: Executor) -> None:
        self._app, self._journal, self._sink, self._threads = app, journal, sink, threads
        self._outage = Outage("shipping outcomes, which wait in the journal,")

    async def run(self, stop: asyncio.Event, interval: float) -> None:
        """Ship until ``stop``; a sink that fails is left alone for longer and longer, and loses nothing."""
        wait = interval
        while not stop.is_set():
            await _pause(stop, wait)
            wait = interval if await self.ship() else min(2 * wait, _LONGEST_PAUSE)

    async def ship(self) -> bool:
        """Ship everything there is now; False when the sink did not take it."""
        try:
            await asyncio.get_running_loop().run_in_executor(self._threads, self._ship_all)
        except Exception as error:  # noqa: BLE001 - the journal keeps what the sink does not take, whatever is wrong
            self._app.metrics.ship_failures += 1
            if line := self._outage.failed(error, monotonic()):
                _log.warning("%s", line)
            return False
        if line := self._outage.succeeded(monotonic()):
            _log.info("%s", line)
        return True

    def _ship_all(self) -> None:
        for batch in self._journal.unshipped():
            if batch.outcomes:
                self._sink.ship(batch.id, batch.outcomes)
            self._journal.shipped(batch)
            self._app.metrics.outcomes_shipped += len(batch.outcomes)


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return
