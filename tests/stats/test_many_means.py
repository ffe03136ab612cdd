"""Many comparisons of one metric: R's and scipy's figures, family-wise error by simulation, and what is undefined."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from vedette.kernel.errors import InvalidInput
from vedette.stats.cautions import Caution
from vedette.stats.largest import all_pairs_of
from vedette.stats.many_means import (
    Means,
    all_pairs,
    compare_pairs,
    dunnett,
    games_howell,
    max_modulus_critical,
    step_down_dunnett,
    tukey,
)
from vedette.stats.sequential import Side

# R datasets::PlantGrowth.
CTRL = [4.17, 5.58, 5.18, 6.11, 4.50, 4.61, 5.17, 4.53, 5.33, 5.14]
TRT1 = [4.81, 4.17, 4.41, 3.59, 5.87, 3.83, 6.03, 4.89, 4.32, 4.69]
TRT2 = [6.31, 5.12, 5.54, 5.50, 5.37, 5.29, 4.92, 6.15, 5.80, 5.26]
PLANTS = (CTRL, TRT1, TRT2)
# scipy's tests/test_multicomp.py, case_3, computed there with R multcomp.
SMALL = ([55, 47, 48], [55, 64, 64], [55, 49, 52], [50, 44, 41])


def moments(samples):
    """Counts, means and unbiased variances."""
    return tuple(np.array([f(sample) for sample in samples]) for f in (len, np.mean, lambda s: np.var(s, ddof=1)))


def test_dunnett_of_plant_growth():
    """R multcomp 1.4-22, glht(mcp(group = "Dunnett")): t, adjusted p and simultaneous intervals."""
    got = dunnett(Means.pooled(*moments(PLANTS)))
    assert got.pairs == ((1, 0), (2, 0))
    assert got.statistic == pytest.approx([-1.33079080116, 1.77199637675], abs=1e-9)
    assert got.p_value == pytest.approx([0.322695685769, 0.153485861515], abs=2e-6)
    assert got.low == pytest.approx([-1.021547602034, -0.156547602034], abs=1e-4)
    assert got.high == pytest.approx([0.279547602034, 1.144547602034], abs=1e-4)


def test_dunnett_of_small_samples():
    """Case_3 of scipy's test_multicomp.py (R multcomp): t, p and intervals of three samples of three."""
    got = dunnett(Means.pooled(*moments(SMALL)))
    assert got.statistic == pytest.approx([3.09073, 0.56195, -1.40488], abs=1e-5)
    assert got.p_value == pytest.approx([0.036407, 0.896539, 0.409295], abs=5e-4)
    assert got.low == pytest.approx([0.7529028025053, -8.2470971974947, -15.2470971974947], abs=0.005)
    assert got.high == pytest.approx([21.2470971974947, 12.2470971974947, 5.2470971974947], abs=0.005)


@pytest.mark.parametrize(("side", "word"), [(Side.BOTH, "two-sided"), (Side.GREATER, "greater"), (Side.LESS, "less")])
def test_dunnett_beside_scipy(side, word):
    """Unequal sizes, each side: scipy's p-values, to the noise of its random integration."""
    samples = (CTRL[:6], TRT1, TRT2[:8], CTRL)
    expected = stats.dunnett(*samples[1:], control=samples[0], alternative=word, rng=np.random.default_rng(1))
    got = dunnett(Means.pooled(*moments(samples)), side=side)
    assert got.p_value == pytest.approx(expected.pvalue, abs=3e-4)


def test_tukey_of_plant_growth():
    """R 4.2.2 TukeyHSD(aov(weight ~ group, PlantGrowth)): adjusted p and intervals."""
    got = tukey(*moments(PLANTS))
    assert (got.method, got.pairs) == ("tukey", ((1, 0), (2, 0), (2, 1)))
    assert got.p_value == pytest.approx([0.3908711442021, 0.1979959912997, 0.0120064239795], abs=1e-9)
    assert (got.low[0], got.high[0]) == pytest.approx((-1.06221605141, 0.32021605141), abs=1e-9)
    assert (got.low[2], got.high[2]) == pytest.approx((0.17378394859, 1.55621605141), abs=1e-9)


def test_games_howell_beside_scipy():
    """Unequal sizes and variances: scipy's tukey_hsd(equal_var=False), p-values and intervals, from moments alone."""
    samples = (CTRL[:7], [4 * x for x in TRT1], TRT2)
    theirs, got = stats.tukey_hsd(*samples, equal_var=False), games_howell(*moments(samples))
    interval = theirs.confidence_interval(0.95)
    for place, pair in enumerate(got.pairs):
        assert got.p_value[place] == pytest.approx(theirs.pvalue[pair], abs=1e-9)
        assert (got.low[place], got.high[place]) == pytest.approx((interval.low[pair], interval.high[pair]), abs=1e-8)


@settings(max_examples=20)
@given(
    st.lists(st.tuples(st.floats(-3.0, 3.0), st.floats(0.1, 9.0), st.integers(2, 50)), min_size=2, max_size=5),
    st.sampled_from(list(Side)),
    st.floats(0.01, 0.2),
)
def test_p_value_and_interval_never_contradict(arms, side, alpha):
    """An adjusted p-value is below alpha exactly when the simultaneous interval leaves out zero."""
    mean, variance, n = (np.array(values, float) for values in zip(*arms, strict=True))
    found = [dunnett(Means.separate(n, mean, variance), side=side, alpha=alpha), tukey(n, mean, variance, alpha=alpha)]
    for got in found:
        clear = np.abs(got.p_value - alpha) > 1e-9
        out = (got.low > 0.0) | (got.high < 0.0)
        assert (out == (got.p_value < alpha))[clear].all()


@settings(max_examples=20)
@given(
    st.lists(st.tuples(st.floats(-3.0, 3.0), st.floats(0.1, 9.0)), min_size=3, max_size=6),
    st.sampled_from(list(Side)),
    st.randoms(),
)
def test_between_raw_and_bonferroni_in_any_order(arms, side, random):
    """Raw p ≤ step-down ≤ Dunnett ≤ Bonferroni, and shuffling the arms shuffles the answers."""
    mean, variance = (np.array(values) for values in zip(*arms, strict=True))
    means = Means.of(mean, variance, 12.0)
    whole, steps = dunnett(means, side=side).p_value, step_down_dunnett(means, side=side)
    signed = {Side.BOTH: np.abs, Side.GREATER: np.positive, Side.LESS: np.negative}[side](dunnett(means).statistic)
    raw = stats.t.sf(signed, 12) * (2 if side is Side.BOTH else 1)
    assert (raw <= steps * (1 + 1e-8)).all()
    assert (steps <= whole * (1 + 1e-8)).all()
    assert (whole <= np.minimum(raw * raw.size, 1.0) * (1 + 1e-8)).all()
    order = [0, *random.sample(range(1, len(arms)), len(arms) - 1)]
    turned = dunnett(Means.of(mean[order], variance[order], 12.0), side=side).p_value
    assert turned == pytest.approx(whole[np.array(order[1:]) - 1], rel=1e-8)


def test_step_down_gains_where_dunnett_is_cautious():
    """The clearest arm keeps Dunnett's p-value; the others get smaller ones, in the order of their evidence."""
    means = Means.of([0.0, 3.0, 2.4, 0.5], [0.5] * 4)
    whole, steps = dunnett(means).p_value, step_down_dunnett(means)
    assert steps[0] == pytest.approx(whole[0], rel=1e-12)
    assert (steps[1:] < whole[1:]).all()
    assert steps[2] == pytest.approx(2 * stats.norm.sf(0.5), rel=1e-8)


def test_dunnett_keeps_its_error_rate():
    """Four equal arms, unequal sizes and variances, own variance for each: any false finding in 5% of experiments."""
    random = np.random.default_rng(4)
    sizes, sigmas = np.array([40, 15, 30, 25]), np.array([1.0, 3.0, 1.0, 2.0])
    found = []
    for _ in range(400):
        n, mean, variance = moments([random.normal(0.0, s, n) for n, s in zip(sizes, sigmas, strict=True)])
        found.append(dunnett(Means.separate(n, mean, variance)).p_value.min() <= 0.05)
    assert np.mean(found) == pytest.approx(0.05, abs=0.025)


def test_games_howell_keeps_its_error_rate_where_tukey_does_not():
    """Four equal arms, the smallest the most variable: Games-Howell misleads in about 5%, Tukey in far more."""
    random = np.random.default_rng(9)
    sizes, sigmas = np.array([12, 20, 30, 60]), np.array([4.0, 3.0, 2.0, 1.0])
    draws, largest = 2000, all_pairs_of(4)
    samples = [random.normal(0.0, s, (draws, n)) for n, s in zip(sizes, sigmas, strict=True)]
    mean = np.stack([x.mean(axis=1) for x in samples], axis=1)
    variance = np.stack([x.var(axis=1, ddof=1) for x in samples], axis=1)
    first, second = np.tril_indices(4, -1)
    v = variance / sizes
    z = np.abs(mean[:, first] - mean[:, second]) / np.sqrt(v[:, first] + v[:, second])
    parts = v**2 / (sizes - 1)
    df = (v[:, first] + v[:, second]) ** 2 / (parts[:, first] + parts[:, second])
    own = largest.survival(z, df).min(axis=1)
    assert own[:3] == pytest.approx(
        [games_howell(sizes, mean[i], variance[i]).p_value.min() for i in range(3)], rel=1e-9
    )
    pooled = (variance @ (sizes - 1))[:, None] / (sizes - 1).sum()
    z = np.abs(mean[:, first] - mean[:, second]) / np.sqrt(pooled * (1 / sizes[first] + 1 / sizes[second]))
    shared = largest.survival(z, float((sizes - 1).sum())).min(axis=1)
    assert shared[0] == pytest.approx(tukey(sizes, mean[0], variance[0]).p_value.min(), rel=1e-9)
    assert (own <= 0.05).mean() == pytest.approx(0.05, abs=0.015)
    assert (shared <= 0.05).mean() > 0.1


def test_simultaneous_intervals_cover_together():
    """All three of Dunnett's intervals hold their true effects in 95% of experiments."""
    random = np.random.default_rng(12)
    truth, sizes = np.array([0.0, 1.0, 2.0, -1.0]), np.array([20, 10, 15, 30])
    samples = [random.normal(m, 1.0, (5000, n)) for m, n in zip(truth, sizes, strict=True)]
    mean = np.stack([x.mean(axis=1) for x in samples], axis=1)
    variance = np.stack([x.var(axis=1, ddof=1) for x in samples], axis=1)
    first = dunnett(Means.pooled(sizes, mean[0], variance[0]))
    # Sizes alone decide how many standard errors an interval has, so the first one's serves all.
    pooled = variance @ (sizes - 1) / (sizes - 1).sum()
    error = np.sqrt(pooled[:, None] * (1 / sizes[1:] + 1 / sizes[0]))
    off = np.abs(mean[:, 1:] - mean[:, :1] - truth[1:]) > first.critical * error
    assert error[0] == pytest.approx(first.standard_error, rel=1e-12)
    assert off.any(axis=1).mean() == pytest.approx(0.05, abs=0.01)


def test_any_pairs_of_correlated_estimates():
    """Independent arms give Dunnett's figures; shared noise cancels; a singular set of all pairs gives Tukey's."""
    mean, variance = np.array([1.0, 2.0, 4.0, 3.0]), np.array([1.0, 2.0, 3.0, 1.0])
    star = [(1, 0), (2, 0), (3, 0)]
    plain = dunnett(Means.of(mean, variance, 9.0))
    for shared in (0.0, 5.0):
        got = compare_pairs(mean, np.diag(variance) + shared, star, df=9.0)
        assert got.p_value == pytest.approx(plain.p_value, rel=1e-7)
        assert got.critical == pytest.approx(plain.critical, rel=1e-7)
    pairs = all_pairs(Means.of(mean, np.ones(4)))
    assert compare_pairs(mean, np.eye(4), pairs.pairs).p_value == pytest.approx(pairs.p_value, rel=0.003)


def test_the_leader_with_the_rest_to_one_side():
    """Leader against all is one-sided Dunnett with the leader as control."""
    mean, variance = np.array([1.0, 2.0, 4.0]), np.array([1.0, 2.0, 3.0])
    got = compare_pairs(mean, np.diag(variance), [(2, 0), (2, 1)], side=Side.GREATER)
    turned = dunnett(Means.of(mean, variance), control=2, side=Side.LESS)
    assert got.p_value == pytest.approx(turned.p_value, rel=1e-8)
    assert got.low == pytest.approx(-turned.high, rel=1e-8)
    assert np.isposinf(got.high).all()


def test_critical_value_of_a_correlation_matrix():
    """Three comparisons at correlation one half: 2.34897 two-sided, 2.0621 one-sided, 2.7590 with 10 degrees."""
    half = np.full((3, 3), 0.5) + 0.5 * np.eye(3)
    assert max_modulus_critical(half, 0.05) == pytest.approx(2.34897059, abs=1e-7)
    assert max_modulus_critical(half, 0.05, side=Side.GREATER) == pytest.approx(2.062084, abs=1e-5)
    assert max_modulus_critical(half, 0.05, df=10) == pytest.approx(2.758997, abs=1e-5)


def test_unknown_arms_are_no_part_of_the_family():
    """Arms of one unit or none are NaN with a reason, and the others are judged as if they were not there."""
    n, mean, variance = [20, 1, 30, 0, 25], [1.0, 9.0, 1.5, np.nan, 2.0], [1.0, np.nan, 2.0, np.nan, 1.0]
    got, alone = (
        dunnett(Means.separate(*(np.asarray(values)[places] for values in (n, mean, variance))))
        for places in ([0, 1, 2, 3, 4], [0, 2, 4])
    )
    assert got.warnings == (Caution.TOO_FEW, None, Caution.TOO_FEW, None)
    assert got.p_value[[1, 3]] == pytest.approx(alone.p_value, rel=1e-12)
    assert all(
        np.isnan(values[[0, 2]]).all() for values in (got.p_value, got.statistic, got.low, got.high, got.critical)
    )
    steps = step_down_dunnett(Means.separate(n, mean, variance))
    assert np.isnan(steps).tolist() == [True, False, True, False]
    pairs = games_howell(n, mean, variance)
    assert pairs.warnings.count(None) == 3
    assert pairs.p_value[~np.isnan(pairs.p_value)] == pytest.approx(
        games_howell([20, 30, 25], [1.0, 1.5, 2.0], [1.0, 2.0, 1.0]).p_value, rel=1e-12
    )


def test_an_unknown_arm_spoils_only_its_own_pairs():
    """Among correlated estimates a missing one leaves the other pairs as they would be without it."""
    covariance = np.eye(3) + 0.2
    covariance[2] = covariance[:, 2] = np.nan
    got = compare_pairs([1.0, 2.0, np.nan], covariance, [(1, 0), (2, 0)])
    assert got.warnings == (None, Caution.TOO_FEW)
    assert float(got.critical[0]) == pytest.approx(1.959964, abs=1e-6)


def test_no_variance_anywhere_gives_no_verdict():
    """Arms that do not vary at all give NaN and NO_VARIANCE: neither p = 0 nor p = 1."""
    for got in (tukey([9, 9], [1.0, 2.0], [0.0, 0.0]), dunnett(Means.of([1.0, 2.0], [0.0, 0.0]))):
        assert got.warnings == (Caution.NO_VARIANCE,)
        assert np.isnan(got.p_value).all()
        assert np.isnan(got.low).all()


def test_one_arm_without_variance_is_a_known_value():
    """Comparing a varying arm with a known value is a t-test with that arm's own degrees of freedom."""
    got = dunnett(Means.separate([30, 20], [5.0, 5.5], [0.0, 1.0]))
    assert got.df == pytest.approx([19.0])
    assert got.p_value == pytest.approx([2 * stats.t.sf(0.5 / math.sqrt(1 / 20), 19)], rel=1e-9)


def test_bad_input_says_what_is_wrong():
    """One arm, negative variances, unknown controls, wrong pairs and levels are refused."""
    two = Means.of([1.0, 2.0], [1.0, 1.0])
    with pytest.raises(InvalidInput, match="two or more"):
        Means.of([1.0], [1.0])
    with pytest.raises(InvalidInput, match="two or more"):
        Means.of([1.0, 2.0], [1.0, 2.0], [1.0, 2.0, 3.0])
    with pytest.raises(InvalidInput, match="not negative"):
        Means.of([1.0, 2.0], [1.0, -1.0])
    with pytest.raises(InvalidInput, match="no arm 2"):
        dunnett(two, control=2)
    with pytest.raises(InvalidInput, match="alpha"):
        dunnett(two, alpha=0.7)
    with pytest.raises(InvalidInput, match="alpha"):
        all_pairs(two, alpha=0.0)
    for pairs in ([(0, 0)], [(0, 2)]):
        with pytest.raises(InvalidInput, match="two different arms"):
            compare_pairs([1.0, 2.0], np.eye(2), pairs)
    with pytest.raises(InvalidInput, match="at least one pair"):
        compare_pairs([1.0, 2.0], np.eye(2), [])
    with pytest.raises(InvalidInput, match="above 0"):
        compare_pairs([1.0, 2.0], np.eye(2), [(1, 0)], df=0.0)
