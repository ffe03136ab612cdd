"""Timelines of shares: how traffic was divided over time, stacked; what the shares leave free went elsewhere."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

from vedette.charts.chart import (
    MARGIN,
    Box,
    Chart,
    Point,
    checked_size,
    finished,
    finite,
    heading,
    some,
    tone,
    x_axis,
    y_axis,
)
from vedette.charts.scale import Scale, linear
from vedette.charts.svg import Drawn, element, fitted, label, path, text_width
from vedette.charts.theme import LIGHT
from vedette.kernel.errors import InvalidInput
from vedette.kernel.tables import Table, say_number, say_percent

LEAST = 320.0
"""Height in pixels unless another is asked for."""
_LINE = 17.0
"""Height of a label beside the areas."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """The share of one variant at each time, from 0 to 1."""

    label: str
    values: tuple[float, ...]


def share_timeline(
    times: Sequence[float],
    shares: Sequence[Share],
    *,
    title: str,
    subtitle: str = "",
    axis: str = "days",
    stepped: bool = True,
    bare: bool = False,
    width: float = 720,
    height: float | None = None,
) -> Chart:
    """Draw shares over time as stacked areas, each named at its right end.

    Args:
        times: In growing order, two or more.
        shares: At least one; at each time they sum to 1 or less.
        title: What the picture shows.
        subtitle: How to read it.
        axis: Name of the time.
        stepped: A share holds until the next time; otherwise it changes evenly on the way there.
        bare: Leave title and subtitle to the page around; they are still said to those who do not see.
        width: In pixels, 320 or more.
        height: In pixels; it grows with the shares where it is too little for their names.

    Raises:
        InvalidInput: Nothing to draw, a share outside 0 … 1, a sum above 1, times out of order, another number of
            values than of times, or a size that cannot be read.
    """
    some(shares, "share")
    checked_size(width, height)
    _check(times, shares)
    parts, top = ([], 0.0) if bare else heading(title, subtitle, width)
    tall = max(height or LEAST, top + 100 + _LINE * len(shares))
    room = min(max(text_width(_end(share), 12) for share in shares) + 4, 0.34 * width)
    ends = [_end(share, room) for share in shares]
    box = Box(left=MARGIN + 42, right=width - MARGIN - room - 26, top=top + 30, bottom=tall - 52, width=width)
    across = linear(times, box.left, box.right, count=int((box.right - box.left) / 70), tight=True)
    up = linear((0.0, 1.0), box.bottom, box.top, count=6)
    parts += y_axis(up, box, up.says(percent=True), "share")
    tops = list(accumulate((list(share.values) for share in shares), _added))
    floors = [[0.0] * len(times), *tops[:-1]]
    for place, (share, floor, ceiling) in enumerate(zip(shares, floors, tops, strict=True)):
        upper = _outline(times, ceiling, across, up, stepped=stepped)
        lower = _outline(times, floor, across, up, stepped=stepped)
        parts.append(_layer(share, place, upper + lower[::-1]))
    parts += x_axis(across, box, across.says(), axis, rules=False)
    middles = [up((floor[-1] + ceiling[-1]) / 2) for floor, ceiling in zip(floors, tops, strict=True)]
    for place, (end, middle, y) in enumerate(zip(ends, middles, _spread(middles, box), strict=True)):
        parts.append(
            element("path", class_="axis line", d=path([(box.right + 2, middle), (box.right + 12, y)]), stroke_width=1)
        )
        parts.append(
            element(
                "rect", class_=f"s{tone(place)}", x=box.right + 14, y=y - 4, width=8, height=8, opacity=_strength(place)
            )
        )
        parts.append(label(end, box.right + 28, y + 4, room=room, class_="ink"))
    rows = tuple((share.label, at, value) for share in shares for at, value in zip(times, share.values, strict=True))
    return finished(
        parts,
        title=title,
        sentences=[_sentence(share, times) for share in shares],
        width=width,
        height=tall,
        table=Table(("label", "at", "share"), rows, title=title, says={"at": say_number, "share": _percent}),
    )


def _end(share: Share, room: float = math.inf) -> str:
    """Say what is written at the end of an area; where room is short the name is cut, never its share."""
    last = f" {_percent(share.values[-1])}"
    return f"{fitted(share.label, room - text_width(last, 12), 12)}{last}"


def _check(times: Sequence[float], shares: Sequence[Share]) -> None:
    finite(times, "the time")
    if len(times) < 2 or any(first >= second for first, second in pairwise(times)):
        raise InvalidInput("the times are no course of time", hint="give two or more, in growing order")
    for share in shares:
        finite(share.values, f"the share {share.label!r}")
        if len(share.values) != len(times):
            raise InvalidInput(f"{share.label!r} has {len(share.values)} values for {len(times)} times")
        if not all(0 <= value <= 1 for value in share.values):
            raise InvalidInput(f"{share.label!r} has a share outside 0 to 1", hint="a share is a fraction: 0.1, not 10")
    for place, at in enumerate(times):
        if (whole := sum(share.values[place] for share in shares)) > 1 + 1e-6:
            raise InvalidInput(f"at {at:g} the shares sum to {whole:g}", hint="shares sum to 1 or less")


def _added(below: list[float], own: list[float]) -> list[float]:
    return [first + second for first, second in zip(below, own, strict=True)]


def _outline(
    times: Sequence[float], values: Sequence[float], across: Scale, up: Scale, *, stepped: bool
) -> list[Point]:
    """The upper edge of an area; a share that holds until the next time makes a corner there."""
    points = [(across(at), up(value)) for at, value in zip(times, values, strict=True)]
    if not stepped:
        return points
    corners = [((after[0], before[1]), after) for before, after in pairwise(points)]
    return [points[0], *(point for corner in corners for point in corner)]


def _layer(share: Share, place: int, outline: list[Point]) -> Drawn:
    drawn = element(
        "path",
        element("title", share.label),
        class_=f"s{tone(place)} edge",
        d=path(outline, closed=True),
        stroke_width=1,
        opacity=_strength(place),
    )
    return element("g", drawn)


def _strength(place: int) -> float | None:
    """When the colours come again they are paler, so that neighbours stay apart."""
    return (None, 0.6, 0.35)[place // len(LIGHT.series) % 3]


def _spread(wanted: Sequence[float], box: Box) -> list[float]:
    """Move labels apart that would overlap, as little as needed, and keep them beside the areas."""
    order = sorted(range(len(wanted)), key=lambda place: wanted[place])
    placed = list(wanted)
    above = box.top - 4 - _LINE
    for place in order:
        placed[place] = above = max(placed[place], above + _LINE)
    below = box.bottom + _LINE
    for place in reversed(order):
        placed[place] = below = min(placed[place], below - _LINE)
    return placed


def _percent(value: float | None) -> str:
    return say_percent(value, signed=False)


def _sentence(share: Share, times: Sequence[float]) -> str:
    first, last = share.values[0], share.values[-1]
    return f"{share.label}: {_percent(first)} at {say_number(times[0])}, {_percent(last)} at {say_number(times[-1])}."
