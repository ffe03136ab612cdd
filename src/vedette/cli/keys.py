"""``vedette key``: who may ask the gateways for domains that want keys."""

from typing import TYPE_CHECKING

import click

from vedette.cli import names
from vedette.cli.domains import limits_of, more
from vedette.cli.output import card, table, when
from vedette.cli.session import Session
from vedette.cli.verbs import WRITES, Family, in_session, page_options, why, yes

if TYPE_CHECKING:
    from rich.table import Table

    from vedette.catalog.key import IssuedKey, Key
    from vedette.store.pages import Page

key = Family(
    "key",
    help="Make and revoke keys of callers; a domain asks for them once its access is keys.",
    examples=(
        "vedette key create mobile-app --domain payments",
        "vedette domain update payments --access keys",
        "vedette key revoke mobile-app --yes",
    ),
)


@key.command(
    "create",
    takes=WRITES,
    examples=(
        "vedette key create mobile-app --domain payments --domain legal",
        "vedette key create batch --requests-per-minute 60",
    ),
)
@click.argument("name", help="A new name for it.")
@click.option(
    "--domain",
    "domains",
    multiple=True,
    shell_complete=names.domain,
    help="It is for this one; repeatable. Default: all",
)
@click.option("--requests-per-minute", type=click.IntRange(min=1), help="Over all its domains. Default: no limit")
@click.option("--tokens-per-minute", type=click.IntRange(min=1), help="Over all its domains. Default: no limit")
@click.option("--note", default="", help="Anything worth knowing.")
@in_session
def create(
    session: Session,
    name: str,
    domains: tuple[str, ...],
    requests_per_minute: int | None,
    tokens_per_minute: int | None,
    note: str,
) -> None:
    """Make a key and show its secret, this once: it is kept nowhere."""
    from vedette.catalog.key import KeySpec
    from vedette.catalog.limits import Rates

    limits = Rates(requests_per_minute=requests_per_minute or 0, tokens_per_minute=tokens_per_minute or 0)
    spec = KeySpec(domains=domains, limits=limits, note=note)
    with session.open(create=True) as plane:
        session.show(plane.keys.create(name, spec, actor=session.actor), _issued)


@key.command("list", examples=("vedette key list", "vedette key list -o json"))
@page_options
@in_session
def list_(session: Session, limit: int, after: str | None) -> None:
    """List keys by name, revoked ones too."""
    with session.open() as plane:
        page = plane.keys.page(after=after, limit=limit)
    session.show(page, _list)
    more(session, page)


@key.command("revoke", takes=WRITES, examples=("vedette key revoke mobile-app --why 'it leaked' --yes",))
@click.argument("name", shell_complete=names.key, help="Its name, or its id.")
@why
@yes
@in_session
def revoke(session: Session, name: str, why: str, yes: bool) -> None:  # noqa: FBT001 - a flag
    """Take a key back; gateways refuse it from their next look at the plans on."""
    with session.open() as plane:
        found = plane.keys.get(name)
        session.confirm(f"Revoke key {found.name}? Its callers are refused at once.", yes=yes)
        session.show(plane.keys.revoke(found.name, actor=session.actor, why=why), _card)


def _list(page: "Page[Key]") -> "Table":
    rows = [
        (k.name, k.id, ", ".join(k.spec.domains) or "all", k.created_by, when(k.created_at), when(k.revoked_at))
        for k in page.items
    ]
    return table(("KEY", "ID", "DOMAINS", "BY", "MADE", "REVOKED"), rows)


def _rows(found: "Key") -> tuple[tuple[str, object], ...]:
    return (
        ("key", found.name),
        ("id", found.id),
        ("domains", ", ".join(found.spec.domains) or "all"),
        ("limits", limits_of(found.spec.limits)),
        ("note", found.spec.note),
        ("made", f"{when(found.created_at)} by {found.created_by}"),
        ("revoked", f"{when(found.revoked_at)} by {found.revoked_by}" if found.revoked_at else ""),
    )


def _card(found: "Key") -> "Table":
    return card(_rows(found))


def _issued(found: "IssuedKey") -> "Table":
    return card((*_rows(found.key), ("secret", found.secret)))
