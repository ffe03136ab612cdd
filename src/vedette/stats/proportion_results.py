"""From the numbers of a test on counts, proportions or rates, to what it answers with."""

import math
from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike

from vedette.stats.cautions import Caution
from vedette.stats.finding import Finding, finite
from vedette.stats.proportion_intervals import normal_p_value
from vedette.stats.sequential import Side, ends

FEW = 5.0
"""Cochran's rule: with fewer than that many in a cell the normal approximation is doubtful."""


_NO_TEST = {Caution.EMPTY_ARM, Caution.EMPTY_CELL, Caution.TOO_FEW}
"""Enough of a reason why there is no p-value."""


def conclude(
    estimate: ArrayLike,
    bounds: tuple[ArrayLike, ArrayLike],
    *,
    n: ArrayLike,
    null: float | None,
    side: Side,
    method: str,
    statistic: ArrayLike = math.nan,
    p_value: ArrayLike | None = None,
    warnings: Iterable[Caution] = (),
) -> Finding:
    """Make the finding of a test: numbers that are not finite become None, and warnings tell which and why.

    The p-value is the normal one of the statistic unless given. A one-sided interval has an end on its side only.
    Without a null value there is neither p-value nor statistic.
    """
    value, z = _number(estimate), _number(statistic)
    p = z if p_value is None else _number(p_value)
    if p is not None and p_value is None:
        p = float(normal_p_value(p, side))
    low, high = ends(_number(bounds[0]), _number(bounds[1]), side)
    told = dict.fromkeys(warnings)
    asked = (estimate, *{Side.BOTH: bounds, Side.GREATER: bounds[:1], Side.LESS: bounds[1:]}[side])
    if any(np.isinf(number) for number in asked):
        told[Caution.UNBOUNDED] = None
    if null is not None and p is None and not told.keys() & _NO_TEST:
        told[Caution.NO_VARIANCE] = None
    return Finding(
        estimate=value,
        low=low,
        high=high,
        p_value=p if null is not None else None,
        statistic=z if null is not None else None,
        n=float(np.asarray(n, np.float64)),
        null=null,
        side=side,
        method=str(method),
        warnings=tuple(told),
    )


def _number(value: ArrayLike) -> float | None:
    return finite(float(np.asarray(value, np.float64)))
