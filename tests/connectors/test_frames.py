"""Joint moments come from any table, the same from every engine, digits and all."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.connectors.tables import ENGINES, NUMBERS, assert_same, parquet, users

from vedette.connectors.frames import joint_moments_from, joint_moments_of_blocks
from vedette.connectors.frames_duckdb import DuckTable
from vedette.evidence.joint import joint_moments, joint_moments_by
from vedette.kernel.errors import InvalidInput


def certified(large):
    """NIST StRD univariate NumAcc3 and NumAcc4: 1001 values of mean `large` + .2 and standard deviation .1."""
    return [large + 0.2] + [large + 0.1, large + 0.3] * 500


def test_every_engine_gives_what_two_passes_in_memory_give(source):
    """Floats, integers, booleans and a column far from 0: the moments of each arm agree to nine digits."""
    table = users()
    found = joint_moments_from(source(table), by="arm", columns=NUMBERS)
    wanted = joint_moments_by(table["arm"], {name: table[name] for name in NUMBERS})
    assert list(found) == ["a", "b", "control"]
    for arm, moments in wanted.items():
        assert_same(found[arm], moments)


@pytest.mark.parametrize("large", [1_000_000, 10_000_000])
def test_nist_numacc3_and_numacc4_keep_eight_digits(source, large):
    """NIST StRD NumAcc3 and NumAcc4: certified mean and standard deviation, from every engine."""
    table = {"arm": ["x"] * 1001, "value": certified(large)}
    moments = joint_moments_from(source(table), by="arm", columns=["value"])["x"].of("value")
    assert moments.mean == pytest.approx(large + 0.2, rel=1e-14)
    assert moments.variance**0.5 == pytest.approx(0.1, rel=1e-8)


def test_arms_far_apart_each_keep_their_digits(source):
    """One arm near 0 and one at a billion: no pivot serves both, so each has its own."""
    chance = np.random.default_rng(1)
    near, far = chance.normal(1e-3, 1e-3, 500), chance.normal(1e9, 1.0, 500)
    table = {"arm": ["near"] * 500 + ["far"] * 500, "x": [*near.tolist(), *far.tolist()], "y": far.tolist() * 2}
    found = joint_moments_from(source(table), by="arm", columns=["x", "y"])
    assert_same(found["near"], joint_moments({"x": near, "y": far}))
    assert_same(found["far"], joint_moments({"x": far, "y": far}))


def test_a_constant_column_varies_by_exactly_nothing(source):
    """A tenth, a thousand times: neither its sum nor its square is a double, yet its variance is 0."""
    table = {"arm": ["x"] * 1000, "same": [0.1] * 1000, "other": np.arange(1000.0).tolist()}
    moments = joint_moments_from(source(table), by="arm", columns=["same", "other"])["x"]
    assert moments.cross[0].tolist() == [0.0, 0.0]
    assert moments.mean[0] == pytest.approx(0.1, rel=1e-14)


def test_one_row_has_a_mean_and_no_spread(source):
    """The cross-products of a single row are 0, however large it is."""
    found = joint_moments_from(source({"arm": ["x"], "value": [1e9 + 0.1]}), by="arm", columns=["value"])["x"]
    assert (found.n, found.mean.tolist(), found.cross.tolist()) == (1.0, [1e9 + 0.1], [[0.0]])


def test_strata_are_kept_apart(source):
    """With strata a key is an arm and a stratum, and strata merge to the arm."""
    table = users()
    found = joint_moments_from(source(table), by="arm", columns=NUMBERS, strata="country")
    assert list(found) == [(arm, country) for arm in ("a", "b", "control") for country in ("de", "fr")]
    whole = joint_moments_by(table["arm"], {name: table[name] for name in NUMBERS})
    assert_same(found["a", "de"] + found["a", "fr"], whole["a"])


@pytest.mark.parametrize("strata", [None, "country"])
def test_rows_of_a_cluster_are_summed_first(source, strata):
    """The unit is the cluster: its values are its rows' sums, and its rows are counted."""
    table = users()
    frame = pd.DataFrame(table).assign(rows=1)
    groups = ["arm"] if strata is None else ["arm", strata]
    sums = frame.groupby([*groups, "user"])[[*NUMBERS, "rows"]].sum()
    found = joint_moments_from(source(table), by="arm", columns=NUMBERS, strata=strata, cluster="user")
    wanted = sums.groupby(groups if strata else "arm")
    assert set(found) == set(wanted.groups)
    for group, clusters in wanted:
        assert_same(found[group], joint_moments({name: clusters[name].to_numpy() for name in [*NUMBERS, "rows"]}))


@pytest.mark.parametrize("cluster", [None, "user"])
def test_blocks_are_the_parts_of_the_whole(source, cluster):
    """Blocks of columns, one of them in two, have the moments that all columns together have, from one table."""
    rows = source(users())
    whole = joint_moments_from(rows, by="arm", columns=NUMBERS, cluster=cluster)
    blocks = {"money": ["latency", "revenue"], "orders": ["orders"], "both": ["orders", "bought", "revenue"]}
    found = joint_moments_of_blocks(rows, by="arm", blocks=blocks, cluster=cluster)
    assert {block: list(arms) for block, arms in found.items()} == {block: list(whole) for block in blocks}
    for block, columns in blocks.items():
        for arm, moments in found[block].items():
            assert_same(moments, whole[arm].select([*columns, "rows"] if cluster else columns))


def gaps():
    """Rows that lack x, y or both, and clusters of them."""
    return {
        "arm": ["a", "a", "a", "a", "b", "b", "b"],
        "user": ["1", "1", "2", "3", "4", "5", "6"],
        "x": [1.0, None, 3.0, None, 5.0, 6.0, 8.0],
        "y": [1.0, 2.0, 5.0, None, 5.0, None, 3.0],
    }


def test_missing_values_are_refused_unless_said_otherwise(source):
    """The error names the column, how many are missing, and the two other ways."""
    with pytest.raises(InvalidInput, match=r"'x' lacks 2 of 7 values \(say missing='zero'.*missing='drop'"):
        joint_moments_from(source(gaps()), by="arm", columns=["x", "y"])


def test_missing_values_are_read_as_zero_or_their_rows_left_out(source):
    """'zero' keeps every row; 'drop' keeps those that have every value."""
    rows = source(gaps())
    zero = joint_moments_from(rows, by="arm", columns=["x", "y"], missing="zero")
    assert_same(zero["a"], joint_moments({"x": [1.0, 0.0, 3.0, 0.0], "y": [1.0, 2.0, 5.0, 0.0]}))
    drop = joint_moments_from(rows, by="arm", columns=["x", "y"], missing="drop")
    assert_same(drop["a"], joint_moments({"x": [1.0, 3.0], "y": [1.0, 5.0]}))


def test_missing_values_within_clusters(source):
    """Rows are refused, zeroed or left out before they are summed; a cluster with no row left is no unit."""
    rows = source(gaps())
    zero = joint_moments_from(rows, by="arm", columns=["x", "y"], cluster="user", missing="zero")
    assert_same(zero["a"], joint_moments({"x": [1.0, 3.0, 0.0], "y": [3.0, 5.0, 0.0], "rows": [2, 1, 1]}))
    drop = joint_moments_from(rows, by="arm", columns=["x", "y"], cluster="user", missing="drop")
    assert_same(drop["a"], joint_moments({"x": [1.0, 3.0], "y": [1.0, 5.0], "rows": [1, 1]}))
    with pytest.raises(InvalidInput, match="'x' lacks 2 of 7 values"):
        joint_moments_from(rows, by="arm", columns=["x", "y"], cluster="user")


@pytest.mark.parametrize("missing", ["zero", "drop", "refuse"])
@pytest.mark.parametrize("engine", ["parquet", "pandas", "polars", "arrow", "relation", "arrays"])
def test_nan_is_missing_and_infinity_is_refused(engine, missing, tmp_path):
    """NaN is treated as NULL is, and no way of treating missing values lets an infinite one through."""
    values = [1.0, float("nan"), 3.0, 5.0]
    rows = ENGINES[engine]({"arm": ["a"] * 4, "x": values}, tmp_path)
    if missing == "refuse":
        with pytest.raises(InvalidInput, match="'x' lacks 1 of 4 values"):
            joint_moments_from(rows, by="arm", columns=["x"])
    else:
        found = joint_moments_from(rows, by="arm", columns=["x"], missing=missing)["a"]
        assert_same(found, joint_moments({"x": values}, missing=missing))
    table = {"arm": ["a"] * 4, "x": [1.0, float("inf"), 3.0, float("-inf")]}
    with pytest.raises(InvalidInput, match=r"'x' has infinite values \(2 of 4"):
        joint_moments_from(ENGINES[engine](table, tmp_path), by="arm", columns=["x"], missing=missing)


def test_names_are_names_whatever_is_in_them(source):
    """Quotes, SQL, and the names our own statements use mean nothing in a column's name or an arm's."""
    names = ['a"; DROP TABLE x; --', "c0", "g0", "p0", "k0", "seen", "whole", "cluster'", "source", "pivots", "sum(c0)"]
    chance = np.random.default_rng(4)
    table = {"c1": ["it's", 'so" b'] * 20, "cluster": [str(place) for place in range(40)]}
    table |= {name: chance.normal(1e6, 1, 40).tolist() for name in names}
    found = joint_moments_from(source(table), by="c1", columns=names)
    wanted = joint_moments_by(table["c1"], {name: table[name] for name in names})
    for arm in ("it's", 'so" b'):
        assert_same(found[arm], wanted[arm])
    clusters = joint_moments_from(source(table), by="c1", columns=names, cluster="cluster")
    assert_same(clusters["it's"].select(names), wanted["it's"])


@pytest.mark.parametrize(("large", "passes"), [(0.0, 1), (10_000_000.0, 2)])
def test_a_second_pass_is_made_only_where_digits_would_be_lost(monkeypatch, large, passes):
    """Ordinary columns cost one pass; one far from 0 a second."""
    asked = []
    answer = DuckTable.sums

    def counted(table, question, pivots):
        asked.append(pivots)
        return answer(table, question, pivots)

    monkeypatch.setattr(DuckTable, "sums", counted)
    table = {"arm": ["a"] * 1001, "value": certified(large), "id": list(range(1001))}
    joint_moments_from(table, by="arm", columns=["value"], cluster="id")
    assert len(asked) == passes


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.floats(-1e6, 1e6), st.integers(-9, 9)), min_size=1, max_size=40),
    st.sampled_from(["arrays", "polars"]),
)
def test_parts_merge_to_the_whole(rows, engine):
    """Moments of a table's parts, merged, are the moments of the table."""
    arm, x, y = (list(column) for column in zip(*rows, strict=True))
    whole = {"arm": ["a", "b", *arm], "x": [0.0, 1.0, *x], "y": [2, 3, *y]}
    parts = [{name: values[part] for name, values in whole.items()} for part in (slice(2), slice(2, None))]
    first, second = (joint_moments_from(ENGINES[engine](part, None), by="arm", columns=["x", "y"]) for part in parts)
    for name, moments in joint_moments_from(ENGINES[engine](whole, None), by="arm", columns=["x", "y"]).items():
        merged = first[name] + second[name] if name in second else first[name]
        assert merged.n == moments.n
        np.testing.assert_allclose(merged.mean, moments.mean, rtol=1e-9, atol=1e-9)
        size = np.sqrt(np.diag(moments.cross)) + 1e-6 * np.abs(moments.mean) + 1e-9
        assert (np.abs(merged.cross - moments.cross) <= 1e-9 * np.outer(size, size)).all()


def test_decimals_and_nullable_columns_are_numbers():
    """Decimals, pandas' nullable and Arrow columns, categories, masked and strided arrays are read as what they say."""
    wanted = joint_moments({"x": [1.5, 2.0, 4.25]})
    decimals = [Decimal("1.5"), Decimal(2), Decimal("4.25")]
    arms = ["a", "a", "a"]
    masked = np.ma.array([1.5, 2.0, 4.25, 9.0], mask=[False, False, False, True])
    for table in (
        {"arm": arms, "x": decimals},
        {"arm": np.array(arms), "x": np.array([1.5, 0, 2.0, 0, 4.25])[::2]},
        {"arm": np.array(["2026-01-01"] * 3, "datetime64[ns]"), "x": pd.Series([1.5, 2.0, 4.25])},
        {"arm": [*arms, "a"], "x": masked},
        pd.DataFrame({"arm": pd.Categorical([*arms, "a"]), "x": pd.array([1.5, 2.0, 4.25, None], dtype="Float64")}),
        pd.DataFrame({"arm": arms, "x": [1.5, 2.0, 4.25]}).convert_dtypes(dtype_backend="pyarrow"),
        pl.DataFrame({"arm": arms, "x": decimals}, schema_overrides={"arm": pl.Categorical}),
        pa.table({"arm": pa.array(arms).dictionary_encode(), "x": pa.array(decimals)}),
        pa.record_batch({"arm": arms, "x": [1.5, 2.0, 4.25]}),
    ):
        (found,) = joint_moments_from(table, by="arm", columns=["x"], missing="drop").values()
        assert_same(found, wanted)


def test_booleans_name_arms_in_one_spelling(source):
    """An arm that is a boolean is 'true' or 'false' from every engine that knows booleans."""
    table = {"arm": [True, False, True], "x": [1.0, 2.0, 3.0]}
    assert sorted(map(str.lower, joint_moments_from(source(table), by="arm", columns=["x"]))) == ["false", "true"]


def test_arms_in_a_csv_file_are_text(tmp_path):
    """'01' and '1' are two arms, and so two clusters."""
    (tmp_path / "rows.csv").write_text("arm,user,x\n01,07,1\n1,7,2\n01,7,3\n")
    found = joint_moments_from(tmp_path / "rows.csv", by="arm", columns=["x"], cluster="user")
    assert {arm: moments.n for arm, moments in found.items()} == {"01": 2.0, "1": 1.0}


def test_several_files_are_one_table(tmp_path):
    """A pattern, or a list of paths; a name with a pattern's signs in it is still a name."""
    for place, name in enumerate(("day[1].csv", "day1.csv", "day2.csv")):
        (tmp_path / name).write_text(f"arm,x\na,{place}\n")
    by_pattern = joint_moments_from(tmp_path / "day*.csv", by="arm", columns=["x"])["a"]
    assert (by_pattern.n, by_pattern.mean.tolist()) == (3.0, [1.0])
    named = joint_moments_from([tmp_path / "day[1].csv", str(tmp_path / "day2.csv")], by="arm", columns=["x"])["a"]
    assert (named.n, named.mean.tolist()) == (2.0, [1.0])


def test_a_relation_s_connection_is_left_as_it_was():
    """Reading a relation, twice over for its digits, leaves no table or view behind."""
    connection = duckdb.connect()
    relation = connection.sql("SELECT 'a' AS arm, 1e9 + i AS x FROM range(10) AS r(i)")
    joint_moments_from(relation, by="arm", columns=["x"])
    assert connection.execute("SELECT table_name FROM information_schema.tables").fetchall() == []


def test_threads_ask_at_once(tmp_path):
    """Several threads read and get the same answer."""
    path = parquet(users(), tmp_path)
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(joint_moments_from, path, by="arm", columns=NUMBERS) for _ in range(8)]
        first, *others = [found.result() for found in asked]
    for found in others:
        assert_same(found["a"], first["a"])


def test_files_are_read_without_any_data_frame_library(tmp_path):
    """pandas, polars and pyarrow are not imported unless one of their tables is given."""
    path = parquet(users(30), tmp_path)
    asked = (
        "import sys; from vedette.connectors.frames import joint_moments_from; "
        f"joint_moments_from({str(path)!r}, by='arm', columns=['revenue']); "
        "print(sorted({'pandas', 'polars', 'pyarrow'} & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
