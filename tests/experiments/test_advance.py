"""One step of an experiment: harm first, then a broken split, then what the verdict asks for."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.experiments.things import NOW, evidence, measured, running, spec

from vedette.evidence.experiment import ExperimentEvidence
from vedette.experiments.advance import advance, alive
from vedette.experiments.machine import TRANSITIONS, Event, Phase, follow
from vedette.experiments.monitoring import Fixed, GroupSequential, TopTwo
from vedette.kernel.decision import Action
from vedette.kernel.errors import Refused
from vedette.kernel.records import evolve

EQUAL: dict[str, dict[str, float]] = {"base": {}, "brief": {}, "long": {}}


def _step(asked, seen, status=None, now=NOW):
    return advance(asked, status or running(asked), measured(asked), seen, now)


def test_a_harmful_arm_is_taken_out_at_the_first_look():
    """An arm that breaks a guardrail loses its traffic at once; the others keep their units and their places."""
    asked = spec()
    step = _step(asked, evidence(**{**EQUAL, "long": {"error": 0.05}}))
    assert step.decision.action is Action.STOP_ARM
    assert step.decision.reasons[0].code == "guardrail-breach"
    assert alive(asked, step.status) == ("base", "brief")
    before = running(asked)
    assert step.status.slices == tuple(piece for piece in before.slices if piece.arm != "long")
    assert step.status.epoch == before.epoch + 1
    assert step.status.phase is Phase.RUNNING


def test_harm_outranks_a_winner_and_a_broken_split():
    """A harmful arm is taken out even if it wins the primary metric, or the split is broken."""
    asked = spec(on_winner="decide")
    winning = _step(asked, evidence(**{**EQUAL, "long": {"accepted": 0.7, "error": 0.05}}))
    assert winning.decision.action is Action.STOP_ARM
    lopsided = _step(asked, evidence(**{**EQUAL, "long": {"error": 0.05, "requests": 9000}}))
    assert lopsided.decision.action is Action.STOP_ARM


def test_the_last_treatment_that_harms_ends_the_experiment():
    """When only the control is left the experiment is stopped and exposes nobody."""
    asked = spec(arms=("base", "brief"))
    step = _step(asked, evidence(base={}, brief={"error": 0.06}))
    assert step.decision.action is Action.STOP
    assert step.status.phase is Phase.STOPPED
    assert step.status.exposed == 0
    assert step.status.slices == ()


def test_harm_is_only_told_where_the_spec_says_so():
    """With onGuardrail notify people are told once, and nothing is taken out."""
    asked = spec(on_guardrail="notify")
    seen = evidence(**{**EQUAL, "long": {"error": 0.05}})
    first = _step(asked, seen)
    assert first.decision.action is Action.NOTIFY
    assert alive(asked, first.status) == ("base", "brief", "long")
    again = _step(asked, seen, first.status)
    assert again.status == first.status
    assert again.decision.action is Action.HOLD


def test_a_broken_split_withholds_the_verdict():
    """When an arm did not get its share nothing is concluded, however clear the difference; people are told once."""
    asked = spec(on_winner="decide")
    seen = evidence(base={}, brief={"accepted": 0.7, "requests": 14_000}, long={})
    step = _step(asked, seen)
    assert step.decision.action is Action.NOTIFY
    assert step.decision.reasons[0].code == "sample-ratio"
    assert step.analysis.verdict.winner == ""
    again = _step(asked, seen, step.status)
    assert again.status == step.status
    assert again.decision.action is Action.HOLD


@pytest.mark.parametrize(
    ("asks", "action", "phase"),
    [
        ("notify", Action.NOTIFY, Phase.RUNNING),
        ("decide", Action.DECIDE, Phase.DECIDED),
        ("promote", Action.PROMOTE, Phase.DECIDED),
    ],
)
def test_a_winner_is_told_ends_it_or_goes_live(asks, action, phase):
    """What follows a winner is what the spec says, once."""
    asked = spec(on_winner=asks)
    seen = evidence(**{**EQUAL, "brief": {"accepted": 0.6}})
    step = _step(asked, seen)
    assert step.decision.action is action
    assert step.status.phase is phase
    assert step.analysis.verdict.winner == "brief"
    assert step.promote == ("brief" if asks == "promote" else "")
    again = _step(asked, seen, step.status)
    assert again.status == step.status
    assert again.promote == ""


def test_a_winning_control_promotes_nothing():
    """When the control wins the experiment is decided and no rollout begins."""
    step = _step(spec(on_winner="promote"), evidence(base={"accepted": 0.6}, brief={}, long={}))
    assert step.decision.action is Action.DECIDE
    assert step.status.conclusion.winner == "base"
    assert step.promote == ""


def test_nothing_settled_changes_nothing():
    """Equal arms hold: the status is the same object's equal, so nothing is written."""
    asked = spec()
    step = _step(asked, evidence(**EQUAL))
    assert step.status == running(asked)
    assert step.decision.action is Action.HOLD
    assert step.decision.reasons[0].code == "undecided"


def test_what_one_look_settles_stays_settled():
    """An arm that was beaten at one look is beaten at the next, even if that look alone would not say so."""
    asked = spec()
    first = _step(asked, evidence(base={"accepted": 0.56}, brief={"accepted": 0.56}, long={"accepted": 0.5}))
    assert ("base", "long") in first.status.established
    later = _step(asked, evidence(seed=2, **EQUAL), first.status)
    assert ("base", "long") in later.analysis.verdict.established
    assert later.status.established == first.status.established


def test_evidence_that_cannot_be_read_holds():
    """No evidence is neither good news nor bad news."""
    asked = spec()
    step = _step(asked, None)
    assert step.decision.reasons[0].code == "unmeasurable"
    assert step.status == running(asked)
    empty = _step(asked, ExperimentEvidence(epochs={}))
    assert empty.decision.reasons[0].code == "insufficient"


def test_planned_looks_are_taken_when_due_and_only_then():
    """Between looks nothing is judged but harm; a look that is due is written down with its information."""
    asked = spec(monitoring=GroupSequential(units=120_000, looks=4), on_winner="decide")
    early = _step(
        asked, evidence(base={"requests": 9000}, brief={"requests": 9000, "accepted": 0.7}, long={"requests": 9000})
    )
    assert early.status.looks == ()
    assert early.decision.action is Action.HOLD
    due = _step(asked, evidence(**EQUAL))
    assert [look.information for look in due.status.looks] == [0.5]
    again = _step(asked, evidence(**EQUAL), due.status)
    assert again.status == due.status


def test_a_planned_end_without_a_winner_is_a_tie():
    """At the last look of equal arms the experiment is tied, not undecided for ever."""
    asked = spec(monitoring=GroupSequential(units=60_000, looks=2), on_winner="decide")
    step = _step(asked, evidence(**EQUAL))
    assert step.status.conclusion.verdict == "tied"
    assert step.status.phase is Phase.DECIDED


def test_a_fixed_design_waits_for_its_units():
    """One analysis is made when its units are there, and none before, however clear it looks."""
    clear = evidence(**{**EQUAL, "brief": {"accepted": 0.7}})
    waiting = _step(spec(monitoring=Fixed(units=200_000), on_winner="decide"), clear)
    assert waiting.status.phase is Phase.RUNNING
    assert waiting.decision.reasons[0].code == "insufficient"
    done = _step(spec(monitoring=Fixed(units=60_000), on_winner="decide"), clear)
    assert done.status.conclusion.winner == "brief"


def test_the_longest_duration_ends_it():
    """An experiment that settles nothing in its longest duration is stopped, and decided by nobody."""
    asked = spec(max_duration=3600.0)
    step = _step(asked, evidence(**EQUAL), now=NOW + timedelta(hours=2))
    assert step.status.phase is Phase.STOPPED
    assert step.status.conclusion is None
    assert step.decision.reasons[0].code == "too-long"


def test_a_bandit_moves_traffic_to_the_better_arm():
    """A bandit gives the leading arms more and no arm less than its minimum; the split before stays on record."""
    asked = spec(allocation=TopTwo(every=60.0, minimum=0.1, burn_in=100), on_winner="notify")
    status = running(asked, notified=("winner/brief",))
    seen = evidence(**{**EQUAL, "brief": {"accepted": 0.53}, "long": {"accepted": 0.47}})
    soon = NOW + timedelta(minutes=5)
    settled = _step(asked, seen, status, now=soon)  # first what the look settles is written down
    moved = _step(asked, seen, settled.status, now=soon)
    shares = moved.status.epochs[-1].shares
    assert moved.decision.action is Action.REALLOCATE
    assert sum(shares.values()) == 1_000_000
    assert shares["brief"] > shares["long"] >= 100_000
    assert sum(piece.end - piece.begin for piece in moved.status.slices) == 1_000_000
    assert moved.status.epochs[0] == running(asked).epochs[0]


@given(st.sampled_from(list(Phase)), st.sampled_from(list(Event)))
def test_events_that_are_not_in_the_table_change_nothing(phase, event):
    """What the table does not allow is refused, naming what is."""
    if (phase, event) in TRANSITIONS:
        assert follow(phase, event) is TRANSITIONS[phase, event]
        return
    with pytest.raises(Refused, match="cannot"):
        follow(phase, event)


def test_an_experiment_that_does_not_run_is_left_alone():
    """A draft, stopped, decided or archived experiment is not moved by any evidence."""
    asked = spec()
    for phase in (Phase.DRAFT, Phase.STOPPED, Phase.DECIDED, Phase.ARCHIVED):
        status = evolve(running(asked), phase=phase)
        assert _step(asked, evidence(**{**EQUAL, "long": {"error": 0.3}}), status).status == status
