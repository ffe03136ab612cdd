"""Evidence to verdict: is the canary worse than tolerated, whatever the number of looks.

Each guardrail has its share of the rollout's α, spent once over all looks and steps. What judges it:

- a rate, by the e-process on the rate ratio (``stats.rate_ratio``), against the requests of both arms or, for sticky
  units, against what each bucket's own history makes expected; what has no history is not judged
- a mean or ratio, by an asymptotic confidence sequence (``stats.sequential``), between buckets where units are sticky
- a quantile, by uniform bands around both distributions (``stats.quantiles``)

Too few clusters, no data and nothing measured are ``insufficient``: neither good news nor bad news.
"""

import math
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

from vedette.evidence.histogram import Histogram
from vedette.kernel.documents import dump
from vedette.kernel.records import record
from vedette.rollouts.observation import (
    ArmEstimate,
    Exposure,
    MeanObservation,
    Observation,
    QuantileObservation,
    RateObservation,
    Unmeasured,
)
from vedette.rollouts.spec import Guardrail, RolloutSpec
from vedette.stats.clusters import MINIMUM_CLUSTERS, compare_clusters
from vedette.stats.quantiles import QuantileComparison, quantile_exceeds
from vedette.stats.rate_ratio import log_e_non_inferiority, log_e_regression, ratio_interval
from vedette.stats.sequential import Comparison, MeanEstimate, Side, compare
from vedette.stats.srm import Split, sequential_check

SPLIT_ALPHA = 0.001
"""The chance, over a whole rollout, of calling a right split wrong; apart from the guardrails' α."""
HISTORY_COVERAGE = 0.8
"""Units with a history must carry this share of the canary's requests before a rate is called fine."""
QUANTILE_SAMPLES = 20.0
"""Fewer effective samples than this in an arm give no verdict on a quantile."""


class Finding(StrEnum):
    """What the evidence says about one guardrail."""

    REGRESSION = "regression"
    CLEAR = "clear"  # nothing speaks against the canary, and it is not proven fine either
    NON_INFERIOR = "non-inferior"
    INSUFFICIENT = "insufficient"


@record
class Verdict:
    """One guardrail at one look. ``ratio`` is canary to stable with its always-valid bounds; None is unknown.

    ``log_e`` is the evidence for a regression: ``finding`` is one exactly when it reaches log(1/``alpha``).
    """

    metric: str
    finding: Finding
    method: str
    alpha: float
    tolerance: float
    sentence: str
    canary: float | None = None
    stable: float | None = None
    ratio: float | None = None
    low: float | None = None
    high: float | None = None
    log_e: float | None = None
    samples: float = 0.0
    dry_run: bool = False

    def figures(self) -> dict[str, Any]:
        """Give the figures as plain data, for the record."""
        figures: dict[str, Any] = dump(self)
        return figures


@record
class SplitCheck:
    """Whether the realised split of traffic fits the intended one, over all steps."""

    mismatch: bool
    p_value: float
    intended: float
    realised: float
    sentence: str

    def figures(self) -> dict[str, Any]:
        """Give the figures as plain data, for the record."""
        figures: dict[str, Any] = dump(self)
        return figures


def judge_all(spec: RolloutSpec, observations: Mapping[str, Observation]) -> tuple[Verdict, ...]:
    """Judge every guardrail of the spec, in its order."""
    return tuple(
        judge(guardrail, observations.get(guardrail.metric), spec.alpha_of(guardrail), len(spec.steps))
        for guardrail in spec.guardrails
    )


def check_split(exposures: Sequence[Exposure]) -> SplitCheck | None:
    """Check the realised split against the intended one over all steps; None before there is traffic.

    Clustered requests count as the fewer independent ones they amount to, so that one busy tenant is no mismatch.
    """
    splits = [
        Split(
            counts=[cell.canary / cell.design_effect, cell.stable / cell.design_effect],
            weights=[cell.weight, 100 - cell.weight],
        )
        for cell in exposures
        if cell.canary + cell.stable > 0
    ]
    if not splits:
        return None
    found = sequential_check(splits)
    total = sum(cell.canary + cell.stable for cell in exposures)
    intended = sum(cell.weight * (cell.canary + cell.stable) for cell in exposures) / total
    realised = 100 * sum(cell.canary for cell in exposures) / total
    mismatch = found.p_value <= SPLIT_ALPHA
    said = "does not fit" if mismatch else "fits"
    return SplitCheck(
        mismatch=mismatch,
        p_value=found.p_value,
        intended=intended,
        realised=realised,
        sentence=f"the realised share of the canary, {realised:.4g}%, {said} the intended {intended:.4g}% "
        f"(p = {found.p_value:.2g})",
    )


def judge(guardrail: Guardrail, seen: Observation | None, alpha: float, steps: int) -> Verdict:
    """Judge one guardrail on what one look saw, at its share of α over a rollout of so many steps."""
    match seen:
        case None:
            return _insufficient(guardrail, "none", alpha, 0.0, "was not measured")
        case Unmeasured():
            return _insufficient(guardrail, "none", alpha, 0.0, f"was not measured: {seen.why}")
        case RateObservation():
            return _judge_rate(guardrail, seen, alpha)
        case MeanObservation():
            clustered = seen.basis == "clusters"
            return _judge_means(
                guardrail, seen.canary, seen.stable, better=seen.better, alpha=alpha / steps, clustered=clustered
            )
        case QuantileObservation():
            return _judge_quantile(guardrail, seen, alpha / steps)


def _judge_rate(guardrail: Guardrail, seen: RateObservation, alpha: float) -> Verdict:
    method = f"e-process on the rate ratio, expected share by {seen.basis}"
    canary, stable = sum(cell.canary for cell in seen.cells), sum(cell.stable for cell in seen.cells)
    if canary < max(guardrail.min_samples, 1) or stable < 1:
        return _insufficient(guardrail, method, alpha, canary, _lack(guardrail, canary, stable))
    bad = [cell.judged_canary for cell in seen.cells]
    total = [cell.judged_total for cell in seen.cells]
    share = [cell.expected_share for cell in seen.cells]
    against = float(log_e_regression(bad, total, share, tolerance=guardrail.tolerance, dispersion=seen.dispersion)[-1])
    bar = math.log(1 / alpha)
    finding = Finding.REGRESSION if against >= bar else Finding.CLEAR
    if finding is Finding.CLEAR and guardrail.tolerance > 0:
        for_it = log_e_non_inferiority(bad, total, share, tolerance=guardrail.tolerance, dispersion=seen.dispersion)
        finding = Finding.NON_INFERIOR if float(for_it[-1]) >= bar else finding
    if finding is not Finding.REGRESSION and seen.covered < HISTORY_COVERAGE:
        why = f"can be expected of only {seen.covered:.0%} of the canary's requests; the other units have no history"
        return _insufficient(guardrail, method, alpha, canary, why)
    interval = ratio_interval(bad, total, share, alpha=min(2 * alpha, 0.99), dispersion=seen.dispersion)
    return _verdict(
        guardrail,
        finding,
        method,
        alpha,
        canary=sum(cell.bad_canary for cell in seen.cells) / canary,
        stable=sum(cell.bad_stable for cell in seen.cells) / stable,
        ratio=_known(float(interval.estimate)),
        low=_known(float(interval.lower)),
        high=_known(float(interval.upper)),
        log_e=against,
        samples=canary,
        times="times as many bad events as stable",
    )


def _judge_means(
    guardrail: Guardrail,
    canary: ArmEstimate,
    stable: ArmEstimate,
    *,
    better: str,
    alpha: float,
    clustered: bool,
) -> Verdict:
    method = "asymptotic confidence sequence" + (" between buckets" if clustered else "")
    samples = canary.samples
    if min(samples, stable.samples) < max(guardrail.min_samples, 2):
        return _insufficient(guardrail, method, alpha, samples, _lack(guardrail, samples, stable.samples))
    lower = better == "lower"
    margin = guardrail.tolerance if lower else -guardrail.tolerance

    def judged(side: Side) -> Comparison | None:
        arms = (_estimate(canary), _estimate(stable))
        if clustered:
            return compare_clusters(*arms, alpha=alpha, side=side, relative_margin=margin)
        return compare(*arms, alpha=alpha, side=side, relative_margin=margin)

    worse, better_than = judged(Side.GREATER if lower else Side.LESS), judged(Side.LESS if lower else Side.GREATER)
    if worse is None or better_than is None:
        units = min(canary.units, stable.units)
        why = f"has {units:.3g} effective clusters, {MINIMUM_CLUSTERS:g} needed"
        return _insufficient(guardrail, method, alpha, samples, why)
    if worse.log_e_value is None:
        return _insufficient(guardrail, method, alpha, samples, "has no variance to judge by")
    bar = math.log(1 / alpha)
    finding = Finding.REGRESSION if worse.log_e_value >= bar else Finding.CLEAR
    proven = guardrail.tolerance > 0 and better_than.log_e_value is not None and better_than.log_e_value >= bar
    finding = Finding.NON_INFERIOR if finding is Finding.CLEAR and proven else finding
    low, high = (worse, better_than) if lower else (better_than, worse)
    return _verdict(
        guardrail,
        finding,
        method,
        alpha,
        canary=canary.mean,
        stable=stable.mean,
        samples=samples,
        ratio=None if worse.relative_effect is None else 1 + worse.relative_effect,
        low=None if low.relative_low is None else 1 + low.relative_low,
        high=None if high.relative_high is None else 1 + high.relative_high,
        log_e=worse.log_e_value,
    )


def _judge_quantile(guardrail: Guardrail, seen: QuantileObservation, alpha: float) -> Verdict:
    method = "quantiles between uniform bands"
    canary, stable = Histogram(counts=seen.canary), Histogram(counts=seen.stable)
    if min(canary.n, stable.n) < max(guardrail.min_samples, 1):
        return _insufficient(guardrail, method, alpha, canary.n, _lack(guardrail, canary.n, stable.n))
    if min(canary.n, stable.n) / seen.design_effect < QUANTILE_SAMPLES:
        few = min(canary.n, stable.n) / seen.design_effect
        return _insufficient(
            guardrail, method, alpha, canary.n, f"has {few:.3g} effective samples, {QUANTILE_SAMPLES:g} needed"
        )

    def exceeds(sample: Histogram, reference: Histogram, factor: float) -> QuantileComparison:
        return quantile_exceeds(
            sample, reference, seen.quantile, alpha=alpha, factor=factor, design_effect=seen.design_effect
        )

    worse_arm, better_arm = (canary, stable) if seen.better == "lower" else (stable, canary)
    factor = 1 + guardrail.tolerance if seen.better == "lower" else 1 / (1 - guardrail.tolerance)
    worse = exceeds(worse_arm, better_arm, factor)
    finding = Finding.REGRESSION if worse.exceeds else Finding.CLEAR
    if finding is Finding.CLEAR and guardrail.tolerance > 0 and exceeds(better_arm, worse_arm, 1 / factor).exceeds:
        finding = Finding.NON_INFERIOR
    mine, other = (worse.sample, worse.reference) if seen.better == "lower" else (worse.reference, worse.sample)
    return _verdict(
        guardrail,
        finding,
        method,
        alpha,
        canary=mine.estimate or 0.0,
        stable=other.estimate or 0.0,
        ratio=mine.estimate / other.estimate if mine.estimate and other.estimate else None,
        low=mine.low / other.high if other.high else None,
        high=mine.high / other.low if mine.high and other.low else None,
        log_e=worse.log_e_value,
        samples=canary.n,
    )


def _estimate(arm: ArmEstimate) -> MeanEstimate:
    return MeanEstimate(arm.mean, math.nan if arm.variance is None else arm.variance, arm.units)


def _lack(guardrail: Guardrail, canary: float, stable: float) -> str:
    if stable < 1:
        return "has no stable samples to compare with"
    return f"has {canary:g} canary samples, {max(guardrail.min_samples, 1)} needed"


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _insufficient(guardrail: Guardrail, method: str, alpha: float, samples: float, why: str) -> Verdict:
    return Verdict(
        metric=guardrail.metric,
        finding=Finding.INSUFFICIENT,
        method=method,
        alpha=alpha,
        tolerance=guardrail.tolerance,
        sentence=f"{guardrail.metric} {why}",
        samples=samples,
        dry_run=guardrail.dry_run,
    )


def _verdict(  # every figure by name
    guardrail: Guardrail,
    finding: Finding,
    method: str,
    alpha: float,
    *,
    canary: float,
    stable: float,
    samples: float,
    ratio: float | None,
    low: float | None,
    high: float | None,
    log_e: float,
    times: str = "times stable",
) -> Verdict:
    """Make the verdict and its one plain sentence; ``times`` says of what the ratio is one."""
    size = "unknown" if ratio is None else f"{ratio:.3g} {times}"
    bounds = f"at least {low:.3g}" if low and finding is Finding.REGRESSION else f"{low or 0:.3g} to {_upper(high)}"
    tolerated = f", {1 + guardrail.tolerance:g} tolerated" if guardrail.tolerance else ""
    said = {
        Finding.REGRESSION: "is worse",
        Finding.CLEAR: "shows no regression",
        Finding.NON_INFERIOR: "is proven no worse than tolerated",
        Finding.INSUFFICIENT: "has too little evidence",
    }[finding]
    return Verdict(
        metric=guardrail.metric,
        finding=finding,
        method=method,
        alpha=alpha,
        tolerance=guardrail.tolerance,
        sentence=f"{guardrail.metric} {said}: {size} ({bounds}{tolerated}; {canary:.4g} against {stable:.4g}, "
        f"{samples:g} samples)",
        canary=canary,
        stable=stable,
        ratio=ratio,
        low=low,
        high=high,
        log_e=log_e,
        samples=samples,
        dry_run=guardrail.dry_run,
    )


def _upper(high: float | None) -> str:
    return "unbounded" if high is None else f"{high:.3g}"
