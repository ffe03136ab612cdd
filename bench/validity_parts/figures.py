"""Figures with their Monte-Carlo error, the bars they are held against, and the tables they are printed in."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from functools import partial
from typing import Literal, TypeVar

import numpy as np
from bench.validity_rules.pair import Array
from numpy.typing import ArrayLike

Made = TypeVar("Made")
ALPHA = 0.05
PLANNED = 5000
"""Units of each arm that a fixed test of power 0.8 plans for, throughout."""
D80 = (1.959963984540054 + 0.8416212335729143) * math.sqrt(2.0 / PLANNED)
"""The effect, in standard deviations, that it finds with that power."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A share or a mean over runs, and its standard error; exact where that is 0."""

    value: float
    error: float = 0.0

    def __str__(self) -> str:
        shown = f"{self.value:.3f}".replace("0.", ".", 1) if abs(self.value) < 1 else f"{self.value:.2f}"
        return shown if not self.error else f"{shown} ({1000 * self.error:.0f})"


def share(happened: ArrayLike) -> Figure:
    """Share of runs in which something happened; its error is at least that of one run in all of them."""
    seen = np.asarray(happened, np.float64)
    p = float(seen.mean())
    smallest = 1.0 / seen.size
    near = min(max(p, smallest), 1.0 - smallest)
    return Figure(p, math.sqrt(near * (1.0 - near) / seen.size))


def average(values: ArrayLike) -> Figure:
    """Mean of runs."""
    seen = np.asarray(values, np.float64)
    return Figure(float(seen.mean()), float(seen.std(ddof=1) / math.sqrt(seen.size)))


@dataclass(frozen=True, slots=True)
class Bar:
    """What a figure must be at most, at least, or about; three standard errors are allowed."""

    kind: Literal["most", "least", "about"]
    value: float

    def held(self, figure: Figure) -> bool:
        """Whether the figure keeps it, within its Monte-Carlo error."""
        room = 3.0 * figure.error + 5e-4
        above, below = figure.value <= self.value + room, figure.value >= self.value - room
        return {"most": above, "least": below, "about": above and below}[self.kind]

    def __str__(self) -> str:
        sign = {"most": "at most", "least": "at least", "about": "about"}[self.kind]
        return f"{sign} {self.value:g}"


@dataclass(slots=True)
class Report:
    """What was found: tables as they come, and bars that were missed."""

    missed: list[str] = field(default_factory=list)
    figures: dict[str, dict[str, dict[str, tuple[float, float]]]] = field(default_factory=dict)

    def table(
        self,
        title: str,
        columns: Sequence[str],
        rows: Mapping[str, Mapping[str, Figure]],
        bars: Mapping[tuple[str, str], Bar] | None = None,
    ) -> None:
        """Print a table, a mark beside what misses its bar, and keep its figures."""
        held = bars or {}
        self.figures[title] = {row: {name: (it.value, it.error) for name, it in of.items()} for row, of in rows.items()}
        width = max(map(len, rows)) + 2
        sizes = [max(len(column) + 2, 13) for column in columns]
        print(f"\n{title}")
        print(" " * width + "".join(f"{column:>{size}}" for column, size in zip(columns, sizes, strict=True)))
        for name, row in rows.items():
            line = f"{name:<{width}}"
            for column, size in zip(columns, sizes, strict=True):
                figure = row.get(column)
                bar = held.get((name, column))
                bad = figure is not None and bar is not None and not bar.held(figure)
                if bad:
                    self.missed.append(f"{title.partition(':')[0]}: {name}, {column}: {figure}, asked for {bar}")
                shown = "" if figure is None else f"{figure}{'!' if bad else ''}"
                line += f"{shown:>{size}}"
            print(line, flush=True)


def in_chunks(
    work: Callable[[int, int], Mapping[str, Made]], runs: int, chunk: int, seed: Sequence[int], pool: Executor
) -> dict[str, list[Made]]:
    """Share runs out in chunks of their own seeds; `work(runs, seed)` gives what it found by name."""
    count = max(1, round(runs / chunk))
    seeds = np.random.SeedSequence(list(seed)).generate_state(count, np.uint64).tolist()
    found: dict[str, list[Made]] = {}
    for part in pool.map(partial(work, chunk), seeds):
        for name, value in part.items():
            found.setdefault(name, []).append(value)
    return found


def joined(parts: Iterable[Array]) -> Array:
    """Put the runs of all chunks after each other."""
    return np.concatenate(list(parts))
