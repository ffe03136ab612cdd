"""An experiment as its pages draw it: effects, ranks, what each look told, the split over time, who has what."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from vedette.charts.chart import Chart
from vedette.charts.power import PowerCurve, power_plot
from vedette.charts.sequence import SequencePoint, Track, sequence_plot
from vedette.charts.timeline import Share, share_timeline
from vedette.experiments import pictures
from vedette.experiments.planning import ExperimentPlan
from vedette.experiments.report import ArmStanding, ExperimentReport
from vedette.experiments.spec import ExperimentSpec
from vedette.kernel.records import evolve, record
from vedette.routing.layers import PLACES
from vedette.store.experiments import ExperimentLook, StoredExperiment

_UNITS = ((172_800.0, 86_400.0, "days"), (7_200.0, 3_600.0, "hours"), (180.0, 60.0, "minutes"))
_WIDE, _NARROW = 860.0, 460.0
_MOST_TRACKS = 6
"""Comparisons one picture of looks can hold and still be read."""


@record
class Held:
    """Places of a layer that an experiment holds, in millionths: from ``begin``, ``exposed`` of ``places``."""

    name: str
    begin: int
    places: int
    exposed: int
    own: bool


def forest(report: ExperimentReport, spec: ExperimentSpec, *, guardrails: bool) -> Chart | None:
    """Draw the effects on the metrics that decide or are shown, or those on the guardrails; None without any."""
    wanted = {use.metric for use in spec.metrics if (use.role == "guardrail") is guardrails}
    if not any(row.metric in wanted for row in report.comparisons):
        return None
    title = "Every effect on the guardrails" if guardrails else "Every effect on what decides and what is shown"
    return pictures.forest(report, metrics=wanted, alpha=spec.alpha, title=title, bare=True, width=_WIDE)


def ranks(report: ExperimentReport) -> Chart | None:
    """Draw where each arm may stand; None while no arm can be judged."""
    known = any(it.rank_low is not None for it in report.standings)
    return pictures.ranks(report, bare=True, width=_NARROW + 60) if known else None


def look_by_look(looks: Sequence[ExperimentLook], metric: str) -> Chart | None:
    """Draw what the looks knew of one metric; None before two of them knew anything."""
    reports = [it.report for it in looks]
    rows = [row for it in reports for row in it.comparisons if row.metric == metric]
    pairs = list(dict.fromkeys((row.treatment, row.reference) for row in rows))[:_MOST_TRACKS]
    relative = any(row.relative_effect is not None for row in rows)
    if not any(row.effect is not None for row in rows):
        return None
    shown: dict[float, ExperimentReport] = {}
    for it in reports:
        kept = tuple(row for row in it.comparisons if (row.treatment, row.reference) in pairs)
        shown[it.units] = evolve(it, comparisons=kept)  # of looks at the same units the last one stands
    if len(shown) < 2:
        return None
    return pictures.sequence(list(shown.values()), metric=metric, relative=relative, bare=True, width=_WIDE)


def shares_seen(looks: Sequence[ExperimentLook], spec: ExperimentSpec) -> Chart | None:
    """Draw each arm's share of the units, look by look; None before there are two looks."""
    seen = {it.units: it.report.standings for it in looks if it.units > 0}
    if len(seen) < 2 or spec.offline:
        return None
    total = sum(variant.weight for variant in spec.variants)
    even = {variant.weight for variant in spec.variants}
    tracks = [
        Track(label=variant.name, points=tuple(_share(at, rows, variant.name) for at, rows in seen.items()))
        for variant in spec.variants[:_MOST_TRACKS]
    ]
    return sequence_plot(
        tracks,
        title="Share of the units each arm had, look by look",
        axis="units seen",
        effect="share of units",
        reference=spec.variants[0].weight / total if len(even) == 1 else None,
        percent=True,
        bare=True,
        width=_WIDE,
        height=260,
    )


def _share(at: float, rows: Sequence[ArmStanding], arm: str) -> SequencePoint:
    """Give the share of an arm at a look; a count has no interval, which is drawn as one without width."""
    share = next((row.share for row in rows if row.variant == arm), None)
    return SequencePoint(at=at, estimate=share, low=share, high=share)


def split(it: StoredExperiment, now: datetime) -> Chart | None:
    """Draw the split between arms over time; None where it never moved."""
    epochs = it.status.epochs
    if len(epochs) < 2:
        return None
    began, end = epochs[0].since, it.status.ended_at or max(now, epochs[-1].since)
    seconds = [(epoch.since - began).total_seconds() for epoch in epochs]
    last = max((end - began).total_seconds(), seconds[-1])
    size, name = next(((size, name) for least, size, name in _UNITS if last >= least), (1.0, "seconds"))
    times: list[float] = []
    columns: list[Mapping[str, int]] = []
    for at, shares in [*zip(seconds, (epoch.shares for epoch in epochs), strict=True), (last, epochs[-1].shares)]:
        if times and at / size <= times[-1]:
            columns[-1] = shares
            continue
        times.append(at / size)
        columns.append(shares)
    if len(times) < 2:
        return None
    shown = [
        Share(label=variant.name, values=tuple(column.get(variant.name, 0) / PLACES for column in columns))
        for variant in it.spec.variants
    ]
    return share_timeline(
        times, shown, title="Split between the arms over time", axis=f"{name} since it began", bare=True, width=_WIDE
    )


def layer(it: StoredExperiment, neighbours: Sequence[StoredExperiment]) -> list[Held]:
    """Lay out who holds which places of the layer, in their order."""
    found = []
    for other in neighbours:
        left = other.status.exposed
        for part in other.status.stretches:
            places = part.end - part.begin
            used = min(left, places)
            left -= used
            own = other.id == it.id
            found.append(Held(name=other.name, begin=part.begin, places=places, exposed=used, own=own))
    return sorted(found, key=lambda held: held.begin)


def power(plan: ExperimentPlan) -> Chart | None:
    """Draw the power of a plan as units come in."""
    points = tuple((n, min(max(chance, 0.0), 1.0)) for n, chance in plan.power_curve)
    if len(points) < 2:
        return None
    return power_plot(
        [PowerCurve(label=plan.design, points=points)],
        title=f"Power of the {plan.design} design to find the effect on {plan.metric}",
        axis="units in all arms",
        target=plan.power,
        planned=(float(plan.n_total), plan.power),
        bare=True,
        width=_NARROW + 160,
    )
