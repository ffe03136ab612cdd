"""Experiments: what was asked, where each is, what was decided, what was seen at looks worth keeping, and scores."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, func, insert, select, update

from vedette.database.failures import constrained
from vedette.evidence.joint import JointMoments
from vedette.experiments.machine import ExperimentStatus, Phase
from vedette.experiments.recorded import Recorded
from vedette.experiments.report import ExperimentReport
from vedette.experiments.spec import ExperimentSpec
from vedette.experiments.verdict import Status
from vedette.kernel.decision import Decision
from vedette.kernel.documents import dump, load
from vedette.kernel.errors import Conflict, NotFound, StaleRevision
from vedette.kernel.records import evolve, record
from vedette.store.columns import decided
from vedette.store.leases import Lease, fence
from vedette.store.pages import Page, page_of
from vedette.store.tables import (
    MOVING,
    experiment_decisions,
    experiment_looks,
    experiment_scores,
    multi_variant_tests,
)


@record
class StoredExperiment:
    """An experiment as it stands: the spec, the status, and the revision of the whole for the next write.

    Ids are time-ordered (UUIDv7); listings rely on it.
    """

    id: str
    name: str
    domain: str
    spec: ExperimentSpec
    status: ExperimentStatus
    revision: int = 1
    created_at: datetime
    created_by: str
    updated_at: datetime


@record
class ExperimentDecision:
    """One decision of an experiment with where it stood afterwards; the store gives the ``id``."""

    id: int = 0
    experiment: str
    at: datetime
    epoch: int
    phase: Phase
    actor: str
    decision: Decision


@record
class ExperimentLook:
    """One look that was kept: its whole answer, and what it was made from, so that it can be made again.

    ``units`` were seen in all arms together. The store gives the ``id``.
    """

    id: int = 0
    experiment: str
    at: datetime
    epoch: int
    units: float
    verdict: Status
    report: ExperimentReport
    seen: Recorded


@record
class StoredScores:
    """Scores of an offline experiment from one upload.

    ``prompts`` were complete and are in ``moments`` (a row a cluster, a column an arm and measure); ``left_out`` were
    not. ``digests`` are those of the prompts, so that none is counted twice. The store gives the ``id``.
    """

    id: int = 0
    experiment: str
    at: datetime
    actor: str
    prompts: int
    left_out: int
    digests: tuple[str, ...]
    moments: JointMoments


_DIGEST = 16


def create(connection: Connection, experiment: StoredExperiment) -> None:
    """Store a new experiment.

    Raises:
        Conflict: another one has its name.
        NotFound: there is no such domain.
    """
    taken = Conflict(f"an experiment {experiment.name!r} exists already", hint="choose another name")
    with constrained(unique=taken, missing=NotFound(f"there is no domain {experiment.domain!r}")):
        connection.execute(
            insert(multi_variant_tests).values(
                id=experiment.id,
                name=experiment.name,
                domain_id=experiment.domain,
                revision=experiment.revision,
                created_at=experiment.created_at,
                created_by=experiment.created_by,
                updated_at=experiment.updated_at,
                **_of_spec(experiment.spec),
                **_of_status(experiment.spec, experiment.status),
            )
        )


def get(connection: Connection, experiment_id: str) -> StoredExperiment:
    """Give the experiment of that id.

    Raises:
        NotFound: there is none.
    """
    query = select(multi_variant_tests).where(multi_variant_tests.c.id == experiment_id)
    row = connection.execute(query).one_or_none()
    if row is None:
        raise NotFound(f"there is no experiment {experiment_id!r}", hint="`vedette experiment list` shows them")
    return _experiment(row)


def named(connection: Connection, name: str) -> StoredExperiment | None:
    """Give the experiment of that name, or None."""
    row = connection.execute(select(multi_variant_tests).where(multi_variant_tests.c.name == name)).one_or_none()
    return _experiment(row) if row else None


def moving(connection: Connection) -> tuple[StoredExperiment, ...]:
    """Give every experiment that runs or whose winner waits for its rollout, the oldest first: the reconciler's."""
    query = select(multi_variant_tests).where(MOVING).order_by(multi_variant_tests.c.id)
    return tuple(_experiment(row) for row in connection.execute(query))


def running(connection: Connection, domain_id: str) -> tuple[StoredExperiment, ...]:
    """Give the experiments that run on a domain, the oldest first."""
    query = (
        select(multi_variant_tests)
        .where(multi_variant_tests.c.domain_id == domain_id, multi_variant_tests.c.phase == Phase.RUNNING)
        .order_by(multi_variant_tests.c.id)
    )
    return tuple(_experiment(row) for row in connection.execute(query))


def exposing(connection: Connection, domain_id: str) -> tuple[StoredExperiment, ...]:
    """Give the experiments that run on a domain's traffic, the oldest first: all running ones but those offline."""
    return tuple(it for it in running(connection, domain_id) if not it.spec.offline)


def page(
    connection: Connection,
    *,
    domain: str | None = None,
    phases: Collection[Phase] = (),
    after: str | None = None,
    limit: int = 50,
) -> Page[StoredExperiment]:
    """List experiments, the newest first, of one domain or in some phases when asked."""
    query = select(multi_variant_tests)
    if domain is not None:
        query = query.where(multi_variant_tests.c.domain_id == domain)
    if phases:
        query = query.where(multi_variant_tests.c.phase.in_(phases))
    return page_of(
        connection, query, multi_variant_tests.c.id, _experiment, after=after, limit=limit, newest_first=True
    )


def save(
    connection: Connection,
    experiment: StoredExperiment,
    status: ExperimentStatus,
    *,
    at: datetime,
    lease: Lease | None,
) -> StoredExperiment:
    """Store where an experiment is now, if nothing changed it since ``experiment`` was read; give it as it is then.

    Raises:
        StaleRevision: something changed it since.
        LeaseLost: the lease it was decided under is not held any more.
        NotFound: there is no such experiment.
    """
    if lease is not None:
        fence(connection, lease)
    return _swap(connection, experiment, evolve(experiment, status=status), at)


def revise(
    connection: Connection, experiment: StoredExperiment, spec: ExperimentSpec, *, at: datetime
) -> StoredExperiment:
    """Store another spec in place of that of ``experiment``, if nothing changed it since it was read.

    Raises:
        StaleRevision: something changed it since.
        NotFound: there is no such experiment.
    """
    return _swap(connection, experiment, evolve(experiment, spec=spec), at)


def add_decision(connection: Connection, decision: ExperimentDecision) -> None:
    """Store a decision with all the evidence it was made from; figures that are not finite become text."""
    connection.execute(
        insert(experiment_decisions).values(
            experiment_id=decision.experiment,
            at=decision.at,
            epoch=decision.epoch,
            phase=decision.phase,
            actor=decision.actor,
            decision=decided(decision.decision),
        )
    )


def decisions(
    connection: Connection, experiment_id: str, *, after: str | None = None, limit: int = 50, newest_first: bool = False
) -> Page[ExperimentDecision]:
    """List an experiment's decisions in the order they were made."""
    query = select(experiment_decisions).where(experiment_decisions.c.experiment_id == experiment_id)
    return page_of(
        connection, query, experiment_decisions.c.id, _decision, after=after, limit=limit, newest_first=newest_first
    )


def add_look(connection: Connection, look: ExperimentLook) -> None:
    """Keep a look."""
    connection.execute(
        insert(experiment_looks).values(
            experiment_id=look.experiment,
            at=look.at,
            epoch=look.epoch,
            units=look.units,
            verdict=look.verdict,
            report=dump(look.report),
            seen=dump(look.seen),
        )
    )


def looks(
    connection: Connection, experiment_id: str, *, after: str | None = None, limit: int = 50, newest_first: bool = False
) -> Page[ExperimentLook]:
    """List an experiment's kept looks in the order they were taken."""
    query = select(experiment_looks).where(experiment_looks.c.experiment_id == experiment_id)
    return page_of(connection, query, experiment_looks.c.id, _look, after=after, limit=limit, newest_first=newest_first)


def newest_looks(connection: Connection, experiment_ids: Collection[str]) -> dict[str, ExperimentLook]:
    """Give the newest kept look of each of some experiments that has one."""
    table = experiment_looks.c
    newest = (
        select(func.max(table.id)).where(table.experiment_id.in_(experiment_ids)).group_by(table.experiment_id)
    ).scalar_subquery()
    rows = connection.execute(select(experiment_looks).where(table.id.in_(newest)))
    return {row.experiment_id: _look(row) for row in rows}


def add_scores(connection: Connection, scores: StoredScores) -> None:
    """Keep the scores of one upload."""
    connection.execute(
        insert(experiment_scores).values(
            experiment_id=scores.experiment,
            at=scores.at,
            actor=scores.actor,
            prompts=scores.prompts,
            left_out=scores.left_out,
            digests="".join(scores.digests),
            moments=scores.moments.to_dict(),
        )
    )


def scores(connection: Connection, experiment_id: str) -> tuple[StoredScores, ...]:
    """Give every upload of an offline experiment, the first one first."""
    query = (
        select(experiment_scores)
        .where(experiment_scores.c.experiment_id == experiment_id)
        .order_by(experiment_scores.c.id)
    )
    return tuple(_scores(row) for row in connection.execute(query))


def _swap(connection: Connection, before: StoredExperiment, after: StoredExperiment, at: datetime) -> StoredExperiment:
    changed = connection.execute(
        update(multi_variant_tests)
        .where(multi_variant_tests.c.id == before.id, multi_variant_tests.c.revision == before.revision)
        .values(
            revision=before.revision + 1,
            updated_at=at,
            **_of_spec(after.spec),
            **_of_status(after.spec, after.status),
        )
    )
    if not changed.rowcount:
        now = get(connection, before.id).revision
        raise StaleRevision(
            f"experiment {before.name!r} is at revision {now}, not {before.revision}", hint="read it again"
        )
    return evolve(after, revision=before.revision + 1, updated_at=at)


def _of_spec(spec: ExperimentSpec) -> dict[str, Any]:
    return {
        "layer": spec.layer,
        "spec": dump(spec),
        "variants": [variant.name for variant in spec.variants],
        "primary_metric": next(use.metric for use in spec.metrics if use.role == "primary"),
    }


def _of_status(spec: ExperimentSpec, status: ExperimentStatus) -> dict[str, Any]:
    """Give the columns that follow where an experiment is; the split is in fractions of its own traffic."""
    split: Mapping[str, float] = {variant.name: variant.weight for variant in spec.variants}
    if status.epochs:
        split = status.epochs[-1].shares
    total = sum(split.values())
    return {
        "status": dump(status),
        "phase": status.phase,
        "traffic_splits": {name: share / total for name, share in split.items()},
        "winner": status.conclusion.winner if status.conclusion else "",
        "awaiting_rollout": status.awaiting_rollout,
        "started_at": status.started_at,
        "ended_at": status.ended_at,
    }


def _experiment(row: Row[Any]) -> StoredExperiment:
    return StoredExperiment(
        id=row.id,
        name=row.name,
        domain=row.domain_id,
        spec=load(ExperimentSpec, row.spec),
        status=load(ExperimentStatus, row.status),
        revision=row.revision,
        created_at=row.created_at,
        created_by=row.created_by,
        updated_at=row.updated_at,
    )


def _decision(row: Row[Any]) -> ExperimentDecision:
    return ExperimentDecision(
        id=row.id,
        experiment=row.experiment_id,
        at=row.at,
        epoch=row.epoch,
        phase=Phase(row.phase),
        actor=row.actor,
        decision=load(Decision, row.decision),
    )


def _look(row: Row[Any]) -> ExperimentLook:
    return ExperimentLook(
        id=row.id,
        experiment=row.experiment_id,
        at=row.at,
        epoch=row.epoch,
        units=row.units,
        verdict=Status(row.verdict),
        report=load(ExperimentReport, row.report),
        seen=load(Recorded, row.seen),
    )


def _scores(row: Row[Any]) -> StoredScores:
    return StoredScores(
        id=row.id,
        experiment=row.experiment_id,
        at=row.at,
        actor=row.actor,
        prompts=row.prompts,
        left_out=row.left_out,
        digests=tuple(row.digests[at : at + _DIGEST] for at in range(0, len(row.digests), _DIGEST)),
        moments=JointMoments.from_dict(row.moments),
    )
