"""The rules, the scenarios, and the tables that set them side by side: see `bench/rollouts.py`."""

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from bench.rules.fixed_horizon import peeked_z_test
from bench.rules.kayenta import kayenta
from bench.rules.sequential import asymptotic, dirichlet_multinomial
from bench.rules.threshold import argo, flagger
from bench.rules.vedette_rule import cluster_robust, own_history, request_share
from bench.traffic import MINUTES, Array, Scenario, Traffic

Rule = Callable[[Traffic], Array]
CHUNK = 20
WORKERS = 2
SLOW = ("Kayenta", "vedette, no history, between clusters")
"""Rules that take minutes for what the others do in seconds; they see fewer of the same runs."""


def _on_totals(rule: Callable[..., Array], **settings: int) -> Rule:
    return partial(_apply, rule, settings)


def _apply(rule: Callable[..., Array], settings: Mapping[str, int], traffic: Traffic) -> Array:
    return rule(traffic.total, **settings)


PEERS: dict[str, Rule] = {
    "z-test, peeked": _on_totals(peeked_z_test),
    "Argo Rollouts style, failureLimit 3": _on_totals(argo),
    "Flagger style, threshold 5": _on_totals(flagger),
    "Kayenta, growing window": _on_totals(kayenta),
    "Kayenta, lookback 20 min": _on_totals(kayenta, lookback=20),
    "Dirichlet-multinomial": _on_totals(dirichlet_multinomial),
    "asymptotic CS": _on_totals(asymptotic),
}
ALIKE: dict[str, Rule] = {"vedette": _on_totals(request_share), **PEERS}
STICKY: dict[str, Rule] = {
    "vedette, a day of history": partial(own_history, past=True),
    "vedette, no history but the ramp's": partial(own_history, past=False),
    "vedette, no history, between clusters": cluster_robust,
    "vedette, as if requests were alike": _on_totals(request_share),
    **PEERS,
}


@dataclass(frozen=True, slots=True)
class Block:
    """One table: scenarios as columns, rules as rows. A `part` of the asked runs is simulated."""

    title: str
    rules: Mapping[str, Rule]
    scenarios: tuple[Scenario, ...]
    part: float = 1.0


BLOCKS = (
    Block("1000 requests a minute", ALIKE, tuple(Scenario(1000, ratio) for ratio in (1.0, 1.5, 2.0, 4.0, 10.0))),
    Block("100 requests a minute", ALIKE, tuple(Scenario(100, ratio) for ratio in (1.0, 4.0, 10.0))),
    Block("20 requests a minute", ALIKE, tuple(Scenario(20, ratio) for ratio in (1.0, 4.0, 10.0, 40.0))),
    Block(
        "1000 requests a minute of 200 sticky tenants",
        STICKY,
        (
            Scenario(1000, 1.0, sticky=True),
            Scenario(1000, 1.0, sticky=True, burst_share=0.02),
            Scenario(1000, 2.0, sticky=True),
            Scenario(1000, 4.0, sticky=True),
            Scenario(1000, 10.0, sticky=True),
        ),
        part=0.25,
    ),
)


@dataclass(frozen=True, slots=True)
class Cell:
    """One rule in one scenario."""

    block: str
    scenario: str
    rule: str
    runs: int
    stopped: float
    median_minute: float | None
    bad_served: float

    def __str__(self) -> str:
        median = "  -" if self.median_minute is None else f"{self.median_minute:3.0f}"
        return f"{100 * self.stopped:5.1f} % {median} {self.bad_served:6.1f}"


def run(arguments: Iterable[str] | None = None) -> None:
    """Run all blocks and print their tables."""
    parser = argparse.ArgumentParser(prog="bench/rollouts.py", description="Rollback rules side by side.")
    parser.add_argument("--quick", action="store_true", help="a twentieth of the runs")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--healthy-runs", type=int, default=20_000, help="A/A runs of each scenario")
    parser.add_argument("--bad-runs", type=int, default=8000, help="runs of each other scenario")
    parser.add_argument("--slow-healthy-runs", type=int, default=2000, help="those of them that slow rules see")
    parser.add_argument("--slow-bad-runs", type=int, default=500, help="likewise")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    parser.add_argument("--block", default="", help="only blocks whose title contains this")
    parser.add_argument("--rule", default="", help="only rules whose name contains this")
    chosen = parser.parse_args(None if arguments is None else list(arguments))
    part = 0.05 if chosen.quick else 1.0
    runs = {
        True: (part * chosen.healthy_runs, part * chosen.slow_healthy_runs),
        False: (part * chosen.bad_runs, part * chosen.slow_bad_runs),
    }
    results: list[Cell] = []
    with ProcessPoolExecutor(WORKERS) as pool:
        for block in BLOCKS:
            rules = {name: rule for name, rule in block.rules.items() if chosen.rule in name}
            if rules and chosen.block in block.title:
                cells = _measure(replace(block, rules=rules), runs, chosen.seed, pool)
                _print(block.title, list(rules), cells)
                results += cells
    if chosen.json:
        chosen.json.write_text(json.dumps([asdict(cell) for cell in results], indent=1) + "\n")


def _measure(
    block: Block, runs: Mapping[bool, tuple[float, float]], seed: int, pool: ProcessPoolExecutor
) -> list[Cell]:
    cells = []
    for column, scenario in enumerate(block.scenarios):
        begun = time.perf_counter()
        asked, slow = (max(1, round(count / CHUNK)) for count in runs[scenario.ratio == 1.0])
        chunks = max(round(asked * block.part), min(asked, slow))
        entropy = np.random.SeedSequence([seed, scenario.per_minute, scenario.sticky, column])
        seeds = entropy.generate_state(chunks, np.uint64).tolist()
        quick = {name: rule for name, rule in block.rules.items() if not name.startswith(SLOW)}
        rules = [block.rules if chunk < slow else quick for chunk in range(chunks)]
        parts = list(pool.map(partial(_run_chunk, scenario), rules, seeds))
        for rule in block.rules:
            stops, bad = (np.concatenate([found[rule][which] for found in parts if rule in found]) for which in (0, 1))
            stopped = np.isfinite(stops)
            cells.append(
                Cell(
                    block=block.title,
                    scenario=scenario.name,
                    rule=rule,
                    runs=stops.size,
                    stopped=float(stopped.mean()),
                    median_minute=float(np.median(stops[stopped])) if stopped.any() else None,
                    bad_served=float(bad.mean()),
                )
            )
        took = time.perf_counter() - begun
        print(f"{block.title}: {scenario.name}, {chunks * CHUNK} runs, {took:.0f} s", file=sys.stderr, flush=True)
    return cells


def _run_chunk(scenario: Scenario, rules: Mapping[str, Rule], seed: int) -> dict[str, tuple[Array, Array]]:
    """Minutes of the stops and bad requests served by the canary until then, by rule."""
    traffic = scenario.simulate(CHUNK, seed)
    served = traffic.total.canary_bad.cumsum(axis=-1)
    found = {}
    for name, rule in rules.items():
        stops = rule(traffic)
        last = np.minimum(stops, MINUTES).astype(np.int64) - 1
        found[name] = (stops, np.take_along_axis(served, last[:, None], axis=1)[:, 0])
    return found


def _print(title: str, rules: list[str], cells: list[Cell]) -> None:
    names = list(dict.fromkeys(cell.scenario for cell in cells))
    table = {(cell.rule, cell.scenario): cell for cell in cells}
    width = max(map(len, rules)) + 2
    print(f"\n{title}: P(stop), median minute, bad requests served by the canary")
    print(" " * width + "".join(f"{name:>22}" for name in names))
    for rule in rules:
        print(f"{rule:<{width}}" + "".join(f"{table[rule, name]!s:>22}" for name in names), flush=True)
