"""What happens, as it happens: server-sent events of everything that enters the record.

The id of an event is the sequence of its audit entry, its type the action (``rollout.advance``), its data the entry.
Entries become visible in the order of their sequence, so a client that comes back with the last id it saw
(``Last-Event-ID``, as browsers do by themselves) misses nothing and sees nothing twice. Without one it sees what
happens from now on. A stream ends after a while, and clients come back: so servers can be restarted.
"""

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from typing import Annotated

from anyio import sleep, to_thread
from fastapi import Depends, Header, Query, Request
from fastapi.responses import StreamingResponse

from vedette.api.requests import NAMED, ExperimentRef, Plane, RolloutRef
from vedette.api.routes import Responses, plain, router
from vedette.control.plane import ControlPlane
from vedette.governance.audit import AuditEntry
from vedette.kernel.documents import adapter
from vedette.kernel.errors import VedetteError

routes = router("events")

EVENT_STREAM = "text/event-stream"
_QUIET = 15.0  # seconds after which a comment shows that the stream lives
_POLL = 0.5


@dataclass(frozen=True, slots=True)
class StreamLimits:
    """How long one stream of events lasts, and how often it looks for news, in seconds."""

    lifetime: float = 600.0
    poll: float = _POLL


async def _begin(
    last_event_id: Annotated[str, Header(pattern="^[0-9]{0,15}$", description="The id of the last event seen.")] = "",
    after: Annotated[
        int | None, Query(ge=0, le=10**15, description="The same, for clients that cannot set headers.")
    ] = None,
) -> int | None:
    return int(last_event_id) if last_event_id else after


_Begin = Annotated[int | None, Depends(_begin)]
_STREAM: Responses = {
    200: {
        "description": "Events; the schema is that of one of them.",
        "content": {
            EVENT_STREAM: {
                "schema": {
                    "type": "object",
                    "properties": {
                        "id": {"type": "string", "pattern": "^[0-9]+$"},
                        "event": {"type": "string"},
                        "data": {
                            "type": "string",
                            "contentMediaType": "application/json",
                            "contentSchema": {"$ref": "#/components/schemas/AuditEntry"},
                        },
                        "retry": {"type": "integer"},
                    },
                }
            }
        },
    }
}


@routes.get("/events", response_class=StreamingResponse, responses=plain() | _STREAM)
def follow_events(
    request: Request,
    plane: Plane,
    begin: _Begin,
    domain: Annotated[str | None, Query(pattern=NAMED, description="Only about this domain.")] = None,
) -> StreamingResponse:
    """Follow everything that enters the record."""
    return _stream(request, plane, begin, domain=domain, resource=None)


@routes.get("/rollouts/{rollout}/events", response_class=StreamingResponse, responses=plain(404) | _STREAM)
def follow_rollout(request: Request, plane: Plane, rollout: RolloutRef, begin: _Begin) -> StreamingResponse:
    """Follow the decisions on one rollout and where it is."""
    found = plane.canary.get(rollout)
    return _stream(request, plane, begin, domain=found.domain, resource=f"rollout/{found.id}")


@routes.get("/experiments/{experiment}/events", response_class=StreamingResponse, responses=plain(404) | _STREAM)
def follow_experiment(request: Request, plane: Plane, experiment: ExperimentRef, begin: _Begin) -> StreamingResponse:
    """Follow the decisions on one experiment and where it is."""
    found = plane.experiments.get(experiment)
    return _stream(request, plane, begin, domain=found.domain, resource=f"experiment/{found.id}")


def _stream(
    request: Request, plane: ControlPlane, begin: int | None, *, domain: str | None, resource: str | None
) -> StreamingResponse:
    after = plane.governance.head().sequence if begin is None else begin
    limits: StreamLimits = request.app.state.stream_limits
    events = _follow(plane, limits, after, domain, resource)
    return StreamingResponse(events, media_type=EVENT_STREAM, headers={"X-Accel-Buffering": "no"})


async def _follow(
    plane: ControlPlane, limits: StreamLimits, after: int, domain: str | None, resource: str | None
) -> AsyncIterator[bytes]:
    began = said = time.monotonic()
    yield b"retry: 1000\n\n"
    while True:
        try:
            entries = await to_thread.run_sync(partial(plane.governance.tail, after, domain=domain, resource=resource))
        except VedetteError:
            return  # the client comes back by itself, and is told then what is wrong
        for entry in entries:
            yield event(entry)
        now = time.monotonic()
        if entries:
            after, said = entries[-1].sequence, now
        elif now - said >= _QUIET:
            yield b": still here\n\n"
            said = now
        if now - began >= limits.lifetime:
            return
        await sleep(limits.poll)


def event(entry: AuditEntry) -> bytes:
    """Write one entry as an event."""
    data = adapter(AuditEntry).dump_json(entry, by_alias=True)
    action = "".join(entry.action.split())  # a line break would begin another field
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (entry.sequence, action.encode(), data)
