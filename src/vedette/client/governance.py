"""The audit log of a server: the same methods as `vedette.control.governance.DomainGovernance`."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from vedette.client.wire import Wire
from vedette.governance.audit import AuditEntry, Finding, Head
from vedette.kernel.records import record
from vedette.store.pages import Page


@record
class _Verification:
    sound: bool
    head: Head
    findings: tuple[Finding, ...]


class Governance:
    """The audit log of all domains of a server."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def audit_log(
        self, action: str, domain_id: str, user: str, details: Mapping[str, Any] | None = None, *, request_id: str = ""
    ) -> AuditEntry:
        """Write an entry of your own into the record, such as a decision made outside of vedette."""
        body = {"action": action, "domain": domain_id, "details": dict(details or {})}
        return self._wire.send(AuditEntry, "POST", "/audit", body, actor=user, request_id=request_id)

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
        """List entries in order, filtered by any of domain, actor, action, resource and time."""
        return self._wire.page(
            AuditEntry,
            "/audit",
            domain=domain,
            actor=actor,
            action=action,
            resource=resource,
            since=since,
            until=until,
            after=after,
            limit=limit,
            newestFirst=newest_first,
        )

    def export(self, *, since: datetime | None = None, until: datetime | None = None) -> Iterator[AuditEntry]:
        """Read every entry in order, however many."""
        return self._wire.lines(AuditEntry, "/audit/export", since=since, until=until)

    def head(self) -> Head:
        """Give the end of the chain: write it down elsewhere, and `verify` can later prove nothing was cut off."""
        return self._wire.get(Head, "/audit/head")

    def verify(self, checkpoint: Head | None = None) -> tuple[Finding, ...]:
        """Check the whole chain; every finding names the row that was edited, removed, reordered or forged."""
        return self._wire.get(_Verification, "/audit/verify", checkpoint=checkpoint).findings
