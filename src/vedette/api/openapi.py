"""The OpenAPI document, where FastAPI's own needs a word more.

It does not know the shape of our errors and of applied documents, which no route names as a type; and it writes default
values with the names they have in Python.
"""

from collections.abc import Callable, Mapping
from typing import Any

from fastapi import FastAPI
from pydantic import TypeAdapter

from vedette.api.apply import MEDIA_TYPES, AnyDocument
from vedette.api.problems import Problem
from vedette.kernel.records import camel

_REF = "#/components/schemas/{model}"


def described(app: FastAPI) -> Callable[[], dict[str, Any]]:
    """Give the function that makes the document of ``app``, once."""
    plain = app.openapi
    made: dict[str, Any] = {}

    def document() -> dict[str, Any]:
        if not made:
            made.update(_completed(plain()))
        return made

    return document


def _completed(document: dict[str, Any]) -> dict[str, Any]:
    schemas = document["components"]["schemas"]
    for name in ("HTTPValidationError", "ValidationError"):  # FastAPI's own errors, which never leave
        schemas.pop(name, None)
    named, extra = TypeAdapter.json_schemas(
        [("problem", "serialization", TypeAdapter(Problem)), ("document", "validation", TypeAdapter(AnyDocument))],
        ref_template=_REF,
    )
    schemas.update({name: schema for name, schema in extra["$defs"].items() if name not in schemas})
    schemas["Document"] = named["document", "validation"]
    for schema in schemas.values():
        for field in schema.get("properties", {}).values():
            if "default" in field:
                field["default"] = _camel(field["default"])
    document["paths"]["/api/v1/apply"]["post"]["requestBody"] = {
        "required": True,
        "description": "One document, or in YAML several with ``---`` between them.",
        "content": {media: {"schema": {"$ref": _REF.format(model="Document")}} for media in MEDIA_TYPES},
    }
    return document


def _camel(value: Any) -> Any:  # noqa: ANN401 - JSON is whatever JSON is
    if isinstance(value, Mapping):
        return {camel(name): _camel(item) for name, item in value.items()}
    return [_camel(item) for item in value] if isinstance(value, list) else value
