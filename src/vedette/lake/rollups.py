"""Sums of outcomes: how a batch is added up, and how its sums are added to those in the tables.

Two sums merge as two summaries do (Chan, Golub and LeVeque 1983, see `evidence.summary`), so it makes no difference
in which order and in which batches outcomes arrive.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import NamedTuple, TypeVar

from sqlalchemy import ColumnElement, Connection, Table, delete, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Dialect

from vedette.evidence.outcome import Outcome, OutcomeStatus
from vedette.lake.admission import REQUESTS
from vedette.lake.cells import MOST_PARTS, CellKey, Tally, count, merged
from vedette.lake.exposures import ExposureKey, SharedTally, cluster_of
from vedette.lake.tables import Tables

MINUTE = 60_000_000
HOUR = 60 * MINUTE

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def microseconds(at: datetime) -> int:
    """Count the microseconds since 1970."""
    return (at - _EPOCH) // _MICROSECOND


def moment(micros: int) -> datetime:
    """Give the time that many microseconds after 1970, in UTC."""
    return _EPOCH + timedelta(microseconds=micros)


class Series(NamedTuple):
    """One measure of one version under one plan revision."""

    domain: str
    plan_revision: int
    version: str
    measure: str


class Deltas:
    """What a batch adds to the tables of sums."""

    __slots__ = ("_cells", "_exposed", "_minutes")

    def __init__(self) -> None:
        self._cells: dict[CellKey, Tally] = {}
        self._exposed: SharedTally[ExposureKey] = SharedTally()
        self._minutes: dict[tuple[CellKey, int], dict[str, list[float]]] = {}

    def add(self, outcome: Outcome, measures: Mapping[str, float]) -> None:
        """Count measures of an outcome, under the plan revision, in the bucket and at the time it happened."""
        minute = microseconds(outcome.at) // MINUTE
        cell = CellKey(outcome.domain, outcome.plan_revision, outcome.assigned, minute // 60)
        (self._cells.get(cell) or self._cells.setdefault(cell, Tally())).add(outcome.bucket, measures)
        minutes = self._minutes.setdefault((cell, minute), {})
        for name, value in measures.items():
            count(minutes.setdefault(name, [0.0, 0.0, 0.0]), value)
        if outcome.exposures:
            arms = [
                ExposureKey(outcome.domain, exposure.experiment, exposure.epoch, exposure.arm, minute // 60)
                for exposure in outcome.exposures
            ]
            self._exposed.add(arms, cluster_of(outcome.bucket, outcome.id), measures)

    def merge_into(self, tables: Tables, connection: Connection) -> None:
        """Add everything counted to the tables."""
        if self._cells:
            _add_parts(tables.cells, connection, {key: tally.encoded() for key, tally in self._cells.items()})
            _add_parts(tables.exposure_cells, connection, self._exposed.parts())
            _merge_minutes(tables, connection, self._minutes)


def counted(outcome: Outcome) -> dict[str, float]:
    """Measures an outcome is counted with: every one is a request; one whose client left is nothing more."""
    if outcome.status is OutcomeStatus.CLIENT_CLOSED:
        return {REQUESTS: 1.0}
    return {REQUESTS: 1.0, **outcome.measures}


def insert_rows(connection: Connection, table: Table, rows: Iterable[tuple[object, ...]]) -> None:
    """Insert rows, whose values stand in the order of the table's columns."""
    _run(connection, str(table.insert().compile(dialect=connection.dialect)), rows)


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
    tables: Tables, connection: Connection, minutes: Mapping[tuple[CellKey, int], Mapping[str, list[float]]]
) -> None:
    sums = {
        (Series(*cell[:3], name), minute): row
        for (cell, minute), measures in minutes.items()
        for name, row in measures.items()
    }
    ids = _series_ids(tables, connection, {series for series, _ in sums})
    rows = sorted((ids[series], minute, *row) for (series, minute), row in sums.items())
    _run(connection, _adding(connection.dialect, tables.minute_sums), rows)


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


def _run(connection: Connection, statement: str, rows: Iterable[tuple[object, ...]]) -> None:
    """Execute a statement for many rows, straight in the driver: binding by name costs more than the insert itself."""
    if parameters := list(rows):
        connection.exec_driver_sql(statement, parameters)
