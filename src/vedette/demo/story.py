"""One domain's course: a warm-up on stable, then one rollout after the other, each left to the engine."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from vedette.control.plane import ControlPlane
from vedette.demo.scenario import ACTOR, Scenario, schedule
from vedette.kernel.records import record
from vedette.rollouts.machine import Phase
from vedette.store.rollouts import StoredDecision, StoredRollout

_REST = timedelta(seconds=2)
_RUNNING = frozenset({Phase.PENDING, Phase.PROGRESSING})


@record
class Sight:
    """A domain at one moment: its rollouts so far, and of the newest what the engine last saw and has decided.

    ``verdicts`` are the figures of each guardrail by metric. ``judged`` counts the answers of stable whose truth is
    known; ``done`` says that the course is at its end.
    """

    scenario: Scenario
    stable: str
    judged: int
    rollouts: tuple[StoredRollout, ...]
    verdicts: Mapping[str, Mapping[str, Any]]
    decisions: tuple[StoredDecision, ...]
    done: bool

    @property
    def rollout(self) -> StoredRollout | None:
        """The newest rollout, if there is one yet."""
        return self.rollouts[-1] if self.rollouts else None


class Course:
    """Starts what comes next in one domain, and decides nothing: that is the engine's."""

    def __init__(self, plane: ControlPlane, scenario: Scenario) -> None:
        self._plane = plane
        self._scenario = scenario
        self._began = datetime.now(UTC)
        self._ids: list[str] = []

    def go_on(self) -> Sight:
        """Look, start the next rollout if it is time, and say what was seen.

        A rollout that the engine pauses stands still until a person comes, and none comes: the course ends there.
        """
        sight = self._look()
        if sight.done:
            return sight
        if self._is_time(sight):
            version = self._scenario.candidates[len(self._ids)]
            started = self._plane.canary.deploy_with_rollout(
                self._scenario.domain.id, version, schedule(self._scenario, version), actor=ACTOR
            )
            self._ids.append(started.id)
        return sight

    def _is_time(self, sight: Sight) -> bool:
        """Say whether the next rollout may begin: after the warm-up, or once people saw how the last one ended."""
        if sight.rollout is None:
            return sight.judged >= self._scenario.warm_up
        ended = sight.rollout.status.ended_at
        return ended is not None and datetime.now(UTC) - ended > _REST

    def _look(self) -> Sight:
        canary = self._plane.canary
        rollouts = tuple(canary.get(rollout) for rollout in self._ids)
        verdicts: Mapping[str, Mapping[str, Any]] = {}
        done = False
        if self._ids:
            looks = canary.looks(self._ids[-1], limit=1, newest_first=True).items
            verdicts = {verdict["metric"]: verdict for verdict in looks[0].verdicts} if looks else {}
            phase = rollouts[-1].status.phase
            done = phase is Phase.PAUSED or (len(self._ids) == len(self._scenario.candidates) and phase not in _RUNNING)
        domain = self._scenario.domain.id
        return Sight(
            scenario=self._scenario,
            stable=self._plane.versions.aliases(domain)["stable"],
            judged=0 if self._ids else self._judged(),
            rollouts=rollouts,
            verdicts=verdicts,
            decisions=tuple(one for rollout in self._ids for one in canary.decisions(rollout).items),
            done=done,
        )

    def _judged(self) -> int:
        until = datetime.now(UTC) + timedelta(minutes=1)
        minutes = self._plane.lake.minutes(self._scenario.domain.id, self._began, until)
        return int(sum(minute.measures["correct"].n for minute in minutes if "correct" in minute.measures))
