"""Boundary plots put each z-score beside the boundary that decides about it."""

import math

import pytest
from tests.charts.reading import described, drawn_texts, nodes, number, points, said

from vedette.charts.boundaries import BoundaryLook, boundary_plot
from vedette.kernel.errors import InvalidInput

# O'Brien-Fleming, two-sided 5 %, five equal looks: Jennison & Turnbull (2000), table 2.3: 2.040 sqrt(5 / k).
EDGES = (4.562, 3.226, 2.634, 2.281, 2.040)


def looks(*found: float | None, futility: float | None = None) -> list[BoundaryLook]:
    """Five looks, as many of them taken as z-scores are given."""
    scores = [*found, *[None] * (5 - len(found))]
    return [
        BoundaryLook(at=(place + 1) / 5, z=z, upper=edge, lower=-edge, futility=futility)
        for place, (z, edge) in enumerate(zip(scores, EDGES, strict=True))
    ]


def test_boundaries_stand_where_their_values_are():
    """The boundaries fall towards the last look, mirror each other, and the line of zero is between them."""
    chart = boundary_plot(looks(0.5), title="t")
    (upper,), (lower,) = nodes(chart, "path", "better", "line"), nodes(chart, "path", "worse", "line")
    (zero,) = nodes(chart, "line", "strong")
    middle = number(zero, "y1")
    ups, downs = [middle - y for _, y in points(upper)], [y - middle for _, y in points(lower)]
    assert ups == sorted(ups, reverse=True)
    assert ups == pytest.approx(downs, abs=0.02)
    assert [up / ups[-1] for up in ups] == pytest.approx([edge / EDGES[-1] for edge in EDGES], abs=2e-3)


@pytest.mark.parametrize(
    ("z", "tag", "colour"),
    [(2.7, "path", "better"), (-2.7, "path", "worse"), (0.1, "path", "neutral"), (1.5, "circle", "ink")],
)
def test_a_crossing_shows_in_shape_and_colour(z, tag, colour):
    """Beyond a boundary, in the futile wedge, or in between: each has its marker."""
    chart = boundary_plot(looks(0.9, 0.9, z, futility=0.5), title="t")
    marks = [node for node in nodes(chart, tag, colour) if not {"line", "wash"} & set(node.get("class", "").split())]
    assert len(marks) == (3 if colour == "ink" else 1)


def test_looks_to_come_are_drawn_without_a_score():
    """Boundaries of later looks are there, their z-scores are not; the words say so."""
    chart = boundary_plot(looks(0.5, 1.0), title="t")
    assert len(nodes(chart, "circle")) == 2
    assert "Look at 60%: still to come (stop: better at 2.63; stop: worse at −2.63)." in described(chart)


def test_zones_are_named():
    """The picture says what crossing means; there is no word for a zone the design has not."""
    texts = {said(text) for text in drawn_texts(boundary_plot(looks(0.5), title="t"))}
    assert {"stop: better", "stop: worse"} <= texts
    assert "stop: futile" not in texts
    one_sided = [BoundaryLook(at=0.5, upper=2.8, futility=0.2), BoundaryLook(at=1.0, upper=1.98, futility=1.98)]
    texts = {said(text) for text in drawn_texts(boundary_plot(one_sided, title="t"))}
    assert {"stop: better", "stop: futile"} <= texts
    assert "stop: worse" not in texts


def test_a_far_boundary_leaves_the_picture():
    """A first boundary at 20 does not flatten the others: it runs out of the frame, and the table holds it."""
    far = [BoundaryLook(at=0.1, z=1.0, upper=20.0), BoundaryLook(at=1.0, upper=1.96)]
    chart = boundary_plot(far, title="t")
    (frame,) = [node for node in nodes(chart, "svg") if node.get("overflow") == "hidden"]
    (upper,) = nodes(chart, "path", "better", "line")
    assert points(upper)[0][1] < number(frame, "y") < points(upper)[1][1]
    assert chart.table.rows[0] == (0.1, 1.0, 20.0, None, None)


def test_the_table_holds_every_look():
    """Scores and boundaries stand in the table as they were given."""
    rows = boundary_plot(looks(0.5), title="t").table.rows
    assert rows[0] == (0.2, 0.5, 4.562, -4.562, None)
    assert rows[4] == (1.0, None, 2.040, -2.040, None)


@pytest.mark.parametrize(
    "wrong",
    [
        [BoundaryLook(at=0.5, z=math.nan)],
        [BoundaryLook(at=0.5), BoundaryLook(at=0.5)],
        [BoundaryLook(at=0.5, upper=-1.0, lower=1.0)],
        [BoundaryLook(at=0.5, upper=math.inf)],
    ],
    ids=["nan", "twice", "swapped", "infinite"],
)
def test_looks_that_cannot_be_drawn_are_refused(wrong):
    """NaN, infinite boundaries, looks out of order and swapped boundaries are errors."""
    with pytest.raises(InvalidInput):
        boundary_plot(wrong, title="t")


def test_looks_may_be_counted_in_units():
    """Where times are no fractions the axis says numbers and begins at the first look."""
    chart = boundary_plot(
        [BoundaryLook(at=1000, z=1.0, upper=3), BoundaryLook(at=5000, upper=2)], title="t", percent=False
    )
    assert not [said(text) for text in drawn_texts(chart) if "%" in said(text)]
    assert "Look at 1,000: z 1 (stop: better at 3)." in described(chart)
