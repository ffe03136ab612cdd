"""Semantics 14 to 26 of progressive delivery, each tested on what vedette does (20 to 22 also under tests/routing)."""

from datetime import timedelta

import pytest
from tests.rollouts.things import (
    BAD,
    FINE,
    NO_DATA,
    NOON,
    STEPS,
    at,
    climb,
    codes,
    exposure,
    look,
    paused,
    peer,
    rate,
    running,
    spec,
    status,
    unseen,
)

from vedette.kernel.clock import Calendar, Freeze, Window
from vedette.kernel.decision import Action
from vedette.kernel.errors import InvalidInput, Refused
from vedette.kernel.records import evolve
from vedette.rollouts import commands
from vedette.rollouts.advance import advance
from vedette.rollouts.gates import Finding, check_split
from vedette.rollouts.machine import PauseReason, Phase
from vedette.rollouts.spec import Group, Guardrail, OnRegression, Step

FROZEN = Calendar(freezes=(Freeze(begin=NOON - timedelta(days=1), end=NOON + timedelta(days=1), reason="holiday"),))
CLOSED = Calendar(windows=(Window(hours="03:00-04:00"),))
WAVE = Group(name="wave")


def test_14_worst_of_several_guardrails_decides():
    """One regression decides over any number of good findings, and a lack of evidence over good ones."""
    rails = tuple(Guardrail(metric=name) for name in ("errors", "fallbacks", "quality"))
    good_and_bad = look(observations={"errors": FINE, "fallbacks": BAD, "quality": FINE})
    assert advance(spec(guardrails=rails), running(), good_and_bad, at(60)).decision.action is Action.ABORT
    good_and_none = look(observations={"errors": FINE, "fallbacks": FINE, "quality": NO_DATA})
    assert codes(advance(spec(guardrails=rails), running(), good_and_none, at(60))) == ["insufficient"]


def test_14_strictest_answer_to_several_regressions_is_given():
    """When several guardrails regress, abort comes before pause and pause before notify."""
    both = look(observations={"errors": BAD, "fallbacks": BAD})
    mild = Guardrail(metric="errors", on_regression="notify")
    answers: dict[OnRegression, Phase] = {"abort": Phase.ABORTED, "pause": Phase.PAUSED, "notify": Phase.PROGRESSING}
    for strictest, phase in answers.items():
        rails = (mild, Guardrail(metric="fallbacks", on_regression=strictest))
        assert advance(spec(guardrails=rails), running(), both, at(30)).status.phase is phase


def test_14_dry_run_is_shown_and_never_decides():
    """A dry-run guardrail has its verdict in the record and stops nothing, nor does it spend any of α."""
    rails = (Guardrail(metric="errors"), Guardrail(metric="fallbacks", dry_run=True))
    asked = spec(guardrails=rails)
    found = advance(asked, running(), look(observations={"errors": FINE, "fallbacks": BAD}), at(60))
    assert found.status.step == 1
    assert (found.verdicts[1].finding, found.verdicts[1].dry_run) == (Finding.REGRESSION, True)
    assert asked.alpha_of(rails[0]) == asked.alpha


def test_15_evidence_counts_and_not_strikes():
    """A healthy rollout that is looked at ten thousand times is not worn down by its ordinary errors."""
    now = running()
    patient = spec(steps=(Step(weight=10, bake=1e6), Step(weight=100)))
    for number in range(1, 100):
        seen = look(rate(canary=100 * number, stable=900 * number, bad_canary=number, bad_stable=9 * number))
        assert advance(patient, now, seen, at(number)).status is now


def test_16_clock_jumps_neither_skip_a_bake_nor_lengthen_it():
    """An hour forward or back on the calendar changes nothing about how long a step bakes."""
    for jump in (-3600, 3600):
        assert codes(advance(spec(), running(), look(), at(59, jump=jump))) == ["baking"]
        assert advance(spec(), running(), look(), at(60, jump=jump)).status.step == 1


def test_16_time_nobody_watched_is_no_bake():
    """After a night without a reconciler the bake stands where it stood."""
    assert codes(advance(spec(), running(), look(), at(59, jump=36_000))) == ["baking"]


def test_17_evidence_counts_from_the_plan_that_began_it():
    """Samples of a step are those served under its plans; requests of earlier plans do not finish it."""
    asked = spec(steps=(Step(weight=10, bake=0), Step(weight=50, bake=0, min_samples=500), Step(weight=100)))
    before = exposure(revision=2, canary=10_000, stable=90_000)
    now = exposure(revision=3, weight=50, canary=499, stable=501)
    held = advance(asked, running(1, weight=50.0), look(exposures=(before, now)), at(60))
    assert codes(held) == ["few-samples"]
    assert held.decision.reasons[0].evidence == {"served": 499, "needed": 500}
    more = exposure(
        revision=4, weight=50, canary=1, stable=1
    )  # another plan of the same step, such as a changed configuration
    assert advance(asked, running(1, weight=50.0), look(exposures=(before, now, more)), at(60)).status.step == 2


@pytest.mark.parametrize(
    ("recent", "window", "at_once"),
    [
        (("v2",), 1, True),
        (("v2",), 0, False),
        (("v9", "v2"), 1, False),
        (("v9", "v2"), 2, True),
        (("v9", "v8", "v2"), 2, False),
        ((), 3, False),
    ],
)
def test_18_version_inside_the_rollback_window_returns_at_once(recent, window, at_once):
    """A version that was stable a moment ago skips steps and analysis; one further back earns its traffic."""
    found = advance(spec(rollback_window=window), status(), unseen(recent_stables=recent), at(0))
    assert (found.status.phase is Phase.PROMOTED) == at_once
    assert found.status.weight == (100.0 if at_once else 10.0)
    assert codes(found) == ["inside-rollback-window" if at_once else "started"]


def test_18_going_back_is_not_frozen():
    """Returning to a version inside the rollback window is a way back: neither freeze nor window holds it."""
    for calendar in (FROZEN, CLOSED):
        found = advance(spec(calendar=calendar), status(), unseen(recent_stables=("v2",)), at(0))
        assert found.status.phase is Phase.PROMOTED


def test_19_traffic_is_not_sent_back_to_a_broken_stable():
    """While stable cannot take traffic, no rule of ours takes the canary back; it stands, and says why."""
    fallen = look(FINE, peers=(peer(phase=Phase.ABORTED),), stable_healthy=False)
    thin = look(NO_DATA, stable_healthy=False)
    for asked, seen in ((spec(), look(BAD, stable_healthy=False)), (spec(on_insufficient="abort"), thin)):
        found = advance(asked, running(), seen, at(60))
        assert [pause.reason for pause in found.status.pauses] == [PauseReason.STABLE_UNAVAILABLE]
        assert (found.status.weight, codes(found)[0]) == (10.0, "stable-unavailable")
        assert advance(asked, found.status, seen, at(70)).status is found.status
    grouped = advance(spec(group=WAVE), running(), fallen, at(60)).status
    assert (grouped.phase, grouped.weight) == (Phase.PAUSED, 10.0)


def test_19_it_is_taken_back_once_stable_is_well_again():
    """As soon as stable can take traffic, a regression aborts; without one the rollout goes on."""
    now = paused(PauseReason.STABLE_UNAVAILABLE)
    assert advance(spec(), now, look(BAD), at(60)).status.phase is Phase.ABORTED
    assert advance(spec(), now, look(FINE), at(60)).status.phase is Phase.PROGRESSING
    assert advance(spec(), now, look(FINE, stable_healthy=False), at(60)).status is now


def test_19_a_person_may_take_it_back_even_then():
    """Abort by hand asks nobody, not even stable's health."""
    assert commands.abort(paused(PauseReason.STABLE_UNAVAILABLE), NOON)[0].phase is Phase.ABORTED


def test_20_salt_outlives_pause_retry_and_revision():
    """Whatever is done to a rollout, its salt stays, so nobody moves without a change of weight."""
    now = running()
    for verb in (commands.pause(now, NOON), commands.abort(now, NOON), commands.revise(now, NOON)):
        assert verb[0].salt == now.salt
    assert commands.retry(commands.abort(now, NOON)[0], NOON)[0].salt == now.salt
    assert {found.status.salt for found in climb(spec(), status())} == {"s"}


def test_23_split_that_is_not_the_intended_one_pauses():
    """Canary traffic far from its weight is no evidence of anything: pause, whatever the guardrails say."""
    skewed = look(FINE, exposures=(exposure(canary=2000, stable=8000),))
    found = advance(spec(), running(), skewed, at(60))
    assert ([pause.reason for pause in found.status.pauses], codes(found)) == (["sample-ratio"], ["sample-ratio"])
    resumed, _ = commands.resume(found.status)
    assert advance(spec(), resumed, skewed, at(60)).status.step == 1


def test_23_split_is_checked_over_steps_of_different_weights():
    """Splits that fit their own steps fit together; one tenant of many requests counts as one."""
    steps = [(2, 10.0, 1010, 8990), (3, 50.0, 5030, 4970)]
    right = [exposure(revision=r, weight=w, canary=c, stable=s) for r, w, c, s in steps]
    checked = check_split(right)
    assert checked is not None
    assert not checked.mismatch
    clustered = check_split([evolve(exposure(canary=2000, stable=8000), design_effect=100.0)])
    assert clustered is not None
    assert not clustered.mismatch
    assert check_split([exposure(canary=0, stable=0)]) is None


@pytest.mark.parametrize("weights", [(50,), (1, 10), (10, 10, 100), (50, 10, 100), (0, 100), ()])
def test_24_ladder_that_does_not_climb_to_100_is_refused(weights):
    """Weights rise from step to step and end at 100 %."""
    with pytest.raises(InvalidInput):
        spec(steps=tuple(Step(weight=weight) for weight in weights))


def test_25_some_stay_on_stable_through_the_last_bake():
    """The last step keeps the hold-back on stable, to compare with; only promotion gives the version everything."""
    found = climb(spec(hold_back=5.0), status())
    assert max(each.status.weight for each in found[:-1]) == 95.0
    assert (found[-1].status.phase, found[-1].status.weight) == (Phase.PROMOTED, 100.0)


def test_25_regression_during_the_last_bake_still_aborts():
    """While the last step bakes, the hold-back shows a regression, and it aborts."""
    last = running(2, weight=99.0)
    worse = rate(canary=99_000, stable=1000, bad_canary=4000, bad_stable=3, revision=4)
    assert advance(spec(), last, look(worse, plan=4, confirmed=4), at(30)).status.phase is Phase.ABORTED


def test_26_group_waits_at_each_step_for_all():
    """A finished step waits for the peers that have not finished it, pending ones too, and says it is finished."""
    grouped = spec(group=WAVE)
    for behind in (peer(), peer(phase=Phase.PAUSED), peer(phase=Phase.PENDING)):
        held = advance(grouped, running(), look(peers=(behind,)), at(60))
        assert (held.status.step, held.status.passed, codes(held)) == (0, True, ["waiting-for-group"])
    for ahead in (peer(reached=1), peer(phase=Phase.PROMOTED), peer(phase=Phase.UNDONE)):
        assert advance(grouped, running(), look(peers=(ahead,)), at(60)).status.step == 1


def test_26_group_comes_back_together():
    """One abort aborts every rollout of the group, in whatever active phase and against any freeze."""
    fallen = (peer(phase=Phase.ABORTED),)
    for now in (status(), running(), paused(PauseReason.USER), running(passed=True)):
        found = advance(spec(group=WAVE, calendar=FROZEN), now, look(peers=fallen), at(30))
        assert (found.status.phase, codes(found)) == (Phase.ABORTED, ["group-aborted"])


def test_26_no_more_in_flight_than_the_group_allows():
    """A pending rollout waits while as many peers are in flight as allowed, and then does not wait for the rest."""
    narrow = spec(group=Group(name="wave", max_in_flight=2))
    flying, waiting = peer(), peer("support", phase=Phase.PENDING)
    assert codes(advance(narrow, status(), unseen(peers=(flying, peer("hr"))), at(0))) == ["group-full"]
    assert codes(advance(narrow, status(), unseen(peers=(flying, waiting)), at(0))) == ["started"]
    assert advance(narrow, running(), look(peers=(waiting,)), at(60)).status.step == 1


def test_26_approval_is_asked_for_in_a_group_too():
    """A step that wants approval gets it in a group as well, whoever finished the step first."""
    approved = (Step(weight=10, bake=60, approval=True), *STEPS[1:])
    grouped = spec(steps=approved, group=WAVE)
    found = advance(grouped, running(), look(peers=(peer(),)), at(60))
    assert [pause.reason for pause in found.status.pauses] == [PauseReason.APPROVAL]
    promoted, _ = commands.promote(grouped, found.status, NOON)
    waiting = advance(grouped, promoted, look(peers=(peer(),)), at(70))
    assert codes(waiting) == ["waiting-for-group"]
    assert advance(grouped, waiting.status, look(peers=(peer(reached=1),)), at(80)).status.step == 1


@pytest.mark.parametrize(("calendar", "code"), [(FROZEN, "frozen"), (CLOSED, "waiting-for-window")])
def test_26_freeze_and_window_hold_an_advance_and_never_a_way_back(calendar, code):
    """Neither start nor step happens in a freeze or outside the windows; abort does, by hand and by evidence."""
    held = spec(calendar=calendar)
    assert codes(advance(held, status(), unseen(), at(0))) == [code]
    assert codes(advance(held, running(), look(), at(60))) == [code]
    assert advance(held, running(), look(BAD), at(60)).status.phase is Phase.ABORTED
    assert commands.abort(running(), NOON)[0].phase is Phase.ABORTED
    assert commands.undo(held, status(phase=Phase.PROMOTED, previous_stable="v1"), NOON)[0].phase is Phase.UNDONE


def test_26_no_person_goes_forward_in_a_freeze():
    """Promote, promote fully and a higher weight are refused in a freeze; a lower weight is allowed."""
    held, now = spec(calendar=FROZEN), running(weight=5.0)
    said = "freeze is in force until 2026-11-24 12:00: holiday"
    with pytest.raises(Refused, match=said):
        commands.promote(held, now, NOON)
    with pytest.raises(Refused, match=said):
        commands.promote_fully(held, now, "v1", NOON)
    with pytest.raises(Refused, match=said):
        commands.set_weight(held, now, 10, 2, NOON)
    assert commands.set_weight(held, now, 1, 2, NOON)[0].weight == 1.0
