"""Sample-ratio checks: published digits, changing splits, huge counts and false alarms."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.kernel.errors import InvalidInput
from vedette.stats.srm import (
    Split,
    fixed_check,
    log_likelihood,
    log_marginal_likelihood,
    sequential_check,
    share_sequence,
)


def log_factor(*splits: Split, concentration: float = 10_000.0) -> float:
    """Give the log Bayes factor as a number."""
    value = sequential_check(splits, concentration=concentration).log_bayes_factor
    assert value is not None
    return value


def test_ssrm_log_marginal_likelihoods():
    """test_sequential_posteriors of optimizely/ssrm, ssrm_test/test_ssrm_test.py at c44f538, batch by batch."""
    batches = np.array([[20, 17, 9], [18, 21, 8], [4, 6, 4], [18, 19, 11]])
    prior = np.ones(3)
    alternative = null = 0.0
    published = (
        (-7.028201432058012, -4.0776406466061985),
        (-11.947847738358888, -8.265946861099877),
        (-15.471401950257842, -11.610743519545139),
        (-19.96484521090386, -15.781031228536165),
    )
    for batch, expected in zip(batches, published, strict=True):
        alternative += log_marginal_likelihood(batch, prior)
        null += log_likelihood(batch, [0.4, 0.4, 0.2])
        prior = prior + batch
        assert (alternative, null) == pytest.approx(expected, rel=1e-12)


def test_ssrm_regression():
    """test_regression of the same file: seed 0, ten units, p = .99805…, Bayes factor = 1.00175…."""
    shares = [0.1, 0.49, 0.41]
    units = np.random.RandomState(0).multinomial(1, shares, size=10)
    running = [log_factor(Split(counts.tolist(), [0.1, 0.5, 0.4])) for counts in np.cumsum(units, axis=0)]
    assert math.exp(running[-1]) == pytest.approx(1.0017496120131435, rel=1e-10)
    assert math.exp(-max(running)) == pytest.approx(0.9980534145723241, rel=1e-10)


def test_savvi_three_arms():
    """Savvi 0.3.1, Multinomial, concentration 100: p = 6.114054e-07 and the shares' confidence sequences."""
    split = Split([162, 278, 560], [0.1, 0.3, 0.6])
    got = sequential_check([split], concentration=100)
    assert got.p_value == pytest.approx(6.114054212590946e-07, rel=1e-9)
    assert got.degrees == 2
    published = [(0.12155364, 0.20875489), (0.22710626, 0.33303876), (0.50077578, 0.61810378)]
    for interval, expected in zip(share_sequence(split, alpha=0.05, concentration=100), published, strict=True):
        assert interval == pytest.approx(expected, rel=1e-5)


def test_fixed_horizon_as_published():
    """Kohavi, Tang & Xu, Trustworthy Online Controlled Experiments (2020): 821,588 to 815,482 has p = 1.8e-6."""
    got = fixed_check(Split([821_588, 815_482], [50, 50]))
    assert got.p_value == pytest.approx(1.8e-6, rel=0.02)
    assert (got.degrees, got.log_bayes_factor) == (1, None)


def test_an_arm_of_weight_zero_takes_no_degree_of_freedom():
    """500 to 560 with a third arm of weight 0 has the p-value of two arms, .0653, not the .183 of two degrees."""
    got = fixed_check(Split([500, 560, 0], [0.5, 0.5, 0]))
    assert got.degrees == 1
    assert got.p_value == pytest.approx(fixed_check(Split([500, 560], [1, 1])).p_value)
    assert got.p_value == pytest.approx(0.0653, abs=5e-5)
    assert log_factor(Split([500, 560, 0], [1, 1, 0])) == log_factor(Split([500, 560], [1, 1]))


def test_traffic_on_an_arm_of_weight_zero_is_a_certain_mismatch():
    """One stray request where none was meant gives p = 0 and is counted."""
    got = sequential_check([Split([10, 10, 0], [1, 1, 0]), Split([5, 5, 1], [1, 1, 0])])
    assert (got.log_bayes_factor, got.p_value, got.stray) == (math.inf, 0.0, 1)
    assert fixed_check(Split([5, 5, 1], [1, 1, 0])).p_value == 0.0


def test_huge_counts_stay_finite_and_right():
    """One update of 60,000 to 40,000 does not overflow: its log Bayes factor is finite and within 1 % of its rate."""
    got = log_factor(Split([60_000, 40_000], [1, 1]), concentration=100)
    rate = 100_000 * (0.6 * math.log(1.2) + 0.4 * math.log(0.8))
    assert got == pytest.approx(rate, rel=0.01)
    assert sequential_check([Split([60_000, 40_000], [1, 1])]).p_value < 1e-300
    assert math.isfinite(log_factor(Split([6e12, 4e12], [1, 1])))


counts_lists = st.lists(st.integers(0, 10_000), min_size=2, max_size=4)


@given(counts_lists)
def test_unit_by_unit_equals_all_at_once(counts):
    """The evidence of totals does not depend on the batches in which they came."""
    weights = list(range(1, len(counts) + 1))
    prior = 1000.0 * np.array(weights) / sum(weights)
    halves = [np.array(counts) // 2, np.array(counts) - np.array(counts) // 2]
    share = prior / prior.sum()
    batched = log_marginal_likelihood(halves[0], prior) + log_marginal_likelihood(halves[1], prior + halves[0])
    batched -= log_likelihood(halves[0], share) + log_likelihood(halves[1], share)
    assert log_factor(Split(counts, weights), concentration=1000) == pytest.approx(batched, abs=1e-6)


def test_factors_multiply_over_a_changing_split():
    """Steps of 1, 10 and 50 % are each held against their own split; pooled, the same counts would look wrong."""
    steps = [Split([10, 990], [1, 99]), Split([100, 900], [10, 90]), Split([500, 500], [50, 50])]
    together = sequential_check(steps)
    assert together.log_bayes_factor == pytest.approx(sum(log_factor(step) for step in steps))
    assert together.p_value == 1.0
    assert together.degrees == 3
    assert log_factor(Split([610, 2390], [50, 50])) > 100


def test_a_share_beside_the_intended_one_is_found():
    """A canary that gets 1.3 % instead of 1 % is found within 50,000 requests, and its interval excludes 1 %."""
    split = Split([650, 49_350], [1, 99])
    assert sequential_check([split], concentration=10_000).p_value < 0.01
    (low, high), _ = share_sequence(split, alpha=0.05)
    assert 0.01 < low < 0.013 < high


def test_nothing_counted_is_no_evidence():
    """No counts, or a single arm that gets everything, give p = 1 and shares that may be anything."""
    empty = Split([0, 0], [1, 1])
    assert (sequential_check([empty]).p_value, fixed_check(empty).p_value) == (1.0, 1.0)
    assert sequential_check([]).p_value == 1.0
    assert share_sequence(empty, alpha=0.05) == [(0.0, 1.0), (0.0, 1.0)]
    only = Split([1000, 0], [100, 0])
    assert (sequential_check([only]).p_value, fixed_check(only).p_value, fixed_check(only).degrees) == (1.0, 1.0, 0)


def test_false_alarms_at_all_looks_together():
    """Looking after every 50 requests of a ramp 1, 10, 50 %, at most 5 % of sound assignments are ever called wrong."""
    random, alarms = np.random.default_rng(3), 0
    for _ in range(200):
        done: list[Split] = []
        worst = 1.0
        for weight in (0.01, 0.1, 0.5):
            canary = np.cumsum(random.binomial(50, weight, size=60))
            looks = [Split([c, 50 * (i + 1) - c], [weight, 1 - weight]) for i, c in enumerate(canary.tolist())]
            worst = min(worst, *(sequential_check([*done, look], concentration=100).p_value for look in looks))
            done.append(looks[-1])
        alarms += worst <= 0.05
    assert 0 < alarms <= 0.05 * 200


@pytest.mark.parametrize(
    ("counts", "weights"),
    [([1, 2], [1]), ([1, -2], [1, 1]), ([1, 2], [0, 0]), ([1, math.nan], [1, 1]), ([1, 2], [1, -1])],
)
def test_impossible_splits_are_refused(counts, weights):
    """Missing, negative and undefined numbers raise."""
    with pytest.raises(InvalidInput, match="split"):
        sequential_check([Split(counts, weights)])
