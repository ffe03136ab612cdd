"""Poisson rates: published digits, statsmodels as the oracle, agreement of p and interval, coverage, awkward counts."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.rates import confint_poisson_2indep, test_poisson_2indep
from tests.stats.agreement import agree

from vedette.kernel.errors import InvalidInput
from vedette.stats import rate_intervals as intervals
from vedette.stats.cautions import Caution
from vedette.stats.proportion_intervals import critical_value
from vedette.stats.rate_intervals import Events
from vedette.stats.rates import RateDifferenceMethod, RateMethod, RateRatioMethod, difference, one_rate, ratio
from vedette.stats.sequential import Side

test_poisson_2indep.__test__ = False  # a function of statsmodels, not a test

CHD = (60, 51_477.5, 30, 54_308.7)  # coronary deaths and person-years; Gu et al. 2008, from Stampfer et al. 1985
Z = critical_value(0.05, Side.BOTH)


@st.composite
def events(draw):
    """Draw some events in some exposure."""
    return Events(draw(st.integers(0, 60)), draw(st.sampled_from([0.5, 1.0, 7.0, 100.0])))


def test_garwoods_limits_as_published():
    """Garwood 1936, Biometrika 28:437: exact 95 % limits of 0, 1, 5 and 10 events."""
    for count, low, high in ((0, 0.0, 3.689), (1, 0.0253, 5.572), (5, 1.623, 11.668), (10, 4.795, 18.390)):
        got = one_rate(Events(count, 1.0))
        assert (got.low, got.high) == pytest.approx((low, high), abs=6e-4)


def test_one_rate_as_r_gives_it():
    """R example(poisson.test): 137 in 24.19893 is 5.661407 a unit, from 4.753125 to 6.692709, p < 2.2e-16 against 1."""
    got = one_rate(Events(137, 24.19893), null=1.0, method=RateMethod.POISSON_TEST)
    assert (got.estimate, got.low, got.high) == pytest.approx((5.661407, 4.753125, 6.692709), abs=5e-7)
    assert got.p_value is not None
    assert 0.0 < got.p_value < 2.2e-16
    assert got.warnings == (Caution.UNMATCHED,)


def test_two_rates_as_r_gives_them():
    """R example(poisson.test): 11 in 800 to 21 in 3,011 is a ratio of 1.971488 (.8584264, 4.2772659), p = .07967."""
    got = ratio(Events(11, 800), Events(6 + 8 + 7, 1083 + 1050 + 878), method=RateRatioMethod.POISSON_TEST)
    assert (got.estimate, got.low, got.high) == pytest.approx((1.971488, 0.8584264, 4.2772659), abs=5e-7)
    assert got.p_value == pytest.approx(0.07967, abs=5e-6)


@given(st.integers(0, 80), st.floats(0.05, 80))
def test_r_s_two_sided_p_sums_all_counts_no_likelier(count, mean):
    """`POISSON_TEST` gives the sum over all counts that are no likelier than the observed one."""
    outcomes = np.arange(400)
    chance = stats.poisson.pmf(outcomes, mean)
    expected = chance[chance <= stats.poisson.pmf(count, mean) * (1 + 1e-7)].sum()
    got = one_rate(Events(count, 2.0), null=mean / 2.0, method=RateMethod.POISSON_TEST)
    assert got.p_value == pytest.approx(min(expected, 1.0), rel=1e-6, abs=1e-14)


@pytest.mark.parametrize("null", [0.8, 1.0, 2.0])
def test_ratio_tests_as_statsmodels_gives_them(null):
    """Score, square-root (W5) and conditional one-sided p-values are those of statsmodels' test_poisson_2indep."""
    arms = Events(*CHD[:2]), Events(*CHD[2:])
    names = {
        RateRatioMethod.SCORE: "score",
        RateRatioMethod.SQUARE_ROOT: "sqrt",
        RateRatioMethod.CONDITIONAL: "exact-cond",
    }
    for method, name in names.items():
        for side, alternative in ((Side.GREATER, "larger"), (Side.LESS, "smaller")):
            got = ratio(*arms, null=null, side=side, method=method)
            oracle = test_poisson_2indep(*CHD, value=null, method=name, alternative=alternative)
            assert got.p_value == pytest.approx(oracle.pvalue, rel=1e-9)


def test_intervals_as_statsmodels_gives_them():
    """Score interval of the ratio, score and MOVER intervals of the difference, to statsmodels' own precision."""
    arms = Events(*CHD[:2]), Events(*CHD[2:])
    got = ratio(*arms, method=RateRatioMethod.SCORE)
    assert (got.low, got.high) == pytest.approx(confint_poisson_2indep(*CHD, method="score"), rel=1e-6)
    for method, name in ((RateDifferenceMethod.SCORE, "score"), (RateDifferenceMethod.MOVER, "mover")):
        apart = difference(*arms, method=method)
        oracle = confint_poisson_2indep(*CHD, method=name, compare="diff")
        assert (apart.low, apart.high) == pytest.approx(oracle, rel=1e-5, abs=2e-9)
    test = test_poisson_2indep(*CHD, value=2e-4, method="score", compare="diff")
    margin = difference(*arms, null=2e-4)
    assert (margin.statistic, margin.p_value) == pytest.approx((test.statistic, test.pvalue), rel=1e-9)


@pytest.mark.parametrize("method", [RateMethod.GARWOOD, RateMethod.SCORE])
@given(events(), st.floats(0.01, 100), st.sampled_from(Side))
def test_p_and_interval_of_a_rate_agree(method, arm, null, side):
    """P ≤ .05 exactly when the interval excludes the null rate, and the interval holds the estimate."""
    got = one_rate(arm, null=null, side=side, method=method)
    agree(got, null, 0.05, rounding=1e-9)
    assert got.estimate is not None
    assert (got.low or 0.0) <= got.estimate + 1e-12
    assert got.estimate <= (math.inf if got.high is None else got.high) + 1e-12


@pytest.mark.parametrize("method", [method for method in RateRatioMethod if method is not RateRatioMethod.POISSON_TEST])
@given(events(), events(), st.floats(0.02, 50), st.sampled_from(Side), st.sampled_from([0.01, 0.05, 0.2]))
def test_p_and_interval_of_a_ratio_agree(method, treatment, control, null, side, alpha):
    """P ≤ alpha exactly when the interval excludes the null ratio."""
    agree(ratio(treatment, control, null=null, side=side, alpha=alpha, method=method), null, alpha, rounding=1e-9)


@pytest.mark.parametrize("method", RateDifferenceMethod)
@settings(max_examples=40)
@given(events(), events(), st.floats(-50, 50), st.sampled_from(Side), st.sampled_from([0.01, 0.05, 0.2]))
def test_p_and_interval_of_a_difference_agree(method, treatment, control, null, side, alpha):
    """P ≤ alpha exactly when the interval excludes the null difference, and the interval holds the estimate."""
    got = difference(treatment, control, null=null, side=side, alpha=alpha, method=method)
    agree(got, null, alpha, rounding=1e-9)
    assert got.estimate is not None
    assert (-math.inf if got.low is None else got.low) <= got.estimate + 1e-9
    assert got.estimate <= (math.inf if got.high is None else got.high) + 1e-9


@settings(max_examples=40)
@given(events(), events())
def test_swapping_arms(treatment, control):
    """Changed about, ratios are reciprocal, differences negative, and p-values the same."""
    for method in RateRatioMethod:
        there, back = ratio(treatment, control, method=method), ratio(control, treatment, method=method)
        assert there.p_value == (None if back.p_value is None else pytest.approx(back.p_value, rel=1e-6))
        for first, second in ((there.low, back.high), (there.high, back.low)):
            if first and second:
                assert first * second == pytest.approx(1.0, rel=1e-7)
            else:
                assert {first, second} == {None, 0.0}
    for apart in RateDifferenceMethod:
        one, other = difference(treatment, control, method=apart), difference(control, treatment, method=apart)
        assert one.p_value == (None if other.p_value is None else pytest.approx(other.p_value, rel=1e-6))
        assert one.low is not None
        assert one.high is not None
        assert (other.high, other.low) == pytest.approx((-one.low, -one.high), rel=1e-7, abs=1e-9)


def test_score_tests_of_ratio_and_difference_are_one_test_at_no_difference():
    """A ratio of 1 and a difference of 0 have the same score z."""
    arms = Events(17, 30.0), Events(12, 45.0)
    by_ratio = ratio(*arms, method=RateRatioMethod.SCORE)
    assert by_ratio.statistic == pytest.approx(difference(*arms).statistic, rel=1e-12)


def test_exact_coverage():
    """Summed over all outcomes, exact intervals hold the truth ≥ 95 % of the time and the others 93.5 to 98.5 %."""
    first, second, t, u = 6.0, 9.0, 1.0, 2.0
    x, y = np.meshgrid(np.arange(35), np.arange(60), indexing="ij")
    weight = stats.poisson.pmf(x, first * t) * stats.poisson.pmf(y, second * u)
    arms = Events(x, t), Events(y, u)

    def covers(ends, truth):
        return float(weight[(ends[0] <= truth) & (truth <= ends[1])].sum())

    assert 0.95 <= covers(intervals.conditional_interval(*arms, 0.025), first / second) < 0.985
    assert 0.95 <= covers(intervals.garwood(arms[0], 0.025), first) < 0.985
    for ends in (intervals.ratio_score_interval(*arms, Z), intervals.ratio_root_interval(*arms, Z)):
        assert 0.935 < covers(ends, first / second) < 0.985
    for ends in (intervals.difference_score_interval(*arms, Z), intervals.mover_difference(*arms, Z)):
        assert 0.935 < covers(ends, first - second) < 0.985


def test_a_given_dispersion_widens_the_score_interval():
    """With dispersion 4 the z-score halves, and the interval is that of twice the critical value; so for one rate."""
    arms = Events(170, 300.0), Events(120, 450.0)
    plain, wide = ratio(*arms, method=RateRatioMethod.SCORE), ratio(*arms, method=RateRatioMethod.SCORE, dispersion=4.0)
    assert plain.statistic is not None
    assert wide.statistic == pytest.approx(plain.statistic / 2)
    assert (wide.low, wide.high) == pytest.approx([float(end) for end in intervals.ratio_score_interval(*arms, 2 * Z)])
    apart = difference(*arms, dispersion=4.0)
    expected = [float(end) for end in intervals.difference_score_interval(*arms, 2 * Z)]
    assert (apart.low, apart.high) == pytest.approx(expected)
    single = one_rate(arms[0], method=RateMethod.SCORE, dispersion=4.0)
    assert (single.low, single.high) == pytest.approx(
        [float(end) for end in intervals.rate_score_interval(arms[0], 2 * Z)]
    )


def test_nothing_seen_and_nothing_happened():
    """No exposure gives only None; no events at all bound the difference and leave the ratio open; each says why."""
    for nothing in (ratio(Events(0, 0), Events(3, 9)), difference(Events(0, 0), Events(3, 9)), one_rate(Events(0, 0))):
        assert (nothing.estimate, nothing.low, nothing.high, nothing.p_value) == (None,) * 4
        assert nothing.warnings == (Caution.EMPTY_ARM,)
    quiet = ratio(Events(0, 5), Events(0, 3))
    assert (quiet.estimate, quiet.low, quiet.high, quiet.p_value) == (None, 0.0, None, None)
    assert set(quiet.warnings) == {Caution.UNBOUNDED, Caution.NO_VARIANCE}
    apart = difference(Events(0, 5), Events(0, 3))
    assert apart.low is not None
    assert apart.high is not None
    assert apart.low < 0 < apart.high
    assert (apart.estimate, apart.p_value) == (0.0, None)
    assert Caution.NO_VARIANCE in apart.warnings


def test_an_event_free_control_bounds_the_ratio_from_below():
    """7 events to none is an infinite ratio: None and UNBOUNDED, with a lower end above 1 and a p-value."""
    for method in RateRatioMethod:
        got = ratio(Events(7, 10), Events(0, 10), method=method)
        assert (got.estimate, got.high) == (None, None)
        assert got.low is not None
        assert got.p_value is not None
        assert got.low > 1
        assert got.p_value < 0.05
        assert Caution.UNBOUNDED in got.warnings


def test_arrays_give_what_single_counts_give():
    """Intervals broadcast: each entry is the answer for its own counts."""
    x, y = np.array([[0, 3, 10]]), np.array([[2], [20]])
    low, high = intervals.difference_score_interval(Events(x, 4.0), Events(y, 9.0), Z)
    assert low.shape == (2, 3)
    for i, j in np.ndindex(2, 3):
        got = difference(Events(x[0, j], 4.0), Events(y[i, 0], 9.0))
        assert (got.low, got.high) == pytest.approx((low[i, j], high[i, j]), abs=1e-12)


def test_huge_counts_and_tiny_rates_keep_their_digits():
    """A billion events, or a rate of 1e-9, give finite intervals about as wide as their standard errors."""
    arms = Events(1_000_100_000, 1e18), Events(1_000_000_000, 1e18)
    error = math.sqrt(2e9) / 1e18
    got = difference(*arms)
    assert got.low is not None
    assert got.high is not None
    assert got.high - got.low == pytest.approx(2 * Z * error, rel=1e-3)
    exact = ratio(*arms)
    assert exact.low is not None
    assert exact.high is not None
    assert exact.high - exact.low == pytest.approx(2 * Z * error * 1e9, rel=1e-3)


@pytest.mark.parametrize(
    ("attempt", "match"),
    [
        (lambda: Events(-1, 4), "impossible"),
        (lambda: Events(1, 0), "without exposure"),
        (lambda: one_rate(Events([1, 2], 4)), "arrays"),
        (lambda: one_rate(Events(1, 4), null=0.0), "above 0"),
        (lambda: one_rate(Events(1.5, 4)), "whole"),
        (lambda: one_rate(Events(1, 4), dispersion=2.0), "exact"),
        (lambda: difference(Events(1, 4), Events(1, 4), dispersion=-1.0), "above 0"),
        (lambda: difference(Events(1, 4), Events(1, 4), null=math.nan), "finite"),
        (lambda: difference(Events(1, 4), Events(1, 4), method=RateDifferenceMethod.MOVER, dispersion=2), "only the"),
        (lambda: ratio(Events(1, 4), Events(1, 4), dispersion=2.0), "only the score"),
        (lambda: ratio(Events(1, 4), Events(1, 4), null=-1.0), "above 0"),
    ],
    ids=range(11),
)
def test_impossible_questions_are_refused(attempt, match):
    """Impossible counts, null values, fractions and dispersions raise with what to do."""
    with pytest.raises(InvalidInput, match=match):
        attempt()
