"""The outbox: effects decided in a transaction and performed after it, at least once.

An effect's id is derived from what decided it, so deciding twice adds it once; the id also goes to the receiver, which
can tell a repetition by it. An effect that was taken and neither done nor failed (the process died) is due again after
its hold; one that failed is due again after a wait that doubles up to an hour, and is never given up silently.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, delete, or_, select, update

from vedette.kernel.records import record
from vedette.store.tables import outbox
from vedette.store.upsert import upsert

_LONGEST_WAIT = 3600.0


@record
class OutboxItem:
    """One effect to perform: its id, its kind, its payload, and how often it was tried before."""

    effect_id: str
    kind: str
    payload: Mapping[str, Any]
    created_at: datetime
    attempts: int
    error: str


def add(connection: Connection, effect_id: str, kind: str, payload: Mapping[str, Any], *, at: datetime) -> None:
    """Ask for an effect, due at once; an effect of the same id that is there already stays as it is."""
    values = {
        "effect_id": effect_id,
        "kind": kind,
        "payload": payload,
        "created_at": at,
        "touched_at": at,
        "due_at": at,
        "attempts": 0,
        "done_at": None,
        "error": "",
    }
    connection.execute(upsert(connection, outbox, values, key=("effect_id",)))


def take(connection: Connection, *, now: datetime, limit: int = 100, hold: float = 60.0) -> tuple[OutboxItem, ...]:
    """Take effects that are due, the oldest first, and keep others from taking them for ``hold`` seconds.

    An effect touched "later" than ``now`` is due as well: the clock went back, and its due time means nothing.
    """
    due = (
        select(outbox)
        .where(outbox.c.done_at.is_(None), or_(outbox.c.due_at <= now, outbox.c.touched_at > now))
        .order_by(outbox.c.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    rows = connection.execute(due).all()
    if not rows:
        return ()
    connection.execute(
        update(outbox)
        .where(outbox.c.id.in_([row.id for row in rows]))
        .values(touched_at=now, due_at=now + timedelta(seconds=hold))
    )
    return tuple(_item(row) for row in rows)


def done(connection: Connection, effect_id: str, *, at: datetime) -> None:
    """Note that an effect was performed."""
    connection.execute(update(outbox).where(outbox.c.effect_id == effect_id).values(done_at=at, error=""))


def failed(connection: Connection, item: OutboxItem, *, at: datetime, error: str) -> datetime:
    """Note that an effect failed; give the moment it is due again: after 1, 2, 4 … seconds, at most an hour."""
    due = at + timedelta(seconds=min(2.0 ** min(item.attempts, 12), _LONGEST_WAIT))
    connection.execute(
        update(outbox)
        .where(outbox.c.effect_id == item.effect_id, outbox.c.done_at.is_(None))
        .values(touched_at=at, due_at=due, attempts=item.attempts + 1, error=error)
    )
    return due


def waiting(connection: Connection, *, limit: int = 100) -> tuple[OutboxItem, ...]:
    """Give effects that are not done yet, the oldest first, due or not."""
    query = select(outbox).where(outbox.c.done_at.is_(None)).order_by(outbox.c.id).limit(limit)
    return tuple(_item(row) for row in connection.execute(query))


def prune(connection: Connection, *, before: datetime) -> int:
    """Remove effects done before a moment; give how many. Keep them as long as their decision could be repeated."""
    return connection.execute(delete(outbox).where(outbox.c.done_at < before)).rowcount


def _item(row: Row[Any]) -> OutboxItem:
    return OutboxItem(
        effect_id=row.effect_id,
        kind=row.kind,
        payload=row.payload,
        created_at=row.created_at,
        attempts=row.attempts,
        error=row.error,
    )
