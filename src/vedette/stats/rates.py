"""Poisson rates from events and exposure: how high is one, do two differ, by what factor and by how much.

Each function takes single `Events` and gives a `Finding`, as `proportions` does for shares: p-value and interval are
of one test and agree, except where R's convention breaks that and the result says `UNMATCHED`. The mathematics over
arrays is in `rate_intervals`. `dispersion` is the variance of a count as a multiple of its mean (quasi-Poisson): score
methods multiply the variance by it. For a test that may be looked at repeatedly see `rate_ratio`; for counts that vary
more than Poisson's, with per-unit moments at hand, `rate_dispersion`.

References: those of `rate_intervals`.
"""

import math
from enum import StrEnum

import numpy as np
from scipy.special import gammaln, xlogy
from scipy.stats import binomtest

from vedette.evidence.summary import FloatArray
from vedette.kernel.errors import InvalidInput
from vedette.stats import rate_intervals as intervals
from vedette.stats.cautions import Caution
from vedette.stats.finding import Finding, p_value_of, tail
from vedette.stats.proportion_intervals import Ends, binomial_tails, critical_value, z_by_inversion
from vedette.stats.proportion_results import FEW, conclude
from vedette.stats.proportions import quotient, require_positive
from vedette.stats.rate_intervals import Events
from vedette.stats.sequential import Side


class RateMethod(StrEnum):
    """How to test and bound one rate."""

    GARWOOD = "garwood"  # exact; two-sided p is twice the smaller tail
    POISSON_TEST = "poisson_test"  # R's poisson.test: two-sided p sums outcomes no likelier; Garwood's interval
    SCORE = "score"


class RateRatioMethod(StrEnum):
    """How to test and bound a ratio of two rates."""

    CONDITIONAL = "conditional"  # exact, given all events; two-sided p is twice the smaller tail
    POISSON_TEST = "poisson_test"  # R's poisson.test: two-sided p sums outcomes no likelier; the conditional interval
    SCORE = "score"
    SQUARE_ROOT = "square_root"  # W5 of Gu et al. 2008


class RateDifferenceMethod(StrEnum):
    """How to test and bound a difference of two rates."""

    SCORE = "score"
    MOVER = "mover_score"  # variance estimates recovery from score intervals; test by inversion of the interval


def one_rate(
    events: Events,
    *,
    null: float | None = None,
    alpha: float = 0.05,
    side: Side = Side.BOTH,
    method: RateMethod = RateMethod.GARWOOD,
    dispersion: float = 1.0,
) -> Finding:
    """Bound a rate, and test it against `null` if given.

    Raises:
        InvalidInput: `null` is not above 0, `alpha` not between 0 and 0.5, or an exact method got fractions or a
            dispersion.
    """
    method, z = RateMethod(method), critical_value(alpha, side)
    score = method is RateMethod.SCORE
    _check(events, exact=not score, score=score, dispersion=dispersion)
    if null is not None and not 0.0 < null < math.inf:
        raise InvalidInput(f"a rate is tested against a value above 0, not {null}")
    warnings = _empty(events)
    if score:
        statistic = math.nan if null is None else intervals.rate_score(events, null, dispersion)
        ends = intervals.rate_score_interval(events, z, dispersion)
        return conclude(
            events.rate,
            ends,
            n=events.count,
            null=null,
            side=side,
            method=method,
            statistic=statistic,
            warnings=warnings,
        )
    p_value = math.nan
    if null is not None and not warnings:
        at_most, at_least = intervals.poisson_tails(events, null)
        p_value = p_value_of(float(at_most), float(at_least), side)
        if method is RateMethod.POISSON_TEST and side is Side.BOTH:
            p_value = _no_likelier(float(events.count), null * float(events.exposure))
            warnings = (Caution.UNMATCHED,)
    ends = intervals.garwood(events, tail(alpha, side))
    return conclude(
        events.rate, ends, n=events.count, null=null, side=side, method=method, p_value=p_value, warnings=warnings
    )


def ratio(
    treatment: Events,
    control: Events,
    *,
    null: float = 1.0,
    alpha: float = 0.05,
    side: Side = Side.BOTH,
    method: RateRatioMethod = RateRatioMethod.CONDITIONAL,
    dispersion: float = 1.0,
) -> Finding:
    """Bound treatment's rate as a multiple of control's, and test it against `null`.

    Raises:
        InvalidInput: `null` is not above 0, `alpha` not between 0 and 0.5, an exact method got fractions, or a method
            other than the score's got a dispersion.
    """
    require_positive(null)
    method, z = RateRatioMethod(method), critical_value(alpha, side)
    exact = method in {RateRatioMethod.CONDITIONAL, RateRatioMethod.POISSON_TEST}
    _check(treatment, control, exact=exact, score=method is RateRatioMethod.SCORE, dispersion=dispersion)
    estimate, warnings = quotient(treatment.rate, control.rate), _empty(treatment, control)
    n = treatment.count + control.count
    if not exact:
        if method is RateRatioMethod.SCORE:
            statistic = intervals.ratio_score(treatment, control, null, dispersion)
            ends = intervals.ratio_score_interval(treatment, control, z, dispersion)
        else:
            statistic = intervals.ratio_root(treatment, control, null)
            ends = intervals.ratio_root_interval(treatment, control, z)
        warnings += _few(treatment, control)
        return conclude(
            estimate, ends, n=n, null=null, side=side, method=method, statistic=statistic, warnings=warnings
        )
    p_value = math.nan
    if not warnings and n > 0:
        counts = intervals.conditional_counts(treatment, control)
        share = float(intervals.conditional_share(treatment, control, null))
        at_most, at_least = binomial_tails(counts, share)
        p_value = p_value_of(float(at_most), float(at_least), side)
        if method is RateRatioMethod.POISSON_TEST and side is Side.BOTH:
            p_value = float(binomtest(int(counts.successes), int(counts.trials), share).pvalue)
            warnings = (Caution.UNMATCHED,)
    ends = intervals.conditional_interval(treatment, control, tail(alpha, side))
    return conclude(estimate, ends, n=n, null=null, side=side, method=method, p_value=p_value, warnings=warnings)


def difference(
    treatment: Events,
    control: Events,
    *,
    null: float = 0.0,
    alpha: float = 0.05,
    side: Side = Side.BOTH,
    method: RateDifferenceMethod = RateDifferenceMethod.SCORE,
    dispersion: float = 1.0,
) -> Finding:
    """Bound treatment's rate minus control's, and test it against `null`.

    Raises:
        InvalidInput: `null` is not finite, `alpha` not between 0 and 0.5, or a method other than the score's got a
            dispersion.
    """
    if not math.isfinite(null):
        raise InvalidInput(f"a difference of rates is tested against a finite value, not {null}")
    method, z = RateDifferenceMethod(method), critical_value(alpha, side)
    score = method is RateDifferenceMethod.SCORE
    _check(treatment, control, exact=False, score=score, dispersion=dispersion)
    effect, n = np.asarray(treatment.rate - control.rate), treatment.count + control.count
    if score:
        statistic = intervals.difference_score(treatment, control, null, dispersion)
        ends = intervals.difference_score_interval(treatment, control, z, dispersion)
    else:

        def bound(at: FloatArray | float) -> Ends:
            return intervals.mover_difference(treatment, control, at)

        statistic, ends = z_by_inversion(bound, effect, null), bound(z)
    warnings = _empty(treatment, control) + _few(treatment, control)
    return conclude(effect, ends, n=n, null=null, side=side, method=method, statistic=statistic, warnings=warnings)


def _check(*arms: Events, exact: bool, score: bool, dispersion: float) -> None:
    if any(arm.count.ndim for arm in arms):
        raise InvalidInput(
            "this takes single counts, not arrays", hint="for many at once: vedette.stats.rate_intervals"
        )
    if not 0.0 < dispersion < math.inf:
        raise InvalidInput(f"a dispersion is above 0, not {dispersion}", hint="1 is Poisson's")
    if not score and dispersion != 1.0:
        raise InvalidInput(
            "only the score test takes a dispersion, neither exact nor hybrid ones do", hint="use the score method"
        )
    if exact and any(float(arm.count) % 1.0 for arm in arms):
        raise InvalidInput("an exact test needs whole counts", hint="weighted counts go to a score method")


def _empty(*arms: Events) -> tuple[Caution, ...]:
    return (Caution.EMPTY_ARM,) if any(arm.exposure == 0 for arm in arms) else ()


def _few(*arms: Events) -> tuple[Caution, ...]:
    few = not _empty(*arms) and min(float(arm.count) for arm in arms) < FEW
    return (Caution.SMALL_COUNTS,) if few else ()


def _no_likelier(count: float, mean: float) -> float:
    """Probability under a Poisson mean of all counts no likelier than `count`, as R's poisson.test sums them."""

    def likelihood(value: float) -> float:
        return float(xlogy(value, mean) - mean - gammaln(value + 1.0))

    if count == mean:
        return 1.0
    limit = likelihood(count) + 1e-7  # R's tolerance: as likely, but for rounding
    sign = 1 if count < mean else -1
    start = math.ceil(mean) if count < mean else math.floor(mean)
    # On the other side of the mean, likelihood falls: the first value at or below the limit, by doubling and halving.
    step = 1
    while start + sign * step >= 0 and likelihood(start + sign * step) > limit:
        step *= 2
    near, far = -1, min(step, start + 1) if sign < 0 else step
    while far - near > 1:
        middle = (near + far) // 2
        if likelihood(start + sign * middle) > limit:
            near = middle
        else:
            far = middle
    other = start + sign * far
    fewer, more = min(count, other), max(count, other)
    at_most, at_least = intervals.poisson_tails(Events([max(fewer, 0.0), more], 1.0), mean)
    return min(1.0, (float(at_most[0]) if fewer >= 0 else 0.0) + float(at_least[1]))
