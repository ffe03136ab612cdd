"""What only people at a terminal see: questions before dangerous verbs, and the live view."""

import io

import pytest
from rich.console import Console

from vedette.cli import exits, session, watching
from vedette.cli.watching import Sight
from vedette.control.plane import ControlPlane, open_plane
from vedette.kernel.errors import Unavailable


@pytest.fixture
def _at_terminal(monkeypatch):
    """Let the command line believe that a person types."""

    class Keyboard:
        stdin = type("", (), {"isatty": staticmethod(lambda: True)})

    monkeypatch.setattr(session, "sys", Keyboard)


@pytest.mark.usefixtures("_at_terminal")
def test_dangerous_verbs_ask_a_person_first(stage):
    """At a terminal delete, promote --full and undo ask; no changes nothing and ends with 5; yes, or --yes, does it."""
    stage.rolling()
    for verb in (("promote", "--full"), ("promote", "--full", "--yes"), ("undo",), ("undo", "-y")):
        before = stage.json("rollout", "get", "payments")["revision"]
        refused = "--yes" not in verb and "-y" not in verb
        done = stage.run("rollout", verb[0], "payments", *verb[1:], stdin="n\n", code=5 if refused else 0)
        assert (stage.json("rollout", "get", "payments")["revision"] == before) == refused
        assert ("v2 of payments" in done.stderr) == refused
    stage.run("domain", "create", "legal")
    assert "cannot be taken back" in stage.run("domain", "delete", "legal", stdin="n\n", code=5).stderr
    stage.run("domain", "delete", "legal", stdin="y\n")


@pytest.mark.usefixtures("_at_terminal")
def test_an_abort_asks_nobody(stage):
    """Going back is never slowed down by a question."""
    stage.rolling()
    stage.run("rollout", "abort", "payments", stdin="")


@pytest.fixture
def screen(monkeypatch):
    """A terminal of 120 columns, whose text can be read."""
    file = io.StringIO()
    made = Console(file=file, force_terminal=True, width=120, color_system=None)
    monkeypatch.setattr(watching, "console", lambda: made)
    return file


def test_the_live_view_shows_steps_weight_verdicts_and_what_holds(stage, screen):
    """At a terminal watch shows the ladder, the weight, each guardrail's verdict, the reason and the time left."""
    stage.serving()
    stage.run("rollout", "start", "payments", "v2", "--steps", "10%:1h,100%:2h", "--guard", "errors=0.1")
    stage.work()
    stage.work(canary=100, stable=900, bad=1, passes=1)
    stage.run("rollout", "watch", "payments", "--timeout", "10ms", code=exits.TIMED_OUT)
    shown = screen.getvalue()
    for part in ("payments-v2", "v1 → v2", "▶ 10%", "· 100%", "10% of traffic", "errors", "≤ 1.1", "100", "baking: "):
        assert part in shown
    assert "if nothing holds it" in shown


def test_the_live_view_ends_with_the_reasons(stage, screen):
    """At its end the view shows the last verdicts, why it ended, and when."""
    stage.rolling()
    stage.work(canary=100, stable=900, bad=40, passes=2)
    stage.run("rollout", "watch", "payments")
    shown = screen.getvalue()
    assert "aborted" in shown
    assert "regression: errors is worse" in shown
    assert " ago, 20" in shown.split("ended ")[1]


def test_watching_outlasts_a_server_that_restarts(here, monkeypatch):
    """A look that finds nobody is tried again for a while, and the watch goes on to the end."""
    here.rolling()
    look = watching.look
    with open_plane(here.folder) as plane:
        answers: list[Sight | Unavailable] = [look(plane, "payments")]
    answers += [Unavailable("restarting")] * 2
    here.run("rollout", "abort", "payments")

    def looked(plane: ControlPlane, ref: str) -> Sight:
        if not answers:
            return look(plane, ref)
        if isinstance(answer := answers.pop(0), Unavailable):
            raise answer
        return answer

    monkeypatch.setattr(watching, "look", looked)
    watched = here.run("rollout", "watch", "payments", "--interval", "50ms").stdout.splitlines()
    assert ["progressing" in watched[0], "aborted" in watched[1], len(watched)] == [True, True, 2]


def test_a_postgresql_database_is_data_as_a_folder_is(here, postgres_url):
    """The same commands work on a PostgreSQL URL; doctor finds it sound."""
    here.where = ("--data", postgres_url)
    here.run("domain", "create", "legal", "--title", "Law")
    assert here.json("domain", "get", "legal")["title"] == "Law"
    assert {check["name"]: check["result"] for check in here.json("doctor")}["database"] == "ok"
    assert "password" not in here.run("doctor").stdout
