"""Results show themselves: one table that becomes text, HTML or a data frame, and one mixin that gives it to results.

A result is a frozen dataclass that mixes in `Shown` and says with `table()` which rows and columns people want to see.
In the data an undefined number is None; only what is shown to people turns it into a dash.
"""

import dataclasses
import html
import math
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from datetime import date, datetime, time, timedelta
from enum import Enum
from numbers import Real
from typing import Any

from vedette.kernel.errors import InvalidInput, Unavailable

UNKNOWN = "–"
"""What people see where a number is not defined."""

STYLE = (
    ".vedette-table{border-collapse:collapse;margin:.5em 0;color:inherit;background:none;font-size:.9em}"
    "table.vedette-table caption{caption-side:top;text-align:left;font-weight:600;padding:.3em 0;color:inherit}"
    "table.vedette-table th,table.vedette-table td{text-align:left;padding:.3em .8em;vertical-align:top;color:inherit;"
    "background:none;border:0;border-bottom:1px solid rgba(128,128,128,.35)}"
    "table.vedette-table thead th{border-bottom:2px solid rgba(128,128,128,.7)}"
    "table.vedette-table .number{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}"
    "table.vedette-table tfoot td{border:0;font-size:.92em}"
)
"""The style sheet of a table in HTML: it inherits the page's colours, so it is readable on any background."""

_MARKDOWN_SIGNS = re.compile(r"([\\`*\[\]<>|~$&#])|(?<![^\W_])(_)|(_)(?![^\W_])")


def say_number(value: float | None, digits: int = 3) -> str:
    """Say a number to some significant digits, whole digits never rounded away: ``0.0312``, ``12,346``, ``3e-26``.

    What is undefined (None, NaN) is a dash; infinities are ``∞`` and ``−∞``.
    """
    if value is None or math.isnan(value):
        return UNKNOWN
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    size = abs(value)
    if size >= 1e15 or 0 < size < 1e-4:
        mantissa, exponent = f"{value:.{max(digits, 1) - 1}e}".split("e")
        said = f"{_trimmed(mantissa)}e{int(exponent)}"
    elif isinstance(value, int):
        said = f"{value:,}"
    else:
        magnitude = math.floor(math.log10(size)) if size else 0
        said = _trimmed(f"{value:,.{max(digits - 1 - magnitude, 0)}f}")
    return said.replace("-", "−", 1) if value < 0 else said


def say_percent(value: float | None, *, signed: bool = True) -> str:
    """Say a fraction in percent, with its sign where it is a change: 0.0123 is ``+1.2%``.

    One decimal, and below one percent as many as show two significant digits; no zeros that say nothing.
    """
    if value is None or not math.isfinite(value):
        return say_number(value)
    percent = abs(100.0 * value)
    magnitude = math.floor(math.log10(percent)) if percent else 0
    said = _trimmed(f"{percent:,.{max(1, 1 - magnitude)}f}") if magnitude > -5 else say_number(percent, 2)
    sign = "−" if value < 0 else "+" if signed and value > 0 else ""
    return f"{sign}{said}%"


def say_interval(low: float | None, high: float | None, say: Callable[[float | None], str] = say_number) -> str:
    """Say an interval as ``−0.012 to 0.034``; one end that is None is without bound, two are an unknown interval."""
    if low is None and high is None:
        return UNKNOWN
    return f"{say(-math.inf if low is None else low)} to {say(math.inf if high is None else high)}"


def say_p(p: float | None) -> str:
    """Say a p-value: ``0.031``, or ``<0.0001`` below that."""
    if p is None or math.isnan(p):
        return UNKNOWN
    return "<0.0001" if p < 0.0001 else _trimmed(f"{p:.4f}" if p < 0.1 else f"{p:.3f}")


def say_p_in_words(p: float | None) -> str:
    """Say a p-value inside a sentence: ``p = 0.031``, or ``p <0.0001``."""
    said = say_p(p)
    return f"p {said}" if said.startswith("<") else f"p = {said}"


def say(value: object) -> str:  # noqa: PLR0911 - one line a kind of value
    """Say any cell as people read it."""
    match value:
        case None:
            return UNKNOWN
        case bool():
            return "yes" if value else "no"
        case int() | float():
            return say_number(value, 4)
        case Enum():
            return str(value.value)
        case datetime():
            return value.isoformat(sep=" ", timespec="seconds")
        case Mapping():
            return ", ".join(f"{say(name)}={say(item)}" for name, item in value.items())
        case list() | tuple() | set() | frozenset():
            return ", ".join(say(item) for item in _ordered(value))
    return str(value)


def plain(value: object) -> Any:  # noqa: ANN401, PLR0911 - JSON is whatever JSON is; one line a kind of value
    """Turn a value into plain JSON data: numbers that are no numbers (NaN, infinities) become None.

    Takes dataclasses, tables, mappings, collections, enums, times (ISO 8601), durations (seconds), numpy values.

    Raises:
        InvalidInput: The value holds something that has no plain form.
    """
    if isinstance(value, Table):
        return {"title": value.title, "columns": list(value.columns), "rows": plain(value.rows)}
    if isinstance(value, Enum):
        return plain(value.value)
    if value is None or isinstance(value, (bool, str, int)):
        return value
    if hasattr(value, "tolist"):  # numpy's scalars and arrays, without numpy
        return plain(value.tolist())
    if isinstance(value, Real):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    return _plain_parts(value)


def _plain_parts(value: object) -> Any:  # noqa: ANN401 - as plain
    if dataclasses.is_dataclass(value):
        return {part.name: plain(getattr(value, part.name)) for part in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {say(name): plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in _ordered(value)]
    raise InvalidInput(f"a {type(value).__name__} has no plain form", hint="keep only data in results")


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under columns, that convert to what the reader has: text, Markdown, HTML, CSV, pandas, polars.

    Attributes:
        columns: Names of the columns; each once.
        rows: One tuple a row, one cell a column. NaN becomes None; enums and numpy scalars become plain values.
        title: What the table shows.
        notes: Sentences below it.
        says: How the cells of some columns are said to people, by name of the column; the data are not touched.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[object, ...], ...]
    _: KW_ONLY
    title: str = ""
    notes: tuple[str, ...] = ()
    says: Mapping[str, Callable[[Any], str]] = field(default_factory=dict, compare=False, repr=False)

    def __post_init__(self) -> None:
        if len(set(self.columns)) != len(self.columns):
            raise InvalidInput(f"a column stands twice in {', '.join(self.columns)}", hint="give each its own name")
        if unknown := sorted(set(self.says) - set(self.columns)):
            raise InvalidInput(f"there is no column {', '.join(unknown)} to be said", hint="says names columns")
        rows = tuple(tuple(_cell(cell) for cell in row) for row in self.rows)
        for number, row in enumerate(rows):
            if len(row) != len(self.columns):
                raise InvalidInput(f"row {number} has {len(row)} cells for {len(self.columns)} columns")
        object.__setattr__(self, "columns", tuple(self.columns))
        object.__setattr__(self, "rows", rows)

    def to_dicts(self) -> list[dict[str, object]]:
        """Give each row as a dictionary by column."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]

    def to_csv(self) -> str:
        """Write CSV with a header line (RFC 4180 with Unix line ends): full precision, undefined cells are empty."""
        lines = [self.columns, *self.rows]
        return "".join(",".join(_csv_field(cell, alone=len(line) == 1) for cell in line) + "\n" for line in lines)

    def to_text(self) -> str:
        """Lay the table out for a terminal: columns aligned, numbers to the right, no control sequences."""
        head, *body = ([_printable(cell) for cell in row] for row in (self.columns, *self._said()))
        widths = [max(map(_width, cells)) for cells in zip(head, *body, strict=True)]
        numeric = self._numeric()
        lines = [_line(head, widths, numeric), "  ".join("─" * width for width in widths)]
        lines += [_line(row, widths, numeric) for row in body]
        title = [_printable(self.title)] if self.title else []
        return "\n".join([*title, *lines, *map(_printable, self.notes)])

    def to_markdown(self) -> str:
        """Write a GitHub-flavoured Markdown table; whatever Markdown would read as its own signs is escaped."""
        lines = [self.columns, tuple("---:" if right else ":---" for right in self._numeric()), *self._said()]
        written = [
            "| " + " | ".join(map(_markdown, line)) + " |" if place != 1 else "| " + " | ".join(line) + " |"
            for place, line in enumerate(lines)
        ]
        title = [f"**{_markdown(self.title)}**", ""] if self.title else []
        notes = [part for note in self.notes for part in ("", _markdown(note))]
        return "\n".join([*title, *written, *notes])

    def to_pandas(self) -> Any:  # noqa: ANN401 - the library may be missing
        """Give a pandas data frame; its missing value stands where a number is undefined.

        Raises:
            Unavailable: pandas is not installed.
        """
        try:
            import pandas as pd
        except ImportError as error:
            raise Unavailable("pandas is not installed", hint="pip install pandas") from error
        return pd.DataFrame(self._by_column(), columns=list(self.columns))

    def to_polars(self) -> Any:  # noqa: ANN401 - the library may be missing
        """Give a polars data frame; null stands where a number is undefined.

        Raises:
            Unavailable: polars is not installed.
        """
        try:
            import polars as pl
        except ImportError as error:
            raise Unavailable("polars is not installed", hint="pip install polars") from error
        return pl.DataFrame(self._by_column(), strict=False)

    def _by_column(self) -> dict[str, list[object]]:
        return {name: [row[place] for row in self.rows] for place, name in enumerate(self.columns)}

    def _said(self) -> list[tuple[str, ...]]:
        speakers = [self.says.get(name, say) for name in self.columns]
        return [
            tuple(UNKNOWN if cell is None else speak(cell) for speak, cell in zip(speakers, row, strict=True))
            for row in self.rows
        ]

    def _numeric(self) -> list[bool]:
        """Columns that hold numbers, and at least one."""
        kinds = ([cell for cell in column if cell is not None] for column in self._by_column().values())
        return [
            bool(cells) and all(isinstance(cell, Real) and not isinstance(cell, bool) for cell in cells)
            for cells in kinds
        ]

    def _repr_html_(self) -> str:
        """Show the table in a notebook or a page: escaped, readable on light and on dark, needing nothing else."""
        kinds = [' class="number"' if right else "" for right in self._numeric()]
        head = "".join(
            f'<th scope="col"{kind}>{html.escape(name)}</th>' for kind, name in zip(kinds, self.columns, strict=True)
        )
        body = "".join(
            "<tr>"
            + "".join(f"<td{kind}>{html.escape(cell)}</td>" for kind, cell in zip(kinds, row, strict=True))
            + "</tr>"
            for row in self._said()
        )
        title = f"<caption>{html.escape(self.title)}</caption>" if self.title else ""
        notes = "".join(f'<tr><td colspan="{len(self.columns)}">{html.escape(note)}</td></tr>' for note in self.notes)
        foot = f"<tfoot>{notes}</tfoot>" if notes else ""
        return (
            f'<style>{STYLE}</style><table class="vedette-table">{title}'
            f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody>{foot}</table>"
        )


class Shown:
    """Mixin of results: frozen, slotted dataclasses that become plain data, tables and notebook output.

    A class that defines `table()` is shown by it. One that does not is a table of one row to a program, its fields the
    columns, and a card to people, one field a line.
    """

    __slots__ = ()

    def table(self) -> Table:
        """Give the rows people want to see."""
        names, cells = self._fields()
        return Table(names, (cells,), title=type(self).__name__)

    def to_dict(self) -> dict[str, Any]:
        """Give plain JSON data, all the way down; NaN and infinities are None."""
        return {part.name: plain(getattr(self, part.name)) for part in dataclasses.fields(self)}  # type: ignore[arg-type]  # the classes that mix this in are dataclasses

    def to_dicts(self) -> list[dict[str, object]]:
        """Give each row of the table as a dictionary by column."""
        return self.table().to_dicts()

    def to_csv(self) -> str:
        """Write the table as CSV, full precision."""
        return self.table().to_csv()

    def to_pandas(self) -> Any:  # noqa: ANN401 - the library may be missing
        """Give the table as a pandas data frame (Unavailable where pandas is not installed)."""
        return self.table().to_pandas()

    def to_polars(self) -> Any:  # noqa: ANN401 - the library may be missing
        """Give the table as a polars data frame (Unavailable where polars is not installed)."""
        return self.table().to_polars()

    def to_text(self) -> str:
        """Lay the table out for a terminal."""
        return self._card().to_text()

    def to_markdown(self) -> str:
        """Write the table in Markdown."""
        return self._card().to_markdown()

    def _repr_html_(self) -> str:
        return self._card()._repr_html_()

    def _card(self) -> Table:
        if type(self).table is not Shown.table:
            return self.table()
        names, cells = self._fields()
        return Table(("field", "value"), tuple(zip(names, map(say, cells), strict=True)), title=type(self).__name__)

    def _fields(self) -> tuple[tuple[str, ...], tuple[object, ...]]:
        shown = [part.name for part in dataclasses.fields(self) if part.repr]  # type: ignore[arg-type]  # as to_dict
        return tuple(shown), tuple(_field(getattr(self, name)) for name in shown)


def _field(value: object) -> object:
    """What a default table shows of a field: data inside it is made plain, all else stays as it is."""
    return plain(value) if dataclasses.is_dataclass(value) or isinstance(value, (Mapping, list, tuple)) else value


def _cell(cell: object) -> object:
    if isinstance(cell, Enum):
        return cell.value
    if hasattr(cell, "tolist"):  # numpy's scalars, without numpy
        cell = cell.tolist()
    return None if isinstance(cell, float) and math.isnan(cell) else cell


def _csv_field(cell: object, *, alone: bool) -> str:
    """Quoted where it must be, bare carriage returns too; a lone empty field would else be no line at all."""
    written = (
        "" if cell is None else cell if isinstance(cell, str) else str(cell) if isinstance(cell, Real) else say(cell)
    )
    quoted = any(sign in written for sign in ',"\r\n') or (alone and not written)
    return '"' + written.replace('"', '""') + '"' if quoted else written


def _ordered(values: Iterable[object]) -> Sequence[object]:
    """Sets have no order of their own; a result must be the same every time it is written."""
    return sorted(values, key=str) if isinstance(values, (set, frozenset)) else tuple(values)


def _trimmed(digits: str) -> str:
    trimmed = digits.rstrip("0").rstrip(".") if "." in digits else digits
    return "0" if trimmed in {"-0", ""} else trimmed


def _printable(text: str) -> str:
    return "".join(sign if sign.isprintable() else " " for sign in text)


def _width(text: str) -> int:
    """Columns of a terminal that a text takes: East Asian signs two, combining marks none."""
    return sum(
        0 if unicodedata.combining(sign) else 2 if unicodedata.east_asian_width(sign) in {"W", "F"} else 1
        for sign in text
    )


def _line(cells: Sequence[str], widths: Sequence[int], numeric: Sequence[bool]) -> str:
    padded = (
        " " * (width - _width(cell)) + cell if right else cell + " " * (width - _width(cell))
        for cell, width, right in zip(cells, widths, numeric, strict=True)
    )
    return "  ".join(padded).rstrip()


def _markdown(text: str) -> str:
    return _MARKDOWN_SIGNS.sub(lambda sign: "\\" + sign.group(), _printable(text))
