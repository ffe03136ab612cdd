"""Markup is only what the code wrote: every text is escaped, every number is one."""

import math
import xml.etree.ElementTree as ET
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.charts.svg import element, escape, fitted, label, number, path, text_width, wrapped
from vedette.kernel.errors import InvalidInput


@given(st.text(), st.text())
def test_any_text_is_text(content, attribute):
    """Whatever stands in a text or an attribute, the XML parses and gives it back (but for what XML cannot hold)."""
    node = ET.fromstring(element("text", content, class_=attribute))  # noqa: S314 - our own output
    assert not list(node)
    assert list(node.attrib) == ["class"]
    allowed = "".join(
        sign for sign in content if sign >= " " and sign not in "\ufffe\uffff" and not "\ud800" <= sign <= "\udfff"
    )
    read = "".join(sign for sign in node.text or "" if sign >= " " and sign != "\ufffd")
    assert read == allowed.replace("\ufffd", "")


@given(st.floats(-1e6, 1e6))
def test_a_coordinate_is_near_its_number(value):
    """Coordinates are written without an exponent, to a hundredth."""
    written = number(value)
    assert "e" not in written
    assert abs(float(written) - value) <= 0.00501


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_none_is_refused(value):
    """NaN and infinities have no place on a picture, in attributes and in paths."""
    with pytest.raises(InvalidInput):
        element("circle", cx=value)
    with pytest.raises(InvalidInput):
        path([(0.0, value)])


def test_numbers_of_numpy_are_numbers():
    """A coordinate may be a number of any kind."""
    values: dict[str, Any] = {"cx": np.float32(1.5), "cy": np.int64(2)}
    assert element("circle", **values) == '<circle cx="1.5" cy="2"/>'


def test_nested_elements_stay_markup():
    """An element inside another is not escaped; a string beside it is."""
    assert element("g", element("path", d="M0 0"), "<b>") == '<g><path d="M0 0"/>&lt;b&gt;</g>'
    assert escape("a&'\"") == "a&amp;&#39;&quot;"


@given(st.text(min_size=1, max_size=60), st.floats(20, 300))
def test_a_text_is_cut_to_its_room(text, room):
    """What is shown fits the room; what was cut says so and is a beginning of the text."""
    shown = fitted(text, room, 12)
    assert text_width(shown, 12) <= room
    assert shown == text or text.startswith(shown.removesuffix("…"))
    assert shown == text or shown.endswith("…")


def test_a_cut_label_keeps_its_whole():
    """A label cut short has the whole text as its title; one that fits has none."""
    assert "<title>a very long label</title>" in label("a very long label", 0, 0, room=40, class_="ink")
    assert "<title>" not in label("short", 0, 0, room=400, class_="ink")


def test_a_title_breaks_between_words_once():
    """A text too long for one line has two, and no word is lost."""
    lines = wrapped("which of these variants answers best", 120, 12)
    assert len(lines) == 2
    assert " ".join(lines) == "which of these variants answers best"
    assert text_width(lines[0], 12) <= 120
    assert wrapped("", 120, 12) == ()
