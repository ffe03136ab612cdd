"""How results look: plain data as JSON or YAML, and tables for people; times with how long ago and their zone."""

import io
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import is_dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

FORMATS = ("table", "json", "yaml")
_UNWRAPPED = 10_000  # columns when nobody watches: a line stays a line for grep and awk


def plain(value: object) -> Any:  # noqa: ANN401 - JSON is whatever JSON is
    """Turn records, pages and collections of them into plain JSON data with camelCase names."""
    from vedette.kernel.documents import dump
    from vedette.store.pages import Page

    if isinstance(value, Page):
        return {"items": [plain(item) for item in value.items], "next": value.next}
    if is_dataclass(value):
        return dump(value)
    if isinstance(value, Mapping):
        return {str(name): plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


def as_json(value: object, *, indent: int | None = 2) -> str:
    """Write a value as JSON text."""
    return json.dumps(plain(value), indent=indent, ensure_ascii=False)


def as_yaml(value: object) -> str:
    """Write a value as YAML text."""
    from ruamel.yaml import YAML

    stream = io.StringIO()
    writer = YAML()  # keeps the order of fields
    writer.dump(plain(value), stream)
    return stream.getvalue().removesuffix("...\n").rstrip("\n")


def console(*, error: bool = False) -> "Console":
    """Give the console of standard output (or error): coloured on a terminal, unwrapped plain text elsewhere."""
    from rich.console import Console

    stream = sys.stderr if error else sys.stdout
    return Console(file=stream, highlight=False, width=None if stream.isatty() else _UNWRAPPED)


def text(value: object, style: str = "") -> "Text":
    """Show a value as it is: no markup, no control sequences."""
    from rich.text import Text

    said = "" if value is None else str(value)
    return Text("".join(sign for sign in said if sign.isprintable() or sign == "\n"), style=style)


def table(headers: Sequence[str], rows: Iterable[Sequence[object]]) -> "Table":
    """Lay rows out under headers; cells may be text of rich's."""
    from rich.table import Table

    laid = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for header in headers:
        laid.add_column(header)
    for row in rows:
        laid.add_row(*(_cell(cell) for cell in row))
    return laid


def card(pairs: Iterable[tuple[str, object]]) -> "Table":
    """Lay the fields of one thing out, name beside value; empty ones are left out."""
    from rich.table import Table

    laid = Table.grid(padding=(0, 2, 0, 0))
    laid.add_column(style="dim", no_wrap=True)
    laid.add_column()
    for name, value in pairs:
        if value is not None and value != "":
            laid.add_row(name, _cell(value))
    return laid


def _cell(value: object) -> Any:  # noqa: ANN401 - rich's renderables have no common class
    return value if hasattr(value, "__rich_console__") or hasattr(value, "append") else text(value)


def when(moment: datetime | None) -> str:
    """Say a time as ``3m ago, 2026-11-23 16:04:05 CET``: how far from now, and the wall clock with its zone."""
    if moment is None:
        return ""
    return f"{ago(moment)}, {moment.astimezone():%Y-%m-%d %H:%M:%S %Z}"


def ago(moment: datetime) -> str:
    """Say how far a time is from now, to two units."""
    from vedette.kernel.clock import say_duration

    seconds = (datetime.now(UTC) - moment).total_seconds()
    coarse = next((unit for unit in (3600, 60) if abs(seconds) >= 24 * unit), 1)
    said = say_duration(abs(int(seconds)) // coarse * coarse)
    return f"{said} ago" if seconds >= 0 else f"in {said}"


def share(percent: float) -> str:
    """Say a weight in percent, without the zeros that say nothing."""
    return f"{percent:g}%"


def number(value: float | None, digits: int = 4) -> str:
    """Say a figure to some digits; what is unknown is a dash."""
    return "–" if value is None else f"{value:,.{digits}g}" if abs(value) < 10_000 else f"{value:,.0f}"


def interval(low: float | None, high: float | None) -> str:
    """Say the bounds of a ratio; one that is not known is left open."""
    if high is None:
        return f"{number(low, 3)} or more" if low else "–"
    return f"{number(low or 0.0, 3)} to {number(high, 3)}"


def labels(pairs: Mapping[str, str] | None) -> str:
    """Say labels as ``a=b, c=d``."""
    return ", ".join(f"{name}={value}" for name, value in sorted((pairs or {}).items()))
