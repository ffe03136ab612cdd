"""When to give up: lower boundaries of a group sequential design, never binding.

The critical values of a design ignore its futility boundary, so going on in spite of it costs no error of the first
kind. In a two-sided design it is a wedge around zero: neither direction is likely to be shown any more.

References:
    Pampallona, Tsiatis & Kim, "Interim monitoring of group sequential trials using spending functions for the type I
    and type II error probabilities", Drug Information Journal 35 (2001).
    Lachin, "A review of methods for futility stopping based on conditional power", Statistics in Medicine 24 (2005).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from vedette.evidence.summary import FloatArray
from vedette.kernel.errors import InvalidInput
from vedette.stats.brownian import Corridor, Walk, root
from vedette.stats.spending import SHAPES, Family, check_parameter, spent


@dataclass(frozen=True, slots=True, kw_only=True)
class BetaSpending:
    """Give up where the error of the second kind that may be used so far is used.

    Attributes:
        power: Power that the design has when the boundary is obeyed.
        family: Spending function of `1 - power`.
        parameter: Its parameter, where it has one.
    """

    power: float = 0.8
    family: Family = Family.HWANG_SHIH_DECANI
    parameter: float | None = -2.0

    def __post_init__(self) -> None:
        if not 0.0 < self.power < 1.0:
            raise InvalidInput(f"power lies between 0 and 1, not at {self.power}", hint="0.8 is usual")
        if self.family in SHAPES:
            raise InvalidInput(f"{self.family} is no spending function", hint="take hwang_shih_decani or power")
        check_parameter(self.family, self.parameter)


@dataclass(frozen=True, slots=True, kw_only=True)
class LowConditionalPower:
    """Give up where the chance to be significant at the end is below a threshold.

    Attributes:
        threshold: The smallest chance worth going on for; 0.1 to 0.2 is usual.
        drift: Assumed effect, as the expected z-value at the planned maximum: 2.8 is what a fixed two-sided 5 % test
            of power 0.8 expects. None is the current estimate, which gives up much too soon on a late start.
    """

    threshold: float = 0.1
    drift: float | None = 2.8

    def __post_init__(self) -> None:
        if not 0.0 < self.threshold < 0.5:
            raise InvalidInput(
                f"a threshold of conditional power lies between 0 and 0.5, not at {self.threshold}", hint="0.1 is usual"
            )


Futility = BetaSpending | LowConditionalPower


def futility_levels(
    futility: Futility, times: Sequence[float], levels: Sequence[float], *, two_sided: bool
) -> tuple[FloatArray, FloatArray | None]:
    """Score levels below which to give up at each look, and the error of the second kind used until then.

    Args:
        futility: The rule.
        times: Information fractions of the looks, the last is 1.
        levels: Critical values on the score scale.
        two_sided: Whether the corridor is symmetric.

    Returns:
        Levels of the looks (the last one's is its critical value; minus infinity, or 0 if two-sided, where a look gives
        nothing up), and the cumulative error, None for conditional power.
    """
    if isinstance(futility, LowConditionalPower):
        return _low_conditional_power(futility, times, levels, two_sided=two_sided), None
    beta = 1.0 - futility.power
    used = spent(futility.family, futility.parameter, beta, times)
    drift = root(lambda drift: _spend(used, times, levels, drift, two_sided=two_sided)[1], 0.5, float(levels[-1]) + 1.0)
    return _spend(used, times, levels, drift, two_sided=two_sided)[0], used


def _low_conditional_power(
    rule: LowConditionalPower, times: Sequence[float], levels: Sequence[float], *, two_sided: bool
) -> FloatArray:
    """Solve `Phi((s + drift * rest - last) / sqrt(rest)) = threshold` for the score s; the trend is a drift of s / t.

    The other direction of a two-sided design is beyond hope where this one is nearly so, and is left out.
    """
    t, bound = np.asarray(times, np.float64), np.asarray(levels, np.float64)
    rest = 1.0 - t
    needed = bound[-1] + np.sqrt(rest) * float(ndtri(rule.threshold))
    level = needed * t if rule.drift is None else needed - rule.drift * rest
    level = np.minimum(np.maximum(level, 0.0) if two_sided else level, bound)
    level[-1] = bound[-1]
    return np.asarray(level)


def _spend(
    used: FloatArray, times: Sequence[float], levels: Sequence[float], drift: float, *, two_sided: bool
) -> tuple[FloatArray, float]:
    """Levels that use up the error of the second kind under a drift, and how much too much the last look uses."""
    walk, found, taken = Walk.start(drift), np.array(levels, np.float64), 0.0
    for look, (time, level) in enumerate(zip(times[:-1], levels[:-1], strict=True)):
        increment = max(float(used[look]) - taken, 0.0)
        if two_sided:
            found[look], missed = _wedge(walk, time, level, increment)
            corridor = Corridor(low=-level, high=level, inner=(-float(found[look]), float(found[look])))
        else:
            found[look] = min(walk.level_below(time, increment), level)
            missed = walk.below(time, float(found[look]))
            corridor = Corridor(low=float(found[look]), high=level)
        taken += missed
        walk = walk.go_on(time, corridor.regions)
    low = -levels[-1] if two_sided else -math.inf
    missed = walk.below(times[-1], levels[-1]) - walk.below(times[-1], low)
    return found, missed + taken - float(used[-1])


def _wedge(walk: Walk, time: float, level: float, increment: float) -> tuple[float, float]:
    """Half-width of the interval around zero that holds an increment of probability, and what it does hold."""

    def held(half: float) -> float:
        return walk.below(time, half) - walk.below(time, -half)

    widest = min(level, 40.0 * math.sqrt(time))
    if increment <= 0.0:
        return 0.0, 0.0
    if held(widest) <= increment:
        return widest, held(widest)
    half = root(lambda half: held(half) - increment, 0.0, widest)
    return half, held(half)
