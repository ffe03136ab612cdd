"""Gathering one look at a rollout: from the store where it is, from the lake what happened."""

import logging
from datetime import datetime, timedelta

from sqlalchemy import Connection

from vedette.catalog.domain import DomainConfig
from vedette.control.commit import UNDO
from vedette.control.traffic import Traffic
from vedette.evidence.metric import BUILT_IN, Metric
from vedette.evidence.summary import EMPTY
from vedette.kernel.errors import Corrupt, Unavailable
from vedette.kernel.records import evolve
from vedette.lake.evidence import LakeReader
from vedette.rollouts.advance import Look, Peer, reached
from vedette.rollouts.machine import ACTIVE, RolloutStatus
from vedette.rollouts.observation import exposures, observe
from vedette.store import domains, plans, rollouts, versions
from vedette.store.rollouts import StoredRollout

log = logging.getLogger(__name__)

_RECENT = timedelta(minutes=2)
_ENOUGH = 20
_BROKEN = 0.5


def lease_name(stored: StoredRollout) -> str:
    """Name the lease under which a rollout is watched and moved: its group's, so that one replica moves a whole group.

    What a group allows (how many in flight, which step) is thus decided by one after the other, never side by side.
    """
    group = stored.spec.group
    return f"group/{group.name}" if group else f"rollout/{stored.id}"


def take_look(connection: Connection, lake: LakeReader, traffic: Traffic, stored: StoredRollout, now: datetime) -> Look:
    """Gather all that one look at a rollout sees; evidence that cannot be read makes it ``readable=False``."""
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
    weights = _weights(connection, stored.id, status)
    config = domains.get(connection, stored.domain).config
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
        log.warning("the evidence of rollout %s cannot be read: %s", stored.id, error)
        return evolve(bare, readable=False)
    if config.assignment.missing == "stable" and config.assignment.unit != "request":
        evidence = evidence.with_units()
    return evolve(
        bare,
        observations={metric.name: observe(metric, evidence, status.step_plan) for metric in _metrics(config)},
        exposures=exposures(evidence, weights),
        stable_healthy=healthy,
    )


def _metrics(config: DomainConfig) -> tuple[Metric, ...]:
    return (*BUILT_IN, *config.metrics)


def _weights(connection: Connection, rollout: str, status: RolloutStatus) -> dict[int, float]:
    """Give the canary weight (percent) of every plan revision of this attempt."""
    weights: dict[int, float] = {}
    after = None
    while True:
        found = plans.history(connection, rollout=rollout, after=after, limit=1000)
        for stored in found.items:
            if stored.plan.canary and stored.attempt == status.attempt and stored.plan.revision >= status.first_plan:
                weights[stored.plan.revision] = stored.plan.canary.weight / 10_000
        if found.next is None:
            return weights
        after = found.next


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
