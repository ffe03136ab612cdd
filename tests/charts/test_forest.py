"""Forest plots put every interval where its numbers are."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.charts.reading import described, drawn_texts, nodes, number, points, root, said

from vedette.charts.forest import ROW, ForestRow, Tone, forest_plot
from vedette.kernel.errors import InvalidInput

EFFECTS = st.floats(-1e6, 1e6).map(lambda value: round(value, 3))


def row(estimate: float | None, low: float | None = None, high: float | None = None, **more) -> ForestRow:
    """A row named after nothing."""
    return ForestRow(label=more.pop("label", "a"), estimate=estimate, low=low, high=high, **more)


@given(st.lists(EFFECTS, min_size=2, max_size=6))
def test_larger_effects_stand_further_right(effects):
    """Markers stand in the order of their effects, and as far apart as these are."""
    chart = forest_plot([row(effect, effect - 1, effect + 1) for effect in effects], title="t")
    places = [number(node, "cx") for node in nodes(chart, "circle")]
    assert len(places) == len(effects)
    reach = max(*effects, 0.0) - min(*effects, 0.0)
    for (one, x), (two, y) in zip(
        zip(effects, places, strict=True), list(zip(effects, places, strict=True))[1:], strict=False
    ):
        assert (x - y) * (one - two) >= 0
        if reach and abs(one - two) > 0.05 * reach:
            assert abs(x - y) > 1


def test_an_interval_reaches_from_end_to_end():
    """The line of a row begins and ends at the places of its ends, its marker between them in proportion."""
    chart = forest_plot([row(0.1, -0.1, 0.5)], title="t")
    (interval,) = [line for line in nodes(chart, "line", "neutral") if line.get("stroke-width") == "2"]
    left, right = number(interval, "x1"), number(interval, "x2")
    (mark,) = nodes(chart, "circle")
    assert (number(mark, "cx") - left) / (right - left) == pytest.approx(0.2 / 0.6, abs=1e-3)
    (reference,) = nodes(chart, "line", "strong")
    assert (number(reference, "x1") - left) / (right - left) == pytest.approx(0.1 / 0.6, abs=1e-3)


def test_an_end_without_bound_is_an_arrow():
    """One open end is one arrow at the edge of the plot; a closed one has a cap. Infinite and None are the same."""
    chart = forest_plot([row(0.1, 0.05, None)], title="t")
    (arrow,) = nodes(chart, "path", "neutral")
    (axis,) = nodes(chart, "line", "axis")
    assert points(arrow)[0][0] == number(axis, "x2")
    assert forest_plot([row(0.1, 0.05, math.inf)], title="t").svg == chart.svg
    assert "+0.050 to ∞" in [said(text) for text in drawn_texts(chart)]
    assert len(nodes(forest_plot([row(0.1)], title="t"), "path", "neutral")) == 2


def test_an_interval_beyond_the_picture_is_an_arrow_too():
    """Where one interval would dwarf all others it leaves the picture, and the numbers beside it stay true."""
    rows = [row(0.1 * place, 0.1 * place - 0.05, 0.1 * place + 0.05) for place in range(6)]
    chart = forest_plot([*rows, row(0.2, -40.0, 40.0)], title="t")
    assert len(nodes(chart, "path", "neutral")) == 2
    assert "−40.000 to +40.000" in [said(text) for text in drawn_texts(chart)]


def test_the_interval_of_all_rows_is_thin_and_that_of_one_is_thick():
    """Both intervals are drawn, the wider one thin, with a key; the one for all rows is written out."""
    chart = forest_plot([row(0.1, 0.0, 0.2, simultaneous=(-0.1, 0.3))], title="t")
    texts = [said(text) for text in drawn_texts(chart)]
    assert {"this row alone", "all rows together", "simultaneous interval", "−0.10 to +0.30"} <= set(texts)
    thin, thick = nodes(chart, "line", "neutral")[:2]
    assert number(thin, "stroke-width") < number(thick, "stroke-width")
    spans = [number(one, "x2") - number(one, "x1") for one in (thin, thick)]
    assert spans[0] == pytest.approx(2 * spans[1], abs=0.05)


def test_a_marker_is_filled_where_no_difference_is_excluded():
    """A hollow marker is an effect whose interval holds the reference; a filled one excludes it."""
    chart = forest_plot([row(0.1, -0.1, 0.3), row(0.2, 0.1, 0.3)], title="t")
    assert ["open" in node.get("class", "") for node in nodes(chart, "circle")] == [True, False]


def test_tones_differ_in_shape_too():
    """Better, worse and neutral have their own marker, not their colour alone."""
    shapes = []
    for tone in Tone:
        chart = forest_plot([row(0.2, 0.1, 0.3, tone=tone)], title="t")
        marks = [*nodes(chart, "circle", tone), *nodes(chart, "path", tone)]
        shapes.append((marks[0].tag, marks[0].get("d")))
    assert len(set(shapes)) == 3


def test_what_is_not_known_has_no_marker():
    """A row without an estimate is named and says so; nothing is drawn for it, and its cells are None."""
    chart = forest_plot([row(None, verdict="too few", label="lora-a")], title="t")
    assert nodes(chart, "circle") == []
    assert "–" in [said(text) for text in drawn_texts(chart)]
    assert described(chart) == "lora-a: not known, too few."
    assert chart.table.rows == (("lora-a", "", None, None, None, None, None, None, "too few"),)


def test_the_table_holds_the_numbers():
    """Every number drawn stands in the table as it was given; ends without bound are infinite there."""
    rows = [
        row(0.1, 0.05, None, simultaneous=(0.01, 0.4), group="g", p_value=0.01, verdict="winner"),
        row(-0.1, -0.2, 0.0),
    ]
    chart = forest_plot(rows, title="t", percent=True)
    assert chart.table.rows == (
        ("a", "g", 0.1, 0.05, math.inf, 0.01, 0.4, 0.01, "winner"),
        ("a", "", -0.1, -0.2, 0.0, None, None, None, ""),
    )
    assert "+10%" in chart.table.to_text()


def test_the_description_says_every_row():
    """Whoever does not see the picture hears each effect, its interval, its p-value and its verdict."""
    chart = forest_plot(
        [row(0.031, 0.012, 0.05, label="lora-a", group="quality", p_value=0.0012, verdict="winner")],
        title="t",
        percent=True,
    )
    assert described(chart) == "quality, lora-a: +3.1%, +1.2% to +5.0%, p 0.0012, winner."


def test_many_rows_make_the_picture_higher():
    """Forty rows all have their height, whatever height was asked for; headings of groups take a row."""
    chart = forest_plot([row(0.1, 0, 0.2, label=f"v{place}") for place in range(40)], title="t", height=300)
    assert number(root(chart), "height") > 40 * ROW
    grouped = forest_plot([row(0.1, 0, 0.2, group=group) for group in "aab"], title="t")
    plain = forest_plot([row(0.1, 0, 0.2) for _ in "aab"], title="t")
    assert number(root(grouped), "height") - number(root(plain), "height") == 2 * ROW


def test_ratios_stand_on_a_logarithmic_axis():
    """Half and double are equally far from 1."""
    chart = forest_plot([row(0.5, 0.4, 0.6), row(2.0, 1.6, 2.4)], title="t", reference=1.0, log=True)
    half, double = (number(node, "cx") for node in nodes(chart, "circle"))
    (reference,) = nodes(chart, "line", "strong")
    assert number(reference, "x1") - half == pytest.approx(double - number(reference, "x1"), abs=0.02)


@pytest.mark.parametrize(
    "wrong",
    [row(math.nan), row(0.1, math.nan, 0.2), row(0.1, 0.2, 0.0), row(0.1, p_value=math.nan), row(math.inf)],
)
def test_numbers_that_cannot_be_drawn_are_refused(wrong):
    """NaN, infinite estimates and intervals the wrong way round are errors that name the row."""
    with pytest.raises(InvalidInput, match="'a'"):
        forest_plot([wrong], title="t")


def test_a_narrow_picture_keeps_labels_and_verdicts():
    """Where there is no room for all columns numbers give way, and hovering tells them still."""
    chart = forest_plot([row(0.031, 0.012, 0.05, p_value=0.5, verdict="winner", label="lora-a")], title="t", width=320)
    texts = [said(text) for text in drawn_texts(chart)]
    assert {"lora-a", "winner"} <= set(texts)
    assert "0.5" not in texts
    assert "p 0.5" in described(chart)
