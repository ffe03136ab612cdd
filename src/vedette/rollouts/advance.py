"""The one pure step of the loop: where the rollout is, what this look saw, and what follows.

``advance`` is level-triggered: it depends on the spec, the stored status and this look alone, so a process that dies
between any two writes comes to the same end. Its rules, the weightiest first:

1. A group comes back together. 2. A regression aborts, pauses or notifies, as the spec says, whatever else is pending.
3. A split that is not the intended one pauses. 4. A pause holds. 5. A step is done when a gateway confirmed it, it has
been watched for its bake, it served its samples, and every guardrail could be judged. 6. Windows and freezes, approval
and the group's barrier hold an advance, never a way back. 7. The next step, then promotion.
"""

from collections.abc import Mapping
from typing import NamedTuple

from vedette.kernel.clock import Moment, say_duration
from vedette.kernel.decision import Action, Decision, Reason, reason
from vedette.kernel.records import evolve, record
from vedette.rollouts.gates import Finding, SplitCheck, Verdict, check_split, judge_all
from vedette.rollouts.machine import ACTIVE, Event, Pause, PauseReason, Phase, RolloutStatus, follow
from vedette.rollouts.observation import Exposure, Observation
from vedette.rollouts.spec import Guardrail, RolloutSpec


@record
class Peer:
    """Another rollout of the same group: its phase, and the first step it has not finished yet."""

    domain: str
    phase: Phase
    reached: int


@record
class Look:
    """What one look saw.

    ``plan`` is the domain's newest plan, ``confirmed`` the newest that every live gateway serves (0 without one).
    ``readable`` is False when the evidence could not be read: neither good news nor bad news.
    """

    plan: int
    confirmed: int
    stable: str
    observations: Mapping[str, Observation]
    exposures: tuple[Exposure, ...] = ()
    recent_stables: tuple[str, ...] = ()
    peers: tuple[Peer, ...] = ()
    stable_healthy: bool = True
    readable: bool = True


@record
class Advance:
    """What follows from a look: the next status (the same one when nothing changes), why, and every verdict."""

    status: RolloutStatus
    decision: Decision
    verdicts: tuple[Verdict, ...] = ()
    split: SplitCheck | None = None


def reached(status: RolloutStatus) -> int:
    """Give the first step this rollout has not finished, for its group's barrier."""
    return status.step + 1 if status.passed else status.step


def advance(spec: RolloutSpec, status: RolloutStatus, look: Look, now: Moment) -> Advance:
    """Decide what follows from one look. Pure: the same arguments give the same answer, for ever.

    Every change of traffic is published as plan ``look.plan + 1`` in the transaction that saves the status.
    """
    if status.phase not in ACTIVE:
        return Advance(status=status, decision=_hold("finished", f"the rollout is {status.phase}"))
    verdicts, split = judge_all(spec, look.observations), check_split(look.exposures)
    seen = _Seen(spec, status, look, now, verdicts, split)
    rules = (_group_abort, _regression, _split, _paused, _waiting, _unconfirmed, _unfinished, _barrier)
    changed, decision = next(filter(None, (rule(seen) for rule in rules)), None) or _climb(seen)
    return Advance(status=changed, decision=decision, verdicts=verdicts, split=split)


class _Seen(NamedTuple):
    spec: RolloutSpec
    status: RolloutStatus
    look: Look
    now: Moment
    verdicts: tuple[Verdict, ...]
    split: SplitCheck | None

    def deciding(self) -> tuple[tuple[Guardrail, Verdict], ...]:
        """Pair each guardrail that may act with its verdict."""
        return tuple(
            (guardrail, verdict)
            for guardrail, verdict in zip(self.spec.guardrails, self.verdicts, strict=True)
            if not guardrail.dry_run and guardrail.metric not in self.status.overruled
        )

    def requests(self, *, step_only: bool) -> float:
        """Count the canary's requests in this attempt, or in this step alone."""
        since = self.status.step_plan if step_only else self.status.first_plan
        return sum(cell.canary for cell in self.look.exposures if cell.revision >= since)


_Found = tuple[RolloutStatus, Decision] | None


def _group_abort(seen: _Seen) -> _Found:
    fallen = [peer.domain for peer in seen.look.peers if peer.phase is Phase.ABORTED]
    if not fallen:
        return None
    why = reason("group-aborted", f"{', '.join(fallen)} of the same group was taken back", domains=fallen)
    return _abort(seen, (why,))


def _regression(seen: _Seen) -> _Found:
    worse = [(guardrail, verdict) for guardrail, verdict in seen.deciding() if verdict.finding is Finding.REGRESSION]
    if not worse:
        return None
    reasons = tuple(reason("regression", verdict.sentence, **verdict.figures()) for _, verdict in worse)
    asked = {guardrail.on_regression or seen.spec.on_regression for guardrail, _ in worse}
    if "abort" in asked:
        return _abort(seen, reasons)
    metrics = tuple(verdict.metric for _, verdict in worse)
    if "pause" in asked:
        return _pause(seen, PauseReason.REGRESSION, reasons, about=metrics)
    news = tuple(metric for metric in metrics if metric not in seen.status.notified)
    if not news:
        return None
    changed = evolve(seen.status, notified=(*seen.status.notified, *news))
    return changed, Decision(action=Action.NOTIFY, reasons=reasons)


def _split(seen: _Seen) -> _Found:
    if seen.split is None or not seen.split.mismatch or "sample-ratio" in seen.status.overruled:
        return None
    why = reason("sample-ratio", seen.split.sentence, **seen.split.figures())
    return _pause(seen, PauseReason.SAMPLE_RATIO, (why,), about=("sample-ratio",))


def _paused(seen: _Seen) -> _Found:
    pauses = seen.status.pauses
    if seen.status.phase is not Phase.PAUSED:
        return None
    well_again = seen.look.readable and seen.look.stable_healthy
    if not well_again or any(pause.reason is not PauseReason.STABLE_UNAVAILABLE for pause in pauses):
        reasons = tuple(
            reason(_CODES.get(pause.reason, pause.reason.value), f"paused: {pause.reason}") for pause in pauses
        )
        return seen.status, Decision(action=Action.HOLD, reasons=reasons)
    changed = evolve(seen.status, phase=follow(Phase.PAUSED, Event.RESUME), pauses=())
    why = reason("stable-available", "stable can take the traffic again")
    return changed, Decision(action=Action.RESUME, reasons=(why,))


def _waiting(seen: _Seen) -> _Found:
    """Begin the first step, or say what a pending rollout waits for."""
    spec, status, look = seen.spec, seen.status, seen.look
    if status.phase is not Phase.PENDING:
        return None
    if spec.version in look.recent_stables[: spec.rollback_window]:
        why = reason("inside-rollback-window", f"{spec.version} was stable a moment ago, so it returns at once")
        return _promoted(seen, Event.PROMOTE_FULLY, (why,))
    if held := _closed(seen):
        return status, held
    if spec.group and spec.group.max_in_flight:
        flying = [peer.domain for peer in look.peers if peer.phase in {Phase.PROGRESSING, Phase.PAUSED}]
        if len(flying) >= spec.group.max_in_flight:
            return status, _hold("group-full", f"{', '.join(flying)} in flight, at most {spec.group.max_in_flight}")
    changed = evolve(
        status,
        phase=follow(status.phase, Event.START),
        step=0,
        weight=spec.weight_of(0),
        first_plan=look.plan + 1,
        step_plan=look.plan + 1,
        step_since=None,
        step_at=seen.now.utc,
        started_at=seen.now.utc,
        previous_stable=look.stable,
    )
    why = reason("started", f"{spec.version} begins at {changed.weight:g}%", weight=changed.weight)
    return changed, Decision(action=Action.START, reasons=(why,))


def _unconfirmed(seen: _Seen) -> _Found:
    status, look = seen.status, seen.look
    if status.step_since is not None:
        return None
    why = reason("waiting-for-gateway", f"no live gateway serves plan {status.step_plan} yet", confirmed=look.confirmed)
    if look.confirmed < status.step_plan:
        return status, Decision(action=Action.HOLD, reasons=(why,))
    return evolve(status, step_since=seen.now.watched), _hold("baking", f"step {status.step + 1} is in force")


def _unfinished(seen: _Seen) -> _Found:
    """Hold while the step lacks time, samples or judgeable evidence; past its deadline, do what the spec says."""
    spec, status = seen.spec, seen.status
    if status.passed:
        return None if seen.look.readable else (status, _hold("unmeasurable"))
    step = spec.steps[status.step]
    watched = seen.now.watched - (status.step_since or 0.0)
    lacking, asked = _lacking(seen, watched)
    if not lacking:
        return None
    if watched < max(step.bake, step.deadline) or not seen.look.readable:
        return status, Decision(action=Action.HOLD, reasons=lacking)
    if step.deadline:
        asked |= {spec.on_insufficient}
        lacking = (reason("deadline", f"step {status.step + 1} passed its {say_duration(step.deadline)}"), *lacking)
    if "abort" in asked:
        return _abort(seen, lacking)
    if "pause" in asked:
        return _pause(seen, PauseReason.INSUFFICIENT, lacking, about=())
    return status, Decision(action=Action.HOLD, reasons=lacking)


def _lacking(seen: _Seen, watched: float) -> tuple[tuple[Reason, ...], set[str]]:
    """Say what the step still lacks, and what is asked for where evidence is insufficient."""
    step = seen.spec.steps[seen.status.step]
    reasons: list[Reason] = []
    asked: set[str] = set()
    if watched < step.bake:
        left = step.bake - watched
        reasons.append(reason("baking", f"{say_duration(left)} of {say_duration(step.bake)} left", left=left))
    served, needed = seen.requests(step_only=True), max(step.min_samples, 1)
    if served < needed:
        reasons.append(reason("few-samples", f"{served:g} of {needed} samples", served=served, needed=needed))
    if not seen.look.readable:
        reasons.append(reason("unmeasurable"))
    for guardrail, verdict in seen.deciding():
        if verdict.finding is Finding.INSUFFICIENT:
            reasons.append(reason("insufficient", verdict.sentence, **verdict.figures()))
            asked.add(guardrail.on_insufficient or seen.spec.on_insufficient)
        elif guardrail.non_inferior and verdict.finding is not Finding.NON_INFERIOR:
            reasons.append(reason("not-proven", verdict.sentence, **verdict.figures()))
    return tuple(reasons), asked


def _barrier(seen: _Seen) -> _Found:
    """Hold a finished step for the calendar, for approval and for the group, which sees by ``passed`` it is done."""
    spec, status = seen.spec, seen.status
    if held := _closed(seen):
        return status, held
    if spec.steps[status.step].approval and not status.passed:
        why = reason("awaiting-approval", f"step {status.step + 1} is done; promote to climb")
        return _pause(seen, PauseReason.APPROVAL, (why,), about=())
    if spec.group is None:
        return None
    done = evolve(status, passed=True)
    among = {Phase.PROGRESSING, Phase.PAUSED} | (set() if spec.group.max_in_flight else {Phase.PENDING})
    behind = [peer.domain for peer in seen.look.peers if peer.phase in among and peer.reached <= status.step]
    if behind:
        return done, _hold("waiting-for-group", f"waits for {', '.join(behind)} at step {status.step + 1}")
    return None


def _climb(seen: _Seen) -> tuple[RolloutStatus, Decision]:
    spec, status, look = seen.spec, seen.status, seen.look
    reasons = _cleared(seen)
    if status.step + 1 == len(spec.steps):
        return _promoted(seen, Event.FINISH, (reason("finished"), *reasons))
    step = status.step + 1
    changed = evolve(
        status,
        phase=follow(status.phase, Event.ADVANCE),
        step=step,
        weight=spec.weight_of(step),
        step_plan=look.plan + 1,
        step_since=None,
        step_at=seen.now.utc,
        passed=False,
    )
    return changed, Decision(action=Action.ADVANCE, reasons=reasons)


def _closed(seen: _Seen) -> Decision | None:
    calendar, utc = seen.spec.calendar, seen.now.utc
    if freeze := calendar.freeze_at(utc):
        return _hold("frozen", f"frozen until {freeze.end:%Y-%m-%d %H:%M}" + (freeze.reason and f": {freeze.reason}"))
    if not calendar.open_at(utc):
        opening = calendar.next_opening(utc)
        said = f"the next window opens at {opening:%Y-%m-%d %H:%M} UTC" if opening else "no window opens within 8 days"
        return _hold("waiting-for-window", said)
    return None


def _cleared(seen: _Seen) -> tuple[Reason, ...]:
    findings = {verdict.finding for verdict in seen.verdicts if not verdict.dry_run}
    requests = seen.requests(step_only=True)
    code, said = "no-evidence-against", "nothing speaks against it"
    if Finding.REGRESSION in findings:
        code, said = "regression-accepted", "a regression was accepted"
    elif findings == {Finding.NON_INFERIOR}:
        code, said = "non-inferior", "proven no worse than tolerated"
    return (
        reason(
            code,
            f"{requests:g} canary requests at {seen.status.weight:g}%, {said}",
            requests=requests,
            verdicts=[verdict.figures() for verdict in seen.verdicts],
        ),
    )


def _abort(seen: _Seen, reasons: tuple[Reason, ...]) -> tuple[RolloutStatus, Decision]:
    """Take the canary back; while stable cannot take the traffic, stand still instead."""
    if not seen.look.stable_healthy:
        why = reason("stable-unavailable", "the canary is to be taken back, but stable cannot take the traffic")
        return _pause(seen, PauseReason.STABLE_UNAVAILABLE, (why, *reasons), about=())
    changed = evolve(
        seen.status,
        phase=follow(seen.status.phase, Event.ABORT),
        weight=0.0,
        pauses=(),
        ended_at=seen.now.utc,
        because=reasons[0].message,
    )
    return changed, Decision(action=Action.ABORT, reasons=reasons)


def _pause(
    seen: _Seen, why: PauseReason, reasons: tuple[Reason, ...], *, about: tuple[str, ...]
) -> tuple[RolloutStatus, Decision]:
    status = seen.status
    if any(pause.reason is why for pause in status.pauses):
        return status, Decision(action=Action.HOLD, reasons=reasons)
    pauses = (*status.pauses, Pause(reason=why, since=seen.now.utc, about=about))
    changed = evolve(status, phase=follow(status.phase, Event.PAUSE), pauses=pauses, because=reasons[0].message)
    return changed, Decision(action=Action.PAUSE, reasons=reasons)


def _promoted(seen: _Seen, event: Event, reasons: tuple[Reason, ...]) -> tuple[RolloutStatus, Decision]:
    changed = evolve(
        seen.status,
        phase=follow(seen.status.phase, event),
        weight=100.0,
        pauses=(),
        ended_at=seen.now.utc,
        started_at=seen.status.started_at or seen.now.utc,
        previous_stable=seen.look.stable,
        because=reasons[0].message,
    )
    return changed, Decision(action=Action.PROMOTE, reasons=reasons)


def _hold(code: str, message: str = "") -> Decision:
    return Decision(action=Action.HOLD, reasons=(reason(code, message),))


_CODES: Mapping[str, str] = {PauseReason.USER: "by-hand", PauseReason.APPROVAL: "awaiting-approval"}
"""The codes of pauses that are not called as the pause is."""
