"""HTTP/1.1 where it is dangerous: smuggling, limits, order, slowness."""

import re
import socket
import time

import pytest
from tests.gateway.stage import Stage, wait_for

POST = b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\n"
LIVE = b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.fixture
def stage(stage_on_each_loop):
    """Each event loop has its own transports, so both are tried here."""
    return stage_on_each_loop


def talk(stage: Stage, data: bytes, answers: int = 1) -> bytes:
    """Send bytes, read that many answers; or all of them, if the gateway closes the connection."""
    with socket.create_connection(("127.0.0.1", stage.port)) as sock:
        sock.sendall(data)
        return read_answers(sock, answers)


def read_answers(sock: socket.socket, answers: int = 1) -> bytes:
    """Read until that many answers with a length are whole, or the other side closes."""
    sock.settimeout(10)
    read = b""
    while chunk := sock.recv(65536):
        read += chunk
        whole, rest = 0, read
        while match := LENGTH.search(rest):
            whole += len(rest) >= match.end() + int(match[1])
            rest = rest[match.end() + int(match[1]) :]
        if whole >= answers:
            break
    return read


def chat_request(user: str, model: str = "payments") -> bytes:
    """Write a chat request."""
    body = b'{"model": "%b", "user": "%b", "messages": []}' % (model.encode(), user.encode())
    return POST + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)


LENGTH = re.compile(rb"content-length: (\d+)\r\n(?:[^\r]+\r\n)*\r\n")
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", id="length, chunks"),
        pytest.param(POST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", id="chunks, length"),
        pytest.param(POST + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nabcde", id="length twice"),
        pytest.param(POST + b"Content-Length: 5, 5\r\n\r\nabcde", id="length list"),
        pytest.param(POST + b"Content-Length: +5\r\n\r\nabcde", id="signed length"),
        pytest.param(POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", id="unknown coding"),
        pytest.param(POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", id="space before colon"),
        pytest.param(POST + b"Transfer-Encoding: chunked\r\n\r\n5\nabcde\r\n0\r\n\r\n", id="bare line feed in chunk"),
        pytest.param(b"POST / HTTP/1.1\nHost: a\n\n", id="bare line feed"),
        pytest.param(POST + b"X-A: b\r\n folded\r\n\r\n", id="folded header"),
        pytest.param(POST + b"Host: b\r\n\r\n", id="two hosts"),
        pytest.param(b"GET /livez HTTP/1.1\r\n\r\n", id="no host"),
        pytest.param(b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", id="chunks in 1.0"),
        pytest.param(b"GARBAGE\r\n\r\n", id="garbage"),
    ],
)
def test_ambiguous_requests_are_rejected_and_the_connection_closed(stage, head):
    """A request whose end is open to doubt is answered 400, and nothing after it is taken for a request."""
    stage.publish(stage.plan())
    answer = talk(stage, head + SMUGGLED)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.1") == 1
    assert stage.upstream.asked == []


def test_http2_is_505(stage):
    """A version of HTTP the gateway does not speak is refused by name."""
    stage.start()
    assert talk(stage, b"GET /livez HTTP/2.0\r\nHost: a\r\n\r\n").startswith(b"HTTP/1.1 505 ")


@pytest.mark.parametrize(
    "head",
    [
        b"GET /livez HTTP/1.1\r\nHost: a\r\n"
        + b"".join(b"X-%d: %b\r\n" % (n, b"a" * 100) for n in range(50))
        + b"\r\n",
        b"GET /livez HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 900_000,
        b"GET /" + b"a" * 5_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
    ],
    ids=["many headers", "one without end", "long path"],
)
def test_oversized_headers_are_431(make_stage, head):
    """Headers larger than the limit are refused, also before they end."""
    stage = make_stage(header_limit=4096).start()
    assert talk(stage, head).startswith(b"HTTP/1.1 431 ")


def test_body_limit_is_413(make_stage):
    """A body larger than the limit is refused, by its stated length at once, in chunks when it gets there."""
    stage = make_stage(request_limit=1000)
    stage.publish(stage.plan())
    stated = talk(stage, POST + b"Content-Length: 1001\r\n\r\n")
    chunk = b"%x\r\n%b\r\n" % (600, b"a" * 600)
    chunked = talk(stage, POST + b"Transfer-Encoding: chunked\r\n\r\n" + chunk * 3)
    assert stated.startswith(b"HTTP/1.1 413 ")
    assert chunked.startswith(b"HTTP/1.1 413 ")
    assert stage.upstream.asked == []


def test_large_body_within_the_limit_passes(stage):
    """A body of megabytes, far larger than a header may be, is no header."""
    stage.publish(stage.plan())
    messages = [{"role": "user", "content": "x" * 3_000_000}]
    assert stage.ask({"model": "payments", "messages": messages}).status == 200
    assert len(stage.upstream.asked[0].body) > 3_000_000


def test_chunked_request_passes(stage):
    """A request in chunks is one request."""
    stage.publish(stage.plan())
    body = b'{"model": "payments", "messages": []}'
    chunks = b"".join(b"1\r\n%b\r\n" % body[i : i + 1] for i in range(len(body)))
    answer = talk(stage, POST + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\nX-Trailer: 1\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200 ")


def test_pipelining_is_answered_in_order(stage):
    """Requests sent ahead are answered in their order, the slow before the quick, and the last may be malformed."""
    stage.publish(stage.plan())
    stage.publish(stage.plan(domain="slow", stable="slow:0.1"))
    batch = b"".join(chat_request("u", model) + LIVE for model in ("slow", "payments", "nobody") * 8)
    answer = talk(stage, batch + b"BAD\r\n\r\n", 49)
    statuses = [int(part[:3]) for part in answer.split(b"HTTP/1.1 ")[1:]]
    assert statuses == [200, 200, 200, 200, 404, 200] * 8 + [400]


def test_pipelining_is_bounded(make_stage):
    """A client that sends without end while an answer is awaited is made to wait."""
    stage = make_stage(pipeline_limit=4)
    stage.publish(stage.plan(stable="hang"))
    with socket.create_connection(("127.0.0.1", stage.port)) as sock:
        sock.sendall(chat_request("u"))
        sock.settimeout(0.5)
        with pytest.raises(TimeoutError):
            sock.sendall(LIVE * 2_000_000)
        (connection,) = stage.gateway.app.connections
        # One read of at most 256 KiB may be queued beyond the limit.
        assert len(connection._queue) < 4 + (256 << 10) / len(LIVE) + 1


def test_pipelined_bodies_are_bounded(make_stage):
    """Bodies sent ahead are held up to the buffer's limit and no further."""
    stage = make_stage(buffer_limit=300_000)
    stage.publish(stage.plan(stable="hang"))
    body = b'{"model": "payments", "messages": "%b"}' % (b"x" * 200_000)
    with socket.create_connection(("127.0.0.1", stage.port)) as sock:
        sock.settimeout(0.5)
        with pytest.raises(TimeoutError):
            sock.sendall((POST + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)) * 200)
        (connection,) = stage.gateway.app.connections
        held = sum(len(request.body) for request in connection._queue) + connection._size
        assert held < 300_000 + (256 << 10)  # one read of at most 256 KiB may go beyond the limit


def test_a_body_under_way_counts_as_held(make_stage):
    """What has arrived of a body counts like those that wait, and once there is room the rest of it is read."""
    stage = make_stage(buffer_limit=300_000)
    stage.publish(stage.plan(stable="slow:0.7"))
    body = b'{"model": "payments", "messages": [{"role": "user", "content": "%b"}]}' % (b"x" * 200_000)
    request = POST + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
    with socket.create_connection(("127.0.0.1", stage.port)) as sock:
        sock.sendall(request * 2 + request[:150_000])
        wait_for(lambda: [connection._reading for connection in stage.gateway.app.connections] == [False])
        sock.sendall(request[150_000:])
        assert read_answers(sock, 3).count(b"200 OK") == 3


def test_connection_is_kept_or_closed_as_asked(stage):
    """HTTP/1.1 keeps the connection unless told not to; HTTP/1.0 closes it unless asked to keep it."""
    stage.start()
    assert talk(stage, LIVE * 3, 3).count(b"200 OK") == 3
    closing = b"GET /livez HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    assert b"connection: close" in talk(stage, closing)
    assert b"connection: close" in talk(stage, b"GET /livez HTTP/1.0\r\n\r\n")
    kept = talk(stage, b"GET /livez HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" * 2, 2)
    assert kept.count(b"connection: keep-alive") == 2


def test_head_has_no_body(stage):
    """HEAD gets what GET would, without the body, and the next answer begins where it should."""
    stage.start()
    with socket.create_connection(("127.0.0.1", stage.port)) as sock:
        sock.sendall(LIVE.replace(b"GET", b"HEAD") + b"BAD\r\n\r\n")
        first, second, *_ = read_answers(sock, 3).split(b"\r\n\r\n")
    assert first.startswith(b"HTTP/1.1 200 ")
    assert second.startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("asks", [b"", b"Connection: keep-alive\r\n"])
def test_old_clients_get_streams_without_chunks(stage, asks):
    """An HTTP/1.0 client gets a stream that ends with its connection, and is told so."""
    stage.publish(stage.plan())
    body = b'{"model": "payments", "stream": true, "messages": []}'
    head = b"POST /v1/chat/completions HTTP/1.0\r\n%bContent-Length: %d\r\n\r\n" % (asks, len(body))
    answer = talk(stage, head + body)
    assert b"transfer-encoding" not in answer
    assert b"connection: close" in answer
    assert answer.endswith(b"data: [DONE]\n\n")


def test_expect_continue(stage):
    """A client that waits for leave to send its body gets it."""
    stage.publish(stage.plan())
    request = chat_request("u")
    head, body = request.split(b"\r\n\r\n")
    with socket.create_connection(("127.0.0.1", stage.port)) as sock:
        sock.sendall(head + b"\r\nExpect: 100-continue\r\n\r\n")
        assert sock.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(body)
        assert read_answers(sock).startswith(b"HTTP/1.1 200 ")


def test_offer_to_upgrade_is_passed_over(stage):
    """A client that offers HTTP/2 is answered in HTTP/1.1, and so is its next request."""
    stage.start()
    offer = b"GET /livez HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
    assert talk(stage, offer + LIVE, 2).count(b"200 OK") == 2


@pytest.mark.parametrize("chunked", [False, True])
def test_http_safety_offer_to_upgrade_hides_no_request(stage, chunked):
    """The body behind an offer to upgrade is a body, never the next request, however much it looks like one."""
    stage.publish(stage.plan())
    offer = POST + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"
    framing, end = b"Content-Length: %d\r\n\r\n", b""
    if chunked:
        framing, end = b"Transfer-Encoding: chunked\r\n\r\n%x\r\n", b"\r\n0\r\n\r\n"
    for body in (SMUGGLED, b'{"model": "payments", "messages": []}'):
        answer = talk(stage, offer + framing % len(body) + body + end + LIVE, 2)
        assert b"smuggled" not in answer
        assert answer.endswith(b'{"status":"live"}')
    assert [asked.json["messages"] for asked in stage.upstream.asked] == [[]]


def test_request_that_never_arrives_is_408(make_stage):
    """A client that sends its request drop by drop is turned away in time; one that only idles is closed."""
    stage = make_stage(client_timeout=0.2, keep_alive=0.2).start()
    assert talk_slowly(stage, LIVE[:20]).startswith(b"HTTP/1.1 408 ")
    assert talk_slowly(stage, LIVE).endswith(b'{"status":"live"}')


def talk_slowly(stage: Stage, data: bytes) -> bytes:
    """Send bytes and read until the gateway, by itself, closes the connection."""
    with socket.create_connection(("127.0.0.1", stage.port)) as sock:
        sock.sendall(data)
        sock.settimeout(10)
        answer = b""
        while chunk := sock.recv(65536):
            answer += chunk
        return answer


def test_backend_connections_are_kept_and_closed_when_idle(make_stage):
    """Backend connections are used again, and closed once idle for too long."""
    stage = make_stage(upstream_keep_alive=0.1)
    stage.publish(stage.plan())
    for _ in range(5):
        stage.chat()
    assert stage.upstream.connections == 1
    wait_for(lambda: stage.origin.open == 0)


def test_backend_connections_are_bounded(make_stage):
    """With every connection in use, requests wait for one, and each is answered."""
    stage = make_stage(upstream_connections=2)
    stage.publish(stage.plan(stable="slow:0.05"))
    socks = [socket.create_connection(("127.0.0.1", stage.port)) for _ in range(7)]
    for number, sock in enumerate(socks):
        sock.sendall(chat_request(f"u{number}"))
    assert all(read_answers(sock).startswith(b"HTTP/1.1 200 ") for sock in socks)
    for sock in socks:
        sock.close()
    assert stage.upstream.connections == 2


def test_reading_goes_on_after_a_break(stage):
    """Requests cut into single bytes are the same requests."""
    stage.publish(stage.plan())
    with socket.create_connection(("127.0.0.1", stage.port)) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in chat_request("u") + LIVE:
            sock.sendall(bytes([byte]))
            time.sleep(0.0002)
        assert read_answers(sock, 2).count(b"200 OK") == 2
