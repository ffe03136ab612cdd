"""HTTP/1.1 for clients: strict parsing, limits, answers in the order of the requests, and pressure passed back.

What llhttp refuses (a length given twice, or beside chunks; bare line feeds; folded headers) is answered 400 and the
connection closed, because nobody can tell any more where the next request begins.
"""

import asyncio
import contextlib
import fcntl
import struct
import termios
from collections import deque
from collections.abc import Mapping
from functools import lru_cache
from typing import Protocol, cast

import httptools

from vedette.gateway import wire
from vedette.gateway.openai import error_body
from vedette.gateway.outlet import Burst, Outlet
from vedette.gateway.request import Request
from vedette.gateway.settings import GatewaySettings
from vedette.gateway.upstream import Headers

_TELLING = frozenset({b"transfer-encoding", b"expect"})
_BODIES = frozenset({b"content-length", b"transfer-encoding"})
_VERSIONS = frozenset({"1.1", "1.0"})
_IDLE, _HEAD, _BODY = range(3)  # of a request, as far as it has arrived
_LINGER = 1.0  # seconds in which a client that is turned away can still read why


class Handler(Protocol):
    """Who is told of a client's fate while its request is being answered."""

    def client_gone(self) -> None: ...  # noqa: D102 - the class says it
    def client_paused(self) -> None: ...  # noqa: D102 - the class says it
    def client_resumed(self) -> None: ...  # noqa: D102 - the class says it


class App(Protocol):
    """What answers requests."""

    settings: GatewaySettings
    draining: bool
    burst: Burst
    connections: "set[ClientConnection]"

    def handle(self, client: "ClientConnection", request: Request) -> Handler | None:
        """Begin to answer; None when the answer was given at once."""
        ...

    def turned_away(self, status: int) -> None:
        """Take note of a request that was none."""
        ...


class _Malformed(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


class ClientConnection(asyncio.Protocol):
    """One client: parses its requests, hands them over one at a time, writes the answers."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._settings = app.settings
        self._header_limit = app.settings.header_limit
        self._parser = httptools.HttpRequestParser(self)
        self._queue: deque[Request | _Malformed] = deque()
        self._handler: Handler | None = None
        self._answering: Request | None = None
        self._advancing = self._closing = self._chunked = self._parting = False
        self._begun = b""  # the head of a stream, until its first piece goes out with it
        self._reading = True
        self._fed = 0  # bytes the parser was given last
        self._stalled_since: float | None = None  # while the client reads too slowly, of its last progress
        self._unsent = 0  # bytes it had not taken then
        self._loop = asyncio.get_running_loop()
        self._since = self._loop.time()  # of the last step: connected, a request begun, an answer done
        self._begin()

    def _begin(self) -> None:
        self._url = b""
        self._headers: Headers = []
        self._take_field = self._headers.append
        self._body: list[bytes] = []
        self._size = 0  # of the body
        self._held = 0  # bytes that are of this head for certain, while it is not whole
        self._stage = _IDLE
        self._offered = False  # to speak something else, with a body behind

    # What the transport calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:  # noqa: D102 - asyncio's
        self._transport = cast("asyncio.Transport", transport)
        self._outlet = Outlet(self._transport, self._app.burst)
        self._transport.set_write_buffer_limits(high=self._settings.buffer_limit)
        self._app.connections.add(self)

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002, D102 - asyncio's
        self._closing = True
        self._app.connections.discard(self)
        self._queue.clear()
        if self._handler:
            handler, self._handler = self._handler, None
            handler.client_gone()

    def pause_writing(self) -> None:  # noqa: D102 - asyncio's
        self._stalled_since = self._loop.time()
        self._unsent = _unread(self._transport)
        if self._handler:
            self._handler.client_paused()

    def resume_writing(self) -> None:  # noqa: D102 - asyncio's
        self._stalled_since = None
        if self._handler:
            self._handler.client_resumed()

    def data_received(self, data: bytes) -> None:  # noqa: D102 - asyncio's
        while data and not self._closing:
            headers, stage, self._fed = self._headers, self._stage, len(data)
            try:
                self._parser.feed_data(data)
                if stage == _HEAD == self._stage and self._headers is headers:
                    self._hold(len(data))  # perhaps one header without end, which the parser keeps to itself
                data = b""
            except _Malformed as malformed:
                self._reject(malformed)
            except httptools.HttpParserUpgrade as upgrade:
                # An offer to speak something else, which HTTP allows to pass over.
                data = self._without_offer() + data[upgrade.args[0] :]
            except httptools.HttpParserCallbackError as error:
                cause = error.__context__
                self._reject(cause if isinstance(cause, _Malformed) else _Malformed(400, "malformed request"))
            except httptools.HttpParserError as error:
                self._reject(_Malformed(400, f"malformed request: {error}"))
        self._advance()

    def _without_offer(self) -> bytes:
        """Give the head again, without the offer, where a body follows: the parser would take that for requests."""
        if not self._offered:
            return b""
        method, url, version, headers = self._parser.get_method(), self._url, self._version, self._headers
        self._parser = httptools.HttpRequestParser(self)
        self._begin()
        fields = [b"%b: %b\r\n" % field for field in headers if field[0] != b"upgrade"]
        return b"%b %b HTTP/%b\r\n%b\r\n" % (method, url, version.encode(), b"".join(fields))

    def _reject(self, malformed: _Malformed) -> None:
        """Answer no more than this and what came before it."""
        self._queue.append(malformed)
        self._closing = True

    # What the parser calls.

    def on_message_begin(self) -> None:  # noqa: D102 - httptools'
        self._stage = _HEAD
        self._since = self._loop.time()

    def on_url(self, url: bytes) -> None:  # noqa: D102 - httptools'
        self._url = self._url + url if self._url else url

    def on_header(self, name: bytes, value: bytes) -> None:  # noqa: D102 - httptools'
        self._take_field((name.lower(), value))

    def _hold(self, size: int) -> None:
        self._held += size
        if self._held > self._header_limit:
            raise _head_too_large()

    def _measure_head(self) -> None:
        """Count a head that came in one piece with more than a head may have, or in several."""
        size = len(self._url) + sum(len(name) + len(value) + 4 for name, value in self._headers)
        if size > self._header_limit:
            raise _head_too_large()

    def on_headers_complete(self) -> None:  # noqa: D102 - httptools'
        self._stage, self._size, self._take_field = _BODY, 0, _drop
        self._version = version = self._parser.get_http_version()
        if version not in _VERSIONS:
            raise _Malformed(505, "this server speaks HTTP/1.1")
        if self._held + self._fed > self._header_limit:
            self._measure_head()
        self._fields = fields = dict(self._headers)
        if len(fields) != len(self._headers):
            self._fields = fields = self._first_values()
        if b"host" not in fields and version == "1.1":
            raise _Malformed(400, "a request has one Host header")
        length = fields.get(b"content-length")
        if length is not None and int(length) > self._settings.request_limit:
            raise self._too_large()
        if not _TELLING.isdisjoint(fields):
            self._take_in(fields)
        if self._parser.should_upgrade():
            if self._parser.get_method() == b"CONNECT":
                raise _Malformed(400, "this is no proxy")
            self._offered = not _BODIES.isdisjoint(fields)

    def _first_values(self) -> dict[bytes, bytes]:
        """Give the first value of each header of which some come twice, as not all may; a length never does."""
        names = [name for name, _ in self._headers]
        if names.count(b"host") > 1:
            raise _Malformed(400, "a request has one Host header")
        if names.count(b"transfer-encoding") > 1:
            raise _Malformed(400, "the only transfer coding is chunked, said once")
        return dict(reversed(self._headers))

    def _take_in(self, fields: Mapping[bytes, bytes]) -> None:
        coding = fields.get(b"transfer-encoding")
        if coding is not None:
            if self._version == "1.0":
                raise _Malformed(400, "HTTP/1.0 knows no chunks")
            if coding.lower() != b"chunked":
                raise _Malformed(400, "the only transfer coding is chunked, said once")
        if fields.get(b"expect", b"").lower() == b"100-continue" and not self._queue and not self._answering:
            self._outlet.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:  # noqa: D102 - httptools'
        self._size += len(body)
        if self._size > self._settings.request_limit:
            raise self._too_large()
        self._body.append(body)

    def _too_large(self) -> _Malformed:
        return _Malformed(413, f"the request body is larger than {self._settings.request_limit} bytes")

    def on_message_complete(self) -> None:  # noqa: D102 - httptools'
        if self._offered:
            return  # its body has not been read
        parser, body = self._parser, self._body
        whole = body[0] if len(body) == 1 else b"".join(body)
        method, path = parser.get_method().decode(), _path_of(self._url)
        self._queue.append(
            Request(method, path, self._headers, self._fields, whole, parser.should_keep_alive(), self._version)
        )
        self._begin()

    # One request after the other.

    def _advance(self) -> None:
        """Answer what waits, until an answer takes time; never deeper than one call."""
        if self._advancing:
            return
        self._advancing = True
        while self._queue and self._answering is None:
            head = self._queue.popleft()
            if isinstance(head, _Malformed):
                self._turn_away(head)
                break
            self._answering = head
            handler = self._app.handle(self, head)
            if self._answering is not None:  # answered at once otherwise
                self._handler = handler
        self._advancing = False
        if self._queue:
            held = self._size + sum(len(each.body) for each in self._queue if isinstance(each, Request))
            self._read_on(len(self._queue) < self._settings.pipeline_limit and held < self._settings.buffer_limit)
        elif not self._reading:
            self._read_on(True)

    def _read_on(self, wanted: bool) -> None:  # noqa: FBT001 - says what it does
        if wanted != self._reading and not self._transport.is_closing():
            self._reading = wanted
            if wanted:
                self._transport.resume_reading()
            else:
                self._transport.pause_reading()

    def _turn_away(self, malformed: _Malformed) -> None:
        self._app.turned_away(malformed.status)
        if self._transport.is_closing():
            return
        body = error_body(malformed.message, "invalid_request_error")
        self._outlet.write(b"%bconnection: close\r\n%b" % (wire.head(malformed.status), wire.content(wire.JSON, body)))
        self._hang_up()

    def _hang_up(self) -> None:
        """Close, but let the client read the answer first: unread bytes would cut it off with a reset."""
        self._closing = True
        if self._transport.can_write_eof():
            with contextlib.suppress(OSError):
                self._outlet.write_eof()
        self._loop.call_later(_LINGER, self._outlet.close)

    def _done(self, *, close: bool = False) -> None:
        request, self._answering, self._handler = self._answering, None, None
        self._since = self._loop.time()
        # Draining alone is no reason: a stream that had begun before has promised to keep the connection.
        if close or self._parting or request is None or not request.keep_alive:
            self._queue.clear()
            self._closing = True
            self._outlet.close()
        elif self._queue or not self._reading:
            self._advance()

    # What answers use.

    @property
    def paused(self) -> bool:
        """Whether the client reads more slowly than it is written to."""
        return self._stalled_since is not None

    @property
    def busy(self) -> bool:
        """Whether a request is being answered."""
        return self._answering is not None

    def respond(self, status: int, fields: bytes, kind: bytes, body: bytes) -> None:
        """Write a whole answer; ``fields`` are further header lines, each with its end of line."""
        request = self._answering
        content = wire.content(kind, body)
        if request is not None and request.method == "HEAD":
            content = content.removesuffix(body)
        self._outlet.write(b"".join((wire.head(status), fields, self._connection(), content)))
        self._done()

    def begin_stream(self, status: int, fields: bytes) -> None:
        """Write the head of an answer that comes in pieces."""
        self._chunked = self._answering is not None and self._answering.version == "1.1"
        framing = self._connection() + b"transfer-encoding: chunked\r\n" if self._chunked else b"connection: close\r\n"
        self._begun = b"%b%b%b\r\n" % (wire.head(status), fields, framing)

    def write(self, data: bytes) -> None:
        """Write a piece."""
        if data:
            begun, self._begun = self._begun, b""
            self._outlet.write(b"%b%x\r\n%b\r\n" % (begun, len(data), data) if self._chunked else begun + data)

    def end_stream(self, data: bytes = b"", *, close: bool = False) -> None:
        """Write the last piece and the end."""
        begun, self._begun = self._begun, b""
        if self._chunked:
            last = b"%x\r\n%b\r\n" % (len(data), data) if data else b""
            self._outlet.write(b"%b%b0\r\n\r\n" % (begun, last))
        else:
            self._outlet.write(begun + data)
        self._done(close=close or not self._chunked)

    def _connection(self) -> bytes:
        request = self._answering
        if request is None or not request.keep_alive or self._app.draining:
            self._parting = True
            return b"connection: close\r\n"
        return b"" if request.version == "1.1" else b"connection: keep-alive\r\n"

    # What the server uses.

    def sweep(self, now: float) -> None:
        """Close what has been idle for too long, arrives too slowly or is not read."""
        limit = self._settings
        if self._stalled_since is not None:
            unsent = _unread(self._transport)
            if unsent < self._unsent:
                self._stalled_since, self._unsent = now, unsent
            elif now - self._stalled_since > limit.client_timeout:
                self._transport.abort()
        elif self._answering or self._closing:
            return
        elif self._stage != _IDLE and now - self._since > limit.client_timeout:
            self._reject(_Malformed(408, "the request did not arrive in time"))
            self._advance()
        elif self._stage == _IDLE and now - self._since > limit.keep_alive:
            self._outlet.close()

    def close_when_idle(self) -> None:
        """Close unless something is being answered."""
        if not self._answering:
            self._outlet.close()

    def abort(self) -> None:
        """Close now."""
        self._transport.abort()


@lru_cache(maxsize=256)
def _path_of(url: bytes) -> str:
    return url.partition(b"?")[0].decode("latin-1")


def _drop(field: tuple[bytes, bytes]) -> None:
    """Take no trailer: what it says was not known when the request was judged."""


def _head_too_large() -> _Malformed:
    return _Malformed(431, "the headers are too large")


def _unread(transport: asyncio.Transport) -> int:
    """Count the bytes a client has not taken: ours, and those the kernel holds, which hide a slow reader's progress."""
    held = 0
    with contextlib.suppress(OSError):  # a kernel that does not say
        descriptor = transport.get_extra_info("socket").fileno()
        (held,) = struct.unpack("i", fcntl.ioctl(descriptor, termios.TIOCOUTQ, bytes(4)))
    return transport.get_write_buffer_size() + int(held)
