"""A chart is a picture and the numbers behind it; here are the parts that all pictures share.

Every picture says what it shows in three ways: drawn, in words (`<title>` and `<desc>`, for those who do not see it),
and as a table.
"""

import hashlib
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from vedette.charts.scale import Scale
from vedette.charts.svg import Drawn, element, label, path, text_width, wrapped
from vedette.charts.theme import DASHES, LIGHT, STYLE
from vedette.kernel.errors import InvalidInput
from vedette.kernel.tables import Table

MARGIN = 16.0
"""Pixels kept free around everything."""
SMALL = 11.0
"""Size of the text of axes and notes, in pixels."""
NARROWEST = 320
"""A chart narrower than this cannot be read."""
SPOKEN = 40
"""Rows that the description says one by one; the table holds all."""

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Chart:
    """A picture as SVG text, and the table of the numbers it was drawn from."""

    svg: str = field(repr=False)
    table: Table

    def _repr_svg_(self) -> str:
        return self.svg

    def __str__(self) -> str:
        return self.svg


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """The part of a picture that holds the data, in pixels; `top` is above `bottom`, `width` is the whole picture's."""

    left: float
    right: float
    top: float
    bottom: float
    width: float


def finished(
    parts: Iterable[Drawn], *, title: str, sentences: Sequence[str], width: float, height: float, table: Table
) -> Chart:
    """Put a picture together: title and description for those who do not see it, style, ground, parts."""
    more = [f"And {len(sentences) - SPOKEN} more, in the table."] if len(sentences) > SPOKEN else []
    description = " ".join([*sentences[:SPOKEN], *more])
    inner = Drawn("".join(parts))
    name = "v" + hashlib.sha256(f"{title}\0{description}\0{inner}".encode(errors="replace")).hexdigest()[:12]
    svg = element(
        "svg",
        element("title", title, id=f"{name}-title"),
        element("desc", description, id=f"{name}-desc"),
        element("style", Drawn(STYLE)),
        element("rect", class_="ground", width=width, height=height),
        inner,
        xmlns="http://www.w3.org/2000/svg",
        class_="vedette-chart",
        width=width,
        height=height,
        viewBox=f"0 0 {width:g} {height:g}",
        role="img",
        aria_labelledby=f"{name}-title {name}-desc",
    )
    return Chart(svg, table)


def heading(title: str, subtitle: str, width: float) -> tuple[list[Drawn], float]:
    """Draw title and subtitle, each in two lines where one is too short; also give the pixel below them."""
    room, y = width - 2 * MARGIN, 8.0
    parts = []
    for said, size, height, class_ in ((title, 15.0, 20.0, "ink bold"), (subtitle, 12.0, 17.0, "muted")):
        for part in wrapped(said, room, size, bold="bold" in class_):
            y += height
            parts.append(label(part, MARGIN, y, room=room, size=size, class_=class_))
    return parts, y + 12


def x_axis(scale: Scale, box: Box, said: Sequence[str], name: str, *, rules: bool = True) -> list[Drawn]:
    """Draw the axis below the data: a line, its ticks, and thin rules up through the data."""
    parts = []
    taken = -math.inf
    for tick, text in zip(scale.ticks, said, strict=True):
        at, half = scale(tick), text_width(text, SMALL) / 2
        if rules:
            parts.append(line((at, box.top), (at, box.bottom), "rule"))
        if at - half < taken:
            continue
        taken = at + half + 6
        parts.append(label(text, at, box.bottom + 17, size=SMALL, class_="muted", text_anchor="middle"))
    parts.append(line((box.left, box.bottom), (box.right, box.bottom), "axis"))
    middle = (box.left + box.right) / 2
    room = 2 * min(middle, box.width - middle) - MARGIN
    parts.append(label(name, middle, box.bottom + 36, room=room, class_="muted", text_anchor="middle"))
    return parts


def y_axis(scale: Scale, box: Box, said: Sequence[str], name: str) -> list[Drawn]:
    """Draw the axis left of the data: ticks, thin rules through the data, and its name above."""
    parts = []
    for tick, text in zip(scale.ticks, said, strict=True):
        at = scale(tick)
        parts.append(line((box.left, at), (box.right, at), "rule"))
        parts.append(label(text, box.left - 8, at + 4, size=SMALL, class_="muted", text_anchor="end"))
    parts.append(label(name, MARGIN, box.top - 12, room=box.right - MARGIN, class_="muted"))
    return parts


def legend(names: Sequence[str], *, left: float, right: float, top: float) -> tuple[list[Drawn], float]:
    """Draw a sample of each series beside its name, in as many lines as it needs; also give the pixel below."""
    parts, x, y = [], left, top + 12
    for place, name in enumerate(names):
        room = min(text_width(name, 12), 200.0, right - left - 40)
        if x > left and x + 36 + room > right:
            x, y = left, y + 20
        parts.append(line((x, y - 4), (x + 28, y - 4), f"s{tone(place)}", width=2.5, dash=dash(place)))
        parts.append(mark(place, x + 14, y - 4, f"s{tone(place)}", size=4))
        parts.append(label(name, x + 36, y, room=room, class_="ink"))
        x += 36 + room + 20
    return parts, y + 12


def tone(place: int) -> int:
    """The colour of a series; after the last, the first comes again with another dash and marker."""
    return place % len(LIGHT.series)


def dash(place: int) -> str | None:
    """The dash pattern of a series, None for a solid line."""
    return DASHES[(place + place // len(LIGHT.series)) % len(DASHES)] or None


def line(
    start: Point, end: Point, colour: str, *, width: float = 1, dash: str | None = None, cap: str | None = None
) -> Drawn:
    """Draw a straight line."""
    return element(
        "line",
        class_=f"{colour} line",
        x1=start[0],
        y1=start[1],
        x2=end[0],
        y2=end[1],
        stroke_width=width,
        stroke_dasharray=dash,
        stroke_linecap=cap,
    )


def curve(points: list[Point], colour: str, *, width: float = 2, dash: str | None = None) -> Drawn:
    """Draw a line through points."""
    return element(
        "path",
        class_=f"{colour} line",
        d=path(points),
        stroke_width=width,
        stroke_dasharray=dash,
        stroke_linejoin="round",
    )


def area(points: list[Point], colour: str, *, opacity: float | None = None) -> Drawn:
    """Fill what lies between points."""
    return element("path", class_=f"{colour} bare", d=path(points, closed=True), opacity=opacity)


def mark(place: int, x: float, y: float, colour: str, *, size: float = 5, hollow: bool = False) -> Drawn:
    """Draw a marker; its shape follows the place of a series: disc, square, diamond, triangle, and again."""
    drawn_as = f"{colour} open" if hollow else colour
    shape = place % 4
    if shape == 0:
        return element("circle", class_=drawn_as, cx=x, cy=y, r=size, stroke_width=2 if hollow else 0)
    corners = {
        1: [(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)],
        2: [(0.0, -1.3), (1.3, 0.0), (0.0, 1.3), (-1.3, 0.0)],
        3: [(0.0, -1.2), (1.15, 0.85), (-1.15, 0.85)],
    }[shape]
    data = path([(x + size * across, y + size * down) for across, down in corners], closed=True)
    return element("path", class_=drawn_as, d=data, stroke_width=2 if hollow else 0)


def window_of(box: Box, parts: Sequence[Drawn]) -> Drawn:
    """Show of some parts only what lies in the box: a nested picture cuts at its edge and needs no id."""
    width, height = box.right - box.left, box.bottom - box.top
    view = f"{box.left:g} {box.top:g} {width:g} {height:g}"
    return element("svg", *parts, x=box.left, y=box.top, width=width, height=height, viewBox=view, overflow="hidden")


def checked_size(width: float, height: float | None) -> None:
    """Refuse sizes nothing can be read at."""
    if not (math.isfinite(width) and width >= NARROWEST and (height is None or 0 < height < math.inf)):
        raise InvalidInput(
            f"a chart of {width} × {height} pixels cannot be read", hint=f"take a width of {NARROWEST} or more"
        )


def some(things: Sequence[object], what: str) -> None:
    """Refuse a chart of nothing."""
    if not things:
        raise InvalidInput(f"there is nothing to draw: no {what} was given", hint=f"give at least one {what}")


def finite(values: Iterable[float | None], what: str) -> None:
    """Refuse NaN and infinite numbers; None is a number that is not known."""
    for value in values:
        if value is not None and not math.isfinite(value):
            raise InvalidInput(f"{what} has the value {value}", hint="give None where a number is not known")


def bounds(low: float | None, high: float | None, what: str) -> tuple[float, float]:
    """Read the ends of an interval: None and infinite are both without bound.

    Raises:
        InvalidInput: An end is NaN, or they stand the wrong way round.
    """
    ends = (-math.inf if low is None else low, math.inf if high is None else high)
    if math.isnan(ends[0]) or math.isnan(ends[1]) or ends[0] > ends[1]:
        raise InvalidInput(
            f"{what} cannot reach from {low} to {high}", hint="low is at most high, None is without bound"
        )
    return ends
