"""What the lake forgets by itself: everything after a time, each kind of thing in its own."""

from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import Table, and_, delete, func, literal_column, select

from vedette.kernel.errors import InvalidInput
from vedette.kernel.fields import Span
from vedette.kernel.records import record
from vedette.lake import lease, spool
from vedette.lake.cells import ExposureKey
from vedette.lake.clock import DAY, HOUR, MINUTE, microseconds
from vedette.lake.engine import LakeDatabase
from vedette.lake.history import FileGone, connect, paths, translated
from vedette.lake.rollups import STEPS, merge_parts
from vedette.lake.segments import ids_in
from vedette.lake.tables import Tables

_HOURS = 24
_SHORTEST = timedelta(days=1)
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

    outcomes: Span = timedelta(days=30)  # outcomes themselves, for pages, history and breakdowns
    bucket_sums: Span = timedelta(days=90)  # sums that decisions and experiments are made from
    minute_sums: Span = timedelta(days=400)  # sums of charts, by the minute
    hour_sums: Span = timedelta(days=400)  # the same by the hour
    day_sums: Span = timedelta(days=1830)  # the same by the day
    pending_feedback: Span = timedelta(days=1)  # judgements whose outcome has not come yet

    def __post_init__(self) -> None:
        """Refuse outcomes that outlive their sums: late feedback would begin the sums anew. And what looks mistaken."""
        if self.outcomes > min(self.bucket_sums, self.minute_sums, self.hour_sums, self.day_sums):
            raise InvalidInput(
                "sums must be kept for at least as long as outcomes are", hint="raise what is shorter than outcomes"
            )
        if self.outcomes < _SHORTEST:
            raise InvalidInput("outcomes must be kept for a day at least", hint="30m are thirty minutes, 30d are days")


def prune(database: LakeDatabase, tables: Tables, folder: Path | None, now: datetime, retention: Retention) -> int:
    """Drop what is older than it is kept; gives how many outcomes that were.

    A segment is dropped whole, when the last of its day is due. Outcomes of a batch that ships so late that they are
    past their time already are counted, once, as batches are remembered as long as sums are; so are the outcomes that
    `Lake.ship` was told to remember.
    """
    before = microseconds(now - retention.outcomes)
    dropped = _drop_segments(database, tables, folder, before) + _drop_spooled(database, tables, before)
    hour = microseconds(now - retention.bucket_sums) // HOUR
    minute = microseconds(now - retention.minute_sums) // MINUTE
    cells, pending = tables.cells, tables.pending_feedback
    with database.writing() as connection:
        connection.execute(delete(cells).where(cells.c.hour < hour))
        exposed = tables.exposure_cells
        connection.execute(delete(exposed).where(exposed.c.hour <= hour - _HOURS))  # one may stand for the whole day
        connection.execute(delete(tables.batches).where(tables.batches.c.at < minute * MINUTE))
        longest = max(retention.minute_sums, retention.hour_sums, retention.day_sums)
        connection.execute(delete(tables.remembered).where(tables.remembered.c.at < microseconds(now - longest)))
        # A segment is of one day, so of what was a day before nothing is left.
        connection.execute(delete(tables.amendments).where(tables.amendments.c.at < before - DAY))
        connection.execute(delete(pending).where(pending.c.at < microseconds(now - retention.pending_feedback)))
        erased = tables.erased_units  # what they keep out would be dropped for its age by now
        connection.execute(delete(erased).where(erased.c.at < before))
    _drop_rollups(database, tables, now, retention)
    _merge_days(database, exposed, microseconds(now - _HOURLY) // HOUR // _HOURS * _HOURS)
    return dropped


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


def _drop_rollups(database: LakeDatabase, tables: Tables, now: datetime, retention: Retention) -> None:
    """Drop roll-ups domain by domain, for they are kept in the order of domains, steps and times."""
    rollups = tables.rollups
    kept = dict(zip(STEPS, (retention.minute_sums, retention.hour_sums, retention.day_sums), strict=True))
    domain: str | None = ""
    while True:
        with database.writing() as connection:
            domain = connection.scalar(select(func.min(rollups.c.domain)).where(rollups.c.domain > domain))
            if domain is None:
                return
            for step, length in kept.items():
                old = rollups.c.begins < microseconds(now - length) // MINUTE // step * step
                connection.execute(delete(rollups).where(rollups.c.domain == domain, rollups.c.step == step, old))


def _drop_segments(database: LakeDatabase, tables: Tables, place: Path | None, before: int) -> int:
    """Drop segments whose every outcome is of before a time.

    They are marked first, and nobody reads them any more; then their ids are forgotten, some in each transaction, so
    that whoever ships never waits for long; then their files go. A death in between leaves the rest to the next time.
    """
    segments = tables.segments
    with database.writing() as connection:
        due = and_(segments.c.last < before, ~segments.c.dropped)
        dropped = connection.scalars(select(segments.c.outcomes).where(due)).all()
        if dropped:
            lease.overtake(connection, tables, "dropper")  # whoever rewrites these now must not bring them back
            connection.execute(segments.update().where(due).values(dropped=True))
        marked = connection.scalars(select(segments.c.name).where(segments.c.dropped)).all()
    for path in paths(place, marked):
        with suppress(FileGone), connect() as engine, translated():  # gone: another one is at it
            for ids in ids_in(engine, path):
                with database.writing() as connection:
                    spool.forget(connection, tables, ids)
        with database.writing() as connection:
            connection.execute(delete(segments).where(segments.c.name == path.name))
        path.unlink(missing_ok=True)
    return sum(dropped)


def _drop_spooled(database: LakeDatabase, tables: Tables, before: int) -> int:
    """Drop outcomes of before a time from the spool, a batch in a transaction, so that whoever ships never waits."""
    spooled = tables.spool.c
    with database.reading() as connection:
        numbers = connection.scalars(select(spooled.number).where(spooled.first < before)).all()
    dropped = 0
    for number in numbers:
        with database.writing() as connection:
            lease.overtake(connection, tables, "dropper")
            for batch in spool.spooled(connection, tables, [number]).values():
                dropped += spool.keep(connection, tables, number, batch, batch.at >= before)
    return dropped
