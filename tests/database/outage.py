"""One death of a primary, from beginning to end, and all that was seen on the way.

A server with a gateway works on a primary and its standby, users ask it without a pause, and a rollout is at its first
step. The standby is held up, so that the commits of one batch and of one change stand between having reached it and
being acknowledged: there the primary is killed. For a while nobody is primary. Then the standby is promoted.
"""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path

import httpx
from tests.cli.test_serve import ask, model
from tests.lake.making import NOON, outcome
from tests.standby import PATIENCE, Pair, until

from vedette.catalog.domain import DomainSpec
from vedette.catalog.version import VersionSpec
from vedette.cli import checks
from vedette.cli.checks import Check
from vedette.control.plane import ControlPlane, open_plane
from vedette.evidence.outcome import Outcome
from vedette.kernel.documents import load
from vedette.kernel.errors import VedetteError
from vedette.lake.outcomes import Lake
from vedette.rollouts.machine import Phase
from vedette.store import audit, leases
from vedette.store.engine import Store
from vedette.store.leases import Lease

BATCH = tuple(outcome(id=f"cut-{number}", domain="cut") for number in range(20))
_STEPS = [{"weight": 50, "bake": 600}, {"weight": 100, "bake": 0}]
_FEW = 10  # answers that prove that answers come
_CUTTING = "&application_name=cutting"


@dataclass
class Seen:
    """What was seen; answers are status and request id, by the time they were asked in."""

    answers: dict[str, list[tuple[int, str]]] = field(default_factory=dict)
    errors: dict[str, list[VedetteError]] = field(default_factory=dict)
    entries: tuple[int, int] = (0, 0)  # of the audit log: on the primary, and on the standby while nobody was primary
    problem: httpx.Response | None = None  # what the control API said then
    again: tuple[int, int] = (-1, -1)  # new outcomes when the cut batch was sent again, and under another name
    held: list[Lease] = field(default_factory=list)
    taken: list[Lease] = field(default_factory=list)
    stored: list[Outcome] = field(default_factory=list)
    counted: dict[str, float] = field(default_factory=dict)  # requests by domain, in the sums of minutes
    checks: dict[str, dict[str, Check]] = field(default_factory=dict)  # what the doctor says, by the time
    faults: tuple[object, ...] = ()
    ended: tuple[int, str] = (-1, "")

    def trying(self, what: str, act: Callable[[], object]) -> None:
        """Do something that may fail, and note how."""
        self.errors.setdefault(what, [])
        try:
            act()
        except VedetteError as error:
            self.errors[what].append(error)


def suffer(pair: Pair, folder: Path) -> Seen:
    """Let it happen, and tell what was seen."""
    seen = Seen()
    with ExitStack() as stack:
        backend = stack.enter_context(model())
        plane = stack.enter_context(open_plane(pair.url, actor="ada"))
        process, addresses = stack.enter_context(_serving(f"{pair.url}&application_name=serving", folder))
        _prepare(plane, backend)
        until(lambda: ask(addresses["gateway"]).status_code == 200)
        turn = stack.enter_context(asking(addresses["gateway"], seen.answers))
        plane.canary.deploy_with_rollout("payments", "v2", {"steps": _STEPS})
        until(lambda: plane.canary.get("payments").status.step_since is not None)
        holder = stack.enter_context(closing(Store(pair.url)))
        with holder.transaction() as connection:
            seen.held = list(leases.acquire(connection, ["long"], "first", ttl=600.0))
            seen.held += leases.acquire(connection, ["short"], "first", ttl=0.5)
        _fill(holder)
        with closing(Store(pair.url.partition("?")[0])) as unspoken:
            seen.trying("several", partial(write, unspoken))
        turn("before")
        seen.checks["before"] = _doctor(pair.url)
        _die(pair, plane, process, seen)
        turn("headless")
        _stay_headless(pair, plane, addresses["api"], seen)
        pair.standby.promote()
        turn("after")
        _go_on(pair, plane, holder, seen)
        until(lambda: plane.canary.get("payments").status.phase is Phase.PROMOTED)
        turn("")
        process.send_signal(signal.SIGTERM)
        seen.ended = (process.wait(PATIENCE), (folder / "log").read_text())
        _look(plane, seen)
    return seen


def _prepare(plane: ControlPlane, backend: str) -> None:
    plane.domains.create("payments", load(DomainSpec, {"config": {"assignment": {"unit": "request"}}}))
    for version in ("v1", "v2"):
        spec = load(VersionSpec, {"backend": {"kind": "openai", "url": backend, "model": version}})
        plane.versions.register("payments", version, spec)
    plane.versions.install("payments", "v1")


def _fill(store: Store) -> None:
    """Leave three connections in the pool."""
    with store.reading(), store.reading(), store.reading():
        pass


def _die(pair: Pair, plane: ControlPlane, process: "subprocess.Popen[bytes]", seen: Seen) -> None:
    """Kill the primary when a batch and a change have reached the standby and nobody has been told.

    Of the server only the gateway's worker runs meanwhile: a batch of its own would be in the way of the one to cut.
    """
    seen.entries = (plane.governance.head().sequence, 0)
    with closing(Lake(f"{pair.url}{_CUTTING}")) as lake, open_plane(f"{pair.url}{_CUTTING}", actor="ada") as second:
        acts = {
            "batch": lambda: lake.ship("cut", BATCH),
            "change": lambda: second.domains.create("cut", DomainSpec()),
        }
        threads = [threading.Thread(target=seen.trying, args=pair_of) for pair_of in acts.items()]
        until(partial(_stop, pair, process))
        pair.hold_up()
        for thread in threads:
            thread.start()
        until(lambda: pair.held_up("cutting") == ["SyncRep", "SyncRep"])
        until(pair.on_standby)
        pair.primary.kill()
        process.send_signal(signal.SIGCONT)
        for thread in threads:
            thread.join()


def _stop(pair: Pair, process: "subprocess.Popen[bytes]") -> bool:
    """Stop a process between two of its transactions; False if it was in one, and goes on."""
    process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED)
    if pair.idle("serving"):
        return True
    process.send_signal(signal.SIGCONT)
    return False


def _stay_headless(pair: Pair, plane: ControlPlane, api: str, seen: Seen) -> None:
    """Ask everything that can be asked while nobody is primary."""
    with closing(Store(pair.standby.url)) as alone:
        with alone.reading() as connection:
            seen.entries = (seen.entries[0], audit.head(connection).sequence)
        seen.checks["headless"] = _doctor(pair.standby.url)
        seen.trying("standby", lambda: write(alone))
    seen.trying("standby, opened", lambda: open_plane(pair.standby.url))
    for _ in range(3):
        seen.trying("nobody", lambda: plane.domains.create("nobody", DomainSpec()))
    seen.problem = httpx.get(f"{api}/api/v1/domains/payments", timeout=PATIENCE)
    until(lambda: len(seen.answers["headless"]) > _FEW)


def _go_on(pair: Pair, plane: ControlPlane, holder: Store, seen: Seen) -> None:
    """Work with the new primary, over connections that were made to the old one."""
    seen.checks["after"] = _doctor(pair.url)
    seen.trying("pool", partial(_fill, holder))
    seen.trying("pool", partial(write, holder))
    seen.trying("plane", lambda: plane.canary.promote("payments"))
    seen.again = plane.lake.ship("cut", BATCH), plane.lake.ship("cut again", BATCH)
    with closing(Store(pair.url)) as second:

        def take(name: str) -> bool:
            with second.transaction() as connection:
                seen.taken += leases.acquire(connection, [name], "second", ttl=600.0)
            return bool(seen.taken)

        take("long")
        until(partial(take, "short"))
    for lease in seen.held:
        seen.trying(lease.name, partial(_fence, holder, lease))
    until(lambda: len(seen.answers["after"]) > _FEW)


def _look(plane: ControlPlane, seen: Seen) -> None:
    """See what is stored in the end."""
    for domain in ("payments", "cut"):
        after, first = "", True
        while after or first:
            page = plane.lake.outcomes(domain, after=after, limit=1000)
            seen.stored += page.items
            after, first = page.after, False
        times = [it.at for it in seen.stored if it.domain == domain]
        minutes = plane.lake.days(domain, min(times), max(times) + timedelta(days=1))
        seen.counted[domain] = sum(each.measures["error"].n for each in minutes)
    seen.faults = tuple(plane.governance.verify())


def write(store: Store) -> None:
    """Write the least there is."""
    with store.transaction() as connection:
        audit.append(connection, at=NOON, actor="ada", action="look")


def _doctor(url: str) -> dict[str, Check]:
    return {check.name: check for check in checks.of_data(url)}


def _fence(store: Store, lease: Lease) -> None:
    with store.transaction() as connection:
        leases.fence(connection, lease)


@contextmanager
def _serving(url: str, folder: Path) -> Iterator[tuple["subprocess.Popen[bytes]", dict[str, str]]]:
    """Run ``vedette serve`` on a database, with its own files and what it says in a folder."""
    ready = folder / "ready.json"
    free = ["--port", "0", "--gateway-port", "0"]
    options = ["--data", url, *free, "--interval", "100ms", "--ready-file", str(ready)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(str(Path(each).resolve()) for each in sys.path)}
    with (folder / "log").open("wb") as log:
        command = [sys.executable, "-m", "vedette", "serve", *options]
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
    try:
        until(lambda: ready.exists() or process.poll() is not None)
        yield process, json.loads(ready.read_text())
    finally:
        process.kill()
        process.wait()


@contextmanager
def asking(gateway: str, answers: dict[str, list[tuple[int, str]]]) -> Iterator[Callable[[str], None]]:
    """Ask without a pause; gives what is told which time begins: an answer belongs to the one it was asked in."""
    now, stop, idle = [""], threading.Event(), threading.Event()

    def work() -> None:
        while not stop.wait(0.01):
            idle.clear()
            time = now[0]
            if time:
                answer = ask(gateway)
                answers[time].append((answer.status_code, answer.headers["x-vedette-request-id"]))
            idle.set()

    def turn(time: str) -> None:
        answers[time] = []
        now[0] = time
        until(lambda: answers[time] if time else idle.is_set())

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield turn
    finally:
        stop.set()
        thread.join()
