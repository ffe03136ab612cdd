"""Watching an experiment: its verdict, how every arm stands, and what is decided; live, or line by line."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from vedette.cli.experiment_cards import PHASE_STYLES
from vedette.cli.experiment_views import comparison_table, standing_table, verdict_line
from vedette.cli.output import ago, as_json, console, share, text, when
from vedette.cli.session import Session
from vedette.cli.watching import PATIENCE
from vedette.kernel.errors import Unavailable
from vedette.kernel.tables import say_number

if TYPE_CHECKING:
    from rich.console import RenderableType

    from vedette.cli.session import Services
    from vedette.control.experiment_insight import ExperimentExplanation
    from vedette.store.experiments import StoredExperiment

_GROWN = 1.05
"""By so much must the units have grown for a new line to be worth writing; looks are kept by the same rule."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """An experiment as one look shows it."""

    experiment: "StoredExperiment"
    explained: "ExperimentExplanation"
    at: datetime

    @property
    def ended(self) -> bool:
        """Whether it is at its end: it exposes nobody, and no winner waits for its rollout."""
        return self.experiment.status.phase not in {"draft", "running"} and not self.experiment.status.awaiting_rollout

    @property
    def final(self) -> bool:
        """Whether there is nothing left to wait for: it ended, or has a verdict more data will not change."""
        report = self.explained.report
        return self.ended or (report is not None and report.verdict.final)

    @property
    def winner(self) -> str:
        """Who won, as it was decided, or as its verdict says while nothing is."""
        end, report = self.experiment.status.conclusion, self.explained.report
        return end.winner if end else report.verdict.winner if report else ""

    def to_dict(self) -> dict[str, Any]:
        """Give it as plain data."""
        from vedette.cli.output import plain

        return {
            "at": self.at.isoformat(),
            "experiment": plain(self.experiment),
            "now": plain(self.explained.now),
            "report": plain(self.explained.report) if self.explained.report else None,
        }

    def news(self) -> tuple[object, ...]:
        """Give what must differ for a new line to be worth writing, beside the number of units."""
        status, report = self.experiment.status, self.explained.report
        verdict = (report.verdict.status, report.verdict.established) if report else None
        gone = tuple(arm.arm for arm in status.stopped_arms)
        return status.phase, status.epoch, status.exposed, gone, status.rollout, verdict

    @property
    def units(self) -> float:
        """How many units were seen."""
        return self.explained.report.units if self.explained.report else 0.0


def look(plane: "Services", ref: str) -> Sight:
    """Look at an experiment now."""
    found = plane.experiments.get(ref)
    return Sight(experiment=found, explained=plane.experiments.explain(found.id), at=datetime.now(UTC))


def watch(
    session: Session, plane: "Services", ref: str, *, every: float, timeout: float | None, until_verdict: bool
) -> Sight | None:
    """Show an experiment until it ends (or has its verdict); None when ``timeout`` seconds passed first."""
    end = None if timeout is None else time.monotonic() + timeout
    out = console()

    def follow(show: Callable[[Sight], None]) -> Sight | None:
        return _follow(plane, ref, every, end, show, until_verdict=until_verdict)

    if session.settings.output == "table" and out.is_terminal:
        from rich.live import Live

        with Live(console=out, auto_refresh=False, transient=False) as live:
            return follow(lambda sight: live.update(view(sight), refresh=True))
    said: list[Sight] = []

    def write(sight: Sight) -> None:
        if not said or sight.news() != said[-1].news() or sight.units >= _GROWN * max(said[-1].units, 1.0):
            said.append(sight)
            click.echo(line(sight) if session.settings.output == "table" else as_json(sight.to_dict(), indent=None))

    return follow(write)


def _follow(
    plane: "Services",
    ref: str,
    every: float,
    end: float | None,
    show: Callable[[Sight], None],
    *,
    until_verdict: bool,
) -> Sight | None:
    """Look again and again; who stops answering in between, as servers that restart do, has a while to come back."""
    sight = look(plane, ref)
    answered = time.monotonic()
    while True:
        show(sight)
        if sight.ended or (until_verdict and sight.final):
            return sight
        if end is not None and time.monotonic() >= end:
            return None
        time.sleep(every if end is None else max(0.0, min(every, end - time.monotonic())))
        try:
            sight = look(plane, sight.experiment.id)
            answered = time.monotonic()
        except Unavailable:
            if time.monotonic() - answered > PATIENCE:
                raise


def line(sight: Sight) -> str:
    """Say a sight in one line, for logs."""
    it, report = sight.experiment, sight.explained.report
    found = (
        f"{say_number(report.units, 6)} units | {report.verdict.status}: {report.verdict.sentence}" if report else ""
    )
    why = found or "; ".join(reason.message for reason in sight.explained.now.reasons)
    place = f"{it.status.phase} epoch {it.status.epoch} {share(sight.explained.coverage)}"
    return f"{sight.at.astimezone():%Y-%m-%dT%H:%M:%S%z} {it.name} {place} | {why}"


def view(sight: Sight) -> "RenderableType":
    """Show a sight to people."""
    from rich.console import Group
    from rich.text import Text

    it, explained = sight.experiment, sight.explained
    head = Text.assemble(
        text(it.name, "bold"),
        text(f"  {it.domain}, layer {it.spec.layer}  "),
        text(it.status.phase, PHASE_STYLES[it.status.phase]),
        text(f"  {share(explained.coverage)} exposed, epoch {explained.epoch}", "dim"),
    )
    parts: list[RenderableType] = [head]
    if explained.report:
        roles = {use.metric: use.role for use in it.spec.metrics}
        parts += ["", verdict_line(explained.report), "", standing_table(explained.report)]
        if explained.report.comparisons:
            parts += ["", comparison_table(explained.report, roles, it.spec.alpha)]
    parts += ["", *(Text.assemble(text(f"{r.code}: ", "dim"), text(r.message)) for r in explained.now.reasons)]
    parts += [text(f"{arm} was taken out: {why}", "red") for arm, why in explained.stopped_arms.items()]
    parts.append(text(_times(sight), "dim"))
    return Group(*parts)


def _times(sight: Sight) -> str:
    status = sight.experiment.status
    if sight.ended:
        return f"ended {when(status.ended_at)}"
    waits = f"; the rollout of {status.awaiting_rollout} waits" if status.awaiting_rollout else ""
    return f"started {ago(status.started_at)}{waits}" if status.started_at else "not started"
