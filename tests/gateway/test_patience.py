"""Deadlines of whole answers: the domain's, and shorter ones that clients wish."""

import pytest

from vedette.evidence.outcome import OutcomeStatus


def test_a_deadline_ends_a_stream(stage):
    """A stream that is not over by the domain's deadline ends with an error event, and the version failed."""
    stage.publish(stage.plan("paced:100", deadline=0.2))
    answer = stage.chat(stream=True)
    assert answer.body.rstrip().endswith(b'"code":"stream_failed"}}')
    outcome = stage.outcome()
    assert (outcome.status, outcome.measures["error"]) == (OutcomeStatus.ERROR, 1)


@pytest.mark.parametrize("wish", ["0.2", "200ms", " 200ms "])
def test_a_client_may_be_in_a_hurry(stage, wish):
    """A request that its client's own deadline ended is 504, and says nothing against the version."""
    stage.publish(stage.plan("hang", deadline=30.0))
    answer = stage.ask({"model": "payments", "messages": []}, headers={"x-vedette-deadline": wish})
    assert (answer.status, answer.json["error"]["code"]) == (504, "deadline_passed")
    outcome = stage.outcome()
    assert outcome.status is OutcomeStatus.CLIENT_CLOSED
    assert "error" not in outcome.measures
    assert stage.upstream.left == ["hang"]


def test_a_hurried_stream_ends_with_an_error(stage):
    """A stream cut by its client's deadline ends with an error event, and says nothing against the version."""
    stage.publish(stage.plan("paced:100", deadline=30.0))
    body = {"model": "payments", "messages": [], "stream": True}
    assert b"stream_failed" in stage.ask(body, headers={"x-vedette-deadline": "0.2"}).body
    assert stage.outcome().status is OutcomeStatus.CLIENT_CLOSED


def test_a_wish_never_lengthens(stage):
    """A client that wishes for more than the domain gives has the domain's deadline, and the version failed."""
    stage.publish(stage.plan("hang", deadline=0.2, retries=0))
    answer = stage.ask({"model": "payments", "messages": []}, headers={"x-vedette-deadline": "1h"})
    assert (answer.status, answer.json["error"]["code"]) == (504, "upstream_timeout")
    assert stage.outcome().measures["error"] == 1


def test_a_wish_that_is_no_time_is_refused(stage):
    """A header that says no time is 400 where deadlines are kept, and nothing elsewhere."""
    stage.publish(stage.plan(deadline=30.0))
    stage.publish(stage.plan(domain="legal"))
    headers = {"x-vedette-deadline": "soon"}
    refused = stage.ask({"model": "payments", "messages": []}, headers=headers)
    assert (refused.status, refused.json["error"]["code"]) == (400, "invalid_deadline")
    assert stage.ask({"model": "legal", "messages": []}, headers=headers).status == 200
