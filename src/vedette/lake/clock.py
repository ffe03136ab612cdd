"""Time as the lake keeps it: integers since 1970 in UTC, of microseconds, minutes or hours."""

from datetime import UTC, datetime, timedelta

MINUTE = 60_000_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def microseconds(at: datetime) -> int:
    """Count the microseconds since 1970."""
    return (at - _EPOCH) // _MICROSECOND


def moment(micros: int) -> datetime:
    """Give the time that many microseconds after 1970, in UTC."""
    return _EPOCH + timedelta(microseconds=micros)
