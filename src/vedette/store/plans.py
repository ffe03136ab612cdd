"""Traffic plans by revision, the gateways that serve them, and which plan each gateway has confirmed."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select

from vedette.database.failures import constrained
from vedette.kernel.documents import dump, load
from vedette.kernel.errors import NotFound, StaleRevision
from vedette.kernel.records import record
from vedette.routing.plan import TrafficPlan
from vedette.store.pages import Page, page_of
from vedette.store.tables import counters, plan_confirmations, routers, traffic_plans
from vedette.store.upsert import upsert


@record
class StoredPlan:
    """A traffic plan, its place in the order in which all plans were published, and the rollout behind it, if any."""

    plan: TrafficPlan
    sequence: int
    rollout: str
    attempt: int
    step: int
    created_at: datetime


@record
class Router:
    """A gateway that asked for plans, and when it was last heard of."""

    id: str
    kind: str
    last_seen: datetime


@record
class Confirmation:
    """The newest plan revision of a domain that a gateway serves, since when, and when it was last heard of."""

    router: str
    domain: str
    revision: int
    at: datetime
    last_seen: datetime


def publish(
    connection: Connection, plan: TrafficPlan, *, at: datetime, rollout: str = "", attempt: int = 0, step: int = 0
) -> StoredPlan:
    """Store the next plan of a domain and give it its place in the order of all plans.

    Plans become visible in the order of their sequence, so who has read up to one has missed none before it. A plan
    with a canary names its rollout itself.

    Raises:
        StaleRevision: its revision is not the one after the domain's newest.
        NotFound: there is no such domain.
    """
    if plan.canary:
        rollout, attempt, step = plan.canary.rollout, plan.canary.attempt, plan.canary.step
    newest = current(connection, plan.domain)
    stale = StaleRevision(
        f"plan {plan.revision} of {plan.domain!r} does not follow {newest.plan.revision if newest else 0}",
        hint="compile it again",
    )
    if plan.revision != (newest.plan.revision if newest else 0) + 1:
        raise stale
    with constrained(unique=stale, missing=NotFound(f"there is no domain {plan.domain!r}")):
        sequence = _next_sequence(connection)
        connection.execute(
            insert(traffic_plans).values(
                domain_id=plan.domain,
                revision=plan.revision,
                sequence=sequence,
                plan=dump(plan),
                rollout_id=rollout,
                attempt=attempt,
                step=step,
                weight=plan.weight,
                created_at=at,
            )
        )
    return StoredPlan(plan=plan, sequence=sequence, rollout=rollout, attempt=attempt, step=step, created_at=at)


def current(connection: Connection, domain_id: str) -> StoredPlan | None:
    """Give the newest plan of a domain, or None when it never had one."""
    query = (
        select(traffic_plans)
        .where(traffic_plans.c.domain_id == domain_id)
        .order_by(traffic_plans.c.revision.desc())
        .limit(1)
    )
    row = connection.execute(query).one_or_none()
    return _plan(row) if row else None


def pepper(connection: Connection, domain_id: str) -> str:
    """Give the mark of the pepper that the newest plan to name one names; empty when none of the domain's does."""
    mark = traffic_plans.c.plan["pepper"].as_string()
    query = (
        select(mark)
        .where(traffic_plans.c.domain_id == domain_id, mark != "")
        .order_by(traffic_plans.c.revision.desc())
        .limit(1)
    )
    return connection.scalar(query) or ""


def get(connection: Connection, domain_id: str, revision: int) -> StoredPlan:
    """Give a domain's plan at a revision.

    Raises:
        NotFound: there is none.
    """
    row = connection.execute(
        select(traffic_plans).where(traffic_plans.c.domain_id == domain_id, traffic_plans.c.revision == revision)
    ).one_or_none()
    if row is None:
        raise NotFound(f"domain {domain_id!r} has no traffic plan {revision}")
    return _plan(row)


def since(connection: Connection, sequence: int) -> tuple[StoredPlan, ...]:
    """Give the newest plan of every domain that got one after ``sequence``, in order; 0 gives every domain's."""
    newer = traffic_plans.alias("newer")
    replaced = select(newer.c.revision).where(
        newer.c.domain_id == traffic_plans.c.domain_id, newer.c.revision > traffic_plans.c.revision
    )
    query = (
        select(traffic_plans)
        .where(traffic_plans.c.sequence > sequence, ~replaced.exists())
        .order_by(traffic_plans.c.sequence)
    )
    return tuple(_plan(row) for row in connection.execute(query))


def history(
    connection: Connection,
    *,
    domain: str | None = None,
    rollout: str | None = None,
    after: str | None = None,
    limit: int = 50,
) -> Page[StoredPlan]:
    """List plans of a domain or of a rollout (or all), the newest first."""
    query = select(traffic_plans)
    if domain is not None:
        query = query.where(traffic_plans.c.domain_id == domain)
    if rollout is not None:
        query = query.where(traffic_plans.c.rollout_id == rollout)
    return page_of(connection, query, traffic_plans.c.sequence, _plan, after=after, limit=limit, newest_first=True)


def seen(connection: Connection, router: str, *, kind: str, at: datetime) -> None:
    """Note that a gateway is alive."""
    values = {"id": router, "kind": kind, "last_seen": at}
    connection.execute(upsert(connection, routers, values, replace=("kind", "last_seen")))


def live(connection: Connection, *, since: datetime) -> tuple[Router, ...]:
    """Give the gateways heard of since a moment, by id."""
    query = select(routers).where(routers.c.last_seen >= since).order_by(routers.c.id)
    return tuple(Router(id=row.id, kind=row.kind, last_seen=row.last_seen) for row in connection.execute(query))


def forget(connection: Connection, router: str) -> None:
    """Remove a gateway that says goodbye, with what it confirmed."""
    connection.execute(delete(routers).where(routers.c.id == router))


def confirm(connection: Connection, router: str, revisions: Mapping[str, int], *, at: datetime) -> None:
    """Note which plan revision of each domain a gateway serves now; an older one never replaces a newer one.

    Raises:
        NotFound: the gateway was never seen, or there is no such domain.
    """
    if not revisions:
        return
    rows = [
        {"router_id": router, "domain_id": domain, "revision": revision, "at": at}
        for domain, revision in sorted(revisions.items())
    ]
    statement = upsert(
        connection,
        plan_confirmations,
        rows,
        replace=("revision", "at"),
        where=lambda new: new.revision > plan_confirmations.c.revision,
    )
    with constrained(missing=NotFound(f"gateway {router!r} or a domain it confirms is unknown")):
        connection.execute(statement)


def confirmations(
    connection: Connection, *, domain: str | None = None, live_since: datetime | None = None
) -> tuple[Confirmation, ...]:
    """Give what gateways have confirmed, of one domain or all, by gateways heard of since a moment or all."""
    query = select(plan_confirmations, routers.c.last_seen).join(routers)
    if domain is not None:
        query = query.where(plan_confirmations.c.domain_id == domain)
    if live_since is not None:
        query = query.where(routers.c.last_seen >= live_since)
    ordered = query.order_by(plan_confirmations.c.domain_id, plan_confirmations.c.router_id)
    return tuple(
        Confirmation(
            router=row.router_id, domain=row.domain_id, revision=row.revision, at=row.at, last_seen=row.last_seen
        )
        for row in connection.execute(ordered)
    )


def _next_sequence(connection: Connection) -> int:
    """Count up under a row lock kept to the end of the transaction, so that numbers commit in their order."""
    counted = upsert(
        connection, counters, {"name": "traffic_plans", "value": 1}, change={"value": counters.c.value + 1}
    ).returning(counters.c.value)
    return int(connection.execute(counted).scalar_one())


def _plan(row: Row[Any]) -> StoredPlan:
    return StoredPlan(
        plan=load(TrafficPlan, row.plan),
        sequence=row.sequence,
        rollout=row.rollout_id,
        attempt=row.attempt,
        step=row.step,
        created_at=row.created_at,
    )
