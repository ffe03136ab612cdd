"""Server-sent events of an OpenAI stream: passed on byte for byte, and read only where they mean something to us."""

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from vedette.kernel.errors import InvalidInput

_BLANK_LINE = re.compile(rb"\n\r?\n|\r\r")  # after any end of line: the \r before the first \n is the event's
_MARKS = (b"[DONE]", b'"usage"', b'"error"', b"event: error", b"event:error")


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
        end = _end_of_last_event(data)
        whole, self._rest = data[:end], data[end:]
        if len(self._rest) > self._limit:
            raise InvalidInput(f"an event of the stream is larger than {self._limit} bytes")
        # Most events are text of the answer; only these marks can matter, and a search is cheaper than reading all.
        if not any(mark in whole for mark in _MARKS):
            self.started = self.started or b"data:" in whole
            return whole
        return b"".join(self._read_each(whole))

    def flush(self) -> bytes:
        """Take the end of the stream: an event that lacks only its blank line is whole."""
        return self.feed(b"\n\n") if self._rest.strip() else b""

    def _read_each(self, events: bytes) -> Iterator[bytes]:
        begin = 0
        for match in _BLANK_LINE.finditer(events):
            event, begin = events[begin : match.end()], match.end()
            if self._passes(event):
                yield event
            if self.finished or self.error is not None:
                self._rest = b""
                return

    def _passes(self, event: bytes) -> bool:
        """Note what the event says; False when it is only the usage we asked for ourselves."""
        if b"data:" not in event:
            return True  # a comment that keeps the connection warm
        self.started = True
        return self._read(event) if any(mark in event for mark in _MARKS) else True

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


def _end_of_last_event(data: bytes) -> int:
    """Find where the last complete event ends; 0 when there is none."""
    if b"\r" not in data:
        return data.rfind(b"\n\n") + 2 if b"\n\n" in data else 0
    return max((match.end() for match in _BLANK_LINE.finditer(data)), default=0)
