"""What giving answers again is worth, and how often a likeness was no answer: figures of caches from sums of outcomes.

A request that asked the cache has the measure ``cached``: 1 where it had the answer, 0 where it had not. A hit has
``cached_ms`` in place of a latency, and ``similar`` where the question was another one. A verified hit is an outcome of
its own, with ``false_hit`` 0 or 1.
"""

from collections.abc import Iterable, Mapping

from vedette.evidence.summary import EMPTY, Moments
from vedette.kernel.records import record
from vedette.stats import sequential

ALPHA = 0.05
"""Of the interval of false hits, as gateways take it."""

Sums = Mapping[str, Moments[float]]
"""Moments by measure."""


@record
class Reuse:
    """How often answers were given again, over some time, and what that saved.

    ``asked`` are the requests that asked the cache; ``similar`` of the ``hits`` were for a question like another one.
    ``hit_ms`` is the mean time of a hit, ``answer_ms`` what the versions took on average for the hits' share of
    traffic, and ``saved`` the seconds between the two, over all hits; None where no version answered anything itself.
    """

    asked: float = 0.0
    hits: float = 0.0
    similar: float = 0.0
    hit_ms: float | None = None
    answer_ms: float | None = None
    saved: float | None = None

    @property
    def hit_rate(self) -> float | None:
        """The share of the requests that asked; None without any."""
        return self.hits / self.asked if self.asked else None


@record
class FalseHits:
    """How many of the verified hits were false, and which share of all hits that may be.

    The interval is a 95 % confidence sequence: it holds however often one looks, from one fixed beginning on.
    """

    verified: int
    false: int
    low: float
    high: float


def reuse_of(sums: Iterable[tuple[str, Sums]]) -> Reuse:
    """Add up what versions did and say what the cache did for them.

    A hit saves what its version took on other requests, less what the hit itself took. Hits of a version that answered
    nothing itself are left out of that, and so count as saving nothing.

    Args:
        sums: by version; one version may come any number of times.
    """
    versions = added(sums)
    asked = sum((its.get("cached", EMPTY) for its in versions.values()), EMPTY)
    hit_ms = sum((its.get("cached_ms", EMPTY) for its in versions.values()), EMPTY)
    known = [(its["cached_ms"], its["latency_ms"]) for its in versions.values() if {*_TIMES} <= {*its}]
    hits = sum(hit.n for hit, _ in known)
    would = sum(hit.n * answer.mean for hit, answer in known)
    return Reuse(
        asked=asked.n,
        hits=asked.sum,
        similar=sum(its["similar"].sum for its in versions.values() if "similar" in its),
        hit_ms=hit_ms.mean if hit_ms.n else None,
        answer_ms=would / hits if hits else None,
        saved=(would - sum(hit.sum for hit, _ in known)) / 1000 if hits else None,
    )


def false_hits_of(sums: Iterable[tuple[str, Sums]]) -> FalseHits:
    """Say how many verified hits were false, all versions together, with the interval of their share."""
    verified, false = verdicts_of(sums)
    low, high = sequential.proportion(false, verified, alpha=ALPHA)
    return FalseHits(verified=verified, false=false, low=low, high=high)


def verdicts_of(sums: Iterable[tuple[str, Sums]]) -> tuple[int, int]:
    """Count the hits that were verified, all versions together, and how many of them were false."""
    verdicts = sum((its.get("false_hit", EMPTY) for _, its in sums), EMPTY)
    return round(verdicts.n), round(verdicts.sum)


def added(sums: Iterable[tuple[str, Sums]]) -> dict[str, dict[str, Moments[float]]]:
    """Merge sums by version and measure."""
    found: dict[str, dict[str, Moments[float]]] = {}
    for version, measures in sums:
        its = found.setdefault(version, {})
        for name, moments in measures.items():
            its[name] = its.get(name, EMPTY) + moments
    return found


_TIMES = ("cached_ms", "latency_ms")
