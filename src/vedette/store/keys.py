"""Keys of callers, and the ring of the good ones that gateways follow."""

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from vedette.catalog.key import AdmittedKey, Key, KeyRing
from vedette.database.failures import constrained
from vedette.kernel.documents import dump, load
from vedette.kernel.errors import Conflict, NotFound, StaleRevision
from vedette.store.pages import Page, page_of
from vedette.store.tables import caller_keys, counters
from vedette.store.upsert import upsert

_COUNTER = "caller_keys"


def create(connection: Connection, key: Key, *, digest: str, pepper: str) -> None:
    """Store a new key with the digest of its secret.

    Raises:
        Conflict: there is a key of that name; names stay taken, for the record's sake.
    """
    taken = Conflict(f"key {key.name!r} exists already", hint="a revoked key keeps its name; choose another")
    with constrained(unique=taken):
        connection.execute(
            insert(caller_keys).values(
                id=key.id,
                name=key.name,
                spec=dump(key.spec),
                digest=digest,
                pepper=pepper,
                created_at=key.created_at,
                created_by=key.created_by,
                revoked_at=key.revoked_at,
                revoked_by=key.revoked_by,
                revision=key.revision,
            )
        )
    _count_up(connection)


def get(connection: Connection, name: str) -> Key:
    """Give a key by its name or its id.

    Raises:
        NotFound: there is none.
    """
    wanted = (caller_keys.c.name == name) | (caller_keys.c.id == name)
    rows = connection.execute(select(caller_keys).where(wanted)).all()
    row = next((row for row in rows if row.name == name), rows[0] if rows else None)
    if row is None:
        raise NotFound(f"there is no key {name!r}", hint="`vedette key list` shows those there are")
    return _key(row)


def page(connection: Connection, *, after: str | None = None, limit: int = 50) -> Page[Key]:
    """List keys by name, revoked ones too."""
    return page_of(connection, select(caller_keys), caller_keys.c.name, _key, after=after, limit=limit)


def of_domain(connection: Connection, domain_id: str) -> tuple[Key, ...]:
    """Give the keys that are for a domain and not revoked, by name."""
    query = select(caller_keys).where(caller_keys.c.revoked_at.is_(None)).order_by(caller_keys.c.name)
    held = (_key(row) for row in connection.execute(query))
    return tuple(key for key in held if not key.spec.domains or domain_id in key.spec.domains)


def replace(connection: Connection, key: Key, *, expected_revision: int) -> None:
    """Store what is said of ``key``, whose revision is one above ``expected_revision``, in that one's place.

    Raises:
        StaleRevision: it is at another revision than expected; nothing was changed.
    """
    changed = connection.execute(
        update(caller_keys)
        .where(caller_keys.c.id == key.id, caller_keys.c.revision == expected_revision)
        .values(spec=dump(key.spec), revision=key.revision)
    )
    if not changed.rowcount:
        raise StaleRevision(
            f"key {key.name!r} is no longer at revision {expected_revision}", hint="read it again, then change it"
        )
    _count_up(connection)


def revoke(connection: Connection, key_id: str, *, at: datetime, actor: str) -> Key:
    """Take a key out of the ring, at whatever revision it is, and give it as it then is."""
    connection.execute(
        update(caller_keys)
        .where(caller_keys.c.id == key_id, caller_keys.c.revoked_at.is_(None))
        .values(revoked_at=at, revoked_by=actor, revision=caller_keys.c.revision + 1)
    )
    _count_up(connection)
    return _key(connection.execute(select(caller_keys).where(caller_keys.c.id == key_id)).one())


def revision(connection: Connection) -> int:
    """Give the revision of the ring: 0 before the first key, and another one after every change."""
    found = connection.execute(select(counters.c.value).where(counters.c.name == _COUNTER)).scalar_one_or_none()
    return found or 0


def ring(connection: Connection) -> KeyRing:
    """Give all keys that are not revoked."""
    query = select(caller_keys).where(caller_keys.c.revoked_at.is_(None)).order_by(caller_keys.c.id)
    held = tuple(
        load(AdmittedKey, {name: getattr(row, name) for name in ("id", "name", "spec", "digest", "pepper")})
        for row in connection.execute(query)
    )
    return KeyRing(revision=revision(connection), keys=held)


def _count_up(connection: Connection) -> None:
    """Count up under a row lock kept to the end of the transaction, so that revisions commit in their order."""
    row = {"name": _COUNTER, "value": 1}
    connection.execute(upsert(connection, counters, row, change={"value": counters.c.value + 1}))


def _key(row: Row[Any]) -> Key:
    names = ("id", "name", "spec", "created_at", "created_by", "revoked_at", "revoked_by", "revision")
    return load(Key, {name: getattr(row, name) for name in names})
