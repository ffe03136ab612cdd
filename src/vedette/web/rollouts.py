"""Rollouts: the list, one in full, and what of it can be taken away as CSV or JSON."""

from starlette.responses import Response

from vedette.control.rollout_story import Story, story, tracks
from vedette.governance.roles import Permission
from vedette.kernel.errors import NotFound, VedetteError
from vedette.kernel.tables import Table
from vedette.web.ask import Ask, Way, as_csv, as_json
from vedette.web.rollout_pictures import arms, ladder, tiles, timescale, weight_chart
from vedette.web.rollout_verbs import DONE, buttons, command

SHOWN = 25
_FIGURES = ("metric", "finding", "canary", "stable", "ratio", "low", "high", "logE", "samples", "alpha", "tolerance")


def list_(ask: Ask) -> Response:
    """List rollouts, the newest first."""
    active, domain = ask.query("active") == "1", ask.query("domain")[:63]
    page = ask.plane.canary.page(domain=domain or None, active=active, after=ask.query("after") or None, limit=SHOWN)
    return ask.page("rollouts.html", page=page, active=active, domain=domain)


def list_sheet(ask: Ask) -> Response:
    """Give the newest thousand rollouts as CSV."""
    page = ask.plane.canary.page(domain=ask.query("domain")[:63] or None, active=ask.query("active") == "1", limit=1000)
    columns = (
        "rollout",
        "id",
        "domain",
        "version",
        "phase",
        "step",
        "steps",
        "weight percent",
        "because",
        "created",
        "by",
        "ended",
    )
    rows = tuple(
        (
            it.name,
            it.id,
            it.domain,
            it.spec.version,
            it.status.phase,
            it.status.step + 1,
            len(it.spec.steps),
            it.status.weight,
            it.status.because,
            it.created_at,
            it.created_by,
            it.status.ended_at,
        )
        for it in page.items
    )
    return as_csv("rollouts", Table(columns, rows))


def show(ask: Ask) -> Response:
    """Show one rollout."""
    return render(ask)


def render(ask: Ask, *, error: VedetteError | None = None, status: int = 200) -> Response:
    """Show one rollout, with what kept the last action from happening, if anything did."""
    told = story(ask.plane, ask.path["ref"])
    it = told.rollout
    scale = timescale(told)
    return ask.page(
        "rollout.html",
        status=status,
        told=told,
        it=it,
        error=error,
        done=DONE.get(ask.query("done"), ""),
        banner=banner(told),
        ladder=ladder(told),
        tiles=tiles(told, scale),
        arms=arms(told),
        weights=weight_chart(told),
        buttons=buttons(told, may=ask.may(Permission.OPERATE)),
        command=command(it),
    )


def banner(told: Story) -> dict[str, object]:
    """Say where a rollout is in one sentence, with the tone of it."""
    it, found = told.rollout, told.explanation
    tone = {"promoted": "good", "aborted": "bad", "undone": "bad", "paused": "act"}.get(it.status.phase, "moving")
    if it.status.phase in {"promoted", "aborted", "undone"}:
        last = told.decisions[0].decision.sentence if told.decisions else ""
        reasons = [it.status.because or last]
    elif found is not None:
        reasons = [reason.message for reason in found.now.reasons]
    else:
        reasons = [it.status.because]
    heads = {
        "promoted": f"{it.spec.version} serves everyone",
        "aborted": f"{it.spec.version} was taken back",
        "undone": f"{it.spec.version} was undone",
        "paused": "It stands still",
        "pending": "It waits to begin",
        "progressing": "It is on its way",
    }
    return {"tone": tone, "head": heads[it.status.phase], "reasons": [said for said in reasons if said]}


def document(ask: Ask) -> Response:
    """Give the rollout as the API does."""
    return as_json(ask.plane.canary.get(ask.path["ref"]))


def sheet(ask: Ask) -> Response:
    """Give one of the rollout's tables as CSV."""
    name, ref = ask.path["sheet"], ask.path["ref"]
    made = {"evidence": _evidence, "decisions": _decisions, "steps": _steps}.get(name)
    if made is None:
        raise NotFound(f"there is no table {name!r} of a rollout")
    return as_csv(f"{ask.plane.canary.get(ref).name}-{name}", made(ask, ref))


def _evidence(ask: Ask, ref: str) -> Table:
    columns = ("at", "watched", "step", "weight percent", *_FIGURES)
    rows = tuple(
        (point.at, point.watched, point.step + 1, point.weight, *(verdict.get(name) for name in _FIGURES))
        for point in tracks(ask.plane, ref)
        for verdict in point.verdicts
    )
    return Table(columns, rows)


def _decisions(ask: Ask, ref: str) -> Table:
    page = ask.plane.canary.decisions(ref, limit=1000)
    rows = tuple(
        (it.at, it.attempt, it.step + 1, it.weight, it.phase, it.actor, it.decision.action, it.decision.sentence)
        for it in page.items
    )
    return Table(("at", "attempt", "step", "weight percent", "phase", "actor", "action", "reasons"), rows)


def _steps(ask: Ask, ref: str) -> Table:
    found = ask.plane.canary.analytics(ref)
    rows = tuple(
        (it.attempt, it.step + 1, it.weight, it.since, it.seconds, it.canary_requests, it.stable_requests)
        for it in found.steps
    )
    columns = ("attempt", "step", "weight percent", "since", "seconds", "canary requests", "stable requests")
    return Table(columns, rows)


_READ = Permission.READ
WAYS = (
    Way(path="/rollouts", view=list_, needs=_READ),
    Way(path="/rollouts.csv", view=list_sheet, needs=_READ),
    Way(path="/rollouts/{ref}.json", view=document, needs=_READ),
    Way(path="/rollouts/{ref}/{sheet}.csv", view=sheet, needs=_READ),
    Way(path="/rollouts/{ref}", view=show, needs=_READ),
)
