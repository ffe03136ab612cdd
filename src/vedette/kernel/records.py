"""The one shape of data in vedette: a frozen, slotted, keyword-only dataclass that speaks camelCase outside.

The same class is the domain type, the API schema and the document schema (through pydantic's ``TypeAdapter``), so
nothing is written twice. Unknown fields are refused: a typing error in a spec must not pass silently.
"""

import dataclasses
from typing import Any, TypeVar, cast, dataclass_transform

T = TypeVar("T")

_SCHEMA = {"extra": "forbid", "validate_by_name": True, "validate_by_alias": True}


def camel(name: str) -> str:
    """Say a snake_case name in camelCase: ``on_regression`` becomes ``onRegression``."""
    head, *rest = name.split("_")
    return head + "".join(word.capitalize() for word in rest)


@dataclass_transform(frozen_default=True, kw_only_default=True)
def record(cls: type[T]) -> type[T]:
    """Make ``cls`` a frozen, slotted, keyword-only dataclass whose fields are camelCase in JSON and YAML."""
    made = dataclasses.dataclass(frozen=True, slots=True, kw_only=True)(cls)
    made.__pydantic_config__ = {**_SCHEMA, "alias_generator": camel}  # type: ignore[attr-defined]  # read by pydantic
    return made


def forward_compatible(cls: type[T]) -> type[T]:
    """Make a record pass over fields it does not know: programs write it, and an older one may read a newer one's.

    Records inside it are read as they always are. What must not be passed over has to say so otherwise.
    """
    cast("Any", cls).__pydantic_config__ = {**cast("Any", cls).__pydantic_config__, "extra": "ignore"}
    return cls


def evolve(value: T, **changes: object) -> T:
    """Give a copy of a record with some fields changed; its own checks run again."""
    return cast("T", dataclasses.replace(cast("Any", value), **changes))
