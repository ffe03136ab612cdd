"""Which arms differ: many comparisons of one metric, whose p-values and intervals hold together.

All of it works from the arms' estimates and the variances of those, never from raw values, so that it serves means,
proportions, ratios, adjusted and clustered estimates alike. Bonferroni's correction is blind to how alike comparisons
are; these methods know it and give shorter intervals for the same promise:

* `dunnett`: every arm with one control. Exact for normal values of one variance, whatever the arms' sizes.
* `tukey`: all pairs, arms of one variance (Tukey-Kramer); exact for equal sizes, otherwise a little cautious.
* `games_howell`: all pairs, each arm with its own variance.
* `compare_pairs`: any pairs of any correlated estimates (models judged on the same prompts; the leader with the rest).

Where arms keep their own variances, each pair has the degrees of freedom of Welch and Satterthwaite. Adjusted p-value
and simultaneous interval come from one distribution (`stats.largest`), so they never contradict each other.

References:
    Dunnett, JASA 50 (1955); "New tables for multiple comparisons with a control", Biometrics 20 (1964).
    Dunnett & Tamhane, "Step-down multiple tests for comparing treatments with a control", Stat. in Medicine 10 (1991).
    Kramer, Biometrics 12 (1956). Hayter, Annals of Statistics 12 (1984). Games & Howell, J. Educ. Stat. 1 (1976).
    Hasler & Hothorn, "Multiple contrast tests in the presence of heteroscedasticity", Biometrical Journal 50 (2008).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vedette.evidence.summary import FloatArray
from vedette.kernel.errors import InvalidInput
from vedette.stats.cautions import Caution
from vedette.stats.largest import Largest, all_pairs_of, correlated, sharing_one
from vedette.stats.sequential import Side, require_alpha, signed

PlaceArray = NDArray[np.signedinteger[Any]]
"""Places of arms."""

PlacePair = tuple[int, int]
"""Places of a treatment and of its reference among the arms."""


@dataclass(frozen=True, slots=True, eq=False)
class Means:
    """Independent estimates of two or more arms; an arm whose variance is NaN is in no comparison.

    Attributes:
        estimate: Estimates, shape (k,).
        variance: Squared standard errors of the estimates, shape (k,).
        degrees: Degrees of freedom of the variances: one number if all arms share one variance, else shape (k,), which
            gives each pair those of Welch and Satterthwaite. Infinite if variances are taken as known.
    """

    estimate: FloatArray
    variance: FloatArray
    degrees: FloatArray

    def __post_init__(self) -> None:
        """Refuse shapes that do not fit together."""
        k = self.estimate.size
        if k < 2 or not self.estimate.shape == self.variance.shape == (k,) or self.degrees.shape not in ((), (k,)):
            raise InvalidInput("comparisons need one estimate and one variance of each of two or more arms")
        if (self.variance < 0.0).any() or (self.degrees < 0.0).any():
            raise InvalidInput("variances and degrees of freedom of arms are not negative")

    @classmethod
    def of(cls, estimate: ArrayLike, variance: ArrayLike, degrees: ArrayLike = math.inf) -> "Means":
        """Take estimates, however they came about, with the variances of these estimates (squared standard errors)."""
        return cls(*(np.array(values, np.float64) for values in (estimate, variance, degrees)))

    @classmethod
    def separate(cls, n: ArrayLike, mean: ArrayLike, variance: ArrayLike) -> "Means":
        """Take the moments of arms that have each their own variance; unknown with fewer than two units."""
        counts = np.asarray(n, np.float64)
        known = np.where(counts > 1, counts, np.nan)
        return cls.of(mean, np.asarray(variance, np.float64) / known, np.maximum(counts - 1.0, 0.0))

    @classmethod
    def pooled(cls, n: ArrayLike, mean: ArrayLike, variance: ArrayLike) -> "Means":
        """Take the moments of arms that share one variance; unknown when no arm has two units."""
        counts, variances = np.asarray(n, np.float64), np.asarray(variance, np.float64)
        spread = float(((counts - 1.0) * np.where(counts > 1, variances, 0.0))[counts > 1].sum())
        degrees = float((counts[counts > 1] - 1.0).sum())
        shared = spread / degrees if degrees else math.nan
        return cls.of(mean, shared / np.where(counts > 0, counts, np.nan), degrees)

    def pair_degrees(self, treatment: PlaceArray, reference: PlaceArray) -> FloatArray:
        """Degrees of freedom of pairs, given the places of their arms (Satterthwaite, unless variances are shared)."""
        if not self.degrees.ndim:
            return np.full(treatment.shape, float(self.degrees))
        parts = [
            self.variance[arm] ** 2 / np.where(self.degrees[arm] > 0, self.degrees[arm], np.nan)
            for arm in (treatment, reference)
        ]
        below = parts[0] + parts[1]
        above = (self.variance[treatment] + self.variance[reference]) ** 2
        return np.where(below == 0.0, np.inf, above / np.where(below == 0.0, 1.0, below))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ManyComparisons:
    """Comparisons that hold together; arrays with one entry a pair, NaN where `warnings` say why.

    Attributes:
        method: How they were made to hold together.
        pairs: Places of treatment and reference.
        effect: Treatment minus reference.
        standard_error: Of the effect.
        df: Degrees of freedom.
        statistic: Effect over standard error.
        p_value: Adjusted p-value against "no effect" (for one side: none, or the other way).
        critical: Statistic at which a pair is significant; the interval is effect ± critical · standard error.
        low: Lower end of the simultaneous interval; minus infinity for side `LESS`.
        high: Upper end; infinity for side `GREATER`.
        warnings: For each pair, why its numbers are NaN, or None.
    """

    method: str
    pairs: tuple[PlacePair, ...]
    effect: FloatArray
    standard_error: FloatArray
    df: FloatArray
    statistic: FloatArray
    p_value: FloatArray
    critical: FloatArray
    low: FloatArray
    high: FloatArray
    warnings: tuple[Caution | None, ...]


def dunnett(means: Means, *, control: int = 0, alpha: float = 0.05, side: Side = Side.BOTH) -> ManyComparisons:
    """Compare every arm with one control.

    Args:
        means: The arms.
        control: Place of the control.
        alpha: Probability that any comparison misleads, between 0 and 0.5.
        side: Which departures count.

    Raises:
        InvalidInput: There is no such control, or `alpha` is out of range.
    """
    require_alpha(alpha)
    pairs = _with_control(means, control)
    drawn = _Drawn.of(means, pairs)
    known = drawn.known
    largest = sharing_one(_loadings(means, control, drawn.standard_error[known]), side) if known.any() else None
    return drawn.judged("dunnett", largest, alpha, side)


def step_down_dunnett(means: Means, *, control: int = 0, side: Side = Side.BOTH) -> FloatArray:
    """Adjusted p-values of every arm's comparison with the control, by steps: never larger than those of `dunnett`.

    The clearest comparison is judged among all, the next one among the rest, and so on (Dunnett & Tamhane 1991). They
    keep the family-wise error rate, and have no intervals of their own: those of `dunnett` are compatible with them.

    Returns:
        One p-value for each arm but the control, in the order of the arms; NaN where undefined.

    Raises:
        InvalidInput: There is no such control.
    """
    drawn = _Drawn.of(means, _with_control(means, control))
    statistic = signed(drawn.statistic, side)
    places = np.flatnonzero(drawn.known)
    alone = sharing_one([0.0], side).survival(statistic, drawn.df)
    order = places[np.argsort(alone[places], kind="stable")]
    adjusted, reached = np.full(statistic.shape, np.nan), 0.0
    for step, place in enumerate(order):
        loadings = _loadings(means, control, drawn.standard_error[order[step:]])
        reached = max(reached, float(sharing_one(loadings, side).survival(statistic[place], drawn.df[place])))
        adjusted[place] = reached
    return adjusted


def tukey(n: ArrayLike, mean: ArrayLike, variance: ArrayLike, *, alpha: float = 0.05) -> ManyComparisons:
    """Compare all pairs of arms that share one variance, from their moments (Tukey-Kramer)."""
    return all_pairs(Means.pooled(n, mean, variance), alpha=alpha)


def games_howell(n: ArrayLike, mean: ArrayLike, variance: ArrayLike, *, alpha: float = 0.05) -> ManyComparisons:
    """Compare all pairs of arms that have each their own variance, from their moments (Games & Howell 1976)."""
    return all_pairs(Means.separate(n, mean, variance), alpha=alpha)


def all_pairs(means: Means, *, alpha: float = 0.05) -> ManyComparisons:
    """Compare all pairs: `tukey` where arms share their degrees of freedom, else `games_howell`.

    Pairs are (1, 0), (2, 0), (2, 1), …: the later arm is the treatment.

    Raises:
        InvalidInput: `alpha` is not between 0 and 0.5.
    """
    require_alpha(alpha)
    k = means.estimate.size
    drawn = _Drawn.of(means, [(later, earlier) for later in range(k) for earlier in range(later)])
    arms = {place for pair, known in zip(drawn.pairs, drawn.known, strict=True) if known for place in pair}
    largest = all_pairs_of(len(arms)) if arms else None
    return drawn.judged("games-howell" if means.degrees.ndim else "tukey", largest, alpha, Side.BOTH)


def compare_pairs(
    estimates: ArrayLike,
    covariance: ArrayLike,
    pairs: Sequence[PlacePair],
    *,
    df: float = math.inf,
    alpha: float = 0.05,
    side: Side = Side.BOTH,
) -> ManyComparisons:
    """Compare the pairs one cares for, of estimates that may be correlated.

    Args:
        estimates: One estimate an arm, shape (k,).
        covariance: Covariance of the estimates, shape (k, k).
        pairs: Places of treatment and reference; at least one pair.
        df: Degrees of freedom that all of the covariance shares.
        alpha: Probability that any comparison misleads, between 0 and 0.5.
        side: Which departures count.

    Raises:
        InvalidInput: Shapes do not fit, a pair names no arm or one arm twice, or a number is out of its range.
    """
    require_alpha(alpha)
    means, matrix = np.asarray(estimates, np.float64), np.asarray(covariance, np.float64)
    k = means.size
    if means.shape != (k,) or matrix.shape != (k, k) or not pairs:
        raise InvalidInput("pairs of arms need one estimate an arm, a square of covariances and at least one pair")
    if any(len({*pair} & {*range(k)}) != 2 for pair in pairs):
        raise InvalidInput(f"a pair names two different arms, by places from 0 to {k - 1}")
    if not df > 0.0:
        raise InvalidInput(f"degrees of freedom must be above 0, not {df}")
    rows = np.zeros((len(pairs), k))
    for row, (treatment, reference) in zip(rows, pairs, strict=True):
        row[treatment], row[reference] = 1.0, -1.0
    used = np.nan_to_num(matrix, nan=0.0)
    # An arm that is unknown spoils only its own pairs.
    unknown = (np.abs(rows) @ np.isnan(np.diagonal(matrix) + means)) > 0.0
    between = rows @ used @ rows.T
    error = np.sqrt(np.where(unknown, np.nan, np.maximum(np.diagonal(between), 0.0)))
    drawn = _Drawn(tuple(pairs), rows @ np.nan_to_num(means), error, np.full(len(pairs), df))
    known = drawn.known
    largest = None
    if known.any():
        largest = correlated(between[np.ix_(known, known)] / np.outer(error[known], error[known]), side)
    return drawn.judged("max-modulus", largest, alpha, side)


def max_modulus_critical(
    correlation: ArrayLike, alpha: float, *, df: float = math.inf, side: Side = Side.BOTH
) -> float:
    """Critical value of the largest of statistics with this correlation matrix, shape (k, k).

    Exact to six digits where correlations are products (many to one), to three otherwise; see `stats.largest`.

    Raises:
        InvalidInput: It is no correlation matrix, or a number is out of its range.
    """
    return float(correlated(correlation, side).critical(alpha, df))


@dataclass(frozen=True, slots=True, eq=False)
class _Drawn:
    """Pairs with their effects, before they are judged together."""

    pairs: tuple[PlacePair, ...]
    effect: FloatArray
    standard_error: FloatArray
    df: FloatArray

    @classmethod
    def of(cls, means: Means, pairs: Sequence[PlacePair]) -> "_Drawn":
        treatment, reference = np.array(pairs, np.intp).T
        return cls(
            tuple(pairs),
            means.estimate[treatment] - means.estimate[reference],
            np.sqrt(means.variance[treatment] + means.variance[reference]),
            means.pair_degrees(treatment, reference),
        )

    @property
    def known(self) -> FloatArray:
        """Which pairs can be judged: the others are no part of the family."""
        return np.asarray((self.standard_error > 0.0) & np.isfinite(self.effect) & (self.df > 0.0))

    @property
    def statistic(self) -> FloatArray:
        return np.where(self.known, self.effect, np.nan) / np.where(self.known, self.standard_error, 1.0)

    def judged(self, method: str, largest: Largest | None, alpha: float, side: Side) -> ManyComparisons:
        statistic = self.statistic
        if largest is None:
            p_value = critical = np.full(statistic.shape, np.nan)
        else:
            df = np.where(self.known, self.df, np.nan)
            p_value, critical = largest.survival(signed(statistic, side), df), largest.critical(alpha, df)
        half = critical * self.standard_error
        return ManyComparisons(
            method=method,
            pairs=self.pairs,
            effect=self.effect,
            standard_error=self.standard_error,
            df=self.df,
            statistic=statistic,
            p_value=p_value,
            critical=critical,
            low=np.full_like(half, -np.inf) if side is Side.LESS else self.effect - half,
            high=np.full_like(half, np.inf) if side is Side.GREATER else self.effect + half,
            warnings=tuple(
                None if known else Caution.NO_VARIANCE if error == 0.0 else Caution.TOO_FEW
                for known, error in zip(self.known, self.standard_error, strict=True)
            ),
        )


def _loadings(means: Means, control: int, standard_error: FloatArray) -> FloatArray:
    """How much of each comparison's noise is the control's: ρ_ij = v₀ / (se_i se_j) is their product."""
    return np.asarray(math.sqrt(float(means.variance[control])) / standard_error)


def _with_control(means: Means, control: int) -> list[PlacePair]:
    k = means.estimate.size
    if not 0 <= control < k:
        raise InvalidInput(f"there is no arm {control} to be the control", hint=f"places go from 0 to {k - 1}")
    return [(arm, control) for arm in range(k) if arm != control]
