"""Command line of the validity benchmark: which parts, how many runs, where the figures go."""

import argparse
import json
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from bench.validity_parts import arms, coverage, live, peeking, power
from bench.validity_parts.figures import Report

WORKERS = 2
PARTS: tuple[tuple[str, Callable[..., None], int], ...] = (
    ("A", peeking.run, 3000),
    ("B", power.run, 4000),
    ("C", arms.run, 4000),
    ("D", coverage.run, 5000),
    ("D", live.run, 200),
)
"""Each part with the runs it makes: more where a bar is close."""


def run(arguments: Iterable[str] | None = None) -> Report:
    """Run the parts that were asked for, print their tables, and list the bars that were missed."""
    parser = argparse.ArgumentParser(prog="bench/validity.py", description="Validity of experiments, beside peers.")
    parser.add_argument("--quick", action="store_true", help="a twentieth of the runs")
    parser.add_argument("--part", default="ABCD", help="which parts: some of A, B, C, D")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, help="also write the figures here")
    chosen = parser.parse_args(None if arguments is None else list(arguments))
    report = Report()
    with ProcessPoolExecutor(WORKERS) as pool:
        for name, part, runs in PARTS:
            if name in chosen.part:
                part(report, runs=max(runs // 20, 20) if chosen.quick else runs, seed=chosen.seed, pool=pool)
    print("\nBars missed: " + ("none" if not report.missed else ""))
    for missed in report.missed:
        print(f"  {missed}")
    if chosen.json:
        chosen.json.write_text(json.dumps(report.figures, indent=1) + "\n")
    return report
