"""A rate from elsewhere: what a source's counters say of both arms, as the same observation every other rate gives.

What is missing is missing. An arm without series, or whose newest sample is old, was not measured, and neither was a
step in which the canary's counter has not moved: silence promotes nothing. A version that never failed has no series of
failures, which counts as none, but only if the other arm shows that the query finds such series at all.
"""

from collections.abc import Mapping
from typing import Literal

from vedette.evidence.counters import Counted
from vedette.evidence.source import PrometheusSource
from vedette.kernel.clock import say_duration
from vedette.rollouts.observation import RateCell, RateObservation, Unmeasured

Arm = Literal["canary", "stable"]
Group = Literal["canary bad", "canary total", "stable bad", "stable total"]
"""The four groups of counters of a source: bad events and all events, of either arm."""


def observe_counts(
    source: PrometheusSource, counted: Mapping[Group, Counted], *, step_plan: int, now: float
) -> RateObservation | Unmeasured:
    """Make of counted events what a verdict is made of, or say why they allow none.

    Args:
        source: how they were counted.
        counted: what each group of counters grew by, by plan revision and hour.
        step_plan: the first plan of this step.
        now: Unix seconds.
    """
    if why := _lacking(source, counted, step_plan, now):
        return Unmeasured(why=why)
    keys = {key for group in counted.values() for key in group.growth}
    cells = tuple(_cell(key, counted) for key in sorted(keys))
    return RateObservation(basis="requests", dispersion=source.dispersion, covered=1.0, cells=cells)


def _lacking(source: PrometheusSource, counted: Mapping[Group, Counted], step_plan: int, now: float) -> str:
    arms: tuple[tuple[Arm, Counted, Counted], ...] = (
        ("canary", counted["canary bad"], counted["canary total"]),
        ("stable", counted["stable bad"], counted["stable total"]),
    )
    for arm, _, total in arms:
        if not total.last:
            return f"no series of all events of the {arm} was found"
        if now - total.last > source.stale:
            return f"the {arm} has no sample of the last {say_duration(source.stale)}"
    if not any(bad.last for _, bad, _ in arms):
        return (
            "no series of bad events was found of either version, which a version that never fails and a mistake in "
            "the query have in common; let the counter begin at 0"
        )
    for arm, bad, total in arms:
        if bad.total > total.total:
            return f"the {arm} has {bad.total:g} bad events of {total.total:g} in all: bad must be a part of total"
    if not any(events for (revision, _), events in counted["canary total"].growth.items() if revision >= step_plan):
        return "the canary has no event counted in this step yet"
    return ""


def _cell(key: tuple[int, int], counted: Mapping[Group, Counted]) -> RateCell:
    """Make one cell; a bad event is an event, though targets scraped at other moments may count it a little sooner."""
    bad_canary, bad_stable = counted["canary bad"].growth.get(key, 0.0), counted["stable bad"].growth.get(key, 0.0)
    canary = max(counted["canary total"].growth.get(key, 0.0), bad_canary)
    stable = max(counted["stable total"].growth.get(key, 0.0), bad_stable)
    return RateCell.by_requests(
        revision=key[0], hour=key[1], canary=canary, stable=stable, bad_canary=bad_canary, bad_stable=bad_stable
    )
