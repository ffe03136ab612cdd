"""What looks see through the plane: unreadable evidence, a broken stable, skewed splits, late and foreign outcomes."""

import random

import pytest
from tests.control.world import World

from vedette.catalog.domain import DomainSpec
from vedette.evidence.outcome import Feedback
from vedette.kernel.documents import load
from vedette.kernel.errors import Unavailable
from vedette.rollouts.gates import Finding
from vedette.rollouts.machine import PauseReason, Phase

QUALITY = {"metrics": [{"name": "quality", "kind": "rate", "measure": "correct", "better": "higher"}]}


def reasons(world: World) -> list[PauseReason]:
    """Give why the rollout is paused."""
    return [pause.reason for pause in world.status("pay").pauses]


def test_11_unreadable_lake_holds_and_is_no_news(quick, monkeypatch):
    """While outcomes cannot be read nothing climbs or comes back; when they can, the rollout goes on."""
    quick.domain()
    quick.deploy()
    quick.reach(0)

    def silent(*_, **__):
        raise Unavailable("the lake does not answer")

    with monkeypatch.context() as broken:
        broken.setattr(quick.plane.lake, "evidence", silent)
        for _ in range(10):
            quick.turn(canary=0.9)
        assert (quick.status().phase, quick.status().step) == (Phase.PROGRESSING, 0)
        assert quick.plane.canary.explain("pay").now.reasons[-1].code in {"unmeasurable", "insufficient"}
    quick.until(Phase.ABORTED, canary=0.9)


def test_19_broken_stable_keeps_the_canary_where_it_works(quick):
    """A canary that regressed is not taken back to a stable that fails its own requests, until that is well again."""
    quick.domain()
    quick.deploy(steps=[{"weight": 50, "bake": "1h"}, {"weight": 100}])
    quick.reach(0)
    for _ in range(8):
        quick.turn(canary=1.0, stable=0.7, n=400)
    assert reasons(quick) == [PauseReason.STABLE_UNAVAILABLE]
    assert (quick.status().phase, quick.status().weight) == (Phase.PAUSED, 50.0)
    quick.go(300)
    quick.until(Phase.ABORTED, canary=0.95)


def test_23_gateway_that_splits_wrongly_pauses_the_rollout(quick):
    """When the canary gets twice its share, the comparison means nothing and the rollout pauses."""
    quick.domain()
    quick.deploy()
    quick.reach(0)
    for _ in range(5):
        quick.plane.reconciler.tick()
        quick.serve(share=0.25, n=2000)
        quick.go()
    assert reasons(quick) == [PauseReason.SAMPLE_RATIO]
    quick.plane.canary.resume("pay", actor="ada", why="the load test is over")
    quick.reach(1)


@pytest.mark.parametrize(
    ("answer", "phase", "actions"),
    [
        ("abort", Phase.ABORTED, ["start", "abort"]),
        ("pause", Phase.PAUSED, ["start", "pause"]),
        ("notify", Phase.PROMOTED, ["start", "notify", "advance", "advance", "promote"]),
    ],
)
def test_on_regression_does_what_it_says(quick, answer, phase, actions):
    """A regression aborts, pauses, or is told once and goes on."""
    quick.domain()
    quick.deploy(onRegression=answer)
    quick.until(phase, canary=0.5, stable=0.02)
    assert quick.actions() == actions


def test_regression_accepted_by_a_person_goes_on(quick):
    """Who resumes a pause for a regression overrules that guardrail, and the record says it was accepted."""
    quick.domain()
    quick.deploy(onRegression="pause")
    quick.until(Phase.PAUSED, canary=0.5)
    quick.plane.canary.resume("pay", actor="boss", why="the benchmark is wrong")
    quick.until(Phase.PROMOTED, canary=0.5)
    assert quick.status().overruled == ("errors",)
    last = quick.plane.canary.decisions("pay", limit=100).items[-1]
    assert [reason.code for reason in last.decision.reasons] == ["finished", "regression-accepted"]


@pytest.mark.parametrize(
    ("answer", "phase"), [("hold", Phase.PROGRESSING), ("pause", Phase.PAUSED), ("abort", Phase.ABORTED)]
)
def test_12_on_insufficient_does_what_it_says(quick, answer, phase):
    """A guardrail that is never measured holds, pauses or aborts when the bake is over, and never promotes."""
    quick.domain(**QUALITY)
    quick.deploy(guardrails=[{"metric": "errors"}, {"metric": "quality"}], onInsufficient=answer)
    for _ in range(12):
        quick.turn()
    assert (quick.status().phase, quick.status().step) == (phase, 0)


def test_late_feedback_is_judged_with_the_plan_it_belongs_to(quick):
    """A worse quality that is only learnt later takes the version back, by the outcomes it is about."""
    quick.domain(**QUALITY)
    quick.deploy(guardrails=[{"metric": "quality"}], steps=[{"weight": 50, "bake": "1h"}, {"weight": 100}])
    quick.reach(0)
    quick.turn(n=400)
    outcomes = [each for each in quick.plane.lake.outcomes("pay", limit=1000).items if each.plan_revision == 3]
    quick.plane.lake.feedback(
        [Feedback(outcome_id=each.id, measures={"correct": float(each.assigned == "v1")}) for each in outcomes]
    )
    quick.until(Phase.ABORTED)
    assert quick.status().because.startswith("quality is worse")


def test_17_batches_shipped_twice_count_once(quick):
    """A gateway that ships a batch again, and outcomes of other plans, add no evidence."""
    quick.domain()
    quick.deploy(steps=[{"weight": 10, "bake": 0, "minSamples": 100}, {"weight": 100}])
    quick.reach(0)
    revision = quick.plane.traffic.plan("pay").revision
    quick.serve(n=500)
    (batch,) = [f"b{quick._sent}"]
    again = quick.plane.lake.outcomes("pay", limit=1000).items
    assert quick.plane.lake.ship(batch, again) == 0
    assert quick.plane.lake.ship("another", again) == 0
    quick.ship("pay", revision - 1, {"v1": (500, 0), "v2": (500, 0)})
    quick.plane.reconciler.tick()
    quick.plane.reconciler.tick()
    (look,) = quick.plane.canary.looks("pay", newest_first=True, limit=1).items
    assert sum(cell["canary"] for cell in look.observations["exposures"]) < 100
    assert quick.status().step == 0


def test_changed_configuration_keeps_the_step_and_its_evidence(quick):
    """A domain that is configured anew in mid-step gets a new plan, and the step bakes on with all its evidence."""
    quick.domain()
    quick.deploy()
    quick.reach(0)
    quick.turn()
    spec = load(DomainSpec, {"title": "Payments", "config": {"assignment": {"unit": "request"}, "retries": 3}})
    quick.plane.domains.update("pay", spec, actor="ada")
    plan = quick.plane.traffic.plan("pay")
    assert (plan.weight, plan.config.retries, plan.canary.step) == (100_000, 3, 0)
    assert quick.until(Phase.PROMOTED)[-1] == 100.0
    revisions = {c["revision"] for c in quick.plane.canary.looks("pay", limit=999).items[-1].observations["exposures"]}
    assert {plan.revision - 1, plan.revision} <= revisions


def test_without_hold_back_the_last_step_has_no_stable(quick):
    """With a hold-back of 0 the last step gives everything, and what was seen before decides."""
    quick.domain()
    quick.deploy(holdBack=0)
    assert quick.until(Phase.PROMOTED) == [0.0, 10.0, 50.0, 100.0]


def test_replay_under_the_same_spec_repeats_what_happened(quick):
    """Replaying a rollout's record under its own spec gives its decisions again, and the same every time."""
    quick.domain()
    for errors, phase in ((0.01, Phase.PROMOTED), (0.4, Phase.ABORTED)):
        quick.deploy(name=f"errors-{errors}", alpha=0.04)
        quick.until(phase, canary=errors, stable=0.01, n=200)
        told = quick.plane.canary.decisions("pay", limit=100).items
        again = quick.plane.canary.replay("pay")
        assert [(turn.action, turn.weight) for turn in again.turns] == [(it.decision.action, it.weight) for it in told]
        assert again == quick.plane.canary.replay("pay")
        assert (again.phase, again.notes) == (phase, ())
        quick.go()
        if phase is Phase.PROMOTED:
            quick.plane.canary.undo("pay", actor="ada")


def test_replay_with_other_guardrails_answers_what_would_have_happened(quick):
    """A stricter spec takes back, on the same record, a version that was let through."""
    quick.domain()
    quick.deploy(onRegression="notify")
    quick.until(Phase.PROMOTED, canary=0.5, stable=0.02)
    before = quick.everything()
    assert quick.plane.canary.replay("pay", {"onRegression": "abort"}).phase is Phase.ABORTED
    assert quick.plane.canary.replay("pay").phase is Phase.PROMOTED
    assert quick.everything() == before


def test_explanation_rederives_the_stored_verdicts(quick):
    """What is stored with a look gives again exactly the verdicts that were stored with it; looking writes nothing."""
    quick.domain()
    quick.deploy()
    quick.reach(1)
    quick.turn(canary=0.02, stable=0.02)
    before = quick.everything()
    told = quick.plane.canary.explain("pay")
    assert told.rederived is True
    assert (told.step, told.weight) == (1, 50.0)
    assert quick.everything() == before


def test_explanation_after_the_end_shows_the_last_look(quick):
    """Once promoted, a version is not compared with itself: the explanation keeps what the last look saw."""
    quick.domain()
    quick.deploy(onRegression="notify")
    quick.until(Phase.PROMOTED, canary=0.5, stable=0.02)
    told = quick.plane.canary.explain("pay")
    assert told.verdicts[0].finding is Finding.REGRESSION
    assert told.split is not None
    assert not told.split.mismatch


def test_random_traffic_of_equal_versions_is_promoted(quick):
    """With chance in every request and the same error rate in both arms, the rollout ends promoted (seed 7)."""
    dice = random.Random(7)  # noqa: S311 - traffic, not secrets
    quick.domain()
    quick.deploy()
    for _ in range(60):
        if quick.status().phase is Phase.PROMOTED:
            break
        quick.plane.reconciler.tick()
        plan = quick.plane.traffic.plan("pay")
        quick.plane.traffic.confirm("gateway", {"pay": plan.revision})
        exposed = sum(dice.random() < plan.weight / 1e6 for _ in range(200))
        served = {plan.stable: 200 - exposed} | ({plan.canary.version: exposed} if plan.canary else {})
        counts = {version: (n, sum(dice.random() < 0.05 for _ in range(n))) for version, n in served.items()}
        quick.ship("pay", plan.revision, counts)
        quick.go()
    assert quick.status().phase is Phase.PROMOTED
