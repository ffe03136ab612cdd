"""Kinds of values that records are made of, as users write them: durations, shares, one of several shapes.

Pydantic reads them when it makes a schema, and is not imported before: gateways carry these records and make none.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

from vedette.kernel.clock import duration
from vedette.kernel.errors import InvalidInput

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
    from pydantic_core import CoreSchema


_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:(\d\d)(\.\d+)?(Z|[+-]\d\d:\d\d)", re.IGNORECASE)
_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_CENTURY = 36_500 * 86_400.0  # seconds
_SIZE = re.compile(r"(\d+(?:\.\d+)?) ?([kMGT]i?)?B?", re.ASCII)
_UNITS = {"": 1} | {
    f"{letter}{binary}": (1024 if binary else 1000) ** power
    for power, letter in enumerate("kMGT", 1)
    for binary in ("", "i")
}


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


class Elsewhere(Read):
    """Marks a field that no document may hold, and says how it is said instead."""

    def __init__(self, how: str) -> None:
        def refuse(_value: object) -> object:
            raise InvalidInput("is not said here", hint=how)

        super().__init__(refuse, {"not": {}})


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


def size(value: str | float) -> int:
    """Read a number of bytes, or ``16MiB``, ``64 KiB``, ``1.5GB``; ``k`` and ``K`` are the same.

    Raises:
        InvalidInput: it is no size, is below zero, or is no whole number of bytes.
    """
    match = _SIZE.fullmatch(value.strip().replace("K", "k")) if isinstance(value, str) else None
    number = float(match[1]) * _UNITS[match[2] or ""] if match else value
    if isinstance(number, (bool, str)) or not (isinstance(number, (int, float)) and 0 <= number < 1 << 62):
        raise InvalidInput(f"{value!r} is no size", hint="write a number of bytes, 64KiB, 16MiB or 1.5GB")
    if number != int(number):
        raise InvalidInput(f"{value!r} is no whole number of bytes")
    return int(number)


def span(value: str | float) -> timedelta:
    """Read a duration as a length of time.

    Raises:
        InvalidInput: it is no duration, or longer than a hundred years, which no calendar needs.
    """
    seconds = duration(value)
    if seconds > _CENTURY:
        raise InvalidInput(f"{value!r} is longer than a hundred years", hint="36500d is the longest")
    return timedelta(seconds=seconds)


def instant(value: object) -> object:
    """Read a time with its offset, in UTC; what is no text is left to the check that follows.

    Raises:
        InvalidInput: it is not what RFC 3339 calls a time.
    """
    if not isinstance(value, str):
        return value
    match = _RFC_3339.fullmatch(value)
    if not match:
        raise InvalidInput(f"{value!r} is no time", hint="write it as RFC 3339: 2026-11-23T17:50:00Z")
    leap = match[1] == "60"  # the calendar has leap seconds, Python has not
    when = datetime.fromisoformat(value[:17] + "59" + value[19:] if leap else value)
    try:
        return when.astimezone(UTC)
    except OverflowError:  # the first or last hours of the calendar, in another zone
        return when.replace(tzinfo=UTC)


def instant_or_day(value: object) -> object:
    """Read a time with its offset, or a date, which is the moment it begins in UTC.

    Raises:
        InvalidInput: it is neither, or a time that names no offset.
    """
    if isinstance(value, datetime) and value.tzinfo is None:
        raise InvalidInput("a time must name its offset", hint="write it as RFC 3339: 2026-11-23T17:50:00Z")
    if not isinstance(value, str) or not _DAY.fullmatch(value):
        return instant(value)
    try:
        return datetime.fromisoformat(value).replace(tzinfo=UTC)
    except ValueError:
        raise InvalidInput(f"{value!r} is no date", hint="write it as 2027-01-31") from None


Instant = Annotated[datetime, Read(instant, {"type": "string", "format": "date-time"})]
"""A time with its offset, as RFC 3339 writes it."""

INSTANT_OR_DAY: list[dict[str, str]] = [{"type": "string", "format": "date-time"}, {"type": "string", "format": "date"}]
"""What JSON may hold for either."""

InstantOrDay = Annotated[datetime, Read(instant_or_day, {"anyOf": INSTANT_OR_DAY})]
"""A time with its offset, or a date, which is the moment it begins in UTC."""

_DURATION = {
    "anyOf": [{"type": "number", "minimum": 0}, {"type": "string", "pattern": r"^(\d+(\.\d+)?(ms|s|m|h|d|w))+$"}]
}

Seconds = Annotated[float, Read(duration, _DURATION)]
"""A duration in seconds, read from ``10m`` or a number."""

Span = Annotated[timedelta, Read(span, _DURATION)]
"""A length of time, read from ``30d`` or a number of seconds."""

Bytes = Annotated[
    int,
    Read(
        size,
        {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": r"^\d+(\.\d+)? ?([kKMGT]i?)?B?$"}]},
    ),
]
"""A number of bytes, read from ``16MiB`` or a number."""

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
