"""How rollouts and what is known of them look to people."""

from typing import TYPE_CHECKING

from vedette.cli.output import ago, card, number, share, table, text, when
from vedette.cli.watching import PHASE_STYLES, verdict_table
from vedette.kernel.clock import say_duration

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

    from vedette.control.insight import Analytics, Explanation
    from vedette.rollouts.planning import RolloutPlan
    from vedette.rollouts.replay import Replay
    from vedette.rollouts.spec import Guardrail, RolloutSpec, Step
    from vedette.store.pages import Page
    from vedette.store.rollouts import StoredRollout


def list_view(page: "Page[StoredRollout]") -> "Table":
    """List rollouts, one a line."""
    rows = [
        (
            it.name,
            it.domain,
            it.spec.version,
            text(it.status.phase, PHASE_STYLES[it.status.phase]),
            f"{it.status.step + 1}/{len(it.spec.steps)}",
            share(it.status.weight),
            ago(it.created_at),
            it.status.because,
        )
        for it in page.items
    ]
    return table(("ROLLOUT", "DOMAIN", "VERSION", "PHASE", "STEP", "WEIGHT", "CREATED", "BECAUSE"), rows)


def card_of(it: "StoredRollout") -> "Table":
    """Show one rollout: where it is, and what was asked of it."""
    status, spec = it.status, it.spec
    return card(
        (
            ("rollout", it.name),
            ("id", it.id),
            ("domain", it.domain),
            ("version", spec.version),
            ("phase", text(status.phase, PHASE_STYLES[status.phase])),
            ("because", status.because),
            ("waits for", ", ".join(f"{pause.reason} since {when(pause.since)}" for pause in status.pauses)),
            ("step", f"{status.step + 1} of {len(spec.steps)}, {share(status.weight)} of traffic"),
            ("attempt", status.attempt if status.attempt > 1 else None),
            ("steps", " → ".join(_step(step) for step in spec.steps)),
            ("guardrails", ", ".join(_guardrail(guardrail) for guardrail in spec.guardrails)),
            ("policy", _policy(spec)),
            ("group", spec.group.name if spec.group else None),
            ("before it", status.previous_stable),
            ("created", f"{when(it.created_at)} by {it.created_by}"),
            ("started", when(status.started_at)),
            ("ended", when(status.ended_at)),
            ("revision", it.revision),
        )
    )


def plan_view(plan: "RolloutPlan") -> "RenderableType":
    """Show what each step can see."""
    from rich.console import Group

    rows = [
        (
            index + 1,
            share(step.weight),
            say_duration(step.bake),
            number(step.canary_requests),
            "over 90 days" if step.needed is None else say_duration(step.needed),
            "nothing up to ×30" if step.catches is None else f"×{step.catches:g} and worse",
        )
        for index, step in enumerate(plan.steps)
    ]
    figures = (
        f"{plan.metric}: bad rate {plan.bad_rate:.4g}, {number(plan.requests_per_minute)} requests a minute, "
        f"α {plan.alpha:g}; all steps take {say_duration(plan.duration)}"
    )
    needed = f"NEEDED FOR ×{plan.ratio:g}"
    return Group(
        text(plan.sentence, "bold"),
        text(figures, "dim"),
        "",
        table(("STEP", "WEIGHT", "BAKE", "CANARY REQUESTS", needed, "CAUGHT BY ITS END"), rows),
    )


def explanation_view(found: "Explanation") -> "RenderableType":
    """Show why a rollout is where it is."""
    from rich.console import Group

    where = f"{found.phase} at step {found.step + 1}, {share(found.weight)}"
    place = f"{found.name}: {found.version} of {found.domain}, {where}"
    parts: list[RenderableType] = [text(place, "bold"), text(f"now: {found.now.action}")]
    parts += [text(f"  · {reason.message}") for reason in found.now.reasons]
    if found.verdicts:
        parts += ["", verdict_table(tuple(verdict.figures() for verdict in found.verdicts))]
        parts += [
            text(f"  {verdict.metric}: {verdict.method}, α {verdict.alpha:g}", "dim") for verdict in found.verdicts
        ]
    if found.split:
        parts.append(text(f"split: {found.split.sentence}"))
    if found.last:
        parts += [
            "",
            text(f"last decision: {found.last.decision.action}, {when(found.last.at)}, by {found.last.actor}"),
        ]
        parts += [text(f"  · {reason.message}") for reason in found.last.decision.reasons]
    if found.rederived is not None:
        said = "follow" if found.rederived else "DO NOT follow"
        style = "dim" if found.rederived else "bold red"
        parts.append(text(f"the stored verdicts {said} from the evidence stored with them", style))
    return Group(*parts)


def analytics_view(found: "Analytics") -> "RenderableType":
    """Show what a rollout took and cost."""
    from rich.console import Group

    rows = [
        (
            step.attempt,
            step.step + 1,
            share(step.weight),
            when(step.since),
            say_duration(step.seconds),
            number(step.canary_requests),
            number(step.stable_requests),
        )
        for step in found.steps
    ]
    return Group(
        card(
            (
                ("phase", text(found.phase, PHASE_STYLES[found.phase])),
                ("because", found.because),
                ("took", say_duration(found.seconds)),
                ("canary served", f"{number(found.canary_requests)} of {number(found.total_requests)} requests"),
                ("exposure saved", f"{number(found.exposure_saved)} requests, against a release to everyone at once"),
            )
        ),
        "",
        table(("ATTEMPT", "STEP", "WEIGHT", "SINCE", "TOOK", "CANARY", "STABLE"), rows),
    )


def replay_view(found: "Replay") -> "RenderableType":
    """Show what would have happened."""
    from rich.console import Group

    bad = ", ".join(f"{number(count)} bad by {metric}" for metric, count in found.bad_requests.items())
    head = f"would have ended {found.phase} after {say_duration(found.watched)}"
    cost = f"the canary would have served {number(found.canary_requests)} requests" + (f", {bad}" if bad else "")
    rows = [(say_duration(turn.watched), turn.action, share(turn.weight), turn.sentence) for turn in found.turns]
    notes = [text(f"note: {note}", "dim") for note in found.notes]
    return Group(text(head, "bold"), text(cost), "", table(("AFTER", "ACTION", "WEIGHT", "WHY"), rows), *notes)


def _step(step: "Step") -> str:
    extra = [f"{step.min_samples} samples"] if step.min_samples else []
    extra += ["approval"] if step.approval else []
    return f"{share(step.weight)} ({', '.join([say_duration(step.bake), *extra])})"


def _guardrail(guardrail: "Guardrail") -> str:
    marks = [f"tolerates {guardrail.tolerance:.0%}"] if guardrail.tolerance else []
    marks += ["non-inferior"] if guardrail.non_inferior else []
    marks += ["dry run"] if guardrail.dry_run else []
    return f"{guardrail.metric} ({', '.join(marks)})" if marks else guardrail.metric


def _policy(spec: "RolloutSpec") -> str:
    return (
        f"α {spec.alpha:g}, on regression {spec.on_regression}, on insufficient {spec.on_insufficient}, "
        f"{share(spec.hold_back)} held back"
    )
