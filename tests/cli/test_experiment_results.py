"""What ``vedette experiment`` shows, reads and draws, on a folder and on a server."""

import io
import json
from typing import Any

import pytest
from rich.console import Console
from tests.cli.trials import PAIR, TONE, serve

from vedette.cli import exits, experiment_watching, session


def test_cuts_and_overlaps_are_shown(stage):
    """Breakdown compares within each value of a dimension, interactions test the arms of other layers."""
    stage.serving()
    stage.run(*PAIR, "--dimension", "x-plan", "--start")
    assert "nothing overlaps" in stage.run("experiment", "interactions", "tone").stdout
    hot = ("--variant", "base", "--variant", "hot=parameters.temperature=0.9", "--layer", "heat")
    stage.run("experiment", "create", "payments", "--name", "heat", "--metric", "errors", *hot, "--start")
    serve(stage, users=1200)
    cut = stage.run("experiment", "breakdown", "tone", "--dimension", "x-plan").stdout
    assert "2 values of x-plan can be compared" in cut
    assert "pro" in cut
    assert "recorded: x-plan" in stage.run("experiment", "breakdown", "tone", "--dimension", "country", code=2).stderr
    crossed = stage.json("experiment", "interactions", "tone", "--other", "heat")
    assert [(it["other"], it["treatment"], it["otherTreatment"]) for it in crossed] == [("heat", "v2", "hot")]
    assert "DIFFERENCE OF EFFECTS" in stage.run("experiment", "interactions", "tone").stdout


@pytest.mark.parametrize("ending", ["jsonl", "json", "csv"])
def test_scores_are_read_from_a_file(stage, tmp_path, ending):
    """JSON lines, a JSON list and CSV say the same; complete prompts count, and the rest is told."""
    stage.serving()
    judged = ("--variant", "a", "--variant", "b", "--metric", "errors", "--offline", "--min-units", "10")
    drafted = stage.run("experiment", "create", "payments", "--name", "judged", *judged)
    assert "vedette experiment scores judged" in drafted.stderr
    rows = [{"prompt": f"p{n}", "variant": arm, "error": int(n % 3 == 0)} for n in range(60) for arm in "ab"][:-1]
    file = tmp_path / f"scores.{ending}"
    match ending:
        case "jsonl":
            file.write_text("\n".join(json.dumps(row) for row in rows))
        case "json":
            file.write_text(json.dumps(rows))
        case _:
            lines = [f"{row['prompt']},{row['variant']},fine,{row['error']}" for row in rows]
            file.write_text("\n".join(["question,model,note,error", *lines, "p59,b,,"]))
    called = ("--item", "question", "--by", "model") if ending == "csv" else ()
    shown = stage.run("experiment", "scores", "judged", "-f", str(file), *called).stdout
    assert "59 prompts taken, 59 in all" in shown
    assert "1 incomplete prompts left out" in shown
    again = stage.run("experiment", "scores", "judged", "-f", str(file), *called).stdout
    assert "0 prompts taken, 59 in all" in again
    assert "59 prompts scored before left out" in again
    assert stage.json("experiment", "results", "judged")["units"] > 0


@pytest.mark.parametrize(
    ("name", "text", "code", "said"),
    [
        ("s.jsonl", '{"prompt": "p", "variant": "a", "error": 1}\n{"prompt"', 2, "s.jsonl:2: malformed JSON"),
        ("s.jsonl", "[1, 2]", 2, "row 1 is no JSON object"),
        ("s.jsonl", "\n", 2, "holds no scores"),
        ("s.csv", "prompt,error\np,1\n", 2, "no column 'variant' (it has prompt, error)"),
        ("s.csv", "prompt,variant,error\np,b,1\np,a,much\n", 2, "s.csv:3: error is 'much'"),
        ("s.csv", "prompt,variant,error\np,c,1\n", 2, "variants: a, b"),
        ("none.csv", None, 3, "cannot read"),
    ],
)
def test_scores_that_cannot_be_read_are_refused(here, tmp_path, name, text, code, said):
    """What is wrong in a file is named by its line, and nothing is kept."""
    here.serving()
    here.run(*TONE, "--variant", "a", "--variant", "b", "--offline")
    if text is not None:
        (tmp_path / name).write_text(text)
    assert said in here.run("experiment", "scores", "tone", "-f", str(tmp_path / name), code=code).stderr
    assert here.json("experiment", "show", "tone")["status"]["phase"] == "draft"


def test_plan_says_what_an_experiment_takes(stage):
    """With the figures given plan says units, days and how to run it; without traffic, what to give."""
    stage.serving()
    figures = ("--metric", "errors", "--mde", "20%", "--baseline", "0.05", "--units-per-day", "20000")
    shown = stage.run("experiment", "plan", "payments", "--arms", "2", *figures).stdout
    assert "is found with probability 80%" in shown
    assert "run it by: --monitoring anytime:" in shown
    assert "<0" not in shown
    pair = ("--variant", "base", "--variant", "v2", "--split", "80,20")
    uneven = stage.json("experiment", "plan", "payments", *pair, *figures)
    assert uneven["nPerArm"][0] == pytest.approx(4 * uneven["nPerArm"][1], rel=0.01)
    fixed = stage.run("experiment", "plan", "payments", "--arms", "3", *figures, "--monitoring", "fixed").stdout
    assert "run it by: --monitoring fixed" in fixed
    planned = ("--arms", "2", *figures, "--monitoring", "sequential:9000:6")
    assert "--monitoring sequential:" in stage.run("experiment", "plan", "payments", *planned).stdout
    assert (
        "give the baseline" in stage.run("experiment", "plan", "payments", "--arms", "2", *figures[:4], code=2).stderr
    )
    for wrong in (("--arms", "2", *pair), ("--split", "50,50", "--arms", "3"), ("--variant", "base", "--split", "a=1")):
        stage.run("experiment", "plan", "payments", *wrong, *figures, code=2)


def test_pictures_of_nothing_are_refused(stage, tmp_path):
    """Before there is anything to draw, or where nothing can be written, a picture is refused with what to do."""
    stage.serving()
    stage.run(*PAIR, "--start")
    place = tmp_path / "none.svg"
    assert "wait for more units" in stage.run("experiment", "results", "tone", "--ranks", str(place), code=5).stderr
    assert "wait for more units" in stage.run("experiment", "looks", "tone", "--svg", str(place), code=5).stderr
    nowhere = str(tmp_path / "no" / "folder.svg")
    assert "cannot write" in stage.run("experiment", "results", "tone", "--svg", nowhere, code=2).stderr
    assert not place.exists()


def test_watch_follows_to_the_verdict_or_the_end(stage):
    """Watch ends with the experiment, or with its verdict when asked; --exit-status is 0 only for a winner."""
    stage.serving()
    stage.run(*PAIR)
    assert "draft" in stage.run("experiment", "watch", "tone", "--timeout", "10ms", code=exits.TIMED_OUT).stdout
    stage.run("experiment", "start", "tone")
    early = ("experiment", "watch", "tone", "--until", "verdict", "--timeout", "10ms")
    assert "not at its verdict after 10ms" in stage.run(*early, code=exits.TIMED_OUT).stderr
    serve(stage, failing={"v2": 3})
    watched = stage.run("experiment", "watch", "tone", "--until", "verdict", "--exit-status").stdout
    assert "900 units | winner: base beats the other arm in errors" in watched
    sights = stage.run("experiment", "watch", "tone", "--until", "verdict", "-o", "json").stdout.splitlines()
    assert json.loads(sights[0])["report"]["verdict"]["winner"] == "base"
    stage.run("experiment", "decide", "tone", "--why", "nobody")
    stage.run("experiment", "watch", "tone", "--exit-status", code=exits.NOT_PROMOTED)


def test_a_line_is_written_when_there_is_news(here, monkeypatch):
    """Looks that say the same are one line; more units, or another verdict, are another one."""
    here.serving()
    here.run(*PAIR, "--start")
    looks = []
    look = experiment_watching.look

    def looked(plane: Any, ref: str) -> experiment_watching.Sight:
        looks.append(ref)
        if len(looks) == 4:
            serve(here, users=400)
        if len(looks) == 6:
            plane.experiments.stop(ref, actor="ada")
        return look(plane, ref)

    monkeypatch.setattr(experiment_watching, "look", looked)
    lines = here.run("experiment", "watch", "tone", "--interval", "50ms").stdout.splitlines()
    assert [" running " in line for line in lines] == [True, True, False]
    assert ["400 units" in line for line in lines] == [False, True, True]


def test_what_cannot_be_taken_back_asks_a_person_first(stage, monkeypatch):
    """At a terminal stop-arm, stop, decide and archive ask; no changes nothing and ends with 5; --yes does it."""
    keyboard = type("", (), {"stdin": type("", (), {"isatty": staticmethod(lambda: True)})})
    monkeypatch.setattr(session, "sys", keyboard)
    stage.serving()
    stage.run(*PAIR, "--variant", "hot=parameters.temperature=0.9", "--start")
    for verb in (("stop-arm", "hot"), ("stop",), ("decide", "--winner", "v2"), ("archive",)):
        before = stage.json("experiment", "show", "tone")["revision"]
        refused = stage.run("experiment", verb[0], "tone", *verb[1:], stdin="n\n", code=5)
        assert "tone" in refused.stderr.partition("[y/N]")[0]
        assert stage.json("experiment", "show", "tone")["revision"] == before
        stage.run("experiment", verb[0], "tone", *verb[1:], "--yes")
        assert stage.json("experiment", "show", "tone")["revision"] == before + 1


def test_the_live_view_shows_the_verdict_and_every_arm(here, monkeypatch):
    """At a terminal watch shows verdict, standings, comparisons, reasons, and which arm was taken out and why."""
    screen = io.StringIO()
    made = Console(file=screen, force_terminal=True, width=140, color_system=None)
    monkeypatch.setattr(experiment_watching, "console", lambda: made)
    here.serving()
    here.run(*PAIR, "--variant", "hot=parameters.temperature=0.9", "--metric", "latency-mean:guardrail:50%", "--start")
    serve(here, failing={"v2": 3})
    here.run("experiment", "stop-arm", "tone", "hot", "--why", "too hot")
    here.run("experiment", "watch", "tone", "--timeout", "10ms", code=exits.TIMED_OUT)
    shown = screen.getvalue()
    for part in (
        "tone  payments, layer default  running",
        "winner: ",
        "base beats",
        "MAY BE BEST",
        "guardrail",
        "started",
    ):
        assert part in shown
    assert "hot was taken out: too hot" in shown
    here.run("experiment", "stop", "tone")
    here.run("experiment", "watch", "tone")
    assert " ago, 20" in screen.getvalue().split("ended ")[1]
