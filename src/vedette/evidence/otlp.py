"""Spans as OpenTelemetry's collectors send them: an ExportTraceServiceRequest, as protobuf or as JSON.

Of each span only what an outcome is made of is read; events, links, lists and everything unknown are passed over. A
decoder of these few fields is a page of code, and the protocol's own package would bring protobuf's runtime along.

Sources: OpenTelemetry protocol 1.x (opentelemetry-proto, `trace.proto`, `common.proto`); protobuf's wire format and its
encoding as JSON (there ids are hexadecimal, and numbers of 64 bits may be text).
"""

import json
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vedette.kernel.errors import InvalidInput

Value = str | bool | int | float
_FAILED = 2
_VARINT, _FIXED_64, _BYTES, _FIXED_32 = 0, 1, 2, 5
_MOST_VARINT = 70  # bits of ten bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedSpan:
    """One span; ids in hexadecimal, times in nanoseconds since 1970, attributes that are single values."""

    trace: str
    id: str
    parent: str
    begun: int
    ended: int
    failed: bool
    attributes: Mapping[str, Value]
    resource: Mapping[str, Value]


def spans_of_protobuf(body: bytes) -> list[ReceivedSpan]:
    """Read the spans of a request.

    Raises:
        InvalidInput: The bytes are no such message.
    """
    try:
        return [span for _, resource_spans in _messages(body, 1) for span in _spans_of_resource(bytes(resource_spans))]
    except (IndexError, struct.error, UnicodeDecodeError) as error:
        raise InvalidInput(f"the body is no ExportTraceServiceRequest: {error}") from error


def spans_of_json(text: str) -> list[ReceivedSpan]:
    """Read the spans of a request in its JSON form.

    Raises:
        InvalidInput: The text is no JSON, or not of such a request.
    """
    try:
        said = json.loads(text)
        return [
            _json_span(span, resource)
            for resource_spans in _list(said, "resourceSpans")
            for resource in [_json_attributes(resource_spans.get("resource") or {})]
            for scope_spans in _list(resource_spans, "scopeSpans")
            for span in _list(scope_spans, "spans")
        ]
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError, RecursionError) as error:
        raise InvalidInput(f"the body is no ExportTraceServiceRequest: {error}") from error


def _spans_of_resource(body: bytes) -> Iterator[ReceivedSpan]:
    resource: dict[str, Value] = {}
    for _, message in _messages(body, 1):
        resource |= _attributes(message, 1)
    for _, scope_spans in _messages(body, 2):
        for _, span in _messages(scope_spans, 2):
            yield _span(span, resource)


def _span(body: bytes, resource: Mapping[str, Value]) -> ReceivedSpan:
    texts = {1: b"", 2: b"", 4: b""}
    times = {7: 0, 8: 0}
    failed = False
    for field, kind, value in _fields(body):
        if field in texts and kind == _BYTES:
            texts[field] = value
        elif field in times and kind == _FIXED_64:
            [times[field]] = struct.unpack("<Q", value)
        elif field == 15 and kind == _BYTES:
            failed = any(part == (3, _VARINT, _FAILED) for part in _fields(value))
    return ReceivedSpan(
        trace=texts[1].hex(),
        id=texts[2].hex(),
        parent=texts[4].hex(),
        begun=times[7],
        ended=times[8],
        failed=failed,
        attributes=_attributes(body, 9),
        resource=resource,
    )


def _attributes(body: bytes, field: int) -> dict[str, Value]:
    found: dict[str, Value] = {}
    for _, pair in _messages(body, field):
        key, value = "", None
        for its, kind, part in _fields(pair):
            if its == 1 and kind == _BYTES:
                key = part.decode()
            elif its == 2 and kind == _BYTES:
                value = _value(part)
        if value is not None:
            found[key] = value
    return found


def _value(body: bytes) -> Value | None:
    for field, kind, part in _fields(body):
        match field, kind:
            case (1, 2):
                return str(part.decode())
            case (2, 0):
                return bool(part)
            case (3, 0):
                return int(part) - (1 << 64) if part >= 1 << 63 else int(part)
            case (4, 1):
                [number] = struct.unpack("<d", part)
                return float(number)
    return None


def _messages(body: bytes, field: int) -> Iterator[tuple[int, bytes]]:
    return ((its, value) for its, kind, value in _fields(body) if its == field and kind == _BYTES)


def _fields(body: bytes) -> Iterator[tuple[int, int, Any]]:
    """Give number, wire type and value of each field of a message.

    Raises:
        IndexError: It ends too early, or is none.
    """
    place = 0
    while place < len(body):
        tag, place = _varint(body, place)
        kind = tag & 7
        if kind == _VARINT:
            value: Any
            value, place = _varint(body, place)
        else:
            if kind == _BYTES:
                length, place = _varint(body, place)
            elif kind in {_FIXED_64, _FIXED_32}:
                length = 8 if kind == _FIXED_64 else 4
            else:
                raise IndexError(f"wire type {kind}")
            if place + length > len(body):
                raise IndexError("it ends too early")
            value, place = body[place : place + length], place + length
        if not tag >> 3:
            raise IndexError("a field has no number")
        yield tag >> 3, kind, value


def _varint(body: bytes, place: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, _MOST_VARINT, 7):
        byte = body[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & (1 << 64) - 1, place
    raise IndexError("a number is too long")


def _json_span(said: Mapping[str, Any], resource: Mapping[str, Value]) -> ReceivedSpan:
    code = (said.get("status") or {}).get("code", 0)
    return ReceivedSpan(
        trace=str(said.get("traceId", "")).lower(),
        id=str(said.get("spanId", "")).lower(),
        parent=str(said.get("parentSpanId") or "").lower(),
        begun=_nanoseconds(said, "startTimeUnixNano"),
        ended=_nanoseconds(said, "endTimeUnixNano"),
        failed=code in {_FAILED, "STATUS_CODE_ERROR"},
        attributes=_json_attributes(said),
        resource=resource,
    )


def _nanoseconds(said: Mapping[str, Any], name: str) -> int:
    found = int(said.get(name) or 0)
    if not 0 <= found < 1 << 64:
        raise ValueError(f"{name} is {found}")
    return found


def _json_attributes(said: Mapping[str, Any]) -> dict[str, Value]:
    found: dict[str, Value] = {}
    for pair in _list(said, "attributes"):
        for kind, value in (pair.get("value") or {}).items():
            match kind:
                case "stringValue":
                    found[str(pair["key"])] = str(value)
                case "boolValue":
                    found[str(pair["key"])] = bool(value)
                case "intValue":
                    found[str(pair["key"])] = int(value)
                case "doubleValue":
                    found[str(pair["key"])] = float(value)
    return found


def _list(said: Mapping[str, Any], name: str) -> Sequence[Any]:
    found = said.get(name)
    if not isinstance(found, list | None):
        raise TypeError(f"{name} is no list")
    return found or ()
