"""Outcomes to test with, and what their sums have to be."""

import itertools
import os
import resource
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from vedette.evidence.histogram import Histogram
from vedette.evidence.outcome import Exposure, Outcome, OutcomeStatus
from vedette.evidence.summary import moments
from vedette.kernel.hashing import bucket_of, seed_of
from vedette.lake.evidence import LakeReader
from vedette.lake.outcomes import Lake
from vedette.lake.sealer import Sealed

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
CANARY, STABLE = "pay-2", "pay-1"

_numbers = itertools.count()


def outcome(measures: Mapping[str, float] | None = None, **fields: object) -> Outcome:
    """One outcome, ordinary in all that is not given."""
    ordinary: dict[str, object] = {
        "id": f"outcome-{next(_numbers):08d}",
        "domain": "payments",
        "at": NOON,
        "assigned": STABLE,
        "served": STABLE,
        "plan_revision": 7,
        "bucket": 3,
        "status": OutcomeStatus.OK,
        "measures": measures or {"error": 0.0, "latency_ms": 120.0},
    }
    return Outcome(**(ordinary | fields))  # type: ignore[arg-type]  # the fields of a test, by name


def an_hour_later(lake: Lake) -> None:
    """Let the time of spared files go by, and seal until nothing is left to do."""
    done = None
    while done != Sealed():
        for path in (lake._segments or Path()).glob("*.parquet"):
            os.utime(path, (0, 0))
        done = lake.seal()


def exposed(experiment: str = "tone", arm: str = "treatment", epoch: int = 0) -> Exposure:
    """One exposure."""
    return Exposure(experiment=experiment, arm=arm, epoch=epoch)


def cluster(event: Outcome) -> int:
    """The bucket in which experiments count an outcome: its unit's, or one by its id."""
    return event.bucket if event.bucket >= 0 else bucket_of(seed_of("cluster"), event.id)


@contextmanager
def files_no_larger_than(size: int) -> Iterator[None]:
    """Let this process write no file beyond `size` bytes, which is how a full disk looks to it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def assert_sums_are_those_of(
    lake: LakeReader, domain: str, counted: Sequence[tuple[Outcome, Mapping[str, float]]]
) -> None:
    """Compare every sum of a domain with the one computed from the events themselves, at 1e-9."""
    buckets: dict[object, list[float]] = defaultdict(list)
    bins: dict[object, list[float]] = defaultdict(list)
    minutes: dict[object, list[float]] = defaultdict(list)
    for event, measures in counted:
        hour = event.at.replace(minute=0, second=0, microsecond=0)
        minute = event.at.replace(second=0, microsecond=0)
        for name, value in {"requests": 1.0, **measures}.items():
            buckets[event.plan_revision, hour, event.assigned, name, event.bucket].append(value)
            minutes[minute, event.assigned, name].append(value)
            if name != "requests":
                bins[event.plan_revision, hour, event.assigned, name].append(max(value, 0.0))
    found_buckets: dict[object, tuple[float, ...]] = {}
    found_bins: dict[object, Histogram] = {}
    revisions = {event.plan_revision for event, _ in counted}
    for cell in lake.evidence(domain, canary=CANARY, stable=STABLE, plan_revisions=revisions).cells:
        hour = datetime.fromtimestamp(cell.hour * 3600, UTC)
        for version, arm in ((CANARY, cell.canary), (STABLE, cell.stable)):
            for name, sums in arm.measures.items():
                for bucket in np.flatnonzero(sums.n):
                    key = (cell.revision, hour, version, name, -1 if bucket == 1024 else int(bucket))
                    found_buckets[key] = (sums.n[bucket], sums.mean[bucket], sums.m2[bucket])
            found_bins |= {(cell.revision, hour, version, name): bins for name, bins in arm.histograms.items()}
    _assert_same_moments(found_buckets, buckets)
    assert found_bins == {key: Histogram.of(values) for key, values in bins.items()}
    rows = lake.minutes(domain, datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))
    found_minutes: dict[object, tuple[float, ...]] = {
        (row.at, row.version, name): (sums.n, sums.mean, sums.m2) for row in rows for name, sums in row.measures.items()
    }
    _assert_same_moments(found_minutes, minutes)


def assert_arms_are_those_of(
    lake: LakeReader, domain: str, counted: Sequence[tuple[Outcome, Mapping[str, float]]]
) -> None:
    """Compare every sum of every arm of a domain with the one computed from the events themselves, at 1e-9."""
    buckets: dict[object, list[float]] = defaultdict(list)
    bins: dict[object, list[float]] = defaultdict(list)
    for event, measures in counted:
        for each in event.exposures:
            for name, value in {"requests": 1.0, **measures}.items():
                key = (each.experiment, each.epoch, each.arm, name)
                buckets[*key, cluster(event)].append(value)
                if name != "requests":
                    bins[key].append(max(value, 0.0))
    found_buckets: dict[object, tuple[float, ...]] = {}
    found_bins: dict[object, Histogram] = {}
    for experiment in {each.experiment for event, _ in counted for each in event.exposures}:
        for epoch, arms in lake.experiment(domain, experiment).epochs.items():
            for arm, sums in arms.items():
                for name, moments_ in sums.measures.items():
                    for bucket in np.flatnonzero(moments_.n):
                        values = (moments_.n[bucket], moments_.mean[bucket], moments_.m2[bucket])
                        found_buckets[experiment, epoch, arm, name, int(bucket)] = values
                found_bins |= {(experiment, epoch, arm, name): each for name, each in sums.histograms.items()}
    _assert_same_moments(found_buckets, buckets)
    assert found_bins == {key: Histogram.of(values) for key, values in bins.items()}


def _assert_same_moments(found: Mapping[object, tuple[float, ...]], wanted: Mapping[object, list[float]]) -> None:
    assert found.keys() == wanted.keys()
    for key, values in wanted.items():
        exact = moments(values)
        scale = max(1.0, *values)
        np.testing.assert_allclose(found[key][:2], (exact.n, exact.mean), rtol=1e-9, atol=1e-12, err_msg=str(key))
        np.testing.assert_allclose(found[key][2], exact.m2, rtol=1e-9, atol=1e-9 * scale, err_msg=str(key))
