"""A rollout as its page draws it: the ladder, both arms side by side, a tile a guardrail, the weight over time."""

import math
from collections.abc import Mapping
from typing import Any

from vedette.charts.chart import Chart
from vedette.charts.sequence import SequencePoint, Track, sequence_plot
from vedette.charts.timeline import Share, share_timeline
from vedette.control.rollout_story import Story
from vedette.kernel.clock import say_duration
from vedette.kernel.records import record
from vedette.kernel.tables import say_interval, say_number, say_percent
from vedette.rollouts.machine import ACTIVE, Phase

_UNITS = ((172_800.0, 86_400.0, "days watched"), (7_200.0, 3_600.0, "hours watched"), (180.0, 60.0, "minutes watched"))
_TONES: Mapping[str, tuple[str, str, str]] = {
    "regression": ("bad", "stop", "regression"),
    "clear": ("good", "ok", "nothing against it"),
    "non-inferior": ("good", "ok", "proven no worse"),
    "insufficient": ("idle", "wait", "too little to say"),
}


@record
class Rung:
    """One step of the ladder: its state (``done``, ``now``, ``next``, ``left``), and what was asked and seen."""

    number: int
    weight: float
    state: str
    asks: str
    realised: float | None
    canary: float
    took: float | None
    until: float | None


@record
class Tile:
    """One guardrail: its verdict in words, the figures, and how much of its evidence for stopping is there."""

    metric: str
    tone: str
    sign: str
    word: str
    sentence: str
    change: str
    interval: str
    tolerance: str
    canary: str
    stable: str
    samples: str
    alpha: str
    spent: float
    spent_said: str
    method: str
    dry_run: bool
    chart: Any = None


def timescale(told: Story) -> tuple[float, str]:
    """Choose the unit of watched time: seconds by one of its size, and its name."""
    longest = max((point.watched for point in told.track), default=0.0)
    return next(((size, name) for least, size, name in _UNITS if longest >= least), (1.0, "seconds watched"))


def ladder(told: Story) -> list[Rung]:
    """Lay the steps out."""
    spec, status = told.rollout.spec, told.rollout.status
    active, promoted = status.phase in ACTIVE, status.phase is Phase.PROMOTED
    mine = [step for step in told.analytics.steps if step.attempt == status.attempt]
    rungs = []
    for index, step in enumerate(spec.steps):
        seen = [part for part in mine if part.step == index and part.weight > 0]
        canary = sum(part.canary_requests for part in seen)
        total = canary + sum(part.stable_requests for part in seen)
        done = promoted or index < status.step
        state = "done" if done else "now" if active and index == status.step else "left" if not active else "next"
        if status.phase in {Phase.ABORTED, Phase.UNDONE} and index == status.step and seen:
            state = "stopped"
        asks = [f"bakes {say_duration(step.bake)}", *([f"{step.min_samples:,} samples"] if step.min_samples else [])]
        asks += ["approval"] if step.approval else []
        rungs.append(
            Rung(
                number=index + 1,
                weight=spec.weight_of(index),
                state=state,
                asks=", ".join(asks),
                realised=100 * canary / total if total else None,
                canary=canary,
                took=sum(part.seconds for part in seen) if seen and state != "now" else None,
                until=None,
            )
        )
    return rungs


def tiles(told: Story, scale: tuple[float, str]) -> list[Tile]:
    """Make a tile of every guardrail."""
    verdicts: list[Mapping[str, Any]] = []
    if told.explanation is not None and told.explanation.verdicts:
        verdicts = [verdict.figures() for verdict in told.explanation.verdicts]
    elif told.track:
        verdicts = list(told.track[-1].verdicts)
    return [_tile(verdict, told, scale) for verdict in verdicts]


def _tile(it: Mapping[str, Any], told: Story, scale: tuple[float, str]) -> Tile:
    tone, sign, word = _TONES.get(it["finding"], ("idle", "dot", it["finding"]))
    ratio, log_e, bar = it.get("ratio"), it.get("logE"), math.log(1 / it["alpha"])
    spent = round(min(max(log_e / bar, 0.0), 1.0), 3) if log_e is not None else 0.0
    return Tile(
        metric=it["metric"],
        tone=tone,
        sign=sign,
        word=word,
        sentence=it["sentence"],
        change=_change(it),
        interval=say_interval(_less_one(it.get("low")), _less_one(it.get("high")), say_percent) if ratio else "",
        tolerance=say_percent(it["tolerance"]) if it["tolerance"] else "0%",
        canary=say_number(it.get("canary")),
        stable=say_number(it.get("stable")),
        samples=say_number(it.get("samples")),
        alpha=say_number(it["alpha"]),
        spent=spent,
        spent_said=say_percent(spent, signed=False),
        method=it["method"],
        dry_run=bool(it.get("dryRun")),
        chart=_sequence(it, told, scale),
    )


def _change(it: Mapping[str, Any]) -> str:
    """Say how canary and stable differ, or why that is not known."""
    if it.get("ratio") is not None:
        return say_percent(it["ratio"] - 1)
    if it.get("canary") == 0 and it.get("stable") == 0:
        return "none in either arm"
    return "not known yet"


def _less_one(ratio: float | None) -> float | None:
    return None if ratio is None else ratio - 1


def _sequence(it: Mapping[str, Any], told: Story, scale: tuple[float, str]) -> Chart | None:
    """Draw the relative difference over watched time, with its confidence sequence and the tolerance."""
    size, name = scale
    points: list[SequencePoint] = []
    for look in told.track:
        seen = next((one for one in look.verdicts if one["metric"] == it["metric"]), None)
        at = look.watched / size
        if seen is None or (points and at <= points[-1].at):
            continue
        ratio = seen.get("ratio")
        points.append(
            SequencePoint(
                at=at,
                estimate=_less_one(ratio),
                low=_less_one(seen.get("low")) if ratio is not None else None,
                high=_less_one(seen.get("high")) if ratio is not None else None,
            )
        )
    if not any(point.estimate is not None for point in points):
        return None
    stopped = told.rollout.status.phase is Phase.ABORTED and it["finding"] == "regression"
    return sequence_plot(
        [Track(label=f"{it['metric']}, canary against stable", points=tuple(points))],
        title=f"{it['metric']}: relative difference of the canary over time",
        subtitle="with its always-valid interval",
        axis=name,
        effect="worse ↑" if it["tolerance"] == 0 else "worse ↑, dotted: tolerated",
        reference=0.0,
        limit=it["tolerance"] or None,
        decided=points[-1].at if stopped else None,
        percent=True,
        bare=True,
        width=460,
        height=215,
    )


def arms(told: Story) -> list[dict[str, str]]:
    """Set stable and canary side by side, one row a figure."""
    mine = [step for step in told.analytics.steps if step.attempt == told.rollout.status.attempt]
    canary, stable = sum(it.canary_requests for it in mine), sum(it.stable_requests for it in mine)
    rows = [{"name": "requests", "stable": say_number(stable, 6), "canary": say_number(canary, 6), "change": ""}]
    found = told.explanation.verdicts if told.explanation else ()
    rows += [
        {
            "name": it.metric,
            "stable": say_number(it.stable),
            "canary": say_number(it.canary),
            "change": say_percent(None if it.ratio is None else it.ratio - 1),
        }
        for it in found
    ]
    return rows


def weight_chart(told: Story) -> Chart | None:
    """Draw the weight the canary was given over time; None before the first plan."""
    weights = told.analytics.weights
    if len(weights) < 1:
        return None
    began = weights[0][0]
    seconds = [(at - began).total_seconds() for at, _ in weights]
    end = max(seconds[-1], (told.track[-1].at - began).total_seconds() if told.track else 0.0) or 1.0
    size, name = next(((size, name) for least, size, name in _UNITS if end >= least), (1.0, "seconds watched"))
    times: list[float] = []
    values: list[float] = []
    for at, (_, weight) in zip([*seconds], weights, strict=True):
        if times and at / size <= times[-1]:
            values[-1] = weight / 100
            continue
        times.append(at / size)
        values.append(weight / 100)
    if end / size > times[-1]:
        times.append(end / size)
        values.append(values[-1])
    if len(times) < 2:
        return None
    return share_timeline(
        times,
        [Share(label=told.rollout.spec.version, values=tuple(values))],
        title=f"Share of traffic given to {told.rollout.spec.version}",
        axis=name.replace("watched", "since it began"),
        width=460,
        height=230,
    )
