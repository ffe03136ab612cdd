"""A: how often two arms that are the same are called different, with a look after every pair of users."""

import sys
import time
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial

import numpy as np
from bench.validity_parts.figures import ALPHA, D80, PLANNED, Bar, Figure, Report, in_chunks, joined, share
from bench.validity_rules import growthbook, mixtures, peeking, planned
from bench.validity_rules.pair import Array, Claims, Looks, both_scales, running

from vedette.experiments.monitoring import AnytimeValid, GroupSequential
from vedette.stats.contrasts import SequenceRule

CHUNK = 50
TUNE_AT = 2.0 * PLANNED
"""As a planner sets it who knows when the experiment should end: the planned units of both arms."""


@dataclass(frozen=True, slots=True)
class Population:
    """What users do, the same in both arms, and the size of each arm at the first look."""

    name: str
    draw: Callable[[np.random.Generator, tuple[int, ...]], Array]
    first: int


POPULATIONS = (
    Population("normal, 20", lambda draw, shape: draw.normal(1.0, 1.0, shape), 20),
    Population("normal, 200", lambda draw, shape: draw.normal(1.0, 1.0, shape), 200),
    Population("Bernoulli .1, 20", lambda draw, shape: (draw.random(shape) < 0.1).astype(np.float64), 20),
    Population("Bernoulli .01, 200", lambda draw, shape: (draw.random(shape) < 0.01).astype(np.float64), 200),
    Population("lognormal, 20", lambda draw, shape: draw.lognormal(0.0, 2.0, shape), 20),
)

PEERS: dict[str, Callable[[Looks], Claims]] = {
    "Welch's t at every look (most tools)": peeking.welch,
    "GrowthBook Bayesian, 95 % / 5 %": peeking.chance_to_win,
    "GrowthBook sequential, absolute": growthbook.absolute,
    "GrowthBook sequential, relative (its default)": growthbook.relative,
    "the same bound on the log ratio": growthbook.log_ratio,
    "seqabpy GAVI": mixtures.gavi,
    "seqabpy mSPRT, default": mixtures.msprt,
    "seqabpy mSPRT, phi fixed": partial(mixtures.msprt, effect=D80),
    "seqabpy Statsig SPRT": mixtures.statsig,
    "seqabpy Statsig v1": mixtures.statsig_first,
    "TensorZero likelihood ratio": mixtures.likelihood_ratio,
}


def anytime() -> SequenceRule:
    """Give vedette's rule for looks at any time, as the planner sets it."""
    return SequenceRule(alpha=ALPHA, tuning=AnytimeValid(tune_at=TUNE_AT).tune_at)


def default_design() -> GroupSequential:
    """Give vedette's planned looks as the spec has them by default."""
    return GroupSequential(units=2 * PLANNED)


def chunk(place: int, runs: int, seed: int) -> dict[str, Array]:
    """Say of each run and rule whether it ever claimed a difference, in one of the populations."""
    draw, population = np.random.default_rng(seed), POPULATIONS[place]
    looks = running(population.draw(draw, (2, runs, PLANNED)), population.first)
    ours = both_scales(looks, anytime())
    claims = {f"vedette AnytimeValid, {scale}": found for scale, found in ours.items()}
    claims["vedette GroupSequential, default"] = planned.ours(looks, default_design(), PLANNED)
    claims |= {name: rule(looks) for name, rule in PEERS.items()}
    claims |= {
        name: planned.classical(looks, design, count, PLANNED) for name, (design, count) in planned.CLASSICAL.items()
    }
    return {name: np.asarray(found.any(axis=1), np.float64) for name, found in claims.items()}


def run(report: Report, *, runs: int, seed: int, pool: Executor) -> None:
    """Print the table of false claims."""
    rows: dict[str, dict[str, Figure]] = {}
    for place, population in enumerate(POPULATIONS):
        begun = time.perf_counter()
        found = in_chunks(partial(chunk, place), runs, CHUNK, (seed, 1, place), pool)
        for name, parts in found.items():
            rows.setdefault(name, {})[population.name] = share(joined(parts))
        print(f"A: {population.name}, {runs} runs, {time.perf_counter() - begun:.0f} s", file=sys.stderr, flush=True)
    names = [population.name for population in POPULATIONS]
    bars = {(row, name): Bar("most", ALPHA) for row in rows if row.startswith("vedette") for name in names}
    report.table(
        f"A. Two equal arms, a look after every pair of users from the first to {PLANNED} an arm: "
        "share of experiments that ever claim a difference (error in thousandths)",
        names,
        rows,
        bars,
    )
