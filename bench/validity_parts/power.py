"""B: how often an effect that a fixed test finds with power 0.8 is found, and how soon."""

import sys
import time
from concurrent.futures import Executor
from functools import partial

import numpy as np
from bench.validity_parts.figures import (
    ALPHA,
    D80,
    PLANNED,
    Bar,
    Figure,
    Report,
    average,
    in_chunks,
    joined,
    share,
)
from bench.validity_parts.peeking import TUNE_AT, default_design
from bench.validity_rules import growthbook, mixtures, peeking, planned
from bench.validity_rules.pair import Array, Looks, both_scales, first_claim, running

from vedette.experiments.analysis import design_of
from vedette.experiments.monitoring import AnytimeValid
from vedette.stats.contrasts import SequenceRule
from vedette.stats.futility import LowConditionalPower
from vedette.stats.group_sequential import (
    RECOMMENDED_WITH_FUTILITY,
    Design,
    boundaries,
    equally_spaced,
    operate,
)
from vedette.stats.spending import Family

CHUNK = 20
FIRST = 20
DRIFT = D80 * np.sqrt(PLANNED / 2.0)
COLUMNS = ("power by N", "mean stop / N", "power by 2N", "mean stop / N by 2N")

ANYTIME = {
    "vedette AnytimeValid, tune_at = N": TUNE_AT,
    "vedette AnytimeValid, tune_at = N / 2": TUNE_AT / 2.0,
    "vedette AnytimeValid, tune_at = 2 N": 2.0 * TUNE_AT,
}
SPENDING: dict[str, Design] = {
    "power, rho 2": Design(family=Family.POWER, parameter=2.0),
    "power, rho 3": Design(family=Family.POWER, parameter=3.0),
    "power, rho 4": Design(family=Family.POWER, parameter=4.0),
    "Lan-DeMets O'Brien-Fleming": Design(family=Family.LAN_DEMETS_OBRIEN_FLEMING),
    "Lan-DeMets Pocock": Design(family=Family.LAN_DEMETS_POCOCK),
    "Hwang-Shih-DeCani -2": Design(family=Family.HWANG_SHIH_DECANI, parameter=-2.0),
    "Hwang-Shih-DeCani -4": Design(family=Family.HWANG_SHIH_DECANI, parameter=-4.0),
    "Hwang-Shih-DeCani -5": Design(family=Family.HWANG_SHIH_DECANI, parameter=-5.0),
    "Hwang-Shih-DeCani -8": Design(family=Family.HWANG_SHIH_DECANI, parameter=-8.0),
    "Hwang-Shih-DeCani -5, futility .05": Design(
        family=Family.HWANG_SHIH_DECANI, parameter=-5.0, futility=LowConditionalPower(threshold=0.05)
    ),
    "Hwang-Shih-DeCani -5, futility .05 at power .9": RECOMMENDED_WITH_FUTILITY,
}


def chunk(runs: int, seed: int) -> dict[str, Array]:
    """Size of each arm at which each rule claims the effect, infinite if it does not by 2 N; and by N alone."""
    draw = np.random.default_rng(seed)
    values = draw.normal(1.0, 1.0, (2, runs, 2 * PLANNED))
    values[1] += D80
    looks = running(values, FIRST)
    found: dict[str, Array] = {}
    for name, tuning in ANYTIME.items():
        rule = SequenceRule(alpha=ALPHA, tuning=AnytimeValid(tune_at=tuning).tune_at)
        for scale, claims in both_scales(looks, rule).items():
            found[f"{name}, {scale}"] = first_claim(claims) + FIRST
    for name, peer in (
        ("GrowthBook sequential, absolute", growthbook.absolute),
        ("GrowthBook sequential, relative", growthbook.relative),
        ("seqabpy GAVI", mixtures.gavi),
        ("seqabpy mSPRT, phi fixed", partial(mixtures.msprt, effect=D80)),
        ("seqabpy Statsig SPRT", mixtures.statsig),
        ("TensorZero likelihood ratio", mixtures.likelihood_ratio),
    ):
        found[name] = first_claim(peer(looks)) + FIRST
    return found | _at_planned_looks(looks)


def _at_planned_looks(looks: Looks) -> dict[str, Array]:
    """Sizes at which designs that end at N claim the effect; a fixed test is one look."""
    found: dict[str, Array] = {}
    plan = default_design()
    found["vedette GroupSequential, default"] = (
        (first_claim(planned.ours(looks, plan, PLANNED)) + 1.0) * PLANNED / plan.looks
    )
    for name, (design, count) in planned.CLASSICAL.items():
        found[name] = (first_claim(planned.classical(looks, design, count, PLANNED)) + 1.0) * PLANNED / count
    fixed = peeking.welch(looks.at(np.array([PLANNED])))[:, 0]
    return found | {"fixed horizon, Welch's t": np.where(fixed, float(PLANNED), np.inf)}


def run(report: Report, *, runs: int, seed: int, pool: Executor) -> None:
    """Print what was simulated, and what designs of planned looks do exactly."""
    begun = time.perf_counter()
    found = in_chunks(chunk, runs, CHUNK, (seed, 2), pool)
    print(f"B: {runs} runs, {time.perf_counter() - begun:.0f} s", file=sys.stderr, flush=True)
    rows: dict[str, dict[str, Figure]] = {}
    for name, parts in found.items():
        stops = joined(parts)
        rows[name] = {COLUMNS[0]: share(stops <= PLANNED), COLUMNS[1]: average(np.minimum(stops / PLANNED, 1.0))}
        if "Valid" in name or "sequential, " in name or "seqabpy" in name or "TensorZero" in name:
            rows[name] |= {COLUMNS[2]: share(stops <= 2 * PLANNED), COLUMNS[3]: average(np.minimum(stops / PLANNED, 2))}
    ours, default = "vedette AnytimeValid, tune_at = N, absolute", "vedette GroupSequential, default"
    bars = {
        (ours, COLUMNS[0]): Bar("least", 0.57),
        (ours, COLUMNS[2]): Bar("least", 0.87),
        (default, COLUMNS[0]): Bar("least", 0.79),
        (default, COLUMNS[1]): Bar("most", 0.75),
    }
    report.table(
        f"B. Two arms, normal, an effect that a fixed test of N = {PLANNED} an arm finds with power 0.8: "
        "power and mean stop (error in thousandths)",
        COLUMNS,
        rows,
        bars,
    )
    exact(report)


def exact(report: Report) -> None:
    """Print power and mean stop of designs of planned looks, computed: no Monte-Carlo error."""
    designs = {"vedette GroupSequential, default's spending": design_of(default_design(), ALPHA), **SPENDING}
    counts, rows = (5, 10, 20, 40), {}
    for name, design in designs.items():
        row = {}
        for count in counts:
            known = operate(boundaries(design, equally_spaced(count)), DRIFT)
            row[f"power, {count}"], row[f"stop, {count}"] = Figure(known.power), Figure(known.expected_fraction)
        rows[name] = row
    columns = [f"{what}, {count}" for count in counts for what in ("power", "stop")]
    report.table("B. The same for planned looks, exactly: power and mean stop / N by number of looks", columns, rows)
