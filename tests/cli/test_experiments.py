"""``vedette experiment``, on a folder and on a server."""

from typing import Any

import pytest
from tests.cli.conftest import Stage
from tests.cli.trials import PAIR, serve

DOCUMENT = """\
apiVersion: vedette/v1
kind: Experiment
metadata:
  name: written
spec:
  domain: payments
  variants:
    - name: base
    - name: brief
      override: {prompt: {system: Be brief.}}
  metrics:
    - {metric: errors, role: primary}
  coverage: 20%
"""


def spec(stage: Stage, *options: str) -> dict[str, Any]:
    """Give the spec that options describe."""
    made: dict[str, Any] = stage.json("experiment", "create", "payments", "--dry-run", *options)["spec"]
    return made


def test_an_experiment_is_drafted_run_and_understood(stage, tmp_path):
    """From draft to decision by commands alone: results, looks, explanation, pictures and lists say what there is."""
    stage.serving()
    drafted = stage.run(*PAIR, "--metric", "latency-mean:guardrail:50%", "--coverage", "90%")
    assert "start it: vedette experiment start tone" in drafted.stderr
    assert "v2 (50%): version v2" in drafted.stdout
    stage.run("experiment", "start", "tone")
    serve(stage, failing={"v2": 3})
    found = stage.json("experiment", "results", "tone")
    assert found["verdict"]["status"] == "winner"
    assert found["verdict"]["winner"] == "base"
    effects, ranks, sequence = (tmp_path / f"{name}.svg" for name in ("effects", "ranks", "sequence"))
    shown = stage.run("experiment", "results", "tone", "--svg", str(effects), "--ranks", str(ranks)).stdout
    for part in (
        "winner  base beats",
        "v2 vs base",
        "MAY BE BEST",
        ">99.9%",
        "split as intended",
        "guardrail",
        "worse",
    ):
        assert part in shown
    assert "winner" in stage.run("experiment", "looks", "tone", "--svg", str(sequence)).stdout
    assert all(path.read_text(encoding="utf-8").startswith("<svg") for path in (effects, ranks, sequence))
    explained = stage.json("experiment", "explain", "tone")
    assert (explained["last"]["decision"]["action"], explained["rederived"]) == ("notify", True)
    assert "follows from the evidence" in stage.run("experiment", "explain", "tone").stdout
    decided = stage.json("experiment", "decide", "tone", "--why", "v2 fails", "--actor", "bob")
    assert (decided["status"]["phase"], decided["status"]["conclusion"]["by"]) == ("decided", "bob")
    assert stage.json("experiment", "archive", "tone")["status"]["phase"] == "archived"
    assert [it["name"] for it in stage.json("experiment", "list", "--phase", "archived")["items"]] == ["tone"]
    assert "archived" in stage.run("experiment", "list").stdout
    assert "v2 fails" in stage.run("experiment", "show", "tone").stdout


def test_flags_describe_an_experiment(stage):
    """Arms, what they change, shares, metrics and roles, targeting and designs in flags are the spec's fields."""
    stage.serving()
    made = spec(
        stage,
        *("--variant", "base", "--variant", "v2", "--variant", "brief=prompt:Be brief: yes, brief."),
        *("--variant", "hot=parameters.temperature=0.9", "--variant", "hot=values.colour=red"),
        *("--variant", "hot=route.timeout=5s", "--variant", "hot=version:v2"),
        *(
            "--variant",
            "wrapped=prompt.template:Briefly, {query}",
            "--split",
            "base=40,v2=30%,brief=10,hot=10,wrapped=10",
        ),
        *("--metric", "errors", "--metric", "latency-p95:guardrail:25%", "--metric", "tokens-out"),
        *("--covariate", "errors=error_before", "--layer", "words", "--coverage", "10%", "--reserve", "25%"),
        *("--target", "x-plan=pro,team", "--target", "x-plan!=free", "--target", "user^=acme-", "--target", "!x-bot"),
        *(
            "--target",
            "x-beta",
            "--target",
            "X-Model~=a|b",
            "--dimension",
            "x-plan",
            "--hypothesis",
            "shorter is better",
        ),
        *("--monitoring", "sequential:8000:5", "--correction", "dunnett", "--alpha", "0.01", "--min-units", "50"),
        *(
            "--max-duration",
            "2w",
            "--on-winner",
            "decide",
            "--on-guardrail",
            "notify",
            "--webhook",
            "https://a.example/b",
        ),
    )
    overrides = {it["name"]: {k: v for k, v in it["override"].items() if v} for it in made["variants"]}
    assert overrides["base"] == {}
    assert overrides["v2"] == {"version": "v2"}
    assert overrides["brief"]["prompt"]["system"] == "Be brief: yes, brief."
    assert overrides["hot"]["parameters"] == {"temperature": 0.9}
    assert overrides["hot"]["values"] == {"colour": "red"}
    assert (overrides["hot"]["route"]["timeout"], overrides["hot"]["version"]) == (5.0, "v2")
    assert overrides["wrapped"]["prompt"]["template"] == "Briefly, {query}"
    assert [it["weight"] for it in made["variants"]] == pytest.approx([0.4, 0.3, 0.1, 0.1, 0.1])
    assert [(it["metric"], it["role"], it["margin"]) for it in made["metrics"]] == [
        ("errors", "primary", 0.0),
        ("latency-p95", "guardrail", 0.25),
        ("tokens-out", "secondary", 0.0),
    ]
    assert made["metrics"][0]["covariate"] == "error_before"
    assert [(it["attribute"], it["test"], it["values"]) for it in made["targeting"]] == [
        ("x-plan", "is", ["pro", "team"]),
        ("x-plan", "is-not", ["free"]),
        ("user", "begins-with", ["acme-"]),
        ("x-bot", "is-missing", []),
        ("x-beta", "exists", []),
        ("x-model", "matches", ["a|b"]),
    ]
    assert made["monitoring"] | {"units": 8000, "looks": 5} == made["monitoring"]
    assert (made["multiplicity"]["method"], made["alpha"], made["minUnits"]) == ("dunnett", 0.01, 50)
    assert (made["layer"], made["coverage"], made["reserve"], made["maxDuration"]) == ("words", 10.0, 25.0, 14 * 86_400)
    assert (made["onWinner"], made["onGuardrail"], made["webhooks"]) == ("decide", "notify", ["https://a.example/b"])
    pair = ("--variant", "base", "--variant", "v2", "--metric", "errors")
    assert spec(stage, *pair, "--monitoring", "fixed:900", "--bandit")["monitoring"]["units"] == 900
    assert spec(stage, *pair, "--monitoring", "anytime:900", "--bandit")["allocation"]["kind"] == "top-two"
    assert stage.json("experiment", "list")["items"] == []


def test_a_document_describes_an_experiment_and_flags_change_it(stage, tmp_path):
    """A document is the experiment, its name and its domain; flags lie over it; one for another domain is refused."""
    stage.serving()
    file = tmp_path / "tone.yaml"
    file.write_text(DOCUMENT)
    create = ("experiment", "create", "-f", str(file), "--dry-run")
    made = stage.json(*create)
    assert (made["name"], made["domain"], made["spec"]["coverage"]) == ("written", "payments", 20.0)
    changed = stage.json(*create, "--coverage", "5%", "--split", "90,10", "--name", "mine", "--metric", "latency-mean")
    assert (changed["name"], changed["spec"]["coverage"]) == ("mine", 5.0)
    assert [it["weight"] for it in changed["spec"]["variants"]] == [0.9, 0.1]
    assert [it["metric"] for it in changed["spec"]["metrics"]] == ["latency-mean"]
    assert (
        "for domain 'payments', not 'legal'" in stage.run("experiment", "create", "legal", *create[2:], code=2).stderr
    )
    file.write_text(DOCUMENT.replace("role: primary", "role: first"))
    assert f"{file}:12:" in stage.run(*create, code=2).stderr
    file.write_text("---\n")
    assert "holds 0 Experiment documents" in stage.run(*create, code=2).stderr
    assert stage.json("experiment", "list")["items"] == []


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (("--variant", "base", "--variant", "v2", "--split", "50,40"), 2, "add up to 1 (or 100 %), not 90"),
        (("--variant", "base", "--variant", "v2", "--split", "150,-50"), 2, "splits are above 0"),
        (("--variant", "base", "--variant", "v2", "--split", "half,half"), 2, "'half' of --split is no number"),
        (("--variant", "base", "--variant", "v2", "--split", "base=50,base=50"), 2, "does not name every share once"),
        (("--variant", "base", "--variant", "v2", "--split", "base=50,v3=50"), 2, "name every variant once"),
        (("--variant", "base", "--variant", "v9"), 3, "'v9' is no version"),
        (("--variant", "base"), 2, "2 to 100 variants"),
        ((), 2, "2 to 100 variants"),
        (("--variant", "base", "--variant", "v2=v2"), 2, "write NAME, NAME=version:V"),
        (("--variant", "base", "--variant", "hot=parameters.messages=1"), 2, "use version or prompt"),
        (("--variant", "base", "--variant", "hot=prompt.colour:red"), 2, "unknown field"),
        (("--variant", "base", "--variant", "v2", "--metric", "nonsense"), 3, "nonsense"),
        (("--variant", "base", "--variant", "v2", "--metric", "errors:guardrail:much"), 2, "'much' is no fraction"),
        (("--variant", "base", "--variant", "v2", "--metric", "errors:first"), 2, "primary"),
        (("--variant", "base", "--variant", "v2", "--metric", "errors:a:b:c"), 2, "says too much"),
        (("--variant", "base", "--variant", "v2", "--covariate", "latency=x"), 2, "--covariate names latency"),
        (("--variant", "base", "--variant", "v2", "--monitoring", "daily"), 2, "no way to look"),
        (("--variant", "base", "--variant", "v2", "--target", "=pro"), 2, "is no rule"),
        (("--variant", "base", "--variant", "v2", "--coverage", "120%"), 2, "120%"),
        (("--variant", "v1", "--variant", "v2", "--control", "v3"), 2, "variants: v1, v2"),
    ],
)
def test_what_cannot_be_an_experiment_is_refused_in_words(here, options, code, said):
    """Wrong flags end with the exit code of their kind, say what to do, and draft nothing."""
    here.serving()
    metric = () if "--metric" in options else ("--metric", "errors")
    assert said in here.run("experiment", "create", "payments", *metric, *options, code=code).stderr
    assert here.json("experiment", "list")["items"] == []


def test_people_steer_an_experiment(stage):
    """Start, ramp, stop-arm and stop do what they say, and what cannot be done says what can."""
    stage.serving()
    stage.run(*PAIR, "--variant", "hot=parameters.temperature=0.9", "--coverage", "10%", "--reserve", "50%")
    assert stage.json("experiment", "start", "tone", "--coverage", "5%")["status"]["exposed"] == 50_000
    assert "move people out" in stage.run("experiment", "ramp", "tone", "4%", code=5).stderr
    assert stage.json("experiment", "ramp", "tone", "40%", "--if-match", "2")["status"]["exposed"] == 400_000
    assert "not 2" in stage.run("experiment", "ramp", "tone", "45%", "--if-match", "2", code=4).stderr
    assert "still in it: base, v2, hot" in stage.run("experiment", "stop-arm", "tone", "v9", code=2).stderr
    assert "the control" in stage.run("experiment", "stop-arm", "tone", "base", code=5).stderr
    stopped = stage.json("experiment", "stop-arm", "tone", "hot", "--why", "too hot")
    assert stopped["status"]["stoppedArms"][0]["because"] == "too hot"
    assert "allowed now" in stage.run("experiment", "archive", "tone", code=5).stderr
    assert "leave it out" in stage.run("experiment", "decide", "tone", "--winner", "v9", code=2).stderr
    assert stage.json("experiment", "stop", "tone")["status"]["phase"] == "stopped"
    stage.run("experiment", "decide", "tone", "--winner", "v2")
    promoted = stage.run("experiment", "promote", "tone")
    assert "watch it: vedette rollout watch tone-v2" in promoted.stderr
    assert stage.json("rollout", "get", "payments")["spec"]["version"] == "v2"


def test_one_that_cannot_start_stays_a_draft(stage):
    """Create --start that is refused says so, ends with its code, and leaves the draft."""
    stage.serving()
    stage.run(*PAIR, "--start")
    refused = stage.run("experiment", "create", "payments", "--name", "late", *PAIR[5:], "--start", code=5)
    assert "late is drafted, and did not start" in refused.stderr
    assert "has 0 % free" in refused.stderr
    assert stage.json("experiment", "show", "late")["status"]["phase"] == "draft"


def test_a_unit_is_told_what_it_sees_and_why(stage):
    """Explain --unit says layer, place, arm, version and why, or why it has no arm."""
    stage.serving()
    stage.run(*PAIR, "--target", "x-plan=pro", "--layer", "words", "--start")
    fits = stage.run("experiment", "explain", "tone", "--unit", "u17", "--attribute", "X-Plan=pro").stdout
    arm = stage.json("experiment", "explain", "tone", "--unit", "u17", "--attribute", "x-plan=pro")["assignment"]["arm"]
    said = {line.partition("  ")[0]: line.partition("  ")[2].strip() for line in fits.splitlines()}
    assert (said["layer"], said["arm"]) == ("words", arm)
    assert said["place"].endswith("of 1,000,000")
    assert said["version"] == ("v2 (experiment)" if arm == "v2" else "v1 (stable)")
    assert said["because"] == "its place in the layer and its hash over the arms"
    other = stage.run("experiment", "explain", "tone", "--unit", "u17", "--attribute", "x-plan=free").stdout
    assert "does not fit the targeting" in other
    assert "--unit" in stage.run("experiment", "explain", "tone", "--attribute", "a=b", code=2).stderr


def test_the_place_that_is_shown_is_the_one_that_decides(here):
    """Units have an arm exactly when the place shown lies in what the experiment exposes."""
    here.serving()
    here.run(*PAIR, "--coverage", "50%", "--start")
    seen = set()
    for user in range(20):
        shown = here.run("experiment", "explain", "tone", "--unit", f"user-{user}").stdout
        said = {line.partition("  ")[0]: line.partition("  ")[2].strip() for line in shown.splitlines()}
        inside = int(said["place"].partition(" ")[0].replace(",", "")) < 500_000
        assert (said["arm"] != "none") == inside
        seen.add(inside)
    assert seen == {True, False}
