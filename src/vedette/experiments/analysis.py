"""From what was observed to an answer: estimates, comparisons, the state of the split, and the verdict.

All p-values and intervals of an analysis are of one kind, as the design says how often it may be looked at. Guardrails
are apart: they are judged by a confidence sequence whatever the design, because harm is looked for at every look.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from vedette.experiments.design import Experiment
from vedette.experiments.monitoring import AnytimeValid, Fixed, GroupSequential
from vedette.experiments.observed import Observed
from vedette.experiments.simultaneous import corrected
from vedette.experiments.verdict import Breach, Standing, Verdict, conclude, established
from vedette.experiments.wording import lead, method, said_interval, said_of
from vedette.kernel.records import record
from vedette.kernel.tables import Shown, Table, say_number, say_p, say_p_in_words, say_percent
from vedette.stats.cautions import CAUTIONS, Caution
from vedette.stats.contrasts import Contrasts, FixedRule, Pair, Rule, SequenceRule, against, all_pairs, contrasts
from vedette.stats.effect_mixture import WIDE
from vedette.stats.estimates import Estimates
from vedette.stats.futility import LowConditionalPower
from vedette.stats.group_sequential import Design, boundaries
from vedette.stats.group_sequential_inference import conditional_power
from vedette.stats.look_rule import LookRule
from vedette.stats.results import Comparison, Estimate, comparison_rows, estimate_rows
from vedette.stats.sequential import Side
from vedette.stats.spending import Family
from vedette.stats.srm import RatioCheck

if TYPE_CHECKING:
    from vedette.charts.chart import Chart
    from vedette.experiments.report import ExperimentReport

SRM_ALPHA = 0.001
"""A split this unlikely is broken: nothing is concluded from it."""

_FAMILIES: Mapping[str, Family] = {
    "power": Family.POWER,
    "obrien-fleming": Family.LAN_DEMETS_OBRIEN_FLEMING,
    "pocock": Family.LAN_DEMETS_POCOCK,
    "hwang-shih-decani": Family.HWANG_SHIH_DECANI,
}
_PARAMETERS = {"power": 3.0, "hwang-shih-decani": -4.25}
_HARM_AT = 2_000.0  # requests at which a guardrail is quickest: harm that takes longer to see does less of it
_PLANNED = 2.8  # the z-score that a test of power 0.8 expects at its end


@record
class Progress:
    """What earlier looks left: their fractions of the planned information, and the pairs they settled."""

    looks: tuple[float, ...] = ()
    established: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Analysis(Shown):
    """The answer of one look.

    Attributes:
        verdict: What follows, in a word and in a sentence.
        estimates: One row a metric and arm.
        comparisons: One row a metric and pair.
        split: Check of the split; None where it was not checked.
        progress: What to hand to the next look.
        information: Fraction of the planned units that were there; None without a plan.
        asked: The design it answers, over the arms that are still in it.
        observed: What it was made from: the estimates as arrays, units by arm, the split.
        pairs: Contrasts of all pairs in the primary metric.
    """

    verdict: Verdict
    estimates: tuple[Estimate, ...]
    comparisons: tuple[Comparison, ...]
    split: RatioCheck | None
    progress: Progress
    information: float | None
    units: Mapping[str, float]
    asked: Experiment = field(repr=False)
    observed: Observed = field(repr=False)
    pairs: Contrasts = field(repr=False)

    @property
    def primary(self) -> str:
        """Name of the metric that decides."""
        return self.asked.primary.name

    @property
    def found(self) -> Estimates:
        """The estimates as arrays, for those who go on from here."""
        return self.observed.found

    def comparison(self, metric: str, treatment: str) -> Comparison:
        """Give the row of a metric and a treatment.

        Raises:
            KeyError: there is none.
        """
        for row in self.comparisons:
            if (row.metric, row.treatment) == (metric, treatment):
                return row
        raise KeyError(f"{treatment} is not compared in {metric}")

    def report(self) -> "ExperimentReport":
        """Say all that was found as plain records: with ranks, beliefs, and what the winner is worth."""
        from vedette.experiments.report import report  # a report is made of an analysis

        return report(self, self.units)

    def forest(self) -> "Chart":
        """Draw every comparison with its interval."""
        from vedette.experiments.pictures import forest  # same

        return forest(self.report(), alpha=self.asked.alpha)

    def ranks(self) -> "Chart":
        """Draw where each arm may stand in the primary metric."""
        from vedette.experiments.pictures import ranks  # same

        return ranks(self.report())

    def _repr_html_(self) -> str:
        return f"{self.forest()}{self.table()._repr_html_()}"

    def table(self) -> Table:
        """Give one row a comparison, the verdict above it and what to be careful about below."""
        columns = ("metric", "role", "comparison", "effect", "relative", "interval", "p", "p adjusted", "verdict")
        roles = {metric.name: metric.role for metric in self.asked.metrics}
        rows = tuple(
            (
                row.metric,
                roles[row.metric],
                f"{row.treatment} vs {row.reference}",
                row.effect,
                None if Caution.UNBOUNDED in row.warnings else row.relative_effect,
                said_interval(row),
                row.p_value,
                row.p_adjusted,
                said_of(row, self.asked.alpha),
            )
            for row in self.comparisons
        )
        told = [row.warnings for row in self.comparisons] + [row.warnings for row in self.estimates]
        said = dict.fromkeys(caution for warnings in told for caution in warnings)
        notes = tuple(f"{caution}: {CAUTIONS[caution]}" for caution in said)
        return Table(
            columns,
            rows,
            title=self.verdict.sentence,
            notes=notes,
            says={"effect": say_number, "relative": say_percent, "p": say_p, "p adjusted": say_p},
        )


def analyze(asked: Experiment, observed: Observed, progress: Progress | None, gone: Sequence[str] = ()) -> Analysis:
    """Answer from what was observed; `gone` arms were taken out and are no part of the verdict."""
    before = progress or Progress()
    seen = observed.without(gone) if gone else observed
    now = asked.over([arm for arm in asked.variants if arm not in gone]) if gone else asked
    found = seen.found
    units = sum(seen.units.values())
    looks, information = _looks(now, units, before)
    rule = rule_at(now, looks, now.alpha)
    pairs = _shown_pairs(now, found)
    made = contrasts(found, pairs, rule)
    p_adjusted, wide = corrected(
        found, made, now.multiplicity, alpha=now.alpha, at_level=lambda level: rule_at(now, looks, level)
    )
    decisive = contrasts(found.of(now.primary.name), all_pairs(found.arms), rule)
    breaches = _breaches(now, seen)
    settled = established(found.arms, before.established, _settled(now, decisive))
    standing = _standing(now, seen, decisive, looks, information)
    verdict = conclude(
        found.arms,
        now.primary.name,
        () if standing.missing or standing.broken_split else settled,
        standing,
        breaches=breaches,
        same=_same(now, found, decisive, settled),
        lead=lead(now, decisive, settled, found.arms),
    )
    cautions = seen.cautions
    return Analysis(
        verdict=verdict,
        estimates=estimate_rows(found, cautions),
        comparisons=comparison_rows(
            found,
            made,
            kind=rule.kind,
            methods=[method(metric, rule, clustered=seen.clustered) for metric in now.metrics],
            better=[metric.better for metric in now.metrics],
            p_adjusted=p_adjusted,
            simultaneous=wide,
            extra=cautions,
        ),
        split=seen.split,
        progress=Progress(looks=looks, established=verdict.established),
        information=information,
        units=seen.units,
        asked=now,
        observed=seen,
        pairs=decisive,
    )


def design_of(monitoring: GroupSequential, alpha: float) -> Design:
    """Give the group-sequential design a spec asks for."""
    parameter = monitoring.parameter
    if parameter is None:
        parameter = _PARAMETERS.get(monitoring.spending)
    futility = LowConditionalPower(threshold=monitoring.futility) if monitoring.futility else None
    return Design(family=_FAMILIES[monitoring.spending], parameter=parameter, alpha=alpha, futility=futility)


def _looks(asked: Experiment, units: float, before: Progress) -> tuple[tuple[float, ...], float | None]:
    """Give the fractions of all looks, this one included, and this one's."""
    plan = asked.monitoring
    if isinstance(plan, AnytimeValid) or (isinstance(plan, Fixed) and not plan.units):
        return before.looks, None
    fraction = units / plan.units
    if isinstance(plan, Fixed):
        return before.looks, fraction
    fraction = min(fraction, 1.0)
    if before.looks and fraction <= before.looks[-1] * (1 + 1e-3):
        return before.looks, fraction
    return (*before.looks, fraction) if fraction > 0 else before.looks, fraction


def rule_at(asked: Experiment, looks: Sequence[float], level: float) -> Rule:
    """Give how the newest of some looks is judged at a level."""
    plan = asked.monitoring
    if isinstance(plan, AnytimeValid):
        return SequenceRule(alpha=level, tuning=plan.tune_at)
    if isinstance(plan, GroupSequential) and looks:
        return LookRule(design=design_of(plan, level), information=tuple(looks), final=looks[-1] >= 1.0)
    return FixedRule(alpha=level)


def _shown_pairs(asked: Experiment, found: Estimates) -> tuple[Pair, ...]:
    if asked.comparisons == "all-pairs":
        return all_pairs(found.arms)
    if asked.comparisons == "best":
        row = found.mean[found.metrics.index(asked.primary.name)]
        best = np.nanargmax(row if asked.primary.better == "higher" else -row) if not np.isnan(row).all() else 0
        return tuple((found.arms[int(best)], arm) for place, arm in enumerate(found.arms) if place != best)
    return against(asked.control, found.arms)


def _settled(asked: Experiment, made: Contrasts) -> tuple[Pair, ...]:
    """Give the pairs (better, worse) that this look settles in the primary metric."""
    sign = 1.0 if asked.primary.better == "higher" else -1.0
    z, level = (sign * made.z[0]).tolist(), made.critical[0].tolist()
    pairs = []
    for place, (treatment, reference) in enumerate(made.pairs):
        if z[place] >= level[place]:
            pairs.append((treatment, reference))
        elif -z[place] >= level[place]:
            pairs.append((reference, treatment))
    return tuple(pairs)


def _breaches(asked: Experiment, seen: Observed) -> tuple[Breach, ...]:
    """Judge every guardrail of every arm but the control by a confidence sequence, whatever the design.

    The chance that any of them is ever called broken while none is, is alpha in all.
    """
    guardrails = [metric for metric in asked.metrics if metric.role == "guardrail"]
    pairs = against(asked.control, seen.found.arms) if asked.control in seen.found.arms else ()
    if not guardrails or not pairs or min(seen.units.values()) < asked.min_units:
        return ()
    level = asked.alpha / (len(guardrails) * len(pairs))
    broken = []
    for metric in guardrails:
        harm = -1.0 if metric.better == "higher" else 1.0
        side = Side.LESS if metric.better == "higher" else Side.GREATER
        rule = SequenceRule(alpha=level, side=side, tuning=_HARM_AT, spread=WIDE)
        made = contrasts(seen.found.of(metric.name), pairs, rule, relative_margin=harm * metric.margin)
        for place, (arm, _) in enumerate(pairs):
            p_value, relative = float(made.p_value[0, place]), float(made.relative[0, place])
            if p_value <= level:
                worse = harm * relative if math.isfinite(relative) else None
                broken.append(Breach(arm=arm, metric=metric.name, harm=worse, margin=metric.margin, p_value=p_value))
    return tuple(broken)


def _standing(
    asked: Experiment, seen: Observed, made: Contrasts, looks: Sequence[float], information: float | None
) -> Standing:
    plan, missing, waiting = asked.monitoring, "", ""
    smallest = min(seen.units, key=lambda arm: seen.units[arm])
    if seen.units[smallest] < asked.min_units:
        missing = f"{smallest} has {seen.units[smallest]:g} of {asked.min_units} {_what(seen)} every arm needs"
    elif np.isnan(made.p_value).any():
        row = seen.found.metrics.index(asked.primary.name)
        place = int(np.argmax(np.isnan(seen.found.variance[row]) | (seen.found.variance[row] <= 0)))
        why = "too few independent clusters" if seen.clustered else "its spread is unknown"
        missing = f"{asked.primary.name} cannot be judged in {seen.found.arms[place]}: {why}"
    if isinstance(plan, Fixed) and information is not None and information < 1.0:
        missing = (
            missing or f"one analysis is planned, at {plan.units} {_what(seen)}; {100 * information:.3g} % are there"
        )
    if information is not None:
        waiting = f"{100 * min(information, 1.0):.3g} % of the planned {_what(seen)} are there"
    return Standing(
        missing=missing,
        broken_split=_broken(seen),
        finished=isinstance(plan, Fixed) or (isinstance(plan, GroupSequential) and bool(looks) and looks[-1] >= 1.0),
        hopeless=isinstance(plan, GroupSequential) and bool(plan.futility) and _hopeless(asked, plan, made, looks),
        waiting=waiting,
    )


def _hopeless(asked: Experiment, plan: GroupSequential, made: Contrasts, looks: Sequence[float]) -> bool:
    """Say whether no pair has the conditional power asked for, even if the effect that was planned for is there."""
    if not looks or looks[-1] >= 1.0:
        return False
    ahead = [fraction for fraction in (k / plan.looks for k in range(1, plan.looks + 1)) if fraction > looks[-1] * 1.01]
    whole = boundaries(design_of(plan, asked.alpha), (*looks, *ahead), maximum=1.0)
    known = [float(z) for z in made.z[0] if not math.isnan(z)]
    chances = (conditional_power(whole, len(looks), z, drift=math.copysign(_PLANNED, z)) for z in known)
    return bool(known) and all(chance < plan.futility for chance in chances)


def _broken(seen: Observed) -> str:
    if seen.split is None or seen.split.p_value >= SRM_ALPHA:
        return ""
    counts = ", ".join(f"{arm} {count:,.0f}" for arm, count in seen.units.items())
    return f"the arms got {counts}, which the intended split gives with {say_p_in_words(seen.split.p_value)}"


def _same(asked: Experiment, found: Estimates, made: Contrasts, settled: Sequence[Pair]) -> bool:
    """Say whether all arms that nobody beats are proven to be within the primary metric's margin of each other."""
    margin = asked.primary.margin
    beaten = {worse for _, worse in settled}
    tied = [arm for arm in found.arms if arm not in beaten]
    if not margin or len(tied) < 2:
        return False
    inside = (made.relative_low[0] >= -margin) & (made.relative_high[0] <= margin)
    return all(bool(inside[place]) for place, pair in enumerate(made.pairs) if set(pair) <= set(tied))


def _what(seen: Observed) -> str:
    return "requests" if seen.clustered else "units"
