"""What one look saw: the evidence reduced, metric by metric, to the few figures a verdict is made from.

An observation is small, plain data. It is stored with every look, so that a decision can be explained from what it
was made of, and replayed under another spec.

Rates are read over the whole attempt, cell by cell: the e-process adds comparisons, so it may. Means and quantiles are
read over the current step alone, within which the split is constant; their α is divided over the steps.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

import numpy as np
from pydantic import Discriminator

from vedette.evidence.arms import NOTHING, ArmSums, Cell, Evidence
from vedette.evidence.metric import Metric, MetricKind
from vedette.evidence.summary import FloatArray, Moments
from vedette.kernel.records import record
from vedette.stats.rate_ratio import estimate_dispersion, expected_share, past_rate

LOOSE = 1024
"""The by-bucket entry of requests without a unit."""
HISTORY_REQUESTS = 20
"""A bucket has a history from this many past observations on."""
HISTORY_COVERAGE = 0.8
"""Buckets with a history must carry this share of the traffic, else the history is not used."""

Basis = Literal["history", "requests", "clusters"]
"""What a comparison rests on: each bucket's own history, requests assigned one by one, or whole buckets as clusters."""


@record
class ArmEstimate:
    """One arm's mean, the variance of that mean, and from how many units (requests, or effective clusters)."""

    mean: float
    variance: float
    units: float
    samples: float


@record
class RateCell:
    """Bad events of both arms in one cell; ``expected_share`` is the canary's share of them if nothing changed."""

    revision: int
    hour: int
    canary: float
    stable: float
    bad_canary: float
    bad_stable: float
    expected_share: float


@record
class RateObservation:
    """A rate by cell; for sticky units without a history also both arms as clusters, over the current step."""

    kind: Literal["rate"] = "rate"
    basis: Basis
    dispersion: float
    cells: tuple[RateCell, ...]
    canary: ArmEstimate | None = None
    stable: ArmEstimate | None = None


@record
class MeanObservation:
    """A mean or a ratio of both arms over the current step."""

    kind: Literal["mean"] = "mean"
    basis: Basis
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


Observation = Annotated[RateObservation | MeanObservation | QuantileObservation, Discriminator("kind")]
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
    """Reduce the evidence to what a verdict on ``metric`` needs; ``step_plan`` is the first plan of the current step."""
    step = [cell for cell in evidence.cells if cell.revision >= step_plan]
    if metric.kind is MetricKind.RATE:
        return _rate(metric, evidence, step)
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
    """Say what traffic both arms got, cell by cell; ``weights`` gives each plan revision's weight in percent."""
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


def _rate(metric: Metric, evidence: Evidence, step: Sequence[Cell]) -> RateObservation:
    def counts(arm: ArmSums) -> tuple[FloatArray, FloatArray]:
        seen = arm.of(metric.measure)
        return seen.n, seen.sum if metric.better == "lower" else seen.n - seen.sum

    past_n, past_bad = counts(evidence.history)
    both = [(counts(cell.canary), counts(cell.stable)) for cell in evidence.cells]
    traffic = sum((canary[0] + stable[0] for canary, stable in both), np.zeros_like(past_n))
    basis = _basis(traffic, past_n)
    known = (past_n, past_bad) if basis == "history" else (np.zeros_like(past_n), np.zeros_like(past_bad))
    rate = past_rate(*known)
    cells = tuple(
        RateCell(
            revision=cell.revision,
            hour=cell.hour,
            canary=float(canary_n.sum()),
            stable=float(stable_n.sum()),
            bad_canary=float(canary_bad.sum()),
            bad_stable=float(stable_bad.sum()),
            expected_share=float(expected_share(canary_n, stable_n, *known)),
        )
        for cell, ((canary_n, canary_bad), (stable_n, stable_bad)) in zip(evidence.cells, both, strict=True)
    )
    stable_seen = [seen for _, seen in both]
    spread = 1.0
    if stable_seen and basis == "history":
        expected = sum((n * rate for n, _ in stable_seen), np.zeros_like(past_n))
        spread = float(estimate_dispersion(sum((bad for _, bad in stable_seen), np.zeros_like(past_n)), expected))
    found = RateObservation(basis=basis, dispersion=spread, cells=cells)
    if basis != "clusters":
        return found
    arms = [
        [
            Moments(n, np.divide(bad, n, out=np.zeros_like(n), where=n > 0), np.zeros_like(n))
            for n, bad in map(counts, side)
        ]
        for side in ([c.canary for c in step], [c.stable for c in step])
    ]
    canary, stable = (_clustered(_sum(arm)) for arm in arms)
    return RateObservation(basis=basis, dispersion=spread, cells=cells, canary=canary, stable=stable)


def _basis(traffic: FloatArray, past: FloatArray) -> Basis:
    if not _is_sticky(traffic):
        return "requests"
    covered = float(traffic[past >= HISTORY_REQUESTS].sum())
    return "history" if covered >= HISTORY_COVERAGE * float(traffic.sum()) else "clusters"


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


def _sum(parts: Sequence[Moments[FloatArray]]) -> Moments[FloatArray]:
    total = NOTHING.of("")
    for part in parts:
        total = total + part
    return total


def _independent(seen: Moments[FloatArray], _: Moments[FloatArray] | None = None) -> ArmEstimate:
    pooled = seen.pooled()
    variance = float(pooled.mean_variance) if pooled.n > 1 else 0.0
    return ArmEstimate(mean=pooled.mean, variance=variance, units=pooled.n, samples=pooled.n)


def _clustered(seen: Moments[FloatArray], base: Moments[FloatArray] | None = None) -> ArmEstimate:
    total, size = seen.sum, seen.n if base is None else base.sum
    all_of_it, clusters = float(size.sum()), int(np.count_nonzero(size))
    if all_of_it <= 0 or clusters < 2:
        return ArmEstimate(mean=0.0, variance=0.0, units=0.0, samples=float(seen.n.sum()))
    mean = float(total.sum()) / all_of_it
    variance = float(((total - mean * size) ** 2).sum()) * clusters / (clusters - 1) / all_of_it**2
    units = all_of_it**2 / float((size**2).sum())
    return ArmEstimate(mean=mean, variance=variance, units=units, samples=float(seen.n.sum()))
