"""The life of a rollout as a table: everything that affects its phase stands here, and nothing else does.

How to read it. A rollout is in one *phase*. *Events* come from people (pause, resume, promote, …) or from the
reconciler (the step is done, a guardrail regressed, …). ``TRANSITIONS`` maps (phase, event) to the next phase; an event
that is not in the table is refused and the status is unchanged. The picture in the docs is drawn from the table.

Three rules shape the table:

1. *Abort wins.* In every phase that is not terminal, abort leads to ``aborted``. Nothing takes it back but an explicit
   retry, which starts at step 0 with new evidence.
2. *Pauses have reasons.* A rollout is ``paused`` while any pause stands. A person's pause never expires; it ends by
   resume. Evidence is judged while paused, and may abort.
3. *Terminal is terminal.* ``aborted``, ``promoted`` and ``undone`` do not move by themselves.
"""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum

from vedette.kernel.errors import Refused
from vedette.kernel.records import record


class Phase(StrEnum):
    """Where a rollout is in its life."""

    PENDING = "pending"  # waits for its calendar, its group or its first gateway
    PROGRESSING = "progressing"
    PAUSED = "paused"
    PROMOTED = "promoted"
    ABORTED = "aborted"
    UNDONE = "undone"


class Event(StrEnum):
    """What may happen to a rollout."""

    START = "start"
    PAUSE = "pause"
    RESUME = "resume"
    ADVANCE = "advance"
    SET_WEIGHT = "set-weight"
    PROMOTE = "promote"
    PROMOTE_FULLY = "promote-fully"
    FINISH = "finish"
    ABORT = "abort"
    RETRY = "retry"
    UNDO = "undo"
    REVISE = "revise"


TRANSITIONS: Mapping[tuple[Phase, Event], Phase] = {
    (Phase.PENDING, Event.START): Phase.PROGRESSING,
    (Phase.PENDING, Event.PAUSE): Phase.PAUSED,
    (Phase.PENDING, Event.PROMOTE_FULLY): Phase.PROMOTED,
    (Phase.PENDING, Event.ABORT): Phase.ABORTED,
    (Phase.PENDING, Event.REVISE): Phase.PENDING,
    (Phase.PROGRESSING, Event.PAUSE): Phase.PAUSED,
    (Phase.PROGRESSING, Event.ADVANCE): Phase.PROGRESSING,
    (Phase.PROGRESSING, Event.SET_WEIGHT): Phase.PROGRESSING,
    (Phase.PROGRESSING, Event.PROMOTE): Phase.PROGRESSING,
    (Phase.PROGRESSING, Event.PROMOTE_FULLY): Phase.PROMOTED,
    (Phase.PROGRESSING, Event.FINISH): Phase.PROMOTED,
    (Phase.PROGRESSING, Event.ABORT): Phase.ABORTED,
    (Phase.PROGRESSING, Event.REVISE): Phase.PENDING,
    (Phase.PAUSED, Event.PAUSE): Phase.PAUSED,
    (Phase.PAUSED, Event.RESUME): Phase.PROGRESSING,
    (Phase.PAUSED, Event.SET_WEIGHT): Phase.PAUSED,
    (Phase.PAUSED, Event.PROMOTE): Phase.PROGRESSING,
    (Phase.PAUSED, Event.PROMOTE_FULLY): Phase.PROMOTED,
    (Phase.PAUSED, Event.ABORT): Phase.ABORTED,
    (Phase.PAUSED, Event.REVISE): Phase.PENDING,
    (Phase.ABORTED, Event.RETRY): Phase.PENDING,
    (Phase.ABORTED, Event.REVISE): Phase.PENDING,
    (Phase.PROMOTED, Event.UNDO): Phase.UNDONE,
    (Phase.UNDONE, Event.RETRY): Phase.PENDING,
}

ACTIVE = frozenset({Phase.PENDING, Phase.PROGRESSING, Phase.PAUSED})
"""The phases in which a rollout holds its domain: a second one on it is refused."""


def follow(phase: Phase, event: Event) -> Phase:
    """Give the phase after ``event``.

    Raises:
        Refused: the event is illegal in this phase; nothing changes.
    """
    try:
        return TRANSITIONS[phase, event]
    except KeyError:
        legal = ", ".join(sorted(e for p, e in TRANSITIONS if p is phase)) or "nothing"
        raise Refused(f"cannot {event} a rollout that is {phase}", hint=f"allowed now: {legal}") from None


class PauseReason(StrEnum):
    """Why a rollout stands still."""

    USER = "user"
    APPROVAL = "approval"
    REGRESSION = "regression"
    INSUFFICIENT = "insufficient"
    SAMPLE_RATIO = "sample-ratio"
    STABLE_UNAVAILABLE = "stable-unavailable"


@record
class Pause:
    """One reason to stand still, since when, and the guardrails it is about (if any)."""

    reason: PauseReason
    since: datetime
    about: tuple[str, ...] = ()


@record
class RolloutStatus:
    """Where a rollout is: written by the reconciler and by the verbs of the CLI, never by the spec's author.

    ``salt`` orders the buckets and never changes within the rollout. ``attempt`` counts retries and revisions: evidence
    of an earlier attempt (one begins at ``queued_at``) is not used. ``weight`` is what the canary shall have now, in
    percent. ``step_since`` is the watched time at which a live gateway confirmed this step's plan, or None while none
    has. ``first_plan`` is the plan revision from which on this attempt's evidence counts, ``step_plan`` the same for
    this step. ``passed`` says
    that a person, or the evidence in a group, is done with this step. ``overruled`` names the guardrails (or
    ``sample-ratio``) whose pause a person ended knowingly: they are shown, and stop nothing in this attempt.
    """

    phase: Phase = Phase.PENDING
    salt: str
    attempt: int = 1
    queued_at: datetime
    step: int = 0
    weight: float = 0.0
    first_plan: int = 0
    step_plan: int = 0
    step_since: float | None = None
    step_at: datetime | None = None
    pauses: tuple[Pause, ...] = ()
    passed: bool = False
    overruled: tuple[str, ...] = ()
    previous_stable: str = ""
    started_at: datetime | None = None
    ended_at: datetime | None = None
    because: str = ""
    notified: tuple[str, ...] = ()
