"""The whole site as a value: pages at ``/``, the control API at ``/api``, probes beside them."""

import logging
from collections.abc import Iterable

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from vedette.api.app import LARGEST_BODY, OUTSIDE
from vedette.api.app import create_app as create_api
from vedette.api.door import COOKIE, Door
from vedette.api.middleware import Envelope
from vedette.control.plane import ControlPlane
from vedette.evidence.addresses import Address
from vedette.web import (
    ask,
    audit,
    domains,
    experiment_sheets,
    experiment_start,
    experiment_verbs,
    experiments,
    explaining,
    fleet,
    jump,
    live,
    people,
    rollout_start,
    rollout_verbs,
    rollouts,
    session,
)
from vedette.web.assets import Assets
from vedette.web.security import Sealed
from vedette.web.templates import Templates

log = logging.getLogger(__name__)

_NOUNS = (
    session,
    fleet,
    rollout_start,
    domains,
    rollout_verbs,
    rollouts,
    experiment_verbs,
    experiment_sheets,
    experiment_start,
    experiments,
    explaining,
    audit,
    people,
    jump,
)
WAYS: tuple[ask.Way, ...] = tuple(way for noun in _NOUNS for way in noun.WAYS)
"""Every address of the dashboard."""

_SENTENCES = {404: "There is nothing at this address.", 405: "This address does not take that.", 413: "Too large."}


def create_app(
    plane: ControlPlane,
    *,
    door: Door | None = None,
    live_limits: live.Limits | None = None,
    gateways: Iterable[Address] = (),
) -> ASGIApp:
    """Make dashboard and control API over ``plane``; it starts nothing and closes nothing.

    Args:
        plane: the control plane it shows and acts on.
        door: how requests of the API are let in; the dashboard always asks who one is.
        live_limits: how long streams of news last and how often they look.
        gateways: where callers reach the gateway, which records their calls itself.
    """
    api = create_api(plane, door=door, gateways=gateways)
    return _Front(api, create_site(plane, live_limits=live_limits))


def create_site(plane: ControlPlane, *, live_limits: live.Limits | None = None) -> ASGIApp:
    """Make the dashboard alone."""
    assets = Assets()
    templates = Templates(assets)

    async def of_http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101 - registered for these only
        said = _SENTENCES.get(error.status_code, str(error.detail))
        return _problem(request, error.status_code, said)

    async def unexpected(request: Request, error: Exception) -> Response:
        log.error("%s %s failed", request.method, request.url.path, exc_info=error)
        return _problem(request, 500, "Something nobody expected; the server's log tells more.")

    def _problem(request: Request, status: int, message: str) -> Response:
        found = plane.people.caller_of_session(request.cookies.get(COOKIE, ""))
        asked = ask.Ask(request, plane, templates, *(found or (None, "")))
        hint = f"quote request {request.state.request_id}" if status == 500 else ""
        return asked.page("problem.html", status=status, title="", code=status, message=message, hint=hint)

    site = Starlette(
        routes=[
            Route("/static/{name:path}", assets.serve),
            *live.routes(live_limits or live.Limits()),
            *ask.routes(WAYS, templates),
        ],
        exception_handlers={HTTPException: of_http, Exception: unexpected},
    )
    site.state.plane = plane
    site.state.templates = templates
    return Sealed(Envelope(site, new_id=plane.instruments.new_id, largest=LARGEST_BODY))


class _Front:
    """Sends a request to the API or to the pages."""

    def __init__(self, api: ASGIApp, site: ASGIApp) -> None:
        self._api = api
        self._site = site

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        ours = scope["type"] == "http" and not path.startswith("/api/") and path not in OUTSIDE
        await (self._site if ours else self._api)(scope, receive, send)
