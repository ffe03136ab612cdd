"""The contract of the templates: one text says the same of the same outcomes, whichever engine runs it.

Every engine is compared with DuckDB: PostgreSQL here, Spark and ClickHouse's engine, through the adapters that are used
by URL, in `make test-engines`.
"""

import math
from contextlib import closing, contextmanager
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import numpy as np
import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.lake.making import CANARY, NOON, STABLE, exposed, outcome

from vedette.evidence.histogram import indices_of
from vedette.evidence.outcome import Feedback, OutcomeStatus
from vedette.lake.columns import json_text
from vedette.lake.dialect import POSTGRESQL, SPARK
from vedette.lake.engines import engine_of
from vedette.lake.history import History, snapshot
from vedette.lake.outcomes import Lake
from vedette.lake.queries import FIELDS, Cut, Page, measure_column

_EXPERIMENT = (
    'tone "of" (voice)\\n.* ${spark.app.name}'  # every sign that JSON, SQL or a regular expression could stumble over
)
_DIMENSION = "it's [a] {plan}?"
_VALUES = ("", "free", 'say "hi"', "a\\b", "100 %", "{x:y},", "grün", f'"{_DIMENSION}":"none"'[:64])
_MEASURES = ("correct", "cost_delta", "error", "graded", "latency_ms", "solved", "tokens_out")
_DOMAINS = ("payments", "it's legal")


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
        kept = rng.choice(sorted(measures), size=number % 6, replace=False)
        solved = {"solved": rng.random()} if number >= 500 and number % 4 else {}
        made.append(
            outcome(
                {name: measures[name] for name in kept} | solved or {"error": 0.0},
                id=f"outcome-{number:04d}-{rng.integers(1 << 40):x}",
                domain=_DOMAINS[not number % 7],
                at=NOON + timedelta(seconds=int(rng.integers(0, 3600))),
                assigned=CANARY if number % 3 else STABLE,
                bucket=int(rng.integers(-1, 40)),
                status=OutcomeStatus.CLIENT_CLOSED if number % 11 == 0 else OutcomeStatus.OK,
                exposures=tuple(exposures[place] for place in range(3) if number % (place + 2)),
                dimensions={"region": "eu", _DIMENSION: value} if (value := _VALUES[number // 5 % 8]) else {},
            )
        )
    return made


class _Postgres:
    """PostgreSQL, with a table of the same rows."""

    dialect = POSTGRESQL

    def __init__(self, url, rows, measures):
        self._connection = psycopg.connect(url, autocommit=True)
        types = {"at_micros": "bigint", "plan_revision": "integer", "bucket": "smallint", "cluster": "smallint"}
        columns = [f"{name} {types.get(name, 'text')}" for name in FIELDS]
        columns += [f"{measure_column(name)} double precision" for name in measures]
        self._connection.execute(f"CREATE TEMP TABLE outcomes ({', '.join(columns)})")
        with self._connection.cursor().copy("COPY outcomes FROM STDIN") as copy:
            for row in rows:
                copy.write_row(list(row.values()))

    @contextmanager
    def over(self, taken, query):
        """Hold what it was made with."""
        assert query.domain in {batch.texts["domain"].values[0] for batch in taken.tail} or taken.files
        yield self

    def rows(self, query):
        """Run a query and give its rows."""
        found = self._connection.execute(query)
        names = [column.name for column in found.description or ()]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]

    def keep(self, name, query, *, stored):  # noqa: ARG002 - kept either way
        """Give what a query finds a name."""
        self._connection.execute(f"DROP TABLE IF EXISTS {name}")
        self._connection.execute(f"CREATE TEMP TABLE {name} AS {query}")

    def close(self):
        """Close the connection."""
        self._connection.close()


@pytest.fixture(scope="module")
def taken(tmp_path_factory):
    """Snapshots by domain: outcomes in two segments, one of which lacks a measure, a tail, late judgements."""
    lake = Lake(f"sqlite:///{tmp_path_factory.mktemp('lake') / 'a {lake}, 100%20' / 'outcomes.db'}")
    lake.migrate()
    outcomes = _outcomes()
    for part in range(3):
        lake.ship(f"batch-{part}", outcomes[part * 500 : (part + 1) * 500])
        if part < 2:
            lake.seal()
    late = [Feedback(outcome_id=each.id, measures={"graded": n / 7, "correct": 7.5}) for n, each in enumerate(outcomes)]
    assert lake.feedback(late[::5]).accepted > 0
    with lake._database.reading() as connection:
        snapshots = {name: snapshot(connection, lake._tables, lake._segments, name) for name in _DOMAINS}
    assert all(len(found.files) == 2 and found.tail and found.late for found in snapshots.values())
    yield snapshots
    lake.close()


@pytest.fixture(
    scope="module",
    params=[
        "postgresql",
        pytest.param("spark", marks=pytest.mark.engines),
        pytest.param("clickhouse", marks=pytest.mark.engines),
        pytest.param("clickhouse files", marks=pytest.mark.engines),
    ],
)
def engines(request, taken, tmp_path_factory):
    """DuckDB and another engine over the same outcomes."""
    with closing(History()) as duck:
        if request.param == "postgresql":
            url = request.getfixturevalue("postgres_server").render_as_string(hide_password=False)
            other: Any = _Postgres(url, _rows(duck, taken), _MEASURES)
        else:
            name, _, files = request.param.partition(" ")
            url = request.getfixturevalue(f"{name}_url")
            if files:  # the server has the folder, at a place of its own
                there = tmp_path_factory.mktemp("there") / "the segments"
                there.symlink_to(taken["payments"].files[0].parent)
                url += f"?files={quote(str(there))}"
            other = engine_of(url)
        with closing(other):
            yield duck, other


def _rows(engine, taken):
    """Give all outcomes of all domains."""
    rows = []
    for domain, found in taken.items():
        everything = Page(domain=domain, limit=10_000)
        with engine.over(found, everything) as held:
            rows += held.rows(everything.sql(held.dialect, "outcomes", _MEASURES))
    return rows


def _assert_same(rows, other_rows, *, ordered=False):
    """Compare names and rows, figures at 1e-9."""
    assert len(rows) == len(other_rows) > 0
    if not ordered:
        rows, other_rows = (sorted(each, key=_texts_first) for each in (rows, other_rows))
    for row, other_row in zip(rows, other_rows, strict=True):
        assert list(row) == list(other_row)
        for name, value in row.items():
            if isinstance(value, float):
                assert math.isclose(value, other_row[name], rel_tol=1e-9, abs_tol=1e-12), (name, row, other_row)
            else:
                assert value == other_row[name], (name, row, other_row)


def _texts_first(row):
    """Order rows by what is exact: texts and whole numbers, by the names of their columns."""
    return [str(row[name]) for name in row if not name.startswith(("mean_", "centred_", "m_"))]


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
def test_pages_are_the_same(engines, taken, page):
    """A page has the same outcomes in the same order."""
    found = []
    for engine in engines:
        with engine.over(taken[page.domain], page) as asked:
            found.append(asked.rows(page.sql(asked.dialect, "outcomes", _MEASURES)))
    _assert_same(*found, ordered=True)


@pytest.mark.parametrize("cut", _CUTS.values(), ids=_CUTS)
def test_cuts_are_the_same(engines, taken, cut):
    """Groups, their moments by cluster and their histograms are the same, digit by digit but for the last ones."""
    found = []
    for engine in engines:
        with engine.over(taken[cut.domain], cut) as asked:
            asked.keep("cut", cut.cut(asked.dialect, "outcomes", _MEASURES), stored=cut.limit is not None)
            bins = [asked.rows(cut.bins(asked.dialect, "cut", name)) for name in _MEASURES]
            found.append([asked.rows(cut.moments(asked.dialect, "cut", _MEASURES)), *bins])
    for rows, other_rows in zip(*found, strict=True):
        _assert_same(rows, other_rows)


def test_a_cut_tells_every_value_apart(engines, taken):
    """Whatever signs they have, arms and values come out as they went in."""
    cut = _CUTS["by a dimension"]
    for engine in engines:
        with engine.over(taken[cut.domain], cut) as asked:
            asked.keep("cut", cut.cut(asked.dialect, "outcomes", _MEASURES), stored=False)
            found = {row["value"] for row in asked.rows("SELECT DISTINCT value FROM cut")}
        assert found == {"", *(json_text(value) for value in _VALUES if value)}


@given(values=st.lists(st.floats(min_value=-1e6, max_value=1e100), min_size=1, max_size=50))
@settings(max_examples=25)
def test_bins_are_those_of_histograms(engines, taken, values):
    """SQL puts a value into the bin in which `evidence.histogram` has it."""
    expected = indices_of(np.array([max(value, 0.0) for value in values])).tolist()
    page = _PAGES["all"]
    for engine in engines:
        with engine.over(taken[page.domain], page) as asked:
            double = "DOUBLE" if asked.dialect is SPARK else "DOUBLE PRECISION"
            bins = [asked.dialect.bin(f"CAST({value!r} AS {double})") for value in values]
            names = [f"bin_{place}" for place in range(len(bins))]
            query = ", ".join(f"{binned} AS {name}" for binned, name in zip(bins, names, strict=True))
            (found,) = asked.rows(f"SELECT {query}")
        assert [found[name] for name in names] == expected
