"""Stored outcomes at one moment, to be asked in SQL: those in segments, those still in the spool, and late judgements.

A snapshot is taken in one transaction of the database and names its files one by one; nothing ever lists a folder to
find what is stored. DuckDB then runs in this process, in memory, over these files and the spool's tail: it holds no
lock and no file that anybody else needs. A file may be gone when it is opened, because segments were merged or dropped
in between: then what is true has changed, and whoever asked takes a new snapshot.
"""
# ruff: noqa: S608 - names and values go through `lake.dialect`, which quotes them

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

import duckdb
import msgspec
import numpy as np
from sqlalchemy import Connection, select

from vedette.kernel.errors import Unavailable
from vedette.lake.columns import TEXTS, UNIT, Columns
from vedette.lake.dialect import DUCKDB, Dialect
from vedette.lake.queries import FIELDS, Cut, Page, measure_column
from vedette.lake.tables import Tables

_TYPES = {"at_micros": "BIGINT", "plan_revision": "INTEGER", "bucket": "SMALLINT", "cluster": "SMALLINT"}
_NUMBERS = {"at_micros": "at", "plan_revision": "plan_revision", "bucket": "bucket", "cluster": "cluster"}
_MEMORY = "1GB"


class FileGone(Exception):
    """A segment's file is no longer there."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What is stored at one moment: files, batches, late judgements by outcome, and whether any file has units."""

    files: Sequence[Path]
    columns: Collection[str]
    tail: Sequence[Columns]
    late: Mapping[str, Mapping[str, float]]
    units: bool = False

    @property
    def measures(self) -> list[str]:
        """Every measure any of the outcomes has."""
        names = {*self.columns, *(name for batch in self.tail for name in batch.measures)}
        return sorted(names.union(*self.late.values()))


def snapshot(
    connection: Connection,
    tables: Tables,
    folder: Path | None,
    domain: str,
    since: int | None = None,
    until: int | None = None,
) -> Snapshot:
    """Say what is stored that may be of a domain and a span of time."""
    segments, spool, amended = tables.segments.c, tables.spool.c, tables.amendments.c
    listed = select(segments.name, segments.measures, segments.units).where(~segments.dropped)
    held = select(spool.columns)
    late = select(amended.outcome_id, amended.measure, amended.value).where(amended.domain == domain)
    if since is not None:
        listed, held = listed.where(segments.last >= since), held.where(spool.last >= since)
        late = late.where(amended.at >= since)
    if until is not None:
        listed, held = listed.where(segments.first < until), held.where(spool.first < until)
        late = late.where(amended.at < until)
    files = connection.execute(listed.order_by(segments.day, segments.name)).all()
    judged: dict[str, dict[str, float]] = {}
    for outcome_id, measure, value in connection.execute(late):
        judged.setdefault(outcome_id, {})[measure] = value
    tail = [Columns.decoded(stored) for stored in connection.scalars(held.order_by(spool.number))]
    return Snapshot(
        files=paths(folder, [row.name for row in files]),
        columns={name for row in files for name in msgspec.json.decode(row.measures)},
        tail=[batch for batch in tail if domain in batch.texts["domain"].values],
        late=judged,
        units=any(row.units for row in files),
    )


def paths(folder: Path | None, names: Iterable[str]) -> list[Path]:
    """Give the files of segments.

    Raises:
        Unavailable: There are some, and nobody said where.
    """
    listed = list(names)
    if listed and folder is None:
        raise Unavailable(
            "outcomes are in segments, and this process does not know their folder",
            hint="set VEDETTE_SEGMENTS to the folder the server has",
        )
    return [folder / name for name in listed] if folder else []


class Held:
    """The outcomes of a snapshot in DuckDB, as the relation ``outcomes``; see `lake.engines`."""

    def __init__(self, cursor: duckdb.DuckDBPyConnection) -> None:
        self.cursor = cursor

    @property
    def dialect(self) -> Dialect:
        """How queries are to be written."""
        return DUCKDB

    def keep(self, name: str, query: str, *, stored: bool) -> None:
        """Give what a query finds a name; ``stored`` where it is worth finding only once."""
        self.cursor.execute(f"CREATE OR REPLACE TEMP {'TABLE' if stored else 'VIEW'} {name} AS {query}")

    def rows(self, query: str) -> list[dict[str, Any]]:
        """Run a query and give its rows."""
        found = self.cursor.execute(query)
        names = [column[0] for column in found.description]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]

    def columns(self, query: str) -> Mapping[str, np.ndarray[Any, Any]]:
        """Run a query and give its columns, NULL as zero."""
        return {name: np.ma.filled(column, 0) for name, column in self.cursor.execute(query).fetchnumpy().items()}


class History:
    """DuckDB in this process, over snapshots; may be used by many threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._connection: duckdb.DuckDBPyConnection | None = None

    @contextmanager
    def over(self, taken: Snapshot, query: Page | Cut) -> Iterator[Held]:
        """Hold the outcomes of a snapshot.

        Raises:
            FileGone: A file is no longer there.
            Unavailable: A file cannot be read, or there is too little memory.
        """
        with self._lock:
            self._connection = self._connection or connect()
        with self._connection.cursor() as cursor, translated():
            units = isinstance(query, Page) and query.units
            relation = _relation(cursor, taken, query.domain, units=units)
            cursor.execute(f"CREATE TEMP VIEW outcomes AS {relation}")
            yield Held(cursor)

    def probe(self) -> str:
        """Say who counts."""
        return f"DuckDB {duckdb.__version__} in this process"

    def close(self) -> None:
        """Let go of the engine; it may be used again."""
        with self._lock:
            if self._connection:
                self._connection.close()
            self._connection = None


def connect(spill: Path | None = None) -> duckdb.DuckDBPyConnection:
    """Open an engine in memory; ``spill`` is where it may put what does not fit there."""
    settings: dict[str, str | bool | int | float | list[str]] = {
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "memory_limit": _MEMORY,
        "preserve_insertion_order": False,
    }
    if spill:
        settings["temp_directory"] = str(spill)
    return duckdb.connect(":memory:", config=settings)


@contextmanager
def translated() -> Iterator[None]:
    """Tell what goes wrong in the engine in the words of `kernel.errors`."""
    try:
        yield
    except duckdb.IOException as error:
        if "No files found" in str(error) or "No such file" in str(error):
            raise FileGone(str(error)) from error
        raise Unavailable(f"stored outcomes cannot be read: {error}") from error
    except duckdb.Error as error:
        raise Unavailable(f"stored outcomes cannot be read: {error}") from error


def rows_of(parts: Sequence[Columns], domain: str = "") -> dict[str, np.ndarray[Any, Any]]:
    """Lay batches out as columns of one table, of one domain or of all; what a row lacks is NaN or ""."""
    kept = [_rows(part, domain) for part in parts]
    table: dict[str, np.ndarray[Any, Any]] = {
        "id": _joined([np.array(part.ids, object)[rows] for part, rows in zip(parts, kept, strict=True)], object)
    }
    for name in (*TEXTS, UNIT) if any(UNIT in part.texts for part in parts) else TEXTS:
        pairs = zip(parts, kept, strict=True)
        table[name] = _joined([_texts(part, name, rows) for part, rows in pairs], object)
    for name, field in _NUMBERS.items():
        table[name] = _joined([getattr(part, field)[rows] for part, rows in zip(parts, kept, strict=True)], np.int64)
    for name in dict.fromkeys(name for part in parts for name in part.measures):
        dense = []
        for part, rows in zip(parts, kept, strict=True):
            values = np.full(len(part), np.nan)
            if measured := part.measures.get(name):
                values[measured[0]] = measured[1]
            dense.append(values[rows])
        table[measure_column(name)] = _joined(dense, np.float64)
    return table


def selected(columns: Collection[str], measures: Sequence[str], *, units: bool = False) -> str:
    """Write the columns of outcomes in their order, with their types; a measure there is no column of is NULL.

    With ``units`` theirs is one of them; what has none has "" there.
    """
    fields = [f"CAST({name} AS {_TYPES.get(name, 'VARCHAR')}) AS {name}" for name in FIELDS]
    if units:
        fields.append(f"coalesce({UNIT if UNIT in columns else 'NULL'}, '') AS {UNIT}")
    for name in measures:
        quoted = DUCKDB.quoted(measure_column(name))
        held = quoted if measure_column(name) in columns else "NULL"
        fields.append(f"CAST({held} AS DOUBLE) AS {quoted}")
    return ", ".join(fields)


def reading(files: Sequence[Path]) -> str:
    """Write the relation of some segments' files."""
    return f"read_parquet([{', '.join(DUCKDB.text(str(path)) for path in files)}], union_by_name = true)"


def late_rows(late: Mapping[str, Mapping[str, float]]) -> dict[str, np.ndarray[Any, Any]]:
    """Lay late judgements out as columns of one table; what was not judged is NaN."""
    names = sorted({name for judged in late.values() for name in judged})
    columns = {
        f"late_{name}": np.array([judged.get(name, np.nan) for judged in late.values()], np.float64) for name in names
    }
    return {"late_id": np.array(list(late), object), **columns}


def amended(cursor: duckdb.DuckDBPyConnection, relation: str, late: Mapping[str, Mapping[str, float]]) -> str:
    """Write a relation of outcomes with late judgements joined; what an outcome measured itself stands."""
    if not late:
        return f"SELECT * FROM ({relation}) AS measured"
    names = sorted({name for judged in late.values() for name in judged})
    cursor.register("late", late_rows(late))
    joined = ", ".join(
        f"coalesce(measured.{quoted}, late.{DUCKDB.quoted(f'late_{name}')}) AS {quoted}"
        for name in names
        for quoted in [DUCKDB.quoted(measure_column(name))]
    )
    return f"SELECT measured.* REPLACE ({joined}) FROM ({relation}) AS measured LEFT JOIN late ON measured.id = late_id"


def _relation(cursor: duckdb.DuckDBPyConnection, taken: Snapshot, domain: str, *, units: bool) -> str:
    measures = taken.measures
    parts = []
    if taken.files:
        columns = {*map(measure_column, taken.columns), *([UNIT] if taken.units else [])}
        parts.append(f"SELECT {selected(columns, measures, units=units)} FROM {reading(taken.files)}")
    if taken.tail or not taken.files:
        tail = rows_of(taken.tail, domain)
        cursor.register("tail", tail)
        parts.append(f"SELECT {selected(tail.keys(), measures, units=units)} FROM tail")
    return amended(cursor, " UNION ALL ".join(parts), taken.late)


def _texts(part: Columns, name: str, rows: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    if name not in part.texts:
        return np.full(len(rows), "", object)
    values, codes = part.texts[name]
    found: np.ndarray[Any, Any] = np.array(values, object)[codes[rows]]
    return found


def _rows(part: Columns, domain: str) -> np.ndarray[Any, Any]:
    domains, codes = part.texts["domain"]
    return np.flatnonzero(codes == domains.index(domain)) if domain else np.arange(len(part))


def _joined(arrays: Sequence[np.ndarray[Any, Any]], kind: Any) -> np.ndarray[Any, Any]:  # noqa: ANN401 - a numpy type
    return np.concatenate(arrays) if arrays else np.empty(0, kind)
