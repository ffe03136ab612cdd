"""Errors as RFC 9457 problem documents: one table from the errors of the kernel to HTTP, and nothing else leaves.

``type`` is a stable address by which a program tells errors apart, ``title`` its name, ``detail`` what happened here,
``hint`` what to do, ``details`` the figures. Stack traces stay in the log of the server.
"""

import logging
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.routing import compile_path

from vedette.api.door import Unknown
from vedette.api.middleware import REQUEST_ID
from vedette.governance.audit import plain
from vedette.kernel.documents import dump
from vedette.kernel.errors import (
    Conflict,
    Corrupt,
    Denied,
    InvalidDocument,
    InvalidInput,
    LeaseLost,
    NotFound,
    Refused,
    StaleRevision,
    Unavailable,
    VedetteError,
)
from vedette.kernel.records import record

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
TYPES = "urn:vedette:problem:"
RETRY_AFTER = "1"


@record
class Problem:
    """What went wrong, as RFC 9457 says it."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    hint: str = ""
    details: Mapping[str, Any]


@record
class Kind:
    """One kind of error: its HTTP status, the end of its type's address, and its name."""

    status: int
    slug: str
    title: str


KINDS: Mapping[type[VedetteError], Kind] = {
    InvalidInput: Kind(status=422, slug="invalid-input", title="What was given is wrong"),
    NotFound: Kind(status=404, slug="not-found", title="There is no such thing"),
    Conflict: Kind(status=409, slug="conflict", title="It clashes with what is there"),
    StaleRevision: Kind(status=412, slug="stale-revision", title="Someone changed it since it was read"),
    Refused: Kind(status=409, slug="refused", title="Not allowed in this state"),
    Unknown: Kind(status=401, slug="unknown-caller", title="It is not known who asks"),
    Denied: Kind(status=403, slug="denied", title="This actor may not do that"),
    Corrupt: Kind(status=500, slug="corrupt", title="Stored bytes are not what they were"),
    LeaseLost: Kind(status=409, slug="lease-lost", title="Another replica holds this now"),
    Unavailable: Kind(status=503, slug="unavailable", title="Something needed did not answer"),
    VedetteError: Kind(status=500, slug="unexpected", title="Something unexpected happened"),
}
"""The nearest class of an error's ancestry decides."""

MALFORMED = Kind(status=400, slug="malformed", title="The body cannot be read")
CORRUPT_ARTEFACT = Kind(status=422, slug="corrupt", title="The artefact is not what its digest says")
UNEXPECTED = KINDS[VedetteError]
_TELLING: Mapping[int, Mapping[str, str]] = {
    401: {"WWW-Authenticate": "Bearer"},
    503: {"Retry-After": RETRY_AFTER},
}
"""What some statuses say in a header too."""
_OF_HTTP: Mapping[int, Kind] = {
    400: MALFORMED,
    404: Kind(status=404, slug="no-such-route", title="There is nothing at this address"),
    405: Kind(status=405, slug="method-not-allowed", title="This address does not take that method"),
    413: Kind(status=413, slug="too-large", title="The request is too large"),
    415: Kind(status=415, slug="unsupported-media-type", title="The body is in no format taken here"),
}


def kind_of(error: VedetteError) -> Kind:
    """Give the HTTP side of an error.

    Two are told apart by what they carry: a document that could not even be read has no path in it (400), and a
    corrupt artefact is the client's (422) while a corrupt store is ours (500).
    """
    if isinstance(error, InvalidDocument) and not error.path:
        return MALFORMED
    if isinstance(error, Corrupt) and "artefact" in error.details:
        return CORRUPT_ARTEFACT
    return next(KINDS[cls] for cls in type(error).__mro__ if cls in KINDS)


def install(app: FastAPI) -> None:
    """Let every error that leaves ``app`` be a problem document."""

    async def known(request: Request, error: Exception) -> Response:
        assert isinstance(error, VedetteError)  # noqa: S101 - registered for these only
        return respond(request, kind_of(error), error.message, hint=error.hint, details=error.details)

    async def invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for these only
        return _invalid(request, error)

    async def of_http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101 - registered for these only
        kind = _OF_HTTP.get(error.status_code)
        kind = kind or Kind(status=error.status_code, slug="http", title=str(error.detail))
        headers = {"Allow": _allowed(request)} if error.status_code == 405 else error.headers
        return respond(request, kind, _sentence(request, error), headers=headers)

    async def unexpected(request: Request, error: Exception) -> Response:
        log.error("%s %s failed", request.method, request.url.path, exc_info=error)
        detail = "an error nobody expected; the server's log tells more"
        return respond(request, UNEXPECTED, detail, hint="quote the X-Request-Id of this answer")

    app.add_exception_handler(VedetteError, known)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, of_http)
    app.add_exception_handler(Exception, unexpected)


def respond(
    request: Request,
    kind: Kind,
    detail: str,
    *,
    hint: str = "",
    details: Mapping[str, object] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Make the problem document of one error."""
    problem = Problem(
        type=TYPES + kind.slug,
        title=kind.title,
        status=kind.status,
        detail=detail,
        instance=request.url.path,
        hint=hint,
        details=_plain(details or {}),
    )
    more = {REQUEST_ID: request.state.request_id, **_TELLING.get(kind.status, {})}
    return JSONResponse(
        dump(problem), status_code=kind.status, media_type=MEDIA_TYPE, headers={**(headers or {}), **more}
    )


def _plain(details: Mapping[str, object]) -> dict[str, Any]:
    try:
        return {name: plain(value) for name, value in details.items()}
    except InvalidInput:  # a detail for Python's eyes only
        return {name: str(value) for name, value in details.items()}


def _invalid(request: Request, error: RequestValidationError) -> Response:
    errors = [
        {"at": _place(item["loc"]), "message": item["msg"].removeprefix("Value error, "), "code": item["type"]}
        for item in error.errors()
    ]
    sentence = "; ".join(f"{each['at']}: {each['message']}" for each in errors)
    return respond(request, KINDS[InvalidInput], sentence, details={"errors": errors})


def _place(path: tuple[int | str, ...]) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".")


def _allowed(request: Request) -> str:
    """Name every method of an address; the router itself names those of the first route it finds there."""
    paths = request.app.openapi()["paths"]
    here = request.url.path
    found = next((path for path in sorted(paths, key=_is_pattern) if compile_path(path)[0].fullmatch(here)), None)
    return ", ".join(sorted(method.upper() for method in paths.get(found, ())))


def _is_pattern(path: str) -> bool:
    return "{" in path


def _sentence(request: Request, error: HTTPException) -> str:
    match error.status_code:
        case 404:
            return f"there is nothing at {request.url.path}"
        case 405:
            return f"{request.url.path} does not take {request.method}"
        case 413:
            return "the body is larger than this server takes"
        case _:
            return str(error.detail)


DESCRIBED: Mapping[int, str] = {
    400: "The body cannot be read; `details` say the line and the column.",
    401: "It is not known who asks; send a token as `Authorization: Bearer …`.",
    403: "This actor may not do that.",
    404: "There is no such thing.",
    409: "It clashes with what is there, or is not allowed in this state.",
    412: "If-Match named another revision than the one that is there.",
    413: "The body is larger than this server takes.",
    415: "The body is in no format taken here.",
    422: "What was given is wrong; nothing was changed.",
    500: "An error nobody expected.",
    503: "Something vedette depends on did not answer; try again after `Retry-After` seconds.",
}
"""What each status means here, for the OpenAPI document."""
