"""Understanding an experiment: what it found, what it would do now, whom it has, how cuts of it look."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from sqlalchemy import Connection

from vedette.control.experiment_look import analyse, evidence_of, is_watched, metrics_of, units_of
from vedette.control.passes import warned
from vedette.control.traffic import Traffic
from vedette.evidence.metric import Metric, MetricKind
from vedette.evidence.summary import EMPTY
from vedette.experiments.advance import advance, alive, look_at
from vedette.experiments.cuts import (
    Breakdown,
    Crossed,
    Interaction,
    adjusted_together,
    break_down,
    interactions_of,
)
from vedette.experiments.machine import Conclusion, Phase
from vedette.experiments.planned_pair import Kind
from vedette.experiments.recorded import judge_again
from vedette.experiments.report import ExperimentReport, report
from vedette.experiments.verdict import Verdict
from vedette.kernel.decision import Action, Decision, reason
from vedette.kernel.errors import InvalidInput, Refused
from vedette.kernel.records import evolve, record
from vedette.lake.evidence import LakeReader
from vedette.routing.assign import CompiledExperiments
from vedette.routing.layers import PLACES, Layer, RunningExperiment
from vedette.routing.plan import TrafficPlan
from vedette.store import experiments, plans
from vedette.store.experiments import ExperimentDecision, StoredExperiment

KINDS: Mapping[MetricKind, Kind | None] = {
    MetricKind.RATE: "proportion",
    MetricKind.MEAN: "mean",
    MetricKind.RATIO: "ratio",
    MetricKind.QUANTILE: None,
}
"""How a metric's sample is planned; None leaves it to be refused."""


@record
class UnitAssignment:
    """Which arm of an experiment a unit has, and which arms of all experiments; ``because`` says why, or why none."""

    experiment: str
    domain: str
    unit: str
    arm: str
    because: str
    exposures: Mapping[str, str]


@record
class ExperimentExplanation:
    """Why an experiment is where it is.

    ``now`` is what a look at this moment decides (nothing is written) and ``report`` what it found; None before the
    start, or while the outcomes cannot be read. ``coverage`` is the share of the layer that is exposed and ``shares``
    those of the arms, in percent. ``plan`` is the domain's traffic plan and ``confirmed`` the newest one every live
    gateway serves. ``last`` is the last decision, and ``rederived`` says whether the evidence recorded with the last
    kept look gives the verdict stored with it (None before the first look, or when a metric was changed since).
    """

    experiment: str
    name: str
    domain: str
    phase: Phase
    epoch: int
    coverage: float
    shares: Mapping[str, float]
    stopped_arms: Mapping[str, str]
    plan: int
    confirmed: int
    now: Decision
    report: ExperimentReport | None
    last: ExperimentDecision | None
    rederived: bool | None
    conclusion: Conclusion | None
    awaiting_rollout: str
    rollout: str
    assignment: UnitAssignment | None = None


@record
class Usual:
    """A metric as it usually is: its figure, its spread over requests, and the requests a day; None if not known."""

    baseline: float | None
    sd: float | None
    units_per_day: float | None


def results(connection: Connection, lake: LakeReader, stored: StoredExperiment) -> ExperimentReport:
    """Say what an experiment has found so far; once every treatment was taken out, what its last kept look found.

    Raises:
        Refused: it has not started, or every treatment was taken out before anything was seen.
        Unavailable: the outcomes cannot be read.
    """
    if stored.status.started_at is not None and len(alive(stored.spec, stored.status)) < 2:
        kept = experiments.looks(connection, stored.id, limit=1, newest_first=True).items
        if not kept:
            raise Refused(
                f"every treatment of {stored.name!r} was taken out before anything was seen",
                hint="its decisions say why",
            )
        return kept[0].report
    return report(*analyse(connection, lake, stored))


def explain(
    connection: Connection, lake: LakeReader, traffic: Traffic, stored: StoredExperiment, now: datetime
) -> ExperimentExplanation:
    """Look now, decide, write nothing; and check that the last kept look follows from what was recorded with it."""
    status = stored.status
    newest = plans.current(connection, stored.domain)
    decisions = experiments.decisions(connection, stored.id, limit=1, newest_first=True).items
    decision, found = _now(connection, lake, stored, now)
    split = status.epochs[-1].shares if status.epochs else {}
    return ExperimentExplanation(
        experiment=stored.id,
        name=stored.name,
        domain=stored.domain,
        phase=status.phase,
        epoch=status.epoch,
        coverage=100 * status.exposed / PLACES,
        shares={arm: 100 * share / PLACES for arm, share in split.items()},
        stopped_arms={it.arm: it.because for it in status.stopped_arms},
        plan=newest.plan.revision if newest else 0,
        confirmed=traffic.confirmed(connection, stored.domain),
        now=decision,
        report=found,
        last=decisions[0] if decisions else None,
        rederived=_rederived(connection, stored),
        conclusion=status.conclusion,
        awaiting_rollout=status.awaiting_rollout,
        rollout=status.rollout,
    )


def _now(
    connection: Connection, lake: LakeReader, stored: StoredExperiment, now: datetime
) -> tuple[Decision, ExperimentReport | None]:
    """Say what a look at this moment decides, and what it found."""
    status = stored.status
    if status.started_at is None:
        said = reason("finished", "it has not started")
        return Decision(action=Action.HOLD, reasons=(said,)), None
    if stored.spec.offline or not is_watched(stored):
        said = reason("finished", f"the experiment is {status.phase}; no look is taken by itself")
        return Decision(action=Action.HOLD, reasons=(said,)), results(connection, lake, stored)
    metrics, evidence = metrics_of(connection, stored), evidence_of(lake, stored, warned)
    step = advance(stored.spec, status, metrics, evidence, now)
    if evidence is None:
        return step.decision, None
    analysis = step.analysis or look_at(stored.spec, metrics, status, evidence)
    return step.decision, report(analysis, units_of(stored, evidence))


def _rederived(connection: Connection, stored: StoredExperiment) -> bool | None:
    """Judge the last kept look again, and say whether what it found comes out as it was stored.

    Figures may move in their last digits from one numpy to the next; what they lead to may not.
    """
    found = experiments.looks(connection, stored.id, limit=1, newest_first=True).items
    if not found:
        return None
    look, metrics = found[0], metrics_of(connection, stored)
    if tuple(metric.name for metric in metrics) != look.seen.metrics:
        return None
    return _led_to(judge_again(stored.spec, metrics, look.seen).verdict) == _led_to(look.report.verdict)


def _led_to(verdict: Verdict) -> tuple[object, ...]:
    broken = {(breach.arm, breach.metric) for breach in verdict.breaches}
    return verdict.status, verdict.winner, set(verdict.tied), broken, set(verdict.established)


def assignment(plan: TrafficPlan, stored: StoredExperiment, unit: str, attributes: Mapping[str, str]) -> UnitAssignment:
    """Say which arm a unit has by a traffic plan, and why."""
    compiled = CompiledExperiments.of(plan)
    exposed = dict(compiled.expose(unit, attributes).names) if compiled else {}
    arm = exposed.get(stored.name, "")
    return UnitAssignment(
        experiment=stored.id,
        domain=stored.domain,
        unit=unit,
        arm=arm,
        because="its place in the layer and its hash over the arms"
        if arm
        else _why_none(plan, stored, unit, attributes),
        exposures=exposed,
    )


def _why_none(plan: TrafficPlan, stored: StoredExperiment, unit: str, attributes: Mapping[str, str]) -> str:
    """Say why a unit has no arm: undo one reason after the other until it has one."""
    layer = next((it for it in plan.layers if it.name == stored.spec.layer), None)
    running = next((it for it in layer.experiments if it.id == stored.id), None) if layer else None
    if layer is None or running is None:
        return f"the experiment is {stored.status.phase} and exposes nobody"
    if broken := [rule for rule in running.targeting if not rule.holds(attributes)]:
        return f"its request does not fit the targeting: {broken[0].attribute} {broken[0].test} {broken[0].values}"
    free = evolve(plan, hold_out=0)
    grown = evolve(running, exposed=running.held)
    full = evolve(grown, slices=(evolve(running.slices[0], arm=stored.spec.control_name, begin=0, end=PLACES),))
    undone = [
        (free, running, "it is one of the units held out from every experiment"),
        (_with(free, layer, grown), running, "its place in the layer is reserved for it and not exposed yet"),
        (_with(free, layer, full), running, "its arm was taken out, so it is served as the domain is"),
    ]
    undone += [
        (free, other, f"it is in {other.name}, which runs in the same layer")
        for other in layer.experiments
        if other.id != running.id
    ]
    found = (why for changed, experiment, why in undone if _has(changed, experiment, unit, attributes))
    return next(found, "its place in the layer does not belong to the experiment")


def _has(plan: TrafficPlan, experiment: RunningExperiment, unit: str, attributes: Mapping[str, str]) -> bool:
    return experiment.name in CompiledExperiments(plan).expose(unit, attributes).names


def _with(plan: TrafficPlan, layer: Layer, changed: RunningExperiment) -> TrafficPlan:
    held = tuple(changed if it.id == changed.id else it for it in layer.experiments)
    return evolve(
        plan, layers=tuple(evolve(it, experiments=held) if it.name == layer.name else it for it in plan.layers)
    )


def breakdown(connection: Connection, lake: LakeReader, stored: StoredExperiment, dimension: str) -> Breakdown:
    """Analyse an experiment for each value of a dimension.

    Raises:
        InvalidInput: the spec does not name the dimension.
        Refused: the experiment has not started, or is offline.
        Unavailable: the outcomes cannot be read.
    """
    _refuse_without_traffic(stored)
    if dimension not in stored.spec.dimensions:
        named = ", ".join(stored.spec.dimensions)
        raise InvalidInput(
            f"{dimension!r} was not recorded for {stored.name!r}",
            hint=f"recorded: {named}" if named else "name dimensions in the spec of the next experiment",
        )
    total = sum(units_of(stored, lake.experiment(stored.domain, stored.id)).values())
    cuts = lake.by_dimension(stored.domain, stored.id, dimension)
    return break_down(stored.spec, stored.status, metrics_of(connection, stored), dimension, cuts, total)


def interactions(
    connection: Connection, lake: LakeReader, stored: StoredExperiment, other: StoredExperiment | None
) -> tuple[Interaction, ...]:
    """Test whether an experiment's effects depend on another's arms, or on those of all that overlap with it.

    Raises:
        InvalidInput: the other cannot overlap with it.
        Refused: one of them has not started, or is offline.
        Unavailable: the outcomes cannot be read.
    """
    _refuse_without_traffic(stored)
    if other is None:
        running = experiments.exposing(connection, stored.domain)
        others = [it for it in running if it.spec.layer != stored.spec.layer]
    else:
        _refuse_without_traffic(other)
        if other.domain != stored.domain or other.spec.layer == stored.spec.layer:
            raise InvalidInput(
                f"{stored.name!r} and {other.name!r} share no unit",
                hint="experiments of different layers of one domain overlap",
            )
        others = [other]
    primary = next(metric for metric in metrics_of(connection, stored) if metric.role == "primary")
    it = Crossed(name=stored.name, spec=stored.spec, status=stored.status)
    found: list[Interaction] = []
    for each in others:
        cells = lake.overlap(stored.domain, stored.id, each.id)
        found += interactions_of(it, primary, Crossed(name=each.name, spec=each.spec, status=each.status), cells)
    return adjusted_together(found)


def usual(
    lake: LakeReader,
    domain: str,
    metric: Metric,
    now: datetime,
    baseline: float | None,
    sd: float | None,
    units_per_day: float | None,
) -> Usual:
    """Give what was said of a metric and the traffic, and read what was not from the domain's last day.

    Raises:
        InvalidInput: the last day does not tell what the metric is.
    """
    spread_known = sd is not None or metric.kind is MetricKind.RATE
    if baseline is not None and spread_known and units_per_day is not None:
        return Usual(baseline=baseline, sd=sd, units_per_day=units_per_day)
    minutes = lake.minutes(domain, now - timedelta(days=1), now + timedelta(minutes=1))
    seen = EMPTY
    for minute in minutes:
        seen = seen + minute.measures.get(metric.measure, EMPTY)
    requests = sum(minute.measures.get("requests", EMPTY).n for minute in minutes)
    if baseline is None or not spread_known:
        if metric.kind in {MetricKind.RATIO, MetricKind.QUANTILE} or seen.n < 2:
            raise InvalidInput(
                f"the last day of {domain!r} does not tell what {metric.name!r} usually is",
                hint="give the baseline" if metric.kind is MetricKind.RATE else "give the baseline, and sd",
            )
        baseline = seen.mean if baseline is None else baseline
        sd = sd if spread_known else (seen.m2 / (seen.n - 1)) ** 0.5
    if units_per_day is None and minutes:
        units_per_day = requests / ((minutes[-1].at - minutes[0].at).total_seconds() / 86_400 + 1 / 1440)
    return Usual(baseline=baseline, sd=sd, units_per_day=units_per_day)


def _refuse_without_traffic(stored: StoredExperiment) -> None:
    if stored.spec.offline:
        raise Refused(f"experiment {stored.name!r} is offline: it has no requests to cut")
    if stored.status.started_at is None:
        raise Refused(f"experiment {stored.name!r} has not started", hint=f"vedette experiment start {stored.name}")
