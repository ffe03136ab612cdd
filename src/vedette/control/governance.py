"""`DomainGovernance`: who did what, and the proof that the record is whole."""

import threading
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from vedette.control.foundation import Foundation
from vedette.governance.audit import AuditEntry, Finding, Head
from vedette.kernel.errors import NotFound
from vedette.kernel.records import record
from vedette.store import audit
from vedette.store.pages import Page

CHECKED_UNASKED = 2_000
"""Up to so many entries the chain is checked whenever somebody looks: it takes a moment."""

_FRESH = timedelta(minutes=1)


@record
class Checked:
    """A check of the whole chain: up to which entry, when, and every fault that was found."""

    head: Head
    at: datetime
    findings: tuple[Finding, ...]


class DomainGovernance:
    """The audit log of all domains; ``DomainGovernance(plane)`` makes one from any `ControlPlane`."""

    def __init__(self, plane: Foundation) -> None:
        self._changes = plane.changes
        self._instruments = plane.instruments
        self._lock = threading.Lock()
        self._checked: Checked | None = None

    def audit_log(
        self, action: str, domain_id: str, user: str, details: Mapping[str, Any] | None = None, *, request_id: str = ""
    ) -> AuditEntry:
        """Write an entry of your own into the record, such as a decision made outside of vedette.

        Args:
            action: what was done, in the form ``noun.verb``.
            domain_id: which domain it is about; empty for none.
            user: who did it.
            details: plain JSON values.
            request_id: what the caller's own log calls it.
        """
        with self._changes.begin(user, request_id) as change:
            return change.record(action, domain=domain_id, resource="", **(details or {}))

    def entries(
        self,
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

        An action that ends in a dot (``rollout.``) stands for all that begin so.
        """
        with self._changes.reading() as connection:
            return audit.page(
                connection,
                domain=domain,
                actor=actor,
                action=action,
                resource=resource,
                since=since,
                until=until,
                after=after,
                limit=limit,
                newest_first=newest_first,
            )

    def entry(self, sequence: int) -> AuditEntry:
        """Give one entry.

        Raises:
            NotFound: there is none of that number.
        """
        with self._changes.reading() as connection:
            found = audit.get(connection, sequence)
        if found is None:
            raise NotFound(f"there is no audit entry {sequence}", hint="`vedette audit list` shows the newest")
        return found

    def before(self, entry: AuditEntry) -> AuditEntry | None:
        """Give the entry about the same resource that went before; None for the first one, and for those about none."""
        with self._changes.reading() as connection:
            return audit.before(connection, entry)

    def tail(self, sequence: int, *, domain: str | None = None, resource: str | None = None) -> tuple[AuditEntry, ...]:
        """Read what was recorded after ``sequence``, in order, at most a thousand entries: how one follows changes.

        Entries become visible in the order of their sequence, so who has read up to one has missed none before it.
        """
        with self._changes.reading() as connection:
            return audit.tail(connection, sequence, domain=domain, resource=resource)

    def export(self, *, since: datetime | None = None, until: datetime | None = None) -> Iterator[AuditEntry]:
        """Read every entry in order, however many."""
        with self._changes.reading() as connection:
            yield from audit.stream(connection, since=since, until=until)

    def head(self) -> Head:
        """Give the end of the chain: write it down elsewhere, and `verify` can later prove nothing was cut off."""
        with self._changes.reading() as connection:
            return audit.head(connection)

    def checked(self, *, anew: bool = False) -> Checked | None:
        """Say how far this process has found the chain whole, checking again what is not checked yet if that is little.

        ``anew`` checks all of it, however long that takes. None until somebody asks for that where the record is long.
        """
        with self._lock:
            known, now = self._checked, self._instruments.now()
            with self._changes.reading() as connection:
                head = audit.head(connection)
                fresh = known is not None and known.head == head and now - known.at < _FRESH
                if anew or (head.sequence <= CHECKED_UNASKED and not fresh):
                    known = Checked(head=head, at=now, findings=audit.check(connection))
            self._checked = known
            return known

    def verify(self, checkpoint: Head | None = None) -> tuple[Finding, ...]:
        """Check the whole chain; every finding names the row that was edited, removed, reordered or forged."""
        with self._changes.reading() as connection:
            return audit.check(connection, checkpoint)
