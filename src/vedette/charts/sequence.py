"""Sequence plots: what was known look by look, an estimate and the band of its intervals.

A sample-ratio check is a sequence too: the share of units that came to a variant, its confidence sequence, and the
planned share as reference.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

from vedette.charts.chart import (
    MARGIN,
    SMALL,
    Box,
    Chart,
    area,
    bounds,
    checked_size,
    curve,
    dash,
    finished,
    finite,
    heading,
    legend,
    line,
    mark,
    some,
    tone,
    window_of,
    x_axis,
    y_axis,
)
from vedette.charts.scale import Say, Scale, linear, logarithmic, speaker, window
from vedette.charts.svg import Drawn, element, label, text_width
from vedette.kernel.errors import InvalidInput
from vedette.kernel.tables import Table, say_interval, say_number

LEAST = 320.0
"""Height in pixels unless another is asked for."""
_MARKED = 30
"""With more looks than these only the last is marked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SequencePoint:
    """What was known at one look.

    Attributes:
        at: The time of the look: units, days, information.
        estimate: The effect then; None where it was not known, which leaves a gap.
        low: Lower end of the interval; None without bound.
        high: Upper end; None without bound.
    """

    at: float
    estimate: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """The looks at one comparison, in the order of time."""

    label: str
    points: tuple[SequencePoint, ...]


@dataclass(frozen=True, slots=True)
class _Look:
    """A look at which something was known; its ends are infinite where they are without bound."""

    at: float
    estimate: float
    low: float
    high: float


def sequence_plot(
    tracks: Sequence[Track],
    *,
    title: str,
    subtitle: str = "",
    axis: str = "units",
    effect: str = "effect",
    reference: float | None = 0.0,
    decided: float | None = None,
    percent: bool = False,
    log: bool = False,
    limit: float | None = None,
    bare: bool = False,
    width: float = 720,
    height: float | None = None,
) -> Chart:
    """Draw estimates over the looks, each with the band of its intervals.

    Early intervals that would dwarf the later ones run out of the picture, and of the looks that share a pixel the
    latest is drawn; the table holds them all.

    Args:
        tracks: At least one, and one look or more.
        title: What the picture shows.
        subtitle: How to read it, such as the level of the band.
        axis: Name of the time.
        effect: Name of what is estimated and its unit.
        reference: The value that means no difference, or the planned one; None for no line.
        decided: The time at which the verdict fell.
        percent: Estimates are fractions, said in percent.
        log: Equal ratios of time are equally far.
        limit: A value that must not be passed, such as a tolerance; a dotted line.
        bare: Leave title and subtitle to the page around; they are still said to those who do not see.
        width: In pixels, 320 or more.
        height: In pixels.

    Raises:
        InvalidInput: Nothing to draw, a NaN, an interval the wrong way round, looks out of order, or a size that
            cannot be read.
    """
    some([point for track in tracks for point in track.points], "look")
    checked_size(width, height)
    finite((reference, decided, limit), "the reference, the limit or the time of the verdict")
    runs = [_runs(track) for track in tracks]
    looks = [look for track in runs for run in track for look in run]
    ends = [(look.estimate, end) for look in looks for end in (look.low, look.high) if math.isfinite(end)]
    halves = [abs(end - estimate) for estimate, end in ends]
    signed = reference == 0
    say = speaker(halves, percent=percent, signed=signed)
    parts, top = ([], 0.0) if bare else heading(title, subtitle, width)
    if len(tracks) > 1:
        drawn, top = legend([track.label for track in tracks], left=MARGIN, right=width - MARGIN, top=top)
        parts += drawn
    tall = max(height or LEAST, top + 180)
    seen = [look.estimate for look in looks] + [value for value in (reference, limit) if value is not None]
    low, high = window(seen or [0.0], [end for _, end in ends], halves)
    up = linear((low, high), tall - 52, top + 30, count=7)
    said = up.says(percent=percent, signed=signed)
    left = MARGIN + 10 + max(text_width(text, SMALL) for text in said)
    final = say(looks[-1].estimate) if looks and len(tracks) == 1 else ""
    box = Box(
        left=left, right=width - MARGIN - text_width(final, 12, bold=True) - 8, top=up.end, bottom=up.start, width=width
    )
    across = _time(tracks, decided, box, log=log)
    runs = [[_one_a_pixel(run, across) for run in track] for track in runs]
    parts += y_axis(up, box, said, effect)
    parts += x_axis(across, box, across.says(), axis, rules=False)
    bands = [_band(run, place, across, up) for place, track in enumerate(runs) for run in track if len(run) > 1]
    parts.append(window_of(box, bands))
    if reference is not None:
        parts.append(line((box.left, up(reference)), (box.right, up(reference)), "strong", width=1.25))
    if limit is not None:
        parts.append(line((box.left, up(limit)), (box.right, up(limit)), "worse", width=1.5, dash="2 4"))
    parts += _verdict(decided, across, box)
    for place, (track, known) in enumerate(zip(tracks, runs, strict=True)):
        drawn = [part for run in known for part in _run(run, place, across, up)]
        parts.append(element("g", element("title", _sentence(track, known, say)), *drawn))
    if final:
        parts.append(label(final, across(looks[-1].at) + 10, up(looks[-1].estimate) + 4, class_="ink bold halo"))
    return finished(
        parts,
        title=title,
        sentences=[_sentence(track, known, say) for track, known in zip(tracks, runs, strict=True)],
        width=width,
        height=tall,
        table=_table(tracks, title, say),
    )


def _table(tracks: Sequence[Track], title: str, say: Say) -> Table:
    rows = []
    for track in tracks:
        for point in track.points:
            known = point.estimate is not None
            ends = bounds(point.low, point.high, track.label) if known else (None, None)
            rows.append((track.label, point.at, point.estimate, *ends))
    says = {"at": say_number, "estimate": say, "low": say, "high": say}
    return Table(("label", "at", "estimate", "low", "high"), tuple(rows), title=title, says=says)


def _runs(track: Track) -> list[list[_Look]]:
    """The looks in a row at which something was known.

    Raises:
        InvalidInput: The looks are out of order, or hold a number that is none.
    """
    where = f"{track.label!r}"
    finite((value for point in track.points for value in (point.at, point.estimate)), where)
    if any(first.at >= second.at for first, second in pairwise(track.points)):
        raise InvalidInput(f"the looks of {where} are out of order", hint="give them in the order of time, each once")
    runs = []
    for known, points in groupby(track.points, key=lambda point: point.estimate is not None):
        read = [
            _Look(point.at, point.estimate, *bounds(point.low, point.high, where))
            for point in points
            if point.estimate is not None
        ]
        if known:
            runs.append(read)
    return runs


def _one_a_pixel(run: Sequence[_Look], across: Scale) -> list[_Look]:
    """Thousands of looks are no more to see than one a pixel, and much more to send; first and last stay."""
    latest = list({round(across(look.at)): look for look in run}.values())
    return latest if latest[0] is run[0] else [run[0], *latest]


def _time(tracks: Sequence[Track], decided: float | None, box: Box, *, log: bool) -> Scale:
    times = [point.at for track in tracks for point in track.points] + ([] if decided is None else [decided])
    count = int((box.right - box.left) / 80)
    if log:
        return logarithmic(times, box.left, box.right, count=count)
    return linear(times, box.left, box.right, count=count, tight=True)


def _band(run: Sequence[_Look], place: int, across: Scale, up: Scale) -> Drawn:
    above = [(across(look.at), up.beyond(look.high)) for look in run]
    below = [(across(look.at), up.beyond(look.low)) for look in reversed(run)]
    return area(above + below, f"s{tone(place)} wash")


def _run(run: Sequence[_Look], place: int, across: Scale, up: Scale) -> list[Drawn]:
    colour = f"s{tone(place)}"
    places = [(across(look.at), up(look.estimate)) for look in run]
    marked = places if len(places) <= _MARKED else places[-1:]
    marks = [mark(place, x, y, colour, size=3.5) for x, y in marked]
    if len(run) == 1:
        x = places[0][0]
        return [line((x, up(run[0].low)), (x, up(run[0].high)), colour, width=2), *marks]
    return [curve(places, colour, dash=dash(place)), *marks]


def _verdict(decided: float | None, across: Scale, box: Box) -> list[Drawn]:
    if decided is None:
        return []
    x, said = across(decided), f"verdict at {say_number(decided)}"
    fits = x + 8 + text_width(said, SMALL) < box.right
    words = label(
        said,
        x + 6 if fits else x - 6,
        box.bottom - 8,
        size=SMALL,
        class_="ink halo",
        text_anchor=None if fits else "end",
    )
    return [line((x, box.top), (x, box.bottom), "strong", dash="4 3"), words]


def _sentence(track: Track, runs: Sequence[Sequence[_Look]], say: Say) -> str:
    if not runs:
        return f"{track.label}: nothing is known."
    last = runs[-1][-1]
    interval = say_interval(last.low, last.high, say)
    return (
        f"{track.label}: after {len(track.points)} looks, at {say_number(last.at)}, {say(last.estimate)}, {interval}."
    )
