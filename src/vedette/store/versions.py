"""Model versions, the aliases they carry, and what served a domain when."""

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, or_, select, update

from vedette.catalog.version import Alias, ModelVersion, Tenure, VersionSpec
from vedette.database.failures import constrained
from vedette.kernel.documents import dump, load
from vedette.kernel.errors import Conflict, NotFound
from vedette.store.pages import Page, page_of
from vedette.store.tables import model_versions, version_aliases, version_tenures
from vedette.store.upsert import upsert


def create(connection: Connection, version: ModelVersion) -> None:
    """Store a new version; it never changes afterwards.

    Raises:
        Conflict: the domain has a version of that name.
        NotFound: there is no such domain.
    """
    with constrained(
        unique=Conflict(
            f"version {version.name!r} of domain {version.domain!r} exists already",
            hint="versions never change; choose a new name",
        ),
        missing=NotFound(f"there is no domain {version.domain!r}"),
    ):
        connection.execute(
            insert(model_versions).values(
                domain_id=version.domain,
                name=version.name,
                spec=dump(version.spec),
                created_at=version.created_at,
                created_by=version.created_by,
            )
        )


def get(connection: Connection, domain_id: str, name: str) -> ModelVersion:
    """Give a version of a domain.

    Raises:
        NotFound: there is none of that name.
    """
    row = connection.execute(
        select(model_versions).where(model_versions.c.domain_id == domain_id, model_versions.c.name == name)
    ).one_or_none()
    if row is None:
        raise NotFound(f"domain {domain_id!r} has no version {name!r}", hint="`vedette version list` shows them")
    return _version(row)


def page(connection: Connection, domain_id: str, *, after: str | None = None, limit: int = 50) -> Page[ModelVersion]:
    """List a domain's versions, the newest first."""
    query = select(model_versions).where(model_versions.c.domain_id == domain_id)
    return page_of(connection, query, model_versions.c.id, _version, after=after, limit=limit, newest_first=True)


def aliases(connection: Connection, domain_id: str) -> dict[str, str]:
    """Give the version each alias of a domain names."""
    query = select(version_aliases.c.alias, version_aliases.c.version).where(version_aliases.c.domain_id == domain_id)
    return {row.alias: row.version for row in connection.execute(query)}


def set_alias(connection: Connection, domain_id: str, alias: Alias, version: str) -> None:
    """Let an alias name a version from now on; for ``stable`` use `install_stable`, which also keeps the history.

    Raises:
        NotFound: there is no such version.
    """
    values = {"domain_id": domain_id, "alias": alias, "version": version}
    with constrained(missing=NotFound(f"domain {domain_id!r} has no version {version!r}")):
        connection.execute(upsert(connection, version_aliases, values, replace=("version",)))


def clear_alias(connection: Connection, domain_id: str, alias: Alias) -> None:
    """Let an alias name nothing."""
    connection.execute(
        delete(version_aliases).where(version_aliases.c.domain_id == domain_id, version_aliases.c.alias == alias)
    )


def install_stable(connection: Connection, domain_id: str, version: str, *, at: datetime, cause: str) -> None:
    """Make a version the stable one from ``at`` on, and close the tenure of the one before.

    A tenure never begins before the last one began, whatever the clock says; installing the version that is stable
    already changes nothing.

    Raises:
        NotFound: there is no such version.
    """
    since = _close(connection, domain_id, at, unless=version)
    if since is None:
        return
    set_alias(connection, domain_id, "stable", version)
    connection.execute(
        insert(version_tenures).values(domain_id=domain_id, version=version, since=since, until=None, cause=cause)
    )


def retire_stable(connection: Connection, domain_id: str, *, at: datetime) -> None:
    """End the tenure of the stable version, so that the domain has none."""
    _close(connection, domain_id, at, unless=None)
    clear_alias(connection, domain_id, "stable")


def serving(connection: Connection, domain_id: str, at: datetime) -> Tenure | None:
    """Say which version was stable for a domain at a moment; None when it had none."""
    row = connection.execute(
        select(version_tenures)
        .where(
            version_tenures.c.domain_id == domain_id,
            version_tenures.c.since <= at,
            or_(version_tenures.c.until.is_(None), version_tenures.c.until > at),
        )
        .order_by(version_tenures.c.id.desc())
        .limit(1)
    ).one_or_none()
    return _tenure(row) if row else None


def tenures(connection: Connection, domain_id: str, *, after: str | None = None, limit: int = 50) -> Page[Tenure]:
    """List who was stable when, the newest first."""
    query = select(version_tenures).where(version_tenures.c.domain_id == domain_id)
    return page_of(connection, query, version_tenures.c.id, _tenure, after=after, limit=limit, newest_first=True)


def _close(connection: Connection, domain_id: str, at: datetime, *, unless: str | None) -> datetime | None:
    """End the open tenure, unless it is of that version (then give None); give the moment the next may begin."""
    last = connection.execute(
        select(version_tenures)
        .where(version_tenures.c.domain_id == domain_id)
        .order_by(version_tenures.c.id.desc())
        .limit(1)
        .with_for_update()
    ).one_or_none()
    if last is None:
        return at
    if last.until is None and last.version == unless:
        return None
    moment: datetime = max(at, last.until or last.since)
    if last.until is None:
        connection.execute(update(version_tenures).where(version_tenures.c.id == last.id).values(until=moment))
    return moment


def _version(row: Row[Any]) -> ModelVersion:
    return ModelVersion(
        domain=row.domain_id,
        name=row.name,
        spec=load(VersionSpec, row.spec),
        created_at=row.created_at,
        created_by=row.created_by,
    )


def _tenure(row: Row[Any]) -> Tenure:
    return Tenure(version=row.version, since=row.since, until=row.until, cause=row.cause)
