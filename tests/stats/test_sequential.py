"""Confidence sequences of means: published digits, agreement of all numbers, and false alarms at all looks."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.evidence.summary import FloatArray, Moments, moments
from vedette.kernel.errors import InvalidInput
from vedette.stats.cautions import Caution
from vedette.stats.sequential import (
    MeanEstimate,
    Side,
    balanced_size,
    compare,
    critical_value,
    difference,
    log_e_value,
    proportion,
)

# growthbook/growthbook, packages/stats/tests/frequentist/test_tests.py at commit 8f1db44.
REVENUE_A = Moments(3000.0, 1396.87 / 3000, 52377.9767 - 1396.87**2 / 3000)
REVENUE_B = Moments(3461.0, 2422.7 / 3461, 134698.29 - 2422.7**2 / 3461)


def delta_method(control: MeanEstimate, treatment: MeanEstimate) -> tuple[float, float]:
    """Relative lift and its standard error as GrowthBook takes them."""
    lift = treatment.mean / control.mean - 1
    variance = treatment.variance / control.mean**2 + control.variance * treatment.mean**2 / control.mean**4
    return lift, math.sqrt(variance)


def test_growthbook_relative_two_sided():
    """TestSequentialTTest.test_sequential_test_runs: lift .50336 ± .33341, t* = 1000, [-.55844, 1.56516], p = 1."""
    lift, error = delta_method(MeanEstimate.of(REVENUE_A), MeanEstimate.of(REVENUE_B))
    got = difference(lift, error, 6461, alpha=0.05, tuning=1000)
    assert (lift, error) == pytest.approx((0.50336, 0.33341), abs=1e-5)
    assert (got.low, got.high, got.p_value) == pytest.approx((-0.55844, 1.56516, 1.0), abs=1e-5)


def test_growthbook_proportions():
    """TestSequentialTTest.test_sequential_test_runs_prop: 1396/3000 against 2422/3461 gives [.40098, .60675], p = 0."""
    a, b = 1396 / 3000, 2422 / 3461
    lift, error = delta_method(MeanEstimate(a, a * (1 - a) / 3000, 3000), MeanEstimate(b, b * (1 - b) / 3461, 3461))
    got = difference(lift, error, 6461, alpha=0.05)
    assert (got.low, got.high, got.p_value) == pytest.approx((0.40098, 0.60675, 0.0), abs=1e-5)


def test_growthbook_one_sided_relative():
    """TestSequentialOneSided{Greater,Lesser}TTest.test_one_sided_ttest: bounds -.42356… and 1.43028…, t* = 5000."""
    lift, error = delta_method(MeanEstimate.of(REVENUE_A), MeanEstimate.of(REVENUE_B))
    greater = difference(lift, error, 6461, alpha=0.05, side=Side.GREATER)
    less = difference(lift, error, 6461, alpha=0.05, side=Side.LESS)
    assert greater.low == pytest.approx(-0.42356454602790883, rel=1e-9)
    assert less.high == pytest.approx(1.4302867177403806, rel=1e-9)
    assert greater.high is less.low is None


def test_growthbook_one_sided_absolute():
    """TestSequentialOneSided{Greater,Lesser}TTest.test_one_sided_ttest_absolute: the bounds, and p where it rounds to.

    Its p of .46316 is a bisection that stops after ten steps; the root it closes in on is .46305.
    """
    a, b = MeanEstimate.of(REVENUE_A), MeanEstimate.of(REVENUE_B)
    greater, less = (compare(b, a, alpha=0.05, side=side, n=6461) for side in (Side.GREATER, Side.LESS))
    assert greater.effect == pytest.approx(0.23437666666666668, rel=1e-5)
    got = difference(0.23437666666666668, 0.12983081254184736, 6461, alpha=0.05, side=Side.GREATER)
    assert got.low == pytest.approx(-0.12656844172804982, rel=1e-9)
    assert greater.low == pytest.approx(-0.12656844172804982, abs=1e-5)
    assert less.high == pytest.approx(0.5953217750613832, abs=1e-5)
    assert greater.p_value == pytest.approx(0.46316491943359384, abs=0.5 * 0.4999 / 2**10)


def test_growthbook_tuning():
    """test_sequential_test_tuning_as_expected: a sequence is narrowest near its tuning, wider far away from it."""
    below, near, above = (float(critical_value(6461, 0.05, Side.BOTH, tuning)) for tuning in (10, 6461, 10000))
    assert near < above < below


@pytest.mark.parametrize(
    ("successes", "trials", "tuning", "low", "high"),
    [
        (700, 1000, 100, 0.651629, 0.745949),
        (15, 50, 50, 0.129556, 0.511896),
        (5, 50, 50, 0.013021, 0.269264),
        (1, 50, 50, 0.0, 0.13489),
        (100, 200, 1, 0.328923, 0.671076),
        (1, 2, 50, 0.0, 1.0),
        (0, 1, 50, 0.0, 1.0),
        (1, 1, 50, 0.0, 1.0),
    ],
)
def test_confseq_bernoulli_intervals(successes, trials, tuning, low, high):
    """BernoulliConfidenceIntervalTest of gostevehoward/confseq, test/uniform_boundaries_unittest.cpp at 70b1ef3."""
    assert proportion(successes, trials, alpha=0.05, tuning=tuning) == pytest.approx((low, high), abs=1e-5)


@pytest.mark.parametrize("trials", [1, 2, 100, 100_000])
def test_a_proportion_of_none_or_all_has_its_interval(trials):
    """Where nothing, or everything, succeeded the interval ends there, narrows with trials, and mirrors the other."""
    low, high = proportion(0, trials, alpha=0.05)
    assert low == 0.0
    assert 1 - 0.05 ** (1 / trials) <= high <= min(1.0, 4 / trials + 0.2)  # one look at a fixed size excludes no less
    assert proportion(trials, trials, alpha=0.05) == pytest.approx((1.0 - high, 1.0), abs=1e-9)


def test_proportions_without_trials():
    """Nothing tried leaves everything possible; more successes than trials is refused."""
    assert proportion(0, 0, alpha=0.05) == (0.0, 1.0)
    with pytest.raises(InvalidInput, match="impossible"):
        proportion(3, 2, alpha=0.05)


means = st.floats(-100, 100)
variances = st.floats(1e-4, 100)
sizes = st.integers(2, 100_000)


estimates = st.builds(MeanEstimate, means, variances, sizes)


@given(estimates, estimates, st.sampled_from(Side), st.floats(0.001, 0.4), st.floats(-0.5, 0.5))
def test_all_numbers_of_a_comparison_agree(treatment, control, side, alpha, margin):
    """p, e, the absolute and the relative interval always say the same about zero and about a relative margin."""
    for tolerated in (0.0, margin):
        got = compare(treatment, control, alpha=alpha, side=side, relative_margin=tolerated)
        if abs(known(got.p_value) / alpha - 1) < 1e-6:  # on the edge, rounding decides
            continue
        significant = known(got.p_value) < alpha
        assert significant == (known(got.e_value) > 1 / alpha)
        if tolerated == 0:
            assert significant == excludes(got.low, got.high, 0.0)
        if Caution.UNBOUNDED in got.warnings:
            assert got.relative_low is got.relative_high is None
        else:
            assert significant == excludes(got.relative_low, got.relative_high, tolerated)
            slack = 1e-9 * (1 + abs(known(got.relative_effect)))
            assert not excludes(got.relative_low, got.relative_high, known(got.relative_effect), slack)


def known(value: float | None) -> float:
    """Say that a number is there."""
    assert value is not None
    return value


def excludes(low: float | None, high: float | None, value: float, slack: float = 0.0) -> bool:
    """Say whether a value lies outside an interval whose ends may be missing."""
    return (low is not None and low > value + slack) or (high is not None and high < value - slack)


@given(st.floats(1, 1e6), st.floats(0.001, 0.4), st.sampled_from(Side))
def test_the_critical_value_is_where_the_e_value_reaches_one_over_alpha(n, alpha, side):
    """Critical value and e-value are two readings of one test."""
    z = critical_value(n, alpha, side) * (-1 if side is Side.LESS else 1)
    assert float(log_e_value(z, n, alpha, side)) == pytest.approx(-math.log(alpha), rel=1e-9)


def test_looks_may_come_as_an_array():
    """A whole history of looks is judged in one call, each as if alone."""
    z, n = np.array([-1.0, 2.0, 60.0]), np.array([10.0, 1000.0, 1e6])
    for side in Side:
        one_by_one = [float(log_e_value(a, b, 0.05, side)) for a, b in zip(z, n, strict=True)]
        assert log_e_value(z, n, 0.05, side).tolist() == one_by_one


def test_non_inferiority_is_proven_when_the_upper_end_is_below_the_margin():
    """A latency mean that is surely less than 10 % worse passes at 10 %, and does not pass at 1 %."""
    canary, stable = MeanEstimate(102.0, 0.5, 20_000), MeanEstimate(100.0, 0.5, 20_000)
    tolerant, strict = (
        compare(canary, stable, alpha=0.05, side=Side.LESS, relative_margin=margin) for margin in (0.1, 0.01)
    )
    assert known(tolerant.p_value) < 0.05 < known(strict.p_value)
    assert tolerant.low is None
    assert 0.01 < known(tolerant.relative_high) < 0.1


def test_a_control_near_zero_gives_a_disclosed_unbounded_relative_interval():
    """Where the control's mean may be zero, the relative interval is None and says so; the absolute one stays."""
    got = compare(MeanEstimate(5.0, 0.01, 1000), MeanEstimate(0.001, 0.01, 1000), alpha=0.05)
    assert (got.relative_low, got.relative_high, got.warnings) == (None, None, (Caution.UNBOUNDED,))
    assert 4.0 < known(got.low) < known(got.high) < 6.0
    assert got.relative_effect == pytest.approx(4999)
    zero = compare(MeanEstimate(5.0, 0.01, 1000), MeanEstimate(0.0, 0.0, 1000), alpha=0.05)
    assert zero.relative_effect is None
    assert known(zero.low) > 4


def test_a_negative_control_keeps_the_sign_of_the_effect():
    """An increase from a negative baseline is a relative increase."""
    got = compare(MeanEstimate(-8.0, 0.01, 1000), MeanEstimate(-10.0, 0.01, 1000), alpha=0.05)
    assert got.effect == pytest.approx(2.0)
    assert got.relative_effect == pytest.approx(0.2)
    assert 0 < known(got.relative_low) < 0.2 < known(got.relative_high)


def test_paired_means_are_judged_with_their_covariance():
    """The covariance of means over the same units narrows both intervals."""
    a, b = MeanEstimate(10.2, 0.1, 500), MeanEstimate(10.0, 0.1, 500)
    alone, paired = (compare(a, b, alpha=0.05, covariance=c) for c in (0.0, 0.09))
    assert known(paired.high) < known(alone.high)
    assert known(paired.relative_high) < known(alone.relative_high)


@pytest.mark.parametrize(
    ("first", "second", "why"),
    [
        ([1.0], [1.0, 2.0], Caution.TOO_FEW),
        ([], [], Caution.TOO_FEW),
        ([1.0, 1.0], [2.0, 2.0], Caution.NO_VARIANCE),
    ],
)
def test_what_is_unknown_is_none_with_its_reason(first, second, why):
    """Too few values or no variance at all give None and a warning, never p = 1, 0 or NaN."""
    got = compare(MeanEstimate.of(moments(first)), MeanEstimate.of(moments(second)), alpha=0.05)
    assert got.warnings == (why,)
    assert (got.low, got.high, got.p_value, got.e_value, got.relative_low, got.relative_high) == (None,) * 6


def test_overwhelming_evidence_is_infinite_not_an_overflow():
    """A z-score of a thousand has an infinite e-value, a p-value of 0 and a finite logarithm."""
    got = difference(1000.0, 1.0, 1e6, alpha=0.05)
    assert (got.e_value, got.p_value) == (math.inf, 0.0)
    assert math.isfinite(known(got.log_e_value))


def test_misuse_is_refused():
    """Impossible levels and two margins at once are refused."""
    a = MeanEstimate(1.0, 1.0, 10)
    with pytest.raises(InvalidInput, match="alpha"):
        compare(a, a, alpha=0.5)
    with pytest.raises(InvalidInput, match="not both"):
        compare(a, a, alpha=0.05, margin=1.0, relative_margin=0.1)


def test_the_clock_of_unequal_arms():
    """Equal arms count in full; a hundredth on the canary counts about four of it; an empty arm stops the clock."""
    assert balanced_size(500, 500) == 1000
    assert balanced_size(10, 990) == pytest.approx(39.6)
    assert balanced_size(0, 100) == 0.0


def _false_alarms(draws_t: FloatArray, draws_c: FloatArray, first: int) -> tuple[float, float]:
    """Shares of A/A runs whose sequence ever excludes no effect, absolute and relative, looking after every pair."""
    n = np.arange(1, draws_t.shape[1] + 1, dtype=float)

    def running(draws: FloatArray) -> tuple[FloatArray, FloatArray]:
        mean = np.cumsum(draws, axis=1) / n
        centred = np.cumsum(draws * draws, axis=1) - n * mean * mean  # values near 1: no digits to lose
        return mean, np.maximum(centred, 0) / np.maximum(n - 1, 1) / n

    (mean_t, var_t), (mean_c, var_c) = running(draws_t), running(draws_c)
    with np.errstate(invalid="ignore", divide="ignore"):
        z = np.nan_to_num((mean_t - mean_c) / np.sqrt(var_t + var_c))
    alarms = np.abs(z) > critical_value(2 * n, 0.05, Side.BOTH)
    alarms[:, : first - 1] = False
    relative = 0
    for run in range(draws_t.shape[0]):
        # every look at which the absolute test alarms, and the widest of the others, through the public function
        looks = [*np.flatnonzero(alarms[run]), first - 1 + int(np.argmax(np.abs(z[run, first - 1 :])))]
        for look in looks:
            arms = [MeanEstimate(m[run, look], v[run, look], n[look]) for m, v in ((mean_t, var_t), (mean_c, var_c))]
            got = compare(*arms, alpha=0.05)
            if excludes(got.relative_low, got.relative_high, 0.0):
                relative += 1
                break
    return float(alarms.any(axis=1).mean()), relative / draws_t.shape[0]


@pytest.mark.parametrize("case", ["normal", "bernoulli", "lognormal"])
def test_false_alarms_at_all_looks_together(case):
    """At a look after every pair up to 5,000 an arm, at most 5 % of A/A runs ever alarm, absolute or relative."""
    random = np.random.default_rng(20261123)
    shape = (2, 600, 5000)
    first = 200 if case == "bernoulli" else 20
    if case == "normal":
        draws = 1.0 + random.standard_normal(shape)
    elif case == "bernoulli":
        draws = (random.random(shape) < 0.01).astype(float)
    else:
        draws = random.lognormal(0.0, 2.0, shape)
    absolute, relative = _false_alarms(draws[0], draws[1], first)
    assert 0 < absolute <= 0.05
    assert relative <= absolute


def test_false_alarms_while_the_split_changes():
    """Over a ramp of 1, 10 and 50 %, with a look every 20 units, at most 5 % of A/A runs ever alarm, on either side."""
    random = np.random.default_rng(11)
    steps = [(weight, 20) for weight in (0.01, 0.1, 0.5) for _ in range(100)]
    canary = np.cumsum([random.binomial(size, weight, 2000) for weight, size in steps], axis=0)
    stable = np.cumsum([size for _, size in steps])[:, None] - canary
    sums = [np.cumsum(_normal_sums(random, arm), axis=0) for arm in (canary, stable)]
    with np.errstate(divide="ignore", invalid="ignore"):
        z = np.nan_to_num((sums[0] / canary - sums[1] / stable) / np.sqrt(1 / canary + 1 / stable))
        clock = 4.0 / (1.0 / canary + 1.0 / stable)
    known = canary >= 2
    for side in Side:
        log_e = np.where(known, log_e_value(z, np.where(known, clock, 1.0), 0.05, side, tuning=1000), 0.0)
        assert 0 < np.mean(log_e.max(axis=0) >= math.log(20)) <= 0.05


def _normal_sums(random: np.random.Generator, totals: FloatArray) -> FloatArray:
    """Draw the sum of each look's new standard normal values, given how many there are in total at each look."""
    new = np.diff(totals, axis=0, prepend=0)
    return np.sqrt(new) * random.standard_normal(new.shape)
