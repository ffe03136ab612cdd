"""What the lake forgets: everything after a time, and everything about a domain when it is asked to."""

from collections.abc import Callable
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, Table, delete, func, literal_column, select

from vedette.kernel.errors import InvalidInput
from vedette.kernel.records import record
from vedette.lake import spool
from vedette.lake.cells import ExposureKey
from vedette.lake.clock import DAY, HOUR, MINUTE, microseconds
from vedette.lake.columns import Columns
from vedette.lake.engine import LakeDatabase
from vedette.lake.rollups import merge_parts
from vedette.lake.tables import Tables

_HOURS = 24
_HOURLY = timedelta(days=2)
"""How long sums of experiments are kept hour by hour; then those of a day (in UTC) are merged: experiments run for
weeks, and what decides reads all of it."""


@record
class Retention:
    """How long things are kept, by kind.

    A domain whose every bucket sees traffic writes some 5 MB of bucket sums a day and 0.3 MB of minute sums, however
    much traffic it has; an outcome takes about 400 bytes. Each arm of each experiment writes as many bucket sums as a
    version does, but after two days those of a whole day are merged to some 0.2 MB. ``bucket_sums`` is for both.
    """

    outcomes: timedelta = timedelta(days=30)
    bucket_sums: timedelta = timedelta(days=90)
    minute_sums: timedelta = timedelta(days=400)
    pending_feedback: timedelta = timedelta(days=1)

    def __post_init__(self) -> None:
        """Refuse outcomes that outlive their sums: late feedback would begin the sums anew."""
        if self.outcomes > min(self.bucket_sums, self.minute_sums):
            raise InvalidInput("sums must be kept for at least as long as outcomes are")


def prune(database: LakeDatabase, tables: Tables, now: datetime, retention: Retention) -> int:
    """Drop what is older than it is kept; gives how many outcomes that were.

    Outcomes of a batch that ships so late that they are past their time already are counted, once, as batches are
    remembered as long as sums are.
    """
    before = microseconds(now - retention.outcomes)
    dropped = _drop_spooled(database, tables, before)
    hour = microseconds(now - retention.bucket_sums) // HOUR
    minute = microseconds(now - retention.minute_sums) // MINUTE
    cells, series, sums, pending = tables.cells, tables.series, tables.minute_sums, tables.pending_feedback
    with database.writing() as connection:
        connection.execute(delete(cells).where(cells.c.hour < hour))
        exposed = tables.exposure_cells
        connection.execute(delete(exposed).where(exposed.c.hour <= hour - _HOURS))  # one may stand for the whole day
        # Series are named so that each is sought by its key, instead of reading all rows.
        connection.execute(delete(sums).where(sums.c.series.in_(select(series.c.id)), sums.c.minute < minute))
        connection.execute(delete(series).where(~select(sums.c.series).where(sums.c.series == series.c.id).exists()))
        connection.execute(delete(tables.batches).where(tables.batches.c.at < minute * MINUTE))
        # A segment is of one day, so of what was before yesterday nothing is left.
        connection.execute(delete(tables.amendments).where(tables.amendments.c.at < before - DAY))
        connection.execute(delete(pending).where(pending.c.at < microseconds(now - retention.pending_feedback)))
    _merge_days(database, exposed, microseconds(now - _HOURLY) // HOUR // _HOURS * _HOURS)
    return dropped


def erase(database: LakeDatabase, tables: Tables, domain: str) -> None:
    """Drop everything about a domain."""
    series = tables.series
    with database.writing() as connection:
        of_domain = select(series.c.id).where(series.c.domain == domain)
        connection.execute(delete(tables.minute_sums).where(tables.minute_sums.c.series.in_(of_domain)))
        for table in (series, tables.cells, tables.exposure_cells, tables.amendments):
            connection.execute(delete(table).where(table.c.domain == domain))
        numbers = connection.scalars(select(tables.spool.c.number)).all()
        for number in numbers:
            for batch in spool.spooled(connection, tables, [number]).values():
                keep(connection, tables, number, batch, lambda kept: _is_not(kept, domain))


def _is_not(batch: Columns, domain: str) -> NDArray[np.bool_]:
    domains, codes = batch.texts["domain"]
    return np.not_equal(codes, domains.index(domain) if domain in domains else -1)


def _merge_days(database: LakeDatabase, cells: Table, before: int) -> None:
    """Merge the sums of each arm in the hours of each day into one, at the day's beginning; days before an hour."""
    key = (cells.c.domain, cells.c.experiment, cells.c.epoch, cells.c.arm)
    day = (cells.c.hour - cells.c.hour % literal_column(str(_HOURS))).label("day")  # literal: PostgreSQL groups by it
    several = select(*key, day).where(cells.c.hour < before).group_by(*key, day).having(func.count() > 1)
    with database.reading() as connection:
        found = connection.execute(several).all()
    for row in found:
        whole = ExposureKey(*row)
        here = [column == value for column, value in zip(key, whole[:-1], strict=True)]
        here.append(cells.c.hour.between(whole.hour, whole.hour + _HOURS - 1))
        with database.writing() as connection:  # each by itself, so that whoever ships never waits for long
            merge_parts(cells, connection, here, whole._asdict())


def _drop_spooled(database: LakeDatabase, tables: Tables, before: int) -> int:
    """Drop outcomes of before a time from the spool, a batch in a transaction, so that whoever ships never waits."""
    spooled = tables.spool.c
    with database.reading() as connection:
        numbers = connection.scalars(select(spooled.number).where(spooled.first < before)).all()
    dropped = 0
    for number in numbers:
        with database.writing() as connection:
            for batch in spool.spooled(connection, tables, [number]).values():
                dropped += keep(connection, tables, number, batch, lambda kept: kept.at >= before)
    return dropped


def keep(
    connection: Connection,
    tables: Tables,
    number: int,
    batch: Columns,
    wanted: Callable[[Columns], NDArray[np.bool_]],
) -> int:
    """Keep the wanted rows of a batch and forget the others; gives how many those were."""
    stays = wanted(batch)
    if stays.all():
        return 0
    gone = [batch.ids[row] for row in np.flatnonzero(~stays)]
    rest = batch.outcomes(np.flatnonzero(stays).tolist())
    spool.replace(connection, tables, number, Columns.of(rest) if rest else None)
    spool.forget(connection, tables, gone)
    return len(gone)
