"""Domains and every revision they went through."""

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, func, insert, select, update

from vedette.catalog.domain import Domain
from vedette.catalog.lifecycle import DomainState
from vedette.database.failures import constrained
from vedette.experiments.machine import Phase
from vedette.kernel.documents import dump, load
from vedette.kernel.errors import Conflict, InvalidInput, NotFound, StaleRevision
from vedette.kernel.records import record
from vedette.store.pages import Page, page_of
from vedette.store.tables import (
    ACTIVE,
    canary_deployments,
    domain_revisions,
    domains,
    multi_variant_tests,
    version_tenures,
)


@record
class DomainRevision:
    """A domain as it stood from ``at`` on, and who made it so."""

    domain: Domain
    at: datetime
    actor: str


def create(connection: Connection, domain: Domain, *, actor: str) -> None:
    """Store a new domain with its first revision.

    Raises:
        Conflict: the id is taken; the id of a deleted domain stays taken, for its record's sake.
    """
    taken = Conflict(f"domain {domain.id!r} exists already", hint="a deleted domain keeps its id; choose another")
    with constrained(unique=taken):
        connection.execute(insert(domains).values(_row(domain)))
    _remember(connection, domain, actor)


def get(connection: Connection, domain_id: str, *, hold: bool = False) -> Domain:
    """Give the domain of that id, deleted ones too; ``hold`` keeps others from changing it until the transaction ends.

    Raises:
        NotFound: there is none.
    """
    query = select(domains).where(domains.c.id == domain_id)
    row = connection.execute(query.with_for_update() if hold else query).one_or_none()
    if row is None:
        raise NotFound(f"there is no domain {domain_id!r}", hint="`vedette domain list` shows those there are")
    return _domain(row)


def page(
    connection: Connection, *, state: DomainState | None = None, after: str | None = None, limit: int = 50
) -> Page[Domain]:
    """List domains by id; without a ``state``, all but the deleted ones."""
    wanted = domains.c.state == state if state else domains.c.state != DomainState.DELETED
    return page_of(connection, select(domains).where(wanted), domains.c.id, _domain, after=after, limit=limit)


def replace(connection: Connection, domain: Domain, *, expected_revision: int, actor: str) -> None:
    """Store ``domain``, whose revision is one above ``expected_revision``, in place of that revision.

    Raises:
        NotFound: there is no such domain.
        StaleRevision: it is at another revision than expected; nothing was changed.
    """
    if domain.revision != expected_revision + 1:
        raise InvalidInput(f"revision {domain.revision} does not follow revision {expected_revision}")
    changed = connection.execute(
        update(domains)
        .where(domains.c.id == domain.id, domains.c.revision == expected_revision)
        .values({key: value for key, value in _row(domain).items() if key not in {"id", "created_at"}})
    )
    if not changed.rowcount:
        now = get(connection, domain.id).revision
        raise StaleRevision(
            f"domain {domain.id!r} is at revision {now}, not {expected_revision}", hint="read it again, then change it"
        )
    _remember(connection, domain, actor)


def revision(connection: Connection, domain_id: str, number: int) -> DomainRevision:
    """Give a domain as it stood at a revision.

    Raises:
        NotFound: there is no such revision.
    """
    row = connection.execute(
        select(domain_revisions).where(domain_revisions.c.domain_id == domain_id, domain_revisions.c.revision == number)
    ).one_or_none()
    if row is None:
        raise NotFound(f"there is no revision {number} of domain {domain_id!r}")
    return _revision(row)


def revisions(
    connection: Connection, domain_id: str, *, after: str | None = None, limit: int = 50
) -> Page[DomainRevision]:
    """List a domain's revisions, the newest first."""
    query = select(domain_revisions).where(domain_revisions.c.domain_id == domain_id)
    return page_of(
        connection, query, domain_revisions.c.revision, _revision, after=after, limit=limit, newest_first=True
    )


def dependants(connection: Connection, domain_id: str) -> dict[str, int]:
    """Count what would lose its ground if the domain went: what runs on it, and the stable version being served."""
    rollouts = select(func.count()).where(canary_deployments.c.domain_id == domain_id, ACTIVE)
    experiments = select(func.count()).where(
        multi_variant_tests.c.domain_id == domain_id, multi_variant_tests.c.phase == Phase.RUNNING
    )
    served = select(func.count()).where(version_tenures.c.domain_id == domain_id, version_tenures.c.until.is_(None))
    counts = {
        "active rollouts": connection.execute(rollouts).scalar_one(),
        "running experiments": connection.execute(experiments).scalar_one(),
        "stable version": connection.execute(served).scalar_one(),
    }
    return {name: count for name, count in counts.items() if count}


def _row(domain: Domain) -> dict[str, Any]:
    return {
        "id": domain.id,
        "title": domain.title,
        "description": domain.description,
        "labels": dict(domain.labels),
        "config": dump(domain.config),
        "state": domain.state,
        "revision": domain.revision,
        "created_at": domain.created_at,
        "updated_at": domain.updated_at,
    }


def _domain(row: Row[Any]) -> Domain:
    return load(Domain, dict(row._mapping))  # noqa: SLF001 - the documented name of a row's mapping


def _revision(row: Row[Any]) -> DomainRevision:
    return DomainRevision(domain=load(Domain, row.domain), at=row.at, actor=row.actor)


def _remember(connection: Connection, domain: Domain, actor: str) -> None:
    connection.execute(
        insert(domain_revisions).values(
            domain_id=domain.id, revision=domain.revision, domain=dump(domain), at=domain.updated_at, actor=actor
        )
    )
