"""What one test at a fixed horizon answers with, whatever it is of, and the few steps that every such test takes."""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtr, stdtrit

from vedette.evidence.summary import FloatArray
from vedette.kernel.errors import InvalidInput
from vedette.kernel.tables import Shown
from vedette.stats.cautions import Caution
from vedette.stats.sequential import Side, ends, require_alpha

_ROUNDING = 1e-14
"""A standard error smaller than this beside the estimate is rounding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding(Shown):
    """One quantity at a fixed horizon; a number is None where it is undefined, and `warnings` say why.

    Attributes:
        estimate: What was observed: treatment minus control, unless the function says otherwise.
        low: Lower end of the interval at 1 - alpha; also None, without a warning, for side `LESS`: without bound.
        high: Upper end; also None for side `GREATER`.
        p_value: Probability of evidence as strong if the quantity were `null`.
        statistic: The test statistic that `method` names.
        df: Degrees of freedom; None where the reference distribution has none.
        n: Units, pairs, trials or events behind it, or the effective number of clusters.
        null: Value tested against (the margin); None where no single value was.
        side: Which departures from it count.
        method: Which test and which interval, in words.
        warnings: Why numbers are None, and what to bear in mind.
    """

    estimate: float | None
    low: float | None = None
    high: float | None = None
    p_value: float | None = None
    statistic: float | None = None
    df: float | None = None
    n: float
    null: float | None = None
    side: Side = Side.BOTH
    method: str
    warnings: tuple[Caution, ...] = ()


def tail(alpha: float, side: Side) -> float:
    """Give the probability an interval leaves out at each end it has.

    Raises:
        InvalidInput: `alpha` is not between 0 and 0.5.
    """
    require_alpha(alpha)
    return alpha / 2.0 if side is Side.BOTH else alpha


def p_value_of(less: float, greater: float, side: Side) -> float:
    """Give the p-value of a side from the probabilities of a statistic as small, and as large, as the one seen."""
    return {Side.LESS: less, Side.GREATER: greater}.get(side, min(1.0, 2.0 * min(less, greater)))


def student(
    estimate: float,
    standard_error: float,
    df: float,
    *,
    n: float,
    method: str,
    alpha: float,
    side: Side,
    null: float = 0.0,
    warnings: tuple[Caution, ...] = (),
) -> Finding:
    """Judge an estimate and its standard error by Student's t, or by the normal where `df` is infinite."""
    outside = tail(alpha, side)
    plain = Finding(estimate=estimate, n=n, null=null, side=side, method=method, warnings=warnings)
    if math.isnan(standard_error) or df <= 0:
        return also(plain, Caution.TOO_FEW)
    if standard_error <= _ROUNDING * abs(estimate):
        return also(plain, Caution.NO_VARIANCE)
    half = -float(stdtrit(df, outside)) * standard_error
    t = (estimate - null) / standard_error
    low, high = ends(estimate - half, estimate + half, side)
    p_value = p_value_of(float(stdtr(df, t)), float(stdtr(df, -t)), side)
    return replace(plain, low=low, high=high, p_value=p_value, statistic=t, df=finite(df))


def also(found: Finding, *warnings: Caution) -> Finding:
    """Give the finding with more warnings, each said once."""
    return replace(found, warnings=tuple(dict.fromkeys((*found.warnings, *warnings))))


def finite(value: float) -> float | None:
    """Give a number, or None for one that is not finite."""
    return value if math.isfinite(value) else None


def observed(values: ArrayLike, *, hint: str = "NaN says that there is none") -> tuple[FloatArray, tuple[Caution, ...]]:
    """Give the values that are known, in one dimension, with a warning if some are missing (NaN).

    Raises:
        InvalidInput: A value is infinite; `hint` says what to do.
    """
    array = np.asarray(values, np.float64).ravel()
    if np.isinf(array).any():
        raise InvalidInput("values must be finite numbers", hint=hint)
    known = ~np.isnan(array)
    return array[known], () if known.all() else (Caution.PARTLY_OBSERVED,)
