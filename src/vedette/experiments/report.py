"""An analysis as plain records: what the API gives, what a look keeps, what a page shows.

Beside estimates and comparisons it says where each arm stands: its rank with an interval, whether it may be the best,
the probability that it is (flat prior), what is lost in expectation by choosing it, and what it is worth once the
winner's curse is taken out.
"""

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from vedette.evidence.summary import FloatArray
from vedette.experiments.analysis import Analysis, rule_at
from vedette.experiments.verdict import Verdict
from vedette.kernel.records import evolve, record
from vedette.kernel.tables import Shown, Table, say_number, say_p, say_percent
from vedette.stats.best_arm import normal_best
from vedette.stats.omnibus import wald
from vedette.stats.ranking import rank_arms
from vedette.stats.results import Comparison, Estimate
from vedette.stats.winners_curse import shrunk, winner_estimate

Places = NDArray[np.intp]


@record
class ArmStanding(Shown):
    """Where one arm stands in the primary metric.

    ``rank`` counts from 1, the best, and lies between ``rank_low`` and ``rank_high``, for all arms together.
    ``p_best`` and ``expected_loss`` are beliefs under a flat prior, no error rates. ``shrunk`` is the estimate drawn
    towards the other arms as far as their spread looks like noise. None where the arm cannot be judged.
    """

    variant: str
    units: float
    share: float
    rank: int | None = None
    rank_low: int | None = None
    rank_high: int | None = None
    may_be_best: bool | None = None
    p_best: float | None = None
    expected_loss: float | None = None
    shrunk: float | None = None


@record
class WinnersWorth(Shown):
    """What the arm that looks best is worth, given that it was picked for that: median-unbiased, with its interval."""

    variant: str
    naive: float
    estimate: float
    low: float
    high: float


@record
class ExperimentReport(Shown):
    """The whole answer of one look, as plain data."""

    verdict: Verdict
    primary: str
    estimates: tuple[Estimate, ...]
    comparisons: tuple[Comparison, ...]
    standings: tuple[ArmStanding, ...]
    winner: WinnersWorth | None
    equal_p_value: float | None
    split_p_value: float | None
    information: float | None
    units: float

    def table(self) -> Table:
        """Give one row an arm, best first."""
        means = {row.variant: row for row in self.estimates if row.metric == self.primary}
        order = sorted(self.standings, key=lambda it: (it.rank is None, it.rank or 0))
        rows = tuple(
            (
                it.variant,
                it.units,
                it.share,
                means[it.variant].mean if it.variant in means else None,
                f"{it.rank_low} to {it.rank_high}" if it.rank_low is not None else None,
                it.may_be_best,
                it.p_best,
                it.expected_loss,
            )
            for it in order
        )
        columns = ("variant", "units", "share", self.primary, "rank", "may be best", "p best", "expected loss")
        says = {
            "units": say_number,
            "share": lambda value: say_percent(value, signed=False),
            self.primary: say_number,
            "p best": say_p,
            "expected loss": say_number,
        }
        return Table(columns, rows, title=self.verdict.sentence, says=says)


def report(analysis: Analysis, units: Mapping[str, float]) -> ExperimentReport:
    """Say all an analysis found; `units` are counts by arm, those taken out included."""
    found, asked = analysis.found, analysis.asked
    row = found.metrics.index(asked.primary.name)
    mean, variance = found.mean[row], found.variance[row]
    known = np.isfinite(mean) & (variance > 0)
    total = sum(units.values())
    standings = {arm: ArmStanding(variant=arm, units=n, share=n / total if total else 0.0) for arm, n in units.items()}
    winner, equal = None, None
    if known.sum() >= 2:
        places = np.flatnonzero(known)
        spread = variance[places] if found.covariance is None else found.covariance[row][np.ix_(places, places)]
        standings |= _ranked(analysis, places, standings, mean[places], spread)
        best = winner_estimate(mean[places], spread, better=asked.primary.better, alpha=asked.alpha)
        winner = WinnersWorth(
            variant=found.arms[places[best.arm]], naive=best.naive, estimate=best.effect, low=best.low, high=best.high
        )
        equal = wald(mean[places], np.diag(spread) if spread.ndim == 1 else spread).p_value
    return ExperimentReport(
        verdict=analysis.verdict,
        primary=asked.primary.name,
        estimates=analysis.estimates,
        comparisons=analysis.comparisons,
        standings=tuple(standings.values()),
        winner=winner,
        equal_p_value=equal,
        split_p_value=analysis.split.p_value if analysis.split else None,
        information=analysis.information,
        units=total,
    )


def _ranked(
    analysis: Analysis, places: Places, plain: Mapping[str, ArmStanding], mean: FloatArray, spread: FloatArray
) -> dict[str, ArmStanding]:
    """Say of each arm that can be judged where it stands."""
    asked, k = analysis.asked, len(places)
    pairs = max(k * (k - 1) // 2, 1)
    # All pairs together, at the design's own way of looking (Šidák, which holds for sequences of looks as well).
    rule = rule_at(asked, analysis.progress.looks, -math.expm1(math.log1p(-asked.alpha) / pairs))
    clock = analysis.found.clock[analysis.found.metrics.index(asked.primary.name)][places]
    critical = float(np.max(rule.critical(np.array([np.inf]), np.array([_balanced(clock)]))))
    ranking = rank_arms(mean, spread, better=asked.primary.better, alpha=asked.alpha, critical=critical)
    variances = spread if spread.ndim == 1 else np.diagonal(spread)
    p_best, loss = normal_best(mean, np.sqrt(variances), asked.primary.better)
    drawn = shrunk(mean, variances).effect
    own = spread.ndim == 1
    return {
        (name := analysis.found.arms[int(places[it.arm])]): evolve(
            plain[name],
            rank=it.rank,
            rank_low=it.rank_low,
            rank_high=it.rank_high,
            may_be_best=it.may_be_best,
            p_best=float(p_best[it.arm]) if own else None,
            expected_loss=float(loss[it.arm]) if own else None,
            shrunk=float(drawn[it.arm]),
        )
        for it in ranking.arms
    }


def _balanced(clock: FloatArray) -> float:
    """Give the smallest clock of any pair: its critical value is the widest that all pairs may need before tuning."""
    first, second = np.sort(clock)[:2]
    return float(4.0 * first * second / (first + second)) if first > 0 else math.nan
