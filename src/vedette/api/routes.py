"""How the routes of the API are made: bodies that are JSON to the letter, and every answer declared."""

import json
from collections.abc import Callable, Coroutine
from typing import Any, NoReturn

from fastapi import APIRouter, Depends, Request, Response
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from vedette.api.problems import DESCRIBED, MEDIA_TYPE

Responses = dict[int | str, dict[str, Any]]

_TAG = {"ETag": {"description": "The revision of this thing.", "schema": {"type": "string"}}}
_LINK = {"Link": {"description": "The next page.", "schema": {"type": "string"}}}


def router(tag: str, *, json_only: bool = True) -> APIRouter:
    """Make the router of one noun, its routes grouped under ``tag``."""
    dependencies = [Depends(_json_only)] if json_only else []
    return APIRouter(prefix="/api/v1", tags=[tag], route_class=_Route, dependencies=dependencies)


def one(*errors: int, ok: int = 200) -> Responses:
    """Declare the answers of a route that gives one thing and its ETag."""
    unchanged: Responses = {} if 412 in errors or ok != 200 else {304: {"description": "The client has it already."}}
    return plain(*errors) | {ok: {"headers": _TAG}} | unchanged


def many(*errors: int) -> Responses:
    """Declare the answers of a route that gives a page of things."""
    return plain(*errors) | {200: {"headers": _LINK}}


def plain(*errors: int) -> Responses:
    """Declare the errors of a route; 422, 500 and 503 can always come."""
    schema = {"$ref": "#/components/schemas/Problem"}
    return {
        status: {"description": DESCRIBED[status], "content": {MEDIA_TYPE: {"schema": schema}}}
        for status in sorted({*errors, 422, 500, 503})
    }


BODY = (400, 413, 415)
"""What can be wrong with a body before anyone reads what it says."""

CHANGE = (404, 409, 412)
"""What can keep a change from a thing that is there."""


class _Route(APIRoute):
    """A route whose body is JSON to the letter."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Give the handler, which reads the stricter request."""
        handler = super().get_route_handler()

        async def strict(request: Request) -> Response:
            return await handler(_Request(request.scope, request.receive))

        return strict


class _Request(Request):
    async def json(self) -> Any:  # noqa: ANN401 - JSON is whatever JSON is
        """Read the body: no NaN, no infinities."""
        body = (await self.body()).decode()
        return json.loads(body, parse_constant=_refuse, parse_float=_finite)


def _refuse(text: str) -> NoReturn:
    raise json.JSONDecodeError(f"{text} is no number of JSON's", text, 0)


def _finite(text: str) -> float:
    number = float(text)
    return number if abs(number) != float("inf") else _refuse(text)


async def _json_only(request: Request) -> None:
    """Refuse a body that does not say it is JSON."""
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    is_json = media == "application/json" or (media.startswith("application/") and media.endswith("+json"))
    if not is_json and await request.body():
        raise HTTPException(415, f"send application/json, not {media or 'a body without Content-Type'}")
