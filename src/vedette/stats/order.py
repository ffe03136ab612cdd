"""Quantiles at a fixed horizon: what holds for the order of the values, whatever their distribution.

**Woodruff's method.** The share of values below a point is a mean of zeros and ones, whose error is known for
independent units and for clusters alike. The q-quantile lies where that share is q; so an interval for the share, read
back through the distribution, is one for the quantile, and its length is twice the quantile's standard error times z.
No density is estimated. What comes out is a `MeanEstimate`: a quantile can then be judged like any mean, also at any
look by `sequential.compare`.

**Histograms.** Bins are 4 % wide; within one, values are taken to be spread evenly on the logarithmic scale. Both arms
are read alike, so a difference in truth of zero is tested at its level, but a difference of less than a bin is blurred.

References:
    Woodruff, "Confidence intervals for medians and other position measures", JASA 47 (1952).
    Francisco & Fuller, "Quantile estimation with a complex survey design", Annals of Statistics 19 (1991).
    Clopper & Pearson, Biometrika 26 (1934); Hahn & Meeker, Statistical Intervals (1991), §5 (order statistics).
    Fieller, JRSS B 16 (1954).
"""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import bdtr, bdtrik, ndtri

from vedette.evidence.histogram import GAMMA, OVERFLOW, ZERO, Histogram, lower_edge, upper_edge
from vedette.evidence.summary import FloatArray
from vedette.kernel.errors import InvalidInput
from vedette.stats.cautions import Caution
from vedette.stats.clusters import MINIMUM_CLUSTERS, cluster_estimate
from vedette.stats.fieller import fieller
from vedette.stats.finding import Finding, also, finite, observed, student, tail
from vedette.stats.sequential import MeanEstimate, Side, ends

_WOODRUFF_Z = 1.5  # A wider interval is stretched by the tail (p99 of 1,000: 99 % coverage), a narrower one is noisy.

Source = Histogram | ArrayLike
"""Values of one arm, or their histogram."""


def quantile_interval(
    source: Source, q: float, *, alpha: float = 0.05, side: Side = Side.BOTH, design_effect: float = 1.0
) -> Finding:
    """Give one arm's q-quantile, with the distribution-free interval between two of its order statistics.

    It holds the quantile with probability 1 - alpha or more, whatever the distribution, for independent values. From a
    histogram the ends are the outer edges of the bins that hold those two. An end is None with the warning
    `TAIL_NOT_SEEN` where there are too few values beyond the quantile to bound it. There is no p-value.

    Args:
        source: Values (NaN is left out) or their histogram.
        q: Which quantile, between 0 and 1.
        alpha: Probability that the interval misses.
        side: `GREATER` bounds from below alone, `LESS` from above alone.
        design_effect: How many of the values are worth one independent value, 1 or more.

    Raises:
        InvalidInput: `q` or `alpha` is out of range, `design_effect` is below 1, or a value is infinite.
    """
    arm, warnings = _read(source, q, design_effect)
    outside = tail(alpha, side)
    plain = Finding(estimate=None, n=float(arm.n), side=side, method="quantile, order statistics", warnings=warnings)
    if not arm.n:
        return also(plain, Caution.TOO_FEW)
    effective = max(int(arm.n / design_effect), 1)
    ranks = [_outer_rank(effective, share, outside) * arm.n // effective for share in (q, 1.0 - q)]
    low = finite(arm.bounds(ranks[0])[0]) if ranks[0] else None
    high = finite(arm.bounds(arm.n + 1 - ranks[1])[1]) if ranks[1] else None
    plain = replace(plain, estimate=finite(arm.at(q, exact=False)))
    if (low is None and side is not Side.LESS) or (high is None and side is not Side.GREATER):
        plain = also(plain, Caution.TAIL_NOT_SEEN)
    low, high = ends(low, high, side)
    return replace(plain, low=low, high=high)


def quantile_estimate(source: Source, q: float, *, design_effect: float = 1.0) -> MeanEstimate:
    """Estimate one arm's q-quantile with its variance by Woodruff's method, so that it can be judged like a mean.

    `n` is the effective number of values, theirs over the design effect. The variance is NaN, unknown, where too few
    values lie beyond the quantile; the estimate is infinite beyond a histogram's last edge. Arguments and errors are
    those of `quantile_interval`.
    """
    arm, _ = _read(source, q, design_effect)
    share_error = math.sqrt(q * (1.0 - q) * design_effect / arm.n) if arm.n else math.nan
    return _woodruff(arm, q, share_error, arm.n / design_effect)


def cluster_quantile_estimate(source: Source, q: float, below: ArrayLike, sizes: ArrayLike) -> MeanEstimate:
    """Do as `quantile_estimate` for values that come in clusters: users, tenants, documents.

    `n` is the effective number of clusters, and the variance that of `clusters.cluster_estimate`: NaN with 3 or fewer.

    Args:
        source: Values of all clusters (NaN is left out) or their histogram.
        q: Which quantile, between 0 and 1.
        below: How many values of each cluster are at most the quantile of the source.
        sizes: How many values each cluster has.

    Raises:
        InvalidInput: As for `quantile_interval`; shapes differ, or the counts are not those of the source.
    """
    arm, _ = _read(source, q, 1.0)
    total = float(np.asarray(sizes, np.float64).sum())
    if total != arm.n or np.any(np.asarray(below) > np.asarray(sizes)):
        raise InvalidInput(
            f"the clusters' sizes add up to {total:g} and the source has {arm.n} values, or a cluster has more below"
            " the quantile than it has",
            hint="count both over the very values the source holds",
        )
    share = cluster_estimate(below, sizes)
    return _woodruff(arm, q, math.sqrt(share.variance), share.n)


def clustered_quantile(values: ArrayLike, clusters: ArrayLike, q: float) -> MeanEstimate:
    """Do as `cluster_quantile_estimate` from the values and the cluster of each: any labels.

    Raises:
        InvalidInput: As for `quantile_interval`, or the arrays differ in length.
    """
    array, labels = np.asarray(values, np.float64).ravel(), np.asarray(clusters).ravel()
    if array.shape != labels.shape:
        raise InvalidInput(f"every value needs one cluster: there are {array.size} values and {labels.size} clusters")
    known = ~np.isnan(array)
    arm, _ = _read(array, q, 1.0)
    _, index = np.unique(labels[known], return_inverse=True)
    below = np.bincount(index, array[known] <= arm.at(q, exact=False)) if arm.n else np.zeros(0)
    return cluster_quantile_estimate(array, q, below, np.bincount(index) if arm.n else np.zeros(0))


def compare_quantiles(
    treatment: MeanEstimate,
    control: MeanEstimate,
    *,
    relative: bool = False,
    alpha: float = 0.05,
    side: Side = Side.BOTH,
    margin: float = 0.0,
    clusters: bool = False,
) -> Finding:
    """Judge the difference of two estimated quantiles, or that difference as a fraction of the control's size.

    The relative interval inverts the same test (Fieller), so without a margin both have one p-value and one verdict.

    Args:
        treatment: The quantile of the new version.
        control: The quantile of the version it is compared with.
        relative: Say effect, interval and margin as fractions of the control's size.
        alpha: Probability that the interval misses.
        side: Which departures count.
        margin: Effect tested.
        clusters: The estimates count clusters: with fewer than 8 in an arm there is no verdict.
    """
    method = f"{'relative ' if relative else ''}quantile difference, Woodruff, {'Fieller' if relative else 'normal'}"
    n, size = treatment.n + control.n, abs(control.mean)
    plain, outside = Finding(estimate=None, n=n, null=margin, side=side, method=method), tail(alpha, side)
    if not min(treatment.n, control.n):
        return also(plain, Caution.TOO_FEW)
    if math.isfinite(treatment.mean) and math.isfinite(control.mean) and (size or not relative):
        plain = replace(plain, estimate=(treatment.mean - control.mean) / (size if relative else 1.0))
    if clusters and min(treatment.n, control.n) < MINIMUM_CLUSTERS - 1e-9:
        return also(plain, Caution.FEW_CLUSTERS)
    if math.isnan(treatment.variance + control.variance):
        return also(plain, Caution.TAIL_NOT_SEEN)
    factor = 1.0 + margin * math.copysign(1.0, control.mean) if relative else 1.0
    judged = student(
        treatment.mean - factor * control.mean,
        math.sqrt(treatment.variance + factor**2 * control.variance),
        math.inf,
        n=n,
        method=method,
        alpha=alpha,
        side=side,
        null=0.0 if relative else margin,
    )
    if not relative or judged.warnings:
        return replace(judged, estimate=plain.estimate, null=margin)
    relative_ends = fieller(
        treatment.mean, control.mean, treatment.variance, control.variance, critical=float(ndtri(outside))
    )
    low, high = ends(finite(float(relative_ends[0])), finite(float(relative_ends[1])), side)
    judged = replace(judged, estimate=plain.estimate, null=margin, low=low, high=high)
    return also(judged, Caution.UNBOUNDED) if np.isnan(relative_ends[0]) else judged


def quantile_difference(
    treatment: Source,
    control: Source,
    q: float,
    *,
    relative: bool = False,
    alpha: float = 0.05,
    side: Side = Side.BOTH,
    margin: float = 0.0,
    design_effect: float = 1.0,
) -> Finding:
    """Compare the q-quantiles of two arms of independent values or histograms: their difference or relative difference.

    Relative, 0.1 is a p95 that is 10 % higher: the ratio of the two less one. Arguments and errors are those of
    `quantile_interval` and `compare_quantiles`; one design effect serves both arms.
    """
    first, second = (quantile_estimate(source, q, design_effect=design_effect) for source in (treatment, control))
    found = compare_quantiles(first, second, relative=relative, alpha=alpha, side=side, margin=margin)
    return also(found, *(warning for source in (treatment, control) for warning in _read(source, q, design_effect)[1]))


@dataclass(frozen=True, slots=True)
class _Values:
    """Sorted values."""

    values: FloatArray

    @property
    def n(self) -> int:
        return self.values.size

    def bounds(self, rank: int) -> tuple[float, float]:
        """Between what the value of a rank, counted from 1, lies."""
        value = float(self.values[rank - 1])
        return value, value

    def at(self, share: float, *, exact: bool) -> float:
        """Value below which this share lies: by the places the values divide the probability into, or as numpy does."""
        place = share * (self.n + 1) - 1.0 if exact else share * (self.n - 1)
        return float(np.interp(place, np.arange(self.n), self.values))


@dataclass(frozen=True, slots=True)
class _Bins:
    """Bins in use and the number of values up to the end of each."""

    index: NDArray[np.int64]
    up_to: NDArray[np.int64]

    @property
    def n(self) -> int:
        return int(self.up_to[-1]) if self.up_to.size else 0

    def bounds(self, rank: int) -> tuple[float, float]:
        bin_ = int(self.index[np.searchsorted(self.up_to, rank)])
        return lower_edge(bin_), upper_edge(bin_)

    def at(self, share: float, *, exact: bool) -> float:
        place = share * (self.n + 1) - 0.5 if exact else share * (self.n - 1) + 0.5  # values lie in mid-interval
        within = int(np.searchsorted(self.up_to[:-1], place))
        before = int(self.up_to[within - 1]) if within else 0
        bin_ = int(self.index[within])
        if bin_ in {ZERO, OVERFLOW}:
            return 0.0 if bin_ == ZERO else math.inf
        return float(GAMMA ** (bin_ + (place - before) / (int(self.up_to[within]) - before)))


def _read(source: Source, q: float, design_effect: float) -> tuple[_Values | _Bins, tuple[Caution, ...]]:
    if not 0.0 < q < 1.0 or not design_effect >= 1.0:
        raise InvalidInput(
            f"a quantile lies between 0 and 1 and a design effect is 1 or more, not {q}, {design_effect}"
        )
    if isinstance(source, Histogram):
        counts = np.fromiter(source.counts.values(), np.int64)
        return _Bins(np.fromiter(source.counts, np.int64), np.cumsum(counts)), ()
    values, warnings = observed(source, hint="a Histogram counts what is beyond measuring")
    return _Values(np.sort(values)), warnings


def _outer_rank(n: int, q: float, outside: float) -> int:
    """Largest rank whose value lies above the q-quantile with probability `outside` at most; 0 if none does."""
    below = int(max(bdtrik(outside, n, q), 0.0)) + 1
    while below >= 0 and bdtr(below, n, q) > outside:
        below -= 1
    return below + 1


def _woodruff(arm: _Values | _Bins, q: float, share_error: float, n: float) -> MeanEstimate:
    """Read the interval of the share back through the distribution; a tail counts as seen up to its last value."""
    if not arm.n:
        return MeanEstimate(0.0, math.nan, 0.0)
    estimate, reach = arm.at(q, exact=False), _WOODRUFF_Z * share_error
    edge = 1.0 / (arm.n + 1.0)
    if not (edge <= q - reach and q + reach <= 1.0 - edge):
        return MeanEstimate(estimate, math.nan, n)
    length = arm.at(q + reach, exact=True) - arm.at(q - reach, exact=True)
    return MeanEstimate(estimate, (length / (2.0 * _WOODRUFF_Z)) ** 2 if math.isfinite(length) else math.nan, n)
