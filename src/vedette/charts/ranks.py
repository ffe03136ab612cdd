"""Rank plots: which places a variant may hold, given all that is known; the ones that may be first stand out.

A rank interval from 1 to 3 says that at most two variants are better. Variants whose interval reaches rank 1 are the
tied set: none of them is shown to be worse than another of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from vedette.charts.chart import (
    MARGIN,
    Box,
    Chart,
    checked_size,
    finished,
    heading,
    line,
    mark,
    some,
    x_axis,
)
from vedette.charts.scale import Scale
from vedette.charts.svg import Drawn, element, label, text_width
from vedette.kernel.errors import InvalidInput
from vedette.kernel.tables import Table

ROW = 28.0
"""Height of a row in pixels."""
_HEAD = 12.0
_FOOT = 52.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RankRow:
    """The places of one variant.

    Attributes:
        label: The variant.
        low: The best rank it may hold, 1 or more.
        high: The worst.
        tied: Whether it belongs to the set of those that may be the best.
        note: A few words beside it, such as the probability to be the best.
    """

    label: str
    low: int
    high: int
    tied: bool = False
    note: str = ""


def rank_plot(
    rows: Sequence[RankRow],
    *,
    title: str,
    subtitle: str = "",
    axis: str = "rank (1 is best)",
    bare: bool = False,
    width: float = 720,
    height: float | None = None,
) -> Chart:
    """Draw the interval of ranks of each variant, the tied set picked out.

    Args:
        rows: At least one, in the order in which they are to stand.
        title: What the picture shows.
        subtitle: How to read it, such as the level of the intervals.
        axis: Name of the axis.
        bare: Leave title and subtitle to the page around; they are still said to those who do not see.
        width: In pixels, 320 or more.
        height: In pixels; it grows with the rows where it is too little for them.

    Raises:
        InvalidInput: No rows, ranks below 1 or the wrong way round, or a size that cannot be read.
    """
    some(rows, "row")
    checked_size(width, height)
    for row in rows:
        if not 1 <= row.low <= row.high:
            raise InvalidInput(
                f"{row.label!r} cannot have the ranks {row.low} to {row.high}",
                hint="ranks count from 1, low is at most high",
            )
    parts, top = ([], 0.0) if bare else heading(title, subtitle, width)
    step = max(ROW, ((height or 0.0) - top - _HEAD - _FOOT) / len(rows))
    bottom = top + _HEAD + step * len(rows)
    names = _room([row.label for row in rows], width, bold=True)
    notes = _room([_note(row, rows) for row in rows], width, share=0.32)
    box = Box(left=MARGIN + names + 28, right=width - MARGIN - notes - 28, top=top + _HEAD, bottom=bottom, width=width)
    scale = _scale(rows, box)
    parts += [_band(box, place, step) for place, row in enumerate(rows) if row.tied]
    parts += x_axis(scale, box, [f"{tick:.0f}" for tick in scale.ticks], axis)
    for place, row in enumerate(rows):
        y = box.top + step * (place + 0.5)
        parts.append(
            element(
                "g",
                element("title", _sentence(row, rows)),
                label(row.label, MARGIN, y + 4, room=names, class_="ink bold" if row.tied else "ink"),
                *_interval(row, y, scale),
                label(
                    _short(row, rows, notes), box.right + 28, y + 4, room=notes, class_="ink" if row.tied else "muted"
                ),
            )
        )
    return finished(
        parts,
        title=title,
        sentences=[_sentence(row, rows) for row in rows],
        width=width,
        height=bottom + _FOOT,
        table=Table(
            ("label", "low", "high", "tied", "note"),
            tuple((row.label, row.low, row.high, row.tied, row.note) for row in rows),
            title=title,
        ),
    )


def _room(texts: Sequence[str], width: float, *, bold: bool = False, share: float = 0.28) -> float:
    return min(max(text_width(text, 12, bold=bold) for text in texts) + 4, share * width)


def _short(row: RankRow, rows: Sequence[RankRow], room: float) -> str:
    """Leave out how the row stands where there is no room for it: its band and its bold name say that too."""
    said = _note(row, rows)
    return said if text_width(said, 12) <= room else row.note or said


def _scale(rows: Sequence[RankRow], box: Box) -> Scale:
    """Every rank is marked while there is room."""
    last = max(*(row.high for row in rows), len(rows), 2)
    stride = next(
        stride for stride in (1, 2, 5, 10, 20, 50, last) if last / stride * 24 <= box.right - box.left or stride == last
    )
    ticks = tuple(float(rank) for rank in range(1, last + 1) if rank == 1 or rank % stride == 0)
    return Scale(low=1, high=last, start=box.left, end=box.right, ticks=ticks)


def _band(box: Box, place: int, step: float) -> Drawn:
    return element("rect", class_="band", x=MARGIN / 2, y=box.top + step * place, width=box.width - MARGIN, height=step)


def _interval(row: RankRow, y: float, scale: Scale) -> list[Drawn]:
    colour = "better" if row.tied else "neutral"
    low, high = scale(row.low), scale(row.high)
    thick = line((low, y), (high, y), colour, width=5 if row.tied else 3, cap="round")
    return [
        thick,
        *(mark(2 if row.tied else 0, x, y, colour, size=5 if row.tied else 4.5) for x in dict.fromkeys((low, high))),
    ]


def _standing(row: RankRow, rows: Sequence[RankRow]) -> str:
    if not row.tied:
        return ""
    return "may be the best" if sum(other.tied for other in rows) > 1 else "the best"


def _note(row: RankRow, rows: Sequence[RankRow]) -> str:
    return ", ".join(said for said in (_standing(row, rows), row.note) if said)


def _sentence(row: RankRow, rows: Sequence[RankRow]) -> str:
    ranks = f"rank {row.low}" if row.low == row.high else f"ranks {row.low} to {row.high}"
    return ", ".join(said for said in (f"{row.label}: {ranks}", _note(row, rows)) if said) + "."
