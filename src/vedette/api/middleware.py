"""What every request and answer goes through: a limit on size, an id, and headers that let no browser guess."""

import re
from collections.abc import Callable, Mapping

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

REQUEST_ID = "X-Request-Id"
_SOUND = re.compile(r"[!-~]{1,128}")
_ALWAYS = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-cache", "Referrer-Policy": "no-referrer"}


class Envelope:
    """Gives each request an id, the client's own when it sends a sound one, and lets in no body above a size.

    Addresses in ``larger`` have a size of their own.
    """

    def __init__(
        self, app: ASGIApp, new_id: Callable[[], str], largest: int, larger: Mapping[str, int] | None = None
    ) -> None:
        self._app = app
        self._new_id = new_id
        self._largest = largest
        self._larger = larger or {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and its answer back."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        sent = Headers(scope=scope).get(REQUEST_ID, "")
        request_id = sent if _SOUND.fullmatch(sent) else self._new_id()
        scope.setdefault("state", {})["request_id"] = request_id

        async def seal(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers[REQUEST_ID] = request_id
                for name, value in _ALWAYS.items():
                    headers.setdefault(name, value)
            await send(message)

        taken, most = 0, self._larger.get(scope["path"], self._largest)

        async def measured() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > most:
                raise HTTPException(413)
            return message

        await self._app(scope, measured, seal)
