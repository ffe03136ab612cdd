"""A domain that protects itself: it wants keys, one of which ends soon, and gives answers again."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from vedette.catalog.backend import Backend, OpenAIBackend
from vedette.catalog.cache import Cache, Semantic
from vedette.catalog.domain import DomainConfig, DomainSpec
from vedette.catalog.key import KeySpec
from vedette.catalog.limits import Rates
from vedette.catalog.shadow import Shadow
from vedette.catalog.version import VersionSpec
from vedette.control.plane import ControlPlane
from vedette.evidence.outcome import Outcome, OutcomeStatus

ADJUSTER = OpenAIBackend(url="http://127.0.0.1:9/v1", model="adjuster")
HIT = {"cached": 1.0, "cached_ms": 2.0}
MISS = {"cached": 0.0, "latency_ms": 802.0, "error": 0.0}


def claims(
    plane: ControlPlane,
    *,
    semantic: Semantic | None = None,
    backend: Backend = ADJUSTER,
    shadow: Shadow | None = None,
) -> None:
    """Make the domain ``claims``: its stable version, and the caches."""
    config = DomainConfig(access="keys", cache=Cache(semantic=semantic), shadow=shadow)
    plane.domains.create("claims", DomainSpec(title="Insurance claims", config=config), actor="ann")
    plane.versions.register("claims", "v1", VersionSpec(backend=backend), actor="ann")
    plane.versions.install("claims", "v1", actor="ann")


def keys(plane: ControlPlane) -> None:
    """Make a key that ends soon, one that ends later, and one that never does."""
    now = plane.instruments.now()
    for name, days in (("mobile-app", 3.5), ("partner", 90.5)):
        spec = KeySpec(domains=("claims",), expires_at=now + timedelta(days=days), note=f"<b>{name}</b>")
        plane.keys.create(name, spec, actor="ann")
    plane.keys.create("batch", KeySpec(limits=Rates(requests_per_minute=60)), actor="ann")


def answered(
    plane: ControlPlane, count: int, measures: Mapping[str, float], *, at: datetime | None = None, version: str = "v1"
) -> None:
    """Record so many outcomes that measure the same."""
    moment = at or plane.instruments.now()
    shadow = "shadow" in measures
    batch = plane.instruments.new_id()
    outcomes = [
        Outcome(
            id=f"{batch}-{number}",
            domain="claims",
            at=moment,
            assigned=version,
            served=version,
            plan_revision=0 if shadow else 2,
            bucket=-1 if shadow else number % 1024,
            status=OutcomeStatus.OK,
            measures=dict(measures),
        )
        for number in range(count)
    ]
    plane.lake.ship(batch, outcomes)


def verified(plane: ControlPlane, count: int, *, false: int, at: datetime | None = None) -> None:
    """Record so many verified hits, some of them false."""
    answered(plane, count - false, {"shadow": 1.0, "false_hit": 0.0}, at=at)
    answered(plane, false, {"shadow": 1.0, "false_hit": 1.0}, at=at)
