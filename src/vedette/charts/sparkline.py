"""Sparklines: the last stretch of one figure, as small as a word; the number beside it says what it is now."""

import math
from collections.abc import Sequence

from vedette.charts.chart import curve, finite
from vedette.charts.svg import Drawn, element
from vedette.kernel.errors import InvalidInput


def sparkline(
    values: Sequence[float | None], *, label: str, width: float = 80, height: float = 22, floor: float | None = 0.0
) -> str:
    """Draw values at equal distances as a line, as SVG text without a style of its own.

    It is drawn for a page that has the charts' style sheet, where hundreds of them stand.

    Args:
        values: In the order of time; None where the figure was not known, which leaves a gap.
        label: What is said to those who do not see it.
        width: In pixels.
        height: In pixels.
        floor: The value at the bottom, unless one is below it; None for the smallest value.

    Raises:
        InvalidInput: A value is not finite, or the size is none.
    """
    if not (width > 4 and height > 4):
        raise InvalidInput(f"nothing can be drawn on {width} × {height} pixels")
    finite(values, "the sparkline")
    known = [value for value in values if value is not None]
    low = min([*known, *([] if floor is None else [floor])], default=0.0)
    high = max(known, default=1.0)
    span = high - low if high > low else 1.0
    step = (width - 4) / max(len(values) - 1, 1)

    def place(index: int, value: float) -> tuple[float, float]:
        return (round(2 + index * step, 1), round(height - 3 - (value - low) / span * (height - 6), 1))

    runs: list[list[tuple[float, float]]] = [[]]
    for index, value in enumerate(values):
        if value is None or math.isnan(value):
            runs.append([])
        else:
            runs[-1].append(place(index, value))
    parts: list[Drawn] = [curve(run, "s0", width=1.5) for run in runs if len(run) > 1]
    parts += [
        element("circle", class_="s0", cx=run[0][0], cy=run[0][1], r=1.5, stroke_width=0)
        for run in runs
        if len(run) == 1
    ]
    return element(
        "svg",
        *parts,
        class_="vedette-chart spark",
        width=width,
        height=height,
        viewBox=f"0 0 {width:g} {height:g}",
        role="img",
        aria_label=label,
    )
