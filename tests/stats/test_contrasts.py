"""Differences of arms: published figures, tails that keep their digits, and three scales that never disagree."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.stats import ttest_ind_from_stats

from vedette.evidence.joint import JointMoments, joint_moments
from vedette.kernel.errors import InvalidInput
from vedette.stats.contrasts import (
    FixedRule,
    SequenceRule,
    against,
    all_pairs,
    contrasts,
    equivalence_p_value,
)
from vedette.stats.estimates import Estimates, Quantity, estimates
from vedette.stats.sequential import Side

X = [Quantity(name="x", column="x")]


def _from_sums(n, total, squares):
    return JointMoments(("x",), float(n), np.array([total / n]), np.array([[squares - total * total / n]]))


def _plain(means, variances, n=100.0, covariance=None):
    mean, variance = np.array([means], float), np.array([variances], float)
    size = np.full(mean.shape, float(n))
    return Estimates(
        metrics=("x",),
        arms=("c", "t"),
        mean=mean,
        variance=variance,
        n=size,
        plain=mean,
        clock=size,
        covariance=covariance,
    )


def test_growthbook_two_sided_t_test():
    """Welch's test is GrowthBook's TestTwoSidedTTest.test_two_sided_ttest_absolute (8f1db44)."""
    arms = {"c": _from_sums(3407, 1396.87, 52377.9767), "t": _from_sums(3461, 2422.7, 134698.29)}
    made = contrasts(estimates(arms, X), [("t", "c")], FixedRule())
    assert made.effect[0, 0] == pytest.approx(0.29, abs=1e-5)
    assert made.standard_error[0, 0] == pytest.approx(0.12478, abs=1e-5)
    assert made.p_value[0, 0] == pytest.approx(0.02016, abs=1e-5)
    assert (made.low[0, 0], made.high[0, 0]) == pytest.approx((0.04538, 0.53462), abs=1e-5)


def test_growthbook_one_sided_t_test():
    """One-sided Welch's test is GrowthBook's TestOneSidedGreaterTTest.test_one_sided_ttest_absolute (8f1db44)."""
    arms = {"c": _from_sums(3000, 1396.87, 52377.9767), "t": _from_sums(3461, 2422.7, 134698.29)}
    made = contrasts(estimates(arms, X), [("t", "c")], FixedRule(side=Side.GREATER))
    assert made.effect[0, 0] == pytest.approx(0.23437666666666668, rel=1e-8)
    assert made.standard_error[0, 0] == pytest.approx(0.12983081254184736, rel=1e-8)
    assert made.low[0, 0] == pytest.approx(0.020791480063255735, rel=1e-8)
    # GrowthBook's p is found by halving an interval, and is good to about 1e-4.
    assert made.p_value[0, 0] == pytest.approx(0.03554272489873023, abs=1e-4)
    assert np.isinf(made.high[0, 0])


def test_tea_tasting_welch():
    """Welch's interval and p are those of tea-tasting's tests/metrics/test_mean.py (90306f1)."""
    arms = {
        "c": JointMoments(("x",), 53.0, np.array([0.5660377358490566]), np.array([[52 * 0.7888243831640053]])),
        "t": JointMoments(("x",), 47.0, np.array([0.3829787234042553]), np.array([[46 * 0.5023126734505092]])),
    }
    made = contrasts(estimates(arms, X), [("t", "c")], FixedRule())
    found = (made.effect[0, 0], made.low[0, 0], made.high[0, 0], made.p_value[0, 0])
    expected = (-0.18305901244480127, -0.5004359360326984, 0.13431791114309583, 0.2551230546709908)
    assert found == pytest.approx(expected, rel=1e-9)


def test_r_welch_on_the_sleep_data():
    """Welch's test on R's sleep data: t = -1.8608, df = 17.776, p = 0.07939 (R 4.2.2 t.test)."""
    first = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0, 2.0]
    second = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]
    arms = {"1": joint_moments({"x": first}), "2": joint_moments({"x": second})}
    made = contrasts(estimates(arms, X), [("1", "2")], FixedRule())
    found = (made.z[0, 0], made.df[0, 0], made.p_value[0, 0], made.low[0, 0], made.high[0, 0])
    expected = (-1.86081346749, 17.7764735162, 0.0793941401874, -3.365483230712, 0.205483230712)
    assert found == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("pooled", [True, False])
def test_t_tests_are_scipys(pooled):
    """Pooled and Welch's p-values are scipy's from the same statistics."""
    arms = {"c": _from_sums(20, 30, 90), "t": _from_sums(15, 35, 140)}
    made = contrasts(estimates(arms, X), [("t", "c")], FixedRule(), variance="pooled" if pooled else "welch")
    stats = [(it.of("x").mean, it.of("x").variance ** 0.5, it.n) for it in (arms["t"], arms["c"])]
    expected = ttest_ind_from_stats(*stats[0], *stats[1], equal_var=pooled)
    assert made.p_value[0, 0] == pytest.approx(expected.pvalue, rel=1e-10)


def test_defect_6_small_p_values_keep_their_digits():
    """A z-score of 10.6 has a p-value of 3e-26, not 0 (gbstats takes 2 * (1 - cdf))."""
    found = _plain([0.0, 10.6], [0.5, 0.5])
    made = contrasts(found, [("t", "c")], FixedRule(), variance="z")
    assert made.p_value[0, 0] == pytest.approx(2.99e-26, rel=0.03)
    assert contrasts(found, [("t", "c")], SequenceRule()).p_value[0, 0] > 0


def test_defect_2_controls_near_or_below_zero():
    """A control near 0 gives an unbounded relative interval, a negative one keeps the sign (tea-tasting: neither)."""
    near = contrasts(_plain([0.001, 0.68], [0.01, 0.01]), [("t", "c")], FixedRule())
    assert np.isnan(near.relative_low[0, 0])
    assert np.isnan(near.relative_high[0, 0])
    assert near.p_value[0, 0] < 0.001
    below = contrasts(_plain([-25.0, -24.32], [0.01, 0.01]), [("t", "c")], FixedRule())
    assert below.effect[0, 0] == pytest.approx(0.68)
    assert below.relative[0, 0] == pytest.approx(0.68 / 25)
    assert 0 < below.relative_low[0, 0] < below.relative[0, 0] < below.relative_high[0, 0]


numbers = st.floats(-20, 20).filter(lambda x: abs(x) > 1e-6)
variances = st.floats(1e-4, 10)


@given(numbers, numbers, variances, variances, st.sampled_from(list(Side)), st.booleans())
def test_absolute_relative_and_p_value_never_disagree(c, t, var_c, var_t, side, sequence):
    """At any alpha the p-value is at most alpha exactly when both intervals leave out no effect."""
    rule = SequenceRule(side=side, tuning=300) if sequence else FixedRule(side=side)
    made = contrasts(_plain([c, t], [var_c, var_t]), [("t", "c")], rule)
    p, low, high = (float(part[0, 0]) for part in (made.p_value, made.low, made.high))
    assume(abs(abs(made.z[0, 0]) - made.critical[0, 0]) > 1e-9)
    assert (p <= 0.05) == (low > 0 or high < 0)
    relative_low, relative_high = float(made.relative_low[0, 0]), float(made.relative_high[0, 0])
    if not (np.isnan(relative_low) and np.isnan(relative_high)):
        assert (relative_low > 0 or relative_high < 0) == (p <= 0.05)
        assert relative_low <= made.relative[0, 0] + 1e-9
        assert relative_high >= made.relative[0, 0] - 1e-9


@given(numbers, numbers, variances, variances, st.floats(-0.3, 0.3))
def test_relative_interval_holds_the_margins_that_are_not_rejected(c, t, var_c, var_t, margin):
    """The relative interval is the inversion of the test against relative margins, one by one."""
    found = _plain([c, t], [var_c, var_t])
    plain = contrasts(found, [("t", "c")], FixedRule(), variance="z")
    assume(not np.isnan(plain.relative_low[0, 0]))
    against_margin = contrasts(found, [("t", "c")], FixedRule(), variance="z", relative_margin=margin)
    low, high = float(plain.relative_low[0, 0]), float(plain.relative_high[0, 0])
    assume(min(abs(margin - low), abs(margin - high)) > 1e-9)
    assert (against_margin.p_value[0, 0] > 0.05) == (low < margin < high)


def test_equivalence_needs_both_sides():
    """Two arms are equivalent when neither direction beyond the margin is plausible, and not otherwise."""
    close, apart = _plain([10.0, 10.01], [0.01, 0.01]), _plain([10.0, 10.6], [0.01, 0.01])
    rule = FixedRule(side=Side.GREATER)
    assert equivalence_p_value(close, [("t", "c")], rule, relative_margin=0.05)[0, 0] < 0.01
    assert equivalence_p_value(apart, [("t", "c")], rule, relative_margin=0.05)[0, 0] > 0.5


def test_pairs_are_named():
    """All pairs come once, later arms first; against a control, every other arm does."""
    assert all_pairs("abc") == (("b", "a"), ("c", "a"), ("c", "b"))
    assert against("b", "abc") == (("a", "b"), ("c", "b"))


def test_what_cannot_be_compared_is_refused_or_unknown():
    """Unknown arms and two margins are refused; arms without spread have no p-value instead of one of 0 or 1."""
    found = _plain([1.0, 1.0], [0.0, 0.0])
    made = contrasts(found, [("t", "c")], FixedRule())
    assert np.isnan(made.p_value[0, 0])
    assert np.isnan(made.low[0, 0])
    with pytest.raises(InvalidInput, match="no arm 'z'"):
        contrasts(found, [("z", "c")], FixedRule())
    with pytest.raises(InvalidInput, match="not both"):
        contrasts(found, [("t", "c")], FixedRule(), margin=1.0, relative_margin=0.1)
