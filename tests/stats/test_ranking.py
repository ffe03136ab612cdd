"""Who is best: rank intervals that hold together, the tied set, and the probability of being best."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.special import ndtr

from vedette.kernel.errors import InvalidInput
from vedette.stats.largest import all_pairs_of
from vedette.stats.many_means import Means, dunnett, games_howell, max_modulus_critical
from vedette.stats.ranking import probability_best, rank_arms, rank_intervals
from vedette.stats.sequential import Side


def test_clear_order_leaves_no_doubt():
    """Arms far apart have one rank each, one winner, and the winner's gap starts at 0."""
    got = rank_arms([1.0, 9.0, 5.0], [0.01, 0.01, 0.01])
    assert [(arm.rank, arm.rank_low, arm.rank_high) for arm in got.arms] == [(3, 3, 3), (1, 1, 1), (2, 2, 2)]
    assert (got.tied, got.winner) == ((1,), 1)
    assert got.arms[1].gap_low == 0.0 < got.arms[1].gap_high
    assert [arm.gap_high for arm in (got.arms[0], got.arms[2])] == [0.0, 0.0]


def test_no_evidence_leaves_every_rank_open():
    """Arms that cannot be told apart may have any rank; all are tied and there is no winner."""
    got = rank_arms([1.0, 1.1, 0.9], [1.0, 1.0, 1.0])
    assert {(arm.rank_low, arm.rank_high) for arm in got.arms} == {(1, 3)}
    assert (got.tied, got.winner) == ((1, 0, 2), None)


def test_lower_is_better_turns_everything():
    """For a metric where lower is better ranks, tied set and P(best) are those of the negated estimates."""
    estimates, variances = np.array([3.0, 1.0, 1.2, 9.0]), [0.1, 0.2, 0.1, 0.3]
    assert rank_arms(estimates, variances, better="lower") == rank_arms(-estimates, variances)
    assert (
        probability_best(estimates, variances, better="lower").tolist()
        == probability_best(-estimates, variances).tolist()
    )


def test_ranks_are_what_games_howell_finds():
    """Best rank: one more than the arms significantly better in Games-Howell; worst rank: k less those worse."""
    n, mean, variance = np.array([12, 20, 15, 30]), np.array([1.0, 2.2, 2.0, 4.0]), np.array([1.0, 2.0, 0.5, 3.0])
    pairs = games_howell(n, mean, variance)
    better, worse = np.zeros(4, int), np.zeros(4, int)
    for (later, earlier), low, high in zip(pairs.pairs, pairs.low, pairs.high, strict=True):
        better[earlier] += low > 0
        worse[later] += low > 0
        better[later] += high < 0
        worse[earlier] += high < 0
    got = rank_arms(mean, variance / n, degrees=n - 1.0)
    assert [arm.rank_low for arm in got.arms] == (1 + better).tolist()
    assert [arm.rank_high for arm in got.arms] == (4 - worse).tolist()


def test_tied_set_is_one_sided_dunnett():
    """Without a winner an arm is tied unless another is above it in Dunnett's one-sided test at alpha / 2."""
    mean, variance = np.array([1.0, 2.0, 2.6, 3.5]), np.array([0.1, 0.3, 0.2, 0.4])
    for alpha in (0.05, 0.2):
        got = rank_arms(mean, variance, degrees=15.0, alpha=alpha)
        assert got.winner is None
        for arm in range(4):
            p = dunnett(Means.of(mean, variance, 15.0), control=arm, side=Side.GREATER).p_value
            assert got.arms[arm].may_be_best is not bool((p < alpha / 2).any())


def test_winner_beats_the_runner_up_alone():
    """The winner is ahead of every other arm by the two-sided t quantile of the pair, however many arms there are."""
    for others in (1, 7):
        for factor, winner in ((1 + 1e-6, 0), (1 - 1e-6, None)):
            lead = stats.t.ppf(0.975, 20) * np.sqrt(2.0) * factor
            got = rank_arms([lead, 0.0, *[-1.0] * (others - 1)], np.ones(others + 1), degrees=20.0)
            assert got.winner == winner
            assert (got.tied == (0,)) is (winner == 0)


def test_rank_intervals_hold_the_true_ranks_together():
    """Five arms, two of them equal, unequal variances: all true ranks are inside in at least 95% of experiments."""
    random = np.random.default_rng(21)
    truth, variance = np.array([0.0, 0.0, 1.0, 2.0, 4.0]), np.array([1.0, 0.3, 0.5, 0.2, 1.0])
    critical = float(all_pairs_of(5).critical(0.05))
    held = 0
    for x in truth + random.normal(size=(1000, 5)) * np.sqrt(variance):
        got = rank_arms(x, variance, critical=critical).arms
        # Equal arms share ranks 4 and 5: either is true of each.
        held += all(
            arm.rank_low <= worst and best <= arm.rank_high
            for arm, (best, worst) in zip(got, [(4, 5), (4, 5), (3, 3), (2, 2), (1, 1)], strict=True)
        )
    assert held / 1000 >= 0.95 - 2 * (0.05 * 0.95 / 1000) ** 0.5


def test_gaps_and_tied_set_hold_the_truth():
    """Two best arms and two worse ones: all gaps are in their intervals in 97.5%, each best arm is reported in 95%."""
    random = np.random.default_rng(22)
    truth, half = np.array([0.0, 1.0, 1.0, 0.4]), np.full((3, 3), 0.5) + 0.5 * np.eye(3)
    gap = truth - np.array([np.delete(truth, arm).max() for arm in range(4)])
    critical = max_modulus_critical(half, 0.025, side=Side.GREATER)  # what is taken when none is given
    held, reported = [], []
    for x in truth + random.normal(size=(800, 4)) * np.sqrt(0.2):
        got = rank_arms(x, np.full(4, 0.2), critical=critical, winner_critical=1.959964)
        held.append(all(arm.gap_low <= gap[arm.arm] <= arm.gap_high for arm in got.arms))
        reported.append([arm in got.tied for arm in (1, 2)])
    assert np.mean(held) >= 0.975 - 2 * (0.025 * 0.975 / 800) ** 0.5
    assert (np.mean(reported, axis=0) >= 0.95 - 2 * (0.05 * 0.95 / 800) ** 0.5).all()


@pytest.mark.parametrize(
    ("truth", "variance"),
    [
        ([0.0, 0.0], [1.0, 1.0]),
        ([0.0, 0.0, 0.0, 0.0], [1.0, 1.0, 1.0, 1.0]),
        ([5.0, 5.0, 0.0, 0.0], [1.0, 1.0, 1.0, 1.0]),
        ([0.0, 0.0, 0.0, 0.0], [0.01, 1.0, 1.0, 1.0]),
        ([0.0, 0.0, 0.0, 0.0], [0.01, 0.1, 1.0, 10.0]),
    ],
)
def test_a_false_winner_is_rare(truth, variance):
    """Equal arms, two equally best of four, very unequal variances: a winner is declared in at most 5%."""
    random, k = np.random.default_rng(23), len(truth)
    draws = truth + random.normal(size=(800, k)) * np.sqrt(variance)
    named = [rank_arms(x, variance, critical=3.0, winner_critical=1.959964).winner for x in draws]
    assert 0 < sum(arm is not None for arm in named) <= 800 * 0.05 + 2 * (800 * 0.05 * 0.95) ** 0.5


def test_a_true_winner_is_found():
    """One arm of four better by what a test of two finds in 80%: found in 60% or more, at 1.5 times that in 96%."""
    random, lead = np.random.default_rng(24), (1.959964 + 0.841621) * np.sqrt(2.0)
    for factor, power in ((1.0, 0.6), (1.5, 0.96)):
        draws = np.array([0.0, 0.0, 0.0, factor * lead]) + random.normal(size=(500, 4))
        named = [rank_arms(x, np.ones(4), critical=3.0, winner_critical=1.959964).winner for x in draws]
        assert np.mean([arm == 3 for arm in named]) >= power - 2 * (power * (1 - power) / 500) ** 0.5


def test_shared_noise_does_not_blur_ranks():
    """Models judged on the same prompts share noise, which cancels: the ranks are those of what is left."""
    estimates, own = np.array([1.0, 2.0, 3.5, 3.6]), np.full(4, 0.05)
    apart, together = rank_arms(estimates, own), rank_arms(estimates, np.diag(own) + 3.0)
    assert [(a.rank_low, a.rank_high) for a in apart.arms] == [(a.rank_low, a.rank_high) for a in together.arms]
    assert apart.tied == together.tied == (3, 2)
    assert apart.winner is together.winner is None
    assert {arm.p_best for arm in together.arms} == {None}


def test_a_critical_value_from_elsewhere():
    """A wider critical value, as a confidence sequence has, leaves more ranks open and never fewer."""
    estimates, variances = [1.0, 2.0, 3.0, 4.0], [0.1] * 4
    fixed, wide = rank_arms(estimates, variances), rank_arms(estimates, variances, critical=4.0)
    for narrow, open_ in zip(fixed.arms, wide.arms, strict=True):
        assert open_.rank_low <= narrow.rank_low <= narrow.rank_high <= open_.rank_high
    assert set(fixed.tied) <= set(wide.tied)


def test_unknown_arms_are_left_out_and_named():
    """An arm without a variance is unranked; the others are ranked as if it were not there, under their own places."""
    got = rank_arms([1.0, np.nan, 3.0, 5.0], [0.1, 0.1, 0.1, np.nan], degrees=[9.0, 9.0, 9.0, 0.0])
    assert got.unranked == (1, 3)
    assert [(arm.arm, arm.rank) for arm in got.arms] == [(0, 2), (2, 1)]
    assert got.winner == 2


def test_arms_known_exactly():
    """Arms without variance: the larger is the better one, equal ones stay tied."""
    assert rank_arms([1.0, 2.0, 1.5], [0.0, 0.0, 0.0]).winner == 1
    assert rank_arms([2.0, 2.0, 1.0], [0.0, 0.0, 0.0]).tied == (0, 1)


@settings(max_examples=40)
@given(
    st.lists(st.tuples(st.floats(-5.0, 5.0), st.floats(0.001, 10.0)), min_size=2, max_size=6),
    st.randoms(),
)
def test_ranking_is_coherent(arms, random):
    """Rank intervals hold the rank in the data, the leader is tied, and order in is order out."""
    mean, variance = (np.array(values) for values in zip(*arms, strict=True))
    got = rank_arms(mean, variance, critical=2.5)
    assert all(arm.rank_low <= arm.rank <= arm.rank_high for arm in got.arms)
    assert all(arm.gap_low <= 0.0 <= arm.gap_high for arm in got.arms)
    assert mean[got.tied[0]] == mean.max()
    assert all(arm.may_be_best is (arm.arm in got.tied) for arm in got.arms)
    assert sum(arm.p_best or 0.0 for arm in got.arms) == pytest.approx(1.0)
    order = random.sample(range(len(arms)), len(arms))
    turned = rank_arms(mean[order], variance[order], critical=2.5)
    for place, original in enumerate(order):
        new, old = turned.arms[place], got.arms[original]
        assert (new.rank, new.rank_low, new.rank_high, new.gap_high) == (
            old.rank,
            old.rank_low,
            old.rank_high,
            old.gap_high,
        )
        assert new.p_best == pytest.approx(old.p_best, rel=1e-6, abs=1e-12)


@settings(max_examples=30)
@given(st.floats(-9.0, 9.0), st.floats(0.001, 100.0), st.floats(0.001, 100.0))
def test_probability_best_of_two(z, first, second):
    """With two arms P(best) is the normal probability of their difference, far in the tail too."""
    got = probability_best([z * np.sqrt(first + second), 0.0], [first, second])
    assert got == pytest.approx(ndtr([z, -z]), rel=1e-7)


def test_probability_best_of_many():
    """Twenty equal arms: one twentieth each; four unequal ones: what a million draws give."""
    assert probability_best(np.ones(20), np.ones(20)) == pytest.approx(np.full(20, 0.05), rel=1e-12)
    mean, sigma = np.array([1.0, 1.2, 0.0, 1.1]), np.array([0.3, 0.5, 2.0, 0.01])
    draws = mean + sigma * np.random.default_rng(2).normal(size=(400_000, 4))
    share = np.bincount(draws.argmax(axis=1), minlength=4) / 400_000
    assert probability_best(mean, sigma**2) == pytest.approx(share, abs=0.003)


def test_probability_best_of_known_values():
    """A known value among uncertain ones is best when all others are below it; exact ties are shared."""
    got = probability_best([0.0, 0.5], [1.0, 0.0])
    assert got == pytest.approx([ndtr(-0.5), ndtr(0.5)], abs=1e-8)
    assert probability_best([1.0, 1.0, 0.0], [0.0, 0.0, 0.0]).tolist() == [0.5, 0.5, 0.0]


def test_rank_intervals_from_any_intervals():
    """Any simultaneous intervals of all pairs will do; what is NaN says nothing."""
    low = np.array([[0.0, 0.5, np.nan], [-2.0, 0.0, -1.0], [np.nan, -1.0, 0.0]])
    best, worst = rank_intervals(low, -low.T)
    assert (best.tolist(), worst.tolist()) == ([1.0, 2.0, 1.0], [2.0, 3.0, 3.0])
    with pytest.raises(InvalidInput, match="two squares"):
        rank_intervals(np.zeros(3), np.zeros(3))


def test_bad_input_says_what_is_wrong():
    """One known arm, wrong shapes, negative variances, levels out of range, one df by arm of correlated estimates."""
    with pytest.raises(InvalidInput, match="two or more"):
        rank_arms([1.0], [1.0])
    with pytest.raises(InvalidInput, match="at least two arms"):
        rank_arms([1.0, np.nan], [1.0, 1.0])
    with pytest.raises(InvalidInput, match="variance is not negative"):
        rank_arms([1.0, 2.0], [1.0, -1.0])
    with pytest.raises(InvalidInput, match="alpha"):
        rank_arms([1.0, 2.0], [1.0, 1.0], alpha=0.5)
    with pytest.raises(InvalidInput, match="share one number"):
        rank_arms([1.0, 2.0], np.eye(2) + 0.1, degrees=[5.0, 6.0])
    with pytest.raises(InvalidInput, match="finite"):
        probability_best([1.0, np.inf], [1.0, 1.0])
