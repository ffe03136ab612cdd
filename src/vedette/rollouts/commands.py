"""What people may ask of a running rollout: each verb is a pure function from status to status and decision.

``plan`` is the domain's newest plan revision. A verb that changes traffic is followed by plan ``plan + 1`` in the same
transaction, and the step's evidence counts from there.
"""

from datetime import datetime

from vedette.kernel.decision import Action, Decision, reason
from vedette.kernel.errors import InvalidInput, Refused
from vedette.kernel.fields import percent
from vedette.kernel.records import evolve
from vedette.rollouts.machine import Event, Pause, PauseReason, Phase, RolloutStatus, follow
from vedette.rollouts.spec import RolloutSpec

Outcome = tuple[RolloutStatus, Decision]


def pause(status: RolloutStatus, now: datetime, why: str = "") -> Outcome:
    """Stand still until a person resumes; the evidence is judged on and may abort."""
    phase = follow(status.phase, Event.PAUSE)
    kept = tuple(p for p in status.pauses if p.reason is not PauseReason.USER)
    pauses = (*kept, Pause(reason=PauseReason.USER, since=now))
    return evolve(status, phase=phase, pauses=pauses), _by_hand(Action.PAUSE, why or "paused by hand")


def resume(status: RolloutStatus, why: str = "") -> Outcome:
    """Go on from a pause: a pending rollout waits again, a running one bakes on where it stood.

    A pause for a regression or a sample ratio is overruled by this: the person saw it and goes on.
    A pause for approval is not ended by resume but by promote. A step that had too little evidence gets its bake and
    its deadline anew, else it would pause again at once.
    """
    phase = follow(status.phase, Event.RESUME)
    approval = tuple(p for p in status.pauses if p.reason is PauseReason.APPROVAL)
    if approval and len(approval) == len(status.pauses):
        raise Refused("this step waits for approval", hint="approve it with promote, or abort")
    if approval:
        phase = Phase.PAUSED
    elif status.started_at is None:
        phase = Phase.PENDING
    overruled = _overruled(status)
    anew = any(p.reason is PauseReason.INSUFFICIENT for p in status.pauses)
    since = None if anew else status.step_since
    changed = evolve(status, phase=phase, pauses=approval, overruled=overruled, step_since=since, because="")
    return changed, _by_hand(Action.RESUME, why or "resumed by hand")


def promote(spec: RolloutSpec, status: RolloutStatus, now: datetime, why: str = "") -> Outcome:
    """Be done with this step: the next look at readable evidence climbs, unless a guardrail not overruled says no.

    Raises:
        Refused: the phase does not allow it, or a freeze is in force.
    """
    phase = follow(status.phase, Event.PROMOTE)
    _not_frozen(spec, now)
    if status.started_at is None:
        raise Refused("the rollout has not begun its first step", hint="resume it, and promote once it is progressing")
    changed = evolve(status, phase=phase, passed=True, pauses=(), overruled=_overruled(status), because="")
    return changed, _by_hand(Action.ADVANCE, why or f"step {status.step + 1} approved by hand")


def promote_fully(spec: RolloutSpec, status: RolloutStatus, stable: str, now: datetime, why: str = "") -> Outcome:
    """Make the version stable at once, skipping every step and its analysis.

    Raises:
        Refused: the phase does not allow it, or a freeze is in force.
    """
    phase = follow(status.phase, Event.PROMOTE_FULLY)
    _not_frozen(spec, now)
    changed = evolve(
        status,
        phase=phase,
        weight=100.0,
        pauses=(),
        previous_stable=stable,
        started_at=status.started_at or now,
        ended_at=now,
        because="promoted fully by hand",
    )
    return changed, _by_hand(Action.PROMOTE, why or "promoted fully by hand")


def abort(status: RolloutStatus, now: datetime, why: str = "") -> Outcome:
    """Take the version back at once. Nothing outranks this; only retry begins again, at step 0 with new evidence."""
    phase = follow(status.phase, Event.ABORT)
    said = why or "aborted by hand"
    return evolve(status, phase=phase, weight=0.0, pauses=(), ended_at=now, because=said), _by_hand(Action.ABORT, said)


def retry(status: RolloutStatus, now: datetime, why: str = "") -> Outcome:
    """Begin again at step 0 with new evidence and the same salt: who saw the canary first sees it first again."""
    return _again(status, Event.RETRY, now), _by_hand(Action.START, why or "retried by hand")


def revise(status: RolloutStatus, now: datetime, why: str = "") -> Outcome:
    """Begin again at step 0 because the spec was changed: pauses and an abort are cleared, old evidence is not used."""
    return _again(status, Event.REVISE, now), _by_hand(Action.START, why or "begun again with a changed spec")


def undo(spec: RolloutSpec, status: RolloutStatus, now: datetime, why: str = "") -> Outcome:
    """Return to the version that was stable before, at once and without steps.

    Raises:
        Refused: the rollout was not promoted, keeps no rollback window, or there is nothing to return to.
    """
    phase = follow(status.phase, Event.UNDO)
    if spec.rollback_window < 1:
        raise Refused("this rollout keeps no rollback window", hint="start a rollout of the earlier version")
    if not status.previous_stable:
        raise Refused("there was no stable version before this one", hint="start a rollout of another version")
    said = why or f"undone by hand: back to {status.previous_stable}"
    return evolve(status, phase=phase, weight=0.0, ended_at=now, because=said), _by_hand(Action.ABORT, said)


def moved_on(domain: str, stable: str) -> Refused:
    """Say that another version became stable since: undoing an old promotion would take back the newer one."""
    return Refused(f"{domain!r} has moved on (stable is {stable})", hint="undo or abort the newest rollout instead")


def set_weight(
    spec: RolloutSpec, status: RolloutStatus, weight: float, plan: int, now: datetime, why: str = ""
) -> Outcome:
    """Give the canary another weight now, up to that of its step; the step bakes anew under it.

    Raises:
        InvalidInput: the weight is none, or above that of the step.
        Refused: the rollout has not begun or is over, or the weight grows while a freeze is in force.
    """
    phase = follow(status.phase, Event.SET_WEIGHT)
    wanted = percent(weight)
    if status.started_at is None:
        raise Refused("the rollout has not begun its first step", hint="there is no canary traffic to set yet")
    if wanted > spec.weight_of(status.step):
        raise InvalidInput(
            f"{wanted:g}% is above the {spec.weight_of(status.step):g}% of step {status.step + 1}",
            hint="promote to climb; set-weight only moves within the step",
        )
    if wanted > status.weight:
        _not_frozen(spec, now)
    step_plan = status.step_plan if wanted == status.weight else plan + 1  # an equal weight makes no new plan
    changed = evolve(status, phase=phase, weight=wanted, step_plan=step_plan, step_since=None, passed=False)
    return changed, _by_hand(Action.SET_WEIGHT, why or f"weight set to {wanted:g}% by hand")


def _again(status: RolloutStatus, event: Event, now: datetime) -> RolloutStatus:
    return RolloutStatus(
        phase=follow(status.phase, event),
        salt=status.salt,
        attempt=status.attempt + 1,
        queued_at=now,
        previous_stable=status.previous_stable,
    )


def _overruled(status: RolloutStatus) -> tuple[str, ...]:
    named = {name for p in status.pauses for name in p.about}
    return tuple(sorted({*status.overruled, *named}))


def _not_frozen(spec: RolloutSpec, now: datetime) -> None:
    if freeze := spec.calendar.freeze_at(now):
        raise Refused(
            f"a freeze is in force until {freeze.end:%Y-%m-%d %H:%M}" + (f": {freeze.reason}" if freeze.reason else ""),
            hint="going back is allowed; going forward waits for the end of the freeze",
        )


def _by_hand(action: Action, message: str) -> Decision:
    return Decision(action=action, reasons=(reason("by-hand", message),))
