"""Counters of others, added up: how much they grew while each traffic plan was in force.

A counter only grows, and begins at 0 when its process does. Between two samples it grew by their difference, or, where
the later one is less, by the later one: it was restarted. What counts for a window is growth between two samples that
both lie in it; growth across an end of it is nobody's, for both arms alike.

**A series that appears.** Client libraries make a series when its first event happens, so the first sample of
``code="500"`` may be the first error, or a thousand of them. It counts from 0 if another counter of the same target
(its ``job`` and ``instance``) was sampled before, which shows that this one was not there yet; its growth then began at
that earlier sample. On a target never seen before, the first samples are where counting begins: how long it had counted
unseen, nobody knows.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from vedette.evidence.summary import FloatArray
from vedette.kernel.errors import InvalidInput
from vedette.kernel.records import record

HOUR = 3600.0

Labels = frozenset[tuple[str, str]]
"""What tells one series of a selector from the others."""
_Growth = tuple[FloatArray, FloatArray, FloatArray]


@record
class Series:
    """Samples of one counter in order of time; times are Unix seconds."""

    labels: Labels
    times: FloatArray
    values: FloatArray


@record
class Window:
    """The time in which a plan revision was in force: Unix seconds, the end infinite while it is."""

    revision: int
    begin: float
    end: float


@record
class Counted:
    """Growth of one group of counters by (plan revision, hour), and when one of them was last sampled (0: never)."""

    growth: Mapping[tuple[int, int], float]
    last: float

    @property
    def total(self) -> float:
        """All of it."""
        return sum(self.growth.values())


class Counting:
    """Groups of counters that are read together, and what they have counted so far.

    Samples are fed piece by piece; how they are cut into pieces, and whether pieces overlap, makes no difference.
    """

    def __init__(self) -> None:
        self._last: dict[tuple[str, Labels], tuple[float, float]] = {}
        self._targets: dict[Labels, float] = {}
        self._growth: dict[str, dict[tuple[int, int], float]] = defaultdict(dict)
        self._sampled: dict[str, float] = {}

    def feed(self, groups: Mapping[str, Sequence[Series]], windows: Sequence[Window]) -> None:
        """Add samples of every group; ``windows`` are in order and do not overlap.

        Raises:
            InvalidInput: samples are no counts: below 0, not whole, not finite. Nothing was added.
        """
        for series in (each for group in groups.values() for each in group):
            values = series.values
            if not (np.isfinite(values).all() and (values >= 0).all() and (values == np.floor(values)).all()):
                name = dict(series.labels).get("__name__", "a series")
                raise InvalidInput(
                    f"{name} is no counter of events: it has samples that are no whole numbers of 0 or more",
                    hint="name a counter that grows by 1 with each event",
                )
        seen = self._seen(each for group in groups.values() for each in group)
        for name, group in groups.items():
            grown = [part for series in group if (part := self._grown(name, series, seen)) is not None]
            if grown:
                begins, ends, amounts = (np.concatenate(parts) for parts in zip(*grown, strict=True))
                self._count(name, begins, ends, amounts, windows)
        for target, times in seen.items():
            self._targets[target] = float(times[-1])

    def of(self, group: str) -> Counted:
        """Give what a group has counted so far."""
        return Counted(growth=dict(self._growth[group]), last=self._sampled.get(group, 0.0))

    def _seen(self, fed: Iterable[Series]) -> dict[Labels, FloatArray]:
        """Give when each target was sampled, as far as it matters: now, and the last time before."""
        times: dict[Labels, list[FloatArray]] = defaultdict(list)
        for series in fed:
            if series.times.size:
                times[_target(series)].append(series.times)
        for target, before in self._targets.items():
            if target in times:
                times[target].append(np.array([before]))
        return {target: np.unique(np.concatenate(parts)) for target, parts in times.items()}

    def _grown(self, name: str, series: Series, seen: Mapping[Labels, FloatArray]) -> _Growth | None:
        """Give by how much a series grew between which times, since what was known of it."""
        key, times, values = (name, series.labels), series.times, series.values
        before = self._last.get(key)
        if before is not None:
            fresh = times > before[0]
            times, values = times[fresh], values[fresh]
        if not times.size:
            return None
        if before is None:
            earlier = seen[_target(series)]
            earlier = earlier[earlier < times[0]]
            before = (float(earlier[-1]), 0.0) if earlier.size else (float(times[0]), float(values[0]))
        self._last[key] = (float(times[-1]), float(values[-1]))
        self._sampled[name] = max(self._sampled.get(name, 0.0), float(times[-1]))
        begins, was = np.empty_like(times), np.empty_like(values)
        begins[0], was[0] = before
        begins[1:], was[1:] = times[:-1], values[:-1]
        return begins, times, np.where(values < was, values, values - was)

    def _count(
        self, name: str, begins: FloatArray, ends: FloatArray, amounts: FloatArray, windows: Sequence[Window]
    ) -> None:
        """Add growth to the cells of the windows that hold it."""
        growth = self._growth[name]
        for window in windows:
            inside = (begins >= window.begin) & (ends <= window.end) & (amounts > 0)
            if not inside.any():
                continue
            hours, where = np.unique(ends[inside] // HOUR, return_inverse=True)
            for hour, amount in zip(hours, np.bincount(where, amounts[inside]), strict=True):
                cell = (window.revision, int(hour))
                growth[cell] = growth.get(cell, 0.0) + float(amount)


def _target(series: Series) -> Labels:
    return frozenset(pair for pair in series.labels if pair[0] in {"job", "instance"})
