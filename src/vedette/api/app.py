"""The control API as a value: `create_app` makes an ASGI app over a control plane, for any server and any test."""

from collections.abc import Iterable

from fastapi import FastAPI

from vedette.api import (
    apply,
    audit,
    domains,
    events,
    experiment_results,
    experiments,
    keys,
    outcomes,
    problems,
    rollouts,
    system,
    traces,
    traffic,
    versions,
)
from vedette.api.door import Door
from vedette.api.events import StreamLimits
from vedette.api.middleware import Envelope
from vedette.api.openapi import described
from vedette.api.requests import Answered, NotModified, respond_answered, respond_not_modified
from vedette.control.plane import ControlPlane
from vedette.evidence.addresses import Address

LARGEST_BODY = 1_000_000
OUTSIDE = frozenset({"/livez", "/readyz", traces.ADDRESS})
"""The addresses of the API that do not begin with ``/api/``, for whoever serves pages beside it."""


def create_app(
    plane: ControlPlane,
    *,
    door: Door | None = None,
    largest_body: int = LARGEST_BODY,
    stream_limits: StreamLimits | None = None,
    gateways: Iterable[Address] = (),
) -> FastAPI:
    """Make the control API over ``plane``; it starts nothing and closes nothing.

    Args:
        plane: the control plane it speaks for.
        door: how requests are let in; without any proof until there is a person or a token, unless given.
        largest_body: bytes above which a request is refused.
        stream_limits: how long event streams last.
        gateways: where callers reach the gateway, which records their calls itself.
    """
    app = FastAPI(
        title="vedette",
        summary="The release and operations control plane for domain models.",
        version=system.VERSION,
        openapi_url="/api/v1/openapi.json",
        docs_url=None,  # the pages FastAPI brings load their scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=lambda route: route.name,
    )
    app.state.plane = plane
    app.state.door = door or Door(plane.people)
    app.state.gateways = tuple(gateways)
    app.state.stream_limits = stream_limits or StreamLimits()
    larger = {traces.ADDRESS: traces.LARGER * largest_body}
    app.add_middleware(Envelope, new_id=plane.instruments.new_id, largest=largest_body, larger=larger)
    problems.install(app)
    app.add_exception_handler(NotModified, respond_not_modified)
    app.add_exception_handler(Answered, respond_answered)
    steered = (rollouts, experiments, experiment_results)
    nouns = (system, domains, versions, keys, events, *steered, traffic, outcomes, traces, audit, apply)
    routers = [system.probes, *(noun.routes for noun in nouns)]
    for router in routers:
        app.include_router(router)
    app.openapi = described(app, routers)  # type: ignore[method-assign]  # the documented way to extend the document
    return app
