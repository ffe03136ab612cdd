"""``vedette gateway``: the gateway alone, beside a control plane that other processes run on the same data."""

from contextlib import ExitStack
from pathlib import Path

import click

import vedette
from vedette.cli import running
from vedette.cli.running import GATEWAY_PORT, Ends
from vedette.cli.session import Session
from vedette.cli.verbs import HERE, Verb, in_session


@click.command(
    "gateway",
    cls=Verb,
    takes=HERE,
    examples=(
        "vedette gateway --data postgresql://vedette@db/vedette --host 0.0.0.0",
        "vedette gateway --workers 2                    # beside vedette serve --no-gateway, on the same folder",
        "kill -HUP $(pidof -s vedette)                  # new workers, one by one, no request fails",
    ),
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Where it listens.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    metavar="PORT",
    default=GATEWAY_PORT,
    show_default=True,
    help="Where it listens; 0 takes a free one.",
)
@click.option("--workers", metavar="N", default="auto", show_default=True, help="Processes; auto for one per core.")
@running.settings_file
@running.sync
@running.ready_file
@running.logging_level
@in_session
def gateway(  # every flag by name
    session: Session,
    host: str,
    port: int,
    workers: str,
    settings_file: str,
    sync: str,
    ready_file: Path | None,
    log_level: str,
) -> None:
    """Run the gateway alone until SIGTERM or Ctrl-C; the control plane may come and go."""
    from vedette.cli import server_settings

    running.start_logging(log_level)
    count, every = running.count_of(workers), running.seconds_of(sync)
    file = settings_file or session.settings.file
    found = server_settings.read(file)
    ends = Ends()
    with ExitStack() as stack:
        stack.enter_context(ends.on_signals())
        plane = stack.enter_context(session.open_here(create=True))
        running_gateway = stack.enter_context(
            running.gateway(
                plane,
                host,
                port,
                count,
                ends,
                settings=found.gateway,
                cache=session.settings.cache,
                sync=every,
                option="--port",
            )
        )
        stack.enter_context(server_settings.read_again(file, lambda anew: running_gateway.adopt(anew.gateway)))
        if not ends.first.is_set():
            address = running_gateway.address
            click.echo(f"vedette {vedette.__version__}: {count} workers at {address}/v1 for OpenAI clients")
            if ready_file:
                stack.enter_context(running.ready(ready_file, gateway=address))
        ends.wait()
        session.say("stopping: requests in flight are finished, outcomes are shipped (again to stop at once)")
    ends.raise_failure()
