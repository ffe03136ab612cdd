"""Leases: who may act on an object, for how long, and for how long it has been watched.

A lease is a row with a rising epoch. Whoever takes it over raises the epoch, and every write made under a lease
checks, in the same transaction, that its epoch still holds; so a replica that was paused and wakes up again cannot
write what it decided before. Expiry goes by the database's clock, the one all replicas share. Should that clock jump
back, an expiry further ahead than the lease's length counts as past; should it jump forward, leases end early: both
cost one new epoch, never two holders.

``held`` is the time the object has been watched, over all holders: the sum of what holders measured themselves, on
their monotonic clocks, between renewals. It survives restarts and knows no clock jumps.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Connection, Row, and_, case, literal_column, or_, select, tuple_, update

from vedette.kernel.errors import InvalidInput, LeaseLost
from vedette.kernel.records import record
from vedette.store.columns import REAL
from vedette.store.tables import leases
from vedette.store.upsert import upsert

T = TypeVar("T")

_BATCH = 500  # leases in one statement


@record
class Lease:
    """The right to act on ``name``, as of epoch ``epoch``; ``held`` are the seconds it was watched so far."""

    name: str
    holder: str
    epoch: int
    held: float


def acquire(connection: Connection, names: Sequence[str], holder: str, *, ttl: float) -> tuple[Lease, ...]:
    """Take every lease of ``names`` that is free or has expired, for ``ttl`` seconds; give those that were gained.

    A holder that takes what it holds already gets a new epoch, and what an older copy of it held is void.

    Args:
        connection: inside a transaction.
        names: what to act on.
        holder: who takes it, a name no other process has.
        ttl: seconds, above 0.
    """
    if not holder or not 0 < ttl < float("inf"):
        raise InvalidInput("a lease needs a holder and a length above 0 seconds")
    now = _clock(connection)
    gained = []
    for batch in _batches(sorted(set(names))):
        fresh = [
            {"name": name, "holder": holder, "epoch": 1, "expires": now + ttl, "ttl": ttl, "held": 0.0}
            for name in batch
        ]
        statement = upsert(
            connection,
            leases,
            fresh,
            replace=("holder", "expires", "ttl"),
            change={"epoch": leases.c.epoch + 1},
            where=lambda _: or_(_expired(now), leases.c.holder == holder),
        ).returning(leases)
        gained += [_lease(row) for row in connection.execute(statement)]
    return tuple(sorted(gained, key=lambda lease: lease.name))


def renew(connection: Connection, watched: Mapping[Lease, float]) -> tuple[Lease, ...]:
    """Extend leases by their length and add the seconds each was watched since its last renewal; give those kept.

    A lease that ran out but that nobody took is kept: no one else can have acted in between. What is added is never
    more than the length of the lease, so a process that was stopped for hours has not watched for hours.
    """
    now = _clock(connection)
    kept = []
    for batch in _batches(sorted(watched, key=lambda lease: lease.name)):
        seconds = case({lease.name: max(0.0, watched[lease]) for lease in batch}, value=leases.c.name, else_=0.0)
        statement = (
            update(leases)
            .where(_are(batch))
            .values(
                expires=now + leases.c.ttl,
                held=leases.c.held + case((seconds < leases.c.ttl, seconds), else_=leases.c.ttl),
            )
            .returning(leases)
        )
        kept += [_lease(row) for row in connection.execute(statement)]
    return tuple(sorted(kept, key=lambda lease: lease.name))


def release(connection: Connection, held: Iterable[Lease]) -> None:
    """Give leases back, so that another holder need not wait for them to expire; lost ones stay with who has them."""
    for batch in _batches(list(held)):
        connection.execute(update(leases).where(_are(batch)).values(holder="", expires=0.0))


def fence(connection: Connection, lease: Lease) -> None:
    """Make sure that ``lease`` holds and that nobody can take it before this transaction ends.

    Raises:
        LeaseLost: it expired, or another holder or a later epoch has it.
    """
    query = select(leases.c.name).where(_are([lease]), ~_expired(_clock(connection))).with_for_update(read=True)
    if connection.execute(query).first() is None:
        raise LeaseLost(f"the lease on {lease.name!r} (epoch {lease.epoch}) is no longer held", hint="look again")


def current(connection: Connection) -> tuple[Lease, ...]:
    """Give the leases that are held at this moment."""
    query = select(leases).where(~_expired(_clock(connection))).order_by(leases.c.name)
    return tuple(_lease(row) for row in connection.execute(query))


def watched(connection: Connection, names: Sequence[str]) -> dict[str, float]:
    """Give the seconds each of ``names`` has been watched; 0 for what nobody ever took."""
    seconds = dict.fromkeys(names, 0.0)
    for batch in _batches(list(seconds)):
        query = select(leases.c.name, leases.c.held).where(leases.c.name.in_(batch))
        seconds |= {row.name: row.held for row in connection.execute(query)}
    return seconds


def _clock(connection: Connection) -> ColumnElement[float]:
    """Give the database's own clock, in seconds since 1970: not when the transaction began but now."""
    postgres = connection.dialect.name == "postgresql"
    said = "extract(epoch FROM clock_timestamp())::float8" if postgres else "unixepoch('subsec')"
    return literal_column(said, REAL)


def _expired(now: ColumnElement[float]) -> ColumnElement[bool]:
    return or_(leases.c.holder == "", leases.c.expires <= now, leases.c.expires > now + leases.c.ttl)


def _are(batch: Sequence[Lease]) -> ColumnElement[bool]:
    """Match the rows that are still what these leases say."""
    rows = [(lease.name, lease.holder, lease.epoch) for lease in batch]
    return and_(tuple_(leases.c.name, leases.c.holder, leases.c.epoch).in_(rows))


def _lease(row: Row[Any]) -> Lease:
    return Lease(name=row.name, holder=row.holder, epoch=row.epoch, held=row.held)


def _batches(items: Sequence[T]) -> Iterator[Sequence[T]]:
    return (items[begin : begin + _BATCH] for begin in range(0, len(items), _BATCH))
