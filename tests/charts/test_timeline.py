"""Timelines give every share the area it had."""

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.charts.reading import described, drawn_texts, nodes, number, points, root, said

from vedette.charts.timeline import Share, share_timeline
from vedette.kernel.errors import InvalidInput

WEIGHTS = st.lists(st.lists(st.floats(0.01, 1), min_size=3, max_size=3), min_size=2, max_size=6)


def area(corners: list[tuple[float, float]]) -> float:
    """Area of a polygon, by the shoelace formula."""
    turned = [*corners[1:], corners[0]]
    return abs(sum(x * v - u * y for (x, y), (u, v) in zip(corners, turned, strict=True))) / 2


@given(WEIGHTS)
def test_an_area_is_the_share_over_time(weights):
    """Areas are in proportion to share times duration; a share holds until the next time."""
    shares = [[weight / sum(row) for weight in row] for row in weights]
    times = [float(place * place) for place in range(len(weights))]
    chart = share_timeline(
        times,
        [Share(label=name, values=tuple(row[place] for row in shares)) for place, name in enumerate("abc")],
        title="t",
    )
    areas = [area(points(node)) for node in nodes(chart, "path", "edge")]
    lasted = [after - before for before, after in pairwise(times)]
    spent = [sum(row[place] * time for row, time in zip(shares, lasted, strict=False)) for place in range(3)]
    assert [part / sum(areas) for part in areas] == pytest.approx([part / sum(spent) for part in spent], abs=2e-3)


def test_shares_change_evenly_where_asked():
    """Without steps an area is bounded by straight lines from time to time."""
    shares = [Share(label="a", values=(0.0, 1.0))]
    (even,) = nodes(share_timeline([0, 1], shares, title="t", stepped=False), "path", "edge")
    (stepped,) = nodes(share_timeline([0, 1], shares, title="t"), "path", "edge")
    assert area(points(stepped)) == pytest.approx(0.0, abs=1e-6)
    assert area(points(even)) > 1000


def test_names_do_not_overlap_and_stand_in_order():
    """Thirty thin shares have thirty names, each with its last value, in the order of the areas, none over another."""
    shares = [Share(label=f"v{place}", values=(1 / 30, 0.001)) for place in range(30)]
    chart = share_timeline([0, 1], shares, title="t", height=200)
    heights = [number(text, "y") for text in drawn_texts(chart) if said(text).startswith("v")]
    assert len(heights) == 30
    gaps = [before - after for before, after in pairwise(heights)]
    assert min(gaps) >= 14
    assert max(heights) < number(root(chart), "height")
    assert "v0 0.1%" in {said(text) for text in drawn_texts(chart)}


def test_a_long_name_is_cut_and_its_share_is_not():
    """In a narrow picture every name ends with its share, however long the name is."""
    shares = [Share(label="v2-whole-catalogue-again", values=(0.5, 0.95)), Share(label="v1", values=(0.5, 0.05))]
    texts = {said(text) for text in drawn_texts(share_timeline([0, 1], shares, title="t", width=430))}
    assert "v1 5%" in texts
    assert any(text.startswith("v2-whole") and text.endswith("… 95%") for text in texts)


def test_coverage_may_leave_room():
    """Shares that sum to less than one leave the rest of the picture empty."""
    chart = share_timeline(
        [0, 1], [Share(label="a", values=(0.1, 0.1)), Share(label="b", values=(0.1, 0.1))], title="t"
    )
    rules = [number(rule, "y1") for rule in nodes(chart, "line", "rule")]
    top = min(y for node in nodes(chart, "path", "edge") for _, y in points(node))
    assert (max(rules) - top) / (max(rules) - min(rules)) == pytest.approx(0.2, abs=2e-3)


def test_the_table_and_the_words_hold_the_shares():
    """Each share at each time is a row; the description says how each began and ended."""
    chart = share_timeline(
        [0, 7], [Share(label="a", values=(0.5, 0.1)), Share(label="b", values=(0.5, 0.9))], title="t"
    )
    assert chart.table.rows == (("a", 0, 0.5), ("a", 7, 0.1), ("b", 0, 0.5), ("b", 7, 0.9))
    assert described(chart) == "a: 50% at 0, 10% at 7. b: 50% at 0, 90% at 7."


@pytest.mark.parametrize(
    ("times", "values"),
    [
        ([0.0], (0.5,)),
        ([1.0, 0.0], (0.5, 0.5)),
        ([0.0, 1.0], (0.5,)),
        ([0.0, 1.0], (0.5, 1.5)),
        ([0.0, 1.0], (0.5, -0.1)),
        ([0.0, 1.0], (0.5, math.nan)),
        ([0.0, math.inf], (0.5, 0.5)),
        ([0.0, 1.0], (0.5, 0.6)),
    ],
    ids=["one time", "backwards", "too few values", "above 1", "negative", "nan", "endless", "sum above 1"],
)
def test_shares_that_cannot_be_drawn_are_refused(times, values):
    """Times out of order, NaN, shares outside 0 to 1 and sums above 1 are errors."""
    with pytest.raises(InvalidInput):
        share_timeline(
            times, [Share(label="a", values=values), Share(label="b", values=(0.5,) * len(times))], title="t"
        )
