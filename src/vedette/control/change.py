"""The transaction rule, in one place: a change, its audit entry and its outbox rows commit together, or not at all.

Every write of the control plane goes through `Changes.begin`. The block must record at least one audit entry: no entry,
no change. Every write names its actor.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from vedette.control.instruments import Instruments
from vedette.governance.audit import AuditEntry
from vedette.kernel.errors import InvalidInput
from vedette.store import audit, idempotency
from vedette.store.engine import Store

Step = Callable[[], None]
"""Something done outside the database."""


class Change:
    """One open transaction: the connection to write on, when and by whom, and the entries recorded so far."""

    def __init__(self, connection: Connection, actor: str, at: datetime, request_id: str, last: list[Step]) -> None:
        self.connection = connection
        self._last = last
        self.actor = actor
        self.at = at
        self.request_id = request_id
        self.entries = 0

    def record(self, action: str, *, domain: str, resource: str, **details: object) -> AuditEntry:
        """Write the audit entry of what this transaction does; ``details`` are plain JSON values."""
        entry = audit.append(
            self.connection,
            at=self.at,
            actor=self.actor,
            action=action,
            domain=domain,
            resource=resource,
            details=details,
            request_id=self.request_id,
        )
        self.entries += 1
        return entry

    def at_last(self, step: Step) -> None:
        """Do ``step`` just before this change is kept, with all that is kept with it; should it raise, nothing is kept.

        It is for what stands outside the database. For a change that is not kept, as in a dry run, nothing is done.
        """
        self._last.append(step)


@dataclass(frozen=True, slots=True)
class _Open:
    """A transaction, or a part of one, and what is to be done just before it is kept."""

    connection: Connection
    last: list[Step] = field(default_factory=list)


_together: ContextVar[_Open | None] = ContextVar("together", default=None)
"""The transaction that every change and read of this context joins, if one is open."""


class Changes:
    """Opens transactions that obey the rule."""

    def __init__(self, store: Store, instruments: Instruments, actor: str = "") -> None:
        self.store = store
        self._instruments = instruments
        self._actor = actor

    def who(self, actor: str) -> str:
        """Give who acts: ``actor``, or the one these changes were opened for.

        Raises:
            InvalidInput: no actor is named.
        """
        named = actor.strip() or self._actor
        if not named:
            raise InvalidInput(
                "every change names its actor", hint="pass actor=, --actor or the X-Vedette-Actor header"
            )
        return named

    @contextmanager
    def begin(self, actor: str, request_id: str = "") -> Iterator[Change]:
        """Open a change by ``actor``; it commits when the block ends and is undone when the block raises.

        Raises:
            InvalidInput: no actor is named.
            RuntimeError: the block recorded no audit entry, so nothing of it was written.
        """
        named = self.who(actor)
        with self._writing() as (connection, last):
            change = Change(connection, named, self._instruments.now(), request_id, last)
            yield change
            if not change.entries:
                raise RuntimeError("a change without an audit entry is not written")

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Open a read of one moment of the store."""
        outer = _together.get()
        if outer is not None:
            yield outer.connection
            return
        with self.store.reading() as connection:
            yield connection

    @contextmanager
    def together(self, *, dry_run: bool = False) -> Iterator[Connection]:
        """Make all changes of the block one transaction: all of them are kept, or none; a dry run keeps none.

        A change inside that fails and is caught leaves the others as they are.
        """
        with self._writing() as (connection, last):
            within = _Open(connection)
            token = _together.set(within)
            try:
                with connection.begin_nested() as block:
                    yield connection
                    if dry_run:
                        block.rollback()
            finally:
                _together.reset(token)
            if not dry_run:
                last.extend(within.last)

    def once(
        self, key: str, fingerprint: str, action: Callable[[], Mapping[str, Any]]
    ) -> tuple[Mapping[str, Any], bool]:
        """Do ``action`` and keep the answer it gives under ``key`` for a day, in one transaction.

        Args:
            key: what the client sent, with who sent it.
            fingerprint: digest of the request.
            action: makes the change and gives the answer, plain JSON data.

        Returns:
            The answer, and whether it is one that was kept.

        Raises:
            Conflict: the key was used for another request.
        """
        with self.together() as connection:
            known = idempotency.claim(connection, key, fingerprint, at=self._instruments.now())
            if known is not None:
                return known, True
            answer = action()
            idempotency.answer(connection, key, answer)
        return answer, False

    @contextmanager
    def _writing(self) -> Iterator[tuple[Connection, list[Step]]]:
        """Open a transaction, or a part of the one that is open, whose last steps become its own when the part ends."""
        outer, last = _together.get(), list[Step]()
        if outer is None:
            with self.store.transaction() as connection:
                yield connection, last
                for step in last:
                    step()
        else:
            with outer.connection.begin_nested():
                yield outer.connection, last
            outer.last.extend(last)


def since(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """Give what differs between two plain mappings, as ``{field: [before, after]}``, for an audit entry."""
    names = sorted({*before, *after})
    return {name: [before.get(name), after.get(name)] for name in names if before.get(name) != after.get(name)}
