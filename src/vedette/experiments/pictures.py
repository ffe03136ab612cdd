"""An analysis in pictures: effects with their intervals, ranks, and what was known look by look."""

from collections.abc import Collection, Sequence

from vedette.charts.chart import Chart
from vedette.charts.forest import ForestRow, Tone, forest_plot
from vedette.charts.ranks import RankRow, rank_plot
from vedette.charts.sequence import SequencePoint, Track, sequence_plot
from vedette.experiments.report import ExperimentReport
from vedette.kernel.tables import say_percent
from vedette.stats.results import Comparison


def forest(
    report: ExperimentReport,
    *,
    metrics: Collection[str] = (),
    alpha: float = 0.05,
    title: str = "",
    bare: bool = False,
    width: float = 860,
) -> Chart:
    """Draw every comparison's relative effect with its interval, metric by metric; of some metrics when they are named.

    Where the primary metric has none (its reference may be 0) its absolute effects are drawn, and nothing else: metrics
    of different units share no axis.
    """
    wanted = [row for row in report.comparisons if not metrics or row.metric in metrics]
    relative = all(_bounded(row) for row in wanted if row.metric == report.primary)
    shown = [row for row in wanted if relative or row.metric == report.primary]
    return forest_plot(
        [_row(row, alpha, relative=relative) for row in shown],
        title=title or report.verdict.sentence,
        axis="relative effect" if relative else f"effect in {report.primary}",
        percent=relative,
        bare=bare,
        width=width,
    )


def ranks(report: ExperimentReport, *, bare: bool = False, width: float = 720) -> Chart:
    """Draw where each arm may stand in the primary metric."""
    known = sorted((it for it in report.standings if it.rank_low is not None), key=lambda it: it.rank or 0)
    rows = [
        RankRow(
            label=it.variant,
            low=it.rank_low or 1,
            high=it.rank_high or 1,
            tied=bool(it.may_be_best),
            note=f"best with {_chance(it.p_best)}" if it.p_best is not None else "",
        )
        for it in known
    ]
    return rank_plot(rows, title=f"Ranks in {report.primary}", bare=bare, width=width)


def sequence(
    looks: Sequence[ExperimentReport],
    *,
    metric: str = "",
    relative: bool = True,
    bare: bool = False,
    width: float = 720,
) -> Chart:
    """Draw the comparisons of one metric (the primary one unless named) look by look."""
    name = metric or looks[-1].primary
    tracks: dict[str, list[SequencePoint]] = {}
    for look in looks:
        for row in look.comparisons:
            if row.metric == name:
                said = (
                    (row.relative_effect, row.relative_low, row.relative_high)
                    if relative
                    else (row.effect, row.low, row.high)
                )
                point = SequencePoint(at=look.units, estimate=said[0], low=said[1], high=said[2])
                tracks.setdefault(f"{row.treatment} vs {row.reference}", []).append(point)
    return sequence_plot(
        [Track(label=label, points=tuple(points)) for label, points in tracks.items()],
        title=f"{name}, look by look",
        axis="units seen",
        percent=relative,
        bare=bare,
        width=width,
    )


def _bounded(row: Comparison) -> bool:
    return row.relative_low is not None or row.relative_high is not None


def _chance(p: float) -> str:
    """Say a probability in percent, without digits that nobody can believe."""
    return "<0.1%" if p < 0.001 else ">99.9%" if p > 0.999 else say_percent(p, signed=False)


def _row(row: Comparison, alpha: float, *, relative: bool) -> ForestRow:
    clear = row.p_adjusted is not None and row.p_adjusted <= alpha and row.improved is not None
    tone = Tone.NEUTRAL if not clear else Tone.BETTER if row.improved else Tone.WORSE
    shown = (row.relative_effect, row.relative_low, row.relative_high) if relative else (row.effect, row.low, row.high)
    bounded = shown[1] is not None or shown[2] is not None
    return ForestRow(
        label=f"{row.treatment} vs {row.reference}",
        estimate=shown[0] if bounded else None,
        low=shown[1],
        high=shown[2],
        group=row.metric,
        p_value=row.p_adjusted,
        verdict=tone.value if clear else "",
        tone=tone,
    )
