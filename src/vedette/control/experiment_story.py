"""The whole story of one experiment, read at one moment: where it is and why, what each look told, what may be done."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from sqlalchemy import Connection

from vedette.control import experiment_insight as insight
from vedette.control.experiment_admission import admit, find, places
from vedette.control.experiment_insight import ExperimentExplanation
from vedette.control.experiment_promotion import winners_rollout
from vedette.control.foundation import Foundation
from vedette.experiments import commands
from vedette.experiments.advance import alive
from vedette.experiments.machine import Conclusion, Event, follow
from vedette.experiments.verdict import Status
from vedette.kernel.errors import NotFound, Refused, Unavailable, VedetteError
from vedette.kernel.records import record
from vedette.rollouts.machine import ACTIVE
from vedette.routing.layers import PLACES
from vedette.routing.plan import millionths
from vedette.store import experiments, rollouts, versions
from vedette.store.experiments import ExperimentDecision, ExperimentLook, StoredExperiment

LOOKS = 120
"""Kept looks a page shows, the newest ones: each has 5 % more units than the one before, so these are all but always
all there are."""
DECISIONS = 100


@record
class ExperimentStory:
    """Everything a page about one experiment shows.

    ``explanation`` is None while the outcomes cannot be read, and ``trouble`` says why. ``looks`` are in the order they
    were taken, ``decisions`` the newest first. ``refused`` says of each verb why it is not allowed now, and is empty
    where it is. ``neighbours`` are the experiments that hold places of the same layer, itself among them.
    """

    experiment: StoredExperiment
    explanation: ExperimentExplanation | None
    trouble: str
    looks: tuple[ExperimentLook, ...]
    decisions: tuple[ExperimentDecision, ...]
    refused: Mapping[str, str]
    neighbours: tuple[StoredExperiment, ...]


def story(plane: Foundation, ref: str) -> ExperimentStory:
    """Tell the story of an experiment.

    Raises:
        NotFound: there is none.
    """
    now = plane.instruments.now()
    with plane.changes.reading() as connection:
        it = find(connection, ref)
        explanation, trouble = None, ""
        try:
            explanation = insight.explain(connection, plane.lake, plane.traffic, it, now)
        except (Unavailable, NotFound, Refused) as error:
            trouble = str(error)
        running = experiments.exposing(connection, it.domain)
        return ExperimentStory(
            experiment=it,
            explanation=explanation,
            trouble=trouble,
            looks=experiments.looks(connection, it.id, limit=LOOKS, newest_first=True).items[::-1],
            decisions=experiments.decisions(connection, it.id, limit=DECISIONS, newest_first=True).items,
            refused=_refused(connection, it, now),
            neighbours=tuple(other for other in running if other.spec.layer == it.spec.layer),
        )


def newest_looks(plane: Foundation, listed: Sequence[StoredExperiment]) -> Mapping[str, ExperimentLook]:
    """Give the newest kept look of each of some experiments, by id; those that were never looked at are left out."""
    with plane.changes.reading() as connection:
        return experiments.newest_looks(connection, [it.id for it in listed])


def _refused(connection: Connection, it: StoredExperiment, now: datetime) -> dict[str, str]:
    """Ask every verb whether it would go; they are pure, so nothing happens."""
    spec, status = it.spec, it.status

    def start() -> None:
        follow(status.phase, Event.START)
        admit(connection, it, millionths(spec.coverage), hold=False)
        places(connection, it)

    def ramp() -> None:
        follow(status.phase, Event.RAMP)
        if spec.offline:
            raise Refused("an offline experiment has no traffic")
        if status.exposed >= PLACES:
            raise Refused("everybody in the layer takes part already")

    def stop_arm() -> None:
        follow(status.phase, Event.STOP_ARM)
        if spec.offline:
            raise Refused("an offline experiment has no traffic to take an arm out of")
        if len(alive(spec, status)) < 2:
            raise Refused("only the control is left")

    nobody = Conclusion(verdict=Status.INSUFFICIENT, by="", because="", at=now)
    tries: Mapping[str, Callable[[], object]] = {
        "start": start,
        "ramp": ramp,
        "stop-arm": stop_arm,
        "stop": lambda: commands.stop(status, now),
        "decide": lambda: commands.decide(spec, status, nobody),
        "promote": lambda: _free_to_promote(connection, it),
        "archive": lambda: commands.archive(status),
    }
    return {verb: _why_not(act) for verb, act in tries.items()}


def _free_to_promote(connection: Connection, it: StoredExperiment) -> None:
    wanted = winners_rollout(it)
    if versions.aliases(connection, it.domain).get("stable", "") == wanted.version:
        raise Refused(f"{wanted.version} is stable already")
    newest = rollouts.latest(connection, it.domain)
    if newest is not None and newest.status.phase in ACTIVE:
        raise Refused(f"rollout {newest.name} of the domain is not at its end")


def _why_not(act: Callable[[], object]) -> str:
    try:
        act()
    except VedetteError as error:
        return error.message
    return ""
