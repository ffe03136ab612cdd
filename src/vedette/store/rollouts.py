"""Rollouts: what was asked (by revision), where each is, what was decided, and what was seen at each look."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, func, insert, select, update

from vedette.database.failures import constrained
from vedette.kernel.decision import Decision
from vedette.kernel.documents import dump, load
from vedette.kernel.errors import Conflict, NotFound, StaleRevision
from vedette.kernel.records import record
from vedette.rollouts.machine import ACTIVE, Phase, RolloutStatus
from vedette.rollouts.spec import RolloutSpec
from vedette.store.columns import decided
from vedette.store.leases import Lease, fence
from vedette.store.pages import Page, page_of
from vedette.store.tables import canary_deployments, rollout_decisions, rollout_looks, rollout_spec_revisions

_SECOND = Conflict(
    "the domain has an active rollout already", hint="wait for it, or abort it; one domain has one rollout at a time"
)


@record
class StoredRollout:
    """A rollout as it stands: the spec at its revision, the status, and the revision of the whole for the next write.

    Ids are time-ordered (UUIDv7); listings rely on it.
    """

    id: str
    name: str
    domain: str
    spec: RolloutSpec
    spec_revision: int = 1
    status: RolloutStatus
    revision: int = 1
    created_at: datetime
    created_by: str


@record
class StoredSpec:
    """A rollout's spec at one of its revisions, from when it held and who asked for it."""

    spec_revision: int
    spec: RolloutSpec
    at: datetime
    actor: str


@record
class StoredDecision:
    """One decision of a rollout with where it stood then; the store gives the ``id``."""

    id: int = 0
    rollout: str
    attempt: int
    step: int
    at: datetime
    watched: float
    weight: float
    phase: Phase
    actor: str
    decision: Decision


@record
class StoredLook:
    """One look at evidence that had changed: what was observed and what each guardrail said, as plain JSON data.

    The store gives the ``id``.
    """

    id: int = 0
    rollout: str
    attempt: int
    step: int
    at: datetime
    watched: float
    weight: float
    observations: Mapping[str, Any]
    verdicts: tuple[Mapping[str, Any], ...]


def create(connection: Connection, rollout: StoredRollout) -> None:
    """Store a new rollout with the first revision of its spec.

    Raises:
        Conflict: the domain has a rollout that is not at its end.
        NotFound: the domain has no such version.
    """
    with constrained(
        unique=_SECOND,
        missing=NotFound(f"domain {rollout.domain!r} has no version {rollout.spec.version!r}"),
    ):
        connection.execute(
            insert(canary_deployments).values(
                id=rollout.id,
                name=rollout.name,
                domain_id=rollout.domain,
                revision=rollout.revision,
                created_at=rollout.created_at,
                created_by=rollout.created_by,
                **_of_spec(rollout.spec, rollout.spec_revision),
                **_of_status(rollout.status),
            )
        )
    _keep_spec(
        connection, rollout.id, rollout.spec_revision, rollout.spec, at=rollout.created_at, actor=rollout.created_by
    )


def get(connection: Connection, rollout_id: str) -> StoredRollout:
    """Give the rollout of that id.

    Raises:
        NotFound: there is none.
    """
    row = connection.execute(select(canary_deployments).where(canary_deployments.c.id == rollout_id)).one_or_none()
    if row is None:
        raise NotFound(f"there is no rollout {rollout_id!r}", hint="`vedette rollout list` shows those there are")
    return _rollout(row)


def named(connection: Connection, name: str) -> StoredRollout | None:
    """Give the newest rollout of that name, or None."""
    return _newest(connection, canary_deployments.c.name == name)


def latest(connection: Connection, domain_id: str) -> StoredRollout | None:
    """Give the newest rollout of a domain, or None."""
    return _newest(connection, canary_deployments.c.domain_id == domain_id)


def active(connection: Connection) -> tuple[StoredRollout, ...]:
    """Give every rollout that is not at its end, the oldest first: what the reconciler looks after."""
    query = select(canary_deployments).where(canary_deployments.c.phase.in_(ACTIVE)).order_by(canary_deployments.c.id)
    return tuple(_rollout(row) for row in connection.execute(query))


def in_group(connection: Connection, group: str) -> tuple[StoredRollout, ...]:
    """Give the newest rollout of each domain in a group, by domain."""
    newest = (
        select(func.max(canary_deployments.c.id))
        .where(canary_deployments.c.group_name == group)
        .group_by(canary_deployments.c.domain_id)
    )
    query = (
        select(canary_deployments).where(canary_deployments.c.id.in_(newest)).order_by(canary_deployments.c.domain_id)
    )
    return tuple(_rollout(row) for row in connection.execute(query))


def page(
    connection: Connection,
    *,
    domain: str | None = None,
    phases: Collection[Phase] = (),
    after: str | None = None,
    limit: int = 50,
) -> Page[StoredRollout]:
    """List rollouts, the newest first, of one domain or in some phases when asked."""
    query = select(canary_deployments)
    if domain is not None:
        query = query.where(canary_deployments.c.domain_id == domain)
    if phases:
        query = query.where(canary_deployments.c.phase.in_(phases))
    return page_of(connection, query, canary_deployments.c.id, _rollout, after=after, limit=limit, newest_first=True)


def save(
    connection: Connection, rollout_id: str, status: RolloutStatus, *, expected_revision: int, lease: Lease | None
) -> int:
    """Store where a rollout is now, if nothing changed it since it was read; give its new revision.

    Raises:
        StaleRevision: something changed it since.
        LeaseLost: the lease it was decided under is not held any more.
        Conflict: it would be active beside another active rollout of its domain.
        NotFound: there is no such rollout.
    """
    return _swap(connection, rollout_id, _of_status(status), expected_revision, lease)


def revise(
    connection: Connection,
    rollout_id: str,
    spec: RolloutSpec,
    status: RolloutStatus,
    *,
    expected_revision: int,
    at: datetime,
    actor: str,
) -> int:
    """Store a new revision of a rollout's spec with the status it begins in; give the rollout's new revision.

    Raises:
        StaleRevision: something changed the rollout since it was read.
        Conflict: it would be active beside another active rollout of its domain.
        NotFound: there is no such rollout or version.
    """
    number = get(connection, rollout_id).spec_revision + 1
    values = _of_spec(spec, number) | _of_status(status)
    with constrained(missing=NotFound(f"domain {spec.domain!r} has no version {spec.version!r}")):
        revision = _swap(connection, rollout_id, values, expected_revision, None)
    _keep_spec(connection, rollout_id, number, spec, at=at, actor=actor)
    return revision


def specs(connection: Connection, rollout_id: str) -> tuple[StoredSpec, ...]:
    """Give every revision of a rollout's spec, the first one first."""
    query = (
        select(rollout_spec_revisions)
        .where(rollout_spec_revisions.c.rollout_id == rollout_id)
        .order_by(rollout_spec_revisions.c.spec_revision)
    )
    return tuple(
        StoredSpec(spec_revision=row.spec_revision, spec=load(RolloutSpec, row.spec), at=row.at, actor=row.actor)
        for row in connection.execute(query)
    )


def add_decision(connection: Connection, decision: StoredDecision) -> None:
    """Store a decision with all the evidence it was made from; figures that are not finite become text."""
    connection.execute(
        insert(rollout_decisions).values(
            decision=decided(decision.decision),
            phase=decision.phase,
            actor=decision.actor,
            **_moment(decision),
        )
    )


def decisions(
    connection: Connection, rollout_id: str, *, after: str | None = None, limit: int = 50, newest_first: bool = False
) -> Page[StoredDecision]:
    """List a rollout's decisions in the order they were made."""
    query = select(rollout_decisions).where(rollout_decisions.c.rollout_id == rollout_id)
    return page_of(
        connection, query, rollout_decisions.c.id, _decision, after=after, limit=limit, newest_first=newest_first
    )


def add_look(connection: Connection, look: StoredLook) -> None:
    """Store what was seen at a look."""
    connection.execute(
        insert(rollout_looks).values(observations=look.observations, verdicts=look.verdicts, **_moment(look))
    )


def looks(
    connection: Connection, rollout_id: str, *, after: str | None = None, limit: int = 50, newest_first: bool = False
) -> Page[StoredLook]:
    """List a rollout's looks in the order they were taken."""
    query = select(rollout_looks).where(rollout_looks.c.rollout_id == rollout_id)
    return page_of(connection, query, rollout_looks.c.id, look_of, after=after, limit=limit, newest_first=newest_first)


def _swap(
    connection: Connection, rollout_id: str, values: Mapping[str, Any], expected_revision: int, lease: Lease | None
) -> int:
    if lease is not None:
        fence(connection, lease)
    with constrained(unique=_SECOND):
        changed = connection.execute(
            update(canary_deployments)
            .where(canary_deployments.c.id == rollout_id, canary_deployments.c.revision == expected_revision)
            .values(revision=expected_revision + 1, **values)
        )
    if not changed.rowcount:
        now = get(connection, rollout_id).revision
        raise StaleRevision(
            f"rollout {rollout_id!r} is at revision {now}, not {expected_revision}", hint="read it again"
        )
    return expected_revision + 1


def _newest(connection: Connection, condition: ColumnElement[bool]) -> StoredRollout | None:
    query = select(canary_deployments).where(condition).order_by(canary_deployments.c.id.desc()).limit(1)
    row = connection.execute(query).one_or_none()
    return _rollout(row) if row else None


def _keep_spec(
    connection: Connection, rollout_id: str, number: int, spec: RolloutSpec, *, at: datetime, actor: str
) -> None:
    connection.execute(
        insert(rollout_spec_revisions).values(
            rollout_id=rollout_id, spec_revision=number, spec=dump(spec), at=at, actor=actor
        )
    )


def _of_spec(spec: RolloutSpec, number: int) -> dict[str, Any]:
    return {
        "spec": dump(spec),
        "spec_revision": number,
        "model_version": spec.version,
        "group_name": spec.group.name if spec.group else "",
    }


def _of_status(status: RolloutStatus) -> dict[str, Any]:
    return {
        "status": dump(status),
        "phase": status.phase,
        "traffic_percentage": status.weight,
        "started_at": status.started_at,
        "ended_at": status.ended_at,
    }


def _moment(item: StoredDecision | StoredLook) -> dict[str, Any]:
    return {
        "rollout_id": item.rollout,
        "attempt": item.attempt,
        "step": item.step,
        "at": item.at,
        "watched": item.watched,
        "weight": item.weight,
    }


def _rollout(row: Row[Any]) -> StoredRollout:
    return StoredRollout(
        id=row.id,
        name=row.name,
        domain=row.domain_id,
        spec=load(RolloutSpec, row.spec),
        spec_revision=row.spec_revision,
        status=load(RolloutStatus, row.status),
        revision=row.revision,
        created_at=row.created_at,
        created_by=row.created_by,
    )


def _decision(row: Row[Any]) -> StoredDecision:
    return StoredDecision(
        id=row.id,
        rollout=row.rollout_id,
        attempt=row.attempt,
        step=row.step,
        at=row.at,
        watched=row.watched,
        weight=row.weight,
        phase=Phase(row.phase),
        actor=row.actor,
        decision=load(Decision, row.decision),
    )


def look_of(row: Row[Any]) -> StoredLook:
    """Read a look from its row."""
    return StoredLook(
        id=row.id,
        rollout=row.rollout_id,
        attempt=row.attempt,
        step=row.step,
        at=row.at,
        watched=row.watched,
        weight=row.weight,
        observations=row.observations,
        verdicts=tuple(row.verdicts),
    )
