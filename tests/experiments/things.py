"""Experiments and evidence that tests are made of."""

from datetime import UTC, datetime

import numpy as np

from vedette.evidence.arms import ArmSums
from vedette.evidence.experiment import ExperimentEvidence
from vedette.evidence.histogram import Histogram
from vedette.evidence.metric import BUILT_IN, Metric, MetricKind
from vedette.evidence.summary import moments_by_bucket
from vedette.experiments.machine import Epoch, ExperimentStatus, Phase
from vedette.experiments.metrics import MetricUse
from vedette.experiments.spec import ExperimentSpec, Variant
from vedette.kernel.records import evolve
from vedette.routing.layers import slices_of
from vedette.routing.override import Override

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
ACCEPTED = Metric(name="accepted", kind=MetricKind.RATE, measure="accepted", better="higher")
DECLARED = {metric.name: metric for metric in (*BUILT_IN, ACCEPTED)}


def spec(arms=("base", "brief", "long"), **changes):
    """Make a spec in which every arm but the first serves another version."""
    variants = tuple(
        Variant(name=arm, override=Override(version=arm if place else "")) for place, arm in enumerate(arms)
    )
    metrics = (
        MetricUse(metric="accepted", role="primary"),
        MetricUse(metric="errors", role="guardrail", margin=0.1),
        MetricUse(metric="latency-p95"),
    )
    return ExperimentSpec(**{"domain": "support", "variants": variants, "metrics": metrics, **changes})


def measured(asked):
    """Give the metrics of a spec as the domain declares them."""
    return tuple(use.measured(DECLARED[use.metric]) for use in asked.metrics)


def running(asked, **changes):
    """Give the status of an experiment that has just begun."""
    slices = slices_of({variant.name: variant.weight for variant in asked.variants})
    shares = {piece.arm: piece.end - piece.begin for piece in slices}
    return evolve(
        ExperimentStatus(salt="salt", created_at=NOW),
        phase=Phase.RUNNING,
        slices=slices,
        epochs=(Epoch(number=1, since=NOW, shares=shares),),
        started_at=NOW,
        **changes,
    )


def arm(draw, requests, *, accepted=0.5, error=0.01, latency=5.0, units=3000, seen=1.0):
    """Draw what an arm did: requests of units of very different size, each unit in a bucket of its own."""
    bucket = draw.integers(0, 1024, units)
    size = draw.pareto(2.5, units) + 1
    of = bucket[draw.choice(units, requests, p=size / size.sum())]
    judged = draw.random(requests) < seen
    milliseconds = draw.lognormal(latency, 0.5, requests)
    measures = {
        "requests": moments_by_bucket(np.ones(requests), of, 1025),
        "accepted": moments_by_bucket((draw.random(judged.sum()) < accepted).astype(float), of[judged], 1025),
        "error": moments_by_bucket((draw.random(requests) < error).astype(float), of, 1025),
        "latency_ms": moments_by_bucket(milliseconds, of, 1025),
    }
    return ArmSums(measures=measures, histograms={"latency_ms": Histogram.of(milliseconds.tolist())})


def evidence(seed=1, epoch=1, **arms):
    """Draw what arms did in one epoch; each is the keywords of `arm`, with `requests` among them."""
    draw = np.random.default_rng(seed)
    made = {
        name: arm(draw, said.get("requests", 20_000), **{k: v for k, v in said.items() if k != "requests"})
        for name, said in arms.items()
    }
    return ExperimentEvidence(epochs={epoch: made})
