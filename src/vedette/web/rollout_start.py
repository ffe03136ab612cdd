"""Starting a rollout from a form, with what each step can show beside it; and replaying one under another schedule."""

from starlette.responses import Response

from vedette.api.problems import kind_of
from vedette.governance.roles import Permission
from vedette.kernel.errors import InvalidInput, VedetteError
from vedette.rollouts.planning import RolloutPlan
from vedette.rollouts.replay import Replay
from vedette.rollouts.spec import RolloutSpec
from vedette.web.ask import Ask, Way, go, number
from vedette.web.schedules import ScheduleForm, from_fields, from_spec, spec_of

_LARGEST_PLAN = {"ratio": 2.0, "power": 0.9}


def form(ask: Ask) -> Response:
    """Show the form, filled from the domain's last rollout or from what was typed, with the plan of it."""
    return _start_page(ask, dict(ask.request.query_params))


def begin(ask: Ask) -> Response:
    """Begin the rollout the form describes."""
    domain, version = ask.path["domain"], ask.form.get("version", "")
    try:
        config = ask.plane.domains.get(domain).config
        spec = spec_of(from_fields(ask.form, config), domain, version, _last(ask, domain))
        begun = ask.plane.canary.deploy_with_rollout(
            domain, version, spec, name=ask.form.get("name", "").strip(), **ask.by
        )
    except VedetteError as error:
        return _start_page(ask, dict(ask.form), error=error)
    return go(f"/rollouts/{begun.id}?done=start")


def _start_page(ask: Ask, said: dict[str, str], *, error: VedetteError | None = None) -> Response:
    domain = ask.plane.domains.get(ask.path["domain"])
    stable = ask.plane.versions.aliases(domain.id).get("stable", "")
    versions = [it.name for it in ask.plane.versions.page(domain.id, limit=200).items if it.name != stable]
    version = said.get("version", "") or (versions[0] if versions else "")
    last = _last(ask, domain.id)
    if "weight0" in said:
        shown = from_fields(said, domain.config)
    else:
        shown = from_spec(last or RolloutSpec(domain=domain.id, version=version or "v"), domain.config)
    plan, trouble = _plan(ask, shown, domain.id, version, said, last)
    return ask.page(
        "start.html",
        status=kind_of(error).status if error else 200,
        domain=domain,
        stable=stable,
        versions=versions,
        version=version,
        name=said.get("name", ""),
        form=shown,
        said={name: said.get(name, "") for name in ("ratio", "power", "rpm", "bad")},
        error=error,
        plan=plan,
        trouble=trouble,
    )


def _last(ask: Ask, domain: str) -> RolloutSpec | None:
    """Give the spec of the domain's newest rollout: who starts the next one usually wants the like."""
    found = ask.plane.canary.page(domain=domain, limit=1).items
    return found[0].spec if found else None


def _plan(
    ask: Ask, form: ScheduleForm, domain: str, version: str, said: dict[str, str], base: RolloutSpec | None
) -> tuple[RolloutPlan | None, str]:
    """Plan what the form describes; what cannot be planned is said in words."""
    if not version:
        return None, "There is no version to roll out: register one first."
    try:
        spec = spec_of(form, domain, version, base)
        figures = {name: number(said[name], name) for name in ("ratio", "power", "rpm", "bad") if said.get(name)}
        found = ask.plane.canary.plan(
            domain,
            version,
            spec,
            ratio=figures.get("ratio", _LARGEST_PLAN["ratio"]),
            power=figures.get("power", 100 * _LARGEST_PLAN["power"]) / 100,
            requests_per_minute=figures.get("rpm"),
            bad_rate=figures["bad"] / 100 if "bad" in figures else None,
        )
    except VedetteError as error:
        return None, str(error)
    return found, ""


def replay(ask: Ask) -> Response:
    """Show what would have happened under another schedule."""
    it = ask.plane.canary.get(ask.path["ref"])
    config = ask.plane.domains.get(it.domain).config
    said = dict(ask.request.query_params)
    shown = from_fields(said, config) if "weight0" in said else from_spec(it.spec, config)
    found: Replay | None = None
    trouble = ""
    try:
        spec = spec_of(shown, it.domain, it.spec.version, it.spec)
        if not spec.guardrails:
            raise InvalidInput("without a guardrail there is nothing to judge by", hint="tick one")
        found = ask.plane.canary.replay(it.id, spec)
    except VedetteError as error:
        trouble = str(error)
    return ask.page("replay.html", it=it, form=shown, found=found, trouble=trouble, own="weight0" not in said)


WAYS = (
    Way(path="/domains/{domain}/start", view=form, needs=Permission.READ),
    Way(path="/domains/{domain}/start", view=begin, needs=Permission.OPERATE, method="POST"),
    Way(path="/rollouts/{ref}/replay", view=replay, needs=Permission.READ),
)
