"""What group sequential tests tell: at a look, on what is to come, and at their end."""

import math

import numpy as np
import pytest
from scipy.special import ndtr

from vedette.kernel.errors import InvalidInput
from vedette.stats.futility import LowConditionalPower
from vedette.stats.group_sequential import (
    Design,
    Looks,
    boundaries,
    crossing_probabilities,
    equally_spaced,
    operate,
)
from vedette.stats.group_sequential_inference import (
    conditional_power,
    final_analysis,
    predictive_power,
    repeated_interval,
    sequential_p_value,
)
from vedette.stats.sequential import Side
from vedette.stats.spending import Family

ONE_SIDED = Design(family=Family.POCOCK, alpha=0.025, side=Side.GREATER)
FIVE = equally_spaced(5)

PARAMETERS = {Family.WANG_TSIATIS: 0.25, Family.POWER: 2.0, Family.HWANG_SHIH_DECANI: -4.0}
ALL_FAMILIES = [Design(family=family, parameter=PARAMETERS.get(family)) for family in Family]


def test_sides_mirror_each_other():
    """A design for decreases behaves under a decrease as its mirror image does under an increase."""
    greater = boundaries(ONE_SIDED, FIVE)
    less = boundaries(Design(family=Family.POCOCK, alpha=0.025, side=Side.LESS), FIVE)
    assert operate(less, -2.0).reject == operate(greater, 2.0).reject
    assert operate(less, 2.0).reject == operate(greater, -2.0).reject
    assert conditional_power(less, 2, -1.5) == pytest.approx(conditional_power(greater, 2, 1.5))
    one, other = final_analysis(greater, 2, 2.6, 1.0), final_analysis(less, 2, -2.6, 1.0)
    assert other.p_value == one.p_value
    assert one.low is not None
    assert other.low is None
    assert other.high == pytest.approx(-one.low)
    assert other.median_unbiased == pytest.approx(-one.median_unbiased)


def test_futility_by_conditional_power():
    """Where one look is left, the futility boundary is where conditional power is the threshold."""
    for drift, side in ((None, Side.GREATER), (2.5, Side.GREATER), (2.5, Side.BOTH)):
        rule = LowConditionalPower(threshold=0.3, drift=drift)
        looks = boundaries(Design(side=side, futility=rule), (0.6, 1.0))
        z = looks.looks[0].futility_z
        assert z is not None
        assert conditional_power(looks, 1, z, drift=drift) == pytest.approx(0.3, abs=1e-3)


def test_one_look_is_a_fixed_test():
    """With one look, every family is the fixed z test: boundary, p-values, estimate and intervals."""
    for design in ALL_FAMILIES:
        looks = boundaries(design, (7.0,))
        assert looks.boundary_z == pytest.approx([1.959963985], abs=1e-8)
        got = final_analysis(looks, 1, 2.0, 0.8)
        assert (got.median_unbiased, got.p_value) == pytest.approx((2.0, 2 * ndtr(-2.5)), rel=1e-9)
        assert (got.low, got.high) == pytest.approx((2 - 1.959964 * 0.8, 2 + 1.959964 * 0.8), abs=1e-6)
        repeated = repeated_interval(looks, 1, 2.0, 0.8)
        assert (repeated.low, repeated.high) == pytest.approx((got.low, got.high), abs=1e-6)
        assert sequential_p_value(design, (7.0,), [2.5]) == pytest.approx(2 * ndtr(-2.5), rel=1e-6)
    assert sequential_p_value(Design(), (1.0,), [10.6]) == pytest.approx(2.9798e-26, rel=1e-4)


def simulated_stops(looks: Looks, drift: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Look at which each of 400 paths stops, and its z-value there."""
    information = np.asarray(looks.information)
    steps = np.random.default_rng(seed).normal(size=(400, information.size)) * np.sqrt(np.diff(information, prepend=0))
    z = (np.cumsum(steps, axis=1) + drift * information) / np.sqrt(information)
    crossed = np.abs(z) >= looks.boundary_z
    crossed[:, -1] = True
    at = crossed.argmax(axis=1)
    return at + 1, z[np.arange(400), at]


def test_final_analysis_covers():
    """The adjusted interval covers in 95 % of simulated tests, and its estimate is as often too large as too small."""
    looks = boundaries(Design(family=Family.POCOCK), equally_spaced(3))
    at, z = simulated_stops(looks, 2.0, seed=5)
    covered, above = 0, 0
    for look, value in zip(at.tolist(), z.tolist(), strict=True):
        error = 1.0 / math.sqrt(looks.information[look - 1])
        got = final_analysis(looks, look, value * error, error)
        assert got.low is not None
        assert got.high is not None
        covered += got.low <= 2.0 <= got.high
        above += got.median_unbiased > 2.0
    assert covered / 400 == pytest.approx(0.95, abs=3.5 * 0.0109)
    assert above / 400 == pytest.approx(0.5, abs=3.5 * 0.025)


def test_repeated_intervals_hold_together():
    """The intervals of all looks together hold the truth in 95 % of simulated tests."""
    looks = boundaries(Design(), FIVE)
    information = np.asarray(looks.information)
    score = np.cumsum(np.random.default_rng(6).normal(size=(20_000, 5)) * math.sqrt(0.2), axis=1)
    estimates, errors = 1.5 + score / information, 1.0 / np.sqrt(information)
    halves = []
    for look, error in enumerate(errors.tolist(), start=1):
        interval = repeated_interval(looks, look, 0.0, error)
        assert interval.high is not None
        halves.append(interval.high)
    missed = (np.abs(estimates - 1.5) > np.asarray(halves)).any(axis=1)
    assert missed.mean() == pytest.approx(0.05, abs=3.5 * 0.00154)


def test_early_rejections_are_shrunk():
    """An early rejection's estimate is corrected towards zero, and its p-value is what the look cost at least."""
    looks = boundaries(Design(family=Family.OBRIEN_FLEMING), FIVE)
    got = final_analysis(looks, 3, 2.7, 1.0)
    assert 0.0 < got.median_unbiased < got.estimate
    assert got.low is not None
    assert got.low > 0.0
    assert got.p_value > 2 * ndtr(-2.7)
    mirrored = final_analysis(looks, 3, -2.7, 1.0)
    assert mirrored.p_value == pytest.approx(got.p_value)
    assert (mirrored.median_unbiased, mirrored.high) == pytest.approx((-got.median_unbiased, -got.low))


def test_p_values_agree_with_the_boundary():
    """At its boundary, a look's sequential p-value is alpha; the final p-value is what has been spent by then."""
    for design in (Design(), Design(family=Family.POCOCK), ONE_SIDED):
        looks = boundaries(design, FIVE)
        for look, critical in enumerate(looks.boundary_z, start=1):
            z = [0.0] * (look - 1) + [critical]
            assert sequential_p_value(design, FIVE, z) == pytest.approx(design.alpha, rel=1e-6)
            p = final_analysis(looks, look, critical, 1.0).p_value
            assert p == pytest.approx(looks.alpha_spent[look - 1], rel=1e-3)


def test_sequential_p_value_only_falls():
    """More looks never raise the sequential p-value; without any evidence it is 1."""
    values = [sequential_p_value(Design(), FIVE, [1.0, 2.2, 1.5, 2.5][:k]) for k in range(1, 5)]
    assert (np.diff(values) < 1e-12).all()
    assert values[-1] < 0.05 < values[1]
    assert sequential_p_value(Design(), FIVE, [0.0]) == 1.0
    assert sequential_p_value(Design(side=Side.GREATER), FIVE, [-3.0]) > 0.99
    assert sequential_p_value(Design(), (1.0,), [40.0]) == pytest.approx(1e-35)


def test_predictive_power_of_one_look():
    """With one look left and no prior, predictive power has a closed form (Spiegelhalter et al. 1986)."""
    looks = boundaries(ONE_SIDED, (0.6, 1.0))
    z, critical = 1.6, looks.boundary_z[-1]
    trend = z / math.sqrt(0.6)
    closed = ndtr((z * math.sqrt(0.6) + trend * 0.4 - critical) / math.sqrt(0.4 + 0.4**2 / 0.6))
    assert predictive_power(looks, 1, z) == pytest.approx(closed, abs=1e-10)
    certain = predictive_power(looks, 1, z, prior_mean=3.0, prior_variance=1e-9)
    assert certain == pytest.approx(conditional_power(looks, 1, z, drift=3.0), abs=1e-4)


def test_conditional_power_counts_every_look_left():
    """What is still to come, averaged over what a look may show, is what was to come before it."""
    looks = boundaries(Design(), equally_spaced(4))
    at = looks.information[0]
    places, weights = np.polynomial.hermite_e.hermegauss(40)
    z = places + 2.0 * math.sqrt(at)
    inside = [conditional_power(looks, 1, value, drift=2.0) for value in z]
    assert np.dot(inside, weights) / weights.sum() == pytest.approx(sum(crossing_probabilities(looks, 2.0)), abs=1e-4)


def test_repeated_intervals_are_open_on_the_free_side():
    """One side bounds on one side; a look that may not reject bounds nothing."""
    looks = boundaries(ONE_SIDED, FIVE)
    got = repeated_interval(looks, 2, 1.0, 0.5)
    assert got.low == pytest.approx(1.0 - 0.5 * looks.boundary_z[1])
    assert got.high is None
    less = repeated_interval(boundaries(Design(side=Side.LESS), FIVE), 5, 1.0, 0.5)
    assert less.low is None
    assert less.high is not None
    nothing = repeated_interval(boundaries(Design(), (1.0, 2.0), maximum=1.0), 2, 1.0, 0.5)
    assert (nothing.low, nothing.high) == (None, None)


MISTAKES = {
    "nothing left": lambda: conditional_power(boundaries(Design(), FIVE), 5, 1.0),
    "no such look": lambda: conditional_power(boundaries(Design(), FIVE), 6, 1.0),
    "no prior variance": lambda: predictive_power(boundaries(Design(), FIVE), 1, 1.0, prior_variance=0.0),
    "look 0": lambda: repeated_interval(boundaries(Design(), FIVE), 0, 1.0, 1.0),
    "no standard error": lambda: repeated_interval(boundaries(Design(), FIVE), 1, 1.0, 0.0),
    "no estimate": lambda: final_analysis(boundaries(Design(), FIVE), 1, math.nan, 1.0),
    "confidence 1": lambda: final_analysis(boundaries(Design(), FIVE), 1, 1.0, 1.0, confidence=1.0),
    "no z-value": lambda: sequential_p_value(Design(), FIVE, []),
    "more z-values than looks": lambda: sequential_p_value(Design(), (1.0,), [1.0, 2.0]),
}


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=list(MISTAKES))
def test_mistakes_are_refused(mistake):
    """What cannot be meant is refused, with a hint at what to do."""
    with pytest.raises(InvalidInput) as refused:
        mistake()
    assert refused.value.hint
