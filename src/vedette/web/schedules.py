"""A rollout's schedule as a form: rows of steps, guardrails to tick, and what stands beside them."""

from collections.abc import Mapping
from typing import Any

from vedette.catalog.domain import DomainConfig
from vedette.evidence.metric import BUILT_IN
from vedette.kernel.clock import say_duration
from vedette.kernel.documents import load
from vedette.kernel.records import record
from vedette.rollouts.spec import RolloutSpec

ROWS = 8
"""Steps the form has room for."""
_CHOICES = {"on_regression": ("abort", "pause", "notify"), "on_insufficient": ("hold", "pause", "abort")}


@record
class Row:
    """One row of steps as it stands in the form."""

    weight: str = ""
    bake: str = ""
    samples: str = ""
    approval: bool = False


@record
class Guard:
    """One metric that may be guarded."""

    metric: str
    on: bool
    tolerance: str


@record
class ScheduleForm:
    """What the form shows: filled from a spec at first, and from what was typed afterwards."""

    rows: tuple[Row, ...]
    guards: tuple[Guard, ...]
    alpha: str
    hold_back: str
    on_regression: str
    on_insufficient: str


def from_spec(spec: RolloutSpec, config: DomainConfig) -> ScheduleForm:
    """Fill the form from a spec."""
    rows = [
        Row(
            weight=f"{step.weight:g}",
            bake=say_duration(step.bake),
            samples=str(step.min_samples or ""),
            approval=step.approval,
        )
        for step in spec.steps
    ]
    guarded = {guard.metric: guard.tolerance for guard in spec.guardrails}
    guards = [
        Guard(metric=name, on=name in guarded, tolerance=f"{guarded[name] * 100:g}" if guarded.get(name) else "")
        for name in _metrics(config, guarded)
    ]
    return ScheduleForm(
        rows=(*rows, *[Row()] * max(ROWS - len(rows), 1)),
        guards=tuple(guards),
        alpha=f"{spec.alpha:g}",
        hold_back=f"{spec.hold_back:g}",
        on_regression=spec.on_regression,
        on_insufficient=spec.on_insufficient,
    )


def from_fields(said: Mapping[str, str], config: DomainConfig) -> ScheduleForm:
    """Fill the form from what was typed."""
    rows = [
        Row(
            weight=said.get(f"weight{place}", "").strip(),
            bake=said.get(f"bake{place}", "").strip(),
            samples=said.get(f"samples{place}", "").strip(),
            approval=f"approval{place}" in said,
        )
        for place in range(40)
        if f"weight{place}" in said
    ]
    guards = [
        Guard(metric=name, on=f"guard.{name}" in said, tolerance=said.get(f"tolerance.{name}", "").strip())
        for name in _metrics(config, {})
    ]
    return ScheduleForm(
        rows=tuple(rows),
        guards=tuple(guards),
        alpha=said.get("alpha", "").strip(),
        hold_back=said.get("hold_back", "").strip(),
        on_regression=_chosen(said, "on_regression"),
        on_insufficient=_chosen(said, "on_insufficient"),
    )


def spec_of(form: ScheduleForm, domain: str, version: str, base: RolloutSpec | None = None) -> RolloutSpec:
    """Read the form as a spec; what it does not show stays as in ``base``.

    Raises:
        InvalidInput: it is none; the message names the field.
    """
    kept = {guard.metric: guard for guard in base.guardrails} if base else {}
    fields: dict[str, Any] = {
        "domain": domain,
        "version": version,
        "steps": [_step(row) for row in form.rows if row.weight],
        "guardrails": [_guard(guard, kept) for guard in form.guards if guard.on],
        "on_regression": form.on_regression,
        "on_insufficient": form.on_insufficient,
        **({"alpha": form.alpha} if form.alpha else {}),
        **({"hold_back": f"{form.hold_back.removesuffix('%')}%"} if form.hold_back else {}),
    }
    if base is not None:
        fields |= {"calendar": base.calendar, "group": base.group, "webhooks": base.webhooks, "history": base.history}
        fields["rollback_window"] = base.rollback_window
    return load(RolloutSpec, fields)


def _step(row: Row) -> dict[str, Any]:
    step: dict[str, Any] = {"weight": f"{row.weight.removesuffix('%')}%", "approval": row.approval}
    if row.bake:
        step["bake"] = row.bake
    if row.samples:
        step["minSamples"] = row.samples
    return step


def _guard(guard: Guard, kept: Mapping[str, Any]) -> dict[str, Any]:
    known = kept.get(guard.metric)
    own = {"weight": known.weight, "min_samples": known.min_samples, "dry_run": known.dry_run} if known else {}
    try:
        tolerance: float | str = float(guard.tolerance.removesuffix("%") or 0) / 100
    except ValueError:
        tolerance = guard.tolerance  # the spec says what is wrong with it
    return {"metric": guard.metric, "tolerance": tolerance, **own}


def _chosen(said: Mapping[str, str], name: str) -> str:
    return said[name] if said.get(name) in _CHOICES[name] else _CHOICES[name][0]


def _metrics(config: DomainConfig, guarded: Mapping[str, object]) -> list[str]:
    own = [metric.name for metric in config.metrics]
    return list(dict.fromkeys([*own, *(metric.name for metric in BUILT_IN), *guarded]))
