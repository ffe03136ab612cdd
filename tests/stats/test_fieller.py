"""Fieller's interval: what the test at the same critical value does not reject, over arrays as for single numbers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.stats.fieller import fieller

MEANS = st.floats(0.5, 50.0)
CRITICAL = st.floats(0.5, 4.0)


@given(st.floats(-50.0, 50.0), MEANS, MEANS, st.floats(0.01, 0.9), st.floats(-0.9, 0.9), CRITICAL)
def test_each_end_is_just_significant(treatment, control, spread, share, correlation, critical):
    """At either end the contrast `treatment - ratio * control` has a z-score of exactly the critical value."""
    errors = np.array([spread, share * control / critical])
    shared = correlation * errors.prod()
    ends = fieller(treatment, control, errors[0] ** 2, errors[1] ** 2, covariance=shared, critical=critical)
    assert ends[0] <= treatment / control - 1.0 <= ends[1]
    for end in ends:
        ratio = 1.0 + end
        variance = errors[0] ** 2 - 2.0 * ratio * shared + (ratio * errors[1]) ** 2
        assert abs(treatment - ratio * control) / np.sqrt(variance) == pytest.approx(critical, rel=1e-5)


def test_without_bound_where_the_control_may_be_zero():
    """A control that the same test cannot tell from zero, at any sign, gives no ends; just above, it gives both."""
    for control in (0.0, 1.0, -1.0):
        assert np.isnan(fieller(5.0, control, 1.0, 0.25, critical=2.0)).all()
    assert np.isfinite(fieller(5.0, 1.0001, 1.0, 0.25, critical=2.0)).all()


@given(MEANS, st.floats(1.0, 50.0), CRITICAL)
def test_a_negative_control_turns_the_interval(treatment, control, critical):
    """With the sign of both means changed the effect turns, and the interval with it."""
    variances = (0.1, (0.5 * control / critical) ** 2)
    low, high = fieller(treatment, control, *variances, critical=critical)
    assert fieller(-treatment, -control, *variances, critical=critical) == (-high, -low)


def test_arrays_broadcast():
    """Many at once are the same numbers as one by one; one without bound does not touch its neighbours."""
    treatment, control = np.array([1.0, 2.0, 3.0]), np.array([[2.0], [0.1], [-2.0]])
    low, high = fieller(treatment, control, 0.01, 0.02, covariance=0.005, critical=1.96)
    assert low.shape == high.shape == (3, 3)
    assert np.isnan(low).tolist() == [[False] * 3, [True] * 3, [False] * 3]
    for row, column in np.ndindex(3, 3):
        one = fieller(treatment[column], control[row, 0], 0.01, 0.02, covariance=0.005, critical=1.96)
        assert np.array_equal(one, (low[row, column], high[row, column]), equal_nan=True)
