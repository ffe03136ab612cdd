"""Boundary plots: the z-score of each look beside the boundaries at which a group-sequential design stops."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from vedette.charts.chart import (
    MARGIN,
    SMALL,
    Box,
    Chart,
    Point,
    area,
    checked_size,
    curve,
    finished,
    finite,
    heading,
    line,
    mark,
    some,
    window_of,
    x_axis,
    y_axis,
)
from vedette.charts.scale import Scale, linear
from vedette.charts.svg import Drawn, label, text_width
from vedette.kernel.errors import InvalidInput
from vedette.kernel.tables import Table, say_number, say_percent

LEAST = 340.0
"""Height in pixels unless another is asked for."""
_FARTHEST = 6.0
"""Boundaries beyond this run out of the picture: those of first looks may stand at 8 or more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundaryLook:
    """One planned look.

    Attributes:
        at: When: information, as a fraction of what is planned, or units.
        z: The z-score found there; None for a look that is still to come.
        upper: Stop for a better variant at or above this; None if the look does not allow it.
        lower: Stop for a worse one at or below this; None if the design does not ask.
        futility: Stop as hopeless at or below this; where there is a lower boundary too, within this far from zero.
    """

    at: float
    z: float | None = None
    upper: float | None = None
    lower: float | None = None
    futility: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """What crossing a boundary means, written into the picture."""

    upper: str = "stop: better"
    lower: str = "stop: worse"
    futility: str = "stop: futile"


def boundary_plot(
    looks: Sequence[BoundaryLook],
    *,
    title: str,
    subtitle: str = "",
    axis: str = "information",
    percent: bool = True,
    names: Names = Names(),
    width: float = 720,
    height: float | None = None,
) -> Chart:
    """Draw z-scores over the looks, between the boundaries of the design.

    Args:
        looks: At least one, in the order of time, those to come too.
        title: What the picture shows.
        subtitle: How to read it, such as the spending function.
        axis: Name of the time.
        percent: Times are fractions of the whole, said in percent.
        names: What crossing a boundary means.
        width: In pixels, 320 or more.
        height: In pixels.

    Raises:
        InvalidInput: No looks, a NaN, looks out of order, a lower boundary above the upper, or a size that cannot be
            read.
    """
    some(looks, "look")
    checked_size(width, height)
    _check(looks)
    parts, top = heading(title, subtitle, width)
    tall = max(height or LEAST, top + 200)
    found = [look.z for look in looks if look.z is not None]
    drawn = [edge for look in looks for edge in (look.upper, look.lower, look.futility) if edge is not None]
    near = [min(max(edge, -_FARTHEST), _FARTHEST) for edge in drawn]
    values = [0.0, *near, *(z + 0.6 for z in found), *(z - 0.3 for z in found)]
    up = linear(values, tall - 52, top + 30, count=8)
    said = up.says()
    left = MARGIN + 10 + max(text_width(text, SMALL) for text in said)
    box = Box(left=left, right=width - MARGIN - 14, top=up.end, bottom=up.start, width=width)
    times = [0.0 if percent else looks[0].at, *(look.at for look in looks), *([1.0] if percent else [])]
    across = linear(times, box.left, box.right, count=int((box.right - box.left) / 70), tight=True)
    parts += y_axis(up, box, said, "z-score")
    parts += x_axis(across, box, across.says(percent=percent), axis, rules=False)
    parts += _zones(looks, names, across, up, box)
    parts.append(line((box.left, up(0.0)), (box.right, up(0.0)), "strong", width=1))
    parts += _path(looks, across, up)
    at: Callable[[float | None], str] = _share if percent else say_number
    return finished(
        parts,
        title=title,
        sentences=[_sentence(look, names, at) for look in looks],
        width=width,
        height=tall,
        table=Table(
            ("at", "z", "upper", "lower", "futility"),
            tuple((look.at, look.z, look.upper, look.lower, look.futility) for look in looks),
            title=title,
            says={"at": at},
        ),
    )


def _check(looks: Sequence[BoundaryLook]) -> None:
    for look in looks:
        where = f"the look at {look.at}"
        finite((look.at, look.z, look.upper, look.lower, look.futility), where)
        if look.upper is not None and look.lower is not None and look.lower > look.upper:
            raise InvalidInput(f"{where} has its lower boundary above its upper", hint="swap them")
    if any(first.at >= second.at for first, second in pairwise(looks)):
        raise InvalidInput("the looks are out of order", hint="give them in the order of time, each once")


def _zones(looks: Sequence[BoundaryLook], names: Names, across: Scale, up: Scale, box: Box) -> list[Drawn]:
    """Shade where the design stops, and say why it does."""
    upper = [(look.at, look.upper) for look in looks if look.upper is not None]
    lower = [(look.at, look.lower) for look in looks if look.lower is not None]
    futile = [(look.at, look.futility) for look in looks if look.futility is not None]
    wedge = bool(lower)
    below = [(at, -edge) for at, edge in futile] if wedge else [(at, up.low - 1) for at, edge in futile]
    shades, words = [], []
    for edge, far, name, colour, dash in (
        (upper, [(at, up.high + 1) for at, _ in upper], names.upper, "better", None),
        (lower, [(at, up.low - 1) for at, _ in lower], names.lower, "worse", "7 3"),
        (futile, below, names.futility, "neutral", "2 3"),
    ):
        if not edge:
            continue
        line_of = [(across(at), up.beyond(value)) for at, value in edge]
        end_of = [(across(at), up.beyond(value)) for at, value in far]
        shades += _shade(line_of, end_of, colour, dash, closing=wedge and edge is futile)
        y = box.top + 15 if edge is upper else up(0.0) - 6 if wedge and edge is futile else box.bottom - 7
        words.append(
            label(
                name,
                line_of[-1][0] - 8,
                y,
                room=line_of[-1][0] - 8 - box.left,
                size=SMALL,
                class_="ink",
                text_anchor="end",
            )
        )
    return [window_of(box, shades), *words]


def _shade(edge: list[Point], far: list[Point], colour: str, dash: str | None, *, closing: bool) -> list[Drawn]:
    if len(edge) == 1:  # one look: a boundary has no length of its own
        edge = [(edge[0][0] - 12, edge[0][1]), (edge[0][0] + 12, edge[0][1])]
        far = [(edge[0][0], far[0][1]), (edge[1][0], far[0][1])]
    other = [curve(far, colour, dash=dash)] if closing else []
    marks = [line((x - 5, y), (x + 5, y), colour, width=3) for x, y in edge]
    return [area(edge + far[::-1], f"{colour} wash"), curve(edge, colour, dash=dash), *other, *marks]


def _path(looks: Sequence[BoundaryLook], across: Scale, up: Scale) -> list[Drawn]:
    found = [(look, across(look.at), up(look.z)) for look in looks if look.z is not None]
    parts = [curve([(x, y) for _, x, y in found], "strong", width=1.5)] if len(found) > 1 else []
    for look, x, y in found:
        shape, colour = _standing(look)
        said = label(say_number(look.z), x, y - 11, size=SMALL, class_="ink bold halo", text_anchor="middle")
        parts += [mark(shape, x, y, colour, size=5.5), said]
    return parts


def _standing(look: BoundaryLook) -> tuple[int, str]:
    """Shape and colour of a z-score: diamond above, square below, triangle in futility, disc between."""
    if look.z is None:
        return 0, "ink"
    if look.upper is not None and look.z >= look.upper:
        return 2, "better"
    if look.lower is not None and look.z <= look.lower:
        return 1, "worse"
    distance = look.z if look.lower is None else abs(look.z)
    if look.futility is not None and distance <= look.futility:
        return 3, "neutral"
    return 0, "ink"


def _share(value: float | None) -> str:
    return say_percent(value, signed=False)


def _sentence(look: BoundaryLook, names: Names, say: Callable[[float | None], str]) -> str:
    edges = ((names.upper, look.upper, "at"), (names.lower, look.lower, "at"), (names.futility, look.futility, "at"))
    said = "; ".join(f"{name} {word} {say_number(edge)}" for name, edge, word in edges if edge is not None)
    found = "still to come" if look.z is None else f"z {say_number(look.z)}"
    return f"Look at {say(look.at)}: {found}" + (f" ({said})." if said else ".")
