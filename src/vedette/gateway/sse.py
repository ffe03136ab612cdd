"""Server-sent events of an OpenAI stream: passed on byte for byte, and read only where they mean something to us."""

import re
from typing import Any

import msgspec

from vedette.kernel.errors import InvalidInput

_BLANK_LINE = re.compile(rb"(?>\r\n|\n|\r){2}")  # atomic, so that one \r\n is never read as two ends of line


class Usage(msgspec.Struct):
    """The tokens a backend says it used."""

    prompt_tokens: int = 0
    completion_tokens: int = 0


class _Chunk(msgspec.Struct):
    choices: list[msgspec.Raw] | None = None
    usage: Usage | None = None
    error: Any = None


class _Answer(msgspec.Struct):
    usage: Usage | None = None


_CHUNK = msgspec.json.Decoder(_Chunk)
_ANSWER = msgspec.json.Decoder(_Answer)


def usage_of(body: bytes) -> Usage | None:
    """Read the usage of a whole answer; None when it says nothing that can be read."""
    try:
        return _ANSWER.decode(body).usage
    except (msgspec.MsgspecError, RecursionError):
        return None


class EventStream:
    """Cuts a stream into events and follows what they say.

    After each `feed`: ``usage`` is the last one seen, ``started`` tells that an event with data came, ``finished`` that
    ``[DONE]`` did, and ``error`` holds the payload of an error event. Bytes after ``[DONE]`` or an error are dropped.
    """

    __slots__ = ("_keep_usage", "_limit", "_rest", "error", "finished", "started", "usage")

    def __init__(self, *, keep_usage: bool, limit: int) -> None:
        self._keep_usage = keep_usage
        self._limit = limit
        self._rest = b""
        self.usage: Usage | None = None
        self.started = False
        self.finished = False
        self.error: bytes | None = None

    def feed(self, data: bytes) -> bytes:
        """Take bytes, give the complete events to pass on: unchanged, but without a usage nobody asked for.

        Raises:
            InvalidInput: one event is larger than the limit.
        """
        data = self._rest + data
        kept, begin = [], 0
        for match in _BLANK_LINE.finditer(data):
            if self._passes(data[begin : match.end()]):
                kept.append(data[begin : match.end()])
            begin = match.end()
            if self.finished or self.error is not None:
                self._rest = b""
                return b"".join(kept)
        self._rest = data[begin:]
        if len(self._rest) > self._limit:
            raise InvalidInput(f"an event of the stream is larger than {self._limit} bytes")
        return b"".join(kept)

    def flush(self) -> bytes:
        """Take the end of the stream: an event that lacks only its blank line is whole."""
        return self.feed(b"\n\n") if self._rest.strip() else b""

    def _passes(self, event: bytes) -> bool:
        """Note what the event says; False when it is only the usage we asked for ourselves."""
        if b"data:" not in event:
            return True  # a comment that keeps the connection warm
        self.started = True
        # Most events are text of the answer; only these three can matter, and a search is cheaper than decoding all.
        if b"[DONE]" in event or b'"usage"' in event or b'"error"' in event or b"event: error" in event:
            return self._read(event)
        return True

    def _read(self, event: bytes) -> bool:
        lines = event.splitlines()
        payload = b"\n".join(line[5:].removeprefix(b" ") for line in lines if line.startswith(b"data:"))
        if payload.strip() == b"[DONE]":
            self.finished = True
            return True
        if any(line.startswith(b"event:") and line[6:].strip() == b"error" for line in lines):
            self.error = payload
            return True
        try:
            chunk = _CHUNK.decode(payload)
        except (msgspec.MsgspecError, RecursionError):
            return True  # not a shape we know: not ours to judge
        if chunk.error is not None:
            self.error = payload
        if chunk.usage is None:
            return True
        self.usage = chunk.usage
        return self._keep_usage or bool(chunk.choices) or chunk.error is not None
