"""`StatisticalAnalyzer`: two sets of values in, the complete answer out; the mathematics of experiments, usable alone.

answer = StatisticalAnalyzer().analyze_ab_test({"accepted": [1, 0, 1, …]}, {"accepted": [1, 1, 1, …]})
print(answer.sentence)
answer["accepted"].comparison.p_adjusted
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from vedette.evidence.joint import joint_moments
from vedette.evidence.summary import FloatArray
from vedette.experiments.analysis import SRM_ALPHA
from vedette.experiments.design import WEIGHTS_ADD_UP, Experiment
from vedette.experiments.metrics import Better, Mean, Measured, Proportion
from vedette.experiments.monitoring import Fixed
from vedette.kernel.errors import InvalidInput
from vedette.kernel.records import evolve, record
from vedette.kernel.tables import Shown, Table, say_interval, say_number, say_p, say_percent
from vedette.stats.bayes import normal_means
from vedette.stats.cautions import CAUTIONS, Caution
from vedette.stats.multiplicity import Method, adjust
from vedette.stats.power import two_means
from vedette.stats.proportion_intervals import Counts
from vedette.stats.proportions import difference, ratio
from vedette.stats.resampling import brunner_munzel
from vedette.stats.results import Comparison, Estimate
from vedette.stats.sequential import MeanEstimate
from vedette.stats.srm import Split, fixed_check

LOWER_IS_BETTER = frozenset(
    {"error", "errors", "fallback", "fallbacks", "latency_ms", "ttft_ms", "tokens_in", "tokens_out", "cost"}
)
"""Metrics of which less is better unless the caller says otherwise: what vedette's own gateway measures, and cost."""

_SMALL_CELL = 5.0


@record
class ABMetric(Shown):
    """The answer in one metric.

    ``comparison`` is B against A. ``chance_b_is_better`` and the expected losses of choosing each are beliefs under a
    flat prior. ``cohens_d`` is the effect in standard deviations, ``b_beats_a`` the chance that a value of B exceeds
    one of A (Brunner & Munzel) with the p-value of its test, which outliers do not move. ``detectable`` is the
    smallest effect that a test of this size finds four times in five.
    """

    name: str
    kind: str
    better: Better
    a: Estimate
    b: Estimate
    comparison: Comparison
    chance_b_is_better: float | None
    loss_of_a: float | None
    loss_of_b: float | None
    cohens_d: float | None
    b_beats_a: float | None
    rank_p_value: float | None
    detectable: float | None
    left_out: int
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ABAnswer(Shown, Mapping[str, ABMetric]):
    """The whole answer, by metric: a mapping that also says itself in a sentence and as a table."""

    sentence: str
    metrics: Mapping[str, ABMetric]
    split_p_value: float | None
    alpha: float

    def __getitem__(self, name: str) -> ABMetric:
        return self.metrics[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.metrics)

    def __len__(self) -> int:
        return len(self.metrics)

    def table(self) -> Table:
        """Give one row a metric."""
        rows = tuple(
            (
                it.name,
                it.a.mean,
                it.b.mean,
                it.comparison.effect,
                it.comparison.relative_effect if Caution.UNBOUNDED not in it.comparison.warnings else None,
                say_interval(it.comparison.low, it.comparison.high),
                it.comparison.p_value,
                it.comparison.p_adjusted,
                it.chance_b_is_better,
            )
            for it in self.metrics.values()
        )
        names = ("metric", "A", "B", "effect", "relative", "interval", "p", "p adjusted", "chance B better")
        said = dict.fromkeys(caution for it in self.metrics.values() for caution in it.comparison.warnings)
        says: dict[str, Callable[[Any], str]] = {
            **dict.fromkeys(("A", "B", "effect"), say_number),
            **dict.fromkeys(("p", "p adjusted"), say_p),
            "relative": say_percent,
            "chance B better": lambda value: say_percent(value, signed=False),
        }
        notes = tuple(f"{caution}: {CAUTIONS[caution]}" for caution in said)
        return Table(names, rows, title=self.sentence, notes=notes, says=says)


class StatisticalAnalyzer:
    """Analyses experiments from values; for moments, designs and many arms see `vedette.Experiment`.

    Args:
        alpha: Chance of a false claim.
        correction: How the p-values of several metrics are corrected together.
    """

    def __init__(self, alpha: float = 0.05, *, correction: Method = "holm") -> None:
        if not 0.0 < alpha < 0.5:
            raise InvalidInput(f"alpha lies between 0 and 0.5, not at {alpha}", hint="0.05 is usual")
        self.alpha = alpha
        self.correction = correction

    def analyze_ab_test(
        self,
        variant_a_metrics: Mapping[str, ArrayLike],
        variant_b_metrics: Mapping[str, ArrayLike],
        *,
        better: Mapping[str, Better] | None = None,
        split: tuple[float, float] | None = None,
    ) -> ABAnswer:
        """Compare B with A in every metric, once, when all data are there (looking again and again needs `Experiment`).

        Values of 0 and 1 only are a proportion, judged by the score test; others a mean, judged by Welch's test.
        Missing values (None, NaN) are left out and counted. p-values are corrected over the metrics.

        Args:
            variant_a_metrics: Values of A (the control) by metric.
            variant_b_metrics: Values of B by metric; the same metrics.
            better: Which way is better, by metric; higher unless it is a metric of which less is better by its name.
            split: Intended shares of A and B, to check the numbers of units against.

        Raises:
            InvalidInput: A metric is in one variant only, there is none, or a value is infinite or no number.
        """
        names = _same_names(variant_a_metrics, variant_b_metrics)
        ways = {name: (better or {}).get(name, "lower" if name in LOWER_IS_BETTER else "higher") for name in names}
        if unknown := set(better or {}) - set(names):
            raise InvalidInput(f"there is no metric {min(unknown)!r}", hint=f"metrics: {', '.join(names)}")
        samples = {
            name: (_values(name, variant_a_metrics[name]), _values(name, variant_b_metrics[name])) for name in names
        }
        found = [self._metric(name, ways[name], *samples[name]) for name in names]
        p_values = [it.comparison.p_value if it.comparison.p_value is not None else math.nan for it in found]
        adjusted = adjust(p_values, self.correction).tolist() if len(found) > 1 else p_values
        said = {}
        for it, p in zip(found, adjusted, strict=True):
            comparison = evolve(it.comparison, p_adjusted=None if math.isnan(p) else p)
            sentence = _sentence(evolve(it, comparison=comparison), self.alpha)
            said[it.name] = evolve(it, comparison=comparison, sentence=sentence)
        split_p = _split(said, split)
        return ABAnswer(
            sentence=_together(said, split_p, self.alpha), metrics=said, split_p_value=split_p, alpha=self.alpha
        )

    def _metric(self, name: str, better: Better, a: "_Sample", b: "_Sample") -> ABMetric:
        binary = a.binary and b.binary
        measured: Measured = Proportion(name, better=better) if binary else Mean(name, better=better)
        arms = {"A": joint_moments({name: a.values}), "B": joint_moments({name: b.values})}
        asked = Experiment(
            variants=("A", "B"), metrics=[measured], weights=None, alpha=self.alpha, monitoring=Fixed(), min_units=2
        )
        analysis = asked.analyze(arms)
        first, second = analysis.estimates
        comparison = analysis.comparisons[0]
        if binary:
            comparison = self._by_scores(comparison, a, b)
        beliefs = _beliefs(first, second, better) if comparison.p_value is not None else (None, None, None)
        spread = _pooled_sd(a.values, b.values)
        ranks = brunner_munzel(b.values, a.values, alpha=self.alpha) if min(a.values.size, b.values.size) > 1 else None
        effect = comparison.effect
        return ABMetric(
            name=name,
            kind="proportion" if binary else "mean",
            better=better,
            a=first,
            b=second,
            comparison=comparison,
            chance_b_is_better=beliefs[0],
            loss_of_a=beliefs[1],
            loss_of_b=beliefs[2],
            cohens_d=effect / spread if effect is not None and spread else None,
            b_beats_a=ranks.estimate if ranks else None,
            rank_p_value=ranks.p_value if ranks else None,
            detectable=_detectable(a.values, b.values, spread, self.alpha),
            left_out=a.left_out + b.left_out,
            sentence="",
        )

    def _by_scores(self, plain: Comparison, a: "_Sample", b: "_Sample") -> Comparison:
        """Judge two proportions by the score test, whose interval belongs to it at any counts."""
        if not a.values.size or not b.values.size:
            return plain
        treatment, control = (Counts(float(it.values.sum()), it.values.size) for it in (b, a))
        judged = difference(treatment, control, alpha=self.alpha)
        of_control = ratio(treatment, control, alpha=self.alpha)  # the same test, of the ratio: they turn together
        judged_anew = {Caution.SMALL_SAMPLE, Caution.NO_VARIANCE, Caution.UNBOUNDED}
        warnings = [it for it in plain.warnings if it not in judged_anew]
        if judged.p_value is None:
            warnings.append(Caution.NO_VARIANCE)
        elif min(min(it.values.sum(), it.values.size - it.values.sum()) for it in (a, b)) < _SMALL_CELL:
            warnings.append(Caution.SMALL_SAMPLE)
        return evolve(
            plain,
            low=judged.low,
            high=judged.high,
            relative_low=None if of_control.low is None else of_control.low - 1.0,
            relative_high=None if of_control.high is None else of_control.high - 1.0,
            simultaneous_low=judged.low,
            simultaneous_high=judged.high,
            p_value=judged.p_value,
            p_adjusted=judged.p_value,
            method="score test of two proportions (Miettinen & Nurminen 1985)",
            df=None,
            warnings=tuple(warnings),
        )


@dataclass(frozen=True, slots=True)
class _Sample:
    values: FloatArray
    left_out: int

    @property
    def binary(self) -> bool:
        return bool(np.isin(self.values, (0.0, 1.0)).all())


def _same_names(a: Mapping[str, Any], b: Mapping[str, Any]) -> tuple[str, ...]:
    if not all(isinstance(it, Mapping) for it in (a, b)):
        raise InvalidInput("metrics are values by name", hint='such as {"accepted": [1, 0, 1]}')
    if not a or not b:
        raise InvalidInput("there is no metric to compare", hint='give values by name, such as {"accepted": [1, 0, 1]}')
    if lonely := [name for name in (*a, *b) if (name in a) != (name in b)]:
        where = "A" if lonely[0] in a else "B"
        raise InvalidInput(
            f"metric {lonely[0]!r} is in variant {where} only",
            hint="give each metric's values for both, or leave it out",
        )
    return tuple(a)


def _values(name: str, given: ArrayLike) -> _Sample:
    try:
        known_or_nan = [math.nan if value is None else value for value in np.ravel(np.asarray(given, object))]
        array = np.asarray(known_or_nan, np.float64)
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"metric {name!r} holds values that are no numbers: {error}") from error
    if np.isinf(array).any():
        raise InvalidInput(f"metric {name!r} holds infinite values", hint="leave them out, or cap them")
    known = ~np.isnan(array)
    return _Sample(array[known], int((~known).sum()))


def _pooled_sd(a: FloatArray, b: FloatArray) -> float | None:
    degrees = a.size + b.size - 2
    if min(a.size, b.size) < 1 or degrees < 1:
        return None
    total = float(((a - a.mean()) ** 2).sum() + ((b - b.mean()) ** 2).sum())
    return math.sqrt(total / degrees) or None


def _beliefs(a: Estimate, b: Estimate, better: Better) -> tuple[float | None, float | None, float | None]:
    if a.mean is None or b.mean is None or not a.standard_error or not b.standard_error:
        return None, None, None
    arms = [MeanEstimate(it.mean or 0.0, (it.standard_error or 0.0) ** 2, it.n) for it in (a, b)]
    beliefs = normal_means(arms, better=better).arms
    return beliefs[1].p_best, beliefs[0].expected_loss, beliefs[1].expected_loss


def _detectable(a: FloatArray, b: FloatArray, spread: float | None, alpha: float) -> float | None:
    if spread is None or min(a.size, b.size) < 2:
        return None
    return two_means(n=a.size, ratio=b.size / a.size, sd=spread, alpha=alpha, power=0.8).effect


def _split(said: Mapping[str, ABMetric], split: tuple[float, float] | None) -> float | None:
    if split is None:
        return None
    largest = max(said.values(), key=lambda it: it.a.n + it.b.n)
    if abs(sum(split) - 1.0) > WEIGHTS_ADD_UP:
        raise InvalidInput(f"the split's shares add up to 1, not to {sum(split):g}", hint="such as (0.5, 0.5)")
    return fixed_check(Split((largest.a.n, largest.b.n), split)).p_value


def _sentence(it: ABMetric, alpha: float) -> str:
    row = it.comparison
    if row.p_adjusted is None:
        return f"{it.name} cannot be compared: {CAUTIONS[row.warnings[0]] if row.warnings else 'too little is known.'}"
    sure = f"({_size(row)}, {100 * (1 - alpha):g} % interval of the difference {say_interval(row.low, row.high)})"
    if row.p_adjusted > alpha:
        able = f"; differences of {say_number(it.detectable)} and more would show" if it.detectable else ""
        return f"no difference in {it.name} is shown {sure}{able}"
    return f"B is {'better' if row.improved else 'worse'} than A in {it.name} {sure}"


def _together(said: Mapping[str, ABMetric], split_p: float | None, alpha: float) -> str:
    broken = split_p is not None and split_p < SRM_ALPHA
    shown = [it for it in said.values() if _clear(it, alpha)]
    known = [it.name for it in said.values() if it.comparison.p_adjusted is not None and it not in shown]
    unknown = [it.name for it in said.values() if it.comparison.p_adjusted is None]
    parts = [f"{'better' if it.comparison.improved else 'worse'} in {it.name} ({_size(it.comparison)})" for it in shown]
    sentences = [
        "The split is broken: do not trust the rest." if broken else "",
        f"B is {', '.join(parts)}." if parts else "",
        f"No difference is shown in {', '.join(known)}." if known else "",
        f"{', '.join(unknown)} cannot be compared." if unknown else "",
    ]
    return " ".join(filter(None, sentences))


def _clear(it: ABMetric, alpha: float) -> bool:
    return it.comparison.p_adjusted is not None and it.comparison.p_adjusted <= alpha


def _size(row: Comparison) -> str:
    """Say the effect: relative where that is bounded, else absolute."""
    if row.relative_effect is not None and Caution.UNBOUNDED not in row.warnings:
        return say_percent(row.relative_effect)
    return f"{'+' if (row.effect or 0.0) > 0.0 else ''}{say_number(row.effect)}"
