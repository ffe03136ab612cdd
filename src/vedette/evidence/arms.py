"""Two arms side by side: what canary and stable did, by bucket, in cells within which the split was constant.

A cell is one plan revision in one hour. Inside a cell the split of traffic is constant, so comparing rates there is
fair whatever the hour of the day did to both arms; over cells only comparisons are added up, never raw counts.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from vedette.evidence.histogram import Histogram
from vedette.evidence.summary import FloatArray, Moments

BUCKET_ROWS = 1025
"""Length of every by-bucket array: 1,024 buckets, and one last entry for requests without a unit."""


_EMPTY: Moments[FloatArray] = Moments(np.zeros(BUCKET_ROWS), np.zeros(BUCKET_ROWS), np.zeros(BUCKET_ROWS))


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmSums:
    """What one version did: by measure, moments of shape (1025,), one entry a bucket, and histograms over all buckets.

    Every request counts in the measure ``requests`` (always 1); the other measures count where they were observed.
    """

    measures: Mapping[str, Moments[FloatArray]]
    histograms: Mapping[str, Histogram]

    def of(self, measure: str) -> Moments[FloatArray]:
        """Give the by-bucket moments of a measure; all zero when it was never observed."""
        return self.measures.get(measure) or _EMPTY

    def histogram(self, measure: str) -> Histogram:
        """Give the histogram of a measure; empty when it was never observed."""
        return self.histograms.get(measure) or Histogram(counts={})

    def __add__(self, other: "ArmSums") -> "ArmSums":
        """Give what both did together."""
        measures = {name: self.of(name) + other.of(name) for name in {*self.measures, *other.measures}}
        histograms = {
            name: self.histogram(name) + other.histogram(name) for name in {*self.histograms, *other.histograms}
        }
        return ArmSums(measures=measures, histograms=histograms)

    def with_units(self) -> "ArmSums":
        """Leave out what came without a unit; histograms, which are over all requests, stay as they are."""
        measures = {
            name: Moments(*(np.append(part[:-1], 0.0) for part in (seen.n, seen.mean, seen.m2)))
            for name, seen in self.measures.items()
        }
        return ArmSums(measures=measures, histograms=self.histograms)

    @property
    def requests(self) -> int:
        """How many requests this version was assigned."""
        return int(np.sum(self.of("requests").n))


NOTHING = ArmSums(measures={}, histograms={})
"""An arm that did nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One plan revision in one hour (hours since 1970): both arms."""

    revision: int
    hour: int
    canary: ArmSums
    stable: ArmSums


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """All a rollout's attempt has seen, and what the stable versions did before it began."""

    cells: tuple[Cell, ...]
    history: ArmSums

    def with_units(self) -> "Evidence":
        """Leave out requests without a unit, where those were not assigned by chance."""
        cells = tuple(
            Cell(
                revision=cell.revision, hour=cell.hour, canary=cell.canary.with_units(), stable=cell.stable.with_units()
            )
            for cell in self.cells
        )
        return Evidence(cells=cells, history=self.history.with_units())
