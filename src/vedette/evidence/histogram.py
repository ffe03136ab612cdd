"""Histograms of magnitudes (latency, tokens, cost) whose edges never change, so that any two of them add.

Bin `i` holds the values from `GAMMA**i` up to `GAMMA**(i + 1)`, wherever and whenever they were counted: a value is
known to 4 %, from a billionth to a million million, in at most 1,237 bins. Two bins are special: `ZERO` holds 0 and
all that is smaller than `GAMMA**LOWEST`, `OVERFLOW` all that is `GAMMA**OVERFLOW` or more, infinity included.
Magnitudes are never negative and never NaN: such values are refused, not counted.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from vedette.kernel.errors import InvalidInput

GAMMA = 1.04
LOWEST = -529
OVERFLOW = 706
ZERO = LOWEST - 1

_SCALE = 1.0 / math.log(GAMMA)
_SMALLEST = GAMMA**LOWEST
_LARGEST = GAMMA**OVERFLOW
_DOUBTFUL = 1e-9


def index_of(value: float) -> int:
    """Bin of a value; costs one logarithm.

    Raises:
        InvalidInput: The value is negative or NaN.
    """
    if _SMALLEST <= value < _LARGEST:
        return math.floor(math.log(value) * _SCALE)
    if value >= _LARGEST:
        return OVERFLOW
    if value >= 0.0:
        return ZERO
    raise InvalidInput(f"a histogram counts magnitudes, from 0 upwards; {value} is none")


def indices_of(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Bins of many values: those that `index_of` gives, each of them.

    Raises:
        InvalidInput: A value is negative or NaN.
    """
    if not (values >= 0.0).all():
        raise InvalidInput("a histogram counts magnitudes, from 0 upwards", hint="a value is negative or NaN")
    inside = (values >= _SMALLEST) & (values < _LARGEST)
    place = np.log(np.where(inside, values, 1.0)) * _SCALE
    found = np.floor(place).astype(np.int64)
    # Two logarithms may differ in the last digit; beside an edge, the one that `index_of` takes decides.
    for near in np.flatnonzero(np.abs(place - np.rint(place)) < _DOUBTFUL):
        if inside[near]:
            found[near] = index_of(float(values[near]))
    return np.where(inside, found, np.where(values >= _LARGEST, OVERFLOW, ZERO))


def lower_edge(index: int) -> float:
    """Smallest value a bin holds."""
    return 0.0 if index <= ZERO else GAMMA**index


def upper_edge(index: int) -> float:
    """Value at which the next bin begins; infinite for `OVERFLOW`."""
    return math.inf if index >= OVERFLOW else GAMMA ** (index + 1)


@dataclass(frozen=True, slots=True)
class Histogram:
    """How many values fell into each bin; adding two is the same as having counted all the values.

    Attributes:
        counts: Number of values by bin, for the bins that hold any, in the order of the bins.
    """

    counts: Mapping[int, int]

    def __post_init__(self) -> None:
        kept = {index: count for index, count in sorted(self.counts.items()) if count}
        if any(count < 0 for count in kept.values()) or any(not ZERO <= index <= OVERFLOW for index in kept):
            raise InvalidInput(f"a histogram has counts of 0 or more in bins {ZERO} to {OVERFLOW}")
        object.__setattr__(self, "counts", kept)

    @classmethod
    def of(cls, values: Iterable[float]) -> Self:
        """Count values.

        Raises:
            InvalidInput: A value is negative or NaN.
        """
        counts: dict[int, int] = {}
        for value in values:
            index = index_of(value)
            counts[index] = counts.get(index, 0) + 1
        return cls(counts)

    @property
    def n(self) -> int:
        """Number of values counted."""
        return sum(self.counts.values())

    def merge(self, other: Self) -> Self:
        """Histogram of both sets of values together."""
        counts = dict(self.counts)
        for index, count in other.counts.items():
            counts[index] = counts.get(index, 0) + count
        return type(self)(counts)

    __add__ = merge

    def up_to(self, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        """Number of values below the upper edge of each given bin."""
        cumulative = np.cumsum([0, *self.counts.values()], dtype=np.int64)
        return cumulative[np.searchsorted(np.array(list(self.counts), np.int64), indices, side="right")]

    def quantile(self, q: float) -> float | None:
        """The q-quantile, to half a bin (2 %); None when nothing was counted, the last edge when it lies beyond it.

        Raises:
            InvalidInput: `q` is not between 0 and 1.
        """
        if not 0.0 <= q <= 1.0:
            raise InvalidInput(f"a quantile lies between 0 and 1, not at {q}")
        wanted = max(math.ceil(q * self.n), 1)
        seen = 0
        for index, count in self.counts.items():
            seen += count
            if seen >= wanted:
                return 0.0 if index == ZERO else _LARGEST if index == OVERFLOW else GAMMA ** (index + 0.5)
        return None
