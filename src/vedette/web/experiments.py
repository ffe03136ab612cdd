"""Experiments: the list, and one in four parts: overview, results, health, design."""

from collections.abc import Callable, Mapping

from starlette.responses import Response

from vedette.api.problems import kind_of
from vedette.control.experiment_insight import ExperimentExplanation
from vedette.experiments.cuts import Breakdown
from vedette.experiments.machine import Phase
from vedette.experiments.report import ExperimentReport
from vedette.experiments.verdict import STATUSES
from vedette.governance.roles import Permission
from vedette.kernel.errors import NotFound, VedetteError
from vedette.kernel.tables import Table
from vedette.stats.cautions import CAUTIONS
from vedette.store.experiments import ExperimentLook, StoredExperiment
from vedette.web import experiment_pictures as pictures
from vedette.web.ask import Ask, Way, as_csv, as_json
from vedette.web.experiment_plans import design_of
from vedette.web.experiment_verbs import DONE, buttons

TABS: Mapping[str, str] = {"overview": "Overview", "results": "Results", "health": "Health", "design": "Design"}
SHOWN = 25
TONES: Mapping[str, tuple[str, str, str]] = {
    "winner": ("good", "ok", "winner"),
    "tied": ("good", "ok", "tied"),
    "continue": ("moving", "run", "going on"),
    "stop_futility": ("look", "hold", "hardly worth going on"),
    "guardrail_breach": ("bad", "stop", "guardrail broken"),
    "invalid_srm": ("bad", "warn", "broken split"),
    "insufficient": ("idle", "wait", "too little yet"),
}


def list_(ask: Ask) -> Response:
    """List experiments, the newest first."""
    said, domain = ask.query("phase"), ask.query("domain")[:63]
    phase = Phase(said) if said in set(Phase) else None
    page = ask.plane.experiments.page(domain=domain or None, phase=phase, after=ask.query("after") or None, limit=SHOWN)
    verdicts = {it.id: _last(ask, it) for it in page.items}
    return ask.page(
        "experiments.html", page=page, phase=phase, domain=domain, phases=list(Phase), verdicts=verdicts, tones=TONES
    )


def _last(ask: Ask, it: StoredExperiment) -> ExperimentLook | None:
    found = ask.plane.experiments.looks(it.id, limit=1, newest_first=True).items
    return found[0] if found else None


def show(ask: Ask) -> Response:
    """Show one experiment, one of its parts."""
    return render(ask)


def render(ask: Ask, *, error: VedetteError | None = None) -> Response:
    """Show one experiment, with what kept the last action from happening, if anything did."""
    it = ask.plane.experiments.get(ask.path["ref"])
    tab = ask.query("tab") if ask.query("tab") in TABS else "overview"
    explained, trouble = _explained(ask, it)
    report = explained.report if explained else None
    shared = {
        "it": it,
        "tab": tab,
        "tabs": TABS,
        "error": error,
        "done": DONE.get(ask.query("done"), ""),
        "explained": explained,
        "trouble": trouble,
        "report": report,
        "banner": banner(it, report),
        "buttons": buttons(it, report, may=ask.may(Permission.OPERATE)),
        "roles": {use.metric: use.role for use in it.spec.metrics},
    }
    parts: Mapping[str, Callable[[Ask, StoredExperiment, ExperimentReport | None], dict[str, object]]] = {
        "overview": _overview,
        "results": _results,
        "health": _health,
        "design": design_of,
    }
    status = kind_of(error).status if error else 200
    return ask.page(f"experiment_{tab}.html", status=status, **shared, **parts[tab](ask, it, report))


def _explained(ask: Ask, it: StoredExperiment) -> tuple[ExperimentExplanation | None, str]:
    try:
        return ask.plane.experiments.explain(it.id), ""
    except VedetteError as error:
        return None, str(error)


def banner(it: StoredExperiment, report: ExperimentReport | None) -> dict[str, str]:
    """Say in one sentence what is known, or what is missing for it."""
    if it.status.conclusion is not None:
        end = it.status.conclusion
        head = f"{end.winner} won" if end.winner else "Nobody won"
        return {"tone": "good", "sign": "ok", "head": head, "said": f"decided by {end.by}: {end.because}"}
    if report is None:
        said = {
            Phase.DRAFT: "It is a draft: start it to expose units to it.",
            Phase.ARCHIVED: "It was put away.",
        }.get(it.status.phase, "Nothing was seen of it yet.")
        return {"tone": "moving", "sign": "wait", "head": it.status.phase.capitalize(), "said": said}
    tone, sign, word = TONES[report.verdict.status]
    return {"tone": tone, "sign": sign, "head": word.capitalize(), "said": report.verdict.sentence}


def _overview(ask: Ask, it: StoredExperiment, report: ExperimentReport | None) -> dict[str, object]:
    return {
        "forest": pictures.forest(report, it.spec.alpha) if report else None,
        "standings": pictures.standings(report) if report else [],
        "decisions": ask.plane.experiments.decisions(it.id, limit=50, newest_first=True).items,
        "weights": pictures.weights(it, ask.plane.instruments.now()),
    }


def _results(ask: Ask, it: StoredExperiment, report: ExperimentReport | None) -> dict[str, object]:
    looks = pictures.thinned(ask.plane.experiments.looks(it.id, limit=1000, newest_first=True).items)
    dimension = ask.query("by") if ask.query("by") in it.spec.dimensions else ""
    breakdown: Breakdown | None = None
    trouble = ""
    if dimension:
        try:
            breakdown = ask.plane.experiments.breakdown(it.id, dimension)
        except VedetteError as failed:
            trouble = str(failed)
    rows = report.comparisons if report else ()
    cautions = sorted({code for row in rows for code in row.warnings})
    guarded = {use.metric for use in it.spec.metrics if use.role == "guardrail"}
    return {
        "forest": pictures.forest(report, it.spec.alpha) if report else None,
        "ranks": pictures.ranks(report) if report else None,
        "sequence": pictures.sequence(looks),
        "compared": [row for row in rows if row.metric not in guarded],
        "guarded": [row for row in rows if row.metric in guarded],
        "cautions": [(code, CAUTIONS[code]) for code in cautions],
        "dimension": dimension,
        "breakdown": breakdown,
        "cut_trouble": trouble,
    }


def _health(ask: Ask, it: StoredExperiment, report: ExperimentReport | None) -> dict[str, object]:
    interactions: tuple[object, ...] = ()
    trouble = ""
    if it.status.started_at is not None and not it.spec.offline:
        try:
            interactions = ask.plane.experiments.interactions(it.id)
        except VedetteError as failed:
            trouble = str(failed)
    return {
        "splits": pictures.splits(it, report),
        "interactions": interactions,
        "interaction_trouble": trouble,
        "meaning": STATUSES[report.verdict.status] if report else "",
        "looks": ask.plane.experiments.looks(it.id, limit=20, newest_first=True).items,
        "tones": TONES,
    }


def document(ask: Ask) -> Response:
    """Give the experiment as the API does."""
    return as_json(ask.plane.experiments.get(ask.path["ref"]))


def sheet(ask: Ask) -> Response:
    """Give one of the experiment's tables as CSV."""
    made = _SHEETS.get(ask.path["sheet"])
    if made is None:
        raise NotFound(f"there is no table {ask.path['sheet']!r} of an experiment")
    it = ask.plane.experiments.get(ask.path["ref"])
    return as_csv(f"{it.name}-{ask.path['sheet']}", made(ask, it))


def _comparisons(ask: Ask, it: StoredExperiment) -> Table:
    found = ask.plane.experiments.results(it.id).comparisons
    names = (
        "metric", "treatment", "reference", "effect", "low", "high", "relative_effect", "relative_low",
        "relative_high", "p_value", "p_adjusted", "kind", "method",
    )  # fmt: skip
    return Table(names, tuple(tuple(getattr(row, name) for name in names) for row in found))


def _arms(ask: Ask, it: StoredExperiment) -> Table:
    return ask.plane.experiments.results(it.id).table()


def _looks(ask: Ask, it: StoredExperiment) -> Table:
    found = ask.plane.experiments.looks(it.id, limit=1000).items
    rows = tuple(
        (look.at, look.units, look.verdict, row.metric, row.treatment, row.reference, row.effect, row.low, row.high,
         row.relative_effect, row.relative_low, row.relative_high, row.p_adjusted)
        for look in found
        for row in look.report.comparisons
    )  # fmt: skip
    columns = (
        "at", "units", "verdict", "metric", "treatment", "reference", "effect", "low", "high", "relative effect",
        "relative low", "relative high", "p adjusted",
    )  # fmt: skip
    return Table(columns, rows)


def _decisions(ask: Ask, it: StoredExperiment) -> Table:
    found = ask.plane.experiments.decisions(it.id, limit=1000).items
    rows = tuple((one.at, one.epoch, one.phase, one.actor, one.decision.action, one.decision.sentence) for one in found)
    return Table(("at", "epoch", "phase", "actor", "action", "reasons"), rows)


def _breakdown(ask: Ask, it: StoredExperiment) -> Table:
    return ask.plane.experiments.breakdown(it.id, ask.query("by")).table()


_SHEETS: Mapping[str, Callable[[Ask, StoredExperiment], Table]] = {
    "comparisons": _comparisons,
    "arms": _arms,
    "looks": _looks,
    "decisions": _decisions,
    "breakdown": _breakdown,
}


def list_sheet(ask: Ask) -> Response:
    """Give the newest thousand experiments as CSV."""
    found = ask.plane.experiments.page(domain=ask.query("domain")[:63] or None, limit=1000).items
    rows = tuple(
        (
            it.name,
            it.domain,
            it.status.phase,
            ", ".join(variant.name for variant in it.spec.variants),
            it.status.conclusion.winner if it.status.conclusion else None,
            it.created_at,
            it.created_by,
            it.status.started_at,
            it.status.ended_at,
        )
        for it in found
    )
    columns = ("experiment", "domain", "phase", "arms", "winner", "created", "by", "started", "ended")
    return as_csv("experiments", Table(columns, rows))


_READ = Permission.READ
WAYS = (
    Way(path="/experiments", view=list_, needs=_READ),
    Way(path="/experiments.csv", view=list_sheet, needs=_READ),
    Way(path="/experiments/{ref}.json", view=document, needs=_READ),
    Way(path="/experiments/{ref}/{sheet}.csv", view=sheet, needs=_READ),
    Way(path="/experiments/{ref}", view=show, needs=_READ),
)
