"""How a gateway ends: gracefully, at the deadline, at once, or by kill -9 with nothing lost."""

import http.client
import json
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pytest
from tests.gateway.stage import Stage, wait_for
from tests.gateway.upstream import Json

from vedette.evidence.outcome import Outcome
from vedette.gateway.feed import PlanFile
from vedette.lake.journal import Journal

T = TypeVar("T")

PROCESS = Path(__file__).with_name("process.py")


def in_background(work: Callable[[], T]) -> Callable[[], T]:
    """Run something in a thread; its result comes with `join`."""
    results: list[T] = []
    thread = threading.Thread(target=lambda: results.append(work()))
    thread.start()

    def join() -> T:
        thread.join(20)
        return results[0]

    return join


@dataclass
class Running:
    """A gateway in its own process, and the stage whose backend it uses."""

    process: subprocess.Popen[str]
    port: int
    stage: Stage

    def resident(self) -> int:
        """Give the bytes of memory it holds."""
        fields = Path(f"/proc/{self.process.pid}/statm").read_text().split()
        return int(fields[1]) * 4096


@pytest.fixture
def running(make_stage):
    """A gateway in its own process, before the backend of its ``stage``."""
    stage = make_stage()
    others = {"slow": "slow:0.5", "hang": "hang", "flood": "flood:800"}
    plans = [stage.plan(), *(stage.plan(model, domain=name) for name, model in others.items())]
    PlanFile(stage.folder / "plans.json").save(plans)
    with subprocess.Popen([sys.executable, PROCESS, stage.folder], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        yield Running(process, int(process.stdout.readline()), stage)
        process.kill()


def post(port: int, body: Json) -> tuple[int, str | None, bytes]:
    """Send one chat request on a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("POST", "/v1/chat/completions", json.dumps({"messages": [], **body}))
    response = connection.getresponse()
    result = response.status, response.getheader("connection"), response.read()
    connection.close()
    return result


def recorded(folder: Path) -> list[Outcome]:
    """Read the outcomes a dead gateway left in its journal."""
    journal = Journal(folder, "reader")
    outcomes = [outcome for batch in journal.unshipped() for outcome in batch.outcomes]
    journal.close()
    return outcomes


def test_sigterm_finishes_what_is_in_flight(running):
    """On SIGTERM nothing new is accepted, readiness turns 503, what is in flight is answered, then the process ends."""
    with socket.create_connection(("127.0.0.1", running.port)) as probe:
        probe.sendall(b"GET /readyz HTTP/1.1\r\nHost: a\r\n\r\n")
        assert probe.recv(4096).startswith(b"HTTP/1.1 200 ")
        answer = in_background(lambda: post(running.port, {"model": "slow"}))
        wait_for(lambda: running.stage.upstream.asked)
        running.process.send_signal(signal.SIGTERM)
        wait_for(lambda: not accepts(running.port))
        probe.sendall(b"GET /readyz HTTP/1.1\r\nHost: a\r\n\r\n")
        assert b"HTTP/1.1 503 " in (draining := probe.recv(4096))
        assert b'"status":"draining"' in draining
    status, connection, _ = answer()
    assert (status, connection) == (200, "close")
    assert running.process.wait(10) == 0
    assert [outcome.status for outcome in recorded(running.stage.folder)] == ["ok"]


def accepts(port: int) -> bool:
    """Say whether anyone listens."""
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


def test_second_signal_means_now(running):
    """A second SIGTERM cuts off what is in flight, with an answer that says so and an outcome that blames nobody."""
    answer = in_background(lambda: post(running.port, {"model": "hang"}))
    wait_for(lambda: running.stage.upstream.asked)
    running.process.send_signal(signal.SIGTERM)
    wait_for(lambda: not accepts(running.port))
    running.process.send_signal(signal.SIGTERM)
    status, _, body = answer()
    assert (status, json.loads(body)["error"]["code"]) == (503, "shutting_down")
    assert running.process.wait(10) == 0
    (outcome,) = recorded(running.stage.folder)
    assert outcome.status == "error"
    assert "error" not in outcome.measures


def test_drain_timeout_ends_streams_with_an_error_event(make_stage):
    """A stream that outlives the drain timeout ends with an error event, and its outcome is shipped."""
    stage = make_stage(drain_timeout=0.3)
    stage.publish(stage.plan(stable="paced:100000"))
    answer = in_background(lambda: stage.chat(stream=True))
    wait_for(lambda: stage.gateway.app.exchanges)
    stage.stop()
    assert b"shutting down" in answer().body.split(b"\n\n")[-2]
    assert stage.outcome().status == "error"


def test_no_outcome_is_lost_by_kill_9(running):
    """After kill -9 under load, every answer a client has seen reaches the sink, once, through the next gateway."""
    seen, stop = [], threading.Event()

    def load(number):
        connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=20)
        try:
            while not stop.is_set():
                stream = number % 2 == 0
                body = json.dumps({"model": "payments", "user": f"u{number}", "messages": [], "stream": stream})
                connection.request("POST", "/v1/chat/completions", body)
                response = connection.getresponse()
                text = response.read()
                if response.status == 200 and (not stream or text.endswith(b"data: [DONE]\n\n")):
                    seen.append(response.getheader("x-vedette-request-id"))
        except (OSError, http.client.HTTPException):
            return
        finally:
            connection.close()

    threads = [threading.Thread(target=load, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    wait_for(lambda: len(seen) > 300)
    running.process.kill()
    running.process.wait()
    stop.set()
    for thread in threads:
        thread.join()
    running.stage.start()  # the next gateway in this folder ships what the dead one left
    wait_for(lambda: len(running.stage.sink.outcomes) >= len(seen))
    kept = [outcome.id for outcome in running.stage.sink.outcomes]
    assert set(seen) <= set(kept)
    assert len(kept) == len(set(kept))
    # Whoever was recorded and not seen was answered while the process died: at most one a connection.
    assert len(kept) <= len(seen) + len(threads)


def test_memory_stays_flat_before_a_slow_reader(running):
    """A stream of 52 MB to a client that does not read costs the gateway no more than its buffers."""
    post(running.port, {"model": "payments", "stream": True})
    before = running.resident()
    body = b'{"model": "flood", "stream": true, "messages": []}'
    with socket.create_connection(("127.0.0.1", running.port)) as sock:
        sock.sendall(
            b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
        )
        received, peak = 0, 0
        sock.settimeout(0.1)
        for _ in range(20):  # two seconds at a snail's pace
            received += len(sock.recv(1024))
            peak = max(peak, running.resident())
            threading.Event().wait(0.05)
        sock.settimeout(20)
        while received < 50_000_000:
            received += len(sock.recv(1 << 20))
            peak = max(peak, running.resident())
    assert peak - before < 8_000_000


def test_journal_that_fails_costs_the_outcome_not_the_answer(stage, monkeypatch, caplog):
    """On a full disk requests are still answered, and every lost outcome is counted and logged."""
    from vedette.kernel.errors import Unavailable

    stage.publish(stage.plan())

    def full(*_):
        raise Unavailable("no space left")

    monkeypatch.setattr(Journal, "append", full)
    assert stage.chat().status == 200
    assert stage.get("/readyz").json["outcomesLost"] == 1
    assert any("is lost" in message for message in caplog.messages)


def test_backend_that_counts_more_tokens_than_there_can_be_is_not_believed(stage):
    """The answer arrives and its outcome is kept, without the tokens: no number a backend writes breaks the journal."""
    stage.publish(stage.plan(stable="boasting"))
    assert stage.chat().json["usage"]["prompt_tokens"] == 10**30
    outcome = stage.outcome()
    assert outcome.status == "ok"
    assert outcome.measures["error"] == 0
    assert "tokens_in" not in outcome.measures


def test_sink_that_is_away_loses_nothing(stage):
    """Outcomes wait in the journal while the sink is away, and arrive once when it is back."""
    stage.sink.down = True
    stage.publish(stage.plan())
    ids = {stage.chat(user=f"u{number}").headers["x-vedette-request-id"] for number in range(5)}
    wait_for(lambda: stage.gateway.app.metrics.ship_failures > 1)
    stage.sink.down = False
    assert {outcome.id for outcome in stage.outcomes(5)} == ids
