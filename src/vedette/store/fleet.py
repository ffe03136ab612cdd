"""All domains at a glance: what each serves, and its newest rollout and experiments, in a handful of queries.

Documents are read as the plain data they are: of two thousand domains only what a list shows is wanted.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, func, or_, select, true

from vedette.catalog.lifecycle import DomainState
from vedette.experiments.machine import Phase as ExperimentPhase
from vedette.kernel.records import record
from vedette.store.tables import (
    canary_deployments,
    domains,
    experiment_looks,
    multi_variant_tests,
    version_aliases,
)


@record
class FleetRollout:
    """The newest rollout of a domain, as a list shows it; ``pauses`` are the codes of why it stands still."""

    id: str
    name: str
    version: str
    phase: str
    weight: float
    step: int
    steps: int
    because: str
    pauses: tuple[str, ...]
    ended_at: datetime | None


@record
class FleetExperiment:
    """An experiment that runs or waits to be decided; ``verdict`` is that of its last kept look, empty before one."""

    id: str
    name: str
    phase: str
    verdict: str
    awaiting_rollout: str


@record
class FleetDomain:
    """One domain of the fleet; ``stable`` is empty while it serves nothing."""

    id: str
    title: str
    state: DomainState
    labels: Mapping[str, str]
    stable: str
    updated_at: datetime
    rollout: FleetRollout | None
    experiments: tuple[FleetExperiment, ...]


def fleet(connection: Connection, *, only: Collection[str] | None = None) -> tuple[FleetDomain, ...]:
    """Give every domain that was not deleted, by id; or only some."""
    aliases = select(version_aliases.c.domain_id, version_aliases.c.version).where(
        version_aliases.c.alias == "stable", _among(version_aliases.c.domain_id, only)
    )
    stable = {row.domain_id: row.version for row in connection.execute(aliases)}
    rollouts = _rollouts(connection, only)
    experiments = _experiments(connection, only)
    columns = (domains.c.id, domains.c.title, domains.c.state, domains.c.labels, domains.c.updated_at)
    query = select(*columns).where(domains.c.state != DomainState.DELETED, _among(domains.c.id, only))
    rows = connection.execute(query.order_by(domains.c.id))
    return tuple(
        FleetDomain(
            id=row.id,
            title=row.title,
            state=DomainState(row.state),
            labels=row.labels,
            stable=stable.get(row.id, ""),
            updated_at=row.updated_at,
            rollout=rollouts.get(row.id),
            experiments=tuple(experiments.get(row.id, ())),
        )
        for row in rows
    )


def _among(column: Column[str], only: Collection[str] | None) -> ColumnElement[bool]:
    return true() if only is None else column.in_(only)


def _rollouts(connection: Connection, only: Collection[str] | None) -> dict[str, FleetRollout]:
    table = canary_deployments.c
    newest = select(func.max(table.id)).where(_among(table.domain_id, only)).group_by(table.domain_id)
    columns = (
        table.id,
        table.name,
        table.domain_id,
        table.model_version,
        table.phase,
        table.traffic_percentage,
        table.status,
        table.spec,
        table.ended_at,
    )
    return {row.domain_id: _rollout(row) for row in connection.execute(select(*columns).where(table.id.in_(newest)))}


def _rollout(row: Any) -> FleetRollout:  # noqa: ANN401 - a row
    status, pauses = row.status, row.status.get("pauses", ())
    return FleetRollout(
        id=row.id,
        name=row.name,
        version=row.model_version,
        phase=row.phase,
        weight=row.traffic_percentage,
        step=status.get("step", 0),
        steps=len(row.spec.get("steps", ())),
        because=status.get("because", ""),
        pauses=tuple(pause["reason"] for pause in pauses),
        ended_at=row.ended_at,
    )


def _experiments(connection: Connection, only: Collection[str] | None) -> dict[str, list[FleetExperiment]]:
    table, looks = multi_variant_tests.c, experiment_looks.c
    open_phases = (ExperimentPhase.RUNNING, ExperimentPhase.STOPPED)
    is_open = or_(table.phase.in_(open_phases), table.awaiting_rollout != "")
    wanted = select(table.id).where(is_open, _among(table.domain_id, only))
    last = select(func.max(looks.id)).where(looks.experiment_id.in_(wanted)).group_by(looks.experiment_id)
    said = connection.execute(select(looks.experiment_id, looks.verdict).where(looks.id.in_(last)))
    verdicts = {row.experiment_id: row.verdict for row in said}
    columns = (table.id, table.name, table.domain_id, table.phase, table.awaiting_rollout)
    found: dict[str, list[FleetExperiment]] = {}
    for row in connection.execute(select(*columns).where(table.id.in_(wanted)).order_by(table.id)):
        found.setdefault(row.domain_id, []).append(
            FleetExperiment(
                id=row.id,
                name=row.name,
                phase=row.phase,
                verdict=verdicts.get(row.id, ""),
                awaiting_rollout=row.awaiting_rollout,
            )
        )
    return found


def names(connection: Connection, part: str, *, limit: int) -> Sequence[tuple[str, str, str]]:
    """Find domains, rollouts and experiments whose name holds ``part``: kind, name, and what to say beside it."""
    domain, rollout, experiment = domains.c, canary_deployments.c, multi_variant_tests.c
    queries = (
        ("domain", select(domain.id, domain.title).where(domain.state != DomainState.DELETED), domain.id),
        ("rollout", select(rollout.name, rollout.phase), rollout.name),
        ("experiment", select(experiment.name, experiment.phase), experiment.name),
    )
    found: list[tuple[str, str, str]] = []
    for kind, query, column in queries:
        matching = query.where(column.contains(part, autoescape=True)).order_by(func.length(column), column)
        found += [(kind, name, said) for name, said in connection.execute(matching.limit(limit))]
    return found
