"""One and two proportions: published digits, agreement of p and interval, symmetry and awkward counts."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint, test_proportions_2indep
from tests.stats.agreement import agree

from vedette.kernel.errors import InvalidInput
from vedette.stats import proportion_intervals as intervals
from vedette.stats.cautions import Caution
from vedette.stats.proportion_intervals import Counts
from vedette.stats.proportions import (
    DifferenceMethod,
    OddsMethod,
    ProportionMethod,
    RatioMethod,
    difference,
    odds_ratio,
    one_proportion,
    ratio,
)
from vedette.stats.sequential import Side

test_proportions_2indep.__test__ = False  # a function of statsmodels, not a test

SCORE = DifferenceMethod.MIETTINEN_NURMINEN
MATCHED = [method for method in DifferenceMethod if method is not DifferenceMethod.CONTINUITY]


@st.composite
def counts(draw, most=60):
    """Draw successes of at least one trial."""
    trials = draw(st.integers(1, most))
    return Counts(draw(st.integers(0, trials)), trials)


@pytest.mark.parametrize(
    ("method", "published"),
    [
        (ProportionMethod.WILSON, [(0.2553, 0.3662), (0.0624, 0.1605), (0.0, 0.1611), (0.0061, 0.1718)]),
        (ProportionMethod.WILSON_CONTINUITY, [(0.2535, 0.3682), (0.0598, 0.1644), (0.0, 0.2005), (0.0018, 0.1963)]),
        (ProportionMethod.CLOPPER_PEARSON, [(0.2527, 0.3676), (0.0578, 0.1617), (0.0, 0.1684), (0.0009, 0.1776)]),
    ],
)
def test_intervals_of_one_proportion_as_published(method, published):
    """Newcombe 1998, Statistics in Medicine 17:857, Table I, methods 3, 4 and 5: 81/263, 15/148, 0/20 and 1/29."""
    for (x, n), (low, high) in zip([(81, 263), (15, 148), (0, 20), (1, 29)], published, strict=True):
        got = one_proportion(Counts(x, n), method=method)
        assert (got.low, got.high) == pytest.approx((low, high), abs=6e-5)
        assert (got.method, got.warnings, got.p_value, got.null) == (method.value, (), None, None)


def test_no_vegetarians():
    """Agresti, An Introduction to Categorical Data Analysis (2007), 1.4.3: 0 of 25 has the score interval 0 to .133."""
    assert one_proportion(Counts(0, 25)).high == pytest.approx(0.133, abs=5e-4)


def test_binomial_test_as_r_gives_it():
    """R example(binom.test), Conover 1971 p. 97: 682 of 925 against .75 has p = .3825 and .7076683 to .7654066."""
    got = one_proportion(Counts(682, 925), null=0.75, method=ProportionMethod.BINOMIAL_TEST)
    assert got.p_value == pytest.approx(0.3825, abs=5e-5)
    assert (got.low, got.high) == pytest.approx((0.7076683, 0.7654066), abs=5e-8)
    assert got.warnings == (Caution.UNMATCHED,)


def test_agresti_coull_as_statsmodels_gives_it():
    """The Agresti-Coull interval is that of statsmodels' proportion_confint, cut at 0 and 1."""
    for x, n in ((3, 17), (0, 9), (40, 41), (500, 1000)):
        got = one_proportion(Counts(x, n), method=ProportionMethod.AGRESTI_COULL)
        expected = np.clip(proportion_confint(x, n, method="agresti_coull"), 0, 1)
        assert (got.low, got.high) == pytest.approx(expected, rel=1e-9, abs=1e-12)


NEWCOMBE_EXAMPLES = [
    ((56, 70), (48, 80)),
    ((9, 10), (3, 10)),
    ((6, 7), (2, 7)),
    ((5, 56), (0, 29)),
    ((0, 10), (0, 20)),
    ((0, 10), (0, 10)),
    ((10, 10), (0, 20)),
    ((10, 10), (0, 10)),
]


@pytest.mark.parametrize(
    ("method", "published"),
    [
        (
            DifferenceMethod.NEWCOMBE,  # method 10
            "0.0524 0.3339 0.1705 0.8090 0.0582 0.8062 -0.0381 0.1926 -0.1611 0.2775 -0.2775 0.2775 0.6791 1 0.6075 1",
        ),
        (
            DifferenceMethod.FARRINGTON_MANNING,  # method 5, Mee
            "0.0533 0.3377 0.1821 0.8370 0.0544 0.8478 -0.0313 0.1926 -0.1611 0.2775 -0.2775 0.2775 0.7225 1 0.6777 1",
        ),
        (
            SCORE,  # method 6, Miettinen and Nurminen
            "0.0528 0.3382 0.1700 0.8406 0.0342 0.8534 -0.0326 0.1933 -0.1658 0.2844 -0.2879 0.2879 0.7156 1",
        ),
    ],
)
def test_intervals_of_a_difference_as_published(method, published):
    """Newcombe 1998, Statistics in Medicine 17:873, Table II, examples a to h (g), methods 10, 5 and 6."""
    ends = [
        end
        for first, second in NEWCOMBE_EXAMPLES
        for got in [difference(Counts(*first), Counts(*second), method=method)]
        for end in (got.low, got.high)
    ]
    figures = [float(end) for end in published.split()]
    assert ends[: len(figures)] == pytest.approx(figures, abs=6e-5)


def test_aspirin_as_published():
    """Agresti 2007, 2.2: 189 of 11,034 to 104 of 11,037 is .008 (.005, .011), 1.82 (1.43, 2.30), 1.83 (1.44, 2.33)."""
    arms = Counts(189, 11_034), Counts(104, 11_037)
    wald = difference(*arms, method=DifferenceMethod.WALD)
    assert (wald.estimate, wald.low, wald.high) == pytest.approx((0.008, 0.005, 0.011), abs=5e-4)
    risk = ratio(*arms, method=RatioMethod.KATZ)
    assert (risk.estimate, risk.low, risk.high) == pytest.approx(
        (1.82, 1.43, 2.30), abs=7e-3
    )  # the book rounds on its way
    odds = odds_ratio(*arms)
    assert (odds.estimate, odds.low, odds.high) == pytest.approx((1.83, 1.44, 2.33), abs=5e-3)


def test_ratio_interval_as_published():
    """Koopman 1984, Biometrics 40:513: 36 of 40 to 16 of 80 is a ratio of 4.5 between 2.94 and 7.15."""
    got = ratio(Counts(36, 40), Counts(16, 80), method=RatioMethod.KOOPMAN)
    assert (got.estimate, got.low, got.high) == pytest.approx((4.5, 2.94, 7.15), abs=5e-3)


def test_growthbooks_binomial_example_on_the_ratio():
    """16 of 30 to 14 of 28 (growthbook's test_two_sided_ttest_binom) is +6.667 %; p is .807 there, by score .801."""
    got = ratio(Counts(16, 30), Counts(14, 28))
    assert got.estimate == pytest.approx(1.06667, abs=5e-6)
    assert got.p_value == pytest.approx(0.8013, abs=5e-5)


@pytest.mark.parametrize("null", [0.4, 1.0, 2.5])
def test_score_statistic_of_a_ratio_as_statsmodels_gives_it(null):
    """Both score tests of a ratio have statsmodels' z-score (its score test of a difference has another, wrong fit)."""
    for raw in ((7, 25, 12, 30), (1, 9, 8, 40), (30, 200, 55, 190)):
        for method, correction in ((RatioMethod.MIETTINEN_NURMINEN, True), (RatioMethod.KOOPMAN, False)):
            got = ratio(Counts(*raw[:2]), Counts(*raw[2:]), null=null, method=method)
            expected = test_proportions_2indep(*raw, value=null, compare="ratio", method="score", correction=correction)
            assert (got.statistic, got.p_value) == pytest.approx((expected.statistic, expected.pvalue), rel=1e-9)


def test_other_intervals_as_statsmodels_gives_them():
    """Wald, Agresti-Caffo and Koopman intervals, and the adjusted log odds ratio, are those of statsmodels 0.15."""
    for raw in ((7, 25, 12, 30), (1, 9, 8, 40), (30, 200, 55, 190)):
        arms = Counts(*raw[:2]), Counts(*raw[2:])
        for method, name in ((DifferenceMethod.WALD, "wald"), (DifferenceMethod.AGRESTI_CAFFO, "agresti-caffo")):
            got = difference(*arms, method=method)
            expected = confint_proportions_2indep(*raw, method=name, compare="diff")
            assert (got.low, got.high) == pytest.approx(expected, rel=1e-9)
        got = ratio(*arms, method=RatioMethod.KOOPMAN)
        expected = confint_proportions_2indep(*raw, method="score", compare="ratio", correction=False)
        assert (got.low, got.high) == pytest.approx(expected, rel=1e-8)
        got = odds_ratio(*arms, method=OddsMethod.HALDANE)
        expected = confint_proportions_2indep(*raw, method="logit-adjusted", compare="odds-ratio")
        assert (got.low, got.high) == pytest.approx(expected, rel=1e-9)


def test_pooled_z_is_pearsons_chi_square_and_yates_the_corrected_one():
    """Two-sided p-values are scipy's chi2_contingency, without and with continuity correction."""
    table = np.array([[15, 10], [9, 16]])
    arms = Counts(15, 25), Counts(9, 25)
    for method, correction in ((DifferenceMethod.FARRINGTON_MANNING, False), (DifferenceMethod.CONTINUITY, True)):
        got, expected = difference(*arms, method=method), stats.chi2_contingency(table, correction=correction)
        assert got.statistic is not None
        assert (got.statistic**2, got.p_value) == pytest.approx((expected.statistic, expected.pvalue), rel=1e-12)
    wald = difference(*arms, method=DifferenceMethod.WALD)
    assert wald.low is not None
    assert wald.high is not None
    assert (got.low, got.high) == pytest.approx((wald.low - 0.04, wald.high + 0.04))  # half of 1/25 + 1/25, as in R
    assert Caution.UNMATCHED in got.warnings


def test_tiny_p_values_keep_their_digits():
    """Z = 10.6 gives p = 3e-26, from the survival side, not the 0 that 2 · (1 - cdf) gives (gbstats)."""
    assert float(intervals.normal_p_value(10.6, Side.BOTH)) == pytest.approx(3.05e-26, rel=2e-3)
    got = difference(Counts(300, 1000), Counts(110, 1000), method=DifferenceMethod.FARRINGTON_MANNING)
    assert got.p_value is not None
    assert 0 < got.p_value < 1e-24


@pytest.mark.parametrize("method", MATCHED)
@settings(max_examples=40)
@given(counts(), counts(), st.floats(-0.8, 0.8), st.sampled_from(Side), st.sampled_from([0.01, 0.05, 0.2]))
def test_p_and_interval_of_a_difference_agree(method, treatment, control, null, side, alpha):
    """For each method and side, p ≤ alpha exactly when the interval excludes the null difference."""
    got = difference(treatment, control, null=null, alpha=alpha, side=side, method=method)
    agree(got, null, alpha, rounding=1e-7)


@pytest.mark.parametrize("method", RatioMethod)
@settings(max_examples=40)
@given(counts(), counts(), st.floats(0.05, 20), st.sampled_from(Side), st.sampled_from([0.01, 0.05, 0.2]))
def test_p_and_interval_of_a_ratio_agree(method, treatment, control, null, side, alpha):
    """For each method and side, p ≤ alpha exactly when the interval excludes the null ratio."""
    agree(ratio(treatment, control, null=null, alpha=alpha, side=side, method=method), null, alpha, rounding=1e-7)


@pytest.mark.parametrize("method", OddsMethod)
@given(counts(), counts(), st.floats(0.05, 20), st.sampled_from(Side))
def test_p_and_interval_of_an_odds_ratio_agree(method, treatment, control, null, side):
    """For both log-Wald methods, p ≤ .05 exactly when the interval excludes the null odds ratio."""
    agree(odds_ratio(treatment, control, null=null, side=side, method=method), null, 0.05, rounding=1e-7)


@pytest.mark.parametrize("method", [method for method in ProportionMethod if method != "binomial_test"])
@given(counts(), st.floats(0.01, 0.99), st.sampled_from(Side), st.sampled_from([0.01, 0.05, 0.2]))
def test_p_and_interval_of_one_proportion_agree(method, arm, null, side, alpha):
    """For each method and side, p ≤ alpha exactly when the interval excludes the null proportion."""
    got = one_proportion(arm, null=null, alpha=alpha, side=side, method=method)
    agree(got, null, alpha, rounding=1e-7)
    for end, holds in ((got.low, lambda end: end <= arm.share), (got.high, lambda end: end >= arm.share)):
        assert end is None or holds(end)


@pytest.mark.parametrize("method", DifferenceMethod)
@settings(max_examples=25)
@given(counts(), counts())
def test_swapping_arms_turns_a_difference_round(method, treatment, control):
    """Treatment and control changed about give the negative difference, the turned interval and the same p-value."""
    there, back = (difference(*arms, method=method) for arms in ((treatment, control), (control, treatment)))
    assert there.p_value == (None if back.p_value is None else pytest.approx(back.p_value, rel=1e-7))
    assert (there.low is None) == (back.high is None)
    if there.low is None or there.high is None or there.estimate is None:
        assert there.warnings
        return
    assert (back.high, back.low) == pytest.approx((-there.low, -there.high), abs=1e-9)
    assert there.low - 1e-12 <= there.estimate <= there.high + 1e-12


@settings(max_examples=40)
@given(counts(), counts())
def test_swapping_arms_turns_a_ratio_over(treatment, control):
    """Changed about, the score ratio and its ends are the reciprocals, 0 being that of no bound."""
    there, back = ratio(treatment, control), ratio(control, treatment)
    assert there.p_value == (None if back.p_value is None else pytest.approx(back.p_value, rel=1e-7))
    for first, second in ((there.low, back.high), (there.high, back.low)):
        if first and second:
            assert first * second == pytest.approx(1.0, rel=1e-7)
        else:
            assert {first, second} == {None, 0.0}


@settings(max_examples=40)
@given(counts(), counts(), st.integers(0, 10))
def test_a_difference_grows_with_treatments_successes(treatment, control, more):
    """One more success of as many trials never lowers the score interval nor raises the one-sided p-value."""
    least, most = float(treatment.successes), float(treatment.trials)
    better = Counts(min(least + more, most), most)
    low, high = (difference(arm, control, null=-0.1, side=Side.GREATER) for arm in (treatment, better))
    assert low.low is not None
    assert high.low is not None
    assert high.low >= low.low - 1e-9
    assert (high.p_value or 0.0) <= (low.p_value or 0.0) + 1e-9


@pytest.mark.parametrize("method", [*DifferenceMethod])
def test_nothing_tried_and_nothing_varied_get_a_warning(method):
    """An empty arm gives only None and says so; arms all alike give no NaN, and a p-value only where there is one."""
    nothing = difference(Counts(0, 0), Counts(3, 20), method=method)
    assert (nothing.estimate, nothing.low, nothing.high, nothing.p_value) == (None,) * 4
    assert Caution.EMPTY_ARM in nothing.warnings
    for arms in ((Counts(0, 10), Counts(0, 20)), (Counts(10, 10), Counts(20, 20)), (Counts(10, 10), Counts(0, 20))):
        got = difference(*arms, method=method)
        assert got.estimate in {0.0, 1.0}
        assert (got.p_value is None) == (Caution.NO_VARIANCE in got.warnings)


def test_score_intervals_speak_where_the_test_is_silent():
    """Without any success there is no p-value against no difference, yet the difference is bounded, the ratio open."""
    bounded = difference(Counts(0, 10), Counts(0, 20))
    assert bounded.p_value is None
    assert bounded.warnings == (Caution.NO_VARIANCE,)
    assert (bounded.low, bounded.high) == pytest.approx((-0.1658, 0.2844), abs=6e-5)
    free = ratio(Counts(0, 10), Counts(0, 20))
    assert (free.estimate, free.low, free.high, free.p_value) == (None, 0.0, None, None)
    assert set(free.warnings) == {Caution.UNBOUNDED, Caution.NO_VARIANCE}
    one_arm = ratio(Counts(10, 10), Counts(0, 20))
    assert one_arm.low is not None
    assert one_arm.low > 1
    assert one_arm.warnings == (Caution.UNBOUNDED,)


def test_log_methods_name_the_empty_cell():
    """A count of 0 stops Katz and Woolf with EMPTY_CELL, and half a count more makes an odds ratio of it."""
    arms = Counts(0, 10), Counts(4, 20)
    assert Caution.EMPTY_CELL in ratio(*arms, method=RatioMethod.KATZ).warnings
    woolf = odds_ratio(*arms)
    assert (woolf.estimate, woolf.low, woolf.p_value) == (0.0, None, None)
    assert Caution.EMPTY_CELL in woolf.warnings
    assert odds_ratio(*arms, method=OddsMethod.HALDANE).p_value is not None


def test_results_show_themselves():
    """A result gives plain data, with the names of its side and method."""
    data = difference(Counts(9, 10), Counts(3, 10)).to_dict()
    assert (data["side"], data["method"], data["warnings"]) == ("both", "miettinen_nurminen", [])


@pytest.mark.parametrize(
    ("attempt", "match"),
    [
        (lambda: Counts(5, 4), "impossible"),
        (lambda: Counts(-1, 4), "impossible"),
        (lambda: Counts(math.nan, 4), "impossible"),
        (lambda: one_proportion(Counts([1, 2], 4)), "arrays"),
        (lambda: one_proportion(Counts(1, 4), null=1.0), "between 0 and 1"),
        (lambda: one_proportion(Counts(1, 4), alpha=0.5), "alpha"),
        (lambda: one_proportion(Counts(1.5, 4), method=ProportionMethod.CLOPPER_PEARSON), "whole"),
        (lambda: difference(Counts(1, 4), Counts(1, 4), null=1.0), "between -1 and 1"),
        (lambda: difference(Counts(1, 4), Counts(1, 4), null=0.1, method=DifferenceMethod.CONTINUITY), "Yates"),
        (lambda: ratio(Counts(1, 4), Counts(1, 4), null=0.0), "above 0"),
    ],
    ids=range(10),
)
def test_impossible_questions_are_refused(attempt, match):
    """Impossible counts, null values, levels, arrays and fractions raise with what to do."""
    with pytest.raises(InvalidInput, match=match):
        attempt()
