"""What makes no joint moments is refused, with what to do about it, whichever engine meets it."""

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pytest
from tests.connectors.tables import ENGINES, parquet, users

from vedette.connectors.frames import joint_moments_from, joint_moments_of_blocks
from vedette.kernel.errors import InvalidInput, NotFound


def test_squares_beyond_doubles_are_refused(source):
    """Finite values whose squares are not: the error says so, instead of claiming infinite values."""
    with pytest.raises(InvalidInput, match="so large that their squares are not numbers"):
        joint_moments_from(source({"arm": ["a", "a"], "x": [1e200, 2.0]}), by="arm", columns=["x"])


def test_an_arm_without_a_whole_row_is_refused(source):
    """An arm does not vanish because all its rows lack a value."""
    table = {"arm": ["a", "a", "b", "b"], "x": [1.0, 2.0, None, None]}
    with pytest.raises(InvalidInput, match="every row of 'b' lacks a value"):
        joint_moments_from(source(table), by="arm", columns=["x"], missing="drop")


@pytest.mark.parametrize("place", ["arm", "country", "user"])
def test_rows_of_no_group_are_refused(source, place):
    """A row without arm, stratum or cluster belongs nowhere, and is not left out in silence."""
    table = users(60)
    table[place][7] = None
    with pytest.raises(InvalidInput, match=rf"rows have no value in '{place}'"):
        joint_moments_from(source(table), by="arm", columns=["revenue"], strata="country", cluster="user")


@pytest.mark.parametrize("engine", ["parquet", "pandas", "polars", "arrow", "arrays"])
def test_nan_is_no_name_of_an_arm(engine, tmp_path):
    """Arms that are numbers are named by them, and NaN is none."""
    table = {"arm": [0.0, 1.0, 1.0], "x": [1.0, 2.0, 3.0]}
    assert list(joint_moments_from(ENGINES[engine](table, tmp_path), by="arm", columns=["x"])) == ["0.0", "1.0"]
    table["arm"] = [0.0, float("nan"), 1.0]
    with pytest.raises(InvalidInput, match="1 rows have no value in 'arm'"):
        joint_moments_from(ENGINES[engine](table, tmp_path), by="arm", columns=["x"])


@pytest.mark.parametrize("asked", [{"by": "variant"}, {"columns": ["income"]}, {"strata": "city"}, {"cluster": "id"}])
def test_a_column_that_is_not_there_is_named_beside_those_that_are(source, asked):
    """The hint lists the columns there are."""
    with pytest.raises(
        InvalidInput, match=r"there is no column '\w+' \(there are: 'arm', 'country', 'user', 'revenue'"
    ):
        joint_moments_from(source(users(30)), **({"by": "arm", "columns": ["revenue"]} | asked))


def test_text_is_no_number_even_if_it_reads_like_one(source):
    """A column of text is refused, by its name and kind."""
    table = {"arm": ["a", "b"], "x": ["1", "oops"]}
    with pytest.raises(InvalidInput, match=r"column 'x' holds \w+, not numbers"):
        joint_moments_from(source(table), by="arm", columns=["x"])


@pytest.mark.parametrize("engine", ["parquet", "csv", "pandas", "polars", "lazy", "arrow", "arrays"])
def test_no_rows_are_no_moments(engine, tmp_path):
    """An empty table is refused, rather than answered with no arms."""
    table = {"arm": np.array([], dtype=str), "x": np.array([], dtype=float)}
    with pytest.raises(InvalidInput, match=r"there are no rows|column 'x' holds VARCHAR"):
        joint_moments_from(ENGINES[engine](table, tmp_path), by="arm", columns=["x"])


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"columns": "revenue"}, "at least one column"),
        ({"columns": []}, "at least one column"),
        ({"columns": ["orders", "orders"]}, "named twice"),
        ({"columns": ["rows"], "cluster": "user"}, "'rows' is the count of a cluster's rows"),
        ({"missing": "ignore"}, "'ignore' is no way"),
    ],
)
def test_questions_that_make_no_sense(asked, said):
    """Each is refused before any row is read."""
    with pytest.raises(InvalidInput, match=said):
        joint_moments_from(users(30), **({"by": "arm", "columns": ["revenue"]} | asked))


@pytest.mark.parametrize("blocks", [{}, {"a": ["orders"], "b": []}, {"a": ["orders"], "b": "revenue"}])
def test_a_block_without_columns_is_refused(blocks):
    """No blocks, an empty one, or a bare name in place of a list."""
    with pytest.raises(InvalidInput, match="at least one column"):
        joint_moments_of_blocks(users(30), by="arm", blocks=blocks)


def test_paths_that_lead_nowhere(tmp_path):
    """No file, a directory, an address, an unknown kind, and two kinds at once each say what is wrong."""
    for name in ("rows.parquet", "rows.csv", "rows.xlsx"):
        (tmp_path / name).write_text("arm,x\na,1\n")
    for path, error, said in (
        (tmp_path / "none.csv", NotFound, "there is no file"),
        (f"{tmp_path}/*.jsonl", NotFound, "there is no file"),
        (tmp_path, InvalidInput, "is a directory"),
        ("https://example.org/rows.csv", InvalidInput, "no path on this machine"),
        (tmp_path / "rows.xlsx", InvalidInput, r"no kind that can be read \(its name must end in .parquet"),
        ([tmp_path / "rows.csv", tmp_path / "rows.parquet"], InvalidInput, "different kinds"),
        ([], InvalidInput, "there are no paths"),
        (tmp_path / "rows.parquet", InvalidInput, "rows.parquet cannot be read as parquet"),
    ):
        with pytest.raises(error, match=said):
            joint_moments_from(path, by="arm", columns=["x"])


def test_what_is_no_table_is_refused():
    """Rows as a list of dicts, and arrays that do not fit together, are told what would do."""
    with pytest.raises(InvalidInput, match=r"builtins.list is no table .*give a path, a pandas or polars frame"):
        joint_moments_from([{"arm": "a", "x": 1}], by="arm", columns=["x"])
    with pytest.raises(InvalidInput, match=r"differ in length \(arm: 2, x: 1\)"):
        joint_moments_from({"arm": ["a", "b"], "x": [1]}, by="arm", columns=["x"])
    with pytest.raises(InvalidInput, match="'x' has 2 dimensions"):
        joint_moments_from({"arm": ["a", "b"], "x": [[1], [2]]}, by="arm", columns=["x"])
    with pytest.raises(InvalidInput, match="several columns of one name"):
        joint_moments_from(pd.DataFrame([["a", 1, 2]], columns=["arm", "x", "x"]), by="arm", columns=["x"])


def test_a_frame_whose_plan_fails_says_why(tmp_path):
    """What a lazy frame or a relation meets when it runs is an error of the input."""
    lost = pl.scan_parquet(parquet({"arm": ["a"], "x": [1.0]}, tmp_path))
    lost.collect_schema()
    (tmp_path / "rows.parquet").unlink()
    with pytest.raises(InvalidInput, match="this frame cannot be read: "):
        joint_moments_from(lost, by="arm", columns=["x"])
    failing = duckdb.connect().sql("SELECT 'a' AS arm, CAST('x' || i AS INTEGER) AS x FROM range(3) AS r(i)")
    with pytest.raises(InvalidInput, match="this relation cannot be read: Conversion Error"):
        joint_moments_from(failing, by="arm", columns=["x"])
