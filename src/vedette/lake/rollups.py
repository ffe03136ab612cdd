"""Sums of outcomes: how a batch is added up, and how its sums are added to those in the tables.

Two sums merge as two summaries do (Chan, Golub and LeVeque 1983, see `evidence.summary`), so it makes no difference
in which order and in which batches outcomes arrive.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple, TypeVar

import numpy as np
from sqlalchemy import ColumnElement, Connection, Table, delete, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Dialect

from vedette.evidence.outcome import OutcomeStatus
from vedette.lake.admission import REQUESTS
from vedette.lake.cells import MOST_PARTS, CellKey, ExposureKey, merged
from vedette.lake.clock import HOUR, MINUTE
from vedette.lake.columns import Columns, Measures, Rows, exposures_of
from vedette.lake.grouping import grouped, moments_by, parts_by
from vedette.lake.inserting import execute_many
from vedette.lake.tables import Tables


class Series(NamedTuple):
    """One measure of one version under one plan revision."""

    domain: str
    plan_revision: int
    version: str
    measure: str


class Deltas:
    """What a batch adds to the tables of sums: some measures of its outcomes, where and when they happened."""

    __slots__ = ("_cells", "_exposed", "_minutes")

    def __init__(self, columns: Columns, measures: Measures) -> None:
        self._cells: dict[CellKey, bytes] = {}
        self._exposed: dict[ExposureKey, bytes] = {}
        self._minutes: list[tuple[Series, int, float, float, float]] = []
        if len(columns):
            self._add_versions(columns, measures)
            self._add_arms(columns, measures)

    def merge_into(self, tables: Tables, connection: Connection) -> None:
        """Add everything counted to the tables."""
        if self._cells:
            _add_parts(tables.cells, connection, self._cells)
            _add_parts(tables.exposure_cells, connection, self._exposed)
            _merge_minutes(tables, connection, self._minutes)

    def _add_versions(self, columns: Columns, measures: Measures) -> None:
        domain, assigned, revision = columns.texts["domain"], columns.texts["assigned"], columns.plan_revision
        hour, minute = columns.at // HOUR, columns.at // MINUTE
        group, first = grouped(domain.codes, revision, assigned.codes, hour)
        keys = [
            CellKey(domain.values[domain.codes[row]], int(revision[row]), assigned.values[assigned.codes[row]], its)
            for row, its in zip(first.tolist(), hour[first].tolist(), strict=True)
        ]
        parts = parts_by(len(keys), group, np.arange(len(columns)), columns.bucket, measures)
        self._cells = dict(zip(keys, parts, strict=True))
        for name, (rows, values) in measures.items():
            minutes, sums = moments_by(group[rows] * 60 + minute[rows] % 60, values)
            for place, (n, mean, centred) in zip(minutes.tolist(), sums.tolist(), strict=True):
                cell = keys[place // 60]
                self._minutes.append(
                    (
                        Series(cell.domain, cell.plan_revision, cell.version, name),
                        cell.hour * 60 + place % 60,
                        n,
                        mean,
                        centred,
                    )
                )

    def _add_arms(self, columns: Columns, measures: Measures) -> None:
        texts, codes = columns.texts["exposures"]
        arms: dict[tuple[str, str, int], int] = {}
        rows, which = [np.empty(0, np.intp)], [np.empty(0, np.intp)]
        order = np.argsort(codes, kind="stable")
        bounds = np.searchsorted(codes[order], np.arange(len(texts) + 1))
        for text, begin, end in zip(texts, bounds, bounds[1:], strict=False):
            for exposure in exposures_of(text):
                rows.append(order[begin:end])
                which.append(np.full(end - begin, arms.setdefault(exposure, len(arms))))
        if not arms:
            return
        row, arm, named = np.concatenate(rows), np.concatenate(which), list(arms)
        domain, hour = columns.texts["domain"], columns.at // HOUR
        group, first = grouped(domain.codes[row], arm, hour[row])
        keys = []
        for place in first.tolist():
            experiment, its_arm, epoch = named[arm[place]]
            keys.append(
                ExposureKey(domain.values[domain.codes[row[place]]], experiment, epoch, its_arm, int(hour[row[place]]))
            )
        parts = parts_by(len(keys), group, row, columns.cluster, measures)
        self._exposed = dict(zip(keys, parts, strict=True))


def counted(columns: Columns) -> dict[str, tuple[Rows, np.ndarray[tuple[int], np.dtype[np.float64]]]]:
    """Measures outcomes are counted with: every one is a request; one whose client left is nothing more."""
    every = {REQUESTS: (np.arange(len(columns)), np.ones(len(columns)))}
    statuses, codes = columns.texts["status"]
    if OutcomeStatus.CLIENT_CLOSED not in statuses:
        return {**every, **columns.measures}
    stayed = codes != statuses.index(OutcomeStatus.CLIENT_CLOSED)
    kept = {name: (rows[stayed[rows]], values[stayed[rows]]) for name, (rows, values) in columns.measures.items()}
    return every | {name: measured for name, measured in kept.items() if measured[0].size}


def joined(one: Measures, other: Measures) -> dict[str, tuple[Rows, np.ndarray[tuple[int], np.dtype[np.float64]]]]:
    """Give the measures of both, of which no row has the same one twice."""
    found = dict(one)
    for name, (rows, values) in other.items():
        if name in found:
            all_rows = np.concatenate((found[name][0], rows))
            order = np.argsort(all_rows)
            found[name] = all_rows[order], np.concatenate((found[name][1], values))[order]
        else:
            found[name] = rows, values
    return found


Key = TypeVar("Key", CellKey, ExposureKey)


def _add_parts(table: Table, connection: Connection, parts: Mapping[Key, bytes]) -> None:
    """Add one part to each cell; those that have many parts already are merged into one before."""
    if not parts:
        return
    columns = [table.c[name] for name in next(iter(parts))._fields]
    near = [column.in_(set(values)) for column, values in zip(columns, zip(*parts, strict=True), strict=True)]
    full = select(*columns).where(*near).group_by(*columns).having(func.count() >= MOST_PARTS)
    for values in connection.execute(full).all():
        merge_parts(
            table,
            connection,
            [column == value for column, value in zip(columns, values, strict=True)],
            values._asdict(),
        )
    connection.execute(table.insert(), [{**key._asdict(), "sums": part} for key, part in parts.items()])


def merge_parts(
    table: Table, connection: Connection, here: Iterable[ColumnElement[bool]], key: Mapping[str, object]
) -> None:
    """Replace the parts that are ``here`` by one with this key, where there are several."""
    conditions = list(here)
    parts = connection.scalars(select(table.c.sums).where(*conditions)).all()
    if len(parts) < 2:
        return
    connection.execute(delete(table).where(*conditions))
    connection.execute(table.insert(), {**key, "sums": merged(parts)})


def _merge_minutes(
    tables: Tables, connection: Connection, minutes: Iterable[tuple[Series, int, float, float, float]]
) -> None:
    sums = list(minutes)
    ids = _series_ids(tables, connection, {row[0] for row in sums})
    rows = sorted((ids[series], *row) for series, *row in sums)
    execute_many(connection, _adding(connection.dialect, tables.minute_sums), rows)


def _series_ids(tables: Tables, connection: Connection, wanted: set[Series]) -> dict[Series, int]:
    """Ids of series, making those that are new."""
    series = tables.series
    query = series.select().where(
        series.c.domain.in_({key.domain for key in wanted}),
        series.c.plan_revision.in_({key.plan_revision for key in wanted}),
    )

    def known() -> dict[Series, int]:
        return {Series(*key): series_id for series_id, *key in connection.execute(query)}

    found = known()
    if missing := sorted(wanted - found.keys()):
        connection.execute(series.insert(), [key._asdict() for key in missing])
        found = known()
    return found


def _adding(dialect: Dialect, table: Table) -> str:
    """Write the statement that adds one row of sums to those in a table."""
    statement = (postgresql if dialect.name == "postgresql" else sqlite).insert(table)
    old, new = table.c, statement.excluded
    shift, share = new.mean - old.mean, new.n / (old.n + new.n)
    sums = {
        "n": old.n + new.n,
        "mean": old.mean + shift * share,
        "centred": old.centred + new.centred + shift * shift * old.n * share,
    }
    keys = [column.name for column in table.primary_key]
    return str(statement.on_conflict_do_update(index_elements=keys, set_=sums).compile(dialect=dialect))
