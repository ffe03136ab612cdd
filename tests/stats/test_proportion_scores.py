"""Score tests and intervals over arrays: exact coverage, broadcasting, and digits at the extremes."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.special import xlogy

from vedette.stats import proportion_intervals as intervals
from vedette.stats.proportion_intervals import Counts, critical_value
from vedette.stats.proportion_scores import difference_interval, ratio_interval, shares_at_difference
from vedette.stats.proportions import difference, ratio
from vedette.stats.sequential import Side


def exact_coverage(p, q, n, m, method):
    """Probability that an interval at 95 % holds the true difference: the sum over all outcomes of both arms."""
    x, y = np.meshgrid(np.arange(n + 1), np.arange(m + 1), indexing="ij")
    z = critical_value(0.05, Side.BOTH)
    low, high = method(Counts(x, n), Counts(y, m), z)
    weight = stats.binom.pmf(x, n, p) * stats.binom.pmf(y, m, q)
    return float(weight[(low - 1e-12 <= p - q) & (p - q <= high + 1e-12)].sum())


@pytest.mark.parametrize(("p", "q", "n", "m"), [(0.5, 0.5, 20, 20), (0.1, 0.2, 30, 50), (0.02, 0.05, 80, 80)])
def test_exact_coverage(p, q, n, m):
    """Summed over all outcomes, score and Newcombe intervals hold the truth 93.5 to 98.5 % of the time."""

    def score(treatment, control, z):
        return difference_interval(treatment, control, z, corrected=True)

    for method in (score, intervals.newcombe_difference):
        assert 0.935 < exact_coverage(p, q, n, m, method) < 0.985


def test_wald_fails_where_the_score_interval_holds():
    """At 2 % against 20 % with 30 an arm, Wald's interval covers less than 94 % and the score interval more."""

    def wald(treatment, control, z):
        effect, error = intervals.wald_difference(treatment, control)
        return effect - z * error, effect + z * error

    def score(treatment, control, z):
        return difference_interval(treatment, control, z, corrected=True)

    assert exact_coverage(0.02, 0.2, 30, 30, wald) < 0.94 < exact_coverage(0.02, 0.2, 30, 30, score)


def test_arrays_give_what_single_counts_give():
    """Closed forms and score intervals broadcast: each entry of an array is the answer for its own counts."""
    x, n = np.array([[0, 3, 10]]), 10
    y, m = np.array([[2], [20]]), 20
    z = critical_value(0.05, Side.BOTH)
    low, high = difference_interval(Counts(x, n), Counts(y, m), z, corrected=True)
    risk, _ = ratio_interval(Counts(x, n), Counts(y, m), z, corrected=True)
    assert low.shape == risk.shape == (2, 3)
    for i, j in np.ndindex(2, 3):
        single = difference(Counts(x[0, j], n), Counts(y[i, 0], m))
        assert (single.low, single.high) == pytest.approx((low[i, j], high[i, j]), abs=1e-12)
        assert ratio(Counts(x[0, j], n), Counts(y[i, 0], m)).low == pytest.approx(risk[i, j], abs=1e-12)


def test_huge_and_rare_counts_stay_right():
    """One in a million among billions, and all but a few, have score intervals as narrow as their standard errors."""
    rare = difference(Counts(2_100, 2_000_000_000), Counts(1_000, 1_000_000_000))
    common = difference(Counts(2_000_000_000 - 2_100, 2_000_000_000), Counts(1_000_000_000 - 1_000, 1_000_000_000))
    error = math.sqrt(2_100 / 2e9**2 + 1_000 / 1e9**2)
    for got, sign in ((rare, 1), (common, -1)):
        assert got.low is not None
        assert got.high is not None
        assert got.high - got.low == pytest.approx(2 * 1.96 * error, rel=0.01)
        assert got.statistic == pytest.approx(sign * 5e-8 / error, rel=0.05)


@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 40), st.integers(0, 40), st.floats(-0.95, 0.95))
def test_fitted_shares_are_the_likeliest(x, fails, y, others, d):
    """No pair of shares that differ by d is likelier than the fitted one, whether successes are rare or common."""
    treatment, control = Counts(x, x + fails + 1), Counts(y, y + others + 1)
    first, second = shares_at_difference(treatment, control, d)
    grid = np.linspace(max(0.0, -d), min(1.0, 1.0 - d), 2001)

    def log_likelihood(share):
        return (
            xlogy(x, share + d)
            + xlogy(fails + 1, np.maximum(1.0 - share - d, 0.0))
            + xlogy(y, share)
            + xlogy(others + 1, 1.0 - share)
        )

    assert float(first - second) == pytest.approx(d)
    assert float(log_likelihood(second)) >= log_likelihood(grid).max() - 1e-9


def test_fitted_shares_solve_the_likelihood_equation():
    """Shares fitted under a difference make the score of the likelihood 0, for successes and for failures alike."""
    for x, n, y, m, d in ((40, 90, 12, 70, -0.15), (31, 31, 27, 37, 0.0785), (3, 4000, 5, 9000, 0.001)):
        first, second = (float(share) for share in shares_at_difference(Counts(x, n), Counts(y, m), d))
        slopes = x / first - (n - x) / (1 - first) + y / second - (m - y) / (1 - second)
        assert slopes == pytest.approx(0.0, abs=1e-6)
        turned = [float(share) for share in shares_at_difference(Counts(n - x, n), Counts(m - y, m), -d)]
        assert turned == pytest.approx([1 - first, 1 - second], rel=1e-12)
