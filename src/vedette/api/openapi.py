"""The OpenAPI document, where FastAPI's own needs a word more.

It does not know the shape of our errors, of the bodies that `bodies.JsonBody` reads, and of applied documents. It
writes default values with the names they have in Python, lets parameters be null, which no URL can say, and does not
require what tells the members of a union apart.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute
from pydantic import TypeAdapter

from vedette.api.apply import MEDIA_TYPES, AnyDocument
from vedette.api.bodies import LINES, JsonBody, LinesBody, RowsBody
from vedette.api.problems import Problem
from vedette.kernel.documents import adapter
from vedette.kernel.records import camel

_REF = "#/components/schemas/{model}"
_APPLIED = "One document, or in YAML several with ``---`` between them."


def described(app: FastAPI, routers: Iterable[APIRouter]) -> Callable[[], dict[str, Any]]:
    """Give the function that makes the document of ``app``, once."""
    plain = app.openapi
    bodies = {
        route.name: found
        for router in routers
        for route in router.routes
        if isinstance(route, APIRoute) and (found := _body_of(route))
    }
    made: dict[str, Any] = {}

    def document() -> dict[str, Any]:
        if not made:
            made.update(_completed(plain(), bodies))
        return made

    return document


def _body_of(route: APIRoute) -> JsonBody[Any] | None:
    return next((it.call for it in route.dependant.dependencies if isinstance(it.call, JsonBody)), None)


def _completed(document: dict[str, Any], bodies: Mapping[str, JsonBody[Any]]) -> dict[str, Any]:
    schemas = document["components"]["schemas"]
    for name in ("HTTPValidationError", "ValidationError"):  # FastAPI's own errors, which never leave
        schemas.pop(name, None)
    wanted: list[tuple[str, TypeAdapter[Any]]] = [
        ("Problem", adapter(Problem)),
        ("Document", TypeAdapter(AnyDocument)),
        *((shape.__name__, adapter(shape)) for shape in map(_shape_of, bodies.values())),
    ]
    named, extra = TypeAdapter.json_schemas([(name, "validation", shape) for name, shape in wanted], ref_template=_REF)
    schemas.update({name: schema for name, schema in extra["$defs"].items() if name not in schemas})
    schemas["Document"] = named["Document", "validation"]
    for operation in (way for ways in document["paths"].values() for way in ways.values()):
        name = operation["operationId"]
        if name in bodies:
            operation["requestBody"] = _body(bodies[name])
        elif name == "apply":
            operation["requestBody"] = _taken("Document", required=True, media=MEDIA_TYPES, description=_APPLIED)
        for parameter in operation.get("parameters", ()):
            parameter["schema"] = _never_null(parameter["schema"])
    for schema in list(schemas.values()):
        _refine(schema, schemas)
    return document


def _shape_of(body: JsonBody[Any]) -> type[Any]:
    return body.row if isinstance(body, RowsBody) else body.record


def _body(body: JsonBody[Any]) -> dict[str, Any]:
    named = _shape_of(body).__name__
    if not isinstance(body, (RowsBody, LinesBody)):
        return _taken(named, required=body.required)
    whole: dict[str, Any] = {"$ref": _REF.format(model=named)}
    if isinstance(body, RowsBody):
        whole = {"type": "array", "items": whole}
    line = named if isinstance(body, RowsBody) else body.item.__name__
    lines = {"type": "string", "description": f"One `{line}` a line."}
    content = {"application/json": {"schema": whole}} | {media: {"schema": lines} for media in LINES}
    return {"required": True, "content": content}


def _taken(
    model: str, *, required: bool, media: Iterable[str] = ("application/json",), description: str = ""
) -> dict[str, Any]:
    content = {each: {"schema": {"$ref": _REF.format(model=model)}} for each in media}
    return {"required": required, "content": content} | ({"description": description} if description else {})


def _never_null(schema: dict[str, Any]) -> dict[str, Any]:
    choices = [choice for choice in schema.get("anyOf", ()) if choice != {"type": "null"}]
    rest = {key: value for key, value in schema.items() if key != "anyOf"}
    return {**rest, **choices[0]} if len(choices) == 1 else schema


def _refine(schema: dict[str, Any], schemas: Mapping[str, dict[str, Any]]) -> None:
    for part in (schema, *schema.get("properties", {}).values()):
        if "default" in part:
            part["default"] = _camel(part["default"])
        told = part.get("discriminator", {})
        for reference in told.get("mapping", {}).values():
            member = schemas[reference.rpartition("/")[2]]
            member["required"] = sorted({*member.get("required", ()), told["propertyName"]})


def _camel(value: Any) -> Any:  # noqa: ANN401 - JSON is whatever JSON is
    if isinstance(value, Mapping):
        return {camel(name): _camel(item) for name, item in value.items()}
    return [_camel(item) for item in value] if isinstance(value, list) else value
