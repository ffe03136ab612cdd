"""How large the largest of several correlated test statistics gets by chance: what simultaneous inference rests on.

`Largest` is the distribution of max |T| (or max T) over k statistics that are standard normal, or are divided by one
common estimate of their scale, so that each is Student's t. It holds one curve: by what factor looking at k of them
multiplies the tail of one. Every p-value and critical value, at any degrees of freedom, is read from that curve. All of
it is deterministic quadrature on fixed points: the same numbers, at every call, on every machine.

* `sharing_one`: correlations are products of loadings, ρ_ij = λ_i λ_j, as when several arms are compared with one.
  Given the shared part the statistics are independent, so the integral has one dimension, whatever k is.
* `all_pairs_of`: the range of k independent arms (Tukey's studentised range, divided by √2 to be on the scale of t).
* `correlated`: any correlation matrix; product-structured ones are recognised, others use a lattice rule.

Accuracy: about 1e-8 of the p-value itself (so small ones keep their digits) for k up to 100 and correlations up to .98;
about .002 of it for the lattice rule.

References:
    Dunnett, "A multiple comparison procedure for comparing several treatments with a control", JASA 50 (1955).
    Dunnett & Sobel, Biometrika 42 (1955): the product structure. Copenhaver & Holland, JSCS 30 (1988): the range.
    Owen, Maximov & Chertkov, "Importance sampling the union of rare events with an application to power systems
    analysis", Electronic Journal of Statistics 13 (2019). Richtmyer (1951): the lattice.
    Trefethen & Weideman, "The exponentially convergent trapezoidal rule", SIAM Review 56 (2014).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.interpolate import BSpline, make_interp_spline
from scipy.special import log_ndtr, ndtr, ndtri, stdtrit

from vedette.evidence.summary import FloatArray
from vedette.kernel.errors import InvalidInput
from vedette.stats.sequential import Side, require_alpha

_FAR, _NEAR = 12.0, -9.0
"""Beyond these values the factor no longer changes to any digit that matters."""
_STEP = 0.35
"""Step of the trapezoidal rule beside the width of the integrand: its error falls as exp(-2 (π width / step)²)."""
_SCALES = 256
"""Points of the integral over the estimated scale."""


@dataclass(frozen=True, slots=True, eq=False)
class Largest:
    """Distribution of the largest of some statistics: of their sizes for side `BOTH`, else of the statistics.

    Side `LESS` is `GREATER` with the signs turned: give it `-t`.
    """

    side: Side
    count: int
    factor: BSpline

    def survival(self, value: ArrayLike, df: ArrayLike = math.inf) -> FloatArray:
        """Probability that the largest exceeds `value`: the p-value adjusted for having looked at all of them.

        Args:
            value: Observed statistics, any shape; their sizes count for side `BOTH`. NaN stays NaN.
            df: Degrees of freedom of the common scale, above 0; infinite for normal statistics. Broadcasts.

        Raises:
            InvalidInput: Degrees of freedom are not above 0.
        """
        value, df = np.broadcast_arrays(np.asarray(value, np.float64), np.asarray(df, np.float64))
        return np.minimum(np.exp(self._log_survival(np.abs(value) if self.side is Side.BOTH else value, df)), 1.0)

    def critical(self, alpha: float, df: ArrayLike = math.inf) -> FloatArray:
        """Value that the largest exceeds with probability `alpha`: estimate ± value · standard error hold together.

        Args:
            alpha: Between 0 and 0.5.
            df: Degrees of freedom, any shape; NaN stays NaN.

        Raises:
            InvalidInput: `alpha` is not between 0 and 0.5, or degrees of freedom are not above 0.
        """
        require_alpha(alpha)
        degrees, place = np.unique(np.asarray(df, np.float64), return_inverse=True)
        # The quantile of one statistic is too small, that of Bonferroni too large; between them log P is nearly a line.
        high = np.log(self._single_quantile(alpha / self.count, degrees))
        low = np.log(self._single_quantile(alpha, degrees))
        goal = math.log(alpha)
        at_low = self._log_survival(np.exp(low), degrees) - goal
        for _ in range(30):
            at_high = self._log_survival(np.exp(high), degrees) - goal
            slope = np.where(high == low, 1.0, (at_high - at_low) / np.where(high == low, 1.0, high - low))
            step = np.where(np.isnan(at_high) | (slope == 0.0), 0.0, -at_high / np.where(slope == 0.0, 1.0, slope))
            if not (np.abs(at_high[~np.isnan(at_high)]) > 1e-13).any() or not (np.abs(step) > 1e-13).any():
                break
            low, at_low, high = high, at_high, high + step
        return np.exp(high)[place].reshape(np.shape(df))

    def _single_quantile(self, tail: float, df: FloatArray) -> FloatArray:
        tail = tail / 2.0 if self.side is Side.BOTH else tail
        return np.asarray(np.where(np.isinf(df), -ndtri(tail), -stdtrit(np.where(np.isinf(df), 1.0, df), tail)))

    def _log_survival(self, value: FloatArray, df: FloatArray) -> FloatArray:
        """Average the normal survival at value · s over s, the estimated scale as a multiple of the true one.

        The points are equally spaced in log s, from where a large value makes small scales the likely ones upwards.
        """
        if np.any(df <= 0.0):
            raise InvalidInput("degrees of freedom must be above 0", hint="use infinity for normal statistics")
        result = self._log_normal(value)
        rough = np.isfinite(df) & ~np.isnan(value)
        result[np.isnan(df)] = np.nan
        if rough.any():
            v, nu = value[rough][:, None], df[rough][:, None]
            spread = 6.2 / np.sqrt(nu)
            start = -0.5 * np.log1p(np.maximum(v, 0.0) ** 2 / nu) - spread - 37.0 / nu
            log_s = start + (np.minimum(spread, 2.5) - start) * np.linspace(0.0, 1.0, _SCALES)
            log_weight = nu * (log_s - 0.5 * np.expm1(2.0 * log_s))
            terms = log_weight + self._log_normal(v * np.exp(log_s))
            result[rough] = np.logaddexp.reduce(terms, axis=-1) - np.logaddexp.reduce(log_weight, axis=-1)
        return result

    def _log_normal(self, value: FloatArray) -> FloatArray:
        tail = log_ndtr(-value) + (math.log(2.0) if self.side is Side.BOTH else 0.0)
        return np.asarray(tail + self.factor(np.clip(value, _NEAR, _FAR)))


def sharing_one(loadings: ArrayLike, side: Side = Side.BOTH) -> Largest:
    """Largest of statistics with correlations λ_i λ_j: comparisons of several arms with one (Dunnett).

    Args:
        loadings: λ, shape (k,), from -1 to 1; for independent arms √v₀ / √(v₀ + v_i), with v the variances of means.
        side: Which departures count.

    Raises:
        InvalidInput: There are none, or one is not from -1 to 1.
    """
    given = np.asarray(loadings, np.float64).ravel()
    if not given.size or not (np.abs(given) <= 1.0).all():
        raise InvalidInput("loadings lie from -1 to 1, and there is at least one")
    distinct, times = np.unique(given.round(12), return_counts=True)
    # Correlations above .99998 are taken as that: more needs ever finer steps.
    own = np.sqrt(np.maximum(1.0 - distinct * distinct, 2e-5))
    two_sided = side is Side.BOTH
    step = _STEP * float(own.min())
    # Large values come with a shared part of about the loading times as much. The two-sided integrand is even.
    end = 9.0 + _FAR * (float(np.abs(distinct).max()) if two_sided else max(float(distinct.max()), 0.0))
    start = 0.0 if two_sided else -9.0 + _FAR * min(float(distinct.min()), 0.0)
    shared = start + step * np.arange(math.ceil((end - start) / step) + 1)
    weight = np.exp(-0.5 * shared * shared) * step / math.sqrt(2.0 * math.pi)
    if two_sided:
        weight[1:] *= 2.0
    shift = shared[:, None] * (distinct / own)

    def survival(value: FloatArray) -> FloatArray:
        kept = np.zeros((value.size, shared.size))
        for j, scale in enumerate(own):
            reach = value[:, None] / scale
            tail = ndtr(shift[:, j] - reach)
            if two_sided:
                tail = np.minimum(tail + ndtr(-shift[:, j] - reach), 1.0)
            kept += times[j] * np.log1p(-tail)
        return np.asarray(-np.expm1(kept) @ weight)

    return _tabulated(survival, side, given.size)


def all_pairs_of(arms: int) -> Largest:
    """Largest of all pairwise differences of independent arms with one variance, each over its standard error (Tukey).

    With unequal variances it is an upper bound (Tukey-Kramer; Hayter, Annals of Statistics 12, 1984).

    Raises:
        InvalidInput: There are fewer than two arms.
    """
    if arms < 2:
        raise InvalidInput("pairwise comparisons need at least two arms")
    top = np.arange(-9.0, math.sqrt(2.0) * _FAR + 9.0, 0.2)
    weight = np.exp(-0.5 * top * top) * 0.2 / math.sqrt(2.0 * math.pi)
    below = ndtr(top)
    weight *= arms * below ** (arms - 1)

    def survival(value: FloatArray) -> FloatArray:
        # Of those below the largest, at least one is so far below: the complement keeps the digits of small tails.
        far = np.minimum(ndtr(top - math.sqrt(2.0) * value[:, None]) / below, 1.0)
        return np.asarray(-np.expm1((arms - 1) * np.log1p(-far)) @ weight)

    return _tabulated(survival, Side.BOTH, arms * (arms - 1) // 2)


def correlated(correlation: ArrayLike, side: Side = Side.BOTH) -> Largest:
    """Largest of statistics with any correlation matrix, by a fixed lattice where it has no product structure.

    Raises:
        InvalidInput: It is no correlation matrix: square, symmetric, ones on the diagonal, no negative eigenvalue.
    """
    matrix = np.asarray(correlation, np.float64)
    _check_correlation(matrix)
    loadings = _loadings(matrix)
    if loadings is not None:
        return sharing_one(loadings, side)
    value, vector = np.linalg.eigh(matrix)
    kept = value > 1e-12 * len(matrix)
    # Richtmyer's lattice: fractional parts of the multiples of square roots of primes.
    size = 4093 if len(matrix) <= 8 else 1021
    points = np.arange(1, size + 1)[:, None] * np.sqrt(_primes(int(kept.sum()))) % 1.0
    plain = ndtri(points) @ (vector[:, kept] * np.sqrt(value[kept])).T
    return _tabulated(lambda at: _union(at, plain, matrix, side), side, len(matrix), points=29)


def _union(at: FloatArray, plain: FloatArray, matrix: FloatArray, side: Side) -> FloatArray:
    """Probability that any statistic exceeds each value: the sum of their tails, less what is counted twice.

    Each statistic in turn is drawn from its tail and the others given it; where S of them exceed, each of these draws
    counts for 1/S (Owen et al. 2019). The share that counts is never small, so neither is its relative error large.

    Args:
        at: Values.
        plain: Points of the joint distribution, shape (points, k); their first tail is carried into the tail.
        matrix: Correlations.
        side: Which departures count.
    """
    two_sided = side is Side.BOTH
    tail = ndtr(-at)
    counted = np.zeros(at.size)
    for i, correlations in enumerate(matrix):
        own = plain[:, i]
        sign = np.sign(own) if two_sided else np.ones_like(own)
        rest = ndtr(-sign * own) * (2.0 if two_sided else 1.0)
        for place, value in enumerate(at.tolist()):
            drawn = plain + np.multiply.outer(-sign * ndtri(tail[place] * rest) - own, correlations)
            exceeding = (np.abs(drawn) if two_sided else drawn) > value - 1e-9
            counted[place] += (1.0 / np.maximum(np.count_nonzero(exceeding, axis=-1), 1)).mean()
    return np.asarray(tail * (2.0 if two_sided else 1.0) * counted)


def _tabulated(survival: Callable[[FloatArray], FloatArray], side: Side, count: int, *, points: int = 129) -> Largest:
    """Keep the logarithm of the survival beside that of one statistic, as a smooth curve."""
    # Sizes are all small together near 0: there the points are closer.
    grid = _FAR * np.linspace(0.0, 1.0, points) ** 1.6 if side is Side.BOTH else np.linspace(_NEAR, _FAR, points)
    with np.errstate(divide="ignore"):  # a statistic that is certain to exceed has log(0) of not doing so
        together = np.log(survival(grid))
    alone = log_ndtr(-grid) + (math.log(2.0) if side is Side.BOTH else 0.0)
    return Largest(side, count, make_interp_spline(grid, together - alone, k=5))


def _check_correlation(matrix: FloatArray) -> None:
    square = matrix.ndim == 2 and matrix.shape[0] == matrix.shape[1] and matrix.size > 0
    if not (
        square
        and np.isfinite(matrix).all()
        and np.allclose(matrix, matrix.T, atol=1e-9)
        and np.allclose(np.diagonal(matrix), 1.0, atol=1e-9)
        and np.linalg.eigvalsh(matrix).min() > -1e-8
    ):
        raise InvalidInput(
            "a correlation matrix is square and symmetric, with ones on its diagonal and no negative eigenvalue",
            hint="divide a covariance matrix by its standard deviations",
        )


def _loadings(matrix: FloatArray) -> FloatArray | None:
    """Find λ with ρ_ij = λ_i λ_j; None if there is none."""
    off = matrix - np.diag(np.diagonal(matrix))
    size = np.abs(off)
    if size.max() < 1e-12:
        return np.zeros(len(matrix))
    first, second = np.unravel_index(int(size.argmax()), size.shape)
    third = int(np.minimum(size[first], size[second]).argmax())
    square = size[first, second]
    if min(size[first, third], size[second, third]) > 1e-12:
        square = off[first, second] * off[first, third] / off[second, third]
    if square <= 0.0:
        return None
    loadings = off[first] / math.sqrt(square)
    loadings[first] = math.sqrt(square)
    fitted = np.outer(loadings, loadings)
    np.fill_diagonal(fitted, 0.0)
    return loadings if np.abs(fitted - off).max() < 1e-9 and np.abs(loadings).max() < 1.0 else None


def _primes(count: int) -> FloatArray:
    found: list[int] = []
    candidate = 2
    while len(found) < count:
        if all(candidate % prime for prime in found):
            found.append(candidate)
        candidate += 1
    return np.array(found, np.float64)
