"""Was each decision the right one? Set against what is true of the held-out data, which the engine never saw."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from vedette.control.plane import ControlPlane
from vedette.demo.scenario import ACCURACY
from vedette.demo.story import Sight
from vedette.evidence.arms import ArmSums
from vedette.kernel.decision import Action
from vedette.kernel.records import record
from vedette.rollouts.machine import Phase
from vedette.store.rollouts import StoredDecision, StoredRollout


@record
class Served:
    """What one arm did during a rollout: requests, those whose truth is known, and how many of these were wrong."""

    requests: int
    judged: int
    wrong: int


@record
class Verdict:
    """One candidate, what became of it, what should have, and the evidence.

    ``error`` and ``stable_error`` are the true shares of wrong answers; ``evidence`` are the figures of the accuracy
    guardrail at the last look, empty if there was none. ``phase`` is None where no rollout came to its end.
    """

    domain: str
    version: str
    stable: str
    assignment: str
    error: float
    stable_error: float
    expected: Phase
    phase: Phase | None
    right: bool
    why: str
    weight: float
    seconds: float
    evidence: Mapping[str, Any]
    canary: Served
    others: Served


def judge(plane: ControlPlane, sight: Sight) -> tuple[Verdict, ...]:
    """Judge what became of every candidate of a domain, in order; candidates that never came up are wrong decisions."""
    return tuple(
        _judge(plane, sight, version, sight.rollouts[place] if place < len(sight.rollouts) else None)
        for place, version in enumerate(sight.scenario.candidates)
    )


def _judge(plane: ControlPlane, sight: Sight, version: str, rollout: StoredRollout | None) -> Verdict:
    scenario = sight.scenario
    incumbent = next(artefact.version for artefact in scenario.artefacts if artefact.role == "incumbent")
    stable = (rollout.status.previous_stable if rollout else "") or incumbent
    expected = Phase.PROMOTED if scenario.errors[version] < scenario.errors[stable] else Phase.ABORTED
    decisions = [one for one in sight.decisions if rollout and one.rollout == rollout.id]
    phase, why = _ending(rollout, decisions)
    canary, others = _served(plane, rollout, stable) if rollout else (_NOTHING, _NOTHING)
    looks = plane.canary.looks(rollout.id, limit=1, newest_first=True).items if rollout else ()
    figures = [verdict for look in looks for verdict in look.verdicts if verdict["metric"] == ACCURACY]
    return Verdict(
        domain=scenario.domain.id,
        version=version,
        stable=stable,
        assignment=scenario.assignment,
        error=scenario.errors[version],
        stable_error=scenario.errors[stable],
        expected=expected,
        phase=phase,
        right=phase is expected and (phase is Phase.PROMOTED or _for_accuracy(decisions)),
        why=why,
        weight=looks[0].weight if looks else 0.0,
        seconds=_seconds(rollout),
        evidence=figures[0] if figures else {},
        canary=canary,
        others=others,
    )


def _ending(rollout: StoredRollout | None, decisions: list[StoredDecision]) -> tuple[Phase | None, str]:
    if rollout is None:
        return None, "its rollout never began"
    said = decisions[-1].decision.sentence if decisions else "nothing was decided"
    ended = rollout.status.phase in {Phase.PROMOTED, Phase.ABORTED}
    return (rollout.status.phase, said) if ended else (None, f"it is {rollout.status.phase}: {said}")


def _for_accuracy(decisions: list[StoredDecision]) -> bool:
    """Say whether it was taken back because of what is wrong with it, and not by chance for something else."""
    return any(
        reason.code == "regression" and reason.evidence.get("metric") == ACCURACY
        for one in decisions
        if one.decision.action is Action.ABORT
        for reason in one.decision.reasons
    )


def _seconds(rollout: StoredRollout | None) -> float:
    if rollout is None or rollout.status.started_at is None or rollout.status.ended_at is None:
        return 0.0
    return (rollout.status.ended_at - rollout.status.started_at).total_seconds()


def _served(plane: ControlPlane, rollout: StoredRollout, stable: str) -> tuple[Served, Served]:
    """Count what canary and stable answered under the rollout's plans, feedback that came after its end included."""
    plans = plane.traffic.history(rollout.domain, limit=1000).items
    evidence = plane.lake.evidence(
        rollout.domain,
        canary=rollout.spec.version,
        stable=stable,
        plan_revisions={plan.plan.revision for plan in plans if plan.rollout == rollout.id},
    )
    return _sum([cell.canary for cell in evidence.cells]), _sum([cell.stable for cell in evidence.cells])


def _sum(arms: list[ArmSums]) -> Served:
    judged = sum(float(np.sum(arm.of("correct").n)) for arm in arms)
    correct = sum(float(np.sum(arm.of("correct").sum)) for arm in arms)
    return Served(requests=sum(arm.requests for arm in arms), judged=round(judged), wrong=round(judged - correct))


_NOTHING = Served(requests=0, judged=0, wrong=0)
