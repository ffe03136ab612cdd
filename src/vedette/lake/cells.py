"""Sums by bucket and by histogram bin: what one version did under one plan revision in one hour, or one arm.

Every measure has both, as any of them may be judged by its mean or by a quantile. Histograms are of magnitudes, so
what is negative is counted as zero there.

They are kept in parts, one for each batch, which hold only the buckets and bins that saw something. Adding a batch
therefore touches nothing that is there already; merging the parts is exact and costs a few vector operations, so it is
done by whoever reads, and once in a while by whoever writes, to keep the parts few.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from msgspec import Struct, msgpack

from vedette.evidence.arms import BUCKET_ROWS, ArmSums
from vedette.evidence.histogram import OVERFLOW, ZERO, Histogram
from vedette.evidence.summary import FloatArray, Moments

_BINS = OVERFLOW - ZERO + 1


MOST_PARTS = 32
"""A cell with this many parts is merged into one by the batch that comes next."""


class CellKey(NamedTuple):
    """One version under one plan revision in one hour, in hours since 1970."""

    domain: str
    plan_revision: int
    version: str
    hour: int


class ExposureKey(NamedTuple):
    """One arm of an experiment in one epoch of its split and one hour, in hours since 1970."""

    domain: str
    experiment: str
    epoch: int
    arm: str
    hour: int


class _Part(Struct, array_like=True):
    """The stored form: rows of little-endian 64-bit floats, by measure."""

    buckets: dict[str, bytes]  # bucket, n, mean, centred
    bins: dict[str, bytes]  # bin, n


_encode = msgpack.Encoder().encode
_decode = msgpack.Decoder(_Part).decode


def arm_of(parts: Iterable[bytes]) -> ArmSums:
    """Merge parts, of one cell or of many, into what the arm did."""
    decoded = [_decode(part) for part in parts]
    buckets, bins = _stacked([part.buckets for part in decoded], 4), _stacked([part.bins for part in decoded], 2)
    return ArmSums(
        measures={name: _moments(rows) for name, rows in buckets.items()},
        histograms={name: _histogram(rows) for name, rows in bins.items()},
    )


def merged(parts: Sequence[bytes]) -> bytes:
    """Merge parts of one cell into one."""
    arm = arm_of(parts)
    buckets, bins = {}, {}
    for name, sums in arm.measures.items():
        index = np.flatnonzero(sums.n)
        buckets[name] = np.column_stack((index, sums.n[index], sums.mean[index], sums.m2[index]))
    for name, histogram in arm.histograms.items():
        bins[name] = list(histogram.counts.items())
    return part_of(buckets, bins)


def encoded_part(buckets: dict[str, bytes], bins: dict[str, bytes]) -> bytes:
    """Write a part from rows that are packed already."""
    return _encode(_Part(buckets, bins))


def part_of(buckets: Mapping[str, object], bins: Mapping[str, object]) -> bytes:
    """Write a part from rows of bucket, n, mean and centred, and rows of bin and n, by measure."""

    def packed(rows: object) -> bytes:
        return np.asarray(rows, "<f8").tobytes()

    return encoded_part(
        {name: packed(rows) for name, rows in buckets.items()}, {name: packed(rows) for name, rows in bins.items()}
    )


def _stacked(parts: Sequence[Mapping[str, bytes]], width: int) -> dict[str, FloatArray]:
    """Join the rows of all parts, by measure."""
    names = dict.fromkeys(name for part in parts for name in part)
    return {
        name: np.frombuffer(b"".join(part[name] for part in parts if name in part), "<f8").reshape(-1, width)
        for name in names
    }


def _moments(rows: FloatArray) -> Moments[FloatArray]:
    """Merge rows of sums by bucket; all at once, which is the pairwise update of Chan et al. 1983 taken together."""
    bucket = rows[:, 0].astype(np.intp) % BUCKET_ROWS  # -1, a request without a unit, is the last entry
    n, mean, centred = rows[:, 1], rows[:, 2], rows[:, 3]
    total = np.bincount(bucket, n, BUCKET_ROWS).astype(np.float64)
    divisor = np.maximum(total, 1.0)
    pivot = np.bincount(bucket, n * mean, BUCKET_ROWS) / divisor
    shift = mean - pivot[bucket]
    drift = np.bincount(bucket, n * shift, BUCKET_ROWS) / divisor
    spread = np.bincount(bucket, centred + n * shift * shift, BUCKET_ROWS) - total * drift * drift
    return Moments(total, pivot + drift, np.maximum(spread, 0.0))


def _histogram(rows: FloatArray) -> Histogram:
    counts = np.bincount(rows[:, 0].astype(np.intp) - ZERO, rows[:, 1], _BINS)
    held = np.flatnonzero(counts)
    return Histogram(dict(zip((held + ZERO).tolist(), counts[held].astype(np.int64).tolist(), strict=True)))
