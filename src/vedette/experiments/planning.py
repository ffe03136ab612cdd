"""How large an experiment has to be: units in each arm, how long they take to come, what looking on the way costs.

The question planned for is the one the verdict answers: is there an arm that beats *all* others? With more than two
arms that takes several comparisons at once, and more units than a comparison of two. Whoever only wants to know which
treatments beat the control asks for that instead (`question="control"`), at the level its correction leaves.

Both are planned as one comparison of two arms, at the power (or the level) which that question asks of it. So every
kind of metric and every design can be planned alike, by the tests and boundaries experiments are judged by.

References:
    Bechhofer, Ann. Math. Statist. 25 (1954): the least favourable configuration, one arm better and the rest equal.
    Berger, Technometrics 24 (1982): why the winner's tests need no correction. Dunnett, JASA 50 (1955).
    Jennison & Turnbull, Group sequential methods with applications to clinical trials (2000).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr, ndtri

from vedette.evidence.summary import FloatArray
from vedette.experiments.analysis import design_of
from vedette.experiments.design import Experiment
from vedette.experiments.monitoring import AnytimeValid, Fixed, GroupSequential, Monitoring
from vedette.experiments.planned_pair import Kind, PlannedPair, effect_of, kind_of
from vedette.kernel.errors import InvalidInput
from vedette.kernel.records import record
from vedette.kernel.tables import Shown, Table, say_number, say_percent
from vedette.stats.planning import Power, positive, round_up
from vedette.stats.power_arms import Correction, leader_versus_all, versus_control
from vedette.stats.power_sequential import SequentialPlan, always_valid, duration, group_sequential
from vedette.stats.sequential import balanced_size

Question = Literal["winner", "control"]
"""Whether one arm beats all others, or which arms beat the control."""

_PLACES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(96)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()
_AS_FIXED = "; as a fixed test"
_SETTLED, _ROUNDS, _FIRST_GUESS = 1e-4, 20, 1.4


@record
class ExperimentPlan(Shown):
    """What an experiment takes.

    Attributes:
        metric: The metric that decides.
        sentence: All of it in a sentence.
        design: How often it is looked at: ``fixed``, ``group-sequential`` or ``anytime``.
        question: What is to be found out.
        baseline: The metric without the effect; None where it was not needed.
        effect: The smallest effect to be found, signed.
        relative_effect: The same as a fraction of the baseline.
        power: Probability to find it, by the last unit.
        alpha: Chance of a false claim.
        n_per_arm: Units of each arm at the end, in the order of the variants.
        n_total: Units of all arms at the end.
        expected_total: Units when it stops, on average, if the effect is there.
        expected_total_null: The same if there is none; None with more than two arms.
        inflation: Size at the end over that of a single analysis.
        looks: Units of all arms at each planned look.
        days: Days until the end; None without knowing the traffic.
        expected_days: Days until it stops, on average, if the effect is there.
        power_curve: Pairs of a number of units in all arms, and the power by then.
        monitoring: The design with its size filled in, to run the experiment by.
        convention: Of the calculation, in words.
    """

    metric: str
    sentence: str
    design: Literal["fixed", "group-sequential", "anytime"]
    question: Question
    baseline: float | None
    effect: float
    relative_effect: float | None
    power: float
    alpha: float
    n_per_arm: tuple[int, ...]
    n_total: int
    expected_total: float
    expected_total_null: float | None
    inflation: float
    looks: tuple[int, ...]
    days: float | None
    expected_days: float | None
    power_curve: tuple[tuple[float, float], ...]
    monitoring: Monitoring
    convention: str

    def table(self) -> Table:
        """Give one row, the sentence above it and the convention below."""
        return plans_table([self])


def plans_table(plans: Sequence[ExperimentPlan]) -> Table:
    """Set plans of the same experiment side by side, one row a design, the first one's sentence above."""
    names = (
        "design",
        "per arm",
        "in all",
        "on average",
        "without effect",
        "vs fixed",
        "days",
        "days on average",
    )
    rows = tuple(
        (
            plan.design,
            plan.n_per_arm[0] if len(set(plan.n_per_arm)) == 1 else ", ".join(f"{n:,}" for n in plan.n_per_arm),
            plan.n_total,
            round(plan.expected_total),
            None if plan.expected_total_null is None else round(plan.expected_total_null),
            plan.inflation,
            plan.days,
            plan.expected_days,
        )
        for plan in plans
    )
    notes = tuple(  # what all of them have in common is said once
        f"{plan.design}: {plan.convention if not place else plan.convention.partition(_AS_FIXED)[0]}."
        for place, plan in enumerate(plans)
    )
    timed = any(plan.days is not None for plan in plans)
    shown = len(names) if timed else 6
    says: dict[str, Callable[[float], str]] = {
        "vs fixed": lambda part: f"× {say_number(part)}",
        **{name: lambda days: say_number(days, 2) for name in names[6:shown]},
    }
    return Table(names[:shown], tuple(row[:shown] for row in rows), title=plans[0].sentence, notes=notes, says=says)


def plan(
    asked: Experiment,
    *,
    mde: float,
    absolute: bool = False,
    baseline: float | None = None,
    sd: float | None = None,
    power: float = 0.8,
    question: Question = "winner",
    kind: Kind | None = None,
    dispersion: float = 0.0,
    variance_factor: float = 1.0,
    units_per_day: float | None = None,
    coverage: float = 1.0,
) -> ExperimentPlan:
    """Say how many units an experiment needs to find an effect, under its own design.

    Args:
        asked: The experiment; its primary metric, splits, alpha, monitoring and correction are taken.
        mde: Smallest effect to be found, above 0: a fraction of the baseline, or a difference if `absolute`. Which way
            it points, the metric says.
        absolute: Whether `mde` is in the metric's own unit.
        baseline: The metric today: a share, a mean, a ratio, or events per unit of exposure.
        sd: Standard deviation over units, of a mean or a ratio (`stats.power.ratio_sd`).
        power: Probability to find it.
        question: What is to be found out.
        kind: How the metric varies; taken from the primary metric unless given.
        dispersion: Of a rate: its variance is ``mean + dispersion * mean**2`` (0: Poisson).
        variance_factor: What covariates leave of the variance (`cuped_factor`), times what clusters add
            (`design_effect`).
        units_per_day: New units a day.
        coverage: Part of them that takes part.

    Raises:
        InvalidInput: A number is missing or out of range, or the primary metric is a quantile.
    """
    positive("variance_factor", variance_factor)
    if question not in ("winner", "control"):
        raise InvalidInput(f"there is no question {question!r}", hint="winner or control")
    known = kind or kind_of(asked.primary)
    effect, relative = effect_of(asked.primary, known, mde, baseline, sd, absolute=absolute)
    weights = asked.weights or (1.0 / len(asked.variants),) * len(asked.variants)
    first, second = _compared(asked, weights, question)
    level, pair_power, words = _asked_of_a_pair(asked, question, power)
    pair = PlannedPair(
        kind=known,
        baseline=baseline,
        sd=sd,
        effect=effect,
        relative=relative,
        level=level,
        ratio=weights[second] / weights[first],
        dispersion=dispersion,
        factor=variance_factor,
    )
    fixed = pair.at(power=pair_power)
    together = _beats_all(len(asked.variants) - 1 if question == "winner" else 1)
    found, monitoring = _designed(asked.monitoring, fixed, level)
    per_unit = 1.0 / (weights[first] + weights[second])  # units of all arms for one of the pair's
    total = (math.fsum(fixed.n) if found is None else math.fsum(found.n)) * per_unit
    if found is None:
        curve = _curve(pair, fixed, together, per_unit)
        expected = null = float(sum(round_up(total * weight) for weight in weights))
    else:
        sizes, chances = np.array(found.power_curve).T
        chances = together(chances)
        curve = tuple(zip((sizes * per_unit).tolist(), chances.tolist(), strict=True))
        expected = found.expected_n * per_unit if len(asked.variants) == 2 or question == "control" else _mean(curve)
        null = found.expected_n_null * per_unit
    n_per_arm = tuple(round_up(total * weight) for weight in weights)
    if not isinstance(monitoring, AnytimeValid):
        monitoring = replace(monitoring, units=sum(n_per_arm))
    days = None if units_per_day is None else duration(total, units_per_day, share=coverage).days
    expected_days = None if units_per_day is None else duration(expected, units_per_day, share=coverage).days
    convention = f"{words}; {fixed.convention if found is None else found.convention}"
    answer = ExperimentPlan(
        metric=asked.primary.name,
        sentence="",
        design=monitoring.kind,
        question=question,
        baseline=baseline,
        effect=effect,
        relative_effect=relative,
        power=power,
        alpha=asked.alpha,
        n_per_arm=n_per_arm,
        n_total=sum(n_per_arm),
        expected_total=expected,
        expected_total_null=null if len(asked.variants) == 2 else None,
        inflation=1.0 if found is None else found.inflation,
        looks=() if found is None else tuple(round_up(size * per_unit) for size in found.n_by_look),
        days=days,
        expected_days=expected_days,
        power_curve=curve,
        monitoring=monitoring,
        convention=convention,
    )
    return replace(answer, sentence=_sentence(answer))


def sizes(asked: Experiment, *, mdes: Sequence[float], powers: Sequence[float], **assumed: Any) -> list[list[int]]:  # noqa: ANN401 - as `plan`
    """Give the units in all that each effect takes (the rows) at each power (the columns), under the design asked for.

    By how much a design exceeds a single analysis depends on the power and hardly on the effect, so it is computed
    once for each power. What is assumed is named as in `plan`.

    Raises:
        InvalidInput: as `plan`, or there are no effects.
    """
    if not mdes:
        raise InvalidInput("sizes are of effects", hint="such as 0.02, 0.05, 0.1")
    once = replace(asked, monitoring=Fixed())
    middle = mdes[len(mdes) // 2]
    more = [plan(asked, mde=middle, power=power, **assumed).inflation for power in powers]
    return [
        [
            round_up(plan(once, mde=mde, power=power, **assumed).n_total * factor)
            for power, factor in zip(powers, more, strict=True)
        ]
        for mde in mdes
    ]


def _compared(asked: Experiment, weights: Sequence[float], question: Question) -> tuple[int, int]:
    """Give the two arms whose comparison needs most: the control and the smallest treatment, or the smallest two."""
    control = asked.variants.index(asked.control)
    others = sorted((place for place in range(len(weights)) if place != control), key=lambda place: weights[place])
    if question == "control" or len(weights) == 2:
        return control, others[0]
    first, second = sorted(range(len(weights)), key=lambda place: weights[place])[:2]
    return first, second


def _asked_of_a_pair(asked: Experiment, question: Question, power: float) -> tuple[float, float, str]:
    """Give the two-sided level and the power that the question asks of one comparison, and the question in words."""
    k, alpha = len(asked.variants), asked.alpha
    if k == 2:
        return alpha, power, "two arms"
    if question == "winner":
        leader = leader_versus_all(arms=k, effect=1.0, alpha=alpha / 2.0, power=power)
        apiece = float(ndtr(math.sqrt(leader.n[0] / 2.0) + ndtri(alpha / 2.0)))
        return (
            alpha,
            apiece,
            f"the best of {k} arms beats all others (which are equal), with that power for all at once",
        )
    method = asked.multiplicity.method
    known = {"none": Correction.NONE, "dunnett": Correction.DUNNETT}
    correction = known.get(method, Correction.BONFERRONI)
    shown = k * (k - 1) // 2 if asked.comparisons == "all-pairs" else k - 1
    each = versus_control(arms=shown, effect=1.0, alpha=alpha, power=power, correction=correction)
    level = 2.0 * float(ndtr(ndtri(power) - math.sqrt(each.n[0] / 2.0)))
    words = {
        Correction.NONE: "without correction",
        Correction.DUNNETT: "at Dunnett's level",
        Correction.BONFERRONI: f"at alpha / {shown}, the first step of {method}",
    }[correction]
    return level, power, f"a given one of {shown} comparisons, {words}"


def _designed(monitoring: Monitoring, fixed: Power, level: float) -> tuple[SequentialPlan | None, Monitoring]:
    """Give the design's own plan of the comparison, None for a single analysis, and how it is to be monitored."""
    if isinstance(monitoring, GroupSequential):
        found = group_sequential(fixed, design=design_of(monitoring, level), information=monitoring.looks)
        return found, monitoring
    if isinstance(monitoring, AnytimeValid):
        tuning = _FIRST_GUESS * balanced_size(*fixed.n)
        for _ in range(_ROUNDS):  # the sequence is made for the size it needs, which depends on what it is made for
            found = always_valid(fixed, tuning=tuning)
            needed = balanced_size(*found.n)
            if abs(needed - tuning) <= _SETTLED * tuning:
                break
            tuning = needed
        return found, AnytimeValid(tune_at=float(round_up(tuning)))
    return None, monitoring


def _beats_all(others: int) -> Callable[[ArrayLike], FloatArray]:
    """From the chance that the best arm beats a given other one by then, the chance that it beats all of them.

    Comparisons of one arm with equal others have correlation one half, in every look; how their times of success go
    together is taken to be as for normal statistics (for 2 to 20 arms simulated designs agree to .02).
    """

    def joint(chance: ArrayLike) -> FloatArray:
        apiece = np.asarray(chance, np.float64)
        if others == 1:
            return apiece
        reach = math.sqrt(2.0) * ndtri(np.clip(apiece, 1e-300, 1.0 - 1e-16))
        return np.asarray(ndtr(_PLACES + reach[..., None]) ** others @ _WEIGHTS)

    return joint


def _curve(
    pair: PlannedPair, fixed: Power, together: Callable[[ArrayLike], FloatArray], per_unit: float
) -> tuple[tuple[float, float], ...]:
    """Power of a single analysis at sizes from a tenth of the planned one to its double."""
    parts = np.linspace(0.1, 2.0, 39)
    sizes = [part * fixed.n[0] for part in parts.tolist() if part * min(fixed.n) / pair.factor > 3.0] or [fixed.n[0]]
    chances = together([pair.at(n=size).power for size in sizes])
    scale = math.fsum(fixed.n) / fixed.n[0] * per_unit
    return tuple((size * scale, float(chance)) for size, chance in zip(sizes, chances, strict=True))


def _mean(curve: Sequence[tuple[float, float]]) -> float:
    """Mean size at which it stops, at the last look at the latest."""
    sizes, chances = np.array(curve).T
    return float(np.diff(chances, prepend=0.0) @ sizes + (1.0 - chances[-1]) * sizes[-1])


def _sentence(it: ExperimentPlan) -> str:
    effect = f"{say_number(it.effect)}" if it.relative_effect is None else say_percent(it.relative_effect)
    toward = "" if it.baseline is None else f" ({say_number(it.baseline)} to {say_number(it.baseline + it.effect)})"
    arms = len(it.n_per_arm)
    each = f" ({it.n_per_arm[0]:,} in each of {arms} arms)" if len(set(it.n_per_arm)) == 1 else f" in {arms} arms"
    stops = "" if it.design == "fixed" else f", {round(it.expected_total):,} on average if it is there"
    lasts = "" if it.days is None else f"; {say_number(it.days, 2)} days"
    early = "" if it.days is None or it.design == "fixed" else f", {say_number(it.expected_days, 2)} on average"
    return (
        f"An effect of {effect}{toward} on {it.metric} is found with probability {say_percent(it.power, signed=False)} "
        f"by {it.n_total:,} units{each}{stops}{lasts}{early}."
    )
