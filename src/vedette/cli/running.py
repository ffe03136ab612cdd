"""What commands that run until they are told to end have in common: how they end, where they are, and the gateway."""

import json
import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vedette.kernel.clock import duration
from vedette.kernel.errors import InvalidInput, Unavailable, VedetteError

if TYPE_CHECKING:
    from types import FrameType

    from vedette.control.plane import ControlPlane
    from vedette.gateway.settings import GatewaySettings

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
gateway_settings = click.option(
    "--gateway-settings",
    "settings_file",
    metavar="FILE",
    default="",
    help="Limits and times of the gateway, as YAML: `requestLimit: 32MiB`, `drainTimeout: 60s`. SIGHUP reads it again. "
    "Or VEDETTE_GATEWAY_SETTINGS.",
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

        def ask(number: int, _: "FrameType | None") -> None:  # noqa: ARG001 - the signal module's own signature
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


@contextmanager
def gateway(
    plane: "ControlPlane",
    host: str,
    port: int,
    workers: int,
    ends: Ends,
    *,
    settings_file: str = "",
    cache: str = "",
    sync: float | None = None,
    option: str = "--gateway-port",
) -> Iterator[str]:
    """Run the gateway's workers; drained, shipped and forgotten at the end. Gives its address.

    On SIGHUP the file of settings is read again, and the workers are replaced.
    """
    from vedette.connectors.pepper import FILE
    from vedette.gateway.supervisor import Supervisor

    def settings() -> "GatewaySettings":
        return _settings_in(
            settings_file,
            router=f"{socket.gethostname()}-{os.getpid()}",
            pepper_file=str((plane.folder / FILE).resolve()),
            cache_url=cache,
            sync_every=sync,
        )

    def reload() -> None:
        try:
            found = settings()
        except VedetteError as error:
            log.warning("the workers stay as they are: %s", error)
            return
        supervisor.reload(found)

    supervisor = Supervisor(
        plane.traffic,
        plane.lake,
        plane.folder / "journal",
        host,
        port,
        workers=workers,
        settings=settings(),
        goodbye=plane.traffic.goodbye,
    )
    try:
        supervisor.start()
    except Unavailable as error:
        raise Unavailable(f"the gateway did not start: {error}", hint=f"choose another one with {option}") from error
    try:
        with _reloading(reload):
            yield url(*supervisor.address)
    finally:
        stopping = threading.Thread(target=supervisor.stop, name="vedette-stop")
        stopping.start()
        while stopping.is_alive():
            if ends.second.is_set():
                supervisor.hurry()
            stopping.join(0.1)


def _settings_in(file: str, **own: object) -> "GatewaySettings":
    """Read the settings in a file, beside those that this process says itself.

    Raises:
        InvalidInput: the file cannot be read, or holds what is no setting.
    """
    from vedette.gateway.settings import SAID_ELSEWHERE, GatewaySettings
    from vedette.kernel.documents import read_record

    try:
        text = Path(file).read_text(encoding="utf-8") if file else ""
    except (OSError, ValueError) as error:
        said = error.strerror if isinstance(error, OSError) else "it is no text"
        raise InvalidInput(f"the settings in {file} cannot be read: {said}") from error
    return read_record(GatewaySettings, text, file, elsewhere=SAID_ELSEWHERE, **own)


@contextmanager
def _reloading(reload: Callable[[], object]) -> Iterator[None]:
    """Replace the workers on SIGHUP as long as the block runs."""

    def ask(number: int, _: "FrameType | None") -> None:  # noqa: ARG001 - the signal module's own signature
        threading.Thread(target=reload, name="vedette-reload", daemon=True).start()

    before = signal.signal(signal.SIGHUP, ask)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)


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
