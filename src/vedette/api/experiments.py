"""Experiments over HTTP: plan, draft, start, steer; what they found is in `api.experiment_results`."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Annotated

from fastapi import Depends, Query
from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

from vedette.api.bodies import JsonBody, RowsBody
from vedette.api.requests import NAMED, Act, Create, ExperimentRef, Pages, Plane, Read
from vedette.api.routes import BODY, CHANGE, Responses, many, one, plain, router
from vedette.api.versions import Said, Why
from vedette.control.experiment_scores import ScoresTaken
from vedette.experiments.machine import Phase
from vedette.experiments.metrics import MetricUse
from vedette.experiments.planning import ExperimentPlan, Question
from vedette.experiments.spec import ExperimentSpec, Variant
from vedette.kernel.fields import Percent
from vedette.kernel.records import record
from vedette.store.experiments import StoredExperiment
from vedette.store.pages import Page
from vedette.store.rollouts import StoredRollout

routes = router("experiments")

_DRY_RUN: Responses = {
    200: {"model": StoredExperiment, "description": "The experiment that was not drafted: a dry run."}
}
_TOLD_APART = frozenset({"domain", "variants", "traffic_splits"})


def _form(value: object) -> str:
    """Tell the forms of a thing apart, so that what is wrong is said of the one that was meant."""
    return "name" if isinstance(value, str) else "list" if isinstance(value, (list, tuple)) else "object"


_Variant = Annotated[Annotated[str, Tag("name")] | Annotated[Variant, Tag("object")], Discriminator(_form)]
_Use = Annotated[Annotated[str, Tag("name")] | Annotated[MetricUse, Tag("object")], Discriminator(_form)]
_Splits = Annotated[
    Annotated[tuple[float, ...], Tag("list")] | Annotated[Mapping[str, float], Tag("object")], Discriminator(_form)
]


@record
class Draft(ExperimentSpec):
    """An experiment as people write it: a variant may be the name of a version to serve, a metric its mere name.

    ``trafficSplits`` are the variants' shares, in their order or by name, and overrule their weights: fractions that
    add up to 1, or percent that add up to 100.
    """

    variants: tuple[_Variant, ...]  # type: ignore[assignment]  # wider on purpose: it becomes a spec when it is read
    metrics: tuple[_Use, ...]  # type: ignore[assignment]  # wider on purpose, as above
    traffic_splits: _Splits | None = None

    def __post_init__(self) -> None:
        """Check nothing yet: the plane does when it reads the names."""


@record
class NewExperiment:
    """An experiment to be; without a name it is called after its domain and its id."""

    name: Annotated[str, Field(pattern=f"^$|{NAMED}")] = ""
    spec: Draft


@record
class ExperimentPlanRequest:
    """What to plan for: see `MultiVariantTestManager.plan`; figures left out are read from the domain's last day."""

    spec: ExperimentSpec
    mde: float
    baseline: float | None = None
    sd: float | None = None
    power: float = 0.8
    question: Question = "winner"
    units_per_day: float | None = None
    design_effect: float = 1.0


@record
class Beginning(Why):
    """How many percent of the layer to expose; what the spec says unless given."""

    coverage: Percent | None = None


@record
class Coverage:
    """How many percent of the layer to expose from now on, and what the person who raises it says about it."""

    coverage: Percent
    why: str = ""


@record
class Arm:
    """The arm to take out, and what the person who does it says about it."""

    arm: str
    why: str = ""


@record
class Winner(Why):
    """Who won; empty for nobody."""

    winner: str = ""


class Score(BaseModel):
    """How well one variant answered one prompt: measures by name, beside what they are of.

    ``cluster`` names what prompts belong together by, such as a document. No record of the house can hold fields whose
    names nobody knows beforehand, so this one is pydantic's own.
    """

    model_config = ConfigDict(extra="allow", frozen=True)
    __pydantic_extra__: dict[str, float | bool | None]

    prompt: Annotated[str, Field(min_length=1)]
    variant: Annotated[str, Field(pattern=NAMED)]
    cluster: str | None = None


SCORES = RowsBody(Score)


@routes.get("/experiments", responses=many())
def list_experiments(
    plane: Plane,
    pages: Pages,
    domain: Annotated[str | None, Query(pattern=NAMED, description="Only those of this domain.")] = None,
    phase: Annotated[Phase | None, Query(description="Only those in this phase.")] = None,
) -> Page[StoredExperiment]:
    """List experiments, the newest first."""
    return pages.give(plane.experiments.page(domain=domain, phase=phase, after=pages.after, limit=pages.limit))


@routes.post("/experiments", status_code=201, responses=one(404, 409, *BODY, ok=201) | _DRY_RUN)
def create_experiment(
    plane: Plane,
    body: Annotated[NewExperiment, Depends(JsonBody(NewExperiment))],
    write: Create,
    dry_run: Annotated[bool, Query(alias="dryRun", description="Check everything, write nothing.")] = False,  # noqa: FBT002 - a query
) -> StoredExperiment:
    """Draft an experiment; it exposes nobody before it is started."""
    design = {it.name: getattr(body.spec, it.name) for it in fields(body.spec) if it.name not in _TOLD_APART}
    return write.give(
        lambda: plane.experiments.create_test(
            body.spec.domain,
            body.spec.variants,
            body.spec.traffic_splits,
            name=body.name,
            actor=write.actor,
            dry_run=dry_run,
            request_id=write.request_id,
            **design,
        ),
        status=200 if dry_run else 201,
        location=lambda experiment: "" if dry_run else f"/api/v1/experiments/{experiment.id}",
    )


@routes.post("/experiments/plan", responses=plain(404, 409, *BODY))
def plan_experiment(
    plane: Plane, body: Annotated[ExperimentPlanRequest, Depends(JsonBody(ExperimentPlanRequest))]
) -> ExperimentPlan:
    """Say how many units it takes, and how long, to see a given effect; nothing is written."""
    return plane.experiments.plan(
        body.spec,
        mde=body.mde,
        baseline=body.baseline,
        sd=body.sd,
        power=body.power,
        question=body.question,
        units_per_day=body.units_per_day,
        design_effect=body.design_effect,
    )


@routes.get("/experiments/{experiment}", responses=one(404))
def get_experiment(plane: Plane, experiment: ExperimentRef, read: Read) -> StoredExperiment:
    """Give one experiment as it stands."""
    return read.give(plane.experiments.get(experiment))


@routes.post("/experiments/{experiment}/start", responses=one(*CHANGE, *BODY))
def start_experiment(
    plane: Plane,
    experiment: ExperimentRef,
    write: Act,
    body: Annotated[Beginning, Depends(JsonBody(Beginning, required=False))],
) -> StoredExperiment:
    """Expose an experiment to its units; it is admitted whole or not at all."""
    return write.give(lambda: plane.experiments.start(experiment, body.coverage, why=body.why, **write.by))


@routes.post("/experiments/{experiment}/ramp", responses=one(*CHANGE, *BODY))
def ramp_experiment(
    plane: Plane, experiment: ExperimentRef, write: Act, body: Annotated[Coverage, Depends(JsonBody(Coverage))]
) -> StoredExperiment:
    """Raise the coverage; nobody who takes part moves, and it never shrinks."""
    return write.give(lambda: plane.experiments.ramp(experiment, body.coverage, why=body.why, **write.by))


@routes.post("/experiments/{experiment}/stop-arm", responses=one(*CHANGE, *BODY))
def stop_experiment_arm(
    plane: Plane, experiment: ExperimentRef, write: Act, body: Annotated[Arm, Depends(JsonBody(Arm))]
) -> StoredExperiment:
    """Take one arm out at once; nobody else moves."""
    return write.give(lambda: plane.experiments.stop_arm(experiment, body.arm, why=body.why, **write.by))


@routes.post("/experiments/{experiment}/stop", responses=one(*CHANGE, *BODY))
def stop_experiment(plane: Plane, experiment: ExperimentRef, write: Act, body: Said) -> StoredExperiment:
    """End an experiment: it exposes nobody any more, and does not start again."""
    return write.give(lambda: plane.experiments.stop(experiment, why=body.why, **write.by))


@routes.post("/experiments/{experiment}/decide", responses=one(*CHANGE, *BODY))
def decide_experiment(
    plane: Plane,
    experiment: ExperimentRef,
    write: Act,
    body: Annotated[Winner, Depends(JsonBody(Winner, required=False))],
) -> StoredExperiment:
    """Say who won, or that nobody did; one that still runs is stopped first."""
    return write.give(lambda: plane.experiments.decide(experiment, body.winner, why=body.why, **write.by))


@routes.post("/experiments/{experiment}/archive", responses=one(*CHANGE, *BODY))
def archive_experiment(plane: Plane, experiment: ExperimentRef, write: Act, body: Said) -> StoredExperiment:
    """Put an experiment away for good; its record stays."""
    return write.give(lambda: plane.experiments.archive(experiment, why=body.why, **write.by))


@routes.post("/experiments/{experiment}/promote", responses=one(404, 409, *BODY))
def promote_winner(plane: Plane, experiment: ExperimentRef, write: Create, body: Said) -> StoredRollout:
    """Start the rollout of the version of the winner that was decided on."""
    return write.give(
        lambda: plane.experiments.promote(experiment, actor=write.actor, why=body.why, request_id=write.request_id)
    )


@routes.post("/experiments/{experiment}/scores", responses=plain(404, 409, *BODY))
def record_scores(
    plane: Plane, experiment: ExperimentRef, write: Create, rows: Annotated[tuple[Score, ...], Depends(SCORES)]
) -> ScoresTaken:
    """Take in scores of an offline experiment, one a prompt and variant, as a JSON list or a JSON document a line."""
    said = [row.model_dump(exclude_none=True) for row in rows]
    return write.give(
        lambda: plane.experiments.record_scores(experiment, said, actor=write.actor, request_id=write.request_id)
    )
