"""Sequence plots show what was known at each look, and never more than was known."""

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.charts.reading import described, drawn_texts, nodes, number, points, said

from vedette.charts.sequence import SequencePoint, Track, sequence_plot
from vedette.kernel.errors import InvalidInput


def look(at: float, estimate: float | None, low: float | None = None, high: float | None = None) -> SequencePoint:
    """One look."""
    return SequencePoint(at=at, estimate=estimate, low=low, high=high)


def track(*looks: SequencePoint, label: str = "a") -> Track:
    """Looks in a row."""
    return Track(label=label, points=looks)


NARROWING = track(*(look(100.0 * place, 0.02, 0.02 - 1.0 / place, 0.02 + 1.0 / place) for place in range(1, 41)))


@given(st.lists(st.floats(-1e3, 1e3).map(lambda value: round(value, 2)), min_size=2, max_size=10))
def test_larger_estimates_stand_higher(estimates):
    """The line goes to the right in time, and stands higher where the estimate is larger."""
    chart = sequence_plot(
        [track(*(look(place, value, value - 1, value + 1) for place, value in enumerate(estimates)))], title="t"
    )
    (line,) = nodes(chart, "path", "line")
    places = points(line)
    assert [x for x, _ in places] == sorted(x for x, _ in places)
    order = sorted(zip(estimates, places, strict=True))
    assert all(low_y >= high_y for (_, (_, low_y)), (_, (_, high_y)) in pairwise(order))


def test_the_band_holds_the_line():
    """At each look the band reaches from the lower end over the estimate to the upper end."""
    chart = sequence_plot([track(look(1, 0.1, 0.0, 0.3), look(2, 0.1, 0.05, 0.2))], title="t")
    (band,), (line,) = nodes(chart, "path", "wash"), nodes(chart, "path", "line")
    upper, lower = points(band)[:2], points(band)[:1:-1]
    for (x, y), (_, top), (_, bottom) in zip(points(line), upper, lower, strict=True):
        assert top < y < bottom
        assert x in {place for place, _ in upper}


def test_early_intervals_leave_the_picture_late_ones_do_not():
    """Intervals ten times as wide as the usual ones are cut by the frame; the table holds them whole."""
    chart = sequence_plot([NARROWING], title="t")
    (frame,) = [node for node in nodes(chart, "svg") if node.get("overflow") == "hidden"]
    top, bottom = number(frame, "y"), number(frame, "y") + number(frame, "height")
    (band,) = nodes(chart, "path", "wash")
    ys = [y for _, y in points(band)[:40]]
    assert ys[0] < top
    assert all(top <= y <= bottom for y in ys[20:])
    assert chart.table.to_dicts()[0] == {"label": "a", "at": 100.0, "estimate": 0.02, "low": -0.98, "high": 1.02}


def test_an_end_without_bound_reaches_the_frame():
    """A one-sided band runs to the frame on its open side, and the table says it is infinite."""
    chart = sequence_plot([track(look(1, 0.1, 0.0, None), look(2, 0.1, 0.05, None))], title="t")
    (frame,) = [node for node in nodes(chart, "svg") if node.get("overflow") == "hidden"]
    (band,) = nodes(chart, "path", "wash")
    assert all(y <= number(frame, "y") for _, y in points(band)[:2])
    assert [row[4] for row in chart.table.rows] == [math.inf, math.inf]
    assert described(chart) == "a: after 2 looks, at 2, +0.10, +0.05 to ∞."


def test_an_unknown_look_is_a_gap():
    """Where nothing was known line and band stop, and the table has None."""
    chart = sequence_plot(
        [track(look(1, 0.1, 0, 0.2), look(2, 0.1, 0, 0.2), look(3, None), look(4, 0.1, 0, 0.2), look(5, 0.1, 0, 0.2))],
        title="t",
    )
    assert len(nodes(chart, "path", "line")) == len(nodes(chart, "path", "wash")) == 2
    assert chart.table.rows[2] == ("a", 3, None, None, None)


def test_nothing_known_is_said():
    """A track without a single estimate draws no line and says so."""
    chart = sequence_plot([track(look(1, None), look(2, None))], title="t")
    assert nodes(chart, "path", "line") == []
    assert described(chart) == "a: nothing is known."


def test_a_single_look_shows_its_interval():
    """One look is a marker with a line from end to end."""
    chart = sequence_plot([track(look(1, 0.1, 0.0, 0.2))], title="t")
    (interval,) = nodes(chart, "line", "s0")
    (marker,) = nodes(chart, "circle")
    assert number(interval, "y1") > number(marker, "cy") > number(interval, "y2")


def test_the_verdict_is_marked_and_the_last_estimate_written():
    """A line says when the verdict fell, and the last estimate stands beside its end."""
    chart = sequence_plot([NARROWING], title="t", decided=3000)
    texts = [said(text) for text in drawn_texts(chart)]
    assert "verdict at 3,000" in texts
    assert "+0.020" in texts


def test_tracks_are_told_apart_without_colour():
    """Each track has its dash and its marker, and a legend names them."""
    tracks = [track(look(1, 0.1, 0, 0.2), look(2, 0.1, 0, 0.2), label=label) for label in "abc"]
    chart = sequence_plot(tracks, title="t")
    assert len({line.get("stroke-dasharray") for line in nodes(chart, "path", "line")}) == 3
    assert {"a", "b", "c"} <= {said(text) for text in drawn_texts(chart)}


def test_shares_beside_a_planned_share_have_no_sign():
    """With a reference that is not zero values are no changes: a sample-ratio check says 49%, not +49%."""
    chart = sequence_plot(
        [track(look(1, 0.49, 0.3, 0.7), look(2, 0.49, 0.4, 0.6))],
        title="t",
        reference=0.5,
        percent=True,
        effect="share",
    )
    assert not [said(text) for text in drawn_texts(chart) if said(text).startswith("+")]
    assert "49%" in [said(text) for text in drawn_texts(chart)]


def test_thousands_of_looks_are_drawn_one_a_pixel():
    """Of two weeks of minutes a look a pixel is drawn, first and last among them; the table holds all."""
    many = [look(at, math.sin(at / 999), -2, 2) for at in range(20_000)]
    chart = sequence_plot([track(*many)], title="t")
    (line,) = nodes(chart, "path", "line")
    (axis,) = nodes(chart, "line", "axis")
    places = [x for x, _ in points(line)]
    assert 300 < len(places) < 722
    assert (places[0], places[-1]) == (number(axis, "x1"), number(axis, "x2"))
    assert len(chart.table.rows) == 20_000


@pytest.mark.parametrize(
    "wrong",
    [
        track(look(1, math.nan)),
        track(look(math.inf, 0.1)),
        track(look(2, 0.1), look(1, 0.1)),
        track(look(1, 0.1), look(1, 0.1)),
        track(look(1, 0.1, 0.2, 0.0)),
        track(look(1, 0.1, math.nan, 0.2)),
    ],
    ids=["nan", "infinite time", "backwards", "twice", "upside down", "nan end"],
)
def test_looks_that_cannot_be_drawn_are_refused(wrong):
    """NaN, looks out of order and intervals the wrong way round are errors that name the track."""
    with pytest.raises(InvalidInput, match="'a'"):
        sequence_plot([wrong], title="t")


def test_time_on_a_logarithmic_axis():
    """From 100 to 1,000 is as far as from 1,000 to 10,000."""
    chart = sequence_plot([track(*(look(at, 0.1, 0, 0.2) for at in (100, 1000, 10_000)))], title="t", log=True)
    (line,) = nodes(chart, "path", "line")
    first, second, third = (x for x, _ in points(line))
    assert second - first == pytest.approx(third - second, abs=0.02)
