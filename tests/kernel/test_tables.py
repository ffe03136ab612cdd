"""Results show the same numbers to people, to programs and to data frames, and say openly what is not known."""

import csv
import io
import json
import math
import sys
import unicodedata
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.kernel.errors import InvalidInput, Unavailable
from vedette.kernel.tables import Shown, Table, plain, say, say_interval, say_number, say_p, say_percent

PROBE = "<script>alert(1)</script>&\"'|`*x*_y_"


class Warned(StrEnum):
    """A warning code."""

    TOO_FEW = "too_few"


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate(Shown):
    """A result without a table of its own."""

    effect: float
    low: float | None = None
    arms: tuple[str, ...] = ()
    warnings: tuple[Warned, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict(Shown):
    """A result with a table of its own, and another result inside."""

    estimates: tuple[Estimate, ...]
    at: datetime

    def table(self) -> Table:
        """One row an estimate."""
        rows = tuple((estimate.effect, estimate.low) for estimate in self.estimates)
        return Table(("effect", "low"), rows, title="Verdict")


TABLE = Table(
    ("variant", "effect", "p"),
    ((PROBE, 0.012, 3e-26), ("日本", None, math.nan), ("b", np.float64(-1.5), np.float32(0.5))),
    title="Effects <all>",
    notes=("a & b",),
    says={"effect": say_percent, "p": say_p},
)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "–"),
        (math.nan, "–"),
        (math.inf, "∞"),
        (-math.inf, "−∞"),
        (0.0, "0"),
        (-0.0, "0"),
        (12345, "12,345"),
        (12345.678, "12,346"),
        (0.0312345, "0.0312"),
        (-0.5, "−0.5"),
        (0.9996, "1"),
        (3e-26, "3e-26"),
        (-1.25e-9, "−1.25e-9"),
        (2.5e20, "2.5e20"),
    ],
)
def test_a_number_is_said_to_three_digits(value, said):
    """A number is said to three significant digits, its whole digits never rounded away."""
    assert say_number(value) == said


@given(st.floats(-1e14, 1e14).filter(lambda value: abs(value) > 1e-4))
def test_a_said_number_is_the_number(value):
    """What is said reads back as the number, to half a unit of the third digit or of the last whole one."""
    read = float(say_number(value).replace(",", "").replace("−", "-"))
    assert abs(read - value) <= (0.5 if abs(value) >= 100 else 0.0051 * abs(value))


@pytest.mark.parametrize(
    ("value", "said"),
    [(0.0123, "+1.2%"), (-0.0123, "−1.2%"), (0, "0%"), (1.5, "+150%"), (0.00012, "+0.012%"), (1e-9, "+1e-7%")],
)
def test_a_fraction_is_said_in_percent(value, said):
    """A fraction is said in percent with its sign, small ones to two digits."""
    assert say_percent(value) == said
    assert say_percent(value, signed=False) == said.removeprefix("+")


def test_a_percentage_that_is_not_known_is_a_dash():
    """A fraction that is not known is a dash, one without bound is infinite."""
    assert [say_percent(None), say_percent(math.nan), say_percent(-math.inf)] == ["–", "–", "−∞"]


def test_an_interval_says_its_open_ends():
    """One missing end is without bound; two are an interval that is not known."""
    assert say_interval(-0.012, 0.034) == "−0.012 to 0.034"
    assert say_interval(None, 0.3) == "−∞ to 0.3"
    assert say_interval(0.1, None) == "0.1 to ∞"
    assert say_interval(None, None) == "–"
    assert say_interval(0.01, 0.02, say_percent) == "+1% to +2%"


@pytest.mark.parametrize(
    ("p", "said"),
    [(None, "–"), (0.0, "<0.0001"), (3e-26, "<0.0001"), (0.031, "0.031"), (0.0496, "0.0496"), (0.5, "0.5"), (1.0, "1")],
)
def test_a_p_value_is_said_so_that_it_can_be_compared(p, said):
    """Below 0.1 a p-value has four decimals, and one too small for them is said to be smaller."""
    assert say_p(p) == said


def test_text_is_aligned_for_a_terminal():
    """Columns start at the same place in every line, also where signs are two columns wide; numbers end together."""
    table = Table(("variant", "n"), (("a", 5), ("日本", 12_000), ("e\u0301t\u00e9", 1)))
    assert table.to_text().splitlines() == [
        "variant       n",
        "───────  ──────",
        "a             5",
        "日本     12,000",
        "e\u0301t\u00e9" + " " * 11 + "1",
    ]


def test_text_holds_no_control_sequences():
    """A label cannot move the cursor or colour the terminal."""
    text = Table(("a\x1b[31m",), (("b\x07\nc",),), title="\x1b]0;x", notes=("\r",)).to_text()
    assert not [sign for sign in text.replace("\n", "") if unicodedata.category(sign) == "Cc"]
    assert len(text.splitlines()) == 5


def test_csv_keeps_every_digit():
    """CSV reads back to the same numbers; what is undefined is empty."""
    head, *rows = csv.reader(io.StringIO(TABLE.to_csv()))
    assert tuple(head) == TABLE.columns
    assert rows[0] == [PROBE, "0.012", "3e-26"]
    assert rows[1] == ["日本", "", ""]
    assert float(rows[2][1]) == -1.5


def test_markdown_is_a_table_whose_cells_are_text():
    """Each line of the table has as many bars as columns ask for, and no sign of a label is read as Markdown."""
    title, _, head, rule, *rows, _, note = TABLE.to_markdown().splitlines()
    assert title == r"**Effects \<all\>**"
    assert head == "| variant | effect | p |"
    assert rule == "| :--- | ---: | ---: |"
    assert rows[0] == r"| \<script\>alert(1)\</script\>\&\"'\|\`\*x\*\_y\_ | +1.2% | \<0.0001 |".replace(r"\"", '"')
    assert rows[1] == "| 日本 | – | – |"
    assert note == r"a \& b"


def test_html_is_escaped_and_needs_nothing_else():
    """In HTML all texts are text, numbers are in the class that aligns them, and nothing is loaded from elsewhere."""
    written = TABLE._repr_html_()
    root = ET.fromstring(f"<div>{written}</div>")  # noqa: S314 - our own output
    assert [cell.text for cell in root.iter("td")][:3] == [PROBE, "+1.2%", "<0.0001"]
    assert [cell.get("class") for cell in root.iter("th")] == [None, "number", "number"]
    assert root.findtext(".//caption") == "Effects <all>"
    assert not [
        node
        for node in root.iter()
        if node.tag not in {"div", "style", "table", "caption", "thead", "tbody", "tfoot", "tr", "th", "td"}
    ]
    assert "url(" not in written
    assert "http" not in written


def test_html_takes_the_colours_of_its_page():
    """The style names no ground and no ink of its own, so a dark notebook stays readable."""
    style = TABLE._repr_html_().split("</style>")[0]
    assert "color:inherit" in style
    assert "background:none" in style
    assert "#" not in style


def test_dicts_keep_undefined_numbers_as_none():
    """In the data what is undefined is None, and numpy's numbers are Python's."""
    rows = TABLE.to_dicts()
    assert rows[1] == {"variant": "日本", "effect": None, "p": None}
    assert [type(row["effect"]) for row in rows] == [float, type(None), float]


def test_data_frames_hold_the_numbers():
    """Pandas and polars get number columns with their own missing value where a number is undefined."""
    frame, polar = TABLE.to_pandas(), TABLE.to_polars()
    assert isinstance(frame, pd.DataFrame)
    assert list(frame.columns) == list(TABLE.columns)
    assert frame["effect"].dtype == np.float64
    assert frame["effect"].isna().tolist() == [False, True, False]
    assert isinstance(polar, pl.DataFrame)
    assert polar["effect"].to_list() == [0.012, None, -1.5]
    assert polar["effect"].dtype == pl.Float64


def test_data_frames_of_no_rows_keep_their_columns():
    """A table without rows is a frame without rows, with its columns."""
    empty = Table(("a", "b"), ())
    assert list(empty.to_pandas().columns) == ["a", "b"]
    assert empty.to_polars().columns == ["a", "b"]
    assert empty.to_text().splitlines()[0] == "a  b"


@pytest.mark.parametrize(("library", "method"), [("pandas", "to_pandas"), ("polars", "to_polars")])
def test_a_missing_library_says_how_to_get_it(monkeypatch, library, method):
    """Without the library, the error says which to install; a result says the same as its table."""
    monkeypatch.setitem(sys.modules, library, None)
    for source in (TABLE, Estimate(effect=1.0)):
        with pytest.raises(Unavailable) as caught:
            getattr(source, method)()
        assert caught.value.hint == f"pip install {library}"


@pytest.mark.parametrize(
    ("columns", "rows", "says"),
    [(("a", "a"), (), {}), (("a", "b"), ((1,),), {}), (("a",), ((1,),), {"b": say_p})],
)
def test_a_table_that_does_not_fit_is_refused(columns, rows, says):
    """Columns are named once, rows have a cell for each, and only columns that are there are said."""
    with pytest.raises(InvalidInput):
        Table(columns, rows, says=says)


def test_a_result_becomes_plain_data():
    """All the way down a result is JSON: no NaN, no infinity, no enum, no tuple, times as text."""
    verdict = Verdict(
        estimates=(Estimate(effect=math.nan, arms=("a", "b"), warnings=(Warned.TOO_FEW,)), Estimate(effect=math.inf)),
        at=datetime(2026, 11, 25, tzinfo=UTC),
    )
    assert json.loads(json.dumps(verdict.to_dict(), allow_nan=False)) == {
        "estimates": [
            {"effect": None, "low": None, "arms": ["a", "b"], "warnings": ["too_few"]},
            {"effect": None, "low": None, "arms": [], "warnings": []},
        ],
        "at": "2026-11-25T00:00:00+00:00",
    }


def test_numpy_and_collections_become_plain_data():
    """Arrays, numpy's numbers, durations, mappings, sets and tables have a plain form, the same every time."""
    value = {
        Warned.TOO_FEW: np.array([[1.0, np.nan]]),
        1: np.int64(3),
        "set": {"b", "a"},
        "duration": timedelta(minutes=1),
        "flag": np.bool_(True),
        "table": Table(("a",), ((1,),), title="t"),
    }
    assert plain(value) == {
        "too_few": [[1.0, None]],
        "1": 3,
        "set": ["a", "b"],
        "duration": 60.0,
        "flag": True,
        "table": {"title": "t", "columns": ["a"], "rows": [[1]]},
    }


def test_what_has_no_plain_form_is_refused():
    """An object that is no data is refused by name, not written as its address."""
    with pytest.raises(InvalidInput, match="a object has no plain form"):
        plain({"a": object()})


def test_a_result_stays_slotted_and_frozen():
    """Mixing in costs a result neither its slots nor its immutability."""
    assert not hasattr(Estimate(effect=1.0), "__dict__")
    assert Estimate(effect=1.0) == Estimate(effect=1.0)


def test_a_result_with_a_table_is_shown_by_it():
    """All conversions of a result are those of its table."""
    verdict = Verdict(
        estimates=(Estimate(effect=1.0), Estimate(effect=2.0, low=1.5)), at=datetime(2026, 1, 1, tzinfo=UTC)
    )
    table = verdict.table()
    assert verdict._repr_html_() == table._repr_html_()
    assert verdict.to_text() == table.to_text()
    assert verdict.to_markdown() == table.to_markdown()
    assert verdict.to_csv() == table.to_csv()
    assert verdict.to_dicts() == [{"effect": 1.0, "low": None}, {"effect": 2.0, "low": 1.5}]
    assert verdict.to_pandas()["low"].isna().tolist() == [True, False]
    assert verdict.to_polars()["low"].to_list() == [None, 1.5]


def test_a_result_without_a_table_is_a_row_to_programs_and_a_card_to_people():
    """One field a column for a data frame, one field a line for a reader."""
    estimate = Estimate(effect=0.0123, arms=("a", "b"))
    assert estimate.to_dicts() == [{"effect": 0.0123, "low": None, "arms": ["a", "b"], "warnings": []}]
    lines = estimate.to_text().splitlines()
    assert lines[0] == "Estimate"
    assert [line.split(maxsplit=1) for line in lines[3:6]] == [["effect", "0.0123"], ["low", "–"], ["arms", "a, b"]]
    assert "<td>a, b</td>" in estimate._repr_html_()


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (True, "yes"),
        (False, "no"),
        (("a", 0.5), "a, 0.5"),
        (frozenset({"b", "a"}), "a, b"),
        ({"a": 1}, "a=1"),
        (Warned.TOO_FEW, "too_few"),
        (datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC), "2026-01-02 03:04:05+00:00"),
    ],
)
def test_cells_of_any_kind_are_said(value, said):
    """What is no number is said as people write it."""
    assert say(value) == said


@given(st.lists(st.tuples(st.text(max_size=8), st.one_of(st.none(), st.floats())), max_size=5))
def test_every_form_holds_every_row(rows):
    """Whatever the cells, text has a line a row, CSV and HTML read back to as many rows."""
    table = Table(("name", "value"), tuple(rows))
    assert len(table.to_text().split("\n")) == 2 + len(rows)
    assert len(list(csv.reader(io.StringIO(table.to_csv())))) == 1 + len(rows)
    assert table._repr_html_().count("<tr>") == 1 + len(rows)
    assert len(table.to_markdown().split("\n")) == 2 + len(rows)
