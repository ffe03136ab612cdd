"""Sums taken by DuckDB, inside this process: of files, of tables in memory, and of what a DuckDB relation stands for.

One statement a pass: it reads the needed columns only, in parallel, and gives a row a group. Names of columns are
quoted, paths and types are parameters, so nothing that was given is ever read as SQL.
"""

# ruff: noqa: S608 - statements are made of our own names and quoted ones only

import os
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from tempfile import gettempdir
from typing import Any, TypeVar

import duckdb

from vedette.connectors.frames_sums import (
    Faults,
    GroupSums,
    Pivots,
    Question,
    read_sums,
    require,
    require_numbers,
)
from vedette.kernel.errors import InvalidInput

Rows = list[tuple[Any, ...]]
Run = Callable[[str], Rows]
Given = TypeVar("Given")

_SOURCE = "vedette_source"
_READERS = {"parquet": "read_parquet(?)", "csv": "read_csv(?)", "json": "read_json(?, format = 'newline_delimited')"}
_TYPED_CSV = "read_csv(?, types = ?)"
_INTEGERS = {sign + size for sign in ("", "U") for size in ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT")}
_NUMBERS = frozenset({*_INTEGERS, "BOOLEAN", "FLOAT", "DOUBLE", "DECIMAL", '"NULL"'})


class DuckTable:
    """A table that DuckDB reads: `run` gives the rows of a statement over `source`; `kinds` are its columns' types."""

    __slots__ = ("_kinds", "_run", "_source")

    def __init__(self, run: Run, source: str, kinds: Mapping[str, str]) -> None:
        self._run = run
        self._source = source
        self._kinds = kinds

    def sums(self, question: Question, pivots: Pivots | None) -> list[GroupSums]:
        """Sum in one statement (see `frames_sums.Table`)."""
        rows = self._run(_sums_statement(question, self._read(question), pivots))
        return read_sums(rows, question)

    def faults(self, question: Question) -> Mapping[str, Faults]:
        """Count missing and infinite values in one statement (see `frames_sums.Table`)."""
        counts = [
            f"count(*) - count(*) FILTER (WHERE {_is_number(value)}), count(*) FILTER (WHERE isinf({value}))"
            for value in (f"c{place}" for place in range(len(question.columns)))
        ]
        [(rows, *found)] = self._run(f"SELECT count(*), {', '.join(counts)} FROM ({self._read(question)})")
        return {
            column: Faults(rows=rows, missing=found[2 * place], infinite=found[2 * place + 1])
            for place, column in enumerate(question.columns)
        }

    def _read(self, question: Question) -> str:
        """Each row's group as text, its cluster, and its values as doubles."""
        groups = [f"{self._label(column)} AS g{place}" for place, column in enumerate(question.groups)]
        clusters = [] if question.cluster is None else [f"{_quoted(question.cluster)} AS cluster"]
        values = [f"{self._value(column, question)} AS c{place}" for place, column in enumerate(question.columns)]
        return f"SELECT {', '.join(groups + clusters + values)} FROM {self._source} AS source"

    def _value(self, column: str, question: Question) -> str:
        value = f"CAST({_quoted(column)} AS DOUBLE)"
        if self._kinds[column] == "BOOLEAN":
            # Not a cast: the reader of CSV files would then read the text 'True' as a double.
            value = f"CASE {_quoted(column)} WHEN true THEN CAST(1 AS DOUBLE) WHEN false THEN 0 END"
        if question.missing == "refuse":
            return value
        return f"CASE WHEN {_is_number(value)} THEN {value} {'ELSE 0 ' * (question.missing == 'zero')}END"

    def _label(self, column: str) -> str:
        fraction = self._kinds[column] in {"FLOAT", "DOUBLE"}
        name = _quoted(column)
        value = f"CASE WHEN {_is_number(name)} THEN {name} END" if fraction else name
        return f"CAST({value} AS VARCHAR)"


def from_files(paths: Sequence[str], kind: str, question: Question) -> DuckTable:
    """Give the table that files of one kind (parquet, csv, json: a line a row) hold together.

    Raises:
        InvalidInput: They cannot be read, or lack a column or hold something else in it.
    """
    cursor = _database(os.getpid()).cursor()
    reader = _READERS[kind]
    parameters: list[Any] = [list(paths)]
    shown = paths[0] if len(paths) == 1 else f"{len(paths)} files, the first {paths[0]}"

    def run(statement: str) -> Rows:
        return _running(lambda: cursor.execute(statement, parameters).fetchall(), f"{shown} cannot be read as {kind}")

    kinds = _kinds(run, reader)
    _require(question, kinds)
    if kind == "csv":
        # What names a group or a cluster is text: '01' and '1' are two arms.
        reader = _TYPED_CSV
        parameters = [list(paths), {name: "VARCHAR" for name in question.needed if name not in question.columns}]
        kinds = {**kinds, **dict.fromkeys(parameters[1], "VARCHAR")}
    return DuckTable(run, reader, kinds)


def from_memory(table: object, question: Question) -> DuckTable:
    """Give a table in memory: a pandas frame, a pyarrow table, or a dict of numpy arrays, with the needed columns.

    Raises:
        InvalidInput: DuckDB cannot read it, or a column does not hold numbers.
    """
    cursor = _database(os.getpid()).cursor()

    def run(statement: str) -> Rows:
        return _running(lambda: cursor.execute(statement).fetchall(), "this table cannot be read")

    _running(lambda: cursor.register(_SOURCE, table), "this table cannot be read")
    kinds = _kinds(run, _SOURCE)
    _require(question, kinds)
    return DuckTable(run, _SOURCE, kinds)


def from_relation(relation: Any, question: Question) -> DuckTable:  # noqa: ANN401 - of any version of DuckDB
    """Give the table that a DuckDB relation stands for, read on its own connection.

    Raises:
        InvalidInput: It lacks a column, or holds something else in it.
    """
    kinds = {str(name): str(kind) for name, kind in zip(relation.columns, relation.types, strict=True)}
    _require(question, kinds)

    def run(statement: str) -> Rows:
        def rows() -> Rows:
            return list(relation.query(_SOURCE, statement).fetchall())

        return _running(rows, "this relation cannot be read")

    return DuckTable(run, _SOURCE, kinds)


@cache
def _database(process: int) -> duckdb.DuckDBPyConnection:
    """One database a process, since starting one takes longer than most questions; each use has its own cursor."""
    # DuckDB makes and removes it where memory runs out; by itself it would use the working directory.
    spill = Path(gettempdir()) / f"vedette-{process}"
    return duckdb.connect(config={"autoinstall_known_extensions": False, "temp_directory": str(spill)})


def _running(run: Callable[[], Given], failed: str) -> Given:
    try:
        return run()
    except duckdb.Error as error:
        raise InvalidInput(f"{failed}: {str(error).splitlines()[0]}") from error


def _kinds(run: Run, source: str) -> dict[str, str]:
    return {name: kind for name, kind, *_ in run(f"DESCRIBE SELECT * FROM {source}")}


def _require(question: Question, kinds: Mapping[str, str]) -> None:
    require(question.needed, kinds)
    numbers = {name for name, kind in kinds.items() if kind.partition("(")[0] in _NUMBERS}
    require_numbers(question.columns, kinds, numbers)


def _quoted(name: str) -> str:
    """A column of the source by its name alone, whatever is in it, told apart from our own names."""
    return 'source."' + name.replace('"', '""') + '"'


def _is_number(value: str) -> str:
    """Whether a value is no NaN; `isnan` is answered from a file's statistics, which know none (DuckDB 2.0.1)."""
    return f"(isfinite({value}) OR isinf({value}))"


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _sums_statement(question: Question, rows: str, pivots: Pivots | None) -> str:
    groups = [f"g{place}" for place in range(len(question.groups))]
    values = [f"c{place}" for place in range(len(question.columns))]
    kept, counts = [], ["count(*)", f"count({' + '.join(values)})", f"count({' + '.join(values)})", "0"]
    if question.missing == "drop":
        others = groups if question.cluster is None else [*groups, "cluster"]
        whole = [f"CASE WHEN {' + '.join(values)} IS NOT NULL THEN {value} END AS {value}" for value in values]
        rows = f"SELECT {', '.join(others + whole)} FROM ({rows})"
    if question.cluster is not None:
        rows = _clusters(rows, groups, values)
        values, kept = [*values, f"c{len(values)}"], ["cluster", "seen", "whole"]
        counts = ["sum(seen)", "sum(whole)", f"count({' + '.join(values)})", "count(*) FILTER (WHERE cluster IS NULL)"]
    if pivots is None:
        rows = _about_origin(question.origin, rows, groups + kept, values)
    else:
        rows = _about(pivots, rows, groups + kept, values)
    sums = [f"sum({value})" for value in values]
    sums += [f"sum({values[left]} * {values[right]})" for left, right in question.products]
    return f"SELECT {', '.join(groups + counts + sums)} FROM ({rows}) GROUP BY {', '.join(groups)}"


def _clusters(rows: str, groups: Sequence[str], values: Sequence[str]) -> str:
    """One row a cluster; a cluster none of whose rows is whole has no values, so that it is not counted."""
    keys = ", ".join([*groups, "cluster"])
    whole = f"count({' + '.join(values)})"
    sums = ", ".join(f"sum({value}) AS {value}" for value in values)
    return (
        f"SELECT {keys}, {sums}, CAST(nullif({whole}, 0) AS DOUBLE) AS c{len(values)}, {whole} AS whole, "
        f"count(*) AS seen FROM ({rows}) GROUP BY {keys}"
    )


def _about_origin(origin: Sequence[float], rows: str, kept: Sequence[str], values: Sequence[str]) -> str:
    """The values less one pivot for all; taking away 0 costs nothing and unpacks what files store as a dictionary."""
    shifted = [f"{value} - CAST({pivot!r} AS DOUBLE) AS {value}" for value, pivot in zip(values, origin, strict=True)]
    return f"SELECT {', '.join([*kept, *shifted])} FROM ({rows})"


def _about(pivots: Pivots, rows: str, kept: Sequence[str], values: Sequence[str]) -> str:
    """The values less the pivots of their group."""
    keys = [f"k{place}" for place in range(len(next(iter(pivots))))]
    names = [f"p{place}" for place in range(len(values))]
    listed = ", ".join(
        f"({', '.join([*map(_text, map(str, group)), *(f'CAST({float(pivot)!r} AS DOUBLE)' for pivot in pivot_of)])})"
        for group, pivot_of in pivots.items()
    )
    same = " AND ".join(f"g{place} = {key}" for place, key in enumerate(keys))
    shifted = [f"{value} - {name} AS {value}" for value, name in zip(values, names, strict=True)]
    return (
        f"SELECT {', '.join([*kept, *shifted])} FROM ({rows}) "
        f"JOIN (VALUES {listed}) AS pivots({', '.join([*keys, *names])}) ON {same}"
    )
