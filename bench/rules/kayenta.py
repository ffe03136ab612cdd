"""Kayenta's NetflixACAJudge: a Mann-Whitney test of the canary's minutes against stable's, written afresh.

From its source (spinnaker/kayenta, April 2025): NaN minutes are removed; the metric is *High* if the lower end of the
98 % confidence interval of the location shift exceeds a quarter of the Hodges-Lehmann estimate and the ratio of means
is at least `allowedIncrease` (default 1; ignored when a mean is 0). Interval and estimate are roots of the continuity-
and tie-corrected rank statistic, found by Brent's method to an absolute tolerance of 1e-4, as R's wilcox.test does. One
metric that is High scores 0 and fails the canary.

Here the metric is the error rate in percent per minute, judged every five minutes with `lookbackMins` 0 (all minutes so
far, the default) or 20. No data is taken as no verdict, the kinder reading: the judge scores it 0.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from bench.traffic import MINUTES, Arms, Array
from numpy.typing import NDArray
from scipy.special import ndtri

INTERVAL_MINUTES = 5
CONFIDENCE = 0.98
TOLERANCE = 0.25
_ROOT_TOLERANCE = 1e-4


class Classification(StrEnum):
    """What the judge says of one metric."""

    UNCHANGED = "Pass"
    HIGH = "High"
    LOW = "Low"
    NODATA = "Nodata"
    ERROR = "Error"


@dataclass(frozen=True, slots=True)
class Shift:
    """Confidence interval and Hodges-Lehmann estimate of canary minus control."""

    low: float
    high: float
    estimate: float


def kayenta(total: Arms, *, lookback: int = 0) -> Array:
    """Stop at the first judgement that finds the canary's error rate High."""
    canary = _percent(total.canary_bad, total.canary_requests)
    stable = _percent(total.stable_bad, total.stable_requests)
    return np.array([_first_fail(*arms, lookback) for arms in zip(canary, stable, strict=True)])


def classify(
    canary: Array,
    control: Array,
    *,
    direction: str = "either",
    confidence: float = CONFIDENCE,
    tolerance: float = TOLERANCE,
    allowed_increase: float = 1.0,
    allowed_decrease: float = 1.0,
    effect_size: Callable[[Array, Array], float] | None = None,
) -> Classification:
    """Classify one metric as the judge does; `direction` is increase, decrease or either."""
    canary, control = canary[~np.isnan(canary)], control[~np.isnan(control)]
    if not canary.size or not control.size:
        return Classification.NODATA
    both = np.unique(np.concatenate([canary, control]))
    if both.size == 1 or np.array_equal(np.sort(canary), np.sort(control)):
        return Classification.UNCHANGED
    effect = (effect_size or mean_ratio)(canary, control)
    unknown = math.isnan(effect)
    may_be_high = direction in ("increase", "either") and (unknown or effect >= allowed_increase)
    may_be_low = direction in ("decrease", "either") and (unknown or effect <= allowed_decrease)
    if not (may_be_high or may_be_low):
        return Classification.UNCHANGED
    if np.unique(canary).size == 1 and np.unique(control).size == 1:
        canary, control = _jittered(canary), _jittered(control)
    try:
        shift = mann_whitney(canary, control, confidence)
    except ValueError:
        return Classification.ERROR
    bound = tolerance * abs(shift.estimate)
    low = Classification.LOW if may_be_low and shift.high < -bound else Classification.UNCHANGED
    return Classification.HIGH if may_be_high and shift.low > bound else low


def mann_whitney(x: Array, y: Array, confidence: float) -> Shift:
    """The shift of `x` against `y` with its confidence interval, by inverting the rank statistic.

    Raises:
        ValueError: all observations are tied.
    """
    ordered = np.sort(y)
    least, most = float(x.min() - y.max()), float(x.max() - y.min())
    quantile = float(ndtri(0.5 + confidence / 2.0))

    def bound(at: float) -> float:
        at_least, at_most = (_rank_score(x, ordered, shift) - at for shift in (least, most))
        if at_least <= 0.0:
            return least
        if at_most >= 0.0:
            return most
        return _root(lambda shift: _rank_score(x, ordered, shift) - at, least, most)

    estimate = _root(lambda shift: _rank_score(x, ordered, shift), least, most)
    return Shift(low=bound(quantile), high=bound(-quantile), estimate=estimate)


def mean_ratio(canary: Array, control: Array) -> float:
    """Mean of the canary over the mean of the control; NaN if either is 0."""
    above, below = float(canary.mean()), float(control.mean())
    return above / below if above and below else math.nan


def common_language_effect(canary: Array, control: Array) -> float:
    """The part of all pairs in which the canary's value is the higher one, ties half (Vargha & Delaney 2000)."""
    return _wins(canary, np.sort(control)) / (canary.size * control.size)


def _percent(bad: Array, requests: Array) -> Array:
    percent: Array = np.divide(100.0 * bad, requests, out=np.full(bad.shape, np.nan), where=requests > 0)
    return percent


def _first_fail(canary: Array, stable: Array, lookback: int) -> float:
    for end in range(INTERVAL_MINUTES, MINUTES + 1, INTERVAL_MINUTES):
        start = max(end - lookback, 0) if lookback else 0
        found = classify(canary[start:end], stable[start:end], direction="increase")
        if found is Classification.HIGH:
            return float(end)
    return float("inf")


def _wins(x: Array, ordered: Array) -> float:
    lower = ordered.searchsorted(x, "left").sum() + ordered.searchsorted(x, "right").sum()
    return float(lower) / 2.0


def _rank_score(x: Array, ordered: Array, shift: float) -> float:
    """Z-score of the rank sum of `x - shift` among both, with continuity and tie corrections."""
    m, n = x.size, ordered.size
    moved: Array = x - shift
    _, counts = np.unique(np.concatenate([moved, ordered]), return_counts=True)
    ties = float((counts.astype(np.float64) ** 3 - counts).sum())
    surplus = _wins(moved, ordered) - m * n / 2.0
    variance = m * n / 12.0 * (m + n + 1.0 - ties / ((m + n) * (m + n - 1.0)))
    if variance <= 0.0:
        raise ValueError("all observations are tied")
    return (surplus - (0.5 if surplus > 0.0 else -0.5 if surplus < 0.0 else 0.0)) / math.sqrt(variance)


def _jittered(values: NDArray[np.float64]) -> Array:
    return values + np.random.default_rng(0).normal(0.0, abs(values[0]) * 1e-5, values.size)


def _root(function: Callable[[float], float], low: float, high: float) -> float:
    """Brent's root finder (1973, ch. 4), absolute tolerance; on a step function its path is part of the answer."""
    older, best = low, high
    f_older, f_best = function(low), function(high)
    if f_older == 0.0:
        return older
    if f_best == 0.0:
        return best
    other, f_other = older, f_older
    while True:
        previous_step = best - older
        if abs(f_other) < abs(f_best):
            older, best, other = best, other, best
            f_older, f_best, f_other = f_best, f_other, f_best
        tolerance = 2.0 * np.finfo(float).eps * abs(best) + _ROOT_TOLERANCE / 2.0
        half = (other - best) / 2.0
        if abs(half) <= tolerance or f_best == 0.0:
            return best
        step = half
        if abs(previous_step) >= tolerance and abs(f_older) > abs(f_best):
            step = _interpolated(older, best, other, f_older, f_best, f_other, half, previous_step, tolerance)
        if abs(step) < tolerance:
            step = tolerance if step > 0.0 else -tolerance
        older, f_older = best, f_best
        best += step
        f_best = function(best)
        if f_best * f_other > 0.0:
            other, f_other = older, f_older


def _interpolated(
    older: float,
    best: float,
    other: float,
    f_older: float,
    f_best: float,
    f_other: float,
    half: float,
    previous_step: float,
    tolerance: float,
) -> float:
    """A secant or inverse quadratic step if it is safe, else half the bracket."""
    if older == other:
        ratio = f_best / f_older
        p, q = 2.0 * half * ratio, 1.0 - ratio
    else:
        a, b, c = f_older / f_other, f_best / f_other, f_best / f_older
        p = c * (2.0 * half * a * (a - b) - (best - older) * (b - 1.0))
        q = (a - 1.0) * (b - 1.0) * (c - 1.0)
    p, q = (p, -q) if p > 0.0 else (-p, q)
    safe = p < 1.5 * half * q - abs(tolerance * q) / 2.0 and p < abs(previous_step * q / 2.0)
    return p / q if safe else half
