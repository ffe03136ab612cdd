"""What a user may ask of a rollout, and what is refused before anything runs."""

import pytest
from tests.rollouts.things import spec

from vedette.kernel.documents import load
from vedette.kernel.errors import InvalidInput
from vedette.rollouts.spec import DEFAULT_STEPS, Group, Guardrail, RolloutSpec, Step


def test_default_is_the_usual_ladder():
    """Unless told otherwise a rollout climbs 1, 10, 50, 100 %, ten minutes each, guarding errors at α 5 %."""
    asked = load(RolloutSpec, {"domain": "pay", "version": "v2"})
    assert [(step.weight, step.bake) for step in asked.steps] == [(1, 600), (10, 600), (50, 600), (100, 600)]
    assert asked.steps == DEFAULT_STEPS
    assert ([rail.metric for rail in asked.guardrails], asked.alpha, asked.hold_back) == (["errors"], 0.05, 1.0)


def test_alpha_is_split_by_weight_and_spent_once():
    """The guardrails that act share α by their weights; dry runs have a share of their own and take none."""
    rails = (Guardrail(metric="a", weight=3), Guardrail(metric="b"), Guardrail(metric="c", dry_run=True))
    asked = spec(guardrails=rails, alpha=0.04)
    assert [asked.alpha_of(rail) for rail in rails] == pytest.approx([0.03, 0.01, 0.008])
    alone = spec(guardrails=rails[2:], alpha=0.04)
    assert 0 < alone.alpha_of(rails[2]) <= 0.04


@pytest.mark.parametrize("hold_back", [0, 1, 5, 49.9999])
def test_25_no_step_takes_the_hold_back(hold_back):
    """Whatever a step's weight, the hold-back stays on stable, to the last millionth."""
    asked = spec(hold_back=hold_back, steps=(Step(weight=1), Step(weight=99.9999), Step(weight=100)))
    weights = [asked.weight_of(step) for step in range(3)]
    assert weights[0] == 1
    assert weights[2] == pytest.approx(100 - hold_back)
    assert max(weights) + hold_back <= 100


@pytest.mark.parametrize(
    "wrong",
    [
        {"alpha": 0},
        {"alpha": 0.5},
        {"alpha": float("nan")},
        {"hold_back": 50},
        {"rollback_window": -1},
        {"guardrails": (Guardrail(metric="errors"), Guardrail(metric="errors", dry_run=True))},
        {"webhooks": ("example.org/hook",)},
        {"webhooks": ("http:///path",)},
    ],
    ids=repr,
)
def test_spec_without_meaning_is_refused(wrong):
    """Figures out of range, a metric guarded twice and a webhook without a host are refused."""
    with pytest.raises(InvalidInput):
        spec(**wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        {"tolerance": -0.1},
        {"tolerance": 1.0},
        {"tolerance": float("nan")},
        {"weight": 0},
        {"weight": float("inf")},
        {"min_samples": -1},
        {"metric": "No Metric"},
        {"non_inferior": True},
    ],
    ids=repr,
)
def test_guardrail_without_meaning_is_refused(wrong):
    """A guardrail out of range, or one whose proof no sample could give, is refused."""
    with pytest.raises(InvalidInput):
        Guardrail(**({"metric": "errors"} | wrong))


def test_step_and_group_without_meaning_are_refused():
    """A step of no weight or negative samples, and a group that never starts, are refused."""
    for wrong in (
        lambda: Step(weight=0),
        lambda: Step(weight=1, min_samples=-1),
        lambda: Group(name="a", max_in_flight=-1),
    ):
        with pytest.raises(InvalidInput):
            wrong()
