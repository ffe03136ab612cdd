"""The engines behind `VEDETTE_ANALYTICS`: what they say is what DuckDB says, and what goes wrong is said plainly."""

import re
import sys
from contextlib import closing
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from types import ModuleType
from typing import Any

import pytest
from tests.control.trials import answer, draft, parameters, prepare
from tests.control.world import World
from tests.lake.making import exposed, outcome

from vedette.control.plane import open_plane
from vedette.kernel.errors import InvalidInput, Unavailable
from vedette.kernel.tables import plain
from vedette.lake.engines import engine_of
from vedette.lake.history import FileGone, History, snapshot
from vedette.lake.queries import Cut, Page

_CUT = Cut(domain="payments", experiments=("tone",))
_engine = pytest.mark.parametrize(
    "url", [pytest.param(name, marks=pytest.mark.engines) for name in ("spark_url", "clickhouse_url")], indirect=True
)


@pytest.fixture
def url(request):
    """The URL of an engine, by the name of the fixture that starts it."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def sealed(local_lake):
    """A snapshot of a lake with a segment and a tail, and where its segments are."""
    for number in range(2):
        local_lake.ship(f"batch-{number}", [outcome(exposures=(exposed(arm=f"arm-{n % 2}"),)) for n in range(20)])
        if number == 0:
            local_lake.seal()
    with local_lake._database.reading() as connection:
        return snapshot(connection, local_lake._tables, local_lake._segments, "payments")


@pytest.mark.parametrize(
    "url",
    [
        "duckdb://here",
        "http://db.example:8123",
        "clickhouse://",
        "clickhouse://db.example:many",
        "clickhouse://db.example/one/two",
        "spark://db.example",
        "spark://:7077",
        "spark://db.example:7077/path",
        "spark://db.example:7077?cores=4",
    ],
)
def test_a_url_that_names_no_engine_is_refused(url, tmp_path):
    """A plane is not opened on an engine nobody knows, and what to write is said."""
    with pytest.raises(InvalidInput) as refused:
        open_plane(tmp_path, analytics=url)
    assert "host:" in refused.value.hint


def test_a_missing_extra_is_named(monkeypatch):
    """Where PySpark is not installed, what to install is said before anything is asked."""
    monkeypatch.setitem(sys.modules, "pyspark", None)
    with pytest.raises(Unavailable) as missing:
        engine_of("spark://db.example:7077")
    assert "vedette[spark]" in missing.value.hint


def test_a_missing_java_is_named(monkeypatch, tmp_path):
    """Where there is PySpark and no Java, what to install is said."""
    monkeypatch.setitem(sys.modules, "pyspark", ModuleType("pyspark"))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Unavailable, match="Java") as missing:
        engine_of("spark://db.example:7077")
    assert "openjdk-17" in missing.value.hint


def test_a_server_that_is_not_there_is_said(sealed):
    """A ClickHouse that does not answer is named by its host, never by its password."""
    with closing(engine_of("clickhouse://ada:secret@127.0.0.1:1/lake")) as engine:
        for ask in (engine.probe, engine.over(sealed, _CUT).__enter__):
            with pytest.raises(Unavailable, match=re.escape("127.0.0.1:1 does not answer")) as gone:
                ask()
            assert "secret" not in str(gone.value)


@pytest.mark.parametrize(("status", "said"), [(500, "MEMORY_LIMIT_EXCEEDED"), (403, "does not let us in")])
def test_what_a_server_refuses_is_said(sealed, status, said):
    """What ClickHouse says went wrong is what we say."""

    class Refusing(BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["content-length"]))
            body = b"Code: 241. DB::Exception: too much. (MEMORY_LIMIT_EXCEEDED)\nof a stack"
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Refusing) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        with closing(engine_of(f"clickhouse://127.0.0.1:{server.server_port}")) as engine:
            with pytest.raises(Unavailable, match=said) as refused, engine.over(sealed, _CUT):
                pass
            assert "stack" not in str(refused.value)
        server.shutdown()
        thread.join()


def test_pages_and_outcomes_need_no_engine(local_lake, tmp_path):
    """Pages and single outcomes are read here, whoever counts and whether or not it answers."""
    local_lake.ship("first", [outcome(id="one")])
    with open_plane(tmp_path, analytics="clickhouse://127.0.0.1:1") as plane:
        assert plane.lake.outcome("one") == plane.lake.outcomes("payments").items[0]
        with pytest.raises(Unavailable):
            plane.lake.recounted("payments", "tone")


@_engine
def test_an_experiment_is_reported_the_same(url, tmp_path):
    """Results, a breakdown, interactions and a recount of an experiment are those of a plane without a URL."""
    world: Any = World(str(tmp_path / "data"))
    prepare(world)
    draft(world, "v1", "v2", dimensions=["x-country"])
    draft(world, parameters("cool", temperature=0.1), parameters("warm", temperature=0.9), name="heat", layer="heat")
    for name in ("tone", "heat"):
        world.plane.experiments.start(name, actor="ada")
    for correct in (0.6, 0.7):
        answer(world, attributes=_country, correct={"v2": correct}, users=600)
        world.plane.lake.seal()
    answer(world, attributes=_country, both={("v2", "warm"): 0.9}, users=600)
    with open_plane(tmp_path / "data", actor="", instruments=world.clock, analytics=url) as other:
        reports = [_reports(plane) for plane in (world.plane, other)]
    world.plane.close()
    for found, expected in zip(_figures(reports[1]), _figures(reports[0]), strict=True):
        assert found == (pytest.approx(expected, rel=1e-9, abs=1e-12) if isinstance(expected, float) else expected)
    assert any("de" in text for text in map(str, _figures(reports[1])))


def _figures(value):
    """Give every name and figure of a report, in order."""
    if isinstance(value, dict):
        value = [each for pair in value.items() for each in pair]
    if not isinstance(value, list | tuple):
        return [value]
    return [figure for each in value for figure in _figures(each)]


def _country(user):
    return {"x-country": ("de", "fr", "")[user % 3]}


def _reports(plane):
    stored = plane.experiments.get("tone")
    counted = plane.lake.recounted("pay", stored.id)
    return {
        "results": plain(plane.experiments.results("tone")),
        "breakdown": plain(plane.experiments.breakdown("tone", "x-country")),
        "interactions": plain(plane.experiments.interactions("tone")),
        "recounted": [
            (epoch, arm, name, sums.n.tolist(), sums.mean.tolist(), sums.m2.tolist(), bins)
            for epoch, arms in counted.epochs.items()
            for arm, its in arms.items()
            for name, sums in sorted(its.measures.items())
            for bins in [dict(its.histograms[name].counts) if name in its.histograms else {}]
        ],
    }


@_engine
def test_an_engine_may_be_used_again_and_by_many(url, sealed):
    """After it was closed it opens again; questions asked at once do not see each other's names."""
    engine = engine_of(url)
    newest = Cut(domain="payments", experiments=("tone",), limit=7)
    for _ in range(2):
        with closing(engine), engine.over(sealed, _CUT) as one, engine.over(sealed, newest) as other:
            for asked, cut in ((one, _CUT), (other, newest)):
                asked.keep("cut", cut.cut(asked.dialect, "outcomes", sealed.measures), stored=cut.limit is not None)
            assert [asked.rows("SELECT count(*) AS n FROM cut") for asked in (one, other)] == [[{"n": 40}], [{"n": 7}]]


@_engine
def test_a_segment_that_is_gone_is_told_apart(url, sealed):
    """A file that was merged or dropped meanwhile is `FileGone`, so that whoever asked takes a new snapshot."""
    with closing(engine_of(url)) as engine, closing(History()) as duck:
        (file,) = sealed.files
        moved = file.rename(file.with_suffix(".moved"))
        for each in (engine, duck):
            with pytest.raises(FileGone), each.over(sealed, _CUT) as asked:
                asked.rows(Page(domain="payments").sql(asked.dialect, "outcomes", sealed.measures))
        moved.rename(file)
        with engine.over(sealed, _CUT) as asked:
            assert asked.rows("SELECT count(*) AS n FROM outcomes") == [{"n": 40}]


@pytest.mark.engines
def test_a_server_with_the_files_reads_them(clickhouse_url, sealed):
    """A server that is told where it has the segments needs them there; one that is gone is told apart."""
    (file,) = sealed.files
    with (
        closing(engine_of(f"{clickhouse_url}?files=/nowhere")) as engine,
        pytest.raises(Unavailable, match="/nowhere/"),
        engine.over(sealed, _CUT),
    ):
        pass
    with closing(engine_of(f"{clickhouse_url}?files={file.parent}")) as engine:
        with engine.over(sealed, _CUT) as asked:
            assert asked.rows("SELECT count(*) AS n FROM outcomes") == [{"n": 40}]
        file.unlink()
        with pytest.raises(FileGone), engine.over(sealed, _CUT):
            pass


@_engine
def test_it_says_who_counts(url):
    """A probe names the engine and not how to get in."""
    with closing(engine_of(url)) as engine:
        said = engine.probe()
    assert "127.0.0.1" in said
    assert "p@ss" not in said


@pytest.mark.engines
def test_nothing_stays_on_the_server(clickhouse_url, sealed):
    """What a question put on ClickHouse is dropped when it was answered."""
    with closing(engine_of(clickhouse_url)) as engine:
        with engine.over(sealed, _CUT) as asked:
            assert asked.rows("SELECT count(*) AS n FROM outcomes") == [{"n": 40}]
        with pytest.raises(Unavailable, match="Unknown table"):
            asked.rows("SELECT count(*) AS n FROM outcomes")


@pytest.mark.engines
def test_a_wrong_password_is_said(clickhouse_url):
    """Who is not let in reads where user and password are set."""
    host = clickhouse_url.rpartition("@")[2]
    with closing(engine_of(f"clickhouse://analyst:wrong@{host}")) as engine, pytest.raises(Unavailable) as refused:
        engine.probe()
    assert "user and password in VEDETTE_ANALYTICS" in refused.value.hint


@pytest.mark.engines
def test_a_cluster_that_is_not_there_is_said(sealed):
    """A master that does not answer is named at once, without Spark's minute of trying."""
    with (
        closing(engine_of("spark://127.0.0.1:1")) as engine,
        pytest.raises(Unavailable, match=re.escape("nobody answers at spark://127.0.0.1:1")),
        engine.over(sealed, _CUT),
    ):
        pass


@pytest.mark.engines
def test_a_process_has_one_session(spark_url, sealed):
    """Engines on one cluster share a session until the last of them is closed; another cluster has to wait for that."""
    one, same = engine_of(spark_url), engine_of(spark_url)
    with closing(one), closing(same):
        for engine in (one, same):
            with engine.over(sealed, _CUT) as asked:
                assert asked.rows("SELECT count(*) AS n FROM tail") == [{"n": 20}]
        one.close()
        with same.over(sealed, _CUT) as asked:
            assert asked.rows("SELECT count(*) AS n FROM tail") == [{"n": 20}]
        with (
            closing(engine_of("spark://127.0.0.1:1")) as other,
            pytest.raises(Unavailable, match="already"),
            other.over(sealed, _CUT),
        ):
            pass
