"""The benchmark's tasks answer the same question, and it prints and writes a row a task."""

import json

import duckdb
import numpy as np
import pytest
from bench.analysis_data import ARMS, write_users
from bench.analysis_rounds import (
    COLUMNS,
    SUMS,
    duckdb_sums,
    peer_aggregates,
    peer_analysis,
    polars_sums,
    run,
    vedette_analysis,
    vedette_moments,
    vedette_square,
)

from vedette.evidence.joint import JointMoments


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """Write a few thousand users."""
    path = tmp_path_factory.mktemp("users") / "users.parquet"
    write_users(path, 4000, 3)
    return path


def raw_sums(moments: JointMoments) -> list[float]:
    """The plain sums that the floors take, from joint moments."""
    second = moments.cross + moments.n * np.outer(moments.mean, moments.mean)
    places = [[COLUMNS.index(column) for column in columns] for columns in SUMS.values()]
    return [float(moments.n * moments.mean[place[0]] if len(place) == 1 else second[*place]) for place in places]


def test_floors_and_moments_are_of_the_same_sums(path):
    """The floors' eleven sums follow from our moments: nobody sums less than is claimed."""
    with duckdb.connect() as connection:
        plain = {arm: [float(value) for value in sums] for arm, *sums in duckdb_sums(connection, path)}
    streamed = {arm: list(map(float, sums)) for arm, *sums in polars_sums(path).rows()}
    moments = vedette_square(path)
    assert set(moments) == set(plain) == set(streamed) == set(ARMS)
    for arm, found in moments.items():
        assert [found.n, *raw_sums(found)] == pytest.approx(plain[arm], rel=1e-9)
        assert streamed[arm] == pytest.approx(plain[arm], rel=1e-9)


def test_analyses_agree_with_the_peer(path):
    """Effects and p-values are tea-tasting's, pair by pair: it adjusts by one theta a pair, we by one over all arms."""
    moments = vedette_moments(path)
    peers = peer_analysis(peer_aggregates(path))
    assert set(peers) == {("control", arm) for arm in ARMS[1:]}
    for (control, treatment), metrics in peers.items():
        blocks = {block: {arm: arms[arm] for arm in (control, treatment)} for block, arms in moments.items()}
        pair = {row.metric: row for row in vedette_analysis(blocks)}
        assert set(pair) == set(metrics)
        for metric, theirs in metrics.items():
            assert pair[metric].effect == pytest.approx(theirs.effect_size, rel=1e-8)
            assert pair[metric].p_value == pytest.approx(theirs.pvalue, rel=1e-6)


def test_a_small_run_prints_and_writes_a_row_a_task(tmp_path, capsys):
    """Two rounds: every task has its times, and the first of each table a ratio of 1."""
    results = tmp_path / "results.json"
    run(["--rounds", "2", "--users", "2000", "--json", str(results)])
    printed = capsys.readouterr().out
    rows = json.loads(results.read_text())
    assert all(row["task"] in printed and 0.0 < row["best"] <= row["median"] for row in rows)
    tables = dict.fromkeys(row["table"] for row in rows)
    assert [next(row["ratio"] for row in rows if row["table"] == table) for table in tables] == [1.0, 1.0]
