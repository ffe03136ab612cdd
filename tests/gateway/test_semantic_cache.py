"""The semantic cache: what is much like a question before gets its answer, and is found out where that was wrong."""

import json
import logging
from functools import partial
from typing import Any

import numpy as np
import pytest
from tests.gateway.stage import Answer, Stage, wait_for

from vedette.catalog.cache import Cache, Semantic
from vedette.evidence.outcome import OutcomeStatus
from vedette.gateway.likeness import agree, lexical, normal, numbers, prompt_of
from vedette.gateway.metrics import Metrics
from vedette.gateway.openai import CHAT, read_ask
from vedette.gateway.semantic import Lexical, Likeness, SemanticCache
from vedette.kernel.errors import InvalidInput

QUESTION = "How do I cancel my order for the blue shoes, please?"
NEAR = "how do I cancel my  order for the blue shoes please"
OTHER = "When does the shop in Berlin open on Sundays?"


def caching(**fields: Any) -> Cache:
    """Declare a semantic cache that verifies nothing, unless said."""
    return Cache(semantic=Semantic(**({"threshold": 0.8, "verify": 0.0001} | fields)))


def say(stage: Stage, text: object, *before: dict[str, object], **fields: Any) -> Answer:
    """Ask a question."""
    return stage.chat(messages=[*before, {"role": "user", "content": text}], **fields)


def said(*answers: Answer) -> list[str]:
    """Give what the cache did."""
    return [answer.headers["x-vedette-cache"] for answer in answers]


def counts(stage: Stage) -> dict[str, int]:
    """Give what the semantic cache did."""
    return {result: count for (_, _, result), count in stage.gateway.app.metrics.similar.items()}


def test_a_question_much_like_another_gets_its_answer(stage):
    """A near duplicate is answered without the backend, is told and recorded as such; another question is asked."""
    stage.publish(stage.plan("echo", cache=caching()))
    first, near, same, other = (say(stage, text) for text in (QUESTION, NEAR, QUESTION, OTHER))
    assert said(first, near, same, other) == ["miss", "similar", "hit", "miss"]
    assert near.body == first.body == same.body
    assert other.json["choices"][0]["message"]["content"] == OTHER
    assert stage.upstream.count("echo") == 2
    outcomes = stage.outcomes(4)
    assert set(outcomes[1].measures) == {"cached", "cached_ms", "similar"}
    assert set(outcomes[2].measures) == {"cached", "cached_ms"}
    figures = stage.get("/metrics").body.decode()
    assert 'vedette_cache_requests_total{domain="payments",result="similar"} 1' in figures
    assert 'vedette_cache_semantic_total{domain="payments",setting="lexical@0.8",result="hit"} 1' in figures
    assert 'vedette_cache_semantic_total{domain="payments",setting="lexical@0.8",result="miss"} 2' in figures


def test_everything_but_the_last_message_is_the_same(stage):
    """Another system prompt, earlier turn, parameter, version or number makes a question that is never compared."""
    stage.publish(stage.plan("echo", cache=caching()))
    system: dict[str, object] = {"role": "system", "content": "Be kind."}
    assert said(say(stage, QUESTION)) == ["miss"]
    assert said(say(stage, NEAR, system), say(stage, NEAR, temperature=0), say(stage, NEAR, n=2)) == ["miss"] * 3
    assert said(say(stage, f"{QUESTION} It was 20 euros"), say(stage, f"{NEAR} It was 21 euros")) == ["miss"] * 2
    assert said(say(stage, f"{NEAR} it was 20 euros"), say(stage, f"{QUESTION}!", system)) == ["similar"] * 2
    stage.publish(stage.plan("echo", "echo", percent=100.0, revision=2, cache=caching()))
    assert said(say(stage, NEAR)) == ["miss"]


def test_what_is_no_question_in_text_is_not_compared(stage):
    """Streams, parts and other paths have the exact cache alone, and so has who minds the age of an answer."""
    stage.publish(stage.plan("ok", cache=caching()))
    say(stage, QUESTION)
    parts = [{"type": "text", "text": NEAR}]
    assert said(say(stage, NEAR, stream=True), say(stage, parts)) == ["miss", "miss"]
    body = {"model": "payments", "user": "u1", "messages": [{"role": "user", "content": NEAR}]}
    assert said(stage.ask(body, headers={"Cache-Control": "max-age=9"})) == ["miss"]
    assert said(stage.ask({"model": "payments", "prompt": NEAR}, path="/v1/completions")) == ["miss"]
    assert said(say(stage, NEAR)) == ["hit"]
    assert "hit" not in counts(stage)


def test_it_is_off_unless_declared(stage):
    """A cache without ``semantic`` compares nothing."""
    stage.publish(stage.plan("ok", cache=Cache()))
    assert said(say(stage, QUESTION), say(stage, NEAR)) == ["miss", "miss"]
    assert counts(stage) == {}


def test_embeddings_of_a_backend_know_meanings(stage):
    """With an embeddings backend other words for the same are alike, and each question is embedded once."""
    stage.publish(stage.plan("ok", cache=caching(embeddings=stage.backend("meaning"))))
    answers = [say(stage, text) for text in ("cancel it", "terminate that", "settle my bill", "pay what I owe")]
    assert said(*answers) == ["miss", "similar", "miss", "similar"]
    assert stage.upstream.count("meaning") == 4
    assert counts(stage) == {"hit": 2, "miss": 2}


@pytest.mark.parametrize("model", ["hang", "500", "hang-up", "garbage"])
def test_a_backend_that_makes_no_embeddings_keeps_nobody(stage, model):
    """Without an embedding in time the version is asked; after some failures the backend is left alone."""
    stage.publish(stage.plan("ok", cache=caching(embeddings=stage.backend(model), wait=0.05)))
    assert said(*(say(stage, f"{QUESTION} {number}") for number in range(8))) == ["miss"] * 8
    assert counts(stage) == {"failed": 8}
    assert stage.upstream.count(model) <= 2 * 5  # each may have been sent again on a fresh connection


def test_hits_are_verified_and_the_share_of_false_ones_is_known(stage):
    """A verified hit asks the version too, unseen; the share of false hits is a figure with its interval."""
    stage.publish(stage.plan("ok", cache=caching(verify=100.0)))
    answers = [say(stage, text) for text in (QUESTION, NEAR, f"{NEAR}!")]
    assert said(*answers) == ["miss", "similar", "similar"]
    wait_for(lambda: counts(stage).get("verified") == 2)
    assert "false" not in counts(stage)
    checks = [each for each in stage.outcomes(5) if "shadow" in each.measures]
    assert [each.measures["false_hit"] for each in checks] == [0, 0]
    assert [(each.status, each.bucket, each.plan_revision) for each in checks] == [(OutcomeStatus.OK, -1, 0)] * 2
    assert stage.upstream.count("ok") == 3
    lines = stage.get("/metrics").body.decode().splitlines()
    name = 'vedette_cache_semantic_false_hit_ratio{domain="payments",setting="lexical@0.8",bound="%s"}'
    low, estimate, high = (
        float(next(line for line in lines if line.startswith(name % bound)).split()[-1])
        for bound in ("low", "estimate", "high")
    )
    assert (low, estimate) == (0.0, 0.0)
    assert 0.5 < high <= 1


def test_too_many_false_hits_switch_it_off(stage, caplog):
    """When it is certain that more hits are false than are tolerated, it says so and answers none any more."""
    caplog.set_level(logging.ERROR, "vedette.gateway")
    cache = caching(verify=100.0, agreement=1.0, tolerated=20.0)
    stage.publish(stage.plan("echo", cache=cache))
    say(stage, QUESTION)
    asked = 0
    while not counts(stage).get("switched_off"):
        asked += 1
        assert asked < 26
        assert said(say(stage, f"{NEAR} {'abcdefghijklmnopqrstuvwxyz'[asked]}")) == ["similar"]
        wait_for(partial(falsified, stage, asked))
    assert asked > 2  # one or two false ones are no certainty
    assert said(say(stage, f"{NEAR}?"), say(stage, QUESTION)) == ["miss", "hit"]
    assert "semantic cache of payments (lexical@0.8) is off" in caplog.text
    stage.publish(stage.plan("echo", revision=2, cache=cache, retries=2))
    assert said(say(stage, f"{NEAR}??")) == ["miss"]  # a plan that changes something else does not bring it back
    stage.publish(stage.plan("echo", revision=3, cache=caching(threshold=0.75)))
    assert said(say(stage, QUESTION), say(stage, NEAR)) == ["miss", "similar"]


def falsified(stage: Stage, count: int) -> bool:
    """Say whether so many hits were found to be false."""
    return counts(stage).get("false") == count


def test_a_worker_hears_of_the_false_hits_of_others():
    """What all workers know together counts, and figures of another setting do not."""
    policy = Semantic(threshold=0.9, tolerated=5.0)
    cache = SemanticCache(policy, "payments", Lexical(), Metrics())
    known = Metrics()
    known.similar |= {("payments", "lexical@0.8", result): 50 for result in ("verified", "false")}
    cache.judge(known)
    assert not cache.off
    known.similar |= {("payments", policy.name, "verified"): 200, ("payments", policy.name, "false"): 11}
    cache.judge(known)
    assert not cache.off  # 5.5 % seen, but it may be less
    known.similar["payments", policy.name, "false"] = 60
    cache.judge(known)
    assert cache.off


def held(cache: SemanticCache, group: bytes, text: str, question: bytes) -> None:
    """Remember a question."""
    Likeness(cache, group, lexical(text)).add(question)


def test_what_it_remembers_has_an_end():
    """Beyond its entries the least recently used group gives way, and a question is remembered once."""
    cache = SemanticCache(Semantic(entries=40), "payments", Lexical(), Metrics())
    for number in range(30):
        held(cache, b"a", f"{QUESTION} {number}", b"a%d" % number)
        held(cache, b"a", f"{QUESTION} {number}", b"a%d" % number)
    for number in range(30):
        held(cache, b"b", f"{OTHER} {number}", b"b%d" % number)
    assert (cache.held, {name: len(group.questions) for name, group in cache._groups.items()}) == (
        40,
        {b"a": 10, b"b": 30},
    )
    assert next(iter(Likeness(cache, b"b", lexical(f"{OTHER} 7")).nearest())) == b"b7"


def test_the_likest_comes_first_and_what_is_not_wanted_is_forgotten():
    """Questions come by likeness down to the threshold; one whose answer is gone is not found a second time."""
    cache = SemanticCache(Semantic(threshold=0.6), "payments", Lexical(), Metrics())
    for text, question in ((QUESTION, b"same"), (f"{QUESTION} Thank you", b"near"), (OTHER, b"other")):
        held(cache, b"g", text, question)
    assert list(Likeness(cache, b"g", lexical(QUESTION)).nearest()) == [b"same", b"near"]
    assert list(Likeness(cache, b"g", lexical(QUESTION)).nearest()) == []
    assert list(Likeness(cache, b"g", lexical(OTHER)).nearest()) == [b"other"]
    assert list(Likeness(cache, b"none", lexical(OTHER)).nearest()) == []
    assert (cache.held, cache._groups) == (0, {})


def test_vectors_of_another_length_begin_anew():
    """When an embedding changes its length, old questions are forgotten instead of compared."""
    cache = SemanticCache(Semantic(), "payments", Lexical(), Metrics())
    short, long = (np.ones(size, np.float32) / np.float32(size**0.5) for size in (4, 9))
    Likeness(cache, b"g", short).add(b"short")
    assert list(Likeness(cache, b"g", long).nearest()) == []
    Likeness(cache, b"g", long).add(b"long")
    assert (list(Likeness(cache, b"g", long).nearest()), cache.held) == ([b"long"], 0)


def test_spelling_is_what_lexical_compares():
    """Case, spaces and widths make no difference; small changes make a small one, other texts a large one."""
    assert normal("  \N{FULLWIDTH LATIN CAPITAL LETTER H}ello\n WORLD ") == "hello world"
    base = lexical(normal(QUESTION))
    assert float(base @ base) == pytest.approx(1.0, abs=1e-5)
    assert float(base @ lexical(normal(NEAR))) > 0.8
    assert abs(float(base @ lexical(normal(OTHER)))) < 0.3
    assert lexical("a").any()
    assert numbers("1.5 of 20, at 10:30") == ["1.5", "20", "10:30"]


def test_questions_without_text_are_not_read():
    """A last message that is not a user's, is empty or is too long is no question to compare."""
    bad: list[object] = ["x", [], [{"role": "assistant", "content": "a"}], [{"role": "user", "content": " "}], [7]]
    for messages in [*bad, [{"role": "user", "content": "x" * 20_000}]]:
        ask = read_ask(CHAT, json.dumps({"model": "m", "messages": messages}).encode())
        assert prompt_of(ask, ["v1"]) is None


def spoken(content: str | None, calls: object = None) -> bytes:
    """Write an answer."""
    return json.dumps({"choices": [{"message": {"content": content, "tool_calls": calls}}]}).encode()


def test_answers_agree_by_what_they_say():
    """The same words, or much the same with the same numbers, agree; other tool calls, numbers or counts do not."""
    call = [{"id": "1", "function": {"name": "refund", "arguments": '{"id":7}'}}]
    assert agree(spoken("Yes, of course."), spoken("yes,  of course."), 0.9)
    assert agree(spoken("You can cancel it in the app today."), spoken("You can cancel it in the app, today."), 0.8)
    assert not agree(spoken("It costs 20 euros."), spoken("It costs 30 euros."), 0.1)
    assert not agree(spoken("billing"), spoken("returns"), 0.9)
    assert agree(spoken(None, call), spoken(None, [call[0] | {"id": "2"}]), 0.9)
    assert not agree(spoken(None, call), spoken(None, [{"function": {"name": "refund", "arguments": "{}"}}]), 0.9)
    assert agree(spoken("a"), b"{}", 0.9) is None


def test_a_cache_nobody_watches_is_refused():
    """Likeness lies between 0 and 1, and some hits are always verified."""
    for fields in ({"threshold": 1.5}, {"agreement": 0.0}, {"verify": 0.0}, {"entries": 0}):
        with pytest.raises(InvalidInput, match=next(iter(fields))):
            Semantic(**fields)
