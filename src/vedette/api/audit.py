"""The audit log over HTTP: read it, take it away whole, prove it, and write an entry of your own into it."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from fastapi import Depends, Query
from fastapi.responses import StreamingResponse
from pydantic import Field

from vedette.api.bodies import JsonBody
from vedette.api.requests import NAMED, Create, Pages, Plane
from vedette.api.routes import BODY, many, one, plain, router
from vedette.control.plane import ControlPlane
from vedette.governance.audit import AuditEntry, Finding, Head
from vedette.kernel.documents import adapter
from vedette.kernel.fields import Instant
from vedette.kernel.records import record
from vedette.store.pages import Page

routes = router("audit")

NDJSON = "application/x-ndjson"
_DOTTED = r"^[a-z0-9][a-z0-9._-]{0,99}$"


@record
class Verification:
    """Whether the record is whole; if not, every fault with the entry it concerns."""

    sound: bool
    head: Head
    findings: tuple[Finding, ...]


@record
class NewEntry:
    """An entry of your own, such as a decision made outside of vedette."""

    action: Annotated[str, Field(pattern=_DOTTED)]
    domain: Annotated[str, Field(pattern=f"^$|{NAMED}")] = ""
    details: Mapping[str, Any] | None = None


@routes.get("/audit", responses=many())
def list_entries(
    plane: Plane,
    pages: Pages,
    domain: Annotated[str | None, Query(max_length=63, description="Only about this domain.")] = None,
    actor: Annotated[str | None, Query(max_length=200, description="Only by this actor.")] = None,
    action: Annotated[
        str | None, Query(max_length=100, description="Only this action; rollout. is all of a noun.")
    ] = None,
    resource: Annotated[str | None, Query(max_length=200, description="Only about this resource.")] = None,
    since: Annotated[Instant | None, Query(description="Only from then on.")] = None,
    until: Annotated[Instant | None, Query(description="Only before then.")] = None,
    newest_first: Annotated[bool, Query(alias="newestFirst", description="The newest one first.")] = False,  # noqa: FBT002 - a query
) -> Page[AuditEntry]:
    """List audit entries in order."""
    return pages.give(
        plane.governance.entries(
            domain=domain,
            actor=actor,
            action=action,
            resource=resource,
            since=since,
            until=until,
            after=pages.after,
            limit=pages.limit,
            newest_first=newest_first,
        )
    )


@routes.post("/audit", status_code=201, responses=one(*BODY, 409, ok=201))
def write_entry(plane: Plane, body: Annotated[NewEntry, Depends(JsonBody(NewEntry))], write: Create) -> AuditEntry:
    """Write an entry of your own into the record."""
    return write.give(
        lambda: plane.governance.audit_log(
            body.action, body.domain, write.actor, body.details, request_id=write.request_id
        ),
        status=201,
    )


@routes.get("/audit/head", responses=plain())
def get_head(plane: Plane) -> Head:
    """Give the end of the chain: write it down elsewhere, and nobody can cut anything off unseen."""
    return plane.governance.head()


@routes.get("/audit/verify", responses=plain())
def verify_audit(
    plane: Plane,
    checkpoint: Annotated[
        str | None,
        Query(pattern="^[0-9]{1,15}:[0-9a-f]{64}$", description="A head that was written down: ``sequence:hash``."),
    ] = None,
) -> Verification:
    """Check the whole chain; every finding names the entry that was edited, removed, reordered or forged."""
    head = plane.governance.head()
    findings = plane.governance.verify(Head.parse(checkpoint) if checkpoint else None)
    return Verification(sound=not findings, head=head, findings=findings)


@routes.get(
    "/audit/export",
    response_class=StreamingResponse,
    responses=plain()
    | {200: {"description": "One entry a line.", "content": {NDJSON: {"schema": {"type": "string"}}}}},
)
def export_audit(
    plane: Plane,
    since: Annotated[Instant | None, Query(description="Only from then on.")] = None,
    until: Annotated[Instant | None, Query(description="Only before then.")] = None,
) -> StreamingResponse:
    """Read every entry in order, one JSON document a line, however many there are."""
    plane.governance.head()  # what cannot be read is said before the answer begins
    return StreamingResponse(_lines(plane, since, until), media_type=NDJSON)


def _lines(plane: ControlPlane, since: Instant | None, until: Instant | None) -> Iterator[bytes]:
    for entry in plane.governance.export(since=since, until=until):
        yield adapter(AuditEntry).dump_json(entry, by_alias=True) + b"\n"
