"""``vedette rollout``, on a folder and on a server."""

import json

import pytest

from vedette.cli import exits, rollouts

LADDER = "10%:0s,50%:0s,100%:0s"
DOCUMENT = """\
apiVersion: vedette/v1
kind: Rollout
metadata:
  name: anything
spec:
  domain: payments
  version: v2
  steps:
    - {weight: 5%, bake: 1h}
    - {weight: 100%, bake: 2h}
  guardrails:
    - metric: errors
"""


def test_a_good_version_is_promoted(stage):
    """A version nothing speaks against climbs every step, is promoted, and watch --exit-status ends with 0."""
    stage.rolling()
    assert stage.json("rollout", "get", "payments")["status"]["weight"] == 10.0
    for canary in (100, 500, 990):
        stage.work(canary=canary, stable=1000 - canary, passes=2)
    assert stage.json("rollout", "list")["items"][0]["status"]["phase"] == "promoted"
    assert stage.json("version", "serving", "payments")["version"] == "v2"
    assert "promoted" in stage.run("rollout", "watch", "payments", "--exit-status").stdout


def test_a_bad_version_is_taken_back_with_its_reasons(stage):
    """A regression aborts; watch --exit-status ends with its own code, explain and analytics say why."""
    stage.rolling()
    stage.work(canary=100, stable=900, bad=40, passes=2)
    watched = stage.run("rollout", "watch", "payments", "--exit-status", code=exits.NOT_PROMOTED)
    assert "aborted" in watched.stdout
    assert "errors is worse" in watched.stdout
    explained = stage.json("rollout", "explain", "payments")
    assert explained["last"]["decision"]["reasons"][0]["code"] == "regression"
    assert explained["rederived"] is True
    assert "last decision: abort" in stage.run("rollout", "explain", "payments").stdout
    assert stage.json("rollout", "analytics", "payments")["canaryRequests"] == 100
    assert "exposure saved" in stage.run("rollout", "analytics", "payments").stdout
    stage.run("rollout", "watch", "payments")  # without --exit-status the end is the end: 0


def test_replay_runs_the_evidence_through_another_schedule(stage):
    """The same evidence under a guardrail that tolerates nearly everything is not aborted; by its own spec it is."""
    stage.rolling()
    stage.work(canary=100, stable=900, bad=3, passes=2)
    own = stage.json("rollout", "replay", "payments")
    other = stage.json("rollout", "replay", "payments", "--steps", "20%:0s,100%:0s", "--alpha", "0.0001")
    assert (own["phase"], other["phase"]) == ("aborted", "progressing")
    assert "would have ended" in stage.run("rollout", "replay", "payments").stdout
    assert "no evidence" in stage.run("rollout", "replay", "payments", "--attempt", "7", code=2).stderr


def test_people_steer_a_rollout(stage):
    """Pause, resume, set-weight, promote, abort and retry do what they say and keep the reason."""
    stage.rolling()
    paused = stage.json("rollout", "pause", "payments", "--why", "lunch")
    assert paused["status"]["phase"] == "paused"
    assert stage.json("rollout", "resume", "payments")["status"]["phase"] == "progressing"
    assert stage.json("rollout", "set-weight", "payments", "2.5%")["status"]["weight"] == 2.5
    assert stage.json("rollout", "promote", "payments")["status"]["passed"] is True
    aborted = stage.json("rollout", "abort", "payments", "--why", "wrong prompt", "--actor", "bob")
    assert (aborted["status"]["phase"], aborted["status"]["because"]) == ("aborted", "wrong prompt")
    assert stage.json("rollout", "retry", "payments")["status"]["attempt"] == 2
    entry = stage.json("audit", "list", "--action", "rollout.abort")["items"][0]
    assert entry["actor"] == "bob"


def test_a_promotion_can_be_undone(stage):
    """Promote --full makes the version stable at once, and undo returns to the one before."""
    stage.rolling()
    assert stage.json("rollout", "promote", "payments", "--full", "--yes")["status"]["phase"] == "promoted"
    assert stage.json("rollout", "undo", "payments", "--yes")["status"]["phase"] == "undone"
    assert stage.json("version", "serving", "payments")["version"] == "v1"


def test_what_the_phase_does_not_allow_is_refused(stage):
    """A verb the phase does not allow ends with 5 and says what is allowed; a stale --if-match ends with 4."""
    stage.rolling()
    assert "allowed now" in stage.run("rollout", "resume", "payments", code=5).stderr
    stage.run("rollout", "undo", "payments", "--yes", code=5)
    assert "read it again" in stage.run("rollout", "pause", "payments", "--if-match", "77", code=4).stderr
    assert "is above" in stage.run("rollout", "set-weight", "payments", "90%", code=2).stderr
    assert "no weight" in stage.run("rollout", "set-weight", "payments", "much", code=2).stderr


def test_one_domain_has_one_rollout(stage):
    """A second rollout on the same domain is a conflict, 4, that names the first; the first goes on."""
    stage.rolling()
    stage.run("version", "register", "payments", "v3", "--url", "http://127.0.0.1:9/v1")
    assert "payments-v2" in stage.run("rollout", "start", "payments", "v3", code=4).stderr
    assert stage.json("rollout", "get", "payments")["status"]["phase"] == "progressing"
    assert len(stage.json("rollout", "list", "--active")["items"]) == 1
    assert "progressing" in stage.run("rollout", "list", "--domain", "payments").stdout


def test_unknown_things_are_not_found(stage):
    """Unknown rollouts, domains, versions and metrics end with 3."""
    stage.serving()
    stage.run("rollout", "get", "nowhere", code=3)
    stage.run("rollout", "start", "nowhere", "v2", code=3)
    stage.run("rollout", "start", "payments", "v9", code=3)
    assert "no metric 'joy'" in stage.run("rollout", "start", "payments", "v2", "--guard", "joy", code=3).stderr


def test_a_dry_run_checks_everything_and_starts_nothing(stage):
    """Start --dry-run shows the rollout to be, and there is none afterwards; what would be refused is."""
    stage.serving()
    assert stage.json("rollout", "start", "payments", "v2", "--dry-run")["name"] == "payments-v2"
    assert "nothing was started" in stage.run("rollout", "start", "payments", "v2", "--dry-run").stderr
    assert stage.json("rollout", "list")["items"] == []
    assert "stable already" in stage.run("rollout", "start", "payments", "v1", "--dry-run", code=5).stderr


def test_flags_describe_a_schedule(stage):
    """Steps, bake, samples, approval, guardrails and policies in flags are the spec's fields."""
    stage.serving()
    spec = stage.json(
        *("rollout", "start", "payments", "v2", "--dry-run", "--steps", "1%:5m,100%", "--bake", "10m"),
        *("--min-samples", "50", "--approval", "--guard", "errors=0.1", "--guard", "latency-p95"),
        *("--alpha", "0.01", "--on-regression", "pause", "--on-insufficient", "abort"),
    )["spec"]
    assert [(step["weight"], step["bake"]) for step in spec["steps"]] == [(1.0, 300.0), (100.0, 600.0)]
    assert all(step["minSamples"] == 50 and step["approval"] for step in spec["steps"])
    assert [(rail["metric"], rail["tolerance"]) for rail in spec["guardrails"]] == [("errors", 0.1), ("latency-p95", 0)]
    assert (spec["alpha"], spec["onRegression"], spec["onInsufficient"]) == (0.01, "pause", "abort")


def test_a_document_describes_a_schedule_and_flags_change_it(stage, tmp_path):
    """A Rollout document is the schedule; flags lie over it; a document for another domain is refused."""
    stage.serving()
    file = tmp_path / "rollout.yaml"
    file.write_text(DOCUMENT)
    start = ("rollout", "start", "payments", "v2", "--dry-run", "-f", str(file))
    assert [step["bake"] for step in stage.json(*start)["spec"]["steps"]] == [3600.0, 7200.0]
    changed = stage.json(*start, "--bake", "1m", "--alpha", "0.2")["spec"]
    assert [(step["weight"], step["bake"]) for step in changed["steps"]] == [(5.0, 60.0), (100.0, 60.0)]
    assert changed["alpha"] == 0.2
    argo = DOCUMENT.replace("{weight: 5%, bake: 1h}", "setWeight: 5%").replace("{weight: 100%, bake: 2h}", "pause: {}")
    file.write_text(argo.replace("  guardrails", "    - setWeight: 100%\n  guardrails"))
    assert [step["bake"] for step in stage.json(*start, "--bake", "1m")["spec"]["steps"]] == [60.0, 60.0]
    file.write_text("---\n")
    assert "holds 0 Rollout documents" in stage.run(*start, code=2).stderr
    file.write_text(DOCUMENT.replace("domain: payments", "domain: legal"))
    assert "not 'payments'" in stage.run(*start, code=2).stderr


@pytest.mark.parametrize(
    ("changed", "place", "said"),
    [
        (("    - metric: errors", "    - [unclosed"), "13:7", "malformed YAML"),
        (("weight: 5%", "weight: 500%"), "9:8", "'500%' is no weight"),
        (("guardrails", "guardrail"), "11:3", "unknown field"),
    ],
)
def test_a_wrong_document_is_refused_with_line_and_column(stage, tmp_path, changed, place, said):
    """What is wrong in a document is named by file, line and column: 2."""
    stage.serving()
    file = tmp_path / "rollout.yaml"
    file.write_text(DOCUMENT.replace(*changed))
    refused = stage.run("rollout", "start", "payments", "v2", "-f", str(file), code=2).stderr
    assert f"{file}:{place.partition(':')[0]}:" in refused
    assert said in refused


def test_a_wrong_schedule_is_refused(stage):
    """Weights that do not rise to 100 % are refused with 2, and nothing is started."""
    stage.serving()
    assert "must be 100%" in stage.run("rollout", "start", "payments", "v2", "--steps", "1%,50%", code=2).stderr
    assert "must rise" in stage.run("rollout", "start", "payments", "v2", "--steps", "50%,10%,100%", code=2).stderr
    assert stage.json("rollout", "list")["items"] == []


def test_plan_says_how_long_steps_must_last(stage):
    """With the traffic given, plan says for each step what it needs and catches; without any, what to give."""
    stage.serving()
    figures = ("--requests-per-minute", "600", "--bad-rate", "0.01")
    plan = stage.json("rollout", "plan", "payments", "v2", *figures)
    assert [step["weight"] for step in plan["steps"]] == [1.0, 10.0, 50.0, 99.0]
    assert plan["requestsPerMinute"] == 600
    assert "NEEDED FOR ×2" in stage.run("rollout", "plan", "payments", "v2", *figures).stdout
    assert "no traffic" in stage.run("rollout", "plan", "payments", "v2", code=2).stderr


def test_watch_gives_up_after_its_timeout(stage):
    """Watch --timeout ends with its own code when the rollout has not ended by then."""
    stage.rolling()
    watched = stage.run("rollout", "watch", "payments", "--timeout", "10ms", code=exits.TIMED_OUT)
    assert "payments-v2 progressing step 1/3 10%" in watched.stdout


def test_watch_writes_json_lines(stage):
    """Watch -o json writes one JSON document a line: rollout, verdicts, reasons and the time left."""
    stage.serving()
    stage.run("rollout", "start", "payments", "v2", "--steps", "10%:1h,100%:2h")
    stage.work()
    stage.work(canary=100, stable=900, passes=1)
    watched = stage.run("rollout", "watch", "payments", "--timeout", "10ms", "-o", "json", code=exits.TIMED_OUT)
    sights = [json.loads(line) for line in watched.stdout.splitlines()]
    assert sights[0]["verdicts"][0]["metric"] == "errors"
    assert sights[0]["reasons"][0]["code"] == "baking"
    assert 2 * 3600 < sights[0]["eta"] <= 3 * 3600


def test_start_and_get_can_stay_and_watch(stage, monkeypatch):
    """With --watch start and get stay to the end, show it, and return."""
    stage.serving()
    watched = []
    with monkeypatch.context() as patch:
        patch.setattr(rollouts, "watch", lambda _, __, ref, **___: watched.append(ref))
        assert stage.run("rollout", "start", "payments", "v2", "--watch").stdout == ""
    assert watched == [stage.json("rollout", "get", "payments")["id"]]
    stage.run("rollout", "abort", "payments")
    assert "aborted by hand" in stage.run("rollout", "get", "payments", "--watch").stdout
