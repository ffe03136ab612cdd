"""Planned looks: the classical designs at equally spaced looks, and vedette's own, each look judged by `LookRule`.

O'Brien & Fleming, Pocock, and Lan & DeMets at five looks; spotify-confidence spends alpha in proportion to the square
of the information (its documentation and sequential_bound_solver.py), here at ten looks. Boundaries are vedette's, and
its tests hold them against published tables.
"""

from functools import lru_cache

import numpy as np
from bench.validity_rules.pair import Array, Claims, Looks, judged

from vedette.experiments.analysis import design_of
from vedette.experiments.monitoring import GroupSequential
from vedette.stats.group_sequential import Design, boundaries, equally_spaced
from vedette.stats.look_rule import LookRule
from vedette.stats.spending import Family

CLASSICAL: dict[str, tuple[Design, int]] = {
    "O'Brien-Fleming, 5 looks": (Design(family=Family.OBRIEN_FLEMING), 5),
    "Pocock, 5 looks": (Design(family=Family.POCOCK), 5),
    "Lan-DeMets O'Brien-Fleming, 5 looks": (Design(family=Family.LAN_DEMETS_OBRIEN_FLEMING), 5),
    "spotify t squared, 10 looks": (Design(family=Family.POWER, parameter=2.0), 10),
}


@lru_cache(maxsize=32)
def levels(design: Design, looks: int) -> tuple[float, ...]:
    """Critical values of equally spaced looks."""
    return boundaries(design, equally_spaced(looks)).boundary_z


def sizes(looks: int, planned: float) -> Array:
    """Sizes of equally spaced looks."""
    return np.round(np.arange(1, looks + 1) * planned / looks)


def classical(looks: Looks, design: Design, count: int, planned: float) -> Claims:
    """Claim where |z| reaches the boundary of a planned look."""
    return np.abs(np.nan_to_num(looks.at(sizes(count, planned)).z)) >= np.asarray(levels(design, count))


def ours(looks: Looks, plan: GroupSequential, planned: float) -> Claims:
    """Claim where vedette's repeated interval at a planned look leaves out 0."""
    design, claims = design_of(plan, 0.05), []
    information = equally_spaced(plan.looks)
    for place, size in enumerate(sizes(plan.looks, planned)):
        rule = LookRule(design=design, information=information[: place + 1], final=place + 1 == plan.looks)
        made = judged(looks.at(np.array([size])), rule)
        claims.append(np.nan_to_num(np.abs(made.z)) >= made.critical)
    return np.column_stack(claims)
