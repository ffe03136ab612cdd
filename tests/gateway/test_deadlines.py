"""Every wait of the gateway ends: for a connection, for the first byte, between two chunks, and in all."""

import socket

import pytest

from vedette.catalog.backend import OpenAIBackend


@pytest.fixture
def deaf():
    """A port that lets nobody in: its queue is full, so connecting to it takes forever."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server:
        waiting = [socket.socket() for _ in range(8)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(server.getsockname())
        yield server.getsockname()[1]
        for each in waiting:
            each.close()


def test_deadline_of_connecting(make_stage, deaf):
    """A backend that does not let the gateway in within the connect timeout is no connection: 502, and it says so."""
    stage = make_stage(connect_timeout=0.2)
    backend = OpenAIBackend(url=f"http://127.0.0.1:{deaf}/v1", model="ok")
    stage.publish(stage.plan(backends={"v1": backend}))
    answer = stage.chat()
    assert (answer.status, answer.json["error"]["code"]) == (502, "upstream_connect")
    assert stage.outcome().measures["error"] == 1


@pytest.mark.parametrize("stream", [False, True])
def test_deadline_of_the_first_byte(stage, stream):
    """A version that says nothing within its backend's timeout is 504, while the domain has time left."""
    stage.publish(stage.plan(backends={"v1": stage.backend("slow:20", timeout=0.2)}, timeout=30.0))
    answer = stage.chat(stream=stream)
    assert (answer.status, answer.json["error"]["code"]) == (504, "upstream_timeout")
    assert stage.outcome().measures["error"] == 1


def test_deadline_waits_for_no_retry(stage):
    """A pause before the next try is never cut short by the deadline of the try before."""
    stage.publish(stage.plan(backends={"v1": stage.backend("flaky:1", timeout=0.02)}, timeout=30.0, retries=1))
    assert stage.chat().status == 200
    assert stage.outcome().status == "ok"
