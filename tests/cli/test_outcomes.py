"""Outcomes and judgements that are brought from files, as people type it."""

import json
from datetime import UTC, datetime, timedelta

import duckdb
import pytest
from tests.cli.conftest import Stage

from vedette.cli.outcome_import import Import
from vedette.control.plane import open_plane
from vedette.evidence.outcome import Outcome
from vedette.evidence.tabular import Said
from vedette.kernel.errors import InvalidInput

HEAD = "id,when,model,millis,ok,note\n"


def rows(stage: Stage, version: str = "") -> list[Outcome]:
    """The outcomes of payments, the oldest first."""
    with open_plane(stage.folder) as plane:
        return list(reversed(plane.lake.outcomes("payments", version=version, limit=100).items))


def at(minutes: int = 0, *, days: float = 1) -> str:
    """A time not long ago, as files write it."""
    return (datetime.now(UTC).replace(microsecond=0) - timedelta(days=days) + timedelta(minutes=minutes)).isoformat()


@pytest.fixture
def calls(tmp_path):
    """A file without ids: three rows, two of which say the same."""
    path = tmp_path / "calls.csv"
    when = at()
    lines = ["timestamp,version,latency_ms,status,unit,tenant", *[f"{when},v1,120.5,ok,ann,acme"] * 2]
    path.write_text("\n".join([*lines, f"{at(1)},v2,80,500,bob,", ""]))
    return path


def test_a_file_is_brought_once_however_often_it_is_typed(stage, calls):
    """Rows without ids get the same ids every time, alike rows each their own; columns are found by their names."""
    stage.serving()
    typed = ("outcomes", "import", str(calls), "--domain", "payments", "--dimension", "plan=tenant")
    first = stage.run(*typed)
    assert first.stdout == "3 rows of outcomes: 3 new, 0 already there\n"
    assert stage.json(*typed)["duplicate"] == 3
    found = rows(stage)
    assert [(it.assigned, it.served, it.status.value, it.measures) for it in found] == [
        *[("v1", "v1", "ok", {"latency_ms": 120.5, "error": 0.0})] * 2,
        ("v2", "v2", "error", {"latency_ms": 80.0, "error": 1.0}),
    ]
    assert [it.dimensions for it in found] == [{"plan": "acme"}, {"plan": "acme"}, {}]
    assert len({it.id for it in found}) == 3
    with open_plane(stage.folder) as plane:
        assert found[0].bucket == plane.traffic.choose("payments", "ann").bucket


def test_a_broken_row_stops_and_nothing_before_it_is_lost(stage, tmp_path):
    """The error names the row, the column, the value and what to do; repaired, the same command goes on."""
    stage.serving()
    path = tmp_path / "calls.csv"
    good = "".join(f"o-{n},{at(n)},v1,{n},1,hi\n" for n in range(5))
    path.write_text(f"{HEAD}{good}o-5,{at(5)},v1,fast,1,hi\no-6,{at(6)},v1,6,1,hi\n")
    columns = ("--map", "at=when", "--map", "assigned=model", "--measure", "latency_ms=millis")
    typed = ("outcomes", "import", str(path), "--domain", "payments", "--batch", "2", *columns)
    refused = stage.run(*typed, code=2)
    assert "calls.csv, line 7: column 'millis' holds 'fast', which is no number" in refused.stderr
    assert "run the same again, or pass --skip-bad" in refused.stderr
    assert len(rows(stage)) == 5
    skipped = stage.run(*typed, "--skip-bad")
    assert skipped.stdout == "7 rows of outcomes: 1 new, 5 already there, 1 skipped\n"
    assert "skipped: " in skipped.stderr
    path.write_text(path.read_text().replace("fast", "5"))
    assert stage.run(*typed).stdout == "7 rows of outcomes: 1 new, 6 already there\n"
    assert [it.measures["latency_ms"] for it in rows(stage)] == [float(n) for n in range(7)]


def test_history_counts_once_after_it_was_dropped_for_its_age(stage, tmp_path):
    """Three months may be brought: sums keep them, outcomes are not kept, and bringing them again changes nothing."""
    stage.serving()
    path = tmp_path / "history.csv"
    lines = [f"{at(days=days)},v1,{days}" for days in (1, 40, 60, 85)]
    path.write_text("\n".join(["at,version,latency_ms", *lines]))
    typed = ("outcomes", "import", str(path), "--domain", "payments")
    brought = stage.run(*typed)
    assert "4 new" in brought.stdout
    assert "3 are older than 30 days" in brought.stderr
    with open_plane(stage.folder) as plane:
        assert plane.lake.prune(datetime.now(UTC)) == 3
    path.write_text("\n".join(["at,version,latency_ms", f"{at(days=90)},v1,7", *reversed(lines)]))
    assert "1 new, 4 already there" in stage.run(*typed).stdout
    with open_plane(stage.folder) as plane:
        days = plane.lake.minutes("payments", datetime.now(UTC) - timedelta(days=100), datetime.now(UTC))
    assert sum(day.measures["requests"].n for day in days) == 5


def test_labels_come_as_a_file_of_ids_and_measures(stage, calls, tmp_path):
    """A file with nothing but ids and numbers is judgements, each counted once; those of unknown outcomes wait."""
    stage.serving()
    stage.run("outcomes", "import", str(calls), "--domain", "payments")
    known = rows(stage)[0].id
    path = tmp_path / "labels.csv"
    path.write_text(f"id,correct,by\n{known},true,ann\nlater,0,bob\n")
    typed = ("outcomes", "import", str(path))
    assert stage.run(*typed).stdout == "2 rows of judgements: 1 new, 0 already there, 1 waiting for their outcome\n"
    assert "1 already there" in stage.run(*typed).stdout
    assert next(it for it in rows(stage) if it.id == known).measures["correct"] == 1.0
    path.write_text(f"id,seen\n{known},x\n")
    assert "no column holds a judgement" in stage.run(*typed, code=2).stderr


def test_parquet_and_lines_say_what_csv_says(here, tmp_path):
    """Times of every kind, nested outcomes as the API writes them, and standard input are read."""
    here.serving()
    when = datetime(2026, 1, 2, 3, 4, 5, 250_000, tzinfo=UTC)
    made = tmp_path / "calls.parquet"
    stamps = "TIMESTAMPTZ '2026-01-02 03:04:05.25+00' AS at, 7::UTINYINT AS bucket"
    duckdb.sql(f"COPY (SELECT 'p' AS id, {stamps}, true AS ok, 'nan'::DOUBLE AS score) TO '{made}'")
    where = ("--domain", "payments", "--assigned", "v1")
    here.run("outcomes", "import", str(made), *where)
    lines = [
        {"id": "s", "at": when.timestamp(), "ok": True, "bucket": 7},
        {"id": "ms", "at": str(int(when.timestamp() * 1000)), "bucket": 7, "measures": {"ok": 1}, "planRevision": 3},
        {"id": "iso", "at": "2026-01-02T04:04:05.25+01:00", "ok": 1, "served": "v2", "status": "error", "bucket": 7},
    ]
    text = "\n".join(map(json.dumps, lines))
    assert "3 new" in here.run("outcomes", "import", "-", *where, stdin=text).stdout
    found = {it.id: it for it in rows(here)}
    assert {(it.at, it.bucket) for it in found.values()} == {(when, 7)}
    assert {name: it.measures for name, it in found.items()} == {
        "p": {"ok": 1.0, "error": 0.0},
        "s": {"ok": 1.0, "error": 0.0},
        "ms": {"ok": 1.0, "error": 0.0},
        "iso": {"ok": 1.0, "error": 1.0},
    }
    assert (found["ms"].plan_revision, found["iso"].served) == (3, "v2")


class Anywhere:
    """Services that know the domain payments, and take nothing."""

    class domains:  # noqa: N801 - a service by its name
        """The domains there are."""

        @staticmethod
        def get(name: str) -> None:
            """Know payments only."""
            assert name == "payments"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("at,version\n2026-11-01 10:00,v1\n", "names no time zone (say --zone UTC"),
        ("at,version\n20261101,v1\n", "that would be 1970-08-23"),
        ("at,version\n2099-01-01T00:00:00Z,v1\n", "has not come yet"),
        ("at,version\n2026-11-01T10:00:00Z\n", "line 2: it has 1 cells, and there are 2 columns"),
        ("when,version\n2026-11-01T10:00:00Z,v1\n", "no column says at"),
        ("at,version\n2026-11-01T10:00:00Z,\n", "column 'version' is empty"),
        ("at,version,status\n2026-11-01T10:00:00Z,v1,fine\n", "'fine', which is no status"),
        ("at,version,latency_ms\n2026-11-01T10:00:00Z,v1,-4\n", "it is a magnitude"),
        ("at,version,bucket\n2026-11-01T10:00:00Z,v1,4000\n", "holds 4000, which is no bucket"),
        ("at,version,bucket\n2026-11-01T10:00:00Z,v1,1.5\n", "which is no whole number"),
        ("at,version,score\n2026-11-01T10:00:00Z,v1,inf\n", "column 'score' holds 'inf', which is no number"),
        ('at;version\n2026-11-01T10:00:00Z;"v1\n', "line 2: it is no CSV"),
        ("id,score\n,4\n", "column 'id' is empty"),
        ("id,score\ny,1\nx,\n", "the judgement of 'x' has no measure"),
        ("", "is empty"),
        ("at,at\n", "two columns 'at'"),
    ],
)
def test_what_cannot_be_read_is_refused_in_words(tmp_path, text, said):
    """Each mistake is named with its row, its column and its value, and what to do about it."""
    path = tmp_path / "calls.csv"
    path.write_text(text)
    wanted = Said(domain="" if text.startswith("id") else "payments")
    run = Import(services=Anywhere(), said=wanted, size=10, lenient=False, dry_run=True, tell=print)  # type: ignore[arg-type]  # it needs no more of them
    with pytest.raises(InvalidInput) as refused:
        run.run([str(path)], None)
    assert said in str(refused.value)
    assert "calls.csv" in str(refused.value)


def test_what_is_typed_wrongly_is_refused_before_anything_is_read(here, calls):
    """A field, a column or a zone that there is not is named, with those there are."""
    here.serving()
    typed = ("outcomes", "import", str(calls), "--domain", "payments")
    wrong = {"--map unit=user": "no column 'user'", "--map user=unit": "no 'user'", "--zone Mars": "no time zone"}
    for option, said in wrong.items():
        refused = here.run(*typed, *option.split(), code=2).stderr
        assert said in refused
        assert "(" in refused
    assert rows(here) == []


def test_a_dry_run_reads_everything_and_stores_nothing(here, calls):
    """It says how the file is read, and what is left out."""
    here.serving()
    done = here.run("outcomes", "import", str(calls), "--domain", "payments", "--dry-run")
    assert done.stdout.startswith("3 rows of outcomes: 3 can be read")
    assert "at from 'timestamp'" in done.stderr
    assert "not read: 'tenant'" in done.stderr
    assert rows(here) == []


def test_a_domain_there_is_not_is_named_with_its_row(here, tmp_path):
    """Nothing is made of a name that is mistyped."""
    here.serving()
    path = tmp_path / "calls.jsonl"
    path.write_text(json.dumps({"at": at(), "version": "v1", "domain": "payment"}))
    refused = here.run("outcomes", "import", str(path), code=3)
    assert "calls.jsonl, line 1: " in refused.stderr
    assert "payment" in refused.stderr


def test_one_units_outcomes_are_listed_and_erased_as_typed(stage, calls):
    """What is kept of a unit is listed; a dry run counts and keeps it; erasing leaves everybody else's."""
    stage.serving()
    stage.run("domain", "update", "payments", "--keep-units")
    stage.run("outcomes", "import", str(calls), "--domain", "payments")
    assert len(stage.json("outcomes", "list", "payments")["items"]) == 3
    assert len(stage.json("outcomes", "list", "payments", "--unit", "ann")["items"]) == 2
    assert stage.run("outcomes", "erase", "payments", "--unit", "ann", "--dry-run").stdout == (
        "2 outcomes would be erased\n"
    )
    assert len(rows(stage)) == 3
    assert stage.run("outcomes", "erase", "payments", "--unit", "ann", "--yes").stdout == "2 outcomes are erased\n"
    assert [it.assigned for it in rows(stage)] == ["v2"]
    assert "v2" in stage.run("outcomes", "list", "payments").stdout
