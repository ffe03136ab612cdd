"""Time as values: moments, durations, and the calendar of windows and freezes.

Two kinds of time are kept apart. The *calendar* (``Moment.utc``) decides windows, freezes and what is written into
the record. *Watched* time (``Moment.watched``) decides how long a step has baked: it counts only while a replica
held the rollout's lease and looked, grows monotonically, and knows nothing of clock changes. So a clock that jumps
cannot skip a bake or lengthen it twice, and a canary nobody watched has not baked.
"""

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from vedette.kernel.errors import InvalidInput
from vedette.kernel.records import record

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|w)", re.ASCII)
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_RANGE = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-4]):([0-5]\d)")


@record
class Moment:
    """When a look happens: the calendar, and the seconds this rollout has been watched so far."""

    utc: datetime
    watched: float


def duration(text: str | float) -> float:
    """Read a duration such as ``90s``, ``10m``, ``1h30m`` or a number of seconds, as seconds.

    Raises:
        InvalidInput: it is not a duration, or it is negative.
    """
    if isinstance(text, bool) or not isinstance(text, (str, int, float)):
        raise InvalidInput(f"{text!r} is no duration", hint="write 90s, 10m, 1h30m, 2d or a number of seconds")
    if not isinstance(text, str):
        seconds = float(text)
    else:
        parts = _PART.findall(text.replace(" ", ""))
        if not parts or "".join(number + unit for number, unit in parts) != text.replace(" ", ""):
            raise InvalidInput(f"{text!r} is no duration", hint="write 90s, 10m, 1h30m, 2d or a number of seconds")
        seconds = sum(float(number) * _UNITS[unit] for number, unit in parts)
    if not 0 <= seconds < float("inf"):
        raise InvalidInput(f"{text!r} is no duration", hint="it must be zero or more, and finite")
    return seconds


def say_duration(seconds: float) -> str:
    """Say seconds as people do: ``42s``, ``12m``, ``1h30m``, ``3d4h``."""
    if seconds < 60:
        return f"{seconds:.3g}s"
    whole = round(seconds)
    parts = ((whole // 86400, "d"), (whole % 86400 // 3600, "h"), (whole % 3600 // 60, "m"), (whole % 60, "s"))
    return "".join(f"{number}{unit}" for number, unit in parts if number)


@record
class Window:
    """A span of local time on some days, ``days: [mon, tue]`` and ``hours: "09:00-17:00"``; it may cross midnight."""

    days: tuple[str, ...] = _DAYS
    hours: str = "00:00-24:00"

    def __post_init__(self) -> None:
        """Refuse days and hours that are none."""
        if unknown := [day for day in self.days if day not in _DAYS]:
            raise InvalidInput(f"{unknown[0]!r} is no day", hint=f"use {', '.join(_DAYS)}")
        if not self.days:
            raise InvalidInput("a window needs at least one day")
        match = _RANGE.fullmatch(self.hours)
        if not match or (match[3] == "24" and match[4] != "00") or self.hours[:5] == self.hours[6:]:
            raise InvalidInput(f"{self.hours!r} are no hours", hint="write 09:00-17:00; 22:00-06:00 crosses midnight")

    def holds(self, local: datetime) -> bool:
        """Say whether the wall clock ``local`` lies in the window (begin included, end excluded)."""
        begin, end = self.hours.split("-")
        clock = f"{local:%H:%M}"
        if begin < end:
            return clock >= begin and clock < end and _DAYS[local.weekday()] in self.days
        opened = local if clock >= begin else local - timedelta(days=1)
        return (clock >= begin or clock < end) and _DAYS[opened.weekday()] in self.days


@record
class Freeze:
    """A span in which nothing advances; going back is never frozen. Times without offset are local to the schedule."""

    begin: datetime
    end: datetime
    reason: str = ""


@record
class Calendar:
    """When a rollout may advance: inside one of the windows (none means always) and outside every freeze."""

    time_zone: str = "UTC"
    windows: tuple[Window, ...] = ()
    freezes: tuple[Freeze, ...] = ()

    def __post_init__(self) -> None:
        """Refuse an unknown zone and a freeze that ends before it begins."""
        try:
            ZoneInfo(self.time_zone)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:  # OSError: a folder of zones, such as Europe
            raise InvalidInput(
                f"{self.time_zone!r} is no time zone", hint="use an IANA name such as Europe/Berlin"
            ) from error
        for freeze in self.freezes:
            if self._utc(freeze.end) <= self._utc(freeze.begin):
                raise InvalidInput("a freeze must end after it begins")

    def _utc(self, when: datetime) -> datetime:
        return (when if when.tzinfo else when.replace(tzinfo=ZoneInfo(self.time_zone))).astimezone(UTC)

    def freeze_at(self, utc: datetime) -> Freeze | None:
        """Give the freeze in force at ``utc``, or None."""
        return next((f for f in self.freezes if self._utc(f.begin) <= utc < self._utc(f.end)), None)

    def open_at(self, utc: datetime) -> bool:
        """Say whether a window is open at ``utc``, by the wall clock of the calendar's zone."""
        local = utc.astimezone(ZoneInfo(self.time_zone))
        return not self.windows or any(window.holds(local) for window in self.windows)

    def next_opening(self, utc: datetime) -> datetime | None:
        """Give the next minute at which advancing is allowed, looking eight days ahead; None when there is none."""
        return _next_opening(self, utc.replace(second=0, microsecond=0))


@lru_cache(maxsize=256)
def _next_opening(calendar: Calendar, minute: datetime) -> datetime | None:
    """Step minute by minute in UTC, so nights on which clocks change need no special case.

    That takes tens of milliseconds; it is remembered, for hundreds of rollouts may wait for one calendar.
    """
    ahead = (minute + timedelta(minutes=number) for number in range(1, 8 * 24 * 60 + 1))
    return next((when for when in ahead if calendar.open_at(when) and not calendar.freeze_at(when)), None)
