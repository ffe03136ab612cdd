"""Scales keep the order of values and tick at numbers a person would choose."""

import math
from itertools import pairwise

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from vedette.charts.scale import linear, logarithmic, speaker, window
from vedette.kernel.errors import InvalidInput

VALUES = st.floats(-1e9, 1e9).filter(lambda value: value == 0 or abs(value) > 1e-9)
POSITIVE = st.floats(1e-9, 1e12)


@given(st.lists(VALUES, min_size=1, max_size=8), st.booleans(), st.integers(0, 12))
@example([0.0], False, 6)
@example([5.0, 5.0], True, 3)
def test_linear_ticks_are_round_few_and_evenly_spaced(values, tight, count):
    """Ticks are multiples of 1, 2 or 5 times a power of ten, at most as many as asked for (3 or more), in order."""
    scale = linear(values, 0.0, 100.0, count=count, tight=tight)
    assert scale.low <= min(values) <= max(values) <= scale.high
    assert 1 <= len(scale.ticks) <= max(count, 3)
    assert all(scale.low <= tick <= scale.high for tick in scale.ticks)
    if len(scale.ticks) > 1:
        step = scale.ticks[1] - scale.ticks[0]
        size = max(map(abs, scale.ticks))
        assert all(abs((after - before) - step) <= 1e-9 * (size + step) for before, after in pairwise(scale.ticks))
        assume(step > 1e-6 * size)  # below that the difference itself holds too few digits to be read
        mantissa = step / 10.0 ** math.floor(math.log10(step * (1 + 1e-9)))
        assert min(abs(mantissa - round_one) for round_one in (1, 2, 5)) < 1e-5


@given(st.lists(VALUES, min_size=2, max_size=8, unique=True), VALUES, VALUES)
def test_a_linear_scale_keeps_order(values, first, second):
    """A larger value never stands before a smaller one, and everything stands between the ends."""
    scale = linear(values, 10.0, 90.0)
    low, high = sorted((first, second))
    assert 10.0 <= scale(low) <= scale(high) <= 90.0
    assert scale.beyond(low) <= scale.beyond(high)


@given(st.lists(POSITIVE, min_size=1, max_size=8), st.integers(3, 10))
@example([1.1, 1.4], 6)
@example([3.0], 3)
def test_logarithmic_ticks_lie_on_the_scale(values, count):
    """A logarithmic scale has 2 ticks or more where round numbers lie on it, never too many, and holds all values."""
    scale = logarithmic(values, 0.0, 100.0, count=count)
    assert scale.low <= min(values) <= max(values) <= scale.high
    assert 1 <= len(scale.ticks) <= count
    assert all(scale.low <= tick <= scale.high for tick in scale.ticks)
    assert list(scale.ticks) == sorted(set(scale.ticks))


def test_equal_ratios_are_equally_far_on_a_logarithmic_scale():
    """From 1 to 10 is as far as from 10 to 100."""
    scale = logarithmic([1.0, 100.0], 0.0, 200.0)
    assert scale.ticks == (1.0, 3.0, 10.0, 30.0, 100.0)
    assert scale(10.0) == pytest.approx(100.0)


def test_ticks_are_said_with_the_same_decimals():
    """Ticks are said alike, in percent where that is asked, and zero has no sign."""
    scale = linear([-0.05, 0.15], 0.0, 100.0, count=5)
    assert scale.ticks == (-0.05, 0.0, 0.05, 0.1, 0.15)
    assert scale.says() == ("−0.05", "0", "0.05", "0.10", "0.15")
    assert scale.says(percent=True, signed=True) == ("−5%", "0%", "+5%", "+10%", "+15%")


@pytest.mark.parametrize("values", [[], [math.nan], [1.0, math.inf]])
def test_a_scale_of_no_numbers_is_refused(values):
    """Without a finite value there is no scale."""
    with pytest.raises(InvalidInput):
        linear(values, 0, 1)


def test_zero_has_no_place_on_a_logarithmic_scale():
    """Zero and negative values are refused with what to do."""
    with pytest.raises(InvalidInput, match="linear scale"):
        logarithmic([0.0, 1.0], 0, 1)


def test_one_enormous_interval_does_not_dwarf_the_others():
    """What is shown holds all estimates and ordinary intervals, and cuts the one that is a thousand times as wide."""
    halves = [0.1] * 10 + [100.0] * 2
    ends = [end for estimate in (0.0, 0.1, 0.2, 0.3, 0.4) for end in (estimate - 0.1, estimate + 0.1)] + [-100.0, 100.0]
    low, high = window([0.0, 0.1, 0.2, 0.3, 0.4, 0.0], ends, halves)
    assert (low, high) == pytest.approx((-0.3, 0.7))


@pytest.mark.parametrize(
    ("halves", "percent", "value", "said"),
    [
        ([0.05], False, 0.1, "+0.100"),
        ([0.019], True, 0.031, "+3.1%"),
        ([0.019], True, -0.0001, "0.0%"),
        ([1200.0], False, 123456.0, "+123,456"),
        ([], True, 0.031, "+3.1%"),
        ([], False, 0.031, "0.031"),
        ([0.1], False, None, "–"),
        ([0.1], True, math.inf, "∞"),
    ],
)
def test_estimates_are_said_as_finely_as_they_are_known(halves, percent, value, said):
    """Two digits of the half-width decide the decimals, the same for all estimates; nothing rounds to minus zero."""
    assert speaker(halves, percent=percent, signed=True)(value) == said
