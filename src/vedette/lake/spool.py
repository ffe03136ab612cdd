"""The spool: batches of outcomes as they came in, until they are sealed; and which outcomes came in at all.

What is spooled is durable: one transaction guards the batch, drops what was seen, spools the rest and adds it to the
sums. A batch has a number that is never given again, in the order of the transactions. `seen` knows under which number
an outcome came, and so where it is: in that row of the spool, or in a segment that was sealed from it.

Ids should be UUIDs of version 7, as gateways make them: they come in the order of time, so each finds its place beside
the last one; random ids cost some seven times as much. A UUID is kept in 17 bytes.
"""

from collections.abc import Collection, Iterable, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, delete, select

from vedette.lake.columns import Columns
from vedette.lake.inserting import insert_rows
from vedette.lake.tables import Tables

_UUID, _TEXT = b"\x00", b"\x01"
_SLICE = 5_000
T = TypeVar("T")


def key_of(outcome_id: str) -> bytes:
    """Give the bytes an id is kept as: those of a UUID in its usual form, or else of the text."""
    if len(outcome_id) == 36 and outcome_id[8] == outcome_id[13] == outcome_id[18] == outcome_id[23] == "-":
        digits = outcome_id.replace("-", "")
        if len(digits) == 32 and digits.isascii() and digits == digits.lower():
            try:
                packed = bytes.fromhex(digits)
            except ValueError:
                packed = b""
            if len(packed) == 16:  # spaces among the digits would be skipped
                return _UUID + packed
    return _TEXT + outcome_id.encode()


def seen(connection: Connection, tables: Tables, outcome_ids: Iterable[str]) -> dict[str, int]:
    """Give the numbers under which those outcomes were spooled that came in before."""
    table, ids = tables.seen, {key_of(outcome_id): outcome_id for outcome_id in outcome_ids}
    found: dict[str, int] = {}
    for keys in _slices(list(ids)):
        query = select(table.c.id, table.c.spooled).where(table.c.id.in_(keys))
        found |= {ids[bytes(key)]: number for key, number in connection.execute(query)}
    return found


def remembered(connection: Connection, tables: Tables, outcome_ids: Iterable[str]) -> set[str]:
    """Give those of some outcomes that were brought before and are remembered, whether they are still there or not."""
    table, ids = tables.remembered, {key_of(outcome_id): outcome_id for outcome_id in outcome_ids}
    return {
        ids[bytes(key)]
        for keys in _slices(list(ids))
        for key in connection.scalars(select(table.c.id).where(table.c.id.in_(keys)))
    }


def forget(connection: Connection, tables: Tables, outcome_ids: Iterable[str]) -> None:
    """Forget that outcomes were seen."""
    for keys in _slices([key_of(outcome_id) for outcome_id in outcome_ids]):
        connection.execute(delete(tables.seen).where(tables.seen.c.id.in_(keys)))


def put(connection: Connection, tables: Tables, columns: Columns) -> int:
    """Spool outcomes that were not seen before, and note that they were; gives their number."""
    number, _ = note(connection, tables, columns.ids)
    fill(connection, tables, number, columns)
    return number


def note(connection: Connection, tables: Tables, outcome_ids: Sequence[str]) -> tuple[int, set[str]]:
    """Give a batch its number, note the ids that were not seen before, and give those that were."""
    empty = {"outcomes": 0, "first": 0, "last": 0, "columns": b""}
    number: int = connection.execute(tables.spool.insert().returning(tables.spool.c.number), empty).scalar_one()
    rows = [(key, number) for key in sorted(map(key_of, outcome_ids))]
    if insert_rows(connection, tables.seen, rows, ignore=True) == len(rows):
        return number, set()
    known = seen(connection, tables, outcome_ids)
    return number, {outcome_id for outcome_id, its_number in known.items() if its_number != number}


def fill(connection: Connection, tables: Tables, number: int, columns: Columns | None) -> None:
    """Put columns in the place of a batch; None for nothing."""
    here = tables.spool.c.number == number
    if columns is None or not len(columns):
        connection.execute(delete(tables.spool).where(here))
    else:
        row = {"outcomes": len(columns), "first": int(columns.at.min()), "last": int(columns.at.max())}
        connection.execute(tables.spool.update().where(here).values(row | {"columns": columns.encoded()}))


def keep(connection: Connection, tables: Tables, number: int, batch: Columns, stays: NDArray[np.bool_]) -> int:
    """Keep some rows of a batch and forget the others; gives how many those were."""
    if stays.all():
        return 0
    gone = [batch.ids[row] for row in np.flatnonzero(~stays)]
    rest = batch.outcomes(np.flatnonzero(stays).tolist())
    fill(connection, tables, number, Columns.of(rest) if rest else None)
    forget(connection, tables, gone)
    return len(gone)


def spooled(connection: Connection, tables: Tables, numbers: Collection[int]) -> dict[int, Columns]:
    """Give those of some batches that are in the spool."""
    spool = tables.spool
    found: dict[int, Columns] = {}
    for some in _slices(sorted(numbers)):
        query = select(spool.c.number, spool.c.columns).where(spool.c.number.in_(some))
        found |= {number: Columns.decoded(stored) for number, stored in connection.execute(query)}
    return found


def amendments(connection: Connection, tables: Tables, outcome_ids: Iterable[str]) -> dict[str, dict[str, float]]:
    """Give the late judgements of outcomes, by their ids."""
    table, found = tables.amendments, dict[str, dict[str, float]]()
    for ids in _slices(sorted(set(outcome_ids))):
        query = select(table.c.outcome_id, table.c.measure, table.c.value).where(table.c.outcome_id.in_(ids))
        for outcome_id, measure, value in connection.execute(query):
            found.setdefault(outcome_id, {})[measure] = value
    return found


def _slices(items: list[T]) -> Iterable[list[T]]:
    return (items[begin : begin + _SLICE] for begin in range(0, len(items), _SLICE))
