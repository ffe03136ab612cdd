"""`DomainGovernance`: who did what, and the proof that the record is whole."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from vedette.control.foundation import Foundation
from vedette.governance.audit import AuditEntry, Finding, Head
from vedette.store import audit
from vedette.store.pages import Page


class DomainGovernance:
    """The audit log of all domains; ``DomainGovernance(plane)`` makes one from any `ControlPlane`."""

    def __init__(self, plane: Foundation) -> None:
        self._changes = plane.changes

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
        since: datetime | None = None,
        until: datetime | None = None,
        after: str | None = None,
        limit: int = 50,
        newest_first: bool = False,
    ) -> Page[AuditEntry]:
        """List entries in order, filtered by any of domain, actor, action and time."""
        with self._changes.reading() as connection:
            return audit.page(
                connection,
                domain=domain,
                actor=actor,
                action=action,
                since=since,
                until=until,
                after=after,
                limit=limit,
                newest_first=newest_first,
            )

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

    def verify(self, checkpoint: Head | None = None) -> tuple[Finding, ...]:
        """Check the whole chain; every finding names the row that was edited, removed, reordered or forged."""
        with self._changes.reading() as connection:
            return audit.check(connection, checkpoint)
