"""The home page: every domain, what needs a hand, and why."""

from typing import cast, get_args
from urllib.parse import urlencode

from starlette.responses import Response

from vedette.charts.sparkline import sparkline
from vedette.control.fleet import CHIPS, FleetPage, FleetRow, Sort
from vedette.governance.audit import AuditEntry
from vedette.governance.roles import Permission
from vedette.kernel.tables import Table, say_number, say_percent
from vedette.rollouts.attention import Level
from vedette.web.ask import Ask, Way, as_csv
from vedette.web.audit_entry import address
from vedette.web.markup import drawn

SORTS: dict[str, str] = {
    "attention": "what needs a hand",
    "name": "name",
    "traffic": "traffic",
    "errors": "errors",
    "latency": "latency",
    "changed": "last change",
}
_LARGEST_PAGE = 5000


def show(ask: Ask) -> Response:
    """Show the domains that fit what was asked for."""
    wanted = _wanted(ask)
    found = _page(ask, size=50)
    return ask.page(
        "fleet.html",
        found=found,
        rows=[{"it": row, "sparks": _sparks(row)} for row in found.rows],
        chips=[
            {
                "name": name,
                "title": title,
                "count": found.counts[name],
                "url": _url(wanted | {"show": name, "page": ""}),
            }
            for name, title in CHIPS.items()
        ],
        sorts=SORTS,
        wanted=wanted,
        link=lambda **changes: _url(wanted | changes),
        tones={level: level.name.lower() for level in Level},
        lately=_lately(ask),
        address=address,
        empty=not found.counts["all"] and not (wanted["search"] or wanted["label"]),
    )


def _lately(ask: Ask) -> list[AuditEntry]:
    """Give the newest entries that tell how a rollout or an experiment turned."""
    found = ask.plane.governance.entries(limit=100, newest_first=True).items
    return [it for it in found if it.action in _TURNS][:8]


_TURNS = {f"rollout.{verb}" for verb in ("create", "abort", "promote", "pause", "retry", "undo")} | {
    f"experiment.{verb}" for verb in ("start", "notify", "stop", "stop-arm", "decide")
}


def sheet(ask: Ask) -> Response:
    """Give the domains that fit as CSV, all of them."""
    found = _page(ask, size=_LARGEST_PAGE)
    rows = tuple(
        (
            row.domain.id,
            row.domain.title,
            row.standing.word,
            row.standing.why,
            row.domain.stable,
            row.domain.rollout.version if row.domain.rollout else None,
            row.domain.rollout.phase if row.domain.rollout else None,
            row.domain.rollout.weight if row.domain.rollout else None,
            ", ".join(it.name for it in row.domain.experiments),
            row.requests_now,
            row.errors_now,
            row.latency_now,
            row.domain.updated_at,
        )
        for row in found.rows
    )
    columns = (
        "domain",
        "title",
        "standing",
        "why",
        "stable",
        "rollout version",
        "rollout phase",
        "weight percent",
        "experiments",
        "requests per minute",
        "error rate",
        "latency ms",
        "changed",
    )
    return as_csv("fleet", Table(columns, rows))


def _page(ask: Ask, *, size: int) -> FleetPage:
    wanted = _wanted(ask)
    page = int(wanted["page"]) if wanted["page"].isascii() and wanted["page"].isdigit() else 1
    sort = cast("Sort", wanted["sort"] or "attention")
    return ask.plane.fleet.page(
        show=wanted["show"], search=wanted["search"], label=wanted["label"], sort=sort, page=page, size=size
    )


def _wanted(ask: Ask) -> dict[str, str]:
    """Read what the address asks for; what is not known is the usual."""
    sort, show = ask.query("sort"), ask.query("show")
    return {
        "show": show if show in CHIPS else "all",
        "search": ask.query("search").strip()[:200],
        "label": ask.query("label")[:300],
        "sort": sort if sort in get_args(Sort) else "",
        "page": ask.query("page")[:6],
    }


def _url(wanted: dict[str, str]) -> str:
    said = {name: value for name, value in wanted.items() if value and (name, value) != ("show", "all")}
    return f"/?{urlencode(said)}" if said else "/"


def _sparks(row: FleetRow) -> dict[str, object]:
    now = f"{say_number(row.requests_now)} a minute now"
    errors = f"{say_percent(row.errors_now, signed=False)} now"
    latency = f"{say_number(row.latency_now)} ms now"
    return {
        "requests": drawn(sparkline(row.requests, label=f"requests a minute, last half hour: {now}")),
        "errors": drawn(sparkline(row.errors, label=f"share of errors, last half hour: {errors}")),
        "latency": drawn(sparkline(row.latency, label=f"mean latency, last half hour: {latency}")),
    }


WAYS = (
    Way(path="/", view=show, needs=Permission.READ),
    Way(path="/fleet.csv", view=sheet, needs=Permission.READ),
)
