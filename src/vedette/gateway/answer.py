"""A whole answer, and how a backend's may be shown."""

import msgspec

from vedette.gateway import wire
from vedette.gateway.headers import returned, value_of
from vedette.gateway.openai import error_body
from vedette.gateway.upstream import Headers

EVENTS = b"text/event-stream"
"""The kind of an answer that is a stream."""


class Answer(msgspec.Struct):
    """What a client is told at once; ``fields`` are further header lines, each with its end of line."""

    status: int
    body: bytes
    kind: bytes = wire.JSON
    fields: bytes = b""


def shown(version: str, status: int, headers: Headers, body: bytes) -> Answer:
    """Give a backend's answer as it may be shown; what it thinks of our key is not the client's business."""
    if status in {401, 403}:
        message = f"the backend of version {version} refused the gateway's key"
        return Answer(502, error_body(message, "server_error", "upstream_refused"))
    kind = b"" if status in {204, 304} else value_of(headers, b"content-type") or wire.JSON
    return Answer(status, body, kind, returned(headers))
