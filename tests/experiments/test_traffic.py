"""Live traffic: clusters are the rows, splits that moved are undone, and what is missing is said."""

from datetime import timedelta

import numpy as np
import pytest
from tests.experiments.things import NOW, arm, evidence, measured, running, spec

from vedette.evidence.arms import ArmSums
from vedette.evidence.experiment import ExperimentEvidence
from vedette.evidence.metric import Metric, MetricKind
from vedette.evidence.summary import moments_by_bucket
from vedette.experiments.advance import advance
from vedette.experiments.machine import Epoch
from vedette.experiments.metrics import MetricUse
from vedette.experiments.traffic import check_split, observe
from vedette.kernel.records import evolve
from vedette.stats.cautions import Caution
from vedette.stats.contrasts import SequenceRule, contrasts


def _seen(asked, found, arms=("base", "brief", "long"), epochs=None):
    return observe(measured(asked), found, epochs or running(asked).epochs, arms)


def test_rates_are_shares_of_requests_and_clusters_are_the_units():
    """An arm's rate is its bad requests over its requests; its units are the effective number of clusters."""
    asked, found = spec(), evidence(base={}, brief={}, long={})
    seen = _seen(asked, found)
    sums = found.of(1, "base").of("accepted")
    row = seen.found.metrics.index("accepted")
    assert seen.found.mean[row, 0] == pytest.approx(float(sums.sum.sum() / sums.n.sum()))
    size = sums.n
    assert seen.found.n[row, 0] == pytest.approx(float(size.sum() ** 2 / (size**2).sum()), rel=1e-9)
    assert seen.units == {"base": 20_000.0, "brief": 20_000.0, "long": 20_000.0}
    assert seen.found.clock[row].tolist() == pytest.approx([20_000.0] * 3, rel=1e-5)


def test_sticky_units_that_are_alike_widen_the_interval():
    """Where each unit has a rate of its own, the standard error is far larger than if requests were independent."""
    draw = np.random.default_rng(8)
    bucket = np.repeat(np.arange(300), 100)
    own = draw.beta(1, 1, 300)[bucket]
    measures = {
        "requests": moments_by_bucket(np.ones(bucket.size), bucket, 1025),
        "accepted": moments_by_bucket((draw.random(bucket.size) < own).astype(float), bucket, 1025),
    }
    sums = ArmSums(measures=measures, histograms={})
    asked = spec(arms=("base", "brief"), metrics=(MetricUse(metric="accepted", role="primary"),))
    seen = _seen(asked, ExperimentEvidence(epochs={1: {"base": sums, "brief": sums}}), ("base", "brief"))
    independent = 0.5 * 0.5 / bucket.size
    assert seen.found.variance[0, 0] > 10 * independent


def test_few_clusters_give_no_verdict_however_many_requests():
    """Ten thousand requests of six tenants are six observations: no p-value, and a caution that says so."""
    asked = spec(arms=("base", "brief"), metrics=(MetricUse(metric="accepted", role="primary"),))
    found = evidence(base={"units": 6}, brief={"units": 6, "accepted": 0.9})
    analysis_input = _seen(asked, found, ("base", "brief"))
    assert np.isnan(analysis_input.found.variance).all()
    assert Caution.FEW_CLUSTERS in analysis_input.cautions["accepted", "base"]


def test_a_split_that_moved_does_not_pass_for_an_effect():
    """An arm that had most of its traffic on a bad day is compared as if it had had its share of every day."""
    draw = np.random.default_rng(5)
    days = ((0.8, {"base": 0.2, "brief": 0.8}), (0.3, {"base": 0.8, "brief": 0.2}))
    epochs, cells = [], {}
    for number, (rate, shares) in enumerate(days, start=1):
        epochs.append(
            Epoch(number=number, since=NOW, shares={name: round(1e6 * share) for name, share in shares.items()})
        )
        cells[number] = {
            name: arm(draw, round(40_000 * share), accepted=rate, units=3000) for name, share in shares.items()
        }
    found = ExperimentEvidence(epochs=cells)
    asked = spec(arms=("base", "brief"), metrics=(MetricUse(metric="accepted", role="primary"),))
    seen = _seen(asked, found, ("base", "brief"), tuple(epochs))
    made = contrasts(seen.found, [("brief", "base")], SequenceRule())
    assert abs(made.effect[0, 0]) < 0.03
    assert made.p_value[0, 0] > 0.05
    pooled = {
        name: sum(float(cells[e][name].of("accepted").sum.sum()) for e in (1, 2))
        / sum(float(cells[e][name].of("accepted").n.sum()) for e in (1, 2))
        for name in ("base", "brief")
    }
    assert pooled["brief"] - pooled["base"] > 0.25, "pooled means would call it a great success"


def test_only_epochs_that_all_arms_share_are_compared():
    """After an arm was taken out, the others go on being compared over all epochs, and the gone arm over its own."""
    first, second = evidence(base={}, brief={}, long={}), evidence(seed=2, epoch=2, base={}, brief={})
    shares = running(spec()).epochs[0].shares
    epochs = (
        Epoch(number=1, since=NOW, shares=shares),
        Epoch(number=2, since=NOW + timedelta(hours=1), shares={k: v for k, v in shares.items() if k != "long"}),
    )
    found = first + second
    both = _seen(spec(), found, ("base", "brief"), epochs)
    assert both.units["base"] == 40_000
    early = _seen(spec(), found, ("base", "brief", "long"), epochs)
    assert early.units == {"base": 20_000, "brief": 20_000, "long": 20_000}


def test_a_broken_split_is_found_and_a_fair_one_of_sticky_units_is_not():
    """A split of 43 to 57 is found; units with very different numbers of requests alone raise no alarm."""
    alarms = 0
    for seed in range(150):
        draw = np.random.default_rng(seed)
        size = (draw.pareto(1.3, 2000) + 1).astype(int)
        bucket, of = draw.integers(0, 1024, 2000), draw.integers(0, 2, 2000)
        cells = {}
        for place, name in enumerate(("base", "brief")):
            requests = np.repeat(bucket[of == place], size[of == place])
            counted = {"requests": moments_by_bucket(np.ones(requests.size), requests, 1025)}
            cells[name] = ArmSums(measures=counted, histograms={})
        epochs = (Epoch(number=1, since=NOW, shares={"base": 500_000, "brief": 500_000}),)
        alarms += check_split(ExperimentEvidence(epochs={1: cells}), epochs).p_value <= 0.05
    assert alarms / 150 <= 0.05 + 2.6 * np.sqrt(0.05 * 0.95 / 150)
    lopsided = evidence(base={"requests": 10_000}, brief={"requests": 13_000})
    off = (Epoch(number=1, since=NOW, shares={"base": 500_000, "brief": 500_000}),)
    assert check_split(lopsided, off).p_value < 0.001


def test_traffic_of_an_arm_that_was_to_have_none_breaks_the_split():
    """Requests of an arm without a share are a broken assignment, beyond doubt."""
    found = evidence(base={"requests": 3000}, brief={"requests": 3000}, long={"requests": 50})
    epochs = (Epoch(number=1, since=NOW, shares={"base": 500_000, "brief": 500_000, "long": 0}),)
    assert check_split(found, epochs).p_value == 0.0


def test_a_metric_that_appears_midway_is_said():
    """A metric missing for some requests is used where it is and said; more missing in one arm is said louder."""
    asked = spec(metrics=(MetricUse(metric="accepted", role="primary"),))
    late = _seen(asked, evidence(base={"seen": 0.6}, brief={"seen": 0.6}, long={"seen": 0.6}))
    assert late.cautions["accepted", "base"] == (Caution.PARTLY_OBSERVED,)
    uneven = _seen(asked, evidence(base={"seen": 0.6}, brief={"seen": 0.9}, long={"seen": 0.6}))
    assert Caution.MISSING_DIFFERS in uneven.cautions["accepted", "brief"]
    never = _seen(asked, evidence(base={"seen": 0.0}, brief={"seen": 0.0}, long={"seen": 0.0}))
    assert np.isnan(never.found.mean).all()


def test_ratios_of_two_measures_and_covariates_work_on_traffic():
    """A ratio of two measures, adjusted by a third, is judged between clusters like any other metric."""
    draw = np.random.default_rng(6)

    def both(extra):
        bucket = draw.integers(0, 1024, 15_000)
        level = draw.normal(0, 1, 1024)[bucket]
        before = 10 + level + draw.normal(0, 0.3, bucket.size)
        cost = 10 + extra + level + draw.normal(0, 0.3, bucket.size)
        tokens = draw.poisson(50, bucket.size) + 1.0
        columns = {"requests": np.ones(bucket.size), "cost": cost, "tokens_out": tokens, "before": before}
        return ArmSums(
            measures={name: moments_by_bucket(values, bucket, 1025) for name, values in columns.items()}, histograms={}
        )

    cells = {"base": both(0.0), "brief": both(0.05)}
    asked = spec(arms=("base", "brief"), metrics=(MetricUse(metric="accepted", role="primary"),))
    ratio = Metric(name="unit-cost", kind=MetricKind.RATIO, measure="cost", denominator="tokens_out")
    mean = Metric(name="mean-cost", kind=MetricKind.MEAN, measure="cost")
    metrics = (
        MetricUse(metric="unit-cost", role="primary").measured(ratio),
        MetricUse(metric="mean-cost").measured(mean),
        MetricUse(metric="adjusted", covariate="before").measured(evolve(mean, name="adjusted")),
    )
    seen = observe(metrics, ExperimentEvidence(epochs={1: cells}), running(asked).epochs, ("base", "brief"))
    assert seen.found.mean[0, 0] == pytest.approx(10 / 51, rel=0.02)
    assert seen.found.variance[2, 0] < seen.found.variance[1, 0] / 3


def test_an_arm_that_fails_every_time_is_judged_although_it_does_not_vary():
    """No error at all against nothing but errors is the clearest harm there is, not a metric without variance."""
    asked = spec(arms=("base", "brief"))
    found = evidence(base={"error": 0.0, "requests": 300}, brief={"error": 1.0, "requests": 300})
    step = advance(asked, running(asked), measured(asked), found, NOW)
    assert [stopped.arm for stopped in step.status.stopped_arms] == ["brief"]
    calm = evidence(base={"error": 0.0, "requests": 300}, brief={"error": 0.0, "requests": 300})
    assert advance(asked, running(asked), measured(asked), calm, NOW).status.stopped_arms == ()
