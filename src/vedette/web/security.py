"""What every page tells the browser: nothing from elsewhere, nothing inline, in nobody's frame."""

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vedette.api.door import COOKIE
from vedette.control.people import SESSION_LASTS

HEADERS = {
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
    "object-src 'none'",
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",  # stricter, and browsers would not say where a form comes from
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}


class Sealed:
    """Adds the headers to every answer of a site."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and its answer back with the headers."""

        async def seal(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(HEADERS)
                if headers.get("Cache-Control", "no-cache") == "no-cache":
                    headers["Cache-Control"] = "private, no-cache"
            await send(message)

        await self._app(scope, receive, seal)


def remember(response: Response, request: Request, secret: str) -> Response:
    """Give the browser the cookie of a session: for this site, out of reach of scripts and of other sites' forms."""
    response.set_cookie(
        COOKIE,
        secret,
        max_age=int(SESSION_LASTS.total_seconds()),
        httponly=True,
        samesite="lax",
        secure=request.url.scheme == "https",
        path="/",
    )
    return response


def forget(response: Response) -> Response:
    """Take the cookie of a session back."""
    response.delete_cookie(COOKIE, path="/", httponly=True, samesite="lax")
    return response
