"""The lake's tables, and how they come to be.

Decisions read `cells`: sums by bucket and histogram, of a version under a plan revision in an hour (see `lake.cells`).
Experiments read `exposure_cells`, the same sums of an arm of an experiment in an epoch of its split. Charts read
`minute_sums`, plain figures by minute of a `series`: one measure of one version under one plan revision.
Times are integers since 1970 in UTC: microseconds, minutes or hours.
"""

from dataclasses import dataclass
from typing import Self

from sqlalchemy import (
    BigInteger,
    Column,
    Double,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    select,
)
from sqlalchemy.schema import CreateSchema

from vedette.kernel.errors import Refused
from vedette.lake.engine import LakeDatabase

SCHEMA_VERSION = 2

_NEW_COLUMNS = {2: ("exposures", "dimensions")}  # of outcomes, by the schema they came with
_SERIAL = BigInteger().with_variant(Integer, "sqlite")


@dataclass(frozen=True, slots=True)
class Tables:
    """The lake's tables in one schema (None: the default one, which is SQLite's only one)."""

    metadata: MetaData
    version: Table
    batches: Table
    outcomes: Table
    pending_feedback: Table
    cells: Table
    exposure_cells: Table
    series: Table
    minute_sums: Table

    @classmethod
    def of(cls, schema: str | None) -> Self:
        """Lay the tables out in `schema`."""
        metadata = MetaData(schema=schema)
        outcomes = Table(
            "outcomes",
            metadata,
            Column("id", Text, primary_key=True),
            Column("domain", Text, nullable=False),
            Column("at", BigInteger, nullable=False),  # microseconds
            Column("assigned", Text, nullable=False),
            Column("served", Text, nullable=False),
            Column("plan_revision", Integer, nullable=False),
            Column("bucket", SmallInteger, nullable=False),
            Column("status", Text, nullable=False),
            Column("measures", Text, nullable=False),  # a JSON object: name to number
            Column("exposures", Text),  # JSON: a list of [experiment, arm, epoch]; null for none
            Column("dimensions", Text),  # a JSON object: name to text; null for none
            sqlite_with_rowid=False,
        )
        Index("outcomes_by_time", outcomes.c.domain, outcomes.c.at, outcomes.c.id)
        cells = Table(
            "cells",
            metadata,
            Column("id", _SERIAL, Identity(), primary_key=True),
            Column("domain", Text, nullable=False),
            Column("plan_revision", Integer, nullable=False),
            Column("version", Text, nullable=False),
            Column("hour", Integer, nullable=False),
            Column("sums", LargeBinary, nullable=False),  # a part, see `lake.cells`
        )
        Index("cells_by_key", cells.c.domain, cells.c.plan_revision, cells.c.version, cells.c.hour)
        exposure_cells = Table(
            "exposure_cells",
            metadata,
            Column("id", _SERIAL, Identity(), primary_key=True),
            Column("domain", Text, nullable=False),
            Column("experiment", Text, nullable=False),
            Column("epoch", Integer, nullable=False),
            Column("arm", Text, nullable=False),
            Column("hour", Integer, nullable=False),
            Column("sums", LargeBinary, nullable=False),  # a part, see `lake.cells`
        )
        key = (exposure_cells.c[name] for name in ("domain", "experiment", "epoch", "arm", "hour"))
        Index("exposure_cells_by_key", *key)
        return cls(
            metadata=metadata,
            version=Table("schema_version", metadata, Column("version", Integer, nullable=False)),
            batches=Table(
                "batches",
                metadata,
                Column("id", Text, primary_key=True),
                Column("at", BigInteger, nullable=False),  # microseconds
                sqlite_with_rowid=False,
            ),
            outcomes=outcomes,
            pending_feedback=Table(
                "pending_feedback",
                metadata,
                Column("outcome_id", Text, primary_key=True),
                Column("measure", Text, primary_key=True),
                Column("value", Double, nullable=False),
                Column("at", BigInteger, nullable=False),  # microseconds
                sqlite_with_rowid=False,
            ),
            cells=cells,
            exposure_cells=exposure_cells,
            series=Table(
                "series",
                metadata,
                Column("id", _SERIAL, Identity(), primary_key=True),
                Column("domain", Text, nullable=False),
                Column("plan_revision", Integer, nullable=False),
                Column("version", Text, nullable=False),
                Column("measure", Text, nullable=False),
                UniqueConstraint("domain", "plan_revision", "version", "measure"),
                sqlite_autoincrement=True,  # an id is never given twice
            ),
            minute_sums=Table(
                "minute_sums",
                metadata,
                Column("series", BigInteger, primary_key=True, autoincrement=False),
                Column("minute", Integer, primary_key=True, autoincrement=False),
                Column("n", Double, nullable=False),
                Column("mean", Double, nullable=False),
                Column("centred", Double, nullable=False),  # sum of squared deviations from the mean
                sqlite_with_rowid=False,
            ),
        )


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
            outcomes = connection.dialect.identifier_preparer.format_table(tables.outcomes)
            for schema in range(found + 1, SCHEMA_VERSION + 1):
                for column in _NEW_COLUMNS[schema]:
                    connection.exec_driver_sql(f"ALTER TABLE {outcomes} ADD COLUMN {column} TEXT")
            connection.execute(tables.version.update().values(version=SCHEMA_VERSION))
