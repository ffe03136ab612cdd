"""When a version fails: retries within reason, stable for the canary, and a record of what really happened."""

import pytest
from tests.gateway.stage import wait_for

FAILURES = ["500", "502", "429", "401", "404", "hang-up", "garbage", "short"]


@pytest.mark.parametrize("model", FAILURES)
def test_fallback_to_stable_before_the_first_byte(stage, model):
    """A canary that fails is answered for by stable; the outcome keeps who was assigned, and that it failed."""
    stage.publish(stage.plan(canary=model, percent=100, retries=0))
    answer = stage.chat()
    assert answer.json["choices"][0]["message"]["content"] == "from ok"
    assert (answer.headers["x-vedette-assigned"], answer.headers["x-vedette-version"]) == ("v2", "v1")
    outcome = stage.outcome()
    assert (outcome.assigned, outcome.served, outcome.status) == ("v2", "v1", "ok")
    assert (outcome.measures["error"], outcome.measures["fallback"]) == (1, 1)


def test_fallback_when_the_canary_cannot_be_reached(stage):
    """A canary whose port is closed is answered for by stable."""
    down = stage.backend("ok", url="http://127.0.0.1:9/v1")
    stage.publish(stage.plan(canary="ok", percent=100, backends={"v2": down}))
    assert stage.chat().headers["x-vedette-version"] == "v1"
    assert stage.outcome().measures["error"] == 1


@pytest.mark.parametrize("stream", [False, True])
def test_fallback_when_the_canary_is_too_slow(stage, stream):
    """A canary that exceeds its backend's timeout is dropped for stable while the domain's time lasts."""
    slow = stage.backend("silent-stream" if stream else "hang", timeout=0.1)
    stage.publish(stage.plan(canary="ok", percent=100, backends={"v2": slow}))
    assert stage.chat(stream=stream).headers["x-vedette-version"] == "v1"
    assert stage.outcome().measures["error"] == 1
    wait_for(lambda: len(stage.upstream.left) == 1)


def test_fallback_can_be_switched_off(stage):
    """Without fallback the canary's failure is the client's to see."""
    stage.publish(stage.plan(canary="500", percent=100, fallback=False))
    assert stage.chat().status == 500
    outcome = stage.outcome()
    assert (outcome.served, outcome.status, outcome.measures["error"], outcome.measures["fallback"]) == (
        "v2",
        "error",
        1,
        0,
    )


def test_fallback_that_fails_too(stage):
    """When stable fails as well, the client gets stable's answer, and the assigned version still counts as failed."""
    stage.publish(stage.plan(stable="503", canary="500", percent=100, retries=0))
    assert stage.chat().status == 503
    outcome = stage.outcome()
    assert (outcome.assigned, outcome.served, outcome.status) == ("v2", "v1", "error")
    assert (outcome.measures["error"], outcome.measures["fallback"]) == (1, 1)


def test_stable_has_nobody_to_fall_back_to(stage):
    """A unit on stable is never sent to the canary, whatever stable does."""
    stage.publish(stage.plan(stable="500", canary="ok", percent=0))
    assert stage.chat().status == 500
    assert stage.upstream.count("ok") == 0


@pytest.mark.parametrize("model", ["400", "422"])
def test_clients_own_mistake_is_no_error_of_the_version(stage, model):
    """A 400 or 422 passes through, is neither retried nor fallen back from, and counts as rejected, not as error."""
    stage.publish(stage.plan(canary=model, percent=100))
    answer = stage.chat()
    assert (answer.status, answer.json["error"]["message"]) == (int(model), f"upstream says {model}")
    outcome = stage.outcome()
    assert (outcome.status, outcome.measures["error"], outcome.measures["rejected"]) == ("ok", 0, 1)
    assert len(stage.upstream.asked) == 1


def test_refused_key_is_the_gateways_own_trouble(stage):
    """A backend that refuses the gateway's key is 502 for the client, whose own key is fine, and says no more."""
    stage.publish(stage.plan(stable="401"))
    answer = stage.chat()
    assert answer.status == 502
    assert "upstream says" not in answer.json["error"]["message"]
    assert stage.outcome().measures["error"] == 1


def test_deadline_total_is_504(stage):
    """Without anyone to fall back to, a version that is too slow is 504 within the domain's timeout."""
    stage.publish(stage.plan(stable="hang", timeout=0.1))
    answer = stage.chat()
    assert (answer.status, answer.json["error"]["code"]) == (504, "upstream_timeout")


@pytest.mark.parametrize("status", ["429", "502", "503", "504"])
def test_retries_what_may_pass_by_itself(stage, status):
    """A busy or absent backend is asked again, as often as the domain says, and no more."""
    stage.publish(stage.plan(stable=status, retries=2))
    assert stage.chat().status == int(status)
    assert len(stage.upstream.asked) == 3


@pytest.mark.parametrize("model", ["500", "hang-up", "400"])
def test_retries_nothing_else(stage, model):
    """What may have had an effect, or will not pass, is not sent twice."""
    stage.publish(stage.plan(stable=model, retries=2))
    stage.chat()
    assert len(stage.upstream.asked) == 1


def test_retry_that_succeeds_is_no_error(stage):
    """Only the last try of a version counts."""
    stage.publish(stage.plan(stable="flaky:1"))
    assert stage.chat().status == 200
    assert stage.outcome().measures["error"] == 0
    text = stage.get("/metrics").body
    assert b'vedette_request_retries_total{domain="payments",version="v1"} 1\n' in text


def test_retry_budget_is_a_tenth(stage):
    """With everything failing, retries are the ten of the start and one request in ten."""
    stage.publish(stage.plan(stable="503", retries=1))
    for number in range(100):
        stage.chat(user=f"u{number}")
    assert 100 + 10 <= len(stage.upstream.asked) <= 100 + 10 + 11


def test_retry_after_is_honoured(stage):
    """A backend that asks for a longer pause than is reasonable is not asked again; the client learns of the pause."""
    stage.publish(stage.plan(stable="429:3600", retries=3))
    answer = stage.chat()
    assert (answer.status, answer.headers["retry-after"]) == (429, "3600")
    assert len(stage.upstream.asked) == 1


def test_upstream_keep_alive_race(stage):
    """A kept connection that was closed meanwhile costs nothing: the request is sent once more, on a fresh one."""
    stage.publish(stage.plan(stable="stale", retries=0))
    assert [stage.chat(user=f"u{number}").status for number in range(6)] == [200] * 6
    assert all(outcome.measures["error"] == 0 for outcome in stage.outcomes(6))
