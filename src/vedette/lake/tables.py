"""The lake's tables, and how they come to be.

Decisions read `cells`: sums by bucket and histogram, of a version under a plan revision in an hour (see `lake.cells`).
Experiments read `exposure_cells`, the same sums of an arm of an experiment in an epoch of its split. Charts read
`rollups`, plain figures of a version under a plan revision by minute, by hour and by day.

Outcomes themselves come into the `spool`, a batch a row, and are moved to segments, files that `segments` lists; what
is in neither is not there. `seen` holds the id of every outcome that is in either, and the number its batch was
spooled under, by which it is found in both; `amendments` are late judgements of those outcomes, joined by whoever
reads. `remembered` outlives `seen`: ids of outcomes that may be brought again however old they are. `erased_units`
keeps outcomes out that come in after their unit was erased. Times are integers since 1970 in UTC: microseconds,
minutes, hours or days.
"""

from dataclasses import dataclass
from typing import Self

from sqlalchemy import (
    BigInteger,
    Boolean,
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
    false,
)

SCHEMA_VERSION = 4

_SERIAL = BigInteger().with_variant(Integer, "sqlite")


@dataclass(frozen=True, slots=True)
class Tables:
    """The lake's tables in one schema (None: the default one, which is SQLite's only one)."""

    metadata: MetaData
    version: Table
    batches: Table
    seen: Table
    remembered: Table
    spool: Table
    amendments: Table
    segments: Table
    sealing: Table
    pending_feedback: Table
    cells: Table
    exposure_cells: Table
    rollups: Table
    erased_units: Table

    @classmethod
    def of(cls, schema: str | None) -> Self:
        """Lay the tables out in `schema`."""
        metadata = MetaData(schema=schema)
        amendments = Table(
            "amendments",
            metadata,
            Column("outcome_id", Text, primary_key=True),
            Column("measure", Text, primary_key=True),
            Column("value", Double, nullable=False),
            Column("domain", Text, nullable=False),  # of the outcome, as is its time
            Column("at", BigInteger, nullable=False),  # microseconds
            sqlite_with_rowid=False,
        )
        Index("amendments_by_time", amendments.c.domain, amendments.c.at)
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
            seen=Table(
                "seen",
                metadata,
                Column("id", LargeBinary, primary_key=True),  # see `spool.key_of`
                Column("spooled", BigInteger, nullable=False),  # the number of its batch in the spool
                sqlite_with_rowid=False,
            ),
            remembered=Table(
                "remembered",
                metadata,
                Column("id", LargeBinary, primary_key=True),  # as in `seen`
                Column("domain", Text, nullable=False),
                Column("at", BigInteger, nullable=False),  # microseconds: when it was brought
                sqlite_with_rowid=False,
            ),
            spool=Table(
                "spool",
                metadata,
                Column("number", _SERIAL, Identity(), primary_key=True),
                Column("outcomes", Integer, nullable=False),
                Column("first", BigInteger, nullable=False),  # microseconds: the oldest outcome
                Column("last", BigInteger, nullable=False),  # … and the newest
                Column("columns", LargeBinary, nullable=False),  # see `lake.columns`
                sqlite_autoincrement=True,  # a number is never given twice
            ),
            amendments=amendments,
            segments=Table(
                "segments",
                metadata,
                Column("name", Text, primary_key=True),
                Column("day", Integer, nullable=False),
                Column("outcomes", BigInteger, nullable=False),
                Column("first", BigInteger, nullable=False),  # microseconds
                Column("last", BigInteger, nullable=False),
                Column("first_spooled", BigInteger, nullable=False),  # numbers of the batches they came from
                Column("last_spooled", BigInteger, nullable=False),
                Column("measures", Text, nullable=False),  # JSON: the names of those with a column
                Column("dropped", Boolean, nullable=False),  # nobody reads it any more; its ids are being forgotten
                Column("units", Boolean, nullable=False, server_default=false()),  # whether it has a column of them
            ),
            sealing=Table(
                "sealing",
                metadata,
                Column("epoch", BigInteger, nullable=False),
                Column("holder", Text, nullable=False),
                Column("expires", Double, nullable=False),  # seconds since 1970, by the database's clock
            ),
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
            rollups=Table(
                "rollups",
                metadata,
                Column("domain", Text, primary_key=True),
                Column("step", SmallInteger, primary_key=True, autoincrement=False),  # minutes: 1, 60 or 1440
                Column("begins", Integer, primary_key=True, autoincrement=False),  # minutes since 1970
                Column("plan_revision", Integer, primary_key=True, autoincrement=False),
                Column("version", Text, primary_key=True),
                Column("requests", Double, nullable=False),
                Column("sums", LargeBinary, nullable=False),  # see `lake.rollups`
                sqlite_with_rowid=False,
            ),
            erased_units=Table(
                "erased_units",
                metadata,
                Column("domain", Text, primary_key=True),
                Column("unit", Text, primary_key=True),  # its pseudonym
                Column("at", BigInteger, nullable=False),  # microseconds: what happened until then is not kept
                sqlite_with_rowid=False,
            ),
        )
