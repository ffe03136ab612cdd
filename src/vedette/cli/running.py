"""What commands that run until they are told to end have in common: how they end, where they are, and the gateway."""

import json
import logging
import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vedette.kernel.clock import duration
from vedette.kernel.errors import InvalidInput, Unavailable
from vedette.kernel.records import evolve

if TYPE_CHECKING:
    from types import FrameType

    from vedette.control.plane import ControlPlane
    from vedette.gateway.settings import GatewaySettings
    from vedette.gateway.supervisor import Supervisor

GATEWAY_PORT = 8701
_GLANCE = 0.2  # seconds

log = logging.getLogger(__name__)

logging_level = click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="warning",
    show_default=True,
    help="What is logged on standard error.",
)
ready_file = click.option(
    "--ready-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Written as JSON with the addresses once all is up.",
)
sync = click.option(
    "--sync",
    metavar="DURATION",
    default="never",
    show_default=True,
    help="Bring outcomes to the disk when so much time has passed, so that a power cut costs no more of them; 0s waits "
    "for each. Otherwise a power cut may cost half a minute of them, and the death of a process none.",
)
settings_file = click.option(
    "--settings",
    "settings_file",
    metavar="FILE",
    default="",
    help="Limits and times of the gateway, and how long things are kept, as YAML; or VEDETTE_SETTINGS. SIGHUP reads it "
    "again.",
)


def start_logging(level: str) -> None:
    """Log on standard error from ``level`` on."""
    logging.basicConfig(level=level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s")


class Ends:
    """How this process is asked to end: by a signal, a second one to hurry, or by a part that failed."""

    def __init__(self) -> None:
        self.first, self.second = threading.Event(), threading.Event()
        self._failures: list[BaseException] = []

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        """Take SIGTERM and SIGINT as long as the block runs."""

        def ask(_number: int, _frame: "FrameType | None") -> None:
            (self.second if self.first.is_set() else self.first).set()

        before = {number: signal.signal(number, ask) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def wait(self) -> None:
        """Wait until it is asked to end.

        Python runs what a signal calls in this thread, and nothing wakes it when the system delivered the signal to
        another one, as it does while this one has yet to hear of an earlier signal. So it looks up now and then.
        """
        while not self.first.wait(_GLANCE):
            pass

    def failed(self, error: BaseException) -> None:
        """Note that a part ended by an error: the whole shall end."""
        self._failures.append(error)
        self.first.set()

    def raise_failure(self) -> None:
        """Raise what made a part fail, if one did."""
        if self._failures:
            raise self._failures[0]


def count_of(workers: str) -> int:
    """Read how many workers are wanted: a number, or ``auto`` for one per core this process may use.

    Raises:
        InvalidInput: it is neither.
    """
    if workers == "auto":
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if not workers.isascii() or not workers.isdigit() or not 1 <= int(workers) <= 256:
        raise InvalidInput(f"{workers!r} is no number of workers", hint="write 1 to 256, or auto for one per core")
    return int(workers)


def seconds_of(sync: str) -> float | None:
    """Read how often outcomes are brought to the disk: a duration, or ``never``.

    Raises:
        InvalidInput: it is neither.
    """
    return None if sync == "never" else duration(sync)


class RunningGateway:
    """The gateway's workers, and what this process says of them beside their settings."""

    def __init__(self, supervisor: "Supervisor", **own: object) -> None:
        self._supervisor, self._own = supervisor, own

    @property
    def address(self) -> str:
        """Where it listens."""
        return url(*self._supervisor.address)

    def adopt(self, settings: "GatewaySettings") -> None:
        """Replace the workers by new ones with these settings, one by one; no request fails."""
        self._supervisor.reload(evolve(settings, **self._own))


@contextmanager
def gateway(
    plane: "ControlPlane",
    host: str,
    port: int,
    workers: int,
    ends: Ends,
    *,
    settings: "GatewaySettings",
    cache: str = "",
    sync: float | None = None,
    option: str = "--gateway-port",
) -> Iterator[RunningGateway]:
    """Run the gateway's workers; drained, shipped and forgotten at the end."""
    from vedette.connectors.pepper import FILE
    from vedette.gateway.supervisor import Supervisor

    own = {
        "router": f"{socket.gethostname()}-{os.getpid()}",
        "pepper_file": str((plane.folder / FILE).resolve()),
        "cache_url": cache,
        "sync_every": sync,
    }
    supervisor = Supervisor(
        plane.traffic,
        plane.lake,
        plane.folder / "journal",
        host,
        port,
        workers=workers,
        settings=evolve(settings, **own),
        goodbye=plane.traffic.goodbye,
    )
    try:
        supervisor.start()
    except Unavailable as error:
        raise Unavailable(f"the gateway did not start: {error}", hint=f"choose another one with {option}") from error
    try:
        yield RunningGateway(supervisor, **own)
    finally:
        stopping = threading.Thread(target=supervisor.stop, name="vedette-stop")
        stopping.start()
        while stopping.is_alive():
            if ends.second.is_set():
                supervisor.hurry()
            stopping.join(0.1)


@contextmanager
def ready(file: Path, **addresses: str | None) -> Iterator[None]:
    """Say in a file that all is up, as long as it is."""
    said = {"pid": os.getpid(), **addresses}
    draft = file.with_name(f"{file.name}.{os.getpid()}")
    try:
        draft.write_text(json.dumps(said) + "\n", encoding="utf-8")
        draft.replace(file)
    except OSError as error:
        raise Unavailable(f"cannot write {file}: {error.strerror}") from error
    try:
        yield
    finally:
        file.unlink(missing_ok=True)


def url(host: str, port: int) -> str:
    """Write an address as people and clients use it."""
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104 - shown, not bound
    return f"http://{shown}:{port}"
