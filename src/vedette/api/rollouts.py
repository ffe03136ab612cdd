"""Rollouts over HTTP: plan, start, watch, steer, understand."""

from typing import Annotated

from fastapi import Depends, Query
from pydantic import Field

from vedette.api.bodies import JsonBody
from vedette.api.requests import NAMED, Act, Create, NewestFirst, Pages, Plane, Read, RolloutRef
from vedette.api.routes import BODY, CHANGE, Responses, many, one, plain, router
from vedette.api.versions import Said, Why
from vedette.control.insight import Analytics, Explanation
from vedette.kernel.fields import Percent
from vedette.kernel.records import record
from vedette.rollouts.planning import RolloutPlan
from vedette.rollouts.replay import Replay
from vedette.rollouts.spec import RolloutSpec
from vedette.store.pages import Page
from vedette.store.rollouts import StoredDecision, StoredLook, StoredRollout

routes = router("rollouts")

_DRY_RUN: Responses = {200: {"model": StoredRollout, "description": "The rollout that was not begun: a dry run."}}


@record
class NewRollout:
    """A rollout to be; without a name it is called ``<domain>-<version>``."""

    name: Annotated[str, Field(pattern=f"^$|{NAMED}")] = ""
    spec: RolloutSpec


@record
class Promotion(Why):
    """Whether to be done with one step, or with all of them."""

    full: bool = False


@record
class Weight:
    """A share of traffic in percent, and what the person who sets it says about it."""

    weight: Percent
    why: str = ""


@record
class PlanRequest:
    """What to plan for: see `RolloutPlan`; figures left out are measured from the domain's own traffic."""

    spec: RolloutSpec
    metric: str = ""
    requests_per_minute: float | None = None
    bad_rate: float | None = None
    ratio: float = 2.0
    power: float = 0.9


@record
class ReplayRequest:
    """Which spec to run the recorded evidence through (the rollout's own unless given), and of which attempt."""

    spec: RolloutSpec | None = None
    attempt: int | None = None


@routes.get("/rollouts", responses=many())
def list_rollouts(
    plane: Plane,
    pages: Pages,
    domain: Annotated[str | None, Query(pattern=NAMED, description="Only those of this domain.")] = None,
    active: Annotated[bool, Query(description="Only those not at their end.")] = False,  # noqa: FBT002 - a query
) -> Page[StoredRollout]:
    """List rollouts, the newest first."""
    return pages.give(plane.canary.page(domain=domain, active=active, after=pages.after, limit=pages.limit))


@routes.post("/rollouts", status_code=201, responses=one(404, 409, *BODY, ok=201) | _DRY_RUN)
def create_rollout(
    plane: Plane,
    body: Annotated[NewRollout, Depends(JsonBody(NewRollout))],
    write: Create,
    dry_run: Annotated[bool, Query(alias="dryRun", description="Check everything, write nothing.")] = False,  # noqa: FBT002 - a query
) -> StoredRollout:
    """Begin to take a version live; it is pending until a reconciler starts it."""
    return write.give(
        lambda: plane.canary.deploy_with_rollout(
            body.spec.domain,
            body.spec.version,
            body.spec,
            actor=write.actor,
            name=body.name,
            dry_run=dry_run,
            request_id=write.request_id,
        ),
        status=200 if dry_run else 201,
        location=lambda rollout: "" if dry_run else f"/api/v1/rollouts/{rollout.id}",
    )


@routes.post("/rollouts/plan", responses=plain(404, 409, *BODY))
def plan_rollout(plane: Plane, body: Annotated[PlanRequest, Depends(JsonBody(PlanRequest))]) -> RolloutPlan:
    """Say how long each step must last to see a given regression; nothing is written."""
    return plane.canary.plan(
        body.spec.domain,
        body.spec.version,
        body.spec,
        metric=body.metric,
        requests_per_minute=body.requests_per_minute,
        bad_rate=body.bad_rate,
        ratio=body.ratio,
        power=body.power,
    )


@routes.get("/rollouts/{rollout}", responses=one(404))
def get_rollout(plane: Plane, rollout: RolloutRef, read: Read) -> StoredRollout:
    """Give one rollout as it stands."""
    return read.give(plane.canary.get(rollout))


@routes.get("/rollouts/{rollout}/decisions", responses=many(404))
def list_decisions(plane: Plane, rollout: RolloutRef, pages: Pages) -> Page[StoredDecision]:
    """List what was decided about a rollout, in order."""
    return pages.give(plane.canary.decisions(rollout, after=pages.after, limit=pages.limit))


@routes.get("/rollouts/{rollout}/looks", responses=many(404))
def list_looks(
    plane: Plane,
    rollout: RolloutRef,
    pages: Pages,
    newest_first: NewestFirst,
) -> Page[StoredLook]:
    """List what was seen of a rollout, in order."""
    return pages.give(plane.canary.looks(rollout, after=pages.after, limit=pages.limit, newest_first=newest_first))


@routes.get("/rollouts/{rollout}/explanation", responses=plain(404))
def explain_rollout(plane: Plane, rollout: RolloutRef) -> Explanation:
    """Say what a look at this moment decides and why; nothing is written."""
    return plane.canary.explain(rollout)


@routes.get("/rollouts/{rollout}/analytics", responses=plain(404))
def analyze_rollout(plane: Plane, rollout: RolloutRef) -> Analytics:
    """Say what a rollout took, what it cost, and what it saved."""
    return plane.canary.analytics(rollout)


@routes.post("/rollouts/{rollout}/replay", responses=plain(404, 409, *BODY))
def replay_rollout(
    plane: Plane, rollout: RolloutRef, body: Annotated[ReplayRequest, Depends(JsonBody(ReplayRequest, required=False))]
) -> Replay:
    """Run the recorded evidence through a spec and say what would have happened; nothing is written."""
    return plane.canary.replay(rollout, body.spec, attempt=body.attempt)


@routes.post("/rollouts/{rollout}/pause", responses=one(*CHANGE, *BODY))
def pause_rollout(plane: Plane, rollout: RolloutRef, write: Act, body: Said) -> StoredRollout:
    """Stand still until a person resumes; the evidence is judged on and may abort."""
    return write.give(lambda: plane.canary.pause(rollout, why=body.why, **write.by))


@routes.post("/rollouts/{rollout}/resume", responses=one(*CHANGE, *BODY))
def resume_rollout(plane: Plane, rollout: RolloutRef, write: Act, body: Said) -> StoredRollout:
    """Go on from a pause; a pause for a regression is overruled by this."""
    return write.give(lambda: plane.canary.resume(rollout, why=body.why, **write.by))


@routes.post("/rollouts/{rollout}/abort", responses=one(*CHANGE, *BODY))
def abort_rollout(plane: Plane, rollout: RolloutRef, write: Act, body: Said) -> StoredRollout:
    """Take the version back at once; nothing outranks this."""
    return write.give(lambda: plane.canary.abort(rollout, why=body.why, **write.by))


@routes.post("/rollouts/{rollout}/retry", responses=one(*CHANGE, *BODY))
def retry_rollout(plane: Plane, rollout: RolloutRef, write: Act, body: Said) -> StoredRollout:
    """Begin again at step 0 with new evidence."""
    return write.give(lambda: plane.canary.retry(rollout, why=body.why, **write.by))


@routes.post("/rollouts/{rollout}/undo", responses=one(*CHANGE, *BODY))
def undo_rollout(plane: Plane, rollout: RolloutRef, write: Act, body: Said) -> StoredRollout:
    """Return to the version that was stable before a promotion, at once."""
    return write.give(lambda: plane.canary.undo(rollout, why=body.why, **write.by))


@routes.post("/rollouts/{rollout}/promote", responses=one(*CHANGE, *BODY))
def promote_rollout(
    plane: Plane,
    rollout: RolloutRef,
    write: Act,
    body: Annotated[Promotion, Depends(JsonBody(Promotion, required=False))],
) -> StoredRollout:
    """Be done with this step; with ``full``, make the version stable at once."""
    return write.give(lambda: plane.canary.promote(rollout, full=body.full, why=body.why, **write.by))


@routes.post("/rollouts/{rollout}/set-weight", responses=one(*CHANGE, *BODY))
def set_rollout_weight(
    plane: Plane, rollout: RolloutRef, write: Act, body: Annotated[Weight, Depends(JsonBody(Weight))]
) -> StoredRollout:
    """Give the canary another weight now, in percent, up to that of its step."""
    return write.give(lambda: plane.canary.set_weight(rollout, body.weight, why=body.why, **write.by))
