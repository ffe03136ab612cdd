"""A rollout under a real Prometheus that scrapes a real exporter, where this machine has one.

``VEDETTE_TEST_PROMETHEUS`` names the program, unless it is on the path. CI does not fetch it: that takes longer than
the tests do, and all of what it speaks is scripted in ``test_readings``.
"""

import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from tests.control.world import Clock, World

from vedette.rollouts.machine import Phase

PROGRAM = os.environ.get("VEDETTE_TEST_PROMETHEUS") or shutil.which("prometheus")
SETTINGS = """
global: {{scrape_interval: 100ms, scrape_timeout: 100ms}}
scrape_configs: [{{job_name: mesh, static_configs: [{{targets: ["localhost:{port}"]}}]}}]
"""
COUNTER = 'mesh_requests_total{service="$domain",version="$version"}'
FAILED = 'mesh_requests_total{service="$domain",version="$version",code=~"5.."}'

pytestmark = pytest.mark.skipif(
    not PROGRAM, reason="there is no prometheus here; NO REAL PROMETHEUS WAS ASKED. VEDETTE_TEST_PROMETHEUS names one"
)


class Exporter:
    """Counters of two versions, as a mesh exports them, and a sign whenever they were scraped."""

    def __init__(self) -> None:
        self.counted: dict[tuple[str, str], int] = {}
        self.scraped = threading.Event()

    def count(self, version: str, *, good: int, bad: int) -> None:
        """Count some requests; a series is there with its first event."""
        for code, events in (("200", good), ("503", bad)):
            if events:
                self.counted[version, code] = self.counted.get((version, code), 0) + events

    def text(self) -> bytes:
        """Give what is scraped."""
        lines = [
            f'mesh_requests_total{{service="pay",version="{version}",code="{code}"}} {value}\n'
            for (version, code), value in list(self.counted.items())
        ]
        return "".join(["# TYPE mesh_requests_total counter\n", *lines]).encode()


@contextmanager
def exporting() -> Iterator[tuple[Exporter, int]]:
    """Export for as long as the block lasts; give the port."""
    exporter = Exporter()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = exporter.text()
            self.send_response(200)
            self.send_header("content-type", "text/plain; version=0.0.4")
            self.end_headers()
            self.wfile.write(body)
            exporter.scraped.set()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("localhost", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield exporter, server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def prometheus(folder: Path, port: int) -> Iterator[str]:
    """Run a Prometheus that scrapes this port; give its address."""
    (folder / "prometheus.yml").write_text(SETTINGS.format(port=port))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    with (folder / "log").open("w") as log:
        arguments = (f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data")
        process = subprocess.Popen(
            [str(PROGRAM), *arguments, f"--web.listen-address={address}"], stdout=log, stderr=log, cwd=folder
        )
    try:
        for _ in range(600):
            try:
                if httpx.get(f"http://{address}/-/ready").is_success:
                    break
            except httpx.TransportError:
                assert process.poll() is None, (folder / "log").read_text()
            time.sleep(0.05)
        yield f"http://{address}"
    finally:
        process.terminate()
        process.wait()


class Hurried(Clock):
    """The calendar as it is, and a monotonic clock twenty times as fast, so that a bake of 20 s takes one."""

    def now(self) -> datetime:
        """Give the calendar time."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Give hurried seconds."""
        return 20 * time.monotonic()


@pytest.mark.parametrize(("canary", "phase"), [(0.3, Phase.ABORTED), (0.05, Phase.PROMOTED)])
def test_rollout_is_judged_by_what_a_real_prometheus_scraped(sqlite_url, tmp_path, monkeypatch, canary, phase):
    """A canary that fails more often behind the mesh is taken back, and one that fails as often is promoted."""
    monkeypatch.setattr("tests.control.world.Clock", Hurried)
    world = World(sqlite_url)
    with exporting() as (exporter, port), prometheus(tmp_path, port) as url:
        source = {"prometheus": url, "bad": FAILED, "total": COUNTER, "settle": "300ms", "stale": "5s"}
        world.domain(metrics=[{"name": "mesh-errors", "kind": "rate", "source": source}])
        steps = [{"weight": 20, "bake": 20}, {"weight": 50, "bake": 20}, {"weight": 100, "bake": 20}]
        world.deploy(guardrails=[{"metric": "errors"}, {"metric": "mesh-errors"}], steps=steps)
        for _ in range(300):
            if world.status().phase in {Phase.ABORTED, Phase.PROMOTED}:
                break
            world.plane.reconciler.tick()
            world.serve(n=20)
            exposed = round(200 * world.plane.traffic.plan("pay").weight / 1e6)
            for version, requests, share in (("v1", 200 - exposed, 0.05), ("v2", exposed, canary)):
                exporter.count(version, good=requests - round(requests * share), bad=round(requests * share))
            exporter.scraped.clear()
            assert exporter.scraped.wait(30)
        told = world.plane.canary.explain("pay")
        assert world.status().phase is phase, told
        assert told.rederived is True
        world.plane.reconciler.release()
    world.plane.close()
