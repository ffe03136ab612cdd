"""``vedette audit``, on a folder and on a server; and what an edited row looks like."""

import json
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import pytest

from vedette.database.engine import sqlite_driver


def edit(folder: Path, statement: str) -> None:
    """Change the record behind vedette's back, as someone with the file could."""
    with closing(sqlite_driver().connect(str(folder / "control.db"))) as connection:
        triggers = connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for (name,) in triggers:
            connection.execute(f"DROP TRIGGER {name}")
        connection.execute(statement)
        connection.commit()


def test_every_change_is_listed_with_its_actor(stage):
    """List shows who did what, the newest first, and filters by actor, domain, action and time."""
    stage.run("domain", "create", "legal", "--actor", "bob")
    stage.serving()
    newest = stage.json("audit", "list", "--limit", "1")["items"][0]
    assert newest["sequence"] == stage.json("audit", "head")["sequence"]
    first = stage.json("audit", "list", "--oldest-first", "--limit", "1")["items"][0]
    assert (first["action"], first["actor"]) == ("domain.create", "bob")
    assert {e["actor"] for e in stage.json("audit", "list", "--by", "bob")["items"]} == {"bob"}
    assert {e["domain"] for e in stage.json("audit", "list", "--domain", "legal")["items"]} == {"legal"}
    assert stage.json("audit", "list", "--until", "2020-01-01")["items"] == []
    assert len(stage.json("audit", "list", "--since", "2020-01-01", "--action", "version.register")["items"]) == 2


def test_a_sound_record_verifies(stage):
    """Verify says sound, also against a checkpoint that head printed."""
    stage.serving()
    head = stage.run("audit", "head").stdout.strip()
    stage.run("domain", "update", "payments", "--title", "x")
    assert "sound" in stage.run("audit", "verify", "--checkpoint", head).stdout
    assert "sound" in stage.run("audit", "verify", "--checkpoint", "-", stdin=head + "\n").stdout
    assert stage.json("audit", "verify")["sound"] is True
    assert "no checkpoint" in stage.run("audit", "verify", "--checkpoint", "12", code=2).stderr


@pytest.mark.parametrize(
    ("statement", "fault"),
    [
        ("UPDATE domain_audit_logs SET actor = 'nobody' WHERE sequence = 3", "entry 3 is not what its hash says"),
        ("DELETE FROM domain_audit_logs WHERE sequence = 4", "entry 4 is missing"),
    ],
)
def test_a_changed_record_is_named(stage, statement, fault):
    """An edited or removed row ends verify with 8, and doctor on the folder with its own code; both name the row."""
    stage.serving()
    edit(stage.folder, statement)
    refused = stage.run("audit", "verify", code=8)
    assert fault in refused.stdout
    assert fault in refused.stderr
    assert stage.json("audit", "verify", code=8)["sound"] is False


def test_export_writes_every_entry_as_a_line(stage, tmp_path):
    """The export holds every entry in order, chained, on standard output and in a file alike."""
    stage.serving()
    lines = [json.loads(line) for line in stage.run("audit", "export").stdout.splitlines()]
    assert [entry["sequence"] for entry in lines] == list(range(1, stage.json("audit", "head")["sequence"] + 1))
    assert all(later["previousHash"] == entry["entryHash"] for entry, later in pairwise(lines))
    file = tmp_path / "audit.jsonl"
    stage.run("audit", "export", "--file", str(file))
    assert [json.loads(line) for line in file.read_text().splitlines()] == lines
    assert stage.run("audit", "export", "--until", "2020-01-01").stdout == ""
    stage.run("audit", "export", "--file", str(tmp_path / "no" / "where"), code=7)
