"""Drafting an experiment: the form, what it takes to find an effect beside it, and making the draft."""

from typing import Any

from starlette.responses import Response

from vedette.api.problems import kind_of
from vedette.experiments.planning import ExperimentPlan
from vedette.experiments.spec import ExperimentSpec
from vedette.governance.roles import Permission
from vedette.kernel.documents import load
from vedette.kernel.errors import VedetteError
from vedette.web import experiment_pictures as drawn
from vedette.web.ask import Ask, Way, go, number
from vedette.web.experiment_form import DESIGNS, FEWEST, MOST, ROLES, DraftFields, design_of, from_fields

_FIGURES = ("mde", "power", "baseline", "sd", "traffic")


def form(ask: Ask) -> Response:
    """Show the form, filled from what was typed, with the plan of it."""
    return _page(ask, dict(ask.request.query_params))


def draft(ask: Ask) -> Response:
    """Draft the experiment the form describes."""
    said = dict(ask.form)
    domain = said.get("domain", "")
    try:
        config = ask.plane.domains.get(domain).config
        fields = from_fields(said, config)
        design = design_of(fields)
        made = ask.plane.experiments.create_test(
            domain, design.pop("variants"), name=fields.name.strip(), **ask.by, **design
        )
    except VedetteError as error:
        return _page(ask, said, error=error)
    return go(f"/experiments/{made.name}?done=create")


def _page(ask: Ask, said: dict[str, str], *, error: VedetteError | None = None) -> Response:
    domains = [it.id for it in ask.plane.domains.page(limit=1000).items]
    chosen = said.get("domain", "")
    chosen = chosen if chosen in domains else (domains[0] if domains else "")
    shared: dict[str, Any] = {
        "status": kind_of(error).status if error else 200,
        "domains": domains,
        "domain": chosen,
        "error": error,
    }
    if not chosen:
        return ask.page("experiment_start.html", fields=None, **shared)
    fields = from_fields(said, ask.plane.domains.get(chosen).config)
    figures = {name: said.get(name, "")[:20] for name in _FIGURES}
    plan, trouble = _plan(ask, chosen, fields, figures)
    return ask.page(
        "experiment_start.html",
        fields=fields,
        versions=[it.name for it in ask.plane.versions.page(chosen, limit=200).items],
        stable=ask.plane.versions.aliases(chosen).get("stable", ""),
        designs=DESIGNS,
        roles=ROLES,
        most=MOST,
        figures=figures,
        plan=plan,
        power=drawn.power(plan) if plan else None,
        trouble=trouble,
        **shared,
    )


def _plan(ask: Ask, domain: str, fields: DraftFields, figures: dict[str, str]) -> tuple[ExperimentPlan | None, str]:
    """Plan what the form describes; what cannot be planned is said in words."""
    if sum(not arm.empty for arm in fields.arms) < FEWEST:
        return None, "Fill in a second arm, and see here how many requests it takes."
    try:
        given = {name: number(value, name) for name, value in figures.items() if value.strip()}
        spec = load(ExperimentSpec, {**design_of(fields), "domain": domain})
        found = ask.plane.experiments.plan(
            spec,
            mde=given.get("mde", 5.0) / 100,
            power=given.get("power", 80.0) / 100,
            baseline=given.get("baseline"),
            sd=given.get("sd"),
            units_per_day=given.get("traffic"),
        )
    except VedetteError as error:
        return None, str(error)
    return found, ""


WAYS = (
    Way(path="/experiments/new", view=form, needs=Permission.READ),
    Way(path="/experiments/new", view=draft, needs=Permission.OPERATE, method="POST"),
)
