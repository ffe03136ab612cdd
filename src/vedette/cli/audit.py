"""``vedette audit``: who did what, and the proof that the record is whole."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vedette.cli import names
from vedette.cli.domains import more
from vedette.cli.output import as_json, table, text, when
from vedette.cli.session import Session
from vedette.cli.verbs import Family, in_session, page_options
from vedette.cli.versions import moment
from vedette.kernel.errors import Corrupt, Unavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import RenderableType
    from rich.table import Table

    from vedette.governance.audit import AuditEntry, Finding
    from vedette.store.pages import Page

audit = Family(
    "audit",
    help="Read the audit log and prove that nothing in it was changed, removed or reordered.",
    examples=("vedette audit list --domain payments", "vedette audit verify"),
)


@audit.command(
    "list",
    examples=(
        "vedette audit list --limit 20",
        "vedette audit list --domain payments --action rollout.abort --since 2026-03-01",
    ),
)
@click.option("--domain", shell_complete=names.domain, help="Only about this domain.")
@click.option("--by", metavar="ACTOR", help="Only by this actor.")
@click.option("--action", metavar="NOUN.VERB", help="Only this action, such as rollout.abort; rollout. is all.")
@click.option("--resource", metavar="KIND/ID", help="Only about this, such as domain/payments.")
@click.option("--since", metavar="TIME", help="From this time on.")
@click.option("--until", metavar="TIME", help="Before this time.")
@click.option("--oldest-first", is_flag=True, help="In the order it happened.")
@page_options
@in_session
def list_(
    session: Session,
    by: str | None,
    since: str | None,
    until: str | None,
    oldest_first: bool,  # noqa: FBT001 - a flag
    **given: Any,  # noqa: ANN401 - the other flags
) -> None:
    """List entries, the newest first."""
    with session.open() as plane:
        page = plane.governance.entries(
            actor=by,
            since=moment(since) if since else None,
            until=moment(until) if until else None,
            newest_first=not oldest_first,
            **given,
        )
    session.show(page, _list)
    more(session, page)


@audit.command(
    "verify",
    examples=("vedette audit verify", "vedette audit verify --checkpoint 812:9f0c… # as `audit head` printed it then"),
)
@click.option(
    "--checkpoint", metavar="SEQUENCE:HASH", help="An end of the chain you wrote down; - reads it from stdin."
)
@in_session
def verify(session: Session, checkpoint: str | None) -> None:
    """Check the whole chain; name every entry that was edited, removed, reordered or forged."""
    from vedette.governance.audit import Head

    known = sys.stdin.read() if checkpoint == "-" else checkpoint
    with session.open() as plane:
        findings = plane.governance.verify(Head.parse(known) if known else None)
        head = plane.governance.head()
    if not findings:
        session.show({"sound": True, "head": str(head), "findings": []}, lambda _: text(f"sound, to {head}"))
        return
    session.show({"sound": False, "head": str(head), "findings": findings}, lambda _: _findings(findings))
    said = f"{findings[0].message}" + (f" (and {len(findings) - 1} more)" if len(findings) > 1 else "")
    raise Corrupt(f"the audit log is not as it was written: {said}", hint="compare with a backup or an export")


@audit.command("export", examples=("vedette audit export > audit.jsonl", "vedette audit export --file audit.jsonl"))
@click.option("--file", type=click.Path(path_type=Path, dir_okay=False), help="Default: standard output")
@click.option("--since", metavar="TIME", help="From this time on.")
@click.option("--until", metavar="TIME", help="Before this time.")
@in_session
def export(session: Session, file: Path | None, since: str | None, until: str | None) -> None:
    """Write every entry as one line of JSON, in order."""
    first, last = (moment(given) if given else None for given in (since, until))
    with session.open() as plane:
        entries = plane.governance.export(since=first, until=last)
        if file is None:
            for entry in entries:
                click.echo(as_json(entry, indent=None))
            return
        try:
            with file.open("w", encoding="utf-8") as target:
                count = sum(1 for entry in entries if target.write(as_json(entry, indent=None) + "\n"))
        except OSError as error:
            raise Unavailable(f"cannot write {file}: {error.strerror}") from error
    session.say(f"{count} entries written to {file}")


@audit.command("head", examples=("vedette audit head > checkpoint.txt",))
@in_session
def head(session: Session) -> None:
    """Print the end of the chain: keep it elsewhere, and verify can prove nothing was cut off."""
    with session.open() as plane:
        found = plane.governance.head()
    if session.settings.output == "table":
        click.echo(str(found))
    else:
        session.show(found, str)


def _list(page: "Page[AuditEntry]") -> "Table":
    rows = [(e.sequence, when(e.at), e.actor, e.action, e.domain, e.resource) for e in page.items]
    return table(("ENTRY", "AT", "ACTOR", "ACTION", "DOMAIN", "RESOURCE"), rows)


def _findings(findings: "Sequence[Finding]") -> "RenderableType":
    return table(("ENTRY", "FAULT", "WHAT"), [(f.sequence, text(f.fault, "red"), f.message) for f in findings])
