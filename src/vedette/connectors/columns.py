"""A file of rows and what is in its columns, asked of DuckDB: kinds, counts by arm, values, rows.

`frames` gives the sums an analysis needs; this is for what sums do not say: which columns there are, how many rows
lack a value, whether a column holds only 0 and 1, and the values themselves, for quantiles and for pairs.
"""

# ruff: noqa: S608 - statements are made of our own names and quoted ones only

import glob
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import duckdb
import numpy as np

from vedette.connectors.frames import kind_of_file, matching_files
from vedette.evidence.summary import FloatArray
from vedette.kernel.errors import InvalidInput

Labels = np.ndarray[Any, np.dtype[Any]]

Given = TypeVar("Given")

_WORDS = {"VARCHAR": "text", "DATE": "dates", "TIMESTAMP": "times"}

_NUMBERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "BOOLEAN", "FLOAT", "DOUBLE", "DECIMAL", '"NULL"')


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmCounts:
    """What one arm holds.

    Attributes:
        rows: All its rows.
        units: Rows, or clusters where rows are less than what was randomised.
        known: By column, rows that have a value.
        whole: Rows that have all the values they need.
        binary: Columns that hold nothing but 0 and 1.
    """

    rows: int
    units: int
    known: Mapping[str, int]
    whole: int
    binary: frozenset[str]


class RowFile:
    """Files of one kind, open to be asked; columns named in `labels` are read as text ('01' and '1' are two arms)."""

    def __init__(self, path: str, labels: Sequence[str] = ()) -> None:
        self.path = path
        files = [glob.escape(file) for file in matching_files(path)]
        kinds = {kind_of_file(file) for file in files}
        if len(kinds) > 1:
            raise InvalidInput(f"files of different kinds cannot be read as one table: {', '.join(sorted(kinds))}")
        self._connection = duckdb.connect(config={"autoinstall_known_extensions": False})
        self.relation: Any = self._open(kinds.pop(), files, labels)
        self.kinds = dict(zip(self.relation.columns, map(str, self.relation.types), strict=True))

    @property
    def columns(self) -> tuple[str, ...]:
        """Name the columns."""
        return tuple(self.kinds)

    def require(self, *columns: str) -> None:
        """Refuse a column that is not there, naming those that are.

        Raises:
            InvalidInput: as said.
        """
        for column in columns:
            if column not in self.kinds:
                raise InvalidInput(
                    f"{self.path} has no column {column!r}", hint=f"its columns: {', '.join(self.columns)}"
                )

    def require_numbers(self, *columns: str) -> None:
        """Refuse a column that is not there or holds something else than numbers.

        Raises:
            InvalidInput: as said.
        """
        self.require(*columns)
        for column in columns:
            if self.kinds[column].partition("(")[0].removeprefix("U") in _NUMBERS:
                continue
            [(rows, known)] = self._rows(f"SELECT count(*), count({_quoted(column)}) FROM source")
            if not rows:
                raise InvalidInput(f"{self.path} holds no rows", hint="give a file with one row a unit")
            if not known:
                raise InvalidInput(
                    f"{column!r} has no value in any row of {self.path}", hint="check how it is recorded"
                )
            kind = _WORDS.get(self.kinds[column], self.kinds[column])
            raise InvalidInput(
                f"column {column!r} of {self.path} holds {kind}, not numbers",
                hint="name a numeric column; yes and no are 1 and 0",
            )

    def arms(
        self, by: str, columns: Sequence[str], cluster: str = "", *, needed: Sequence[str] = ()
    ) -> dict[str, ArmCounts]:
        """Count the rows of each arm, the values of each column, and the rows that have all `needed` ones, in one pass.

        Raises:
            InvalidInput: Rows name no arm or no cluster, there are none, or there is no such column.
        """
        self.require(by, *((cluster,) if cluster else ()))
        self.require_numbers(*columns)
        there = [self._known(column) for column in columns]
        known = [f"count(*) FILTER (WHERE {it})" for it in there]
        binary = [
            f"coalesce(bool_and({self._number(column)} IN (0, 1)) FILTER (WHERE {it}), true)"
            for column, it in zip(columns, there, strict=True)
        ]
        whole = f"count(*) FILTER (WHERE {' AND '.join(map(self._known, needed)) or 'true'})"
        units = f"count(DISTINCT {_quoted(cluster)})" if cluster else "count(*)"
        lost = f"count(*) - count({_quoted(cluster)})" if cluster else "0"
        asked = ", ".join(["count(*)", units, lost, whole, *known, *binary])
        rows = self._rows(f"SELECT {_text(by)} AS arm, {asked} FROM source GROUP BY arm ORDER BY arm")
        if not rows:
            raise InvalidInput(f"{self.path} holds no rows", hint="give a file with one row a unit")
        for arm, count, _, without, *_ in rows:
            if arm is None:
                raise InvalidInput(f"{count:,} rows of {self.path} name no arm in {by!r}", hint="leave them out")
            if without:
                raise InvalidInput(f"{without:,} rows of {arm} name no {cluster!r}", hint="leave them out")
        return {
            arm: ArmCounts(
                rows=count,
                units=unit,
                whole=complete,
                known=dict(zip(columns, rest[: len(columns)], strict=True)),
                binary=frozenset(it for it, only in zip(columns, rest[len(columns) :], strict=True) if only),
            )
            for arm, count, unit, _, complete, *rest in rows
        }

    def values(
        self, by: str, column: str, cluster: str = "", *, missing_as: float | None = None
    ) -> dict[str, tuple[FloatArray, Labels]]:
        """Give a column's values by arm and the cluster of each; what is missing is left out, or `missing_as`.

        Raises:
            InvalidInput: There is no such column, or it holds something else than numbers.
        """
        self.require_numbers(column)
        value, known = self._number(column), self._known(column)
        if missing_as is not None:
            value, known = f"CASE WHEN {known} THEN {value} ELSE {missing_as!r} END", "true"
        label = f"hash({_quoted(cluster)})" if cluster else "0"
        asked = f"SELECT {_text(by)} AS arm, {value} AS value, {label} AS cluster FROM source WHERE {known}"
        found = self._running(lambda: self.relation.query("source", asked).fetchnumpy())
        arms, values, of = np.asarray(found["arm"], str), np.asarray(found["value"], np.float64), found["cluster"]
        return {str(name): (values[arms == name], np.asarray(of)[arms == name]) for name in np.unique(arms)}

    def rows(self, columns: Mapping[str, str], numbers: Mapping[str, str]) -> list[dict[str, Any]]:
        """Give every row as a dictionary: `columns` as text and `numbers` as they are, each under its new name.

        Raises:
            InvalidInput: There is no such column, or a number is none.
        """
        self.require(*columns.values())
        self.require_numbers(*numbers.values())
        asked = [_text(column) for column in columns.values()]
        asked += [self._number(column) for column in numbers.values()]
        names = (*columns, *numbers)
        return [dict(zip(names, row, strict=True)) for row in self._rows(f"SELECT {', '.join(asked)} FROM source")]

    def _open(self, kind: str, files: list[str], labels: Sequence[str]) -> Any:  # noqa: ANN401 - a DuckDB relation
        if kind == "parquet":
            return self._running(lambda: self._connection.read_parquet(files))
        if kind == "json":
            return self._running(lambda: self._connection.read_json(files, format="newline_delimited"))
        there = self._running(lambda: self._connection.read_csv(files)).columns
        text = {name: "VARCHAR" for name in labels if name in there}
        return self._running(lambda: self._connection.read_csv(files, dtype=text))

    def _number(self, column: str) -> str:
        if self.kinds[column] == "BOOLEAN":  # no cast: the reader of CSV files would read the text 'True' as a double
            return f"CASE {_quoted(column)} WHEN true THEN CAST(1 AS DOUBLE) WHEN false THEN 0 END"
        return f"CAST({_quoted(column)} AS DOUBLE)"

    def _known(self, column: str) -> str:
        """Whether a value is there and no NaN (`isnan` may be answered from a file's statistics, which know none)."""
        value = self._number(column)
        return f"(isfinite({value}) OR isinf({value}))"

    def _rows(self, statement: str) -> list[tuple[Any, ...]]:
        return self._running(lambda: list(self.relation.query("source", statement).fetchall()))

    def _running(self, run: Callable[[], Given]) -> Given:
        try:
            return run()
        except duckdb.Error as error:
            raise InvalidInput(f"{self.path} cannot be read: {str(error).splitlines()[0]}") from error


def _quoted(name: str) -> str:
    return 'source."' + name.replace('"', '""') + '"'


def _text(name: str) -> str:
    return f"CAST({_quoted(name)} AS VARCHAR)"
