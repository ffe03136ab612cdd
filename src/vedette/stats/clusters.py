"""Means and ratios when whole buckets change arms: the bucket is the unit, and its differences are the noise.

Requests of one tenant are alike, so ten thousand requests of six tenants are six observations. The variance of an arm's
mean is therefore taken between buckets: by leaving out each bucket in turn (jackknife, which is CR3, the variance to
prefer when clusters are few and unequal), widened by the variance of Student's t. It costs the same for any number of
requests. Where buckets have a past, each mean is first set against its own history, which takes out most of the noise.

References:
    Kish (1965), Survey Sampling, §8.2 (effective number of unequal clusters).
    Tukey (1958), Bias and confidence in not quite large samples; Bell & McCaffrey (2002), Survey Methodology 28.
    MacKinnon, Nielsen & Webb (2023), Cluster-robust inference: a guide to empirical practice, J. Econometrics 232.
"""

import math

import numpy as np
from numpy.typing import ArrayLike

from vedette.evidence.summary import FloatArray
from vedette.kernel.errors import InvalidInput
from vedette.stats.sequential import Comparison, MeanEstimate, Side, balanced_size, compare

MINIMUM_CLUSTERS = 8.0
"""Fewer effective clusters than this in either arm give no verdict."""
CLUSTER_TUNING = 20.0
"""Clusters at which `compare_clusters` is tightest: their number hardly grows while one watches."""


def cluster_estimate(totals: ArrayLike, sizes: ArrayLike) -> MeanEstimate:
    """The ratio Σ totals / Σ sizes of one arm, with its between-bucket variance and effective number of buckets.

    Args:
        totals: sum of the measure in each bucket (bad events, milliseconds, tokens …), shape (buckets,).
        sizes: what it is divided by: requests for a mean or a rate, another measure's sum for a ratio; same shape, ≥ 0.

    Returns:
        `n` is the effective number of clusters, (Σ sizes)² / Σ sizes². With 3 or fewer the variance is NaN, unknown.

    Raises:
        InvalidInput: shapes differ, or a size is negative.
    """
    y, x = _buckets(totals, sizes)
    size = float(x.sum())
    if size <= 0.0:
        return MeanEstimate(0.0, math.nan, 0.0)
    ratio = float(y.sum()) / size
    n = size**2 / float((x**2).sum())
    if n <= 3.0:
        return MeanEstimate(ratio, math.nan, n)
    without = (y - ratio * x) / (size - x)
    jackknife = (n - 1.0) / n * float((without**2).sum())
    return MeanEstimate(ratio, jackknife * (n - 1.0) / (n - 3.0), n)


def residual_estimate(
    totals: ArrayLike,
    sizes: ArrayLike,
    history_totals: ArrayLike,
    history_sizes: ArrayLike,
    *,
    pseudo_size: float = 200.0,
) -> MeanEstimate:
    """The arm's ratio after setting each bucket against its own history; the level is the domain's past one.

    Each bucket is expected to do as it did, shrunk towards the domain by `pseudo_size`; what is left over is compared
    between buckets. A difference of two such arms estimates the same effect as the plain one, with less noise.

    Args:
        totals: as for `cluster_estimate`, over all buckets: 0 where this arm has none.
        sizes: what they are divided by; 0 where this arm has none.
        history_totals: the same measure's sums before the rollout, over all buckets and not only this arm's, so that
            both arms share one level.
        history_sizes: what those are divided by.
        pseudo_size: how much of the domain's past each bucket's own is mixed with.

    Raises:
        InvalidInput: shapes differ, a size is negative, or there is no history at all.
    """
    y, x = _buckets(totals, sizes)
    past_y, past_x = _buckets(history_totals, history_sizes)
    if past_x.sum() <= 0.0:
        raise InvalidInput("without any history there is nothing to set the buckets against")
    domain = past_y.sum() / past_x.sum()
    expected = (past_y + pseudo_size * domain) / (past_x + pseudo_size)
    left = cluster_estimate(y - x * expected, x)
    return MeanEstimate(left.mean + float(domain), left.variance, left.n)


def compare_clusters(
    canary: MeanEstimate, stable: MeanEstimate, *, alpha: float, side: Side = Side.BOTH, relative_margin: float = 0.0
) -> Comparison | None:
    """Compare two arms of clusters at any look; None, insufficient, when either has too few effective clusters.

    The confidence sequence of `sequential.compare`, on the clock of the smaller arm.
    """
    if min(canary.n, stable.n) < MINIMUM_CLUSTERS:
        return None
    return compare(
        canary,
        stable,
        alpha=alpha,
        side=side,
        relative_margin=relative_margin,
        n=balanced_size(canary.n, stable.n),
        tuning=CLUSTER_TUNING,
    )


def _buckets(totals: ArrayLike, sizes: ArrayLike) -> tuple[FloatArray, FloatArray]:
    y, x = np.asarray(totals, dtype=np.float64), np.asarray(sizes, dtype=np.float64)
    if y.shape != x.shape or y.ndim != 1:
        raise InvalidInput(f"totals and sizes need one entry per bucket, got shapes {y.shape} and {x.shape}")
    if not np.all(x >= 0.0):
        raise InvalidInput("a bucket's size is never negative")
    return y, x
