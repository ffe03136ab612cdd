"""OpenAI's Responses API through the gateway: passed on as it is, and its end and its usage understood."""

import openai
import pytest

from vedette.catalog.breaker import Breaker
from vedette.catalog.cache import Cache
from vedette.catalog.hedge import Hedge
from vedette.catalog.shadow import Shadow
from vedette.gateway.openai import RESPONSES, read_ask
from vedette.gateway.responses import ResponseStream, usage_in
from vedette.gateway.sse import Usage
from vedette.kernel.errors import InvalidInput


@pytest.fixture
def client(stage):
    """OpenAI's own client at the gateway."""
    stage.publish(stage.plan())
    with openai.OpenAI(base_url=f"{stage.base_url}/v1", api_key="-", max_retries=0) as opened:
        yield opened


def test_a_response_is_passed_on_and_its_usage_recorded(stage, client):
    """A whole response reaches OpenAI's client as its backend sent it; its tokens are recorded."""
    answer = client.responses.create(model="payments", input="hi", instructions="be brief")
    assert (answer.output_text, answer.usage.total_tokens) == ("from ok", 13)
    asked = stage.upstream.asked[0]
    assert (asked.path, asked.json["model"], asked.json["instructions"]) == (RESPONSES, "ok", "be brief")
    measures = stage.outcome().measures
    assert (measures["tokens_in"], measures["tokens_out"], measures["error"]) == (11, 2, 0)


def test_a_streamed_response_is_whole_with_its_last_event(stage, client):
    """Events reach OpenAI's client one by one; the stream has no [DONE], and is whole all the same."""
    events = list(client.responses.create(model="payments", input="hi", stream=True))
    assert [event.type for event in events] == [
        "response.created",
        "response.output_text.delta",
        "response.output_text.delta",
        "response.completed",
    ]
    assert "stream_options" not in stage.upstream.asked[0].json
    measures = stage.outcome().measures
    assert (measures["tokens_in"], measures["tokens_out"], measures["error"]) == (11, 2, 0)
    assert measures["ttft_ms"] >= 0


@pytest.mark.parametrize("model", ["cut", "failed", "error-event"])
def test_a_streamed_response_that_breaks_is_an_error_of_its_version(stage, model):
    """A stream that ends before its last event, or says that it failed, is recorded as an error and not spliced."""
    stage.publish(stage.plan(stable=model, canary="ok", percent=0))
    body = stage.ask({"model": "payments", "input": "hi", "stream": True}, path=RESPONSES).body
    assert b"from ok" not in body
    assert (b"stream_failed" in body) == (model == "cut")
    outcome = stage.outcome()
    assert (outcome.status, outcome.measures["error"]) == ("error", 1)


FAILED = ["failed", "failed-unexplained", "error-only"]


@pytest.mark.parametrize("model", FAILED)
def test_a_whole_response_that_failed_is_an_error_of_its_version(stage, model):
    """Status 200 does not make a response good that says it failed: it is passed on, not asked again, and an error."""
    stage.publish(stage.plan(stable=model, cache=Cache()))
    for _ in range(2):
        answer = stage.ask({"model": "payments", "input": "hi"}, path=RESPONSES)
        assert (answer.status, answer.headers["x-vedette-cache"]) == (200, "miss")
        assert (answer.json["status"], answer.json["error"] is None) == (
            "completed" if model == "error-only" else "failed",
            model == "failed-unexplained",
        )
    assert stage.upstream.count(model) == 2
    for outcome in stage.outcomes(2):
        assert (outcome.status, outcome.measures["error"], outcome.measures["tokens_in"]) == ("error", 1, 11)


@pytest.mark.parametrize("model", FAILED)
def test_stable_answers_for_a_whole_response_that_failed(stage, model):
    """A candidate whose response failed is answered for by stable, whose answer is not kept as the candidate's."""
    stage.publish(stage.plan(canary=model, percent=100, cache=Cache()))
    for _ in range(2):
        answer = stage.ask({"model": "payments", "input": "hi", "user": "u"}, path=RESPONSES)
        assert answer.json["output"][0]["content"][0]["text"] == "from ok"
        assert (answer.headers["x-vedette-assigned"], answer.headers["x-vedette-version"]) == ("v2", "v1")
    for outcome in stage.outcomes(2):
        assert (outcome.status, outcome.measures["error"], outcome.measures["fallback"]) == ("ok", 1, 1)


def test_responses_that_fail_open_the_circuit(stage):
    """A backend whose responses fail one after the other is left alone, whatever its status says."""
    stage.publish(stage.plan(stable="failed", breaker=Breaker(minimum=2, pause=60)))
    answers = [stage.ask({"model": "payments", "input": "hi"}, path=RESPONSES).status for _ in range(3)]
    assert answers == [200, 200, 503]


def test_a_response_cut_at_its_limit_is_good(stage):
    """A response that is incomplete because the client set a limit is no failure, and is kept like any other."""
    stage.publish(stage.plan(stable="incomplete", cache=Cache()))
    answers = [stage.ask({"model": "payments", "input": "hi"}, path=RESPONSES) for _ in range(2)]
    assert [answer.headers["x-vedette-cache"] for answer in answers] == ["miss", "hit"]
    first, _ = sorted(stage.outcomes(2), key=lambda outcome: outcome.measures.get("cached", 0))
    assert (first.status, first.measures["error"]) == ("ok", 0)


def test_a_failed_hedge_of_a_response_is_one_failure(stage):
    """A response that failed is told once, though its version is asked through a race of two calls."""
    stage.publish(stage.plan(stable="failed", hedge=Hedge(after=60, share=5)))
    assert stage.ask({"model": "payments", "input": "hi"}, path=RESPONSES).json["status"] == "failed"
    assert stage.outcome().measures["error"] == 1


def test_what_is_kept_at_the_backend_is_not_kept_in_the_cache(stage):
    """Responses are cached as other answers are, unless they go on from one that the backend keeps."""
    stage.publish(stage.plan(cache=Cache()))
    body = {"model": "payments", "input": "hi"}
    assert [stage.ask(body, path=RESPONSES).headers["x-vedette-cache"] for _ in range(2)] == ["miss", "hit"]
    more = {**body, "previous_response_id": "resp_1"}
    assert [stage.ask(more, path=RESPONSES).headers["x-vedette-cache"] for _ in range(2)] == ["bypass", "bypass"]


def test_a_shadow_hears_responses_too(stage):
    """A copy of a response is understood as the response itself is."""
    shadow = Shadow(version="v2", share=100.0)
    stage.publish(stage.plan(backends={"v2": stage.backend("ok")}, shadow=shadow))
    stage.ask({"model": "payments", "input": "hi", "stream": True}, path=RESPONSES)
    assert [outcome.measures["tokens_out"] for outcome in stage.outcomes(2)] == [2, 2]


def test_a_shadow_hears_that_a_response_failed(stage):
    """A copy whose whole response failed is an error of the candidate, as its own answer would be."""
    shadow = Shadow(version="v2", share=100.0)
    stage.publish(stage.plan(backends={"v2": stage.backend("failed")}, shadow=shadow))
    stage.ask({"model": "payments", "input": "hi"}, path=RESPONSES)
    said = {outcome.assigned: (outcome.status, outcome.measures["error"]) for outcome in stage.outcomes(2)}
    assert said == {"v1": ("ok", 0), "v2": ("error", 1)}


def test_events_are_understood_however_they_are_cut():
    """Byte by byte, with other line ends, and with a text that looks like an end: the same stream."""
    said = (
        b'event: response.created\ndata: {"type":"response.created","response":{"usage":null,"error":null}}\n\n'
        b'data: {"type":"response.output_text.delta","delta":"response.completed [DONE] error"}\n\n'
        b'event: response.completed\r\ndata: {"type":"response.completed","response":{"usage":{"input_tokens":3,'
        b'"output_tokens":4}}}\r\n\r\n: bye\n\n'
    )
    stream, passed = ResponseStream(keep_usage=True, limit=1000), b""
    for place in range(len(said)):
        passed += stream.feed(said[place : place + 1])
    assert said.startswith(passed)
    assert (stream.started, stream.finished, stream.error) == (True, True, None)
    assert stream.usage == Usage(prompt_tokens=3, completion_tokens=4)


def test_an_event_may_be_too_large():
    """One event larger than the limit is refused."""
    with pytest.raises(InvalidInput, match="larger than 10 bytes"):
        ResponseStream(keep_usage=True, limit=10).feed(b"data: 0123456789")


def test_what_cannot_be_read_is_passed_on():
    """Events and answers of no known shape are not ours to judge."""
    stream = ResponseStream(keep_usage=True, limit=1000)
    assert stream.feed(b"data: error, they say\n\ndata: [DONE]\n\n") == b"data: error, they say\n\ndata: [DONE]\n\n"
    assert (stream.finished, stream.error, stream.usage) == (True, None, None)
    ask = read_ask(RESPONSES, b'{"model": "m"}')
    assert (usage_in(ask, b"no json"), usage_in(ask, b"{}")) == (None, None)
