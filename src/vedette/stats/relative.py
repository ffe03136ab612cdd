"""Relative effects as other tools state them: the delta method on the ratio, and on its logarithm.

vedette itself states relative effects by inversion of the absolute test (Fieller, in `stats.contrasts`): then both
scales say the same, and a control near zero is no trap. These two are here so that a figure of another tool can be
reproduced. They disagree with the absolute test near significance, and understate the uncertainty when the control's
mean is small beside its standard error.
"""

import math
from dataclasses import dataclass

from scipy.special import ndtr, stdtr

from vedette.kernel.errors import InvalidInput
from vedette.kernel.tables import Shown
from vedette.stats.sequential import MeanEstimate


@dataclass(frozen=True, slots=True, kw_only=True)
class RelativeEffect(Shown):
    """A relative effect with its interval; `standard_error` is of the effect, or of its logarithm for the log ratio."""

    effect: float
    standard_error: float
    low: float
    high: float
    p_value: float
    df: float
    method: str


def delta_ratio(
    treatment: MeanEstimate, control: MeanEstimate, *, critical: float, df: float = math.inf, covariance: float = 0.0
) -> RelativeEffect:
    """Relative effect by the delta method on the ratio, as GrowthBook states it.

    Args:
        treatment: Mean of the new version.
        control: Mean it is compared with; not 0.
        critical: Critical value of the z-score (of t, of a confidence sequence …).
        df: Degrees of freedom of the p-value; infinite for the normal distribution.
        covariance: Covariance of the two means.

    Raises:
        InvalidInput: The control's mean is 0, or a variance is unknown or 0.
    """
    _check(treatment, control, signed=True)
    ratio = treatment.mean / control.mean
    variance = (treatment.variance - 2.0 * ratio * covariance + ratio * ratio * control.variance) / control.mean**2
    error, effect = math.sqrt(variance), (ratio - 1.0) * math.copysign(1.0, control.mean)
    return RelativeEffect(
        effect=effect,
        standard_error=error,
        low=effect - critical * error,
        high=effect + critical * error,
        p_value=_two_sided(effect / error, df),
        df=df,
        method="delta method on the ratio",
    )


def log_ratio(
    treatment: MeanEstimate, control: MeanEstimate, *, critical: float, df: float = math.inf, covariance: float = 0.0
) -> RelativeEffect:
    """Relative effect by the delta method on the log ratio, as tea-tasting states it; both means must be positive.

    Arguments are those of `delta_ratio`.

    Raises:
        InvalidInput: A mean is not positive, or a variance is unknown or 0.
    """
    _check(treatment, control, signed=False)
    log = math.log(treatment.mean / control.mean)
    error = math.sqrt(
        treatment.variance / treatment.mean**2
        - 2.0 * covariance / (treatment.mean * control.mean)
        + control.variance / control.mean**2
    )
    return RelativeEffect(
        effect=math.expm1(log),
        standard_error=error,
        low=math.expm1(log - critical * error),
        high=math.expm1(log + critical * error),
        p_value=_two_sided(log / error, df),
        df=df,
        method="delta method on the log ratio",
    )


def _check(treatment: MeanEstimate, control: MeanEstimate, *, signed: bool) -> None:
    if not (treatment.variance >= 0 and control.variance >= 0 and treatment.variance + control.variance > 0):
        raise InvalidInput("a relative effect needs variances that are known, and not both 0")
    if control.mean == 0 or (not signed and min(treatment.mean, control.mean) <= 0):
        raise InvalidInput(
            f"means of {treatment.mean:g} and {control.mean:g} have no relative effect of this kind",
            hint="read the absolute effect, or the Fieller interval of `contrasts`",
        )


def _two_sided(z: float, df: float) -> float:
    return float(2.0 * (ndtr(-abs(z)) if math.isinf(df) else stdtr(df, -abs(z))))
