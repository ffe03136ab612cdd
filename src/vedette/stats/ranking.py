"""Who is best, and how sure that is.

The arm that did best in the data need not be the best. An arm's *rank interval* runs from one more than the arms that
are surely better to k less those that are surely worse; as all pairs are judged together, all rank intervals hold the
true ranks together.

The *winner* is an arm that beats every other one, each in a one-sided test at alpha / 2. No correction is needed for
the number of arms: the claim is false where another arm is as good or better, and that one has to be beaten too. The
worst case is two equally good arms, each of which may seem to beat the other; then the claim is false with probability
alpha, and with more of them less often (Gutmann & Maymin 1987). While there is no winner, the *tied set* holds every
arm that may be the best (Hsu's comparison with the best, at alpha / 2; sharper for that question than the ranks are).
The set reported, winner or tied, misses a best arm with probability alpha at most.

Estimates are taken as normal, or as Student's t with the degrees of freedom of their variances. How good the best one
really is, given that it was picked for looking best, is in `stats.winners_curse`.

References:
    Klein, Wright & Wieczorek, "A joint confidence region for an overall ranking of populations", JRSS C 69 (2020).
    Mogstad, Romano, Shaikh & Wilhelm, "Inference for ranks with applications to mobility across neighbourhoods and
    academic achievement across countries", Review of Economic Studies 91 (2024).
    Hsu, "Constrained simultaneous confidence intervals for multiple comparisons with the best", Annals of Statistics 12
    (1984). Gutmann & Maymin, "Is the selected population the best?", Annals of Statistics 15 (1987).
    Benjamini & Braun, "John W. Tukey's contributions to multiple comparisons", Ann. Statist. 30 (2002): critical values
    of the studentised range are cautious for correlated estimates too (Tukey's generalised conjecture).
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import log_ndtr

from vedette.evidence.summary import FloatArray
from vedette.kernel.errors import InvalidInput
from vedette.stats.largest import Largest, all_pairs_of, correlated, sharing_one
from vedette.stats.many_means import Means
from vedette.stats.sequential import Side, require_alpha

Better = Literal["lower", "higher"]
"""Which way is better."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmRank:
    """Where one arm stands; ranks count from 1, the best.

    Attributes:
        arm: Its place among the arms given.
        rank: Its rank in the data; equal estimates share the better one.
        rank_low: Best rank it may truly have.
        rank_high: Worst rank it may truly have.
        may_be_best: Whether it is in the tied set.
        gap_low: Lower end of the interval of how much better it is than the best of the others; 0 at most.
        gap_high: Upper end; 0 at least.
        p_best: Probability that it is best, under a flat prior; None where estimates are correlated.
    """

    arm: int
    rank: int
    rank_low: int
    rank_high: int
    may_be_best: bool
    gap_low: float
    gap_high: float
    p_best: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranking:
    """All arms with their ranks.

    Attributes:
        arms: In the order given.
        winner: Place of the arm that is better than all others; None while another may be as good.
        tied: Places of the arms that cannot be told from the best, best estimate first; the winner alone if there is
            one.
        unranked: Places of arms of which too little is known; they are in no comparison.
        alpha: Probability, at most, that any rank interval misses the truth, that the winner is not better than all
            others, that the tied set misses a best arm; the gaps' intervals miss with half of it.
    """

    arms: tuple[ArmRank, ...]
    winner: int | None
    tied: tuple[int, ...]
    unranked: tuple[int, ...]
    alpha: float


def rank_intervals(low: ArrayLike, high: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Ranks that simultaneous intervals of all pairwise differences leave possible; 1 is the largest.

    Args:
        low: `low[i, j]` is the lower end for arm i less arm j, shape (k, k); the diagonal and NaN say nothing.
        high: The upper ends.

    Returns:
        Best and worst rank of each arm, whole numbers.

    Raises:
        InvalidInput: Shapes are not one square.
    """
    lows, highs = np.asarray(low, np.float64), np.asarray(high, np.float64)
    if lows.ndim != 2 or lows.shape[0] != lows.shape[1] or highs.shape != lows.shape:
        raise InvalidInput("rank intervals need the ends of all pairs, two squares of one size")
    off = ~np.eye(len(lows), dtype=bool)
    return 1.0 + ((highs < 0.0) & off).sum(axis=1), len(lows) - ((lows > 0.0) & off).sum(axis=1).astype(np.float64)


def rank_arms(
    estimates: ArrayLike,
    covariance: ArrayLike,
    *,
    degrees: ArrayLike = math.inf,
    better: Better = "higher",
    alpha: float = 0.05,
    critical: float | None = None,
    winner_critical: float | None = None,
) -> Ranking:
    """Rank arms with intervals that hold together, and say which may be the best.

    Args:
        estimates: One estimate an arm, shape (k,).
        covariance: Variances of the estimates, shape (k,), or their covariances, shape (k, k).
        degrees: Degrees of freedom of the variances: one number, or one for each arm (Welch and Satterthwaite).
        better: Which way is better.
        alpha: Probability that any rank interval misleads, and that a winner is none; between 0 and 0.5.
        critical: Critical value to use for all pairs and for the tied set instead of the fixed-horizon ones, such as
            that of a confidence sequence at this look. It must hold for every pair together.
        winner_critical: That of a single comparison, to one side at alpha / 2, for the winner; `critical` unless given,
            or Student's where that is not given either.

    Returns:
        Arms whose estimate or variance is NaN are left out, and named in `unranked`.

    Raises:
        InvalidInput: Fewer than two arms are known, shapes do not fit, or a number is out of its range.
    """
    require_alpha(alpha)
    means, matrix, independent = normal_estimates(estimates, covariance)
    df = np.asarray(degrees, np.float64)
    known = np.isfinite(means) & np.isfinite(np.diagonal(matrix)) & (df > 0.0)
    places = np.flatnonzero(known)
    if places.size < 2:
        raise InvalidInput("ranking needs at least two arms with an estimate and its variance")
    value, spread = means[places] * (1.0 if better == "higher" else -1.0), matrix[np.ix_(places, places)]
    if df.ndim and not independent:
        raise InvalidInput("correlated estimates share one number of degrees of freedom", hint="give their smallest")
    gaps = _Gaps.of(value, spread, df[places] if df.ndim else df)
    pairs = gaps.pairs_critical(alpha) if critical is None else np.full_like(gaps.error, critical)
    best = gaps.best_critical(0.5 * alpha) if critical is None else pairs
    ahead = np.all(gaps.beats(alpha, critical if winner_critical is None else winner_critical), axis=1)
    rank_low, rank_high = rank_intervals(gaps.gap - pairs * gaps.error, gaps.gap + pairs * gaps.error)
    running, gap_low, gap_high = _constrained(gaps.gap, best * gaps.error, best.T * gaps.error)
    may_be_best = ahead if ahead.any() else running
    share = probability_best(value, np.diagonal(spread)) if independent else None
    arms = tuple(
        ArmRank(
            arm=int(place),
            rank=1 + int((value > value[i]).sum()),
            rank_low=int(rank_low[i]),
            rank_high=int(rank_high[i]),
            may_be_best=bool(may_be_best[i]),
            gap_low=float(gap_low[i]),
            gap_high=float(gap_high[i]),
            p_best=None if share is None else float(share[i]),
        )
        for i, place in enumerate(places)
    )
    order = np.argsort(-value, kind="stable")
    return Ranking(
        arms=arms,
        winner=int(places[ahead][0]) if ahead.any() else None,
        tied=tuple(arms[i].arm for i in order if arms[i].may_be_best),
        unranked=tuple(np.flatnonzero(~known).tolist()),
        alpha=alpha,
    )


def probability_best(estimates: ArrayLike, variances: ArrayLike, *, better: Better = "higher") -> FloatArray:
    """Probability that each arm is the best, its value being normal about its estimate, independently of the others.

    With posterior means and variances it is the posterior probability; with estimates, that under a flat prior. It
    is no error rate: with equal arms it passes .95 far more often than one time in twenty when looked at repeatedly.
    An exact tie, which needs arms without variance, is shared equally. Sums to 1.

    Raises:
        InvalidInput: Fewer than two arms, or a number that is not finite, or a negative variance.
    """
    means, matrix, _ = normal_estimates(estimates, np.ravel(np.asarray(variances, np.float64)))
    means, error = (means if better == "higher" else -means), np.sqrt(np.diagonal(matrix))
    if not (np.isfinite(means).all() and np.isfinite(error).all()):
        raise InvalidInput("who is best is a question about arms with finite estimates and variances")
    widest = float(error.max())
    if widest == 0.0:
        top = means == means.max()
        return np.asarray(top / top.sum())
    error = np.maximum(error, 1e-9 * widest)  # a known value is a very narrow one
    # Gauss-Legendre between points that follow every arm's density, so that narrow and wide arms are both seen.
    edges = np.unique(means[:, None] + error[:, None] * np.linspace(-9.0, 9.0, 19))
    node, weight = np.polynomial.legendre.leggauss(8)
    half = 0.5 * np.diff(edges)[:, None]
    at = (edges[:-1, None] + half * (1.0 + node)).ravel()
    z = (at - means[:, None]) / error[:, None]
    below = log_ndtr(z)
    log_share = below.sum(axis=0) - below - 0.5 * z * z - np.log(error)[:, None]
    share = np.exp(log_share) @ (half * weight).ravel()
    return np.asarray(share / share.sum())


@dataclass(frozen=True, slots=True, eq=False)
class _Gaps:
    """All differences of two arms, arrays of shape (k, k): row less column; an arm has no gap to itself."""

    gap: FloatArray
    error: FloatArray
    df: FloatArray
    spread: FloatArray

    @classmethod
    def of(cls, value: FloatArray, spread: FloatArray, degrees: FloatArray) -> "_Gaps":
        own = np.diagonal(spread)
        error = np.sqrt(np.maximum(own[:, None] + own - 2.0 * spread, 0.0))
        first, second = np.meshgrid(np.arange(len(error)), np.arange(len(error)), indexing="ij")
        return cls(value[:, None] - value, error, Means(value, own, degrees).pair_degrees(first, second), spread)

    def beats(self, alpha: float, critical: float | None) -> NDArray[np.bool_]:
        """Which row surely beats which column, in a test of these two alone at alpha / 2; all beat themselves."""
        needed = sharing_one([0.0], Side.GREATER).critical(0.5 * alpha, self.df) if critical is None else critical
        return np.asarray((self.gap > needed * self.error) | np.eye(len(self.gap), dtype=bool))

    def pairs_critical(self, alpha: float) -> FloatArray:
        """Critical values of all pairs together."""
        return all_pairs_of(len(self.gap)).critical(alpha, self.df)

    def best_critical(self, alpha: float) -> FloatArray:
        """Critical values by row: of all the others' comparisons with that row's arm, together and to one side."""
        k = len(self.gap)
        critical = np.zeros_like(self.gap)
        alike: dict[bytes, Largest] = {}
        for arm in range(k):
            rest = np.flatnonzero((np.arange(k) != arm) & (self.error[arm] > 0.0))
            if not rest.size:
                continue
            shared = self.spread[arm, arm] - self.spread[arm, rest]
            together = shared[:, None] - self.spread[rest, arm] + self.spread[np.ix_(rest, rest)]
            correlation = together / np.outer(self.error[arm, rest], self.error[arm, rest])
            key = correlation.round(9).tobytes()
            if key not in alike:
                alike[key] = correlated(correlation, Side.GREATER)
            critical[arm, rest] = alike[key].critical(alpha, self.df[arm, rest])
        return critical


def _constrained(
    gap: FloatArray, above: FloatArray, below: FloatArray
) -> tuple[NDArray[np.bool_], FloatArray, FloatArray]:
    """Which arms are in the running, and intervals of how much better each is than the best of the others (Hsu 1984).

    An arm is in the running if no other surely beats it. One that is not the best falls short of the best one, which is
    in the running; if an arm alone is, it is the best, and its interval starts at 0.
    """
    nothing = np.eye(len(gap), dtype=bool)
    high = np.where(nothing, np.inf, gap + above).min(axis=1)
    running = high >= 0.0
    low = np.where(nothing | ~running, np.inf, gap - below).min(axis=1)
    return running, np.minimum(low, 0.0), np.maximum(high, 0.0)


def normal_estimates(estimates: ArrayLike, covariance: ArrayLike) -> tuple[FloatArray, FloatArray, bool]:
    """Check and give estimates, their covariance matrix, and whether they are independent."""
    means, matrix = np.asarray(estimates, np.float64), np.asarray(covariance, np.float64)
    k = means.size
    matrix = np.diag(matrix) if matrix.shape == (k,) else matrix
    if k < 2 or means.shape != (k,) or matrix.shape != (k, k):
        raise InvalidInput("this needs one estimate an arm, two or more, and their variances or covariances")
    if (np.diagonal(matrix) < 0.0).any():
        raise InvalidInput("a variance is not negative")
    return means, matrix, not matrix[~np.eye(k, dtype=bool)].any()
