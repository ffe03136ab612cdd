"""Declarative documents: YAML or JSON in, records out, and every complaint with its line and column.

A document is ``apiVersion: vedette/v1``, ``kind``, ``metadata.name`` and ``spec``; one file may hold several.
"""

import io
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.reader import ReaderError

from vedette.kernel.errors import InvalidDocument, InvalidInput
from vedette.kernel.records import record

T = TypeVar("T")

API_VERSION = "vedette/v1"
KINDS = ("Domain", "ModelVersion", "Rollout", "Experiment")
_LARGEST = 100_000


_adapters: dict[object, TypeAdapter[Any]] = {}


def adapter(cls: type[T]) -> TypeAdapter[T]:
    """Give the one validator and serialiser of a record class."""
    if cls not in _adapters:
        _adapters[cls] = TypeAdapter(cls)
    return _adapters[cls]


def load(cls: type[T], value: object) -> T:
    """Build a record from plain data.

    Raises:
        InvalidInput: the data does not fit; the message names each field and what is wrong with it.
    """
    try:
        return adapter(cls).validate_python(value)
    except ValidationError as error:
        raise InvalidInput("; ".join(f"{_path(item['loc'])}: {_say(item)}" for item in error.errors())) from error


def dump(value: object) -> Any:  # noqa: ANN401 - JSON is whatever JSON is
    """Turn a record into plain JSON data with camelCase names."""
    return adapter(type(value)).dump_python(value, mode="json", by_alias=True)


@record
class Document:
    """One document of a file: its kind, its name, its spec as plain data, and where each value stood."""

    kind: str
    name: str
    spec: Mapping[str, Any]
    labels: Mapping[str, str]
    source: str
    origin: Any

    def build(self, cls: type[T], **extra: object) -> T:
        """Build the record this document describes.

        Raises:
            InvalidDocument: the spec does not fit; the message names line, column and field.
        """
        return _build(cls, {**self.spec, **extra}, self.origin, ("spec",), self.source)


def _build(cls: type[T], values: Mapping[str, Any], origin: object, under: tuple[str, ...], source: str) -> T:
    """Build a record from values that stand ``under`` a node, and complain of the first that does not fit."""
    try:
        return adapter(cls).validate_python(values)
    except ValidationError as error:
        first = error.errors()[0]
        line, column = _position(origin, (*under, *first["loc"]))
        rest = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
        raise InvalidDocument(
            f"{_path(first['loc'])}: {_say(first)}{rest}",
            source=source,
            line=line,
            column=column,
            path=_path(first["loc"]),
        ) from error


def read_documents(text: str, source: str = "<text>") -> tuple[Document, ...]:
    """Read all documents of a YAML (or JSON) text.

    Raises:
        InvalidDocument: the text is malformed, or a document lacks or misspells part of its envelope.
    """
    return tuple(_document(node, source) for node in _nodes(text, source))


def read_record(cls: type[T], text: str, source: str = "<text>") -> T:
    """Read a record from a YAML (or JSON) text that is one mapping, or empty.

    Raises:
        InvalidDocument: the text is malformed or does not fit; the message names line, column and field.
    """
    nodes = _nodes(text, source)
    node = nodes[0] if nodes else CommentedMap()
    if len(nodes) > 1 or not isinstance(node, CommentedMap):
        raise InvalidDocument("this takes one mapping of names and values", source=source, line=1, column=1)
    return _build(cls, _plain(node), node, (), source)


def _nodes(text: str, source: str) -> list[Any]:
    try:
        return [node for node in YAML(typ="rt", pure=True).load_all(io.StringIO(text)) if node is not None]
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        raise InvalidDocument(
            f"malformed YAML: {error.problem or error.context}", source=source, line=line, column=column
        ) from error
    except ReaderError as error:
        before = text[: error.position].split("\n")
        raise InvalidDocument(
            f"malformed YAML: {error.reason}", source=source, line=len(before), column=len(before[-1]) + 1
        ) from error
    except YAMLError as error:
        raise InvalidDocument(f"malformed YAML: {error}", source=source, line=1, column=1) from error
    except RecursionError as error:
        raise InvalidDocument("malformed YAML: nested too deeply", source=source, line=1, column=1) from error


def _document(node: object, source: str) -> Document:
    def refuse(message: str, *path: str | int, hint: str = "") -> InvalidDocument:
        line, column = _position(node, path)
        return InvalidDocument(message, source=source, line=line, column=column, path=_path(path), hint=hint)

    if not isinstance(node, CommentedMap):
        raise refuse("a document is a mapping of apiVersion, kind, metadata and spec")
    if node.get("apiVersion") != API_VERSION:
        raise refuse(f"apiVersion must be {API_VERSION!r}, not {node.get('apiVersion')!r}", "apiVersion")
    if node.get("kind") not in KINDS:
        raise refuse(f"unknown kind {node.get('kind')!r}", "kind", hint=f"use one of {', '.join(KINDS)}")
    if unknown := [key for key in node if key not in {"apiVersion", "kind", "metadata", "spec"}]:
        raise refuse(f"unknown field {unknown[0]!r}", unknown[0])
    metadata, spec = node.get("metadata"), node.get("spec", {})
    if not isinstance(metadata, Mapping) or not isinstance(metadata.get("name"), str):
        raise refuse("metadata.name is missing", "metadata")
    if unknown := [key for key in metadata if key not in {"name", "labels"}]:
        raise refuse(f"unknown field {unknown[0]!r} in metadata", "metadata", unknown[0])
    if not isinstance(spec, Mapping) or _size(spec, {}) > _LARGEST:
        raise refuse(f"spec must be a mapping, and hold at most {_LARGEST} values with its aliases written out", "spec")
    labels = metadata.get("labels", {})
    if not isinstance(labels, Mapping) or not all(isinstance(value, str) for value in labels.values()):
        raise refuse("metadata.labels must map names to text", "metadata", "labels")
    return Document(
        kind=node["kind"], name=metadata["name"], spec=_plain(spec), labels=dict(labels), source=source, origin=node
    )


def _size(node: Any, known: dict[int, int]) -> int:  # noqa: ANN401 - YAML is whatever YAML is
    """Count the values of a node with every alias written out, reading each once."""
    if isinstance(node, str) or not isinstance(node, (Mapping, Sequence)):
        return 1
    if id(node) not in known:
        parts = node.values() if isinstance(node, Mapping) else node
        known[id(node)] = 1 + sum(_size(part, known) for part in parts)
    return known[id(node)]


def _plain(node: Any) -> Any:  # noqa: ANN401 - YAML is whatever YAML is
    if isinstance(node, Mapping):
        return {str(key): _plain(value) for key, value in node.items()}
    if isinstance(node, Sequence) and not isinstance(node, str):
        return [_plain(value) for value in node]
    return node


def _position(node: Any, path: Sequence[str | int]) -> tuple[int, int]:  # noqa: ANN401 - a YAML node
    """Find the line and column (from 1) of the deepest part of ``path`` that stands in the text."""
    line, column = (node.lc.line, node.lc.col) if hasattr(node, "lc") else (0, 0)
    for part in path:
        if isinstance(node, CommentedMap) and part in node:
            line, column = node.lc.key(part)
        elif isinstance(node, CommentedSeq) and isinstance(part, int) and part < len(node):
            line, column = node.lc.item(part)
        else:
            continue  # a missing field, or a part pydantic adds for a union: stay at what stands in the text
        node = node[part]
    return line + 1, column + 1


def _path(path: Sequence[str | int]) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".") or "document"


def _say(item: Any) -> str:  # noqa: ANN401 - pydantic's error details
    if item["type"] == "unexpected_keyword_argument":
        return "unknown field"
    if item["type"] in {"missing", "missing_argument", "missing_keyword_only_argument"}:
        return "is missing"
    return str(item["msg"]).removeprefix("Value error, ")
