"""An experiment as its pages draw it: effects, ranks, looks, splits, and the weights a bandit gave."""

from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import pairwise

from vedette.charts.chart import Chart
from vedette.charts.timeline import Share, share_timeline
from vedette.experiments import pictures
from vedette.experiments.report import ExperimentReport
from vedette.kernel.errors import InvalidInput
from vedette.kernel.records import record
from vedette.kernel.tables import UNKNOWN, say_number, say_percent
from vedette.routing.layers import PLACES
from vedette.store.experiments import ExperimentLook, StoredExperiment

POINTS = 200
_ROUNDED = 1e-9


@record
class ArmRow:
    """One arm as the overview shows it, best first."""

    name: str
    units: str
    share: str
    mean: str
    ranks: str
    may_be_best: str
    p_best: str
    loss: str
    won: bool


@record
class Split:
    """What one arm was promised of the traffic in the split in force, and what it really got so far."""

    arm: str
    intended: float
    realised: float | None
    units: float | None
    gone: str


def forest(report: ExperimentReport, alpha: float) -> Chart | None:
    """Draw every comparison with its interval; None where there is none."""
    return _drawn(lambda: pictures.forest(report, alpha=alpha, width=760)) if report.comparisons else None


def ranks(report: ExperimentReport) -> Chart | None:
    """Draw where each arm may stand; None where none can be ranked."""
    known = any(it.rank_low is not None for it in report.standings)
    return _drawn(lambda: pictures.ranks(report, width=430)) if known else None


def thinned(newest_first: Sequence[ExperimentLook]) -> tuple[ExperimentLook, ...]:
    """Put looks in order, evenly thinned to what a picture can show; the last is there."""
    looks = newest_first[::-1]
    stride = max(1, -(-len(looks) // POINTS))
    kept = [*looks[::stride]]
    if looks and kept[-1] is not looks[-1]:
        kept.append(looks[-1])
    return tuple(kept)


def sequence(looks: Sequence[ExperimentLook]) -> Chart | None:
    """Draw the primary metric's comparisons look by look; None before there are two looks at which it grew."""
    grown: list[ExperimentReport] = []
    for look in looks:
        if not look.report.comparisons:
            continue
        if not grown or look.report.units > grown[-1].units + _ROUNDED:
            grown.append(look.report)
    return _drawn(lambda: pictures.sequence(grown, width=430)) if len(grown) > 1 else None


def _drawn(draw: Callable[[], Chart]) -> Chart | None:
    """Draw; numbers no picture can hold leave the table beside it to speak."""
    try:
        return draw()
    except InvalidInput:
        return None


def standings(report: ExperimentReport) -> list[ArmRow]:
    """Lay the arms out, the best first."""
    means = {row.variant: row.mean for row in report.estimates if row.metric == report.primary}
    order = sorted(report.standings, key=lambda it: (it.rank is None, it.rank or 0))
    return [
        ArmRow(
            name=it.variant,
            units=say_number(it.units, 6),
            share=say_percent(it.share, signed=False),
            mean=say_number(means.get(it.variant)),
            ranks=UNKNOWN if it.rank_low is None else f"{it.rank_low} to {it.rank_high}",
            may_be_best={True: "yes", False: "no", None: UNKNOWN}[it.may_be_best],
            p_best=UNKNOWN if it.p_best is None else say_percent(round(it.p_best, 3), signed=False),
            loss=say_number(it.expected_loss),
            won=it.variant == report.verdict.winner,
        )
        for it in order
    ]


def splits(it: StoredExperiment, report: ExperimentReport | None) -> list[Split]:
    """Set what each arm was promised beside what it got."""
    total = sum(variant.weight for variant in it.spec.variants)
    shares = it.status.epochs[-1].shares if it.status.epochs else {}
    seen = {one.variant: one for one in report.standings} if report else {}
    gone = {one.arm: one.because for one in it.status.stopped_arms}
    return [
        Split(
            arm=variant.name,
            intended=100 * (shares.get(variant.name, 0) / PLACES if shares else variant.weight / total),
            realised=100 * seen[variant.name].share if variant.name in seen else None,
            units=seen[variant.name].units if variant.name in seen else None,
            gone=gone.get(variant.name, ""),
        )
        for variant in it.spec.variants
    ]


def weights(it: StoredExperiment, now: datetime) -> Chart | None:
    """Draw the split between arms over time; None unless it was ever changed."""
    epochs = it.status.epochs
    if len(epochs) < 2 or it.status.started_at is None:
        return None
    end = it.status.ended_at or now
    moments = [*(epoch.since for epoch in epochs), end]
    hours = [(at - epochs[0].since).total_seconds() / 3600 for at in moments]
    if any(later <= earlier for earlier, later in pairwise(hours)):
        return None
    shares = [
        Share(
            label=variant.name,
            values=tuple(epoch.shares.get(variant.name, 0) / PLACES for epoch in (*epochs, epochs[-1])),
        )
        for variant in it.spec.variants
    ]
    return _drawn(
        lambda: share_timeline(
            hours, shares, title="Split between the arms over time", axis="hours since it began", width=620
        )
    )
