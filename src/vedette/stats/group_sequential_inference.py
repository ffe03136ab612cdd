"""What a group sequential test tells: at a look, on what is still to come, and at its end.

At a look, whether or not it stops: the repeated confidence interval, which holds the truth at all looks together, and
the sequential p-value, the smallest alpha at which the design would have rejected by now. On what is to come: the
chance to reject, under an assumed effect (conditional power) or under what is known of it (predictive power). At the
end: p-value, median-unbiased estimate and interval under the stage-wise ordering, in which rejecting earlier is more
extreme. None of these obeys the futility boundary, which does not bind.

References:
    Jennison & Turnbull, "Interim analyses: the repeated confidence interval approach", JRSS B 51 (1989).
    Tsiatis, Rosner & Mehta, "Exact confidence intervals following a group sequential test", Biometrics 40 (1984).
    Lan & Wittes, "The B-value", Biometrics 44 (1988); Spiegelhalter et al., "Monitoring clinical trials: conditional or
    predictive power?", Controlled Clinical Trials 7 (1986).
    Liu & Anderson, "On adaptive extensions of group sequential trials …", JASA 103 (2008): sequential p-values.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import ndtri

from vedette.evidence.summary import FloatArray
from vedette.kernel.errors import InvalidInput
from vedette.stats.brownian import Walk, passage, root
from vedette.stats.group_sequential import Design, Looks, Overrun, boundaries
from vedette.stats.sequential import Side

_SMALLEST_LOG_P = math.log(1e-35)


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """Ends of an interval; None is without bound."""

    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FinalAnalysis:
    """Answer of a finished group sequential test, corrected for when it stopped.

    Attributes:
        estimate: The estimate as it came, which is too large in size after an early rejection.
        median_unbiased: As likely too large as too small.
        low: Lower end of the interval; None without bound.
        high: Upper end; None without bound.
        p_value: Under the stage-wise ordering.
        confidence: Coverage of the interval.
        convention: What the numbers are, in words.
    """

    estimate: float
    median_unbiased: float
    low: float | None
    high: float | None
    p_value: float
    confidence: float
    convention: str


def repeated_interval(looks: Looks, look: int, estimate: float, standard_error: float) -> Interval:
    """Estimate ± critical value times standard error: holds the truth at all looks together with 1 - alpha.

    Args:
        looks: The design's looks up to now at least.
        look: Which of them, counted from 1.
        estimate: The effect as estimated at that look.
        standard_error: Of the estimate; above 0.

    Raises:
        InvalidInput: No such look, or no standard error.
    """
    _check(looks, look, estimate, standard_error)
    half = looks.boundary_z[look - 1] * standard_error
    side = looks.design.side
    bounded = math.isfinite(half)
    low = estimate - half if bounded and side != Side.LESS else None
    high = estimate + half if bounded and side != Side.GREATER else None
    return Interval(low=low, high=high)


def sequential_p_value(
    design: Design,
    information: Sequence[float],
    z: Sequence[float],
    *,
    maximum: float | None = None,
    final: bool = False,
    overrun: Overrun = Overrun.SPEND_REST,
) -> float:
    """Smallest alpha at which the design would have rejected by now; 1 if it never would, and 1e-35 at the least.

    Valid at every look, as it is alpha or less exactly when the boundary has been reached by then.

    Args:
        design: Its family, parameter and side count; its alpha does not.
        information: Of the looks, as `boundaries` takes it.
        z: Of the looks so far; may be shorter than `information` (a shape needs its whole plan).
        maximum: As for `boundaries`.
        final: As for `boundaries`.
        overrun: As for `boundaries`.

    Raises:
        InvalidInput: No z-value, or more of them than looks.
    """
    if not 0 < len(z) <= len(information):
        raise InvalidInput(
            f"{len(z)} z-values do not belong to {len(information)} looks", hint="give one for each look so far"
        )
    toward = _toward(np.asarray(z, np.float64), design.side)

    def excess(log_alpha: float) -> float:
        tried = replace(design, alpha=math.exp(log_alpha), futility=None)
        bounds = boundaries(tried, information, maximum=maximum, final=final, overrun=overrun).boundary_z
        return float(np.max(np.minimum(toward - np.asarray(bounds[: toward.size]), 50.0).clip(-50.0)))

    largest = math.log1p(-1e-9)
    if excess(largest) <= 0.0:
        return 1.0
    if excess(_SMALLEST_LOG_P) >= 0.0:
        return math.exp(_SMALLEST_LOG_P)
    return math.exp(root(excess, _SMALLEST_LOG_P, largest))


def conditional_power(looks: Looks, look: int, z: float, *, drift: float | None = None) -> float:
    """Chance to reject at one of the looks after `look`, whose z-value was `z`, in a direction that counts.

    Args:
        looks: All looks, with those still planned.
        look: The one that was taken, counted from 1.
        z: Its z-value.
        drift: Assumed effect as the expected z at information 1; the current estimate (trend) unless given.

    Raises:
        InvalidInput: No such look, or it is the last.
    """
    time = _check(looks, look, z)
    if look == len(looks.looks):
        raise InvalidInput("no look is left to reject at", hint="conditional power is about looks still to come")
    score = z * math.sqrt(time)
    assumed = score / time if drift is None else drift
    sign = -1.0 if looks.design.side == Side.LESS else 1.0
    corridors = [corridor.shifted(sign * score) for corridor in looks.corridors(futility=False)[look:]]
    exits = passage([later - time for later in looks.information[look:]], corridors, sign * assumed)
    return float(exits[:, :2].sum())


def predictive_power(
    looks: Looks, look: int, z: float, *, prior_mean: float = 0.0, prior_variance: float = math.inf
) -> float:
    """Conditional power, averaged over what is known of the effect after `look`.

    Args:
        looks: All looks, with those still planned.
        look: The one that was taken, counted from 1.
        z: Its z-value.
        prior_mean: Mean of a normal prior of the drift (expected z at information 1).
        prior_variance: Its variance; infinite (the default) lets the data speak alone.

    Raises:
        InvalidInput: No such look, it is the last, or a variance that is not above 0.
    """
    time = _check(looks, look, z)
    if not prior_variance > 0.0:
        raise InvalidInput(f"a prior variance is above 0, not {prior_variance}", hint="math.inf is no prior at all")
    precision = time + 1.0 / prior_variance
    mean = (z * math.sqrt(time) + prior_mean / prior_variance) / precision
    places, weights = np.polynomial.hermite_e.hermegauss(32)
    powers = [conditional_power(looks, look, z, drift=mean + place / math.sqrt(precision)) for place in places.tolist()]
    return float(np.asarray(powers) @ weights / weights.sum())


def final_analysis(
    looks: Looks, look: int, estimate: float, standard_error: float, *, confidence: float | None = None
) -> FinalAnalysis:
    """P-value, estimate and interval of a test that stopped at `look`, under the stage-wise ordering.

    It may have stopped by rejecting, by giving up, or because it was over.

    Args:
        looks: The looks up to that one at least.
        look: Where it stopped, counted from 1.
        estimate: The effect as estimated there.
        standard_error: Of the estimate; above 0.
        confidence: Coverage of the interval; 1 - alpha of the design unless given.

    Raises:
        InvalidInput: No such look, no standard error, or a confidence that is not between 0 and 1.
    """
    time = _check(looks, look, estimate, standard_error)
    design = looks.design
    sure = 1.0 - design.alpha if confidence is None else confidence
    if not 0.0 < sure < 1.0:
        raise InvalidInput(f"a confidence lies between 0 and 1, not at {sure}", hint="0.95 is usual")
    sign = -1.0 if design.side == Side.LESS else 1.0
    z = sign * estimate / standard_error
    unit = math.sqrt(time) * standard_error * sign  # of the effect, at drift 1
    tail = (1.0 - sure) / (2.0 if design.two_sided else 1.0)
    low = _drift_at(looks, look, z, tail) * unit
    high = _drift_at(looks, look, z, 1.0 - tail) * unit if design.two_sided else None
    above = _more_extreme(looks, look, z, 0.0)
    ends = (None, low) if design.side == Side.LESS else (low, high)
    return FinalAnalysis(
        estimate=estimate,
        median_unbiased=_drift_at(looks, look, z, 0.5) * unit,
        low=ends[0],
        high=ends[1],
        p_value=min(2.0 * min(above, 1.0 - above), 1.0) if design.two_sided else above,
        confidence=sure,
        convention="stage-wise ordering (Tsiatis, Rosner & Mehta 1984), futility boundary not binding",
    )


def _more_extreme(looks: Looks, look: int, z: float, drift: float) -> float:
    """Probability under a drift of an outcome at least as far up as stopping at `look` with `z`.

    Order from the top: rejecting upwards, the earlier the more extreme; then the later looks; then rejecting downwards.
    """
    walk, up, down = Walk.start(drift), 0.0, 0.0
    corridors = looks.corridors(futility=False)
    for time, corridor in zip(looks.information[: look - 1], corridors, strict=False):
        up, down = up + walk.above(time, corridor.high), down + walk.below(time, corridor.low)
        walk = walk.go_on(time, corridor.regions)
    time = looks.information[look - 1]
    level = z * math.sqrt(time)
    if level > corridors[look - 1].low:
        return min(up + walk.above(time, level), 1.0)
    return max(1.0 - down - walk.below(time, level), 0.0)


def _drift_at(looks: Looks, look: int, z: float, probability: float) -> float:
    """Drift at which an outcome as far up has a probability: increasing in it."""
    root_time = math.sqrt(looks.information[look - 1])
    target = float(ndtri(probability))

    def excess(drift: float) -> float:
        return float(ndtri(np.clip(_more_extreme(looks, look, z, drift), 1e-300, 1.0 - 1e-16))) - target

    start = (z + target) / root_time
    low = start - 1.0 / root_time
    while excess(low) > 0.0:
        low -= 2.0 / root_time + (start - low)
    return root(excess, low, start + 1.0 / root_time)


def _toward(z: FloatArray, side: Side) -> FloatArray:
    return {Side.GREATER: z, Side.LESS: -z, Side.BOTH: np.abs(z)}[side]


def _check(looks: Looks, look: int, value: float, standard_error: float = 1.0) -> float:
    """Information of the look, if there is such a one and the numbers can be used."""
    if not 1 <= look <= len(looks.looks):
        raise InvalidInput(f"there is no look {look} of {len(looks.looks)}", hint="looks are counted from 1")
    if not math.isfinite(value):
        raise InvalidInput(f"an estimate is a finite number, not {value}", hint="a look without data is no look")
    if not (math.isfinite(standard_error) and standard_error > 0.0):
        raise InvalidInput(f"a standard error is above 0, not {standard_error}", hint="no variance, no test")
    return looks.information[look - 1]
