"""The contract of the templates: one text, run by DuckDB and by PostgreSQL, says the same of the same outcomes."""

import math
from datetime import timedelta

import duckdb
import numpy as np
import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.lake.making import CANARY, NOON, STABLE, exposed, outcome

from vedette.evidence.histogram import indices_of
from vedette.evidence.outcome import OutcomeStatus
from vedette.lake.columns import Columns, json_text
from vedette.lake.dialect import DUCKDB, POSTGRESQL
from vedette.lake.history import rows_of, selected
from vedette.lake.queries import FIELDS, Cut, Page, measure_column

_EXPERIMENT = 'tone "of" (voice)\\n.*'  # every sign that JSON, SQL or a regular expression could stumble over
_DIMENSION = "it's [a] {plan}?"
_VALUES = ("", "free", 'say "hi"', "a\\b", "100 %", "{x:y},", "grün", f'"{_DIMENSION}":"none"'[:64])
_MEASURES = ("correct", "cost_delta", "error", "latency_ms", "tokens_out")


def _outcomes():
    """Outcomes of all kinds: in two, one or no experiment, said or not said, measured or not, of clients that left."""
    rng = np.random.default_rng(20261126)
    made = []
    for number in range(1500):
        exposures = [
            exposed(_EXPERIMENT, f"arm-{number % 3}", epoch=number % 2),
            exposed("tone", 'treat"ment' if number % 5 else "control"),
            exposed("tone (2)", "control"),
        ]
        measures = {
            "error": float(rng.random() < 0.1),
            "latency_ms": float(np.exp(rng.normal(5, 2))),
            "tokens_out": float(rng.integers(0, 2) * rng.integers(0, 400)),
            "correct": 1e3 + float(rng.normal()),
            "cost_delta": float(rng.normal() * 1e-3),
        }
        kept = rng.choice(_MEASURES, size=number % 6, replace=False)
        made.append(
            outcome(
                {name: measures[name] for name in kept} or {"error": 0.0},
                id=f"outcome-{number:04d}-{rng.integers(1 << 40):x}",
                domain="payments" if number % 7 else "it's legal",
                at=NOON + timedelta(seconds=int(rng.integers(0, 3600))),
                assigned=CANARY if number % 3 else STABLE,
                bucket=int(rng.integers(-1, 40)),
                status=OutcomeStatus.CLIENT_CLOSED if number % 11 == 0 else OutcomeStatus.OK,
                exposures=tuple(exposures[place] for place in range(3) if number % (place + 2)),
                dimensions={"region": "eu", _DIMENSION: value} if (value := _VALUES[number // 5 % 8]) else {},
            )
        )
    return made


class _Duck:
    """DuckDB as the lake uses it: over columns of a batch."""

    dialect = DUCKDB

    def __init__(self, table):
        self._connection = duckdb.connect()
        self._connection.register("tail", table)
        columns = selected(table.keys(), _MEASURES)
        self._connection.execute(f"CREATE TEMP VIEW outcomes AS SELECT {columns} FROM tail")  # noqa: S608 - our own

    def run(self, query):
        """Give the columns' names and the rows."""
        found = self._connection.execute(query)
        return [column[0] for column in found.description or ()], found.fetchall()

    def keep(self, name, query):
        """Name what a query gives."""
        self._connection.execute(f"CREATE OR REPLACE TEMP TABLE {name} AS {query}")


class _Postgres:
    """PostgreSQL, with a table of the same rows."""

    dialect = POSTGRESQL

    def __init__(self, url, rows):
        self._connection = psycopg.connect(url, autocommit=True)
        types = {"at_micros": "bigint", "plan_revision": "integer", "bucket": "smallint", "cluster": "smallint"}
        columns = [f"{name} {types.get(name, 'text')}" for name in FIELDS]
        columns += [f"{measure_column(name)} double precision" for name in _MEASURES]
        self._connection.execute(f"CREATE TEMP TABLE outcomes ({', '.join(columns)})")
        with self._connection.cursor().copy("COPY outcomes FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)

    def run(self, query):
        """Give the columns' names and the rows."""
        found = self._connection.execute(query)
        return [column.name for column in found.description or ()], found.fetchall()

    def keep(self, name, query):
        """Name what a query gives."""
        self._connection.execute(f"DROP TABLE IF EXISTS {name}")
        self._connection.execute(f"CREATE TEMP TABLE {name} AS {query}")


@pytest.fixture(scope="module")
def engines(postgres_server):
    """Both engines over the same outcomes."""
    duck = _Duck(rows_of([Columns.of(_outcomes())]))
    postgres = _Postgres(postgres_server.render_as_string(hide_password=False), duck.run("SELECT * FROM outcomes")[1])
    yield duck, postgres
    postgres._connection.close()


def _assert_same(one, other, *, ordered=False):
    """Compare names and rows, figures at 1e-9."""
    (names, rows), (other_names, other_rows) = one, other
    assert names == other_names
    assert len(rows) == len(other_rows) > 0
    if not ordered:
        rows, other_rows = (sorted(each, key=_texts_first) for each in (rows, other_rows))
    for row, other_row in zip(rows, other_rows, strict=True):
        for name, value, other_value in zip(names, row, other_row, strict=True):
            if isinstance(value, float):
                assert math.isclose(value, other_value, rel_tol=1e-9, abs_tol=1e-12), (name, row, other_row)
            else:
                assert value == other_value, (name, row, other_row)


def _texts_first(row):
    """Order rows by what is exact: texts and whole numbers."""
    return [str(value) for value in row if not isinstance(value, float)]


_MICROS = int(NOON.timestamp()) * 1_000_000
_PAGES = {
    "all": Page(domain="payments", limit=10_000),
    "a quote in the name": Page(domain="it's legal", limit=10_000),
    "a version": Page(domain="payments", version=CANARY, limit=100),
    "a span": Page(domain="payments", since=_MICROS + 600_000_000, until=_MICROS + 1_200_000_000, limit=10_000),
    "after a place": Page(domain="payments", after=(_MICROS + 1_800_000_000, "outcome-0700"), limit=50),
}
_CUTS = {
    "an experiment": Cut(domain="payments", experiments=(_EXPERIMENT,)),
    "a span of one": Cut(domain="payments", experiments=("tone",), since=_MICROS + 60_000_000, until=_MICROS + 10**9),
    "the newest": Cut(domain="payments", experiments=("tone",), limit=300),
    "by a dimension": Cut(domain="payments", experiments=(_EXPERIMENT,), dimension=_DIMENSION),
    "few values": Cut(domain="it's legal", experiments=("tone",), dimension=_DIMENSION, values=2, others='"(others)"'),
    "two experiments": Cut(domain="payments", experiments=(_EXPERIMENT, "tone"), limit=1000),
}


@pytest.mark.parametrize("page", _PAGES.values(), ids=_PAGES)
def test_pages_are_the_same(engines, page):
    """A page has the same outcomes in the same order."""
    _assert_same(*(engine.run(page.sql(engine.dialect, "outcomes", _MEASURES)) for engine in engines), ordered=True)


@pytest.mark.parametrize("cut", _CUTS.values(), ids=_CUTS)
def test_cuts_are_the_same(engines, cut):
    """Groups, their moments by cluster and their histograms are the same, digit by digit but for the last ones."""
    for engine in engines:
        engine.keep("cut", cut.cut(engine.dialect, "outcomes", _MEASURES))
    _assert_same(*(engine.run(cut.moments(engine.dialect, "cut", _MEASURES)) for engine in engines))
    for name in _MEASURES:
        _assert_same(*(engine.run(cut.bins(engine.dialect, "cut", name)) for engine in engines))


def test_a_cut_tells_every_value_apart(engines):
    """Whatever signs they have, arms and values come out as they went in."""
    cut = _CUTS["by a dimension"]
    for engine in engines:
        engine.keep("cut", cut.cut(engine.dialect, "outcomes", _MEASURES))
        found = {value for (value,) in engine.run("SELECT DISTINCT value FROM cut")[1]}
        assert found == {"", *(json_text(value) for value in _VALUES if value)}


@given(value=st.floats(min_value=-1e6, max_value=1e100))
def test_bins_are_those_of_histograms(engines, value):
    """SQL puts a value into the bin in which `evidence.histogram` has it."""
    expected = int(indices_of(np.array([max(value, 0.0)]))[0])
    for engine in engines:
        literal = f"CAST({value!r} AS DOUBLE PRECISION)"
        ((found,),) = engine.run(f"SELECT {engine.dialect.bin(literal)}")[1]
        assert found == expected
