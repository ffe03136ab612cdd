"""Sparklines: a line as small as a word, with gaps where nothing is known, and words for those who do not see it."""

import re
from xml.etree import ElementTree as ET

import pytest

from vedette.charts.sparkline import sparkline
from vedette.kernel.errors import InvalidInput


def test_it_says_in_words_what_it_shows_and_escapes_them():
    """The label is its name, and no label becomes markup."""
    drawn = ET.fromstring(sparkline([1, 2], label='<b>"&'))  # noqa: S314 - our own text
    assert drawn.get("aria-label") == '<b>"&'
    assert drawn.get("role") == "img"


def test_a_gap_breaks_the_line_and_a_lone_value_is_a_dot():
    """Values that are not known are left out, not joined over."""
    drawn = sparkline([1, 2, None, 3, None, 4, 5], label="x")
    assert drawn.count("<path") == 2
    assert drawn.count("<circle") == 1


def test_greater_values_stand_higher_and_all_stay_inside():
    """The greatest value is at the top, and nothing leaves the picture."""
    drawn = sparkline([0, 5, 10], label="x", width=80, height=22)
    ys = [float(y) for y in re.findall(r"[ML][\d.]+ ([\d.]+)", drawn)]
    assert ys == sorted(ys, reverse=True)
    assert all(0 <= y <= 22 for y in ys)


@pytest.mark.parametrize("values", [[], [None, None], [3, 3, 3], [0, 0]])
def test_nothing_to_tell_is_drawn_all_the_same(values):
    """No value, and equal values, are no error."""
    assert sparkline(values, label="x").startswith("<svg")


def test_what_is_no_number_or_no_size_is_refused():
    """An infinite value and a picture without room are the caller's mistakes."""
    with pytest.raises(InvalidInput):
        sparkline([float("inf")], label="x")
    with pytest.raises(InvalidInput):
        sparkline([1], label="x", width=2)
