"""``vedette serve``, as a user runs it: in a process of its own."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from vedette.client.client import Client
from vedette.control.plane import open_plane
from vedette.rollouts.machine import Phase

PATIENCE = 60.0


class Server:
    """A running ``vedette serve``."""

    def __init__(self, process: "subprocess.Popen[str]", ready: Path) -> None:
        self.process = process
        self.ready_file = ready
        said = json.loads(ready.read_text())
        self.pid, self.api, self.gateway = said["pid"], said["api"], said["gateway"]

    def end(self, number: int = signal.SIGTERM) -> tuple[int, str, str]:
        """Send a signal and give exit code, standard output and standard error."""
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, out, err


def start(folder: Path, *options: str) -> "subprocess.Popen[str]":
    """Start the command; what it prints is piped."""
    command = [sys.executable, "-m", "vedette", "serve", "--data", str(folder), *options]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@contextmanager
def serving(folder: Path, *options: str) -> Iterator[Server]:
    """Run ``vedette serve`` on a folder until the block ends."""
    ready = folder.parent / f"ready-{time.monotonic_ns()}.json"
    process = start(
        folder, "--port", "0", "--gateway-port", "0", "--interval", "100ms", "--ready-file", str(ready), *options
    )
    try:
        deadline = time.monotonic() + PATIENCE
        while not ready.exists():
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        yield Server(process, ready)
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


@contextmanager
def model(delay: float = 0.0, arrived: threading.Event | None = None) -> Iterator[str]:
    """An OpenAI-compatible model that says when a request arrived and answers after a while; gives its base URL."""

    class Answer(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            if arrived:
                arrived.set()
            time.sleep(delay)
            message = {"role": "assistant", "content": "yes"}
            body = json.dumps({"id": "1", "object": "chat.completion", "choices": [{"index": 0, "message": message}]})
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def ask(gateway: str) -> httpx.Response:
    """Ask the domain ``payments`` once."""
    body = {"model": "payments", "messages": [{"role": "user", "content": "?"}]}
    return httpx.post(f"{gateway}/v1/chat/completions", json=body, timeout=PATIENCE)


def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition that another process makes true."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_it_serves_both_and_takes_a_version_live_while_commands_work_on_the_folder(here):
    """Both sides answer, a rollout climbs on real requests, commands work beside it, and SIGTERM ends it with 0."""
    with serving(here.folder) as server, model() as url:
        here.run("domain", "create", "payments")
        for version in ("v1", "v2"):
            here.run("version", "register", "payments", version, "--url", url)
        here.run("version", "install", "payments", "v1")
        until(lambda: ask(server.gateway).status_code == 200)
        here.where = ("--server", server.api)
        here.run("rollout", "start", "payments", "v2", "--steps", "50%:0s,100%:0s")
        with Client(server.api) as client:

            def promoted() -> bool:
                ask(server.gateway)
                return client.canary.get("payments").status.phase is Phase.PROMOTED

            until(promoted)
        here.run("rollout", "watch", "payments", "--exit-status", "--timeout", "5s")
        assert here.json("doctor")[0]["result"] == "ok"
        code, out, err = server.end()
    assert (code, server.ready_file.exists()) == (0, False)
    assert server.api in out
    assert f"{server.gateway}/v1" in out
    assert "Traceback" not in err


def test_stopping_finishes_what_is_in_flight_and_ships_every_outcome(here):
    """A request in flight at SIGTERM is answered, its outcome is in the lake, and the gateway is forgotten."""
    arrived = threading.Event()
    with serving(here.folder) as server, model(delay=1.0, arrived=arrived) as url:
        here.run("domain", "create", "payments")
        here.run("version", "register", "payments", "v1", "--url", url)
        here.run("version", "install", "payments", "v1")
        until(lambda: ask(server.gateway).status_code == 200)
        arrived.clear()
        answers = []
        asking = threading.Thread(target=lambda: answers.append(ask(server.gateway)))
        asking.start()
        assert arrived.wait(PATIENCE)
        code, _, err = server.end()
        asking.join()
    assert code == 0, err
    assert answers[0].status_code == 200
    with open_plane(here.folder) as plane:
        assert plane.lake.outcome(answers[0].headers["x-vedette-request-id"]).served == "v1"
        with plane.store.reading() as connection:
            assert not connection.exec_driver_sql("SELECT count(*) FROM routers").scalar_one()


def test_an_interrupt_ends_it_as_well_and_it_starts_again(here):
    """Ctrl-C ends it with 0; a second start on the same folder serves the same data; --no-gateway has no gateway.

    Where callers reach it is unknown then, which is said, with what to set.
    """
    with serving(here.folder, "--no-gateway") as server:
        assert server.gateway is None
        here.run("domain", "create", "legal")
        code, _, err = server.end(signal.SIGINT)
        assert code == 0, err
        assert err.count("--gateway-at or VEDETTE_GATEWAY_AT") == 1
    with serving(here.folder, "--no-gateway") as server, Client(server.api) as client:
        assert client.domains.get("legal").id == "legal"


@pytest.mark.parametrize("setting", ["--gateway-at", "VEDETTE_GATEWAY_AT"])
def test_spans_of_calls_to_its_gateway_are_no_outcomes(here, setting, monkeypatch):
    """Its own address is known by itself, others by flag or environment; what another server answered counts."""
    if setting == "VEDETTE_GATEWAY_AT":
        monkeypatch.setenv(setting, "gateway:8701, https://models.example/v1,")
    options = ("--gateway-at", "https://models.example/v1") if setting == "--gateway-at" else ()

    def told(number: int, server: str) -> dict[str, Any]:
        url = httpx.URL(server)
        said = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "payments", "server.address": url.host}
        pairs: list[dict[str, Any]] = [{"key": name, "value": {"stringValue": text}} for name, text in said.items()]
        if url.port:
            pairs.append({"key": "server.port", "value": {"intValue": str(url.port)}})
        ids = {"traceId": "a" * 32, "spanId": f"{number:016x}"}
        return ids | {"endTimeUnixNano": str(time.time_ns()), "attributes": pairs}

    with serving(here.folder, *options) as server:
        here.run("domain", "create", "payments")
        local = server.gateway.replace("127.0.0.1", "localhost")
        called = [server.gateway, local, "https://models.example", "https://api.example", "http://127.0.0.1:9"]
        spans = [told(number, url) for number, url in enumerate(called, 1)]
        body = {"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}
        assert httpx.post(f"{server.api}/v1/traces", json=body).json() == {}
        found = httpx.get(f"{server.api}/api/v1/domains/payments/outcomes").json()["items"]
        assert "VEDETTE_GATEWAY_AT" not in server.end()[2]
    assert sorted(it["id"][-1] for it in found) == ["4", "5"]


@pytest.mark.parametrize("option", ["--port", "--gateway-port"])
def test_a_port_in_use_is_said(here, option):
    """A port that is taken ends it with 7 and names the option, whichever of the two it is; nothing keeps running."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ports = {"--port": "0", "--gateway-port": "0"} | {option: str(taken.getsockname()[1])}
        process = start(here.folder, *(word for pair in ports.items() for word in pair))
        out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 7, err
    assert f"choose another one with {option}" in err
    assert err.count("\n") == 1
    assert out == ""


def test_a_wrong_interval_address_or_database_is_refused(here):
    """Input that is wrong ends it before anything listens."""
    here.run("serve", "--interval", "soon", code=2)
    here.run("serve", "--gateway-at", "not there", code=2)
    here.where = ("--data", "mysql://x")
    here.run("serve", "--port", "0", code=2)


def test_limits_of_the_gateway_are_read_from_a_file_again_on_sighup(here):
    """Settings in a file hold; SIGHUP brings other ones into force, and a file with a mistake changes nothing."""
    file = here.folder.parent / "settings.yaml"
    file.write_text("gateway: {requestLimit: 2kB}\n")

    def refused(server: Server) -> str:
        answer = httpx.post(f"{server.gateway}/v1/chat/completions", content=b"x" * 5000, timeout=PATIENCE)
        return str(answer.json()["error"]["message"])

    with serving(here.folder, "--settings", str(file)) as server:
        assert "2000 bytes" in refused(server)
        file.write_text("gateway: {requestLimit: 3kB}\n")
        server.process.send_signal(signal.SIGHUP)
        until(lambda: "3000 bytes" in refused(server))
        file.write_text("gateway:\n  requestLimit: 4kB\n  requestLmit: 4kB\n")
        server.process.send_signal(signal.SIGHUP)
        assert server.process.stderr is not None
        said = next(line for line in server.process.stderr if "the settings stay as they are" in line)
        assert "settings.yaml:3:3: gateway.requestLmit: unknown field" in said
        assert "3000 bytes" in refused(server)
        assert server.end()[0] == 0


TOLD_ANOTHER_THREAD = """
import signal, threading
from vedette.cli.running import Ends

ends, waits = Ends(), threading.Event()

def send():
    waits.wait(0.2)  # for the main thread to fall asleep
    signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
    threading.Event().wait()

with ends.on_signals():
    threading.Thread(target=send, daemon=True).start()
    ends.wait()
"""


def test_a_signal_that_another_thread_gets_is_heard(tmp_path):
    """A signal to end is heard by whichever thread the system tells, as it picks another one when two come at once."""
    done = subprocess.run([sys.executable, "-c", TOLD_ANOTHER_THREAD], cwd=tmp_path, timeout=PATIENCE, check=False)
    assert done.returncode == 0


def test_a_file_of_settings_with_a_mistake_starts_nothing(here, monkeypatch):
    """A server whose settings cannot be read is not started; a flag outranks the environment."""
    file = here.folder.parent / "settings.yaml"
    file.write_text("retention: {outcomes: soon}\n")
    monkeypatch.setenv("VEDETTE_SETTINGS", str(file))
    assert "settings.yaml:1:13: retention.outcomes" in here.run("gateway", "--port", "0", code=2).stderr
    missing = here.run("gateway", "--port", "0", "--settings", "nowhere.yaml", code=2)
    assert "nowhere.yaml cannot be read" in missing.stderr


def test_outcomes_are_kept_as_long_as_the_settings_say(here):
    """What is older than 30 days is dropped when the server starts, unless its settings say so; the record tells."""
    file = here.folder.parent / "settings.yaml"
    file.write_text("retention: {outcomes: 60d}\n")
    at = (datetime.now(UTC) - timedelta(days=40)).isoformat()
    (here.folder.parent / "old.csv").write_text(f"at,version,error\n{at},v1,0\n")
    here.run("domain", "create", "payments")
    here.run("outcomes", "import", str(here.folder.parent / "old.csv"), "--domain", "payments")

    def kept() -> int:
        with open_plane(here.folder) as plane:
            return len(plane.lake.outcomes("payments").items)

    with serving(here.folder, "--no-gateway", "--settings", str(file)) as server:
        assert server.end()[0] == 0  # it tidies at its start, and ends when it has
    assert kept() == 1
    assert here.run("audit", "list").stdout.count("retention.set") == 1
    with serving(here.folder, "--no-gateway") as server:
        assert server.end()[0] == 0
    assert kept() == 0
    assert here.run("audit", "list").stdout.count("retention.set") == 2


def test_the_folder_is_free_after_a_kill(here):
    """After kill -9 the next start comes up and serves at once."""
    with serving(here.folder) as server:
        os.kill(server.pid, signal.SIGKILL)
        server.process.wait(PATIENCE)
    with serving(here.folder) as server:
        assert httpx.get(f"{server.api}/livez").status_code == 200
        assert server.end()[0] == 0
