"""Cuts of an experiment: by the values of a dimension, and by the arms of another experiment that overlaps with it.

Who looks at twenty countries finds one that "wins" by chance. So p-values are corrected for all that is looked at
(Holm), and are valid at any look, because such tables are looked at again and again. Nothing is decided from cuts.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from vedette.evidence.arms import ArmSums
from vedette.evidence.experiment import ExperimentEvidence
from vedette.experiments.advance import alive, question
from vedette.experiments.analysis import Analysis
from vedette.experiments.machine import ExperimentStatus
from vedette.experiments.metrics import Measured
from vedette.experiments.monitoring import AnytimeValid, Monitoring
from vedette.experiments.spec import ExperimentSpec
from vedette.experiments.traffic import observe
from vedette.kernel.records import evolve, record
from vedette.kernel.tables import Shown, Table, say_number, say_p, say_percent
from vedette.routing.layers import PLACES
from vedette.stats.contrasts import SequenceRule
from vedette.stats.multiplicity import adjust, adjust_families
from vedette.stats.results import Comparison, Estimate


@record
class ValueResult:
    """What an experiment did where a dimension has one value; ``comparisons`` are empty where it is too small."""

    value: str
    units: float
    estimates: tuple[Estimate, ...]
    comparisons: tuple[Comparison, ...]
    too_small: bool


@record
class Breakdown(Shown):
    """An experiment by the values of a dimension, those with most requests first.

    ``p_adjusted`` of each comparison is corrected over all values and comparisons of its metric. An empty value is
    where requests did not say it. ``left_out`` are requests that are in no value: older than those that are counted.
    """

    dimension: str
    values: tuple[ValueResult, ...]
    units: float
    left_out: float
    sentence: str

    def table(self) -> Table:
        """Give one row a value and comparison."""
        columns = ("value", "units", "metric", "comparison", "effect", "relative", "p", "p adjusted")
        rows = tuple(
            (
                it.value or "(not said)",
                it.units,
                row.metric,
                f"{row.treatment} vs {row.reference}",
                row.effect,
                row.relative_effect,
                row.p_value,
                row.p_adjusted,
            )
            for it in self.values
            for row in it.comparisons
        )
        says: dict[str, Callable[[float], str]] = {
            "units": say_number,
            "effect": say_number,
            "relative": say_percent,
            "p": say_p,
            "p adjusted": say_p,
        }
        return Table(columns, rows, title=self.sentence, says=says)


@record
class Interaction(Shown):
    """Whether an arm's effect on the primary metric depends on the arm units have in another experiment.

    ``effect`` is the effect of ``treatment`` over the control in ``other_treatment``, less that in the other
    experiment's control. None, and a reason in ``missing``, where it cannot be judged. ``p_adjusted`` is corrected over
    all pairs that were looked at.
    """

    other: str
    metric: str
    treatment: str
    other_treatment: str
    units: float
    effect: float | None = None
    low: float | None = None
    high: float | None = None
    p_value: float | None = None
    p_adjusted: float | None = None
    missing: str = ""


def break_down(
    spec: ExperimentSpec,
    status: ExperimentStatus,
    metrics: Sequence[Measured],
    dimension: str,
    cuts: Mapping[str, ExperimentEvidence],
    total: float,
) -> Breakdown:
    """Analyse an experiment for each value of a dimension.

    Args:
        spec: What was asked for.
        status: Where it is.
        metrics: As the domain declares them.
        dimension: The dimension.
        cuts: Evidence by value.
        total: Requests there are in all.
    """
    arms = alive(spec, status)
    results = []
    for value, evidence in cuts.items():
        counts = [sum(evidence.of(epoch.number, arm).requests for epoch in status.epochs) for arm in arms]
        analysis = None if min(counts) < spec.min_units else _analysed(spec, status, metrics, evidence)
        results.append(
            ValueResult(
                value=value,
                units=float(sum(counts)),
                estimates=analysis.estimates if analysis else (),
                comparisons=analysis.comparisons if analysis else (),
                too_small=analysis is None,
            )
        )
    ordered = sorted(_adjusted(results, spec), key=lambda it: -it.units)
    units = sum(it.units for it in ordered)
    small = [it for it in ordered if it.too_small]
    left_out = max(total - units, 0.0)
    parts = [f"{len(ordered) - len(small)} values of {dimension} can be compared"]
    parts += [f"{len(small)} have fewer than {spec.min_units} requests in some arm"] if small else []
    parts += [f"{left_out:,.0f} requests are older than those counted here"] if left_out else []
    return Breakdown(
        dimension=dimension, values=tuple(ordered), units=units, left_out=left_out, sentence=f"{'; '.join(parts)}."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Crossed:
    """An experiment that overlaps with another: its name, spec and status."""

    name: str
    spec: ExperimentSpec
    status: ExperimentStatus


def interactions_of(
    it: Crossed, primary: Measured, other: Crossed, cells: Mapping[tuple[str, str], ArmSums]
) -> tuple[Interaction, ...]:
    """Test every treatment of one experiment against every treatment of another, by the difference of differences.

    Args:
        it: The experiment whose effects are in question.
        primary: Its primary metric.
        other: The experiment they may depend on.
        cells: What requests did that both had, by both arms.
    """
    arms, others = alive(it.spec, it.status), alive(other.spec, other.status)
    control, other_control = it.spec.control_name, other.spec.control_name
    known = {pair: sums for pair, sums in cells.items() if pair[0] in arms and pair[1] in others and sums.requests}
    estimates = _estimates(primary, known, it.status)
    found = []
    for treatment in (arm for arm in arms if arm != control):
        for against in (arm for arm in others if arm != other_control):
            square = [(treatment, against), (treatment, other_control), (control, against), (control, other_control)]
            bare = Interaction(
                other=other.name,
                metric=primary.name,
                treatment=treatment,
                other_treatment=against,
                units=float(sum(known[pair].requests for pair in square if pair in known)),
            )
            found.append(_tested(bare, [estimates.get(pair) for pair in square], it.spec))
    return tuple(found)


def adjusted_together(found: Sequence[Interaction]) -> tuple[Interaction, ...]:
    """Correct the p-values of interactions for their number (Holm)."""
    p_values = adjust([it.p_value for it in found], "holm")
    return tuple(
        evolve(it, p_adjusted=None if math.isnan(p) else float(p)) for it, p in zip(found, p_values, strict=True)
    )


def _analysed(
    spec: ExperimentSpec, status: ExperimentStatus, metrics: Sequence[Measured], evidence: ExperimentEvidence
) -> Analysis:
    """Analyse a cut so that it may be looked at again; planned looks are the whole experiment's alone."""
    arms = alive(spec, status)
    asked = question(evolve(spec, monitoring=_at_any_time(spec.monitoring)), metrics).over(arms)
    return asked.judge(observe(asked.metrics, evidence, status.epochs, arms))


def _at_any_time(monitoring: Monitoring) -> AnytimeValid:
    return monitoring if isinstance(monitoring, AnytimeValid) else AnytimeValid()


def _adjusted(results: Sequence[ValueResult], spec: ExperimentSpec) -> list[ValueResult]:
    """Correct the p-values over values and comparisons, of each metric or of all as the spec says."""
    rows = [row for it in results for row in it.comparisons]
    values = adjust_families(
        [row.p_value for row in rows], [row.metric for row in rows], "holm", spec.multiplicity.scope
    )
    corrected = iter(values.tolist())
    adjusted = []
    for it in results:
        own = [(row, next(corrected)) for row in it.comparisons]
        made = tuple(evolve(row, p_adjusted=None if math.isnan(p) else p) for row, p in own)
        adjusted.append(evolve(it, comparisons=made))
    return adjusted


class _Cell(NamedTuple):
    mean: float
    variance: float
    requests: float


def _estimates(
    primary: Measured, cells: Mapping[tuple[str, str], ArmSums], status: ExperimentStatus
) -> dict[tuple[str, str], _Cell]:
    """Estimate the primary metric in each cell: to `observe` they are the arms of one epoch, with equal shares."""
    if not cells:
        return {}
    names = {f"{first}|{second}": (first, second) for first, second in cells}
    epoch = evolve(status.epochs[-1], number=1, shares=dict.fromkeys(names, PLACES // len(names)))
    evidence = ExperimentEvidence(epochs={1: {name: cells[pair] for name, pair in names.items()}})
    found = observe([primary], evidence, [epoch], tuple(names)).found
    return {
        pair: _Cell(float(found.mean[0, place]), float(found.variance[0, place]), float(cells[pair].requests))
        for place, pair in enumerate(names.values())
    }


def _tested(bare: Interaction, square: Sequence[_Cell | None], spec: ExperimentSpec) -> Interaction:
    """Test the difference of differences of four cells: both treated, one treated, the other treated, neither."""
    cells = [cell for cell in square if cell is not None]
    if len(cells) < len(square):
        return evolve(bare, missing="a combination of arms had no request")
    smallest = min(cell.requests for cell in cells)
    if smallest < spec.min_units:
        return evolve(bare, missing=f"a combination of arms has {smallest:g} of {spec.min_units} requests")
    variance = sum(cell.variance for cell in cells)
    if not variance > 0:
        return evolve(bare, missing="too few independent clusters in a combination of arms, or no spread")
    both, one, other, neither = (cell.mean for cell in cells)
    effect, error = both - one - other + neither, math.sqrt(variance)
    # Intrinsic time is the number of requests, were the four cells of one size.
    clock = np.array([16.0 / sum(1.0 / cell.requests for cell in cells)])
    rule = SequenceRule(alpha=spec.alpha, tuning=_at_any_time(spec.monitoring).tune_at)
    reach = error * float(rule.critical(np.array([np.inf]), clock)[0])
    p_value = float(rule.p_value(np.array([effect / error]), np.array([np.inf]), clock)[0])
    return evolve(bare, effect=effect, low=effect - reach, high=effect + reach, p_value=p_value)
