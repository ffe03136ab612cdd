"""D: does an interval of 95 % hold the truth in 95 % of data sets, for each kind there is?"""

import sys
import time
from concurrent.futures import Executor
from functools import partial

from bench.validity_parts.figures import Bar, Figure, Report, in_chunks, joined, share
from bench.validity_parts.kinds import KINDS, Kind
from bench.validity_parts.uniform import UNIFORM
from bench.validity_rules.pair import Array
from numpy.random import default_rng

CHUNK = 250
COVERAGE = "held the truth"
AT_LEAST = frozenset(
    {
        "relative, Fieller, control near 0",  # a set without bound is said to hold everything
        "simultaneous, Bonferroni",
        "confidence sequence, all looks",
        "relative confidence sequence, all looks",
        "fair split, 100 looks",
        "fair split of sticky users, 10 looks",
    }
)
"""Kinds that promise 95 % or more; the others promise 95 %."""


def work(name: str, runs: int, seed: int) -> dict[str, Array]:
    """Say of each data set whether a kind of interval held the truth."""
    kind: Kind = {**KINDS, **UNIFORM}[name]
    return {name: kind(default_rng(seed), runs).astype(float)}


def run(report: Report, *, runs: int, seed: int, pool: Executor) -> None:
    """Print the share of data sets whose truth each kind held."""
    rows: dict[str, dict[str, Figure]] = {}
    for place, name in enumerate({**KINDS, **UNIFORM}):
        begun = time.perf_counter()
        found = in_chunks(partial(work, name), runs, CHUNK, (seed, 4, place), pool)
        rows[name] = {COVERAGE: share(joined(found[name]))}
        print(f"D: {name}, {runs} runs, {time.perf_counter() - begun:.0f} s", file=sys.stderr, flush=True)
    bars = {(name, COVERAGE): Bar("least" if name in AT_LEAST else "about", 0.95) for name in rows}
    report.table("D. Intervals of 95 % (error in thousandths)", [COVERAGE], rows, bars)
