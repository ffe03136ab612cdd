"""``vedette user`` and ``vedette token``: who may come in. They work where the data is, not on a server."""

from datetime import timedelta
from typing import TYPE_CHECKING

import click

from vedette.cli.output import table, when
from vedette.cli.session import Session
from vedette.cli.verbs import Family, in_session, yes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from vedette.store.people import Person, Token

ROLES = ("viewer", "operator", "admin")
_HERE = ("data", "output", "debug", "actor")
_AT = "http://127.0.0.1:8700"

user = Family(
    "user",
    help="People who may sign in to the dashboard.",
    examples=("vedette user invite ada --role operator", "vedette user list"),
)
token = Family(
    "token",
    help="Tokens that let programs in at the control API.",
    examples=("vedette token create ci --role operator", "vedette token revoke ci"),
)
_ROLE = click.option(
    "--role",
    type=click.Choice(ROLES),
    default="viewer",
    show_default=True,
    help="viewer looks; operator changes; admin decides who else may.",
)


@user.command(
    "invite",
    takes=_HERE,
    examples=(
        "vedette user invite ada --role operator",
        "vedette user invite --role admin  # the name is chosen later",
    ),
)
@click.argument("name", default="", help="Who; left out, whoever opens the link chooses.")
@_ROLE
@click.option("--at", metavar="URL", default=_AT, show_default=True, help="Where the dashboard is.")
@in_session
def invite(session: Session, name: str, role: str, at: str) -> None:
    """Print a link that opens once, within a day: it makes a person, or gives one that is there a new password."""
    from vedette.governance.roles import Role

    with session.open_here() as plane:
        secret = plane.people.invite(name, Role(role), actor=session.actor)
    click.echo(f"{at.rstrip('/')}/welcome?key={secret}")


@user.command("list", takes=_HERE, examples=("vedette user list",))
@in_session
def users(session: Session) -> None:
    """List people, those who left too."""
    with session.open_here() as plane:
        session.show(plane.people.everybody(), _people)


@user.command("role", takes=_HERE, examples=("vedette user role ada admin",))
@click.argument("name", help="Who.")
@click.argument("role", type=click.Choice(ROLES), help="What from now on.")
@in_session
def set_role(session: Session, name: str, role: str) -> None:
    """Give a person another role, at once."""
    from vedette.governance.roles import Role

    with session.open_here() as plane:
        session.show((plane.people.set_role(name, Role(role), actor=session.actor),), _people)


@user.command("remove", takes=_HERE, examples=("vedette user remove ada",))
@click.argument("name", help="Who.")
@yes
@in_session
def remove(session: Session, name: str, yes: bool) -> None:  # noqa: FBT001 - a flag
    """Let a person in no more, and end all their sessions; their name stays in the record."""
    with session.open_here() as plane:
        session.confirm(f"Let {name} in no more?", yes=yes)
        session.show((plane.people.leave(name, actor=session.actor),), _people)


@token.command("create", takes=_HERE, examples=("export VEDETTE_TOKEN=$(vedette token create ci --role operator)",))
@click.argument("name", help="What to call it; it acts as token/NAME.")
@_ROLE
@click.option("--days", type=click.IntRange(min=1), help="How long it is good. Default: until it is revoked")
@in_session
def create(session: Session, name: str, role: str, days: int | None) -> None:
    """Make a token and print its secret, which is told this once."""
    from vedette.governance.roles import Role

    lasts = timedelta(days=days) if days else None
    with session.open_here() as plane:
        click.echo(plane.people.create_token(name, Role(role), lasts=lasts, actor=session.actor))


@token.command("list", takes=_HERE, examples=("vedette token list",))
@in_session
def tokens(session: Session) -> None:
    """List tokens, revoked ones too."""
    with session.open_here() as plane:
        session.show(plane.people.tokens(), _tokens)


@token.command("revoke", takes=_HERE, examples=("vedette token revoke ci",))
@click.argument("name", help="Which.")
@in_session
def revoke(session: Session, name: str) -> None:
    """Let a token in no more, at once."""
    with session.open_here() as plane:
        plane.people.revoke_token(name, actor=session.actor)
    session.say(f"{name} lets nobody in any more")


def _people(found: "Sequence[Person]") -> "Table":
    rows = [(it.name, it.role, when(it.created_at), it.created_by, when(it.ended_at)) for it in found]
    return table(("NAME", "ROLE", "SINCE", "INVITED BY", "LEFT"), rows)


def _tokens(found: "Sequence[Token]") -> "Table":
    rows = [
        (it.name, it.role, when(it.created_at), it.created_by, when(it.expires_at), when(it.ended_at)) for it in found
    ]
    return table(("NAME", "ROLE", "SINCE", "MADE BY", "EXPIRES", "REVOKED"), rows)
