"""The figures of a domain's caches: the last day hour by hour, and its false hits since the setting is what it is."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from vedette.catalog.cache import Semantic
from vedette.catalog.domain import Domain
from vedette.control.foundation import Foundation
from vedette.kernel.records import record
from vedette.lake.evidence import LakeReader, Minute
from vedette.routing.reuse import FalseHits, Reuse, false_hits_of, reuse_of, verdicts_of
from vedette.store import domains
from vedette.store.pages import LARGEST

HOURS = 24
"""How far back the figures of hits go."""
_MINUTE, _HOUR, _DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


@record
class ReuseHour:
    """What the cache did in the hour that begins at ``at``, and how many hits were verified and found false in it."""

    at: datetime
    reuse: Reuse
    verified: int
    false: int


@record
class CacheUse:
    """What a domain's caches did: all of the last day, each of its hours in order, and how many hits were false.

    ``since`` is when the semantic cache was given the embedding, threshold and agreement it has: hits before say
    nothing of it. ``false_hits`` is None where there is no semantic cache.
    """

    day: Reuse
    hours: tuple[ReuseHour, ...]
    since: datetime | None = None
    false_hits: FalseHits | None = None


def cache_use(plane: Foundation, domain: Domain) -> CacheUse | None:
    """Give the figures of a domain's caches; None where it has none.

    Raises:
        Unavailable: the lake does not answer.
    """
    cache, now = domain.config.cache, plane.instruments.now()
    if cache is None:
        return None
    begin = _floor(now, _HOUR) - (HOURS - 1) * _HOUR
    steps = plane.lake.hours(domain.id, begin, now + _MINUTE, copies=True)
    hours = []
    for place in range(HOURS):
        at = begin + place * _HOUR
        sums = [(step.version, step.measures) for step in steps if step.at == at]
        verified, false = verdicts_of(sums)
        hours.append(ReuseHour(at=at, reuse=reuse_of(sums), verified=verified, false=false))
    day = reuse_of((step.version, step.measures) for step in steps)
    if cache.semantic is None:
        return CacheUse(day=day, hours=tuple(hours))
    since = _since(plane, domain.id, cache.semantic)
    seen = ((step.version, step.measures) for step in _steps(plane.lake, domain.id, since, now + _MINUTE))
    return CacheUse(day=day, hours=tuple(hours), since=since, false_hits=false_hits_of(seen))


def _since(plane: Foundation, domain: str, policy: Semantic) -> datetime:
    """Find when hits began to be judged as they are now: a fixed moment, which the interval of their share needs."""
    wanted, since, after = _judged_by(policy), plane.instruments.now(), None
    with plane.changes.reading() as connection:
        while True:
            page = domains.revisions(connection, domain, after=after, limit=LARGEST)
            for revision in page.items:
                cache = revision.domain.config.cache
                policy_then = cache.semantic if cache else None
                if policy_then is None:
                    return _floor(since, _MINUTE)  # nothing was judged before
                if _judged_by(policy_then) != wanted:
                    return _ceiling(since, _MINUTE)  # its minute is of two settings
                since = revision.at
            if page.next is None:
                return _floor(since, _MINUTE)
            after = page.next


def _judged_by(policy: Semantic) -> tuple[str, float]:
    return policy.name, policy.agreement


def _steps(lake: LakeReader, domain: str, since: datetime, until: datetime) -> Iterator[Minute]:
    """Give what happened from a minute on, in as few sums as there are: of minutes, then hours, then days."""
    hour, day = _ceiling(since, _HOUR), _ceiling(since, _DAY)
    for steps, begin, end in ((lake.minutes, since, hour), (lake.hours, hour, day), (lake.days, day, until)):
        if begin < min(end, until):
            yield from steps(domain, begin, min(end, until), copies=True)


def _floor(at: datetime, step: timedelta) -> datetime:
    return at - (at - _EPOCH) % step


def _ceiling(at: datetime, step: timedelta) -> datetime:
    return at + (_EPOCH - at) % step


_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
