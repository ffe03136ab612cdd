"""The audit log: what was done by whom, one entry with what it changed, the proof, and all of it to take away."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

from starlette.responses import Response, StreamingResponse

from vedette.governance.audit import AuditEntry
from vedette.governance.roles import Permission
from vedette.kernel.documents import adapter
from vedette.kernel.errors import InvalidInput, NotFound
from vedette.kernel.tables import Table
from vedette.store.pages import Page
from vedette.web.ask import Ask, Way, as_json, go, no_formula
from vedette.web.audit_entry import address, changes_of, name_of, proof_of

SHOWN = 50
_CHUNK = 500
NOUNS = {
    "": "Everything",
    "rollout.": "Rollouts",
    "experiment.": "Experiments",
    "domain.": "Domains",
    "version.": "Versions",
    "traffic.": "Traffic plans",
    "person.": "People",
    "token.": "Tokens",
}
"""What the chips choose from: an action that ends in a dot is all of a noun."""
SPANS = {"hour": timedelta(hours=1), "day": timedelta(days=1), "week": timedelta(weeks=1)}
_FILTERS = ("domain", "actor", "action", "resource", "since", "until")
_FLAGS = {name: f"--{'by' if name == 'actor' else name}" for name in _FILTERS}


def list_(ask: Ask) -> Response:
    """List entries, the newest first, and say how far the chain was found whole."""
    wanted = _wanted(ask)
    trouble = ""
    page: Page[AuditEntry] = Page(items=())
    try:
        page = _page(ask, wanted, after=ask.query("after") or None, limit=SHOWN)
    except InvalidInput as error:
        trouble = str(error)
    now = ask.plane.instruments.now()

    def link(**changed: str) -> str:
        return _address("/audit", wanted | changed)

    return ask.page(
        "audit.html",
        status=422 if trouble else 200,
        page=page,
        wanted=wanted,
        trouble=trouble,
        head=ask.plane.governance.head(),
        checked=ask.plane.governance.checked(),
        nouns=NOUNS,
        spans={name: f"{now - span:%Y-%m-%dT%H:%M}" for name, span in SPANS.items()},
        link=link,
        export=lambda kind: _address(f"/audit.{kind}", wanted),
        address=address,
        name_of=name_of,
        command=_command(wanted),
    )


def check(ask: Ask) -> Response:
    """Check the whole chain now, however long it is."""
    ask.plane.governance.checked(anew=True)
    return go("/audit")


def show(ask: Ask) -> Response:
    """Show one entry: who, what, what it changed, and its place in the chain."""
    entry = _entry(ask)
    return ask.page(
        "audit_entry.html",
        it=entry,
        changed=changes_of(ask.plane, entry),
        proof=proof_of(ask.plane, entry),
        address=address(entry.resource),
        name=name_of(entry),
        last=ask.plane.governance.head().sequence,
    )


def document(ask: Ask) -> Response:
    """Give one entry as the API does."""
    return as_json(_entry(ask))


def _entry(ask: Ask) -> AuditEntry:
    said = ask.path["sequence"]
    if not (said.isascii() and said.isdigit() and len(said) <= 15):
        raise NotFound(f"there is no audit entry {said}")
    return ask.plane.governance.entry(int(said))


def sheet(ask: Ask) -> Response:
    """Give every entry that fits as CSV, however many."""
    columns = ("entry", "at", "actor", "action", "domain", "resource", "details", "request", "previous hash", "hash")

    def lines(entries: Iterator[AuditEntry]) -> Iterator[bytes]:
        yield ("\ufeff" + Table(columns, ()).to_csv()).encode()
        for it in entries:
            row = (
                it.sequence,
                it.at,
                it.actor,
                it.action,
                it.domain,
                it.resource,
                json.dumps(it.details, ensure_ascii=False, default=str),
                it.request_id,
                it.previous_hash,
                it.entry_hash,
            )
            yield Table(columns, (tuple(map(no_formula, row)),)).to_csv().partition("\n")[2].encode()

    return _taken_away(lines(_all(ask)), "audit.csv", "text/csv")


def export(ask: Ask) -> Response:
    """Give every entry that fits, one JSON document a line: all of them can be checked elsewhere."""
    made = (adapter(AuditEntry).dump_json(entry, by_alias=True) + b"\n" for entry in _all(ask))
    return _taken_away(made, "audit.jsonl", "application/x-ndjson")


def _taken_away(lines: Iterator[bytes], name: str, kind: str) -> Response:
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingResponse(lines, media_type=kind, headers=headers)


def _all(ask: Ask) -> Iterator[AuditEntry]:
    """Read every entry that fits in its order, a part at a time, so that a slow reader holds nothing up."""
    wanted = _wanted(ask)
    first = _page(ask, wanted, after=None, limit=_CHUNK, newest_first=False)  # what is wrong is said before it begins
    return _following(ask, wanted, first)


def _following(ask: Ask, wanted: dict[str, str], page: Page[AuditEntry]) -> Iterator[AuditEntry]:
    yield from page.items
    while page.next:
        page = _page(ask, wanted, after=page.next, limit=_CHUNK, newest_first=False)
        yield from page.items


def _wanted(ask: Ask) -> dict[str, str]:
    return {name: ask.query(name).strip()[:200] for name in _FILTERS}


def _address(path: str, wanted: dict[str, str]) -> str:
    said = {name: value for name, value in wanted.items() if value}
    return f"{path}?{urlencode(said)}" if said else path


def _command(wanted: dict[str, str]) -> str:
    """Say the command that lists the same."""
    said = [f"{_FLAGS[name]} {_quoted(value)}" for name, value in wanted.items() if value]
    return " ".join(["vedette audit list", *said])


def _quoted(value: str) -> str:
    plain = value.replace("-", "").replace("_", "").replace(".", "").replace("/", "").replace(":", "").isalnum()
    return value if plain and value.isascii() else "'" + value.replace("'", "'\\''") + "'"


def _page(
    ask: Ask, wanted: dict[str, str], *, after: str | None, limit: int, newest_first: bool = True
) -> Page[AuditEntry]:
    return ask.plane.governance.entries(
        domain=wanted["domain"] or None,
        actor=wanted["actor"] or None,
        action=wanted["action"] or None,
        resource=wanted["resource"] or None,
        since=_moment(wanted["since"]),
        until=_moment(wanted["until"]),
        after=after,
        limit=limit,
        newest_first=newest_first,
    )


def _moment(said: str) -> datetime | None:
    """Read a time as forms send it, in UTC; a day alone is its beginning."""
    if not said:
        return None
    try:
        found = datetime.fromisoformat(said)
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        raise InvalidInput(f"{said!r} is no time", hint="write 2026-11-25 or 2026-11-25T17:50") from None


_READ = Permission.READ
WAYS = (
    Way(path="/audit", view=list_, needs=_READ),
    Way(path="/audit/check", view=check, needs=_READ, method="POST"),
    Way(path="/audit.csv", view=sheet, needs=_READ),
    Way(path="/audit.jsonl", view=export, needs=_READ),
    Way(path="/audit/{sequence}.json", view=document, needs=_READ),
    Way(path="/audit/{sequence}", view=show, needs=_READ),
)
