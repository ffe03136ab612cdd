"""Model versions over HTTP: register, list, and install a domain's very first stable one."""

from typing import Annotated

from fastapi import Depends
from pydantic import Field

from vedette.api.bodies import JsonBody
from vedette.api.requests import NAMED, Create, DomainId, Pages, Plane, Read, VersionName
from vedette.api.routes import BODY, CHANGE, many, one, router
from vedette.catalog.version import ModelVersion, Tenure, VersionSpec
from vedette.kernel.records import record
from vedette.store.pages import Page

routes = router("versions")


@record
class NewVersion:
    """A version to be."""

    name: Annotated[str, Field(pattern=NAMED)]
    spec: VersionSpec


@record
class Why:
    """What a person says about what they do; it is kept in the record."""

    why: str = ""


Said = Annotated[Why, Depends(JsonBody(Why, required=False))]
"""The body of a verb: it may be left out."""


@routes.get("/domains/{domain}/versions", responses=many(404))
def list_versions(plane: Plane, domain: DomainId, pages: Pages) -> Page[ModelVersion]:
    """List a domain's versions, the newest first."""
    return pages.give(plane.versions.page(domain, after=pages.after, limit=pages.limit))


@routes.post("/domains/{domain}/versions", status_code=201, responses=one(404, 409, *BODY, ok=201))
def register_version(
    plane: Plane, domain: DomainId, body: Annotated[NewVersion, Depends(JsonBody(NewVersion))], write: Create
) -> ModelVersion:
    """Register a version, which never changes afterwards; an equal one that is there already is given back.

    A local artefact is read by the server, where it runs, and must be what its digest says.
    """
    return write.give(
        lambda: plane.versions.register(domain, body.name, body.spec, actor=write.actor, request_id=write.request_id),
        status=201,
        location=lambda version: f"/api/v1/domains/{domain}/versions/{version.name}",
    )


@routes.get("/domains/{domain}/versions/{version}", responses=one(404))
def get_version(plane: Plane, domain: DomainId, version: VersionName, read: Read) -> ModelVersion:
    """Give one version."""
    return read.give(plane.versions.get(domain, version))


@routes.post("/domains/{domain}/versions/{version}/install", responses=one(*CHANGE, *BODY))
def install_version(plane: Plane, domain: DomainId, version: VersionName, write: Create, body: Said) -> Tenure:
    """Make a domain's first version stable at once; later ones earn it by a rollout."""
    return write.give(
        lambda: plane.versions.install(domain, version, actor=write.actor, why=body.why, request_id=write.request_id)
    )
