"""Is the canary's p95 worse than stable's? From two fixed-edge histograms, at any look.

A count of values up to x is a sum of Bernoulli observations, so what holds for such sums at all times holds for
quantiles and distribution functions at all times. Nothing is assumed about the distribution, not even a mean.

Within a bin the values are not known. Every bound here takes the worst place in the bin, so evidence from a histogram
is never more than evidence from the values themselves would be. The price: what lies less than two bins (8 %) beyond
a tolerance is not seen.

**Units that share a cause.** Where requests come in clusters (users, tenants), `design_effect` is how many of them
are worth one independent request; counts are divided by it.

Source: Howard & Ramdas, "Sequential estimation of quantiles with applications to A/B testing and best-arm
identification", Bernoulli 28 (2022): theorem 2 (band), section 5 (A/B test).
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq, minimize_scalar

from vedette.evidence.histogram import GAMMA, OVERFLOW, ZERO, Histogram, lower_edge, upper_edge
from vedette.evidence.summary import FloatArray
from vedette.kernel.errors import InvalidInput
from vedette.stats.boundaries import beta_binomial_log_mixture

TUNING = 1000.0
"""Effective number of values at which the tests of one quantile are tightest, unless told otherwise."""

BAND_START = 100.0
"""Effective number of values at which bands of distribution functions begin, unless told otherwise."""

_SCALE = 0.85  # the constant A of theorem 2


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantileInterval:
    """A quantile and its confidence sequence; None where nothing was counted, or for an end without bound."""

    estimate: float | None
    low: float
    high: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantileComparison:
    """Whether one quantile exceeds a multiple of another, with the evidence.

    Attributes:
        sample: The quantile that may exceed.
        reference: The quantile it is compared with. Both intervals hold together with probability 1 - alpha.
        exceeds: The p-value is at most alpha.
        p_value: Anytime-valid p-value against "it does not exceed".
        log_e_value: Logarithm of the e-value against that.
    """

    sample: QuantileInterval
    reference: QuantileInterval
    exceeds: bool
    p_value: float
    log_e_value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderComparison:
    """Whether one distribution lies above a multiple of another somewhere, with the evidence.

    Attributes:
        exceeds: The p-value is at most alpha: the bands of the two distribution functions have parted.
        p_value: Anytime-valid p-value against "it lies above nowhere".
        gap: Largest excess of the share of values that stay below a point, reference over sample.
        at: That point, in the units of the sample.
    """

    exceeds: bool
    p_value: float
    gap: float
    at: float | None


def quantile_sequence(
    histogram: Histogram, q: float, *, alpha: float, tuning: float = TUNING, design_effect: float = 1.0
) -> QuantileInterval:
    """Confidence sequence of one quantile: holds it at all looks together with probability 1 - alpha."""
    _check(q, alpha)
    bins = _around(histogram, 0)
    below, up_to = (_shares(histogram, bins - shift, q) for shift in (1, 0))
    # A bin may hold the quantile if any share between those of its edges is consistent with q; the nearest is the best.
    log_e = _two_sided(np.clip(q, below, up_to), histogram.n / design_effect, q, tuning)
    possible = bins[log_e < -math.log(alpha)]
    first, last = int(possible[0]), int(possible[-1])
    return QuantileInterval(
        estimate=histogram.quantile(q),
        low=0.0 if first == bins[0] else lower_edge(first),
        high=None if last in {bins[-1], OVERFLOW} else upper_edge(last),
    )


def quantile_exceeds(
    sample: Histogram,
    reference: Histogram,
    q: float,
    *,
    alpha: float,
    factor: float = 1.0,
    tuning: float = TUNING,
    design_effect: float = 1.0,
) -> QuantileComparison:
    """Test whether the q-quantile of `sample` is more than `factor` times that of `reference`.

    Regression of a latency beyond a tolerance of 10 %: canary as sample, stable as reference, factor 1.1.
    Non-inferiority within it: stable as sample, canary as reference, factor 1 / 1.1. Where lower is worse, likewise
    with the arms exchanged and the factor inverted.

    If it does not exceed, then at y, the reference's quantile, at least q of the sample lies up to `factor * y` and at
    most q of the reference below y: two test supermartingales, whose product is one. y is not known, so the e-value is
    the smallest product over all y.

    Raises:
        InvalidInput: `q` or `alpha` is not between 0 and 1, or `factor` is not positive.
    """
    _check(q, alpha)
    shift = _bins_of(factor)
    bins = np.clip(np.union1d(_around(reference, 0), _around(sample, -shift)), ZERO, OVERFLOW)
    reach = np.where(bins == OVERFLOW, OVERFLOW, np.maximum(bins + shift, ZERO))
    few = _one_sided(q - _shares(sample, reach, q), sample.n / design_effect, 1.0 - q, tuning)
    many = _one_sided(_shares(reference, bins - 1, q) - q, reference.n / design_effect, q, tuning)
    log_e = float((few + many).min())
    p_value = math.exp(min(-log_e, 0.0))
    intervals = (
        quantile_sequence(arm, q, alpha=alpha / 2.0, tuning=tuning, design_effect=design_effect)
        for arm in (sample, reference)
    )
    return QuantileComparison(
        sample=next(intervals),
        reference=next(intervals),
        exceeds=p_value <= alpha,
        p_value=p_value,
        log_e_value=log_e,
    )


def quantiles_differ(first: Histogram, second: Histogram, q: float, *, tuning: float = TUNING) -> float:
    """Anytime-valid p-value against "both have the same q-quantile"."""
    bins = np.union1d(_around(first, 0), _around(second, 0))
    arms = ((arm.up_to(bins - 1), arm.up_to(bins), arm.n) for arm in (first, second))
    return _equal_quantile_p_value(arms, q, tuning)


def quantile_ab_p_value(first: ArrayLike, second: ArrayLike, q: float, *, tuning: float = TUNING) -> float:
    """Anytime-valid p-value against "both have the same q-quantile", from the values themselves."""
    samples = [np.sort(np.asarray(values, np.float64).ravel()) for values in (first, second)]
    points = np.unique(np.concatenate(samples))
    arms = ((np.searchsorted(a, points), np.searchsorted(a, points, side="right"), a.size) for a in samples)
    return _equal_quantile_p_value(arms, q, tuning)


def cdf_band_radius(n: ArrayLike, *, alpha: float, start: float = BAND_START) -> FloatArray:
    """Half width of a band that holds a whole distribution function at all `n` from `start` on; infinite before."""
    n = np.asarray(n, np.float64)
    late = np.maximum(n, start)
    radius = _SCALE * np.sqrt((np.log1p(np.log(late / start)) + _band_constant(alpha)) / late)
    return np.where(n >= start, radius, np.inf)


def distribution_exceeds(
    sample: Histogram,
    reference: Histogram,
    *,
    alpha: float,
    factor: float = 1.0,
    start: float = BAND_START,
    design_effect: float = 1.0,
) -> OrderComparison:
    """Test whether `sample` lies above `factor` times `reference` at any quantile (sequential stochastic order).

    Raises:
        InvalidInput: `alpha` is not between 0 and 1, or `factor` is not positive.
    """
    _check(0.5, alpha)
    shift = _bins_of(factor)
    bins = np.clip(np.union1d(_around(sample, 0), _around(reference, shift)), ZERO, OVERFLOW - 1)
    gaps = _shares(reference, np.minimum(bins - shift, OVERFLOW - 1), 0.0) - _shares(sample, bins, 0.0)
    widest = int(np.argmax(gaps))
    gap = float(gaps[widest])
    p_value = _parting_p_value(gap, [arm.n / design_effect for arm in (sample, reference)], start)
    return OrderComparison(
        exceeds=p_value <= alpha, p_value=p_value, gap=gap, at=upper_edge(int(bins[widest])) if gap > 0 else None
    )


def _check(q: float, alpha: float) -> None:
    if not (0.0 < q < 1.0 and 0.0 < alpha < 1.0):
        raise InvalidInput(f"a quantile and alpha lie between 0 and 1, not at {q} and {alpha}")


def _bins_of(factor: float) -> int:
    """Smallest number of bins that is no less than a factor."""
    if not 0.0 < factor < math.inf:
        raise InvalidInput(f"the factor between two quantiles is positive, not {factor}")
    return math.ceil(math.log(factor) / math.log(GAMMA) - 1e-9)


def _around(histogram: Histogram, shift: int) -> NDArray[np.int64]:
    """The bins in use, and one more on either side, all moved by `shift`."""
    used = histogram.counts or {ZERO: 0}
    return np.arange(min(used) - 1, max(used) + 2, dtype=np.int64) + shift


def _shares(histogram: Histogram, bins: NDArray[np.int64], empty: float) -> FloatArray:
    """Share of the values in each bin and below; `empty` if there are none."""
    return histogram.up_to(bins) / histogram.n if histogram.n else np.full(bins.shape, empty)


def _one_sided(excess: FloatArray, n: float, low: float, tuning: float) -> FloatArray:
    """Log e-value of the mean `excess` of `n` centred indicators whose smallest value is `-low`."""
    v = low * (1.0 - low)
    return beta_binomial_log_mixture(excess * n, v * n, v_opt=v * tuning, low=low, high=1.0 - low, one_sided=True)


def _two_sided(share: ArrayLike, n: float, q: float, tuning: float) -> FloatArray:
    """Log e-value of a share of values below a point, against that point being the q-quantile."""
    v, sums = q * (1.0 - q), (np.asarray(share, np.float64) - q) * n
    return beta_binomial_log_mixture(sums, v * n, v_opt=v * tuning, low=q, high=1.0 - q, one_sided=False)


def _equal_quantile_p_value(
    arms: Iterable[tuple[NDArray[np.int64], NDArray[np.int64], int]], q: float, tuning: float
) -> float:
    """p-value from the numbers of values below and up to each of some points, for each arm, and their total.

    The common quantile is not known: the e-value is the smallest product of the arms' e-values over all points.
    """
    log_e: FloatArray | float = 0.0
    for below, up_to, n in arms:
        if n:
            least = minimize_scalar(_two_sided, args=(n, q, tuning), bounds=(0.0, 1.0), options={"xatol": 1e-9}).x
            log_e = log_e + _two_sided(np.clip(least, below / n, up_to / n), n, q, tuning)
    return math.exp(min(-float(np.min(log_e)), 0.0))


def _parting_p_value(gap: float, sizes: list[float], start: float) -> float:
    """Smallest alpha at which two bands of level alpha / 2 part where the empirical functions differ by `gap`."""
    if min(sizes) < start:
        return 1.0
    growth = [(math.log1p(math.log(n / start)), n) for n in sizes]

    def room(constant: float) -> float:
        return gap - _SCALE * sum(math.sqrt((level + constant) / n) for level, n in growth)

    if room(1.0) <= 0:
        return 1.0
    constant = brentq(room, 1.0, (gap / _SCALE) ** 2 * min(sizes))
    return min(1.0, 2.0 * math.exp(_log_band_error(constant)))


def _log_band_error(constant: float) -> float:
    """Log probability that the band of theorem 2 with this constant ever fails, at the best spacing `eta`."""

    def log_error(eta: float) -> float:
        square = 2.0 / eta * (_SCALE - math.sqrt(2.0 * (eta - 1.0) / constant)) ** 2
        if square <= 1.0:
            return math.inf
        return math.log(4.0) - square * constant + math.log1p(1.0 / ((square - 1.0) * math.log(eta)))

    widest = brentq(
        lambda eta: math.sqrt(eta / 2.0) + math.sqrt(2.0 * (eta - 1.0) / constant) - _SCALE, 1.0, 2.0 * _SCALE**2
    )
    return float(minimize_scalar(log_error, bounds=(1.0, widest), options={"xatol": 1e-10}).fun)


@cache
def _band_constant(alpha: float) -> float:
    """Constant C of theorem 2 at which the band fails with probability alpha."""
    return float(brentq(lambda constant: _log_band_error(constant) - math.log(alpha), 1.0, 1e4))
