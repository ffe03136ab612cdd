"""Connections to backends: a pool for each origin, HTTP/1.1 by callbacks, kept alive, never shared by two answers."""

import asyncio
import ssl
from collections import deque
from enum import StrEnum
from time import monotonic
from typing import Protocol, cast

import httptools
import msgspec

from vedette.gateway.outlet import Burst, Outlet
from vedette.gateway.settings import GatewaySettings

Headers = list[tuple[bytes, bytes]]
"""Header fields in order, names in lower case."""


_LENGTHS = frozenset({b"content-length", b"transfer-encoding"})
_LINGER = 1.0  # seconds a backend has to finish an answer whose end was seen already


class Failure(StrEnum):
    """Why there is no whole answer."""

    CONNECT = "connect"  # no connection; the backend has seen nothing of the request
    STALE = "stale"  # a kept connection was closed before the first byte: the backend had just given it up
    CLOSED = "closed"  # the backend hung up
    MALFORMED = "malformed"  # what came is no HTTP
    MODEL = "model"  # a model in this process broke
    TIMEOUT = "timeout"


class Receiver(Protocol):
    """Who is told of an answer: one `head`, any `data`, then `done`; or `failed` at any point. Never while calling.

    An answer that came in one read is offered by `whole` first, and told as any other when that gives False.
    """

    def whole(self, status: int, headers: Headers, body: bytes) -> bool: ...  # noqa: D102 - the class says it
    def head(self, status: int, headers: Headers) -> None: ...  # noqa: D102 - told above
    def data(self, data: bytes) -> None: ...  # noqa: D102 - the class says it
    def done(self) -> None: ...  # noqa: D102 - the class says it
    def failed(self, failure: Failure, message: str) -> None: ...  # noqa: D102 - the class says it


class Call(Protocol):
    """One try at a backend, in the hands of the one who asked."""

    def abort(self) -> None:
        """Drop it now; the receiver hears nothing more."""

    def let_go(self) -> None:
        """Take no interest in the rest; the receiver hears nothing more."""

    def pause(self) -> None:
        """Take no more from the backend for now."""

    def resume(self) -> None:
        """Go on."""


class RemoteCall(msgspec.Struct, eq=False):
    """One try at a backend over HTTP, from the wish for a connection to the end of the answer."""

    receiver: Receiver | None
    request: bytes
    connection: "_Connection | None" = None
    paused: bool = False

    @property
    def wanted(self) -> bool:
        """Whether anyone still wants to hear of it."""
        return self.receiver is not None

    def abort(self) -> None:
        """Drop it now: the connection is cut, so that the backend stops working for nobody."""
        self.receiver = None
        if self.connection:
            self.connection.cut()

    def let_go(self) -> None:
        """Let the answer end by itself, so that its connection can be kept; one that goes on is cut."""
        self.receiver = None
        if self.connection and not self.connection.complete:
            self.connection.hold(paused=False)
            asyncio.get_running_loop().call_later(_LINGER, self.abort)

    def pause(self) -> None:
        """Stop reading, so that the backend feels the slow client."""
        self.paused = True
        if self.connection:
            self.connection.hold(paused=True)

    def resume(self) -> None:
        """Read on."""
        self.paused = False
        if self.connection:
            self.connection.hold(paused=False)


class _Connection(asyncio.Protocol):
    __slots__ = (
        "_begun",
        "_heard",
        "_held",
        "_keep",
        "_origin",
        "_outlet",
        "_parser",
        "_parts",
        "_transport",
        "_used",
        "call",
        "complete",
        "headers",
        "idle_since",
        "on_body",
        "status",
    )

    def __init__(self, origin: "Origin") -> None:
        self._origin = origin
        self._used = self._held = False
        self.call: RemoteCall | None = None
        self.idle_since = 0.0
        self._parts: list[bytes] = []
        self.on_body = self._parts.append  # the parser's, for which a method of ours would do no more
        self._parser = httptools.HttpResponseParser(self)

    def begin(self, call: RemoteCall) -> None:
        """Send the request of a call."""
        self._heard = self._begun = self.complete = self._keep = False
        self._parts.clear()
        self.headers: Headers = []
        self.status = 0
        self.call, call.connection = call, self
        self._outlet.write(call.request)
        if call.paused:
            self.hold(paused=True)

    def cut(self) -> None:
        self._transport.abort()

    def close(self) -> None:
        self._outlet.close()

    @property
    def usable(self) -> bool:
        return not self._transport.is_closing()

    def hold(self, *, paused: bool) -> None:
        if paused != self._held and self.usable:
            self._held = paused
            if paused:
                self._transport.pause_reading()
            else:
                self._transport.resume_reading()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._outlet = Outlet(self._transport, self._origin.burst)

    def data_received(self, data: bytes) -> None:
        call = self.call
        if call is None:
            self.cut()  # bytes nobody asked for: whatever they are, the next answer must not begin with them
            return
        self._heard = True
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            if not self.complete:
                self._lose(Failure.MALFORMED, f"the backend does not speak HTTP: {error}")
                self.cut()
                return
            self._keep = False  # a whole answer with something after it
        if not self.complete or self._begun or not call.receiver:
            self._tell()
            return
        receiver, status, headers, body = call.receiver, self.status, self.headers, self._take()
        self._end(call)
        if receiver.whole(status, headers, body):
            return
        receiver.head(status, headers)
        if body and call.wanted:
            receiver.data(body)
        if call.wanted:
            receiver.done()

    def _take(self) -> bytes:
        parts = self._parts
        body = parts[0] if len(parts) == 1 else b"".join(parts)
        parts.clear()
        return body

    def _end(self, call: RemoteCall) -> None:
        """Part from a call whose answer is whole, and be of use to another one."""
        call.connection = self.call = None
        self._used = True
        if self._keep and not self._transport.is_closing():
            if self._held:
                self.hold(paused=False)
            self._origin.release(self)
        else:
            self.close()

    def _tell(self) -> None:
        """Tell the receiver what one read brought, in as few steps as possible."""
        if self.status and not self._begun and self.call and self.call.receiver:
            self._begun = True
            self.call.receiver.head(self.status, self.headers)
        if self._parts:
            body = self._take()
            if self.call and self.call.receiver:
                self.call.receiver.data(body)
        if self.complete and self.call:
            receiver = self.call.receiver
            self._end(self.call)
            if receiver:
                receiver.done()

    def connection_lost(self, error: Exception | None) -> None:
        self._origin.lost(self)
        if self.call and self.status and error is None and not self._has_length():
            self.complete = True  # an answer without length ends with its connection
            self._tell()
        stale = self._used and not self._heard
        message = f"the backend closed the connection{f': {error}' if error else ''}"
        self._lose(Failure.STALE if stale else Failure.CLOSED, message)

    def _has_length(self) -> bool:
        """Say whether the answer tells where it ends."""
        return self.status in {204, 304} or any(name in _LENGTHS for name, _ in self.headers)

    def _lose(self, failure: Failure, message: str) -> None:
        if self.call:
            receiver, self.call.connection, self.call = self.call.receiver, None, None
            if receiver:
                receiver.failed(failure, message)

    # What the parser calls.

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.status:  # trailers say nothing we pass on
            self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        if self.complete:
            raise ValueError("a second answer to one request")
        status = self._parser.get_status_code()
        if status < 200:
            self.headers = []  # 100 Continue, 103 Early Hints: the answer is still to come
            return
        self.status = status

    def on_message_complete(self) -> None:
        if self.status:
            self.complete = True
            self._keep = self._parser.should_keep_alive()  # llhttp knows this here and nowhere later


class Origin:
    """The connections to one scheme, host and port."""

    def __init__(
        self, host: str, port: int, tls: ssl.SSLContext | None, settings: GatewaySettings, burst: Burst
    ) -> None:
        self.host, self.port, self.burst = host, port, burst
        self._tls = tls
        self._settings = settings
        self._idle: deque[_Connection] = deque()
        self._waiting: deque[RemoteCall] = deque()
        self._connecting: set[asyncio.Task[None]] = set()
        self.open = 0

    def call(self, receiver: Receiver, request: bytes, *, fresh: bool = False) -> RemoteCall:
        """Send ``request`` over a kept connection, or a new one when there is none or it must be ``fresh``."""
        call = RemoteCall(receiver, request)
        while self._idle and not fresh:
            connection = self._idle.pop()
            if connection.usable:
                connection.begin(call)
                return call
        if self.open < self._settings.upstream_connections:
            self._connect(call)
        else:
            self._waiting.append(call)
        return call

    @property
    def roomy(self) -> bool:
        """Whether there are, or may be, connections for twice as many as there are."""
        return self.open < self._settings.upstream_connections // 2

    def _connect(self, call: RemoteCall) -> None:
        self.open += 1
        task = asyncio.get_running_loop().create_task(self._open(call))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    async def _open(self, call: RemoteCall) -> None:
        try:
            async with asyncio.timeout(self._settings.connect_timeout):
                _, connection = await asyncio.get_running_loop().create_connection(
                    lambda: _Connection(self), self.host, self.port, ssl=self._tls
                )
        except (OSError, TimeoutError) as error:  # TLS errors are OSErrors too
            self.open -= 1
            if call.receiver:
                reason = str(error) or f"no answer within {self._settings.connect_timeout:g} s"
                call.receiver.failed(Failure.CONNECT, f"cannot connect to {self.host}:{self.port}: {reason}")
            self._serve_waiting()
            return
        if call.receiver:
            connection.begin(call)
        else:
            self.release(connection)

    def release(self, connection: _Connection) -> None:
        """Take back a connection whose answer is done."""
        while self._waiting:
            call = self._waiting.popleft()
            if call.receiver:
                connection.begin(call)
                return
        connection.idle_since = monotonic()
        self._idle.append(connection)

    def lost(self, connection: _Connection) -> None:
        """Note that a connection is gone."""
        self.open -= 1
        if connection in self._idle:
            self._idle.remove(connection)
        self._serve_waiting()

    def _serve_waiting(self) -> None:
        while self._waiting and self.open < self._settings.upstream_connections:
            call = self._waiting.popleft()
            if call.receiver:
                self._connect(call)

    def sweep(self, now: float) -> None:
        """Close connections that have been idle for too long; the backend would soon do it, in a worse moment."""
        while self._idle and now - self._idle[0].idle_since > self._settings.upstream_keep_alive:
            self._idle.popleft().close()

    def close(self) -> None:
        """Close what is idle and give up what is connecting."""
        for task in self._connecting:
            task.cancel()
        while self._idle:
            self._idle.popleft().close()


class Pool:
    """All origins, by scheme, host and port."""

    def __init__(self, settings: GatewaySettings, burst: Burst) -> None:
        self._settings, self._burst = settings, burst
        self._origins: dict[tuple[str, str, int], Origin] = {}
        self._tls: ssl.SSLContext | None = None

    def origin(self, scheme: str, host: str, port: int) -> Origin:
        """Give the origin, the same one each time."""
        key = (scheme, host, port)
        if key not in self._origins:
            if scheme == "https" and self._tls is None:
                self._tls = ssl.create_default_context()
            tls = self._tls if scheme == "https" else None
            self._origins[key] = Origin(host, port, tls, self._settings, self._burst)
        return self._origins[key]

    def sweep(self, now: float) -> None:
        """Close what has been idle for too long."""
        for origin in tuple(self._origins.values()):
            origin.sweep(now)

    def close(self) -> None:
        """Close everything idle."""
        for origin in tuple(self._origins.values()):
            origin.close()
