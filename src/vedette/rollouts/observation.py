"""What one look saw: the evidence reduced, metric by metric, to the few figures a verdict is made from.

An observation is small, plain data. It is stored with every look, so that a decision can be explained from what it
was made of, and replayed under another spec.

Rates are read over the whole attempt, cell by cell: the e-process adds comparisons, so it may. Means and quantiles are
read over the current step alone, within which the split is constant; their α is divided over the steps.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import Discriminator

from vedette.evidence.arms import NOTHING, ArmSums, Evidence
from vedette.evidence.metric import Metric, MetricKind
from vedette.evidence.summary import FloatArray, Moments
from vedette.kernel.records import record
from vedette.stats.clusters import cluster_estimate
from vedette.stats.own_history import HistoryCells, against_history

LOOSE = 1024
"""The by-bucket entry of requests without a unit."""


@record
class ArmEstimate:
    """One arm's mean, the variance of that mean (None: unknown), and from how many units: requests or clusters."""

    mean: float
    variance: float | None
    units: float
    samples: float


@record
class RateCell:
    """Requests and bad events of both arms in one cell, and what of them is judged.

    ``expected_share`` is the canary's share of the ``judged_total`` bad events if nothing changed; of units without a
    history nothing is expected, so they are not judged.
    """

    revision: int
    hour: int
    canary: float
    stable: float
    bad_canary: float
    bad_stable: float
    judged_canary: float
    judged_total: float
    expected_share: float

    @classmethod
    def by_requests(
        cls, *, revision: int, hour: int, canary: float, stable: float, bad_canary: float, bad_stable: float
    ) -> Self:
        """Make a cell in which the canary is expected to have its share of the requests in the bad events."""
        return cls(
            revision=revision,
            hour=hour,
            canary=canary,
            stable=stable,
            bad_canary=bad_canary,
            bad_stable=bad_stable,
            judged_canary=bad_canary,
            judged_total=bad_canary + bad_stable,
            expected_share=canary / (canary + stable) if canary + stable else 0.0,
        )


@record
class RateObservation:
    """A rate by cell, and the part of the canary's requests that is from units one can expect something of."""

    kind: Literal["rate"] = "rate"
    basis: Literal["history", "requests"]
    dispersion: float
    covered: float
    cells: tuple[RateCell, ...]


@record
class MeanObservation:
    """A mean or a ratio of both arms over the current step."""

    kind: Literal["mean"] = "mean"
    basis: Literal["clusters", "requests"]
    better: Literal["lower", "higher"]
    canary: ArmEstimate
    stable: ArmEstimate


@record
class QuantileObservation:
    """Both arms' histograms (bin to count) over the current step, and how much clustering inflates variance."""

    kind: Literal["quantile"] = "quantile"
    better: Literal["lower", "higher"]
    quantile: float
    canary: dict[int, int]
    stable: dict[int, int]
    design_effect: float


@record
class Unmeasured:
    """Nothing, and why: what the metric is read from did not answer, or its answer cannot be counted."""

    kind: Literal["unmeasured"] = "unmeasured"
    why: str


Observation = Annotated[RateObservation | MeanObservation | QuantileObservation | Unmeasured, Discriminator("kind")]
"""What one look saw of one metric."""


@record
class Exposure:
    """The traffic of one cell, and the canary's intended ``weight`` in percent there.

    ``design_effect`` is by how much clustered requests count less than single ones.
    """

    revision: int
    hour: int
    weight: float
    canary: float
    stable: float
    design_effect: float


def observe(metric: Metric, evidence: Evidence, step_plan: int) -> Observation:
    """Reduce the evidence to what a verdict on ``metric`` needs; ``step_plan`` is the first plan of this step."""
    step = [cell for cell in evidence.cells if cell.revision >= step_plan]
    if metric.kind is MetricKind.RATE:
        return _rate(metric, evidence)
    canary, stable = _joined([cell.canary for cell in step]), _joined([cell.stable for cell in step])
    if metric.kind is MetricKind.QUANTILE:
        return QuantileObservation(
            better=metric.better,
            quantile=metric.quantile,
            canary=dict(canary.histogram(metric.measure).counts),
            stable=dict(stable.histogram(metric.measure).counts),
            design_effect=_design_effect(canary.of(metric.measure).n + stable.of(metric.measure).n),
        )
    sticky = _is_sticky(canary.of(metric.measure).n + stable.of(metric.measure).n)
    ratio = metric.kind is MetricKind.RATIO
    estimate = _clustered if sticky or ratio else _independent
    return MeanObservation(
        basis="clusters" if sticky or ratio else "requests",
        better=metric.better,
        canary=estimate(canary.of(metric.measure), canary.of(metric.denominator) if ratio else None),
        stable=estimate(stable.of(metric.measure), stable.of(metric.denominator) if ratio else None),
    )


def exposures(evidence: Evidence, weights: Mapping[int, float]) -> tuple[Exposure, ...]:
    """Say what both arms got, cell by cell; ``weights`` gives each plan revision's weight in percent."""
    return tuple(
        Exposure(
            revision=cell.revision,
            hour=cell.hour,
            weight=weights[cell.revision],
            canary=cell.canary.requests,
            stable=cell.stable.requests,
            design_effect=_design_effect(cell.canary.of("requests").n + cell.stable.of("requests").n),
        )
        for cell in evidence.cells
    )


def _rate(metric: Metric, evidence: Evidence) -> RateObservation:
    def counts(arm: ArmSums) -> tuple[FloatArray, FloatArray]:
        seen = arm.of(metric.measure)
        return seen.n, seen.sum if metric.better == "lower" else seen.n - seen.sum

    if not evidence.cells:
        return RateObservation(basis="requests", dispersion=1.0, covered=1.0, cells=())
    canary_n, canary_bad = (np.stack(x) for x in zip(*(counts(cell.canary) for cell in evidence.cells), strict=True))
    stable_n, stable_bad = (np.stack(x) for x in zip(*(counts(cell.stable) for cell in evidence.cells), strict=True))
    judged = _judged(canary_n, canary_bad, stable_n, stable_bad, *counts(evidence.history))
    cells = tuple(
        RateCell(
            revision=cell.revision,
            hour=cell.hour,
            canary=_whole(canary_n[index]),
            stable=_whole(stable_n[index]),
            bad_canary=_whole(canary_bad[index]),
            bad_stable=_whole(stable_bad[index]),
            judged_canary=_whole(judged.bad_canary[index]),
            judged_total=_whole(judged.bad_total[index]),
            expected_share=float(judged.expected_share[index]),
        )
        for index, cell in enumerate(evidence.cells)
    )
    spread = float(judged.dispersion)
    sticky = _is_sticky(canary_n.sum(axis=0) + stable_n.sum(axis=0))
    covered = float(judged.covered)
    return RateObservation(basis="history" if sticky else "requests", dispersion=spread, covered=covered, cells=cells)


def _judged(
    canary_n: FloatArray,
    canary_bad: FloatArray,
    stable_n: FloatArray,
    stable_bad: FloatArray,
    past_n: FloatArray,
    past_bad: FloatArray,
) -> HistoryCells:
    """Set the canary against what is expected of it: by its buckets' history or, without units, by its requests."""
    if _is_sticky((canary_n + stable_n).sum(axis=0)):
        return against_history(canary_n, canary_bad, stable_n, stable_bad, past_n, past_bad)
    bad, total = canary_bad.sum(axis=-1), (canary_bad + stable_bad).sum(axis=-1)
    requests, all_requests = canary_n.sum(axis=-1), (canary_n + stable_n).sum(axis=-1)
    share = np.divide(requests, all_requests, out=np.zeros_like(requests), where=all_requests > 0)
    return HistoryCells(
        bad_canary=bad, bad_total=total, expected_share=share, dispersion=np.ones(()), covered=np.ones(())
    )


def _whole(counts: FloatArray) -> float:
    """Add up counts that went through means, so that they are whole numbers again."""
    return round(float(counts.sum()), 6)


def _is_sticky(n: FloatArray) -> bool:
    return bool(n[:LOOSE].any())


def _design_effect(n: FloatArray) -> float:
    """Kish: the effective number of units is (Σn)² / Σn², where each loose request is a unit of its own."""
    total = float(n.sum())
    return 1.0 if total == 0 else max(1.0, (float((n[:LOOSE] ** 2).sum()) + float(n[LOOSE])) / total)


def _joined(arms: Sequence[ArmSums]) -> ArmSums:
    joined = NOTHING
    for arm in arms:
        joined = joined + arm
    return joined


def _independent(seen: Moments[FloatArray], _: Moments[FloatArray] | None = None) -> ArmEstimate:
    pooled = seen.pooled()
    variance = float(pooled.mean_variance) if pooled.n > 1 else None
    return ArmEstimate(mean=pooled.mean, variance=variance, units=pooled.n, samples=pooled.n)


def _clustered(seen: Moments[FloatArray], base: Moments[FloatArray] | None = None) -> ArmEstimate:
    found = cluster_estimate(seen.sum, seen.n if base is None else base.sum)
    return ArmEstimate(
        mean=found.mean,
        variance=None if math.isnan(found.variance) else found.variance,
        units=found.n,
        samples=float(seen.n.sum()),
    )
