"""D, live traffic: what `experiments.traffic` makes of sums by bucket and epoch, while a bandit moves the split.

Users come with a rate of requests of their own (heavy-tailed, where they are sticky) and a level of their own; the
level of all drifts from epoch to epoch. Every epoch ends with a look. The bandit is `experiments.bandit`, as the
reconciler calls it; places move by its `rebalance`. Beside vedette's estimates stand those of `adaptive_pair`, for
requests that are independent, and means pooled over all epochs, as most dashboards show them.
"""

import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

import numpy as np
from bench.validity_parts.figures import ALPHA, Bar, Figure, Report, average, in_chunks, joined, share
from bench.validity_rules.pair import Array

from vedette.evidence.arms import BUCKET_ROWS, ArmSums
from vedette.evidence.experiment import ExperimentEvidence
from vedette.evidence.summary import FloatArray, Moments
from vedette.experiments.bandit import adaptive_pair, allocate, rebalance
from vedette.experiments.machine import Epoch
from vedette.experiments.metrics import Ratio, counted
from vedette.experiments.traffic import observe
from vedette.routing.layers import PLACES, ArmSlice, slices_of
from vedette.stats.contrasts import SequenceRule, contrasts
from vedette.stats.estimates import Estimates
from vedette.stats.sequential import MeanEstimate, balanced_size

ARMS = ("base", "second", "third")
EPOCHS = 20
EVENLY = dict(zip(ARMS, (333_334, 333_333, 333_333), strict=True))
CHUNK = 10
OURS = "vedette, traffic.observe"
INDEPENDENT = "vedette, adaptive_pair (independent requests)"
POOLED = "means pooled over epochs"


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Who comes, and what they do.

    Attributes:
        name: In a few words.
        effects: Of each arm.
        drift: How far the level of all arms moves from the first epoch to the last, in standard deviations.
        users: Sticky users; 0 where every request is another user.
        requests: Requests an epoch.
        bandit: Whether the split follows the evidence.
    """

    name: str
    effects: tuple[float, float, float]
    drift: float = 3.0
    users: int = 0
    requests: int = 400
    bandit: bool = True


WORLDS = (
    World(name="A/A, no bandit, sticky", effects=(0.0, 0.0, 0.0), users=800, requests=2000, bandit=False),
    World(name="A/A, fresh", effects=(0.0, 0.0, 0.0)),
    World(name="A/A, sticky", effects=(0.0, 0.0, 0.0), users=800, requests=2000),
    World(name="A/B, fresh", effects=(0.0, 0.15, 0.15)),
    World(name="A/B, fresh, level", effects=(0.0, 0.15, 0.15), drift=0.0),
    World(name="A/B, sticky", effects=(0.0, 0.3, 0.3), users=800, requests=2000),
)


@dataclass(slots=True)
class Population:
    """The users of one run; each has a place in the space of arms, a bucket, a rate and a level."""

    place: Array
    bucket: Array
    rate: Array
    level: Array

    @classmethod
    def of(cls, draw: np.random.Generator, world: World) -> "Population":
        """Draw them: the busiest of a hundred come twenty times as often as the median."""
        size = world.users or world.requests
        rate = draw.pareto(2.2, size) + 0.2 if world.users else np.ones(size)
        spread = 0.5 if world.users else 0.0
        return cls(
            place=draw.random(size) * PLACES,
            bucket=draw.integers(0, BUCKET_ROWS - 1, size).astype(np.float64),
            rate=rate * world.requests / rate.sum(),
            level=draw.normal(0.0, spread, size),
        )


def _seen(users: Population, counts: Array, totals: Array, squares: Array, mine: Array) -> ArmSums:
    """Sum what the users of one arm did, by bucket."""
    bucket = users.bucket[mine].astype(np.int64)

    def by_bucket(values: Array) -> FloatArray:
        return np.bincount(bucket, values[mine], minlength=BUCKET_ROWS).astype(np.float64)

    n, total, square = by_bucket(counts), by_bucket(totals), by_bucket(squares)
    mean = total / np.maximum(n, 1.0)
    nothing = np.zeros(BUCKET_ROWS)
    return ArmSums(
        measures={
            "requests": Moments(n, (n > 0).astype(np.float64), nothing),
            "y": Moments(n, mean, np.maximum(square - n * mean**2, 0.0)),
        },
        histograms={},
    )


def epoch_of(
    draw: np.random.Generator, users: Population, world: World, number: int, slices: tuple[ArmSlice, ...]
) -> dict[str, ArmSums]:
    """Let one epoch happen."""
    level = world.drift * number / (EPOCHS - 1)
    counts = draw.poisson(users.rate).astype(np.float64) if world.users else np.ones(users.rate.size)
    arms: dict[str, ArmSums] = {}
    for arm, effect in zip(ARMS, world.effects, strict=True):
        mine = np.zeros(users.place.size, bool)
        for piece in slices:
            if piece.arm == arm:
                mine |= (users.place >= piece.begin) & (users.place < piece.end)
        centre = level + effect + users.level
        totals = counts * centre + np.sqrt(counts) * draw.standard_normal(counts.size)
        # Within a user the squares scatter by chance too; their expectation will do, nothing here reads more.
        squares = counts * (centre**2 + 1.0) if world.users else totals**2
        arms[arm] = _seen(users, counts, totals, squares, mine)
    return arms


def run_one(draw: np.random.Generator, world: World) -> dict[str, tuple[float, float]]:
    """By way of estimating: the look (from 1) that first calls the second arm different from the base, and misses."""
    users = Population.of(draw, world)
    slices, shares = slices_of(EVENLY), dict(EVENLY)
    epochs: list[Epoch] = []
    seen: dict[int, dict[str, ArmSums]] = {}
    rows: list[dict[str, Moments[float]]] = []
    metric = Ratio("y", counted("y"), role="primary")
    tuning = world.requests * EPOCHS * 2.0 / 3.0
    rule = SequenceRule(alpha=ALPHA, tuning=tuning)
    first = dict.fromkeys((OURS, INDEPENDENT, POOLED), np.inf)
    missed = dict.fromkeys(first, 0.0)
    truth = world.effects[1] - world.effects[0]
    for number in range(EPOCHS):
        if not world.users:
            users = Population.of(draw, world)
        epochs.append(Epoch(number=number + 1, since=datetime(2026, 1, 1, tzinfo=UTC), shares=shares))
        seen[number + 1] = epoch_of(draw, users, world, number, slices)
        rows.append({arm: sums.of("y").pooled() for arm, sums in seen[number + 1].items()})
        found = observe([metric], ExperimentEvidence(epochs=seen), epochs, ARMS).found
        made = contrasts(found, [("second", "base")], rule)
        intervals = {OURS: (float(made.low[0, 0]), float(made.high[0, 0]))}
        intervals |= _others(rows, rule)
        for name, (low, high) in intervals.items():
            if low > 0 or high < 0:
                first[name] = min(first[name], number + 1.0)
            if low > truth or high < truth:
                missed[name] = 1.0
        if world.bandit:
            shares = _moved(found, shares)
            slices = rebalance(slices, shares)
    return {name: (first[name], missed[name]) for name in first}


def _moved(found: Estimates, shares: Mapping[str, int]) -> dict[str, int]:
    known = {
        arm: MeanEstimate(float(found.mean[0, place]), float(found.variance[0, place]), float(found.clock[0, place]))
        for place, arm in enumerate(found.arms)
    }
    return dict(allocate(known, shares).weights)


def _others(rows: Sequence[Mapping[str, Moments[float]]], rule: SequenceRule) -> dict[str, tuple[float, float]]:
    """Intervals of the other ways of estimating, by the same sequence; without end where they say nothing."""
    whole = {arm: sum((each[arm] for each in rows[1:]), rows[0][arm]) for arm in ("base", "second")}
    pair = adaptive_pair(rows, "second", "base")
    base, second = MeanEstimate.of(whole["base"]), MeanEstimate.of(whole["second"])
    return {
        INDEPENDENT: _interval(pair.treatment, pair.control, pair.n, rule),
        POOLED: _interval(second, base, balanced_size(second.n, base.n), rule),
    }


def _interval(treatment: MeanEstimate, control: MeanEstimate, n: float, rule: SequenceRule) -> tuple[float, float]:
    error = np.sqrt(treatment.variance + control.variance)
    half = error * float(rule.critical(np.array([np.inf]), np.array([n]))[0])
    effect = treatment.mean - control.mean
    return (-np.inf, np.inf) if np.isnan(half) else (effect - half, effect + half)


def chunk(world: World, runs: int, seed: int) -> dict[str, Array]:
    """Give looks of first claims and misses, shape (2, runs), by way of estimating."""
    draw = np.random.default_rng(seed)
    parts = [run_one(draw, world) for _ in range(runs)]
    return {name: np.array([part[name] for part in parts]).T for name in parts[0]}


def run(report: Report, *, runs: int, seed: int, pool: Executor) -> None:
    """Print misses of the sequences over all looks, and how often and how soon effects are found."""
    misses: dict[str, dict[str, Figure]] = {}
    power: dict[str, dict[str, Figure]] = {}
    for place, world in enumerate(WORLDS):
        begun = time.perf_counter()
        found = in_chunks(partial(chunk, world), runs, CHUNK, (seed, 5, place), pool)
        print(f"D: {world.name}, {runs} runs, {time.perf_counter() - begun:.0f} s", file=sys.stderr, flush=True)
        for name, parts in found.items():
            if name == INDEPENDENT and world.users:
                continue  # its requests are not independent
            first, missed = joined([part.T for part in parts]).T
            misses.setdefault(name, {})[world.name] = share(missed)
            if any(world.effects):
                power.setdefault(name, {})[f"found, {world.name[5:]}"] = share(np.isfinite(first))
                power[name][f"look, {world.name[5:]}"] = average(np.minimum(first, EPOCHS + 1.0))
    bars = {(OURS, world.name): Bar("most", ALPHA) for world in WORLDS}
    names = [world.name for world in WORLDS]
    report.table(
        "D. Live traffic, three arms, 20 looks: the truth is outside the sequence at some look", names, misses, bars
    )
    columns = list(dict.fromkeys(column for row in power.values() for column in row))
    report.table("D. The same: the effect is found, and the mean look at which it is", columns, power)
