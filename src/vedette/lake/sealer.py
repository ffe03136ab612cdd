"""From the spool to segments: any replica may do it, at any time, and be killed at any moment.

Files come first and lists after them: a file that is written, and safe on the disk, takes the place of the batches or
files it was made from in one transaction, which also folds in the late judgements it holds. A death before that
transaction leaves an orphan, which the next epoch removes. Files that others took the place of are spared for a while
(see `lake.segments`), and become orphans then. Who was overtaken notices in the transaction (see `lake.lease`, and the
rows it wants to replace are not all there), and undoes nothing but its own files.

Small segments of a day are merged when there are `_FAN` of about one size, so each outcome is rewritten a few times.
"""
# ruff: noqa: S608 - names and values go through `lake.dialect`, which quotes them

import logging
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from threading import Event
from typing import Any, TypeVar

import msgspec
from sqlalchemy import ColumnElement, Connection, Row, and_, delete, func, literal_column, select, tuple_

from vedette.kernel.errors import LeaseLost
from vedette.kernel.records import record
from vedette.lake import lease, spool
from vedette.lake.clock import DAY
from vedette.lake.columns import UNIT, Columns, json_text
from vedette.lake.engine import LakeDatabase
from vedette.lake.history import FileGone, amended, reading, rows_of, selected
from vedette.lake.lease import Epoch
from vedette.lake.queries import measure_column
from vedette.lake.segments import Segment, SegmentFolder, days_of
from vedette.lake.tables import Tables

_log = logging.getLogger(__name__)

_AT_ONCE = 500_000
"""Outcomes sealed in one transaction, which is how many are in memory."""

_FAN = 8
_LARGEST = 4_000_000
"""A segment of this many outcomes is large enough, and merged no more."""

_FOLDED = 20_000
"""With so many late judgements waiting, a day's segments are rewritten."""

_PAIRS = 5_000

Late = dict[str, dict[str, float]]
T = TypeVar("T")


@record
class Sealed:
    """What was done: outcomes moved to segments, segments merged into others, files removed that nobody listed."""

    outcomes: int = 0
    merged: int = 0
    orphans: int = 0


class Sealer:
    """Moves outcomes from the spool to segments, and keeps those few.

    Args:
        database: The lake's.
        tables: Its tables.
        folder: The segments' folder.
        holder: A name, without spaces, that no other sealer has.
    """

    def __init__(self, database: LakeDatabase, tables: Tables, folder: Path, holder: str) -> None:
        self._database = database
        self._tables = tables
        self._folder = folder
        self._holder = holder

    def run(self, stop: Event) -> Sealed:
        """Seal all that is spooled now, merge what is small, and remove orphans; nothing while another one does it.

        What is spooled meanwhile is left to the next time: it may come faster than small files are written. Once `stop`
        is set, no further file is begun.

        Raises:
            Unavailable: The database does not answer, or the disk is full; the spool keeps what was not sealed.
        """
        with self._database.writing() as connection:
            epoch = lease.take(connection, self._tables, self._holder)
            newest = connection.scalar(select(func.max(self._tables.spool.c.number))) or 0
        if epoch is None:
            return Sealed()
        folder = SegmentFolder(self._folder, epoch.number)
        outcomes = merged = 0
        try:
            orphans = collect(self._database, self._tables, folder, epoch)
            while not stop.is_set() and (sealed := self.seal(folder, epoch, newest)):
                outcomes += sealed
            while not stop.is_set() and (replaced := self.merge(folder, epoch)):
                merged += replaced
            if not stop.is_set():
                self.fold(folder, epoch)
            with self._database.writing() as connection:
                lease.release(connection, self._tables, epoch)
        except (LeaseLost, FileGone) as error:
            _log.info("another process took over the segments: %s", error)
            return Sealed(outcomes=outcomes, merged=merged)
        return Sealed(outcomes=outcomes, merged=merged, orphans=orphans)

    def seal(self, folder: SegmentFolder, epoch: Epoch, newest: int) -> int:
        """Seal the oldest batches up to a number; gives how many outcomes they had, 0 when there are none.

        Raises:
            LeaseLost: Another epoch began; nothing was changed.
        """
        with self._database.reading() as connection:
            batches = self._oldest(connection, newest)
            late = self._late(connection, batches)
        if not batches:
            return 0
        numbers = min(batches), max(batches)
        with folder.engine() as engine:
            table = rows_of(list(batches.values()))
            late = {outcome_id: late[outcome_id] for outcome_id in late.keys() & set(table["id"])} if late else {}
            engine.register("tail", table)
            measures = sorted({name for batch in batches.values() for name in batch.measures}.union(*late.values()))
            units = UNIT in table
            columns = selected(table.keys(), measures, units=units)
            joined = amended(engine, f"SELECT {columns} FROM tail", late)
            engine.execute(f"CREATE TEMP TABLE spooled AS {joined}")
            days = days_of(engine, "spooled")
            made = [folder.write(engine, "spooled", day, numbers, measures, units=units) for day in days]
        with replacing(self._database, self._tables, folder, epoch, made) as connection:
            spooled = self._tables.spool
            for some in _slices(list(batches)):
                expect(connection.execute(delete(spooled).where(spooled.c.number.in_(some))).rowcount, len(some))
            self._forget(connection, late)
        return sum(segment.outcomes for segment in made)

    def merge(self, folder: SegmentFolder, epoch: Epoch) -> int:
        """Merge segments of one day that are many of one size; gives how many those were.

        Raises:
            LeaseLost: Another epoch began; nothing was changed.
        """
        for of_day in self._by_day():
            tiers = defaultdict(list)
            for segment in of_day:
                if segment.outcomes < _LARGEST:
                    tiers[int(math.log(max(segment.outcomes, 1), _FAN))].append(segment)
            for tier in tiers.values():
                if len(tier) >= _FAN:
                    self._rewrite(folder, epoch, tier)
                    return len(tier)
        return 0

    def fold(self, folder: SegmentFolder, epoch: Epoch) -> None:
        """Rewrite the segments of days on which many late judgements wait, with these in them.

        Raises:
            LeaseLost: Another epoch began; nothing more was changed.
        """
        day = self._tables.amendments.c.at // literal_column(str(DAY))
        with self._database.reading() as connection:
            waiting = connection.execute(select(day, func.count()).group_by(day)).all()
        days = {its_day for its_day, n in waiting if n >= _FOLDED}
        for of_day in self._by_day() if days else ():
            if of_day[0].day in days:
                for segment in of_day:
                    self._rewrite(folder, epoch, [segment])

    def _rewrite(self, folder: SegmentFolder, epoch: Epoch, chosen: Sequence[Row[Any]]) -> None:
        """Put one segment, with the late judgements there are, in the place of some of one day."""
        names, day = [row.name for row in chosen], chosen[0].day
        with self._database.reading() as connection:
            at = self._tables.amendments.c.at
            late = _judged(connection, self._tables, and_(at >= day * DAY, at < (day + 1) * DAY))
        held = {name for row in chosen for name in msgspec.json.decode(row.measures)}
        numbers = min(row.first_spooled for row in chosen), max(row.last_spooled for row in chosen)
        with folder.engine() as engine:
            files = reading(folder.paths(names))
            measures = sorted(held.union(*late.values()))
            units = any(row.units for row in chosen)
            there = {*map(measure_column, held), *([UNIT] if units else [])}
            columns = selected(there, measures, units=units)
            joined = amended(engine, f"SELECT {columns} FROM {files}", late)
            made = folder.write(engine, f"({joined}) AS merged", day, numbers, measures, units=units)
            if late:
                known = engine.execute(f"SELECT id FROM {files} WHERE id IN (SELECT late_id FROM late)").fetchall()
                late = {outcome_id: late[outcome_id] for (outcome_id,) in known}
        folder.spare(names)
        with replacing(self._database, self._tables, folder, epoch, [made]) as connection:
            unlist(connection, self._tables, names)
            self._forget(connection, late)

    def _oldest(self, connection: Connection, newest: int) -> dict[int, Columns]:
        """Give the batches that were spooled first, one at least if there is, and few outcomes beyond `_AT_ONCE`."""
        spooled = self._tables.spool.c
        numbers, outcomes = list[int](), 0
        query = select(spooled.number, spooled.outcomes).where(spooled.number <= newest).order_by(spooled.number)
        for number, n in connection.execute(query):
            if outcomes >= _AT_ONCE:
                break
            numbers.append(number)
            outcomes += n
        return spool.spooled(connection, self._tables, numbers)

    def _late(self, connection: Connection, batches: Mapping[int, Columns]) -> Late:
        """Give the late judgements that may be of some batches."""
        if not batches:
            return {}
        at = self._tables.amendments.c.at
        first = min(int(batch.at.min()) for batch in batches.values())
        last = max(int(batch.at.max()) for batch in batches.values())
        return _judged(connection, self._tables, at.between(first, last))

    def _by_day(self) -> list[list[Row[Any]]]:
        segments = self._tables.segments
        with self._database.reading() as connection:
            rows = connection.execute(segments.select().where(~segments.c.dropped).order_by(segments.c.day)).all()
        return [list(of_day) for _, of_day in groupby(rows, key=attrgetter("day"))]

    def _forget(self, connection: Connection, late: Late) -> None:
        """Forget judgements that are in segments now; those that came meanwhile stay."""
        amendments = self._tables.amendments
        pairs = [(outcome_id, name) for outcome_id, judged in late.items() for name in judged]
        for some in _slices(pairs):
            key = tuple_(amendments.c.outcome_id, amendments.c.measure)
            connection.execute(delete(amendments).where(key.in_(some)))


def collect(
    database: LakeDatabase, tables: Tables, folder: SegmentFolder, epoch: Epoch, *, spared: bool = False
) -> int:
    """Remove files of epochs gone by that no list names, on request also those that are spared; gives how many.

    Raises:
        LeaseLost: Another epoch began; nothing was removed.
    """
    # The folder first: what is in it before this epoch is seen to hold can be listed by nobody after that.
    past = folder.past()
    with database.reading() as connection:
        lease.check(connection, tables, epoch)
        listed = set(connection.scalars(select(tables.segments.c.name)))
    orphans = [name for name in past if name not in listed and (spared or not folder.spares(name))]
    folder.remove(orphans)
    return len(orphans)


@contextmanager
def replacing(
    database: LakeDatabase, tables: Tables, folder: SegmentFolder | None, epoch: Epoch, made: Sequence[Segment]
) -> Iterator[Connection]:
    """List new segments, in the transaction that takes away what they stand for.

    A file is removed only where it is certain that nothing lists it: who loses the connection while it commits does
    not know, and leaves that to the next epoch.

    Raises:
        LeaseLost: Another epoch began, or what is to be taken away is not all there; nothing was changed.
    """
    try:
        with database.writing() as connection:
            lease.fence(connection, tables, epoch)
            yield connection
            for segment in made:
                row = {**asdict(segment), "measures": json_text(segment.measures), "dropped": False}
                connection.execute(tables.segments.insert(), row)
    except LeaseLost:
        if folder:
            folder.remove([segment.name for segment in made])
        raise


def unlist(connection: Connection, tables: Tables, names: Sequence[str]) -> None:
    """Take segments from the list.

    Raises:
        LeaseLost: They are not all in it.
    """
    segments = tables.segments
    there = and_(segments.c.name.in_(names), ~segments.c.dropped)
    expect(connection.execute(delete(segments).where(there)).rowcount, len(names))


def expect(found: int, wanted: int) -> None:
    """Make sure that all is there that is to be replaced.

    Raises:
        LeaseLost: It is not: somebody else was here.
    """
    if found != wanted:
        raise LeaseLost(f"of {wanted} rows {found} are left", hint="another process sealed or dropped them")


def _judged(connection: Connection, tables: Tables, condition: ColumnElement[bool]) -> Late:
    amendments, late = tables.amendments.c, Late()
    query = select(amendments.outcome_id, amendments.measure, amendments.value).where(condition)
    for outcome_id, measure, value in connection.execute(query):
        late.setdefault(outcome_id, {})[measure] = value
    return late


def _slices(items: Sequence[T]) -> Iterator[Sequence[T]]:
    return (items[begin : begin + _PAIRS] for begin in range(0, len(items), _PAIRS))
