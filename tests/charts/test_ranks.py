"""Rank plots show which places each variant may hold, and who may be the best."""

from itertools import pairwise

import pytest
from tests.charts.reading import described, drawn_texts, nodes, number, root, said

from vedette.charts.ranks import ROW, RankRow, rank_plot
from vedette.kernel.errors import InvalidInput

FOUR = [
    RankRow(label="lora-a", low=1, high=2, tied=True, note="P(best) 71%"),
    RankRow(label="lora-b", low=1, high=3, tied=True),
    RankRow(label="base", low=2, high=4),
    RankRow(label="lora-c", low=4, high=4),
]


def test_ranks_stand_in_order():
    """Each line reaches from the best to the worst rank, and equal ranks stand at equal places."""
    chart = rank_plot(FOUR, title="t")
    lines = [line for line in nodes(chart, "line") if line.get("stroke-linecap") == "round"]
    ends = [(number(line, "x1"), number(line, "x2")) for line in lines]
    place = {1: ends[0][0], 2: ends[0][1], 3: ends[1][1], 4: ends[2][1]}
    assert [place[rank] for rank in (1, 2, 3, 4)] == sorted(place.values())
    assert ends == [(place[1], place[2]), (place[1], place[3]), (place[2], place[4]), (place[4], place[4])]
    assert place[2] - place[1] == pytest.approx(place[4] - place[3], abs=0.02)


def test_the_tied_set_stands_out_in_more_than_colour():
    """Tied variants have a band behind them, bold names, another marker, and words that say so."""
    chart = rank_plot(FOUR, title="t")
    assert len(nodes(chart, "rect", "band")) == 2
    assert {said(text) for text in nodes(chart, "text", "bold")} == {"t", "lora-a", "lora-b"}
    assert len(nodes(chart, "path", "better")) == 4
    assert len(nodes(chart, "circle", "neutral")) == 3
    assert "may be the best, P(best) 71%" in [said(text) for text in drawn_texts(chart)]


def test_a_narrow_picture_keeps_the_note_whole():
    """Where there is no room for both, what the band shows is left out beside it, and the note is not cut."""
    rows = [RankRow(label="a", low=1, high=1, tied=True, note="best with >99.9%"), RankRow(label="b", low=2, high=2)]
    chart = rank_plot(rows, title="t", width=430)
    assert "best with >99.9%" in [said(text) for text in drawn_texts(chart)]
    assert described(chart) == "a: rank 1, the best, best with >99.9%. b: rank 2."


def test_one_alone_is_the_best():
    """A tied set of one is said to be the best."""
    chart = rank_plot([RankRow(label="a", low=1, high=1, tied=True), RankRow(label="b", low=2, high=2)], title="t")
    assert described(chart) == "a: rank 1, the best. b: rank 2."


def test_the_table_holds_the_ranks():
    """Every row stands in the table as it was given."""
    assert rank_plot(FOUR, title="t").table.to_dicts()[1] == {
        "label": "lora-b",
        "low": 1,
        "high": 3,
        "tied": True,
        "note": "",
    }


@pytest.mark.parametrize("count", [1, 2, 7, 24, 150])
def test_ranks_are_marked_as_closely_as_there_is_room(count):
    """However many variants, the first rank is marked, marks do not overlap, and every row has its height."""
    chart = rank_plot([RankRow(label=f"v{place}", low=1, high=count) for place in range(count)], title="t", width=480)
    marks = [number(rule, "x1") for rule in nodes(chart, "line", "rule")]
    assert min(after - before for before, after in pairwise(marks)) >= 15
    assert "1" in [said(text) for text in nodes(chart, "text", "muted")]
    assert number(root(chart), "height") >= count * ROW


@pytest.mark.parametrize(("low", "high"), [(0, 1), (3, 2), (-1, -1)])
def test_impossible_ranks_are_refused(low, high):
    """Ranks count from 1 and do not run backwards."""
    with pytest.raises(InvalidInput, match="'a' cannot have the ranks"):
        rank_plot([RankRow(label="a", low=low, high=high)], title="t")
