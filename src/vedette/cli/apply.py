"""``vedette apply``: make what is stored be as documents say."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vedette.cli.output import table, text
from vedette.cli.schedules import read_text
from vedette.cli.session import Session
from vedette.cli.verbs import WRITES, Verb, in_session
from vedette.kernel.errors import InvalidInput, VedetteError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from vedette.control.apply import Applied

_SEPARATOR = "\n---\n"
_ENDINGS = {".yaml", ".yml", ".json"}
_STYLES = {"created": "green", "changed": "yellow", "unchanged": "dim"}


@click.command(
    "apply",
    cls=Verb,
    takes=WRITES,
    examples=(
        "vedette apply -f payments.yaml",
        "vedette apply -f models/ --dry-run          # every .yaml, .yml and .json of a folder",
        "kustomize build . | vedette apply -f -",
    ),
)
@click.option(
    "--file",
    "-f",
    "places",
    multiple=True,
    required=True,
    metavar="PLACE",
    help="File, folder or - for stdin; repeatable.",
)
@click.option("--dry-run", is_flag=True, help="Say what would change and keep nothing.")
@in_session
def apply(session: Session, places: tuple[str, ...], dry_run: bool) -> None:  # noqa: FBT001 - a flag
    """Make domains, versions, rollouts and experiments be as documents say, all of it or nothing."""
    texts = [read_text(path) for place in places for path in _files(place)]
    if not any(written.strip() for written, _ in texts):
        raise InvalidInput(f"{', '.join(places)} holds no documents")
    try:
        applied = session.apply(_SEPARATOR.join(written for written, _ in texts), dry_run=dry_run)
    except VedetteError as error:
        error.message = _placed(error.message, texts)
        raise
    session.show(applied, _view)
    if dry_run:
        session.say("nothing was changed: this was a dry run")


def _placed(message: str, texts: "Sequence[tuple[str, str]]") -> str:
    """Say a place in all texts together as the place in its file."""
    found = re.match(r"<body>:(\d+):(\d+)", message)
    if not found:
        return message
    line = int(found[1])
    for written, source in texts:
        lines = written.count("\n") + 1
        if line <= lines:
            return f"{source}:{line}:{found[2]}{message[found.end() :]}"
        line -= lines + 1
    return message


def _files(place: str) -> list[str]:
    path = Path(place)
    if place == "-" or not path.is_dir():
        return [place]
    return sorted(str(file) for file in path.rglob("*") if file.suffix in _ENDINGS)


def _view(found: "Sequence[Applied]") -> "Table":
    rows = [
        (
            applied.kind,
            applied.name,
            applied.domain,
            text(applied.result, _STYLES[applied.result]),
            ", ".join(applied.changes) if applied.result == "changed" else "",
        )
        for applied in found
    ]
    return table(("KIND", "NAME", "DOMAIN", "RESULT", "CHANGED"), rows)
