"""Do more than two arms differ? Tables of counts, arms in rows and outcomes in columns, of any size.

References:
    Pearson, Philosophical Magazine 50 (1900). Wilks, Annals of Mathematical Statistics 6 (1935): G.
    Cochran, "Some methods for strengthening the common χ² tests", Biometrics 10 (1954): how small is too small.
    Cramér, Mathematical Methods of Statistics (1946): V.
"""

import math
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import chdtrc, rel_entr

from vedette.evidence.summary import FloatArray
from vedette.kernel.errors import InvalidInput
from vedette.kernel.tables import Shown
from vedette.stats.cautions import Caution
from vedette.stats.proportion_intervals import Counts
from vedette.stats.proportion_results import FEW


class TableStatistic(StrEnum):
    """Which distance between the table and independence is measured."""

    PEARSON = "pearson_chi_square"
    G = "g_likelihood_ratio"


@dataclass(frozen=True, slots=True, kw_only=True)
class Independence(Shown):
    """Test that the rows of a table have the same distribution; None where unknown, and `warnings` say why.

    Attributes:
        statistic: Chi-square or G.
        degrees: Degrees of freedom, without empty rows and columns.
        p_value: From the survival side.
        cramers_v: Size of the association, from 0 to 1, by Pearson's chi-square.
        least_expected: Smallest expected count.
        method: Which statistic.
        warnings: `EMPTY_ARM` for rows left out, `SMALL_COUNTS` where Cochran's rule is broken, `NO_VARIANCE` if fewer
            than two rows or columns hold anything.
    """

    statistic: float | None
    degrees: int
    p_value: float | None
    cramers_v: float | None
    least_expected: float | None
    method: str
    warnings: tuple[Caution, ...] = ()


def equal_proportions(arms: Counts, *, statistic: TableStatistic = TableStatistic.PEARSON) -> Independence:
    """Test that k arms have one common proportion: `Counts` of shape (k,), chi-square with k - 1 degrees of freedom.

    Raises:
        InvalidInput: the counts are not those of at least two arms.
    """
    if arms.trials.ndim != 1:
        raise InvalidInput("successes and trials are two lists, with one number for each arm")
    return independence(np.stack([arms.successes, arms.failures], axis=-1), statistic=statistic)


def independence(table: ArrayLike, *, statistic: TableStatistic = TableStatistic.PEARSON) -> Independence:
    """Test that the rows of a k × m table of counts have the same distribution over its columns.

    Raises:
        InvalidInput: the table has fewer than two rows or columns, or counts that are negative or not finite.
    """
    counts = _checked(table)
    if counts.ndim != 2:
        raise InvalidInput("a table has two dimensions", hint="for many at once use distance and degrees_of_freedom")
    degrees = int(degrees_of_freedom(counts))
    name = str(TableStatistic(statistic))
    warnings: tuple[Caution, ...] = (Caution.EMPTY_ARM,) if (counts.sum(axis=1) == 0).any() else ()
    if degrees == 0:
        return Independence(
            statistic=None,
            degrees=0,
            p_value=None,
            cramers_v=None,
            least_expected=None,
            method=name,
            warnings=(*warnings, Caution.NO_VARIANCE),
        )
    held = expected(counts)
    held = held[held > 0]
    if held.min() < 1.0 or (held < FEW).mean() > 0.2:
        warnings += (Caution.SMALL_COUNTS,)
    measured = float(distance(counts, statistic))
    rows, columns = ((counts.sum(axis=axis) > 0).sum() for axis in (1, 0))
    return Independence(
        statistic=measured,
        degrees=degrees,
        p_value=float(chdtrc(degrees, measured)),
        cramers_v=math.sqrt(float(distance(counts)) / (counts.sum() * (min(rows, columns) - 1))),
        least_expected=float(held.min()),
        method=name,
        warnings=warnings,
    )


def expected(table: ArrayLike) -> FloatArray:
    """Counts expected if rows and columns are independent; shape (..., k, m) as the table's, 0 in empty tables."""
    counts = _checked(table)
    total = counts.sum(axis=(-2, -1), keepdims=True)
    both = counts.sum(axis=-1, keepdims=True) * counts.sum(axis=-2, keepdims=True)
    return np.asarray(both / np.where(total > 0, total, 1.0))


def distance(table: ArrayLike, statistic: TableStatistic = TableStatistic.PEARSON) -> FloatArray:
    """Chi-square or G of tables of shape (..., k, m), as an array of shape (...); empty rows and columns add 0."""
    counts, held = _checked(table), expected(table)
    if TableStatistic(statistic) is TableStatistic.G:
        return np.asarray(2.0 * rel_entr(counts, held).sum(axis=(-2, -1)))
    return np.asarray(((counts - held) ** 2 / np.where(held > 0, held, 1.0)).sum(axis=(-2, -1)))


def degrees_of_freedom(table: ArrayLike) -> FloatArray:
    """Degrees of freedom of tables of shape (..., k, m), not counting empty rows and columns; 0 if nothing can vary."""
    counts = _checked(table)
    rows, columns = ((counts.sum(axis=axis) > 0).sum(axis=-1) for axis in (-1, -2))
    return np.asarray(np.maximum(rows - 1, 0) * np.maximum(columns - 1, 0), np.float64)


def _checked(table: ArrayLike) -> FloatArray:
    counts = np.asarray(table, np.float64)
    if counts.ndim < 2 or min(counts.shape[-2:]) < 2:
        raise InvalidInput("a table has at least two rows and two columns", hint=f"got shape {counts.shape}")
    if not (np.isfinite(counts).all() and (counts >= 0).all()):
        raise InvalidInput("counts in a table are finite, none negative")
    return counts
