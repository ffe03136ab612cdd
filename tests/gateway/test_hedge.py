"""Hedging: who is late to begin is asked again, the first to begin is taken, the other one is cut and paid for."""

import socket
from typing import Any

import pytest
from tests.gateway.stage import Stage, wait_for

from vedette.catalog.budget import Price
from vedette.catalog.hedge import Hedge
from vedette.catalog.shadow import Shadow
from vedette.gateway.hedge import Race
from vedette.kernel.errors import InvalidInput

SOON = Hedge(after=0.05, share=100.0)


def plan(stage: Stage, model: str, hedge: Hedge = SOON, **more: Any) -> None:
    """Publish a domain whose stable version is asked twice when it is late."""
    stage.publish(stage.plan(stable=model, hedge=hedge, **more))


@pytest.mark.parametrize("stream", [False, True])
def test_a_late_answer_is_asked_for_again(stage, stream):
    """The first call hangs, the second one answers: the client has its answer, the first call is cut and booked."""
    prices = {"*": Price(tokens_in=1_000_000, tokens_out=0)}
    plan(stage, "late-once:1", prices=prices)
    answer = stage.chat(stream=stream)
    assert answer.status == 200
    wait_for(lambda: stage.upstream.left == ["late-once:1"])
    assert len(stage.upstream.asked) == 2
    measures = stage.outcome().measures
    assert (measures["hedged"], measures["error"], measures["tokens_in"], measures["tokens_wasted"]) == (1, 0, 11, 11)
    assert measures["cost"] == 22
    assert measures["latency_ms"] < 5000
    text = stage.get("/metrics").body
    assert b'vedette_request_hedges_total{domain="payments",version="v1"} 1\n' in text


def test_an_answer_in_time_is_asked_for_once(stage):
    """Who begins in time is asked once, and the outcome says so; a backend's timeout goes on holding."""
    plan(stage, "ok", Hedge(after=5.0))
    assert stage.chat().status == 200
    assert len(stage.upstream.asked) == 1
    assert stage.outcome().measures["hedged"] == 0


def test_without_a_hedge_nothing_is_said_of_it(stage):
    """Outcomes of domains without hedging have no such measure."""
    stage.publish(stage.plan())
    stage.chat()
    assert "hedged" not in stage.outcome().measures


def test_a_stream_that_has_begun_is_not_asked_for_again(stage):
    """A stream that goes on for longer than the hedge waits is one call."""
    plan(stage, "paced:10")
    assert stage.chat(stream=True).body.endswith(b"data: [DONE]\n\n")
    assert len(stage.upstream.asked) == 1


def test_the_share_of_second_calls_is_bounded(stage):
    """With everything late, second calls are the five of the start and the share that was said."""
    plan(stage, "slow:0.1", Hedge(after=0.02, share=10.0))
    for number in range(20):
        stage.chat(user=f"u{number}")
    assert 20 + 5 <= len(stage.upstream.asked) <= 20 + 5 + 2


def test_a_failure_does_not_win_while_another_call_runs(stage):
    """When the second call fails at once and the first one still comes, the first one is the answer."""
    plan(stage, "late-then-500:0.4")
    assert stage.chat().status == 200
    assert len(stage.upstream.asked) == 2
    assert stage.outcome().measures["error"] == 0


def test_when_both_fail_the_version_has_failed(stage):
    """Two failures are one failure of the version; what may be tried again is, as ever."""
    plan(stage, "slow-500:0.1")
    assert stage.chat().status == 500
    outcome = stage.outcome()
    assert (outcome.measures["error"], outcome.measures["hedged"]) == (1, 1)


def test_a_client_that_leaves_takes_both_calls_along(stage):
    """Who hangs up while both calls run leaves no backend at work."""
    plan(stage, "hang")
    body = b'{"model": "payments", "messages": []}'
    with socket.create_connection(("127.0.0.1", stage.port)) as sock:
        head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body)
        sock.sendall(head + body)
        wait_for(lambda: len(stage.upstream.asked) == 2)
    wait_for(lambda: len(stage.upstream.left) == 2)
    assert stage.outcome().status == "client_closed"


def test_a_backend_that_cannot_be_reached_fails_at_once(stage):
    """Before it is late a failure is passed on as ever: retries and fallback do their work."""
    down = stage.backend("ok", url="http://127.0.0.1:9/v1")
    stage.publish(stage.plan(canary="ok", percent=100, backends={"v2": down}, hedge=SOON, retries=0))
    assert stage.chat().headers["x-vedette-version"] == "v1"


def test_a_shadow_is_never_asked_twice(stage):
    """Copies are not hedged: nobody waits for them."""
    shadow = Shadow(version="v2", share=100.0)
    plan(stage, "ok", backends={"v2": stage.backend("slow:0.2")}, shadow=shadow)
    assert stage.chat().status == 200
    stage.outcomes(2)
    assert stage.upstream.count("slow:0.2") == 1


class _Call:
    def __init__(self) -> None:
        self.heard: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return lambda: self.heard.append(name)


def test_pauses_reach_the_call_that_has_won():
    """A slow client slows down the call that answers it."""
    race = Race.__new__(Race)
    runner = type("Runner", (), {"call": _Call()})()
    race._running, race._timer = [runner], None
    for name in ("pause", "resume", "let_go"):
        getattr(race, name)()
    assert runner.call.heard == ["pause", "resume", "let_go"]


@pytest.mark.parametrize("said", [{"after": 0.0}, {"after": 1.0, "share": 0.0}])
def test_a_hedge_that_is_none_is_refused(said):
    """Asking twice at once, or never, is no hedging."""
    with pytest.raises(InvalidInput, match="more than zero"):
        Hedge(**said)
