"""What makes a page live: a stream that says "something changed", whereupon the page asks for itself again.

A page names what it shows (``/live?rollout=…``); the stream compares small fingerprints of it. So what a second tab
shows is what a reload would show, and a page that is not watched costs nothing.
"""

import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from functools import partial

from anyio import sleep, to_thread
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from vedette.api.door import COOKIE
from vedette.control.plane import ControlPlane
from vedette.governance.roles import Permission
from vedette.kernel.errors import VedetteError

_QUIET = 15.0  # seconds after which a comment shows that the stream lives
_TICK = 15.0  # seconds after which a page of figures is old


@dataclass(frozen=True, slots=True)
class Limits:
    """How long one stream lasts, and how often it looks for news, in seconds."""

    lifetime: float = 600.0
    poll: float = 1.0


Fingerprint = Callable[[], object]


def routes(limits: Limits) -> list[Route]:
    """Make the route of the stream."""

    async def follow(request: Request) -> Response:
        plane: ControlPlane = request.app.state.plane
        secret = request.cookies.get(COOKIE, "")
        known = await to_thread.run_sync(_allowed, plane, secret)
        if not known:
            return Response("sign in first", status_code=401, media_type="text/plain")
        look = _fingerprint(plane, request)
        stream = _follow(plane, secret, look, limits)
        headers = {"X-Accel-Buffering": "no", "Cache-Control": "no-store"}
        return StreamingResponse(stream, media_type="text/event-stream", headers=headers)

    return [Route("/live", follow)]


def _allowed(plane: ControlPlane, secret: str) -> bool:
    found = plane.people.caller_of_session(secret)
    return found is not None and found[0].may(Permission.READ)


def _fingerprint(plane: ControlPlane, request: Request) -> Fingerprint:
    """Say what must differ for a page to be worth showing again."""
    rollout = request.query_params.get("rollout", "")
    experiment = request.query_params.get("experiment", "")
    if rollout:
        return partial(_of_rollout, plane, rollout)
    if experiment:
        return partial(_of_experiment, plane, experiment)
    return partial(_of_all, plane)


def _of_rollout(plane: ControlPlane, ref: str) -> object:
    looks = plane.canary.looks(ref, limit=1, newest_first=True).items
    found = plane.canary.get(ref)
    return found.revision, looks[0].id if looks else 0, plane.traffic.plan(found.domain).revision


def _of_experiment(plane: ControlPlane, ref: str) -> object:
    looks = plane.experiments.looks(ref, limit=1, newest_first=True).items
    return plane.experiments.get(ref).revision, looks[0].id if looks else 0, time.monotonic() // _TICK


def _of_all(plane: ControlPlane) -> object:
    return plane.governance.head().sequence, time.monotonic() // _TICK


async def _follow(plane: ControlPlane, secret: str, look: Fingerprint, limits: Limits) -> AsyncIterator[bytes]:
    began = said = time.monotonic()
    before: object = None
    yield b"retry: 1500\n\n"
    while True:
        try:
            seen = await to_thread.run_sync(look)
            if not await to_thread.run_sync(_allowed, plane, secret):
                yield b"event: gone\ndata: signed out\n\n"
                return
        except VedetteError:
            return  # the browser comes back by itself
        now = time.monotonic()
        if seen != before:
            if before is not None:
                yield b"event: news\ndata: -\n\n"
                said = now
            before = seen
        elif now - said >= _QUIET:
            yield b": still here\n\n"
            said = now
        if now - began >= limits.lifetime:
            return
        await sleep(limits.poll)
