"""Files read a row at a time, however long they are: CSV, Parquet, and JSON lines; from standard input too.

`frames` sums files where they are; this hands their rows out, each with its number, so that whoever refuses one can
say which. CSV is read by Python's own reader, which knows the line of every row, takes any stream and is quicker here
than rows that are fetched from DuckDB; Parquet is read by DuckDB, some thousand rows at a time.
"""

# ruff: noqa: S608 - statements are made of quoted names only

import csv
import glob
import gzip
import io
import sys
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import IO, Any, Literal, Self

import msgspec

from vedette.connectors.frames import kind_of_file
from vedette.kernel.errors import InvalidInput, NotFound

Format = Literal["csv", "parquet", "jsonl"]
Cells = Mapping[str, Any]

STANDARD_INPUT = "-"
_UNREADABLE = (UnicodeDecodeError, OSError, EOFError, zlib.error)  # EOFError: an archive that was cut off
_SAMPLE = 1_000
_FETCHED = 2_048
_DELIMITERS = ",\t;|"
_FORMATS: Mapping[str, Format] = {"csv": "csv", "parquet": "parquet", "json": "jsonl"}
_INTEGERS = {sign + size for sign in ("", "U") for size in ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT")}
_NUMBERS = frozenset({*_INTEGERS, "BOOLEAN", "FLOAT", "DOUBLE", "DECIMAL"})
_ZONED = "TIMESTAMP WITH TIME ZONE"


@dataclass(frozen=True, slots=True)
class Row:
    """One row: where it stands (the line of a text, or its number, from 1), its cells, or what is wrong with it."""

    place: str
    cells: Cells
    wrong: str = ""


class RowReader:
    """One file, open to be read once: its columns, those that hold numbers, and its rows.

    Of JSON lines the columns are those of the first row, and whatever is a number in a row is one.

    Args:
        path: A file, or ``-`` for standard input.
        form: What it is read as; None to go by its name (standard input then is JSON lines).

    Raises:
        NotFound: There is no such file.
        InvalidInput: It cannot be read as that, or is empty.
    """

    def __init__(self, path: str, form: Format | None = None) -> None:
        self.name = "standard input" if path == STANDARD_INPUT else path
        self.form: Format = form or ("jsonl" if path == STANDARD_INPUT else _FORMATS[kind_of_file(path)])
        self.columns: tuple[str, ...] = ()
        self.numeric: frozenset[str] | None = None
        self.total: int | None = None
        if path != STANDARD_INPUT and not Path(path).is_file():
            raise NotFound(f"there is no file {path}", hint=f"looked from {Path.cwd()}")
        with ExitStack() as stack:
            try:
                self._rows = self._open(path, stack)
            except _UNREADABLE as error:
                raise self._unreadable(error) from error
            self._stack = stack.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def __iter__(self) -> Iterator[Row]:
        """Give the rows in order, those that are no row of this file too."""
        try:
            yield from self._rows
        except _UNREADABLE as error:
            raise self._unreadable(error) from error

    def _open(self, path: str, stack: ExitStack) -> Iterator[Row]:
        match self.form:
            case "parquet":
                return self._parquet(path, stack)
            case "csv":
                return self._csv(stack.enter_context(_text(path, newline="")))
            case "jsonl":
                return self._lines(stack.enter_context(_text(path)))

    def _unreadable(self, error: Exception) -> InvalidInput:
        return InvalidInput(f"{self.name} cannot be read: {error}", hint="it must be whole, and UTF-8")

    def _csv(self, text: IO[str]) -> Iterator[Row]:
        head = text.readline()
        if not head.strip():
            raise InvalidInput(f"{self.name} is empty", hint="its first line names the columns")
        delimiter = max(_DELIMITERS, key=head.count)
        reader = csv.reader(chain([head], text), delimiter=delimiter, strict=True)
        try:
            columns = [name.strip() for name in next(reader)]
        except csv.Error as error:
            raise InvalidInput(f"{self.name}, line 1: {error}", hint="its first line names the columns") from error
        self.columns = tuple(_named_once(self.name, columns))
        rows = _cells_of(reader, self.columns)
        sample = list(islice(rows, _SAMPLE))
        self.numeric = frozenset(name for name in columns if _holds_numbers(row.cells.get(name, "") for row in sample))
        return chain(sample, rows)

    def _lines(self, text: IO[str]) -> Iterator[Row]:
        rows = _documents(text)
        first = list(islice(rows, 1))
        if not first:
            raise InvalidInput(f"{self.name} is empty", hint="one JSON document a line")
        self.columns = tuple(first[0].cells)
        return chain(first, rows)

    def _parquet(self, path: str, stack: ExitStack) -> Iterator[Row]:
        import duckdb

        if path == STANDARD_INPUT:
            raise InvalidInput("Parquet cannot be read from standard input", hint="give a file")
        database = stack.enter_context(duckdb.connect(config={"autoinstall_known_extensions": False}))
        source, place = "read_parquet(?)", [glob.escape(path)]
        try:
            kinds = {
                name: kind for name, kind, *_ in database.execute(f"DESCRIBE SELECT * FROM {source}", place).fetchall()
            }
            [(self.total,)] = database.execute(f"SELECT count(*) FROM {source}", place).fetchall()
            read = ", ".join(_selected(name, kind) for name, kind in kinds.items())
            found = database.execute(f"SELECT {read} FROM {source}", place)
        except duckdb.Error as error:
            raise InvalidInput(f"{path} cannot be read as Parquet: {str(error).splitlines()[0]}") from error
        self.columns = tuple(kinds)
        self.numeric = frozenset(name for name, kind in kinds.items() if kind.partition("(")[0] in _NUMBERS)
        return _fetched(found, self.columns)


def _text(path: str, newline: str | None = None) -> IO[str]:
    if path == STANDARD_INPUT:
        return io.TextIOWrapper(sys.stdin.buffer, encoding="utf-8-sig", newline=newline)
    ending = Path(path).suffix.lower()
    if ending == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig", newline=newline)
    if ending == ".zst":
        raise InvalidInput(f"{path} is compressed with zstd", hint=f"zstd -dc {path} | … import - --format csv")
    return Path(path).open(encoding="utf-8-sig", newline=newline)


def _named_once(source: str, columns: list[str]) -> list[str]:
    if twice := next((name for place, name in enumerate(columns) if name in columns[:place]), None):
        raise InvalidInput(f"{source} has two columns {twice!r}", hint="rename one of them")
    return columns


def _cells_of(reader: Any, columns: tuple[str, ...]) -> Iterator[Row]:  # noqa: ANN401 - csv's reader has no public type
    """Give the rows of a CSV reader; empty lines are none."""
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield Row(f"line {line}", {}, f"it is no CSV: {error}")
            continue
        if len(cells) == len(columns):
            yield Row(f"line {line}", dict(zip(columns, cells, strict=True)))
        elif cells:
            yield Row(f"line {line}", {}, f"it has {len(cells)} cells, and there are {len(columns)} columns")


def _documents(lines: Iterable[str]) -> Iterator[Row]:
    read = msgspec.json.Decoder().decode
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            found = read(line)
        except msgspec.DecodeError as error:
            yield Row(f"line {number}", {}, f"it is no JSON: {error}")
            continue
        if isinstance(found, dict):
            yield Row(f"line {number}", found)
        else:
            yield Row(f"line {number}", {}, "it is no JSON object")


def _fetched(found: Any, columns: tuple[str, ...]) -> Iterator[Row]:  # noqa: ANN401 - DuckDB ships no types of results
    number = 0
    while rows := found.fetchmany(_FETCHED):
        for cells in rows:
            number += 1
            yield Row(f"row {number}", dict(zip(columns, cells, strict=True)))


def _selected(name: str, kind: str) -> str:
    """Read a column; times with a zone as microseconds, for Python needs another library to hold DuckDB's."""
    quoted = '"' + name.replace('"', '""') + '"'
    return f"epoch_us({quoted}) AS {quoted}" if kind == _ZONED else quoted


def _holds_numbers(cells: Iterable[str]) -> bool:
    """Say whether most cells are numbers: what is none is then refused where it stands, not the column left out."""
    held = [_is_number(cell) for cell in cells if cell.strip()]
    return 2 * sum(held) > len(held)


def _is_number(cell: str) -> bool:
    if cell.strip().lower() in {"true", "false"}:
        return True
    try:
        float(cell)
    except ValueError:
        return False
    return True
