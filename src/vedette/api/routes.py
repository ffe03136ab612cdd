"""How the routes of the API are made, and every answer they can give declared."""

from typing import Any

from fastapi import APIRouter, Depends

from vedette.api.door import enter
from vedette.api.problems import DESCRIBED, MEDIA_TYPE

Responses = dict[int | str, dict[str, Any]]

_TAG = {"ETag": {"description": "The revision of this thing.", "schema": {"type": "string"}}}
_LINK = {"Link": {"description": "The next page.", "schema": {"type": "string"}}}


def router(tag: str) -> APIRouter:
    """Make the router of one noun, its routes grouped under ``tag``."""
    return APIRouter(prefix="/api/v1", tags=[tag], dependencies=[Depends(enter)])


def one(*errors: int, ok: int = 200) -> Responses:
    """Declare the answers of a route that gives one thing and its ETag."""
    unchanged: Responses = {} if 412 in errors or ok != 200 else {304: {"description": "The client has it already."}}
    return plain(*errors) | {ok: {"headers": _TAG}} | unchanged


def many(*errors: int) -> Responses:
    """Declare the answers of a route that gives a page of things."""
    return plain(*errors) | {200: {"headers": _LINK}}


def plain(*errors: int) -> Responses:
    """Declare the errors of a route; 401, 403, 422, 500 and 503 can always come."""
    schema = {"$ref": "#/components/schemas/Problem"}
    return {
        status: {"description": DESCRIBED[status], "content": {MEDIA_TYPE: {"schema": schema}}}
        for status in sorted({*errors, 401, 403, 422, 500, 503})
    }


BODY = (400, 413, 415)
"""What can be wrong with a body before anyone reads what it says."""

CHANGE = (404, 409, 412)
"""What can keep a change from a thing that is there."""
