"""The response cache: the same question to the same version gets the same answer, and nobody else's."""

import json

import pytest
from openai import OpenAI
from tests.gateway.stage import Stage
from tests.gateway.test_keys import MESSAGES, admitted, hold
from tests.routing.plans import layer, running

from vedette.catalog.cache import Cache
from vedette.catalog.limits import Limits
from vedette.evidence.outcome import OutcomeStatus
from vedette.gateway.cache import Kept, ResponseCache
from vedette.kernel.errors import InvalidInput

CACHE = Cache()


def results(stage: Stage, *bodies: object, **headers: str) -> list[str]:
    """Ask these and give what the cache did."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return [stage.ask(body, headers=named).headers["x-vedette-cache"] for body in bodies]


def test_the_same_question_is_answered_again(stage):
    """A second request, whoever's it is and however it is written, gets the first one's answer without the backend."""
    stage.publish(stage.plan(cache=CACHE))
    first = stage.chat(temperature=0)
    again = stage.chat(user="somebody else", temperature=0)
    spelt = stage.ask(
        b'{ "temperature":0,"messages":[{"content":"h\\u0069", "role":"user"}], "user":"u1","model":"payments"}'
    )
    assert [each.headers["x-vedette-cache"] for each in (first, again, spelt)] == ["miss", "hit", "hit"]
    assert first.body == again.body == spelt.body
    assert again.headers["content-type"] == "application/json"
    assert again.headers["age"] == "0"
    assert "age" not in first.headers
    assert again.headers["x-vedette-request-id"] != first.headers["x-vedette-request-id"]
    assert stage.upstream.count("ok") == 1


def test_other_parameters_are_another_question(stage):
    """Anything that can change an answer is part of the question."""
    stage.publish(stage.plan(cache=CACHE))
    base = {"model": "payments", "messages": MESSAGES}
    different = [base, base | {"temperature": 0}, base | {"seed": 1}, base | {"messages": [*MESSAGES, *MESSAGES]}]
    assert results(stage, *different, base) == ["miss"] * 4 + ["hit"]


def test_hits_are_recorded_and_judge_nobody(stage):
    """A hit is an outcome with ``cached`` 1, without error, latency or tokens, for the version did nothing."""
    stage.publish(stage.plan(cache=CACHE))
    stage.chat()
    stage.chat()
    miss, hit = stage.outcomes(2)
    assert (miss.measures["cached"], miss.measures["error"], miss.measures["tokens_out"]) == (0, 0, 2)
    assert set(hit.measures) == {"cached", "cached_ms"}
    assert hit.measures["cached"] == 1
    assert (hit.status, hit.assigned, hit.served, hit.bucket) == (OutcomeStatus.OK, "v1", "v1", miss.bucket)
    figures = stage.get("/metrics").body.decode()
    assert 'vedette_cache_requests_total{domain="payments",result="hit"} 1' in figures


def test_streams_are_given_again_as_streams(stage):
    """A stream is kept as it was sent, with and without its usage apart, and whole answers apart from it."""
    stage.publish(stage.plan(cache=CACHE))
    first, again = stage.chat(stream=True), stage.chat(stream=True)
    assert again.headers["x-vedette-cache"] == "hit"
    assert again.headers["content-type"] == "text/event-stream"
    assert first.body == again.body
    assert again.body.endswith(b"data: [DONE]\n\n")
    assert stage.chat().headers["x-vedette-cache"] == "miss"
    usage = {"stream": True, "stream_options": {"include_usage": True}}
    assert [stage.chat(**usage).headers["x-vedette-cache"] for _ in range(2)] == ["miss", "hit"]
    with OpenAI(base_url=f"{stage.base_url}/v1", api_key="x") as client:
        chunks = list(client.chat.completions.create(model="payments", messages=MESSAGES, stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "0 1 2 3 4 "
    assert stage.upstream.count("ok") == 3


@pytest.mark.parametrize("model", ["500", "400", "cut", "error-middle", "no-done", "error-first"])
def test_what_failed_is_not_kept(stage, model):
    """Errors, refusals and broken streams are never given again."""
    stage.publish(stage.plan(model, cache=CACHE, retries=0))
    assert [stage.chat(stream=True).headers["x-vedette-cache"] for _ in range(2)] == ["miss", "miss"]
    assert stage.upstream.count(model) == 2


def test_an_answer_of_stable_is_not_the_canarys(stage):
    """What stable answered in the canary's place is not kept as the canary's."""
    stage.publish(stage.plan("ok", "500", percent=100.0, retries=0, cache=CACHE))
    assert [stage.chat().headers["x-vedette-cache"] for _ in range(2)] == ["miss", "miss"]


def test_versions_and_arms_keep_apart(stage):
    """The same question under another version, or in another arm of an experiment, is asked anew."""
    stage.publish(stage.plan("ok", "paced", percent=50.0, cache=CACHE, layers=[layer(running())]))
    users = [f"u{number}" for number in range(40)]
    answers = [stage.chat(user=user) for user in users]
    seen = {(answer.headers["x-vedette-version"], answer.headers["x-vedette-experiments"]) for answer in answers}
    assert len(seen) == 4
    assert sum(answer.headers["x-vedette-cache"] == "miss" for answer in answers) == 4
    for answer in answers:
        assert answer.json["model"] == {"v1": "ok", "v2": "paced"}[answer.headers["x-vedette-version"]]


def test_clients_say_what_they_want(stage):
    """no-cache asks anew and is kept, no-store is neither answered from nor kept, max-age bounds the age."""
    stage.publish(stage.plan(cache=CACHE))
    body = {"model": "payments", "messages": MESSAGES}
    assert results(stage, body, cache_control="no-store") == ["bypass"]
    assert results(stage, body, cache_control="no-cache") == ["bypass"]
    assert results(stage, body, body, cache_control="max-age=60") == ["hit", "hit"]
    assert results(stage, body, cache_control="max-age=0, no-store") == ["bypass"]
    assert stage.upstream.count("ok") == 3
    assert all("cached" not in outcome.measures for outcome in stage.outcomes(5) if not outcome.measures.get("cached"))


def test_callers_may_be_kept_apart(stage):
    """With the scope ``caller`` users and keys share no answers."""
    (one, first), (two, second) = admitted(1), admitted(2)
    hold(stage, first, second)
    stage.publish(stage.plan(cache=Cache(scope="caller"), access="keys"))
    body = {"model": "payments", "messages": MESSAGES}
    asked = [(body | {"user": user}, secret) for secret in (one, two) for user in ("a", "b", "a")]
    said = [results(stage, each, authorization=f"Bearer {secret}")[0] for each, secret in asked]
    assert said == ["miss", "miss", "hit"] * 2


def test_answers_grow_old():
    """An answer is given as long as it is younger than the policy and the client say, and forgotten then."""
    cache = ResponseCache(Cache(ttl=60.0))
    cache.put(b"a", Kept(100.0, b"", b"x", False))
    assert cache.get(b"a", 159.9, float("inf"))
    assert cache.get(b"a", 111.0, 10.0) is None
    assert cache.get(b"a", 110.0, 10.0)
    assert cache.get(b"a", 160.0, float("inf")) is None
    assert cache.get(b"a", 101.0, float("inf")) is None


def test_a_new_plan_keeps_the_answers(stage):
    """A plan that changes something else keeps what is known; another cache begins empty; none says nothing."""
    stage.publish(stage.plan(cache=CACHE))
    stage.chat()
    stage.publish(stage.plan(revision=2, cache=CACHE, retries=3))
    assert stage.chat().headers["x-vedette-cache"] == "hit"
    stage.publish(stage.plan(revision=3, cache=Cache(ttl=7.0)))
    assert stage.chat().headers["x-vedette-cache"] == "miss"
    stage.publish(stage.plan(revision=4))
    assert "x-vedette-cache" not in stage.chat().headers


def test_a_cache_has_an_end():
    """Entries and bytes are bounded; what was not asked for the longest goes first."""
    cache = ResponseCache(Cache(entries=2, bytes=10_000))
    kept = Kept(0.0, b"", b"x" * 1000, False)
    for name in (b"a", b"b"):
        cache.put(name, kept)
    assert cache.get(b"a", 1.0, 9.0)
    cache.put(b"c", kept)
    assert [bool(cache.get(name, 1.0, 9.0)) for name in (b"a", b"b", b"c")] == [True, False, True]
    cache.put(b"d", kept._replace(body=b"x" * 9000))
    assert [bool(cache.get(name, 1.0, 9.0)) for name in (b"a", b"c", b"d")] == [False, False, True]
    assert cache._size <= 10_000


def test_a_large_answer_is_not_kept(stage):
    """An answer that would take too much of the cache is passed on, whole or in pieces, and not kept."""
    stage.publish(stage.plan(cache=Cache(bytes=800)))
    assert [stage.chat(stream=stream).headers["x-vedette-cache"] for stream in (True, True, False, False)] == [
        "miss"
    ] * 4


def test_embeddings_are_kept_too(stage):
    """Embeddings are answers as well, and no question is taken for one of another path."""
    stage.publish(stage.plan(cache=CACHE))
    body = {"model": "payments", "input": "hi", "prompt": "hi"}
    said = [stage.ask(body, path=path).headers["x-vedette-cache"] for path in ("/v1/embeddings", "/v1/completions") * 2]
    assert said == ["miss", "miss", "hit", "hit"]
    assert json.loads(stage.ask(body, path="/v1/embeddings").body)["data"][0]["embedding"] == [0.25, -1.5]


@pytest.mark.parametrize("stream", [False, True])
def test_a_backend_may_forbid_it(stage, stream):
    """An answer whose backend says no-store is not kept."""
    stage.publish(stage.plan("no-store", cache=CACHE))
    assert [stage.chat(stream=stream).headers["x-vedette-cache"] for _ in range(2)] == ["miss", "miss"]


def test_what_cannot_be_read_is_passed_on(stage):
    """A question too deep to be read is the backend's to judge: it is asked, and its answer not kept."""
    stage.publish(stage.plan(cache=CACHE, limits=Limits(concurrency=1)))
    deep = b'{"model":"payments","stream":true,"x":' + b"[" * 5000 + b"]" * 5000 + b"}"
    for _ in range(2):
        answer = stage.ask(deep)
        assert answer.status in {200, 400}, answer.body
        assert answer.headers.get("x-vedette-cache", "bypass") == "bypass"
    assert stage.chat().status == 200


def test_a_cache_that_holds_nothing_is_refused():
    """Time, entries and bytes are more than zero."""
    with pytest.raises(InvalidInput, match="ttl"):
        Cache(ttl=0.0)
