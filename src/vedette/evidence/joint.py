"""Joint moments of several columns: how many rows, their means, and how the columns vary together.

A row is one unit (a user, a prompt, a bucket of tenants); columns are what was observed of it. From the centred
cross-products every mean, ratio, regression adjustment and their standard errors follow, so this small square is all
that analysis needs of any number of rows. Two of them merge exactly (Chan, Golub and LeVeque 1983), in any order.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike

from vedette.evidence.summary import FloatArray, Moments
from vedette.kernel.errors import InvalidInput

Column = ArrayLike | Sequence[float | None]
"""Values of a column, one a row; None and NaN are missing."""

Missing = Literal["refuse", "drop", "zero"]
"""What to do with rows that lack a value: refuse them all, leave those rows out, or read what is missing as 0."""


@dataclass(frozen=True, slots=True, eq=False)
class JointMoments:
    """Count, means and centred cross-products of the rows of one arm; adding two is having seen the rows of both.

    Attributes:
        columns: What was observed of each row, k names.
        n: How many rows.
        mean: Means, shape (k,); 0 where there are no rows.
        cross: Sums of products of deviations from the means, shape (k, k).
    """

    columns: tuple[str, ...]
    n: float
    mean: FloatArray
    cross: FloatArray

    def __post_init__(self) -> None:
        """Refuse shapes that do not fit together."""
        size = len(self.columns)
        if self.mean.shape != (size,) or self.cross.shape != (size, size) or not self.n >= 0:
            raise InvalidInput(
                f"joint moments of {size} columns need that many means and a square of cross-products",
                hint=f"got {self.mean.shape}, {self.cross.shape} and n = {self.n}",
            )

    @property
    def covariance(self) -> FloatArray:
        """Unbiased covariances of the columns, shape (k, k); NaN with fewer than two rows."""
        return np.divide(self.cross, self.n - 1 if self.n > 1 else np.nan)

    def index(self, column: str) -> int:
        """Give the place of a column.

        Raises:
            InvalidInput: there is none of that name.
        """
        try:
            return self.columns.index(column)
        except ValueError:
            raise InvalidInput(f"there is no column {column!r}", hint=f"known: {', '.join(self.columns)}") from None

    def of(self, column: str) -> Moments[float]:
        """Give the moments of one column alone."""
        place = self.index(column)
        return Moments(self.n, float(self.mean[place]), float(self.cross[place, place]))

    def select(self, columns: Sequence[str]) -> "JointMoments":
        """Give the joint moments of some of the columns, in the order asked for."""
        places = [self.index(column) for column in columns]
        return JointMoments(tuple(columns), self.n, self.mean[places], self.cross[np.ix_(places, places)])

    def merge(self, other: "JointMoments") -> "JointMoments":
        """Give the joint moments of the rows of both (Chan et al. 1983).

        Raises:
            InvalidInput: the two have other columns.
        """
        if self.columns != other.columns:
            raise InvalidInput("joint moments of other columns cannot be added", hint="select the same columns of both")
        n = self.n + other.n
        share = other.n / (n + (n == 0))
        shift = other.mean - self.mean
        cross = self.cross + other.cross + np.outer(shift, shift) * self.n * share
        return JointMoments(self.columns, n, self.mean + shift * share, cross)

    __add__ = merge

    def to_dict(self) -> dict[str, Any]:
        """Give plain data that `from_dict` reads back."""
        return {
            "columns": list(self.columns),
            "n": self.n,
            "mean": self.mean.tolist(),
            "cross": self.cross.tolist(),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Read what `to_dict` gave."""
        return cls(
            tuple(data["columns"]),
            float(data["n"]),
            np.asarray(data["mean"], np.float64),
            np.asarray(data["cross"], np.float64),
        )


def joint_moments(columns: Mapping[str, Column], *, missing: Missing = "refuse") -> JointMoments:
    """Joint moments of the rows of some columns of one length, in two passes so that no digit is lost.

    Args:
        columns: Values by name, one entry a row; NaN and None are missing values.
        missing: What to do with rows that lack a value.

    Raises:
        InvalidInput: There are no columns, they differ in length, a value is infinite, or values are missing and
            `missing` refuses them.
    """
    names = tuple(columns)
    rows = _table(columns, missing)
    n = float(rows.shape[1])
    if not n:
        return JointMoments(names, 0.0, np.zeros(len(names)), np.zeros((len(names), len(names))))
    pivot = rows.mean(axis=1)
    rows = rows - pivot[:, None]
    drift = rows.mean(axis=1)
    cross = rows @ rows.T - n * np.outer(drift, drift)
    return JointMoments(names, n, pivot + drift, cross)


def joint_moments_by(
    groups: ArrayLike | Sequence[object], columns: Mapping[str, Column], *, missing: Missing = "refuse"
) -> dict[str, JointMoments]:
    """Joint moments of the rows of each group, by the group's name as text; `groups[i]` is the group of row i.

    Raises:
        InvalidInput: As for `joint_moments`, or a row has no group.
    """
    labels = np.asarray(groups, object).ravel()
    if any(label is None or label != label for label in labels):  # noqa: PLR0124 - only NaN differs from itself
        raise InvalidInput("some rows have no group", hint="leave them out, or name their group")
    names, index = np.unique(labels.astype(str), return_inverse=True)
    arrays = {name: np.asarray(values, np.float64).ravel() for name, values in columns.items()}
    if any(array.size != labels.size for array in arrays.values()):
        raise InvalidInput("every row needs one group", hint=f"there are {labels.size} groups")
    return {
        str(name): joint_moments({column: array[index == place] for column, array in arrays.items()}, missing=missing)
        for place, name in enumerate(names)
    }


def together(parts: Iterable[JointMoments]) -> JointMoments:
    """Merge any number of joint moments of the same columns.

    Raises:
        InvalidInput: There is none, or they have other columns.
    """
    found = list(parts)
    if not found:
        raise InvalidInput("there are no joint moments to merge")
    merged = found[0]
    for part in found[1:]:
        merged = merged + part
    return merged


def _table(columns: Mapping[str, Column], missing: Missing) -> FloatArray:
    if not columns:
        raise InvalidInput("joint moments need at least one column")
    arrays = [np.asarray(values, np.float64).ravel() for values in columns.values()]
    if len({array.size for array in arrays}) > 1:
        sizes = ", ".join(f"{name}: {array.size}" for name, array in zip(columns, arrays, strict=True))
        raise InvalidInput(f"columns differ in length ({sizes})", hint="one entry a row in each column")
    rows = np.stack(arrays)
    if np.isinf(rows).any():
        raise InvalidInput(f"column {_first(columns, np.isinf(rows))!r} has infinite values")
    absent = np.isnan(rows)
    if not absent.any():
        return rows
    if missing == "zero":
        return np.where(absent, 0.0, rows)
    if missing == "drop":
        return rows[:, ~absent.any(axis=0)]
    raise InvalidInput(
        f"column {_first(columns, absent)!r} lacks {int(absent.sum(axis=1).max())} of {rows.shape[1]} values",
        hint="say missing='zero' (they did nothing) or missing='drop' (leave those rows out)",
    )


def _first(columns: Mapping[str, Column], marked: np.ndarray[Any, np.dtype[np.bool_]]) -> str:
    return tuple(columns)[int(np.argmax(marked.any(axis=1)))]
