"""What an analysis works on: estimates of each metric in each arm, and whether the split is the one intended.

Three ways lead here: rows of units of their own in each arm (`of_units`), live traffic in clusters (`of_traffic`), and
models judged on the same prompts (`of_pairs`). From here on they are all the same.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from vedette.evidence.histogram import Histogram
from vedette.evidence.joint import JointMoments
from vedette.evidence.summary import FloatArray
from vedette.experiments.metrics import Measured, Proportion, Quantile
from vedette.kernel.errors import InvalidInput
from vedette.stats.cautions import Caution
from vedette.stats.clusters import MINIMUM_CLUSTERS
from vedette.stats.estimates import (
    Estimates,
    estimates,
    paired_estimates,
    share_variance,
    stratified_estimates,
)
from vedette.stats.order import quantile_estimate
from vedette.stats.sequential import MeanEstimate
from vedette.stats.srm import RatioCheck, Split, fixed_check, sequential_check

Values = Mapping[str, Mapping[str, ArrayLike | Histogram]]
"""By column, then by arm: raw values or a histogram, for quantiles."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Observed:
    """Estimates in the order of the metrics, the check of the split, and what is to be read with care.

    Attributes:
        found: Estimates by metric and arm.
        units: Units (or, of live traffic, requests) by arm.
        split: Check of the split; None where arms share their units, or the intended split is not known.
        cautions: By metric and arm.
        clustered: Whether requests come in clusters.
    """

    found: Estimates
    units: Mapping[str, float]
    split: RatioCheck | None = None
    cautions: Mapping[tuple[str, str], tuple[Caution, ...]] | None = None
    clustered: bool = False

    def without(self, arms: Sequence[str]) -> "Observed":
        """Leave some arms out."""
        keep = [place for place, arm in enumerate(self.found.arms) if arm not in arms]
        found = self.found
        return replace(
            self,
            found=replace(
                found,
                arms=tuple(found.arms[place] for place in keep),
                mean=found.mean[:, keep],
                variance=found.variance[:, keep],
                n=found.n[:, keep],
                plain=found.plain[:, keep],
                clock=found.clock[:, keep],
                covariance=None if found.covariance is None else found.covariance[:, keep][:, :, keep],
            ),
            units={arm: count for arm, count in self.units.items() if arm not in arms},
        )


def of_units(
    metrics: Sequence[Measured],
    arms: Mapping[str, JointMoments],
    *,
    weights: Sequence[float] = (),
    strata: Mapping[str, Mapping[str, JointMoments]] | None = None,
    values: Values | None = None,
    repeated: bool = True,
) -> Observed:
    """Observe arms whose rows are independent units.

    Args:
        metrics: What to estimate.
        arms: Joint moments by arm.
        weights: Intended split, in the order of the arms; the split is not checked without it.
        strata: The same by stratum, to post-stratify by.
        values: What quantiles are taken of.
        repeated: Whether the split may be checked again and again.

    Raises:
        InvalidInput: A column or the values of a quantile are missing.
    """
    plain = [metric for metric in metrics if not isinstance(metric, Quantile)]
    quantities = [metric.quantity() for metric in plain]
    found = None
    if quantities:
        found = stratified_estimates(strata, quantities) if strata else estimates(arms, quantities)
    joined = _with_quantiles(metrics, tuple(arms), found, _quantiles(metrics, tuple(arms), values or {}))
    counts = {arm: part.n for arm, part in arms.items()}
    seen = np.array(list(counts.values()))
    shares = {
        metric.name: share_variance(joined.plain[place] * seen, seen)
        for place, metric in enumerate(metrics)
        if isinstance(metric, Proportion) and not metric.covariate and not strata
    }
    joined = _no_less_than(joined, shares)
    split = None
    if len(weights):
        promised = Split(tuple(counts.values()), tuple(weights))
        split = sequential_check([promised]) if repeated else fixed_check(promised)
    return Observed(found=joined, units=counts, split=split, cautions=_useless_covariates(metrics, joined))


def of_pairs(metrics: Sequence[Measured], rows: JointMoments, arms: Mapping[str, Mapping[str, str]]) -> Observed:
    """Observe arms on the same units, such as models judged on the same prompts.

    Args:
        metrics: What to estimate: means, proportions and ratios.
        rows: Joint moments of the units, with a column for each arm's value of each column.
        arms: By arm, the name in `rows` of each column that the metrics name.

    Raises:
        InvalidInput: A metric is a quantile, or a column is missing.
    """
    if quantile := next((metric for metric in metrics if isinstance(metric, Quantile)), None):
        raise InvalidInput(f"{quantile.name!r} is a quantile, which pairs cannot be compared by", hint="use a mean")
    found = paired_estimates(rows, arms, [metric.quantity() for metric in metrics])
    return Observed(found=found, units=dict.fromkeys(arms, rows.n))


def of_traffic(
    metrics: Sequence[Measured],
    arms: Mapping[str, JointMoments],
    *,
    requests: Mapping[str, float],
    clock: Mapping[str, float],
    split: RatioCheck | None,
    histograms: Mapping[str, Mapping[str, Histogram]],
    design_effects: Mapping[str, Mapping[str, float]],
    shares: Mapping[str, FloatArray],
    cautions: Mapping[tuple[str, str], tuple[Caution, ...]],
) -> Observed:
    """Observe live traffic, whose rows are clusters of units (see `experiments.traffic`).

    Args:
        metrics: What to estimate.
        arms: Joint moments of clusters' totals, by arm.
        requests: How many requests each arm had.
        clock: What tests at any look tell the time by, by arm.
        split: Check of the split.
        histograms: By measure and arm, over all requests.
        design_effects: By measure and arm, how many requests of a cluster are worth one independent one.
        shares: By rate, the least variance of each arm, as if its requests were independent.
        cautions: What is to be read with care.
    """
    plain = [metric for metric in metrics if not isinstance(metric, Quantile)]
    found = estimates(arms, [metric.quantity() for metric in plain], clustered=True) if plain else None
    quantiles = _quantiles(metrics, tuple(arms), histograms, design_effects)
    joined = _no_less_than(_with_quantiles(metrics, tuple(arms), found, quantiles), shares)
    time = np.broadcast_to([clock[arm] for arm in arms], joined.mean.shape)
    few = joined.n < MINIMUM_CLUSTERS
    care = dict(cautions)
    for m, metric in enumerate(joined.metrics):
        for a, arm in enumerate(joined.arms):
            if few[m, a] and not np.isnan(joined.mean[m, a]):
                care[metric, arm] = (*care.get((metric, arm), ()), Caution.FEW_CLUSTERS)
    return Observed(
        found=replace(joined, clock=time, variance=np.where(few, np.nan, joined.variance)),
        units=dict(requests),
        split=split,
        cautions=care,
        clustered=True,
    )


def _no_less_than(found: Estimates, least: Mapping[str, FloatArray]) -> Estimates:
    """Raise the variances of some metrics to the least they may be; what is unknown stays unknown."""
    if not least:
        return found
    variance = found.variance.copy()
    for name, values in least.items():
        place = found.metrics.index(name)
        variance[place] = np.maximum(variance[place], values)
    return replace(found, variance=variance)


def _quantiles(
    metrics: Sequence[Measured],
    arms: Sequence[str],
    values: Values,
    effects: Mapping[str, Mapping[str, float]] | None = None,
) -> dict[str, list[MeanEstimate]]:
    """Estimate each quantile in each arm."""
    found: dict[str, list[MeanEstimate]] = {}
    for metric in metrics:
        if not isinstance(metric, Quantile):
            continue
        if metric.column not in values:
            raise InvalidInput(
                f"{metric.name!r} is a quantile, which moments do not hold",
                hint=f"give values={{{metric.column!r}: {{arm: array or histogram}}}}",
            )
        own = (effects or {}).get(metric.column, {})
        found[metric.name] = [
            quantile_estimate(values[metric.column][arm], metric.quantile, design_effect=own.get(arm, 1.0))
            if arm in values[metric.column]
            else MeanEstimate(np.nan, np.nan, 0.0)
            for arm in arms
        ]
    return found


def _with_quantiles(
    metrics: Sequence[Measured],
    arms: tuple[str, ...],
    found: Estimates | None,
    quantiles: Mapping[str, Sequence[MeanEstimate]],
) -> Estimates:
    """Put estimates into the order of the metrics."""
    if found is not None and not quantiles:
        return found
    shape = (len(metrics), len(arms))
    parts: list[FloatArray] = [np.empty(shape) for _ in range(4)]
    mean, variance, n, plain = parts
    thetas: list[tuple[float, ...]] = []
    row = 0
    for m, metric in enumerate(metrics):
        if metric.name in quantiles:
            several = quantiles[metric.name]
            mean[m] = plain[m] = [one.mean for one in several]
            variance[m], n[m] = [one.variance for one in several], [one.n for one in several]
            thetas.append(())
        elif found is not None:
            mean[m], variance[m], n[m], plain[m] = found.mean[row], found.variance[row], found.n[row], found.plain[row]
            thetas.append(found.theta[row])
            row += 1
    names = tuple(metric.name for metric in metrics)
    return Estimates(
        metrics=names, arms=arms, mean=mean, variance=variance, n=n, plain=plain, clock=n, theta=tuple(thetas)
    )


def _useless_covariates(metrics: Sequence[Measured], found: Estimates) -> dict[tuple[str, str], tuple[Caution, ...]]:
    useless = {name for name, theta in zip(found.metrics, found.theta, strict=False) if theta and not any(theta)}
    return {
        (metric.name, arm): (Caution.COVARIATE_CONSTANT,)
        for metric in metrics
        if metric.name in useless
        for arm in found.arms
    }
