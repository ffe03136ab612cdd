"""What every test on counts answers with: proportions, their contrasts, and rates."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import ArrayLike

from vedette.kernel.tables import Shown
from vedette.stats.proportion_intervals import normal_p_value
from vedette.stats.sequential import Side

FEW = 5.0
"""Cochran's rule: with fewer than that many in a cell the normal approximation is doubtful."""


class CountWarning(StrEnum):
    """Why a number of a result is None, or is to be read with care."""

    EMPTY_ARM = "empty_arm"  # no trials, or no exposure
    TOO_FEW_UNITS = "too_few_units"  # fewer than two: their spread is unknown
    NO_VARIANCE = "no_variance"  # all alike: the test's standard error is 0
    EMPTY_CELL = "empty_cell"  # no success or no failure somewhere, and the method divides by it
    UNBOUNDED = "unbounded"  # the estimate, or an end of the interval that was asked for, is infinite
    NO_INTERVAL = "test_without_interval"
    UNMATCHED = "interval_of_another_test"  # p-value and interval may disagree near alpha
    SMALL_COUNTS = "small_counts"  # fewer than 5 in some cell: prefer a score or exact method


MEANINGS: Mapping[CountWarning, str] = {
    CountWarning.EMPTY_ARM: "An arm has no trials or no exposure; wait for data, or check assignment.",
    CountWarning.TOO_FEW_UNITS: "An arm has fewer than two units, so its spread is unknown; wait for more.",
    CountWarning.NO_VARIANCE: "All outcomes are alike, so this test has no standard error; an interval, where there is "
    "one, still says how large a difference may be.",
    CountWarning.EMPTY_CELL: "A count is 0 and the method divides by it; use a score method.",
    CountWarning.UNBOUNDED: "The reference's count is 0, so a ratio has no upper bound; read the difference.",
    CountWarning.NO_INTERVAL: "This test has no interval; take one from a score method.",
    CountWarning.UNMATCHED: "By convention the interval is that of another test: near alpha it may disagree with p.",
    CountWarning.SMALL_COUNTS: "Fewer than 5 in a cell: the normal approximation is rough; use a score or exact one.",
}
"""What each warning means and what to do about it."""

_NO_TEST = {CountWarning.EMPTY_ARM, CountWarning.EMPTY_CELL, CountWarning.TOO_FEW_UNITS}
"""Enough of a reason why there is no p-value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inference(Shown):
    """What counts say about a quantity; None where unknown, and `warnings` say why.

    Attributes:
        estimate: Observed value.
        low: Lower end of the interval at 1 - alpha; None if unknown or, for side `LESS`, without bound.
        high: Upper end; None if unknown or, for side `GREATER`, without bound.
        p_value: p-value against `null`; None if that is None, too.
        statistic: Test statistic where the test has one: a z-score, unless the method says otherwise.
        null: Value tested against.
        side: Which departures from the null value count.
        method: Named convention of the test and the interval.
        warnings: Why numbers are None, or what to read with care.
    """

    estimate: float | None
    low: float | None
    high: float | None
    p_value: float | None
    statistic: float | None
    null: float | None
    side: Side
    method: str
    warnings: tuple[CountWarning, ...] = ()


def conclude(
    estimate: ArrayLike,
    ends: tuple[ArrayLike, ArrayLike],
    *,
    null: float | None,
    side: Side,
    method: str,
    statistic: ArrayLike = math.nan,
    p_value: ArrayLike | None = None,
    warnings: Iterable[CountWarning] = (),
) -> Inference:
    """Make the record of a test: numbers that are not finite become None, and warnings tell which and why.

    The p-value is the normal one of the statistic unless given. A one-sided interval has an end on its side only.
    """
    value, z = _number(estimate), _number(statistic)
    p = z if p_value is None else _number(p_value)
    if p is not None and p_value is None:
        p = float(normal_p_value(p, side))
    low = None if side is Side.LESS else _number(ends[0])
    high = None if side is Side.GREATER else _number(ends[1])
    told = dict.fromkeys(warnings)
    asked = (estimate, *{Side.BOTH: ends, Side.GREATER: ends[:1], Side.LESS: ends[1:]}[side])
    if any(np.isinf(number) for number in asked):
        told[CountWarning.UNBOUNDED] = None
    if null is not None and p is None and not told.keys() & _NO_TEST:
        told[CountWarning.NO_VARIANCE] = None
    return Inference(
        estimate=value,
        low=low,
        high=high,
        p_value=p if null is not None else None,
        statistic=z if null is not None else None,
        null=null,
        side=side,
        method=str(method),
        warnings=tuple(told),
    )


def _number(value: ArrayLike) -> float | None:
    number = float(np.asarray(value, np.float64))
    return number if math.isfinite(number) else None
