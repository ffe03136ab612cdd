"""Erasing: everything about a domain, or every outcome of one of its units, wherever it is stored.

Files that are spared, though no list names them, go first. Segments that hold any of it are written anew without it,
before anything changes; then one transaction puts the new ones in the place of the old, takes what is still spooled out
of its batches, and forgets the ids. A death before it leaves files that no list names, a death after it the old files,
and both go with the next epoch. Otherwise the old files are made to say what the new ones do, and spared so: a failover
that loses that transaction brings back the list of before, and nothing of what was erased.

Of a unit only outcomes are known, by its pseudonym: sums hold none, and stay. Some of its outcomes may be on their way
still, in the journal of a gateway. So a unit that was erased is noted, and `withhold` counts what comes later and
happened before, without keeping it.
"""
# ruff: noqa: S608 - names and values go through `lake.dialect`, which quotes them

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, Row, delete, select

from vedette.kernel.errors import Conflict, LeaseLost
from vedette.lake import lease, spool
from vedette.lake.columns import UNIT, Columns
from vedette.lake.dialect import DUCKDB
from vedette.lake.engine import LakeDatabase
from vedette.lake.history import FileGone, History, Snapshot, paths, reading
from vedette.lake.queries import Page
from vedette.lake.sealer import collect, replacing
from vedette.lake.segments import Segment, SegmentFolder, ids_in
from vedette.lake.tables import Tables

_ATTEMPTS = 5
_PAIRS = 1_000
_Finish = Callable[[Connection, Sequence[str]], None]
"""What else the last transaction does, which knows the ids of the outcomes that go."""


@dataclass(frozen=True, slots=True)
class _Whose:
    """Whose outcomes are meant: a domain's, or those of one of its units."""

    domain: str
    unit: str = ""

    @property
    def where(self) -> str:
        """Write which rows of a segment those are."""
        domain = f"domain = {DUCKDB.text(self.domain)}"
        return f"{domain} AND {UNIT} IS NOT DISTINCT FROM {DUCKDB.text(self.unit)}" if self.unit else domain

    def among(self, segment: Row[Any]) -> bool:
        """Say whether a segment may have any."""
        return not self.unit or segment.units

    def others(self, batch: Columns) -> NDArray[np.bool_]:
        """Tell the rows of a batch that are not meant."""
        others = _is_not(batch, "domain", self.domain)
        return others | _is_not(batch, UNIT, self.unit) if self.unit else others


def erase_domain(database: LakeDatabase, tables: Tables, folder: Path | None, domain: str) -> None:
    """Drop everything about a domain.

    Raises:
        Conflict: Others kept on changing segments meanwhile; nothing was dropped.
    """
    held = (
        tables.rollups,
        tables.cells,
        tables.exposure_cells,
        tables.amendments,
        tables.remembered,
        tables.erased_units,
    )

    def finish(connection: Connection, _: Sequence[str]) -> None:
        for table in held:
            connection.execute(delete(table).where(table.c.domain == domain))

    _erase(database, tables, folder, _Whose(domain), finish)


def erase_unit(
    database: LakeDatabase,
    tables: Tables,
    folder: Path | None,
    domain: str,
    unit: str,
    at: int,
    told: Callable[[int], None],
) -> int:
    """Drop every outcome of a unit, and note that what happened until ``at`` is not to be kept; gives how many.

    Raises:
        Conflict: Others kept on changing segments meanwhile; nothing was dropped.
    """
    erased = tables.erased_units

    def finish(connection: Connection, ids: Sequence[str]) -> None:
        for begin in range(0, len(ids), _PAIRS):
            judged = tables.amendments.c.outcome_id.in_(ids[begin : begin + _PAIRS])
            connection.execute(delete(tables.amendments).where(judged))
        its_own = (erased.c.domain == domain) & (erased.c.unit == unit)
        connection.execute(delete(erased).where(its_own))
        connection.execute(erased.insert().values(domain=domain, unit=unit, at=at))
        told(len(ids))

    return _erase(database, tables, folder, _Whose(domain, unit), finish)


def count_unit(history: History, taken: Snapshot, domain: str, unit: str) -> int:
    """Count the outcomes of a unit."""
    page = Page(domain=domain, unit=unit, units=True)
    with history.over(taken, page) as held:
        (row,) = held.rows(f"SELECT count(*) AS n FROM outcomes WHERE {page.where(held.dialect)}")
        return int(row["n"])


def withhold(connection: Connection, tables: Tables, number: int, columns: Columns) -> None:
    """Take out of a batch that was spooled just now what happened before its unit was erased, and forget it."""
    if UNIT not in columns.texts:
        return
    erased, stays = tables.erased_units, np.ones(len(columns), np.bool_)
    units = [unit for unit in columns.texts[UNIT].values if unit]
    for begin in range(0, len(units), _PAIRS):
        query = select(erased).where(erased.c.unit.in_(units[begin : begin + _PAIRS]))
        for row in connection.execute(query):
            whose = _Whose(row.domain, row.unit)
            stays &= whose.others(columns) | (columns.at > row.at)
    spool.keep(connection, tables, number, columns, stays)


def _erase(database: LakeDatabase, tables: Tables, folder: Path | None, whose: _Whose, finish: _Finish) -> int:
    for _ in range(_ATTEMPTS):
        try:
            return _erase_once(database, tables, folder, whose, finish)
        except (LeaseLost, FileGone) as error:
            last = error
    raise Conflict(f"outcomes of {whose.domain} could not be erased: {last}", hint="try again") from last


def _erase_once(database: LakeDatabase, tables: Tables, place: Path | None, whose: _Whose, finish: _Finish) -> int:
    with database.writing() as connection:
        epoch = lease.overtake(connection, tables, "eraser")
        listed = [row for row in connection.execute(tables.segments.select()) if whose.among(row)]
    paths(place, [row.name for row in listed])
    folder = SegmentFolder(place, epoch.number) if place and place.exists() else None
    if folder:
        collect(database, tables, folder, epoch, spared=True)  # they may hold some of it
    gone, made = _rewritten(folder, listed, whose) if folder else ({}, {})
    without = _without(database, tables, whose)
    ids = [outcome_id for some in gone.values() for outcome_id in some]
    with replacing(database, tables, folder, epoch, [new for new in made.values() if new.outcomes]) as connection:
        connection.execute(delete(tables.segments).where(tables.segments.c.name.in_(list(gone))))
        spool.forget(connection, tables, ids)
        for number in connection.scalars(select(tables.spool.c.number)).all():
            if number in without:
                continue
            for batch in spool.spooled(connection, tables, [number]).values():
                others = whose.others(batch)
                ids += [batch.ids[row] for row in np.flatnonzero(~others)]
                spool.keep(connection, tables, number, batch, others)
        lease.release(connection, tables, epoch)
        finish(connection, ids)
    if folder:
        for replaced, new in made.items():
            folder.stand_in(new.name, replaced)
    return len(ids)


def _rewritten(
    folder: SegmentFolder, listed: Sequence[Row[Any]], whose: _Whose
) -> tuple[Mapping[str, list[str]], Mapping[str, Segment]]:
    """Write segments anew that hold any of it; gives the ids that go and the new segments, by those they were in."""
    gone: dict[str, list[str]] = {}
    made: dict[str, Segment] = {}
    with folder.engine() as engine:
        for row in listed:
            (path,) = folder.paths([row.name])
            ids = [outcome_id for some in ids_in(engine, path, whose.where) for outcome_id in some]
            if not ids:
                continue
            gone[row.name] = ids
            rest = f"(SELECT * FROM {reading([path])} WHERE NOT ({whose.where})) AS kept"
            numbers, measures = (row.first_spooled, row.last_spooled), msgspec.json.decode(row.measures)
            made[row.name] = folder.write(engine, rest, row.day, numbers, measures, units=row.units)
    return gone, made


def _without(database: LakeDatabase, tables: Tables, whose: _Whose) -> set[int]:
    """Name the batches that hold none of it, and never will: so the last transaction need not look into them."""
    found: set[int] = set()
    with database.reading() as connection:
        for number in connection.scalars(select(tables.spool.c.number)).all():
            batches = spool.spooled(connection, tables, [number])
            found |= {its_number for its_number, batch in batches.items() if whose.others(batch).all()}
    return found


def _is_not(batch: Columns, name: str, text: str) -> NDArray[np.bool_]:
    values, codes = batch.texts[name] if name in batch.texts else ([], np.empty(len(batch), np.intp))
    if text not in values:
        return np.ones(len(batch), np.bool_)
    return np.not_equal(codes, values.index(text))
