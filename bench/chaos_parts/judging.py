"""What must be true at the end: answers and outcomes are the same, and the roll-ups are those of the outcomes."""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from vedette.evidence.outcome import Outcome, OutcomeStatus
from vedette.lake.evidence import LakeReader, Minute
from vedette.lake.queries import MEASURED

_ALWAYS = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
_HOLD = dict[tuple[datetime, str, str], list[float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What was found; ``lost`` and ``twice`` are ids, ``wrong`` sums that are not those of the outcomes."""

    kills: Mapping[str, int]
    answered: int
    cut: int
    stored: int
    lost: tuple[str, ...]
    twice: tuple[str, ...]
    wrong: tuple[str, ...]
    sums: int
    segments: int
    seconds: float
    notes: tuple[str, ...] = field(default=())

    @property
    def sound(self) -> bool:
        """Whether nothing was lost, nothing is there twice, and all sums are right."""
        return not (self.lost or self.twice or self.wrong)

    def text(self) -> str:
        """Say it."""
        killed = ", ".join(f"{name} {count}" for name, count in self.kills.items())
        extra = self.stored - self.answered + len(self.lost)
        lines = [
            f"{sum(self.kills.values())} kills in {self.seconds:.0f} s: {killed}",
            f"{self.answered:,} answers arrived whole, {self.cut:,} requests did not get one",
            f"{self.stored:,} outcomes stored, {extra:,} of them of answers cut off",
            f"{len(self.lost)} lost, {len(self.twice)} there twice; {self.segments} segments",
            f"{self.sums:,} sums of minutes, hours and days compared with the outcomes', {len(self.wrong)} wrong",
            *(f"  lost: {each}" for each in self.lost[:5]),
            *(f"  twice: {each}" for each in self.twice[:5]),
            *(f"  wrong: {each}" for each in self.wrong[:5]),
            *self.notes,
            "sound" if self.sound else "NOT SOUND",
        ]
        return "\n".join(lines)


def everything(lake: LakeReader, domain: str) -> list[Outcome]:
    """Read all outcomes of a domain."""
    found: list[Outcome] = []
    after = ""
    while True:
        page = lake.outcomes(domain, after=after, limit=50_000)
        found += page.items
        if not page.after:
            return found
        after = page.after


def repeated(ids: Iterable[str]) -> tuple[str, ...]:
    """Give what is there more than once."""
    return tuple(name for name, count in Counter(ids).items() if count > 1)


def wrong_sums(lake: LakeReader, domain: str, outcomes: Iterable[Outcome]) -> tuple[int, tuple[str, ...]]:
    """Compare every roll-up with the same of the outcomes; gives how many were compared, and those that differ."""
    kept = list(outcomes)
    compared, wrong = 0, []
    for name, rollups, begin in (
        ("minute", lake.minutes, lambda at: at.replace(second=0, microsecond=0)),
        ("hour", lake.hours, lambda at: at.replace(minute=0, second=0, microsecond=0)),
        ("day", lake.days, lambda at: at.replace(hour=0, minute=0, second=0, microsecond=0)),
    ):
        expected = _values(kept, begin)
        found = _sums(rollups(domain, *_ALWAYS))
        for key in expected.keys() | found.keys():
            compared += 1
            if not _same(expected.get(key, []), found.get(key)):
                wrong.append(f"{name} {key}: {found.get(key)} stored, {len(expected.get(key, []))} outcomes")
    return compared, tuple(wrong)


def _values(outcomes: Iterable[Outcome], begin: Callable[[datetime], datetime]) -> _HOLD:
    values: _HOLD = defaultdict(list)
    for outcome in outcomes:
        left = outcome.status is OutcomeStatus.CLIENT_CLOSED
        counted = {name: value for name, value in outcome.measures.items() if not (left and name in MEASURED)}
        for name, value in {"requests": 1.0, **counted}.items():
            values[begin(outcome.at), outcome.assigned, name].append(value)
    return values


def _sums(minutes: Iterable[Minute]) -> dict[tuple[datetime, str, str], tuple[float, float, float]]:
    return {
        (minute.at, minute.version, name): (sums.n, sums.mean, sums.m2)
        for minute in minutes
        for name, sums in minute.measures.items()
    }


def _same(values: list[float], found: tuple[float, float, float] | None) -> bool:
    if found is None or found[0] != len(values):
        return False
    mean = math.fsum(values) / len(values)
    squares = math.fsum((value - mean) ** 2 for value in values)
    return math.isclose(found[1], mean, rel_tol=1e-9) and math.isclose(found[2], squares, rel_tol=1e-9, abs_tol=1e-9)
