"""Which version and which experiments a request is assigned: by its unit, or by chance where it has none."""

import random
from collections.abc import Iterable, Mapping
from dataclasses import replace

from vedette.catalog.domain import Assignment
from vedette.catalog.unit import pseudonym
from vedette.gateway.plans import ServedPlan
from vedette.gateway.request import Request
from vedette.routing.assign import NOT_EXPOSED, Exposed
from vedette.routing.choose import Choice


class UnitMissingError(Exception):
    """The domain serves no request without its unit, and this one has none."""


def assign(served: ServedPlan, request: Request, user: str, request_id: str) -> tuple[Choice, Exposed]:
    """Assign a request; one without a unit is treated as its domain says, and the empty text is never hashed.

    Where such a request is assigned by chance it is its own unit for experiments, so that arms stay independent; where
    it is served stable it is in none.

    Raises:
        UnitMissingError: the domain rejects requests without a unit.
    """
    compiled, assignment = served.compiled, served.plan.config.assignment
    unit = _unit(assignment, request, user)
    experiments = compiled.experiments
    if unit:
        if experiments is None:
            choice, exposed = compiled.choose(unit), NOT_EXPOSED
        else:
            choice, exposed = compiled.assign(unit, _attributes(experiments.attributes, request, user))
        return replace(choice, pseudonym=pseudonym(served.unit_key, unit)) if served.unit_key else choice, exposed
    if assignment.unit == "request" or assignment.missing == "random":
        choice = compiled.choose_at_random(random.random())  # noqa: S311 - a split, not a secret
        if experiments is None:
            return choice, NOT_EXPOSED
        exposed = experiments.expose(request_id, _attributes(experiments.attributes, request, user))
        return choice.overruled(exposed), exposed
    if assignment.missing == "stable":
        return Choice(served.plan.stable, "stable", -1, -1), NOT_EXPOSED
    name = "the user field" if assignment.unit == "user" else f"the header {assignment.header}"
    raise UnitMissingError(f"domain {served.plan.domain!r} needs {name} to assign a version")


def _unit(assignment: Assignment, request: Request, user: str) -> str:
    """Read the unit of a request; empty where it has none."""
    if assignment.unit == "user":
        return user
    return _read(request, assignment.header.lower()) if assignment.unit == "header" else ""


def _attributes(wanted: Iterable[str], request: Request, user: str) -> Mapping[str, str]:
    """Read what the experiments want to know of a request, and nothing else."""
    return {name: user if name == "user" else _read(request, name) for name in wanted}


def _read(request: Request, name: str) -> str:
    return request.fields.get(name.encode(), b"").decode("utf-8", "replace").strip()
