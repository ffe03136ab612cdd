"""The plan before a rollout promises what the rollout's own rule does, and no more."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.rollouts.things import spec

from vedette.kernel.errors import InvalidInput
from vedette.rollouts.planning import RolloutPlan, plan
from vedette.rollouts.spec import Guardrail, Step
from vedette.stats.rate_ratio import log_e_regression

RAMP = tuple(Step(weight=weight, bake=1200) for weight in (1, 10, 50, 100))


def planned(per_minute: float = 1000, bad: float = 0.005, **figures: float) -> RolloutPlan:
    """Plan the ramp of the anchors: 1, 10, 50 % for twenty minutes each."""
    return plan(spec(steps=RAMP), "errors", requests_per_minute=per_minute, bad_rate=bad, **figures)


def test_plan_finds_what_the_simulation_of_the_anchors_finds():
    """At 1000 req/min and 0.5 % errors, ×10 shows at 1 %, ×4 by 10 % and ×2 by 50 % (anchors, progressive §2)."""
    asked = {ratio: planned(ratio=ratio, power=0.5) for ratio in (2.0, 4.0, 10.0)}
    for ratio, step in ((10.0, 1), (4.0, 2), (2.0, 3)):
        assert f"by the end of step {step}," in asked[ratio].sentence
    needed = asked[10.0].steps[0].needed
    assert needed is not None
    assert round(needed / 60) <= 7  # the anchors: median minute 7


def test_what_is_too_small_is_said_to_be_unseen():
    """A regression these steps cannot show is told as such, before anything is started."""
    thin = planned(1, 0.001)
    assert "would pass these steps unseen" in thin.sentence
    assert thin.steps[0].catches is None


@settings(max_examples=15, deadline=None, derandomize=True)
@given(st.floats(20, 5000), st.floats(0.001, 0.05), st.sampled_from([2.0, 4.0, 10.0]))
def test_needed_time_is_enough_and_not_more(per_minute, bad, ratio):
    """Watched as long as the plan says, the very process that judges the rollout stops; a tenth less is not enough."""
    asked = planned(per_minute, bad, ratio=ratio, power=0.5)
    for step in asked.steps[:3]:
        if step.needed is None or step.needed < 60:
            continue
        evidence = []
        for seconds in (step.needed + 1, step.needed * 0.9):
            events = per_minute / 60 * bad * seconds
            share = step.weight / 100
            canary, stable = events * share * ratio, events * (1 - share)
            evidence.append(float(log_e_regression([canary], [canary + stable], [share])[-1]))
        assert evidence[0] >= 0.999 * math.log(20) > evidence[1] * 0.95


def test_more_traffic_never_needs_longer():
    """With more requests a minute each step shows the same regression sooner."""
    needed = [planned(rate, ratio=4.0).steps[1].needed for rate in (10, 100, 1000, 10_000)]
    known = [seconds for seconds in needed if seconds is not None]
    assert known == sorted(known, reverse=True)
    assert len(known) >= 3


@pytest.mark.parametrize(
    "wrong",
    [
        {"requests_per_minute": 0},
        {"bad_rate": 0},
        {"bad_rate": 1},
        {"power": 0.4},
        {"power": 1.0},
        {"ratio": 1.0},
        {"ratio": 500.0},
        {"metric": "karma"},
    ],
    ids=repr,
)
def test_figures_out_of_range_are_refused(wrong):
    """A plan without traffic, without errors or for an impossible regression is refused."""
    figures = {"metric": "errors", "requests_per_minute": 100, "bad_rate": 0.01} | wrong
    with pytest.raises(InvalidInput):
        plan(spec(), **figures)


def test_tolerance_moves_what_counts_as_a_regression():
    """With 50 % more errors tolerated, ×1.5 is no regression to plan for."""
    tolerant = spec(guardrails=(Guardrail(metric="errors", tolerance=0.5),))
    with pytest.raises(InvalidInput, match=r"ratio must be above 1\.5"):
        plan(tolerant, "errors", requests_per_minute=100, bad_rate=0.01, ratio=1.5)
