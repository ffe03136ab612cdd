"""The Kayenta rule of the benchmark judges as Kayenta does: expected outputs are those of its own test suites.

Source: spinnaker/kayenta a69573b, MannWhitneySuite.scala (kayenta-mannwhitney), ClassifierSuite.scala and
StatisticSuite.scala (kayenta-judge).
"""

import numpy as np
import pytest
from bench.rules.kayenta import Classification, classify, common_language_effect, kayenta, mann_whitney, mean_ratio
from bench.traffic import MINUTES, Arms, Scenario

ABOUT_TWENTY, ABOUT_TWO = [20.0, 22.0, 21.0, 25.0, 30.0], [1.0, 2.2, 1.1, 2.5, 3.0]
ONES, TENS, ZEROS = [1.0] * 5, [10.0] * 5, [0.0] * 5
FIFTIES = [54.9, 54.5, 55.1, 55.6, 57.4]

TIED_CONTROL = [
    *(1.5, 6.0, 5.0, 2.5, 2.5, 2.0, 2.0, 3.5, 3.0, 3.0, 3.0, 2.0, 3.0, 8.0, 4.0, 2.5, 3.0, 2.5, 2.5, 2.0, 2.5, 2.0),
    *(2.0, 2.5, 3.5, 3.0, 1.5, 5.0, 2.5, 5.5, 2.0, 2.5, 3.5, 2.0, 2.5, 4.0, 2.0, 2.0, 2.0, 2.0, 5.5, 4.5, 4.0, 3.0),
    *(3.0, 3.5, 2.5, 3.0, 2.5, 4.0, 6.0, 2.0, 5.0, 6.0, 3.5, 3.0, 54.5, 3.0, 5.0, 6.0, 3.5, 4.5, 2.5, 2.0, 6.0),
    *(5.0, 2.5, 3.5, 2.0, 3.0, 2.5, 3.5, 3.5, 2.5, 3.0, 4.5, 3.0, 15.5, 5.0, 2.5, 3.0, 4.0, 3.5, 4.0, 4.0, 2.0),
    *(4.5, 2.5, 4.0, 3.0),
]
TIED_CANARY = [
    *(2.5, 2.5, 2.0, 2.5, 3.5, 2.0, 3.5, 1.5, 3.0, 3.0, 2.5, 3.5, 2.0, 2.5, 2.0, 2.0, 5.0, 3.0, 2.0, 1.5, 2.0, 4.0),
    *(3.0, 2.5, 3.0, 2.0, 2.0, 2.0, 2.5, 3.5, 1.5, 1.5, 3.5, 2.0, 2.5, 2.5, 3.0, 3.5, 2.5, 6.5, 2.5, 4.0, 2.5, 3.0),
    *(2.5, 6.5, 2.5, 3.0, 1.5, 2.0, 2.5, 3.0, 7.5, 1.5, 2.0, 4.0, 2.5, 2.0, 2.5, 3.5, 4.0, 2.5, 3.0, 2.5, 2.0, 3.5),
    *(3.0, 16.5, 3.0, 3.0, 7.0, 4.5, 5.0, 2.0, 3.5, 6.0, 1.5, 3.0, 2.5, 4.0, 3.0, 1.5, 5.0, 3.0, 2.5, 5.5, 3.0),
    *(1.5, 2.5, 6.0),
]


def test_interval_and_estimate_of_the_small_example():
    """Four against four gives the interval [6, 39] and the estimate 22.5 (MannWhitneySuite)."""
    shift = mann_whitney(np.array([10.0, 20.0, 30.0, 40.0]), np.array([1.0, 2.0, 3.0, 4.0]), 0.95)
    assert (shift.low, shift.high, shift.estimate) == pytest.approx((6.0, 39.0, 22.5), abs=1e-6)


def test_interval_with_many_ties_is_the_one_of_r():
    """Ninety tied values an arm give R's interval to 1e-6, for which even the root finder's path must be R's."""
    shift = mann_whitney(np.array(TIED_CANARY), np.array(TIED_CONTROL), 0.95)
    assert (shift.low, shift.high) == pytest.approx((-0.500002521696696, -3.486287505871302e-5), abs=1e-6)
    assert shift.estimate == pytest.approx(-0.4999393907180323, abs=1e-4)


@pytest.mark.parametrize(
    ("canary", "control", "settings", "expected"),
    [
        (ABOUT_TWENTY, ABOUT_TWO, {}, "High"),
        (ABOUT_TWENTY, ABOUT_TWO, {"allowed_increase": 5.0}, "High"),
        (ABOUT_TWENTY, ABOUT_TWO, {"allowed_increase": 13.0}, "Pass"),
        (ABOUT_TWENTY, ABOUT_TWO, {"direction": "decrease"}, "Pass"),
        ([2.0, 2.0, 2.0, 2.0, 3.0], [10.0, 20.2, 10.1, 20.5, 30.0], {}, "Low"),
        ([2.0, 2.0, 2.0, 2.0, 3.0], [10.0, 20.2, 10.1, 20.5, 30.0], {"direction": "increase"}, "Pass"),
        ([10.0, 12.2, 10.1, 12.5, 23.0], ABOUT_TWENTY, {"allowed_decrease": 0.5}, "Pass"),
        (ONES[:3], ONES[:2], {"direction": "decrease"}, "Pass"),
        ([1.0, 2.0, 3.0, 4.0, 5.0], [5.0, 4.0, 3.0, 2.0, 1.0], {"direction": "decrease"}, "Pass"),
        ([0.0, 1.0, 1.0, 1.0, 1.0], ONES, {"direction": "decrease"}, "Pass"),
        ([1.0, 1.0, 1.0, 1.0, 10.0], ONES, {}, "Pass"),
        (TENS, ONES, {}, "High"),
        (TENS, ZEROS, {}, "High"),
        (FIFTIES, ZEROS, {"allowed_increase": 1.2, "allowed_decrease": 0.8}, "High"),
        (ZEROS, FIFTIES, {"allowed_increase": 1.2, "allowed_decrease": 0.8}, "Low"),
        ([], ONES, {}, "Nodata"),
        ([np.nan, np.nan], ONES, {}, "Nodata"),
    ],
)
def test_classes_of_the_suite(canary, control, settings, expected):
    """Each example of ClassifierSuite is classified as there."""
    found = classify(np.array(canary), np.array(control), confidence=0.95, tolerance=0.10, **settings)
    assert found == Classification(expected)


def test_effect_sizes_of_the_suite():
    """The ratio of means is unknown at a zero mean; the common language effect counts ties half (StatisticSuite)."""
    assert mean_ratio(np.array(TENS), np.array(ONES)) == 10.0
    assert np.isnan(mean_ratio(np.array(TENS), np.array(ZEROS)))
    rising = np.arange(1.0, 6.0)
    assert common_language_effect(rising, rising) == 0.5
    assert common_language_effect(rising, rising + 20.0) == 0.0


def test_no_data_is_no_stop():
    """An hour without requests is never stopped: no data is taken as no verdict."""
    silence = Arms(*(np.zeros((1, MINUTES)) for _ in range(4)))
    assert kayenta(silence).tolist() == [np.inf]


def test_a_tenfold_error_rate_is_stopped_at_a_judgement():
    """A tenfold canary is stopped, and only at a multiple of five minutes."""
    stops = kayenta(Scenario(1000, 10.0).simulate(20, 1).total)
    assert np.isfinite(stops).all()
    assert (stops % 5 == 0).all()
