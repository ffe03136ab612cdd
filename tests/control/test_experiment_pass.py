"""What the reconciler does with an experiment: harm, verdicts, planned looks, winners taken live, or nothing at all."""

import math
from datetime import timedelta

import pytest
from sqlalchemy import update
from tests.control.faults import lapse
from tests.control.trials import USES, actions, answer, arms_of, audited, draft, parameters

from vedette.control.plane import ControlPlane
from vedette.experiments.advance import advance
from vedette.experiments.machine import Phase
from vedette.experiments.verdict import Status
from vedette.kernel.documents import dump
from vedette.kernel.errors import Conflict, Refused, Unavailable
from vedette.rollouts.machine import ACTIVE
from vedette.rollouts.machine import Phase as RolloutPhase
from vedette.store import experiments, outbox
from vedette.store.tables import experiment_looks

SURE = {"v2": 0.8}
"""Answers of v2 are correct far more often."""


def _run(world, *variants, **design):
    draft(world, *variants, **design)
    return world.plane.experiments.start("tone", actor="ada")


def _told(world) -> list[str]:
    with world.plane.store.reading() as connection:
        return [item.payload["body"]["event"] for item in outbox.waiting(connection, limit=1000)]


def test_a_harmful_arm_is_stopped_within_one_pass(trial):
    """Outcomes that break a guardrail take the arm out at the very next pass, and nobody else moves."""
    _run(trial, "v1", "v2", "v3", webhooks=("http://nobody.example/",))
    seen = arms_of(trial)
    answer(trial, error={"v3": 0.3})
    assert trial.plane.reconciler.tick() == 1
    assert arms_of(trial) == {unit: arm for unit, arm in seen.items() if arm != "v3"}
    (_, said) = trial.plane.experiments.decisions("tone").items
    assert (said.actor, said.decision.action, said.decision.reasons[0].code) == (
        "vedette/reconciler",
        "stop-arm",
        "guardrail-breach",
    )
    assert _told(trial) == ["experiment.start", "experiment.stop-arm"]
    (look,) = trial.plane.experiments.looks("tone").items
    assert look.verdict is Status.GUARDRAIL_BREACH
    results = trial.plane.experiments.results("tone")
    assert {it.variant for it in results.standings} == {"v1", "v2", "v3"}
    assert trial.plane.experiments.explain("tone").rederived is True


def test_a_look_that_was_tampered_with_does_not_follow_any_more(lab):
    """Whoever changes the evidence kept with a look, or its verdict, is found out; a last digit is not one."""
    _run(lab)
    answer(lab, correct=SURE)
    lab.plane.reconciler.tick()
    (kept,) = lab.plane.experiments.looks("tone").items
    assert kept.report.verdict.winner == "v2"
    seen, report = dump(kept.seen), dump(kept.report)
    turned = {**seen, "mean": [row[::-1] for row in seen["mean"]]}
    nearly = {**seen, "mean": [[math.nextafter(value, 1.0) for value in row] for row in seen["mean"]]}
    other = {**report, "verdict": {**report["verdict"], "winner": "v1"}}
    for changes, follows in (({"seen": turned}, False), ({"report": other}, False), ({"seen": nearly}, True)):
        with lab.plane.store.transaction() as connection:
            connection.execute(update(experiment_looks).values(**{"seen": seen, "report": report} | changes))
        assert lab.plane.experiments.explain("tone").rederived is follows


def test_a_pass_that_changes_nothing_writes_nothing(trial):
    """Looking again at what was seen leaves every row as it was; looks are kept when 5 % more was seen."""
    _run(trial)
    answer(trial, users=400)
    assert trial.plane.reconciler.tick() == 0
    before = trial.everything()
    assert len(before["experiment_looks"]) == 1
    for _ in range(3):
        trial.go()
        assert trial.plane.reconciler.tick() == 0
    assert trial.everything() == before
    answer(trial, users=10)
    trial.plane.reconciler.tick()
    assert trial.everything() == before
    answer(trial, users=30)
    trial.plane.reconciler.tick()
    assert len(trial.everything()["experiment_looks"]) == 2
    trial.plane.reconciler.release()
    trial.plane.reconciler.tick()
    assert len(trial.everything()["experiment_looks"]) == 2


def test_nothing_is_said_before_anything_was_seen(lab):
    """A running experiment without outcomes holds, keeps no look, and its results say what is missing."""
    _run(lab)
    assert lab.plane.reconciler.tick() == 0
    assert lab.plane.experiments.looks("tone").items == ()
    assert lab.plane.experiments.results("tone").verdict.status is Status.INSUFFICIENT
    assert [it.code for it in lab.plane.experiments.explain("tone").now.reasons] == ["insufficient"]


def test_a_winner_is_told_once(lab):
    """With onWinner notify people are told of the winner once, and the experiment goes on."""
    _run(lab, webhooks=("http://nobody.example/",))
    answer(lab, correct=SURE)
    for _ in range(3):
        lab.plane.reconciler.tick()
        lab.go()
    assert (actions(lab), lab.plane.experiments.get("tone").status.phase) == (["start", "notify"], Phase.RUNNING)
    assert lab.plane.experiments.results("tone").verdict.winner == "v2"
    assert _told(lab) == ["experiment.start", "experiment.notify"]


def test_a_winner_may_end_the_experiment(trial):
    """With onWinner decide the experiment is stopped and decided, and the domain serves everybody as before."""
    _run(trial, on_winner="decide")
    answer(trial, correct=SURE)
    assert trial.plane.reconciler.tick() == 1
    stored = trial.plane.experiments.get("tone")
    assert (stored.status.phase, stored.status.conclusion.winner, stored.status.rollout) == (Phase.DECIDED, "v2", "")
    assert arms_of(trial) == {}
    assert audited(trial) == ["experiment.create", "experiment.start", "experiment.decide"]
    assert trial.plane.reconciler.tick() == 0
    with trial.plane.store.reading() as connection:
        assert experiments.moving(connection) == ()


def test_a_winner_is_taken_live_by_one_rollout(trial):
    """With onWinner promote the winner's version gets a rollout, as the spec says, exactly once, and it is noted."""
    _run(trial, on_winner="promote", rollout={"steps": [{"weight": 25, "bake": 20}, {"weight": 100, "bake": 20}]})
    answer(trial, correct=SURE)
    assert trial.plane.reconciler.tick() == 1
    rollout = trial.plane.canary.get("pay")
    stored = trial.plane.experiments.get("tone")
    assert (rollout.spec.version, rollout.spec.steps[0].weight, rollout.name) == ("v2", 25.0, "tone-v2")
    assert (stored.status.rollout, stored.status.awaiting_rollout) == (rollout.id, "")
    assert (stored.status.conclusion.winner, rollout.created_by) == ("v2", "vedette/reconciler")
    for _ in range(3):
        trial.turn(n=0)
    assert len(trial.plane.canary.page(domain="pay").items) == 1
    assert audited(trial)[-2:] == ["experiment.decide", "experiment.promote"]
    with pytest.raises(Refused, match="took the winner up already"):
        trial.plane.experiments.promote("tone", actor="ada")
    assert trial.plane.governance.verify() == ()


def test_a_winner_waits_for_the_rollout_before_it(trial):
    """While another rollout is active the winner waits, is told of once, and is taken live when its turn has come."""
    trial.deploy(version="v3")
    _run(trial, on_winner="promote")
    answer(trial, correct=SURE)
    for _ in range(3):
        trial.plane.reconciler.tick()
    stored = trial.plane.experiments.get("tone")
    assert (stored.status.awaiting_rollout, stored.status.rollout, stored.status.phase) == ("v2", "", Phase.DECIDED)
    assert actions(trial) == ["start", "promote", "notify"]
    with pytest.raises(Conflict, match="has a rollout already"):
        trial.plane.experiments.promote("tone", actor="ada")
    trial.plane.canary.abort("pay", actor="ada")
    assert trial.plane.reconciler.tick() == 1
    assert trial.plane.canary.get("pay").spec.version == "v2"
    assert trial.plane.experiments.get("tone").status.rollout == trial.plane.canary.get("pay").id
    assert actions(trial) == ["start", "promote", "notify", "promote"]


def test_a_winner_that_is_stable_already_is_not_taken_live(lab):
    """Where another way made the winner stable meanwhile, there is nothing to do, and that is said."""
    lab.deploy(version="v2")
    _run(lab, on_winner="promote")
    answer(lab, correct=SURE)
    lab.plane.reconciler.tick()
    lab.plane.canary.promote("pay", full=True, actor="ada")
    assert lab.status().phase is RolloutPhase.PROMOTED
    lab.plane.reconciler.tick()
    stored = lab.plane.experiments.get("tone")
    assert (stored.status.awaiting_rollout, stored.status.rollout) == ("", "")
    assert lab.plane.experiments.decisions("tone").items[-1].decision.reasons[0].code == "nothing-to-take-up"
    assert lab.plane.reconciler.tick() == 0


def test_a_person_may_take_the_winner_live_or_put_it_away(lab):
    """Promote by hand starts the rollout at once; archiving a winner that waits ends the waiting."""
    _run(lab)
    with pytest.raises(Refused, match="decide on a winner first"):
        lab.plane.experiments.promote("tone", actor="ada")
    lab.plane.experiments.decide("tone", actor="ada")
    with pytest.raises(Refused, match="nobody won"):
        lab.plane.experiments.promote("tone", actor="ada")
    lab.plane.experiments.decide("tone", "v1", actor="ada")
    with pytest.raises(Refused, match="the control won"):
        lab.plane.experiments.promote("tone", actor="ada")
    lab.plane.experiments.decide("tone", "v2", actor="ada")
    rollout = lab.plane.experiments.promote("tone", actor="ada", why="go")
    assert (rollout.created_by, rollout.status.phase in ACTIVE) == ("ada", True)
    draft(lab, name="second", on_winner="promote")
    lab.plane.experiments.start("second", actor="ada")
    assert lab.plane.experiments.decide("second", "v2", actor="ada").status.awaiting_rollout == "v2"
    assert lab.plane.experiments.archive("second", actor="ada").status.awaiting_rollout == ""
    lab.plane.canary.abort("pay", actor="ada")
    lab.plane.reconciler.tick()
    assert len(lab.plane.canary.page(domain="pay").items) == 1


def test_a_winner_that_is_no_version_is_not_taken_live(lab):
    """A variant that changes decoding parameters cannot be taken live by a rollout."""
    _run(lab, parameters("base", temperature=0.7), parameters("cold", temperature=0.0))
    lab.plane.experiments.decide("tone", "cold", actor="ada")
    with pytest.raises(Refused, match=r"it changes parameters\.temperature"):
        lab.plane.experiments.promote("tone", actor="ada")


def test_planned_looks_are_written_down(trial):
    """A group-sequential experiment is judged at its planned looks alone, and each leaves an audit entry."""
    plan = {"kind": "group-sequential", "units": 9000, "looks": 3}
    _run(trial, "v1", "v2", monitoring=plan, on_winner="decide", metrics=USES[:1])
    answer(trial, users=500)
    assert trial.plane.reconciler.tick() == 0
    assert trial.plane.experiments.results("tone").verdict.status is Status.CONTINUE
    answer(trial, users=600)
    assert trial.plane.reconciler.tick() == 1
    answer(trial, users=100)
    assert trial.plane.reconciler.tick() == 0
    status = trial.plane.experiments.get("tone").status
    assert [round(look.information, 2) for look in status.looks] == [0.37]
    assert trial.plane.experiments.explain("tone").rederived is True
    answer(trial, users=1000, correct=SURE)
    assert trial.plane.reconciler.tick() == 1
    decided = trial.plane.experiments.get("tone")
    assert (decided.status.phase, decided.status.conclusion.winner) == (Phase.DECIDED, "v2")
    assert audited(trial) == ["experiment.create", "experiment.start", "experiment.look", "experiment.decide"]


def test_a_bandit_moves_the_split(lab):
    """Top-two allocation gives the better arm more of the traffic, in a new epoch, and tests go on being valid."""
    _run(lab, "v1", "v2", "v3", allocation={"kind": "top-two", "every": 60, "burnIn": 200}, metrics=USES[:1])
    answer(lab, correct={"v2": 0.55})
    lab.go(61)
    assert lab.plane.reconciler.tick() == 1
    status = lab.plane.experiments.get("tone").status
    assert (status.epoch, actions(lab)[-1]) == (2, "reallocate")
    assert status.epochs[-1].shares["v2"] > status.epochs[0].shares["v2"]
    assert sum(piece.end - piece.begin for piece in status.slices) == 1_000_000
    answer(lab, correct={"v2": 0.55})
    assert lab.plane.experiments.results("tone").units == 9000
    assert "experiment.reallocate" in audited(lab)


def test_the_longest_duration_ends_it(lab):
    """An experiment that ran for its longest time is stopped without a winner."""
    _run(lab, max_duration="1h")
    answer(lab, users=300)
    lab.plane.reconciler.tick()
    lab.go(3601)
    lab.plane.reconciler.tick()
    stored = lab.plane.experiments.get("tone")
    assert (stored.status.phase, stored.status.ended_at - stored.status.started_at) == (
        Phase.STOPPED,
        timedelta(seconds=3601),
    )
    assert lab.plane.experiments.decisions("tone").items[-1].decision.reasons[0].code == "too-long"


def test_a_broken_split_withholds_the_verdict(lab):
    """Outcomes of one arm that get lost make no winner: people are told that the split is broken."""
    _run(lab, on_winner="decide")
    answer(lab, users=3000, lost={"v2": 0.3}, correct=SURE)
    lab.plane.reconciler.tick()
    stored = lab.plane.experiments.get("tone")
    assert (stored.status.phase, actions(lab)[-1]) == (Phase.RUNNING, "notify")
    assert lab.plane.experiments.results("tone").verdict.status is Status.INVALID_SRM


def test_one_that_breaks_does_not_stop_the_others(lab, monkeypatch, caplog):
    """When moving one experiment fails in whatever way, the others are moved all the same."""
    draft(lab, coverage=50)
    draft(lab, name="second", coverage=50)
    lab.plane.experiments.start("tone", actor="ada")
    lab.plane.experiments.start("second", actor="ada")
    answer(lab, users=2500, error={"v2": 0.3})
    broken = lab.plane.experiments.get("tone")

    def breaking(spec, status, metrics, evidence, now):
        if status.salt == broken.id:
            raise ZeroDivisionError
        return advance(spec, status, metrics, evidence, now)

    monkeypatch.setattr("vedette.control.experiment_pass.advance", breaking)
    assert lab.plane.reconciler.tick() == 1
    assert lab.plane.experiments.get("second").status.phase is Phase.STOPPED
    assert lab.plane.experiments.get("tone") == broken
    assert "failed and is tried again" in caplog.text


def test_outcomes_that_cannot_be_read_hold(lab, monkeypatch):
    """While outcomes cannot be read nothing is decided, and a person can still stop the experiment."""
    _run(lab, on_winner="decide", max_duration="1m")
    answer(lab, correct=SURE)
    lab.go(120)

    def away(*_, **__):
        raise Unavailable("the lake is away")

    monkeypatch.setattr(lab.plane.lake, "experiment", away)
    assert lab.plane.reconciler.tick() == 0
    explained = lab.plane.experiments.explain("tone")
    assert ([it.code for it in explained.now.reasons], explained.report) == (["unmeasurable"], None)
    with pytest.raises(Unavailable):
        lab.plane.experiments.results("tone")
    assert lab.plane.experiments.stop("tone", actor="ada").status.phase is Phase.STOPPED


def test_three_at_once_beside_a_rollout_are_moved_each_by_itself(lab):
    """Three experiments in three layers and a rollout run at once; harm in one stops its arm and nothing else."""
    lab.deploy(version="v3")
    draft(lab, name="tone")
    draft(lab, parameters("warm", temperature=0.7), parameters("cold", temperature=0.0), name="heat", layer="b")
    draft(lab, parameters("many", max_tokens=900), parameters("few", max_tokens=90), name="size", layer="c")
    for name in ("tone", "heat", "size"):
        lab.plane.experiments.start(name, actor="ada")
    answer(lab, error={"cold": 0.4})
    lab.plane.reconciler.tick()
    phases = {name: lab.plane.experiments.get(name).status.phase for name in ("tone", "heat", "size")}
    assert phases == {"tone": Phase.RUNNING, "heat": Phase.STOPPED, "size": Phase.RUNNING}
    assert lab.status().phase is RolloutPhase.PROGRESSING


def test_a_late_write_is_refused(trial):
    """What a replica decides after another one took the experiment over is not written."""
    other = ControlPlane(trial.plane.store, trial.plane.lake, trial.plane.folder, trial.clock, "eve")
    _run(trial, on_winner="decide")
    trial.plane.reconciler.tick()
    lapse(trial.plane)
    other.reconciler.tick()
    answer(trial, correct=SURE)
    before = trial.everything()
    assert trial.plane.reconciler.tick() == 0
    assert trial.everything() == before
    assert other.reconciler.tick() == 1
    assert actions(trial) == ["start", "decide"]


def test_two_reconcilers_share_experiments(trial):
    """A replica moves only what it holds; when it lets go the other goes on, and nothing is decided twice."""
    other = ControlPlane(trial.plane.store, trial.plane.lake, trial.plane.folder, trial.clock, "eve")
    _run(trial, on_winner="decide")
    trial.plane.reconciler.tick()
    answer(trial, correct=SURE)
    assert other.reconciler.tick() == 0
    trial.plane.reconciler.release()
    assert other.reconciler.tick() == 1
    assert trial.plane.reconciler.tick() == 0
    assert actions(trial) == ["start", "decide"]
