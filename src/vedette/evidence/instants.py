"""When something happened, as files say it: ISO 8601, or a number since 1970."""

import re
from datetime import UTC, datetime, timedelta, tzinfo
from decimal import Decimal

from vedette.kernel.errors import InvalidInput

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
_NUMBER = re.compile(r"\d{1,19}(\.\d{1,9})?")
_UNITS = ((11, 1_000_000), (14, 1_000), (17, 1))
"""Digits below which a number is seconds, milliseconds or microseconds, and the microseconds of one."""

_ZONELESS = "say --zone UTC, or the IANA name of the zone they are in, such as Europe/Berlin"


def instant_of(value: object, zone: tzinfo | None = None) -> datetime:
    """Read a time, in UTC and to the microsecond.

    A number is seconds since 1970 below 1e11, then milliseconds below 1e14, microseconds below 1e17, and nanoseconds.

    Args:
        value: ISO 8601, a number, the text of one, or a time.
        zone: That of times that name none; None refuses those.

    Raises:
        InvalidInput: It is none, names no zone, or is of before the year 2000, when a number meant something else.
    """
    if isinstance(value, bool) or not isinstance(value, (str, int, float, Decimal, datetime)):
        raise InvalidInput("that is no time", hint="write 2026-11-23T17:50:00Z, or seconds since 1970")
    if isinstance(value, datetime):
        at = _zoned(value, zone)
    else:
        text = f"{value:f}" if isinstance(value, float) else str(value).strip()
        at = _since_1970(Decimal(text)) if _NUMBER.fullmatch(text) else _zoned(_iso(text), zone)
    if at < _EARLIEST:
        raise InvalidInput(
            f"that would be {at:%Y-%m-%d}", hint="write 2026-11-23T17:50:00Z, or seconds or milliseconds since 1970"
        )
    return at


def _iso(text: str) -> datetime:
    plain = f"{text[:-4]}Z" if text.endswith(" UTC") else text
    try:
        return datetime.fromisoformat(plain)
    except ValueError:
        raise InvalidInput("that is no time", hint="write 2026-11-23T17:50:00Z, or seconds since 1970") from None


def _zoned(when: datetime, zone: tzinfo | None) -> datetime:
    if when.tzinfo is None:
        if zone is None:
            raise InvalidInput("that names no time zone", hint=_ZONELESS)
        when = when.replace(tzinfo=zone)
    try:
        return when.astimezone(UTC)
    except OverflowError:
        raise InvalidInput("that is no time", hint="it is beyond the calendar") from None


def _since_1970(number: Decimal) -> datetime:
    for digits, microseconds in _UNITS:
        if number < 10**digits:
            return _EPOCH + timedelta(microseconds=int(number * microseconds))
    return _EPOCH + timedelta(microseconds=int(number / 1000))
