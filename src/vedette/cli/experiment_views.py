"""How what experiments found looks to people."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from vedette.cli.output import card, number, share, table, text, when
from vedette.kernel.tables import say_interval, say_number, say_p, say_p_in_words, say_percent
from vedette.stats.cautions import CAUTIONS, Caution

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

    from vedette.control.experiment_insight import ExperimentExplanation, UnitAssignment
    from vedette.experiments.cuts import Breakdown, Interaction
    from vedette.experiments.report import ExperimentReport
    from vedette.experiments.spec import ExperimentSpec
    from vedette.routing.plan import TrafficPlan
    from vedette.stats.results import Comparison
    from vedette.store.experiments import ExperimentLook, StoredExperiment
    from vedette.store.pages import Page

VERDICT_STYLES = {
    "winner": "bold green",
    "tied": "green",
    "continue": "cyan",
    "stop_futility": "yellow",
    "guardrail_breach": "bold red",
    "invalid_srm": "bold red",
    "insufficient": "yellow",
}
_NEARLY = 0.001


def results_view(found: "ExperimentReport", spec: "ExperimentSpec") -> "RenderableType":
    """Show what an experiment found: the verdict first, then comparisons, arms, the split, and what to take care of."""
    from rich.console import Group

    parts: list[RenderableType] = [verdict_line(found), ""]
    if found.comparisons:
        roles = {use.metric: use.role for use in spec.metrics}
        parts += [comparison_table(found, roles, spec.alpha), ""]
    parts += [
        standing_table(found),
        "",
        text(_split(found), "bold red" if found.verdict.status == "invalid_srm" else "dim"),
    ]
    if found.winner and found.verdict.status == "winner":
        worth = found.winner
        said = f"{worth.variant} was picked for looking best; freed of that, {found.primary} is "
        parts.append(text(f"{said}{say_number(worth.estimate)} ({say_interval(worth.low, worth.high)})", "dim"))
    if found.information is not None:
        parts.append(text(f"{say_percent(found.information, signed=False)} of the planned units were seen", "dim"))
    parts += [text(f"· {caution}: {CAUTIONS[caution]}", "yellow") for caution in cautions(found)]
    return Group(*parts)


def verdict_line(found: "ExperimentReport") -> "RenderableType":
    """Show the verdict, in a word and in its sentence."""
    from rich.text import Text

    verdict = found.verdict
    return Text.assemble(text(f"{verdict.status}  ", VERDICT_STYLES[verdict.status]), text(verdict.sentence, "bold"))


def comparison_table(found: "ExperimentReport", roles: Mapping[str, str], alpha: float) -> "Table":
    """Lay out every comparison: effect, relative effect with its interval, corrected p-value, and what it says."""
    rows = [
        (
            row.metric,
            roles.get(row.metric, ""),
            f"{row.treatment} vs {row.reference}",
            say_number(row.effect),
            say_percent(None if Caution.UNBOUNDED in row.warnings else row.relative_effect),
            _interval(row),
            say_p(row.p_adjusted),
            _clear(row, alpha),
        )
        for row in found.comparisons
    ]
    return table(("METRIC", "ROLE", "COMPARISON", "EFFECT", "RELATIVE", f"{1 - alpha:.0%} INTERVAL", "P", "SAYS"), rows)


def standing_table(found: "ExperimentReport") -> "Table":
    """Lay out where each arm stands in the primary metric, the best first."""
    means = {row.variant: row for row in found.estimates if row.metric == found.primary}
    order = sorted(found.standings, key=lambda it: (it.rank is None, it.rank or 0))
    rows = [
        (
            text(it.variant, "bold" if it.variant == found.verdict.winner else ""),
            say_number(it.units, 6),
            say_percent(it.share, signed=False),
            say_number(means[it.variant].mean if it.variant in means else None),
            _ranks(it.rank_low, it.rank_high),
            {True: "yes", False: "no", None: "–"}[it.may_be_best],
            _chance(it.p_best),
            say_number(it.expected_loss),
        )
        for it in order
    ]
    headers = ("ARM", "UNITS", "SHARE", found.primary.upper(), "RANK", "MAY BE BEST", "P(BEST)", "EXPECTED LOSS")
    return table(headers, rows)


def looks_view(page: "Page[ExperimentLook]") -> "Table":
    """List the looks that were kept, one a line."""
    rows = [
        (
            when(it.at),
            it.epoch,
            say_number(it.units, 6),
            text(it.verdict, VERDICT_STYLES[it.verdict]),
            it.report.verdict.sentence,
        )
        for it in page.items
    ]
    return table(("AT", "EPOCH", "UNITS", "VERDICT", "SENTENCE"), rows)


def explanation_view(
    found: "ExperimentExplanation", it: "StoredExperiment", plan: "TrafficPlan", attributes: Mapping[str, str]
) -> "RenderableType":
    """Show why an experiment is where it is, and what a unit sees."""
    from rich.console import Group

    place = f"{found.name} on {found.domain}: {found.phase}, epoch {found.epoch}, {share(found.coverage)} of its layer"
    parts: list[RenderableType] = [text(place, "bold")]
    if found.shares:
        parts.append(text(", ".join(f"{arm} {number(part)}%" for arm, part in found.shares.items())))
    parts += [text(f"{arm} was taken out: {why}", "red") for arm, why in found.stopped_arms.items()]
    parts.append(text(f"now: {found.now.action}"))
    parts += [text(f"  · {reason.message}") for reason in found.now.reasons]
    if found.report:
        parts += ["", verdict_line(found.report)]
    if found.last:
        parts += [
            "",
            text(f"last decision: {found.last.decision.action}, {when(found.last.at)}, by {found.last.actor}"),
        ]
        parts += [text(f"  · {reason.message}") for reason in found.last.decision.reasons]
    if found.phase == "running" and not it.spec.offline and found.confirmed < found.plan:
        parts.append(text(f"gateways serve plan {found.confirmed}, not yet {found.plan}", "yellow"))
    if found.rederived is not None:
        said = "follows" if found.rederived else "DOES NOT follow"
        style = "dim" if found.rederived else "bold red"
        parts.append(text(f"the last kept look {said} from the evidence stored with it", style))
    if found.assignment:
        parts += ["", _assignment(found.assignment, it, plan, attributes)]
    return Group(*parts)


def breakdown_view(found: "Breakdown") -> "RenderableType":
    """Show an experiment by the values of a dimension."""
    from rich.console import Group

    rows = [
        (
            it.value or "(not said)",
            say_number(it.units, 6),
            row.metric,
            f"{row.treatment} vs {row.reference}",
            say_number(row.effect),
            say_percent(row.relative_effect),
            _interval(row),
            say_p(row.p_adjusted),
        )
        for it in found.values
        for row in it.comparisons
    ]
    small = [it for it in found.values if it.too_small]
    headers = (
        found.dimension.upper(),
        "UNITS",
        "METRIC",
        "COMPARISON",
        "EFFECT",
        "RELATIVE",
        "INTERVAL",
        "P (ALL CUTS)",
    )
    parts: list[RenderableType] = [text(found.sentence, "bold")]
    parts += ["", table(headers, rows)] if rows else []
    if small:
        named = ", ".join(f"{it.value or '(not said)'} ({say_number(it.units, 6)})" for it in small[:20])
        parts.append(text(f"too small to compare: {named}", "dim"))
    return Group(*parts)


def interactions_view(found: "tuple[Interaction, ...]") -> "RenderableType":
    """Show whether effects depend on the arms of other experiments."""
    if not found:
        return text("no experiment of another layer runs on this domain, so nothing overlaps")
    rows = [
        (
            it.other,
            it.metric,
            it.treatment,
            it.other_treatment,
            say_number(it.units, 6),
            say_number(it.effect),
            say_interval(it.low, it.high),
            say_p(it.p_adjusted),
            it.missing,
        )
        for it in found
    ]
    headers = ("WITH", "METRIC", "ARM", "ITS ARM", "UNITS", "DIFFERENCE OF EFFECTS", "INTERVAL", "P (ALL PAIRS)", "")
    return table(headers, rows)


def cautions(found: "ExperimentReport") -> list[Caution]:
    """Give everything a reader of a report should take care of, each once."""
    said = [row.warnings for row in found.comparisons] + [row.warnings for row in found.estimates]
    return list(dict.fromkeys(caution for warnings in said for caution in warnings))


def _assignment(
    unit: "UnitAssignment", it: "StoredExperiment", plan: "TrafficPlan", attributes: Mapping[str, str]
) -> "Table":
    """Show where a unit is: its place in the layer, its arm, what it is served with, and why."""
    from vedette.kernel.hashing import seed_of
    from vedette.routing.choose import CompiledPlan
    from vedette.routing.layers import PLACES, place_of

    layer = next((layer for layer in plan.layers if layer.name == it.spec.layer), None)
    place, version, changed = None, None, ""
    if layer is not None:
        place = place_of(seed_of(f"layer/{it.domain}/{layer.salt}"), unit.unit.encode())
    if plan.serving:
        choice, seen = CompiledPlan(plan).assign(unit.unit, attributes)
        version = f"{choice.version} ({choice.arm})"
        changed = ", ".join(sorted(seen.override.touches())) if seen.override else ""
    others = {name: arm for name, arm in unit.exposures.items() if name != it.name}
    return card(
        (
            ("unit", unit.unit),
            ("layer", it.spec.layer),
            ("place", f"{place:,} of {PLACES:,}" if place is not None else "the layer has no running experiment"),
            ("arm", unit.arm or "none"),
            ("because", unit.because),
            ("version", version or "the domain serves nothing now"),
            ("changed", changed),
            ("also in", ", ".join(f"{arm} of {name}" for name, arm in others.items())),
        )
    )


def _split(found: "ExperimentReport") -> str:
    if found.split_p_value is None:
        return f"{say_number(found.units, 6)} units; the split was not checked"
    return f"{say_number(found.units, 6)} units; split as intended: {say_p_in_words(found.split_p_value)}"


def _interval(row: "Comparison") -> str:
    if row.relative_low is None and row.relative_high is None:
        return say_interval(row.low, row.high)
    return say_interval(row.relative_low, row.relative_high, say_percent)


def _clear(row: "Comparison", alpha: float) -> object:
    if row.p_adjusted is None or row.p_adjusted > alpha or row.improved is None:
        return ""
    return text("better", "green") if row.improved else text("worse", "red")


def _chance(value: float | None) -> str:
    """Say a probability in percent; what is nearly certain needs no more digits."""
    if value is None or _NEARLY <= value <= 1 - _NEARLY:
        return say_percent(value, signed=False)
    return f"<{100 * _NEARLY:g}%" if value < _NEARLY else f">{100 - 100 * _NEARLY:g}%"


def _ranks(low: int | None, high: int | None) -> str:
    return "–" if low is None else f"{low}" if low == high else f"{low} to {high}"
