"""The winner's curse: median bias by simulation, the law behind it, coverage, and shrinkage."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import truncnorm

from vedette.kernel.errors import InvalidInput
from vedette.stats.many_means import max_modulus_critical
from vedette.stats.winners_curse import shrunk, winner_estimate


@pytest.mark.parametrize(
    ("truth", "covariance", "seed"),
    [
        (np.array([0.0, 0.0, 0.0, 0.3]), np.eye(4), 31),
        (np.array([0.2, 0.0, 0.5]), np.diag([1.0, 4.0, 0.25]), 32),
        (np.array([0.0, 0.0, 0.4]), np.diag([0.5, 1.0, 2.0]) + 1.0, 33),  # effects over one control
    ],
)
def test_the_curse_is_lifted(truth, covariance, seed):
    """The estimate is above the truth half the time, the naive one far more often; the interval holds in 95%."""
    random = np.random.default_rng(seed)
    root = np.linalg.cholesky(covariance)
    runs = 600
    naive, effect, held = np.zeros((3, runs), bool)
    for run, noise in enumerate(random.normal(size=(runs, truth.size))):
        got = winner_estimate(truth + root @ noise, covariance)
        true = truth[got.arm]
        naive[run], effect[run], held[run] = got.naive > true, got.effect > true, got.low <= true <= got.high
    assert naive.mean() > 0.7
    assert effect.mean() == pytest.approx(0.5, abs=0.05)
    assert held.mean() == pytest.approx(0.95, abs=0.022)


def test_the_observed_value_is_the_median_of_its_law():
    """At the estimate, what was observed is the median of a normal cut off at the runner-up and the hybrid's ends."""
    got = winner_estimate([1.0, 2.0, 2.9], [1.0, 1.0, 1.0])
    widest = max_modulus_critical(np.eye(3), 0.005)
    for effect, quantile in ((got.effect, 0.5), (got.low, 1 - 0.0225 / 0.995), (got.high, 0.0225 / 0.995)):
        share = truncnorm.cdf(2.9 - effect, max(2.0 - effect, -widest), widest)
        assert share == pytest.approx(quantile, abs=1e-6)
    assert got.bound == 2.0
    assert got.low < got.effect < got.naive < got.high


def test_a_clear_winner_keeps_its_estimate():
    """An arm twenty standard errors ahead needed no luck: its estimate stands, the interval is nearly the usual one."""
    got = winner_estimate([1.0, 2.0, 22.0], [1.0, 1.0, 1.0])
    assert got.effect == pytest.approx(22.0, abs=1e-6)
    assert (got.low, got.high) == pytest.approx((22.0 - 1.96, 22.0 + 1.96), abs=0.06)


def test_lower_is_better_turns_the_sign():
    """The cheapest arm's cost is drawn upwards, as the dearest's negative would be downwards."""
    low = winner_estimate([1.0, 1.5, 4.0], [0.5, 0.5, 0.5], better="lower")
    high = winner_estimate([-1.0, -1.5, -4.0], [0.5, 0.5, 0.5])
    assert (low.arm, low.naive) == (0, 1.0)
    assert (low.effect, low.low, low.high, low.bound) == (-high.effect, -high.high, -high.low, 1.5)
    assert low.effect > low.naive


def test_an_exact_tie_ends_at_the_interval():
    """When two arms tie exactly the estimate is the lowest that the simultaneous interval allows, and is finite."""
    got = winner_estimate([2.0, 2.0], [1.0, 1.0])
    near = winner_estimate([2.0, 2.0 + 1e-9], [1.0, 1.0])
    assert got.effect == pytest.approx(near.effect, abs=1e-3)
    assert np.isfinite(got.effect)


def test_closely_correlated_arms():
    """An arm that moves twice as much as the winner bounds it from above; nothing to pass is said as None."""
    covariance = np.array([[1.0, 1.9], [1.9, 4.0]])
    got = winner_estimate([1.0, 0.5], covariance)
    assert got.arm == 0
    assert got.bound is None
    assert got.low < got.effect < got.high
    assert got.effect > got.naive  # had it been larger the other would have won


@settings(max_examples=30)
@given(
    st.lists(st.tuples(st.floats(-3.0, 3.0), st.floats(0.05, 5.0)), min_size=2, max_size=6),
    st.floats(-100.0, 100.0),
    st.floats(0.1, 10.0),
)
def test_unit_does_not_matter(arms, shift, scale):
    """Shifting and scaling the metric does the same to the answer, which lies in its interval, below the naive one."""
    mean, variance = (np.array(values) for values in zip(*arms, strict=True))
    if np.diff(np.sort(mean))[-1] < 1e-6:
        mean[mean.argmax()] += 0.01  # a near tie has no digits to compare
    got, turned = winner_estimate(mean, variance), winner_estimate(mean * scale + shift, variance * scale**2)
    assert turned.arm == got.arm
    assert [turned.effect, turned.low, turned.high] == pytest.approx(
        [value * scale + shift for value in (got.effect, got.low, got.high)], abs=1e-3 * scale
    )
    assert got.low <= got.effect <= got.naive + 1e-9
    assert got.effect <= got.high


def test_shrinkage_is_positive_part_james_stein():
    """Equal variances: the factor is 1 - (k - 3) v / Σ (x - x̄)², and 0 when that is negative."""
    x = np.array([1.0, 2.0, 3.0, 4.0, 5.0])
    for variance in (0.5, 2.0, 8.0):
        factor = max(1.0 - 2.0 * variance / ((x - 3.0) ** 2).sum(), 0.0)
        got = shrunk(x, np.full(5, variance))
        assert got.effect == pytest.approx(3.0 + factor * (x - 3.0), abs=1e-9)
        assert got.shrinkage == pytest.approx([1.0 - factor] * 5, abs=1e-9)
        assert got.method == "james-stein"


def test_shrinkage_of_three_is_a_normal_prior():
    """Two or three arms: the prior's variance is the spread less the noise, and precise arms are drawn less."""
    got = shrunk([0.0, 6.0], [1.0, 1.0])
    assert got.method == "normal-prior"
    assert got.variance == pytest.approx(18.0 - 1.0)
    assert got.effect == pytest.approx((3 - 3 * 17 / 18, 3 + 3 * 17 / 18))
    uneven = shrunk([0.0, 6.0, 2.0], [0.1, 4.0, 1.0])
    assert uneven.shrinkage[0] < uneven.shrinkage[2] < uneven.shrinkage[1]


def test_shrinking_lessens_total_error():
    """Eight arms: the shrunk effects' total squared error is below the raw estimates', whatever the spread of truth."""
    random = np.random.default_rng(34)
    for spread in (0.0, 0.7, 3.0):
        raw = ours = 0.0
        for _ in range(300):
            truth = spread * random.normal(size=8)
            x = truth + random.normal(size=8)
            raw += ((x - truth) ** 2).sum()
            ours += ((np.array(shrunk(x, np.ones(8)).effect) - truth) ** 2).sum()
        assert ours < raw


@settings(max_examples=50)
@given(st.lists(st.tuples(st.floats(-1e3, 1e3), st.floats(1e-3, 1e3)), min_size=2, max_size=8))
def test_shrinking_stays_between(arms):
    """Each effect lies between its estimate and the common mean."""
    mean, variance = zip(*arms, strict=True)
    got = shrunk(mean, variance)
    for raw, effect, factor in zip(mean, got.effect, got.shrinkage, strict=True):
        low, high = sorted((raw, got.centre))
        assert low - 1e-9 <= effect <= high + 1e-9
        assert 0.0 <= factor <= 1.0


def test_bad_input_says_what_is_wrong():
    """One arm, arms without variance, missing numbers and levels out of range are refused."""
    with pytest.raises(InvalidInput, match="two or more"):
        winner_estimate([1.0], [1.0])
    with pytest.raises(InvalidInput, match="variances above 0"):
        winner_estimate([1.0, 2.0], [1.0, 0.0])
    with pytest.raises(InvalidInput, match="finite"):
        winner_estimate([1.0, np.nan], [1.0, 1.0])
    with pytest.raises(InvalidInput, match="alpha"):
        winner_estimate([1.0, 2.0], [1.0, 1.0], alpha=0.0)
    with pytest.raises(InvalidInput, match="variances above 0"):
        shrunk([1.0, 2.0], [1.0, 0.0])
    with pytest.raises(InvalidInput, match="two or more"):
        shrunk([1.0], [1.0])
