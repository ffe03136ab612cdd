"""Server-sent events of an OpenAI stream: passed on byte for byte, and read only where they mean something to us."""

import re
from collections.abc import Iterator
from typing import Annotated, Any

import msgspec

from vedette.kernel.errors import InvalidInput

_BLANK_LINE = re.compile(rb"\n\r?\n|\r\r")  # after any end of line: the \r before the first \n is the event's
_DONE = b"[DONE]"
_ERROR = b"error"  # of `"error":` and of `event: error`
_USAGE = b'"usage"'
_NOTHING = (b":null", b": null")  # what follows it in every event but the last


Tokens = Annotated[int, msgspec.Meta(ge=0, le=1 << 53)]
"""How many tokens a backend says; one that says what cannot be has said nothing."""


class Usage(msgspec.Struct):
    """The tokens a backend says it used."""

    prompt_tokens: Tokens = 0
    completion_tokens: Tokens = 0


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
        if self._rest:
            data = self._rest + data
        end = end_of_last_event(data)
        if end == len(data):
            whole, self._rest = data, b""
        else:
            whole, self._rest = data[:end], data[end:]
            if len(self._rest) > self._limit:
                raise InvalidInput(f"an event of the stream is larger than {self._limit} bytes")
        # Most events are text of the answer; only marks can matter, and a search is cheaper than reading all.
        begin = _first_to_read(whole, every_usage=not self._keep_usage)
        if begin and not self.started:
            self.started = whole.find(b"data:", 0, begin) >= 0
        if begin == len(whole):
            return whole
        return b"".join((whole[:begin], *self._read_each(whole[begin:])))

    def flush(self) -> bytes:
        """Take the end of the stream: an event that lacks only its blank line is whole."""
        return self.feed(b"\n\n") if self._rest.strip() else b""

    def _read_each(self, events: bytes) -> Iterator[bytes]:
        for event in _each(events):
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
        return not (_DONE in event or _ERROR in event or _USAGE in event) or self._read(event)

    def _read(self, event: bytes) -> bool:
        lines: list[bytes] = []
        if event.startswith(b"data:") and event.find(b"\n") == len(event) - 2:
            payload = event[5:-2]  # one line and its blank line, as almost every event is
        else:
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


def _first_mark(events: bytes, *, every_usage: bool) -> int:
    """Find the first thing that can matter; the length when nothing does. The last usage is all that is recorded."""
    first = len(events)
    for mark in (_ERROR, _DONE):
        place = events.find(mark, 0, first)
        if place >= 0:
            first = place
    find = events.find if every_usage else events.rfind
    place = find(_USAGE, 0, first)
    while place >= 0 and events.startswith(_NOTHING, place + len(_USAGE)):
        place = events.find(_USAGE, place + len(_USAGE), first) if every_usage else events.rfind(_USAGE, 0, place)
    return place if place >= 0 else first


def _first_to_read(events: bytes, *, every_usage: bool) -> int:
    """Find where the first event begins that can matter; the length when none does."""
    first = _first_mark(events, every_usage=every_usage)
    if first == len(events):
        return first
    if b"\r" in events:
        return 0
    before = events.rfind(b"\n\n", 0, first)
    return before + 2 if before >= 0 else 0


def _each(events: bytes) -> Iterator[bytes]:
    """Cut whole events apart."""
    begin, length = 0, len(events)
    if b"\r" in events:
        for match in _BLANK_LINE.finditer(events):
            yield events[begin : match.end()]
            begin = match.end()
        return
    while begin < length:
        end = events.find(b"\n\n", begin) + 2
        yield events[begin:end]
        begin = end


def end_of_last_event(data: bytes) -> int:
    """Find where the last complete event ends; 0 when there is none."""
    if data.endswith(b"\n\n"):
        return len(data)
    if b"\r" not in data:
        return data.rfind(b"\n\n") + 2 if b"\n\n" in data else 0
    return max((match.end() for match in _BLANK_LINE.finditer(data)), default=0)
