"""Proportions from counts: how large is one, do two differ, and by how much.

Each function takes single `Counts` and gives a `Finding`: estimate, interval, p-value, and by which named method.
The p-value and the interval of one result are of one test: p ≤ alpha exactly when the interval excludes the null value.
Where a convention breaks that (R's binomial test, Yates' correction) the result says so: `UNMATCHED`. The same
mathematics over arrays is in `proportion_intervals` and `proportion_scores`. No worse than, or as good as:
`proportion_margins`. Exact tests of two arms: `proportion_exact`; more than two arms: `proportion_tables`.

**Which one?** The defaults: Wilson for one, Miettinen and Nurminen's score for two. They keep their level with few or
no successes, where Wald fails. Exact tests promise their level always, and pay with wider intervals.

References: those of `proportion_intervals` and `proportion_scores`, and
    Yates, Supplement to JRSS 1 (1934). Woolf, Annals of Human Genetics 19 (1955): the log odds ratio.
    Katz, Baptista, Azen & Pike, Biometrics 34 (1978): the log ratio.
"""

import math
from enum import StrEnum

import numpy as np
from scipy.stats import binomtest

from vedette.evidence.summary import FloatArray
from vedette.kernel.errors import InvalidInput
from vedette.stats import proportion_intervals as intervals
from vedette.stats import proportion_scores as scores
from vedette.stats.cautions import Caution
from vedette.stats.finding import Finding, p_value_of, tail
from vedette.stats.proportion_intervals import Counts, Ends, critical_value
from vedette.stats.proportion_results import FEW, conclude
from vedette.stats.sequential import Side

_NOTHING = np.zeros(())


class ProportionMethod(StrEnum):
    """How to test and bound one proportion."""

    WILSON = "wilson"  # score test
    WILSON_CONTINUITY = "wilson_continuity"  # Newcombe 1998 method 4; R's prop.test
    AGRESTI_COULL = "agresti_coull"  # test by inversion of the interval
    CLOPPER_PEARSON = "clopper_pearson"  # exact; two-sided p is twice the smaller tail
    BINOMIAL_TEST = "binomial_test"  # R's binom.test: two-sided p sums outcomes no likelier; Clopper-Pearson's interval


class DifferenceMethod(StrEnum):
    """How to test and bound a difference of two proportions."""

    MIETTINEN_NURMINEN = "miettinen_nurminen"  # score test, variance times N / (N - 1)
    FARRINGTON_MANNING = "farrington_manning"  # score test; pooled z and Pearson's chi-square at 0; Mee's interval
    WALD = "wald"  # z-test with unpooled variance
    NEWCOMBE = "newcombe"  # hybrid score, 1998 method 10; test by inversion of the interval
    AGRESTI_CAFFO = "agresti_caffo"  # Wald after one more success and failure in each arm
    CONTINUITY = "yates_continuity"  # R's prop.test: Yates' chi-square, and Wald's interval widened


class RatioMethod(StrEnum):
    """How to test and bound a ratio of two proportions."""

    MIETTINEN_NURMINEN = "miettinen_nurminen"  # score test, variance times N / (N - 1)
    KOOPMAN = "koopman"  # score test
    KATZ = "katz_log"  # Wald on the log ratio


class OddsMethod(StrEnum):
    """How to test and bound an odds ratio; the exact conditional one is `proportion_exact.fisher`."""

    WOOLF = "woolf_log"  # Wald on the log odds ratio
    HALDANE = "haldane_anscombe_log"  # the same after half a count more in each cell


def one_proportion(
    counts: Counts,
    *,
    null: float | None = None,
    alpha: float = 0.05,
    side: Side = Side.BOTH,
    method: ProportionMethod = ProportionMethod.WILSON,
) -> Finding:
    """Bound a proportion, and test it against `null` if given.

    Raises:
        InvalidInput: `null` is not between 0 and 1, `alpha` not between 0 and 0.5, or an exact method got fractions.
    """
    require_single(counts)
    if null is not None and not 0.0 < null < 1.0:
        raise InvalidInput(f"a proportion is tested against a value between 0 and 1, not {null}")
    z, method = critical_value(alpha, side), ProportionMethod(method)
    warnings, n = empty(counts), counts.trials
    if method in {ProportionMethod.CLOPPER_PEARSON, ProportionMethod.BINOMIAL_TEST}:
        require_whole(counts)
        p_value = math.nan
        if null is not None and not warnings:
            p_value = _binomial_p_value(counts, null, side, method)
            if method is ProportionMethod.BINOMIAL_TEST and side is Side.BOTH:
                warnings = (Caution.UNMATCHED,)
        ends = intervals.clopper_pearson(counts, tail(alpha, side))
        return conclude(
            counts.share, ends, n=n, null=null, side=side, method=method, p_value=p_value, warnings=warnings
        )
    bound = {
        ProportionMethod.WILSON: intervals.wilson,
        ProportionMethod.WILSON_CONTINUITY: intervals.wilson_continuity,
        ProportionMethod.AGRESTI_COULL: intervals.agresti_coull,
    }[method]
    if null is None:
        statistic = np.asarray(math.nan)
    elif method is ProportionMethod.AGRESTI_COULL:
        statistic = intervals.z_by_inversion(lambda at: bound(counts, at), counts.share, null)
    else:
        statistic = intervals.score_z(counts, null, continuity=method is ProportionMethod.WILSON_CONTINUITY)
    low, high = bound(counts, z)
    ends = np.maximum(low, 0.0), np.minimum(high, 1.0)
    return conclude(
        counts.share, ends, n=n, null=null, side=side, method=method, statistic=statistic, warnings=warnings
    )


def difference(
    treatment: Counts,
    control: Counts,
    *,
    null: float = 0.0,
    alpha: float = 0.05,
    side: Side = Side.BOTH,
    method: DifferenceMethod = DifferenceMethod.MIETTINEN_NURMINEN,
) -> Finding:
    """Bound treatment's share minus control's, and test it against `null`.

    Raises:
        InvalidInput: `null` is not between -1 and 1 (or not 0, with Yates' correction), or `alpha` not below 0.5.
    """
    require_single(treatment, control)
    if not -1.0 < null < 1.0:
        raise InvalidInput(f"a difference of proportions is tested against a value between -1 and 1, not {null}")
    method, z = DifferenceMethod(method), critical_value(alpha, side)
    statistic, (low, high) = _difference(treatment, control, null, z, method)
    warnings = empty(treatment, control)
    if method in {DifferenceMethod.WALD, DifferenceMethod.FARRINGTON_MANNING, DifferenceMethod.CONTINUITY}:
        warnings += few(treatment, control)
    if method is DifferenceMethod.CONTINUITY and not empty(treatment, control):
        warnings += (Caution.UNMATCHED,)
    return conclude(
        treatment.share - control.share,
        (np.maximum(low, -1.0), np.minimum(high, 1.0)),
        n=treatment.trials + control.trials,
        null=null,
        side=side,
        method=method,
        statistic=statistic,
        warnings=warnings,
    )


def ratio(
    treatment: Counts,
    control: Counts,
    *,
    null: float = 1.0,
    alpha: float = 0.05,
    side: Side = Side.BOTH,
    method: RatioMethod = RatioMethod.MIETTINEN_NURMINEN,
) -> Finding:
    """Bound treatment's share as a multiple of control's, and test it against `null`.

    Raises:
        InvalidInput: `null` is not above 0, or `alpha` not between 0 and 0.5.
    """
    require_single(treatment, control)
    require_positive(null)
    method, z = RatioMethod(method), critical_value(alpha, side)
    estimate = quotient(treatment.share, control.share)
    warnings = empty(treatment, control)
    if method is RatioMethod.KATZ:
        variance = sum((arm.failures / _cell(arm.successes * arm.trials) for arm in (treatment, control)), _NOTHING)
        statistic, ends = log_wald(estimate, variance, null, z)
        warnings += few(treatment, control) + _empty_cells(treatment.successes, control.successes)
    else:
        corrected = method is RatioMethod.MIETTINEN_NURMINEN
        statistic = scores.ratio_score(treatment, control, null, corrected=corrected)
        ends = scores.ratio_interval(treatment, control, z, corrected=corrected)
    n = treatment.trials + control.trials
    return conclude(estimate, ends, n=n, null=null, side=side, method=method, statistic=statistic, warnings=warnings)


def odds_ratio(
    treatment: Counts,
    control: Counts,
    *,
    null: float = 1.0,
    alpha: float = 0.05,
    side: Side = Side.BOTH,
    method: OddsMethod = OddsMethod.WOOLF,
) -> Finding:
    """Bound treatment's odds of success as a multiple of control's, and test it against `null`.

    Raises:
        InvalidInput: `null` is not above 0, or `alpha` not between 0 and 0.5.
    """
    require_single(treatment, control)
    require_positive(null)
    method, z = OddsMethod(method), critical_value(alpha, side)
    more = 0.5 if method is OddsMethod.HALDANE else 0.0
    cells = [cell + more for arm in (treatment, control) for cell in (arm.successes, arm.failures)]
    estimate = quotient(cells[0] * cells[3], cells[1] * cells[2])
    warnings = empty(treatment, control)
    if warnings:
        estimate = np.asarray(math.nan)
    statistic, ends = log_wald(estimate, sum((1.0 / _cell(cell) for cell in cells), _NOTHING), null, z)
    warnings += few(treatment, control) + _empty_cells(*cells)
    n = treatment.trials + control.trials
    return conclude(estimate, ends, n=n, null=null, side=side, method=method, statistic=statistic, warnings=warnings)


def require_single(*arms: Counts) -> None:
    """Refuse arrays where one comparison is made.

    Raises:
        InvalidInput: an arm holds more than a single count.
    """
    if any(arm.trials.ndim for arm in arms):
        raise InvalidInput(
            "this takes single counts, not arrays",
            hint="for many at once use vedette.stats.proportion_intervals or proportion_scores",
        )


def require_whole(*arms: Counts) -> None:
    """Refuse fractions where an exact test is made.

    Raises:
        InvalidInput: a count is not a whole number.
    """
    if any(float(count) % 1.0 for arm in arms for count in (arm.successes, arm.trials)):
        raise InvalidInput("an exact test needs whole counts", hint="weighted counts go to a score method")


def require_positive(null: float) -> None:
    """Refuse a null ratio that no ratio can be.

    Raises:
        InvalidInput: it is not a number above 0.
    """
    if not 0.0 < null < math.inf:
        raise InvalidInput(
            f"a ratio is tested against a value above 0, not {null}", hint="no difference is a ratio of 1"
        )


def empty(*arms: Counts) -> tuple[Caution, ...]:
    """Warn of arms without trials."""
    return (Caution.EMPTY_ARM,) if any(arm.trials == 0 for arm in arms) else ()


def few(*arms: Counts) -> tuple[Caution, ...]:
    """Warn of arms with fewer than 5 successes or failures, some trials given."""
    least = min(float(np.minimum(arm.successes, arm.failures)) for arm in arms)
    return (Caution.SMALL_COUNTS,) if least < FEW and not empty(*arms) else ()


def quotient(numerator: FloatArray, denominator: FloatArray) -> FloatArray:
    """Divide; infinite if only the denominator is 0, not a number if both are."""
    if denominator == 0:
        return np.asarray(math.inf if numerator > 0 else math.nan)
    return np.asarray(numerator / denominator)


def log_wald(estimate: FloatArray, variance: FloatArray, null: float, z: float) -> tuple[FloatArray, Ends]:
    """Z-score and interval on the logarithm of a ratio; not numbers where it or its variance is unknown or 0."""
    error = np.sqrt(np.where(variance > 0, variance, math.nan))
    centre = np.log(estimate) if 0.0 < estimate < math.inf else np.asarray(math.nan)
    return (centre - math.log(null)) / error, (np.exp(centre - z * error), np.exp(centre + z * error))


def _difference(
    treatment: Counts, control: Counts, null: float, z: float, method: DifferenceMethod
) -> tuple[FloatArray, Ends]:
    """Z-score against the null difference, and the interval at critical value `z`."""
    if method in {DifferenceMethod.MIETTINEN_NURMINEN, DifferenceMethod.FARRINGTON_MANNING}:
        corrected = method is DifferenceMethod.MIETTINEN_NURMINEN
        statistic = scores.difference_score(treatment, control, null, corrected=corrected)
        return statistic, scores.difference_interval(treatment, control, z, corrected=corrected)
    if method is DifferenceMethod.NEWCOMBE:

        def bound(at: FloatArray | float) -> Ends:
            return intervals.newcombe_difference(treatment, control, at)

        return intervals.z_by_inversion(bound, treatment.share - control.share, null), bound(z)
    if method is DifferenceMethod.CONTINUITY:
        if null != 0.0:
            raise InvalidInput("Yates' correction tests no difference only", hint="use a score method for a margin")
        return intervals.yates_difference(treatment, control, z)
    wald = method is DifferenceMethod.WALD
    effect, error = (intervals.wald_difference if wald else intervals.agresti_caffo_difference)(treatment, control)
    return np.asarray((effect - null) / error), (effect - z * error, effect + z * error)


def _binomial_p_value(counts: Counts, null: float, side: Side, method: ProportionMethod) -> float:
    if method is ProportionMethod.BINOMIAL_TEST and side is Side.BOTH:
        return float(binomtest(int(counts.successes), int(counts.trials), null).pvalue)
    at_most, at_least = intervals.binomial_tails(counts, null)
    return p_value_of(float(at_most), float(at_least), side)


def _cell(count: FloatArray) -> FloatArray:
    return np.where(count > 0, count, math.nan)


def _empty_cells(*cells: FloatArray) -> tuple[Caution, ...]:
    return (Caution.EMPTY_CELL,) if any(cell == 0 for cell in cells) else ()
