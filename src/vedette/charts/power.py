"""Power plots: how likely a design finds an effect, as the sample or the effect grows; the planned point is marked."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from vedette.charts.chart import (
    MARGIN,
    Box,
    Chart,
    Point,
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
    x_axis,
    y_axis,
)
from vedette.charts.scale import Say, Scale, linear, logarithmic
from vedette.charts.svg import Drawn, element, label, text_width
from vedette.kernel.errors import InvalidInput
from vedette.kernel.tables import Table, say_number, say_percent

LEAST = 300.0
"""Height in pixels unless another is asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerCurve:
    """The power of one design.

    Attributes:
        label: What is assumed, such as the effect or the number of variants.
        points: Pairs of a sample size (or an effect) and the power there, from 0 to 1; in growing order.
    """

    label: str
    points: tuple[Point, ...]


def power_plot(
    curves: Sequence[PowerCurve],
    *,
    title: str,
    subtitle: str = "",
    axis: str = "units per variant",
    target: float | None = 0.8,
    planned: Point | None = None,
    percent: bool = False,
    log: bool = False,
    bare: bool = False,
    width: float = 720,
    height: float | None = None,
) -> Chart:
    """Draw power against the sample size, or against the effect.

    Args:
        curves: At least one, of two points or more.
        title: What the picture shows.
        subtitle: How to read it, such as the test and its level.
        axis: Name of what grows to the right.
        target: The power that is wanted, drawn as a line; None for no line.
        planned: The point of the plan: what grows to the right, and the power there.
        percent: What grows to the right is a fraction, said in percent.
        log: Equal ratios of it are equally far.
        bare: Leave title and subtitle to the page around; they are still said to those who do not see.
        width: In pixels, 320 or more.
        height: In pixels.

    Raises:
        InvalidInput: No curves, a NaN, a power outside 0 … 1, points out of order, or a size that cannot be read.
    """
    some(curves, "curve")
    checked_size(width, height)
    for one in curves:
        _check_power(f"the curve {one.label!r}", one.points)
        if len(one.points) < 2 or any(first >= second for (first, _), (second, _) in pairwise(one.points)):
            raise InvalidInput(f"{one.label!r} is no curve", hint="give two points or more, growing to the right")
    _check_power("the planned point", () if planned is None else (planned,))
    _check_power("the target", () if target is None else ((0.0, target),))
    parts, top = ([], 0.0) if bare else heading(title, subtitle, width)
    if len(curves) > 1:
        drawn, top = legend([one.label for one in curves], left=MARGIN, right=width - MARGIN, top=top)
        parts += drawn
    tall = max(height or LEAST, top + 160)
    box = Box(left=MARGIN + 42, right=width - MARGIN - 10, top=top + 30, bottom=tall - 52, width=width)
    count = int((box.right - box.left) / 80)
    values = [x for one in curves for x, _ in one.points] + ([planned[0]] if planned else [])
    across = (
        logarithmic(values, box.left, box.right, count=count)
        if log
        else linear(values, box.left, box.right, count=count, tight=True)
    )
    up = linear((0.0, 1.0), box.bottom, box.top, count=6)
    parts += y_axis(up, box, up.says(percent=True), "power")
    parts += x_axis(across, box, across.says(percent=percent), axis, rules=False)
    if target is not None:
        parts.append(line((box.left, up(target)), (box.right, up(target)), "strong", dash="5 4"))
    parts += [_curve(one, place, across, up) for place, one in enumerate(curves)]
    say = _say_percent if percent else say_number
    if planned is not None:
        parts += _plan(planned, f"{say(planned[0])}: {_say_percent(planned[1])}", across, up, box)
    rows = tuple((one.label, x, power) for one in curves for x, power in one.points)
    return finished(
        parts,
        title=title,
        sentences=_sentences(curves, planned, target, axis, say),
        width=width,
        height=tall,
        table=Table(("label", "at", "power"), rows, title=title, says={"power": _say_percent, "at": say}),
    )


def _check_power(what: str, points: Sequence[Point]) -> None:
    finite((value for point in points for value in point), what)
    if any(not 0 <= power <= 1 for _, power in points):
        raise InvalidInput(f"{what} has a power outside 0 to 1", hint="power is a probability: 0.8, not 80")


def _curve(one: PowerCurve, place: int, across: Scale, up: Scale) -> Drawn:
    """A line; few points are marked, so that it is told from the others by shape too."""
    places = [(across(x), up(power)) for x, power in one.points]
    stride = max(1, len(places) // 6)
    marks = [mark(place, x, y, f"s{tone(place)}", size=3.5) for x, y in places[stride // 2 :: stride]]
    return element("g", element("title", one.label), curve(places, f"s{tone(place)}", dash=dash(place)), *marks)


def _plan(planned: Point, said: str, across: Scale, up: Scale, box: Box) -> list[Drawn]:
    """Mark the plan, with lines to both axes; its label goes where curves that rise to the right leave room."""
    x, y = across(planned[0]), up(planned[1])
    right = x + 14 + text_width(said, 12, bold=True) < box.right
    below = y + 22 if y + 30 < box.bottom else y - 12
    where = label(said, x + 12, below, class_="ink bold halo") if right else None
    return [
        line((x, y), (x, box.bottom), "strong", dash="2 3"),
        line((box.left, y), (x, y), "strong", dash="2 3"),
        element("path", class_="open strong", d=f"M{x - 7:.2f} {y:.2f}l7 -7 7 7 -7 7Z", stroke_width=2),
        where or label(said, x - 12, below, class_="ink bold halo", text_anchor="end"),
    ]


def _say_percent(value: float | None) -> str:
    return say_percent(value, signed=False)


def _sentences(
    curves: Sequence[PowerCurve], planned: Point | None, target: float | None, axis: str, say: Say
) -> list[str]:
    said = [] if planned is None else [f"Planned: {say(planned[0])} {axis}, power {_say_percent(planned[1])}."]
    for one in curves:
        (first, weak), (last, strong) = one.points[0], one.points[-1]
        enough = next((x for x, power in one.points if target is not None and power >= target), None)
        reached = "" if enough is None else f"; {_say_percent(target)} is reached at {say(enough)}"
        said.append(
            f"{one.label}: power {_say_percent(weak)} at {say(first)}, {_say_percent(strong)} at {say(last)}{reached}."
        )
    return said
