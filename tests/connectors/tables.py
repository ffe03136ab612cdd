"""Tables of every engine, and how joint moments are compared."""

import csv
import json

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

NUMBERS = ["revenue", "orders", "bought", "latency"]


def parquet(table, folder):
    """Write a Parquet file in row groups of a hundred, so that there are several."""
    pq.write_table(pa.table(table), folder / "rows.parquet", row_group_size=100)
    return folder / "rows.parquet"


def _csv(table, folder):
    with (folder / "rows.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(table)
        writer.writerows(zip(*table.values(), strict=True))
    return str(folder / "rows.csv")


def _lines(table, folder):
    rows = [dict(zip(table, row, strict=True)) for row in zip(*table.values(), strict=True)]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder / "rows.jsonl"


ENGINES = {
    "parquet": parquet,
    "csv": _csv,
    "lines": _lines,
    "pandas": lambda table, _: pd.DataFrame(table),
    "polars": lambda table, _: pl.DataFrame(table),
    "lazy": lambda table, _: pl.LazyFrame(table),
    "arrow": lambda table, _: pa.table(table),
    "relation": lambda table, folder: duckdb.connect().read_parquet(str(parquet(table, folder))),
    "arrays": lambda table, _: table,
}


def users(n=1500, seed=5):
    """Columns of every kind of number: money, counts, booleans, and a large one with a small spread."""
    chance = np.random.default_rng(seed)
    return {
        "arm": [("control", "a", "b")[place] for place in chance.integers(0, 3, n)],
        "country": [("de", "fr")[place] for place in chance.integers(0, 2, n)],
        "user": [f"u{place:03}" for place in chance.integers(0, n // 5, n)],
        "revenue": (chance.lognormal(0, 1, n) * (chance.random(n) < 0.4)).tolist(),
        "orders": chance.poisson(2, n).tolist(),
        "bought": (chance.random(n) < 0.2).tolist(),
        "latency": (1e6 + chance.normal(0, 1, n)).tolist(),
    }


def assert_same(found, wanted):
    """Agree to nine digits, a product of two columns beside the spread of both."""
    assert found.columns == wanted.columns
    assert found.n == wanted.n
    np.testing.assert_allclose(found.mean, wanted.mean, rtol=1e-9)
    spread = np.sqrt(np.diag(wanted.cross))
    assert (np.abs(found.cross - wanted.cross) <= 1e-9 * np.outer(spread, spread)).all()
