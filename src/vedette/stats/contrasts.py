"""Differences between arms, all metrics and all pairs at once: effect, interval, relative interval and p-value.

A pair is judged by its z-score against one critical value, which a `Rule` gives: fixed in advance, of a look of a
group-sequential design, or growing with the clock of a confidence sequence. The absolute interval, the relative
interval (by inversion of the same test, Fieller 1954) and the p-value come from that one critical value, so they
cannot contradict each other: the relative interval excludes 0 exactly when the absolute one does, at any alpha, and a
control near zero or below it gives an unbounded interval that says so, never a crash or a turned sign.

Shapes are (metrics, pairs); what is undefined is NaN here and None with a reason in `stats.results`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from scipy.special import ndtr, ndtri, stdtr, stdtrit

from vedette.evidence.summary import FloatArray
from vedette.kernel.errors import InvalidInput
from vedette.stats.effect_mixture import SPREAD, mixture_critical, mixture_log_e
from vedette.stats.estimates import ROUNDING, Estimates
from vedette.stats.fieller import fieller
from vedette.stats.sequential import TUNING, Side, signed

VarianceModel = Literal["welch", "pooled", "z"]
"""Each arm its own variance with Student's t (Welch), one variance for both with t, or own variances with a normal."""

_EQUAL = 1e-15  # means that differ by no more than this part of themselves differ by rounding

Pair = tuple[str, str]
"""Treatment and reference."""


class Rule(Protocol):
    """How a z-score is judged; arrays of any one shape."""

    @property
    def kind(self) -> str:
        """Name the interval: fixed, sequence or repeated."""
        ...

    @property
    def side(self) -> Side:
        """Say which departures count."""
        ...

    def critical(self, df: FloatArray, clock: FloatArray) -> FloatArray:
        """Give the z-score at which a pair is significant."""
        ...

    def p_value(self, z: FloatArray, df: FloatArray, clock: FloatArray) -> FloatArray:
        """Give the p-value of a z-score."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class FixedRule:
    """One analysis, planned in advance: Student's t with the pair's degrees of freedom (infinite ones are normal)."""

    alpha: float = 0.05
    side: Side = Side.BOTH
    kind: str = "fixed"

    def critical(self, df: FloatArray, clock: FloatArray) -> FloatArray:  # noqa: ARG002 - one shape for all rules
        """Give the quantile of Student's t."""
        tail = self.alpha / 2.0 if self.side is Side.BOTH else self.alpha
        normal = np.isinf(df)
        if normal.all():
            return np.full(df.shape, -ndtri(tail))
        return np.asarray(np.where(normal, -ndtri(tail), -stdtrit(np.where(normal, 1.0, df), tail)))

    def p_value(self, z: FloatArray, df: FloatArray, clock: FloatArray) -> FloatArray:  # noqa: ARG002 - one shape for all rules
        """Give the p-value, from the side of the tail, so that small ones keep their digits."""
        beyond = -signed(z, self.side)
        factor = 2.0 if self.side is Side.BOTH else 1.0
        normal = np.isinf(df)
        if normal.all():
            return np.asarray(factor * ndtr(beyond))
        return np.asarray(factor * np.where(normal, ndtr(beyond), stdtr(np.where(normal, 1.0, df), beyond)))


@dataclass(frozen=True, slots=True, kw_only=True)
class SequenceRule:
    """Any number of looks: the confidence sequence of `stats.effect_mixture`, for a planned size of `tuning`."""

    alpha: float = 0.05
    side: Side = Side.BOTH
    tuning: float = TUNING
    spread: float = SPREAD
    kind: str = "sequence"

    def critical(self, df: FloatArray, clock: FloatArray) -> FloatArray:  # noqa: ARG002 - one shape for all rules
        """Give the critical value at the clock's time."""
        return mixture_critical(np.where(clock > 0, clock, np.nan), self.alpha, self.side, self.tuning, self.spread)

    def p_value(self, z: FloatArray, df: FloatArray, clock: FloatArray) -> FloatArray:  # noqa: ARG002 - one shape for all rules
        """Give the p-value of this look; the smallest one so far is a p-value as well."""
        log_e = mixture_log_e(z, np.where(clock > 0, clock, np.nan), self.alpha, self.side, self.tuning, self.spread)
        return np.exp(np.minimum(-log_e, 0.0))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Contrasts:
    """Every pair of every metric; arrays of shape (metrics, pairs), NaN where undefined.

    Attributes:
        pairs: Treatment and reference of each column.
        effect: Treatment minus reference.
        standard_error: Of the effect.
        df: Degrees of freedom; infinite where the normal distribution is used.
        clock: Intrinsic time of the pair.
        critical: Critical value of the z-score.
        z: Standardised effect, against the margin.
        p_value: Against "the effect is the margin" (for one side: at most, or at least).
        low: Lower end of the interval; minus infinity for side `LESS`.
        high: Upper end; infinity for side `GREATER`.
        relative: Effect as a fraction of the reference's size.
        relative_low: Lower end of that fraction's interval; NaN where it has no bound.
        relative_high: Upper end of that fraction's interval; NaN where it has no bound.
    """

    pairs: tuple[Pair, ...]
    effect: FloatArray
    standard_error: FloatArray
    df: FloatArray
    clock: FloatArray
    critical: FloatArray
    z: FloatArray
    p_value: FloatArray
    low: FloatArray
    high: FloatArray
    relative: FloatArray
    relative_low: FloatArray
    relative_high: FloatArray


def contrasts(
    found: Estimates,
    pairs: Sequence[Pair],
    rule: Rule,
    *,
    variance: VarianceModel = "welch",
    margin: FloatArray | float = 0.0,
    relative_margin: FloatArray | float = 0.0,
    critical: FloatArray | None = None,
) -> Contrasts:
    """Compare pairs of arms in every metric.

    A relative margin is tested as the contrast `treatment - (1 + margin) * reference`, without a division; intervals
    stay those of the plain effect.

    Args:
        found: Estimates by arm.
        pairs: Treatment and reference of each comparison.
        rule: How z-scores are judged.
        variance: Whether arms share one variance, and which distribution z-scores have.
        margin: Effect to test against, for each metric (a number, or shape (metrics, 1)).
        relative_margin: The same as a fraction of the reference's size; not together with `margin`.
        critical: Critical values to use for the intervals in place of the rule's own (simultaneous ones).

    Raises:
        InvalidInput: A pair names an unknown arm, or both margins are given.
    """
    if np.any(margin) and np.any(relative_margin):
        raise InvalidInput("a margin is absolute or relative, not both")
    t, c = _places(found.arms, pairs)
    mean_t, mean_c = found.mean[:, t], found.mean[:, c]
    var_t, var_c, df = _variances(found, t, c, variance)
    shared = 0.0 if found.covariance is None else found.covariance[:, t, c]
    effect = mean_t - mean_c
    effect = np.where(np.abs(effect) <= _EQUAL * np.maximum(np.abs(mean_t), np.abs(mean_c)), 0.0, effect)
    square = var_t + var_c - 2.0 * shared
    error = np.sqrt(np.where(square > ROUNDING * (var_t + var_c + 2.0 * np.abs(shared)), square, 0.0))
    clock = _clock(found, t, c)
    error = np.where(error > 0, error, np.nan)
    z = (effect - margin) / error
    if np.any(relative_margin):
        factor = 1.0 + relative_margin * np.where(mean_c < 0, -1.0, 1.0)
        spread = np.maximum(var_t + factor * factor * var_c - 2.0 * factor * shared, 0.0)
        z = (mean_t - factor * mean_c) / np.sqrt(np.where(spread > 0, spread, np.nan))
    level = rule.critical(df, clock) if critical is None else critical
    half = level * error
    size = np.where(mean_c == 0, np.nan, np.abs(mean_c))
    relative_low, relative_high = fieller(
        mean_t, mean_c, var_t, var_c, covariance=shared, critical=np.where(np.isnan(error), np.nan, level)
    )
    low, high = effect - half, effect + half
    if rule.side is Side.LESS:
        low, relative_low = np.full_like(low, -np.inf), np.where(np.isnan(relative_high), np.nan, -np.inf)
    elif rule.side is Side.GREATER:
        high, relative_high = np.full_like(high, np.inf), np.where(np.isnan(relative_low), np.nan, np.inf)
    return Contrasts(
        pairs=tuple(pairs),
        effect=effect,
        standard_error=error,
        df=df,
        clock=clock,
        critical=level,
        z=z,
        p_value=rule.p_value(z, df, clock),
        low=low,
        high=high,
        relative=effect / size,
        relative_low=relative_low,
        relative_high=relative_high,
    )


def all_pairs(arms: Sequence[str]) -> tuple[Pair, ...]:
    """Give every pair of arms once, the later one as treatment."""
    return tuple((arms[b], arms[a]) for a in range(len(arms)) for b in range(a + 1, len(arms)))


def against(control: str, arms: Sequence[str]) -> tuple[Pair, ...]:
    """Give every other arm against the control."""
    return tuple((arm, control) for arm in arms if arm != control)


def equivalence_p_value(found: Estimates, pairs: Sequence[Pair], rule: Rule, *, relative_margin: float) -> FloatArray:
    """p-value against "the effects differ by more than the margin either way" (two one-sided tests, Schuirmann 1987).

    `rule` is of one side (either); both sides are tested at its level.
    """
    upper = contrasts(found, pairs, _turned(rule, Side.LESS), relative_margin=relative_margin).p_value
    lower = contrasts(found, pairs, _turned(rule, Side.GREATER), relative_margin=-relative_margin).p_value
    return np.maximum(upper, lower)


def _turned(rule: Rule, side: Side) -> Rule:
    if isinstance(rule, FixedRule):
        return FixedRule(alpha=rule.alpha, side=side)
    if isinstance(rule, SequenceRule):
        return SequenceRule(alpha=rule.alpha, side=side, tuning=rule.tuning, spread=rule.spread)
    raise InvalidInput("equivalence is tested by a fixed rule or a sequence", hint="not at one look of a design")


def _places(arms: Sequence[str], pairs: Sequence[Pair]) -> tuple[list[int], list[int]]:
    known: Mapping[str, int] = {arm: place for place, arm in enumerate(arms)}
    if missing := next((arm for pair in pairs for arm in pair if arm not in known), None):
        raise InvalidInput(f"there is no arm {missing!r}", hint=f"known: {', '.join(arms)}")
    return [known[t] for t, _ in pairs], [known[c] for _, c in pairs]


def _variances(
    found: Estimates, t: list[int], c: list[int], model: VarianceModel
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Give both arms' variances of the mean, and the degrees of freedom of their difference."""
    var_t, var_c = found.variance[:, t], found.variance[:, c]
    n_t, n_c = found.n[:, t], found.n[:, c]
    if model == "z":
        return var_t, var_c, np.full(var_t.shape, np.inf)
    if found.covariance is not None:  # paired: one sample of differences
        return var_t, var_c, n_t - 1.0
    with np.errstate(divide="ignore", invalid="ignore"):
        if model == "pooled":
            pooled = ((n_t - 1.0) * n_t * var_t + (n_c - 1.0) * n_c * var_c) / (n_t + n_c - 2.0)
            return pooled / n_t, pooled / n_c, n_t + n_c - 2.0
        df = (var_t + var_c) ** 2 / (var_t**2 / (n_t - 1.0) + var_c**2 / (n_c - 1.0))
    return var_t, var_c, df


def _clock(found: Estimates, t: list[int], c: list[int]) -> FloatArray:
    """Give the size of the balanced experiment that knows as much (see `sequential.balanced_size`)."""
    first, second = found.clock[:, t], found.clock[:, c]
    if found.covariance is not None:
        return first
    both = first + second
    return np.where(both > 0, 4.0 * first * second / np.where(both > 0, both, 1.0), 0.0)
