"""Several workers on one socket: replaced, killed and ended under load, with no request failing and nothing lost."""

import contextlib
import http.client
import itertools
import json
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Self

import pytest
from tests.gateway.stage import Stage, wait_for

from vedette.gateway.figures import summed
from vedette.gateway.metrics import Metrics

SCRIPT = Path(__file__).with_name("workers.py")


class Workers:
    """A running supervisor, and the stage whose backend its workers use."""

    def __init__(self, stage: Stage, folder: Path, count: int, environment: dict[str, str]) -> None:
        self.stage, self.folder, self.count = stage, folder, count
        folder.mkdir(exist_ok=True)
        self.position = 0
        self.process = subprocess.Popen(
            [sys.executable, SCRIPT, folder, str(count)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
        )

    def begin(self) -> None:
        """Wait until it listens."""
        assert self.process.stdout
        self.port = int(self.process.stdout.readline())

    def publish(self, *plans) -> None:
        """Have the control plane hand out plans."""
        self.position += 1
        draft = self.folder / "feed.draft"
        draft.write_bytes(pickle.dumps((self.position, plans)))
        draft.replace(self.folder / "feed.pickle")

    def pids(self) -> list[int]:
        """Ask which processes serve."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return list(map(int, self.process.stdout.readline().split()))

    def wait_replaced(self, gone: list[int]) -> None:
        """Wait until as many serve as shall, and none of these."""

        def all_there() -> bool:
            serving = self.pids()  # asked once: a worker may be found dead, and none be there in its place, any moment
            return len(serving) == self.count and not set(gone) & set(serving)

        wait_for(all_there, 30)

    def shipped(self) -> list[tuple[str, str]]:
        """Read the ids of the outcomes that were shipped, and how they ended; a batch that came twice counts once."""
        lines = (self.folder / "shipped").read_text().splitlines() if (self.folder / "shipped").exists() else []
        batches: dict[str, list[tuple[str, str]]] = {}
        for batch, ids in itertools.groupby(lines, key=lambda line: line.split()[0]):
            batches.setdefault(batch, [(line.split()[1], line.split()[2]) for line in ids])
        return [outcome for batch in batches.values() for outcome in batch]

    def end(self) -> int:
        """End it, give the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)

    def get(self, path: str) -> bytes:
        """Read a page from whichever worker takes it."""
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)) as connection:
            connection.request("GET", path)
            return connection.getresponse().read()

    def connect(self) -> http.client.HTTPConnection:
        """Connect to whichever worker takes it."""
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)


@pytest.fixture
def start(make_stage, tmp_path):
    """Start workers in front of the backend of a stage."""
    started: list[Workers] = []

    def begin(count: int, environment: dict[str, str] | None = None, **plan) -> Workers:
        stage = started[0].stage if started else make_stage()
        workers = Workers(stage, tmp_path / "workers", count, environment or {})
        started.append(workers)
        workers.publish(stage.plan(**plan))
        workers.begin()
        return workers

    yield begin
    for workers in started:
        workers.process.kill()
        workers.process.communicate()


class Load:
    """Clients that ask as fast as they are answered, over kept connections, until they are stopped."""

    def __init__(self, workers: Workers, clients: int = 6) -> None:
        self.port = workers.port
        self.ids: list[str] = []
        self.failures: list[str] = []
        self.versions: Counter[tuple[str, str]] = Counter()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(number,)) for number in range(clients)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        wait_for(lambda: len(self.ids) + len(self.failures) > 50, 30)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def go_on(self, count: int = 100) -> None:
        """Wait for so many more answers."""
        now = len(self.ids)
        wait_for(lambda: len(self.ids) >= now + count, 30)

    def _ask(self, number: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        while not self._stop.is_set():
            stream = number % 3 == 0
            body = json.dumps({"model": "payments", "user": f"u{number}", "messages": [], "stream": stream})
            try:
                connection.request("POST", "/v1/chat/completions", body)
                response = connection.getresponse()
                text = response.read()
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(repr(error))
                connection.close()
                time.sleep(0.01)
                continue
            if response.status == 200 and (not stream or text.endswith(b"data: [DONE]\n\n")):
                self.ids.append(str(response.getheader("x-vedette-request-id")))
                self.versions[str(response.getheader("x-vedette-plan-revision")), text[:4].decode()] += 1
            else:
                self.failures.append(f"{response.status} {text[:200]!r}")
        connection.close()


@pytest.mark.parametrize("count", [1, 2])
def test_rolling_restart_under_load_fails_no_request(start, count):
    """SIGHUP replaces every worker while clients ask on: none of their requests fails, every outcome is kept."""
    workers = start(count)
    before = workers.pids()
    with Load(workers) as load:
        for _ in range(2):
            pids = workers.pids()
            workers.process.send_signal(signal.SIGHUP)
            workers.wait_replaced(pids)
            load.go_on()
    assert load.failures == []
    assert not set(before) & set(workers.pids())
    assert workers.end() == 0
    shipped = workers.shipped()
    assert sorted(request for request, _ in shipped) == sorted(load.ids)


def test_reload_of_the_plan_under_load_fails_no_request(start):
    """Plans change while clients ask on: none of their requests fails, and in the end all have the last plan."""
    workers = start(2)
    with Load(workers) as load:
        for revision in range(2, 7):
            workers.publish(workers.stage.plan(revision=revision, stable=f"ok-{revision}"))
            load.go_on(30)
        wait_for(lambda: json.loads(workers.get("/readyz"))["plans"] == {"payments": 6})
    assert load.failures == []


def test_control_plane_restarts_under_load_and_no_request_fails(start):
    """While the control plane is away requests go on, also through workers that begin then, with the last plan."""
    workers = start(2)
    feed = workers.folder / "feed.pickle"
    with Load(workers) as load:
        feed.rename(workers.folder / "away")
        pids = workers.pids()
        workers.process.send_signal(signal.SIGHUP)
        workers.wait_replaced(pids)
        load.go_on()
        workers.publish(workers.stage.plan(revision=2))
        wait_for(lambda: json.loads(workers.get("/readyz"))["plans"] == {"payments": 2})
        load.go_on()
    assert load.failures == []


def test_kill_9_of_workers_loses_no_outcome(start):
    """Workers that are killed under load are replaced, and every answer clients have seen is an outcome, once."""
    workers = start(2)
    clients = 6
    kills = 4
    with Load(workers, clients) as load:
        for _ in range(kills):
            victim = workers.pids()[0]
            os.kill(victim, signal.SIGKILL)
            workers.wait_replaced([victim])
            load.go_on()
    assert workers.end() == 0
    kept = [request for request, _ in workers.shipped()]
    assert len(kept) == len(set(kept))
    assert set(load.ids) <= set(kept)
    # Whoever was recorded and not seen was answered while the worker died: at most one a connection and kill.
    assert len(kept) - len(load.ids) <= kills * clients
    assert len(load.failures) <= kills * clients


def test_metrics_of_any_worker_are_those_of_all(start):
    """A scrape reaches one worker and tells the sum of all, which a worker that dies takes nothing away from."""
    workers = start(2)
    with Load(workers) as load:
        load.go_on()
    answered = len(load.ids)

    def counted() -> tuple[int, int]:
        lines = workers.get("/metrics").decode().splitlines()
        values = {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if line[:1] != "#"}
        total = sum(value for name, value in values.items() if name.startswith("vedette_requests_total"))
        return int(total), int(values["vedette_gateway_workers"])

    wait_for(lambda: counted() == (answered, 2))
    os.kill(workers.pids()[0], signal.SIGKILL)
    wait_for(lambda: b"vedette_gateway_worker_restarts_total 1" in workers.get("/metrics"))
    wait_for(lambda: counted() == (answered, 2))


def test_figures_add_up():
    """Every figure of several workers is added: by version and status, bucket by bucket, whoever has it."""
    one, other = Metrics(), Metrics()
    one.of("a", "v1").observe("ok", 0.3, error=False, fallback=False)
    other.of("a", "v1").observe("error", 0.3, error=True, fallback=True)
    other.of("b", "v1").observe("ok", 99.0, error=False, fallback=False)
    other.turn_away(404)
    total = summed([one, other])
    assert total.of("a", "v1").answered == {"ok": 1, "error": 1}
    assert total.of("a", "v1").seconds == pytest.approx(0.6)
    assert max(total.of("a", "v1").buckets) == 2
    assert total.of("b", "v1").answered == {"ok": 1}
    assert total.turned_away == {404: 1}
    assert one.of("a", "v1").answered == {"ok": 1}


def test_sigterm_drains_every_worker(start):
    """SIGTERM lets every worker answer what it has begun, ships the outcomes and ends with 0; the port is free."""
    workers = start(2, stable="slow:0.5")
    answers = []

    def ask() -> None:
        with contextlib.closing(workers.connect()) as connection:
            connection.request("POST", "/v1/chat/completions", json.dumps({"model": "payments", "messages": []}))
            answers.append(connection.getresponse().status)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    wait_for(lambda: workers.stage.upstream.count("slow:0.5") == 8)
    assert workers.end() == 0
    for thread in threads:
        thread.join()
    assert answers == [200] * 8
    assert [status for _, status in workers.shipped()] == ["ok"] * 8
    socket.create_server(("127.0.0.1", workers.port)).close()
    assert len((workers.folder / "goodbyes").read_text().splitlines()) == 2


def test_second_signal_ends_every_worker_now(start):
    """A second SIGTERM cuts off what is in flight, with an answer that says so."""
    workers = start(2, stable="hang")
    connection = workers.connect()
    connection.request("POST", "/v1/chat/completions", json.dumps({"model": "payments", "messages": []}))
    wait_for(lambda: workers.stage.upstream.asked)
    began = time.monotonic()
    workers.process.send_signal(signal.SIGTERM)
    time.sleep(0.2)
    assert workers.end() == 0
    assert json.loads(connection.getresponse().read())["error"]["code"] == "shutting_down"
    connection.close()
    assert time.monotonic() - began < 4.5  # the grace is 5


def test_workers_end_when_their_supervisor_is_killed(start):
    """Workers without a supervisor finish and end, so that the next one has the port, and ships what they left."""
    workers = start(2)
    with Load(workers) as load:
        pids = workers.pids()
        workers.process.kill()
        workers.process.wait()
        wait_for(lambda: not any(alive(pid) for pid in pids), 30)
    again = start(1)
    wait_for(lambda: set(load.ids) <= {request for request, _ in again.shipped()}, 20)
    kept = [request for request, _ in again.shipped()]
    assert len(kept) == len(set(kept))
    wait_for(lambda: len(list((again.folder / "journal").glob("worker-*"))) == 1)  # what is empty is cleared away


def pythons_own_loop(folder: Path) -> dict[str, str]:
    """Give an environment in which there is no uvloop."""
    (folder / "none").mkdir()
    (folder / "none" / "uvloop.py").write_text("raise ImportError('not here')\n")
    return {"PYTHONPATH": os.pathsep.join([str(folder / "none"), *filter(None, [os.environ.get("PYTHONPATH")])])}


def test_workers_on_pythons_own_loop(start, tmp_path):
    """Without uvloop the same workers run on asyncio's own event loop, and are replaced as smoothly."""
    workers = start(2, pythons_own_loop(tmp_path))
    with Load(workers) as load:
        pids = workers.pids()
        workers.process.send_signal(signal.SIGHUP)
        workers.wait_replaced(pids)
        load.go_on()
        assert not any(b"uvloop" in Path(f"/proc/{pid}/maps").read_bytes() for pid in workers.pids())
    assert load.failures == []


def test_a_worker_is_small(start):
    """A worker holds none of the control plane's libraries, and less than 40 MB."""
    workers = start(1)
    with Load(workers) as load:
        load.go_on(300)
    (pid,) = workers.pids()
    maps = Path(f"/proc/{pid}/maps").read_text()
    heavy = ("pydantic", "duckdb", "sqlalchemy", "scipy", "numpy", "starlette")
    assert [name for name in heavy if f"/{name}" in maps] == []
    assert int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096 < 40e6


def test_idle_client_of_a_retiring_worker_is_answered(start):
    """A connection that idles while its worker is replaced is answered once more, and told to close."""
    workers = start(1)
    (pid,) = workers.pids()
    connection = workers.connect()
    connection.request("GET", "/livez")
    connection.getresponse().read()
    workers.process.send_signal(signal.SIGHUP)
    workers.wait_replaced([pid])

    def asked() -> tuple[int, str | None]:
        connection.request("GET", "/readyz")
        response = connection.getresponse()
        response.read()
        return response.status, response.getheader("connection")

    # The word to retire may come a moment after the new worker; until then the old one serves as ever.
    wait_for(lambda: asked() == (200, "close"))
    wait_for(lambda: not alive(pid))


def alive(pid: int) -> bool:
    """Say whether a process is there, and no zombie."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False
