"""Kinds of values that records are made of, as users write them: durations, shares, one of several shapes.

Pydantic reads them when it makes a schema, and is not imported before: gateways carry these records and make none.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any

from vedette.kernel.clock import duration
from vedette.kernel.errors import InvalidInput

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
    from pydantic_core import CoreSchema


class Read:
    """Marks a type whose values a function reads first, and what JSON may hold for it."""

    def __init__(self, function: Callable[[Any], object], schema: Mapping[str, Any]) -> None:
        self._function, self._schema = function, schema

    def __get_pydantic_core_schema__(self, source: object, handler: "GetCoreSchemaHandler") -> "CoreSchema":
        """Read by the function, then check."""
        from pydantic import BeforeValidator

        return BeforeValidator(self._function).__get_pydantic_core_schema__(source, handler)

    def __get_pydantic_json_schema__(self, core: "CoreSchema", handler: "GetJsonSchemaHandler") -> dict[str, Any]:
        """Show what JSON may hold."""
        return dict(self._schema)


class ToldApartBy:
    """Marks a union whose members are told apart by a field of theirs."""

    def __init__(self, field: str) -> None:
        self._field = field

    def __get_pydantic_core_schema__(self, source: object, handler: "GetCoreSchemaHandler") -> "CoreSchema":
        """Choose by the field."""
        from pydantic import Discriminator

        return Discriminator(self._field).__get_pydantic_core_schema__(source, handler)


def percent(value: str | float) -> float:
    """Read ``1%``, ``0.0001 %`` or a number of percent, to a resolution of 0.0001 %.

    Raises:
        InvalidInput: it is no number, lies outside 0..100, or is finer than the resolution.
    """
    try:
        number = float(value.strip().removesuffix("%") if isinstance(value, str) else value)
    except (ValueError, TypeError):
        number = float("nan")
    if isinstance(value, bool) or not 0 <= number <= 100:
        raise InvalidInput(f"{value!r} is no weight", hint="write 0% to 100%, such as 1%, 12.5% or 0.0001%")
    if abs(number * 10_000 - round(number * 10_000)) > 1e-6:
        raise InvalidInput(f"{value!r} is finer than weights are", hint="the smallest step is 0.0001%")
    return round(number, 4)


Seconds = Annotated[
    float,
    Read(
        duration,
        {"anyOf": [{"type": "number", "minimum": 0}, {"type": "string", "pattern": r"^(\d+(\.\d+)?(ms|s|m|h|d|w))+$"}]},
    ),
]
"""A duration in seconds, read from ``10m`` or a number."""

Percent = Annotated[
    float,
    Read(
        percent,
        {
            "anyOf": [
                {"type": "number", "minimum": 0, "maximum": 100},
                {"type": "string", "pattern": r"^(100|\d{1,2}(\.\d{1,4})?)%$"},
            ]
        },
    ),
]
"""A share of traffic in percent, read from ``1%`` or a number of percent."""
