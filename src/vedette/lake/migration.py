"""How the lake's tables come to be, and how older ones are brought up to date.

Until version 3 every outcome was a row of its own; those rows are spooled, in batches, as they would be today. Sums by
minute were a row for each measure; those become roll-ups. Until version 4 segments had no units.
"""

from itertools import islice

import msgspec
from sqlalchemy import Connection, MetaData, Table, inspect, select
from sqlalchemy.schema import CreateSchema

from vedette.evidence.summary import Moments
from vedette.kernel.errors import Refused
from vedette.lake.columns import Columns, outcome_of
from vedette.lake.engine import LakeDatabase
from vedette.lake.inserting import insert_rows
from vedette.lake.rollups import STEPS, RollupKey, Sums, add_sums, rollup_row
from vedette.lake.spool import put
from vedette.lake.tables import SCHEMA_VERSION, Tables

_BATCH = 5_000
_OLD = "outcomes"


def migrate(database: LakeDatabase, tables: Tables) -> None:
    """Create what is missing and bring older tables up to date; safe to run by many processes at once, and again.

    Raises:
        Refused: A newer vedette has been here, and its tables are not ours to touch.
    """
    with database.writing() as connection:
        if database.schema:
            connection.execute(CreateSchema(database.schema, if_not_exists=True))
        tables.metadata.create_all(connection)
        found = connection.scalar(select(tables.version.c.version))
        if found is None:
            connection.execute(tables.version.insert().values(version=SCHEMA_VERSION))
        elif found > SCHEMA_VERSION:
            raise Refused(
                f"the lake has schema {found} and this vedette knows {SCHEMA_VERSION}", hint="upgrade vedette"
            )
        elif found < SCHEMA_VERSION:
            _spool_rows(connection, tables, database.schema)
            _roll_up(connection, tables, database.schema)
            _tell_units(connection, tables, database.schema)
            connection.execute(tables.version.update().values(version=SCHEMA_VERSION))


def _tell_units(connection: Connection, tables: Tables, schema: str | None) -> None:
    """Let the list of segments say which have units: none of those that are there."""
    known = {column["name"] for column in inspect(connection).get_columns(tables.segments.name, schema=schema)}
    if "units" not in known:
        place = connection.dialect.identifier_preparer.format_table(tables.segments)
        connection.exec_driver_sql(f"ALTER TABLE {place} ADD COLUMN units BOOLEAN DEFAULT FALSE NOT NULL")


def _spool_rows(connection: Connection, tables: Tables, schema: str | None) -> None:
    """Move the rows of the table that held every outcome to the spool."""
    if not inspect(connection).has_table(_OLD, schema=schema):
        return
    old = Table(_OLD, MetaData(), schema=schema, autoload_with=connection)
    query = select(old).order_by(old.c.domain, old.c.at, old.c.id).execution_options(yield_per=_BATCH)
    rows = connection.execute(query).mappings()
    while batch := list(islice(rows, _BATCH)):
        outcomes = [
            outcome_of(
                {**row, "at_micros": row["at"], **{name: row.get(name) or "" for name in ("exposures", "dimensions")}},
                msgspec.json.decode(row["measures"], type=dict[str, float]),
            )
            for row in batch
        ]
        put(connection, tables, Columns.of(outcomes))
    old.drop(connection)


def _roll_up(connection: Connection, tables: Tables, schema: str | None) -> None:
    """Make roll-ups of the minutes that were kept by measure."""
    if not inspect(connection).has_table("minute_sums", schema=schema):
        return
    metadata = MetaData()
    series, minutes = (
        Table(name, metadata, schema=schema, autoload_with=connection) for name in ("series", "minute_sums")
    )
    for domain in connection.scalars(select(series.c.domain).distinct().order_by(series.c.domain)).all():
        query = (
            select(minutes, series.c.plan_revision, series.c.version, series.c.measure)
            .join_from(series, minutes, series.c.id == minutes.c.series)
            .where(series.c.domain == domain)
        )
        found: dict[RollupKey, Sums] = {}
        for row in connection.execute(query.execution_options(yield_per=_BATCH)):
            for step in STEPS:
                key = RollupKey(domain, step, row.minute // step * step, row.plan_revision, row.version)
                add_sums(found.setdefault(key, {}), {row.measure: Moments(row.n, row.mean, row.centred)})
        insert_rows(connection, tables.rollups, [rollup_row(key, sums) for key, sums in found.items()])
    for table in (minutes, series):
        table.drop(connection)
