"""Domains of a server: the same methods as `vedette.control.domains.Domains`."""

from collections.abc import Mapping

from vedette.catalog.domain import Domain, DomainSpec
from vedette.catalog.lifecycle import DomainState
from vedette.client.wire import Wire, named
from vedette.kernel.documents import dump
from vedette.kernel.ids import check_name
from vedette.store.domains import DomainRevision
from vedette.store.pages import Page


class Domains:
    """The domain catalogue of a server."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def create(
        self,
        domain_id: str,
        spec: DomainSpec,
        *,
        actor: str = "",
        labels: Mapping[str, str] | None = None,
        request_id: str = "",
    ) -> Domain:
        """Create a domain; it serves nothing until it has a stable version."""
        body = {**dump(spec), "id": check_name(domain_id, "domain"), "labels": dict(labels or {})}
        return self._wire.send(Domain, "POST", "/domains", body, actor=actor, request_id=request_id)

    def get(self, domain_id: str) -> Domain:
        """Give a domain, archived and deleted ones too."""
        return self._wire.get(Domain, f"/domains/{named(domain_id)}")

    def page(self, *, state: DomainState | None = None, after: str | None = None, limit: int = 50) -> Page[Domain]:
        """List domains by id, a page at a time; without a state, all but the deleted ones."""
        return self._wire.page(Domain, "/domains", state=state, after=after, limit=limit)

    def revisions(self, domain_id: str, *, after: str | None = None, limit: int = 50) -> Page[DomainRevision]:
        """List every revision of a domain, the newest first."""
        return self._wire.page(DomainRevision, f"/domains/{named(domain_id)}/revisions", after=after, limit=limit)

    def update(
        self,
        domain_id: str,
        spec: DomainSpec,
        *,
        actor: str = "",
        labels: Mapping[str, str] | None = None,
        expected_revision: int | None = None,
        request_id: str = "",
    ) -> Domain:
        """Replace what a user says of a domain; an equal spec changes nothing and makes no revision."""
        body = {**dump(spec), "labels": None if labels is None else dict(labels)}
        return self._wire.send(
            Domain,
            "PUT",
            f"/domains/{named(domain_id)}",
            body,
            actor=actor,
            expected=expected_revision,
            request_id=request_id,
        )

    def archive(
        self, domain_id: str, *, actor: str = "", expected_revision: int | None = None, request_id: str = ""
    ) -> Domain:
        """Stop serving a domain and keep everything it has."""
        return self._move("POST", f"{named(domain_id)}/archive", actor, expected_revision, request_id)

    def restore(
        self, domain_id: str, *, actor: str = "", expected_revision: int | None = None, request_id: str = ""
    ) -> Domain:
        """Serve an archived domain again, with the stable version it had."""
        return self._move("POST", f"{named(domain_id)}/restore", actor, expected_revision, request_id)

    def delete(
        self, domain_id: str, *, actor: str = "", expected_revision: int | None = None, request_id: str = ""
    ) -> Domain:
        """Delete a domain that nothing depends on; its record stays."""
        return self._move("DELETE", named(domain_id), actor, expected_revision, request_id)

    def _move(self, method: str, path: str, actor: str, expected: int | None, request_id: str) -> Domain:
        return self._wire.send(
            Domain, method, f"/domains/{path}", actor=actor, expected=expected, request_id=request_id
        )
