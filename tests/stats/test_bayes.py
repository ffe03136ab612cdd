"""Beliefs under a stated prior: published digits, agreement with simulation, one story on both scales."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import dblquad
from scipy.stats import beta

from vedette.evidence.summary import EMPTY, Moments
from vedette.kernel.errors import InvalidInput
from vedette.stats.bayes import (
    FLAT,
    UNIFORM,
    BetaPrior,
    NormalPrior,
    Scale,
    beta_binomial,
    normal_effect,
    normal_means,
)
from vedette.stats.best_arm import normal_best
from vedette.stats.cautions import Caution
from vedette.stats.sequential import MeanEstimate

# growthbook/growthbook@8f1db44 packages/stats/tests/bayesian/test_tests.py: n, sum and sum of squares of two arms.
CONTROL = MeanEstimate.of(Moments(10.0, 10.0, 1002.25 - 100.0**2 / 10))
TREATMENT = MeanEstimate.of(Moments(10.0, 10.5, 1111.5 - 105.0**2 / 10))
INFORMATIVE = NormalPrior(mean=0.1, variance=0.1, scale=Scale.RELATIVE)


def said(function):
    """Let the figures that `function` gives be read one by one; where one is None, the test fails."""
    return function


def test_growthbook_informative_prior():
    """TestNorm.test_bayesian_gaussian_ab_test_informative: .05063 ± .03549, chance .92315, risks .05186, .00123."""
    got = said(normal_effect)(TREATMENT, CONTROL, prior=INFORMATIVE, scale=Scale.RELATIVE)
    assert (got.mean, got.sd, got.chance_to_win) == pytest.approx((0.05063, 0.03549, 0.92315), abs=1e-5)
    assert (got.low, got.high) == pytest.approx((-0.01893, 0.12019), abs=1e-5)
    assert (got.risk_control, got.risk_treatment) == pytest.approx((0.05186, 0.00123), abs=1e-5)
    assert got.prior == INFORMATIVE


def test_an_absolute_prior_is_rescaled_in_relative_mode():
    """GrowthBook's defect 7: a prior of 1 ± sqrt(10) on a control of 10 is one of 10 % ± sqrt(.1), in both modes."""
    absolute = NormalPrior(mean=1.0, variance=10.0)
    relative = said(normal_effect)(TREATMENT, CONTROL, prior=absolute, scale=Scale.RELATIVE)
    assert relative == said(normal_effect)(TREATMENT, CONTROL, prior=INFORMATIVE, scale=Scale.RELATIVE)
    got = said(normal_effect)(TREATMENT, CONTROL, prior=INFORMATIVE)
    assert got == said(normal_effect)(TREATMENT, CONTROL, prior=absolute)
    assert got.prior.mean == pytest.approx(1.0)


@pytest.mark.parametrize("size", [-10.0, 10.0])
def test_scales_tell_one_story_where_the_control_is_well_known(size):
    """With a control known exactly, relative figures are absolute ones over its size, also when it is negative."""
    control, treatment = MeanEstimate(size, 1e-12, 1e6), MeanEstimate(size + 0.5, 0.04, 100)
    prior = NormalPrior(mean=0.2, variance=0.3)
    absolute = said(normal_effect)(treatment, control, prior=prior)
    relative = said(normal_effect)(treatment, control, prior=prior, scale=Scale.RELATIVE)
    assert relative.chance_to_win == pytest.approx(absolute.chance_to_win)
    for name in ("mean", "sd", "low", "high", "risk_control", "risk_treatment"):
        assert getattr(relative, name) == pytest.approx(getattr(absolute, name) / 10)


def test_lower_is_better():
    """Where lower is better, chances and risks turn and the effect does not."""
    up = said(normal_effect)(TREATMENT, CONTROL, prior=INFORMATIVE, scale=Scale.RELATIVE)
    down = said(normal_effect)(TREATMENT, CONTROL, prior=INFORMATIVE, scale=Scale.RELATIVE, better="lower")
    assert (down.mean, down.low, down.high) == (up.mean, up.low, up.high)
    assert down.chance_to_win == pytest.approx(1 - up.chance_to_win)
    assert (down.risk_control, down.risk_treatment) == (up.risk_treatment, up.risk_control)


def test_a_flat_prior_leaves_the_estimate_alone():
    """Without a prior the belief is the estimate with its standard error; a narrow prior at 0 pulls it to 0."""
    flat = said(normal_effect)(TREATMENT, CONTROL)
    assert (flat.mean, flat.sd) == pytest.approx((0.5, math.sqrt(0.125)))
    narrow = said(normal_effect)(TREATMENT, CONTROL, prior=NormalPrior(variance=1e-6))
    assert narrow.mean == pytest.approx(0.0, abs=1e-5)


def test_covariance_of_the_means_counts():
    """Means of the same units differ by less than independent ones."""
    apart = said(normal_effect)(TREATMENT, CONTROL)
    paired = said(normal_effect)(TREATMENT, CONTROL, covariance=0.04)
    assert paired.sd == pytest.approx(math.sqrt(0.125 - 0.08))
    assert paired.chance_to_win > apart.chance_to_win
    relative = said(normal_effect)(TREATMENT, CONTROL, covariance=0.04, scale=Scale.RELATIVE)
    assert relative.sd == pytest.approx(math.sqrt(0.1 + 1.05**2 * 0.025 - 2 * 1.05 * 0.04) / 10)


@pytest.mark.parametrize(
    ("treatment", "control", "scale", "warning"),
    [
        (MeanEstimate.of(EMPTY), CONTROL, Scale.ABSOLUTE, Caution.TOO_FEW),
        (MeanEstimate(1.0, math.nan, 1.0), CONTROL, Scale.ABSOLUTE, Caution.TOO_FEW),
        (MeanEstimate(1.0, 0.0, 5.0), MeanEstimate(1.0, 0.0, 5.0), Scale.ABSOLUTE, Caution.NO_VARIANCE),
        (TREATMENT, MeanEstimate(0.0, 0.025, 10.0), Scale.RELATIVE, Caution.UNBOUNDED),
        (TREATMENT, MeanEstimate(0.2, 0.025, 10.0), Scale.RELATIVE, Caution.UNBOUNDED),
    ],
)
def test_what_is_unknown_is_none(treatment, control, scale, warning):
    """Too few values, no spread, or a control that may be zero: every figure is None and a code says why."""
    got = said(normal_effect)(treatment, control, scale=scale)
    assert got.warnings == (warning,)
    assert got.mean is got.sd is got.low is got.chance_to_win is got.risk_control is got.risk_treatment is None


def test_bayesian_testing_three_arms():
    """Matt52/bayesian-testing PBB_BERNOULLI_AGG_INPUTS: three arms under Beta(1/2, 1/2), their 20,000 draws."""
    got = said(beta_binomial)([1580, 1700, 1550], [31500, 32000, 31000], prior=BetaPrior(successes=0.5, failures=0.5))
    assert [arm.p_best for arm in got.arms] == pytest.approx([0.04185, 0.92235, 0.0358], abs=0.006)
    assert [arm.expected_loss for arm in got.arms] == pytest.approx([0.0030138, 6.06e-05, 0.0031649], abs=3e-5)


def test_bayesian_testing_equal_rates():
    """Matt52/bayesian-testing PBB_BERNOULLI_AGG_INPUTS: 80 of 100 against 160 of 200, their 20,000 draws."""
    got = said(beta_binomial)([80, 160], [100, 200])
    assert [arm.p_best for arm in got.arms] == pytest.approx([0.4899, 0.5101], abs=0.012)
    assert [arm.expected_loss for arm in got.arms] == pytest.approx([0.0204051, 0.0182965], abs=0.001)


def test_beta_arms_have_textbook_posteriors():
    """An arm's mean and equal-tailed interval are those of Beta(1 + successes, 1 + failures)."""
    got = said(beta_binomial)([12, 30, 0], [40, 55, 0], level=0.9)
    for arm, (a, b) in zip(got.arms, [(13, 29), (31, 26), (1, 1)], strict=True):
        assert (arm.mean, arm.low, arm.high) == pytest.approx((a / (a + b), *beta.ppf([0.05, 0.95], a, b)))
    assert got.prior == UNIFORM


@pytest.mark.parametrize(
    ("successes", "trials", "prior"),
    [
        ([1580, 1700, 40], [31500, 32000, 900], UNIFORM),
        ([0, 3, 9], [10, 10, 10], BetaPrior(successes=0.5, failures=0.5)),
        ([3, 4000, 2], [10, 9000, 2], UNIFORM),
    ],
)
def test_lifts_agree_with_simulation(successes, trials, prior):
    """Difference and ratio to the control have the quantiles, and the arm the chance, that a million draws show."""
    got = said(beta_binomial)(successes, trials, prior=prior, control=0)
    a, b = prior.successes + np.array(successes), prior.failures + np.array(trials) - np.array(successes)
    draws = np.random.default_rng(23).beta(a, b, size=(1_000_000, 3))
    assert got.arms[0].lift is None
    for arm in (1, 2):
        lift = got.arms[arm].lift
        difference, ratio = draws[:, arm] - draws[:, 0], draws[:, arm] / draws[:, 0] - 1
        assert lift.absolute == pytest.approx(difference.mean(), abs=0.002)
        assert lift.chance_to_win == pytest.approx((difference > 0).mean(), abs=0.002)
        assert (difference < lift.low).mean() == pytest.approx(0.025, abs=0.001)
        assert (difference > lift.high).mean() == pytest.approx(0.025, abs=0.001)
        assert (ratio < lift.relative_low).mean() == pytest.approx(0.025, abs=0.001)
        assert (ratio < lift.relative).mean() == pytest.approx(0.5, abs=0.002)
        assert (ratio > lift.relative_high).mean() == pytest.approx(0.025, abs=0.001)


def test_lift_interval_agrees_with_double_integration():
    """The lower end of the difference leaves exactly 2.5 % of the joint posterior below it."""
    lift = said(beta_binomial)([20, 28], [60, 62], control=0).arms[1].lift

    def density(y, x):
        return beta.pdf(x, 21, 41) * beta.pdf(y, 29, 35)

    below, _ = dblquad(density, 0, 1, 0, lambda x: min(max(x + lift.low, 0), 1), epsabs=1e-8)
    assert below == pytest.approx(0.025, abs=1e-6)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 10**7), st.integers(0, 10**7)), min_size=2, max_size=5),
    st.sampled_from(["lower", "higher"]),
)
def test_beliefs_about_any_counts_hang_together(counts, better):
    """Probabilities sum to 1, losses are not negative, and lifts have the sign of their chance."""
    good = [successes for successes, _ in counts]
    got = said(beta_binomial)(good, [sum(pair) for pair in counts], better=better, control=0)
    assert sum(arm.p_best for arm in got.arms) == pytest.approx(1.0)
    assert all(arm.expected_loss >= 0 for arm in got.arms)
    for arm in got.arms[1:]:
        assert arm.lift.low < arm.lift.absolute < arm.lift.high
        assert arm.lift.relative_low < arm.lift.relative < arm.lift.relative_high
        # The median of the difference and of the ratio lie on one side of their null values.
        favoured = arm.lift.chance_to_win > 0.5 + 1e-6 if better == "higher" else arm.lift.chance_to_win < 0.5 - 1e-6
        if abs(arm.lift.chance_to_win - 0.5) > 1e-6:
            assert (arm.lift.relative > 0) == favoured


def test_twenty_two_arms():
    """Twenty-two arms are judged together, each beside the control."""
    got = said(beta_binomial)(range(100, 122), [1000] * 22, control=0, better="lower")
    assert len(got.arms) == 22
    assert got.arms[0].p_best == max(arm.p_best for arm in got.arms)
    assert sum(arm.lift is not None for arm in got.arms) == 21


def test_normal_means_are_shrunk_to_a_stated_prior():
    """The conjugate posterior is weighted by precision, and the probability of being best is that of the posterior."""
    estimates = [MeanEstimate(1.0, 0.04, 50), MeanEstimate(1.5, 0.09, 50), MeanEstimate(0.5, 0.01, 50)]
    prior = NormalPrior(mean=1.0, variance=0.04)
    got = said(normal_means)(estimates, prior=prior)
    assert [arm.mean for arm in got.arms] == pytest.approx([1.0, 1 + 0.5 * 0.04 / 0.13, 1 - 0.5 * 0.8])
    sd = np.sqrt([0.02, 0.04 * 0.09 / 0.13, 0.008])
    p_best, loss = normal_best([arm.mean for arm in got.arms], sd)
    assert [arm.p_best for arm in got.arms] == pytest.approx(p_best)
    assert [arm.expected_loss for arm in got.arms] == pytest.approx(loss)
    assert got.arms[0].high == pytest.approx(1 + 1.959964 * sd[0])


def test_normal_means_have_lifts():
    """Each arm's lift over the control is that of `normal_effect` under a flat prior, on both scales."""
    got = said(normal_means)([CONTROL, TREATMENT], control=0, better="lower")
    lift = got.arms[1].lift
    absolute = said(normal_effect)(TREATMENT, CONTROL, better="lower")
    relative = said(normal_effect)(TREATMENT, CONTROL, better="lower", scale=Scale.RELATIVE)
    assert (lift.absolute, lift.low, lift.high) == pytest.approx((absolute.mean, absolute.low, absolute.high))
    assert lift.chance_to_win == pytest.approx(absolute.chance_to_win)
    assert (lift.relative, lift.relative_low) == pytest.approx((relative.mean, relative.low))
    assert got.prior == FLAT
    assert got.arms[0].p_best > 0.5


def test_a_control_that_may_be_zero_has_no_relative_lifts():
    """The absolute lift stands; the relative one is None and a code says why."""
    got = said(normal_means)([MeanEstimate(0.01, 0.04, 50), MeanEstimate(1.5, 0.09, 50)], control=0)
    assert got.arms[1].lift.absolute == pytest.approx(1.49)
    assert got.arms[1].lift.relative is None
    assert got.warnings == (Caution.UNBOUNDED,)


def test_an_arm_without_spread_leaves_best_unknown():
    """No figure is made up for arms of which one has too few values or none that differ."""
    got = said(normal_means)([CONTROL, MeanEstimate(3.0, 0.0, 20), MeanEstimate.of(EMPTY)])
    assert got.warnings == (Caution.NO_VARIANCE, Caution.TOO_FEW)
    assert [arm.mean for arm in got.arms] == [10.0, 3.0, None]
    assert all(arm.p_best is arm.expected_loss is None for arm in got.arms)


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(lambda: beta_binomial([1], [2]), id="one arm"),
        pytest.param(lambda: beta_binomial([1, 2], [2]), id="shapes"),
        pytest.param(lambda: beta_binomial([3, 2], [2, 2]), id="more successes than trials"),
        pytest.param(lambda: beta_binomial([-1, 2], [2, 2]), id="negative"),
        pytest.param(lambda: beta_binomial([1, 2], [2, math.inf]), id="infinite"),
        pytest.param(lambda: beta_binomial([1, 2], [2, 2], control=2), id="control"),
        pytest.param(lambda: beta_binomial([1, 2], [2, 2], level=1.0), id="level"),
        pytest.param(lambda: said(beta_binomial)([1, 2], [2, 2], better="up"), id="direction"),
        pytest.param(lambda: BetaPrior(successes=0.0), id="beta prior"),
        pytest.param(lambda: NormalPrior(variance=0.0), id="variance"),
        pytest.param(lambda: NormalPrior(mean=math.nan), id="mean"),
        pytest.param(lambda: normal_means([CONTROL, TREATMENT], prior=INFORMATIVE), id="relative prior"),
        pytest.param(lambda: normal_effect(TREATMENT, MeanEstimate(math.nan, 1.0, 5.0)), id="no mean"),
    ],
)
def test_what_makes_no_sense_is_refused(wrong):
    """Impossible counts, arms, levels and priors are errors that say what is wrong."""
    with pytest.raises(InvalidInput):
        wrong()
