"""Shadow traffic: a candidate is asked as well, nobody sees or waits for it, and it is evidence of nothing."""

import pytest
from tests.gateway.stage import Stage, wait_for

from vedette.catalog.domain import Assignment
from vedette.catalog.shadow import Shadow
from vedette.evidence.outcome import Outcome, OutcomeStatus
from vedette.kernel.errors import InvalidInput
from vedette.routing.plan import TrafficPlan


def plan(stage: Stage, model: str, *, share: float = 100.0, concurrency: int = 8, **more) -> TrafficPlan:
    """Make a plan with v3 in the shadow, which is asked for as that model."""
    shadow = Shadow(version="v3", share=share, concurrency=concurrency)
    return stage.plan(backends={"v3": stage.backend(model)}, shadow=shadow, **more)


def apart(outcomes: list[Outcome]) -> tuple[list[Outcome], list[Outcome]]:
    """Give the outcomes of clients, and those of copies."""
    copies = [outcome for outcome in outcomes if outcome.measures.get("shadow")]
    return [outcome for outcome in outcomes if outcome not in copies], copies


@pytest.mark.parametrize("stream", [False, True])
def test_a_copy_is_recorded_and_seen_by_nobody(stage, stream):
    """The client gets stable's answer; the copy's outcome stands under the candidate, without unit and plan."""
    stage.publish(plan(stage, "paced:3", assignment=Assignment(unit="user")))
    answer = stage.chat(stream=stream)
    assert (answer.status, answer.headers["x-vedette-version"]) == (200, "v1")
    own, copies = apart(stage.outcomes(2))
    assert (own[0].assigned, own[0].plan_revision) == ("v1", 1)
    (copy,) = copies
    assert (copy.assigned, copy.served, copy.plan_revision, copy.bucket) == ("v3", "v3", 0, -1)
    assert (copy.status, copy.measures["error"], copy.exposures) == (OutcomeStatus.OK, 0, ())
    assert copy.measures["tokens_in"] == 11
    assert ("ttft_ms" in copy.measures) is stream
    assert "fallback" not in copy.measures
    sent = {asked.json["model"]: asked.json["messages"] for asked in stage.upstream.asked}
    assert sent["ok"] == sent["paced:3"]
    figures = stage.get("/metrics").body.decode()
    assert 'vedette_shadow_requests_total{domain="payments",version="v3",result="ok"} 1' in figures
    assert 'vedette_requests_total{domain="payments",version="v3"' not in figures


@pytest.mark.parametrize("model", ["500", "hang-up", "garbage", "cut", "error-middle", "no-done", "error-first"])
def test_a_failing_candidate_harms_nobody(stage, model):
    """Whatever the candidate does the client is answered, and the copy is an error of the candidate's, once."""
    stage.publish(plan(stage, model))
    assert stage.chat(stream=True).status == 200
    own, copies = apart(stage.outcomes(2))
    assert own[0].measures["error"] == 0
    assert [(copy.status, copy.measures["error"]) for copy in copies] == [(OutcomeStatus.ERROR, 1)]
    assert stage.upstream.count(model) == 1
    assert not stage.gateway.app.shadows.under_way


def test_nobody_waits_for_a_candidate(stage):
    """A client is answered, and the gateway ends, while a copy hangs; what was cut off so is no outcome."""
    stage.publish(plan(stage, "hang"))
    assert stage.chat().status == 200
    wait_for(lambda: stage.gateway.app.shadows.under_way)
    stage.stop(at_once=True)
    wait_for(lambda: stage.upstream.left == ["hang"])
    assert [outcome.assigned for outcome in stage.sink.outcomes] == ["v1"]


def test_a_slow_candidate_times_out(stage):
    """A copy has as long as the domain's timeout, and is then an error."""
    stage.publish(plan(stage, "hang", timeout=0.2))
    stage.chat()
    _, copies = apart(stage.outcomes(2))
    assert copies[0].measures["error"] == 1
    wait_for(lambda: stage.upstream.left == ["hang"])


def test_copies_are_bounded(stage):
    """Beyond the bound requests are not copied, which is counted; a copy that ended makes room."""
    stage.publish(plan(stage, "slow:0.3", concurrency=2))
    assert [stage.chat().status for _ in range(5)] == [200] * 5
    wait_for(lambda: not stage.gateway.app.shadows.under_way)
    assert stage.upstream.count("slow:0.3") == 2
    assert stage.gateway.app.metrics.shadows["payments", "v3", "skipped"] == 3
    stage.chat()
    wait_for(lambda: stage.upstream.count("slow:0.3") == 3)


def test_a_share_is_copied(stage):
    """About the share that was said is copied."""
    stage.publish(plan(stage, "ok", share=50.0, concurrency=1000))
    for _ in range(60):
        stage.chat()
    wait_for(lambda: not stage.gateway.app.shadows.under_way)
    assert 12 <= len(stage.upstream.asked) - 60 <= 48


def test_a_version_that_is_not_there_yet_is_not_asked(stage):
    """A plan without the backend of its shadow serves as if there were none."""
    stage.publish(stage.plan(shadow=Shadow(version="v9")))
    assert stage.chat().status == 200
    assert stage.outcome().assigned == "v1"


def test_a_shadow_of_nothing_is_refused():
    """A shadow names a version, and at least one copy may be under way."""
    with pytest.raises(InvalidInput, match="version"):
        Shadow(version="")
    with pytest.raises(InvalidInput, match="concurrency"):
        Shadow(version="v2", concurrency=0)
