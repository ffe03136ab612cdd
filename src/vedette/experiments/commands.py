"""What people may ask of an experiment: each verb is a pure function from status to status and decision.

A verb the table of `experiments.machine` does not allow is refused and nothing changes.
"""

from collections.abc import Sequence
from datetime import datetime

from vedette.experiments.advance import alive, decided, ended, stop_arms
from vedette.experiments.machine import Conclusion, Epoch, Event, ExperimentStatus, Phase, follow
from vedette.experiments.spec import ExperimentSpec
from vedette.kernel.decision import Action, Decision, reason
from vedette.kernel.errors import InvalidInput, Refused
from vedette.kernel.records import evolve
from vedette.routing.layers import PLACES, Stretch, slices_of

Outcome = tuple[ExperimentStatus, Decision]


def start(
    spec: ExperimentSpec,
    status: ExperimentStatus,
    stretches: Sequence[Stretch],
    exposed: int,
    now: datetime,
    why: str = "",
) -> Outcome:
    """Begin: expose the first ``exposed`` of the places of its layer that were reserved for it, in millionths."""
    phase = follow(status.phase, Event.START)
    slices = slices_of({variant.name: variant.weight for variant in spec.variants})
    changed = evolve(
        status,
        phase=phase,
        stretches=tuple(stretches),
        exposed=exposed,
        slices=slices,
        epochs=(Epoch(number=1, since=now, shares={piece.arm: piece.end - piece.begin for piece in slices}),),
        started_at=now,
    )
    seen = "on the scores given" if spec.offline else f"with {_percent(exposed)} of the layer {spec.layer!r}"
    said = reason("started", why or f"it began {seen}")
    return changed, Decision(action=Action.START, reasons=(said,))


def ramp(status: ExperimentStatus, more: Sequence[Stretch], exposed: int, why: str = "") -> Outcome:
    """Expose more: nobody who takes part moves, and new units join. ``more`` are places taken on top of those held.

    Raises:
        Refused: it would shrink, which would move people out of their arms.
    """
    phase = follow(status.phase, Event.RAMP)
    if exposed <= status.exposed:
        raise Refused(
            f"coverage only grows, from {_percent(status.exposed)}: shrinking would move people out of their arms",
            hint="stop an arm, or stop the experiment",
        )
    changed = evolve(status, phase=phase, stretches=(*status.stretches, *more), exposed=exposed)
    return changed, _by_hand(Action.RAMP, why or f"coverage raised from {_percent(status.exposed)} by hand", exposed)


def stop_arm(spec: ExperimentSpec, status: ExperimentStatus, arm: str, now: datetime, why: str = "") -> Outcome:
    """Take one arm out: its units are served as the domain is, and nobody else moves; the last treatment ends it all.

    Raises:
        InvalidInput: there is no such arm, or it was taken out already.
        Refused: the arm is the control, or the experiment does not run.
    """
    follow(status.phase, Event.STOP_ARM)
    left = alive(spec, status)
    if arm not in left:
        known = "was taken out already" if arm in {variant.name for variant in spec.variants} else "is no variant"
        raise InvalidInput(f"{arm!r} {known}", hint=f"still in it: {', '.join(left)}")
    if arm == spec.control_name:
        raise Refused(
            f"{arm!r} is the control: without it nothing is left to compare with", hint="stop the experiment instead"
        )
    said = reason("by-hand", why or f"{arm} was taken out by hand")
    step = stop_arms(spec, status, (arm,), (said,), now)
    return step.status, step.decision


def stop(status: ExperimentStatus, now: datetime, why: str = "") -> Outcome:
    """End it: it exposes nobody any more and its record is complete."""
    return ended(status, now), _by_hand(Action.STOP, why or "stopped by hand")


def decide(spec: ExperimentSpec, status: ExperimentStatus, conclusion: Conclusion, why: str = "") -> Outcome:
    """Say what follows, stopping it first where it still runs; no winner means that nothing changes.

    Raises:
        InvalidInput: the winner is no variant.
        Refused: the winner was taken out, or the experiment never ran.
    """
    winner = conclusion.winner
    if winner and winner not in {variant.name for variant in spec.variants}:
        named = ", ".join(variant.name for variant in spec.variants)
        raise InvalidInput(f"{winner!r} is no variant", hint=f"variants: {named}; leave it out if nobody wins")
    if winner and winner not in alive(spec, status):
        raise Refused(f"{winner!r} was taken out of the experiment", hint="decide without a winner, or for another one")
    stopped = ended(status, conclusion.at) if status.phase is Phase.RUNNING else status
    said = why or (f"{winner} was chosen by hand" if winner else "nobody wins, by hand")
    return decided(spec, stopped, evolve(conclusion, because=said)), _by_hand(Action.DECIDE, said)


def archive(status: ExperimentStatus, why: str = "") -> Outcome:
    """Put it away: it is listed when asked for, and nothing happens to it any more."""
    changed = evolve(status, phase=follow(status.phase, Event.ARCHIVE), awaiting_rollout="")
    return changed, _by_hand(Action.ARCHIVE, why or "archived by hand")


def _by_hand(action: Action, message: str, exposed: int | None = None) -> Decision:
    evidence = {} if exposed is None else {"coverage": 100 * exposed / PLACES}
    return Decision(action=action, reasons=(reason("by-hand", message, **evidence),))


def _percent(places: int) -> str:
    return f"{100 * places / PLACES:g} %"
