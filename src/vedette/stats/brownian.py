"""A Brownian motion that is looked at now and then, and stops when a look finds it outside a region.

Every test statistic of interest, times the square root of its information, is one to first order: at information `I`
it is normal with mean `drift * I` and variance `I`, with independent increments. So the chance to stop at each look
follows by carrying the density of those still going from look to look, by quadrature on Gauss-Legendre nodes that are
finer than the increment is wide.

References:
    Armitage, McPherson & Rowe, "Repeated significance tests on accumulating data", JRSS A 132 (1969).
    Jennison & Turnbull, Group sequential methods with applications to clinical trials (2000), chapter 19.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.optimize import brentq
from scipy.special import log_ndtr, ndtr, ndtri

from vedette.evidence.summary import FloatArray
from vedette.kernel.errors import InvalidInput

_REACH = 13.0
"""Standard deviations from the mean beyond which nothing is carried: less than 1e-37 of the mass."""
_REACH_AWAY = 8.5
"""The same on a side that has no boundary: those who are there do not come back to tell."""

_NEAR = 12.0
"""Standard deviations of an increment beyond which nobody has come from: less than 1e-32."""
_BLOCK = 48

Interval = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Walk:
    """Those still going after a look: places on the score scale, increasing, and the probability of standing there."""

    time: float
    drift: float
    places: FloatArray
    mass: FloatArray

    @classmethod
    def start(cls, drift: float = 0.0) -> "Walk":
        """Everyone at zero, before the first look."""
        return cls(0.0, drift, np.zeros(1), np.ones(1))

    def above(self, time: float, level: float) -> float:
        """Probability of going on until now and then being above `level` at `time`."""
        return float(self.mass @ ndtr(-self._standard(time, level)))

    def below(self, time: float, level: float) -> float:
        """Probability of going on until now and then being below `level` at `time`."""
        return float(self.mass @ ndtr(self._standard(time, level)))

    def go_on(self, time: float, regions: Sequence[Interval]) -> "Walk":
        """Those that a look at `time` finds inside one of the regions."""
        spread = math.sqrt(time - self.time)
        centre, deviation = self.drift * time, math.sqrt(time)
        pieces = []
        for low, high in regions:
            down = _REACH if low > -math.inf else _REACH_AWAY
            pieces.append(_nodes(max(low, centre - down * deviation), min(high, centre + _REACH * deviation), spread))
        places = np.concatenate([place for place, _ in pieces])
        weights = np.concatenate([weight for _, weight in pieces])
        come_from = (places - self.drift * (time - self.time)) / spread
        stood, density = self.places / spread, np.empty_like(places)
        for first in range(0, places.size, _BLOCK):  # only who stood near can have come here
            here = come_from[first : first + _BLOCK]
            near = slice(*np.searchsorted(stood, (here[0] - _NEAR, here[-1] + _NEAR)).tolist())
            step = here[:, None] - stood[None, near]
            density[first : first + _BLOCK] = np.exp(-0.5 * step * step) @ self.mass[near]
        return Walk(time, self.drift, places, weights * density / (spread * math.sqrt(2.0 * math.pi)))

    def level_above(self, time: float, probability: float) -> float:
        """The level that is exceeded at `time` with a probability; infinite if that is 0.

        Minus infinity where fewer are still going. Newton's method on the logarithm of the probability, which is
        concave, from a level at or above the answer.
        """
        if probability <= 0.0:
            return math.inf
        if probability >= float(self.mass.sum()):
            return -math.inf
        with np.errstate(divide="ignore"):
            log_mass = np.log(self.mass)
        spread, target = math.sqrt(time - self.time), math.log(probability)
        level = self.drift * time - float(ndtri(min(probability, 1.0))) * math.sqrt(time)
        for _ in range(60):
            standard = self._standard(time, level)
            tail = log_mass + log_ndtr(-standard)
            top = tail.max()
            log_tail = top + math.log(float(np.exp(tail - top).sum()))
            density = np.exp(log_mass - 0.5 * standard * standard - log_tail).sum() / (spread * math.sqrt(2 * math.pi))
            move = (log_tail - target) / float(density)
            level += move
            if abs(move) < 1e-11 * math.sqrt(time):
                break
        return level

    def level_below(self, time: float, probability: float) -> float:
        """The level that is fallen short of at `time` with a probability; minus infinity if that is 0."""
        turned = Walk(self.time, -self.drift, -self.places[::-1], self.mass[::-1])
        return -turned.level_above(time, probability)

    def _standard(self, time: float, level: float) -> FloatArray:
        gap = time - self.time
        return np.asarray((level - self.places - self.drift * gap) / math.sqrt(gap))


@dataclass(frozen=True, slots=True, kw_only=True)
class Corridor:
    """What a look does: goes on between `low` and `high`, except inside the `inner` interval (a wedge), if any.

    All on the score scale, z times the square root of the information.
    """

    low: float
    high: float
    inner: Interval | None = None

    @property
    def regions(self) -> tuple[Interval, ...]:
        """Where it goes on."""
        if self.inner is None:
            return ((self.low, self.high),)
        return (self.low, self.inner[0]), (self.inner[1], self.high)

    def shifted(self, by: float) -> "Corridor":
        """The same as seen by someone who stands at `by`."""
        inner = self.inner and (self.inner[0] - by, self.inner[1] - by)
        return Corridor(low=self.low - by, high=self.high - by, inner=inner)


def passage(times: Sequence[float], corridors: Sequence[Corridor], drift: float = 0.0) -> FloatArray:
    """Probabilities of stopping at each look: shape (looks, 3) for above, below and inside the wedge."""
    walk, exits = Walk.start(drift), np.zeros((len(times), 3))
    for look, (time, corridor) in enumerate(zip(times, corridors, strict=True)):
        exits[look, :2] = walk.above(time, corridor.high), walk.below(time, corridor.low)
        if corridor.inner is not None:
            exits[look, 2] = max(walk.below(time, corridor.inner[1]) - walk.below(time, corridor.inner[0]), 0.0)
        if look + 1 < len(times):
            walk = walk.go_on(time, corridor.regions)
    return exits


def root(function: Callable[[float], float], low: float, high: float) -> float:
    """Root of an increasing or decreasing function, in an interval that is widened upwards until it holds one.

    Raises:
        InvalidInput: There is none up to astronomical values.
    """
    start = function(low)
    for _ in range(60):
        if math.copysign(1.0, function(high)) != math.copysign(1.0, start) or start == 0.0:
            return float(brentq(function, low, high, xtol=1e-11, rtol=1e-13))
        low, high = high, high + 2.0 * (high - low)
    raise InvalidInput("no value gives what was asked for", hint="ask for less power, or for a larger effect")


def _nodes(low: float, high: float, spread: float) -> tuple[FloatArray, FloatArray]:
    """Places and weights of a quadrature that resolves a normal density as narrow as `spread`."""
    if not high > low:
        return np.empty(0), np.empty(0)
    wanted = 24.0 + 2.0 * (high - low) / spread
    panels = math.ceil(wanted / 56.0)
    places, weights = _legendre(8 * math.ceil(wanted / panels / 8.0))
    half = (high - low) / (2.0 * panels)
    middles = low + half * (2.0 * np.arange(panels) + 1.0)
    return (middles[:, None] + half * places).ravel(), np.tile(half * weights, panels)


@lru_cache(maxsize=32)
def _legendre(order: int) -> tuple[FloatArray, FloatArray]:
    places, weights = np.polynomial.legendre.leggauss(order)
    return places, weights
