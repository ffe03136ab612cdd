"""Who may change stored outcomes: one at a time, by an epoch that only rises.

Sealing, merging, dropping and erasing all read first, write files, and then change the lists in one transaction. In
that transaction the epoch must still be the one they began under; so one that was stopped and wakes up again changes
nothing, and the files it wrote are of an epoch gone by, which anybody may remove. The lease only spares doing work
twice; whoever must act now (to erase, say) takes the next epoch without waiting for it to end. It ends by the
database's clock, and counts as ended when it ends further ahead than it is long, as after a clock that jumped.
"""

from sqlalchemy import Connection, Double, literal_column, select

from vedette.kernel.errors import LeaseLost
from vedette.lake.tables import Tables

LENGTH = 60.0
"""Seconds a sealer may be silent before another one takes over."""


def take(connection: Connection, tables: Tables, holder: str, *, now: bool = False) -> int | None:
    """Begin an epoch and give its number; None while another one is at work, unless it has to be ``now``.

    ``connection`` is in a writing transaction, of which there is one at a time.
    """
    sealing = tables.sealing
    clock = _clock(connection)
    row = connection.execute(select(sealing.c.epoch, sealing.c.holder, sealing.c.expires)).one_or_none()
    if row is None:
        connection.execute(sealing.insert().values(epoch=1, holder=holder, expires=clock + LENGTH))
        return 1
    if not now and row.holder not in {"", holder} and clock < row.expires <= clock + LENGTH:
        return None
    connection.execute(sealing.update().values(epoch=row.epoch + 1, holder=holder, expires=clock + LENGTH))
    return int(row.epoch) + 1


def fence(connection: Connection, tables: Tables, epoch: int) -> None:
    """Make sure that it is still that epoch, and begin its lease afresh.

    Raises:
        LeaseLost: A later one has begun.
    """
    expires = _clock(connection) + LENGTH
    if not connection.execute(
        tables.sealing.update().where(tables.sealing.c.epoch == epoch).values(expires=expires)
    ).rowcount:
        raise LeaseLost(f"epoch {epoch} of the lake's segments is over", hint="another process takes care of them")


def release(connection: Connection, tables: Tables, epoch: int) -> None:
    """Let the next one begin at once."""
    connection.execute(tables.sealing.update().where(tables.sealing.c.epoch == epoch).values(holder=""))


def _clock(connection: Connection) -> float:
    """Give the database's own clock, in seconds since 1970."""
    postgres = connection.dialect.name == "postgresql"
    said = "extract(epoch FROM clock_timestamp())::float8" if postgres else "unixepoch('subsec')"
    return connection.execute(select(literal_column(said, Double()))).scalar_one()
