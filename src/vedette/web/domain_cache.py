"""The caches of a domain on its page: how often they answer, what that saves, how often a likeness was no answer."""

from collections.abc import Mapping
from typing import Any

from vedette.catalog.cache import Semantic
from vedette.catalog.domain import Domain
from vedette.charts.sparkline import sparkline
from vedette.control.reuse import CacheUse, cache_use
from vedette.kernel.clock import say_duration
from vedette.kernel.tables import UNKNOWN, Table, say_interval, say_percent
from vedette.routing.plan import TrafficPlan
from vedette.routing.reuse import FalseHits
from vedette.web.ask import Ask
from vedette.web.markup import drawn


def figures(ask: Ask, domain: Domain, plan: TrafficPlan) -> Mapping[str, Any]:
    """Give what the domain's template says of its caches and of batches."""
    use, cache = cache_use(ask.plane, domain), domain.config.cache
    semantic = cache.semantic if cache else None
    return {
        "cache": use,
        "semantic": semantic,
        "hit_rates": _hit_rates(use) if use else "",
        "saved": _saved(use) if use else "",
        "false_share": _share(use.false_hits) if use and use.false_hits else "",
        "judged": _judged(use.false_hits, semantic) if use and use.false_hits and semantic else None,
        "batch": max((it.batch for it in plan.backends.values() if it.kind == "local"), default=1),
    }


def _hit_rates(use: CacheUse) -> object:
    said = say_percent(use.day.hit_rate, signed=False)
    label = f"Hit rate by hour, last day; {said} over all"
    return drawn(sparkline([it.reuse.hit_rate for it in use.hours], label=label, width=360, height=64))


def _saved(use: CacheUse) -> str:
    seconds = use.day.saved
    if seconds is None:
        return UNKNOWN
    return f"{'−' if seconds < 0 else ''}{say_duration(abs(seconds))}"


def _share(found: FalseHits) -> str:
    return say_interval(found.low, found.high, lambda share: say_percent(share, signed=False))


def _judged(found: FalseHits, policy: Semantic) -> tuple[str, str, str]:
    """Say how false hits stand beside what is tolerated: the tone, the sign and the words of a badge."""
    tolerated = policy.tolerated / 100
    if not found.verified:
        return "idle", "dot", "none verified yet"
    if found.low > tolerated:
        return "bad", "stop", "more than tolerated"
    if found.high <= tolerated:
        return "good", "ok", "within what is tolerated"
    return "wait", "hold", "not certain yet"


def sheet(ask: Ask, name: str) -> Table:
    """Give what the caches did in each hour of the last day; no row where there are none."""
    use = cache_use(ask.plane, ask.plane.domains.get(name))
    rows = tuple(
        (
            it.at,
            int(it.reuse.asked),
            int(it.reuse.hits),
            int(it.reuse.similar),
            it.reuse.hit_ms,
            it.reuse.answer_ms,
            it.reuse.saved,
            it.verified,
            it.false,
        )
        for it in (use.hours if use else ())
    )
    return Table(_COLUMNS, rows)


_COLUMNS = (
    "hour",
    "asked",
    "hits",
    "similar",
    "ms of a hit",
    "ms without",
    "seconds saved",
    "verified",
    "false",
)
