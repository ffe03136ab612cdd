"""Segments: outcomes of one day (in UTC) in a Parquet file, sorted by domain and time.

A file is written under another name, brought to the disk, renamed, and its folder brought to the disk, before any list
names it; it is never changed. Its name says its day and the number of the epoch it was written under (see
`lake.lease`), so one that no list names can be told from one that is about to be listed: that one is of the epoch that
still is. Names have a stamp too, as two epochs may have one number, and what they write stays apart.

A file whose place others took is spared for an hour: the list may name it again, after a failover to a standby that
lagged behind or from a backup. Until when is what its time of modification says then.
"""
# ruff: noqa: S608 - names and values go through `lake.dialect`, which quotes them

import logging
import os
import re
import shutil
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb

from vedette.kernel.errors import Unavailable
from vedette.kernel.ids import uuid7
from vedette.lake.clock import DAY, moment
from vedette.lake.columns import UNIT
from vedette.lake.dialect import DUCKDB
from vedette.lake.history import connect, reading, selected, translated
from vedette.lake.queries import measure_column

_log = logging.getLogger(__name__)
_FINISHED = ".parquet"
_UNFINISHED = ".unfinished"
_SPILL = "spill."
_STAMP = r"\.[0-9a-f-]{36}"
_NAME = re.compile(rf"\d{{4,}}-\d\d-\d\d\.(\d+){_STAMP}\.parquet(?:\.unfinished)?|spill\.(\d+)(?:{_STAMP})?")
SPARED = 3600.0
"""Seconds a file is kept after others took its place."""
_ROW_GROUP = 122_880
_IDS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A file of outcomes.

    Attributes:
        name: Of the file.
        day: Days since 1970.
        outcomes: How many there are.
        first: Microseconds: when the oldest one happened.
        last: … and the newest.
        first_spooled: Numbers of the batches its outcomes came in, from …
        last_spooled: … to.
        measures: Those that have a column.
        units: Whether units have one.
    """

    name: str
    day: int
    outcomes: int
    first: int
    last: int
    first_spooled: int
    last_spooled: int
    measures: tuple[str, ...]
    units: bool = False


class SegmentFolder:
    """The folder of the segments, to be written to under one epoch.

    Raises:
        Unavailable: It cannot be made.
    """

    def __init__(self, path: Path, epoch: int) -> None:
        self._path = path
        self._epoch = epoch
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise Unavailable(f"the folder {path} cannot be made: {error.strerror}", hint="choose another") from error

    @contextmanager
    def engine(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Open an engine that leaves most of the machine to others, and spills into this folder.

        Raises:
            Unavailable: It fails, as when the disk is full.
            FileGone: A segment it is to read is no longer there.
        """
        with connect(self._path / f"{_SPILL}{self._epoch:06d}.{_stamp()}") as engine, translated():
            engine.execute("SET threads = 1; SET preserve_insertion_order = true")
            yield engine

    def write(
        self,
        engine: duckdb.DuckDBPyConnection,
        relation: str,
        day: int,
        numbers: tuple[int, int],
        measures: Sequence[str],
        *,
        units: bool = False,
    ) -> Segment:
        """Write what a relation of the engine has of a day to a file, and bring it to the disk.

        With ``units`` the relation has them, and so has the file.

        Raises:
            Unavailable: The disk is full or fails; nothing of the file is left.
        """
        path = self._path / f"{_date(day)}.{self._epoch:06d}.{_stamp()}.parquet"
        unfinished = path.with_name(path.name + _UNFINISHED)
        held = [*map(measure_column, measures), UNIT]
        columns = selected(held, measures, units=units)
        try:
            engine.execute(
                f"COPY (SELECT {columns} FROM {relation}"
                f" WHERE at_micros >= {day * DAY} AND at_micros < {(day + 1) * DAY} ORDER BY domain, at_micros, id)"
                f" TO {DUCKDB.text(str(unfinished))} (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {_ROW_GROUP})"
            )
            n, first, last = _one(
                engine,
                f"SELECT count(*), coalesce(min(at_micros), {day * DAY}), coalesce(max(at_micros), {day * DAY})"
                f" FROM {reading([unfinished])}",
            )
            _sync(unfinished)
            unfinished.rename(path)
            _sync(self._path)
        except OSError as error:
            raise Unavailable(f"segment {path} cannot be written: {error}", hint="make room there") from error
        finally:
            unfinished.unlink(missing_ok=True)
        return Segment(
            name=path.name,
            day=day,
            outcomes=n,
            first=first,
            last=last,
            first_spooled=numbers[0],
            last_spooled=numbers[1],
            measures=tuple(measures),
            units=units,
        )

    def paths(self, names: Collection[str]) -> list[Path]:
        """Give the files of segments."""
        return [self._path / name for name in names]

    def remove(self, names: Collection[str]) -> None:
        """Remove files that no list names any more; what cannot be removed is an orphan."""
        for path in self.paths(names):
            try:
                if path.is_dir():
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink(missing_ok=True)
            except OSError as error:
                _log.warning("%s cannot be removed, trying again later: %s", path, error)

    def spare(self, names: Collection[str]) -> None:
        """Keep files for some time, though no list may name them soon."""
        until = time.time() + SPARED
        for path in self.paths(names):
            with suppress(OSError):  # then it goes at once
                os.utime(path, (until, until))

    def stand_in(self, name: str, replaced: str) -> None:
        """Let a file that was replaced say what the other one does, which lacks what must go, and spare it so."""
        new, old = self.paths([name, replaced])
        draft = new.with_name(new.name + _UNFINISHED)
        try:
            os.link(new, draft)
            draft.rename(old)
        except OSError as error:  # a file system without links, or a full one
            _log.info("%s goes at once: %s", old, error)
            self.remove([replaced])
        else:
            self.spare([replaced])

    def spares(self, name: str) -> bool:
        """Say whether a file is one of those, and its time not over; a clock that jumped ends it."""
        try:
            modified = (self._path / name).stat().st_mtime
        except OSError:  # it has gone meanwhile
            return False
        return name.endswith(_FINISHED) and 0 < modified - time.time() <= SPARED

    def past(self) -> list[str]:
        """Name the files of epochs gone by: those that are not listed now, whoever wrote them can list no more."""
        found = ((path.name, _NAME.fullmatch(path.name)) for path in self._path.iterdir())
        return sorted(name for name, match in found if match and int(match[1] or match[2]) < self._epoch)


def days_of(engine: duckdb.DuckDBPyConnection, relation: str) -> list[int]:
    """Say of which days a relation has outcomes."""
    query = f"SELECT DISTINCT CAST(floor(at_micros / {DAY}.0) AS INTEGER) AS day FROM {relation} ORDER BY day"
    return [day for (day,) in engine.execute(query).fetchall()]


def ids_in(engine: duckdb.DuckDBPyConnection, path: Path, where: str = "true") -> Iterator[list[str]]:
    """Give the ids of the outcomes in a segment, some at a time."""
    found = engine.execute(f"SELECT id FROM {reading([path])} WHERE {where}")
    while rows := found.fetchmany(_IDS):
        yield [outcome_id for (outcome_id,) in rows]


def _one(engine: duckdb.DuckDBPyConnection, query: str) -> tuple[Any, ...]:
    row = engine.execute(query).fetchone()
    assert row is not None, "an aggregate has one row"  # noqa: S101 - for the type checker
    return row


def _stamp() -> str:
    """Draw what tells two files of one day and one epoch apart, whoever writes them."""
    return uuid7(time.time_ns() // 1_000_000, os.urandom(10))


def _date(day: int) -> str:
    return (moment(0) + timedelta(days=day)).strftime("%Y-%m-%d")


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
