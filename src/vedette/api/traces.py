"""Spans over OTLP/HTTP: where an OpenTelemetry collector sends what called models elsewhere.

The address is the one collectors add to an endpoint, so it has no prefix; a token lets them in as it lets in anybody.
"""

import gzip
import io
import zlib
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from vedette.api.bodies import media_of
from vedette.api.door import enter
from vedette.api.requests import Plane
from vedette.api.routes import BODY, Responses, plain
from vedette.control.plane import ControlPlane
from vedette.evidence.genai import Sorted, domains_of, sentence_of, sort_spans
from vedette.evidence.otlp import ReceivedSpan, spans_of_json, spans_of_protobuf
from vedette.kernel.errors import InvalidDocument, InvalidInput, NotFound
from vedette.lake.admission import check_outcome
from vedette.lake.journal import LARGEST_BATCH

ADDRESS = "/v1/traces"
PROTOBUF = "application/x-protobuf"
JSON = "application/json"
LARGER = 4
"""How many times the size of other bodies one may have: collectors send some thousand spans at once, and not again."""
LARGEST_UNPACKED = 32_000_000
"""Bytes above which a body that was packed by gzip is refused."""

_LONGEST = 1_000  # signs of what is said about spans that were passed over

routes = APIRouter(tags=["traces"], dependencies=[Depends(enter)])

_ANY = {"type": "object", "properties": {"resourceSpans": {"type": ["array", "null"], "items": {"type": "object"}}}}
_PARTIAL: dict[str, Any] = {
    "type": "object",
    "properties": {
        "partialSuccess": {
            "type": "object",
            "properties": {"rejectedSpans": {"type": "string"}, "errorMessage": {"type": "string"}},
        }
    },
}
_TAKES = {
    "requestBody": {
        "required": True,
        "description": "An ExportTraceServiceRequest of OTLP 1.x; `Content-Encoding: gzip` is taken.",
        "content": {JSON: {"schema": _ANY}, PROTOBUF: {"schema": {"type": "string", "format": "binary"}}},
    }
}
_GIVES: Responses = {
    200: {
        "description": "An ExportTraceServiceResponse, in the form the request had.",
        "content": {JSON: {"schema": _PARTIAL}, PROTOBUF: {"schema": {"type": "string", "format": "binary"}}},
    }
}


async def _spans(request: Request) -> list[ReceivedSpan]:
    """Read the spans of a body.

    Raises:
        InvalidDocument: it is none.
        HTTPException: it is of a media type or an encoding that is not read, or too large when unpacked.
    """
    media, body = media_of(request), await request.body()
    packing = request.headers.get("content-encoding", "identity").strip().lower()
    if media not in {JSON, PROTOBUF} or packing not in {"gzip", "identity", ""}:
        raise HTTPException(415, f"send {PROTOBUF} or {JSON}, plain or packed by gzip, not {media or 'no media type'}")
    if packing == "gzip":
        body = await run_in_threadpool(_unpacked, body)
    try:
        return await run_in_threadpool(spans_of_protobuf if media == PROTOBUF else _from_json, body)
    except InvalidInput as error:
        raise _malformed(error.message) from error


@routes.post(
    ADDRESS, response_model=None, responses={**plain(*BODY), **_GIVES}, openapi_extra=_TAKES, name="export_traces"
)
def export_traces(plane: Plane, request: Request, spans: Annotated[list[ReceivedSpan], Depends(_spans)]) -> Response:
    """Record the outcomes that spans of generative AI are, as a collector sends them over OTLP/HTTP.

    A span counts once, however often it is sent. What the gateway has recorded is no outcome, and of spans of one call,
    one inside the other, the innermost is. What is none of ours is said in the answer's ``partialSuccess``.
    """
    there = {name for name in domains_of(spans) if _exists(plane, name)}
    found = sort_spans(spans, there.__contains__, check_outcome, request.app.state.gateways)
    for begin in range(0, len(found.outcomes), LARGEST_BATCH):
        plane.outcomes.record(found.outcomes[begin : begin + LARGEST_BATCH])
    if media_of(request) == PROTOBUF:
        return Response(_protobuf(found), media_type=PROTOBUF)
    rejected = sum(found.foreign.values())
    partial = {"rejectedSpans": str(rejected), "errorMessage": _why(found)}
    return JSONResponse({"partialSuccess": partial} if rejected else {})


def _exists(plane: ControlPlane, name: str) -> bool:
    try:
        plane.domains.get(name)
    except (NotFound, InvalidInput):
        return False
    return True


def _from_json(body: bytes) -> list[ReceivedSpan]:
    try:
        return spans_of_json(body.decode())
    except UnicodeDecodeError as error:
        raise InvalidInput("the body is no UTF-8") from error


def _unpacked(body: bytes) -> bytes:
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(body)) as packed:
            found = packed.read(LARGEST_UNPACKED + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise _malformed(f"the body is not packed by gzip: {error}") from error
    if len(found) > LARGEST_UNPACKED:
        raise HTTPException(413)
    return found


def _malformed(message: str) -> InvalidDocument:
    return InvalidDocument(message, source="<body>", line=1, column=1)


def _why(found: Sorted) -> str:
    return sentence_of(found.foreign)[:_LONGEST]


def _protobuf(found: Sorted) -> bytes:
    """Write an ExportTraceServiceResponse: in its field 1, how many were passed over (1) and why (2)."""
    rejected = sum(found.foreign.values())
    if not rejected:
        return b""
    why = _why(found).encode()
    partial = b"\x08" + _varint(rejected) + b"\x12" + _varint(len(why)) + why
    return b"\x0a" + _varint(len(partial)) + partial


def _varint(number: int) -> bytes:
    written = bytearray()
    while number > 0x7F:
        written.append(number & 0x7F | 0x80)
        number >>= 7
    written.append(number)
    return bytes(written)
