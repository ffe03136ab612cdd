"""A confidence sequence for planned effects: valid at all looks, and quicker than the plain one where it matters."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import norm

from vedette.kernel.errors import InvalidInput
from vedette.stats.effect_mixture import CENTRE, SPREAD, mixture_critical, mixture_log_e, planned_drift
from vedette.stats.sequential import Side, critical_value

TIMES = np.array([0.001, 0.02, 0.3, 1.0, 4.0, 1e3]) * 5000


@pytest.mark.parametrize("side", list(Side))
@pytest.mark.parametrize("spread", [0.5, SPREAD, 3.0])
def test_the_critical_value_is_where_the_e_value_is_one_over_alpha(side, spread):
    """At the critical value the e-value is 1 / alpha, at every time and on every side."""
    level = mixture_critical(TIMES, 0.03, side, 5000.0, spread)
    z = -level if side is Side.LESS else level
    assert mixture_log_e(z, TIMES, 0.03, side, 5000.0, spread) == pytest.approx(np.full(6, -np.log(0.03)), rel=1e-12)


@pytest.mark.parametrize("side", [Side.GREATER, Side.BOTH])
def test_the_e_value_is_the_average_likelihood_ratio(side):
    """The closed form is the integral of likelihood ratios over the mixture of effects."""
    z, n, tuning = 1.7, 3000.0, 5000.0
    time, centre = n / tuning, CENTRE * planned_drift(0.05, side)
    s = z * np.sqrt(time)

    def ratio(theta):
        density = norm.pdf(theta, centre, SPREAD)
        if side is Side.BOTH:
            density = (density + norm.pdf(theta, -centre, SPREAD)) / 2
        return density * np.exp(theta * s - theta * theta * time / 2)

    expected = quad(ratio, -15, 15, epsabs=1e-12)[0]
    assert float(mixture_log_e(z, n, 0.05, side, tuning)) == pytest.approx(np.log(expected), rel=1e-9)


@given(st.floats(-9, 9), st.floats(-9, 9), st.floats(1, 1e6), st.sampled_from(list(Side)))
def test_evidence_grows_with_the_z_score(first, second, n, side):
    """More extreme z-scores in the direction that counts are never less evidence."""
    signed = {Side.GREATER: (first, second), Side.LESS: (-first, -second), Side.BOTH: (abs(first), abs(second))}[side]
    one, other = (float(mixture_log_e(z, n, 0.05, side, 5000.0)) for z in (first, second))
    if signed[0] <= signed[1]:
        assert one <= other + 1e-12


def _crossings(drift, sequences, runs=3000, looks=800, seed=5):
    """Share of Brownian paths that cross by the planned size and by twice that, one pair for each sequence."""
    draw = np.random.default_rng(seed)
    time = np.arange(1, 2 * looks + 1) / looks
    found = np.zeros((len(sequences), 2))
    for _ in range(runs // 500):
        z = (np.cumsum(draw.normal(0, looks**-0.5, (500, time.size)), axis=1) + drift * time) / np.sqrt(time)
        for row, level in enumerate(sequences):
            over = np.abs(z) >= level(time * 1e4)
            found[row] += over[:, :looks].any(axis=1).sum(), over.any(axis=1).sum()
    return found / runs


def test_false_alarms_stay_below_alpha_and_planned_effects_are_found_sooner():
    """Without effect at most 5 % ever cross; a planned effect is found by the planned size in 3 of 5, not in 55 %."""
    ours = lambda n: mixture_critical(n, 0.05, Side.BOTH, 1e4)  # noqa: E731 - two sequences side by side
    plain = lambda n: critical_value(n, 0.05, Side.BOTH, 1e4)  # noqa: E731 - two sequences side by side
    false = _crossings(0.0, [ours, plain])
    assert (false <= 0.05 + 2.6 * np.sqrt(0.05 * 0.95 / 3000)).all()
    power = _crossings(planned_drift(0.05, Side.BOTH), [ours, plain])
    assert power[0, 0] > 0.6
    assert power[0, 0] > power[1, 0] + 0.05
    assert power[0, 1] > 0.9


def test_levels_out_of_range_are_refused():
    """Alpha is between 0 and 0.5."""
    with pytest.raises(InvalidInput, match="alpha lies"):
        mixture_critical(100.0, 0.7, Side.BOTH, 1000.0)
