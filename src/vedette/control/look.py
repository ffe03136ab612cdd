"""Gathering one look at a rollout: from the store where it is, from the lake what happened."""

import math
from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection

from vedette.catalog.domain import DomainConfig
from vedette.control.commit import UNDO
from vedette.control.passes import Unread
from vedette.control.readings import Ask, Wanted
from vedette.control.traffic import Traffic
from vedette.evidence.counters import Window
from vedette.evidence.metric import BUILT_IN, Metric
from vedette.evidence.summary import EMPTY
from vedette.kernel.errors import Corrupt, Unavailable
from vedette.kernel.records import evolve
from vedette.lake.evidence import LakeReader
from vedette.rollouts.advance import Look, Peer, reached
from vedette.rollouts.machine import ACTIVE, RolloutStatus
from vedette.rollouts.observation import exposures, observe
from vedette.store import domains, plans, rollouts, versions
from vedette.store.plans import StoredPlan
from vedette.store.rollouts import StoredRollout

_RECENT = timedelta(minutes=2)
_ENOUGH = 20
_BROKEN = 0.5


def lease_name(stored: StoredRollout) -> str:
    """Name the lease under which a rollout is watched and moved: its group's, so that one replica moves a whole group.

    What a group allows (how many in flight, which step) is thus decided by one after the other, never side by side.
    """
    group = stored.spec.group
    return f"group/{group.name}" if group else f"rollout/{stored.id}"


def take_look(
    connection: Connection,
    lake: LakeReader,
    traffic: Traffic,
    stored: StoredRollout,
    now: datetime,
    ask: Ask,
    unread: Unread,
) -> Look:
    """Gather all that one look at a rollout sees; evidence that cannot be read makes it ``readable=False``.

    ``ask`` gives, at once, what is known of metrics that have a source; ``unread`` is told why evidence cannot be read.
    """
    spec, status = stored.spec, stored.status
    newest = plans.current(connection, stored.domain)
    stable = versions.aliases(connection, stored.domain).get("stable", "")
    bare = Look(
        plan=newest.plan.revision if newest else 0,
        confirmed=traffic.confirmed(connection, stored.domain),
        stable=stable,
        observations={},
        recent_stables=_recent_stables(connection, stored.domain, stable),
        peers=_peers(connection, stored),
    )
    if status.started_at is None:
        return bare
    attempt = _attempt(connection, stored.id, status)
    weights = {it.plan.revision: it.plan.canary.weight / 10_000 for it in attempt if it.plan.canary}
    config = domains.get(connection, stored.domain).config
    outside = ask(_wanted(stored, config, stable, attempt))
    try:
        evidence = lake.evidence(
            stored.domain,
            canary=spec.version,
            stable=stable,
            plan_revisions=weights.keys(),
            history_versions=_tenants(connection, stored.domain, status.started_at - timedelta(seconds=spec.history)),
            history_since=status.started_at - timedelta(seconds=spec.history),
            history_until=status.started_at,
        )
        healthy = _is_healthy(lake, stored.domain, stable, now)
    except (Unavailable, Corrupt) as error:
        unread(error)
        return evolve(bare, readable=False)
    if config.assignment.missing == "stable" and config.assignment.unit != "request":
        evidence = evidence.with_units()
    return evolve(
        bare,
        observations={
            **{it.name: observe(it, evidence, status.step_plan) for it in _measured(config)},
            **outside.observations,
        },
        exposures=exposures(evidence, weights),
        stable_healthy=healthy,
        readable=outside.readable,
    )


def _measured(config: DomainConfig) -> tuple[Metric, ...]:
    """Give the metrics that outcomes hold."""
    return (*BUILT_IN, *(metric for metric in config.metrics if metric.source is None))


def _wanted(
    stored: StoredRollout, config: DomainConfig, stable: str, attempt: Sequence[StoredPlan]
) -> tuple[Wanted, ...]:
    """Give the sourced metrics that guard the rollout, and when each plan of the attempt was in force."""
    sources = {metric.name: metric.source for metric in config.metrics}
    return tuple(
        Wanted(
            rollout=stored.id,
            attempt=stored.status.attempt,
            domain=stored.domain,
            canary=stored.spec.version,
            stable=stable,
            metric=guardrail.metric,
            source=source,
            windows=_windows(attempt, source.settle),
            step_plan=stored.status.step_plan,
            decides=not guardrail.dry_run and guardrail.metric not in stored.status.overruled,
        )
        for guardrail in stored.spec.guardrails
        if (source := sources.get(guardrail.metric))
    )


def _windows(attempt: Sequence[StoredPlan], settle: float) -> tuple[Window, ...]:
    """Say when each plan was in force: from ``settle`` seconds after it was published until the next one was.

    Confirmations of replaced plans are not kept, and a replica that takes over must count in the same windows.
    """
    begun = [it.created_at.timestamp() for it in attempt]
    return tuple(
        Window(revision=it.plan.revision, begin=begin + settle, end=max(begin + settle, end))
        for it, begin, end in zip(attempt, begun, [*begun[1:], math.inf], strict=True)
    )


def _attempt(connection: Connection, rollout: str, status: RolloutStatus) -> tuple[StoredPlan, ...]:
    """Give every plan of this attempt in which the canary had traffic, in order."""
    found: list[StoredPlan] = []
    after = None
    while True:
        page = plans.history(connection, rollout=rollout, after=after, limit=1000)
        found += [
            it
            for it in page.items
            if it.plan.canary and it.attempt == status.attempt and it.plan.revision >= status.first_plan
        ]
        if page.next is None:
            return tuple(sorted(found, key=lambda it: it.plan.revision))
        after = page.next


def _tenants(connection: Connection, domain: str, since: datetime) -> tuple[str, ...]:
    """Give every version that was stable at some time since then."""
    found = versions.tenures(connection, domain, limit=100).items
    return tuple({tenure.version for tenure in found if tenure.until is None or tenure.until > since})


def _recent_stables(connection: Connection, domain: str, stable: str) -> tuple[str, ...]:
    """Give the versions that were stable before the present one, the latest first, each once, but for those undone."""
    found = versions.tenures(connection, domain, limit=100).items
    ended_by = ("", *(tenure.cause for tenure in found))  # a tenure ends where the next one begins, for its cause
    undone: dict[str, bool] = {}
    for tenure, cause in zip(found, ended_by, strict=False):
        undone.setdefault(tenure.version, cause.startswith(UNDO))
    return tuple(version for version, taken_back in undone.items() if version != stable and not taken_back)


def _peers(connection: Connection, stored: StoredRollout) -> tuple[Peer, ...]:
    """Give the other rollouts of the group that belong to this one's attempt: active, or ended after it was queued."""
    group = stored.spec.group
    if group is None:
        return ()
    return tuple(
        Peer(domain=other.domain, phase=other.status.phase, reached=reached(other.status))
        for other in rollouts.in_group(connection, group.name)
        if other.id != stored.id and (other.status.phase in ACTIVE or _ended(other.status) >= stored.status.queued_at)
    )


def _ended(status: RolloutStatus) -> datetime:
    """Give when a rollout ended: not before it began, though the calendar may have gone back since."""
    return max(filter(None, (status.queued_at, status.started_at, status.step_at, status.ended_at)))


def _is_healthy(lake: LakeReader, domain: str, stable: str, now: datetime) -> bool:
    """Say whether stable can take traffic back: not when most of its requests of the last two minutes failed."""
    errors = EMPTY
    for minute in lake.minutes(domain, now - _RECENT, now + timedelta(minutes=1)):
        if minute.version == stable:
            errors = errors + minute.measures.get("error", EMPTY)
    return errors.n < _ENOUGH or errors.mean <= _BROKEN
