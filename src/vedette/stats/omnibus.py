"""Is any of the arms different? One answer for all of them, before asking which.

From each arm's count, mean and variance alone: one-way analysis of variance where arms share one variance, Welch's and
Alexander and Govern's where each has its own. From estimates and their covariance matrix, whatever they are (ratios,
adjusted means, clustered or paired ones): Wald's test. From raw values, without means: Kruskal and Wallis's test of
ranks. Counts of successes are compared in the modules of proportions.

References:
    Welch, "On the comparison of several mean values: an alternative approach", Biometrika 38 (1951).
    Alexander & Govern, "A new and simpler approximation for ANOVA under variance heterogeneity", J. Educ. Stat. 19
    (1994). Hill, "Algorithm 395", CACM 13 (1970): t to normal. Kruskal & Wallis, JASA 47 (1952).
    Hotelling, "The generalization of Student's ratio", Annals of Mathematical Statistics 2 (1931).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import chdtrc, fdtrc

from vedette.evidence.summary import FloatArray
from vedette.kernel.errors import InvalidInput
from vedette.stats.cautions import Caution


@dataclass(frozen=True, slots=True, kw_only=True)
class Omnibus:
    """Evidence that not all arms are equal; None where `warnings` say why.

    Attributes:
        method: Which test it is.
        statistic: F, or chi-square where `df_within` is None.
        df_between: Degrees of freedom of what differs between arms.
        df_within: Degrees of freedom of the noise; None for a chi-square.
        p_value: Against "all arms are equal".
        warnings: Why numbers are None.
    """

    method: str
    statistic: float | None = None
    df_between: float | None = None
    df_within: float | None = None
    p_value: float | None = None
    warnings: tuple[Caution, ...] = ()


def anova(n: ArrayLike, mean: ArrayLike, variance: ArrayLike) -> Omnibus:
    """Test that arms which share one variance have one mean (F).

    Args:
        n: Units by arm, shape (k,), k at least 2.
        mean: Their means; not read of an arm without units.
        variance: Their unbiased variances; not read of an arm of fewer than two units.

    Returns:
        Unknown when an arm is empty or no arm has two units, or when no arm varies.

    Raises:
        InvalidInput: Shapes differ, there are fewer than two arms, or a count or a variance is negative.
    """
    n, mean, variance = _arms(n, mean, variance)
    k, total = n.size, float(n.sum())
    if (n < 1).any() or total <= k:
        return Omnibus(method="anova", warnings=(Caution.TOO_FEW,))
    within = float(((n - 1.0) * np.where(n > 1, variance, 0.0)).sum()) / (total - k)
    if not within > 0.0:
        return Omnibus(method="anova", warnings=(Caution.NO_VARIANCE,))
    shift = mean - mean[0]  # so that no digit is lost to a mean far from zero
    between = float((n * (shift - (n * shift).sum() / total) ** 2).sum()) / (k - 1)
    return _f_test("anova", between / within, k - 1.0, total - k)


def welch_anova(n: ArrayLike, mean: ArrayLike, variance: ArrayLike) -> Omnibus:
    """Test that arms have one mean, whatever their variances (Welch 1951).

    Arguments and errors are those of `anova`. Unknown when an arm has fewer than two units or does not vary.
    """
    n, mean, variance = _arms(n, mean, variance)
    if (unknown := _each_varies(n, variance)) is not None:
        return Omnibus(method="welch-anova", warnings=(unknown,))
    k, weight, deviation = n.size, n / variance, _deviation(n, mean, variance)
    lack = float(((1.0 - weight / weight.sum()) ** 2 / (n - 1.0)).sum())
    between = float((weight * deviation**2).sum()) / (k - 1)
    statistic = between / (1.0 + 2.0 * (k - 2) / (k * k - 1.0) * lack)
    return _f_test("welch-anova", statistic, k - 1.0, (k * k - 1.0) / (3.0 * lack))


def alexander_govern(n: ArrayLike, mean: ArrayLike, variance: ArrayLike) -> Omnibus:
    """Test that arms have one mean, whatever their variances (Alexander & Govern 1994): a chi-square.

    Each arm's t about the common mean is turned into a normal score. Arguments, errors and unknowns are those of
    `welch_anova`.
    """
    n, mean, variance = _arms(n, mean, variance)
    if (unknown := _each_varies(n, variance)) is not None:
        return Omnibus(method="alexander-govern", warnings=(unknown,))
    t = _deviation(n, mean, variance) / np.sqrt(variance / n)
    df = n - 1.0
    a = df - 0.5
    b = 48.0 * a * a
    c = np.sqrt(a * np.log1p(t * t / df))
    score = c + (c**3 + 3.0 * c) / b
    score -= (4.0 * c**7 + 33.0 * c**5 + 240.0 * c**3 + 855.0 * c) / (10.0 * b * b + 8.0 * b * c**4 + 1000.0 * b)
    return _chi_square("alexander-govern", float((score**2).sum()), n.size - 1.0)


def wald(estimates: ArrayLike, covariance: ArrayLike, *, df: float = math.inf, wishart: bool = False) -> Omnibus:
    """Test that all arms' estimates are equal, given their covariance matrix (Wald; Hotelling).

    Args:
        estimates: One estimate an arm, shape (k,), k at least 2.
        covariance: Covariance of the estimates, shape (k, k), or their variances, shape (k,), if independent.
        df: Degrees of freedom behind the covariance: infinite for a chi-square, else for an F (clusters less one).
        wishart: Whether the whole matrix was estimated from one sample of `df + 1` units observed in every arm (the
            same prompts): then the F is Hotelling's, which is exact for normal values.

    Returns:
        Unknown when a number is missing, when `df` leaves nothing for the noise, or when a difference of arms has no
        variance.

    Raises:
        InvalidInput: Shapes do not fit, there are fewer than two arms, or `df` is not above 0.
    """
    means, matrix = np.asarray(estimates, np.float64).ravel(), np.asarray(covariance, np.float64)
    k = means.size
    matrix = np.diag(matrix) if matrix.shape == (k,) else matrix
    if k < 2 or matrix.shape != (k, k):
        raise InvalidInput(f"a test that arms are equal needs two or more, with a {k} by {k} covariance matrix")
    if not df > 0.0:
        raise InvalidInput(f"degrees of freedom must be above 0, not {df}", hint="use infinity for a chi-square")
    q = k - 1.0
    finite = math.isfinite(df)
    method = ("hotelling" if wishart else "wald-f") if finite else "wald"
    rest = df - q + 1.0 if wishart else df
    if not (np.isfinite(means).all() and np.isfinite(matrix).all() and rest > 0.0):
        return Omnibus(method=method, warnings=(Caution.TOO_FEW,))
    contrast = np.hstack([-np.ones((k - 1, 1)), np.eye(k - 1)])
    spread = contrast @ matrix @ contrast.T
    scale = np.sqrt(np.maximum(np.diagonal(spread), 0.0))
    if not (scale > 0.0).all() or np.linalg.eigvalsh(spread / np.outer(scale, scale)).min() < 1e-10:
        return Omnibus(method=method, warnings=(Caution.NO_VARIANCE,))
    standard = (means[1:] - means[0]) / scale
    statistic = float(standard @ np.linalg.solve(spread / np.outer(scale, scale), standard))
    if not finite:
        return _chi_square(method, statistic, q)
    return _f_test(method, statistic * rest / (df * q), q, rest)


def kruskal_wallis(samples: Sequence[ArrayLike]) -> Omnibus:
    """Test that arms have one distribution, by the ranks of their raw values: a chi-square.

    Returns:
        Unknown when an arm is empty, or when all values of all arms are the same.

    Raises:
        InvalidInput: There are fewer than two arms, or a value is NaN or infinite.
    """
    from scipy.stats import kruskal  # scipy.stats is slow to import, and only this test needs it

    arrays = [np.asarray(sample, np.float64).ravel() for sample in samples]
    if len(arrays) < 2:
        raise InvalidInput("a test that arms are equal needs two or more")
    if not all(np.isfinite(array).all() for array in arrays):
        raise InvalidInput("values must be finite numbers")
    if not all(array.size for array in arrays):
        return Omnibus(method="kruskal-wallis", warnings=(Caution.TOO_FEW,))
    if np.ptp(np.concatenate(arrays)) == 0.0:
        return Omnibus(method="kruskal-wallis", warnings=(Caution.NO_VARIANCE,))
    return _chi_square("kruskal-wallis", float(kruskal(*arrays).statistic), len(arrays) - 1.0)


def _arms(n: ArrayLike, mean: ArrayLike, variance: ArrayLike) -> tuple[FloatArray, FloatArray, FloatArray]:
    counts, means, variances = (np.asarray(values, np.float64) for values in (n, mean, variance))
    if counts.ndim != 1 or counts.size < 2 or not counts.shape == means.shape == variances.shape:
        raise InvalidInput("a test that arms are equal needs a count, a mean and a variance of two or more arms")
    if (counts < 0).any() or (variances < 0).any() or not np.isfinite(counts).all():
        raise InvalidInput("counts and variances of arms are not negative, and counts are finite")
    if not np.isfinite(means[counts >= 1]).all() or not np.isfinite(variances[counts >= 2]).all():
        raise InvalidInput("means and variances of arms with units must be finite numbers")
    return counts, means, variances


def _each_varies(n: FloatArray, variance: FloatArray) -> Caution | None:
    if (n < 2).any():
        return Caution.TOO_FEW
    return None if (variance > 0.0).all() else Caution.NO_VARIANCE


def _deviation(n: FloatArray, mean: FloatArray, variance: FloatArray) -> FloatArray:
    """Means beside their common one, in which each arm weighs as much as is known of it."""
    weight, shift = n / variance, mean - mean[0]
    return np.asarray(shift - (weight * shift).sum() / weight.sum())


def _f_test(method: str, statistic: float, between: float, within: float) -> Omnibus:
    return Omnibus(
        method=method,
        statistic=statistic,
        df_between=between,
        df_within=within,
        p_value=float(fdtrc(between, within, statistic)),
    )


def _chi_square(method: str, statistic: float, df: float) -> Omnibus:
    return Omnibus(method=method, statistic=statistic, df_between=df, p_value=float(chdtrc(df, statistic)))
