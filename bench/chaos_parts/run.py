"""The run: start all, kill at random for as long as asked, end all as one should, and look."""

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.chaos_parts.clients import Clients
from bench.chaos_parts.judging import Found, everything, repeated, wrong_sums
from bench.chaos_parts.postgres import Postgres
from bench.gateway_parts.processes import children, free_port, listens
from bench.gateway_parts.targets import prepare

from vedette.control.plane import open_plane
from vedette.lake import lease
from vedette.lake.engine import LakeDatabase
from vedette.lake.outcomes import Lake
from vedette.lake.tables import Tables

_PATIENCE = 90.0
_PAUSE = 0.4  # seconds between kills, about
_OFTEN = {"worker": 5, "sealer": 3, "server": 1, "postgres": 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How many kills, where the data is, and which dice."""

    kills: int
    postgres: bool
    seed: int


def run(plan: Plan) -> Found:
    """Do it."""
    folder = Path(tempfile.mkdtemp(prefix="vedette-chaos-"))
    folder.chmod(0o755)  # PostgreSQL runs as another user
    postgres = Postgres(folder / "postgres") if plan.postgres else None
    stage = _Stage(folder, postgres)
    try:
        return _run(plan, stage)
    finally:
        stage.end()
        if postgres:
            postgres.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _run(plan: Plan, stage: "_Stage") -> Found:
    draw = random.Random(plan.seed)
    victims = [name for name, share in _OFTEN.items() for _ in range(share) if plan.postgres or name != "postgres"]
    killed: Counter[str] = Counter()
    begun = time.monotonic()
    stage.start_all()
    with Clients(stage.port) as clients:
        while killed.total() < plan.kills:
            time.sleep(draw.uniform(0.1, 2 * _PAUSE))
            name = draw.choice(victims)
            if stage.kill(name, draw):
                killed[name] += 1
                print(
                    f"\r{killed.total():4} of {plan.kills} kills, {len(clients.answered):,} answers", end="", flush=True
                )
        stage.start_all()
        time.sleep(1)
    print()
    seconds = time.monotonic() - begun
    stage.finish()
    with open_plane(stage.data, actor="chaos", segments=stage.segments) as plane:
        stored = everything(plane.lake, "claims")
        compared, wrong = wrong_sums(plane.lake, "claims", stored)
        segments = plane.lake.holdings().segments
    ids = {outcome.id for outcome in stored}
    return Found(
        kills=killed,
        answered=len(clients.answered),
        cut=clients.cut,
        stored=len(stored),
        lost=tuple(name for name in clients.answered if name not in ids),
        twice=repeated(outcome.id for outcome in stored),
        wrong=wrong,
        sums=compared,
        segments=segments,
        seconds=seconds,
    )


class _Stage:
    """The processes, and how to kill and start each."""

    def __init__(self, folder: Path, postgres: Postgres | None) -> None:
        self._folder, self._postgres = folder, postgres
        self.data = postgres.url if postgres else str(folder / "data")
        self.segments = folder / "segments"
        self.port, self._api, self._backend = free_port(), free_port(), free_port()
        self._environment = {**os.environ, "VEDETTE_SEGMENTS": str(self.segments)}
        program = Path(__file__).parents[1] / "gateway_parts" / "upstream.py"
        self._upstream = self._start("upstream", program, str(self._backend))
        _until(lambda: listens(self._backend))
        prepare(self.data, self._backend, segments=self.segments)
        self._server: subprocess.Popen[bytes] | None = None
        self._sealer: subprocess.Popen[bytes] | None = None

    def start_all(self) -> None:
        """Start what is not running, and wait until all of it does its work."""
        self._serve()
        self._seal()

    def kill(self, name: str, draw: random.Random) -> bool:
        """Kill one thing and, but for workers, whose supervisor does it, start it again; False if there was none."""
        if name == "worker":
            workers = children(self._server.pid) if self._server else []
            if not workers:
                return False
            os.kill(draw.choice(workers), signal.SIGKILL)
        elif name == "sealer" and self._sealer:
            self._sealer.kill()
            self._sealer.wait()
            self._lapse()
            self._seal()
        elif name == "server" and self._server:
            self._server.kill()
            self._server.wait()
            self._lapse()
            time.sleep(draw.uniform(0, 1))
            self._serve()
        elif name == "postgres" and self._postgres:
            self._postgres.kill()
            time.sleep(draw.uniform(0, 1))
            self._postgres.start()
        return True

    def finish(self) -> None:
        """End as one should: everything in flight is answered, everything in a journal is shipped and sealed."""
        if self._sealer:
            self._sealer.kill()
            self._sealer.wait()
            self._lapse()
        for _ in range(2):  # what a killed server's workers left is found by the next one
            self._serve()
            if self._server:
                self._server.send_signal(signal.SIGTERM)
                self._server.wait(_PATIENCE)
                self._server = None
        lake = Lake(self._outcomes, segments=self.segments)
        lake.seal()
        lake.close()

    def end(self) -> None:
        """Kill what is left."""
        for process in (self._server, self._sealer, self._upstream):
            if process and process.poll() is None:
                process.kill()
                process.wait()

    @property
    def _outcomes(self) -> str:
        return self.data if self._postgres else f"sqlite:///{self.data}/outcomes.db"

    def _serve(self) -> None:
        if self._server and self._server.poll() is None:
            return
        ready = self._folder / "ready.json"
        ready.unlink(missing_ok=True)
        ports = ["--port", str(self._api), "--gateway-port", str(self.port), "--workers", "2"]
        command = ["-m", "vedette", "serve", "--data", self.data, *ports, "--ready-file", str(ready)]
        begun = time.monotonic()
        while not ready.exists():
            if self._server is None or self._server.poll() is not None:
                self._server = self._start("server", *command)  # again: the port may not be free yet
            if time.monotonic() - begun > _PATIENCE:
                raise TimeoutError((self._folder / "server.log").read_text(errors="replace")[-3000:])
            time.sleep(0.05)

    def _seal(self) -> None:
        if self._sealer is None or self._sealer.poll() is not None:
            program = Path(__file__).with_name("sealer.py")
            self._sealer = self._start("sealer", program, self._outcomes, str(self.segments))

    def _lapse(self) -> None:
        """Let the lease of a dead sealer run out now: a minute's wait for each would be most of the run."""
        database = LakeDatabase(self._outcomes, patience=30.0)
        tables = Tables.of(database.schema)
        with database.writing() as connection:
            lease.release(connection, tables, lease.overtake(connection, tables, "chaos"))
        database.close()

    def _start(self, name: str, *arguments: str | Path) -> "subprocess.Popen[bytes]":
        with (self._folder / f"{name}.log").open("ab") as log:
            return subprocess.Popen(  # noqa: S603 - our own programs
                [sys.executable, *map(str, arguments)],
                cwd=self._folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )


def _until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + _PATIENCE
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError("waited in vain")
        time.sleep(0.02)
