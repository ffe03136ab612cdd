"""Requests answered once: a key and the fingerprint of its request, with the answer it got.

The key is claimed at the beginning of the transaction that makes the change and answered at its end, so a request that
failed half-way leaves no key behind, and one that comes twice at the same moment waits for the first.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, delete, select, update

from vedette.kernel.errors import Conflict
from vedette.store.tables import idempotency_keys
from vedette.store.upsert import upsert


def claim(
    connection: Connection, key: str, fingerprint: str, *, at: datetime, lifetime: float = 86_400.0
) -> Mapping[str, Any] | None:
    """Claim a key for a request; give the answer the same request got before, or None when it is the first.

    Args:
        connection: inside the transaction of the change.
        key: what the client sent, with who sent it.
        fingerprint: digest of method, path and body.
        at: now.
        lifetime: seconds for which the answer is kept.

    Raises:
        Conflict: the key was used for another request.
    """
    values = {
        "key": key,
        "fingerprint": fingerprint,
        "response": None,
        "created_at": at,
        "expires_at": at + timedelta(seconds=lifetime),
    }
    claimed = upsert(
        connection,
        idempotency_keys,
        values,
        replace=("fingerprint", "response", "created_at", "expires_at"),
        where=lambda _: idempotency_keys.c.expires_at <= at,
    ).returning(idempotency_keys.c.key)
    if connection.execute(claimed).first():
        return None
    row = connection.execute(select(idempotency_keys).where(idempotency_keys.c.key == key)).one()
    return _answer_in(row, key, fingerprint)


def known(connection: Connection, key: str, fingerprint: str, *, at: datetime) -> Mapping[str, Any] | None:
    """Give the answer that the same request got before, or None, and claim nothing; raises as `claim` does."""
    of_key = (idempotency_keys.c.key == key) & (idempotency_keys.c.expires_at > at)
    row = connection.execute(select(idempotency_keys).where(of_key)).one_or_none()
    return None if row is None else _answer_in(row, key, fingerprint)


def _answer_in(row: Row[Any], key: str, fingerprint: str) -> Mapping[str, Any]:
    if row.fingerprint != fingerprint:
        raise Conflict(f"idempotency key {key!r} was used for another request", hint="send a new key")
    if row.response is None:
        raise Conflict(f"the request of idempotency key {key!r} got no answer", hint="send it again with a new key")
    kept: Mapping[str, Any] = row.response
    return kept


def answer(connection: Connection, key: str, response: Mapping[str, Any]) -> None:
    """Keep the answer to a claimed request."""
    connection.execute(update(idempotency_keys).where(idempotency_keys.c.key == key).values(response=response))


def prune(connection: Connection, *, now: datetime) -> int:
    """Remove answers whose lifetime is over; give how many."""
    return connection.execute(delete(idempotency_keys).where(idempotency_keys.c.expires_at <= now)).rowcount
