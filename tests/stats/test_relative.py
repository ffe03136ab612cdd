"""Relative effects as other tools state them, reproduced from their own figures."""

import pytest
from scipy.special import stdtrit

from vedette.kernel.errors import InvalidInput
from vedette.stats.relative import delta_ratio, log_ratio
from vedette.stats.sequential import MeanEstimate, Side, critical_value


def _share(successes, trials):
    rate = successes / trials
    return MeanEstimate(rate, rate * (1 - rate) / trials, trials)


def _welch_df(a, b):
    return (a.variance + b.variance) ** 2 / (a.variance**2 / (a.n - 1) + b.variance**2 / (b.n - 1))


def test_growthbook_two_sided_relative_proportions():
    """The relative t-test of 14 of 28 against 16 of 30 is that of GrowthBook's test_two_sided_ttest_binom (8f1db44)."""
    control, treatment = _share(14, 28), _share(16, 30)
    # GrowthBook takes the degrees of freedom of the absolute difference from the same two variances.
    df = _welch_df(treatment, control)
    found = delta_ratio(treatment, control, critical=stdtrit(df, 0.975), df=df)
    assert found.effect == pytest.approx(0.06667, abs=1e-5)
    assert found.standard_error == pytest.approx(0.2717, abs=1e-5)
    assert found.p_value == pytest.approx(0.80707, abs=1e-5)
    assert (found.low, found.high) == pytest.approx((-0.47767, 0.61101), abs=1e-5)


def test_growthbook_sequential_relative_proportions():
    """The relative confidence sequence is that of GrowthBook's test_sequential_test_runs_prop (8f1db44)."""
    control, treatment = _share(1396, 3000), _share(2422, 3461)
    found = delta_ratio(treatment, control, critical=float(critical_value(6461, 0.05, Side.BOTH, 5000.0)))
    assert (found.low, found.high) == pytest.approx((0.40098, 0.60675), abs=1e-5)
    assert found.p_value == pytest.approx(0.0, abs=1e-5)


def test_tea_tasting_mean_and_log_ratio():
    """Welch's interval and the log-ratio interval are those of tea-tasting's tests/metrics/test_mean.py (90306f1)."""
    control = MeanEstimate(0.5660377358490566, 0.7888243831640053 / 53, 53)
    treatment = MeanEstimate(0.3829787234042553, 0.5023126734505092 / 47, 47)
    log_t, log_c = treatment.variance / treatment.mean**2, control.variance / control.mean**2
    df = (log_t + log_c) ** 2 / (log_t**2 / 46 + log_c**2 / 52)
    found = log_ratio(treatment, control, critical=stdtrit(df, 0.975), df=df)
    assert found.effect == pytest.approx(-0.32340425531914896, rel=1e-9)
    assert (found.low, found.high) == pytest.approx((-0.6593351111187646, 0.34378920945924096), rel=1e-9)


def test_relative_effects_without_a_sensible_control_are_refused():
    """A control of zero, or of another sign for the log ratio, is refused with what to read instead."""
    zero, one, minus = MeanEstimate(0.0, 0.1, 50), MeanEstimate(1.0, 0.1, 50), MeanEstimate(-1.0, 0.1, 50)
    with pytest.raises(InvalidInput, match="Fieller"):
        delta_ratio(one, zero, critical=1.96)
    with pytest.raises(InvalidInput, match="Fieller"):
        log_ratio(one, minus, critical=1.96)
    assert delta_ratio(minus, minus, critical=1.96).effect == 0
