"""The tasks and the rounds that time them, interleaved: see `bench/analysis.py`."""

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import polars as pl
import pyarrow.parquet
import tea_tasting
from bench.analysis_data import write_users

from vedette.connectors.frames import joint_moments_from, joint_moments_of_blocks
from vedette.evidence.joint import JointMoments
from vedette.stats.contrasts import FixedRule, against, contrasts
from vedette.stats.estimates import Quantity, estimates
from vedette.stats.results import Comparison, comparison_rows

COLUMNS = ("revenue", "orders", "sessions", "revenue_before")
SUMS = {
    "revenue": ("revenue",),
    "orders": ("orders",),
    "sessions": ("sessions",),
    "revenue_before": ("revenue_before",),
    "revenue²": ("revenue", "revenue"),
    "orders²": ("orders", "orders"),
    "sessions²": ("sessions", "sessions"),
    "orders·sessions": ("orders", "sessions"),
    "revenue_before²": ("revenue_before", "revenue_before"),
    "revenue·revenue_before": ("revenue", "revenue_before"),
}
"""With the count, the eleven sums that the three metrics need: each of a column or of a product of two."""

METRICS = {
    "money": (
        Quantity(name="revenue", column="revenue"),
        Quantity(name="adjusted revenue", column="revenue", covariates=(("revenue_before", ""),)),
    ),
    "orders": (Quantity(name="orders a session", column="orders", denominator="sessions"),),
}
"""The three metrics, in blocks that have no column in common."""

BLOCKS = {"money": ("revenue", "revenue_before"), "orders": ("orders", "sessions")}
PEER = tea_tasting.Experiment(
    {
        "revenue": tea_tasting.Mean("revenue"),
        "orders a session": tea_tasting.RatioOfMeans("orders", "sessions"),
        "adjusted revenue": tea_tasting.Mean("revenue", covariate="revenue_before"),
    },
    variant="variant",
)

Task = Callable[[], Any]


@dataclass(frozen=True, slots=True)
class Timing:
    """One task: its times in milliseconds, and medians over rounds of its ratios to the first of its table.

    `cpu_ratio` compares the time of all processors, which other processes on the machine disturb less.
    """

    table: str
    task: str
    rounds: int
    best: float
    median: float
    ratio: float
    cpu_ratio: float


def duckdb_sums(connection: duckdb.DuckDBPyConnection, path: Path) -> list[tuple[Any, ...]]:
    """Sum in one plain pass, as one would by hand; large means lose digits."""
    sums = ", ".join(f"sum({' * '.join(columns)})" for columns in SUMS.values())
    statement = f"SELECT variant, count(*), {sums} FROM read_parquet(?) GROUP BY variant"  # noqa: S608 - our own names
    return connection.execute(statement, [str(path)]).fetchall()


def polars_sums(path: Path) -> pl.DataFrame:
    """Sum the same with polars' streaming engine."""
    columns = {name: pl.col(name).cast(pl.Float64) for name in COLUMNS}
    sums = [
        (columns[one] if not more else columns[one] * columns[more[0]]).sum().alias(name)
        for name, (one, *more) in SUMS.items()
    ]
    return pl.scan_parquet(path).group_by("variant").agg(pl.len(), *sums).collect(engine="streaming")


def vedette_square(path: Path) -> dict[str, JointMoments]:
    """Take every sum of the four columns, fifteen an arm, with their digits, missing values looked for."""
    return joint_moments_from(path, by="variant", columns=COLUMNS)


def vedette_moments(path: Path) -> dict[str, dict[str, JointMoments]]:
    """Take the sums that the three metrics need, likewise."""
    return joint_moments_of_blocks(path, by="variant", blocks=BLOCKS)


def vedette_analysis(blocks: Mapping[str, Mapping[str, JointMoments]]) -> tuple[Comparison, ...]:
    """Analyse all three metrics: effects, intervals on both scales and p-values, as rows."""
    rows: list[Comparison] = []
    for block, arms in blocks.items():
        size = len(METRICS[block])
        found = estimates(arms, METRICS[block])
        made = contrasts(found, against("control", found.arms), FixedRule())
        rows += comparison_rows(found, made, kind="fixed", methods=["Welch t"] * size, better=["higher"] * size)
    return tuple(rows)


def peer_analysis(table: Any) -> Any:  # noqa: ANN401 - the peer has no types
    """Analyse all three metrics of a table, or of aggregates by arm, with tea-tasting."""
    return PEER.analyze(table, control="control", all_variants=True)


def peer_aggregates(path: Path) -> Any:  # noqa: ANN401 - the peer has no types
    """Read the sufficient statistics that tea-tasting keeps."""
    needed = tea_tasting.metrics.AggrCols()
    for metric in PEER.metrics.values():
        needed |= metric.aggr_cols
    return tea_tasting.metrics.aggregate_by_variants(pl.scan_parquet(path), needed, "variant")


def tables(path: Path, connection: duckdb.DuckDBPyConnection) -> dict[str, dict[str, Task]]:
    """Give the tasks of each table; the first of a table is what the others are compared with."""
    read = ["variant", *COLUMNS]
    aggregates, moments = peer_aggregates(path), vedette_moments(path)
    return {
        "from Parquet": {
            "floor: DuckDB, eleven plain sums": lambda: duckdb_sums(connection, path),
            "floor: polars streaming, the same sums": lambda: polars_sums(path),
            "vedette, every moment of the four columns": lambda: vedette_square(path),
            "vedette, all three metrics": lambda: vedette_analysis(vedette_moments(path)),
            "tea-tasting, polars lazy frame": lambda: peer_analysis(pl.scan_parquet(path)),
            "tea-tasting, pyarrow": lambda: peer_analysis(pyarrow.parquet.read_table(path, columns=read)),
        },
        "from sufficient statistics": {
            "tea-tasting": lambda: peer_analysis(aggregates),
            "vedette": lambda: vedette_analysis(moments),
        },
    }


def run(arguments: Iterable[str] | None = None) -> None:
    """Make the file, run the rounds and print the tables."""
    parser = argparse.ArgumentParser(prog="bench/analysis.py", description="Analysis of an experiment, side by side.")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--users", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, help="also write the figures here")
    chosen = parser.parse_args(None if arguments is None else list(arguments))
    timings = []
    with tempfile.TemporaryDirectory() as folder, duckdb.connect() as connection:
        path = Path(folder) / "users.parquet"
        write_users(path, chosen.users, chosen.seed)
        print(f"{chosen.users} users, {path.stat().st_size / 1e6:.1f} MB of Parquet, {chosen.rounds} rounds")
        for title, tasks in tables(path, connection).items():
            timings += _timed(title, tasks, chosen.rounds, chosen.seed)
    _print(timings)
    if chosen.json:
        chosen.json.write_text(json.dumps([asdict(timing) for timing in timings], indent=1) + "\n")


def _timed(title: str, tasks: Mapping[str, Task], rounds: int, seed: int) -> list[Timing]:
    clocks = (time.perf_counter, time.process_time)
    times = {name: np.empty((rounds, len(clocks))) for name in tasks}
    for task in tasks.values():
        task()  # what is done once a process is no part of it
    order = np.random.default_rng(seed)
    for each in range(rounds):
        # In another order each time, so that nobody always comes after the same one.
        for name in order.permutation(list(tasks)).tolist():
            begun = [clock() for clock in clocks]
            tasks[name]()
            times[name][each] = [clock() - since for clock, since in zip(clocks, begun, strict=True)]
    first = next(iter(times.values()))
    ratios = {name: np.median(found / first, axis=0) for name, found in times.items()}
    return [
        Timing(
            table=title,
            task=name,
            rounds=rounds,
            best=1000.0 * float(found[:, 0].min()),
            median=1000.0 * float(np.median(found[:, 0])),
            ratio=float(ratios[name][0]),
            cpu_ratio=float(ratios[name][1]),
        )
        for name, found in times.items()
    ]


def _print(timings: list[Timing]) -> None:
    width = max(len(timing.task) for timing in timings) + 2
    for title in dict.fromkeys(timing.table for timing in timings):
        print(f"\n{title:<{width}}{'best ms':>10}{'median ms':>11}{'ratio':>8}{'CPU ratio':>11}")
        for timing in timings:
            if timing.table == title:
                times = f"{timing.best:>10.2f}{timing.median:>11.2f}"
                print(f"{timing.task:<{width}}{times}{timing.ratio:>8.2f}{timing.cpu_ratio:>11.2f}")
