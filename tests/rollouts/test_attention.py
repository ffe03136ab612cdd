"""Which domains need a hand: the most urgent of what is true is said, and why."""

from datetime import UTC, datetime, timedelta

import pytest

from vedette.experiments.machine import Phase as ExperimentPhase
from vedette.rollouts.attention import ExperimentState, Level, RolloutState, standing
from vedette.rollouts.machine import Phase

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


def rollout(phase, *, pauses=(), ended=None, because="accuracy is worse"):
    """A rollout in a phase, ended so long ago."""
    ended_at = None if ended is None else NOW - ended
    return RolloutState(
        phase=phase, version="v2", weight=10.0, step=0, steps=4, because=because, pauses=pauses, ended_at=ended_at
    )


def stand(it=None, *experiments, active=True, stable="v1"):
    """Where a domain stands."""
    return standing(active=active, stable=stable, rollout=it, experiments=experiments, now=NOW)


@pytest.mark.parametrize(
    ("it", "level", "word", "why"),
    [
        (None, Level.STEADY, "steady", "v1 serves everyone"),
        (rollout(Phase.PENDING), Level.MOVING, "waiting to begin", "waits for its first step"),
        (rollout(Phase.PROGRESSING), Level.MOVING, "rolling out", "10% of traffic, step 1 of 4"),
        (rollout(Phase.PAUSED, pauses=("approval",)), Level.ACT, "approve", "waits for approval"),
        (
            rollout(Phase.PAUSED, pauses=("regression", "user")),
            Level.ACT,
            "paused",
            "a guardrail regressed; was paused",
        ),
        (rollout(Phase.ABORTED, ended=timedelta(hours=1)), Level.LOOK, "taken back", "v2: accuracy is worse"),
        (rollout(Phase.ABORTED, ended=timedelta(days=2)), Level.STEADY, "steady", "v1 serves everyone"),
        (rollout(Phase.UNDONE, ended=timedelta(hours=1)), Level.LOOK, "undone", "v2"),
        (rollout(Phase.PROMOTED, ended=timedelta(hours=1)), Level.STEADY, "steady", "v1"),
    ],
)
def test_a_rollout_says_where_its_domain_stands(it, level, word, why):
    """Each phase has its level, its word and its reason; what was taken back long ago is no news."""
    found = stand(it)
    assert (found.level, found.word) == (level, word)
    assert why in found.why


@pytest.mark.parametrize(
    ("phase", "verdict", "level", "word"),
    [
        (ExperimentPhase.RUNNING, "continue", Level.MOVING, "experimenting"),
        (ExperimentPhase.RUNNING, "guardrail_breach", Level.ACT, "guardrail broken"),
        (ExperimentPhase.RUNNING, "invalid_srm", Level.ACT, "broken split"),
        (ExperimentPhase.RUNNING, "winner", Level.LOOK, "winner found"),
        (ExperimentPhase.STOPPED, "continue", Level.LOOK, "to be decided"),
        (ExperimentPhase.DECIDED, "winner", Level.STEADY, "steady"),
    ],
)
def test_an_experiment_says_where_its_domain_stands(phase, verdict, level, word):
    """A broken guardrail or split needs a hand, a verdict a look; what was decided needs neither."""
    found = stand(None, ExperimentState(name="tone", phase=phase, verdict=verdict))
    assert (found.level, found.word) == (level, word)


def test_the_most_urgent_is_said():
    """A paused rollout is said before an experiment that found something, and an archived domain needs nobody."""
    found = ExperimentState(name="tone", phase=ExperimentPhase.RUNNING, verdict="winner")
    assert stand(rollout(Phase.PAUSED, pauses=("user",)), found).word == "paused"
    assert stand(rollout(Phase.PROGRESSING), found).word == "winner found"
    assert stand(rollout(Phase.PAUSED), active=False).level is Level.IDLE
    assert stand(stable="").word == "serves nothing"
