"""Sums of the rows of a batch, by group: all groups of a measure at once, in a few vector operations.

Moments are taken in two passes, so no digit is lost to a large mean; see `evidence.summary`.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vedette.evidence.histogram import indices_of
from vedette.evidence.summary import FloatArray
from vedette.lake.admission import REQUESTS
from vedette.lake.cells import encoded_part
from vedette.lake.columns import Measures, Rows

_PLACES = 1026  # buckets 0 to 1023, -1 for none, and room


class Grouping(NamedTuple):
    """Which group each row is in, and a row of each group."""

    group: Rows
    first: Rows


def grouped(*columns: NDArray[np.int64]) -> Grouping:
    """Put rows that are alike in every column into one group."""
    key = np.zeros(columns[0].size, np.int64)
    for column in columns:
        values, place = np.unique(column, return_inverse=True)
        key = np.unique(key * max(values.size, 1) + place, return_inverse=True)[1]
    _, first, group = np.unique(key, return_index=True, return_inverse=True)
    return Grouping(group, first)


def moments_by(key: NDArray[np.int64], values: FloatArray) -> tuple[NDArray[np.int64], FloatArray]:
    """Give each key there is, in order, and its n, mean and centred second moment as a row."""
    keys, place = np.unique(key, return_inverse=True)
    n = np.bincount(place, minlength=keys.size).astype(np.float64)
    mean = np.bincount(place, values, keys.size) / n
    deviation = values - mean[place]
    drift = np.bincount(place, deviation, keys.size) / n
    centred = np.bincount(place, deviation * deviation, keys.size) - n * drift * drift
    return keys, np.column_stack((n, mean + drift, np.maximum(centred, 0.0)))


def parts_by(groups: int, group: Rows, rows: Rows, bucket: NDArray[np.int64], measures: Measures) -> Sequence[bytes]:
    """Write the part (see `lake.cells`) of each group; row ``rows[i]`` of the batch is one of group ``group[i]``.

    A row may be in many groups. ``bucket`` and ``measures`` are those of the batch.
    """
    buckets: list[dict[str, bytes]] = [{} for _ in range(groups)]
    bins: list[dict[str, bytes]] = [{} for _ in range(groups)]
    edges = np.arange(groups + 1)
    place = np.empty(bucket.size, np.intp)
    for name, (held, values) in measures.items():
        place.fill(-1)
        place[held] = np.arange(held.size)
        where = place[rows]
        seen = where >= 0
        its_group, value = group[seen], values[where[seen]]
        keys, moments = moments_by(its_group * _PLACES + bucket[rows[seen]] + 1, value)
        table = np.column_stack((keys % _PLACES - 1, moments))
        _cut(buckets, name, table, np.searchsorted(keys, edges * _PLACES))
        if name != REQUESTS:
            index = indices_of(np.maximum(value, 0.0))
            keys, count = np.unique(its_group * _SPAN + (index - _LOWEST), return_counts=True)
            table = np.column_stack((keys % _SPAN + _LOWEST, count))
            _cut(bins, name, table, np.searchsorted(keys, edges * _SPAN))
    return [encoded_part(*part) for part in zip(buckets, bins, strict=True)]


_SPAN, _LOWEST = 1 << 11, -(1 << 10)  # more than there are bins


def _cut(parts: Sequence[dict[str, bytes]], name: str, table: NDArray[Any], bounds: Rows) -> None:
    """Give each group its rows of a table that is sorted by group."""
    packed, width = table.astype("<f8").tobytes(), 8 * table.shape[1]
    cuts = (bounds * width).tolist()
    for part, begin, end in zip(parts, cuts, cuts[1:], strict=False):
        if end > begin:
            part[name] = packed[begin:end]
