"""Why a request got its answer, by its id; or what a unit would get: layer, bucket, arm, version, and why."""

from collections.abc import Mapping

from starlette.responses import Response

from vedette.api.problems import kind_of
from vedette.control.experiment_insight import assignment
from vedette.evidence.outcome import Exposure, Outcome
from vedette.governance.roles import Permission
from vedette.kernel.errors import NotFound, Refused, VedetteError
from vedette.kernel.hashing import BUCKETS
from vedette.kernel.records import record
from vedette.routing.choose import Choice, CompiledPlan
from vedette.routing.plan import FULL, TrafficPlan
from vedette.store.plans import StoredPlan
from vedette.web.ask import Ask, Way, as_json
from vedette.web.experiment_facts import changes
from vedette.web.explain_strips import Strip, of_arms, of_layer, of_rollout

_NEWEST = 8
_PLANS = 200


@record
class Taking:
    """One experiment and a unit: its arm and what that changes, or why it has none."""

    name: str
    layer: str
    arm: str
    changes: str
    because: str


@record
class Assigned:
    """Which version a unit sees by one plan, and the sentences that say why, in the order of the decision."""

    plan: TrafficPlan
    past: bool
    choice: Choice
    layer: str
    sentences: tuple[str, ...]
    takings: tuple[Taking, ...]
    strips: tuple[Strip, ...]


@record
class Seen:
    """One experiment that had a request: the arm, the split it was assigned under, and what the arm changes."""

    name: str
    arm: str
    epoch: int
    changes: str


@record
class Answered:
    """A request that was answered: what was recorded of it, the plan it was answered under, and why it came so."""

    outcome: Outcome
    stored: StoredPlan | None
    in_force: StoredPlan | None
    layer: str
    arm: str
    sentences: tuple[str, ...]
    seen: tuple[Seen, ...]
    strip: Strip | None


def explain(ask: Ask) -> Response:
    """Explain what was asked for: a request by its id, or a unit of a domain."""
    request, domain, unit = (ask.query(name).strip()[:1000] for name in ("request", "domain", "unit"))
    answered: Answered | None = None
    assigned: Assigned | None = None
    error: VedetteError | None = None
    domains = [it.id for it in ask.plane.domains.page(limit=1000).items]
    try:
        if request:
            answered = _of_request(ask, request)
        elif domain and unit:
            assigned = _of_unit(ask, domain, unit)
    except VedetteError as failed:
        error = failed
    shown = domain if domain in domains else answered.outcome.domain if answered else ""
    return ask.page(
        "explain.html",
        status=kind_of(error).status if error else 200,
        request=request,
        domain=shown or domain,
        unit=unit,
        plan=ask.query("plan")[:10],
        attributes=ask.query("attributes")[:2000],
        domains=domains,
        answered=answered,
        assigned=assigned,
        error=error,
        buckets=BUCKETS,
        newest=_newest(ask, [shown] if shown else domains[:20]),
        command=_command(domain, unit) if assigned else "",
    )


def document(ask: Ask) -> Response:
    """Give what was recorded of a request."""
    return as_json(ask.plane.lake.outcome(ask.path["request"]))


def _newest(ask: Ask, domains: list[str]) -> list[Outcome]:
    """Give the newest requests of some domains: ids to begin with."""
    found = [it for name in domains for it in ask.plane.lake.outcomes(name, limit=_NEWEST).items]
    return sorted(found, key=lambda it: it.at, reverse=True)[:_NEWEST]


def _command(domain: str, unit: str) -> str:
    """Say the request to the API that tells the same."""
    said = "unit=" + unit.replace("'", "'\\''")
    return (
        f'curl -sG "$VEDETTE_SERVER/api/v1/domains/{domain}/choose" '
        f"-H \"Authorization: Bearer $VEDETTE_TOKEN\" --data-urlencode '{said}'"
    )


def _of_request(ask: Ask, request: str) -> Answered:
    """Read back what was recorded of a request, and the plan it was answered under."""
    outcome = ask.plane.lake.outcome(request)
    stored = _plan_of(ask, outcome)
    seen = tuple(_seen(ask, it) for it in outcome.exposures)
    canary = stored.plan.canary if stored else None
    by_experiment = stored is None and bool(seen)
    on_canary = canary is not None and outcome.assigned == canary.version
    return Answered(
        outcome=outcome,
        stored=stored,
        in_force=stored or _in_force(ask, outcome),
        layer="experiment" if by_experiment else "rollout" if canary else "stable",
        arm="experiment" if by_experiment else "canary" if on_canary else "stable",
        sentences=tuple(_why(outcome, stored, seen)),
        seen=seen,
        strip=of_rollout(stored.plan, outcome.bucket) if stored else None,
    )


def _plan_of(ask: Ask, outcome: Outcome) -> StoredPlan | None:
    """Give the plan a request was answered under; None where an experiment decided, or the plan is gone."""
    if not outcome.plan_revision:
        return None
    try:
        return ask.plane.traffic.revision(outcome.domain, outcome.plan_revision)
    except NotFound:
        return None


def _in_force(ask: Ask, outcome: Outcome) -> StoredPlan | None:
    """Give the newest plan that was there when a request came; a gateway may have served the one before."""
    try:
        found = ask.plane.traffic.history(outcome.domain, limit=_PLANS).items
    except NotFound:
        return None
    return next((it for it in found if it.created_at <= outcome.at), None)


def _seen(ask: Ask, exposure: Exposure) -> Seen:
    try:
        it = ask.plane.experiments.get(exposure.experiment)
    except NotFound:
        return Seen(name=exposure.experiment, arm=exposure.arm, epoch=exposure.epoch, changes="")
    said = next((changes(arm.override) for arm in it.spec.variants if arm.name == exposure.arm), "")
    return Seen(name=it.name, arm=exposure.arm, epoch=exposure.epoch, changes=said)


def _why(outcome: Outcome, stored: StoredPlan | None, seen: tuple[Seen, ...]) -> list[str]:
    said = []
    if not 0 <= outcome.bucket < BUCKETS:
        said.append("The request named no unit, so chance decided under which version it came.")
    else:
        said.append(f"Its unit is in bucket {outcome.bucket} of {BUCKETS}, and always was.")
    said += [f"Experiment {it.name} had it in arm {it.arm}: {it.changes or 'as it was then'}." for it in seen]
    if stored is None:
        decided = "An experiment decided its version" if seen else "The plan it came under is not known any more"
        said.append(f"{decided}: {outcome.assigned}.")
    else:
        said.append(_under(stored.plan, outcome))
    if outcome.served != outcome.assigned:
        said.append(f"{outcome.assigned} failed, so {outcome.served} answered in its place.")
    return said


def _under(plan: TrafficPlan, outcome: Outcome) -> str:
    """Say what the plan made of a request."""
    if plan.canary is None:
        return f"Under plan {plan.revision} no rollout was under way: everyone saw {plan.stable}."
    share = plan.weight / 10_000
    has = f"Under plan {plan.revision} {plan.canary.version} had {share:g}% of the traffic"
    if outcome.assigned == plan.canary.version:
        return f"{has}: this is part of it."
    return f"{has}; this was among the {100 - share:g}% that stayed on {plan.stable}."


def _of_unit(ask: Ask, domain: str, unit: str) -> Assigned:
    """Ask a plan (the one in force unless another is named) which version a unit sees, step by step."""
    attributes = _attributes(ask.query("attributes")[:2000])
    said_plan = ask.query("plan")
    compiled, past = ask.plane.traffic.compiled(domain), False
    if said_plan.isascii() and said_plan.isdigit() and len(said_plan) < 10:
        stored = ask.plane.traffic.revision(domain, int(said_plan))
        past = stored.plan.revision != compiled.plan.revision
        compiled = CompiledPlan(stored.plan)
    plan = compiled.plan
    if not plan.serving:
        raise Refused(f"plan {plan.revision} of {domain!r} served nothing")
    choice, exposed = compiled.assign(unit, attributes)
    said = [*_steps(compiled, compiled.choose(unit))]
    said += [f"Experiment {name} has the unit in arm {arm}." for name, arm in exposed.names.items()]
    if choice.arm == "experiment":
        said.append(f"One of these arms serves {choice.version}, whatever the rollout says.")
    strips = [of_rollout(plan, choice.bucket), *(of_layer(domain, layer, unit) for layer in plan.layers)]
    strips += [of_arms(it, unit) for layer in plan.layers for it in layer.experiments if it.name in exposed.names]
    return Assigned(
        plan=plan,
        past=past,
        choice=choice,
        layer="experiment" if choice.arm == "experiment" else "rollout" if plan.canary else "stable",
        sentences=(*said, f"So it sees {choice.version}."),
        takings=tuple(_takings(ask, plan, unit, attributes)),
        strips=tuple(strip for strip in strips if strip),
    )


def _takings(ask: Ask, plan: TrafficPlan, unit: str, attributes: Mapping[str, str]) -> list[Taking]:
    """Say of every experiment of a plan whether it has a unit, and why or why not."""
    found = []
    for layer in plan.layers:
        for running in layer.experiments:
            took = assignment(plan, ask.plane.experiments.get(running.id), unit, attributes)
            override = running.overrides.get(took.arm)
            found.append(
                Taking(
                    name=running.name,
                    layer=layer.name,
                    arm=took.arm,
                    changes=changes(override) if override else "",
                    because=took.because,
                )
            )
    return found


def _steps(compiled: CompiledPlan, choice: Choice) -> tuple[str, ...]:
    plan = compiled.plan
    place = f"The unit hashes into bucket {choice.bucket} of {BUCKETS}; that never changes within a domain."
    if plan.canary is None:
        return place, f"No rollout is under way, so stable is {plan.stable} for everyone."
    has = plan.weight / FULL * BUCKETS
    order = f"In this rollout's order that bucket is number {choice.rank} (from 0)."
    first = f"At {plan.weight / 10_000:g}% {plan.canary.version} has the first {has:g} buckets of that order."
    inside = "The unit is among them." if choice.arm == "canary" else f"The unit is not: it stays on {plan.stable}."
    return place, order, first, inside


def _attributes(said: str) -> dict[str, str]:
    """Read ``name=value`` a line, as targeting knows them."""
    pairs = (line.partition("=") for line in said.splitlines() if "=" in line)
    return {name.strip().lower(): value.strip() for name, _, value in pairs if name.strip()}


WAYS = (
    Way(path="/explain", view=explain, needs=Permission.READ),
    Way(path="/explain/{request}.json", view=document, needs=Permission.READ),
)
