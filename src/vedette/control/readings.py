"""Reading sources outside for rollouts, in the background: no look, and no transaction, ever waits for a Prometheus.

A look takes what was read last and asks for more; whoever answers late, or never, holds up its own guardrail alone.
What was read is kept here only to read less the next time: another replica, or this one after a restart, reads all of
it again and comes to the same counts, as long as the source keeps them.
"""

import logging
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from datetime import datetime
from typing import get_args

from vedette.connectors.prometheus import Asker
from vedette.control.instruments import Instruments
from vedette.evidence.counters import Counted, Counting, Series, Window
from vedette.evidence.metric import Metric
from vedette.evidence.source import PrometheusSource
from vedette.kernel.errors import InvalidInput, VedetteError
from vedette.kernel.records import record
from vedette.rollouts.observation import Observation, Unmeasured
from vedette.rollouts.sourced import Group, observe_counts

log = logging.getLogger(__name__)

EVERY = 5.0
"""Seconds between two readings of one metric: no source is scraped much more often."""
AT_ONCE = 4
"""Readings of one server at a time; the others wait their turn."""
_PIECE = 1800.0
_BEFORE = 300.0  # as long as Prometheus itself takes a series for alive
_AGAIN = 60.0  # what was scraped late, or by a clock behind ours, is seen by the next reading


@record
class Wanted:
    """One sourced metric of a rollout as it is to be read; ``decides`` where its guardrail may act."""

    rollout: str
    attempt: int
    domain: str
    canary: str
    stable: str
    metric: str
    source: PrometheusSource
    windows: tuple[Window, ...]
    step_plan: int
    decides: bool


@record
class Outside:
    """What sources say; ``readable`` is False while one that decides cannot have said anything yet."""

    observations: Mapping[str, Observation]
    readable: bool = True


Ask = Callable[[Sequence[Wanted]], Outside]
"""Gives what sources say, at once."""


class Readings:
    """What sources counted for each rollout, brought up to date in the background.

    Args:
        instruments: clocks.
        pool: makes what reads one server; threads of their own unless given.
    """

    def __init__(self, instruments: Instruments, *, pool: Callable[[], Executor] | None = None) -> None:
        self._instruments = instruments
        self._pool = pool or (lambda: ThreadPoolExecutor(AT_ONCE, thread_name_prefix="vedette-reading"))
        self._pools: dict[str, Executor] = {}
        self._readings: dict[tuple[str, str], _Reading] = {}
        self._stop = threading.Event()

    def of(self, wanted: Sequence[Wanted], now: datetime) -> Outside:
        """Give what was read last of each metric, and have read what is due. Never waits."""
        moment, elapsed = now.timestamp(), self._instruments.monotonic()
        observations: dict[str, Observation] = {}
        readable = True
        for it in wanted:
            reading = self._reading(it, elapsed)
            self._read(reading, it, moment, elapsed)
            seen = observations[it.metric] = reading.seen(it, moment)
            if isinstance(seen, Unmeasured) and it.decides:
                readable &= not reading.is_young(it, moment, elapsed)
        return Outside(observations=observations, readable=readable)

    def keep(self, rollouts: Collection[str]) -> None:
        """Forget every rollout but these, and the servers nobody needs any more."""
        self._readings = {key: it for key, it in self._readings.items() if key[0] in rollouts}
        needed = {it.source.prometheus for it in self._readings.values()}
        for server in self._pools.keys() - needed:
            self._pools.pop(server).shutdown(wait=False, cancel_futures=True)

    def close(self) -> None:
        """Read no more; what is being read ends by itself, within the time one answer may take."""
        self._stop.set()
        self._stop = threading.Event()
        self.keep(())

    def _reading(self, it: Wanted, elapsed: float) -> "_Reading":
        reading = self._readings.get((it.rollout, it.metric))
        if reading is None or not reading.is_of(it):
            reading = self._readings[it.rollout, it.metric] = _Reading(it, elapsed)
        return reading

    def _read(self, reading: "_Reading", it: Wanted, moment: float, elapsed: float) -> None:
        due = reading.asked is None or elapsed - reading.asked >= EVERY
        if not due or not it.windows or (reading.task and not reading.task.done()):
            return
        server = it.source.prometheus
        if server not in self._pools:
            self._pools[server] = self._pool()
        reading.asked = elapsed
        reading.task = self._pools[server].submit(reading.read, it.windows, moment, self._stop)


class _Reading:
    """One metric of one attempt: how far it has been read, and what that came to.

    ``said`` is what looks see: what was counted (None before the first answer), and why reading failed the last time.
    All else is touched by one reading at a time.
    """

    def __init__(self, it: Wanted, since: float) -> None:
        self.source = it.source
        self.since = since
        self.asked: float | None = None
        self.task: Future[None] | None = None
        self.said: tuple[Mapping[Group, Counted] | None, str] = (None, "")
        self._what = (it.attempt, it.source, it.domain, it.canary, it.stable)
        self._selectors = selectors(it.source, it.domain, it.canary, it.stable)
        self._counting = Counting()
        self._windows: tuple[Window, ...] = ()
        self._until = 0.0

    def is_of(self, it: Wanted) -> bool:
        """Say whether this reads what is wanted."""
        return self._what == (it.attempt, it.source, it.domain, it.canary, it.stable)

    def seen(self, it: Wanted, moment: float) -> Observation:
        """Give what a look sees of it."""
        counted, failure = self.said
        if counted is None:
            return Unmeasured(why=failure or "it was not read yet")
        seen = observe_counts(it.source, counted, step_plan=it.step_plan, now=moment)
        return Unmeasured(why=failure) if failure and isinstance(seen, Unmeasured) else seen

    def is_young(self, it: Wanted, moment: float, elapsed: float) -> bool:
        """Say whether nothing measured is no news yet: before a first answer, and when a step has just begun."""
        first = self.said[0] is None and elapsed - self.since <= it.source.stale
        begins = min((window.begin for window in it.windows if window.revision >= it.step_plan), default=moment)
        return first or moment - begins <= it.source.stale

    def read(self, windows: tuple[Window, ...], moment: float, stop: threading.Event) -> None:
        """Read on to ``moment``; whatever goes wrong is said, and tried again the next time."""
        try:
            self._go_on(windows, moment, stop)
        except VedetteError as error:
            self.said = (self.said[0], str(error))
        except Exception as error:  # whatever a server answers must not end the readings of it
            log.exception("a reading of %s failed", self.source.prometheus)
            self.said = (self.said[0], f"it could not be read: {type(error).__name__}")

    def _go_on(self, windows: tuple[Window, ...], moment: float, stop: threading.Event) -> None:
        if not self._until or _before(windows, self._until) != _before(self._windows, self._until):
            self._counting, self._until = Counting(), windows[0].begin - _BEFORE
        self._windows = windows
        with Asker(self.source) as asker:
            while self._until < moment and not stop.is_set():
                until = min(self._until + _PIECE, moment)
                found: dict[str, Sequence[Series]] = {
                    group: asker.samples(selector, since=self._until - _AGAIN, until=until)
                    for group, selector in self._selectors.items()
                }
                self._counting.feed(found, windows)
                self._until = until
        if not stop.is_set():
            self.said = ({group: self._counting.of(group) for group in self._selectors}, "")


def selectors(source: PrometheusSource, domain: str, canary: str, stable: str) -> dict[Group, str]:
    """Give the query of each group; bad events are asked for first, so that none is newer than its total."""
    versions = {"canary": canary, "stable": stable}
    made: dict[Group, str] = {}
    for group in sorted(get_args(Group), key=lambda name: name.endswith("total")):
        arm, which = group.split()
        made[group] = source.selector(which, domain=domain, version=versions[arm])
    return made


def traffic_of(metric: Metric, domain: str, stable: str, now: datetime) -> tuple[float, float]:
    """Ask a metric's source, and wait for it: events a minute of the stable version and its share of bad ones.

    Raises:
        Unavailable: the source does not answer.
        InvalidInput: the metric has no source, or the last hour shows no such rate.
    """
    if metric.source is None:
        raise InvalidInput(f"{metric.name!r} has no source")
    until = now.timestamp()
    since = until - 3600
    with Asker(metric.source) as asker:
        found = {
            which: asker.samples(metric.source.selector(which, domain=domain, version=stable), since=since, until=until)
            for which in ("bad", "total")
        }
    counting = Counting()
    counting.feed(found, (Window(revision=0, begin=since - 1, end=until),))
    times = [at for series in found["total"] for at in series.times.tolist()]
    bad, total = counting.of("bad").total, counting.of("total").total
    if not 0 < bad < total:
        raise InvalidInput(
            f"the last hour shows {bad:g} bad of {total:g} events of {stable} in {metric.name!r}",
            hint="look at the selectors, or give requests per minute and bad rate",
        )
    return 60 * total / (max(times) - min(times)), bad / total


def _before(windows: Sequence[Window], moment: float) -> list[tuple[int, float, float]]:
    return [(it.revision, it.begin, min(it.end, moment)) for it in windows if it.begin < moment]
