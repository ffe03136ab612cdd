"""The state machine under random lives: people ask for anything at any time, and looks see anything."""

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import lru_cache

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.rollouts.things import BAD, FINE, NO_DATA, NOON, exposure, peer, spec, status

from vedette.kernel.clock import Calendar, Freeze, Moment, Window
from vedette.kernel.decision import Action
from vedette.kernel.errors import InvalidInput, Refused
from vedette.kernel.records import evolve
from vedette.rollouts import commands, gates
from vedette.rollouts.advance import Advance, Look, advance
from vedette.rollouts.gates import Finding
from vedette.rollouts.machine import ACTIVE, TRANSITIONS, Event, PauseReason, Phase, RolloutStatus, follow
from vedette.rollouts.spec import Group, Guardrail, RolloutSpec, Step

JUDGE = lru_cache(maxsize=4096)(gates.judge)
"""The looks of these lives are few; judging each of them once leaves time for more lives."""

CALENDARS = (
    Calendar(),
    Calendar(windows=(Window(hours="08:00-18:00"),)),
    Calendar(freezes=(Freeze(begin=NOON + timedelta(hours=1), end=NOON + timedelta(hours=9)),)),
)


@st.composite
def specs(draw: st.DrawFn) -> RolloutSpec:
    """Draw a spec with steps, guardrails and calendars of every kind."""
    weights = sorted(draw(st.sets(st.sampled_from([0.0001, 1, 5, 10, 50, 99]), max_size=3)))
    steps = tuple(
        Step(
            weight=weight,
            bake=draw(st.sampled_from([0, 60, 600])),
            min_samples=draw(st.sampled_from([0, 0, 500])),
            approval=draw(st.booleans()),
            deadline=draw(st.sampled_from([0, 0, 900])),
        )
        for weight in (*weights, 100)
    )
    rails = tuple(
        Guardrail(metric=name, dry_run=draw(st.booleans()), tolerance=0.1, non_inferior=draw(st.booleans()))
        for name in draw(st.sets(st.sampled_from(["errors", "fallbacks"])))
    )
    return spec(
        steps=steps,
        guardrails=rails,
        hold_back=draw(st.sampled_from([0, 1, 20])),
        on_regression=draw(st.sampled_from(["abort", "pause", "notify"])),
        on_insufficient=draw(st.sampled_from(["hold", "pause", "abort"])),
        calendar=draw(st.sampled_from(CALENDARS)),
        group=draw(st.sampled_from([None, None, Group(name="wave"), Group(name="wave", max_in_flight=1)])),
        rollback_window=draw(st.integers(0, 1)),
    )


class Life(RuleBasedStateMachine):
    """One rollout, pushed about by people and by looks."""

    spec: RolloutSpec
    now: RolloutStatus

    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(gates, "judge", JUDGE)

    def teardown(self) -> None:
        """Judge anew again."""
        self.patch.undo()

    @initialize(asked=specs())
    def begin(self, asked: RolloutSpec) -> None:
        """Begin with a fresh rollout of any spec."""
        self.spec, self.now = asked, status()
        self.plan, self.watched, self.calendar = 1, 0.0, NOON

    @rule(
        elapsed=st.sampled_from([0.0, 61.0, 700.0, 700.0, 5000.0]),
        jump=st.sampled_from([0] * 6 + [-3600, 3600, 40_000]),
        lag=st.sampled_from([0] * 6 + [1]),
        seen=st.sampled_from([FINE] * 10 + [BAD, NO_DATA]),
        samples=st.sampled_from([0, 100, 1000, 1000, 1000]),
        skewed=st.sampled_from([False] * 15 + [True]),
        readable=st.sampled_from([True] * 6 + [False]),
        healthy=st.sampled_from([True] * 3 + [False]),
        recent=st.sampled_from([()] * 12 + [("v2",)]),
        other=st.sampled_from([None, None, peer(), peer(reached=9), peer(phase=Phase.PENDING)]),
        fallen=st.sampled_from([False] * 20 + [True]),
    )
    def look(self, elapsed, jump, lag, seen, samples, skewed, readable, healthy, recent, other, fallen) -> None:
        """See anything, and hold every promise about what follows; what is over begins again, to live longer."""
        if self.now.phase in {Phase.ABORTED, Phase.UNDONE}:
            self.retry()
        self.watched += elapsed
        self.calendar += timedelta(seconds=elapsed + jump)
        weight = self.now.weight
        split = exposure(
            revision=max(self.now.step_plan, 2),
            weight=weight,
            canary=samples,
            stable=samples * (100 - weight) / weight if weight and not skewed else 30 * samples,
        )
        peers = tuple(each for each in (other, peer(phase=Phase.ABORTED) if fallen else None) if each)
        look = Look(
            plan=self.plan,
            confirmed=self.plan - lag,
            stable="v1",
            observations={"errors": seen, "fallbacks": FINE} if readable else {},
            exposures=(split,) if readable and weight and samples else (),
            recent_stables=recent,
            peers=peers if self.spec.group else (),
            stable_healthy=healthy,
            readable=readable,
        )
        moment = Moment(utc=self.calendar, watched=self.watched)
        before = self.now
        found = advance(self.spec, before, look, moment)
        assert advance(self.spec, before, look, moment) == found
        self.promises(before, found, look)
        self.settles(found.status, look, moment)
        self.now = found.status
        self.plan = max(self.plan, self.now.step_plan)

    def promises(self, before: RolloutStatus, found: Advance, look: Look) -> None:
        """Check what a look may do."""
        after, action = found.status, found.decision.action
        if before.phase not in ACTIVE:
            assert after is before
        if before.phase != after.phase:
            assert after.phase in {TRANSITIONS[key] for key in TRANSITIONS if key[0] is before.phase}
        assert after.step - before.step in {0, 1}
        assert (after.salt, after.attempt) == (before.salt, before.attempt)
        if any(pause.reason is PauseReason.USER for pause in before.pauses) and after.phase in ACTIVE:
            assert any(pause.reason is PauseReason.USER for pause in after.pauses)
        if action in {Action.ADVANCE, Action.PROMOTE} and before.phase is not Phase.PENDING:
            self.earned(before, found, look)
        if before.phase in ACTIVE and after.weight < before.weight:
            assert after.phase is Phase.ABORTED
            assert look.stable_healthy

    def earned(self, before: RolloutStatus, found: Advance, look: Look) -> None:
        """Check that a step up was confirmed, baked, served and clear, or asked for by a person."""
        step = self.spec.steps[before.step]
        served = sum(cell.canary for cell in look.exposures if cell.revision >= before.step_plan)
        assert before.phase is Phase.PROGRESSING
        assert before.step_since is not None
        assert look.readable
        assert self.spec.calendar.open_at(self.calendar)
        assert self.spec.calendar.freeze_at(self.calendar) is None
        acting = [verdict for verdict in found.verdicts if not verdict.dry_run]
        if self.spec.on_regression != "notify":
            worse = {verdict.metric for verdict in acting if verdict.finding is Finding.REGRESSION}
            assert worse <= set(before.overruled)
        if not before.passed:
            assert self.watched - before.step_since >= step.bake
            assert served >= max(step.min_samples, 1)
            assert not step.approval
            judged = [verdict for verdict in acting if verdict.metric not in before.overruled]
            assert all(verdict.finding is not Finding.INSUFFICIENT for verdict in judged)

    def settles(self, now: RolloutStatus, look: Look, moment: Moment) -> None:
        """Check that the same look, taken again and again, comes to rest within one step."""
        reached = now
        for _ in range(4):
            reached = advance(self.spec, reached, look, moment).status
        assert advance(self.spec, reached, look, moment).status == reached
        assert reached.step - now.step in {0, 1}
        assert self.now.phase is Phase.PAUSED or reached.step - self.now.step in {0, 1}

    def ask(self, event: Event, verb: Callable[[], commands.Outcome]) -> None:
        """Ask for a verb; what the table does not know must be refused and change nothing."""
        before = self.now
        try:
            self.now, decision = verb()
        except (Refused, InvalidInput):
            assert self.now is before
        else:
            assert (before.phase, event) in TRANSITIONS
            assert decision.reasons[0].code == "by-hand"
            self.plan = max(self.plan, self.now.step_plan)

    @rule()
    def pause(self) -> None:
        """Pause by hand."""
        self.ask(Event.PAUSE, lambda: commands.pause(self.now, self.calendar))

    @rule()
    def resume(self) -> None:
        """Resume by hand."""
        self.ask(Event.RESUME, lambda: commands.resume(self.now))

    @rule()
    def promote(self) -> None:
        """Promote by hand."""
        self.ask(Event.PROMOTE, lambda: commands.promote(self.spec, self.now, self.calendar))

    @rule(weight=st.sampled_from([0.0, 0.0001, 1.0, 7.0, 50.0, 100.0]))
    def set_weight(self, weight: float) -> None:
        """Set the weight by hand."""
        self.ask(Event.SET_WEIGHT, lambda: commands.set_weight(self.spec, self.now, weight, self.plan, self.calendar))

    @rule()
    def retry(self) -> None:
        """Begin again."""
        self.ask(Event.RETRY, lambda: commands.retry(self.now, self.calendar))

    @rule(asked=specs())
    def revise(self, asked: RolloutSpec) -> None:
        """Begin again with another spec."""
        before = self.now
        self.ask(Event.REVISE, lambda: commands.revise(self.now, self.calendar))
        self.spec = asked if self.now is not before else self.spec

    @precondition(lambda self: self.now.phase is Phase.PROMOTED)
    @rule()
    def undo(self) -> None:
        """Take a promotion back."""
        self.ask(Event.UNDO, lambda: commands.undo(self.spec, self.now, self.calendar))

    @invariant()
    def abort_is_reachable_and_wins(self) -> None:
        """From every active phase a person's abort leads to aborted at weight 0, which no look leaves."""
        if self.now.phase not in ACTIVE:
            with pytest.raises(Refused):
                commands.abort(self.now, self.calendar)
            return
        aborted, _ = commands.abort(self.now, self.calendar)
        assert (aborted.phase, aborted.weight, aborted.pauses) == (Phase.ABORTED, 0.0, ())
        seen = Look(plan=self.plan, confirmed=self.plan, stable="v1", observations={"errors": FINE})
        later = Moment(utc=self.calendar + timedelta(days=9), watched=self.watched + 1e6)
        assert advance(self.spec, aborted, seen, later).status is aborted

    @invariant()
    def weight_is_never_above_the_step(self) -> None:
        """The canary never has more than its step allows, nor, before promotion, any of the hold-back."""
        if self.now.phase is Phase.PROMOTED:
            assert self.now.weight == 100
        elif self.now.phase in {Phase.PENDING, Phase.ABORTED, Phase.UNDONE}:
            assert self.now.weight == 0
        else:
            assert self.now.weight <= self.spec.weight_of(self.now.step) <= 100 - self.spec.hold_back or (
                self.now.started_at is None and self.now.weight == 0
            )

    @invariant()
    def pauses_are_what_paused_means(self) -> None:
        """A rollout is paused exactly while a pause stands."""
        assert (self.now.phase is Phase.PAUSED) == bool(self.now.pauses)


Life.TestCase.settings = settings(max_examples=100, stateful_step_count=40, deadline=None, derandomize=True)
TestLife = Life.TestCase


def test_only_retry_and_revision_leave_an_abort():
    """The table knows no other way out of aborted, and no way at all out of promoted but undo."""
    ways = {phase: {event for p, event in TRANSITIONS if p is phase} for phase in Phase}
    assert ways[Phase.ABORTED] == {Event.RETRY, Event.REVISE}
    assert ways[Phase.PROMOTED] == {Event.UNDO}
    assert ways[Phase.UNDONE] == {Event.RETRY}
    assert all(Event.ABORT in ways[phase] and TRANSITIONS[phase, Event.ABORT] is Phase.ABORTED for phase in ACTIVE)


@pytest.mark.parametrize("phase", list(Phase))
@pytest.mark.parametrize("event", list(Event))
def test_illegal_event_is_refused_by_name(phase, event):
    """An event the table does not know is refused, and the answer says what is allowed."""
    if (phase, event) in TRANSITIONS:
        assert follow(phase, event) is TRANSITIONS[phase, event]
        return
    with pytest.raises(Refused, match=f"cannot {event} a rollout that is {phase}"):
        follow(phase, event)


def test_every_verb_is_refused_where_the_table_refuses_it():
    """Each verb asks the table first, so no verb has a way of its own."""
    when = datetime(2026, 11, 23, tzinfo=NOON.tzinfo)
    verbs: dict[Event, Callable[[RolloutStatus], commands.Outcome]] = {
        Event.PAUSE: lambda now: commands.pause(now, when),
        Event.RESUME: commands.resume,
        Event.PROMOTE: lambda now: commands.promote(spec(), now, when),
        Event.PROMOTE_FULLY: lambda now: commands.promote_fully(spec(), now, "v1", when),
        Event.ABORT: lambda now: commands.abort(now, when),
        Event.RETRY: lambda now: commands.retry(now, when),
        Event.REVISE: lambda now: commands.revise(now, when),
        Event.UNDO: lambda now: commands.undo(spec(), now, when),
        Event.SET_WEIGHT: lambda now: commands.set_weight(spec(), now, 1, 2, when),
    }
    for event, verb in verbs.items():
        for phase in Phase:
            if (phase, event) not in TRANSITIONS:
                with pytest.raises(Refused):
                    verb(evolve(status(), phase=phase))
