"""The audit log: what was done by whom, one entry with what it changed, the proof, and all of it to take away."""

from collections.abc import Iterator
from datetime import UTC, datetime

from starlette.responses import Response, StreamingResponse

from vedette.governance.audit import AuditEntry, Finding
from vedette.governance.roles import Permission
from vedette.kernel.documents import adapter
from vedette.kernel.errors import InvalidInput, NotFound
from vedette.kernel.tables import Table
from vedette.store.pages import Page
from vedette.web.ask import Ask, Way, as_csv, as_json
from vedette.web.differences import recorded

SHOWN = 50
_CHECKED_WITHOUT_ASKING = 20_000
"""With more entries than these the chain is checked when somebody asks, not with every page."""


def list_(ask: Ask) -> Response:
    """List entries, the newest first, and say whether the chain is whole."""
    wanted = _wanted(ask)
    trouble = ""
    page: Page[AuditEntry] = Page(items=())
    try:
        page = _page(ask, wanted, after=ask.query("after") or None, limit=SHOWN)
    except InvalidInput as error:
        trouble = str(error)
    head = ask.plane.governance.head()
    check = head.sequence <= _CHECKED_WITHOUT_ASKING or ask.query("verify") == "1"
    findings: tuple[Finding, ...] | None = ask.plane.governance.verify() if check else None
    return ask.page(
        "audit.html",
        page=page,
        wanted=wanted,
        trouble=trouble,
        head=head,
        findings=findings,
        address=address,
    )


def address(resource: str) -> str:
    """Give the page of what an entry is about; empty when it has none."""
    kind, _, name = resource.partition("/")
    match kind:
        case "rollout" | "experiment" | "domain":
            return f"/{kind}s/{name}"
        case "plan" | "version":
            return f"/domains/{name.partition('/')[0]}"
    return ""


def show(ask: Ask) -> Response:
    """Show one entry: who, what, what it changed, and its place in the chain."""
    entry = _entry(ask)
    return ask.page("audit_entry.html", it=entry, changed=recorded(entry.details), address=address(entry.resource))


def document(ask: Ask) -> Response:
    """Give one entry as the API does."""
    return as_json(_entry(ask))


def _entry(ask: Ask) -> AuditEntry:
    said = ask.path["sequence"]
    number = int(said) if said.isascii() and said.isdigit() and len(said) <= 15 else 0
    found = ask.plane.governance.tail(number - 1)[:1] if number else ()
    if not found or found[0].sequence != number:
        raise NotFound(f"there is no entry {said}")
    return found[0]


def sheet(ask: Ask) -> Response:
    """Give the newest thousand entries that fit as CSV."""
    page = _page(ask, _wanted(ask), after=None, limit=1000)
    rows = tuple(
        (it.sequence, it.at, it.actor, it.action, it.domain, it.resource, str(dict(it.details)), it.entry_hash)
        for it in page.items
    )
    return as_csv("audit", Table(("entry", "at", "actor", "action", "domain", "resource", "details", "hash"), rows))


def export(ask: Ask) -> Response:
    """Give every entry, one JSON document a line: what `vedette audit verify` can check elsewhere."""
    ask.plane.governance.head()

    def lines() -> Iterator[bytes]:
        for entry in ask.plane.governance.export():
            yield adapter(AuditEntry).dump_json(entry, by_alias=True) + b"\n"

    headers = {"Content-Disposition": 'attachment; filename="audit.jsonl"'}
    return StreamingResponse(lines(), media_type="application/x-ndjson", headers=headers)


def _wanted(ask: Ask) -> dict[str, str]:
    return {name: ask.query(name).strip()[:200] for name in ("domain", "actor", "action", "since", "until")}


def _page(ask: Ask, wanted: dict[str, str], *, after: str | None, limit: int) -> Page[AuditEntry]:
    return ask.plane.governance.entries(
        domain=wanted["domain"] or None,
        actor=wanted["actor"] or None,
        action=wanted["action"] or None,
        since=_moment(wanted["since"]),
        until=_moment(wanted["until"]),
        after=after,
        limit=limit,
        newest_first=True,
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
    Way(path="/audit.csv", view=sheet, needs=_READ),
    Way(path="/audit.jsonl", view=export, needs=_READ),
    Way(path="/audit/{sequence}.json", view=document, needs=_READ),
    Way(path="/audit/{sequence}", view=show, needs=_READ),
)
