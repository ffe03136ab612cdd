"""``vedette domain``: the catalogue."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from vedette.cli import names
from vedette.cli.output import card, labels, table, when
from vedette.cli.session import Session
from vedette.cli.verbs import WRITES, F, Family, if_match, in_session, page_options, pairs, yes
from vedette.kernel.records import camel

if TYPE_CHECKING:
    from rich.table import Table

    from vedette.catalog.budget import Budget, Spent
    from vedette.catalog.domain import Domain
    from vedette.catalog.limits import Rates
    from vedette.catalog.version import Tenure
    from vedette.store.domains import DomainRevision
    from vedette.store.pages import Page

domain = Family(
    "domain",
    help="Make and look after domains: fields of questions, each answered by its own model.",
    examples=("vedette domain create payments --title 'Payment questions'", "vedette domain list"),
)
NAME = click.argument("domain", shell_complete=names.domain, help="The domain's name.")


_LIMITS = ("requests_per_minute", "tokens_per_minute", "concurrency")
_LIMIT_OPTIONS = (
    click.option("--requests-per-minute", type=click.IntRange(min=0), help="Of all callers together; 0: no limit."),
    click.option("--tokens-per-minute", type=click.IntRange(min=0), help="Of all callers together; 0: no limit."),
    click.option("--concurrency", type=click.IntRange(min=0), help="Requests answered at once; 0: no limit."),
    click.option("--deadline", metavar="DURATION", help="When an answer must have ended, streams too; 0: none."),
)


def _spec_options(function: F) -> F:
    """Add what a user can say of a domain in flags; metrics take a document (`vedette apply`)."""
    options = [
        click.option("--title", help="What people call it."),
        click.option("--description", help="What it is about."),
        click.option("--label", "labels", multiple=True, callback=pairs, metavar="NAME=VALUE", help="Repeatable."),
        click.option(
            "--unit", type=click.Choice(["user", "header", "request"]), help="What keeps seeing the same version."
        ),
        click.option("--header", metavar="NAME", help="The header that names the unit, for --unit header."),
        click.option("--missing", type=click.Choice(["random", "stable", "reject"]), help="What to do without a unit."),
        click.option("--timeout", metavar="DURATION", help="How long a backend may take, such as 30s."),
        click.option("--retries", type=int, help="How often a failed call is tried again."),
        click.option("--fallback/--no-fallback", default=None, help="Ask stable when the canary fails."),
        *_LIMIT_OPTIONS,
        click.option("--access", type=click.Choice(["open", "keys"]), help="Answer everybody, or callers with a key."),
        click.option(
            "--keep-units/--forget-units",
            default=None,
            help="Keep a pseudonym of its unit with each outcome, so that one unit's can be shown and erased.",
        ),
    ]
    for option in reversed(options):
        function = option(function)
    return function


def _changed(spec: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Lay the flags that were given over a domain's spec, all as plain data."""
    config: dict[str, Any] = {**spec.get("config", {})}
    assignment = {**config.get("assignment", {})}
    said = {name: value for name, value in given.items() if value is not None}
    top: dict[str, Any] = {name: said[name] for name in ("title", "description") if name in said}
    assignment |= {name: said[name] for name in ("unit", "header", "missing") if name in said}
    config |= {name: said[name] for name in ("timeout", "retries", "fallback", "access", "deadline") if name in said}
    if "keep_units" in said:
        config["keepUnits"] = said["keep_units"]
    if limits := {camel(name): said[name] for name in _LIMITS if name in said}:
        config["limits"] = {**config.get("limits", {}), **limits}
    if assignment:
        config["assignment"] = assignment
    return {**spec, **top, "config": config}


@domain.command(
    "create",
    takes=WRITES,
    examples=(
        "vedette domain create payments --title 'Payment questions' --label team=billing",
        "vedette domain create legal --unit header --header x-tenant --timeout 30s",
    ),
)
@NAME
@_spec_options
@in_session
def create(session: Session, domain: str, labels: dict[str, str], **given: Any) -> None:  # noqa: ANN401 - flags
    """Create a domain; it serves nothing until it has a stable version."""
    from vedette.catalog.domain import DomainSpec
    from vedette.kernel.documents import load

    spec = load(DomainSpec, _changed({}, given))
    with session.open(create=True) as plane:
        session.show(plane.domains.create(domain, spec, actor=session.actor, labels=labels), _card)


@domain.command("list", examples=("vedette domain list", "vedette domain list --state archived -o json"))
@click.option("--state", type=click.Choice(["active", "archived", "deleted"]), help="Only these.")
@page_options
@in_session
def list_(session: Session, state: str | None, limit: int, after: str | None) -> None:
    """List domains."""
    from vedette.catalog.lifecycle import DomainState

    with session.open() as plane:
        page = plane.domains.page(state=DomainState(state) if state else None, after=after, limit=limit)
    session.show(page, _list)
    more(session, page)


@domain.command("get", examples=("vedette domain get payments", "vedette domain get payments -o yaml"))
@NAME
@in_session
def get(session: Session, domain: str) -> None:
    """Show a domain and its configuration."""
    with session.open() as plane:
        session.show(plane.domains.get(domain), _card)


@domain.command(
    "update",
    takes=WRITES,
    examples=(
        "vedette domain update payments --timeout 20s",
        "vedette domain update payments --retries 2 --if-match 3",
    ),
)
@NAME
@_spec_options
@if_match
@in_session
def update(  # flags
    session: Session,
    domain: str,
    labels: dict[str, str],
    if_match: int | None,
    **given: Any,  # noqa: ANN401 - flags
) -> None:
    """Change what is given of a domain and keep the rest; makes a new revision."""
    from vedette.catalog.domain import DomainSpec
    from vedette.kernel.documents import dump, load

    with session.open() as plane:
        known = plane.domains.get(domain)
        stated = {"title": known.title, "description": known.description, "config": dump(known.config)}
        changed = plane.domains.update(
            domain,
            load(DomainSpec, _changed(stated, given)),
            actor=session.actor,
            labels={**known.labels, **labels},
            expected_revision=if_match or known.revision,
        )
    session.show(changed, _card)


@domain.command("archive", takes=WRITES, examples=("vedette domain archive payments",))
@NAME
@if_match
@in_session
def archive(session: Session, domain: str, if_match: int | None) -> None:
    """Stop serving a domain and keep everything it has."""
    with session.open() as plane:
        session.show(plane.domains.archive(domain, actor=session.actor, expected_revision=if_match), _card)


@domain.command("restore", takes=WRITES, examples=("vedette domain restore payments",))
@NAME
@if_match
@in_session
def restore(session: Session, domain: str, if_match: int | None) -> None:
    """Serve an archived domain again, with the stable version it had."""
    with session.open() as plane:
        session.show(plane.domains.restore(domain, actor=session.actor, expected_revision=if_match), _card)


@domain.command("delete", takes=WRITES, examples=("vedette domain delete payments", "vedette domain delete old --yes"))
@NAME
@if_match
@yes
@in_session
def delete(session: Session, domain: str, if_match: int | None, yes: bool) -> None:  # noqa: FBT001 - a flag
    """Delete a domain nothing depends on; its audit record stays."""
    with session.open() as plane:
        plane.domains.get(domain)
        session.confirm(f"Delete domain {domain}? This cannot be taken back.", yes=yes)
        session.show(plane.domains.delete(domain, actor=session.actor, expected_revision=if_match), _card)


@domain.command("revisions", examples=("vedette domain revisions payments",))
@NAME
@page_options
@in_session
def revisions(session: Session, domain: str, limit: int, after: str | None) -> None:
    """List every revision of a domain, the newest first."""
    with session.open() as plane:
        page = plane.domains.revisions(domain, after=after, limit=limit)
    session.show(page, _revisions)
    more(session, page)


@domain.command("history", examples=("vedette domain history payments",))
@NAME
@page_options
@in_session
def history(session: Session, domain: str, limit: int, after: str | None) -> None:
    """List which version was stable when, the newest first."""
    with session.open() as plane:
        page = plane.versions.tenures(domain, after=after, limit=limit)
    session.show(page, _tenures)
    more(session, page)


@domain.command("spending", examples=("vedette domain spending payments", "vedette domain spending payments -o json"))
@NAME
@in_session
def spending(session: Session, domain: str) -> None:
    """Show what a domain has used today and this month (in UTC), and what that is of its budgets."""
    with session.open() as plane:
        budgets = plane.domains.get(domain).config.budgets
        spent = tuple(plane.traffic.spending([(domain, "day"), (domain, "month")]))
    session.show(spent, lambda found: _spending(found, budgets))


def more(session: Session, page: "Page[Any]") -> None:
    """Say that a listing goes on."""
    if page.next and session.settings.output == "table":
        session.say(f"there are more: --after {page.next}")


def limits_of(limits: "Rates") -> str:
    """Say what is limited; nothing where nothing is."""
    said = {name: getattr(limits, name, 0) for name in _LIMITS}
    return ", ".join(f"{value} {name.replace('_', ' ')}" for name, value in said.items() if value)


def _list(page: "Page[Domain]") -> "Table":
    rows = [(d.id, d.state, d.revision, d.title, labels(d.labels), when(d.updated_at)) for d in page.items]
    return table(("DOMAIN", "STATE", "REVISION", "TITLE", "LABELS", "CHANGED"), rows)


def _card(found: "Domain") -> "Table":
    config, assignment = found.config, found.config.assignment
    unit = f"header {assignment.header}" if assignment.unit == "header" else assignment.unit
    return card(
        (
            ("domain", found.id),
            ("state", found.state),
            ("revision", found.revision),
            ("title", found.title),
            ("description", found.description),
            ("labels", labels(found.labels)),
            ("unit", f"{unit}; without one: {assignment.missing}"),
            (
                "timeout",
                f"{config.timeout:g}s, {config.retries} retries, fallback {'on' if config.fallback else 'off'}",
            ),
            ("deadline", f"{config.deadline:g}s" if config.deadline else ""),
            ("access", config.access),
            ("limits", limits_of(config.limits)),
            ("outcomes", "with their units' pseudonyms" if config.keep_units else ""),
            ("metrics", ", ".join(metric.name for metric in config.metrics)),
            ("created", when(found.created_at)),
            ("changed", when(found.updated_at)),
        )
    )


def _revisions(page: "Page[DomainRevision]") -> "Table":
    rows = [(r.domain.revision, r.domain.state, r.domain.title, r.actor, when(r.at)) for r in page.items]
    return table(("REVISION", "STATE", "TITLE", "BY", "AT"), rows)


def _tenures(page: "Page[Tenure]") -> "Table":
    rows: Sequence[Sequence[object]] = [(t.version, when(t.since), when(t.until) or "now", t.cause) for t in page.items]
    return table(("VERSION", "SINCE", "UNTIL", "CAUSE"), rows)


def _spending(spent: "Sequence[Spent]", budgets: "Sequence[Budget]") -> "Table":
    def of(each: "Spent") -> str:
        shares = [
            f"{(each.tokens if budget.of == 'tokens' else each.money) / budget.amount:.0%} of {budget.said}"
            for budget in budgets
            if budget.per == each.per
        ]
        return ", ".join(shares)

    rows = [(f"this {s.per}", f"{s.tokens:,.0f}", f"{s.money:,.2f}", of(s), when(s.at)) for s in spent]
    return table(("PERIOD", "TOKENS", "MONEY", "OF BUDGETS", "AS OF"), rows)
