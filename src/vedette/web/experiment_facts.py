"""What an experiment's pages say in words and tables: the banner, arms, guardrails, the split, cautions, changes."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from vedette.control.experiment_story import ExperimentStory
from vedette.evidence.experiment import ExperimentEvidence
from vedette.evidence.metric import Metric
from vedette.experiments.analysis import SRM_ALPHA
from vedette.experiments.monitoring import AnytimeValid, Fixed, GroupSequential, Monitoring, TopTwo
from vedette.experiments.report import ExperimentReport
from vedette.experiments.spec import ExperimentSpec
from vedette.experiments.verdict import STATUSES, Status
from vedette.kernel.documents import dump
from vedette.kernel.records import record
from vedette.kernel.tables import say_interval, say_number, say_percent
from vedette.routing.layers import PLACES
from vedette.routing.override import Override
from vedette.stats.cautions import CAUTIONS, Caution
from vedette.stats.results import Comparison
from vedette.store.experiments import StoredExperiment

BADGES: Mapping[Status, tuple[str, str, str]] = {
    Status.WINNER: ("good", "ok", "winner"),
    Status.TIED: ("look", "dot", "tied"),
    Status.CONTINUE: ("moving", "run", "undecided"),
    Status.STOP_FUTILITY: ("look", "hold", "hardly worth going on"),
    Status.GUARDRAIL_BREACH: ("bad", "stop", "guardrail broken"),
    Status.INVALID_SRM: ("bad", "warn", "split broken"),
    Status.INSUFFICIENT: ("idle", "wait", "too early"),
}
"""Tone, sign and word of every verdict."""

_NEXT: Mapping[Status, str] = {
    Status.WINNER: "Decide for it, and take it live.",
    Status.TIED: "Decide by cost, or run a larger experiment.",
    Status.CONTINUE: "Leave it running: it may be looked at as often as you like.",
    Status.STOP_FUTILITY: "Stop it, or leave it running to its planned end.",
    Status.GUARDRAIL_BREACH: "Take the harmful arm out.",
    Status.INVALID_SRM: "Find out where units get lost before reading any figure; the health page shows who is short.",
    Status.INSUFFICIENT: "Wait: every arm needs its minimum of units first.",
}


@record
class Banner:
    """Where an experiment stands in a sentence, why, and what to do about it."""

    tone: str
    sign: str
    head: str
    sentence: str
    then: str


@record
class ArmRow:
    """One arm: what it changes, how it did, where it stands; figures as text."""

    name: str
    control: bool
    changes: str
    gone: str
    units: str
    share: float
    intended: str
    mean: str
    rank: str
    best: str
    may_be_best: bool
    loss: str


@record
class GuardRow:
    """One guardrail of one arm against the control."""

    arm: str
    metric: str
    change: str
    interval: str
    tolerated: str
    tone: str
    sign: str
    word: str


@record
class SplitRow:
    """One arm in one epoch of the split: what it was to have, and what it had."""

    epoch: int
    arm: str
    intended: float
    realised: float | None
    requests: int
    expected: float


@record
class CautionRow:
    """What is to be read with care, why, and where."""

    name: str
    advice: str
    where: str


def banner(told: ExperimentStory) -> Banner:
    """Say where an experiment stands."""
    it, found = told.experiment, told.explanation
    status = it.status
    if status.started_at is None:
        head = "Put away before it began" if status.phase == "archived" else "A draft: it exposes nobody yet"
        return Banner(tone="idle", sign="wait", head=head, sentence=it.spec.hypothesis, then="")
    if status.conclusion is not None:
        won = status.conclusion.winner
        head = f"Decided: {won} won" if won else "Decided: nobody won"
        then = "Its rollout begins as soon as the domain is free." if status.awaiting_rollout else ""
        tone = "good" if won else "idle"
        return Banner(tone=tone, sign="ok", head=head, sentence=status.conclusion.because, then=then)
    if found is None or found.report is None:
        return Banner(
            tone="act",
            sign="warn",
            head="Its outcomes cannot be read",
            sentence=told.trouble,
            then="That is neither good news nor bad news; it goes on.",
        )
    verdict = found.report.verdict
    tone, sign, word = BADGES[verdict.status]
    if status.phase != "running":
        return Banner(tone=tone, sign=sign, head=f"Stopped: {word}", sentence=verdict.sentence, then="")
    said = f"{word[0].upper()}{word[1:]}"
    return Banner(tone=tone, sign=sign, head=said, sentence=verdict.sentence, then=_NEXT[verdict.status])


def meaning(report: ExperimentReport) -> str:
    """Say what a verdict means."""
    return STATUSES[report.verdict.status]


def arms(told: ExperimentStory, report: ExperimentReport | None) -> list[ArmRow]:
    """Lay the arms out, the best first, those taken out last."""
    it = told.experiment
    spec = it.spec
    total = sum(variant.weight for variant in spec.variants)
    shares = it.status.epochs[-1].shares if it.status.epochs else {}
    gone = {stopped.arm: stopped.because for stopped in it.status.stopped_arms}
    standings = {row.variant: row for row in report.standings} if report else {}
    means = {row.variant: row.mean for row in report.estimates if row.metric == report.primary} if report else {}
    rows = []
    for variant in spec.variants:
        standing = standings.get(variant.name)
        planned = shares.get(variant.name, 0) / PLACES if shares else variant.weight / total
        ranked = standing is not None and standing.rank_low is not None
        rows.append(
            ArmRow(
                name=variant.name,
                control=variant.name == spec.control_name,
                changes=changes(variant.override),
                gone=gone.get(variant.name, ""),
                units=say_number(standing.units if standing else 0.0, 6),
                share=standing.share if standing else 0.0,
                intended=say_percent(planned, signed=False),
                mean=say_number(means.get(variant.name), 4),
                rank=f"{standing.rank_low}–{standing.rank_high}" if standing and ranked else "–",
                best=_chance(standing.p_best if standing else None),
                may_be_best=bool(standing and standing.may_be_best),
                loss=say_number(standing.expected_loss if standing else None),
            )
        )
    order = {row.variant: row.rank or 10**6 for row in report.standings} if report else {}
    return sorted(rows, key=lambda row: (bool(row.gone), order.get(row.name, 0)))


def _chance(p: float | None) -> str:
    if p is None:
        return "–"
    return "<0.1%" if p < 0.001 else ">99.9%" if p > 0.999 else say_percent(p, signed=False)


def changes(override: Override) -> str:
    """Say in one line what an arm changes."""
    said = [f"version {override.version}"] if override.version else []
    if override.prompt is not None:
        said += [f"system prompt “{override.prompt.system}”"] if override.prompt.system else []
        said += [f"template “{override.prompt.template}”"] if override.prompt.template else []
    said += [f"{name} {value}" for name, value in (override.parameters or {}).items()]
    said += [f"{name} {value}" for name, value in (override.values or {}).items()]
    if override.route is not None:
        said += [f"{name} {value}" for name, value in dump(override.route).items() if value is not None]
    return ", ".join(said) or "served as the domain is"


def guardrails(report: ExperimentReport, spec: ExperimentSpec) -> list[GuardRow]:
    """Set every arm's guardrails against the control."""
    margins = {use.metric: use.margin for use in spec.metrics if use.role == "guardrail"}
    broken = {(it.arm, it.metric) for it in report.verdict.breaches}
    rows = []
    for row in report.comparisons:
        if row.metric not in margins or spec.control_name not in {row.treatment, row.reference}:
            continue
        if row.treatment == spec.control_name:
            continue  # the arm's own row is there too, or it is the leader that is compared
        tone, sign, word = _judged(row, margins[row.metric], broken=(row.treatment, row.metric) in broken)
        rows.append(
            GuardRow(
                arm=row.treatment,
                metric=row.metric,
                change=say_percent(row.relative_effect),
                interval=say_interval(row.relative_low, row.relative_high, say_percent),
                tolerated=say_percent(margins[row.metric], signed=False),
                tone=tone,
                sign=sign,
                word=word,
            )
        )
    return rows


def _judged(row: Comparison, margin: float, *, broken: bool) -> tuple[str, str, str]:
    if broken:
        return "bad", "stop", "worse than tolerated"
    if row.relative_effect is None or row.relative_low is None or row.relative_high is None:
        return "idle", "wait", "not known yet"
    lower_is_better = (row.relative_effect < 0) == bool(row.improved) if row.improved is not None else True
    worst = row.relative_high if lower_is_better else -row.relative_low
    if worst <= margin:
        return "good", "ok", "within what is tolerated"
    return "idle", "dot", "nothing against it"


def splits(it: StoredExperiment, evidence: ExperimentEvidence) -> list[SplitRow]:
    """Set what each arm was to have against what it had, epoch by epoch, the newest first."""
    rows = []
    for epoch in reversed(it.status.epochs):
        seen = evidence.requests.get(epoch.number, {})
        whole, total = sum(epoch.shares.values()), sum(seen.get(arm, 0) for arm in epoch.shares)
        for arm, share in epoch.shares.items():
            intended, requests = share / whole if whole else 0.0, seen.get(arm, 0)
            rows.append(
                SplitRow(
                    epoch=epoch.number,
                    arm=arm,
                    intended=intended,
                    realised=requests / total if total else None,
                    requests=requests,
                    expected=intended * total,
                )
            )
    return rows


def split_state(report: ExperimentReport | None) -> tuple[str, str, str]:
    """Say whether the split holds: tone, sign and word."""
    if report is None or report.split_p_value is None:
        return "idle", "wait", "not checked yet"
    return ("bad", "warn", "broken") if report.split_p_value < SRM_ALPHA else ("good", "ok", "as intended")


def cautions(report: ExperimentReport) -> list[CautionRow]:
    """Gather what is to be read with care, each once, with where and what to do."""
    places: dict[Caution, dict[str, None]] = {}
    for estimate in report.estimates:
        for code in estimate.warnings:
            places.setdefault(code, {})[f"{estimate.metric} of {estimate.variant}"] = None
    for row in report.comparisons:
        for code in row.warnings:
            places.setdefault(code, {})[f"{row.metric}, {row.treatment} vs {row.reference}"] = None
    return [
        CautionRow(name=code.value.replace("_", " "), advice=CAUTIONS[code], where=_some(list(where)))
        for code, where in places.items()
    ]


@record
class ObservedRow:
    """In how many of its requests a metric was observed in an arm."""

    metric: str
    arm: str
    n: float
    part: float | None


def observed(metrics: Sequence[Metric], it: StoredExperiment, evidence: ExperimentEvidence) -> list[ObservedRow]:
    """Count in how many requests each metric was observed, arm by arm, over all splits."""
    rows = []
    for metric in metrics:
        for variant in it.spec.variants:
            sums = [arms[variant.name] for arms in evidence.epochs.values() if variant.name in arms]
            whole = sum(part.requests for part in sums)
            n = float(sum(part.of(metric.measure).n.sum() for part in sums))
            rows.append(ObservedRow(metric=metric.name, arm=variant.name, n=n, part=n / whole if whole else None))
    return rows


def _some(names: Sequence[str]) -> str:
    return "; ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")


@record
class LookRow:
    """One look of a planned design: at how many units, and when it was taken at how many."""

    units: float
    at: datetime | None = None
    seen: float | None = None


def planned_looks(it: StoredExperiment) -> list[LookRow]:
    """Lay out the looks of a group-sequential design; none where it has none."""
    plan = it.spec.monitoring
    if not isinstance(plan, GroupSequential):
        return []
    taken = it.status.looks
    rows = [
        LookRow(units=plan.units * look.information, at=look.at, seen=plan.units * look.information) for look in taken
    ]
    left = [plan.units * (place + 1) / plan.looks for place in range(plan.looks)]
    done = rows[-1].units if rows else 0.0
    return [*rows, *(LookRow(units=units) for units in left if units > done)]


def baseline(spec: ExperimentSpec, report: ExperimentReport | None) -> float | None:
    """Give what the control shows in the metric that decides, if anything was seen."""
    rows = report.estimates if report else ()
    return next(
        (row.mean for row in rows if report and row.metric == report.primary and row.variant == spec.control_name), None
    )


def said_monitoring(monitoring: Monitoring) -> str:
    """Say how often a design may be looked at."""
    if isinstance(monitoring, AnytimeValid):
        return f"at any time, as often as one likes; tightest at {monitoring.tune_at:,.0f} units"
    if isinstance(monitoring, Fixed):
        return f"once, at {monitoring.units:,} units" if monitoring.units else "once, when somebody stops it"
    futile = f"; may stop where success has less than {monitoring.futility:.0%} left" if monitoring.futility else ""
    return f"at {monitoring.looks} planned looks over {monitoring.units:,} units ({monitoring.spending}){futile}"


def plan_command(spec: ExperimentSpec, effect: str) -> str:
    """Say the command that plans an experiment like this one."""
    primary = next(use.metric for use in spec.metrics if use.role == "primary")
    return f"vedette experiment plan {spec.domain} --arms {len(spec.variants)} --metric {primary} --mde {effect}%"


def said_allocation(spec: ExperimentSpec) -> str:
    """Say how traffic is split."""
    if isinstance(spec.allocation, TopTwo):
        return (
            f"a bandit: top-two Thompson sampling, moved every {spec.allocation.every:g} s at most, "
            f"each arm at least {spec.allocation.minimum:.0%}"
        )
    return "as the arms' weights say"
