"""More than two arms: published digits, scipy as the oracle, empty rows and small counts."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from vedette.kernel.errors import InvalidInput
from vedette.stats.cautions import Caution
from vedette.stats.proportion_intervals import Counts
from vedette.stats.proportion_tables import (
    TableStatistic,
    degrees_of_freedom,
    distance,
    equal_proportions,
    expected,
    independence,
)
from vedette.stats.proportions import DifferenceMethod, difference

PARTIES = [[762, 327, 468], [484, 239, 477]]


def test_smokers_in_four_groups():
    """R example(prop.test), Fleiss 1981 p. 139: chi-square 12.6004112971 with 3 degrees, p = .00558547666163."""
    got = equal_proportions(Counts([83, 90, 129, 70], [86, 93, 136, 82]))
    assert (got.statistic, got.p_value) == pytest.approx((12.6004112971, 0.00558547666163), rel=1e-8)
    assert (got.degrees, got.method, got.warnings) == (3, "pearson_chi_square", ())


def test_party_by_gender():
    """R example(chisq.test), Agresti 2007 p. 39: chi-square 30.07, 2 degrees, p = 2.954e-07; G is 30.02."""
    got = independence(PARTIES)
    assert got.statistic == pytest.approx(30.07, abs=5e-3)
    assert got.degrees == 2
    assert got.p_value == pytest.approx(2.954e-07, abs=5e-11)
    assert independence(PARTIES, statistic=TableStatistic.G).statistic == pytest.approx(30.02, abs=5e-3)


@given(st.lists(st.lists(st.integers(1, 300), min_size=4, max_size=4), min_size=2, max_size=5))
def test_tables_as_scipy_tests_them(table):
    """Pearson, G, expected counts and Cramér's V are those of scipy."""
    for statistic, name in ((TableStatistic.PEARSON, "pearson"), (TableStatistic.G, "log-likelihood")):
        got = independence(table, statistic=statistic)
        oracle = stats.chi2_contingency(table, correction=False, lambda_=name)
        assert got.statistic == pytest.approx(oracle.statistic, rel=1e-6, abs=1e-9)
        assert got.degrees == oracle.dof
        assert got.p_value == pytest.approx(oracle.pvalue, rel=1e-6)
        assert got.cramers_v == pytest.approx(stats.contingency.association(np.array(table)), abs=1e-9)
        assert got.least_expected == pytest.approx(oracle.expected_freq.min())


def test_two_arms_are_the_pooled_z_test():
    """For k = 2 chi-square is the square of the pooled z-score and p is the same."""
    got = equal_proportions(Counts([15, 9], [25, 25]))
    pooled = difference(Counts(15, 25), Counts(9, 25), method=DifferenceMethod.FARRINGTON_MANNING)
    assert pooled.statistic is not None
    assert (got.statistic, got.p_value) == pytest.approx((pooled.statistic**2, pooled.p_value), rel=1e-12)


def test_far_tails_keep_their_digits():
    """A chi-square of about 1,000 has a p-value above 0, from the survival side."""
    got = equal_proportions(Counts([900, 500, 200], [1000, 1000, 1000]))
    assert got.p_value is not None
    assert 0.0 < got.p_value < 1e-200


def test_an_arm_without_trials_takes_no_degree_of_freedom():
    """A third arm that got nothing changes neither the statistic nor its degrees, and is warned about."""
    two, three = equal_proportions(Counts([15, 9], [25, 25])), equal_proportions(Counts([15, 9, 0], [25, 25, 0]))
    assert (three.statistic, three.degrees, three.p_value) == (two.statistic, two.degrees, two.p_value)
    assert (two.warnings, three.warnings) == ((), (Caution.EMPTY_ARM,))


def test_arms_all_alike_have_no_p_value():
    """Without any success, or with a single arm that got something, nothing can be tested, and the warning says so."""
    for arms in (Counts([0, 0, 0], [9, 9, 9]), Counts([9, 9], [9, 9]), Counts([4, 0], [9, 0])):
        got = equal_proportions(arms)
        assert (got.statistic, got.p_value, got.cramers_v, got.degrees) == (None, None, None, 0)
        assert Caution.NO_VARIANCE in got.warnings


def test_small_expected_counts_are_warned_about():
    """Cochran: more than a fifth of cells below 5, or any below 1, is small; one in ten below 5 is not."""
    assert Caution.SMALL_COUNTS in equal_proportions(Counts([1, 2, 3], [10, 10, 10])).warnings
    assert Caution.SMALL_COUNTS in independence([[1, 999], [0, 1000]]).warnings
    assert equal_proportions(Counts([5, 60, 60, 60, 60], [8, 99, 99, 99, 99])).warnings == ()


def test_many_tables_at_once():
    """Statistics and degrees of a stack of tables are those of each, shape (...) of tables (..., k, m)."""
    tables = np.array([[PARTIES, [[1, 2, 3], [4, 5, 6]]]])
    assert distance(tables).shape == degrees_of_freedom(tables).shape == (1, 2)
    assert expected(tables).shape == tables.shape
    for place in np.ndindex(1, 2):
        single = independence(tables[place])
        assert distance(tables)[place] == single.statistic
        assert degrees_of_freedom(tables)[place] == single.degrees


def test_type_one_error_of_four_arms():
    """Of 20,000 tables of four equal arms of 200 at 10 %, between 4.5 and 5.5 % have p ≤ .05."""
    successes = np.random.default_rng(11).binomial(200, 0.1, size=(20_000, 4))
    measured = distance(np.stack([successes, 200 - successes], axis=-1))
    assert 0.045 < (stats.chi2.sf(measured, 3) <= 0.05).mean() < 0.055


def test_what_is_no_table_is_refused():
    """One arm, a single list, negative counts and a stack where one table is asked for raise."""
    with pytest.raises(InvalidInput, match="two rows"):
        independence([[1, 2, 3]])
    with pytest.raises(InvalidInput, match="two lists"):
        equal_proportions(Counts(1, 2))
    with pytest.raises(InvalidInput, match="finite"):
        independence([[1, -2], [3, 4]])
    with pytest.raises(InvalidInput, match="two dimensions"):
        independence([[[1, 2], [3, 4]]])
