"""A client that leaves: its backend stops working for nobody, and the version is not blamed."""

import socket

import pytest
from tests.gateway.stage import Stage, wait_for


@pytest.fixture
def stage(stage_on_each_loop):
    """Each event loop has its own transports, so both are tried here."""
    return stage_on_each_loop


def leave_after(stage: Stage, model: str, *, stream: bool = False, until: bytes = b"", reset: bool = False) -> None:
    """Ask, wait for some bytes of the answer, and leave."""
    body = b'{"model": "payments", "stream": %b, "messages": []}' % (b"true" if stream else b"false")
    with socket.create_connection(("127.0.0.1", stage.port)) as sock:
        sock.sendall(
            b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
        )
        wait_for(lambda: stage.upstream.count(model))
        seen = b""
        while until not in seen:
            seen += sock.recv(65536)
        if reset:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


@pytest.mark.parametrize("reset", [False, True])
def test_client_gone_while_waiting(stage, reset):
    """A client that leaves before the answer aborts the backend; the outcome says client_closed and blames nobody."""
    stage.publish(stage.plan(stable="hang"))
    leave_after(stage, "hang", reset=reset)
    wait_for(lambda: stage.upstream.left == ["hang"])
    outcome = stage.outcome()
    assert (outcome.status, outcome.measures) == ("client_closed", {"fallback": 0, "partial": 1})


def test_client_gone_in_a_stream(stage):
    """A client that leaves in the middle of a stream aborts the backend at once."""
    stage.publish(stage.plan(stable="paced:10000"))
    leave_after(stage, "paced:10000", stream=True, until=b'"3 "')
    wait_for(lambda: stage.upstream.left == ["paced:10000"])
    outcome = stage.outcome()
    assert outcome.status == "client_closed"
    assert set(outcome.measures) == {"fallback", "partial", "ttft_ms"}


def test_client_gone_after_the_canary_failed(stage):
    """A canary that failed before the client left has failed."""
    stage.publish(stage.plan(stable="hang", canary="500", percent=100))
    leave_after(stage, "hang")
    outcome = stage.outcome()
    assert (outcome.assigned, outcome.status, outcome.measures["error"]) == ("v2", "error", 1)


def test_client_gone_before_the_backend_is_connected(stage):
    """A client that leaves early leaves a connection to its backend that is used by the next request, or none."""
    stage.publish(stage.plan(stable="slow:0.05"))
    for _ in range(20):
        leave_after(stage, "slow:0.05")
    assert stage.chat().status == 200
    wait_for(lambda: stage.origin.open == len(stage.origin._idle))
