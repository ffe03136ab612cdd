"""Bodies: JSON to the letter, read into records as strictly as JSON is typed.

No NaN, no infinities, no ``"3"`` where a number belongs and no ``true`` either. What is no JSON at all is refused with
its line and column (400), what does not fit the record with its field (422), what does not say it is JSON with 415.
"""

import json
import re
from typing import Any, Generic, NoReturn, TypeVar, cast

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from pydantic_core import SchemaValidator
from starlette.exceptions import HTTPException

from vedette.kernel.documents import adapter
from vedette.kernel.errors import InvalidDocument

T = TypeVar("T")

LINES = ("application/x-ndjson", "application/jsonl")
"""Media types of one JSON document a line."""

_JSON = re.compile(r"application/(json|[^;]+\+json)")
_TYPED = frozenset({"bool", "datetime", "float", "int"})
_PLACE = re.compile(r"line (\d+) column (\d+)")


def media_of(request: Request) -> str:
    """Give the media type of a request's body, without its parameters."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def text_of(request: Request) -> str:
    """Read the body as text.

    Raises:
        InvalidDocument: it is no UTF-8.
    """
    body = await request.body()
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        before = body[: error.start]
        column = error.start - (before.rfind(b"\n") + 1) + 1
        raise _malformed("the body is no UTF-8", before.count(b"\n") + 1, column) from error


class JsonBody(Generic[T]):
    """A dependency that reads the body into a record; an optional one may be left out whole."""

    def __init__(self, record: type[T], *, required: bool = True) -> None:
        self.record = record
        self.required = required
        self._validator = SchemaValidator(_strict(adapter(record).core_schema))

    async def __call__(self, request: Request) -> T:
        """Read the record.

        Raises:
            InvalidDocument: the body is no JSON.
            RequestValidationError: it does not fit the record.
            HTTPException: it does not say it is JSON.
        """
        text = await text_of(request)
        if not text:
            if self.required:
                raise RequestValidationError([{"type": "missing", "loc": ("body",), "msg": "is missing"}])
            return self.record()
        written = self._as_json(text, media_of(request))
        try:
            return cast("T", self._validator.validate_json(written))
        except ValidationError as error:
            items: list[Any] = error.errors()
            if items[0]["type"] == "json_invalid":  # what Python's reader lets pass, such as half a surrogate pair
                line, column = _PLACE.search(items[0]["msg"]).groups()  # type: ignore[union-attr]  # it always says so
                raise _malformed("malformed JSON", int(line), int(column)) from error
            raise RequestValidationError([{**item, "loc": ("body", *item["loc"])} for item in items]) from error

    def _as_json(self, text: str, media: str) -> str:
        if not _JSON.fullmatch(media):
            raise HTTPException(415, f"send application/json, not {media or 'a body without Content-Type'}")
        _read(text)
        return text


class LinesBody(JsonBody[T]):
    """A dependency that reads a record of many ``items``: as one document, or one item a line."""

    def __init__(self, record: type[T], item: type[Any]) -> None:
        super().__init__(record)
        self.item = item

    def _as_json(self, text: str, media: str) -> str:
        if media not in LINES:
            return super()._as_json(text, media)
        return f'{{"items":[{_joined(text)}]}}'


class RowsBody(JsonBody[tuple[T, ...]]):
    """A dependency that reads many rows: a JSON array, or one JSON document a line."""

    def __init__(self, row: type[T]) -> None:
        super().__init__(tuple[row, ...])  # type: ignore[valid-type]  # it is one at run time, which is what is read
        self.row = row

    def _as_json(self, text: str, media: str) -> str:
        if media not in LINES:
            return super()._as_json(text, media)
        return f"[{_joined(text)}]"


def _strict(schema: Any) -> Any:  # noqa: ANN401 - pydantic's schemas are nested mappings
    """Make each number, truth value and time of a schema strict; pydantic's own switch would refuse arrays as well."""
    if isinstance(schema, list):
        return [_strict(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    walked = {key: _strict(part) for key, part in schema.items()}
    return {**walked, "strict": True} if schema.get("type") in _TYPED else walked


def _read(text: str, first: int = 1) -> None:
    """Refuse what is no JSON; ``first`` is the number of the text's first line."""
    try:
        json.loads(text, parse_constant=_refuse, parse_float=_finite)
    except json.JSONDecodeError as error:
        raise _malformed(f"malformed JSON: {error.msg}", error.lineno + first - 1, error.colno) from error
    except (RecursionError, ValueError) as error:
        raise _malformed(f"unreadable JSON: {error}", first, 1) from error


def _joined(text: str) -> str:
    """Join the documents of a text that has one a line; empty lines are none."""
    lines = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    for number, line in lines:
        _read(line, number)
    return ",".join(line for _, line in lines)


def _refuse(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number of JSON's")


def _finite(text: str) -> float:
    number = float(text)
    return number if abs(number) != float("inf") else _refuse(text)


def _malformed(message: str, line: int, column: int) -> InvalidDocument:
    return InvalidDocument(message, source="<body>", line=line, column=column)
