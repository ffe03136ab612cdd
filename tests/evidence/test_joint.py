"""Joint moments merge exactly, keep their digits, and refuse what cannot be counted."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.evidence.joint import JointMoments, joint_moments, joint_moments_by, together
from vedette.kernel.errors import InvalidInput

rows = st.lists(st.tuples(st.floats(-1e3, 1e3), st.floats(-1e3, 1e3)), max_size=25)


def _of(pairs):
    return joint_moments({"x": [x for x, _ in pairs], "y": [y for _, y in pairs]})


@given(rows, rows, rows)
def test_merging_equals_having_seen_all_rows(a, b, c):
    """However rows are split and in whatever order the parts are merged, the joint moments are those of all rows."""
    expected = _of([*a, *b, *c])
    for merged in (_of(a) + _of(b) + _of(c), together([_of(c), _of(a), _of(b)])):
        assert merged.n == expected.n
        assert merged.mean == pytest.approx(expected.mean, rel=1e-9, abs=1e-6)
        assert merged.cross == pytest.approx(expected.cross, rel=1e-9, abs=1e-2)


@pytest.mark.parametrize(("center", "digits"), [(1_000_000.2, 9), (10_000_000.2, 8)])
def test_certified_values_of_nist_hold(center, digits):
    """NumAcc3 and NumAcc4 of the NIST StRD univariate sets have mean = centre and standard deviation 0.1, certified."""
    values = [center, *[center - 0.1, center + 0.1] * 500]
    whole = joint_moments({"x": values, "twice": np.multiply(values, 2.0)})
    parts = together([joint_moments({"x": values[i::7], "twice": np.multiply(values[i::7], 2.0)}) for i in range(7)])
    for found in (whole, parts):
        assert found.mean[0] == pytest.approx(center, rel=1e-14)
        assert found.covariance[0, 0] ** 0.5 == pytest.approx(0.1, rel=10.0**-digits)
        assert found.covariance[0, 1] == pytest.approx(0.02, rel=10.0**-digits)


def test_groups_are_kept_apart():
    """Each group has the joint moments of its own rows, whatever the type of its name."""
    found = joint_moments_by([1, 2, 1, 1], {"x": [1.0, 10.0, 2.0, 3.0]})
    assert found["1"].of("x").mean == 2.0
    assert found["2"].n == 1
    assert np.isnan(found["2"].covariance).all()


@given(rows)
def test_joint_moments_survive_being_written_down(pairs):
    """What is written as plain data is read back as it was."""
    found = _of(pairs)
    again = JointMoments.from_dict(found.to_dict())
    assert again.columns == found.columns
    assert (again.n, again.mean.tolist(), again.cross.tolist()) == (found.n, found.mean.tolist(), found.cross.tolist())


def test_columns_can_be_selected():
    """Some columns, in any order, have the joint moments they would have alone."""
    found = joint_moments({"x": [1.0, 2.0, 4.0], "y": [3.0, 1.0, 0.0], "z": [0.0, 0.0, 1.0]})
    alone = joint_moments({"z": [0.0, 0.0, 1.0], "x": [1.0, 2.0, 4.0]})
    assert found.select(["z", "x"]).cross == pytest.approx(alone.cross)


def test_missing_values_are_refused_dropped_or_zero():
    """A missing value is never counted silently: it is refused, or its row is left out, or it is 0, as asked."""
    columns: dict[str, list[float | None]] = {"x": [1.0, None, 3.0], "y": [1.0, 2.0, 3.0]}
    with pytest.raises(InvalidInput, match="lacks 1 of 3"):
        joint_moments(columns)
    assert joint_moments(columns, missing="drop").n == 2
    assert joint_moments(columns, missing="zero").mean[0] == pytest.approx(4 / 3)


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({}, "at least one column"),
        ({"x": [1.0], "y": [1.0, 2.0]}, "differ in length"),
        ({"x": [1.0, float("inf")]}, "infinite"),
    ],
)
def test_columns_that_cannot_be_counted_are_refused(columns, said):
    """No columns, columns of different lengths and infinite values are refused, saying which."""
    with pytest.raises(InvalidInput, match=said):
        joint_moments(columns)


def test_what_does_not_fit_together_is_refused():
    """Unknown columns, rows without a group and moments of other columns are refused."""
    x, y = joint_moments({"x": [1.0]}), joint_moments({"y": [1.0]})
    with pytest.raises(InvalidInput, match="other columns"):
        _ = x + y
    with pytest.raises(InvalidInput, match="no column 'z'"):
        x.of("z")
    with pytest.raises(InvalidInput, match="no group"):
        joint_moments_by(["a", None], {"x": [1.0, 2.0]})
    with pytest.raises(InvalidInput, match="no joint moments to merge"):
        together([])
    with pytest.raises(InvalidInput, match="square"):
        JointMoments(("x",), 1.0, np.zeros(2), np.zeros((1, 1)))
