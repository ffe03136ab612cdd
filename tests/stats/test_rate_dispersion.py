"""Counts that vary more than Poisson's: estimates by moments, an oracle regression, and type-I error by simulation."""

import numpy as np
import pytest
from statsmodels.api import GLM, families

from vedette.evidence.summary import Moments, moments
from vedette.kernel.errors import InvalidInput
from vedette.stats.cautions import Caution
from vedette.stats.rate_dispersion import (
    OverdispersedMethod,
    dispersion,
    events,
    negative_binomial_shape,
    overdispersed_ratio,
)
from vedette.stats.rates import RateRatioMethod, ratio
from vedette.stats.sequential import Side


def bursts(random, mean, shape, size):
    """Draw negative-binomial counts with variance mean + shape · mean²."""
    return random.poisson(random.gamma(1.0 / shape, mean * shape, size))


def test_quasi_poisson_and_robust_as_regression_gives_them():
    """Dispersion is that of statsmodels' Poisson GLM (Pearson), and the robust error its HC-corrected one."""
    random = np.random.default_rng(5)
    treatment, control = bursts(random, 3.0, 0.8, 120), bursts(random, 2.0, 0.8, 150)
    arms = moments(treatment), moments(control)
    design = np.column_stack([np.ones(270), np.repeat([1.0, 0.0], [120, 150])])
    model = GLM(np.concatenate([treatment, control]), design, family=families.Poisson())
    assert dispersion(*arms) == pytest.approx(model.fit(scale="X2").scale, rel=1e-6)
    robust = model.fit(cov_type="HC0")
    got = overdispersed_ratio(*arms)
    assert got.estimate == pytest.approx(np.exp(robust.params[1]), rel=1e-6)
    assert got.statistic == pytest.approx(robust.params[1] / robust.bse[1], rel=0.01)  # its variances divide by n


def test_the_shape_is_found():
    """From many units the negative binomial's shape and the dispersion 1 + shape · mean come back within 5 %."""
    random = np.random.default_rng(6)
    arms = [moments(bursts(random, 4.0, 0.5, 60_000)) for _ in range(2)]
    assert negative_binomial_shape(*arms) == pytest.approx(0.5, rel=0.05)
    assert dispersion(*arms) == pytest.approx(3.0, rel=0.05)
    regular = moments([2.0, 2.0, 3.0, 2.0])
    assert negative_binomial_shape(regular) == 0.0


@pytest.mark.parametrize("method", OverdispersedMethod)
@pytest.mark.parametrize("side", Side)
def test_p_and_interval_agree(method, side):
    """P ≤ alpha exactly when the interval excludes the null ratio, for each method and side."""
    random = np.random.default_rng(7)
    said = set()
    for null in np.geomspace(0.5, 3.0, 25).tolist():
        arms = [moments(bursts(random, mean, 0.7, 60)) for mean in (3.0, 2.2)]
        got = overdispersed_ratio(*arms, null=null, side=side, method=method)
        outside = (got.low is not None and null < got.low) or (got.high is not None and null > got.high)
        assert got.p_value is not None
        assert outside == (got.p_value <= 0.05)
        said.add(outside)
    assert said == {True, False}


@pytest.mark.parametrize("method", OverdispersedMethod)
def test_swapping_arms_turns_the_ratio_over(method):
    """Changed about, the interval's ends are the reciprocals and the p-value is the same."""
    random = np.random.default_rng(8)
    arms = [moments(bursts(random, mean, 0.7, 60)) for mean in (3.0, 2.2)]
    there, back = overdispersed_ratio(*arms, method=method), overdispersed_ratio(*arms[::-1], method=method)
    assert there.p_value == pytest.approx(back.p_value, rel=1e-9)
    assert there.low is not None
    assert there.high is not None
    assert (back.low, back.high) == pytest.approx((1 / there.high, 1 / there.low), rel=1e-9)


def test_type_one_error_where_poisson_is_too_sure():
    """With bursts of dispersion 3 and 80 units an arm, Poisson's test misleads > 20 % of the time, these 3.5 to 7 %."""
    random, runs = np.random.default_rng(9), 1500
    drawn = bursts(random, 4.0, 0.5, (runs, 2, 80)).astype(float)
    misled = dict.fromkeys([*OverdispersedMethod, RateRatioMethod.SCORE], 0)
    for run in drawn:
        arms = [Moments(80.0, float(arm.mean()), float(((arm - arm.mean()) ** 2).sum())) for arm in run]
        for method in OverdispersedMethod:
            misled[method] += (overdispersed_ratio(*arms, method=method).p_value or 1.0) <= 0.05
        poisson = ratio(*(events(arm) for arm in arms), method=RateRatioMethod.SCORE)
        misled[RateRatioMethod.SCORE] += (poisson.p_value or 1.0) <= 0.05
    assert misled[RateRatioMethod.SCORE] / runs > 0.2
    for method in OverdispersedMethod:
        assert 0.035 < misled[method] / runs < 0.07


def test_what_is_unknown_is_none_and_says_why():
    """Empty arms, single units, no events, and counts all alike give None for what they leave unknown."""
    some, none = moments([3.0, 1.0, 2.0, 4.0]), moments([0.0, 0.0, 0.0])
    assert overdispersed_ratio(moments([]), some).warnings == (Caution.EMPTY_ARM,)
    for method in OverdispersedMethod:
        single = overdispersed_ratio(moments([9.0]), some, method=method)
        assert (single.p_value, single.low) == (None, None)
        assert Caution.TOO_FEW in single.warnings
        silent = overdispersed_ratio(none, none, method=method)
        assert (silent.estimate, silent.p_value) == (None, None)
        assert Caution.NO_VARIANCE in silent.warnings
    infinite = overdispersed_ratio(some, none)
    assert (infinite.estimate, infinite.low) == (None, None)
    assert Caution.UNBOUNDED in infinite.warnings
    alike = overdispersed_ratio(moments([2.0, 2.0, 2.0]), moments([3.0, 3.0, 3.0]))
    assert alike.estimate == pytest.approx(2 / 3)
    assert (alike.p_value, Caution.NO_VARIANCE in alike.warnings) == (None, True)
    assert (dispersion(none), negative_binomial_shape(moments([5.0]))) == (None, None)


def test_negative_counts_are_refused():
    """A mean below 0 is no count of events."""
    with pytest.raises(InvalidInput, match="not negative"):
        overdispersed_ratio(moments([-1.0, -2.0]), moments([1.0, 2.0]))
