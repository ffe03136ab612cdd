"""Sizes of experiments on the command line: every design beside the other, a table of effects and powers, a picture."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from vedette.cli.numbers import read_weights
from vedette.experiments.design import Experiment
from vedette.experiments.metrics import Mean, Measured, Proportion, Ratio
from vedette.experiments.monitoring import AnytimeValid, Fixed, GroupSequential, Monitoring
from vedette.experiments.planned_pair import Kind
from vedette.experiments.planning import ExperimentPlan, Question, plan, sizes
from vedette.kernel.errors import InvalidInput
from vedette.kernel.records import record
from vedette.stats.power import cuped_factor

if TYPE_CHECKING:
    from vedette.charts.chart import Chart

_AROUND = (0.5, 0.8, 1.0, 1.5, 2.0)
_POWERS = (0.7, 0.8, 0.9)


@record
class Needed:
    """Units in all for one effect, by power."""

    mde: float
    units: dict[float, int]


@record
class Sizing:
    """What an experiment takes.

    Attributes:
        plan: Under the design that was asked for.
        designs: Under every design, that one first.
        needed: Units in all for smaller and larger effects at several powers, under that design.
        absolute: Whether effects are in the metric's own unit.
    """

    plan: ExperimentPlan
    designs: tuple[ExperimentPlan, ...]
    needed: tuple[Needed, ...]
    absolute: bool


def size(
    *,
    mde: float,
    absolute: bool,
    baseline: float | None,
    kind: Kind,
    sd: float | None,
    arms: int,
    weights: str,
    wanted: float,
    alpha: float,
    lower: bool,
    design: str,
    looks: int,
    question: Question,
    correlation: float | None,
    design_effect: float,
    dispersion: float,
    units_per_day: float | None,
    coverage: float,
) -> Sizing:
    """Plan an experiment that is known by a few numbers.

    Raises:
        InvalidInput: A number is missing or out of range.
    """
    names = ["control", *("treatment" if arms == 2 else f"treatment {place}" for place in range(1, arms))]
    designs: dict[str, Monitoring] = {
        "fixed": Fixed(),
        "sequential": GroupSequential(units=1, looks=looks),  # its units are what is asked
        "anytime": AnytimeValid(),
    }
    asked = Experiment(
        variants=names,
        metrics=[_metric(kind, lower=lower)],
        weights=read_weights(weights) if weights else (),
        alpha=alpha,
        monitoring=designs[design],
    )
    if not 0.0 < wanted < 1.0:
        raise InvalidInput(f"power lies between 0 and 1, not at {wanted}", hint="0.8 is usual")
    assumed: dict[str, Any] = {
        "absolute": absolute,
        "baseline": baseline,
        "kind": kind,
        "sd": sd,
        "question": question,
        "dispersion": dispersion,
        "variance_factor": design_effect * (1.0 if correlation is None else cuped_factor(correlation)),
    }
    timed = {**assumed, "power": wanted, "units_per_day": units_per_day, "coverage": coverage}
    order = [design, *(name for name in designs if name != design)]
    plans = tuple(plan(replace(asked, monitoring=designs[name]), mde=mde, **timed) for name in order)
    powers = tuple(sorted({*_POWERS, wanted}))
    mdes = _possible(mde, baseline, kind, absolute=absolute, lower=lower)
    found = sizes(asked, mdes=mdes, powers=powers, **assumed)
    needed = tuple(
        Needed(mde=it, units=dict(zip(powers, units, strict=True))) for it, units in zip(mdes, found, strict=True)
    )
    return Sizing(plan=plans[0], designs=plans, needed=needed, absolute=absolute)


def drawn(it: Sizing) -> "Chart":
    """Draw the power of every design against the units in all arms."""
    from vedette.charts.power import PowerCurve, power_plot

    return power_plot(
        [PowerCurve(label=plan.design, points=plan.power_curve) for plan in it.designs],
        title=it.plan.sentence,
        axis="units in all arms",
        target=it.plan.power,
        planned=(it.plan.n_total, it.plan.power),
    )


def _metric(kind: Kind, *, lower: bool) -> Measured:
    better: Any = "lower" if lower else "higher"
    if kind == "proportion":
        return Proportion("the metric", better=better)
    if kind in {"ratio", "rate"}:
        return Ratio("the metric", "exposure", better=better)
    return Mean("the metric", better=better)


def _possible(mde: float, baseline: float | None, kind: Kind, *, absolute: bool, lower: bool) -> Sequence[float]:
    """Effects around the one asked for, without those that no proportion can have."""
    around = [mde * factor for factor in _AROUND]
    if kind != "proportion" or baseline is None:
        return around
    room = (baseline if lower else 1.0 - baseline) / (1.0 if absolute else baseline)
    return [it for it in around if it < room] or [mde]
