"""What the lake forgets: everything after a time, and everything about a domain when it is asked to."""

from datetime import datetime, timedelta

from sqlalchemy import Table, delete, func, literal_column, select

from vedette.kernel.errors import InvalidInput
from vedette.kernel.records import record
from vedette.lake.engine import LakeDatabase
from vedette.lake.exposures import ExposureKey
from vedette.lake.rollups import HOUR, MINUTE, merge_parts, microseconds
from vedette.lake.tables import Tables

_DAY = 24  # hours
_HOURLY = timedelta(days=2)
"""How long sums of experiments are kept hour by hour; then those of a day (in UTC) are merged: experiments run for
weeks, and what decides reads all of it."""

_SLICE = 10_000
"""Outcomes deleted in one transaction, so that whoever ships never waits for long."""


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
    dropped = _drop_outcomes(database, tables, microseconds(now - retention.outcomes))
    hour = microseconds(now - retention.bucket_sums) // HOUR
    minute = microseconds(now - retention.minute_sums) // MINUTE
    cells, series, sums, pending = tables.cells, tables.series, tables.minute_sums, tables.pending_feedback
    with database.writing() as connection:
        connection.execute(delete(cells).where(cells.c.hour < hour))
        exposed = tables.exposure_cells
        connection.execute(delete(exposed).where(exposed.c.hour <= hour - _DAY))  # one may stand for the whole day
        # Series are named so that each is sought by its key, instead of reading all rows.
        connection.execute(delete(sums).where(sums.c.series.in_(select(series.c.id)), sums.c.minute < minute))
        connection.execute(delete(series).where(~select(sums.c.series).where(sums.c.series == series.c.id).exists()))
        connection.execute(delete(tables.batches).where(tables.batches.c.at < minute * MINUTE))
        connection.execute(delete(pending).where(pending.c.at < microseconds(now - retention.pending_feedback)))
    _merge_days(database, exposed, microseconds(now - _HOURLY) // HOUR // _DAY * _DAY)
    return dropped


def erase(database: LakeDatabase, tables: Tables, domain: str) -> None:
    """Drop everything about a domain."""
    series = tables.series
    with database.writing() as connection:
        of_domain = select(series.c.id).where(series.c.domain == domain)
        connection.execute(delete(tables.minute_sums).where(tables.minute_sums.c.series.in_(of_domain)))
        for table in (series, tables.cells, tables.exposure_cells, tables.outcomes):
            connection.execute(delete(table).where(table.c.domain == domain))


def _merge_days(database: LakeDatabase, cells: Table, before: int) -> None:
    """Merge the sums of each arm in the hours of each day into one, at the day's beginning; days before an hour."""
    key = (cells.c.domain, cells.c.experiment, cells.c.epoch, cells.c.arm)
    day = (cells.c.hour - cells.c.hour % literal_column(str(_DAY))).label("day")  # literal: PostgreSQL groups by it
    several = select(*key, day).where(cells.c.hour < before).group_by(*key, day).having(func.count() > 1)
    with database.reading() as connection:
        found = connection.execute(several).all()
    for row in found:
        whole = ExposureKey(*row)
        here = [column == value for column, value in zip(key, whole[:-1], strict=True)]
        here.append(cells.c.hour.between(whole.hour, whole.hour + _DAY - 1))
        with database.writing() as connection:  # each by itself, so that whoever ships never waits for long
            merge_parts(cells, connection, here, whole._asdict())


def _drop_outcomes(database: LakeDatabase, tables: Tables, before: int) -> int:
    outcomes = tables.outcomes
    with database.reading() as connection:
        domains = connection.scalars(select(tables.series.c.domain).distinct()).all()
    dropped = 0
    for domain in domains:
        old = select(outcomes.c.id).where(outcomes.c.domain == domain, outcomes.c.at < before).limit(_SLICE)
        slice_size = _SLICE
        while slice_size == _SLICE:
            with database.writing() as connection:
                slice_size = connection.execute(delete(outcomes).where(outcomes.c.id.in_(old))).rowcount
            dropped += slice_size
    return dropped
