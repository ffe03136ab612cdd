"""``vedette serve``: dashboard, control API, reconciler and gateway in one process; stops without losing anything."""

import json
import logging
import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

import vedette
from vedette.cli.session import Session
from vedette.cli.verbs import HERE, Verb, in_session
from vedette.kernel.errors import Unavailable

if TYPE_CHECKING:
    from types import FrameType

    from vedette.control.plane import ControlPlane

API_PORT, GATEWAY_PORT = 8700, 8701
_GRACE = 10.0  # seconds for requests in flight
_LOOPBACK = {"127.0.0.1", "localhost", "::1"}

log = logging.getLogger(__name__)


@click.command(
    "serve",
    cls=Verb,
    takes=HERE,
    examples=(
        "vedette serve",
        "vedette serve --data postgresql://vedette@db/vedette --host 0.0.0.0",
        "vedette serve --port 0 --gateway-port 0 --ready-file ready.json   # free ports, for scripts",
    ),
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Where both listen.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    metavar="PORT",
    default=API_PORT,
    show_default=True,
    help="Of dashboard and control API; 0 takes a free one.",
)
@click.option(
    "--gateway-port",
    type=click.IntRange(0, 65535),
    metavar="PORT",
    default=GATEWAY_PORT,
    show_default=True,
    help="Of the gateway; 0 takes a free one.",
)
@click.option("--no-gateway", is_flag=True, help="No gateway.")
@click.option(
    "--interval", metavar="DURATION", default="1s", show_default=True, help="How often rollouts are looked at."
)
@click.option(
    "--ready-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Written as JSON with both addresses once all is up.",
)
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="warning",
    show_default=True,
    help="What is logged on standard error.",
)
@in_session
def serve(  # every flag by name
    session: Session,
    host: str,
    port: int,
    gateway_port: int,
    no_gateway: bool,  # noqa: FBT001 - a flag
    interval: str,
    ready_file: Path | None,
    log_level: str,
) -> None:
    """Run the dashboard, the control API, the reconciler and the gateway until SIGTERM or Ctrl-C."""
    from vedette.kernel.clock import duration

    logging.basicConfig(level=log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    seconds = max(duration(interval), 0.05)
    ends = _Ends()
    with ExitStack() as stack:
        stack.enter_context(ends.on_signals())
        listening = stack.enter_context(_listen(host, port))
        plane = stack.enter_context(session.open_here(create=True))
        plane.start(seconds)
        gateway = None if no_gateway else stack.enter_context(_gateway(plane, host, gateway_port, ends))
        api = stack.enter_context(_api(plane, listening, ends))
        if not ends.first.is_set():
            _announce(session, host, api, gateway, _first_link(plane, api))
            if ready_file:
                stack.enter_context(_ready(ready_file, api, gateway))
        ends.first.wait()
        session.say("stopping: requests in flight are finished, outcomes are shipped (again to stop at once)")
    ends.raise_failure()


class _Ends:
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

    def failed(self, error: BaseException) -> None:
        """Note that a part ended by an error: the whole shall end."""
        self._failures.append(error)
        self.first.set()

    def raise_failure(self) -> None:
        """Raise what made a part fail, if one did."""
        if self._failures:
            raise self._failures[0]


@contextmanager
def _listen(host: str, port: int) -> Iterator[socket.socket]:
    """Take the control API's port at once, so that a port in use is said before anything starts."""
    try:
        listening = socket.create_server(
            (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=2048
        )
    except (OSError, OverflowError) as error:
        said = error.strerror if isinstance(error, OSError) else str(error)
        raise Unavailable(
            f"the control API cannot listen on {host}:{port}: {said}", hint="choose another one with --port"
        ) from error
    with listening:
        yield listening


@contextmanager
def _gateway(plane: "ControlPlane", host: str, port: int, ends: _Ends) -> Iterator[str]:
    """Run the gateway in a thread with an event loop of its own; drained, shipped and forgotten at the end."""
    from vedette.gateway.server import Gateway, run
    from vedette.gateway.settings import GatewaySettings

    router = f"{socket.gethostname()}-{os.getpid()}"
    gateway = Gateway(
        plane.traffic, plane.lake, plane.folder / "journal", host, port, settings=GatewaySettings(router=router)
    )
    up, stop = threading.Event(), threading.Event()
    address: list[tuple[str, int]] = []
    failure: list[BaseException] = []

    def started(found: tuple[str, int]) -> None:
        address.append(found)
        up.set()

    def work() -> None:
        try:
            run(gateway, grace=_GRACE, started=started, stop=stop)
        except BaseException as error:  # noqa: BLE001 - whatever ended it is raised where the process ends
            failure.append(error)
            ends.failed(error)
        finally:
            up.set()

    thread = threading.Thread(target=work, name="vedette-gateway")
    thread.start()
    try:
        up.wait()
        if failure:
            hint = "choose another one with --gateway-port"
            raise Unavailable(f"the gateway did not start: {failure[0]}", hint=hint) from failure[0]
        yield _url(*address[0])
    finally:
        stop.set()
        while thread.is_alive():
            if ends.second.is_set():
                gateway.hurry()
            thread.join(0.1)
        plane.traffic.goodbye(router)


@contextmanager
def _api(plane: "ControlPlane", listening: socket.socket, ends: _Ends) -> Iterator[str]:
    """Run the control API in a thread; its signals are ours."""
    import uvicorn

    from vedette.api.door import Door, loopback_hosts
    from vedette.web.app import create_app

    host, port = listening.getsockname()[:2]
    door = Door(plane.people, trusting=host in _LOOPBACK, hosts=loopback_hosts(port))
    config = uvicorn.Config(
        create_app(plane, door=door),
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=5,
        server_header=False,
    )
    server = uvicorn.Server(config)

    def work() -> None:
        try:
            server.run(sockets=[listening])
        except BaseException as error:  # noqa: BLE001 - whatever ended it is raised where the process ends
            ends.failed(error)

    thread = threading.Thread(target=work, name="vedette-api")
    thread.start()
    try:
        while not server.started and thread.is_alive() and not ends.first.is_set():
            thread.join(0.01)
        yield _url(host, port)
    finally:
        server.should_exit = True
        while thread.is_alive():
            server.force_exit = ends.second.is_set()
            thread.join(0.1)


@contextmanager
def _ready(file: Path, api: str, gateway: str | None) -> Iterator[None]:
    """Say in a file that all is up, as long as it is."""
    said = {"pid": os.getpid(), "api": api, "gateway": gateway}
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


def _first_link(plane: "ControlPlane", api: str) -> str:
    """Give the link by which somebody takes possession of a server that is nobody's yet."""
    from vedette.governance.roles import Role

    if plane.people.anybody():
        return ""
    return f"{api}/welcome?key={plane.people.invite('', Role.ADMIN, actor='vedette serve')}"


def _announce(session: Session, host: str, api: str, gateway: str | None, link: str) -> None:
    """Say on standard output where everything is, and what to do next."""
    from vedette.store.engine import Store

    data = session.settings.data
    where = Store(data).url.render_as_string(hide_password=True) if "://" in data else data
    click.echo(f"vedette {vedette.__version__} is up, with its data in {where}")
    click.echo(
        f"  dashboard    {link or api}" + ("   (this link opens once and makes you its first admin)" if link else "")
    )
    click.echo(f"  control API  {api}   described in {api}/api/v1/openapi.json")
    if gateway:
        click.echo(f"  gateway      {gateway}/v1   for OpenAI clients: the model is a domain's name")
    click.echo(f"  next         export VEDETTE_SERVER={api}; vedette domain list; vedette apply --help")
    if host not in _LOOPBACK:
        session.say("the control API takes a token here: make one with `vedette token create NAME --role operator`")


def _url(host: str, port: int) -> str:
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104 - shown, not bound
    return f"http://{shown}:{port}"
