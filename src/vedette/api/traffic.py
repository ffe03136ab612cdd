"""Traffic over HTTP: the plans of a domain, and which version a unit sees and why."""

from collections.abc import Mapping
from typing import Annotated, Literal

from fastapi import Path

from vedette.api.requests import Attributes, DomainId, Pages, Plane, Read, Unit
from vedette.api.routes import many, one, plain, router
from vedette.catalog.budget import Spent
from vedette.evidence.outcome import Exposure
from vedette.kernel.hashing import BUCKETS
from vedette.kernel.records import record
from vedette.routing.choose import Arm, Choice
from vedette.routing.override import Override
from vedette.routing.plan import FULL, TrafficPlan
from vedette.store.pages import Page
from vedette.store.plans import StoredPlan

routes = router("traffic")


@record
class Explained:
    """Which version a unit sees, and how that comes.

    ``layer`` is what decided: an ``experiment`` that serves a version of its own, the ``rollout`` that is under way, or
    ``stable`` when there is neither. The unit is in ``bucket`` (of 1,024, by the domain alone), which the rollout
    exposes as number ``rank`` (-1: no rollout); the buckets of lower ranks than ``exposed`` see the canary, a fraction
    of one being part of it. ``experiments`` are the arms it is exposed to, by the experiments' names, and ``exposures``
    are the same as outcomes keep them; ``override`` is what they change together (None for nothing).
    """

    domain: str
    unit: str
    plan_revision: int
    layer: Literal["stable", "rollout", "experiment"]
    arm: Arm
    version: str
    bucket: int
    rank: int
    weight: float
    exposed: float
    experiments: Mapping[str, str]
    exposures: tuple[Exposure, ...]
    override: Override | None
    sentence: str


@routes.get("/domains/{domain}/plan", responses=one(404))
def get_plan(plane: Plane, domain: DomainId, read: Read) -> TrafficPlan:
    """Give the traffic plan in force: all that gateways know of a domain."""
    return read.give(plane.traffic.plan(domain))


@routes.get("/domains/{domain}/plans", responses=many(404))
def list_plans(plane: Plane, domain: DomainId, pages: Pages) -> Page[StoredPlan]:
    """List the traffic plans a domain has had, the newest first."""
    return pages.give(plane.traffic.history(domain, after=pages.after, limit=pages.limit))


@routes.get("/domains/{domain}/plans/{revision}", responses=one(404))
def get_plan_revision(
    plane: Plane,
    domain: DomainId,
    revision: Annotated[int, Path(ge=1, le=2**31 - 1, description="The plan's revision.")],
    read: Read,
) -> StoredPlan:
    """Give the traffic plan of a domain at a revision."""
    return read.give(plane.traffic.revision(domain, revision))


@routes.get("/domains/{domain}/spending", responses=plain(404))
def get_spending(plane: Plane, domain: DomainId) -> tuple[Spent, ...]:
    """Give what a domain has used today and this month, in UTC: tokens, and money where prices are declared."""
    plane.domains.get(domain)
    return tuple(plane.traffic.spending([(domain, "day"), (domain, "month")]))


@routes.get("/domains/{domain}/choose", responses=plain(404, 409))
def choose_version(plane: Plane, domain: DomainId, unit: Unit, attributes: Attributes) -> Explained:
    """Say which version a unit sees by the plan in force, in which experiments it is, and how that comes."""
    compiled = plane.traffic.compiled(domain)
    choice, seen = compiled.assign(unit, attributes)
    plan = compiled.plan
    return Explained(
        domain=domain,
        unit=unit,
        plan_revision=plan.revision,
        layer="experiment" if choice.arm == "experiment" else "rollout" if plan.canary else "stable",
        arm=choice.arm,
        version=choice.version,
        bucket=choice.bucket,
        rank=choice.rank,
        weight=plan.weight / FULL * 100,
        exposed=plan.weight / FULL * BUCKETS,
        experiments=dict(seen.names),
        exposures=seen.exposures,
        override=seen.override,
        sentence=_sentence(plan, choice, seen.names),
    )


def _sentence(plan: TrafficPlan, choice: Choice, arms: Mapping[str, str]) -> str:
    """Say how a choice comes, in words."""
    place = f"the unit is in bucket {choice.bucket} of {BUCKETS}"
    said = f" and is in {', '.join(f'{arm} of {name}' for name, arm in arms.items())}" if arms else ""
    if choice.arm == "experiment":
        return f"{place}{said}, which serves {choice.version}"
    if plan.canary is None:
        return f"{place}{said}; no rollout is under way, so everyone sees {choice.version}"
    first = f"{plan.canary.version} has the first {plan.weight / FULL * BUCKETS:g} buckets of the rollout's order"
    return f"{place}, number {choice.rank} (from 0) in that order{said}; {first}, so it sees {choice.version}"
