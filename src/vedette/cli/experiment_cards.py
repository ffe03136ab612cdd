"""How experiments look to people before they found anything: lists, cards, plans, and what became of scores."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from vedette.cli.output import ago, card, number, share, table, text, when
from vedette.kernel.clock import say_duration
from vedette.kernel.tables import say_number, say_percent

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

    from vedette.control.experiment_scores import ScoresTaken
    from vedette.experiments.metrics import MetricUse
    from vedette.experiments.monitoring import Monitoring
    from vedette.experiments.planning import ExperimentPlan
    from vedette.experiments.spec import ExperimentSpec, Variant
    from vedette.routing.override import Rule
    from vedette.store.experiments import StoredExperiment
    from vedette.store.pages import Page

PHASE_STYLES = {"draft": "yellow", "running": "cyan", "stopped": "magenta", "decided": "green", "archived": "dim"}
_PLACES = 10_000  # millionths in a percent
_LIKELY = 0.01  # a chance below this is not worth a line


def list_view(page: "Page[StoredExperiment]") -> "Table":
    """List experiments, one a line."""
    rows = [
        (
            it.name,
            it.domain,
            text(it.status.phase, PHASE_STYLES[it.status.phase]),
            it.spec.layer,
            share(it.status.exposed / _PLACES),
            len(it.spec.variants),
            primary(it.spec),
            it.status.conclusion.winner if it.status.conclusion else "",
            ago(it.created_at),
        )
        for it in page.items
    ]
    headers = ("EXPERIMENT", "DOMAIN", "PHASE", "LAYER", "COVERAGE", "ARMS", "METRIC", "WINNER", "CREATED")
    return table(headers, rows)


def card_of(it: "StoredExperiment") -> "Table":
    """Show one experiment: where it is, and what was asked of it."""
    status, spec = it.status, it.spec
    gone = ", ".join(f"{arm.arm} {ago(arm.at)}: {arm.because}" for arm in status.stopped_arms)
    end = status.conclusion
    return card(
        (
            ("experiment", it.name),
            ("id", it.id),
            ("domain", it.domain),
            ("phase", text(status.phase, PHASE_STYLES[status.phase])),
            ("hypothesis", spec.hypothesis),
            ("winner", (end.winner or "nobody") if end else None),
            ("because", f"{end.because} (by {end.by}, verdict {end.verdict})" if end else None),
            ("rollout", status.rollout or (f"of {status.awaiting_rollout} waits" if status.awaiting_rollout else None)),
            (
                "arms",
                "\n".join(
                    _variant(spec, variant, status.epochs[-1].shares if status.epochs else {})
                    for variant in spec.variants
                ),
            ),
            ("taken out", gone),
            ("metrics", ", ".join(_use(use) for use in spec.metrics)),
            ("traffic", "none: models judged on one set of prompts" if spec.offline else _traffic(it)),
            ("only where", " and ".join(say_rule(rule) for rule in spec.targeting)),
            ("dimensions", ", ".join(spec.dimensions)),
            ("looked at", _looked_at(spec)),
            ("policy", f"α {spec.alpha:g}, on winner {spec.on_winner}, on guardrail {spec.on_guardrail}"),
            ("at most", say_duration(spec.max_duration) if spec.max_duration else None),
            ("created", f"{when(it.created_at)} by {it.created_by}"),
            ("started", when(status.started_at)),
            ("ended", when(status.ended_at)),
            ("revision", it.revision),
        )
    )


def plan_view(plan: "ExperimentPlan") -> "RenderableType":
    """Show what an experiment takes, how its power grows, and how to ask for that."""
    from rich.console import Group

    parts: list[RenderableType] = [text(plan.to_text())]
    likely = [(units, power) for units, power in plan.power_curve if power >= _LIKELY]
    if likely:
        shown = [*likely[: -1 : max(len(likely) // 8, 1)], likely[-1]]
        rows = [(say_number(units), say_percent(power, signed=False)) for units, power in shown]
        parts += ["", table(("UNITS IN ALL", "CHANCE TO HAVE FOUND IT"), rows)]
    return Group(*parts, "", text(f"run it by: --monitoring {say_monitoring(plan.monitoring)}", "dim"))


def scores_view(taken: "ScoresTaken") -> "RenderableType":
    """Show what became of scores."""
    from rich.console import Group

    left = (
        ("incomplete prompts", taken.incomplete, "not all variants answered them in all measures"),
        ("prompts scored before", taken.seen_before, "their first scores stand"),
        ("repeated rows", taken.repeated, "the first of a prompt and variant stands"),
    )
    parts = [text(f"{taken.prompts:,} prompts taken, {taken.total:,} in all", "bold")]
    parts += [text(f"{count:,} {what} left out: {why}", "yellow") for what, count, why in left if count]
    if taken.verdict:
        parts.append(text(taken.verdict.sentence))
    return Group(*parts)


def primary(spec: "ExperimentSpec") -> str:
    """Name the metric that decides."""
    return next(use.metric for use in spec.metrics if use.role == "primary")


def say_rule(rule: "Rule") -> str:
    """Say a targeting rule in words."""
    return " ".join([rule.attribute, rule.test, " or ".join(rule.values)]).strip()


def _variant(spec: "ExperimentSpec", variant: "Variant", shares: Mapping[str, int]) -> str:
    total = sum(other.weight for other in spec.variants)
    part = shares.get(variant.name, 0) / _PLACES if shares else 100 * variant.weight / total
    what = [f"{name} {value}" for name, value in _changes(variant).items()]
    control = ", control" if variant.name == spec.control_name else ""
    return f"{variant.name} ({number(part)}%{control}): {', '.join(what) or 'served as the domain is'}"


def _changes(variant: "Variant") -> dict[str, str]:
    from vedette.kernel.documents import dump

    said: dict[str, str] = {}
    for name, value in dump(variant.override).items():
        if isinstance(value, Mapping):
            said |= {f"{name}.{key}": repr(item) for key, item in value.items() if item not in ("", None, "replace")}
        elif value:
            said[name] = str(value)
    return said


def _use(use: "MetricUse") -> str:
    margin = f", margin {say_percent(use.margin, signed=False)}" if use.margin else ""
    return f"{use.metric} ({use.role}{margin}{f', adjusted by {use.covariate}' if use.covariate else ''})"


def _traffic(it: "StoredExperiment") -> str:
    spec = it.spec
    now = f"{share(it.status.exposed / _PLACES)} exposed, " if it.status.exposed else ""
    return f"layer {spec.layer}: {now}{share(spec.coverage)} asked for, {share(spec.most_coverage)} reserved"


def say_monitoring(design: "Monitoring") -> str:
    """Say how often an experiment is looked at, as ``--monitoring`` takes it."""
    match design.kind:
        case "fixed":
            return f"fixed:{design.units}" if design.units else "fixed"
        case "anytime":
            return f"anytime:{design.tune_at:.0f}"
        case _:
            return f"sequential:{design.units}:{design.looks}"


def _looked_at(spec: "ExperimentSpec") -> str:
    moved = "" if spec.allocation.kind == "weights" else f"; traffic is moved by {spec.allocation.kind}"
    comparisons = f"{spec.comparisons} compared, {spec.multiplicity.method} over each {spec.multiplicity.scope}"
    return f"{say_monitoring(spec.monitoring)}; {comparisons}{moved}"
