"""Reading scores from a file: JSON lines, a JSON list, or CSV."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

from vedette.cli.schedules import read_text
from vedette.kernel.errors import InvalidInput

_NAMED = ("prompt", "variant", "cluster")


def read_rows(place: str, columns: Mapping[str, str] | None = None) -> Sequence[Mapping[str, Any]]:
    """Read one row a prompt and variant from a file, or from standard input (``-``, in JSON).

    In CSV the first line names the columns. Every other column that holds a number is a measure, an empty cell of it is
    one that was not observed, and columns of words are left out.

    Args:
        place: the file.
        columns: what prompt, variant and cluster are called there; by these names unless given.

    Raises:
        NotFound: there is no such file.
        InvalidInput: it cannot be read; the message names the line.
    """
    named = {it: (columns or {}).get(it) or it for it in _NAMED}
    text, source = read_text(place)
    rows = _csv(text, source, named) if place.lower().endswith(".csv") else _json(text, source)
    if not rows:
        example = '{"prompt": "1", "variant": "v1", "score": 1}'
        raise InvalidInput(f"{source} holds no scores", hint=f"one a line, such as {example}")
    called = {column: it for it, column in named.items()}
    return [{called.get(name, name): cell for name, cell in row.items()} for row in rows]


def _json(text: str, source: str) -> list[Mapping[str, Any]]:
    if text.lstrip().startswith("["):
        listed = [(1, text)]
    else:
        listed = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    rows: list[Any] = []
    for number, line in listed:
        try:
            read = json.loads(line)
        except ValueError as error:
            at = number + getattr(error, "lineno", 1) - 1
            hint = "write one JSON object a line"
            raise InvalidInput(f"{source}:{at}: malformed JSON: {error}", hint=hint) from error
        rows += read if isinstance(read, list) else [read]
    if wrong := next((number for number, row in enumerate(rows, 1) if not isinstance(row, Mapping)), None):
        raise InvalidInput(f"{source}: row {wrong} is no JSON object", hint="it names prompt, variant and measures")
    return rows


def _csv(text: str, source: str, named: Mapping[str, str]) -> list[Mapping[str, Any]]:
    reader = csv.DictReader(io.StringIO(text.removeprefix("\ufeff")))
    header = tuple(reader.fieldnames or ())
    if missing := [named[it] for it in _NAMED[:2] if named[it] not in header]:
        raise InvalidInput(f"{source} has no column {missing[0]!r}", hint=f"it has {', '.join(header)}")
    lines = [(reader.line_num, row) for row in reader]
    kept = [name for name in header if name in named.values()]
    measures = [name for name in header if name not in kept and any(_number(row[name]) is not None for _, row in lines)]
    return [
        {name: row[name] for name in kept}
        | {name: _measure(row[name], f"{source}:{number}: {name}") for name in measures}
        for number, row in lines
    ]


def _measure(cell: str | None, place: str) -> float | None:
    if cell is None or not cell.strip():
        return None
    value = _number(cell)
    if value is None:
        raise InvalidInput(f"{place} is {cell!r}, which is no number", hint="0.87, 1, true, or empty if not observed")
    return value


def _number(cell: str | None) -> float | None:
    """Read a number or a truth value; None for what is neither."""
    word = (cell or "").strip().lower()
    if word in {"true", "false"}:
        return float(word == "true")
    try:
        return float(word)
    except ValueError:
        return None
