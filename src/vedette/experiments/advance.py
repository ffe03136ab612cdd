"""The one pure step of an experiment: where it is, what this look saw, and what follows.

Level-triggered, like a rollout's: the same spec, status, evidence and time give the same answer, so a process that dies
between any two writes comes to the same end. Its rules, the weightiest first:

1. Harm: an arm that breaks a guardrail is taken out at once. 2. A broken split withholds every verdict and stops the
bandit. 3. The longest duration ends it. 4. A final verdict is told, or ends it, or takes the winner live, as the spec
says. 5. A planned look, or a pair that was settled, is written down. 6. The bandit moves the split when it is due.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import NamedTuple

from vedette.evidence.experiment import ExperimentEvidence
from vedette.evidence.joint import JointMoments
from vedette.experiments.analysis import Analysis, Progress
from vedette.experiments.bandit import allocate, rebalance
from vedette.experiments.design import Experiment
from vedette.experiments.machine import (
    Conclusion,
    Epoch,
    Event,
    ExperimentStatus,
    Phase,
    PlannedLook,
    StoppedArm,
    follow,
)
from vedette.experiments.metrics import Measured
from vedette.experiments.monitoring import AnytimeValid, GroupSequential, TopTwo
from vedette.experiments.observed import Observed, of_pairs
from vedette.experiments.spec import ExperimentSpec
from vedette.experiments.traffic import observe
from vedette.experiments.verdict import Status, Verdict
from vedette.kernel.clock import say_duration
from vedette.kernel.decision import Action, Decision, Reason, reason
from vedette.kernel.records import evolve, record
from vedette.routing.layers import PLACES
from vedette.stats.sequential import MeanEstimate

RECONCILER = "vedette/reconciler"


@record
class Step:
    """What follows from a look: the next status (the same one when nothing changes), why, and what was found.

    ``promote`` names the variant whose version is to be taken live by a rollout, or is empty.
    """

    status: ExperimentStatus
    decision: Decision
    analysis: Analysis | None = None
    promote: str = ""


def question(spec: ExperimentSpec, metrics: Sequence[Measured]) -> Experiment:
    """Give the design an experiment asks for, over the metrics as the domain declares them."""
    total = sum(variant.weight for variant in spec.variants)
    return Experiment(
        variants=[variant.name for variant in spec.variants],
        metrics=metrics,
        control=spec.control_name,
        weights=[variant.weight / total for variant in spec.variants],
        comparisons=spec.comparisons,
        alpha=spec.alpha,
        monitoring=spec.monitoring,
        multiplicity=spec.multiplicity,
        min_units=spec.min_units,
    )


def look_at(
    spec: ExperimentSpec, metrics: Sequence[Measured], status: ExperimentStatus, evidence: ExperimentEvidence
) -> Analysis:
    """Analyse what an experiment has seen so far; between planned looks only harm and the split are judged."""
    arms = alive(spec, status)
    observed = observe(question(spec, metrics).over(arms).metrics, evidence, status.epochs, arms)
    return judge(spec, metrics, observed, progress_of(status))


def look_at_pairs(
    spec: ExperimentSpec, metrics: Sequence[Measured], status: ExperimentStatus, rows: JointMoments
) -> Analysis:
    """Analyse an offline experiment, whose arms saw the same prompts; columns are ``arm:measure``."""
    arms = alive(spec, status)
    asked = question(spec, metrics).over(arms)
    named = {arm: {column: f"{arm}:{column}" for column in asked.columns()} for arm in arms}
    return judge(spec, metrics, of_pairs(asked.metrics, rows, named), progress_of(status))


def progress_of(status: ExperimentStatus) -> Progress:
    """Give what earlier looks left."""
    return Progress(looks=tuple(look.information for look in status.looks), established=status.established)


def judge(spec: ExperimentSpec, metrics: Sequence[Measured], observed: Observed, progress: Progress) -> Analysis:
    """Judge what was observed of some arms of an experiment, after what earlier looks left."""
    asked = question(spec, metrics).over(observed.found.arms)
    units = sum(observed.units.values())
    if _due(spec, progress, units):
        return asked.judge(observed, progress=progress)
    found = replace(asked, monitoring=AnytimeValid(tune_at=_tuning(spec))).judge(observed, progress=progress)
    return replace(found, verdict=_between_looks(found.verdict, spec, units), progress=progress)


def alive(spec: ExperimentSpec, status: ExperimentStatus) -> tuple[str, ...]:
    """Name the arms that were not taken out."""
    gone = {stopped.arm for stopped in status.stopped_arms}
    return tuple(variant.name for variant in spec.variants if variant.name not in gone)


def advance(
    spec: ExperimentSpec,
    status: ExperimentStatus,
    metrics: Sequence[Measured],
    evidence: ExperimentEvidence | None,
    now: datetime,
) -> Step:
    """Decide what follows from one look. Pure: the same arguments give the same answer, for ever.

    Args:
        spec: What was asked for.
        status: Where the experiment is.
        metrics: The metrics of the spec as the domain declares them.
        evidence: What happened; None when it could not be read.
        now: When the look happens.
    """
    if status.phase is not Phase.RUNNING:
        return Step(status=status, decision=_hold("finished", f"the experiment is {status.phase}"))
    if evidence is None:
        return Step(status=status, decision=_hold("unmeasurable"))
    return follow_up(spec, status, look_at(spec, metrics, status, evidence), now)


def follow_up(spec: ExperimentSpec, status: ExperimentStatus, analysis: Analysis, now: datetime) -> Step:
    """Decide what follows from an analysis of a running experiment; pure as `advance` is."""
    seen = _Seen(spec, status, analysis, now)
    rules = (_harm, _split, _too_long, _final, _written_down, _reallocated)
    found = next(filter(None, (rule(seen) for rule in rules)), None)
    if found is None:
        said = _hold(_CODES[analysis.verdict.status], analysis.verdict.sentence)
        return Step(status=status, decision=said, analysis=analysis)
    return evolve(found, analysis=analysis)


class _Seen(NamedTuple):
    spec: ExperimentSpec
    status: ExperimentStatus
    analysis: Analysis
    now: datetime

    def step(self, decision: Decision, **changes: object) -> Step:
        return Step(status=evolve(self.status, **changes), decision=decision)

    def told(self, code: str) -> bool:
        return code in self.status.notified

    def telling(self, *codes: str) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*self.status.notified, *codes)))


_CODES = {
    Status.WINNER: "winner",
    Status.TIED: "tied",
    Status.STOP_FUTILITY: "futility",
    Status.CONTINUE: "undecided",
    Status.INSUFFICIENT: "insufficient",
    Status.INVALID_SRM: "sample-ratio",
    Status.GUARDRAIL_BREACH: "guardrail-breach",
}


def _harm(seen: _Seen) -> Step | None:
    breaches = seen.analysis.verdict.breaches
    if not breaches:
        return None
    harmful = tuple(dict.fromkeys(breach.arm for breach in breaches))
    reasons = tuple(
        reason(
            "guardrail-breach",
            f"{it.arm} is worse in {it.metric} than the {100 * it.margin:g} % tolerated",
            **it.to_dict(),
        )
        for it in breaches
    )
    if seen.spec.on_guardrail == "notify":
        codes = [f"guardrail-breach/{it.arm}/{it.metric}" for it in breaches]
        if all(seen.told(code) for code in codes):
            return None
        return seen.step(Decision(action=Action.NOTIFY, reasons=reasons), notified=seen.telling(*codes))
    return stop_arms(seen.spec, seen.status, harmful, reasons, seen.now)


def stop_arms(
    spec: ExperimentSpec, status: ExperimentStatus, arms: Sequence[str], reasons: tuple[Reason, ...], now: datetime
) -> Step:
    """Take arms out: their units are served as the domain is, and nobody else moves; the last one ends it all."""
    left = [arm for arm in alive(spec, status) if arm not in arms]
    because = reasons[0].message
    gone = tuple(StoppedArm(arm=arm, at=now, epoch=status.epoch + 1, because=because) for arm in arms)
    if len(left) < 2:
        changed = ended(evolve(status, stopped_arms=(*status.stopped_arms, *gone)), now)
        return Step(status=changed, decision=Decision(action=Action.STOP, reasons=reasons))
    kept = {arm: share for arm, share in status.epochs[-1].shares.items() if arm in left}
    changed = evolve(
        status,
        phase=follow(status.phase, Event.STOP_ARM),
        slices=tuple(piece for piece in status.slices if piece.arm in left),
        epochs=(*status.epochs, Epoch(number=status.epoch + 1, since=now, shares=kept)),
        stopped_arms=(*status.stopped_arms, *gone),
    )
    return Step(status=changed, decision=Decision(action=Action.STOP_ARM, reasons=reasons))


def ended(status: ExperimentStatus, now: datetime) -> ExperimentStatus:
    """Give the status of an experiment that is stopped: it exposes nobody and gives its places back."""
    return evolve(status, phase=follow(status.phase, Event.STOP), stretches=(), exposed=0, slices=(), ended_at=now)


def _split(seen: _Seen) -> Step | None:
    if seen.analysis.verdict.status is not Status.INVALID_SRM:
        return None
    why = reason("sample-ratio", seen.analysis.verdict.sentence)
    if seen.told("sample-ratio"):
        return Step(status=seen.status, decision=Decision(action=Action.HOLD, reasons=(why,)))
    return seen.step(Decision(action=Action.NOTIFY, reasons=(why,)), notified=seen.telling("sample-ratio"))


def _too_long(seen: _Seen) -> Step | None:
    longest, began = seen.spec.max_duration, seen.status.started_at
    if not longest or began is None or seen.now < began + timedelta(seconds=longest):
        return None
    if seen.analysis.verdict.final:
        return None  # it says something at its last moment
    why = reason("too-long", f"it ran for its longest time, {say_duration(longest)}: {seen.analysis.verdict.sentence}")
    return Step(status=ended(seen.status, seen.now), decision=Decision(action=Action.STOP, reasons=(why,)))


def _final(seen: _Seen) -> Step | None:
    verdict, spec = seen.analysis.verdict, seen.spec
    if not verdict.final:
        return None
    code = _CODES[verdict.status]
    why = reason(code, verdict.sentence, winner=verdict.winner, tied=list(verdict.tied))
    progress = _progress(seen)
    if spec.on_winner == "notify":
        if seen.told(f"{code}/{verdict.winner}"):
            return None
        decision = Decision(action=Action.NOTIFY, reasons=(why,))
        return seen.step(decision, notified=seen.telling(f"{code}/{verdict.winner}"), **progress)
    conclusion = Conclusion(
        verdict=verdict.status, winner=verdict.winner, by=RECONCILER, because=verdict.sentence, at=seen.now
    )
    stopped = ended(evolve(seen.status, **progress), seen.now)
    changed = decided(spec, stopped, conclusion)
    decision = Decision(action=Action.PROMOTE if changed.awaiting_rollout else Action.DECIDE, reasons=(why,))
    return Step(status=changed, decision=decision, promote=changed.awaiting_rollout)


def decided(spec: ExperimentSpec, status: ExperimentStatus, conclusion: Conclusion) -> ExperimentStatus:
    """Give the status of a stopped experiment of which somebody said what follows."""
    promoted = spec.on_winner == "promote" and conclusion.winner not in {"", spec.control_name} and not status.rollout
    return evolve(
        status,
        phase=follow(status.phase, Event.DECIDE),
        conclusion=conclusion,
        awaiting_rollout=conclusion.winner if promoted else "",
    )


def _written_down(seen: _Seen) -> Step | None:
    changes = _progress(seen)
    if not changes:
        return None
    said = seen.analysis.verdict.sentence
    code = "planned-look" if "looks" in changes else "settled"
    return seen.step(Decision(action=Action.HOLD, reasons=(reason(code, said),)), **changes)


def _progress(seen: _Seen) -> dict[str, object]:
    """Give what this look adds to what is written down."""
    changes: dict[str, object] = {}
    progress, status = seen.analysis.progress, seen.status
    if isinstance(seen.spec.monitoring, GroupSequential) and len(progress.looks) > len(status.looks):
        new = PlannedLook(at=seen.now, information=progress.looks[-1])
        changes["looks"] = (*status.looks, new)
    judged = not isinstance(seen.spec.monitoring, GroupSequential) or "looks" in changes
    if judged and progress.established != status.established and set(progress.established) - set(status.established):
        changes["established"] = progress.established
    return changes


def _reallocated(seen: _Seen) -> Step | None:
    policy, status = seen.spec.allocation, seen.status
    if not isinstance(policy, TopTwo) or seen.analysis.verdict.status is Status.INSUFFICIENT:
        return None
    current = status.epochs[-1]
    if seen.now < current.since + timedelta(seconds=policy.every):
        return None
    found, primary = seen.analysis.found, seen.analysis.primary
    row = found.metrics.index(primary)
    arms = {
        arm: MeanEstimate(float(found.mean[row, a]), float(found.variance[row, a]), float(found.clock[row, a]))
        for a, arm in enumerate(found.arms)
    }
    better = next(measured.better for measured in seen.analysis.asked.metrics if measured.name == primary)
    places = sum(current.shares.values())
    next_shares = allocate(
        arms,
        current.shares,
        better=better,
        minimum=round(policy.minimum * places),
        burn_in=policy.burn_in,
        places=places,
    ).weights
    if next_shares == dict(current.shares):
        return None
    said = ", ".join(f"{arm} {100 * share / PLACES:.3g} %" for arm, share in next_shares.items())
    return seen.step(
        Decision(action=Action.REALLOCATE, reasons=(reason("reallocated", f"the split is now {said}"),)),
        phase=follow(status.phase, Event.REALLOCATE),
        slices=rebalance(status.slices, next_shares, hole=places < PLACES),
        epochs=(*status.epochs, Epoch(number=status.epoch + 1, since=seen.now, shares=next_shares)),
    )


def _due(spec: ExperimentSpec, progress: Progress, units: float) -> bool:
    """Say whether the next planned look is due; designs without planned looks are always due."""
    plan = spec.monitoring
    if not isinstance(plan, GroupSequential):
        return True
    last = progress.looks[-1] if progress.looks else 0.0
    ahead = next((k / plan.looks for k in range(1, plan.looks + 1) if k / plan.looks > last * (1 + 1e-6)), None)
    return ahead is not None and units / plan.units >= ahead


def _between_looks(verdict: Verdict, spec: ExperimentSpec, units: float) -> Verdict:
    """Say nothing of who wins before the next planned look: only harm and a broken split count at any time."""
    if verdict.status in {Status.GUARDRAIL_BREACH, Status.INVALID_SRM}:
        return verdict
    planned = getattr(spec.monitoring, "units", 0)
    said = f"The next planned look has not come yet: {100 * units / planned:.3g} % of {planned} requests are there."
    return evolve(verdict, status=Status.CONTINUE, sentence=said, winner="", tied=(), established=())


def _tuning(spec: ExperimentSpec) -> float:
    plan = spec.monitoring
    return plan.tune_at if isinstance(plan, AnytimeValid) else float(getattr(plan, "units", 0) or 10_000)


def _hold(code: str, message: str = "") -> Decision:
    return Decision(action=Action.HOLD, reasons=(reason(code, message),))
