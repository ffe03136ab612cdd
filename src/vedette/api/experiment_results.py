"""What experiments found, over HTTP: results, looks, decisions, explanations, cuts of the data, and charts."""

from enum import StrEnum
from typing import Annotated

from fastapi import Path, Query
from fastapi.responses import Response

from vedette.api.requests import NAMED, AnyUnit, Attributes, ExperimentRef, NewestFirst, Pages, Plane, Unit
from vedette.api.routes import Responses, many, plain, router
from vedette.control.experiment_insight import ExperimentExplanation, UnitAssignment
from vedette.experiments import pictures
from vedette.experiments.cuts import Breakdown, Interaction
from vedette.experiments.report import ExperimentReport
from vedette.kernel.errors import Refused
from vedette.kernel.records import record
from vedette.store.experiments import ExperimentDecision, ExperimentLook
from vedette.store.pages import LARGEST, Page

routes = router("experiments")

SVG = "image/svg+xml"
_PICTURE: Responses = {200: {"description": "The picture.", "content": {SVG: {"schema": {"type": "string"}}}}}


class Picture(StrEnum):
    """What a chart of an experiment shows: effects, ranks, or effects look by look."""

    FOREST = "forest"
    RANKS = "ranks"
    SEQUENCE = "sequence"


@record
class Interactions:
    """How an experiment and those that overlap with it depend on each other."""

    items: tuple[Interaction, ...]


@routes.get("/experiments/{experiment}/results", responses=plain(404, 409))
def get_results(plane: Plane, experiment: ExperimentRef) -> ExperimentReport:
    """Say what an experiment has found so far: verdict, estimates, comparisons and where each arm stands."""
    return plane.experiments.results(experiment)


@routes.get("/experiments/{experiment}/looks", responses=many(404))
def list_experiment_looks(
    plane: Plane, experiment: ExperimentRef, pages: Pages, newest_first: NewestFirst
) -> Page[ExperimentLook]:
    """List the looks that were kept of an experiment, in order."""
    found = plane.experiments.looks(experiment, after=pages.after, limit=pages.limit, newest_first=newest_first)
    return pages.give(found)


@routes.get("/experiments/{experiment}/decisions", responses=many(404))
def list_experiment_decisions(
    plane: Plane, experiment: ExperimentRef, pages: Pages, newest_first: NewestFirst
) -> Page[ExperimentDecision]:
    """List what was decided about an experiment, in order."""
    found = plane.experiments.decisions(experiment, after=pages.after, limit=pages.limit, newest_first=newest_first)
    return pages.give(found)


@routes.get("/experiments/{experiment}/explanation", responses=plain(404))
def explain_experiment(
    plane: Plane, experiment: ExperimentRef, attributes: Attributes, unit: AnyUnit = None
) -> ExperimentExplanation:
    """Say where an experiment is and why, what a look at this moment decides, and what a unit sees."""
    return plane.experiments.explain(experiment, unit or "", attributes)


@routes.get("/experiments/{experiment}/assignment", responses=plain(404))
def assign_unit(plane: Plane, experiment: ExperimentRef, attributes: Attributes, unit: Unit) -> UnitAssignment:
    """Say which arm a unit has by the traffic plan in force, and why it has none if it has none."""
    return plane.experiments.assignment(experiment, unit, attributes)


@routes.get("/experiments/{experiment}/breakdown", responses=plain(404, 409))
def break_down(
    plane: Plane,
    experiment: ExperimentRef,
    dimension: Annotated[str, Query(min_length=1, max_length=200, description="A dimension the spec names.")],
) -> Breakdown:
    """Analyse an experiment for each value of a dimension, corrected for looking at many of them."""
    return plane.experiments.breakdown(experiment, dimension)


@routes.get("/experiments/{experiment}/interactions", responses=plain(404, 409))
def find_interactions(
    plane: Plane,
    experiment: ExperimentRef,
    other: Annotated[
        str | None, Query(pattern=NAMED, description="One other experiment; every overlapping one unless given.")
    ] = None,
) -> Interactions:
    """Test whether an experiment's effects depend on the arms its units have in overlapping experiments."""
    return Interactions(items=plane.experiments.interactions(experiment, other))


@routes.get(
    "/experiments/{experiment}/charts/{chart}.svg", response_class=Response, responses=plain(404, 409) | _PICTURE
)
def draw_experiment(
    plane: Plane,
    experiment: ExperimentRef,
    chart: Annotated[Picture, Path(description="Effects, ranks, or effects look by look.")],
) -> Response:
    """Draw what an experiment has found, as SVG."""
    if chart is Picture.SEQUENCE:
        looks = plane.experiments.looks(experiment, limit=LARGEST).items
        if not looks:
            raise Refused("no look has been kept yet, so there is nothing to draw", hint="wait for more units")
        picture = pictures.sequence([look.report for look in looks])
    else:
        found = plane.experiments.results(experiment)
        if not found.comparisons or (chart is Picture.RANKS and all(it.rank is None for it in found.standings)):
            raise Refused(f"there is nothing to draw yet: {found.verdict.sentence}", hint="wait for more units")
        if chart is Picture.RANKS:
            picture = pictures.ranks(found)
        else:
            picture = pictures.forest(found, alpha=plane.experiments.get(experiment).spec.alpha)
    return Response(picture.svg, media_type=SVG)
