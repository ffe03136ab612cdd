"""Rates of counts that vary more than Poisson's: events per unit (user, tenant, hour), from moments alone.

Users differ, and errors come in bursts: then the variance of a unit's count is above its mean, and a Poisson test is
too sure. With each arm's `Moments` of counts per unit (all units equally exposed) the spread is known, without a model.

References:
    McCullagh & Nelder, Generalized Linear Models, 2nd ed. (1989), section 6.2: quasi-Poisson.
    Lawless, "Negative binomial and mixed Poisson regression", Canadian Journal of Statistics 15 (1987).
    White, "Maximum likelihood estimation of misspecified models", Econometrica 50 (1982): the robust variance.
"""

import math
from enum import StrEnum

import numpy as np

from vedette.evidence.summary import Moments
from vedette.kernel.errors import InvalidInput
from vedette.stats.cautions import Caution
from vedette.stats.finding import Finding
from vedette.stats.proportion_intervals import critical_value
from vedette.stats.proportion_results import FEW, conclude
from vedette.stats.proportions import log_wald, quotient, require_positive
from vedette.stats.rate_intervals import Events, ratio_score, ratio_score_interval
from vedette.stats.sequential import Side

Arm = Moments[float]
"""Moments of the counts of an arm's units."""


class OverdispersedMethod(StrEnum):
    """What is assumed about how counts spread."""

    ROBUST = "robust_log"  # nothing: Wald on the log ratio with each arm's own variance
    NEGATIVE_BINOMIAL = (
        "negative_binomial_log"  # variance = mean + shape · mean², one shape by moments; Wald on the log
    )
    QUASI_POISSON = "quasi_poisson_score"  # variance = dispersion · mean, one dispersion by moments; score test


def events(arm: Arm) -> Events:
    """All events of an arm, its units as the exposure: what the Poisson tests of `rates` take."""
    return Events(arm.sum, arm.n)


def dispersion(*arms: Arm) -> float | None:
    """Variance of a unit's count as a multiple of its mean, pooled over arms (Pearson's); None if nothing is known."""
    known = [arm for arm in arms if arm.n > 1 and arm.mean > 0]
    degrees = sum(arm.n - 1.0 for arm in known)
    return sum(arm.m2 / arm.mean for arm in known) / degrees if degrees > 0 else None


def negative_binomial_shape(*arms: Arm) -> float | None:
    """Excess variance of a unit's count over Poisson's as a multiple of its squared mean; 0 if there is none.

    By moments, pooled over arms by their degrees of freedom; None if nothing is known.
    """
    known = [arm for arm in arms if arm.n > 1 and arm.mean > 0]
    degrees = sum(arm.n - 1.0 for arm in known)
    if degrees <= 0:
        return None
    return max(0.0, sum((arm.m2 - (arm.n - 1.0) * arm.mean) / arm.mean**2 for arm in known) / degrees)


def overdispersed_ratio(
    treatment: Arm,
    control: Arm,
    *,
    null: float = 1.0,
    alpha: float = 0.05,
    side: Side = Side.BOTH,
    method: OverdispersedMethod = OverdispersedMethod.ROBUST,
) -> Finding:
    """Bound treatment's rate per unit as a multiple of control's, and test it against `null`, whatever the spread.

    The statistic is a z-score: it wants a few dozen units an arm.

    Raises:
        InvalidInput: counts are negative in mean, `null` is not above 0, or `alpha` not between 0 and 0.5.
    """
    require_positive(null)
    if min(treatment.mean, control.mean) < 0:
        raise InvalidInput("counts of events are not negative", hint="for other measures compare means")
    method, z = OverdispersedMethod(method), critical_value(alpha, side)
    warnings = _doubts(treatment, control)
    estimate = np.asarray(math.nan)
    if Caution.EMPTY_ARM not in warnings:
        estimate = quotient(np.asarray(treatment.mean), np.asarray(control.mean))
    statistic, ends = np.asarray(math.nan), (np.asarray(math.nan), np.asarray(math.nan))
    if method is OverdispersedMethod.QUASI_POISSON:
        spread = dispersion(treatment, control)
        if spread and not {Caution.EMPTY_ARM, Caution.TOO_FEW} & set(warnings):
            arms = events(treatment), events(control)
            statistic, ends = ratio_score(*arms, null, spread), ratio_score_interval(*arms, z, spread)
    elif 0.0 < estimate < math.inf and Caution.TOO_FEW not in warnings:
        variance = np.asarray(_log_variance(treatment, control, method))
        statistic, ends = log_wald(estimate, variance, null, z)
    n = treatment.n + control.n
    return conclude(estimate, ends, n=n, null=null, side=side, method=method, statistic=statistic, warnings=warnings)


def _log_variance(treatment: Arm, control: Arm, method: OverdispersedMethod) -> float:
    """Variance of the log ratio of the means, both above 0."""
    if method is OverdispersedMethod.ROBUST:
        return sum(float(arm.mean_variance) / arm.mean**2 for arm in (treatment, control))
    shape = negative_binomial_shape(treatment, control)
    return sum((1.0 / arm.mean + (shape or 0.0)) / arm.n for arm in (treatment, control))


def _doubts(treatment: Arm, control: Arm) -> tuple[Caution, ...]:
    if min(treatment.n, control.n) <= 0:
        return (Caution.EMPTY_ARM,)
    few_units = (Caution.TOO_FEW,) if min(treatment.n, control.n) < 2 else ()
    least = min(treatment.sum, control.sum)
    return few_units + ((Caution.SMALL_COUNTS,) if least < FEW else ())
