"""What people ask of an experiment: each verb gives the next status and says why, or is refused."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.experiments.things import NOW, running, spec

from vedette.experiments import commands
from vedette.experiments.machine import TRANSITIONS, Conclusion, Event, ExperimentStatus, Phase
from vedette.kernel.decision import Action
from vedette.kernel.errors import InvalidInput, Refused
from vedette.kernel.records import evolve
from vedette.routing.layers import PLACES, Stretch

DRAFT = ExperimentStatus(salt="salt", created_at=NOW)
HALF = (Stretch(begin=0, end=500_000),)


def _conclusion(winner=""):
    return Conclusion(verdict="continue", winner=winner, by="ada", because="", at=NOW)


def test_a_start_lays_the_arms_out_over_their_space():
    """The arms of the first epoch fill the whole space, in proportion to their weights."""
    status, decision = commands.start(spec(), DRAFT, HALF, 100_000, NOW)
    assert (status.phase, status.exposed, status.stretches, status.epoch) == (Phase.RUNNING, 100_000, HALF, 1)
    assert sum(status.epochs[0].shares.values()) == PLACES
    assert (decision.action, decision.sentence) == (Action.START, "it began with 10 % of the layer 'default'")


@given(st.integers(1, PLACES), st.integers(1, PLACES))
def test_coverage_only_grows(now, wanted):
    """A ramp to more keeps slices and epoch as they are; one to less or to the same is refused."""
    status = running(spec(), stretches=(Stretch(begin=0, end=PLACES),), exposed=now)
    if wanted <= now:
        with pytest.raises(Refused, match="would move people"):
            commands.ramp(status, (), wanted)
        return
    grown, decision = commands.ramp(status, (), wanted)
    assert evolve(grown, exposed=now) == status
    assert decision.reasons[0].evidence == {"coverage": 100 * wanted / PLACES}


def test_more_places_are_added_behind_those_held():
    """What is taken on top comes last, so nobody who is in it moves."""
    more = (Stretch(begin=700_000, end=900_000),)
    grown, _ = commands.ramp(running(spec(), stretches=HALF, exposed=500_000), more, 600_000)
    assert grown.stretches == HALF + more


def test_an_arm_that_is_stopped_leaves_a_hole():
    """The slices of the others stay as they are; the control and strangers cannot be stopped."""
    asked, status = spec(), running(spec())
    changed, decision = commands.stop_arm(asked, status, "brief", NOW, "too slow")
    assert changed.slices == tuple(piece for piece in status.slices if piece.arm != "brief")
    assert (decision.action, decision.sentence, changed.epoch) == (Action.STOP_ARM, "too slow", 2)
    with pytest.raises(Refused, match="is the control"):
        commands.stop_arm(asked, changed, "base", NOW)
    with pytest.raises(InvalidInput, match="still in it: base, long"):
        commands.stop_arm(asked, changed, "brief", NOW)
    ended, decision = commands.stop_arm(asked, changed, "long", NOW)
    assert (ended.phase, ended.slices, decision.action) == (Phase.STOPPED, (), Action.STOP)


def test_a_decision_by_hand_says_who_and_why():
    """The winner, the words and the time stand in the conclusion; a running experiment is stopped first."""
    later = NOW + timedelta(hours=1)
    decided, decision = commands.decide(spec(), running(spec()), evolve(_conclusion("long"), at=later), "cheaper")
    assert decided.conclusion == evolve(_conclusion("long"), because="cheaper", at=later)
    assert (decided.phase, decided.ended_at, decided.exposed) == (Phase.DECIDED, later, 0)
    assert (decided.awaiting_rollout, decision.action) == ("", Action.DECIDE)
    _, nobody = commands.decide(spec(), decided, _conclusion())
    assert nobody.sentence == "nobody wins, by hand"


@pytest.mark.parametrize(("winner", "awaits"), [("long", "long"), ("base", ""), ("", "")])
def test_a_winner_by_hand_waits_for_its_rollout_where_the_spec_says_so(winner, awaits):
    """With onWinner promote a treatment that was chosen is to be taken live; the control and nobody are not."""
    asked = spec(on_winner="promote")
    decided, _ = commands.decide(asked, running(asked), _conclusion(winner))
    assert decided.awaiting_rollout == awaits
    archived, _ = commands.archive(decided)
    assert (archived.awaiting_rollout, archived.phase) == ("", Phase.ARCHIVED)
    taken = evolve(decided, awaiting_rollout="", rollout="r1")
    again, _ = commands.decide(asked, taken, _conclusion(winner))
    assert again.awaiting_rollout == ""


def test_verbs_follow_the_table():
    """A verb is refused in every phase in which the table has no such event, and nothing changes."""
    asked = spec()
    verbs = {
        Event.START: lambda status: commands.start(asked, status, HALF, 1, NOW),
        Event.RAMP: lambda status: commands.ramp(status, (), PLACES),
        Event.STOP_ARM: lambda status: commands.stop_arm(asked, status, "long", NOW),
        Event.STOP: lambda status: commands.stop(status, NOW),
        Event.ARCHIVE: commands.archive,
    }
    for phase in Phase:
        status = evolve(running(asked), phase=phase)
        for event, verb in verbs.items():
            if (phase, event) in TRANSITIONS:
                assert verb(status)[0].phase in {TRANSITIONS[phase, event], Phase.STOPPED}
            else:
                with pytest.raises(Refused, match=f"cannot {event} an experiment that is {phase}"):
                    verb(status)
