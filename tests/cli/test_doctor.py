"""``vedette doctor`` on sound and on damaged data."""

import os
import shutil
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from tests.cli.conftest import Stage
from tests.cli.test_audit import edit
from tests.lake.making import outcome

from vedette.catalog.backend import LocalBackend
from vedette.catalog.domain import DomainSpec
from vedette.cli import checks, exits
from vedette.control.instruments import Instruments
from vedette.control.plane import open_plane


def results(stage: Stage, code: int = 0) -> dict[str, Any]:
    """Run the doctor; give each check's result by its name."""
    return {check["name"]: check for check in stage.json("doctor", code=code)}


def test_sound_data_is_sound(stage):
    """On sound data with a live gateway nothing fails, and doctor ends with 0."""
    stage.rolling()
    stage.work()
    found = results(stage)
    assert {check["result"] for check in found.values()} == {"ok"}
    assert "ok" in stage.run("doctor").stdout


def test_it_says_how_much_is_where_and_which_segments_are_gone(here):
    """What is spooled and what is sealed is counted; a segment that is listed and not there fails, with what to do."""
    with open_plane(here.folder) as plane:
        plane.lake.ship("first", [outcome()])
        assert plane.lake.seal().outcomes == 1
    assert "in 1 segments" in results(here)["outcomes"]["message"]
    (segment,) = (here.folder / "outcomes.segments").glob("*.parquet")
    segment.unlink()
    found = results(here, exits.UNSOUND)["outcomes"]
    assert segment.name in found["message"]
    assert "VEDETTE_SEGMENTS" in found["hint"]


def test_it_says_who_counts_stored_outcomes(here, monkeypatch):
    """DuckDB counts unless a URL says otherwise; an engine that does not answer is a fault of its own."""
    assert "DuckDB" in results(here)["analytics"]["message"]
    monkeypatch.setenv("VEDETTE_ANALYTICS", "clickhouse://ada:secret@127.0.0.1:1")
    found = results(here, exits.UNSOUND)
    assert (found["analytics"]["result"], found["outcomes"]["result"]) == ("fail", "ok")
    assert "secret" not in str(found)


def test_a_folder_that_is_not_there_fails(here, tmp_path):
    """Without a folder doctor fails, says what makes it, and makes nothing."""
    here.where = ("--data", str(tmp_path / "none"))
    found = results(here, exits.UNSOUND)["data folder"]
    assert (found["result"], found["hint"]) == ("fail", "`vedette serve` makes it")
    assert not (tmp_path / "none").exists()


def test_a_folder_without_a_database_fails(here):
    """A folder whose database is gone fails at the database, and stays without one."""
    (here.folder / "control.db").unlink()
    assert results(here, exits.UNSOUND)["database"]["result"] == "fail"
    assert not (here.folder / "control.db").exists()


def test_a_damaged_database_fails(here):
    """A database that is damaged fails with what to do, not with a traceback."""
    for name in ("control.db", "outcomes.db"):
        copied = here.folder.with_name(name)
        shutil.copytree(here.folder, copied)
        for sidecar in (*copied.glob("*-wal"), *copied.glob("*-shm")):
            sidecar.unlink()
        (copied / name).write_bytes(b"SQLite format 3\x00" + b"\xff" * 8192)
        here.where = ("--data", str(copied))
        checked = "database" if name == "control.db" else "outcomes"
        assert results(here, exits.UNSOUND)[checked]["result"] == "fail"
        here.run("domain", "list", code=8)


def test_a_changed_record_fails(here):
    """An edited audit entry fails the audit check, by its number."""
    here.serving()
    edit(here.folder, "UPDATE domain_audit_logs SET actor = 'nobody' WHERE sequence = 2")
    found = results(here, exits.UNSOUND)["audit log"]
    assert found["result"] == "fail"
    assert "entry 2" in found["message"]


def test_a_database_of_the_future_fails_and_an_old_one_warns(here):
    """A newer schema has to be met by a newer vedette; an older one is brought up by the next serve."""
    edit(here.folder, "UPDATE alembic_version SET version_num = '9999'")
    assert "upgrade vedette" in results(here, exits.UNSOUND)["database"]["hint"]
    edit(here.folder, "UPDATE alembic_version SET version_num = '0000'")
    assert results(here)["database"]["result"] == "warn"


def test_missing_gateways_and_variables_warn(here):
    """No live gateway, and an API key the machine does not have, are warned of: exit 0."""
    here.run("domain", "create", "payments")
    here.run(
        *("version", "register", "payments", "v1", "--url", "http://127.0.0.1:9/v1"),
        *("--api-key-env", "A_KEY_NOBODY_HAS"),
    )
    here.run("version", "install", "payments", "v1")
    found = results(here)
    assert found["gateways"]["result"] == "warn"
    assert "A_KEY_NOBODY_HAS" in found["backends"]["message"]


def test_a_gateway_on_an_old_plan_and_a_waiting_journal_warn(here):
    """A gateway that serves an older plan, and outcomes nobody ships, are warned of."""
    here.serving()
    with open_plane(here.folder) as plane:
        plane.traffic.confirm("slow", {"payments": 1})
    journal = here.folder / "journal"
    journal.mkdir()
    (journal / "gateway-1.journal").write_bytes(b"x" * 100)
    os.utime(journal / "gateway-1.journal", (1_700_000_000, 1_700_000_000))
    found = results(here)
    assert "slow" in found["gateways"]["message"]
    assert (found["journal"]["result"], "100 bytes" in found["journal"]["message"]) == ("warn", True)


def test_an_artefact_that_changed_fails(tmp_path):
    """A serving model whose file is gone or is not what it was fails."""
    artefact = tmp_path / "model.skops"
    artefact.write_bytes(b"changed")
    backend = LocalBackend(artefact=str(artefact), digest="0" * 64)
    assert ["not what its digest says" in fault for fault in checks._artefact(backend)] == [True]
    artefact.unlink()
    assert ["cannot be read" in fault for fault in checks._artefact(backend)] == [True]


def test_a_server_that_is_not_there_fails(here):
    """With --server the doctor asks the server, and fails when it does not answer."""
    here.where = ("--server", "http://127.0.0.1:9")
    assert results(here, exits.UNSOUND)["server"]["result"] == "fail"


def test_a_place_that_is_no_folder_fails(here, tmp_path):
    """A file where the folder should be fails with what to check."""
    (tmp_path / "file").write_text("")
    here.where = ("--data", str(tmp_path / "file"))
    assert "cannot be written" in results(here, exits.UNSOUND)["data folder"]["message"]


@pytest.mark.parametrize(("free", "result", "code"), [(1 << 20, "fail", exits.UNSOUND), (1 << 29, "warn", 0)])
def test_a_full_disk_is_told_before_it_hurts(here, monkeypatch, free, result, code):
    """Little room on the disk is warned of; as good as none fails."""
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    assert results(here, code)["data folder"]["result"] == result


def test_a_clock_behind_the_record_is_warned_of(here):
    """An entry from the future means that clocks differ or jumped, and doctor says so."""

    class Ahead(Instruments):
        def now(self):
            return super().now() + timedelta(hours=2)

    with open_plane(here.folder, instruments=Ahead()) as plane:
        plane.domains.create("legal", DomainSpec(), actor="ada")
    clock = results(here)["clock"]
    assert (clock["result"], "in 1h59m" in clock["message"] or "in 2h" in clock["message"]) == ("warn", True)
