"""Two or more models judged on the same prompts: compared pair by pair, once, at a fixed horizon.

Prompts that are hard for one model are hard for the other. A test that treats the two columns of answers as strangers
throws that away and misses real differences; what counts is how the answers to the *same* prompt differ. Everywhere
the effect is treatment minus control, and evidence is against "the effect is the margin".

**Pairs that share a cause.** Prompts made from one document or topic are alike, so ten topics of a hundred prompts are
ten observations rather than a thousand: `paired_clusters` takes the noise between topics.

References:
    McNemar, Psychometrika 12 (1947); Fagerland, Lydersen & Laake, BMC Medical Research Methodology 13 (2013): mid-p.
    Tango, "Equivalence test and confidence interval for the difference in proportions for the paired-sample design",
    Statistics in Medicine 17 (1998).
    Bell & McCaffrey, Survey Methodology 28 (2002); MacKinnon, Nielsen & Webb, J. Econometrics 232 (2023): CR3.
    Kish, Survey Sampling (1965), §8.2 (effective number of unequal clusters).
    Hollander & Wolfe, Nonparametric Statistical Methods (1973), §3 (signed ranks, Hodges-Lehmann estimate).
    Friedman, JASA 32 (1937); Cochran, Biometrika 37 (1950).
"""

import math
from dataclasses import replace
from enum import StrEnum

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq
from scipy.special import bdtr, chdtrc, gammaln, ndtr, ndtri
from scipy.stats import rankdata

from vedette.evidence.summary import FloatArray, Moments, moments
from vedette.kernel.errors import InvalidInput
from vedette.stats.cautions import Caution
from vedette.stats.clusters import MINIMUM_CLUSTERS
from vedette.stats.finding import Finding, also, p_value_of, student, tail
from vedette.stats.sequential import Side, ends

_ROUNDING = 1e-14
"""What is smaller than this beside the values themselves is rounding."""

EXACT_UP_TO = 50
"""Largest number of untied differences whose signed ranks are counted out exactly."""


class McNemar(StrEnum):
    """How the p-value of a paired 2x2 table is found."""

    SCORE = "score"
    EXACT = "exact"
    MID_P = "mid_p"
    CHI_SQUARE = "chi_square"
    CORRECTED = "chi_square_corrected"


def paired_table(treatment: ArrayLike, control: ArrayLike) -> FloatArray:
    """Count pairs of answers, 1 right and 0 wrong, for `mcnemar`; prompts that lack an answer are left out.

    Raises:
        InvalidInput: The arrays differ in length or hold other values than 0, 1 and NaN.
    """
    first, second, _ = _pairs(treatment, control)
    if not (np.isin(first, (0.0, 1.0)).all() and np.isin(second, (0.0, 1.0)).all()):
        raise InvalidInput("right or wrong is said by 1 or 0", hint="for scores use paired_t or signed_rank")
    cell = (2.0 * (1.0 - first) + 1.0 - second).astype(np.intp)
    return np.bincount(cell, minlength=4).reshape(2, 2).astype(np.float64)


def mcnemar(
    table: ArrayLike,
    *,
    method: McNemar = McNemar.SCORE,
    alpha: float = 0.05,
    side: Side = Side.BOTH,
    margin: float = 0.0,
) -> Finding:
    """Compare two shares of successes on the same prompts: their difference, with Tango's score interval.

    The default p-value is the score test that the interval inverts, so the two never disagree; without a margin it is
    McNemar's chi-square, uncorrected. The other methods judge the discordant pairs alone and may disagree a little.

    Args:
        table: Counts of pairs, [[both succeed, treatment alone], [control alone, both fail]].
        method: How the p-value is found. The statistic is z for `SCORE`, the prompts treatment alone won for `EXACT`
            and `MID_P`, else chi-square.
        alpha: Probability that the interval misses the difference.
        side: Which departures count.
        margin: Difference tested; only with `SCORE`.

    Raises:
        InvalidInput: Not a 2x2 table of counts; a margin outside -1 to 1, or with another method than `SCORE`.
    """
    counts = np.asarray(table, np.float64)
    if counts.shape != (2, 2) or not (np.isfinite(counts) & (counts >= 0) & (counts == np.round(counts))).all():
        raise InvalidInput("a paired table has 2 rows and 2 columns of counts: whole numbers, 0 or more")
    if not -1.0 < margin < 1.0 or (margin and method is not McNemar.SCORE):
        raise InvalidInput(f"a margin of {margin} cannot be tested by {method}", hint="use the score method")
    z, n = -float(ndtri(tail(alpha, side))), float(counts.sum())
    plain = Finding(
        estimate=None,
        n=n,
        null=margin,
        side=side,
        method=f"McNemar {method.replace('_', ' ')} test, Tango score interval",
    )
    if not n:
        return also(plain, Caution.TOO_FEW)
    won, lost = float(counts[0, 1]), float(counts[1, 0])
    low, high = ends(-_tango_high(lost, won, n, z), _tango_high(won, lost, n, z), side)
    plain = replace(plain, estimate=(won - lost) / n, low=low, high=high)
    if not (won + lost or margin):
        return also(plain, Caution.NO_VARIANCE)
    if method is McNemar.SCORE:
        statistic = (won - lost - n * margin) / math.sqrt(_tango_variance(won, lost, n, margin))
        less, greater = float(ndtr(statistic)), float(ndtr(-statistic))
    else:
        statistic, less, greater = _discordant(won, lost, method)
    df = 1.0 if method in {McNemar.CHI_SQUARE, McNemar.CORRECTED} else None
    return replace(plain, p_value=p_value_of(less, greater, side), statistic=statistic, df=df)


def paired_t(
    treatment: ArrayLike, control: ArrayLike, *, alpha: float = 0.05, side: Side = Side.BOTH, margin: float = 0.0
) -> Finding:
    """Compare two means over the same prompts by Student's t of the differences; pairs with NaN are left out.

    Raises:
        InvalidInput: The arrays differ in length, or a value is infinite.
    """
    found, warnings = _differences(treatment, control)
    judged = paired_t_moments(moments(found), alpha=alpha, side=side, margin=margin)
    return also(judged, *warnings)


def paired_t_moments(
    of_differences: Moments[float], *, alpha: float = 0.05, side: Side = Side.BOTH, margin: float = 0.0
) -> Finding:
    """Do as `paired_t` from the moments of the differences alone."""
    n = of_differences.n
    if not n:
        return Finding(estimate=None, n=0.0, null=margin, side=side, method="paired t", warnings=(Caution.TOO_FEW,))
    error = math.sqrt(float(of_differences.mean_variance))
    return student(of_differences.mean, error, n - 1, n=n, method="paired t", alpha=alpha, side=side, null=margin)


def paired_clusters(
    treatment: ArrayLike,
    control: ArrayLike,
    clusters: ArrayLike,
    *,
    alpha: float = 0.05,
    side: Side = Side.BOTH,
    margin: float = 0.0,
) -> Finding:
    """Compare two means over the same prompts when prompts come in clusters: topics, documents, tenants.

    Args:
        treatment: One score a prompt; for right and wrong, 1 and 0. Pairs with NaN are left out.
        control: Scores of the same prompts in the same order.
        clusters: The cluster of each prompt: any labels.
        alpha: Probability that the interval misses the difference.
        side: Which departures count.
        margin: Difference tested.

    Raises:
        InvalidInput: The arrays differ in length, or a value is infinite.
    """
    labels = np.asarray(clusters).ravel()
    known = ~np.isnan(np.asarray(treatment, np.float64).ravel() - np.asarray(control, np.float64).ravel())
    if labels.shape != known.shape:
        raise InvalidInput(f"every prompt needs one cluster: there are {known.size} prompts and {labels.size} clusters")
    found, warnings = _differences(treatment, control)
    _, index = np.unique(labels[known], return_inverse=True)
    totals, sizes = np.bincount(index, found), np.bincount(index)
    return also(paired_cluster_sums(totals, sizes, alpha=alpha, side=side, margin=margin), *warnings)


def paired_cluster_sums(
    totals: ArrayLike, sizes: ArrayLike, *, alpha: float = 0.05, side: Side = Side.BOTH, margin: float = 0.0
) -> Finding:
    """Do as `paired_clusters` from the sum of the differences and the number of pairs in each cluster.

    The effect is the ratio of the sums, so every prompt weighs the same. Its variance leaves out each cluster in turn
    (jackknife, CR3); t has one degree of freedom less than the effective number of clusters (Kish), which is their
    number when they are equal. With fewer than 8 effective clusters there is an effect and no verdict.

    Raises:
        InvalidInput: Shapes differ, or a size is negative.
    """
    total, size = np.asarray(totals, np.float64).ravel(), np.asarray(sizes, np.float64).ravel()
    if total.shape != size.shape or not ((size >= 0).all() and np.isfinite(total).all()):
        raise InvalidInput("every cluster needs a finite total and a size of 0 or more")
    total, size = total[size > 0], size[size > 0]
    method = "paired mean over clusters, jackknife (CR3), t with effective clusters - 1"
    if not size.size:
        return Finding(estimate=None, n=0.0, null=margin, side=side, method=method, warnings=(Caution.TOO_FEW,))
    pairs = float(size.sum())
    effect, n = float(total.sum()) / pairs, pairs**2 / float((size**2).sum())
    if n < MINIMUM_CLUSTERS - _ROUNDING * n:
        few = (Caution.FEW_CLUSTERS,)
        return Finding(estimate=effect, n=n, null=margin, side=side, method=method, warnings=few)
    without = (total - effect * size) / (pairs - size)
    error = math.sqrt((1.0 - 1.0 / size.size) * float((without**2).sum()))
    return student(effect, error, n - 1.0, n=n, method=method, alpha=alpha, side=side, null=margin)


def signed_rank(
    treatment: ArrayLike, control: ArrayLike, *, alpha: float = 0.05, side: Side = Side.BOTH, margin: float = 0.0
) -> Finding:
    """Compare pairs by Wilcoxon's signed ranks; the estimate is the Hodges-Lehmann pseudo-median of the differences.

    Supposes that the differences lie symmetrically about it. Differences equal to the margin are left out of the test.
    Exact with up to 50 differences without ties, else by the normal without continuity correction. The statistic is
    the sum of the ranks above the margin; the interval holds the margins that the test does not reject.

    Raises:
        InvalidInput: The arrays differ in length, or a value is infinite.
    """
    found, warnings = _differences(treatment, control)
    found, outside, n = np.sort(found), tail(alpha, side), found.size
    name = "Wilcoxon signed rank, Hodges-Lehmann"
    plain = Finding(estimate=None, n=float(n), null=margin, side=side, method=name, warnings=warnings)
    if not n:
        return also(plain, Caution.TOO_FEW)
    walsh = n * (n + 1) // 2
    middle = [_walsh_average(found, k) for k in {(walsh + 1) // 2, walsh // 2 + 1}]
    plain = replace(plain, estimate=sum(middle) / len(middle))
    shifted = found - margin
    ranks = rankdata(np.abs(shifted[shifted != 0.0]))
    if not ranks.size:
        return also(plain, Caution.NO_VARIANCE)
    statistic = float(ranks[shifted[shifted != 0.0] > 0.0].sum())
    _, tied = np.unique(ranks, return_counts=True)
    if ranks.size == n <= EXACT_UP_TO and tied.max() == 1:
        below = _signed_rank_distribution(n)
        less, greater = below[int(statistic)], below[walsh - int(statistic)]
        k = int(np.searchsorted(below, outside, side="right"))
    else:
        spread = math.sqrt((_sum_of_squares(ranks.size) - float((tied**3 - tied).sum()) / 12.0) / 4.0)
        z = (statistic - ranks.sum() / 2.0) / spread
        less, greater = ndtr(z), ndtr(-z)
        k = math.ceil(walsh / 2.0 + float(ndtri(outside)) * math.sqrt(_sum_of_squares(n) / 4.0))
        plain = plain if ranks.size == n and tied.max() == 1 else also(plain, Caution.TIES)
    plain = replace(plain, p_value=p_value_of(float(less), float(greater), side), statistic=statistic)
    if k < 1:
        return also(plain, Caution.TOO_FEW)
    low, high = ends(_walsh_average(found, k), _walsh_average(found, walsh + 1 - k), side)
    return replace(plain, low=low, high=high)


def friedman(scores: ArrayLike) -> Finding:
    """Test whether any of k models differs from the others on the same prompts, by its ranks within each prompt.

    Scores have shape (prompts, models), 2 models or more; prompts that lack a score are left out. The finding has no
    estimate and no interval. With 2 models it is the sign test's chi-square.

    Raises:
        InvalidInput: Another shape, or an infinite score.
    """
    table, warnings = _by_model(scores)
    n, k = table.shape
    plain = Finding(estimate=None, n=float(n), method="Friedman chi-square", warnings=warnings)
    if not n:
        return also(plain, Caution.TOO_FEW)
    ranks = rankdata(table, axis=1) - (k + 1) / 2.0
    spread = float((ranks**2).sum())
    if not spread:
        return also(plain, Caution.NO_VARIANCE)
    chi_square = (k - 1) * float((ranks.sum(axis=0) ** 2).sum()) / spread
    return replace(plain, statistic=chi_square, df=k - 1.0, p_value=float(chdtrc(k - 1.0, chi_square)))


def cochran_q(outcomes: ArrayLike) -> Finding:
    """Test whether any of k models is right more often than the others on the same prompts: 1 right, 0 wrong.

    It is `friedman` of zeros and ones, and McNemar's uncorrected chi-square with 2 models; shapes and errors alike.
    """
    table, _ = _by_model(outcomes)
    if not np.isin(table, (0.0, 1.0)).all():
        raise InvalidInput("right or wrong is said by 1 or 0", hint="for scores use friedman")
    return replace(friedman(outcomes), method="Cochran's Q")


def _differences(treatment: ArrayLike, control: ArrayLike) -> tuple[FloatArray, tuple[Caution, ...]]:
    """Give treatment minus control of the pairs that have both, with a warning if some have not.

    Raises:
        InvalidInput: The arrays differ in length, or a value is infinite.
    """
    first, second, warnings = _pairs(treatment, control)
    found = first - second
    noise = 4.0 * np.finfo(np.float64).eps * max(np.abs(first).max(initial=0.0), np.abs(second).max(initial=0.0))
    if found.size and np.ptp(found) <= noise:  # as 0.3 - 0.2 and 0.4 - 0.3 differ, by rounding alone
        found = np.full(found.shape, found[0])
    return found, warnings


def _pairs(treatment: ArrayLike, control: ArrayLike) -> tuple[FloatArray, FloatArray, tuple[Caution, ...]]:
    first, second = (np.asarray(values, np.float64).ravel() for values in (treatment, control))
    if first.shape != second.shape:
        raise InvalidInput(
            f"pairs need as many values of the treatment ({first.size}) as of the control ({second.size})",
            hint="one entry a prompt in the same order, NaN where there is no answer",
        )
    if np.isinf(first).any() or np.isinf(second).any():
        raise InvalidInput("scores must be finite numbers", hint="NaN says that there is no answer")
    known = ~(np.isnan(first) | np.isnan(second))
    return first[known], second[known], () if known.all() else (Caution.PARTLY_OBSERVED,)


def _by_model(scores: ArrayLike) -> tuple[FloatArray, tuple[Caution, ...]]:
    table = np.asarray(scores, np.float64)
    if table.ndim != 2 or table.shape[1] < 2 or np.isinf(table).any():
        raise InvalidInput(f"finite scores of shape (prompts, 2 models or more) are needed, not {table.shape}")
    known = ~np.isnan(table).any(axis=1)
    return table[known], () if known.all() else (Caution.PARTLY_OBSERVED,)


def _tango_variance(won: float, lost: float, n: float, difference: float) -> float:
    """Variance of `won - lost` if the shares differ by this, at the likeliest shares that do."""
    room = difference * (1.0 - difference)
    middle = won + lost - difference * (2.0 * n - won + lost)
    root = math.sqrt(max(middle * middle + 8.0 * n * lost * room, 0.0))
    share = (middle + root) / (4.0 * n) if middle >= 0 else 2.0 * lost * room / (root - middle)
    return n * max(2.0 * max(share, -difference, 0.0) + room, 0.0)


def _tango_high(won: float, lost: float, n: float, z: float) -> float:
    """Largest difference of the shares that the score test at critical value `z` does not reject."""
    start = (won - lost) / n + 1e-12

    def room(difference: float) -> float:
        return won - lost - n * difference + z * math.sqrt(_tango_variance(won, lost, n, difference))

    return 1.0 if start >= 1.0 else float(brentq(room, start, 1.0, xtol=1e-14))


def _discordant(won: float, lost: float, method: McNemar) -> tuple[float, float, float]:
    """Statistic and probabilities of one as small, and as large, when each discordant pair is a toss of a coin."""
    tosses = won + lost
    if method in {McNemar.EXACT, McNemar.MID_P}:
        likelihood = math.exp(gammaln(tosses + 1.0) - gammaln(won + 1.0) - gammaln(lost + 1.0) - tosses * math.log(2.0))
        half = likelihood / 2.0 if method is McNemar.MID_P else 0.0
        less, greater = (float(bdtr(wins, int(tosses), 0.5)) for wins in (won, lost))  # the coin has no sides
        return won, less - half, greater - half
    step = 1.0 if method is McNemar.CORRECTED else 0.0
    excess, spread = won - lost, math.sqrt(tosses)
    less, greater = (float(ndtr((sign * excess + step) / spread)) for sign in (1.0, -1.0))
    return (max(abs(excess) - step, 0.0) / spread) ** 2, less, greater


def _sum_of_squares(n: int) -> float:
    return n * (n + 1) * (2 * n + 1) / 6.0


def _signed_rank_distribution(n: int) -> FloatArray:
    """Probability of each rank sum or a smaller one, when each rank has either sign with probability 1/2."""
    ways = np.zeros(n * (n + 1) // 2 + 1)
    ways[0] = 1.0
    for rank in range(1, n + 1):
        ways[rank:] += ways[:-rank].copy()
    return np.cumsum(ways) / 2.0**n


def _walsh_average(values: FloatArray, k: int) -> float:
    """The k-th smallest average of two of some sorted values, or of one with itself, without forming them all."""
    low, high = float(values[0]), float(values[-1])
    for _ in range(64):
        middle = low + (high - low) / 2.0
        ordered = np.searchsorted(values, 2.0 * middle - values, side="right").sum()
        itself = np.searchsorted(values, middle, side="right")
        low, high = (low, middle) if (ordered + itself) // 2 >= k else (middle, high)
    partner = np.searchsorted(values, 2.0 * high - values, side="right") - 1
    return float(((values + values[partner]) / 2.0)[partner >= 0].max())
