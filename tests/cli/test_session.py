"""Where a command works, who acts, and how results look."""

import io
import json
from datetime import UTC, datetime, timedelta

import pytest
from ruamel.yaml import YAML

from vedette.cli import output
from vedette.config import Settings, from_environment


def test_settings_come_from_the_environment_and_have_defaults(monkeypatch):
    """Each variable sets its field; unset or empty ones leave the default; without a user name there is no actor."""
    said = {
        "VEDETTE_DATA": "/srv",
        "VEDETTE_ACTOR": "bob",
        "VEDETTE_OUTPUT": "json",
        "VEDETTE_ANALYTICS": "spark://a:1\n",
        "VEDETTE_GATEWAY_AT": "https://models.example/v1,gateway:8701",
    }
    assert from_environment(said) == Settings(
        data="/srv",
        server="",
        actor="bob",
        output="json",
        analytics="spark://a:1",
        gateways="https://models.example/v1,gateway:8701",
    )

    def unknown():
        raise OSError("no such user")

    monkeypatch.setattr("getpass.getuser", unknown)
    assert from_environment({"VEDETTE_DATA": ""}) == Settings(data="vedette-data")


def test_a_flag_beats_the_environment(here, monkeypatch):
    """--data beats VEDETTE_SERVER and VEDETTE_DATA, wherever on the line it stands; -o beats VEDETTE_OUTPUT."""
    here.run("domain", "create", "legal")
    monkeypatch.setenv("VEDETTE_SERVER", "http://127.0.0.1:9")
    monkeypatch.setenv("VEDETTE_OUTPUT", "yaml")
    assert "legal" in here.run("domain", "list", "-o", "table").stdout
    where, here.where = here.where, ()
    assert "id: legal" in here.run("domain", "get", "legal", *where).stdout
    monkeypatch.delenv("VEDETTE_SERVER")
    monkeypatch.setenv("VEDETTE_DATA", where[1])
    assert "id: legal" in here.run("domain", "get", "legal").stdout


def test_every_change_names_its_actor(stage, monkeypatch):
    """The actor is --actor, else VEDETTE_ACTOR, else the user; with none of them nothing is changed: 2."""
    stage.run("domain", "create", "a")
    stage.run("--actor", "bob", "domain", "create", "b")
    actors = {e["resource"]: e["actor"] for e in stage.json("audit", "list", "--action", "domain.create")["items"]}
    assert actors == {"domain/a": "ada", "domain/b": "bob"}
    monkeypatch.setenv("VEDETTE_ACTOR", " ")
    assert "--actor" in stage.run("domain", "create", "c", code=2).stderr


def test_data_that_is_not_there_is_not_made_by_reading(here, tmp_path):
    """Reading a folder without data ends with 3 and makes nothing; creating a domain makes it."""
    here.where = ("--data", str(tmp_path / "new"))
    assert "there is no vedette data" in here.run("domain", "list", code=3).stderr
    assert not (tmp_path / "new").exists()
    here.run("domain", "create", "legal")
    assert "legal" in here.run("domain", "list").stdout


def test_json_and_yaml_say_the_same(stage):
    """Every listing and record is the same data in JSON and in YAML, in camelCase, with nothing else on the output."""
    stage.rolling()
    for arguments in (
        ("domain", "get", "payments"),
        ("version", "list", "payments"),
        ("rollout", "get", "payments"),
        ("rollout", "explain", "payments"),
        ("audit", "list"),
    ):
        as_yaml = YAML(typ="safe").load(io.StringIO(stage.run(*arguments, "-o", "yaml").stdout))
        as_json = stage.json(*arguments)
        assert json.loads(json.dumps(as_yaml, default=str)).keys() == as_json.keys()
    assert stage.json("rollout", "get", "payments")["status"]["stepPlan"] > 0


def test_tables_hold_no_colour_and_no_control_sequence_off_a_terminal(stage):
    """Piped tables are plain text with a row a line; control sequences in data are taken out."""
    stage.run("domain", "create", "legal", "--title", "[red]Law\x1b[2J[/red]" + "long " * 60)
    listed = stage.run("domain", "list").stdout
    assert "\x1b" not in listed
    assert "[red]Law[2J[/red]" in listed
    assert len(listed.splitlines()) == 2


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "0s ago"), (42, "42s ago"), (-30, "in 30s"), (3600, "1h ago"), (5400, "1h30m ago"), (200_000, "2d7h ago")],
)
def test_times_are_told_from_now(seconds, said, monkeypatch):
    """A time is told by how long ago it was, coarser the longer; one to come by how soon."""
    now = datetime(2026, 11, 23, 12, tzinfo=UTC)

    class Clock(datetime):
        @classmethod
        def now(cls, tz=None):
            return now.astimezone(tz)

    monkeypatch.setattr(output, "datetime", Clock)
    assert output.ago(now - timedelta(seconds=seconds)) == said


def test_times_carry_their_zone():
    """An absolute time is the wall clock's, with the zone's name."""
    moment = datetime(2026, 11, 23, 12, tzinfo=UTC)
    assert output.when(moment).endswith(f"{moment.astimezone():%H:%M:%S %Z}")
    assert output.when(None) == ""


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [(None, None, "–"), (0.0, None, "–"), (2.5, None, "2.5 or more"), (0.5, 2.0, "0.5 to 2"), (None, 2.0, "0 to 2")],
)
def test_intervals_leave_open_what_is_not_known(low, high, said):
    """A bound that is not known is said as such."""
    assert output.interval(low, high) == said
