"""Experiments: the list, and one of them on four pages (overview, results, health, design)."""

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode

from markupsafe import Markup
from starlette.responses import Response

from vedette.charts.sparkline import sparkline
from vedette.control.experiment_story import ExperimentStory, newest_looks, story
from vedette.experiments.cuts import Breakdown
from vedette.experiments.machine import Phase
from vedette.experiments.planning import ExperimentPlan
from vedette.experiments.report import ExperimentReport
from vedette.experiments.spec import ExperimentSpec
from vedette.governance.roles import Permission
from vedette.kernel.errors import NotFound, VedetteError
from vedette.kernel.tables import say_number
from vedette.routing.layers import PLACES
from vedette.web import experiment_facts as facts
from vedette.web import experiment_pictures as drawn
from vedette.web.ask import Ask, Way, number
from vedette.web.experiment_sheets import wanted
from vedette.web.experiment_verbs import DONE, buttons
from vedette.web.markup import drawn as markup

SHOWN = 25
TABS = {"": "Overview", "results": "Results", "health": "Health", "design": "Design"}
USUAL_EFFECTS = ("5", "2", "1", "0.5", "0.2", "0.1")
"""Percent, the first that can be: what is at 99 % cannot grow by five."""
AT_ONCE = 20_000
"""Requests up to which breakdowns and interactions are counted without being asked for."""
_HOURS = 72


def list_(ask: Ask) -> Response:
    """List experiments, the newest first."""
    domain, phase = wanted(ask)
    page = ask.plane.experiments.page(domain=domain or None, phase=phase, after=ask.query("after") or None, limit=SHOWN)
    looks = newest_looks(ask.plane, page.items)
    said = {"domain": domain, "phase": phase.value if phase else ""}

    def link(**changed: str) -> str:
        kept = {name: value for name, value in (said | changed).items() if value}
        return f"/experiments?{urlencode(kept)}" if kept else "/experiments"

    return ask.page(
        "experiments.html",
        page=page,
        rows=[{"it": it, "look": looks.get(it.id), "covers": 100 * it.status.exposed / PLACES} for it in page.items],
        badges=facts.BADGES,
        domain=domain,
        phase=said["phase"],
        phases=[("", "All"), *((it.value, it.value.capitalize()) for it in Phase)],
        link=link,
    )


def show(ask: Ask) -> Response:
    """Show one experiment."""
    return render(ask)


def render(ask: Ask, *, error: VedetteError | None = None, status: int = 200) -> Response:
    """Show one page of an experiment, with what kept the last action from happening, if anything did."""
    tab = ask.path.get("tab", "")
    if tab not in TABS:
        raise NotFound(f"an experiment has no page {tab!r}")
    told = story(ask.plane, ask.path["ref"])
    report = told.explanation.report if told.explanation else None
    it = told.experiment
    return ask.page(
        f"experiment_{tab or 'overview'}.html",
        status=status,
        told=told,
        it=it,
        spec=it.spec,
        report=report,
        error=error,
        done=DONE.get(ask.query("done"), ""),
        banner=facts.banner(told),
        covers=100 * it.status.exposed / PLACES,
        buttons=buttons(told, may=ask.may(Permission.OPERATE)),
        tab=tab,
        tabs=TABS,
        **_PARTS[tab](ask, told, report),
    )


def _overview(ask: Ask, told: ExperimentStory, report: ExperimentReport | None) -> dict[str, Any]:
    it = told.experiment
    return {
        "arms": facts.arms(told, report),
        "forest": drawn.forest(report, it.spec, guardrails=False) if report else None,
        "guards": facts.guardrails(report, it.spec) if report else [],
        "sequence": drawn.look_by_look(told.looks, report.primary) if report else None,
        "split": drawn.split(it, ask.plane.instruments.now()),
        "meaning": facts.meaning(report) if report else "",
        "allocation": facts.said_allocation(it.spec),
        "monitoring": facts.said_monitoring(it.spec.monitoring),
    }


def _results(ask: Ask, told: ExperimentStory, report: ExperimentReport | None) -> dict[str, Any]:
    it = told.experiment
    small = report is not None and report.units <= AT_ONCE
    by = ask.query("by")[:100]
    dimension = by or (it.spec.dimensions[0] if it.spec.dimensions and small else "")
    cut, trouble = _tried(lambda: ask.plane.experiments.breakdown(it.id, dimension)) if dimension else (None, "")
    asked = small or ask.query("interactions") == "1"
    crossed = None
    if asked and not it.spec.offline and it.status.started_at is not None:
        crossed, _ = _tried(lambda: ask.plane.experiments.interactions(it.id))
    metric = ask.query("metric") or (report.primary if report else "")
    return {
        "forest": drawn.forest(report, it.spec, guardrails=False) if report else None,
        "guard_forest": drawn.forest(report, it.spec, guardrails=True) if report else None,
        "guards": facts.guardrails(report, it.spec) if report else [],
        "ranks": drawn.ranks(report) if report else None,
        "metric": metric,
        "sequence": drawn.look_by_look(told.looks, metric) if report else None,
        "dimension": dimension,
        "cut": cut,
        "cut_rows": _cut_rows(cut, report),
        "trouble": trouble,
        "crossed": crossed,
        "asked": asked,
        "live": small or not (by or asked),  # a long count is not done again with every look
        "roles": {use.metric: use.role for use in it.spec.metrics},
        "guarded": {use.metric for use in it.spec.metrics if use.role == "guardrail"},
        "methods": {row.metric: row.method for row in report.comparisons} if report else {},
    }


def _cut_rows(cut: Breakdown | None, report: ExperimentReport | None) -> list[list[tuple[str, float, Any]]]:
    """Lay a breakdown out in two lists: the metric that decides, and all others."""
    if cut is None or report is None:
        return [[], []]
    return [
        [
            (value.value or "(not said)", value.units, row)
            for value in cut.values
            for row in (value.comparisons or (None,))
            if (row is None and decides) or (row is not None and (row.metric == report.primary) is decides)
        ]
        for decides in (True, False)
    ]


def _health(ask: Ask, told: ExperimentStory, report: ExperimentReport | None) -> dict[str, Any]:
    it = told.experiment
    rows: list[facts.SplitRow] = []
    sparks: list[tuple[str, Markup, float | None]] = []
    seen: list[facts.ObservedRow] = []
    if it.status.started_at is not None and not it.spec.offline and not told.trouble:
        evidence = ask.plane.lake.experiment(it.domain, it.id)
        rows = facts.splits(it, evidence)
        config = ask.plane.domains.get(it.domain).config
        seen = facts.observed([config.metric(use.metric) for use in it.spec.metrics], it, evidence)
        sparks = _hourly(ask, told)
    return {
        "split": facts.split_state(report),
        "rows": rows,
        "sparks": sparks,
        "shares": drawn.shares_seen(told.looks, it.spec),
        "cautions": facts.cautions(report) if report else [],
        "observed": seen,
        "least": it.spec.min_units,
        "badges": facts.BADGES,
    }


def _hourly(ask: Ask, told: ExperimentStory) -> list[tuple[str, Markup, float | None]]:
    """Draw the requests of each arm, hour by hour, of the last three days."""
    it = told.experiment
    hours: dict[int, dict[str, int]] = {}
    for hour in ask.plane.lake.experiment_hours(it.domain, it.id):
        seen = hours.setdefault(hour.hour, {})
        for arm, sums in hour.arms.items():
            seen[arm] = seen.get(arm, 0) + sums.requests
    if len(hours) < 2:
        return []
    last = max(hours)
    span = range(max(min(hours), last - _HOURS + 1), last + 1)
    found: list[tuple[str, Markup, float | None]] = []
    for variant in it.spec.variants:
        values: list[float | None] = [float(hours.get(hour, {}).get(variant.name, 0)) for hour in span]
        said = f"{variant.name}, requests an hour over {len(values)} hours; {say_number(values[-1])} in the last"
        found.append((variant.name, markup(sparkline(values, label=said)), values[-1]))
    return found


def _design(ask: Ask, told: ExperimentStory, report: ExperimentReport | None) -> dict[str, Any]:
    it = told.experiment
    said = {name: ask.query(name)[:20] for name in ("mde", "power", "baseline", "sd", "units")}
    plan, trouble = None, ""
    for effect in (said["mde"],) if said["mde"] else USUAL_EFFECTS:
        try:
            plan = _planned(ask, it.spec, said | {"mde": effect}, facts.baseline(it.spec, report))
        except VedetteError as error:
            trouble = str(error)
            continue
        said["mde"] = effect
        break
    return {
        "arms": facts.arms(told, report),
        "plan": plan,
        "power": drawn.power(plan) if plan else None,
        "trouble": trouble,
        "said": said,
        "layer": drawn.layer(it, told.neighbours),
        "planned": facts.planned_looks(it),
        "command": facts.plan_command(it.spec, said["mde"] or "5"),
        "monitoring": facts.said_monitoring(it.spec.monitoring),
        "allocation": facts.said_allocation(it.spec),
    }


def _planned(ask: Ask, spec: ExperimentSpec, said: Mapping[str, str], seen: float | None) -> ExperimentPlan:
    """Plan what the fields say; what they leave out is what was seen, or the domain's last day."""
    given = {name: number(value, name) for name, value in said.items() if value}
    return ask.plane.experiments.plan(
        spec,
        mde=given["mde"] / 100,
        power=given.get("power", 80.0) / 100,
        baseline=given.get("baseline", seen),
        sd=given.get("sd"),
        units_per_day=given.get("units"),
    )


def _tried(read: Callable[[], Any]) -> tuple[Any, str]:
    """Read something a page can do without; what cannot be read is said in words."""
    try:
        return read(), ""
    except VedetteError as error:
        return None, str(error)


_PARTS: Mapping[str, Callable[[Ask, ExperimentStory, ExperimentReport | None], dict[str, Any]]] = {
    "": _overview,
    "results": _results,
    "health": _health,
    "design": _design,
}

WAYS = (
    Way(path="/experiments", view=list_, needs=Permission.READ),
    Way(path="/experiments/{ref}/{tab}", view=show, needs=Permission.READ),
    Way(path="/experiments/{ref}", view=show, needs=Permission.READ),
)
