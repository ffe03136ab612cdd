"""The end of the demo: every decision, right or wrong, the evidence it was made from, and what it saved."""

import math
from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.text import Text

from vedette.demo.verdicts import Verdict
from vedette.demo.view import bounds, e_value
from vedette.rollouts.machine import Phase

_ENDS = {Phase.PROMOTED: "promoted", Phase.ABORTED: "taken back"}


def print_verdicts(console: Console, verdicts: Sequence[Verdict]) -> None:
    """Print what became of each candidate, a few lines each."""
    for verdict in verdicts:
        sign, style = ("✓ right", "bold green") if verdict.right else ("✗ WRONG", "bold red")
        console.print(
            Text.assemble((sign, style), f"  {verdict.domain} · ", (verdict.version, "bold"), f"  {_became(verdict)}"),
            soft_wrap=True,
        )
        for name, said in _lines(verdict):
            console.print(Text.assemble((f"         {name:<9}", "dim"), said), soft_wrap=True)


def _became(verdict: Verdict) -> str:
    if verdict.phase is None:
        return f"NOT DECIDED ({verdict.why}); it should have been {_ENDS[verdict.expected]}"
    said = f"{_ENDS[verdict.phase]} by itself"
    if verdict.phase is Phase.ABORTED:
        said += f" at {verdict.weight:g}%"
    said += f" after {verdict.seconds:.0f} s"
    return said if verdict.phase is verdict.expected else f"{said}; it should have been {_ENDS[verdict.expected]}"


def _lines(verdict: Verdict) -> Iterator[tuple[str, str]]:
    errs = f"{verdict.version} errs on {verdict.error:.1%} of the held-out queries, {verdict.stable} on"
    yield "truth", f"{errs} {verdict.stable_error:.1%}"
    if verdict.why and verdict.phase is Phase.ABORTED:
        yield "reason", verdict.why
    if verdict.evidence.get("logE") is not None:
        yield "evidence", _evidence(verdict)
    if verdict.canary.requests:
        yield "served", _served(verdict)
    if verdict.phase is Phase.ABORTED:
        yield "saved", _saved(verdict)


def _evidence(verdict: Verdict) -> str:
    figures = verdict.evidence
    ratio = "" if figures["ratio"] is None else f", {figures['ratio']:.2f} times as many, {bounds(figures)}"
    return (
        f"{figures['samples']:,.0f} judged answers, {figures['canary']:.1%} of them wrong, on stable "
        f"{figures['stable']:.1%}{ratio}; e-value {e_value(figures['logE'])}, {1 / figures['alpha']:.0f} takes it back "
        f"(α {figures['alpha']:g} of the rollout's); {verdict.assignment}"
    )


def _served(verdict: Verdict) -> str:
    canary, others = verdict.canary, verdict.others
    return (
        f"{canary.requests:,} requests by the canary, {canary.wrong:,} wrong answers; "
        f"{others.requests:,} by {verdict.stable}, {others.wrong:,} wrong"
    )


def _saved(verdict: Verdict) -> str:
    """Say what a release to everyone would have cost in the same seconds, at the true error."""
    both = verdict.canary.requests + verdict.others.requests
    to_all, so = round(both * verdict.error), verdict.canary.wrong + verdict.others.wrong
    per_minute = both / max(verdict.seconds, 1.0) * 60 * (verdict.error - verdict.stable_error)
    return (
        f"a release to everyone: all {both:,} requests, some {to_all:,} wrong answers instead of {so:,}, "
        f"and {math.ceil(per_minute):,} more a minute until it is noticed"
    )
