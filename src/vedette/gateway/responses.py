"""OpenAI's Responses API: passed through as it is, and read where it says how an answer ended and what it used.

It differs from chat in its events (each has a type, and the last one is the whole answer) and in how usage is named.
What it keeps at the backend (``previous_response_id``) stays there: a unit sees the same version as long as the split
does not change, and a backend that does not know an id says so itself.
"""

from typing import Any, Final

import msgspec

from vedette.gateway.openai import RESPONSES, Ask
from vedette.gateway.sse import EventStream, Tokens, Usage, end_of_last_event, usage_of
from vedette.kernel.errors import InvalidInput

_ENDED: Final = frozenset({"response.completed", "response.incomplete"})
_BROKEN: Final = frozenset({"response.failed", "error"})
_MARKS: Final = (b"response.completed", b"response.incomplete", b"response.failed", b"error", b"[DONE]")


class _Used(msgspec.Struct):
    input_tokens: Tokens = 0
    output_tokens: Tokens = 0


class _Response(msgspec.Struct):
    usage: _Used | None = None


class _Whole(msgspec.Struct):
    status: Any = None
    error: Any = None


class _Event(msgspec.Struct):
    type: str = ""
    response: _Response | None = None
    error: Any = None


_EVENT = msgspec.json.Decoder(_Event)
_ANSWER = msgspec.json.Decoder(_Response)
_WHOLE = msgspec.json.Decoder(_Whole)


class ResponseStream(EventStream):
    """Follows a stream of response events; it ends with the event that holds the whole answer."""

    __slots__ = ()

    def feed(self, data: bytes) -> bytes:
        """Take bytes, give the complete events to pass on, unchanged.

        Raises:
            InvalidInput: one event is larger than the limit.
        """
        data = self._rest + data
        end = end_of_last_event(data)
        whole, self._rest = data[:end], data[end:]
        if len(self._rest) > self._limit:
            raise InvalidInput(f"an event of the stream is larger than {self._limit} bytes")
        if not any(mark in whole for mark in _MARKS):
            self.started = self.started or b"data:" in whole
            return whole
        return b"".join(self._read_each(whole))

    def _passes(self, event: bytes) -> bool:
        if b"data:" in event:
            self.started = True
            self._read(event)
        return True

    def _read(self, event: bytes) -> bool:
        payload = b"\n".join(line[5:].removeprefix(b" ") for line in event.splitlines() if line.startswith(b"data:"))
        if payload.strip() == b"[DONE]":
            self.finished = True
            return True
        try:
            said = _EVENT.decode(payload)
        except (msgspec.MsgspecError, RecursionError):
            return True  # not a shape we know: not ours to judge
        if said.response is not None and said.response.usage is not None:
            self.usage = _usage(said.response.usage)
        if said.type in _BROKEN or (said.error is not None and not said.type):
            self.error = payload
        self.finished = self.finished or said.type in _ENDED
        return True


def events_of(ask: Ask, *, keep_usage: bool, limit: int) -> EventStream:
    """Give what follows the stream that answers a request."""
    kind = ResponseStream if ask.path == RESPONSES else EventStream
    return kind(keep_usage=keep_usage, limit=limit)


def usage_in(ask: Ask, body: bytes) -> Usage | None:
    """Read the usage of the whole answer to a request; None when it says nothing that can be read."""
    if ask.path != RESPONSES:
        return usage_of(body)
    try:
        used = _ANSWER.decode(body).usage
    except (msgspec.MsgspecError, RecursionError):
        return None
    return _usage(used) if used else None


def says_failed(ask: Ask, status: int, body: bytes) -> bool:
    """Say whether a whole answer with status 200 is a response that failed; one that ended at its limit did not."""
    if ask.path != RESPONSES or status != 200:
        return False
    try:
        said = _WHOLE.decode(body)
    except (msgspec.MsgspecError, RecursionError):
        return False
    return said.status == "failed" or said.error is not None


def _usage(used: _Used) -> Usage:
    return Usage(prompt_tokens=used.input_tokens, completion_tokens=used.output_tokens)
