"""From plain sums to joint moments without losing digits, whichever engine took the sums.

Every engine answers one question, in one pass: how many rows each group has, and the sums of x and of x·y about a
pivot, `Question.origin` at first. The centred cross-product is S₂ - S₁²/n. Its relative error is about κ·ε·√n, and at
most κ·ε·n, where κ = S₂ / (S₂ - S₁²/n) and ε = 2.2e-16. κ is 1 + mean²/variance about the pivot: small for money,
counts and yes or no, and 1e16 for ten million give or take a tenth. Where it exceeds `DIGITS_LOST` in any group, a
second pass takes the sums about each group's own means, and κ is 1 (the corrected two-pass algorithm of Chan, Golub
and LeVeque 1983). So one pass is the rule, and a wrong digit is not its price.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from vedette.evidence.joint import JointMoments, Missing
from vedette.evidence.summary import FloatArray
from vedette.kernel.errors import InvalidInput

DIGITS_LOST = 1e3
"""The κ above which a second pass is made: below it, sums over a hundred million rows keep nine digits."""

Group = tuple[str | None, ...]
"""The arm a row is in, as text, and its stratum where there are strata."""

Pivots = Mapping[Group, FloatArray]


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What to sum of a source, by the columns `groups`, after summing the rows of each `cluster` if one is named.

    Products are taken of the columns of one block; a column may be in several.
    """

    blocks: tuple[tuple[str, ...], ...]
    groups: tuple[str, ...]
    cluster: str | None
    missing: Missing

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns to sum, each once."""
        return tuple(dict.fromkeys(column for block in self.blocks for column in block))

    @property
    def products(self) -> tuple[tuple[int, int], ...]:
        """The pairs of `summed` columns whose products are summed, each once."""
        places = {column: place for place, column in enumerate(self.summed)}
        pairs = (
            (places[right], places[left])
            for block in self.blocks
            for place, right in enumerate(self.within(block))
            for left in self.within(block)[: place + 1]
        )
        return tuple(dict.fromkeys((max(pair), min(pair)) for pair in pairs))

    @property
    def needed(self) -> tuple[str, ...]:
        """The columns to read, each once."""
        clusters = () if self.cluster is None else (self.cluster,)
        return tuple(dict.fromkeys((*self.groups, *clusters, *self.columns)))

    @property
    def summed(self) -> tuple[str, ...]:
        """The columns of the answer: of clusters, the count of their rows too."""
        return self.within(self.columns)

    def within(self, block: tuple[str, ...]) -> tuple[str, ...]:
        """Give the columns of the answer for a block."""
        return block if self.cluster is None else (*block, "rows")

    @property
    def origin(self) -> tuple[float, ...]:
        """The pivot of the first pass: 0, and 1 for the rows of a cluster, since many tables hold one row of each."""
        return (0.0,) * len(self.columns) + (() if self.cluster is None else (1.0,))


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupSums:
    """The sums of one group.

    Attributes:
        group: Its arm, and its stratum where there are strata; None where the row does not say.
        rows: All its rows.
        whole: Those that lack no value.
        units: The rows or clusters that are summed.
        lost: Rows (clusters, where they are summed) that do not say their cluster.
        first: Sums of the columns about the pivot, shape (k,).
        second: Sums of their products, shape (k, k); NaN for those that no block asks for.
    """

    group: Group
    rows: int
    whole: int
    units: int
    lost: int
    first: FloatArray
    second: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """How many values of a column are missing, and how many are infinite, of how many rows."""

    rows: int
    missing: int
    infinite: int


class Table(Protocol):
    """Rows in some engine, that it sums by itself."""

    def sums(self, question: Question, pivots: Pivots | None) -> list[GroupSums]:
        """Answer the question in one pass, about `origin` or each group's pivots; missing values are not refused."""
        ...

    def faults(self, question: Question) -> Mapping[str, Faults]:
        """Count what is wrong with the values of each column, over all groups."""
        ...


def read_sums(rows: Iterable[Sequence[Any]], question: Question) -> list[GroupSums]:
    """Read an engine's answer: the group, rows, whole, units, lost, sums of columns, sums of `products`."""
    groups, size = len(question.groups), len(question.summed)
    found = []
    left, right = np.array(question.products).T
    for row in rows:
        counts = [int(count or 0) for count in row[groups : groups + 4]]
        numbers = np.array([0.0 if value is None else value for value in row[groups + 4 :]], np.float64)
        second = np.full((size, size), np.nan)
        second[left, right] = second[right, left] = numbers[size:]
        found.append(
            GroupSums(
                group=tuple(row[:groups]),
                rows=counts[0],
                whole=counts[1],
                units=counts[2],
                lost=counts[3],
                first=numbers[:size],
                second=second,
            )
        )
    return found


def moments_of(table: Table, question: Question) -> list[dict[tuple[str, ...], JointMoments]]:
    """Joint moments of each block and group of a table, sorted by group.

    Raises:
        InvalidInput: The table has no rows, a group has none that lacks no value, rows do not say their group or
            cluster, a value is infinite, or values are missing and the question refuses them.
    """
    sums = table.sums(question, None)
    _refuse_faults(table, question, sums)
    pivots = {group.group: np.array(question.origin) for group in sums}
    if any(_loses_digits(group) for group in sums):
        pivots = {group.group: group.first / group.units for group in sums}
        sums = table.sums(question, pivots)
    sums.sort(key=lambda group: tuple(map(str, group.group)))
    moments = {tuple(map(str, group.group)): _moments(group, pivots[group.group], question.summed) for group in sums}
    if len(question.blocks) == 1:
        return [moments]
    blocks = map(question.within, question.blocks)
    return [{group: whole.select(block) for group, whole in moments.items()} for block in blocks]


def require(columns: Iterable[str], there: Collection[str]) -> None:
    """Refuse columns that are not there.

    Raises:
        InvalidInput: One is not.
    """
    for column in columns:
        if column not in there:
            raise InvalidInput(f"there is no column {column!r}", hint=f"there are: {', '.join(map(repr, there))}")


def require_numbers(columns: Iterable[str], kinds: Mapping[str, str], numbers: Collection[str]) -> None:
    """Refuse columns that do not hold numbers; `kinds` are the types of columns, `numbers` those that are numeric.

    Raises:
        InvalidInput: One holds something else.
    """
    for column in columns:
        if column not in numbers:
            raise InvalidInput(
                f"column {column!r} holds {kinds[column]}, not numbers",
                hint="make it numeric where it is written; a missing number is left empty, not 'NA' or '-'",
            )


def _refuse_faults(table: Table, question: Question, sums: Sequence[GroupSums]) -> None:
    if not sums:
        raise InvalidInput("there are no rows", hint="check the file or the filter that made this table")
    for place, column in enumerate(question.groups):
        nameless = sum(group.rows for group in sums if group.group[place] is None)
        if nameless:
            raise InvalidInput(
                f"{nameless} rows have no value in {column!r}, so they belong to no group",
                hint="leave them out before, or name their group",
            )
    if any(group.lost for group in sums):
        raise InvalidInput(
            f"some rows have no value in {question.cluster!r}, so they belong to no cluster",
            hint="leave them out before, or give each its own",
        )
    finite = all(np.isfinite(group.first).all() and np.isfinite(np.diag(group.second)).all() for group in sums)
    if not finite or (question.missing == "refuse" and any(group.whole < group.rows for group in sums)):
        _refuse_values(table.faults(question), question.missing)
    for group in sums:
        if not group.units:
            raise InvalidInput(
                f"every row of {' / '.join(map(str, group.group))!r} lacks a value",
                hint="say missing='zero' if what is missing is 0, or leave this group out before",
            )


def _refuse_values(faults: Mapping[str, Faults], missing: Missing) -> None:
    for column, fault in faults.items():
        if fault.infinite:
            raise InvalidInput(
                f"column {column!r} has infinite values", hint=f"{fault.infinite} of {fault.rows}; correct them first"
            )
    for column, fault in faults.items():
        if fault.missing and missing == "refuse":
            raise InvalidInput(
                f"column {column!r} lacks {fault.missing} of {fault.rows} values",
                hint="say missing='zero' (they did nothing) or missing='drop' (leave those rows out)",
            )
    raise InvalidInput("values are so large that their squares are not numbers", hint="use a larger unit")


def _loses_digits(group: GroupSums) -> bool:
    squares = np.diag(group.second)
    centred = squares - group.first * group.first / group.units
    return group.units > 1 and bool(np.any(squares > DIGITS_LOST * np.maximum(centred, 0.0)))


def _moments(group: GroupSums, pivot: FloatArray, columns: tuple[str, ...]) -> JointMoments:
    drift = group.first / group.units
    mean = pivot + drift
    cross = group.second - group.units * np.outer(drift, drift)
    # Deviations below the spacing of doubles at the mean are rounding: such a column is constant.
    rounding = group.units * np.square(4 * np.finfo(np.float64).eps * mean)
    constant = (np.diag(cross) <= rounding) | (group.units == 1)
    cross[constant, :] = cross[:, constant] = 0.0
    return JointMoments(columns, float(group.units), mean, cross)
