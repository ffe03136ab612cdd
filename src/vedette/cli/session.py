"""One run of the command line: where it works, who acts, and how it shows what it found."""

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import click

from vedette.cli import output
from vedette.config import from_environment
from vedette.kernel.errors import InvalidInput, NotFound, Refused

if TYPE_CHECKING:
    from vedette.client.client import Client
    from vedette.control.apply import Applied
    from vedette.control.plane import ControlPlane

    Services: TypeAlias = ControlPlane | Client

T = TypeVar("T")


class Session:
    """Flags over environment over defaults; `open` gives the services, here or on a server."""

    def __init__(self) -> None:
        self.settings = from_environment()
        self.debug = False
        self._chosen: set[str] = set()

    def take(self, name: str, value: str) -> None:
        """Take a flag the user gave; ``--data`` and ``--server`` together are refused."""
        self._chosen.add(name)
        if {"data", "server"} <= self._chosen:
            raise click.UsageError("--data and --server exclude each other")
        self.settings = replace(self.settings, **{name: value})
        if name == "data":
            self.settings = replace(self.settings, server="")

    @property
    def actor(self) -> str:
        """Who does it, for the audit log."""
        if not self.settings.actor.strip():
            raise InvalidInput("every change names its actor", hint="pass --actor or set VEDETTE_ACTOR")
        return self.settings.actor

    @property
    def remote(self) -> bool:
        """Whether a server does the work."""
        return bool(self.settings.server)

    def open(self, *, create: bool = False) -> "Services":
        """Open the server's services, or those over the data here.

        Raises:
            NotFound: the data folder holds nothing of vedette's, and the command does not make one.
        """
        return self.client() if self.remote else self.open_here(create=create)

    def client(self) -> "Client":
        """Speak to the server."""
        from vedette.client.client import Client

        return Client(self.settings.server, actor=self.settings.actor, token=self.settings.token)

    def open_here(self, *, create: bool = False) -> "ControlPlane":
        """Open the data on this machine, whatever servers there are."""
        data = self.settings.data
        if not create and "://" not in data and not (Path(data) / "control.db").exists():
            raise NotFound(
                f"there is no vedette data in {data}",
                hint="`vedette serve`, `vedette apply` and `vedette domain create` make it; --data or --server points "
                "elsewhere",
            )
        from vedette.control.plane import open_plane

        return open_plane(data, segments=self.settings.segments, analytics=self.settings.analytics)

    def apply(self, text: str, *, dry_run: bool) -> "tuple[Applied, ...]":
        """Apply documents; in complaints the text is called ``<body>``."""
        if self.remote:
            with self.client() as client:
                return client.apply(text, actor=self.actor, dry_run=dry_run)
        from vedette.control.apply import apply_text

        with self.open_here(create=True) as plane:
            return apply_text(plane, text, actor=self.actor, source="<body>", dry_run=dry_run)

    def show(self, value: T, view: Callable[[T], Any]) -> None:
        """Print a result in the format asked for; ``view`` makes what people read of it."""
        match self.settings.output:
            case "json":
                click.echo(output.as_json(value))
            case "yaml":
                click.echo(output.as_yaml(value))
            case _:
                output.console().print(view(value))

    def say(self, line: str) -> None:
        """Tell people something beside the result, on standard error."""
        click.echo(line, err=True)

    def confirm(self, question: str, *, yes: bool) -> None:
        """Ask before something that cannot be taken back, when there is a person to ask.

        Raises:
            Refused: the person said no.
        """
        if not yes and sys.stdin.isatty() and not click.confirm(question, err=True):
            raise Refused("you said no", hint="nothing was changed")
