"""Is one mean larger than another, by how much, how sure: at any look, in absolute and in relative terms.

A look compares the z-score of a difference with a critical value that grows slowly with `n`. The sequence of intervals
it gives holds the truth at *all* looks together with probability 1 - alpha, once samples are large enough for their
means to be about normal. One critical value serves all: the absolute interval, the p-value, the e-value, and by
inversion of the same test (Fieller) the relative interval. So they cannot contradict each other.

**The clock.** `n` is the intrinsic time: it must grow in proportion to the information `1 / standard_error**2`. With a
constant split that is the number of units. In a ramp the number of units runs ahead of what the small arm teaches, so
`compare` takes the `balanced_size` of the arms. `tuning` must be fixed before the first look: one that follows the data
makes the critical value a constant, which is crossed sooner or later.

References:
    Waudby-Smith, Arbour, Sinha, Kennedy & Ramdas, "Time-uniform central limit theory and asymptotic confidence
    sequences", Annals of Statistics 52 (2024), arXiv 2103.06476: equations 9, 134, 155, 161.
    Fieller, "Some problems in interval estimation", JRSS B 16 (1954).
    Howard et al., Annals of Statistics 49 (2021): the beta-binomial mixture behind `proportion`.
"""

import math
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq

from vedette.evidence.summary import FloatArray, Moments
from vedette.kernel.errors import InvalidInput
from vedette.stats.boundaries import best_rho, beta_binomial_log_mixture
from vedette.stats.cautions import Caution
from vedette.stats.fieller import fieller

TUNING = 5000.0
"""Intrinsic time at which a sequence is tightest, unless told otherwise."""


class Side(StrEnum):
    """Which departures from the null value count as evidence."""

    GREATER = "greater"
    LESS = "less"
    BOTH = "both"


def require_alpha(alpha: float) -> None:
    """Refuse a level that no test has.

    Raises:
        InvalidInput: `alpha` is not between 0 and 0.5.
    """
    if not 0.0 < alpha < 0.5:
        raise InvalidInput(f"alpha lies between 0 and 0.5, not at {alpha}", hint="0.05 for a 95 % interval")


def signed(z: FloatArray, side: Side) -> FloatArray:
    """Turn statistics so that large ones are evidence; for both sides, their sizes."""
    return {Side.GREATER: z, Side.LESS: -z, Side.BOTH: np.abs(z)}[side]


def ends(low: float | None, high: float | None, side: Side) -> tuple[float | None, float | None]:
    """Keep the ends that an interval of this side has: a one-sided one bounds on one side only."""
    return None if side is Side.LESS else low, None if side is Side.GREATER else high


@dataclass(frozen=True, slots=True)
class MeanEstimate:
    """A mean and the variance of that mean (its squared standard error), from `n` units or clusters."""

    mean: float
    variance: float
    n: float

    @classmethod
    def of(cls, moments: Moments[float]) -> "MeanEstimate":
        """Mean of independent units."""
        return cls(moments.mean, float(moments.mean_variance), moments.n)


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A difference at one look, with everything that is known about it; None where `warnings` say why.

    Attributes:
        effect: Treatment minus control.
        low: Lower end of the confidence sequence; None if unknown or, for side `LESS`, without bound.
        high: Upper end; None if unknown or, for side `GREATER`, without bound.
        relative_effect: The effect as a fraction of the control's size.
        relative_low: Lower end of that fraction's sequence.
        relative_high: Upper end of that fraction's sequence.
        p_value: Anytime-valid p-value against the margin.
        log_e_value: Logarithm of the e-value against the margin; e-values of one decision may be averaged.
        warnings: Why numbers are None.
    """

    effect: float
    low: float | None = None
    high: float | None = None
    relative_effect: float | None = None
    relative_low: float | None = None
    relative_high: float | None = None
    p_value: float | None = None
    log_e_value: float | None = None
    warnings: tuple[Caution, ...] = ()

    @property
    def e_value(self) -> float | None:
        """The e-value; infinite where it is larger than a float can be."""
        if self.log_e_value is None:
            return None
        return math.exp(self.log_e_value) if self.log_e_value < 709.0 else math.inf


def balanced_size(first: float, second: float) -> float:
    """Size of the test with equal arms that knows as much as arms of these sizes: a clock for splits that change."""
    return 0.0 if min(first, second) <= 0 else 4.0 / (1.0 / first + 1.0 / second)


def critical_value(n: ArrayLike, alpha: float, side: Side, tuning: float = TUNING) -> FloatArray:
    """Z-score at which a look at intrinsic time `n` is significant."""
    time = 1.0 + np.asarray(n, np.float64) * _rate(alpha, side, tuning)
    root = np.sqrt(time)
    level = np.log(root / alpha) if side is Side.BOTH else np.log1p(root / (2.0 * alpha))
    return np.asarray(np.sqrt(2.0 * time / (time - 1.0) * level))


def log_e_value(z: ArrayLike, n: ArrayLike, alpha: float, side: Side, tuning: float = TUNING) -> FloatArray:
    """Log e-value of a z-score at intrinsic time `n`; reaches `-log(alpha)` exactly at the critical value.

    For one side it is the closed-form bound of the one-sided normal mixture: minus infinity when `z` points away.
    """
    z, time = np.asarray(z, np.float64), 1.0 + np.asarray(n, np.float64) * _rate(alpha, side, tuning)
    exponent = 0.5 * np.maximum(signed(z, side), 0.0) ** 2 * (time - 1.0) / time
    if side is Side.BOTH:
        return np.asarray(exponent - 0.5 * np.log(time))
    with np.errstate(divide="ignore"):  # no evidence at all is an e-value of zero
        return np.asarray(np.log(2.0) + exponent + np.log(-np.expm1(-exponent)) - 0.5 * np.log(time))


def difference(
    effect: float,
    standard_error: float,
    n: float,
    *,
    alpha: float,
    side: Side = Side.BOTH,
    margin: float = 0.0,
    tuning: float = TUNING,
) -> Comparison:
    """Judge an effect with its standard error at intrinsic time `n`, however the two were estimated.

    Evidence is against "the effect is the margin" (for one side: at most, or at least). Non-inferiority of a metric
    where higher is worse is side `LESS` with the tolerated increase as margin: the p-value is alpha or less exactly
    when the upper end is the margin or less. The relative numbers are None here.

    Raises:
        InvalidInput: `alpha` is not between 0 and 0.5.
    """
    require_alpha(alpha)
    if n <= 0 or math.isnan(standard_error):
        return Comparison(effect=effect, warnings=(Caution.TOO_FEW,))
    if standard_error <= 0:
        return Comparison(effect=effect, warnings=(Caution.NO_VARIANCE,))
    half = standard_error * float(critical_value(n, alpha, side, tuning))
    log_e = float(log_e_value((effect - margin) / standard_error, n, alpha, side, tuning))
    low, high = ends(effect - half, effect + half, side)
    return Comparison(effect=effect, low=low, high=high, p_value=math.exp(min(-log_e, 0.0)), log_e_value=log_e)


def compare(
    treatment: MeanEstimate,
    control: MeanEstimate,
    *,
    alpha: float,
    side: Side = Side.BOTH,
    margin: float = 0.0,
    relative_margin: float = 0.0,
    n: float | None = None,
    covariance: float = 0.0,
    tuning: float = TUNING,
) -> Comparison:
    """Judge the difference of two means, as `difference` does, and say it in relative terms too.

    A relative margin is tested as the linear contrast `treatment - (1 + relative_margin) * control`: no division.

    Args:
        treatment: Mean of the new version (canary, variant).
        control: Mean of the version it is compared with.
        alpha: Probability that any look ever misleads.
        side: Which departures from the margin count.
        margin: Tolerated absolute effect.
        relative_margin: Tolerated effect as a fraction of the control's size; not together with `margin`.
        n: Intrinsic time (see the module); the balanced size of the arms unless given.
        covariance: Covariance of the two means, where the same units are in both.
        tuning: Intrinsic time at which the sequence is tightest.

    Raises:
        InvalidInput: `alpha` is not between 0 and 0.5, or both margins are given.
    """
    if margin and relative_margin:
        raise InvalidInput("a margin is absolute or relative, not both")
    n = balanced_size(treatment.n, control.n) if n is None else n

    def contrast(factor: float) -> Comparison:
        variance = treatment.variance - 2.0 * factor * covariance + factor * factor * control.variance
        error = math.sqrt(max(variance, 0.0)) if min(treatment.n, control.n) > 1 else math.nan
        effect = treatment.mean - factor * control.mean
        return difference(effect, error, n, alpha=alpha, side=side, margin=margin, tuning=tuning)

    judged = contrast(1.0 + relative_margin * math.copysign(1.0, control.mean))
    absolute = contrast(1.0) if relative_margin else judged
    size = abs(control.mean)
    known = replace(
        absolute,
        relative_effect=absolute.effect / size if size else None,
        p_value=judged.p_value,
        log_e_value=judged.log_e_value,
        warnings=judged.warnings or absolute.warnings,
    )
    if known.warnings:
        return known
    relative_low, relative_high = fieller(
        treatment.mean,
        control.mean,
        treatment.variance,
        control.variance,
        covariance=covariance,
        critical=critical_value(n, alpha, side, tuning),
    )
    if np.isnan(relative_low):
        return replace(known, warnings=(Caution.UNBOUNDED,))
    low, high = ends(float(relative_low), float(relative_high), side)
    return replace(known, relative_low=low, relative_high=high)


def proportion(successes: float, trials: float, *, alpha: float, tuning: float = 100.0) -> tuple[float, float]:
    """Confidence sequence of a probability; exact at every sample size, (0, 1) when nothing was tried.

    `tuning` is the number of trials at which it is tightest (beta-binomial mixture, Howard et al. 2021).
    """
    if not 0 <= successes <= trials:
        raise InvalidInput(f"{successes} successes in {trials} trials is impossible")
    if trials == 0:
        return 0.0, 1.0
    share = successes / trials

    def excess(p: float) -> float:
        v = p * (1.0 - p)
        log_e = beta_binomial_log_mixture(
            (share - p) * trials, v * trials, v_opt=v * tuning, low=p, high=1.0 - p, one_sided=False
        )
        return float(log_e) + math.log(alpha)

    edge = 1e-12
    inside = min(max(share, edge), 1.0 - edge)  # at 0 and 1 themselves the mixture is not defined
    low = 0.0 if share <= edge or excess(edge) <= 0 else brentq(excess, edge, inside)
    high = 1.0 if share >= 1.0 - edge or excess(1.0 - edge) <= 0 else brentq(excess, inside, 1.0 - edge)
    return float(low), float(high)


def _rate(alpha: float, side: Side, tuning: float) -> float:
    """Squared mixture scale (equation 161): the inverse of the normal mixture's rho."""
    return 1.0 / best_rho(tuning, alpha, one_sided=side is not Side.BOTH)
