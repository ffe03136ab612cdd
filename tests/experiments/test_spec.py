"""Specs: what cannot be an experiment is refused when it is written, not when it runs."""

import pytest
from tests.experiments.things import spec

from vedette.evidence.metric import BUILT_IN, Metric, MetricKind
from vedette.experiments.metrics import MetricUse, Quantile, Ratio
from vedette.experiments.monitoring import AnytimeValid, Fixed, GroupSequential, TopTwo
from vedette.experiments.spec import ExperimentSpec, Variant
from vedette.kernel.documents import dump, load
from vedette.kernel.errors import InvalidInput
from vedette.routing.override import Override, Prompt, Route, Rule

PRIMARY = (MetricUse(metric="accepted", role="primary"),)


def test_a_spec_survives_being_written_down():
    """What is dumped as plain data, with every kind of override and design, is read back as it was."""
    whole = spec(
        monitoring=GroupSequential(units=1000, futility=0.1),
        allocation=TopTwo(every=600.0),
        targeting=(Rule(attribute="x-plan", values=("pro",)),),
        reserve=100.0,
        coverage=10.0,
        dimensions=("x-plan",),
        variants=(
            Variant(name="base"),
            Variant(name="warm", override=Override(parameters={"temperature": 0.9}, values={"tone": "warm"})),
            Variant(name="brief", override=Override(prompt=Prompt(system="Be brief."), route=Route(retries=0))),
        ),
    )
    assert load(ExperimentSpec, dump(whole)) == whole


def test_the_first_variant_is_the_control_unless_another_is_named():
    """Without a control the first variant is it."""
    assert spec().control_name == "base"
    assert spec(control="long").control_name == "long"


def test_what_variants_touch_is_known():
    """An experiment names everything its variants change, so that two that change the same can be told."""
    assert spec().touches() == {"version"}
    override = Override(parameters={"temperature": 0.1}, prompt=Prompt(template="Q: {query}"), values={"top": 3})
    assert override.touches() == {"parameters.temperature", "prompt", "values.top"}


def test_metrics_are_those_the_domain_declares():
    """A use joins a declaration: rates and means are sums over counts of requests, quantiles stay quantiles."""
    declared = {metric.name: metric for metric in BUILT_IN}
    rate = MetricUse(metric="errors", role="guardrail", margin=0.1).measured(declared["errors"])
    assert isinstance(rate, Ratio)
    assert (rate.column, rate.denominator, rate.better, rate.margin) == ("error", "error#", "lower", 0.1)
    quantile = MetricUse(metric="latency-p95").measured(declared["latency-p95"])
    assert isinstance(quantile, Quantile)
    assert (quantile.column, quantile.quantile) == ("latency_ms", 0.95)
    cost = Metric(name="cost", kind=MetricKind.RATIO, measure="cents", denominator="tokens_out")
    ratio = MetricUse(metric="cost").measured(cost)
    assert isinstance(ratio, Ratio)
    assert ratio.denominator == "tokens_out"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"variants": (Variant(name="base"),)}, "2 to 100 variants"),
        ({"variants": (Variant(name="a"), Variant(name="a"))}, "two variants"),
        ({"variants": (Variant(name="a"), Variant(name="b"))}, "changes anything"),
        ({"control": "z"}, "no variant"),
        ({"metrics": (MetricUse(metric="errors"),)}, "one metric decides, not 0"),
        ({"metrics": (*PRIMARY, MetricUse(metric="errors", role="primary"))}, "one metric decides, not 2"),
        ({"metrics": (*PRIMARY, MetricUse(metric="accepted"))}, "used twice"),
        ({"alpha": 0.6}, "alpha"),
        ({"coverage": 0.0}, "coverage"),
        ({"coverage": 50.0, "reserve": 20.0}, "no more than reserve"),
        ({"min_units": 1}, "minUnits"),
        ({"webhooks": ("ftp://x",)}, "no web address"),
        ({"allocation": TopTwo(minimum=0.5)}, "cannot each have"),
    ],
)
def test_experiments_that_cannot_be_are_refused(changes, said):
    """Each mistake is refused with what is wrong and what to do."""
    with pytest.raises(InvalidInput, match=said):
        spec(**changes)


def test_only_versions_can_be_promoted_by_a_rollout():
    """A variant that changes more than the version cannot be taken live by a rollout, and the spec says so at once."""
    variants = (Variant(name="base"), Variant(name="hot", override=Override(version="v2", parameters={"top_p": 1})))
    with pytest.raises(InvalidInput, match="cannot be promoted"):
        spec(variants=variants, on_winner="promote")
    assert spec(variants=variants, on_winner="decide").on_winner == "decide"


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Variant(name="a", weight=0), "above 0"),
        (lambda: Variant(name="A b"), "cannot name"),
        (lambda: MetricUse(metric="errors", margin=1.5), "margin"),
        (lambda: GroupSequential(units=0), "the units it plans for"),
        (lambda: GroupSequential(units=10, looks=0), "looks"),
        (lambda: GroupSequential(units=10, futility=0.9), "futility"),
        (lambda: Fixed(units=-1), "negative"),
        (lambda: AnytimeValid(tune_at=0), "tuneAt"),
        (lambda: TopTwo(minimum=0), "minimum"),
        (lambda: TopTwo(burn_in=1), "burnIn"),
    ],
)
def test_parts_without_meaning_are_refused(make, said):
    """Weights, margins, sizes and floors without meaning are refused where they stand."""
    with pytest.raises(InvalidInput, match=said):
        make()
