"""The figures of caches as the plane has them: of which hours, and since when a setting is judged."""

from datetime import UTC, datetime, timedelta

from tests.control.world import World

from vedette.catalog.cache import Cache, Semantic
from vedette.catalog.domain import DomainConfig, DomainSpec
from vedette.control.reuse import CacheUse, cache_use

CHANGED = datetime(2026, 11, 20, 21, 30, 20, tzinfo=UTC)


def use(world: World) -> CacheUse:
    """Give the figures of the domain pay."""
    found = cache_use(world.plane, world.plane.domains.get("pay"))
    assert found is not None
    return found


def policy(world: World, at: datetime, semantic: Semantic | None, **config: float) -> None:
    """Give the domain a cache at a moment."""
    world.clock.calendar = at
    spec = DomainSpec(config=DomainConfig(cache=Cache(semantic=semantic), retries=int(config.get("retries", 1))))
    world.plane.domains.update("pay", spec, actor="ada")


def verify(world: World, at: datetime, *, false: int, good: int = 0) -> None:
    """Record verified hits at a moment."""
    world.clock.calendar = at
    world.ship("pay", 0, {"v1": (false, 0)}, false_hit=1.0)
    world.ship("pay", 0, {"v1": (good, 0)}, false_hit=0.0)


def test_a_domain_without_a_cache_has_no_figures(pay: World):
    """None where there is no cache; no false hits where questions are not compared."""
    assert cache_use(pay.plane, pay.plane.domains.get("pay")) is None
    policy(pay, CHANGED, None)
    assert use(pay).false_hits is None


def test_hits_are_of_the_last_24_hours(pay: World):
    """The hour that is now is the last of 24, and what was before them is in none."""
    policy(pay, CHANGED, None)
    for hours, count in ((-24, 7), (-23, 5), (0, 3)):
        pay.clock.calendar = CHANGED + timedelta(days=2, hours=hours)
        pay.ship("pay", 2, {"v1": (count, 0)}, cached=1.0, cached_ms=2.0)
    pay.clock.calendar = CHANGED + timedelta(days=2)
    found = use(pay)
    assert found.day.hits == 8
    assert [(place, it.reuse.hits) for place, it in enumerate(found.hours) if it.reuse.hits] == [(0, 5), (23, 3)]
    assert found.hours[23].at == datetime(2026, 11, 22, 21, tzinfo=UTC)


def test_false_hits_are_counted_since_the_setting_that_made_them(pay: World):
    """From another threshold on verified hits count anew, over minutes, hours and days; other changes keep them."""
    policy(pay, CHANGED - timedelta(days=3), Semantic(threshold=0.8))
    verify(pay, CHANGED - timedelta(seconds=10), false=50)
    policy(pay, CHANGED, Semantic(threshold=0.9))
    for later in (timedelta(minutes=2), timedelta(hours=1), timedelta(hours=3), timedelta(days=4)):
        verify(pay, CHANGED + later, false=1, good=9)
    policy(pay, CHANGED + timedelta(days=5), Semantic(threshold=0.9, tolerated=5.0), retries=2)
    found = use(pay)
    assert found.since == datetime(2026, 11, 20, 21, 31, tzinfo=UTC)
    assert found.false_hits is not None
    assert (found.false_hits.verified, found.false_hits.false) == (40, 4)


def test_the_first_setting_counts_from_its_own_minute(pay: World):
    """Where nothing was compared before, what happens in the minute of the change is of the new setting alone."""
    policy(pay, CHANGED, Semantic())
    verify(pay, CHANGED + timedelta(seconds=5), false=1)
    found = use(pay)
    assert found.since == CHANGED.replace(second=0)
    assert found.false_hits is not None
    assert found.false_hits.verified == 1
