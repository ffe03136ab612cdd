"""``vedette key``: who may ask the gateways for domains that want keys."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from vedette.cli import names
from vedette.cli.domains import limits_of, more
from vedette.cli.output import ago, card, table, text, when
from vedette.cli.session import Session
from vedette.cli.verbs import WRITES, F, Family, if_match, in_session, page_options, why, yes

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

    from vedette.catalog.key import IssuedKey, Key, KeySpec
    from vedette.store.pages import Page

key = Family(
    "key",
    help="Make, change and revoke keys of callers; a domain asks for them once its access is keys.",
    examples=(
        "vedette key create mobile-app --domain payments",
        "vedette domain update payments --access keys",
        "vedette key update mobile-app --expires 90d",
        "vedette key revoke mobile-app --yes",
    ),
)


_NEVER = "never"
_RATES = ("requests_per_minute", "tokens_per_minute")


def _spec_options(function: F) -> F:
    """Add what a user can say of a key."""
    options = (
        click.option(
            "--domain",
            "domains",
            multiple=True,
            shell_complete=names.domain,
            help="It is for this one; repeatable. A new key without is for all.",
        ),
        click.option("--requests-per-minute", type=click.IntRange(min=0), help="Over all its domains; 0: no limit."),
        click.option("--tokens-per-minute", type=click.IntRange(min=0), help="Over all its domains; 0: no limit."),
        click.option(
            "--expires",
            metavar="WHEN",
            help="How long it is good from now, such as 90d; or a date (its beginning in UTC), a time with its offset, "
            "or never.",
        ),
        click.option("--note", help="Anything worth knowing."),
    )
    for option in reversed(options):
        function = option(function)
    return function


def _changed(spec: "KeySpec", domains: tuple[str, ...], given: dict[str, Any]) -> "KeySpec":
    """Lay the flags that were given over what is said of a key."""
    from vedette.catalog.key import expiry_of
    from vedette.kernel.records import evolve

    said = {name: value for name, value in given.items() if value is not None}
    changes: dict[str, Any] = {"note": said["note"]} if "note" in said else {}
    if domains:
        changes["domains"] = tuple(dict.fromkeys(domains))
    if limits := {name: said[name] for name in _RATES if name in said}:
        changes["limits"] = evolve(spec.limits, **limits)
    if "expires" in said:
        changes["expires_at"] = None if said["expires"] == _NEVER else expiry_of(said["expires"], datetime.now(UTC))
    return evolve(spec, **changes)


@key.command(
    "create",
    takes=WRITES,
    examples=(
        "vedette key create mobile-app --domain payments --domain legal --expires 90d",
        "vedette key create batch --requests-per-minute 60",
    ),
)
@click.argument("name", help="A new name for it.")
@_spec_options
@in_session
def create(session: Session, name: str, domains: tuple[str, ...], **given: Any) -> None:  # noqa: ANN401 - flags
    """Make a key and show its secret, this once: it is kept nowhere."""
    from vedette.catalog.key import KeySpec

    spec = _changed(KeySpec(), domains, given)
    with session.open(create=True) as plane:
        session.show(plane.keys.create(name, spec, actor=session.actor), _issued)


@key.command("list", examples=("vedette key list", "vedette key list -o json"))
@page_options
@in_session
def list_(session: Session, limit: int, after: str | None) -> None:
    """List keys by name, revoked ones too; a ``!`` marks those that end within 14 days."""
    with session.open() as plane:
        page = plane.keys.page(after=after, limit=limit)
    session.show(page, _list)
    more(session, page)


@key.command(
    "update",
    takes=WRITES,
    examples=(
        "vedette key update mobile-app --expires 90d",
        "vedette key update batch --domain payments --requests-per-minute 120",
        "vedette key update batch --all-domains --expires never --if-match 3",
    ),
)
@click.argument("name", shell_complete=names.key, help="Its name, or its id.")
@_spec_options
@click.option("--all-domains", is_flag=True, help="It is for all domains from now on.")
@if_match
@in_session
def update(
    session: Session,
    name: str,
    domains: tuple[str, ...],
    all_domains: bool,  # noqa: FBT001 - a flag
    if_match: int | None,
    **given: Any,  # noqa: ANN401 - flags
) -> None:
    """Change what is given of a key and keep the rest, its secret too; gateways follow as with a new key."""
    from vedette.kernel.records import evolve

    if domains and all_domains:
        raise click.UsageError("--domain and --all-domains exclude each other")
    with session.open() as plane:
        known = plane.keys.get(name)
        spec = _changed(evolve(known.spec, domains=()) if all_domains else known.spec, domains, given)
        revision = if_match or known.revision
        changed = plane.keys.update(known.name, spec, actor=session.actor, expected_revision=revision)
    session.show(changed, _card)


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
    now = datetime.now(UTC)
    rows = [
        (
            k.name,
            k.id,
            ", ".join(k.spec.domains) or "all",
            k.created_by,
            when(k.created_at),
            _end(k, now),
            when(k.revoked_at),
        )
        for k in page.items
    ]
    return table(("KEY", "ID", "DOMAINS", "BY", "MADE", "ENDS", "REVOKED"), rows)


def _end(found: "Key", now: datetime) -> "Text | str":
    """Say when a key ends, with a mark if that is soon; nothing of one that does not, or is over already."""
    from vedette.catalog.key import KeyState

    ends, state = found.spec.expires_at, found.state_at(now)
    if ends is None or state is KeyState.REVOKED:
        return ""
    exact = f"{ends.astimezone():%Y-%m-%d %H:%M %Z}"
    if state is KeyState.EXPIRED:
        return text(f"expired {ago(ends)}, {exact}", "red")
    soon = state is KeyState.ENDING
    return text(f"{'! ' if soon else ''}expires {ago(ends)}, {exact}", "yellow" if soon else "")


def _rows(found: "Key") -> tuple[tuple[str, object], ...]:
    return (
        ("key", found.name),
        ("id", found.id),
        ("revision", found.revision),
        ("domains", ", ".join(found.spec.domains) or "all"),
        ("limits", limits_of(found.spec.limits)),
        ("note", found.spec.note),
        ("made", f"{when(found.created_at)} by {found.created_by}"),
        ("ends", _end(found, datetime.now(UTC))),
        ("revoked", f"{when(found.revoked_at)} by {found.revoked_by}" if found.revoked_at else ""),
    )


def _card(found: "Key") -> "Table":
    return card(_rows(found))


def _issued(found: "IssuedKey") -> "Table":
    return card((*_rows(found.key), ("secret", found.secret)))
