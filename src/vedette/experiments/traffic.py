"""From the sums of live traffic to what an analysis works on: clusters are the rows, and splits that moved are undone.

**Clusters.** Every unit belongs to one of 1,024 buckets, by a hash that knows nothing of the experiment. An arm's total
in a bucket is one row; the spread between rows is the cluster-robust one, for users, tenants and ratios alike, at a
cost that does not grow with traffic (MacKinnon, Nielsen & Webb 2023).

**Epochs.** While a split stands still, totals of two arms compare directly. When a bandit moves it, an arm that got
much traffic on a bad day would look bad. Each epoch's totals are therefore divided by the share the arm had in it
(Horvitz & Thompson 1952): what is compared is what each arm would have done with all the traffic of all epochs. Shares
depend on the past alone, so the sums stay martingales and tests at any look stay valid.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from vedette.evidence.arms import BUCKET_ROWS, NOTHING, ArmSums
from vedette.evidence.experiment import ExperimentEvidence
from vedette.evidence.joint import JointMoments, joint_moments
from vedette.evidence.summary import FloatArray
from vedette.experiments.machine import Epoch
from vedette.experiments.metrics import Measured, Quantile, Rate, Ratio, counted
from vedette.experiments.observed import Observed, of_traffic
from vedette.routing.layers import PLACES
from vedette.stats.cautions import Caution
from vedette.stats.estimates import share_variance
from vedette.stats.srm import RatioCheck, clustered_check

REQUESTS = "requests"
_MISSING = 0.01
_DIFFERS = 0.02


def observe(
    metrics: Sequence[Measured], evidence: ExperimentEvidence, epochs: Sequence[Epoch], arms: Sequence[str]
) -> Observed:
    """Observe some arms over the epochs in which all of them had traffic.

    Args:
        metrics: What to estimate, as the domain's declarations and the spec's uses give it.
        evidence: Sums by epoch and arm.
        epochs: The splits the experiment has had.
        arms: Which arms, the control among them.
    """
    common = [epoch for epoch in epochs if all(epoch.shares.get(arm, 0) > 0 for arm in arms)]
    columns = _columns(metrics)
    tables = {arm: _table(columns, arm, evidence, common) for arm in arms}
    whole = {arm: _together([evidence.of(epoch.number, arm) for epoch in common]) for arm in arms}
    histograms = {
        metric.column: {arm: sums.histogram(metric.column) for arm, sums in whole.items()}
        for metric in metrics
        if isinstance(metric, Quantile)
    }
    effects = {column: {arm: _design_effect(sums, column) for arm, sums in whole.items()} for column in histograms}
    return of_traffic(
        metrics,
        tables,
        requests={arm: float(sums.requests) for arm, sums in whole.items()},
        clock=_clock(evidence, common, arms),
        split=check_split(evidence, epochs),
        histograms=histograms,
        design_effects=effects,
        shares={metric.name: _least(metric, whole) for metric in metrics if isinstance(metric, Rate)},
        cautions=_cautions(metrics, whole),
    )


def check_split(evidence: ExperimentEvidence, epochs: Sequence[Epoch]) -> RatioCheck:
    """Check that every arm got its share of the requests in each epoch."""
    arms = tuple(dict.fromkeys(arm for epoch in epochs for arm in epoch.shares))
    counts = np.zeros((BUCKET_ROWS, len(arms)))
    promised = np.zeros((BUCKET_ROWS, len(arms)))
    for epoch in epochs:
        seen = np.column_stack([evidence.of(epoch.number, arm).of(REQUESTS).n for arm in arms])
        shares = np.array([epoch.shares.get(arm, 0) for arm in arms], np.float64)
        if not shares.any():
            continue
        counts += seen
        promised += seen.sum(axis=1, keepdims=True) * shares / shares.sum()
    if not promised.any():
        promised += 1.0
    return clustered_check(counts, promised)


def _columns(metrics: Sequence[Measured]) -> tuple[str, ...]:
    """Name the columns of the rows: sums of measures, and counts of those that are averaged."""
    named = [column for metric in metrics if not isinstance(metric, Quantile) for column in metric.quantity().columns()]
    return tuple(dict.fromkeys(named or [REQUESTS]))


def _table(columns: Sequence[str], arm: str, evidence: ExperimentEvidence, epochs: Sequence[Epoch]) -> JointMoments:
    totals = {column: np.zeros(BUCKET_ROWS) for column in columns}
    for epoch in epochs:
        sums, share = evidence.of(epoch.number, arm), epoch.shares[arm] / PLACES
        for column in columns:
            totals[column] += _total(sums, column) / share
    # The last row, requests without a unit, is empty: each of those was put into a bucket of its own by chance.
    return joint_moments({column: total[:-1] for column, total in totals.items()})


def _total(sums: ArmSums, column: str) -> FloatArray:
    if column.endswith(counted("")):
        return sums.of(column.removesuffix(counted(""))).n
    return sums.of(column).sum


def _least(metric: Rate, whole: Mapping[str, ArmSums]) -> FloatArray:
    """Give the variance each arm's rate would have if its requests were independent."""
    seen = [sums.of(metric.column).pooled() for sums in whole.values()]
    return share_variance([it.sum for it in seen], [it.n for it in seen])


def _together(parts: Sequence[ArmSums]) -> ArmSums:
    whole = NOTHING
    for part in parts:
        whole = whole + part
    return whole


def _clock(evidence: ExperimentEvidence, epochs: Sequence[Epoch], arms: Sequence[str]) -> dict[str, float]:
    """How many requests would say as much of each arm, had its share never changed."""
    traffic = {
        epoch.number: sum(evidence.of(epoch.number, arm).requests for arm in arms)
        / sum(epoch.shares[arm] for arm in arms)
        for epoch in epochs
    }
    whole = sum(traffic.values())
    spread = {arm: sum(traffic[epoch.number] / epoch.shares[arm] for epoch in epochs) for arm in arms}
    return {arm: whole * whole / spread[arm] if spread[arm] else 0.0 for arm in arms}


def _design_effect(sums: ArmSums, measure: str) -> float:
    """How many requests of a cluster are worth one independent request; judged by the measure's mean (Kish 1965)."""
    seen = sums.of(measure)
    used = seen.n > 0
    if used.sum() < 2:
        return 1.0
    whole = seen.pooled()
    residual = seen.sum[used] - whole.mean * seen.n[used]
    between = float((residual**2).sum()) / whole.n**2
    alone = float(whole.mean_variance)
    return max(1.0, between / alone) if alone > 0 else 1.0


def _cautions(metrics: Sequence[Measured], whole: Mapping[str, ArmSums]) -> dict[tuple[str, str], tuple[Caution, ...]]:
    """Say which metrics are missing for some requests, and whether they are in one arm more than in another."""
    found: dict[tuple[str, str], tuple[Caution, ...]] = {}
    for metric in metrics:
        measures = {metric.column} | ({metric.denominator} if isinstance(metric, Ratio) else set())
        for name in measures:
            measure = name.removesuffix(counted(""))
            seen = {
                arm: float(sums.of(measure).n.sum()) / sums.requests for arm, sums in whole.items() if sums.requests
            }
            if not seen or max(seen.values()) == 0:
                continue
            spread = max(seen.values()) - min(seen.values())
            for arm, share in seen.items():
                said = [Caution.PARTLY_OBSERVED] if share < 1 - _MISSING else []
                said += [Caution.MISSING_DIFFERS] if spread > _DIFFERS and sum(_few(whole, measure)) == 0 else []
                if said:
                    found[metric.name, arm] = tuple(dict.fromkeys((*found.get((metric.name, arm), ()), *said)))
    return found


def _few(whole: Mapping[str, ArmSums], measure: str) -> list[bool]:
    """Say of each arm whether its share of observed requests is too rough to be compared."""
    return [sums.requests * _DIFFERS**2 < 4 for sums in whole.values() if sums.of(measure).n.any()]
