"""Forest plots: one row an effect, its interval drawn against the value that means no difference.

A thick line is the interval of that row alone, a thin line beyond it the one that holds for all rows together. An
arrow is an end without bound, or one that lies outside what is shown; the numbers beside it say which.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from vedette.charts.chart import (
    MARGIN,
    SMALL,
    Box,
    Chart,
    bounds,
    checked_size,
    finished,
    finite,
    heading,
    line,
    mark,
    some,
    x_axis,
)
from vedette.charts.scale import Say, Scale, linear, logarithmic, speaker, window
from vedette.charts.svg import Drawn, element, label, path, text_width
from vedette.kernel.tables import Table, say_interval, say_p

ROW = 26.0
"""Height of a row in pixels."""
_GAP = 16.0
_HEAD = 30.0
_FOOT = 54.0
_LEAST = 40.0
"""Less room than this is no place for a hint beside the reference."""
_COLUMNS = ("label", "group", "estimate", "low", "high", "simultaneous_low", "simultaneous_high", "p_value", "verdict")


class Tone(StrEnum):
    """What an effect speaks for; each tone has its colour and its marker."""

    BETTER = "better"
    WORSE = "worse"
    NEUTRAL = "neutral"


@dataclass(frozen=True, slots=True, kw_only=True)
class ForestRow:
    """One effect.

    Attributes:
        label: What was compared.
        estimate: The effect; None where it is not known, and then nothing is drawn.
        low: Lower end of its own interval; None without bound.
        high: Upper end; None without bound.
        simultaneous: Ends of the interval that holds for all rows together; None if there is none.
        group: Heading under which rows that follow each other stand.
        p_value: Its p-value.
        verdict: A word or two.
        tone: What it speaks for.
    """

    label: str
    estimate: float | None
    low: float | None = None
    high: float | None = None
    simultaneous: tuple[float | None, float | None] | None = None
    group: str = ""
    p_value: float | None = None
    verdict: str = ""
    tone: Tone = Tone.NEUTRAL


@dataclass(frozen=True, slots=True)
class _Read:
    """A row with its ends as numbers, infinite where they are without bound."""

    row: ForestRow
    own: tuple[float, float]
    joint: tuple[float, float] | None

    @property
    def outer(self) -> tuple[float, float]:
        return self.own if self.joint is None else (min(self.own[0], self.joint[0]), max(self.own[1], self.joint[1]))

    @property
    def said(self) -> tuple[float, float] | tuple[None, None]:
        """The interval that is written out: the one for all rows together where there is one."""
        return (None, None) if self.row.estimate is None else self.joint or self.own

    def cells(self) -> tuple[object, ...]:
        own = (None, None) if self.row.estimate is None else self.own
        row, joint = self.row, self.joint or (None, None)
        return (row.label, row.group, row.estimate, *own, *joint, row.p_value, row.verdict)


def forest_plot(
    rows: Sequence[ForestRow],
    *,
    title: str,
    subtitle: str = "",
    axis: str = "effect",
    reference: float = 0.0,
    favours: tuple[str, str] = ("", ""),
    percent: bool = False,
    log: bool = False,
    bare: bool = False,
    width: float = 860,
    height: float | None = None,
) -> Chart:
    """Draw effects with their intervals against a reference line.

    Args:
        rows: At least one.
        title: What the picture shows.
        subtitle: How to read it, such as the level of the intervals.
        axis: Name of the effect and its unit.
        reference: The value that means no difference.
        favours: What effects below and above the reference speak for, written beside the axis.
        percent: Effects are fractions, said in percent.
        log: Effects are ratios; equal ratios are equally far.
        bare: Leave title and subtitle to the page around; they are still said to those who do not see.
        width: In pixels, 320 or more.
        height: In pixels; it grows with the rows where it is too little for them.

    Raises:
        InvalidInput: No rows, a NaN, an interval the wrong way round, or a size that cannot be read.
    """
    some(rows, "row")
    checked_size(width, height)
    read = [_read(row) for row in rows]
    signed = reference == 0 and not log
    say = speaker([] if log else _halves(read), percent=percent, signed=signed)  # no one step fits ratios
    parts, top = ([], 0.0) if bare else heading(title, subtitle, width)
    lanes = _lanes(read)
    foot = _FOOT + (20.0 if any(one.joint for one in read) else 0.0)
    step = max(ROW, ((height or 0.0) - top - _HEAD - foot) / len(lanes))
    bottom = top + _HEAD + step * len(lanes)
    columns, left, right = _placed(_written(read, say), width)
    box = Box(left=left, right=right, top=top + _HEAD - 6, bottom=bottom, width=width)
    scale = _scale(read, reference, box, log=log)
    parts += x_axis(scale, box, scale.says(percent=percent, signed=signed), axis)
    parts += [column.text(column.head, top + 14, size=SMALL, class_="muted") for column in columns]
    at = scale(reference)
    parts.append(line((at, box.top - 4), (at, box.bottom), "strong", width=1.25))
    parts += _favours(favours, at, top + 14, box)
    y = top + _HEAD + step / 2
    for lane in lanes:
        parts.append(
            _heading(lane, y, width) if isinstance(lane, str) else _drawn(lane, y, columns, scale, reference, say)
        )
        y += step
    if foot > _FOOT:
        parts += _key(box, bottom + 58)
    return finished(
        parts,
        title=title,
        sentences=[_sentence(one, say) for one in read],
        width=width,
        height=bottom + foot,
        table=Table(
            _COLUMNS,
            tuple(one.cells() for one in read),
            title=title,
            says=dict.fromkeys(_COLUMNS[2:7], say) | {"p_value": say_p},
        ),
    )


def _read(row: ForestRow) -> _Read:
    where = f"the row {row.label!r}"
    finite((row.estimate, row.p_value), where)
    joint = None if row.simultaneous is None else bounds(*row.simultaneous, where)
    return _Read(row, bounds(row.low, row.high, where), joint)


def _halves(read: Sequence[_Read]) -> list[float]:
    """How far each finite end is from its estimate."""
    known = [(one.row.estimate, one.outer) for one in read if one.row.estimate is not None]
    return [abs(end - estimate) for estimate, ends in known for end in ends if math.isfinite(end)]


def _lanes(read: Sequence[_Read]) -> list[_Read | str]:
    """Rows in their order, with a heading wherever a new group begins."""
    lanes: list[_Read | str] = []
    group = ""
    for one in read:
        if one.row.group and one.row.group != group:
            lanes.append(one.row.group)
        group = one.row.group
        lanes.append(one)
    return lanes


def _scale(read: Sequence[_Read], reference: float, box: Box, *, log: bool) -> Scale:
    """What is shown: on a logarithmic scale everything, on a linear one no interval that dwarfs the others."""
    known = [one for one in read if one.row.estimate is not None]
    estimates = [reference, *(one.row.estimate for one in known if one.row.estimate is not None)]
    ends = [end for one in known for end in one.outer if math.isfinite(end)]
    count = int((box.right - box.left) / 56)
    if log:
        return logarithmic([*estimates, *(end for end in ends if end > 0)], box.left, box.right, count=count)
    low, high = window(estimates, ends, _halves(read))
    pad = 0.04 * (high - low)
    return linear((low - pad, high + pad), box.left, box.right, count=count, tight=True)


@dataclass(frozen=True, slots=True)
class _Column:
    """Texts beside the plot, one a row, from `x` to `x + room`."""

    head: str
    texts: dict[int, str]
    x: float = 0.0
    room: float = 0.0
    right: bool = False

    @property
    def natural(self) -> float:
        return max(text_width(self.head, SMALL), *(text_width(text, 12) for text in self.texts.values())) + 2

    def text(self, said: str, y: float, *, size: float = 12, class_: str = "ink") -> Drawn:
        x = self.x + self.room if self.right else self.x
        anchor = "end" if self.right else None
        return label(said, x, y, room=self.room, size=size, class_=class_, text_anchor=anchor)


def _written(read: Sequence[_Read], say: Say) -> list[_Column]:
    """The columns that say something, the label first."""
    together = "interval" if all(one.joint is None for one in read) else "simultaneous interval"
    texts: dict[str, dict[int, str]] = {
        "": {id(one): one.row.label for one in read},
        "estimate": {id(one): say(one.row.estimate) for one in read},
        together: {id(one): say_interval(one.said[0], one.said[1], say) for one in read},
        "p": {id(one): say_p(one.row.p_value) for one in read if one.row.p_value is not None},
        "verdict": {id(one): one.row.verdict for one in read if one.row.verdict},
    }
    return [_Column(head, said, right=head in {"estimate", together, "p"}) for head, said in texts.items() if said]


def _placed(columns: list[_Column], width: float) -> tuple[list[_Column], float, float]:
    """Give the columns their places, and the plot what is between the first and the others.

    Where there is no room for all, numbers go first (they stand in the table too), then texts are cut short.
    """
    total, least = width - 2 * MARGIN, 0.27 * width
    kept = list(columns)
    for victim in ("p", "simultaneous interval", "interval", "estimate"):
        if least + sum(min(column.natural, 0.25 * width) + _GAP for column in kept) > total:
            kept = [column for column in kept if column.head != victim]
    rooms = [min(column.natural, 0.25 * width) for column in kept]
    left = MARGIN + rooms[0] + _GAP
    x = width - MARGIN
    placed = []
    for column, room in zip(kept[:0:-1], rooms[:0:-1], strict=True):
        x -= room
        placed.append(replace(column, x=x, room=room))
        x -= _GAP
    return [replace(kept[0], x=MARGIN, room=rooms[0]), *reversed(placed)], left, x


def _drawn(one: _Read, y: float, columns: Sequence[_Column], scale: Scale, reference: float, say: Say) -> Drawn:
    texts = [column.text(column.texts[id(one)], y + 4) for column in columns if id(one) in column.texts]
    return element("g", element("title", _sentence(one, say)), *_interval(one, y, scale, reference), *texts)


def _heading(group: str, y: float, width: float) -> Drawn:
    return label(group, MARGIN, y + 5, room=width - 2 * MARGIN, class_="ink bold halo")


def _interval(one: _Read, y: float, scale: Scale, reference: float) -> list[Drawn]:
    estimate, tone = one.row.estimate, one.row.tone
    if estimate is None:
        return []
    shape = {Tone.BETTER: 2, Tone.WORSE: 1, Tone.NEUTRAL: 0}[tone]
    low, high = one.outer
    parts = []
    if one.joint is not None:
        parts.append(line((scale(one.joint[0]), y), (scale(one.joint[1]), y), tone, width=1.25))
    parts.append(line((scale(one.own[0]), y), (scale(one.own[1]), y), tone, width=2 if one.joint is None else 4.5))
    parts += [_end(end, y, scale, tone) for end in (low, high)]
    parts.append(mark(shape, scale(estimate), y, tone, hollow=low <= reference <= high))
    return parts


def _end(end: float, y: float, scale: Scale, colour: str) -> Drawn:
    """A cap where the interval ends, an arrow where it goes on."""
    x = scale(end)
    if scale.holds(end):
        return line((x, y - 4), (x, y + 4), colour, width=1.5)
    back = x + 8 if end < scale.low else x - 8
    return element("path", class_=colour, d=path([(x, y), (back, y - 5), (back, y + 5)], closed=True), stroke_width=0)


def _favours(favours: tuple[str, str], at: float, y: float, box: Box) -> list[Drawn]:
    below, above = favours
    parts = []
    if below and at - 8 - box.left > _LEAST:
        room = at - 8 - box.left
        parts.append(label(f"◂ {below}", at - 8, y, room=room, size=SMALL, class_="muted", text_anchor="end"))
    if above and box.right - at - 8 > _LEAST:
        parts.append(label(f"{above} ▸", at + 8, y, room=box.right - at - 8, size=SMALL, class_="muted"))
    return parts


def _key(box: Box, y: float) -> list[Drawn]:
    """Say what the two widths of line are."""
    key = (("this row alone", 4.5), ("all rows together", 1.25))
    whole = sum(54 + text_width(said, SMALL) for said, _ in key)
    parts, x = [], max(MARGIN, min(box.left, box.width - MARGIN - whole))
    for said, thick in key:
        parts.append(line((x, y - 4), (x + 26, y - 4), "neutral", width=thick))
        parts.append(label(said, x + 34, y, size=SMALL, class_="muted"))
        x += 54 + text_width(said, SMALL)
    return parts


def _sentence(one: _Read, say: Say) -> str:
    row = one.row
    name = f"{row.group}, {row.label}" if row.group else row.label
    if row.estimate is None:
        said = f"{name}: not known"
    else:
        said = f"{name}: {say(row.estimate)}, {say_interval(one.said[0], one.said[1], say)}"
    said += "" if row.p_value is None else f", p {say_p(row.p_value)}"
    return said + (f", {row.verdict}." if row.verdict else ".")
