"""Semantics 1 to 13 of progressive delivery, each tested on what vedette does."""

from datetime import timedelta
from itertools import pairwise

import pytest
from tests.rollouts.things import (
    BAD,
    FINE,
    NO_DATA,
    NOON,
    at,
    climb,
    codes,
    exposure,
    look,
    paused,
    rate,
    running,
    spec,
    status,
    unseen,
)

from vedette.kernel.decision import Action
from vedette.kernel.errors import Refused
from vedette.rollouts import commands
from vedette.rollouts.advance import advance
from vedette.rollouts.gates import Finding
from vedette.rollouts.machine import PauseReason, Phase
from vedette.rollouts.spec import Guardrail, Step


def test_01_derived_state_same_look_changes_nothing():
    """A look at which nothing follows gives the very status back, so a pass that changes nothing writes nothing."""
    now = running()
    found = advance(spec(), now, look(), at(30))
    assert found.status is now
    assert found.decision.action is Action.HOLD
    assert advance(spec(), now, look(), at(30)) == found


def test_02_changed_spec_begins_again_at_step_0_with_nothing_left_over():
    """A revised rollout waits at step 0 and weight 0, without pauses, abort, overrules or evidence of before."""
    then = running(1, weight=50.0, overruled=("errors",), notified=("errors",), passed=True, because="x")
    again, _ = commands.revise(then, NOON + timedelta(hours=1))
    assert again == status(attempt=2, queued_at=NOON + timedelta(hours=1), previous_stable="v1")
    aborted, _ = commands.abort(then, NOON)
    assert commands.revise(aborted, NOON)[0].phase is Phase.PENDING


def test_03_step_is_done_only_after_a_gateway_confirmed_it():
    """However long a step waits and however much it served: without a confirmation it neither bakes nor climbs."""
    waiting = running(since=None)
    held = advance(spec(), waiting, look(confirmed=1), at(10_000))
    assert (held.status, codes(held)) == (waiting, ["waiting-for-gateway"])
    confirmed = advance(spec(), waiting, look(), at(10_000)).status
    assert (confirmed.step, confirmed.step_since) == (0, 10_000)
    assert codes(advance(spec(), confirmed, look(), at(10_059))) == ["baking"]


def test_03_never_two_steps_in_one_look():
    """From the start to the end no look moves the step by more than one, also when steps bake no time."""
    eager = tuple(Step(weight=weight, bake=0) for weight in (1, 2, 4, 8, 100))
    found = climb(spec(steps=eager), status())
    steps = [0, *(each.status.step for each in found)]
    assert found[-1].status.phase is Phase.PROMOTED
    assert max(b - a for a, b in pairwise(steps)) == 1


def test_04_step_names_the_plan_that_brings_it():
    """Each change of weight is bound to the very next plan, so deciding twice publishes once."""
    begun = advance(spec(), status(), unseen(plan=7, confirmed=7), at(0)).status
    assert (begun.first_plan, begun.step_plan) == (8, 8)
    climbed = advance(spec(), running(), look(plan=9, confirmed=9), at(60)).status
    assert (climbed.step, climbed.step_plan, climbed.first_plan, climbed.step_since) == (1, 10, 2, None)


def test_05_a_repeated_look_after_a_crash_comes_to_the_same_end():
    """Each decision of a whole rollout, taken twice from the status before it, is the same decision."""
    once = climb(spec(), status())
    again = climb(spec(), status())
    assert [each.status for each in once] == [each.status for each in again]
    assert once[-1].status.phase is Phase.PROMOTED


def test_07_abort_wins_over_pause_approval_and_finished_step():
    """A regression aborts at once while paused by a person, while waiting for approval, and when a person promoted."""
    for now in (paused(PauseReason.USER), paused(PauseReason.APPROVAL), running(passed=True), running(since=None)):
        found = advance(spec(), now, look(BAD), at(600))
        assert (found.status.phase, found.status.weight, found.status.pauses) == (Phase.ABORTED, 0.0, ())
        assert found.decision.action is Action.ABORT


@pytest.mark.parametrize("now", [status(), running(), paused(PauseReason.USER), paused(PauseReason.STABLE_UNAVAILABLE)])
def test_07_abort_by_hand_wins_in_every_active_phase(now):
    """A person's abort sets weight 0 in every active phase, whatever else stands."""
    aborted, decision = commands.abort(now, NOON, "smells")
    assert (aborted.phase, aborted.weight, aborted.pauses) == (Phase.ABORTED, 0.0, ())
    assert decision.sentence == "smells"


def test_08_abort_does_not_retry_by_itself():
    """An aborted rollout stays so whatever is seen; a retry begins at step 0, with the salt and without evidence."""
    aborted, _ = commands.abort(running(1, weight=50.0), NOON)
    assert advance(spec(), aborted, look(), at(1e6)).status is aborted
    again, _ = commands.retry(aborted, NOON + timedelta(hours=1))
    assert (again.phase, again.step, again.weight, again.attempt) == (Phase.PENDING, 0, 0.0, 2)
    assert (again.salt, again.first_plan, again.step_plan) == ("s", 0, 0)


def test_09_pause_of_a_person_never_expires():
    """However long it lasts, a person's pause ends by resume alone; the step then goes on where it stood."""
    now = paused(PauseReason.USER)
    assert advance(spec(), now, look(), at(1e7)).status is now
    resumed, _ = commands.resume(now)
    assert (resumed.phase, resumed.step, resumed.pauses) == (Phase.PROGRESSING, 0, ())


def test_09_resume_of_an_insufficient_step_does_not_pause_again_at_once():
    """A person who resumes a step that had too little evidence gives it its bake and deadline anew."""
    asked = spec(steps=(Step(weight=10, bake=60, deadline=120), Step(weight=100)), on_insufficient="pause")
    stopped = advance(asked, running(), look(NO_DATA), at(120)).status
    assert [pause.reason for pause in stopped.pauses] == [PauseReason.INSUFFICIENT]
    resumed, _ = commands.resume(stopped)
    assert resumed.step_since is None
    confirmed = advance(asked, resumed, look(NO_DATA), at(500)).status
    assert advance(asked, confirmed, look(NO_DATA), at(619)).status.phase is Phase.PROGRESSING
    assert advance(asked, confirmed, look(NO_DATA), at(620)).status.phase is Phase.PAUSED


def test_09_pause_keeps_each_reason_with_its_own_start():
    """A person's pause joins the pause that stands, and each says since when."""
    both, _ = commands.pause(paused(PauseReason.REGRESSION), NOON + timedelta(minutes=5))
    assert [(pause.reason, pause.since) for pause in both.pauses] == [
        (PauseReason.REGRESSION, NOON),
        (PauseReason.USER, NOON + timedelta(minutes=5)),
    ]


def test_09_approval_is_not_given_by_resume():
    """Resume ends a person's pause and leaves the approval standing; promote gives it."""
    both = paused(PauseReason.APPROVAL, PauseReason.USER)
    resumed, _ = commands.resume(both)
    assert (resumed.phase, [pause.reason for pause in resumed.pauses]) == (Phase.PAUSED, [PauseReason.APPROVAL])
    with pytest.raises(Refused, match="waits for approval"):
        commands.resume(resumed)
    promoted, _ = commands.promote(spec(), resumed, NOON)
    assert advance(spec(), promoted, look(), at(60)).status.step == 1


def test_10_inconclusive_pauses_or_holds_and_never_promotes():
    """With too little evidence a step holds or pauses as asked; only a person takes it further."""
    thin = look(NO_DATA)
    held = advance(spec(), running(), thin, at(600))
    assert (held.status, codes(held)) == (running(), ["insufficient"])
    stopped = advance(spec(on_insufficient="pause"), running(), thin, at(600)).status
    assert [pause.reason for pause in stopped.pauses] == [PauseReason.INSUFFICIENT]
    promoted, _ = commands.promote(spec(), stopped, NOON)
    assert advance(spec(), promoted, thin, at(600)).status.step == 1


def test_11_unreadable_evidence_is_neither_good_nor_bad_news():
    """While the evidence cannot be read, nothing climbs, nothing is taken back and no deadline runs out."""
    asked = spec(steps=(Step(weight=10, bake=60, deadline=60), Step(weight=100)), on_insufficient="abort")
    for now in (running(), running(passed=True), paused(PauseReason.STABLE_UNAVAILABLE)):
        found = advance(asked, now, unseen(plan=2, confirmed=2, readable=False), at(1e6))
        assert found.status is now
    assert "unmeasurable" in codes(advance(asked, running(), unseen(plan=2, confirmed=2, readable=False), at(1e6)))


@pytest.mark.parametrize("errors", [NO_DATA, rate(canary=0, bad_canary=0), rate(stable=0, bad_stable=0)], ids=repr)
def test_12_no_data_is_an_outcome_of_its_own(errors):
    """No canary or no stable samples are insufficient, which holds the step whatever its time."""
    found = advance(spec(), running(), look(errors, exposures=()), at(1e6))
    assert found.verdicts[0].finding is Finding.INSUFFICIENT
    assert (found.status.phase, found.status.step) == (Phase.PROGRESSING, 0)


def test_12_minimum_of_samples_holds_until_the_deadline():
    """A step lacking samples holds until its deadline, then does what the spec says."""
    asked = spec(steps=(Step(weight=10, bake=60, min_samples=2000, deadline=300), Step(weight=100)))
    held = advance(asked, running(), look(), at(299))
    assert (held.decision.action, codes(held)) == (Action.HOLD, ["few-samples"])
    late = {what: advance(spec(steps=asked.steps, on_insufficient=what), running(), look(), at(300)) for what in _ASKED}
    assert {what: found.status.phase for what, found in late.items()} == _ASKED
    assert codes(late["abort"])[0] == "deadline"


_ASKED = {"hold": Phase.PROGRESSING, "pause": Phase.PAUSED, "abort": Phase.ABORTED}


def test_12_a_guardrail_may_say_more_strictly_what_insufficient_means():
    """The guardrail's own onInsufficient comes before the rollout's; the strictest of several is done."""
    rails = (Guardrail(metric="errors", on_insufficient="abort"), Guardrail(metric="fallbacks"))
    found = advance(spec(guardrails=rails), running(), look(NO_DATA), at(60))
    assert found.status.phase is Phase.ABORTED
    held = advance(spec(guardrails=rails[1:]), running(), look(NO_DATA), at(60))
    assert held.decision.action is Action.HOLD


def test_13_what_was_never_measured_is_no_success():
    """A rollout aborted, promoted or undone before anything was measured has no verdict, not a good one."""
    for event in (Phase.ABORTED, Phase.PROMOTED, Phase.UNDONE):
        found = advance(spec(), status(phase=event), look(FINE), at(60))
        assert (found.verdicts, found.split) == ((), None)
    unmeasured = advance(spec(guardrails=(Guardrail(metric="quality"),)), running(), look(), at(60))
    assert unmeasured.verdicts[0].finding is Finding.INSUFFICIENT
    assert unmeasured.status.step == 0


def test_13_zero_requests_never_finish_a_step():
    """A step nobody was sent to is not done, even when it asks for no samples and no guardrails."""
    bare = spec(guardrails=(), steps=(Step(weight=10, bake=0), Step(weight=100, bake=0)))
    for seen in ((), (exposure(canary=0, stable=9),)):
        found = advance(bare, running(), look(exposures=seen), at(1e6))
        assert (found.status.step, codes(found)) == (0, ["few-samples"])
