"""Traffic over HTTP: the plans of a domain, and which version a unit sees and why."""

from typing import Annotated, Literal

from fastapi import Path, Query

from vedette.api.requests import DomainId, Pages, Plane, Read
from vedette.api.routes import many, one, plain, router
from vedette.kernel.hashing import BUCKETS
from vedette.kernel.records import record
from vedette.routing.plan import FULL, TrafficPlan
from vedette.store.pages import Page
from vedette.store.plans import StoredPlan

routes = router("traffic")


@record
class Explained:
    """Which version a unit sees, and how that comes.

    ``layer`` is what decided: the ``rollout`` that is under way, or ``stable`` when there is none. The unit is in
    ``bucket`` (of 1,024, by the domain alone), which the rollout exposes as number ``rank`` (-1: no rollout); the
    buckets of lower ranks than ``exposed`` see the canary, a fraction of one being part of it.
    """

    domain: str
    unit: str
    plan_revision: int
    layer: Literal["stable", "rollout"]
    arm: Literal["stable", "canary"]
    version: str
    bucket: int
    rank: int
    weight: float
    exposed: float
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


@routes.get("/domains/{domain}/choose", responses=plain(404, 409))
def choose_version(
    plane: Plane,
    domain: DomainId,
    unit: Annotated[str, Query(min_length=1, max_length=1000, description="A user, a tenant, a session …")],
) -> Explained:
    """Say which version a unit sees by the plan in force, and how that comes."""
    compiled = plane.traffic.compiled(domain)
    choice, plan = compiled.choose(unit), compiled.plan
    exposed = plan.weight / FULL * BUCKETS
    place = f"the unit is in bucket {choice.bucket} of {BUCKETS}"
    if plan.canary is None:
        sentence = f"{place}; no rollout is under way, so everyone sees {choice.version}"
    else:
        first = f"{plan.canary.version} has the first {exposed:g} buckets of the rollout's order"
        sentence = f"{place}, number {choice.rank} (from 0) in that order; {first}, so it sees {choice.version}"
    return Explained(
        domain=domain,
        unit=unit,
        plan_revision=plan.revision,
        layer="rollout" if plan.canary else "stable",
        arm=choice.arm,
        version=choice.version,
        bucket=choice.bucket,
        rank=choice.rank,
        weight=plan.weight / FULL * 100,
        exposed=exposed,
        sentence=sentence,
    )
