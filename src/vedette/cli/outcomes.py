"""``vedette outcomes``: bring what was answered, or judged, elsewhere."""

from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import click

from vedette.cli import names
from vedette.cli.domains import NAME, more
from vedette.cli.output import table, text, when
from vedette.cli.session import Session
from vedette.cli.verbs import WRITES, Family, in_session, page_options, pairs, yes
from vedette.kernel.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.table import Table

    from vedette.evidence.outcome import Outcome
    from vedette.store.pages import Page

_FORMATS = ("csv", "parquet", "jsonl")

outcomes = Family(
    "outcomes",
    help="Bring outcomes and late judgements from elsewhere; list what is kept, and erase what is kept of one unit.",
    examples=(
        "vedette outcomes import history.csv --domain payments --dry-run",
        "vedette outcomes import labels.csv                # an id and measures: late judgements",
    ),
)


def _named(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> "Mapping[str, str]":
    """Read repeated ``name=column`` options; a column alone is its own name."""
    return pairs(ctx, param, [value if "=" in value else f"{value}={value}" for value in values])


@outcomes.command(
    "import",
    examples=(
        "vedette outcomes import history.csv --domain payments --dry-run",
        "vedette outcomes import calls/*.parquet --map at=started --map assigned=model --measure latency_ms=millis",
        "vedette outcomes import labels.csv                # an id and measures: late judgements of what is there",
        "jq -c .events[] log.json | vedette outcomes import - --domain payments --server http://127.0.0.1:8700",
    ),
)
@click.argument("files", nargs=-1, required=True, metavar="FILE...", help="CSV, Parquet or JSON lines; - for stdin.")
@click.option("--domain", default="", shell_complete=names.domain, help="Of every row. Default: a column says it")
@click.option("--assigned", default="", metavar="VERSION", help="By every row. Default: the column assigned or version")
@click.option(
    "--map",
    "columns",
    multiple=True,
    callback=pairs,
    metavar="FIELD=COLUMN",
    help="The column of id, domain, at, assigned, served, status, unit, bucket or plan_revision; repeatable.",
)
@click.option(
    "--measure",
    "measures",
    multiple=True,
    callback=_named,
    metavar="NAME=COLUMN",
    help="A measure, or a column that names it; repeatable. Default: every column of numbers that is nothing else",
)
@click.option(
    "--dimension",
    "dimensions",
    multiple=True,
    callback=_named,
    metavar="NAME=COLUMN",
    help="A dimension, or a column that names it; repeatable. Default: none",
)
@click.option(
    "--format", "form", type=click.Choice(_FORMATS), help="Default: by the file's name; standard input is JSON lines"
)
@click.option(
    "--zone", default="", metavar="NAME", help="Of times that name none, such as UTC; without it they are refused."
)
@click.option(
    "--judgements/--outcomes",
    default=None,
    help="What rows are. Default: judgements where there is but an id and measures",
)
@click.option("--skip-bad", is_flag=True, help="Pass rows over that cannot be read, and count them.")
@click.option("--dry-run", is_flag=True, help="Read everything, say how, and store nothing.")
@click.option(
    "--batch", type=click.IntRange(1, 5000), metavar="N", default=1000, show_default=True, help="Rows stored at once."
)
@in_session
def import_(
    session: Session,
    files: tuple[str, ...],
    domain: str,
    assigned: str,
    columns: dict[str, str],
    measures: dict[str, str],
    dimensions: dict[str, str],
    form: str | None,
    zone: str,
    judgements: bool | None,  # noqa: FBT001 - a flag
    skip_bad: bool,  # noqa: FBT001 - a flag
    dry_run: bool,  # noqa: FBT001 - a flag
    batch: int,
) -> None:
    """Bring rows of files as outcomes or late judgements; each counts once, however often it is brought."""
    from vedette.cli.outcome_import import Import, sentence
    from vedette.evidence.tabular import KNOWN, Said
    from vedette.kernel.ids import check_name
    from vedette.lake.retention import Retention

    if unknown := [name for name in columns if name not in KNOWN]:
        raise InvalidInput(f"--map knows no {unknown[0]!r}", hint=f"it maps {', '.join(KNOWN)}")
    for name in measures:
        check_name(name, "measure")
    said = Said(
        columns=columns,
        measures=measures,
        dimensions=dimensions,
        domain=domain,
        version=assigned,
        zone=_zone(zone) if zone else None,
        judgements=judgements,
    )
    with session.open() as services:
        run = Import(services=services, said=said, size=batch, lenient=skip_bad, dry_run=dry_run, tell=session.say)
        found = run.run(_matching(files), form)  # type: ignore[arg-type]  # click lets no other format pass
    session.show(found, lambda it: text(sentence(it)))
    if found.aged:
        kept = Retention().outcomes.days
        session.say(
            f"{found.aged:,} are older than {kept} days: they count in charts and sums, and are themselves not kept, "
            "unless the server's settings keep outcomes for longer"
        )


@outcomes.command(
    "list",
    examples=(
        "vedette outcomes list payments",
        "vedette outcomes list payments --unit ann@example.com   # what is kept of one unit",
    ),
)
@NAME
@click.option("--unit", default="", help="Only of this unit, as requests name it; the domain has to keep units.")
@page_options
@in_session
def list_(session: Session, domain: str, unit: str, limit: int, after: str | None) -> None:
    """List the outcomes of a domain, or of one of its units, the newest first."""
    with session.open() as services:
        if unit:
            page = services.outcomes.of_unit(domain, unit, after=after, limit=limit)
        else:
            page = services.outcomes.page(domain, after=after, limit=limit)
    session.show(page, _listed)
    more(session, page)


@outcomes.command(
    "erase",
    takes=WRITES,
    examples=(
        "vedette outcomes erase payments --unit ann@example.com --dry-run",
        "vedette outcomes erase payments --unit ann@example.com --yes",
    ),
)
@NAME
@click.option("--unit", required=True, help="As requests name it. It stands in no log and in no record.")
@click.option("--dry-run", is_flag=True, help="Only say how many there are.")
@yes
@in_session
def erase(session: Session, domain: str, unit: str, dry_run: bool, yes: bool) -> None:  # noqa: FBT001 - flags
    """Erase every outcome of one unit, for good; sums of many units, which hold none, stay as they are."""
    with session.open() as services:
        found = services.outcomes.erase_unit(domain, unit, dry_run=True)
        if not dry_run:
            session.confirm(f"Erase {found.outcomes:,} outcomes of that unit in {domain} for good?", yes=yes)
            found = services.outcomes.erase_unit(domain, unit, actor=session.actor)
    session.show(found, lambda it: text(f"{it.outcomes:,} outcomes {'would be' if it.dry_run else 'are'} erased"))


def _listed(page: "Page[Outcome]") -> "Table":
    rows = [(it.id, when(it.at), it.assigned, it.served, it.status, _said(it.measures)) for it in page.items]
    return table(("ID", "AT", "ASSIGNED", "SERVED", "STATUS", "MEASURES"), rows)


def _said(measures: "Mapping[str, float]") -> str:
    return ", ".join(f"{name} {value:g}" for name, value in sorted(measures.items()))


def _matching(files: tuple[str, ...]) -> list[str]:
    from vedette.connectors.frames import matching_files

    return [found for file in files for found in ([file] if file == "-" else matching_files(file))]


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:  # OSError: a folder of zones, such as Europe
        raise InvalidInput(f"{name!r} is no time zone", hint="use an IANA name such as Europe/Berlin") from error
