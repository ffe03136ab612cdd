"""Exact tests of two proportions: published digits, direction, level, and tables that say nothing."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.stats.contingency import odds_ratio

from vedette.kernel.errors import InvalidInput
from vedette.stats import proportions
from vedette.stats.cautions import Caution
from vedette.stats.proportion_exact import barnard, boschloo, fisher
from vedette.stats.proportion_intervals import Counts
from vedette.stats.sequential import Side

TEA = Counts(3, 4), Counts(1, 4)
TWINS = Counts(2, 17), Counts(10, 13)


def test_the_lady_tasting_tea():
    """R example(fisher.test): two-sided p = .4857, one-sided .2429 with odds ratio 6.408309 above .3135693."""
    both, greater = fisher(*TEA), fisher(*TEA, side=Side.GREATER)
    assert both.p_value == pytest.approx(0.485714285714, abs=1e-10)
    assert both.warnings == (Caution.UNMATCHED,)
    assert greater.p_value == pytest.approx(0.2429, abs=5e-5)
    assert (greater.estimate, greater.low) == pytest.approx((6.408309, 0.3135693), rel=2e-5)  # R's root is that rough
    assert (greater.high, greater.warnings) == (None, ())


def test_convictions_of_twins():
    """R example(fisher.test), Fisher 1962: p = .0004652 one-sided, odds ratio .04693661, from .00333 to .363182."""
    less, both = fisher(*TWINS, side=Side.LESS), fisher(*TWINS)
    assert less.p_value == pytest.approx(0.0004652, abs=5e-8)
    assert less.high == pytest.approx(0.2849601, rel=1e-5)
    assert both.estimate == pytest.approx(0.04693661, rel=1e-5)
    assert (both.low, both.high) == pytest.approx((0.003325764, 0.363182271), rel=5e-3)  # R's root is that rough


def test_barnard_as_published():
    """Mehta & Senchaudhuri 2003: 7 of 15 against 12 of 15 has a one-sided Barnard p of .034, and a Fisher p of .064."""
    arms = Counts(7, 15), Counts(12, 15)
    got = barnard(*arms, side=Side.LESS, pooled=False)
    assert got.p_value == pytest.approx(0.0341, abs=5e-5)
    assert fisher(*arms, side=Side.LESS).p_value == pytest.approx(0.0641, abs=5e-5)
    assert (got.low, got.high, got.warnings) == (None, None, (Caution.NO_INTERVAL,))
    assert got.statistic is not None
    assert got.statistic < 0


def test_boschloo_as_documented():
    """Scipy's example: 74 of 117 professors are content, 31 of 63 scientists: Fisher's .0483 becomes .0355."""
    got = boschloo(Counts(74, 117), Counts(31, 63), side=Side.GREATER)
    assert (got.statistic, got.p_value) == pytest.approx((0.0483, 0.0355), abs=1e-4)


@pytest.mark.parametrize("test", [fisher, barnard, boschloo])
def test_sides_point_the_right_way(test):
    """More successes in treatment are evidence for GREATER and none for LESS; swapping the arms swaps the sides."""
    arms = Counts(9, 10), Counts(3, 10)
    greater, less = test(*arms, side=Side.GREATER).p_value, test(*arms, side=Side.LESS).p_value
    assert greater < 0.02
    assert less > 0.9
    assert test(arms[1], arms[0], side=Side.LESS).p_value == pytest.approx(greater, rel=1e-6)


def test_fisher_agrees_with_its_one_sided_interval():
    """One-sided, p ≤ .05 exactly when the conditional interval excludes 1, over all tables of 6 and 7 trials."""
    for x, y in np.ndindex(7, 8):
        arms = Counts(x, 6), Counts(y, 7)
        got = fisher(*arms, side=Side.GREATER)
        if got.p_value is None:
            assert Caution.NO_VARIANCE in got.warnings
        else:
            assert ((got.low or 0.0) > 1.0) == (got.p_value <= 0.05)


def test_exact_tests_keep_their_level_and_barnard_has_more_power():
    """With 8 an arm, over all outcomes, both reject ≤ 5 % without a difference, and Barnard more often at .1 to .7."""
    n = 8
    p = {
        test: np.array([[test(Counts(x, n), Counts(y, n)).p_value or 1.0 for y in range(n + 1)] for x in range(n + 1)])
        for test in (fisher, barnard)
    }
    outcomes = np.arange(n + 1)

    def rejects(test, first, second):
        weight = np.outer(stats.binom.pmf(outcomes, n, first), stats.binom.pmf(outcomes, n, second))
        return float(weight[p[test] <= 0.05].sum())

    for share in (0.1, 0.3, 0.5):
        assert rejects(fisher, share, share) <= rejects(barnard, share, share) <= 0.05
    assert rejects(barnard, 0.1, 0.7) > rejects(fisher, 0.1, 0.7) + 0.02


@pytest.mark.parametrize("test", [fisher, barnard, boschloo])
def test_tables_that_say_nothing(test):
    """Without trials, or with outcomes all alike, there is no p-value, and the warning says which it was."""
    assert Caution.EMPTY_ARM in test(Counts(0, 0), Counts(1, 5)).warnings
    alike = test(Counts(0, 4), Counts(0, 5))
    assert Caution.NO_VARIANCE in alike.warnings
    assert (alike.p_value, alike.statistic) == (None, None)


@given(st.integers(0, 12), st.integers(0, 12), st.integers(0, 12), st.integers(0, 12))
@settings(max_examples=25)
def test_conditional_odds_as_scipy_gives_them(x, fails, y, others):
    """The conditional odds ratio and its exact ends are scipy's, zero cells included."""
    table = [[x, y], [fails, others]]
    got = fisher(Counts(x, x + fails), Counts(y, y + others))
    if got.p_value is None:
        return
    oracle = odds_ratio(table)
    expected = (oracle.statistic, *oracle.confidence_interval())
    for value, known in zip((got.estimate, got.low, got.high), expected, strict=True):
        assert (math.inf if value is None else value) == pytest.approx(known, rel=1e-6)


def test_large_tables_are_answered():
    """With 50,000 successes an arm the conditional interval is that of the log odds ratio, to three digits."""
    arms = Counts(50_000, 1_000_000), Counts(49_000, 1_000_000)
    got, normal = fisher(*arms), proportions.odds_ratio(*arms)
    assert (got.low, got.high) == pytest.approx((normal.low, normal.high), rel=1e-4)
    assert got.p_value == pytest.approx(normal.p_value, rel=0.02)


def test_zero_cells_leave_the_odds_ratio_without_bound():
    """With no failure in treatment the odds ratio is infinite: None and UNBOUNDED, with a finite lower end."""
    got = fisher(Counts(10, 10), Counts(2, 10))
    assert (got.estimate, got.high) == (None, None)
    assert got.low is not None
    assert got.low > 1
    assert Caution.UNBOUNDED in got.warnings


def test_what_cannot_be_enumerated_is_refused():
    """Fractions, arrays, and arms of thousands raise with what to use instead."""
    with pytest.raises(InvalidInput, match="whole"):
        fisher(Counts(1.5, 4), Counts(1, 4))
    with pytest.raises(InvalidInput, match="arrays"):
        boschloo(Counts([1, 2], 4), Counts(1, 4))
    with pytest.raises(InvalidInput, match="score test"):
        barnard(Counts(1, 4000), Counts(1, 4000))
