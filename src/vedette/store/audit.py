"""The audit log in the database: appended under the lock of its one head row, never changed, read in order."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, insert, select, text, update

from vedette.governance.audit import AuditEntry, Finding, Head, chain, verify
from vedette.kernel.errors import Corrupt
from vedette.store.pages import Page, page_of
from vedette.store.tables import audit_head, domain_audit_logs

_CHUNK = 1000


def append(
    connection: Connection,
    *,
    at: datetime,
    actor: str,
    action: str,
    domain: str = "",
    resource: str = "",
    details: Mapping[str, object] | None = None,
    request_id: str = "",
) -> AuditEntry:
    """Add an entry at the end of the chain, in the transaction of the change it tells of.

    Sequences have no gaps: the head row stays locked until the transaction ends, and a transaction that fails takes
    its number back.

    Raises:
        InvalidInput: it names no actor or action, or its details are no JSON.
    """
    entry = chain(
        head(connection, lock=True),
        at=at,
        actor=actor,
        action=action,
        domain=domain,
        resource=resource,
        details=details,
        request_id=request_id,
    )
    connection.execute(insert(domain_audit_logs).values(_row(entry)))
    connection.execute(update(audit_head).values(sequence=entry.sequence, entry_hash=entry.entry_hash))
    return entry


def head(connection: Connection, *, lock: bool = False) -> Head:
    """Give the end of the chain, which is also what to write down elsewhere as a checkpoint.

    Raises:
        Corrupt: the head row is gone.
    """
    query = select(audit_head)
    row = connection.execute(query.with_for_update() if lock else query).one_or_none()
    if row is None:
        raise Corrupt("the audit log has lost its head", hint="restore the database from a backup")
    return Head(sequence=row.sequence, entry_hash=row.entry_hash)


def page(
    connection: Connection,
    *,
    domain: str | None = None,
    actor: str | None = None,
    action: str | None = None,
    resource: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    after: str | None = None,
    limit: int = 50,
    newest_first: bool = False,
) -> Page[AuditEntry]:
    """List entries in order, filtered by any of domain, actor, action, resource and time.

    An action that ends in a dot (``rollout.``) stands for all that begin so; ``since`` is included, ``until`` is not.
    """
    query = _filtered(domain, actor, action, since, until, resource)
    return page_of(
        connection, query, domain_audit_logs.c.sequence, _entry, after=after, limit=limit, newest_first=newest_first
    )


def tail(
    connection: Connection, sequence: int, *, domain: str | None = None, resource: str | None = None
) -> tuple[AuditEntry, ...]:
    """Read the first thousand entries after ``sequence``, in order: of one domain, of one resource, or of all."""
    query = _filtered(domain, None, None, None, None, resource).where(domain_audit_logs.c.sequence > sequence)
    return tuple(map(_entry, connection.execute(query.order_by(domain_audit_logs.c.sequence).limit(_CHUNK))))


def get(connection: Connection, sequence: int) -> AuditEntry | None:
    """Give one entry; None when there is none."""
    query = select(domain_audit_logs).where(domain_audit_logs.c.sequence == sequence)
    row = connection.execute(query).one_or_none()
    return _entry(row) if row else None


def before(connection: Connection, entry: AuditEntry) -> AuditEntry | None:
    """Give the entry about the same resource that went before; None for the first one, and for those about none."""
    if not entry.resource:
        return None
    log = domain_audit_logs.c
    query = _filtered(entry.domain, None, None, None, None, entry.resource).where(log.sequence < entry.sequence)
    row = connection.execute(query.order_by(log.sequence.desc()).limit(1)).one_or_none()
    return _entry(row) if row else None


def stream(
    connection: Connection, *, since: datetime | None = None, until: datetime | None = None
) -> Iterator[AuditEntry]:
    """Read all entries in order, a thousand at a time, for an export or a check of any length."""
    query = _filtered(None, None, None, since, until).order_by(domain_audit_logs.c.sequence)
    if connection.dialect.name == "postgresql":  # who reads may be slow, and holds nobody up
        connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
    for row in connection.execute(query.execution_options(yield_per=_CHUNK)):
        yield _entry(row)


def check(connection: Connection, checkpoint: Head | None = None) -> tuple[Finding, ...]:
    """Verify the whole log against its head, and a checkpoint when there is one; needs `Store.reading`'s one moment."""
    return verify(stream(connection), head(connection), checkpoint)


def _filtered(
    domain: str | None,
    actor: str | None,
    action: str | None,
    since: datetime | None,
    until: datetime | None,
    resource: str | None = None,
) -> Select[Any]:
    log = domain_audit_logs.c
    conditions = [
        *([log.domain_id == domain] if domain is not None else []),
        *([log.actor == actor] if actor is not None else []),
        *([_is(log.action, action)] if action is not None else []),
        *([log.resource == resource] if resource is not None else []),
        *([log.at >= since] if since is not None else []),
        *([log.at < until] if until is not None else []),
    ]
    return select(domain_audit_logs).where(*conditions)


def _is(column: ColumnElement[str], action: str) -> ColumnElement[bool]:
    return column.startswith(action, autoescape=True) if action.endswith(".") else column == action


def _row(entry: AuditEntry) -> dict[str, Any]:
    return {
        "sequence": entry.sequence,
        "at": entry.at,
        "actor": entry.actor,
        "action": entry.action,
        "domain_id": entry.domain,
        "resource": entry.resource,
        "details": entry.details,
        "request_id": entry.request_id,
        "previous_hash": entry.previous_hash,
        "entry_hash": entry.entry_hash,
    }


def _entry(row: Row[Any]) -> AuditEntry:
    return AuditEntry(
        sequence=row.sequence,
        at=row.at,
        actor=row.actor,
        action=row.action,
        domain=row.domain_id,
        resource=row.resource,
        details=row.details,
        request_id=row.request_id,
        previous_hash=row.previous_hash,
        entry_hash=row.entry_hash,
    )
