"""Watching a rollout: steps, weight, each guardrail's verdict, what holds it and how long; live, or line by line."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from vedette.cli.output import ago, as_json, console, interval, number, share, table, text, when
from vedette.cli.session import Session
from vedette.kernel.errors import Unavailable

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

    from vedette.cli.session import Services
    from vedette.kernel.decision import Reason
    from vedette.store.rollouts import StoredRollout

PHASE_STYLES = {
    "pending": "yellow",
    "progressing": "cyan",
    "paused": "yellow",
    "promoted": "green",
    "aborted": "red",
    "undone": "magenta",
}
FINDING_STYLES = {"regression": "red", "clear": "green", "non-inferior": "bold green", "insufficient": "yellow"}
_BAR = 40
PATIENCE = 60.0
"""Seconds without an answer after which watching ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """A rollout as one look shows it: where it is, each verdict's figures, why it holds, and seconds to its end."""

    rollout: "StoredRollout"
    verdicts: tuple[Mapping[str, Any], ...]
    reasons: "tuple[Reason, ...]"
    eta: float | None
    at: datetime

    @property
    def ended(self) -> bool:
        """Whether it is at its end."""
        return self.rollout.status.phase in {"promoted", "aborted", "undone"}

    def to_dict(self) -> dict[str, Any]:
        """Give it as plain data."""
        from vedette.cli.output import plain

        return {
            "at": self.at.isoformat(),
            "rollout": plain(self.rollout),
            "verdicts": plain(self.verdicts),
            "reasons": plain(self.reasons),
            "eta": self.eta,
        }

    def news(self) -> tuple[object, ...]:
        """Give what must differ for a new line to be worth writing."""
        status = self.rollout.status
        findings = tuple(verdict["finding"] for verdict in self.verdicts)
        codes = tuple(reason.code for reason in self.reasons)
        return status.phase, status.attempt, status.step, status.weight, findings, codes


def look(plane: "Services", ref: str) -> Sight:
    """Look at a rollout now; at its end, as the last look and the last decision left it."""
    from vedette.rollouts.outlook import seconds_left

    rollout = plane.canary.get(ref)
    explained = plane.canary.explain(rollout.id)
    sight = Sight(
        rollout=rollout,
        verdicts=tuple(verdict.figures() for verdict in explained.verdicts),
        reasons=explained.now.reasons,
        eta=seconds_left(rollout.spec, rollout.status, explained.now.reasons),
        at=datetime.now(UTC),
    )
    if not sight.ended:
        return sight
    looks = plane.canary.looks(rollout.id, limit=1, newest_first=True).items
    return Sight(
        rollout=rollout,
        verdicts=looks[0].verdicts if looks and looks[0].attempt == rollout.status.attempt else (),
        reasons=explained.last.decision.reasons if explained.last else (),
        eta=None,
        at=sight.at,
    )


def watch(session: Session, plane: "Services", ref: str, *, every: float, timeout: float | None) -> Sight | None:
    """Show a rollout until it ends and give its last sight; None when ``timeout`` seconds passed first."""
    end = None if timeout is None else time.monotonic() + timeout
    out = console()
    if session.settings.output == "table" and out.is_terminal:
        from rich.live import Live

        with Live(console=out, auto_refresh=False, transient=False) as live:
            return _follow(plane, ref, every, end, lambda sight: live.update(view(sight), refresh=True))
    said: list[object] = []

    def write(sight: Sight) -> None:
        if sight.news() not in said[-1:]:
            said.append(sight.news())
            click.echo(line(sight) if session.settings.output == "table" else as_json(sight.to_dict(), indent=None))

    return _follow(plane, ref, every, end, write)


def _follow(
    plane: "Services", ref: str, every: float, end: float | None, show: Callable[[Sight], None]
) -> Sight | None:
    """Look again and again; who stops answering in between, as servers that restart do, has a while to come back."""
    sight = look(plane, ref)
    answered = time.monotonic()
    while True:
        show(sight)
        if sight.ended:
            return sight
        if end is not None and time.monotonic() >= end:
            return None
        time.sleep(every if end is None else max(0.0, min(every, end - time.monotonic())))
        try:
            sight = look(plane, sight.rollout.id)
            answered = time.monotonic()
        except Unavailable:
            if time.monotonic() - answered > PATIENCE:
                raise


def line(sight: Sight) -> str:
    """Say a sight in one line, for logs."""
    rollout, status = sight.rollout, sight.rollout.status
    verdicts = "; ".join(f"{v['metric']} {v['finding']}{_ratio(v)}" for v in sight.verdicts) or "no verdict yet"
    why = "; ".join(reason.message for reason in sight.reasons)
    place = f"step {status.step + 1}/{len(rollout.spec.steps)} {share(status.weight)}"
    return f"{sight.at.astimezone():%Y-%m-%dT%H:%M:%S%z} {rollout.name} {status.phase} {place} | {verdicts} | {why}"


def view(sight: Sight) -> "RenderableType":
    """Show a sight to people."""
    from rich.console import Group
    from rich.text import Text

    rollout, status = sight.rollout, sight.rollout.status
    head = Text.assemble(
        text(rollout.name, "bold"),
        "  ",
        text(f"{rollout.domain}: {status.previous_stable or 'stable'} → {rollout.spec.version}"),
        "  ",
        text(status.phase, PHASE_STYLES[status.phase]),
        text(f"  attempt {status.attempt}" if status.attempt > 1 else "", "dim"),
    )
    parts: list[RenderableType] = [head, _ladder(rollout), _bar(status.weight)]
    if sight.verdicts:
        parts += ["", verdict_table(sight.verdicts)]
    if sight.reasons:
        parts += ["", *(Text.assemble(text(f"{r.code}: ", "dim"), text(r.message)) for r in sight.reasons)]
    parts.append(text(_ending(sight), "dim"))
    return Group(*parts)


def _ending(sight: Sight) -> str:
    from vedette.kernel.clock import say_duration

    if sight.ended:
        return f"ended {when(sight.rollout.status.ended_at)}"
    began = sight.rollout.status.started_at
    since = f"started {ago(began)}" if began else "not started"
    return f"{since}; ends in {say_duration(sight.eta)} if nothing holds it" if sight.eta is not None else since


def _ladder(rollout: "StoredRollout") -> "Text":
    """Show the steps: done, the one it is on, and those to come."""
    from rich.text import Text

    status, rungs = rollout.status, []
    for index, step in enumerate(rollout.spec.steps):
        done = index < status.step or status.phase == "promoted"
        sign, style = ("✓", "green") if done else ("▶", "bold") if index == status.step else ("·", "dim")
        rungs.append(text(f"{sign} {share(step.weight)}", style))
    return Text("  ").join(rungs)


def _bar(weight: float) -> "Text":
    from rich.text import Text

    filled = round(_BAR * weight / 100) or (1 if weight else 0)
    return Text.assemble(("█" * filled, "cyan"), ("░" * (_BAR - filled), "dim"), f" {share(weight)} of traffic")


def verdict_table(verdicts: tuple[Mapping[str, Any], ...]) -> "RenderableType":
    """Lay out each guardrail's verdict: how canary compares with stable, with its always-valid interval."""
    rows = [
        (
            f"{v['metric']}{' (dry run)' if v.get('dryRun') else ''}",
            text(v["finding"], FINDING_STYLES.get(v["finding"], "")),
            number(v.get("ratio"), 3),
            interval(v.get("low"), v.get("high")),
            f"≤ {1 + v['tolerance']:g}" if v["tolerance"] else "",
            number(v.get("canary")),
            number(v.get("stable")),
            number(v.get("samples")),
        )
        for v in verdicts
    ]
    return table(("GUARDRAIL", "VERDICT", "RATIO", "INTERVAL", "TOLERATED", "CANARY", "STABLE", "SAMPLES"), rows)


def _ratio(verdict: Mapping[str, Any]) -> str:
    samples = f"{number(verdict.get('samples'))} samples"
    if verdict.get("ratio") is None:
        return f" ({samples})"
    return f" {number(verdict['ratio'], 3)} ({interval(verdict.get('low'), verdict.get('high'))}, {samples})"
