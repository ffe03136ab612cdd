"""The largest of many statistics: published tables, other tools, limits, and the lattice beside exact integrals."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtr, stdtr
from scipy.stats import studentized_range

from vedette.kernel.errors import InvalidInput
from vedette.stats.largest import all_pairs_of, correlated, sharing_one
from vedette.stats.sequential import Side

EVEN = math.sqrt(0.5)
"""Loading of arms as large as the control: correlations of one half."""


def product(loadings):
    """Give the correlation matrix of loadings."""
    matrix = np.outer(loadings, loadings)
    np.fill_diagonal(matrix, 1.0)
    return matrix


@pytest.mark.parametrize(
    ("side", "df", "published"),
    [
        (Side.BOTH, math.inf, [1.96, 2.21, 2.35, 2.44, 2.51, 2.57, 2.61, 2.65, 2.69]),
        (Side.BOTH, 10, [2.23, 2.57, 2.76, 2.89, 2.99, 3.07, 3.14, 3.19, 3.24]),
        (Side.BOTH, 5, [2.57, 3.03, 3.29, 3.48, 3.62, 3.73, 3.82, 3.90, 3.97]),
        (Side.GREATER, math.inf, [1.64, 1.92, 2.06, 2.16, 2.23, 2.29, 2.34, 2.38, 2.42]),
        (Side.GREATER, 10, [1.81, 2.15, 2.34, 2.47, 2.56, 2.64, 2.70, 2.76, 2.81]),
        (Side.GREATER, 5, [2.02, 2.44, 2.68, 2.85, 2.98, 3.08, 3.16, 3.24, 3.30]),
    ],
)
def test_dunnett_tables(side, df, published):
    """Dunnett 1955 (one-sided) and 1964 (two-sided), 5%: 1 to 9 arms as large as their control."""
    got = [float(sharing_one([EVEN] * k, side).critical(0.05, df)) for k in range(1, 10)]
    assert got == pytest.approx(published, abs=0.0051)


def test_dunnett_digits():
    """Three arms at correlation one half: 2.34897 (normal) and 2.758997 (10 degrees of freedom), two-sided."""
    assert float(sharing_one([EVEN] * 3).critical(0.05)) == pytest.approx(2.34897059, abs=1e-8)
    assert float(sharing_one([EVEN] * 3).critical(0.05, 10)) == pytest.approx(2.758997, abs=1e-6)


@pytest.mark.parametrize("arms", [2, 3, 5, 20])
def test_studentised_range(arms):
    """Tail probabilities and quantiles are those of scipy's studentised range (as R's ptukey), to 1e-8."""
    largest, at = all_pairs_of(arms), np.array([0.5, 2.0, 3.5, 5.0, 8.0])
    for df in (2.0, 7.0, 60.0, math.inf):
        assert largest.survival(at / math.sqrt(2), df) == pytest.approx(studentized_range.sf(at, arms, df), abs=1e-8)
        quantile = float(largest.critical(0.05, df)) * math.sqrt(2)
        assert studentized_range.sf(quantile, arms, df) == pytest.approx(0.05, abs=1e-8)


@pytest.mark.parametrize("side", [Side.BOTH, Side.GREATER])
def test_one_statistic_is_student(side):
    """The largest of one is Student's t, to twelve digits of the tail, from one degree of freedom to infinity."""
    one, sides = sharing_one([0.3], side), 2.0 if side is Side.BOTH else 1.0
    t = np.array([0.0, 0.7, 2.0, 10.0, 37.0])
    for df in (1.0, 2.5, 30.0, 1e4, 1e8):
        assert one.survival(t, df) == pytest.approx(sides * stdtr(df, -t), rel=1e-6 if df == 1 else 1e-10)
    assert one.survival(t) == pytest.approx(sides * ndtr(-t), rel=1e-12)


def test_far_tails_keep_their_digits():
    """Three arms, z = 10.6: three times 3e-26 (they hardly overlap), not 0."""
    assert float(sharing_one([EVEN] * 3).survival(10.6)) == pytest.approx(3 * 2 * ndtr(-10.6), rel=1e-6)


def test_independence_is_the_product():
    """Loadings of 0 give independent statistics: 1 - (1 - p)^k."""
    t = np.array([0.1, 1.0, 3.0, 6.0])
    expected = -np.expm1(5 * np.log1p(-2 * ndtr(-t)))
    assert sharing_one([0.0] * 5).survival(t) == pytest.approx(expected, rel=1e-8)
    assert correlated(np.eye(5)).survival(t) == pytest.approx(expected, rel=1e-8)


def test_perfect_correlation_is_one_statistic():
    """Loadings of 1 leave a single statistic (to the digits of correlation .99998)."""
    t = np.array([0.5, 2.0, 4.0])
    assert sharing_one([1.0] * 4).survival(t) == pytest.approx(2 * ndtr(-t), rel=0.03)


@settings(max_examples=25)
@given(
    st.lists(st.floats(-0.95, 0.95), min_size=1, max_size=6),
    st.floats(1.0, 1e6),
    st.sampled_from([Side.BOTH, Side.GREATER]),
    st.floats(0.001, 0.4),
)
def test_survival_and_critical_agree(loadings, df, side, alpha):
    """It is exceeded with probability alpha, lies between the value of one and Bonferroni's, and falls in df."""
    largest = sharing_one(loadings, side)
    critical = float(largest.critical(alpha, df))
    assert float(largest.survival(critical, df)) == pytest.approx(alpha, rel=1e-9)
    one = sharing_one([0.0], side)
    single, bonferroni = (float(one.critical(level, df)) for level in (alpha, alpha / len(loadings)))
    assert single * (1 - 1e-6) <= critical <= bonferroni * (1 + 1e-6)
    assert float(largest.critical(alpha, 2 * df)) <= critical * (1 + 1e-9)


@settings(max_examples=15)
@given(st.lists(st.floats(-0.9, 0.9), min_size=2, max_size=5), st.sampled_from([Side.BOTH, Side.GREATER]))
def test_product_structure_is_recognised(loadings, side):
    """A correlation matrix of products gives the same curve as its loadings, whatever their signs."""
    t = np.array([-1.0, 0.3, 2.0, 4.0])
    got = correlated(product(loadings), side).survival(t)
    assert got == pytest.approx(sharing_one(loadings, side).survival(t), rel=0.005)


@pytest.mark.parametrize("side", [Side.BOTH, Side.GREATER])
def test_lattice_beside_the_exact_integral(side):
    """Where the exact one-dimensional integral is known, the lattice rule is within .3% of the p-value, far out too."""
    loadings = np.array([0.3, 0.5, 0.7, 0.8])
    nearly = product(loadings)
    nearly[0, 1] = nearly[1, 0] = nearly[0, 1] + 1e-8  # no longer of product structure
    t, exact, lattice = np.array([0.5, 1.5, 2.5, 4.0, 9.0]), sharing_one(loadings, side), correlated(nearly, side)
    assert lattice.survival(t) == pytest.approx(exact.survival(t), rel=0.003)
    assert lattice.survival(t, 6.0) == pytest.approx(exact.survival(t, 6.0), rel=0.003)
    assert float(lattice.critical(0.05)) == pytest.approx(float(exact.critical(0.05)), rel=0.001)


def test_lattice_of_a_singular_matrix():
    """All pairs of four equal arms, a singular correlation matrix, give Tukey's critical value."""
    pairs = [(i, j) for i in range(4) for j in range(i)]
    rows = np.zeros((6, 4))
    for row, (i, j) in zip(rows, pairs, strict=True):
        row[i], row[j] = 1.0, -1.0
    got = correlated(rows @ rows.T / 2.0)
    assert float(got.critical(0.05)) == pytest.approx(float(all_pairs_of(4).critical(0.05)), rel=0.001)


def test_the_same_numbers_every_time():
    """Nothing is drawn at random: two calls give the same digits."""
    matrix = product([0.2, 0.5, 0.7]) * 0.9 + 0.1 * np.eye(3)
    matrix[0, 1] = matrix[1, 0] = -0.1
    assert (
        correlated(matrix).critical(0.05, [5.0, 9.0]).tolist() == correlated(matrix).critical(0.05, [5.0, 9.0]).tolist()
    )


def test_undefined_stays_undefined():
    """NaN statistics and NaN degrees of freedom give NaN; shapes are kept."""
    largest = sharing_one([0.5, 0.6])
    assert np.isnan(largest.survival([np.nan, 1.0, 1.0], [5.0, np.nan, 5.0])).tolist() == [True, True, False]
    assert np.isnan(largest.critical(0.05, [[np.nan, 4.0]])).tolist() == [[True, False]]


def test_bad_input_says_what_is_wrong():
    """Levels, degrees of freedom, loadings, arms and matrices out of range are refused."""
    with pytest.raises(InvalidInput, match="alpha"):
        sharing_one([0.5]).critical(0.5)
    with pytest.raises(InvalidInput, match="above 0"):
        sharing_one([0.5]).survival(1.0, 0.0)
    with pytest.raises(InvalidInput, match="loadings"):
        sharing_one([1.5])
    with pytest.raises(InvalidInput, match="loadings"):
        sharing_one([])
    with pytest.raises(InvalidInput, match="two arms"):
        all_pairs_of(1)
    for matrix in ([[1.0, 2.0], [2.0, 1.0]], [[1.0, 0.5]], [[2.0, 0.0], [0.0, 1.0]], [[1.0, np.nan], [np.nan, 1.0]]):
        with pytest.raises(InvalidInput, match="correlation matrix"):
            correlated(matrix)
