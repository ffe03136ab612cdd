"""Counters added up: restarts, series that appear, windows, and that the cut of the samples makes no difference."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.evidence.counters import Counting, Labels, Series, Window
from vedette.kernel.errors import InvalidInput

ALWAYS = (Window(revision=1, begin=0.0, end=math.inf),)


def labels(instance: str = "a", **more: str) -> Labels:
    """Name a series of a target."""
    return frozenset({"__name__": "requests_total", "job": "pay", "instance": instance, **more}.items())


def series(*samples: tuple[float, float], instance: str = "a", **more: str) -> Series:
    """Make a series of (time, value)."""
    times, values = zip(*samples, strict=True) if samples else ((), ())
    return Series(labels=labels(instance, **more), times=np.array(times), values=np.array(values))


def counted(*group: Series, windows: tuple[Window, ...] = ALWAYS) -> float:
    """Count one group in one piece."""
    counting = Counting()
    counting.feed({"all": group}, windows)
    return counting.of("all").total


def between(whole: Series, begin: float, end: float) -> Series:
    """Cut a piece out of a series, both ends included."""
    inside = (whole.times >= begin) & (whole.times <= end)
    return Series(labels=whole.labels, times=whole.times[inside], values=whole.values[inside])


lives = st.lists(st.lists(st.integers(0, 50), min_size=1, max_size=8), min_size=1, max_size=4)
"""Lives of one process, each with the events between its samples."""


def sampled(lived: list[list[int]], instance: str) -> tuple[Series, int]:
    """Sample a process that is restarted between its lives; give what a counter can know of its events.

    A restart shows where the first sample of a life is below the last of the one before; where it is not, the counter
    looks as if it had gone on.
    """
    samples: list[tuple[float, float]] = []
    known, value = 0, 0
    for life in lived:
        before, value = value, 0
        for place, events in enumerate(life):
            value += events
            if samples:
                first = place == 0
                known += (value if value < before else value - before) if first else events
            samples.append((10.0 * (1 + len(samples)), float(value)))
    return series(*samples, instance=instance), known


@given(lives, lives)
def test_restarts_are_survived_and_series_are_summed(one, other):
    """A counter that falls was restarted and counts from 0 again; what several series count is added up."""
    (first, knew), (second, knew_too) = sampled(one, "a"), sampled(other, "b")
    assert counted(first) == knew
    assert counted(first, second) == counted(second, first) == knew + knew_too


def test_restart_loses_nothing_that_was_sampled():
    """10 events, then a restart and 3 more, then 4 more: 7 after the first sample of 10."""
    assert counted(series((10, 10), (20, 3), (30, 7))) == 7


@given(lives, st.lists(st.floats(0, 400), max_size=6), st.floats(0, 60))
def test_cut_of_the_samples_makes_no_difference(lived, cuts, overlap):
    """Fed in any pieces, overlapping or not, samples come to the counts of one piece: in every cell, of every group."""
    ok, _ = sampled(lived, "a")
    failed = Series(labels=labels(code="500"), times=ok.times[1:], values=np.floor(ok.values[1:] / 3))
    windows = (Window(revision=4, begin=15, end=95), Window(revision=5, begin=120, end=math.inf))
    whole, pieces = Counting(), Counting()
    whole.feed({"bad": [failed], "all": [ok, failed]}, windows)
    ends = [0.0, *sorted(cuts), 1000.0]
    for begin, end in itertools.pairwise(ends):
        ok_part, failed_part = (between(it, begin - overlap, end) for it in (ok, failed))
        pieces.feed({"bad": [failed_part], "all": [ok_part, failed_part]}, windows)
    assert [pieces.of(group) for group in ("bad", "all")] == [whole.of(group) for group in ("bad", "all")]


@given(lives, st.floats(0, 200), st.floats(0, 100))
def test_growth_across_the_end_of_a_window_is_nobodys(lived, end, gap):
    """Two windows with a gap between them count the growth between samples that lie in the same one, and no other."""
    whole, _ = sampled(lived, "a")
    windows = (Window(revision=1, begin=0, end=end), Window(revision=2, begin=end + gap, end=math.inf))
    counting = Counting()
    counting.feed({"all": [whole]}, windows)
    found = counting.of("all").growth
    for revision, part in ((1, between(whole, 0, end)), (2, between(whole, end + gap, math.inf))):
        assert sum(n for (its, _), n in found.items() if its == revision) == counted(part)


def test_growth_is_told_apart_by_the_hour():
    """Cells are plan revisions by hours, the hour that of the later sample."""
    counting = Counting()
    counting.feed({"all": [series((3500, 0), (3590, 5), (3610, 7), (7300, 9))]}, ALWAYS)
    assert counting.of("all").growth == {(1, 0): 5, (1, 1): 2, (1, 2): 2}


def test_series_that_appears_on_a_known_target_counts_from_zero():
    """The first sample of a series of errors is all errors since the target was last sampled."""
    ok = series((10, 100), (20, 110), (30, 120), code="200")
    assert counted(ok, series((30, 7), code="500")) == 20 + 7
    assert counted(ok, series((30, 7), code="500", instance="b")) == 20


def test_series_that_appears_after_the_end_of_a_window_counts_for_none():
    """What a series counted since its target's last sample straddles a change of the plan like any other growth."""
    ok, errors = series((10, 100), (20, 110), (30, 120), code="200"), series((30, 7), code="500")
    windows = (Window(revision=1, begin=0, end=25), Window(revision=2, begin=25, end=math.inf))
    assert counted(ok, errors, windows=windows) == 10


def test_target_that_was_not_scraped_for_a_while_loses_only_what_a_restart_hid():
    """Growth over a hole in the samples counts; a counter that is back and lower counts from 0."""
    assert counted(series((10, 5), (600, 9))) == 4
    assert counted(series((10, 5), (600, 2))) == 2


def test_nothing_sampled_counts_nothing_and_says_so():
    """A group without series has no total and no time of a last sample."""
    counting = Counting()
    counting.feed({"all": []}, ALWAYS)
    assert (counting.of("all").total, counting.of("all").last) == (0, 0)
    counting.feed({"all": [series((10, 5), (25, 5))]}, ALWAYS)
    assert (counting.of("all").total, counting.of("all").last) == (0, 25)


@pytest.mark.parametrize("value", [0.5, -1.0, math.nan, math.inf])
def test_what_is_no_count_is_refused_and_nothing_is_added(value):
    """Fractions, numbers below 0 and no numbers are no counts of events; what came with them is not added either."""
    counting = Counting()
    with pytest.raises(InvalidInput, match="no counter of events"):
        counting.feed({"bad": [series((10, 0), (20, 4))], "all": [series((10, 1), (20, value))]}, ALWAYS)
    assert counting.of("bad").total == 0
