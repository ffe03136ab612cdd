"""Durations, windows and freezes mean what people mean by them, also on nights on which clocks change."""

import math
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.kernel.clock import Calendar, Freeze, Window, duration, say_duration
from vedette.kernel.errors import InvalidInput

BERLIN = ZoneInfo("Europe/Berlin")
SPRING = datetime(2027, 3, 28, 1, tzinfo=UTC)
"""At this moment Berlin's clocks go from 02:00 to 03:00."""
AUTUMN = datetime(2026, 10, 25, 1, tzinfo=UTC)
"""At this moment Berlin's clocks go from 03:00 back to 02:00."""


def berlin(*windows: Window, freezes: tuple[Freeze, ...] = ()) -> Calendar:
    """Make a calendar of windows in Berlin."""
    return Calendar(time_zone="Europe/Berlin", windows=windows, freezes=freezes)


def minutes_open(calendar: Calendar, begin: datetime, hours: int) -> int:
    """Count the minutes at which a calendar is open, from a moment on."""
    return sum(calendar.open_at(begin + timedelta(minutes=minute)) for minute in range(60 * hours))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("10m", 600),
        ("1h30m", 5400),
        ("1.5h", 5400),
        ("1h 30m", 5400),
        ("250ms", 0.25),
        ("2d", 172_800),
        ("1w", 604_800),
        (0, 0),
        (12.5, 12.5),
    ],
    ids=repr,
)
def test_duration_is_read(text, seconds):
    """Durations are read as people write them, in seconds."""
    assert duration(text) == seconds


@pytest.mark.parametrize(
    "wrong",
    ["", "s", "10", "-1s", "10M", "1h-3m", "1e3s", "nan", "１０m", -1, math.nan, math.inf, None, True, [], {"m": 5}],  # noqa: RUF001 - digits of another script
    ids=repr,
)
def test_duration_that_is_none_is_refused(wrong):
    """What is no duration is refused in plain words, whatever its type."""
    with pytest.raises(InvalidInput, match="is no duration"):
        duration(wrong)


@given(st.integers(60, 40 * 86_400))
def test_said_duration_reads_back(seconds):
    """A duration that is said reads back as itself, to the second."""
    assert duration(say_duration(seconds)) == seconds


def test_window_includes_its_begin_and_excludes_its_end():
    """A window from nine to five holds at nine and no longer at five, on its days alone."""
    office = berlin(Window(days=("mon",), hours="09:00-17:00"))
    monday = datetime(2026, 11, 23, tzinfo=BERLIN)
    at = [monday.replace(hour=h, minute=m) for h, m in ((8, 59), (9, 0), (16, 59), (17, 0))]
    assert [office.open_at(when.astimezone(UTC)) for when in at] == [False, True, True, False]
    assert not office.open_at((monday.replace(hour=12) + timedelta(days=1)).astimezone(UTC))


def test_window_across_midnight_belongs_to_the_day_it_opened():
    """A Friday window from ten to six holds on Saturday morning, and not on Friday morning."""
    night = Calendar(windows=(Window(days=("fri",), hours="22:00-06:00"),))
    friday = datetime(2026, 11, 27, tzinfo=UTC)
    hours = [5, 21, 22, 23, 24, 29, 30, 46]
    found = [night.open_at(friday + timedelta(hours=hour)) for hour in hours]
    assert found == [False, False, True, True, True, True, False, False]


def test_window_until_midnight():
    """Ending at 24:00 and at 00:00 both mean the end of the day."""
    for hours in ("22:00-24:00", "22:00-00:00"):
        calendar = Calendar(windows=(Window(hours=hours),))
        assert minutes_open(calendar, datetime(2026, 11, 23, tzinfo=UTC), 24) == 120


@pytest.mark.parametrize(
    ("night", "hours", "open_minutes"),
    [
        (SPRING, "22:00-06:00", 7 * 60),  # an hour of the night is missing
        (AUTUMN, "22:00-06:00", 9 * 60),  # an hour of the night comes twice
        (SPRING, "02:00-03:00", 0),  # this hour is not there
        (AUTUMN, "02:00-03:00", 120),  # this one comes twice
        (SPRING, "01:00-04:00", 120),
        (AUTUMN, "01:00-04:00", 240),
        (SPRING, "09:00-17:00", 8 * 60),
        (AUTUMN, "09:00-17:00", 8 * 60),
    ],
)
def test_windows_go_by_the_wall_clock_when_clocks_change(night, hours, open_minutes):
    """On the nights on which clocks change a window holds as long as the wall clock shows its hours."""
    assert minutes_open(berlin(Window(hours=hours)), night - timedelta(hours=7), 24) == open_minutes


@pytest.mark.parametrize(
    ("night", "hours", "opens"),
    [
        (SPRING, "02:30-05:00", SPRING),  # 02:30 is not there: it opens when the clock jumps over it
        (SPRING, "03:30-05:00", SPRING + timedelta(minutes=30)),
        (AUTUMN, "02:30-02:45", AUTUMN - timedelta(minutes=30)),  # the first of the two
        (AUTUMN, "03:00-05:00", AUTUMN + timedelta(hours=1)),
    ],
)
def test_next_opening_when_clocks_change(night, hours, opens):
    """The next opening is found on the nights on which clocks change, in both directions."""
    evening = night - timedelta(hours=4)
    assert berlin(Window(hours=hours)).next_opening(evening) == opens


def test_next_opening_skips_freezes_and_knows_when_there_is_none():
    """The next opening is inside a window and outside all freezes; with none in eight days there is none."""
    at = datetime(2026, 11, 23, 18, tzinfo=UTC)
    freeze = Freeze(begin=datetime(2026, 11, 24, 9, tzinfo=UTC), end=datetime(2026, 11, 24, 10, 30, tzinfo=UTC))
    calendar = Calendar(windows=(Window(hours="09:00-17:00"),), freezes=(freeze,))
    assert calendar.next_opening(at) == datetime(2026, 11, 24, 10, 30, tzinfo=UTC)
    long = Freeze(begin=at - timedelta(days=1), end=at + timedelta(days=30))
    assert Calendar(freezes=(long,)).next_opening(at) is None
    assert Calendar().next_opening(at) == at + timedelta(minutes=1)


def test_freeze_times_without_offset_are_local():
    """A freeze written without an offset is meant by the wall clock of the calendar's zone, in summer and winter."""
    summer = Freeze(begin=datetime(2026, 7, 1), end=datetime(2026, 7, 2))  # noqa: DTZ001 - what is tested
    winter = Freeze(begin=datetime(2026, 12, 20), end=datetime(2026, 12, 27))  # noqa: DTZ001 - what is tested
    calendar = berlin(freezes=(summer, winter))
    edges = [datetime(2026, 6, 30, 22, tzinfo=UTC), datetime(2026, 12, 19, 23, tzinfo=UTC)]
    assert [calendar.freeze_at(edge) for edge in edges] == [summer, winter]
    assert [calendar.freeze_at(edge - timedelta(seconds=1)) for edge in edges] == [None, None]
    assert calendar.freeze_at(datetime(2026, 12, 26, 23, tzinfo=UTC)) is None


def test_freeze_with_offset_is_meant_as_written():
    """A freeze written with an offset holds at that moment everywhere."""
    begin = datetime.fromisoformat("2026-12-20T00:00:00+05:00")
    calendar = berlin(freezes=(Freeze(begin=begin, end=begin + timedelta(hours=1)),))
    assert calendar.freeze_at(datetime(2026, 12, 19, 19, tzinfo=UTC)) is not None
    assert calendar.freeze_at(datetime(2026, 12, 19, 20, tzinfo=UTC)) is None


@pytest.mark.parametrize(
    "zone", ["", "Europe", "../etc/passwd", "/etc/passwd", "Mars/Olympus", "Europe/Berlin\n", "\0"]
)
def test_unknown_time_zone_is_refused(zone):
    """What is no time zone is refused, folders and paths included."""
    with pytest.raises(InvalidInput, match="is no time zone"):
        Calendar(time_zone=zone)


@pytest.mark.parametrize("hours", ["9-17", "09:00", "09:00-09:00", "24:00-25:00", "10:00-24:30", "09:60-10:00", ""])
def test_window_without_meaning_is_refused(hours):
    """Hours that are none, or hold nothing, are refused."""
    with pytest.raises(InvalidInput, match="are no hours"):
        Window(hours=hours)


def test_window_and_freeze_refuse_what_can_never_hold():
    """A window without days, a day that is none, and a freeze that ends before it begins are refused."""
    with pytest.raises(InvalidInput, match="'funday' is no day"):
        Window(days=("mon", "funday"))
    with pytest.raises(InvalidInput, match="at least one day"):
        Window(days=())
    moment = datetime(2026, 12, 20, tzinfo=UTC)
    with pytest.raises(InvalidInput, match="must end after it begins"):
        Calendar(freezes=(Freeze(begin=moment, end=moment),))
