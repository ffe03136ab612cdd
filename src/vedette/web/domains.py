"""One domain: where it stands, its versions and where they come from, its traffic, and every revision of its config."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from itertools import pairwise

from starlette.responses import Response

from vedette.api.problems import kind_of
from vedette.catalog.version import ModelVersion
from vedette.charts.chart import Chart
from vedette.charts.sparkline import sparkline
from vedette.charts.timeline import Share, share_timeline
from vedette.control.fleet import stand
from vedette.governance.roles import Permission
from vedette.kernel.documents import dump
from vedette.kernel.errors import NotFound, VedetteError
from vedette.kernel.records import record
from vedette.kernel.tables import Table, say_number, say_percent
from vedette.lake.flows import Flow
from vedette.rollouts.attention import Level
from vedette.routing.plan import FULL
from vedette.store.domains import DomainRevision
from vedette.store.plans import StoredPlan
from vedette.web import domain_cache, domain_shadow
from vedette.web.ask import Ask, Way, as_csv, as_json, go
from vedette.web.differences import Difference, differences
from vedette.web.markup import drawn

MINUTES = 60
_MOST = 50
_DONE = {
    "archive": "It serves nothing now and keeps everything it has.",
    "restore": "It serves again, with the stable version it had.",
    "delete": "It is deleted; its record stays.",
    "install": "The version is stable.",
}


@record
class Lineage:
    """A version and how deep it stands below the versions it came from."""

    version: ModelVersion
    depth: int


@record
class Revision:
    """A revision of the domain, and what differs from the one before."""

    it: DomainRevision
    changed: tuple[Difference, ...]


def show(ask: Ask) -> Response:
    """Show one domain."""
    return _render(ask)


def _render(ask: Ask, *, error: VedetteError | None = None) -> Response:
    plane, name = ask.plane, ask.path["domain"]
    domain = plane.domains.get(name)
    versions = plane.versions.page(name, limit=200).items
    plan = plane.traffic.plan(name)
    plans = plane.traffic.history(name, limit=60).items
    with plane.changes.reading() as connection:
        confirmed = plane.traffic.confirmed(connection, name)
    standing = next((stand(it, ask.plane.instruments.now()) for it in plane.fleet.some({name})), None)
    return ask.page(
        "domain.html",
        status=kind_of(error).status if error else 200,
        error=error,
        done=_DONE.get(ask.query("done"), ""),
        domain=domain,
        standing=standing,
        tone=standing.level.name.lower() if standing else "idle",
        tones={level: level.name.lower() for level in Level},
        aliases=plane.versions.aliases(name),
        lineage=lineage(versions),
        plan=plan,
        confirmed=confirmed,
        plans=plans[:12],
        shares=_shares(plans, ask.plane.instruments.now()),
        tenures=plane.versions.tenures(name, limit=12).items,
        rollouts=plane.canary.page(domain=name, limit=10).items,
        experiments=plane.experiments.page(domain=name, limit=10).items,
        revisions=_revisions(ask, name),
        traffic=_traffic(ask, name),
        may=ask.may(Permission.OPERATE),
        versions=len(versions),
        keys=plane.keys.of_domain(name) if domain.config.access == "keys" else None,
        **domain_cache.figures(ask, domain, plan),
        **domain_shadow.figures(ask, domain),
    )


def _shares(newest_first: tuple[StoredPlan, ...], now: datetime) -> Chart | None:
    """Draw which share of the traffic each version was given over the plans listed; None while there was one plan."""
    plans = newest_first[::-1]
    moments = [*(it.created_at for it in plans), now]
    seconds = [(at - now).total_seconds() for at in moments]
    if len(plans) < 2 or any(later <= earlier for earlier, later in pairwise(seconds)):
        return None
    size, unit = next(((size, unit) for size, unit in _UNITS if -seconds[0] >= 2 * size), (1.0, "seconds"))
    times = [at / size for at in seconds]
    names = dict.fromkeys(name for it in plans for name in (it.plan.stable, _canary(it)) if name)
    given = [*plans, plans[-1]]
    shares = [Share(label=name, values=tuple(_share_of(it, name) for it in given)) for name in names]
    return share_timeline(
        times, shares, title="Who was given which share", axis=f"{unit}, until now", width=430, height=240
    )


_UNITS = ((86_400.0, "days"), (3_600.0, "hours"), (60.0, "minutes"))


def _canary(it: StoredPlan) -> str:
    return it.plan.canary.version if it.plan.canary else ""


def _share_of(it: StoredPlan, name: str) -> float:
    canary = it.plan.weight / FULL if name == _canary(it) else 0.0
    return canary + (1 - it.plan.weight / FULL if name == it.plan.stable else 0.0)


def lineage(versions: tuple[ModelVersion, ...]) -> list[Lineage]:
    """Put versions below those they came from, the newest root first; one whose parent is not listed is a root."""
    known = {it.name for it in versions}
    below: dict[str, list[ModelVersion]] = {}
    for it in versions:
        below.setdefault(it.spec.parent if it.spec.parent in known else "", []).append(it)
    found: list[Lineage] = []
    stack = [(it, 0) for it in reversed(below.get("", []))]
    while stack:
        it, depth = stack.pop()
        found.append(Lineage(version=it, depth=depth))
        stack += [(child, depth + 1) for child in reversed(below.get(it.name, []))]
    return found


def _revisions(ask: Ask, name: str) -> list[Revision]:
    found = ask.plane.domains.revisions(name, limit=_MOST).items
    plain = [{key: value for key, value in dump(it.domain).items() if key not in _OWN} for it in found]
    return [
        Revision(it=it, changed=differences(plain[place + 1], plain[place]) if place + 1 < len(found) else ())
        for place, it in enumerate(found)
    ]


_OWN = {"revision", "updatedAt", "createdAt", "id"}
"""What differs between any two revisions, and says nothing."""


def _traffic(ask: Ask, name: str) -> list[dict[str, object]]:
    """Draw the last hour's requests, errors and latency."""
    now = ask.plane.instruments.now()
    since = now - timedelta(minutes=MINUTES - 1)
    found = ask.plane.lake.flows_by_minute(since, now + timedelta(minutes=1), {name})
    first = int(since.timestamp()) // 60
    flows = [found.get((name, first + place), Flow()) for place in range(MINUTES)]
    last = Flow()
    for flow in flows[-5:]:
        last = last + flow
    figures: list[tuple[str, list[float | None], str]] = [
        ("Requests a minute", [flow.requests for flow in flows], say_number(last.requests / 5)),
        ("Share of errors", [flow.error_rate for flow in flows], say_percent(last.error_rate, signed=False)),
        ("Mean latency", [flow.latency for flow in flows], f"{say_number(last.latency)} ms"),
    ]
    return [
        {
            "name": title,
            "now": said if last.requests else "no traffic now",
            "picture": drawn(sparkline(values, label=f"{title}, last hour; {said} now", width=360, height=64)),
        }
        for title, values, said in figures
    ]


def document(ask: Ask) -> Response:
    """Give the domain as the API does."""
    return as_json(ask.plane.domains.get(ask.path["domain"]))


def sheet(ask: Ask) -> Response:
    """Give one of the domain's tables as CSV."""
    made = _SHEETS.get(ask.path["sheet"])
    if made is None:
        raise NotFound(f"there is no table {ask.path['sheet']!r} of a domain")
    return as_csv(f"{ask.path['domain']}-{ask.path['sheet']}", made(ask, ask.path["domain"]))


def _versions(ask: Ask, name: str) -> Table:
    rows = tuple(
        (
            it.name,
            it.spec.parent,
            it.spec.backend.kind,
            it.spec.training_run,
            it.spec.note,
            it.created_at,
            it.created_by,
        )
        for it in ask.plane.versions.page(name, limit=1000).items
    )
    return Table(("version", "parent", "backend", "training run", "note", "created", "by"), rows)


def _plans(ask: Ask, name: str) -> Table:
    rows = tuple(
        (
            it.plan.revision,
            it.plan.stable,
            it.plan.canary.version if it.plan.canary else None,
            it.plan.weight / 10_000,
            it.rollout,
            it.created_at,
        )
        for it in ask.plane.traffic.history(name, limit=1000).items
    )
    return Table(("plan", "stable", "canary", "weight percent", "rollout", "since"), rows)


def _tenures(ask: Ask, name: str) -> Table:
    rows = tuple(
        (it.version, it.since, it.until, it.cause) for it in ask.plane.versions.tenures(name, limit=1000).items
    )
    return Table(("version", "since", "until", "cause"), rows)


def _changes(ask: Ask, name: str) -> Table:
    rows = tuple(
        (it.it.domain.revision, it.it.at, it.it.actor, one.path, one.before, one.after)
        for it in _revisions(ask, name)
        for one in it.changed
    )
    return Table(("revision", "at", "actor", "field", "before", "after"), rows)


_SHEETS: Mapping[str, Callable[[Ask, str], Table]] = {
    "versions": _versions,
    "plans": _plans,
    "tenures": _tenures,
    "revisions": _changes,
    "cache": domain_cache.sheet,
}


def act(ask: Ask) -> Response:
    """Archive, restore or delete, or install the first version."""
    name, verb, by = ask.path["domain"], ask.path["verb"], ask.by
    verbs: Mapping[str, Callable[[], object]] = {
        "archive": lambda: ask.plane.domains.archive(name, **by),
        "restore": lambda: ask.plane.domains.restore(name, **by),
        "delete": lambda: ask.plane.domains.delete(name, **by),
        "install": lambda: ask.plane.versions.install(name, ask.form.get("version", ""), **by),
    }
    if verb not in verbs:
        raise NotFound(f"{verb!r} is nothing one can do to a domain")
    try:
        verbs[verb]()
    except VedetteError as error:
        return _render(ask, error=error)
    return go(f"/domains/{name}?done={verb}")


_READ = Permission.READ
WAYS = (
    Way(path="/domains/{domain}.json", view=document, needs=_READ),
    Way(path="/domains/{domain}/{sheet}.csv", view=sheet, needs=_READ),
    Way(path="/domains/{domain}/do/{verb}", view=act, needs=Permission.OPERATE, method="POST"),
    Way(path="/domains/{domain}", view=show, needs=_READ),
)
