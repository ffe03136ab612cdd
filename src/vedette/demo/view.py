"""What people see while it runs: a live view on a terminal, lines elsewhere."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from vedette.demo.scenario import ACCURACY
from vedette.demo.story import Sight
from vedette.kernel.decision import Action
from vedette.rollouts.machine import Phase
from vedette.store.rollouts import StoredDecision, StoredRollout

_BAR = 24
_PANEL, _LOG, _LEAST_LOG = 6, 14, 5  # lines of height, borders included
_LINE_EVERY = 5.0
_STYLES = {
    Action.ABORT: "bold red",
    Action.PROMOTE: "bold green",
    Action.ADVANCE: "green",
    Action.START: "cyan",
    Action.PAUSE: "bold yellow",
}


class View(Protocol):
    """Shows each moment of the demo."""

    def show(self, seconds: float, sights: Sequence[Sight], said: Mapping[str, Any]) -> None:
        """Show the domains ``seconds`` after the start, with the last report of the traffic process."""
        ...

    def close(self) -> None:
        """Leave the terminal in order."""
        ...


class LiveView:
    """A view that redraws itself."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, auto_refresh=False)
        self._live.start()

    def show(self, seconds: float, sights: Sequence[Sight], said: Mapping[str, Any]) -> None:
        """Draw everything anew."""
        head = Text(f"{seconds:5.1f} s   {_traffic(said)}", style="dim")
        panels = [_panel(sight, said) for sight in sights]
        left = self._console.height - len(head.plain.splitlines()) - _PANEL * len(panels) - 1
        self._live.update(Group(head, *panels, _log(sights, max(_LEAST_LOG, min(_LOG, left)))), refresh=True)

    def close(self) -> None:
        """Leave the last picture where it is."""
        self._live.stop()


class PlainView:
    """A line for each decision as it is made, and in between how each domain does."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._told: set[int] = set()
        self._next = 0.0

    def show(self, seconds: float, sights: Sequence[Sight], said: Mapping[str, Any]) -> None:
        """Print what is new."""
        for sight in sights:
            for one in sight.decisions:
                if one.id not in self._told:
                    self._told.add(one.id)
                    self._say(seconds, f"{sight.scenario.domain.id:<9} {_decided(one, sight)}")
        if seconds >= self._next:
            self._next = seconds + _LINE_EVERY
            for sight in sights:
                rate = _rate(said, sight)
                self._say(seconds, f"{sight.scenario.domain.id:<9} {rate:3.0f}/s  {_now(sight)}  {_comparison(sight)}")

    def close(self) -> None:
        """Nothing is left open."""

    def _say(self, seconds: float, line: str) -> None:
        self._console.print(f"{seconds:6.1f} s  {line}", soft_wrap=True, highlight=False, markup=False)


def _traffic(said: Mapping[str, Any]) -> str:
    streams = said["streams"].values()
    answered, failed = sum(one["answered"] for one in streams), sum(one["failed"] for one in streams)
    rate = sum(one["rate"] for one in streams)
    trouble = f"   {said['trouble']}" if said["trouble"] else ""
    return f"{rate:.0f} answers/s, {answered:,} so far, {failed:,} failed, {said['reported']:,} judged{trouble}"


def _rate(said: Mapping[str, Any], sight: Sight) -> float:
    return float(said["streams"][sight.scenario.domain.id]["rate"])


def _panel(sight: Sight, said: Mapping[str, Any]) -> RenderableType:
    domain, rollout = sight.scenario.domain, sight.rollout
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(no_wrap=True, overflow="ellipsis")
    if rollout is None:
        grid.add_row("stable", Text.assemble((sight.stable, "bold"), f"    {_rate(said, sight):.0f} answers/s"))
        grid.add_row("warm-up", f"{sight.judged:,} of {sight.scenario.warm_up:,} answers on stable judged")
    else:
        grid.add_row("versions", _versions(sight, rollout, _rate(said, sight)))
        grid.add_row("traffic", _ladder(rollout))
        grid.add_row("accuracy", _comparison(sight) or "no judged answers yet")
        grid.add_row("against it", _evidence(sight.verdicts.get(ACCURACY, {})))
    title = Text.assemble((domain.id, "bold"), f"  {domain.title}")
    return Panel(
        grid, title=title, title_align="left", subtitle=Text(sight.scenario.assignment, style="dim"), height=_PANEL
    )


def _versions(sight: Sight, rollout: StoredRollout, rate: float) -> Text:
    before = rollout.status.previous_stable or sight.stable
    role = sight.scenario.artefact(rollout.spec.version).role
    return Text.assemble(
        f"stable {before}, canary ",
        (rollout.spec.version, "bold"),
        (f", in truth {role}", "dim italic"),
        f"    {rate:.0f} answers/s",
    )


def _ladder(rollout: StoredRollout) -> Text:
    status, laid = rollout.status, Text()
    for index, step in enumerate(rollout.spec.steps):
        here = index == status.step and status.phase in {Phase.PROGRESSING, Phase.PAUSED}
        done = index < status.step or status.phase is Phase.PROMOTED
        sign, style = ("▶", "bold cyan") if here else ("✓", "green") if done else ("·", "dim")
        laid.append(f"{sign} {step.weight:g}%  ", style)
    styles = {Phase.PROMOTED: "bold green", Phase.ABORTED: "bold red"}
    said = {Phase.PROMOTED: "promoted", Phase.ABORTED: "taken back"}.get(status.phase, f"{status.weight:g}% now")
    return laid.append(f"  {said}", styles.get(status.phase, ""))


def _comparison(sight: Sight) -> str:
    """Say how canary and stable answer; the engine compares the wrong answers, which is what grows."""
    figures = sight.verdicts.get(ACCURACY, {})
    if figures.get("canary") is None or figures.get("stable") is None:
        return str(figures.get("sentence", ""))
    said = f"canary {1 - figures['canary']:.1%}, stable {1 - figures['stable']:.1%}"
    if figures.get("ratio") is None:
        return said
    return f"{said}; {figures['ratio']:.2f} times as many wrong answers, {bounds(figures)}"


def bounds(figures: Mapping[str, Any]) -> str:
    """Say the always-valid interval of the ratio."""
    low = figures.get("low") or 0.0
    return f"surely {low:.2f} to {figures['high']:.2f}" if figures.get("high") else f"surely {low:.2f} or more"


def _evidence(figures: Mapping[str, Any]) -> Text:
    log_e = figures.get("logE")
    if log_e is None:
        return Text("none yet", style="dim")
    bar = math.log(1 / figures["alpha"])
    filled = min(_BAR, max(0, round(_BAR * log_e / bar)))
    style = "red" if log_e >= bar else "yellow" if log_e > 0 else "green"
    return Text.assemble(
        ("█" * filled, style),
        ("░" * (_BAR - filled), "dim"),
        f"  e-value {e_value(log_e)}, {math.exp(bar):.0f} takes it back",
    )


def e_value(log_e: float) -> str:
    """Say an e-value: the evidence against the canary, as the odds at which one would bet on it."""
    return f"{math.exp(log_e):,.3g}" if -7 < log_e < 14 else f"10^{log_e / math.log(10):.0f}"


def _log(sights: Sequence[Sight], height: int) -> RenderableType:
    made = sorted(
        ((one.at, one.id, one, sight) for sight in sights for one in sight.decisions), key=lambda row: row[:2]
    )
    shown = made[-(height - 2) :]
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True, min_width=8)
    grid.add_column(no_wrap=True, min_width=max((len(row[-1].scenario.domain.id) for row in shown), default=0))
    grid.add_column(no_wrap=True, overflow="ellipsis")
    for at, _, one, sight in shown:
        style = _STYLES.get(one.decision.action, "")
        grid.add_row(f"{at.astimezone():%H:%M:%S}", sight.scenario.domain.id, Text(_decided(one, sight), style))
    return Panel(grid, title="what the engine decided", title_align="left", height=height)


def _decided(one: StoredDecision, sight: Sight) -> str:
    version = next(rollout.spec.version for rollout in sight.rollouts if rollout.id == one.rollout)
    match one.decision.action:
        case Action.START:
            return f"{version} starts at {one.weight:g}%"
        case Action.ADVANCE:
            return f"{version} climbs to {one.weight:g}%: {one.decision.sentence}"
        case Action.ABORT:
            return f"{version} is TAKEN BACK: {one.decision.sentence}"
        case Action.PROMOTE:
            return f"{version} is PROMOTED: {one.decision.reasons[-1].message}"
        case _:
            return f"{version}: {one.decision.action}: {one.decision.sentence}"


def _now(sight: Sight) -> str:
    if sight.rollout is None:
        return f"warm-up, {sight.judged:,} of {sight.scenario.warm_up:,} answers judged"
    status = sight.rollout.status
    return f"{sight.rollout.spec.version} {status.phase} at {status.weight:g}%"
