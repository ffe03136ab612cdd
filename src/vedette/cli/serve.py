"""``vedette serve``: dashboard, control API, reconciler and gateway in one process; stops without losing anything."""

import logging
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

import vedette
from vedette.cli import running
from vedette.cli.running import GATEWAY_PORT, Ends, url
from vedette.cli.session import Session
from vedette.cli.verbs import HERE, Verb, in_session
from vedette.kernel.errors import Unavailable

if TYPE_CHECKING:
    from vedette.cli.server_settings import ServerSettings
    from vedette.control.plane import ControlPlane
    from vedette.evidence.addresses import Address

API_PORT = 8700
_LOOPBACK = {"127.0.0.1", "localhost", "::1"}

log = logging.getLogger(__name__)


@click.command(
    "serve",
    cls=Verb,
    takes=HERE,
    examples=(
        "vedette serve",
        "vedette serve --data postgresql://vedette@db/vedette --host 0.0.0.0",
        "vedette serve --workers auto                  # a process of the gateway per core",
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
@click.option(
    "--workers",
    metavar="N",
    default="1",
    show_default=True,
    help="Processes of the gateway; auto for one per core. SIGHUP replaces them one by one.",
)
@click.option("--no-gateway", is_flag=True, help="No gateway.")
@click.option(
    "--gateway-at",
    "gateways",
    metavar="ADDRESS",
    multiple=True,
    help="Where callers reach a gateway: HOST, HOST:PORT or a URL, any number of times; or VEDETTE_GATEWAY_AT, "
    "separated by commas. Spans of calls to it are no outcomes, for the gateway records those itself.",
)
@click.option(
    "--interval", metavar="DURATION", default="1s", show_default=True, help="How often rollouts are looked at."
)
@running.settings_file
@running.sync
@running.ready_file
@running.logging_level
@in_session
def serve(  # every flag by name
    session: Session,
    host: str,
    port: int,
    gateway_port: int,
    workers: str,
    no_gateway: bool,  # noqa: FBT001 - a flag
    gateways: tuple[str, ...],
    interval: str,
    settings_file: str,
    sync: str,
    ready_file: Path | None,
    log_level: str,
) -> None:
    """Run the dashboard, the control API, the reconciler and the gateway until SIGTERM or Ctrl-C."""
    from vedette.cli import server_settings
    from vedette.evidence.addresses import address_of
    from vedette.kernel.clock import duration

    running.start_logging(log_level)
    seconds, count = max(duration(interval), 0.05), running.count_of(workers)
    file = settings_file or session.settings.file
    found = server_settings.read(file)
    every = running.seconds_of(sync)
    named = gateways or [text for text in session.settings.gateways.split(",") if text.strip()]
    known = [address_of(text.strip()) for text in named]
    ends = Ends()
    with ExitStack() as stack:
        stack.enter_context(ends.on_signals())
        listening = stack.enter_context(_listen(host, port))
        plane = stack.enter_context(session.open_here(create=True))
        plane.housekeeper.retention = found.retention
        plane.start(seconds)
        served, gateway = None, None
        if not no_gateway:
            cache = session.settings.cache
            served = stack.enter_context(
                running.gateway(plane, host, gateway_port, count, ends, settings=found.gateway, cache=cache, sync=every)
            )
            gateway = served.address

        def adopt(settings: "ServerSettings") -> None:
            plane.housekeeper.retention = settings.retention
            if served:
                served.adopt(settings.gateway)

        stack.enter_context(server_settings.read_again(file, adopt))
        if gateway and host in _LOOPBACK:  # nobody but this machine reaches either, so these names are no one else's
            own = address_of(gateway)
            known += [own, replace(own, host="localhost")]
        api = stack.enter_context(_api(plane, listening, ends, known))
        if not ends.first.is_set():
            _announce(session, host, api, gateway, _first_link(plane, api))
            if not known:
                session.say(
                    "where callers reach the gateway is unknown, and a call told by a span too may count twice: "
                    "name its address by --gateway-at or VEDETTE_GATEWAY_AT"
                )
            if ready_file:
                stack.enter_context(running.ready(ready_file, api=api, gateway=gateway))
        ends.wait()
        session.say("stopping: requests in flight are finished, outcomes are shipped (again to stop at once)")
    ends.raise_failure()


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
def _api(plane: "ControlPlane", listening: socket.socket, ends: Ends, gateways: "Sequence[Address]") -> Iterator[str]:
    """Run the control API in a thread; its signals are ours."""
    import uvicorn

    from vedette.api.door import Door, loopback_hosts
    from vedette.web.app import create_app

    host, port = listening.getsockname()[:2]
    door = Door(plane.people, trusting=host in _LOOPBACK, hosts=loopback_hosts(port))
    config = uvicorn.Config(
        create_app(plane, door=door, gateways=gateways),
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
        yield url(host, port)
    finally:
        server.should_exit = True
        while thread.is_alive():
            server.force_exit = ends.second.is_set()
            thread.join(0.1)


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
    where = Store(data).shown if "://" in data else data
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
