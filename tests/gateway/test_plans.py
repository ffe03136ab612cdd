"""Plans: swapped whole, refused whole, kept through the absence of the control plane."""

import threading
from pathlib import Path

import pytest
from tests.gateway.stage import Answer, Feed, Stage, wait_for

from vedette.catalog.backend import LocalBackend
from vedette.routing.plan import TrafficPlan


def ready(stage: Stage) -> Answer:
    """Ask how the gateway is."""
    return stage.get("/readyz")


def test_hot_reload_keeps_the_plan_a_request_started_with(stage):
    """A request in flight ends under the plan it began with; the next one sees the new plan."""
    stage.publish(stage.plan(stable="slow:0.3", revision=1))
    answers = []
    thread = threading.Thread(target=lambda: answers.append(stage.chat()))
    thread.start()
    wait_for(lambda: stage.upstream.asked)
    stage.publish(stage.plan(stable="ok", revision=2))
    assert stage.chat().headers["x-vedette-plan-revision"] == "2"
    thread.join()
    assert answers[0].headers["x-vedette-plan-revision"] == "1"
    assert sorted(outcome.plan_revision for outcome in stage.outcomes(2)) == [1, 2]


def bad_plans(stage: Stage, tmp_path: Path) -> dict[str, tuple[TrafficPlan, str]]:
    """Plans that cannot be served, and what is said of them."""
    artefact = tmp_path / "model.skops"
    artefact.write_bytes(b"not the registered bytes")
    local = LocalBackend(artefact=str(artefact), digest="0" * 64)
    return {
        "corrupt": (stage.plan(canary="ok", backends={"v2": local}, revision=2), "digest"),
        "no key": (
            stage.plan(canary="ok", backends={"v2": stage.backend("ok", api_key_env="NO_KEY")}, revision=2),
            "NO_KEY",
        ),
        "bad header": (
            stage.plan(backends={"v1": stage.backend("ok", headers={"x": "a\r\nb: c"})}, revision=2),
            "header",
        ),
    }


@pytest.mark.parametrize("kind", ["corrupt", "no key", "bad header"])
def test_hot_reload_refuses_a_bad_plan_whole(stage, tmp_path, kind, caplog):
    """A plan with anything wrong is not taken; the old one serves on, and /readyz, the log and the metrics say why."""
    plan, why = bad_plans(stage, tmp_path)[kind]
    stage.publish(stage.plan())
    stage.feed.publish(plan)
    wait_for(lambda: ready(stage).json["refused"])
    state = ready(stage)
    assert (state.status, state.json["plans"]) == (200, {"payments": 1})
    assert state.json["refused"]["payments"]["revision"] == 2
    assert why in state.json["refused"]["payments"]["reason"]
    assert stage.chat().headers["x-vedette-plan-revision"] == "1"
    assert b'vedette_plan_refused{domain="payments"} 1\n' in stage.get("/metrics").body
    assert sum("is refused" in message for message in caplog.messages) == 1, "said once, however often it is tried"


def test_refused_plan_is_tried_again(stage):
    """What made a plan impossible may pass: it is taken as soon as it can be."""
    stage.start()
    stage.feed.publish(stage.plan(backends={"v1": stage.backend("ok", api_key_env="LATE_KEY")}))
    wait_for(lambda: ready(stage).json["refused"])
    refused = stage.chat()
    assert (refused.status, refused.json["error"]["code"]) == (503, "plan_refused")
    stage.environment["LATE_KEY"] = "sk-late"
    wait_for(lambda: not ready(stage).json["refused"])
    assert stage.chat().status == 200


def test_older_plan_is_passed_over(stage):
    """A plan that comes late does not replace a newer one."""
    stage.publish(stage.plan(revision=5))
    stage.feed.publish(stage.plan(revision=4))
    stage.publish(stage.plan(domain="other"))
    assert ready(stage).json["plans"] == {"other": 1, "payments": 5}


def test_feed_that_began_anew_is_followed(stage):
    """A control plane that lost its past counts from 1 again, and its plans are taken all the same."""
    stage.publish(stage.plan(revision=5))
    stage.publish(stage.plan(revision=6))
    stage.feed.plans.clear()
    stage.feed.position = 0
    stage.feed.publish(stage.plan(revision=1))
    wait_for(lambda: ready(stage).json["plans"] == {"payments": 1})


def test_domain_the_control_plane_forgot_is_dropped(stage):
    """After a restart the feed is the truth: a domain it does not know is served no more, and never confirmed."""
    stage.publish(stage.plan(domain="forgotten"))
    stage.publish(stage.plan())
    wait_for(lambda: "forgotten" in (stage.folder / "plans.json").read_text())
    stage.stop()
    del stage.feed.plans["forgotten"]
    stage.feed.confirmed.clear()
    stage.start()
    wait_for(lambda: ready(stage).json["plans"] == {"payments": 1})
    wait_for(lambda: len(stage.feed.confirmed) > 2)
    assert all(revisions == {"payments": 1} for _, revisions in stage.feed.confirmed)


def test_empty_control_plane_takes_nothing_down(stage):
    """A feed without a single plan may have lost them: what was served goes on, unconfirmed, until it is told."""
    stage.publish(stage.plan())
    stage.stop()
    stage.feed.plans.clear()
    stage.feed.confirmed.clear()
    stage.start()
    wait_for(lambda: len(stage.feed.confirmed) > 1)
    assert stage.chat().status == 200
    assert all(revisions == {} for _, revisions in stage.feed.confirmed)


def test_plans_in_force_are_confirmed(stage):
    """The gateway confirms a plan once it is in force, and goes on saying so."""
    stage.publish(stage.plan(revision=3))
    wait_for(lambda: stage.feed.confirmed and stage.feed.confirmed[-1][1] == {"payments": 3})
    router, _ = stage.feed.confirmed[-1]
    assert router.endswith(f":{stage.port}")
    count = len(stage.feed.confirmed)
    wait_for(lambda: len(stage.feed.confirmed) >= count + 2)


def test_refused_plan_is_not_confirmed(stage):
    """What is not in force is never confirmed."""
    stage.publish(stage.plan(revision=1))
    stage.feed.publish(stage.plan(backends={"v1": stage.backend("ok", api_key_env="NO_KEY")}, revision=2))
    wait_for(lambda: ready(stage).json["refused"])
    count = len(stage.feed.confirmed)
    wait_for(lambda: len(stage.feed.confirmed) > count)
    assert {revisions.get("payments", 1) for _, revisions in stage.feed.confirmed} == {1}


def test_control_plane_down_also_after_a_restart(stage):
    """Without the control plane the last plans are served, after a restart from disk; outcomes wait for the lake."""
    stage.publish(stage.plan(canary="ok", percent=50, revision=3))
    wait_for((stage.folder / "plans.json").exists)
    stage.feed.down = stage.sink.down = True
    assert stage.chat().status == 200
    stage.stop()
    stage.start()
    assert (ready(stage).status, stage.chat().headers["x-vedette-plan-revision"]) == (200, "3")
    wait_for(lambda: "away" in ready(stage).json["feedError"])
    stage.sink.down = stage.feed.down = False
    assert len(stage.outcomes(2)) == 2
    wait_for(lambda: not ready(stage).json["feedError"])


def test_not_ready_without_any_plan(stage):
    """A gateway that has never heard of the control plane is alive but not ready."""
    stage.feed.down = True
    with pytest.raises(AssertionError, match="in vain"):
        stage.start(patience=0.2)
    assert ready(stage).status == 503
    assert stage.get("/livez").status == 200


def test_damaged_plan_file_is_no_obstacle(stage, caplog):
    """A gateway with a damaged file of plans says so and takes its plans from the feed."""
    stage.folder.mkdir(parents=True)
    (stage.folder / "plans.json").write_text("[{")
    stage.publish(stage.plan())
    assert stage.chat().status == 200
    assert any("holds no plans" in message for message in caplog.messages)


def test_feed_that_breaks_does_not_end_the_gateway(stage, monkeypatch):
    """Whatever a feed raises, the gateway goes on and tries again."""
    stage.publish(stage.plan())

    def broken(*_):
        raise TypeError("a bug of the feed")

    monkeypatch.setattr(Feed, "poll", broken)
    wait_for(lambda: "a bug of the feed" in ready(stage).json["feedError"])
    monkeypatch.undo()
    stage.publish(stage.plan(revision=2))
    assert stage.chat().headers["x-vedette-plan-revision"] == "2"
