"""The tables of an experiment, to be taken away as CSV."""

from collections.abc import Callable, Mapping
from dataclasses import fields

from starlette.responses import Response

from vedette.control.experiment_story import newest_looks
from vedette.experiments.machine import Phase
from vedette.experiments.report import ArmStanding
from vedette.governance.roles import Permission
from vedette.kernel.errors import NotFound
from vedette.kernel.tables import Table
from vedette.routing.layers import PLACES
from vedette.stats.results import Comparison, Estimate
from vedette.web.ask import Ask, Way, as_csv, as_json
from vedette.web.experiment_facts import splits

_MOST = 1000


def wanted(ask: Ask) -> tuple[str, Phase | None]:
    """Read which experiments the address asks for: of a domain, in a phase; what is not known is all."""
    phase = ask.query("phase")
    return ask.query("domain")[:63], Phase(phase) if phase in set(Phase) else None


def listed(ask: Ask) -> Response:
    """Give the newest thousand experiments that fit as CSV."""
    domain, phase = wanted(ask)
    page = ask.plane.experiments.page(domain=domain or None, phase=phase, limit=_MOST)
    looks = newest_looks(ask.plane, page.items)
    rows = []
    for it in page.items:
        look = looks.get(it.id)
        rows.append(
            (
                it.name,
                it.id,
                it.domain,
                it.status.phase,
                look.verdict if look else None,
                look.report.verdict.sentence if look else None,
                it.status.conclusion.winner if it.status.conclusion else None,
                ", ".join(variant.name for variant in it.spec.variants),
                look.units if look else 0,
                100 * it.status.exposed / PLACES,
                it.spec.layer,
                it.created_at,
                it.created_by,
            )
        )
    columns = (
        "experiment",
        "id",
        "domain",
        "phase",
        "verdict",
        "sentence",
        "winner",
        "arms",
        "units",
        "coverage percent",
        "layer",
        "created",
        "by",
    )
    return as_csv("experiments", Table(columns, tuple(rows)))


def document(ask: Ask) -> Response:
    """Give the experiment as the API does."""
    return as_json(ask.plane.experiments.get(ask.path["ref"]))


def sheet(ask: Ask) -> Response:
    """Give one of the experiment's tables as CSV."""
    made = _SHEETS.get(ask.path["sheet"])
    if made is None:
        raise NotFound(f"there is no table {ask.path['sheet']!r} of an experiment")
    it = ask.plane.experiments.get(ask.path["ref"])
    return as_csv(f"{it.name}-{ask.path['sheet']}", made(ask, it.id))


def _of(kind: type, rows: tuple[object, ...]) -> Table:
    """Give records as they are, a column a field."""
    names = tuple(part.name for part in fields(kind))
    return Table(names, tuple(tuple(getattr(row, name) for name in names) for row in rows))


def _effects(ask: Ask, ref: str) -> Table:
    return _of(Comparison, ask.plane.experiments.results(ref).comparisons)


def _estimates(ask: Ask, ref: str) -> Table:
    return _of(Estimate, ask.plane.experiments.results(ref).estimates)


def _arms(ask: Ask, ref: str) -> Table:
    return _of(ArmStanding, ask.plane.experiments.results(ref).standings)


def _looks(ask: Ask, ref: str) -> Table:
    columns = (
        "at",
        "epoch",
        "units",
        "verdict",
        "split p",
        "metric",
        "treatment",
        "reference",
        "effect",
        "low",
        "high",
        "relative effect",
        "relative low",
        "relative high",
        "p adjusted",
    )
    rows = tuple(
        (
            look.at,
            look.epoch,
            look.units,
            look.verdict,
            look.report.split_p_value,
            row.metric,
            row.treatment,
            row.reference,
            row.effect,
            row.low,
            row.high,
            row.relative_effect,
            row.relative_low,
            row.relative_high,
            row.p_adjusted,
        )
        for look in ask.plane.experiments.looks(ref, limit=_MOST).items
        for row in look.report.comparisons
    )
    return Table(columns, rows)


def _decisions(ask: Ask, ref: str) -> Table:
    page = ask.plane.experiments.decisions(ref, limit=_MOST)
    rows = tuple((it.at, it.epoch, it.phase, it.actor, it.decision.action, it.decision.sentence) for it in page.items)
    return Table(("at", "epoch", "phase", "actor", "action", "reasons"), rows)


def _split(ask: Ask, ref: str) -> Table:
    it = ask.plane.experiments.get(ref)
    found = splits(it, ask.plane.lake.experiment(it.domain, it.id))
    rows = tuple((row.epoch, row.arm, row.intended, row.realised, row.requests, row.expected) for row in found)
    return Table(("epoch", "arm", "intended", "realised", "requests", "expected"), rows)


def _breakdown(ask: Ask, ref: str) -> Table:
    return ask.plane.experiments.breakdown(ref, ask.query("by")[:100]).table()


def _interactions(ask: Ask, ref: str) -> Table:
    found = ask.plane.experiments.interactions(ref)
    columns = (
        "other",
        "metric",
        "treatment",
        "other treatment",
        "units",
        "effect",
        "low",
        "high",
        "p",
        "p adjusted",
        "missing",
    )
    rows = tuple(
        (
            it.other,
            it.metric,
            it.treatment,
            it.other_treatment,
            it.units,
            it.effect,
            it.low,
            it.high,
            it.p_value,
            it.p_adjusted,
            it.missing,
        )
        for it in found
    )
    return Table(columns, rows)


_SHEETS: Mapping[str, Callable[[Ask, str], Table]] = {
    "effects": _effects,
    "estimates": _estimates,
    "arms": _arms,
    "looks": _looks,
    "decisions": _decisions,
    "split": _split,
    "breakdown": _breakdown,
    "interactions": _interactions,
}

WAYS = (
    Way(path="/experiments.csv", view=listed, needs=Permission.READ),
    Way(path="/experiments/{ref}.json", view=document, needs=Permission.READ),
    Way(path="/experiments/{ref}/{sheet}.csv", view=sheet, needs=Permission.READ),
)
