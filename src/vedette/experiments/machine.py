"""The life of an experiment as a table, and where one stands in it.

A draft may be changed freely. A running experiment may be ramped up, lose an arm, or have its split moved by a bandit;
what it asks may not change any more. Stopped, it exposes nobody and its record is complete; decided, somebody (a
person, or vedette where the spec says so) has said what follows. Nothing runs twice: evidence of two lives of one
experiment would not be comparable. An event that is not in the table is refused and nothing changes.
"""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum

from vedette.kernel.errors import Refused
from vedette.kernel.records import record
from vedette.routing.layers import ArmSlice, Stretch


class Phase(StrEnum):
    """Where an experiment is in its life."""

    DRAFT = "draft"
    RUNNING = "running"
    STOPPED = "stopped"
    DECIDED = "decided"
    ARCHIVED = "archived"


class Event(StrEnum):
    """What may happen to an experiment."""

    REVISE = "revise"
    START = "start"
    RAMP = "ramp"
    LOOK = "look"
    REALLOCATE = "reallocate"
    STOP_ARM = "stop-arm"
    STOP = "stop"
    DECIDE = "decide"
    ARCHIVE = "archive"


TRANSITIONS: Mapping[tuple[Phase, Event], Phase] = {
    (Phase.DRAFT, Event.REVISE): Phase.DRAFT,
    (Phase.DRAFT, Event.START): Phase.RUNNING,
    (Phase.DRAFT, Event.ARCHIVE): Phase.ARCHIVED,
    (Phase.RUNNING, Event.RAMP): Phase.RUNNING,
    (Phase.RUNNING, Event.LOOK): Phase.RUNNING,
    (Phase.RUNNING, Event.REALLOCATE): Phase.RUNNING,
    (Phase.RUNNING, Event.STOP_ARM): Phase.RUNNING,
    (Phase.RUNNING, Event.STOP): Phase.STOPPED,
    (Phase.STOPPED, Event.DECIDE): Phase.DECIDED,
    (Phase.STOPPED, Event.ARCHIVE): Phase.ARCHIVED,
    (Phase.DECIDED, Event.DECIDE): Phase.DECIDED,
    (Phase.DECIDED, Event.ARCHIVE): Phase.ARCHIVED,
}


def follow(phase: Phase, event: Event) -> Phase:
    """Give the phase after ``event``.

    Raises:
        Refused: the event is illegal in this phase; nothing changes.
    """
    try:
        return TRANSITIONS[phase, event]
    except KeyError:
        legal = ", ".join(sorted(e for p, e in TRANSITIONS if p is phase)) or "nothing"
        raise Refused(f"cannot {event} an experiment that is {phase}", hint=f"allowed now: {legal}") from None


@record
class Epoch:
    """A stretch of time with one split between arms: shares in millionths of the space of arms."""

    number: int
    since: datetime
    shares: Mapping[str, int]


@record
class StoppedArm:
    """An arm that was taken out: when, from which epoch on, and why."""

    arm: str
    at: datetime
    epoch: int
    because: str


@record
class PlannedLook:
    """A look of a group-sequential design that was taken: when, and how much of the planned information was there."""

    at: datetime
    information: float


@record
class Conclusion:
    """What was decided: the verdict, the winner (empty for none), by whom and why."""

    verdict: str
    winner: str = ""
    by: str
    because: str
    at: datetime


@record
class ExperimentStatus:
    """Where an experiment is: written by the reconciler and by the verbs, never by the spec's author.

    ``salt`` spreads units over arms and never changes. ``stretches`` are its places in its layer while it runs,
    ``exposed`` of them are used. ``epochs`` are the splits it has had, the newest last; ``established`` are pairs
    (better, worse) that an earlier look has settled, which later looks do not take back. ``notified`` are the codes
    people were told of already. ``awaiting_rollout`` is the winner that is to be taken live and is not yet, ``rollout``
    the id of the rollout that took it up.
    """

    phase: Phase = Phase.DRAFT
    salt: str
    created_at: datetime
    stretches: tuple[Stretch, ...] = ()
    exposed: int = 0
    slices: tuple[ArmSlice, ...] = ()
    epochs: tuple[Epoch, ...] = ()
    stopped_arms: tuple[StoppedArm, ...] = ()
    looks: tuple[PlannedLook, ...] = ()
    established: tuple[tuple[str, str], ...] = ()
    notified: tuple[str, ...] = ()
    started_at: datetime | None = None
    ended_at: datetime | None = None
    conclusion: Conclusion | None = None
    awaiting_rollout: str = ""
    rollout: str = ""

    @property
    def epoch(self) -> int:
        """The number of the split in force; 0 before the first."""
        return self.epochs[-1].number if self.epochs else 0
