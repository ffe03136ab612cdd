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
    Friedman, JASA 32 (1937); Cochran, Biometrika 37 (1950).
"""

import math
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq
from scipy.special import bdtr, chdtrc, gammaln, ndtr, ndtri, stdtr, stdtrit
from scipy.stats import rankdata

from vedette.evidence.summary import FloatArray, Moments, moments
from vedette.kernel.errors import InvalidInput
from vedette.kernel.tables import Shown
from vedette.stats.clusters import MINIMUM_CLUSTERS
from vedette.stats.sequential import Side

_ROUNDING = 1e-14
"""What is smaller than this beside the values themselves is rounding."""


class Caveat(StrEnum):
    """Why a number of a finding is None, or what to bear in mind about it."""

    TOO_FEW = "too_few"
    NO_VARIANCE = "no_variance"
    TOO_FEW_CLUSTERS = "too_few_clusters"
    NO_DISCORDANT_PAIRS = "no_discordant_pairs"
    ALL_TIED = "all_tied"
    TIES = "ties"
    MISSING_LEFT_OUT = "missing_left_out"
    SEPARATED = "separated"
    UNBOUNDED = "unbounded"
    TAIL_NOT_SEEN = "tail_not_seen"
    REFERENCE_NOT_AWAY_FROM_ZERO = "reference_not_away_from_zero"
    RESAMPLES_UNDEFINED = "resamples_undefined"
    NO_INTERVAL = "no_interval"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding(Shown):
    """One comparison at a fixed horizon; a number is None where it is undefined, and `warnings` say why.

    Attributes:
        effect: Treatment minus control, unless the function says otherwise.
        low: Lower end of the interval; also None, without a warning, for side `LESS`: without bound.
        high: Upper end; also None for side `GREATER`.
        p_value: Probability of evidence as strong if the effect were the margin.
        statistic: The test statistic that `method` names.
        df: Degrees of freedom; None where the reference distribution has none.
        n: Pairs, units, or the effective number of clusters behind it.
        method: Which test and which interval, in words.
        warnings: Why numbers are None, and what to bear in mind.
    """

    effect: float | None
    low: float | None = None
    high: float | None = None
    p_value: float | None = None
    statistic: float | None = None
    df: float | None = None
    n: float
    method: str
    warnings: tuple[Caveat, ...] = ()


class McNemar(StrEnum):
    """How the p-value of a paired 2x2 table is found."""

    SCORE = "score"
    EXACT = "exact"
    MID_P = "mid_p"
    CHI_SQUARE = "chi_square"
    CORRECTED = "chi_square_corrected"


def tail(alpha: float, side: Side) -> float:
    """Give the probability an interval leaves out at each end it has.

    Raises:
        InvalidInput: `alpha` is not between 0 and 0.5.
    """
    if not 0.0 < alpha < 0.5:
        raise InvalidInput(f"alpha lies between 0 and 0.5, not at {alpha}", hint="0.05 for a 95 % interval")
    return alpha / 2.0 if side is Side.BOTH else alpha


def ends(low: float | None, high: float | None, side: Side) -> tuple[float | None, float | None]:
    """Keep the ends that an interval of this side has."""
    return None if side is Side.LESS else low, None if side is Side.GREATER else high


def p_value_of(less: float, greater: float, side: Side) -> float:
    """Give the p-value of a side from the probabilities of a statistic as small, and as large, as the one seen."""
    return {Side.LESS: less, Side.GREATER: greater}.get(side, min(1.0, 2.0 * min(less, greater)))


def student(
    effect: float,
    standard_error: float,
    df: float,
    *,
    n: float,
    method: str,
    alpha: float,
    side: Side,
    margin: float = 0.0,
    warnings: tuple[Caveat, ...] = (),
) -> Finding:
    """Judge an effect and its standard error by Student's t, or by the normal where `df` is infinite."""
    outside = tail(alpha, side)
    plain = Finding(effect=effect, n=n, method=method, warnings=warnings)
    if math.isnan(standard_error) or df <= 0:
        return also(plain, Caveat.TOO_FEW)
    if standard_error <= _ROUNDING * abs(effect):
        return also(plain, Caveat.NO_VARIANCE)
    half = -float(stdtrit(df, outside)) * standard_error
    t = (effect - margin) / standard_error
    low, high = ends(effect - half, effect + half, side)
    p_value = p_value_of(float(stdtr(df, t)), float(stdtr(df, -t)), side)
    known = df if math.isfinite(df) else None
    return replace(plain, low=low, high=high, p_value=p_value, statistic=t, df=known)


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
    plain = Finding(effect=None, n=n, method=f"McNemar {method.replace('_', ' ')} test, Tango score interval")
    if not n:
        return also(plain, Caveat.TOO_FEW)
    won, lost = float(counts[0, 1]), float(counts[1, 0])
    low, high = ends(-_tango_high(lost, won, n, z), _tango_high(won, lost, n, z), side)
    plain = replace(plain, effect=(won - lost) / n, low=low, high=high)
    if not (won + lost or margin):
        return also(plain, Caveat.NO_DISCORDANT_PAIRS)
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
    found, warnings = differences(treatment, control)
    judged = paired_t_moments(moments(found), alpha=alpha, side=side, margin=margin)
    return also(judged, *warnings)


def paired_t_moments(
    of_differences: Moments[float], *, alpha: float = 0.05, side: Side = Side.BOTH, margin: float = 0.0
) -> Finding:
    """Do as `paired_t` from the moments of the differences alone."""
    n = of_differences.n
    if not n:
        return Finding(effect=None, n=0.0, method="paired t", warnings=(Caveat.TOO_FEW,))
    error = math.sqrt(float(of_differences.mean_variance))
    return student(of_differences.mean, error, n - 1, n=n, method="paired t", alpha=alpha, side=side, margin=margin)


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
    found, warnings = differences(treatment, control)
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
        return Finding(effect=None, n=0.0, method=method, warnings=(Caveat.TOO_FEW,))
    pairs = float(size.sum())
    effect, n = float(total.sum()) / pairs, pairs**2 / float((size**2).sum())
    if n < MINIMUM_CLUSTERS - _ROUNDING * n:
        return Finding(effect=effect, n=n, method=method, warnings=(Caveat.TOO_FEW_CLUSTERS,))
    without = (total - effect * size) / (pairs - size)
    error = math.sqrt((1.0 - 1.0 / size.size) * float((without**2).sum()))
    return student(effect, error, n - 1.0, n=n, method=method, alpha=alpha, side=side, margin=margin)


def friedman(scores: ArrayLike) -> Finding:
    """Test whether any of k models differs from the others on the same prompts, by its ranks within each prompt.

    Scores have shape (prompts, models), 2 models or more; prompts that lack a score are left out. The finding has no
    effect and no interval. With 2 models it is the sign test's chi-square.

    Raises:
        InvalidInput: Another shape, or an infinite score.
    """
    table, warnings = _by_model(scores)
    n, k = table.shape
    plain = Finding(effect=None, n=float(n), method="Friedman chi-square", warnings=warnings)
    if not n:
        return also(plain, Caveat.TOO_FEW)
    ranks = rankdata(table, axis=1) - (k + 1) / 2.0
    spread = float((ranks**2).sum())
    if not spread:
        return also(plain, Caveat.ALL_TIED)
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


def also(found: Finding, *warnings: Caveat) -> Finding:
    """Give the finding with more warnings."""
    return replace(found, warnings=(*found.warnings, *warnings))


def differences(treatment: ArrayLike, control: ArrayLike) -> tuple[FloatArray, tuple[Caveat, ...]]:
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


def _pairs(treatment: ArrayLike, control: ArrayLike) -> tuple[FloatArray, FloatArray, tuple[Caveat, ...]]:
    first, second = (np.asarray(values, np.float64).ravel() for values in (treatment, control))
    if first.shape != second.shape:
        raise InvalidInput(
            f"pairs need as many values of the treatment ({first.size}) as of the control ({second.size})",
            hint="one entry a prompt in the same order, NaN where there is no answer",
        )
    if np.isinf(first).any() or np.isinf(second).any():
        raise InvalidInput("scores must be finite numbers", hint="NaN says that there is no answer")
    known = ~(np.isnan(first) | np.isnan(second))
    return first[known], second[known], () if known.all() else (Caveat.MISSING_LEFT_OUT,)


def _by_model(scores: ArrayLike) -> tuple[FloatArray, tuple[Caveat, ...]]:
    table = np.asarray(scores, np.float64)
    if table.ndim != 2 or table.shape[1] < 2 or np.isinf(table).any():
        raise InvalidInput(f"finite scores of shape (prompts, 2 models or more) are needed, not {table.shape}")
    known = ~np.isnan(table).any(axis=1)
    return table[known], () if known.all() else (Caveat.MISSING_LEFT_OUT,)


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
