"""Why a request got its answer, by its id; or what a unit would get now: layer, bucket, arm, version, and why."""

from collections.abc import Mapping

from starlette.responses import Response

from vedette.evidence.outcome import Outcome
from vedette.governance.roles import Permission
from vedette.kernel.errors import NotFound, Refused, VedetteError
from vedette.kernel.hashing import BUCKETS
from vedette.kernel.records import record
from vedette.routing.choose import Choice, CompiledPlan
from vedette.routing.plan import FULL, TrafficPlan
from vedette.store.plans import StoredPlan
from vedette.web.ask import Ask, Way


@record
class Assigned:
    """Which version a unit sees by one plan, and the sentences that say why, in the order of the decision."""

    plan: TrafficPlan
    choice: Choice
    arms: Mapping[str, str]
    sentences: tuple[str, ...]
    others: tuple[str, ...]


@record
class Answered:
    """A request that was answered: what was recorded of it, the plan it was answered under, and why it came so."""

    outcome: Outcome
    stored: StoredPlan | None
    sentences: tuple[str, ...]
    experiments: tuple[tuple[str, str], ...]


def explain(ask: Ask) -> Response:
    """Explain what was asked for: a request by its id, or a unit of a domain."""
    request, domain, unit = (ask.query(name).strip()[:1000] for name in ("request", "domain", "unit"))
    attributes = _attributes(ask.query("attributes")[:2000])
    answered: Answered | None = None
    assigned: Assigned | None = None
    error: VedetteError | None = None
    try:
        if request:
            answered = _of_request(ask, request)
        elif domain and unit:
            assigned = _of_unit(ask, domain, unit, attributes)
    except VedetteError as failed:
        error = failed
    return ask.page(
        "explain.html",
        status=404 if isinstance(error, NotFound) else 409 if isinstance(error, Refused) else 200,
        request=request,
        domain=domain,
        unit=unit,
        attributes=ask.query("attributes")[:2000],
        domains=[it.id for it in ask.plane.domains.page(limit=1000).items],
        answered=answered,
        assigned=assigned,
        error=error,
        buckets=BUCKETS,
    )


def _of_request(ask: Ask, request: str) -> Answered:
    """Read back what was recorded of a request, and the plan it was answered under."""
    outcome = ask.plane.lake.outcome(request)
    stored = None
    if outcome.plan_revision:
        try:
            stored = ask.plane.traffic.revision(outcome.domain, outcome.plan_revision)
        except NotFound:
            stored = None
    experiments = tuple((_name(ask, it.experiment), it.arm) for it in outcome.exposures)
    return Answered(
        outcome=outcome, stored=stored, sentences=tuple(_why(outcome, stored, experiments)), experiments=experiments
    )


def _name(ask: Ask, experiment: str) -> str:
    try:
        return ask.plane.experiments.get(experiment).name
    except NotFound:
        return experiment


def _why(outcome: Outcome, stored: StoredPlan | None, experiments: tuple[tuple[str, str], ...]) -> list[str]:
    said = []
    if outcome.bucket < 0 or outcome.bucket >= BUCKETS:
        said.append("The request named no unit, so chance decided under which version it came.")
    else:
        said.append(f"Its unit is in bucket {outcome.bucket} of {BUCKETS}, and always was.")
    said += [f"Experiment {name} had it in arm {arm}." for name, arm in experiments]
    if stored is None:
        if experiments:
            said.append(f"An experiment decided its version: {outcome.assigned}.")
    else:
        plan = stored.plan
        if plan.canary is None:
            said.append(f"Under plan {plan.revision} no rollout was under way: everyone saw {plan.stable}.")
        elif outcome.assigned == plan.canary.version:
            share = plan.weight / 10_000
            said.append(
                f"Under plan {plan.revision} {plan.canary.version} had {share:g}% of the traffic: this is part of it."
            )
        else:
            share = plan.weight / 10_000
            said.append(
                f"Under plan {plan.revision} {plan.canary.version} had {share:g}% of the traffic; this was among the "
                f"{100 - share:g}% that stayed on {plan.stable}."
            )
    if outcome.served != outcome.assigned:
        said.append(f"{outcome.assigned} failed, so {outcome.served} answered in its place.")
    return said


def _of_unit(ask: Ask, domain: str, unit: str, attributes: Mapping[str, str]) -> Assigned:
    """Ask the plan in force which version a unit sees, step by step."""
    compiled = ask.plane.traffic.compiled(domain)
    choice, exposed = compiled.assign(unit, attributes)
    before = compiled.choose(unit)
    said = list(_steps(compiled, before))
    said += [f"Experiment {name} has the unit in arm {arm}." for name, arm in exposed.names.items()]
    if choice.arm == "experiment":
        said.append(f"That arm serves {choice.version}, whatever the rollout says.")
    said.append(f"So it sees {choice.version}.")
    others = tuple(
        f"{it.name}: {ask.plane.experiments.assignment(it.id, unit, attributes).because}"
        for layer in compiled.plan.layers
        for it in layer.experiments
        if it.name not in exposed.names
    )
    return Assigned(plan=compiled.plan, choice=choice, arms=dict(exposed.names), sentences=tuple(said), others=others)


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


WAYS = (Way(path="/explain", view=explain, needs=Permission.READ),)
