"""Moments merge exactly and keep their digits."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.evidence.summary import EMPTY, Moments, moments, moments_by_bucket
from vedette.kernel.errors import InvalidInput

values_lists = st.lists(st.floats(-1e6, 1e6), max_size=30)


@pytest.mark.parametrize(("center", "digits"), [(1_000_000.2, 9), (10_000_000.2, 8)])
def test_certified_values_of_nist_hold(center, digits):
    """NumAcc3 and NumAcc4 of the NIST StRD univariate sets have mean = centre and standard deviation 0.1, certified."""
    values = [center, *[center - 0.1, center + 0.1] * 500]
    whole = moments(values)
    halves = moments(values[:400]) + moments(values[400:])
    one_by_one = EMPTY
    for value in values:
        one_by_one += Moments(1.0, value, 0.0)
    for summary in (whole, halves, one_by_one):
        assert summary.mean == pytest.approx(center, rel=1e-14)
        assert summary.variance**0.5 == pytest.approx(0.1, rel=10.0**-digits)


@given(values_lists, values_lists, values_lists)
def test_merging_equals_having_seen_everything(a, b, c):
    """However the values are split and in whatever order the parts are merged, the moments are those of all values."""
    expected = moments([*a, *b, *c])
    for merged in (moments(a) + moments(b) + moments(c), moments(c) + (moments(b) + moments(a))):
        assert merged.n == expected.n
        assert merged.mean == pytest.approx(expected.mean, rel=1e-9, abs=1e-6)
        assert merged.m2 == pytest.approx(expected.m2, rel=1e-9, abs=1e-2)


@given(st.lists(st.tuples(st.floats(-1e3, 1e3), st.integers(0, 4)), max_size=40))
def test_buckets_hold_their_own_values_and_pool_to_all(pairs):
    """Each entry is the summary of its bucket's values, and all entries pooled are the summary of all values."""
    by_bucket = moments_by_bucket([v for v, _ in pairs], [b for _, b in pairs], 5)
    for bucket in range(5):
        expected = moments([v for v, b in pairs if b == bucket])
        assert by_bucket.n[bucket] == expected.n
        assert by_bucket.mean[bucket] == pytest.approx(expected.mean, abs=1e-9)
        assert by_bucket.m2[bucket] == pytest.approx(expected.m2, abs=1e-6)
    pooled, everything = by_bucket.pooled(), moments([v for v, _ in pairs])
    assert (pooled.n, pooled.mean) == pytest.approx((everything.n, everything.mean), abs=1e-9)
    assert pooled.m2 == pytest.approx(everything.m2, abs=1e-6)


def test_arrays_merge_entry_by_entry():
    """Merging two arrays of moments merges each bucket with its own, empty ones included."""
    left = moments_by_bucket([1.0, 3.0], [0, 0], 3)
    right = moments_by_bucket([5.0, 7.0], [0, 2], 3)
    merged = left + right
    assert merged.n.tolist() == [3, 0, 1]
    assert merged.sum.tolist() == pytest.approx([9, 0, 7])
    assert merged.m2.tolist() == pytest.approx([8, 0, 0])


def test_spread_of_too_few_values_is_unknown():
    """One value or none has no variance: NaN, never 0."""
    assert np.isnan(moments([3.0]).variance)
    assert np.isnan(EMPTY.variance)
    by_bucket = moments_by_bucket([1.0, 3.0, 9.0], [0, 0, 1], 3)
    assert by_bucket.variance.tolist() == pytest.approx([2.0, np.nan, np.nan], nan_ok=True)
    assert by_bucket.mean_variance.tolist() == pytest.approx([1.0, np.nan, np.nan], nan_ok=True)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_no_numbers_are_refused(value):
    """NaN and infinity would spoil every later merge, so they are refused."""
    with pytest.raises(InvalidInput, match="finite"):
        moments([1.0, value])


@pytest.mark.parametrize("buckets", [[0], [0, 3], [-1, 0]])
def test_each_value_needs_a_bucket_that_exists(buckets):
    """Missing and unknown buckets are refused."""
    with pytest.raises(InvalidInput, match="bucket"):
        moments_by_bucket([1.0, 2.0], buckets, 3)
