"""Who may change stored outcomes: one at a time, by an epoch that only rises.

Sealing, merging, dropping and erasing all read first, write files, and then change the lists in one transaction. In
that transaction the epoch must still be the one they began under; so one that was stopped and wakes up again changes
nothing, and the files it wrote are of an epoch gone by, which anybody may remove. The lease only spares doing work
twice; whoever must act now (to erase, say) takes the next epoch without waiting for it to end. It ends by the
database's clock, and counts as ended when it ends further ahead than it is long, as after a clock that jumped.

A failover to a standby that lagged behind takes back the last epochs, and their numbers are given out again. So an
epoch has a mark of its own besides, drawn when it begins: of two with one number, the one the database knows goes on.
"""

import os
import time

from sqlalchemy import ColumnElement, Connection, Double, and_, literal_column, select

from vedette.kernel.errors import LeaseLost
from vedette.kernel.ids import uuid7
from vedette.kernel.records import record
from vedette.lake.tables import Tables

LENGTH = 60.0
"""Seconds a sealer may be silent before another one takes over."""


@record
class Epoch:
    """The right to change stored outcomes: a number above those before it, and a mark that no other epoch has."""

    number: int
    mark: str


def take(connection: Connection, tables: Tables, holder: str) -> Epoch | None:
    """Begin an epoch; None while that of another holder is under way.

    Args:
        connection: In a writing transaction, of which there is one at a time.
        tables: The lake's.
        holder: A name without spaces that no other process has.
    """
    sealing = tables.sealing
    clock = _clock(connection)
    row = connection.execute(select(sealing.c.holder, sealing.c.expires)).one_or_none()
    if row and row.holder.partition(" ")[0] not in {"", holder} and clock < row.expires <= clock + LENGTH:
        return None
    return overtake(connection, tables, holder)


def overtake(connection: Connection, tables: Tables, holder: str) -> Epoch:
    """Begin an epoch now, whoever is at work."""
    sealing = tables.sealing
    mark = f"{holder} {uuid7(time.time_ns() // 1_000_000, os.urandom(10))}"
    number = (connection.scalar(select(sealing.c.epoch)) or 0) + 1
    row = {"epoch": number, "holder": mark, "expires": _clock(connection) + LENGTH}
    connection.execute((sealing.update() if number > 1 else sealing.insert()).values(row))
    return Epoch(number=number, mark=mark)


def fence(connection: Connection, tables: Tables, epoch: Epoch) -> None:
    """Make sure that it is still that epoch, and begin its lease afresh.

    Raises:
        LeaseLost: Another one has begun.
    """
    expires = _clock(connection) + LENGTH
    if not connection.execute(tables.sealing.update().where(_is(tables, epoch)).values(expires=expires)).rowcount:
        raise _lost(epoch)


def check(connection: Connection, tables: Tables, epoch: Epoch) -> None:
    """Make sure that it was still that epoch at the moment a reading transaction sees.

    Raises:
        LeaseLost: Another one had begun.
    """
    if connection.execute(select(tables.sealing.c.epoch).where(_is(tables, epoch))).first() is None:
        raise _lost(epoch)


def release(connection: Connection, tables: Tables, epoch: Epoch) -> None:
    """Let the next one begin at once."""
    connection.execute(tables.sealing.update().where(_is(tables, epoch)).values(holder=""))


def _is(tables: Tables, epoch: Epoch) -> ColumnElement[bool]:
    return and_(tables.sealing.c.epoch == epoch.number, tables.sealing.c.holder == epoch.mark)


def _lost(epoch: Epoch) -> LeaseLost:
    return LeaseLost(f"epoch {epoch.number} of the lake's segments is over", hint="another process takes care of them")


def _clock(connection: Connection) -> float:
    """Give the database's own clock, in seconds since 1970."""
    postgres = connection.dialect.name == "postgresql"
    said = "extract(epoch FROM clock_timestamp())::float8" if postgres else "unixepoch('subsec')"
    return connection.execute(select(literal_column(said, Double()))).scalar_one()
