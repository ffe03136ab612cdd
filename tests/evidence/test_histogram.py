"""Fixed-edge histograms add exactly and know a value to 4 %."""

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.evidence.histogram import GAMMA, LOWEST, OVERFLOW, ZERO, Histogram, index_of, lower_edge, upper_edge
from vedette.kernel.errors import InvalidInput

magnitudes = st.one_of(st.just(0.0), st.floats(1e-12, 1e15))


@given(st.floats(2e-9, 0.9e12))
def test_a_value_lies_in_its_bin(value):
    """The edges of its bin enclose a value, up to the rounding of one logarithm, and are 4 % apart."""
    index = index_of(value)
    low, high = lower_edge(index), upper_edge(index)
    assert low * (1 - 1e-12) <= value <= high * (1 + 1e-12)
    assert high / low == pytest.approx(GAMMA)


@given(magnitudes, magnitudes)
def test_larger_values_never_lie_in_lower_bins(a, b):
    """The order of the bins is the order of the values."""
    assert (a <= b) == (index_of(a) <= index_of(b)) or index_of(a) == index_of(b)


def test_the_edges_of_the_range_are_explicit():
    """Zero and the tiny share one bin, the huge and infinity another, and the edges meet there."""
    assert index_of(0.0) == index_of(1e-300) == ZERO == LOWEST - 1
    assert index_of(1e300) == index_of(math.inf) == OVERFLOW
    assert (lower_edge(ZERO), upper_edge(ZERO)) == (0.0, lower_edge(LOWEST))
    assert upper_edge(OVERFLOW) == math.inf
    assert upper_edge(OVERFLOW - 1) == lower_edge(OVERFLOW) > 1e12
    assert lower_edge(LOWEST) < 1e-9


@pytest.mark.parametrize("value", [-1e-9, -math.inf, math.nan])
def test_what_is_no_magnitude_is_refused(value):
    """Negative values and NaN raise; they are not counted somewhere."""
    with pytest.raises(InvalidInput, match="magnitudes"):
        index_of(value)


@given(st.lists(magnitudes), st.lists(magnitudes))
def test_merging_equals_having_counted_everything(a, b):
    """The histogram of both lists is the sum of their histograms, in either order."""
    both = Histogram.of([*a, *b])
    assert both == Histogram.of(a) + Histogram.of(b) == Histogram.of(b) + Histogram.of(a)
    assert both.n == len(a) + len(b)


@given(st.lists(st.floats(1e-6, 1e9), min_size=1), st.floats(0, 1))
def test_quantiles_are_right_to_two_percent(values, q):
    """A quantile of the histogram is within half a bin of the same order statistic of the values."""
    exact = sorted(values)[max(math.ceil(q * len(values)), 1) - 1]
    assert Histogram.of(values).quantile(q) == pytest.approx(exact, rel=0.0199)


def test_quantiles_at_the_ends_of_the_range():
    """Nothing counted has no quantile, zeros have 0, and what overflowed is at least the last edge."""
    assert Histogram({}).quantile(0.5) is None
    assert Histogram.of([0.0, 0.0, 5.0]).quantile(0.5) == 0.0
    assert Histogram.of([math.inf]).quantile(0.5) == lower_edge(OVERFLOW)
    with pytest.raises(InvalidInput, match="between 0 and 1"):
        Histogram({}).quantile(1.1)


@given(st.lists(magnitudes))
def test_counts_up_to_a_bin(values):
    """`up_to` counts the values of a bin and of all bins below it."""
    probes = np.array([ZERO, -20, 0, 77, OVERFLOW])
    bins = Counter(map(index_of, values))
    expected = [sum(count for index, count in bins.items() if index <= probe) for probe in probes]
    assert Histogram.of(values).up_to(probes).tolist() == expected


@pytest.mark.parametrize("counts", [{0: -1}, {OVERFLOW + 1: 1}, {ZERO - 1: 1}])
def test_impossible_counts_are_refused(counts):
    """A negative count or a bin that does not exist raises."""
    with pytest.raises(InvalidInput, match="counts of 0 or more"):
        Histogram(counts)
