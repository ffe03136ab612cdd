"""Mergeable moments: how many, their mean, and how far they spread.

Sums of squares lose every digit when the mean is large beside the spread, so the second moment is kept centred and two
summaries are merged by the update of Chan, Golub and LeVeque, "Algorithms for computing the sample variance" (1983).
"""

from typing import Generic, Self, TypeVar, cast

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray

from vedette.kernel.errors import InvalidInput

FloatArray = NDArray[np.float64]
Quantity = TypeVar("Quantity", float, FloatArray)


class Moments(msgspec.Struct, Generic[Quantity], frozen=True, array_like=True, gc=False):
    """Count, mean and centred second moment of some values; merging two is the same as having seen all the values.

    The fields are three floats, or three arrays of one shape (one entry a bucket). An empty entry is all zeros. It is
    stored as an array of the three, and read back as itself: a chart reads tens of thousands.

    Attributes:
        n: How many values.
        mean: Their mean; 0 where `n` is 0.
        m2: Centred second moment, the sum of squared deviations from the mean.
    """

    n: Quantity
    mean: Quantity
    m2: Quantity

    @property
    def sum(self) -> Quantity:
        """Sum of the values."""
        return self.n * self.mean

    @property
    def variance(self) -> Quantity:
        """Unbiased variance; NaN where fewer than two values are known."""
        degrees = np.where(np.greater(self.n, 1), np.subtract(self.n, 1), np.nan)
        return cast("Quantity", np.divide(self.m2, degrees)[()])

    @property
    def mean_variance(self) -> Quantity:
        """Squared standard error of the mean, for independent values; NaN where fewer than two are known."""
        return cast("Quantity", np.divide(self.variance, np.maximum(self.n, 1.0)))

    def merge(self, other: Self) -> Self:
        """Moments of both sets of values together (Chan et al. 1983)."""
        n = self.n + other.n
        share = other.n / (n + (n == 0))
        shift = other.mean - self.mean
        mean = self.mean + shift * share
        return type(self)(n, mean, self.m2 + other.m2 + shift * shift * self.n * share)

    __add__ = merge

    def pooled(self) -> "Moments[float]":
        """All entries merged into one."""
        n, mean = np.asarray(self.n, np.float64), np.asarray(self.mean, np.float64)
        total = float(n.sum())
        if total == 0:
            return EMPTY
        pivot = float((n * mean).sum()) / total
        shift = mean - pivot
        drift = float((n * shift).sum()) / total
        centred = float(np.sum(self.m2) + (n * shift * shift).sum()) - total * drift * drift
        return Moments(total, pivot + drift, max(centred, 0.0))


EMPTY: Moments[float] = Moments(0.0, 0.0, 0.0)


def moments(values: ArrayLike) -> Moments[float]:
    """Moments of finite values, in two passes so that no digit is lost to a large mean.

    Raises:
        InvalidInput: A value is NaN or infinite.
    """
    array = _finite(values)
    return moments_by_bucket(array, np.zeros(array.size, np.intp), 1).pooled()


def moments_by_bucket(values: ArrayLike, buckets: ArrayLike, size: int) -> Moments[FloatArray]:
    """Moments of the values in each of `size` buckets; `buckets[i]` is the bucket of `values[i]`.

    Raises:
        InvalidInput: A value is NaN or infinite, or a bucket lies outside `0 … size - 1`.
    """
    array, index = _finite(values), np.asarray(buckets, np.intp)
    if index.shape != array.shape or (index.size and not 0 <= index.min() <= index.max() < size):
        raise InvalidInput(f"every value needs one bucket from 0 to {size - 1}")
    n = np.bincount(index, minlength=size).astype(np.float64)
    divisor = np.maximum(n, 1.0)
    mean = np.bincount(index, array, size) / divisor
    deviation = array - mean[index]
    drift = np.bincount(index, deviation, size) / divisor
    centred = np.bincount(index, deviation * deviation, size) - n * drift * drift
    return Moments(n, mean + drift, np.maximum(centred, 0.0))


def _finite(values: ArrayLike) -> FloatArray:
    array = np.asarray(values, np.float64).ravel()
    if not np.isfinite(array).all():
        raise InvalidInput("values must be finite numbers")
    return array
