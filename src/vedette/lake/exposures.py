"""What arms of experiments did: the same sums by bucket and histogram bin as a version's, of one arm in one hour.

A request may be in ten experiments at once. It is measured once, and each of its arms only notes its row; the sums of
all arms are then taken from the same columns, a few vector operations for each.
"""

from collections.abc import Iterable, Mapping
from typing import Generic, NamedTuple, TypeVar

import numpy as np
from msgspec import json

from vedette.evidence.histogram import ZERO, index_of
from vedette.evidence.outcome import Exposure
from vedette.evidence.summary import moments_by_bucket
from vedette.kernel.hashing import bucket_of, seed_of
from vedette.lake.admission import REQUESTS
from vedette.lake.cells import part_of

Key = TypeVar("Key")

_CLUSTER = seed_of("cluster")
_MISSING = ZERO - 1
_EXPOSURES = json.Decoder(list[tuple[str, str, int]])
_DIMENSIONS = json.Decoder(dict[str, str])


class ExposureKey(NamedTuple):
    """One arm of an experiment in one epoch of its split and one hour, in hours since 1970."""

    domain: str
    experiment: str
    epoch: int
    arm: str
    hour: int


class SharedTally(Generic[Key]):
    """Counts outcomes that belong to several things at once."""

    __slots__ = ("_buckets", "_measures", "_rows")

    def __init__(self) -> None:
        self._buckets: list[int] = []
        self._measures: dict[str, tuple[list[int], list[float]]] = {}  # rows and their values
        self._rows: dict[Key, list[int]] = {}

    def add(self, keys: Iterable[Key], bucket: int, measures: Mapping[str, float]) -> None:
        """Count the measures of one outcome for each of ``keys``."""
        row = len(self._buckets)
        self._buckets.append(bucket)
        for key in keys:
            (self._rows.get(key) or self._rows.setdefault(key, [])).append(row)
        for name, value in measures.items():
            rows, values = self._measures.get(name) or self._measures.setdefault(name, ([], []))
            rows.append(row)
            values.append(value)

    def parts(self) -> dict[Key, bytes]:
        """Write what was counted, a part for each key."""
        buckets = np.array(self._buckets, np.intp)
        columns = {name: self._column(name, *measured) for name, measured in self._measures.items()}
        found = {}
        for key, noted in self._rows.items():
            rows = np.array(noted, np.intp)
            touched, place = np.unique(buckets[rows], return_inverse=True)
            sums, bins = {}, {}
            for name, (values, indices) in columns.items():
                value, index = values[rows], indices[rows]
                seen = ~np.isnan(value)
                if not seen.any():
                    continue
                moments = moments_by_bucket(value[seen], place[seen], touched.size)
                held = moments.n > 0
                sums[name] = np.column_stack((touched, moments.n, moments.mean, moments.m2))[held]
                if name != REQUESTS:
                    bins[name] = np.column_stack(np.unique(index[seen], return_counts=True))
            found[key] = part_of(sums, bins)
        return found

    def _column(self, name: str, rows: list[int], values: list[float]) -> tuple[np.ndarray, np.ndarray]:
        """Lay a measure out by row: its values, NaN where there is none, and their histogram bins."""
        value, index = np.full(len(self._buckets), np.nan), np.full(len(self._buckets), _MISSING, np.intp)
        value[rows] = values
        if name != REQUESTS:
            index[rows] = [index_of(max(each, 0.0)) for each in values]
        return value, index


def cluster_of(bucket: int, outcome_id: str) -> int:
    """Give the bucket an outcome is analysed in: its unit's, or, for one without a unit, one by its id."""
    return bucket if bucket >= 0 else bucket_of(_CLUSTER, outcome_id)


def arms_of(column: str | None) -> dict[str, tuple[int, str]]:
    """Read from an outcome's row the epoch and the arm of each experiment that had it."""
    if column is None:
        return {}
    return {experiment: (epoch, arm) for experiment, arm, epoch in _EXPOSURES.decode(column)}


def exposures_of(column: str | None) -> tuple[Exposure, ...]:
    """Read the exposures of an outcome from its row."""
    arms = arms_of(column).items()
    return tuple(Exposure(experiment=name, arm=arm, epoch=epoch) for name, (epoch, arm) in arms)


def dimensions_of(column: str | None) -> dict[str, str]:
    """Read the dimensions of an outcome from its row."""
    return {} if column is None else _DIMENSIONS.decode(column)
