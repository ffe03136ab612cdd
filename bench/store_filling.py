"""Fills a lake faster than traffic could: segments made by DuckDB, roll-ups inserted as they are kept."""
# ruff: noqa: S608, SLF001 - only names of our own; a lake is filled behind its back

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import duckdb
from bench.store_data import BEGAN

from vedette.evidence.histogram import GAMMA, LOWEST, OVERFLOW, ZERO, lower_edge
from vedette.evidence.summary import Moments
from vedette.lake import lease
from vedette.lake.clock import DAY, microseconds
from vedette.lake.inserting import insert_rows
from vedette.lake.outcomes import Lake
from vedette.lake.rollups import RollupKey, rollup_row
from vedette.lake.sealer import replacing
from vedette.lake.segments import SegmentFolder

EXPERIMENT = "tone"
MEASURES = ("error", "latency_ms", "tokens_in", "tokens_out", "ttft_ms")


def fill_segments(lake: Lake, total: int, days: int) -> None:
    """List segments of so many outcomes of a domain, each in an experiment of two arms, spread over days."""
    place = lake._segments or Path("segments")
    with lake._database.writing() as connection:
        epoch = lease.overtake(connection, lake._tables, "bench")
    folder, first, made = SegmentFolder(place, epoch.number), microseconds(BEGAN) // DAY, []
    with folder.engine() as engine:
        for day in range(first, first + days):
            base, step = (day - first) * total // days, DAY * days // total
            outcomes = f"""
                SELECT uuid() :: VARCHAR AS id, 'payments' AS domain, {day * DAY} + (n - {base}) * {step} AS at_micros,
                    'pay-1' AS assigned, 'pay-1' AS served, 0 AS plan_revision, hash(n) % 1024 AS bucket,
                    hash(n) % 1024 AS cluster, 'ok' AS status,
                    CASE WHEN hash(n, 1) % 2 = 0 THEN '[["tone","a",0]]' ELSE '[["tone","b",0]]' END AS exposures,
                    '' AS dimensions, CAST(hash(n, 2) % 100 = 0 AS DOUBLE) AS m_error,
                    exp(5 + sqrt(-2 * ln((hash(n, 3) % 999983 + 1) / 999984.0)) * 0.5) AS m_latency_ms,
                    CAST(hash(n, 4) % 2000 AS DOUBLE) AS m_tokens_in, CAST(hash(n, 5) % 500 AS DOUBLE) AS m_tokens_out,
                    exp((hash(n, 6) % 1000003) / 200000.0) AS m_ttft_ms
                FROM range({base}, {(day - first + 1) * total // days}) AS numbers(n)"""
            relation = f"({outcomes}) AS made"
            made.append(folder.write(engine, relation, day, (0, 0), MEASURES))
    with replacing(lake._database, lake._tables, folder, epoch, made):
        pass


def bare(engine: duckdb.DuckDBPyConnection, files: Sequence[Path], *, histograms: bool) -> None:
    """Count the experiment as one would by hand: by arm and bucket, n, mean and variance; and bins by arm."""
    listed = ", ".join(f"'{path}'" for path in files)
    source = f"read_parquet([{listed}]) WHERE domain = 'payments' AND exposures LIKE '%[\"{EXPERIMENT}\",%'"
    sums = ", ".join(f"count(m_{name}), avg(m_{name}), var_pop(m_{name})" for name in MEASURES)
    engine.execute(
        f"SELECT exposures, cluster, count(*), {sums} FROM {source} GROUP BY exposures, cluster"
    ).fetchnumpy()
    for name in MEASURES if histograms else ():
        value = f"m_{name}"
        index = (
            f"CASE WHEN {value} < {lower_edge(LOWEST)!r} THEN {ZERO} WHEN {value} >= {lower_edge(OVERFLOW)!r}"
            f" THEN {OVERFLOW} ELSE CAST(floor(ln({value}) / ln({GAMMA!r})) AS INTEGER) END"
        )
        engine.execute(f"SELECT exposures, {index} AS bin, count(*) FROM {source} GROUP BY exposures, bin").fetchnumpy()


def fill_rollups(lake: Lake, domains: int, days: int, versions: int) -> datetime:
    """Insert roll-ups by hour and by day that end at a time, which is given."""
    end = BEGAN + timedelta(days=120)
    last = microseconds(end) // 60_000_000
    sums = dict.fromkeys(("requests", *MEASURES), Moments(100.0, 3.5, 12.25))
    for number in range(domains):
        keys = (
            RollupKey(f"domain-{number}", step, begins, 3, f"domain-{number}-{version}")
            for step in (60, 1440)
            for begins in range(last - days * 1440, last, step)
            for version in range(versions)
        )
        with lake._database.writing() as connection:
            insert_rows(connection, lake._tables.rollups, (rollup_row(key, sums) for key in keys))
    return end
