"""How the lake's tables come to be, and how older ones are brought up to date.

Until version 3 every outcome was a row of its own; those rows are spooled, in batches, as they would be today.
"""

from itertools import islice

import msgspec
from sqlalchemy import Connection, MetaData, Table, inspect, select
from sqlalchemy.schema import CreateSchema

from vedette.kernel.errors import Refused
from vedette.lake.columns import Columns, outcome_of
from vedette.lake.engine import LakeDatabase
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
            connection.execute(tables.version.update().values(version=SCHEMA_VERSION))


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
