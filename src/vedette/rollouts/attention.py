"""Which domains need a hand, and why: one pure rule from where rollout and experiments are to a standing.

Levels, the worst first: ``act`` (something stands still until a person comes), ``look`` (something ended or was found
that a person should know), ``moving`` (a rollout or an experiment is under way), ``idle`` (nothing serves, or it was
archived), ``steady``.
"""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from enum import IntEnum

from vedette.experiments.machine import Phase as ExperimentPhase
from vedette.kernel.records import record
from vedette.rollouts.machine import PauseReason, Phase

FRESH = timedelta(days=1)
"""For how long a version that was taken back stays in sight."""


class Level(IntEnum):
    """How much a domain needs somebody; the greatest first in lists."""

    STEADY = 0
    IDLE = 1
    MOVING = 2
    LOOK = 3
    ACT = 4


@record
class Standing:
    """Where a domain stands, in a word and in a sentence."""

    level: Level
    word: str
    why: str


@record
class RolloutState:
    """What of a domain's newest rollout matters here."""

    phase: Phase
    version: str
    weight: float
    step: int
    steps: int
    because: str
    pauses: Collection[str]
    ended_at: datetime | None


@record
class ExperimentState:
    """What of an experiment matters here."""

    name: str
    phase: ExperimentPhase
    verdict: str


_PAUSED: Mapping[str, str] = {
    PauseReason.APPROVAL: "waits for approval",
    PauseReason.REGRESSION: "stands still: a guardrail regressed",
    PauseReason.INSUFFICIENT: "stands still: too little evidence",
    PauseReason.SAMPLE_RATIO: "stands still: traffic was not split as intended",
    PauseReason.STABLE_UNAVAILABLE: "stands still: stable does not answer",
    PauseReason.USER: "was paused by hand",
}
_FOUND: Mapping[str, tuple[Level, str, str]] = {
    "guardrail_breach": (Level.ACT, "guardrail broken", "breaks a guardrail"),
    "invalid_srm": (Level.ACT, "broken split", "is not split as planned: its numbers cannot be trusted"),
    "winner": (Level.LOOK, "winner found", "has a winner"),
    "tied": (Level.LOOK, "verdict is in", "found its arms equal"),
    "stop_futility": (Level.LOOK, "verdict is in", "will hardly find anything"),
}


def standing(
    *,
    active: bool,
    stable: str,
    rollout: RolloutState | None,
    experiments: Collection[ExperimentState],
    now: datetime,
) -> Standing:
    """Say where a domain stands: the most urgent of all that is true of it."""
    if not active:
        return Standing(level=Level.IDLE, word="archived", why="it is kept and serves nothing")
    found = [*_of_rollout(rollout, now), *(one for it in experiments for one in _of_experiment(it))]
    if not stable:
        found.append(Standing(level=Level.IDLE, word="serves nothing", why="it has no stable version yet"))
    if not found:
        return Standing(level=Level.STEADY, word="steady", why=f"{stable} serves everyone")
    return max(found, key=lambda it: it.level)


def _of_rollout(it: RolloutState | None, now: datetime) -> list[Standing]:
    if it is None:
        return []
    recent = it.ended_at is not None and now - it.ended_at < FRESH
    found: dict[Phase, Standing] = {
        Phase.PAUSED: Standing(
            level=Level.ACT,
            word="approve" if set(it.pauses) == {PauseReason.APPROVAL} else "paused",
            why=f"{it.version} {'; '.join(_PAUSED.get(pause, pause) for pause in it.pauses) or 'stands still'}",
        ),
        Phase.PROGRESSING: Standing(
            level=Level.MOVING,
            word="rolling out",
            why=f"{it.version} has {it.weight:.4g}% of traffic, step {it.step + 1} of {it.steps}",
        ),
        Phase.PENDING: Standing(
            level=Level.MOVING, word="waiting to begin", why=f"{it.version} waits for its first step"
        ),
    }
    if recent:
        found[Phase.ABORTED] = Standing(level=Level.LOOK, word="taken back", why=f"{it.version}: {it.because}")
        found[Phase.UNDONE] = Standing(level=Level.LOOK, word="undone", why=f"{it.version}: {it.because}")
    return [found[it.phase]] if it.phase in found else []


def _of_experiment(it: ExperimentState) -> list[Standing]:
    if it.verdict in _FOUND and it.phase in {ExperimentPhase.RUNNING, ExperimentPhase.STOPPED}:
        level, word, said = _FOUND[it.verdict]
        return [Standing(level=level, word=word, why=f"{it.name} {said}")]
    if it.phase is ExperimentPhase.STOPPED:
        return [Standing(level=Level.LOOK, word="to be decided", why=f"{it.name} has ended and is not decided")]
    if it.phase is ExperimentPhase.RUNNING:
        return [Standing(level=Level.MOVING, word="experimenting", why=f"{it.name} runs")]
    return []
