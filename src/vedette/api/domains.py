"""Domains over HTTP: the catalogue, its lifecycle, its revisions, and what served when."""

from collections.abc import Mapping
from typing import Annotated

from fastapi import Depends, Query
from pydantic import Field

from vedette.api.bodies import JsonBody
from vedette.api.requests import NAMED, Act, Create, DomainId, Pages, Plane, Read, Write
from vedette.api.routes import BODY, CHANGE, many, one, router
from vedette.catalog.domain import Domain, DomainSpec
from vedette.catalog.lifecycle import DomainState
from vedette.catalog.version import Tenure
from vedette.kernel.fields import Instant
from vedette.kernel.records import record
from vedette.store.domains import DomainRevision
from vedette.store.pages import Page

routes = router("domains")


@record
class DomainChange(DomainSpec):
    """What a user says of a domain; without ``labels`` it keeps those it has."""

    labels: Mapping[str, str] | None = None


@record
class NewDomain(DomainChange):
    """A domain to be."""

    id: Annotated[str, Field(pattern=NAMED)]


@record
class Aliases:
    """Which version serves (``stable``) and which is on its way (``candidate``); empty for none."""

    stable: str
    candidate: str


@routes.get("/domains", responses=many())
def list_domains(plane: Plane, pages: Pages, state: DomainState | None = None) -> Page[Domain]:
    """List domains by id; without a state, all but the deleted ones."""
    return pages.give(plane.domains.page(state=state, after=pages.after, limit=pages.limit))


@routes.post("/domains", status_code=201, responses=one(409, *BODY, ok=201))
def create_domain(plane: Plane, body: Annotated[NewDomain, Depends(JsonBody(NewDomain))], write: Create) -> Domain:
    """Create a domain; it serves nothing until it has a stable version."""
    return write.give(
        lambda: plane.domains.create(body.id, body, labels=body.labels, actor=write.actor, request_id=write.request_id),
        status=201,
        location=lambda domain: f"/api/v1/domains/{domain.id}",
    )


@routes.get("/domains/{domain}", responses=one(404))
def get_domain(plane: Plane, domain: DomainId, read: Read) -> Domain:
    """Give one domain, archived and deleted ones too."""
    return read.give(plane.domains.get(domain))


@routes.put("/domains/{domain}", responses=one(*CHANGE, *BODY))
def update_domain(
    plane: Plane, domain: DomainId, body: Annotated[DomainChange, Depends(JsonBody(DomainChange))], write: Write
) -> Domain:
    """Replace what a user says of a domain; an equal spec changes nothing."""
    return write.give(
        lambda: plane.domains.update(
            domain,
            body,
            labels=body.labels,
            actor=write.actor,
            expected_revision=write.expected,
            request_id=write.request_id,
        )
    )


@routes.delete("/domains/{domain}", responses=one(*CHANGE))
def delete_domain(plane: Plane, domain: DomainId, write: Write) -> Domain:
    """Delete a domain that nothing depends on; its record stays."""
    return write.give(
        lambda: plane.domains.delete(
            domain, actor=write.actor, expected_revision=write.expected, request_id=write.request_id
        )
    )


@routes.post("/domains/{domain}/archive", responses=one(*CHANGE))
def archive_domain(plane: Plane, domain: DomainId, write: Act) -> Domain:
    """Stop serving a domain and keep everything it has."""
    return write.give(
        lambda: plane.domains.archive(
            domain, actor=write.actor, expected_revision=write.expected, request_id=write.request_id
        )
    )


@routes.post("/domains/{domain}/restore", responses=one(*CHANGE))
def restore_domain(plane: Plane, domain: DomainId, write: Act) -> Domain:
    """Serve an archived domain again, with the stable version it had."""
    return write.give(
        lambda: plane.domains.restore(
            domain, actor=write.actor, expected_revision=write.expected, request_id=write.request_id
        )
    )


@routes.get("/domains/{domain}/revisions", responses=many(404))
def list_domain_revisions(plane: Plane, domain: DomainId, pages: Pages) -> Page[DomainRevision]:
    """List every revision of a domain, the newest first."""
    return pages.give(plane.domains.revisions(domain, after=pages.after, limit=pages.limit))


@routes.get("/domains/{domain}/aliases", responses=one(404))
def get_aliases(plane: Plane, domain: DomainId, read: Read) -> Aliases:
    """Give which version is stable and which is the candidate."""
    known = plane.versions.aliases(domain)
    return read.give(Aliases(stable=known.get("stable", ""), candidate=known.get("candidate", "")))


@routes.get("/domains/{domain}/tenures", responses=many(404))
def list_tenures(plane: Plane, domain: DomainId, pages: Pages) -> Page[Tenure]:
    """List which version was stable when, the newest first."""
    return pages.give(plane.versions.tenures(domain, after=pages.after, limit=pages.limit))


@routes.get("/domains/{domain}/serving", responses=one(404))
def get_serving(
    plane: Plane,
    domain: DomainId,
    read: Read,
    at: Annotated[Instant | None, Query(description="The moment; now unless given.")] = None,
) -> Tenure:
    """Say which version served a domain at a moment."""
    return read.give(plane.versions.serving(domain, at or plane.instruments.now()))
