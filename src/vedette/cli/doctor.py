"""``vedette doctor``: is everything here as it should be, and what to do about what is not."""

from typing import TYPE_CHECKING

import click

from vedette.cli.exits import UNSOUND
from vedette.cli.output import table, text
from vedette.cli.session import Session
from vedette.cli.verbs import READS, Verb

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from vedette.cli.checks import Check

_STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red"}


@click.command(
    "doctor", cls=Verb, takes=READS, examples=("vedette doctor", "vedette doctor --data /srv/vedette -o json")
)
@click.pass_context
def doctor(ctx: click.Context) -> None:
    """Check the data, the record, the gateways, the clock and what is installed; changes nothing."""
    from vedette.cli import checks

    session = ctx.ensure_object(Session)
    found = (
        checks.of_server(session.settings.server, session.settings.token)
        if session.remote
        else checks.of_data(session.settings.data)
    )
    session.show(found, _view)
    failed = [check for check in found if check.result == "fail"]
    if failed:
        session.say(f"{len(failed)} of {len(found)} checks failed")
        ctx.exit(UNSOUND)


def _view(found: "Sequence[Check]") -> "Table":
    rows = [
        (text(c.result, _STYLES[c.result]), c.name, f"{c.message}{f' — {c.hint}' if c.hint else ''}") for c in found
    ]
    return table(("", "CHECK", "FOUND"), rows)
