"""Streams: judged at their end, passed on byte for byte, never spliced, bounded."""

import json
import socket
import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.gateway.stage import wait_for

from vedette.gateway.sse import EventStream, Usage
from vedette.kernel.errors import InvalidInput

DONE = b"data: [DONE]\n\n"
STREAM = (
    b": warm\n\n"
    b'data: {"choices":[{"delta":{"content":"an \\"error\\" and usage"}}],"usage":null}\n\n'
    b'data: {"choices":[{"delta":{}}]}\r\n\r\n'
    b'id: 4\nevent: message\ndata: {"choices":[],\ndata: "usage":{"prompt_tokens":3,"completion_tokens":9}}\n\n'
    b"data: [DONE]\n\n"
)


@pytest.fixture
def stage(stage_on_each_loop):
    """Each event loop has its own transports, so both are tried here."""
    return stage_on_each_loop


@given(cuts=st.lists(st.integers(0, len(STREAM))), keep=st.booleans())
def test_events_are_the_same_however_they_are_cut(cuts, keep):
    """Any cutting into reads gives the same bytes and the same findings; an unasked usage is the only thing missing."""
    events = EventStream(keep_usage=keep, limit=10_000)
    bounds = [0, *sorted(cuts), len(STREAM)]
    passed = b"".join(events.feed(STREAM[a:b]) for a, b in pairwise(bounds))
    usage_event = STREAM[STREAM.index(b"id: 4") : STREAM.index(DONE)]
    assert passed.replace(b"\r", b"") == (STREAM if keep else STREAM.replace(usage_event, b"")).replace(b"\r", b"")
    assert events.usage == Usage(prompt_tokens=3, completion_tokens=9)
    assert events.finished
    assert events.error is None


def test_event_without_its_blank_line_counts_at_the_end():
    """A last event that lacks only its blank line is whole when the stream ends."""
    events = EventStream(keep_usage=False, limit=100)
    assert events.feed(b"data: [DONE]") == b""
    assert not events.finished
    assert events.flush() == b"data: [DONE]\n\n"
    assert events.finished


def test_event_without_end_is_refused():
    """An event larger than the limit raises instead of filling the memory."""
    events = EventStream(keep_usage=False, limit=100)
    events.feed(b"data: " + b"x" * 90)
    with pytest.raises(InvalidInput, match="larger than 100"):
        events.feed(b"xxxxx")


def test_sse_accounting_asks_for_usage_and_strips_it_again(stage):
    """The backend is asked for its usage; a client that has not asked sees every event but that one."""
    stage.publish(stage.plan())
    answer = stage.chat(stream=True, stream_options={"include_obfuscation": False})
    assert stage.upstream.asked[0].json["stream_options"] == {"include_obfuscation": False, "include_usage": True}
    assert b"prompt_tokens" not in answer.body
    assert answer.body.endswith(DONE)
    outcome = stage.outcome()
    assert (outcome.measures["tokens_in"], outcome.measures["tokens_out"], outcome.status) == (11, 5, "ok")
    assert 0 < outcome.measures["ttft_ms"] <= outcome.measures["latency_ms"]


def test_sse_accounting_error_event_inside_200_is_a_failure(stage):
    """An error event in a stream that has begun reaches the client, ends the stream, and counts."""
    stage.publish(stage.plan(stable="error-middle"))
    answer = stage.chat(stream=True)
    assert answer.status == 200
    assert b"lost a worker" in answer.body.split(b"\n\n")[-2]
    assert (stage.outcome().status, stage.outcome().measures["error"]) == ("error", 1)


@pytest.mark.parametrize("model", ["no-done", "cut"])
def test_sse_accounting_end_without_done_is_truncated(stage, model):
    """A stream that ends before its time ends with an error event for the client, and counts as an error."""
    stage.publish(stage.plan(stable=model))
    answer = stage.chat(stream=True)
    *events, last = answer.body.strip().split(b"\n\n")
    assert json.loads(last.removeprefix(b"data: "))["error"]["code"] == "stream_failed"
    assert all(json.loads(event.removeprefix(b"data: "))["model"] == model for event in events)
    assert (stage.outcome().status, stage.outcome().measures["error"]) == ("error", 1)


def test_fallback_never_splices_two_models(stage):
    """A canary's stream that breaks after its first byte is not continued by stable."""
    stage.publish(stage.plan(canary="cut", percent=100))
    answer = stage.chat(stream=True)
    assert b'"ok"' not in answer.body
    assert b"stream_failed" in answer.body
    outcome = stage.outcome()
    assert (outcome.assigned, outcome.served, outcome.measures["fallback"]) == ("v2", "v2", 0)
    assert stage.upstream.count("ok") == 0


def test_fallback_while_nothing_has_been_sent(stage):
    """A canary whose stream begins with an error is replaced by stable, and nobody sees it but the record."""
    stage.publish(stage.plan(canary="error-first", percent=100))
    answer = stage.chat(stream=True)
    assert b"no memory" not in answer.body
    assert answer.body.endswith(DONE)
    assert answer.headers["x-vedette-version"] == "v1"
    outcome = stage.outcome()
    assert (outcome.status, outcome.measures["error"], outcome.measures["fallback"]) == ("ok", 1, 1)


def test_error_event_first_without_fallback_is_502(stage):
    """Stable's stream that begins with an error becomes an error status: nothing was sent that would forbid it."""
    stage.publish(stage.plan(stable="error-first"))
    answer = stage.chat(stream=True)
    assert answer.status == 502
    assert "no memory" in answer.json["error"]["message"]


@pytest.mark.parametrize("model", ["crumbs", "crlf", "big-event"])
def test_streams_pass_as_they_are(stage, model):
    """Events cut into single bytes, with other ends of line, or large, arrive whole and unchanged."""
    stage.publish(stage.plan(stable=model))
    answer = stage.chat(stream=True)
    events = answer.body.replace(b"\r", b"").split(b"\n\n")
    assert [json.loads(event[6:])["model"] for event in events[:5]] == [model] * 5
    assert stage.outcome().measures["tokens_out"] == 5


def test_event_limit_ends_the_stream(make_stage):
    """An event beyond the limit ends the stream with an error event."""
    stage = make_stage(event_limit=100_000)
    stage.publish(stage.plan(stable="big-event"))
    assert stage.chat(stream=True).status == 502
    assert stage.outcome().measures["error"] == 1


def test_deadline_idle_between_chunks(make_stage):
    """A stream that falls silent is ended with an error event after the idle timeout."""
    stage = make_stage(idle_timeout=0.1)
    stage.publish(stage.plan(stable="stall"))
    answer = stage.chat(stream=True)
    assert b"did not answer in time" in answer.body
    assert stage.outcome().measures["error"] == 1
    wait_for(lambda: stage.upstream.left == ["stall"])


def test_deadline_total_of_a_stream(make_stage):
    """A stream that goes on for too long is ended, however lively it is."""
    stage = make_stage(stream_timeout=0.2)
    stage.publish(stage.plan(stable="paced:10000"))
    assert b"did not answer in time" in stage.chat(stream=True).body


def test_stream_is_passed_on_as_it_comes(stage):
    """Events reach the client one by one, not at the end."""
    stage.publish(stage.plan(stable="paced:40"))
    with socket.create_connection(("127.0.0.1", stage.port)) as sock:
        send_stream(sock)
        seen = sock.recv(65536)
        while b"data:" not in seen:
            seen += sock.recv(65536)
        assert b'"39 "' not in seen
        wait_for(lambda: stage.sink.outcomes)


def send_stream(sock: socket.socket) -> None:
    """Ask for a stream."""
    body = b'{"model": "payments", "stream": true, "messages": []}'
    sock.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))


def test_backpressure_reaches_the_backend(stage):
    """A client that does not read makes the backend wait: the gateway holds no more than its buffer and one read."""
    stage.publish(stage.plan(stable="flood:800"))
    with socket.create_connection(("127.0.0.1", stage.port)) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        send_stream(sock)
        sock.recv(1000)
        sent = -1
        while sent != stage.upstream.sent:
            sent = stage.upstream.sent
            time.sleep(0.3)
        (connection,) = stage.gateway.app.connections
        held = connection._transport.get_write_buffer_size()
        # One read brings up to 256 KiB and may complete an event of 64 KiB begun in the one before.
        assert held <= 2 * (256 << 10) + 70_000
        assert sent < 30_000_000, "the rest of the 52 MB waits in the backend"
        assert stage.upstream.left == []
        received = 0
        sock.settimeout(10)
        while chunk := sock.recv(1 << 20):
            received += len(chunk)
            if chunk.endswith(b"0\r\n\r\n"):
                break
    assert received > 52_000_000
    assert stage.outcome().status == "ok"


def test_client_that_reads_slowly_is_not_given_up(make_stage):
    """A slow client gets all of its stream, as long as it reads on."""
    stage = make_stage(client_timeout=0.5, buffer_limit=1 << 20)
    stage.publish(stage.plan(stable="flood:150"))
    with socket.create_connection(("127.0.0.1", stage.port)) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        send_stream(sock)
        seen, slowly = b"", time.monotonic() + 2.5
        while not seen.endswith(b"0\r\n\r\n"):
            read = sock.recv(20_000)
            assert read, "given up"
            seen = seen[-5:] + read
            time.sleep(0.02 if time.monotonic() < slowly else 0)
    assert stage.outcome().status == "ok"


def test_client_that_stops_reading_is_given_up(make_stage):
    """A client that reads nothing for too long is cut off, and its backend freed."""
    stage = make_stage(client_timeout=0.3)
    stage.publish(stage.plan(stable="flood:800"))
    with socket.create_connection(("127.0.0.1", stage.port)) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        send_stream(sock)
        assert stage.outcome().status == "client_closed"
    wait_for(lambda: stage.origin.open == 0)
