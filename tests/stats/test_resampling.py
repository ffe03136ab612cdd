"""Ranks, bootstrap and permutation: scipy's digits, seeds as values, coverage, clusters drawn whole."""

import math
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from vedette.kernel.errors import InvalidInput
from vedette.stats.cautions import Caution
from vedette.stats.resampling import Bootstrap, Scale, bootstrap, brunner_munzel, mann_whitney, permutation_test
from vedette.stats.sequential import Side

SCORES = st.lists(st.integers(0, 12), min_size=3, max_size=20)
# Brunner & Munzel 2000: pain scores of two groups on the third day, in R's lawstat and scipy.stats.brunnermunzel.
PAIN = ([1, 2, 1, 1, 1, 1, 1, 1, 1, 1, 2, 4, 1, 1], [3, 3, 4, 3, 1, 2, 3, 1, 1, 5, 4])


def skewed(seed: int, *shape: int) -> np.ndarray:
    """Draw log-normal costs."""
    return np.random.default_rng(seed).lognormal(0.0, 1.0, shape)


def held(found, truth):
    """Share of the intervals that hold the truth."""
    return np.mean([it.low <= truth <= it.high for it in found])


def test_pain_scores():
    """Brunner & Munzel 2000 (as in R's lawstat): t = 3.1375, df = 17.683, p = 0.005786, P = .7889 (.5952 to .9827)."""
    found: Any = brunner_munzel(PAIN[1], PAIN[0])
    assert found.statistic == pytest.approx(3.1375, abs=5e-5)
    assert found.df == pytest.approx(17.683, abs=5e-4)
    assert found.p_value == pytest.approx(0.005786, abs=5e-7)
    assert found.estimate == pytest.approx(0.788961, abs=5e-7)
    assert (found.low, found.high) == (pytest.approx(0.5952169, abs=5e-8), pytest.approx(0.9827052, abs=5e-8))


@given(SCORES, SCORES, st.sampled_from(list(Side)))
def test_mann_whitney_is_scipys(first, second, side):
    """U and p-value of each side as scipy.stats.mannwhitneyu; the effect is the share of pairs won, ties half."""
    found: Any = mann_whitney(first, second, side=side)
    won = np.subtract.outer(np.array(first), np.array(second))
    assert found.estimate == pytest.approx(np.mean((won > 0) + 0.5 * (won == 0)))
    if found.warnings == (Caution.NO_VARIANCE,):
        assert found.p_value is None
        return
    oracle = stats.mannwhitneyu(first, second, alternative="two-sided" if side is Side.BOTH else side.value)
    assert (found.statistic, found.p_value) == (oracle.statistic, oracle.pvalue)


@given(SCORES, SCORES)
def test_brunner_munzel_p_value_and_interval_never_disagree(first, second):
    """The p-value is below alpha exactly when the interval leaves 1/2 out, and the interval stays within 0 and 1."""
    found: Any = brunner_munzel(first, second)
    if found.p_value is None:
        assert found.warnings[0] in {Caution.SEPARATED, Caution.NO_VARIANCE}
        return
    assert 0.0 <= found.low <= found.estimate <= found.high <= 1.0
    assert (found.low <= 0.5 <= found.high) == (found.p_value >= 0.05)


@given(SCORES, SCORES, st.sampled_from([mann_whitney, brunner_munzel]))
def test_exchanging_the_arms_mirrors_ranks(first, second, test):
    """P(treatment > control) of one order is one less that of the other, interval and all."""
    there, back = test(first, second), test(second, first)
    assert there.estimate == pytest.approx(1.0 - back.estimate)
    if there.low is not None:
        assert (there.low, there.high) == (pytest.approx(1.0 - back.high), pytest.approx(1.0 - back.low))


def test_superiority_covers():
    """Arms of unequal spread and size: both intervals hold P(treatment > control) in 95 % of 500 runs."""
    generator = np.random.default_rng(3)
    runs = zip(generator.normal(0.5, 1.0, (500, 30)), generator.normal(0.0, 2.0, (500, 50)), strict=True)
    true = stats.norm.cdf(0.5 / math.sqrt(5.0))
    held = np.mean(
        [[it.low <= true <= it.high for it in (mann_whitney(*run), brunner_munzel(*run))] for run in runs], 0
    )
    assert held == pytest.approx([0.95, 0.95], abs=0.017)  # three Monte-Carlo errors


def test_undefined_ranks_are_none():
    """An empty arm, one value, complete separation, nothing but ties: None and a warning."""
    assert mann_whitney([], [1.0, np.nan]).warnings == (Caution.PARTLY_OBSERVED, Caution.TOO_FEW)
    assert brunner_munzel([], [1.0]).warnings == (Caution.TOO_FEW,)
    assert brunner_munzel([1.0], [0.0, 1.0, 3.0]).warnings == (Caution.TOO_FEW,)
    for test in (mann_whitney, brunner_munzel):
        apart = test([1.0, 2.0, 3.0], [4.0, 5.0, 6.0])
        assert (apart.estimate, apart.low, apart.warnings) == (0.0, None, (Caution.SEPARATED,))
    assert mann_whitney([1.0, 2.0, 3.0], [4.0, 5.0, 6.0]).p_value == pytest.approx(0.1)  # 2 of 20 arrangements
    assert brunner_munzel([1.0, 1.0], [1.0, 1.0]).warnings == (Caution.NO_VARIANCE,)


@pytest.mark.parametrize("method", list(Bootstrap))
@pytest.mark.parametrize("scale", list(Scale))
@pytest.mark.parametrize("statistic", [np.mean, partial(np.quantile, q=0.75)])
def test_bootstrap_is_scipys(method, scale, statistic):
    """Intervals as scipy.stats.bootstrap gives, to Monte-Carlo error."""
    first, second = skewed(4, 80) + 0.3, skewed(5, 60)

    def compared(treatment, control, axis=-1):
        one, other = statistic(treatment, axis=axis), statistic(control, axis=axis)
        return one - other if scale is Scale.DIFFERENCE else one / other - 1.0

    found: Any = bootstrap(first, second, statistic, seed=1, method=method, scale=scale)
    name = {Bootstrap.BCA: "BCa"}.get(method, "percentile")
    with np.errstate(invalid="ignore"):
        oracle = stats.bootstrap((first, second), compared, method=name, rng=np.random.default_rng(2))
    low, high = oracle.confidence_interval
    assert found.estimate == pytest.approx(compared(first, second))
    assert (found.low, found.high) == (
        pytest.approx(low, abs=0.04 * (high - low)),
        pytest.approx(high, abs=0.04 * (high - low)),
    )


@settings(deadline=None, max_examples=60)  # resampling takes its time on a busy machine
@given(st.integers(0, 1000), st.floats(-0.8, 0.8), st.sampled_from(list(Bootstrap)), st.sampled_from(list(Side)))
def test_bootstrap_p_value_and_interval_never_disagree(seed, margin, method, side):
    """The p-value against a margin is below alpha exactly when the interval leaves it out; one seed, one answer."""
    first, second = skewed(6, 25), skewed(7, 35)
    call = partial(bootstrap, first, second, seed=seed, method=method, side=side, margin=margin, resamples=499)
    found: Any = call()
    assert found == call()
    out = (found.low is not None and margin < found.low) or (found.high is not None and margin > found.high)
    assert out == (found.p_value < 0.05) or found.p_value == pytest.approx(0.05, abs=0.006)  # one resample


@pytest.mark.parametrize("method", list(Bootstrap))
def test_bootstrap_covers(method):
    """100 normal values an arm: the interval holds the difference of two means in 95 % of 600 runs."""
    runs = np.random.default_rng(100).normal(size=(600, 2, 100))
    found = [bootstrap(*run, seed=seed, method=method, resamples=499) for seed, run in enumerate(runs)]
    assert held(found, 0.0) == pytest.approx(0.95, abs=0.027)  # three Monte-Carlo errors


@pytest.mark.parametrize("unequal", [False, True])
@pytest.mark.parametrize("together", [False, True])
def test_clustered_bootstrap_covers(unequal, together):
    """20 topics whose answers are alike, drawn whole, together or by arm: 95 % where rows drawn singly fail."""
    generator = np.random.default_rng(9)
    sizes = generator.integers(2, 9, 20) if unequal else np.full(20, 5)
    topics = np.repeat(np.arange(20), sizes)
    shape = (150, 2, 20)
    shared = generator.normal(size=(150, 1, 20)) if together else 0.0  # topics hard for one model are hard for both
    levels = (shared + generator.normal(size=shape)).repeat(sizes, axis=2)
    runs = levels + 0.5 * generator.normal(size=levels.shape)

    def drawn(**clusters):
        call = partial(bootstrap, method=Bootstrap.PERCENTILE, resamples=199, **clusters)
        return held([call(*run, seed=seed) for seed, run in enumerate(runs)], 0.0)

    assert drawn(clusters=(topics, topics), together=together) == pytest.approx(
        0.95, abs=0.053
    )  # three Monte-Carlo errors
    assert drawn() < 0.8


def test_topics_drawn_together_narrow_the_interval():
    """What both models share of a topic cancels only when their topics are drawn together."""
    generator = np.random.default_rng(10)
    topics = np.repeat(np.arange(25), 4)
    shared = 3.0 * generator.normal(size=25)[topics]
    first, second = shared + generator.normal(size=100), shared + generator.normal(size=100)
    found: list[Any] = [
        bootstrap(first, second, seed=1, clusters=(topics, topics), together=together) for together in (True, False)
    ]
    assert found[0].high - found[0].low < (found[1].high - found[1].low) / 3.0


def test_undefined_bootstraps_are_none():
    """Too few values or clusters, no variance, a control of zero, a statistic with no value: None and a warning."""
    values, few = skewed(11, 70), np.arange(70) % 7
    judged = {
        Caution.TOO_FEW: bootstrap([], [1.0, 2.0], seed=1),
        Caution.FEW_CLUSTERS: bootstrap(values, values, seed=1, clusters=(few, few)),
        Caution.NO_VARIANCE: bootstrap([2.0, 2.0, 2.0], [1.0, 1.0], seed=1),
        Caution.UNBOUNDED: bootstrap(values, [0.0, 0.0], seed=1, scale=Scale.RELATIVE),
        Caution.RESAMPLES_UNDEFINED: bootstrap(values, [0.0, 0.0, 1.0], seed=1, scale=Scale.RELATIVE),
    }
    for code, found in judged.items():
        assert found.warnings == (code,)
        assert (found.low, found.high, found.p_value) == (None, None, None)
    largest: Any = bootstrap(values, values + 1.0, np.max, seed=1)
    assert largest.p_value is not None
    assert bootstrap([*values, np.nan], values, seed=1).warnings == (Caution.PARTLY_OBSERVED,)


def test_few_arrangements_are_counted_out():
    """3 against 3, all of one arm above the other: 1 of 20 arrangements to one side, 2 of 20 to both."""
    both: Any = permutation_test([4.0, 5.0, 6.0], [1.0, 2.0, 3.0], seed=1)
    assert both.p_value == pytest.approx(2 / 20)
    assert both.method == "permutation, exact"
    assert both.warnings == (Caution.NO_INTERVAL,)
    assert permutation_test([4.0, 5.0, 6.0], [1.0, 2.0, 3.0], seed=2, side=Side.GREATER).p_value == pytest.approx(
        1 / 20
    )
    assert permutation_test([4.0, 5.0, 6.0], [1.0, 2.0, 3.0], seed=2, side=Side.LESS).p_value == 1.0


def test_random_arrangements_are_never_zero():
    """Far more arrangements than draws: (b + 1) / (m + 1), so the smallest p-value is one over draws and one."""
    found: Any = permutation_test(skewed(12, 50) + 50.0, skewed(13, 50), seed=1, resamples=999, side=Side.GREATER)
    assert found.p_value == pytest.approx(1 / 1000)


@pytest.mark.parametrize("sizes", [(5, 6), (40, 30)])
@pytest.mark.parametrize("side", list(Side))
def test_permutation_is_scipys(sizes, side):
    """p-values as scipy.stats.permutation_test of a difference of medians: exactly, or to Monte-Carlo error."""
    first, second = skewed(14, sizes[0]) + 0.4, skewed(15, sizes[1])
    found: Any = permutation_test(first, second, np.median, seed=1, side=side)
    oracle = stats.permutation_test(
        (first, second),
        lambda one, other, axis: np.median(one, axis=axis) - np.median(other, axis=axis),
        vectorized=True,
        alternative="two-sided" if side is Side.BOTH else side.value,
        rng=np.random.default_rng(2),
    )
    assert found.p_value == pytest.approx(oracle.pvalue, abs=1e-12 if "exact" in found.method else 0.03)


def test_permutation_holds_its_level():
    """Equal skewed arms of unequal size: the test errs in 5 % of 400 runs."""
    runs = skewed(16, 400, 40)
    found = [permutation_test(run[:12], run[12:], seed=seed, resamples=400).p_value for seed, run in enumerate(runs)]
    assert np.mean(np.array(found) <= 0.05) == pytest.approx(0.05, abs=0.033)


def test_undefined_permutations_are_none():
    """An empty arm, nothing but ties, a statistic without a value: None and a warning."""
    assert permutation_test([], [1.0], seed=1).warnings == (Caution.TOO_FEW,)
    assert permutation_test([1.0, 1.0], [1.0], seed=1).warnings == (Caution.NO_VARIANCE,)

    def odd(values, axis):
        return np.where(np.min(values, axis=axis) > 1.0, np.nan, 0.0)

    found: Any = permutation_test([1.0, 2.0, 3.0], [0.0, 4.0, 5.0], odd, seed=1)
    assert (found.p_value, found.warnings) == (None, (Caution.RESAMPLES_UNDEFINED,))


WRONG = {
    "infinite value": lambda: mann_whitney([1.0, math.inf], [1.0]),
    "alpha above a half": lambda: brunner_munzel([1.0, 2.0], [1.0, 3.0], alpha=0.9),
    "few resamples": lambda: bootstrap([1.0, 2.0], [1.0, 3.0], seed=1, resamples=10),
    "few arrangements": lambda: permutation_test([1.0, 2.0], [1.0, 3.0], seed=1, resamples=10),
    "no cluster": lambda: bootstrap([1.0, 2.0], [1.0, 3.0], seed=1, clusters=(["a"], ["a", "b"])),
    "other clusters": lambda: bootstrap(
        [1.0, 2.0], [1.0, 3.0], seed=1, clusters=(["a", "b"], ["a", "c"]), together=True
    ),
    "together without clusters": lambda: bootstrap([1.0, 2.0], [1.0, 3.0], seed=1, together=True),
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG.keys())
def test_bad_input_says_what_to_do(wrong):
    """Values, levels, clusters and numbers of resamples that make no sense are refused."""
    with pytest.raises(InvalidInput):
        wrong()
