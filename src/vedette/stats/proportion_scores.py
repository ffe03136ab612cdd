"""Score tests and intervals of two proportions, for any null difference or ratio, over arrays of counts.

A score test asks how far the observed contrast lies from its null value, in standard errors *as they would be if the
null value were true*: with the two shares fitted under that constraint. Its interval holds all null values that the
test does not reject, so the two cannot disagree, and both stay sensible with no success, or nothing but successes. At
no difference the uncorrected statistic is the pooled z-test's, and its square is Pearson's chi-square.

`corrected` multiplies the variance by N / (N - 1), as Miettinen and Nurminen do; without it the difference is Mee's and
Farrington and Manning's, the ratio Koopman's.

References:
    Mee, Biometrics 40 (1984) 1175.
    Koopman, "Confidence intervals for the ratio of two binomial proportions", Biometrics 40 (1984) 513.
    Miettinen & Nurminen, "Comparative analysis of two rates", Statistics in Medicine 4 (1985) 213.
    Farrington & Manning, Statistics in Medicine 9 (1990) 1447.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from vedette.evidence.summary import FloatArray
from vedette.stats.proportion_intervals import Counts, Ends

_BISECTIONS = 54


def shares_at_difference(treatment: Counts, control: Counts, difference: ArrayLike) -> Ends:
    """Likeliest shares of treatment and control among those that differ by `difference`."""
    d, n = np.asarray(difference, np.float64), treatment.known_trials + control.known_trials
    # The cubic is well conditioned near 0 and badly near 1, so the rarer of successes and failures is counted.
    often = treatment.successes + control.successes > 0.5 * n
    counted = np.where(often, control.failures, control.successes)
    rare = counted + np.where(often, treatment.failures, treatment.successes)
    share = _control_share(n, treatment.trials + 2.0 * control.trials, rare, counted, np.where(often, -d, d))
    share = np.where(often, 1.0 - share, share)
    return np.clip(share + d, 0.0, 1.0), share


def shares_at_ratio(treatment: Counts, control: Counts, ratio: ArrayLike) -> Ends:
    """Likeliest shares of treatment and control among those whose ratio is `ratio` (Koopman's quadratic)."""
    r = np.asarray(ratio, np.float64)
    x = treatment.successes + control.successes
    middle = r * (control.successes + treatment.known_trials) + treatment.successes + control.known_trials
    spread = np.maximum(middle**2 - 4.0 * r * (treatment.trials + control.trials) * x, 0.0)
    share = 2.0 * x / (middle + np.sqrt(spread))
    return np.clip(r * share, 0.0, 1.0), np.clip(share, 0.0, 1.0)


def difference_score(treatment: Counts, control: Counts, null: ArrayLike = 0.0, *, corrected: bool) -> FloatArray:
    """Z-score of the difference of shares against a null difference; not a number where the variance is 0."""
    first, second = shares_at_difference(treatment, control, null)
    contrast = treatment.share - control.share - np.asarray(null, np.float64)
    return _score(contrast, _spread(first), _spread(second), treatment, control, corrected=corrected)


def ratio_score(treatment: Counts, control: Counts, null: ArrayLike = 1.0, *, corrected: bool) -> FloatArray:
    """Z-score of the ratio of shares against a null ratio, as the contrast treatment - null × control."""
    first, second = shares_at_ratio(treatment, control, null)
    factor = np.asarray(null, np.float64)
    contrast = treatment.share - factor * control.share
    return _score(contrast, _spread(first), factor**2 * _spread(second), treatment, control, corrected=corrected)


def difference_interval(treatment: Counts, control: Counts, z: ArrayLike, *, corrected: bool) -> Ends:
    """All differences of shares that the score test at critical value `z` does not reject."""
    estimate = treatment.share - control.share

    def score(null: FloatArray) -> FloatArray:
        return difference_score(treatment, control, null, corrected=corrected)

    return crossings(score, -np.ones_like(estimate), estimate, np.ones_like(estimate), np.asarray(z, np.float64))


def ratio_interval(treatment: Counts, control: Counts, z: ArrayLike, *, corrected: bool) -> Ends:
    """All ratios of shares that the score test at critical value `z` does not reject: from 0 to infinity at most."""
    total = treatment.share + control.share
    # The ratio as a share of the whole, r / (1 + r): a finite stretch to search.
    estimate = np.where(total > 0, treatment.share / np.where(total > 0, total, 1.0), np.where(total == 0, 0.5, np.nan))

    def score(part: FloatArray) -> FloatArray:
        return ratio_score(treatment, control, part / np.maximum(1.0 - part, 1e-20), corrected=corrected)

    zero, one = np.zeros_like(estimate), np.ones_like(estimate)
    low, high = crossings(score, zero, estimate, one, np.asarray(z, np.float64))
    silent = total == 0  # neither arm ever succeeded: any ratio will do
    low, high = np.where(silent, 0.0, low), np.where(silent | (control.share == 0), 1.0, high)
    low = np.where(treatment.share == 0, 0.0, low)
    high = np.where(np.isnan(total), np.nan, high)
    with np.errstate(divide="ignore"):
        return low / (1.0 - low), high / (1.0 - high)


def _control_share(n: FloatArray, weighted: FloatArray, x: FloatArray, x0: FloatArray, d: FloatArray) -> FloatArray:
    """Control's share if treatment's is `d` more: the root of Miettinen and Nurminen's cubic (their equation 27).

    `n` are all trials and `x` all successes, `x0` the control's; `weighted` counts the control's trials twice. The
    trigonometric root is polished by two steps of Newton against rounding.
    """
    square = weighted * d - n - x
    linear = ((weighted - n) * d - n - 2.0 * x0) * d + x
    constant = x0 * d * (1.0 - d)
    third = square / (3.0 * n)
    q = third**3 - linear * square / (6.0 * n**2) + constant / (2.0 * n)
    radius = np.copysign(np.sqrt(np.maximum(third**2 - linear / (3.0 * n), 0.0)), q)
    cosine = np.clip(q / np.where(radius == 0.0, 1.0, radius**3), -1.0, 1.0)
    floor, ceiling = np.maximum(0.0, -d), np.minimum(1.0, 1.0 - d)
    share = np.clip(2.0 * radius * np.cos((np.pi + np.arccos(cosine)) / 3.0) - third, floor, ceiling)
    for _ in range(2):
        slope = (3.0 * n * share + 2.0 * square) * share + linear
        value = ((n * share + square) * share + linear) * share + constant
        share = np.clip(share - value / np.where(slope == 0.0, np.inf, slope), floor, ceiling)
    return np.asarray(share)


def _score(
    contrast: FloatArray, first: FloatArray, second: FloatArray, treatment: Counts, control: Counts, *, corrected: bool
) -> FloatArray:
    """A contrast over its standard error, of variances of the first and second arm's mean."""
    variance = first / treatment.known_trials + second / control.known_trials
    if corrected:
        total = treatment.trials + control.trials
        variance = variance * total / np.where(total > 1, total - 1.0, np.nan)
    return np.asarray(contrast / np.sqrt(np.where(variance > 0, variance, np.nan)))


def _spread(share: FloatArray) -> FloatArray:
    return np.asarray(share * (1.0 - share))


def crossings(
    score: Callable[[FloatArray], FloatArray],
    floor: FloatArray,
    estimate: FloatArray,
    ceiling: FloatArray,
    z: FloatArray,
) -> Ends:
    """Where a score that falls from above `z` to below `-z` passes them on each side of the estimate, by bisection."""
    floor, estimate, ceiling, z = np.broadcast_arrays(floor, estimate, ceiling, z)
    outside, inside, turn = np.stack([floor, ceiling]), np.stack([estimate, estimate]), np.stack([z, -z])
    for _ in range(_BISECTIONS):
        middle = 0.5 * (outside + inside)
        found = score(middle)
        rejected = np.stack([found[0] > turn[0], found[1] < turn[1]])
        outside, inside = np.where(rejected, middle, outside), np.where(rejected, inside, middle)
    return inside[0], inside[1]
