"""The design of an experiment: what was asked for, and how its power grows with units."""

from vedette.charts.chart import Chart
from vedette.charts.power import PowerCurve, power_plot
from vedette.experiments.planning import ExperimentPlan
from vedette.experiments.report import ExperimentReport
from vedette.kernel.errors import VedetteError
from vedette.store.experiments import StoredExperiment
from vedette.web.ask import Ask, number

_USUAL_EFFECTS = (5.0, 2.0, 1.0, 0.5, 0.2, 0.1)
"""Percent, the first that can be: what is at 99 % cannot grow by five."""
_FEWEST = 2


def design_of(ask: Ask, it: StoredExperiment, report: ExperimentReport | None) -> dict[str, object]:
    """Show what was asked for, and the plan of it for an effect that can be chosen."""
    said = {name: ask.query(name)[:20] for name in ("mde", "power", "baseline", "sd", "units")}
    plan, trouble = None, ""
    for usual in _USUAL_EFFECTS if not said["mde"] else _USUAL_EFFECTS[:1]:
        plan, trouble = _plan(ask, it, {**said, "mde": said["mde"] or f"{usual:g}"}, report)
        if plan is not None:
            said = {**said, "mde": said["mde"] or f"{usual:g}"}
            break
    return {"plan": plan, "plan_trouble": trouble, "said": said, "curve": _curve(plan, report) if plan else None}


def _plan(
    ask: Ask, it: StoredExperiment, said: dict[str, str], report: ExperimentReport | None
) -> tuple[ExperimentPlan | None, str]:
    try:
        given = {name: number(value, name) for name, value in said.items() if value}
        means = {row.variant: row.mean for row in report.estimates if row.metric == report.primary} if report else {}
        seen = means.get(it.spec.control_name)
        found = ask.plane.experiments.plan(
            it.spec,
            mde=given["mde"] / 100,
            power=given.get("power", 80.0) / 100,
            baseline=given.get("baseline", seen),
            sd=given.get("sd"),
            units_per_day=given.get("units"),
        )
    except VedetteError as error:
        return None, str(error)
    return found, ""


def _curve(plan: ExperimentPlan, report: ExperimentReport | None) -> Chart | None:
    points = tuple((float(units), float(power)) for units, power in plan.power_curve)
    if len(points) < _FEWEST:
        return None
    where = f"; {report.units:,.0f} were seen so far" if report else ""
    try:
        return power_plot(
            [PowerCurve(label="the effect asked for", points=points)],
            title="How power grows with units",
            subtitle=f"planned for {plan.n_total:,} units in all arms{where}",
            axis="units in all arms",
            target=plan.power,
            width=620,
        )
    except VedetteError:
        return None
