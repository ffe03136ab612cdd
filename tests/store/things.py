"""Small domains, versions, rollouts and plans for tests of the store."""

from datetime import UTC, datetime, timedelta
from typing import Any

from vedette.catalog.backend import OpenAIBackend
from vedette.catalog.domain import Domain, DomainConfig
from vedette.catalog.lifecycle import DomainState
from vedette.catalog.version import ModelVersion, VersionSpec
from vedette.kernel.records import evolve
from vedette.rollouts.machine import RolloutStatus
from vedette.rollouts.spec import Group, RolloutSpec
from vedette.routing.plan import Canary, TrafficPlan
from vedette.store.rollouts import StoredRollout

NOW = datetime(2026, 11, 23, 12, 0, 0, 123456, tzinfo=UTC)
BACKEND = OpenAIBackend(url="http://127.0.0.1:8000/v1", model="m")


def after(seconds: float) -> datetime:
    """Give a moment some seconds after `NOW`."""
    return NOW + timedelta(seconds=seconds)


def domain(name: str, revision: int = 1, **changes: Any) -> Domain:
    """Make a domain."""
    made: dict[str, Any] = {
        "title": "Payments",
        "description": "",
        "labels": {"team": "köln"},
        "config": DomainConfig(),
        "state": DomainState.ACTIVE,
        "created_at": NOW,
        "updated_at": after(revision),
    }
    return Domain(id=name, revision=revision, **(made | changes))


def version(domain_id: str, name: str, **spec: Any) -> ModelVersion:
    """Make a version."""
    return ModelVersion(
        domain=domain_id, name=name, spec=VersionSpec(backend=BACKEND, **spec), created_at=NOW, created_by="ada"
    )


def status(**changes: Any) -> RolloutStatus:
    """Make a rollout's status."""
    return evolve(RolloutStatus(salt="s", queued_at=NOW), **changes)


def rollout(
    number: int, domain_id: str = "pay", to: str = "v2", *, group: Group | None = None, **state: Any
) -> StoredRollout:
    """Make a rollout whose id says its place in time."""
    return StoredRollout(
        id=f"0000-{number:04}",
        name="ship",
        domain=domain_id,
        spec=RolloutSpec(domain=domain_id, version=to, group=group),
        status=status(**state),
        created_at=after(number),
        created_by="ada",
    )


def plan(revision: int, domain_id: str = "pay", canary: Canary | None = None, stable: str = "v1") -> TrafficPlan:
    """Make a traffic plan."""
    return TrafficPlan(
        domain=domain_id,
        revision=revision,
        stable=stable,
        canary=canary,
        backends={"v1": BACKEND, "v2": BACKEND},
        config=DomainConfig(),
    )
