"""Quantiles at a fixed horizon: published digits, coverage, bins beside values, clusters."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import ndtri

from vedette.evidence.histogram import OVERFLOW, Histogram
from vedette.kernel.errors import InvalidInput
from vedette.stats.cautions import Caution
from vedette.stats.order import (
    cluster_quantile_estimate,
    clustered_quantile,
    compare_quantiles,
    quantile_difference,
    quantile_estimate,
    quantile_interval,
)
from vedette.stats.sequential import MeanEstimate, Side, compare


def draws(seed: int, *shape: int) -> np.ndarray:
    """Draw log-normal latencies with a median of 100 ms."""
    return 100.0 * np.random.default_rng(seed).lognormal(0.0, 1.0, shape)


def held(found, truth):
    """Share of the intervals that hold the truth."""
    return np.mean([it.low <= truth <= it.high for it in found])


@pytest.mark.parametrize(("n", "low", "high"), [(6, 1, 6), (10, 2, 9), (20, 6, 15), (50, 18, 33)])
def test_ranks_around_a_median(n, low, high):
    """Ranks of the 95 % interval of a median as in sign-test tables (Conover, Practical Nonparametric Statistics)."""
    found: Any = quantile_interval(np.arange(1.0, n + 1.0), 0.5)
    assert (found.low, found.high) == (low, high)
    assert found.estimate == (n + 1) / 2.0


@pytest.mark.parametrize(("q", "n"), [(0.5, 40), (0.9, 100), (0.95, 200)])
def test_order_statistics_cover(q, n):
    """The distribution-free interval holds a log-normal's quantile in 95 % or more, from values and from bins."""
    true = 100.0 * math.exp(ndtri(q))
    runs = draws(2, 1000, n)
    found: list[Any] = [quantile_interval(run, q) for run in runs]
    held = np.mean([it.low <= true and (it.high is None or true <= it.high) for it in found])
    assert 0.945 <= held <= 0.99
    for run, exact in zip(runs[:50], found, strict=False):
        binned: Any = quantile_interval(Histogram.of(run), q)
        assert binned.low <= exact.low < binned.low * 1.0401
        assert (binned.high is None) == (exact.high is None)
        assert exact.high is None or exact.high < binned.high <= exact.high * 1.0401


def test_an_unseen_tail_is_no_end():
    """Too few values beyond a quantile give no upper end and no variance, and the sequence says too few."""
    values = draws(3, 100)
    found: Any = quantile_interval(values, 0.99)
    assert (found.high, found.warnings) == (None, (Caution.TAIL_NOT_SEEN,))
    assert quantile_interval(values, 0.99, side=Side.GREATER).warnings == ()
    assert math.isnan(quantile_estimate(values, 0.99).variance)
    judged: Any = quantile_difference(values, draws(4, 100), 0.99)
    assert (judged.low, judged.p_value, judged.warnings) == (None, None, (Caution.TAIL_NOT_SEEN,))
    sequence = compare(quantile_estimate(values, 0.99), quantile_estimate(values, 0.99), alpha=0.05)
    assert sequence.p_value is None


def test_variance_of_a_median_is_the_textbooks():
    """A normal's median has variance π / 2n; a design effect multiplies it and divides n."""
    runs = np.random.default_rng(5).normal(size=(200, 2000))
    plain = np.mean([quantile_estimate(run, 0.5).variance for run in runs])
    assert plain == pytest.approx(math.pi / 2.0 / 2000.0, rel=0.05)
    designed = [quantile_estimate(run, 0.5, design_effect=4.0) for run in runs]
    assert np.mean([it.variance for it in designed]) == pytest.approx(4.0 * plain, rel=0.05)
    assert designed[0].n == 500.0


@pytest.mark.parametrize("q", [0.5, 0.9, 0.99])
def test_bins_estimate_what_values_do(q):
    """A histogram gives the quantile to half a bin, and about the same standard error."""
    values = draws(6, 20_000)
    exact, binned = quantile_estimate(values, q), quantile_estimate(Histogram.of(values), q)
    assert binned.mean == pytest.approx(exact.mean, rel=0.02)
    assert binned.variance == pytest.approx(exact.variance, rel=0.25)


@pytest.mark.parametrize(("q", "n"), [(0.5, 100), (0.9, 400), (0.95, 600)])
@pytest.mark.parametrize("binned", [False, True])
def test_woodruff_covers(q, n, binned):
    """Two equal log-normals: the interval of the difference holds zero in 95 %, from values and from bins."""
    runs = draws(7, 900, 2, n)
    sources = [[Histogram.of(arm) for arm in run] for run in runs[:300]] if binned else runs
    found = [quantile_difference(first, second, q) for first, second in sources]
    error = math.sqrt(0.95 * 0.05 / len(found))
    assert (
        0.95 - 3.0 * error <= held(found, 0.0) <= 0.965 + 3.0 * error
    )  # a skewed tail stretches the interval a little


def test_a_regression_of_p95_is_found():
    """A p95 that is a fifth higher is found in 4,000 requests an arm, as difference and as share of the control's."""
    control, treatment = draws(8, 4000), 1.2 * draws(9, 4000)
    absolute: Any = quantile_difference(treatment, control, 0.95)
    relative: Any = quantile_difference(Histogram.of(treatment), Histogram.of(control), 0.95, relative=True)
    assert absolute.low > 0.0
    assert relative.low > 0.0
    assert relative.low < 0.2 < relative.high
    tolerated: Any = quantile_difference(treatment, control, 0.95, relative=True, margin=0.5, side=Side.LESS)
    assert tolerated.p_value < 0.05
    assert tolerated.high < 0.5
    assert tolerated.low is None


@given(
    st.floats(-50, 50),
    st.floats(-50, 50).filter(lambda it: abs(it) > 0.1),
    st.floats(0.01, 20),
    st.floats(0.01, 20),
    st.floats(-0.5, 0.5),
)
def test_difference_and_relative_difference_never_disagree(first, second, one, other, margin):
    """They share one p-value; the relative interval leaves out exactly the relative margins that p rejects."""
    treatment, control = MeanEstimate(first, one, 100.0), MeanEstimate(second, other, 100.0)
    plain: Any = compare_quantiles(treatment, control)
    relative: Any = compare_quantiles(treatment, control, relative=True, margin=margin)
    assert compare_quantiles(treatment, control, relative=True).p_value == pytest.approx(plain.p_value)
    if relative.low is None:
        assert relative.warnings == (Caution.UNBOUNDED,)
        return
    near = min(abs(margin - relative.low), abs(margin - relative.high)) < 1e-9
    assert near or (relative.low <= margin <= relative.high) == (relative.p_value >= 0.05)
    assert relative.low <= relative.estimate <= relative.high


def test_copies_teach_nothing():
    """Ten copies of each value are clusters: estimate, standard error and n are about those of the values alone."""
    values = draws(10, 400)
    copies = clustered_quantile(np.repeat(values, 10), np.repeat(np.arange(400), 10), 0.9)
    alone = quantile_estimate(values, 0.9)
    assert copies.n == pytest.approx(400.0)
    assert copies.variance == pytest.approx(alone.variance, rel=0.15)
    assert quantile_estimate(np.repeat(values, 10), 0.9).variance < alone.variance / 5.0


def test_cluster_counts_do_as_values():
    """From the counts below the quantile in each cluster and a histogram: as from the values, to the width of a bin."""
    values, users = draws(11, 3000), np.arange(3000) % 60
    exact: Any = clustered_quantile(values, users, 0.9)
    below = np.bincount(users, values <= np.quantile(values, 0.9))
    assert cluster_quantile_estimate(values, 0.9, below, np.full(60, 50)) == exact
    binned: Any = cluster_quantile_estimate(Histogram.of(values), 0.9, below, np.full(60, 50))
    assert (binned.n, binned.mean) == (exact.n, pytest.approx(exact.mean, rel=0.02))
    assert binned.variance == pytest.approx(exact.variance, rel=0.25)


def test_clustered_quantiles_cover():
    """Users whose latencies are alike, 30 an arm: the clustered interval holds zero in 95 %, the plain one in less."""
    generator = np.random.default_rng(12)
    users = np.repeat(np.arange(30), 20)
    runs = np.exp(generator.normal(size=(400, 2, 30)).repeat(20, axis=2) * 0.7 + generator.normal(size=(400, 2, 600)))
    judged = [compare_quantiles(*(clustered_quantile(arm, users, 0.75) for arm in run), clusters=True) for run in runs]
    plain = [quantile_difference(first, second, 0.75) for first, second in runs]
    assert 0.95 - 3.0 * math.sqrt(0.95 * 0.05 / 400) <= held(judged, 0.0) <= 0.985
    assert held(plain, 0.0) < 0.75


def test_few_clusters_give_no_verdict():
    """Six users an arm: the effect, a warning, no verdict."""
    users = np.arange(600) % 6
    arms = (clustered_quantile(draws(seed, 600), users, 0.5) for seed in (13, 14))
    found: Any = compare_quantiles(*arms, clusters=True)
    assert found.estimate is not None
    assert (found.low, found.p_value, found.warnings) == (None, None, (Caution.FEW_CLUSTERS,))


def test_undefined_quantiles_are_none():
    """No values, missing values, equal values, values beyond measuring: None and a warning."""
    nothing = quantile_interval([np.nan], 0.5)
    assert (nothing.estimate, nothing.low, nothing.warnings) == (None, None, (Caution.PARTLY_OBSERVED, Caution.TOO_FEW))
    assert quantile_difference([], [1.0, 2.0], 0.5).warnings == (Caution.TOO_FEW,)
    assert clustered_quantile([np.nan], ["a"], 0.5).n == 0.0
    same: Any = quantile_difference(np.full(50, 3.0), np.full(50, 3.0), 0.5)
    assert (same.estimate, same.p_value, same.warnings) == (0.0, None, (Caution.NO_VARIANCE,))
    known = draws(15, 101)
    assert Caution.PARTLY_OBSERVED in quantile_difference([*known, np.nan], known, 0.5).warnings
    beyond = Histogram({OVERFLOW: 90, 0: 10})
    assert (quantile_interval(beyond, 0.5).estimate, quantile_interval(beyond, 0.5).high) == (None, None)
    assert quantile_difference(beyond, beyond, 0.5).estimate is None
    assert quantile_interval(Histogram.of([0.0] * 100), 0.5).estimate == 0.0


WRONG = {
    "quantile of one": lambda: quantile_estimate([1.0, 2.0], 1.0),
    "design effect below one": lambda: quantile_interval([1.0, 2.0], 0.5, design_effect=0.5),
    "infinite value": lambda: quantile_estimate([1.0, math.inf], 0.5),
    "alpha above a half": lambda: quantile_interval([1.0, 2.0], 0.5, alpha=0.6),
    "no cluster": lambda: clustered_quantile([1.0, 2.0], ["a"], 0.5),
    "other sizes": lambda: cluster_quantile_estimate([1.0, 2.0], 0.5, [1, 0], [1, 2]),
    "more below than there are": lambda: cluster_quantile_estimate([1.0, 2.0], 0.5, [2, 0], [1, 1]),
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG.keys())
def test_bad_input_says_what_to_do(wrong):
    """Quantiles, levels and counts that make no sense are refused."""
    with pytest.raises(InvalidInput):
        wrong()
