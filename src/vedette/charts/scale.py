"""From numbers to places: scales whose ticks are the round numbers a person would choose.

A linear scale ticks at 1, 2 or 5 times a power of ten, a logarithmic one at powers of ten and, where there are
few of those, at 2 and 5 times them.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

from vedette.kernel.errors import InvalidInput
from vedette.kernel.tables import say_number, say_percent

Say = Callable[[float | None], str]
"""How a number of a chart is said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """Where the values from `low` to `high` stand between two pixels.

    Attributes:
        low: The smallest value shown.
        high: The largest.
        start: The pixel of `low`.
        end: The pixel of `high`; below `start` where values grow upwards.
        ticks: The values marked, in growing order, all from `low` to `high`.
        log: Whether equal ratios are equally far.
    """

    low: float
    high: float
    start: float
    end: float
    ticks: tuple[float, ...]
    log: bool = False

    def __call__(self, value: float) -> float:
        """Give the pixel of a value; values outside are placed at the edge."""
        return self.start + min(max(self._share(value), 0.0), 1.0) * (self.end - self.start)

    def beyond(self, value: float) -> float:
        """Give the pixel of a value, also of one outside: lines to it keep their slope and are cut by a window."""
        return self.start + min(max(self._share(value), -20.0), 20.0) * (self.end - self.start)

    def _share(self, value: float) -> float:
        if not self.log:
            return (value - self.low) / (self.high - self.low)
        return math.log(max(value, 1e-300) / self.low) / math.log(self.high / self.low)

    def holds(self, value: float) -> bool:
        """Tell whether a value lies on the scale."""
        return self.low <= value <= self.high

    def says(self, *, percent: bool = False, signed: bool = False) -> tuple[str, ...]:
        """Say the ticks, all with the same decimals."""
        if self.log:
            return tuple(say_percent(tick, signed=signed) if percent else say_number(tick) for tick in self.ticks)
        factor = 100.0 if percent else 1.0
        step = factor * (self.ticks[1] - self.ticks[0]) if len(self.ticks) > 1 else 1.0
        return tuple(_say_tick(factor * tick, step, signed=signed) + "%" * percent for tick in self.ticks)


def linear(values: Iterable[float], start: float, end: float, *, count: int = 6, tight: bool = False) -> Scale:
    """Scale that holds all the values, with at most `count` ticks (3 or more); its ends are ticks unless `tight`.

    Raises:
        InvalidInput: There is no value, or one that is not finite.
    """
    low, high = _range(values)
    if high - low <= 1e-12 * max(abs(low), abs(high)):
        pad = abs(low) * 0.1 or 1.0
        low, high = low - pad, high + pad
    ticks = _ticks(low, high, max(count, 3), tight=tight)
    return Scale(low=min(low, ticks[0]), high=max(high, ticks[-1]), start=start, end=end, ticks=ticks)


def logarithmic(values: Iterable[float], start: float, end: float, *, count: int = 6) -> Scale:
    """Scale of positive values on which equal ratios are equally far, with at most `count` ticks (3 or more).

    Raises:
        InvalidInput: A value is zero or below, or not finite, or there is none.
    """
    low, high = _range(values)
    if low <= 0:
        hint = "use a linear scale, or only values above 0"
        raise InvalidInput(f"{low} has no place on a logarithmic scale", hint=hint)
    if high / low <= 1 + 1e-12:
        low, high = low / 2, high * 2
    ticks = _log_ticks(low, high, max(count, 3))
    return Scale(low=min(low, ticks[0]), high=max(high, ticks[-1]), start=start, end=end, ticks=ticks, log=True)


def window(estimates: Iterable[float], ends: Iterable[float], halves: Iterable[float]) -> tuple[float, float]:
    """Choose what a plot of intervals shows: every estimate, and their ends unless a few dwarf all others.

    Args:
        estimates: What must be seen, the reference line too; at least one.
        ends: The finite ends of the intervals.
        halves: How far each end is from its estimate; three times their median beyond the estimates is shown.
    """
    low, high = _range(estimates)
    known, far = (low, high, *ends), sorted(halves)
    reach = 3.0 * far[len(far) // 2] if far else 0.0
    return max(min(known), low - reach), min(max(known), high + reach)


def _range(values: Iterable[float]) -> tuple[float, float]:
    known = tuple(values)
    if not known:
        raise InvalidInput("there is nothing to scale", hint="give at least one value")
    if not all(map(math.isfinite, known)):
        raise InvalidInput("a scale holds finite numbers only", hint="leave NaN and infinite values out")
    return min(known), max(known)


def speaker(halves: Iterable[float], *, percent: bool, signed: bool) -> Say:
    """Choose how estimates are said, all with the same decimals: two digits of the middle half-width are shown."""
    known = sorted(half for half in halves if half > 0)
    factor = 100.0 if percent else 1.0
    size = factor * known[len(known) // 2] if known else 0.0
    if not 1e-6 < size < 1e12:
        return partial(say_percent, signed=signed) if percent else say_number
    return partial(_say_fixed, decimals=max(0, 1 - math.floor(math.log10(size))), factor=factor, signed=signed)


def _say_fixed(value: float | None, *, decimals: int, factor: float, signed: bool) -> str:
    if value is None or not math.isfinite(value):
        return say_number(value)
    said = f"{factor * abs(value):,.{decimals}f}"
    zero = not any(sign in said for sign in "123456789")
    sign = "" if zero else "−" if value < 0 else "+" if signed else ""
    return f"{sign}{said}{'%' if factor > 1 else ''}"


def _ticks(low: float, high: float, count: int, *, tight: bool) -> tuple[float, ...]:
    """The finest round step that needs no more than `count` ticks."""
    power = math.floor(math.log10((high - low) / count)) - 1
    steps = (factor * 10.0**exponent for exponent in range(power, power + 4) for factor in (1.0, 2.0, 5.0))
    dust = 1e-9
    for step in steps:
        first, last = math.floor(low / step + dust), math.ceil(high / step - dust)
        if tight:
            first, last = math.ceil(low / step - dust), math.floor(high / step + dust)
        if last - first < count:
            decimals = max(0, 2 - math.floor(math.log10(step)))  # without the dust of binary fractions
            return tuple(round(place * step, decimals) for place in range(first, last + 1))
    return (low, high)


def _log_ticks(low: float, high: float, count: int) -> tuple[float, ...]:
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    choices = [((1, 2, 5), 1), ((1, 3), 1), *(((1,), stride) for stride in range(1, last - first + 1))]
    for factors, stride in choices:
        powers = (power for power in range(first, last + 1) if power % stride == 0)
        ticks = [float(f"{factor}e{power}") for power in powers for factor in factors]
        shown = tuple(tick for tick in ticks if low <= tick <= high)
        if 2 <= len(shown) <= count:
            return shown
    return _ticks(low, high, count, tight=True)


def _say_tick(value: float, step: float, *, signed: bool) -> str:
    decimals = next((places for places in range(12) if abs(round(step, places) - step) < 1e-6 * step), 12)
    said = say_number(abs(value)) if decimals > 6 or abs(value) >= 1e9 else f"{abs(value):,.{decimals}f}"
    sign = "−" if value < 0 else "+" if signed and value > 0 else ""
    return "0" if not value else f"{sign}{said}"
