"""How an analysis says what it found: the winner's lead, intervals, and which test a metric was judged by."""

import math
from collections.abc import Sequence

from vedette.experiments.design import Experiment
from vedette.experiments.metrics import Measured, Proportion, Quantile, Ratio
from vedette.kernel.tables import say_interval, say_number, say_percent
from vedette.stats.contrasts import Contrasts, Pair, Rule
from vedette.stats.results import Comparison


def lead(asked: Experiment, made: Contrasts, settled: Sequence[Pair], arms: Sequence[str]) -> str:
    """Say how far the winner, if there is one, is ahead of the control (or of the next best)."""
    over: dict[str, int] = {}
    for better, _ in settled:
        over[better] = over.get(better, 0) + 1
    winner = next((arm for arm, count in over.items() if count == len(arms) - 1), "")
    if not winner:
        return ""
    rival = asked.control if asked.control in arms and asked.control != winner else ""
    rival = rival or next(arm for arm in arms if arm != winner)
    for place, pair in enumerate(made.pairs):
        if set(pair) == {winner, rival}:
            turned = pair[0] != winner
            return _said_effect(made, place, rival, asked.alpha, turned=turned)
    return ""


def _said_effect(made: Contrasts, place: int, rival: str, alpha: float, *, turned: bool) -> str:
    sure = f"{100 * (1 - alpha):g} % interval"
    relative = [float(part[0, place]) for part in (made.relative, made.relative_low, made.relative_high)]
    if not turned and all(math.isfinite(part) for part in relative):
        effect, low, high = relative
        return f"{say_percent(effect)} over {rival} ({sure} {say_interval(low, high, say_percent)})"
    effect, low, high = (float(part[0, place]) for part in (made.effect, made.low, made.high))
    if turned:
        effect, low, high = -effect, -high, -low
    return f"{'+' if effect > 0 else ''}{say_number(effect)} over {rival} ({sure} {say_interval(low, high)})"


def said_interval(row: Comparison) -> str:
    """Say the relative interval, or the absolute one where that has no bound."""
    if row.relative_low is None and row.relative_high is None:
        return say_interval(row.low, row.high)
    return say_interval(row.relative_low, row.relative_high, say_percent)


def said_of(row: Comparison, alpha: float) -> str:
    """Say whether a comparison is better or worse; nothing where that is not shown, or no way is better."""
    if row.p_adjusted is None or row.p_adjusted > alpha or row.improved is None:
        return ""
    return "better" if row.improved else "worse"


def method(metric: Measured, rule: Rule, *, clustered: bool) -> str:
    """Say in words which test a metric was judged by."""
    what = {
        Quantile: "quantile, Woodruff variance",
        Proportion: "difference of proportions",
        Ratio: "ratio, delta method",
    }
    name = what.get(type(metric), "difference of means")
    if clustered and isinstance(metric, Ratio):
        name = "per request, variance between clusters"
    adjusted = ", adjusted by covariate (CUPED)" if metric.covariate else ""
    looks = {"fixed": "Welch's t", "sequence": "asymptotic confidence sequence", "repeated": "repeated interval"}
    return f"{name}{adjusted}; {looks[rule.kind]}"
