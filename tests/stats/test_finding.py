"""The steps of every test at a fixed horizon: sides, Student's t, warnings and values that are missing."""

import math
from typing import Any

import numpy as np
import pytest

from vedette.kernel.errors import InvalidInput
from vedette.stats.cautions import Caution
from vedette.stats.finding import Finding, also, observed, p_value_of, student, tail
from vedette.stats.sequential import Side


def judged(error: float, df: float, *, side: Side = Side.BOTH, null: float = 0.0) -> Any:
    """Judge an estimate of 2."""
    return student(2.0, error, df, n=10.0, method="t", alpha=0.05, side=side, null=null)


def test_student_by_the_table():
    """The 95 % quantiles of t in printed tables: 2.228 (two-sided) and 1.812 (one-sided) with 10 degrees of freedom."""
    both = judged(1.0, 10.0)
    assert (both.low, both.high) == pytest.approx((2.0 - 2.228, 2.0 + 2.228), abs=5e-4)
    above = judged(1.0, 10.0, side=Side.GREATER)
    assert (above.low, above.high) == (pytest.approx(2.0 - 1.812, abs=5e-4), None)
    assert above.p_value == pytest.approx(both.p_value / 2.0)
    assert judged(1.0, 10.0, side=Side.LESS).p_value == pytest.approx(1.0 - above.p_value)


def test_infinite_degrees_are_the_normal():
    """Then there are no degrees of freedom to tell, and z = 1.96 is the 95 % quantile."""
    found = judged(1.0, math.inf)
    assert (found.df, found.high) == (None, pytest.approx(2.0 + 1.959964, abs=1e-6))


def test_the_null_value_and_the_side_are_told():
    """A finding says what it was tested against, and at that value the p-value is 1."""
    found = judged(1.0, 10.0, null=2.0)
    assert (found.null, found.side, found.statistic, found.p_value) == (2.0, Side.BOTH, 0.0, 1.0)


@pytest.mark.parametrize(
    ("error", "df", "why"),
    [(math.nan, 5.0, Caution.TOO_FEW), (1.0, 0.0, Caution.TOO_FEW), (0.0, 5.0, Caution.NO_VARIANCE)],
)
def test_undefined_is_none(error, df, why):
    """Without an error, degrees of freedom or noise there is an estimate, a reason, and no verdict."""
    found = judged(error, df)
    assert (found.estimate, found.low, found.high, found.p_value) == (2.0, None, None, None)
    assert found.warnings == (why,)


def test_p_value_of_a_side():
    """Both sides are twice the smaller tail, and never more than 1."""
    assert [p_value_of(0.9, 0.2, side) for side in (Side.LESS, Side.GREATER, Side.BOTH)] == [0.9, 0.2, 0.4]
    assert p_value_of(0.6, 0.7, Side.BOTH) == 1.0


def test_warnings_are_said_once():
    """A warning that is there already is not added again."""
    found = Finding(estimate=None, n=0.0, method="none", warnings=(Caution.TOO_FEW,))
    assert also(found, Caution.TIES, Caution.TOO_FEW).warnings == (Caution.TOO_FEW, Caution.TIES)


def test_missing_values_are_left_out():
    """NaN is left out with a warning; infinity is refused with the hint."""
    values, warnings = observed([[1.0, np.nan], [3.0, 4.0]])
    assert (values.tolist(), warnings) == ([1.0, 3.0, 4.0], (Caution.PARTLY_OBSERVED,))
    assert observed([1.0])[1] == ()
    with pytest.raises(InvalidInput, match="finite") as refused:
        observed([math.inf], hint="count it")
    assert refused.value.hint == "count it"


@pytest.mark.parametrize("alpha", [0.0, 0.5, -1.0, math.nan])
def test_impossible_levels_are_refused(alpha):
    """Alpha lies between 0 and 0.5."""
    with pytest.raises(InvalidInput):
        tail(alpha, Side.BOTH)
