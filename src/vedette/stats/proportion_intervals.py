"""Closed-form tests and intervals of proportions and their differences, over arrays of counts.

Everything here works on `Counts` of any shape and broadcasts; where an arm has no trials, or a variance is 0, the entry
is not a number. `vedette.stats.proportions` turns single comparisons into records that say why. A critical value `z` is
`critical_value(alpha, side)`: for one side it serves the end on that side.

References:
    Wilson, "Probable inference", JASA 22 (1927).
    Clopper & Pearson, "The use of confidence or fiducial limits", Biometrika 26 (1934).
    Agresti & Coull, "Approximate is better than 'exact'", American Statistician 52 (1998).
    Agresti & Caffo, "Simple and effective confidence intervals for proportions", American Statistician 54 (2000).
    Newcombe, Statistics in Medicine 17 (1998) 857 (one proportion) and 873 (the difference of two).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import betainc, betaincc, betainccinv, betaincinv, ndtr, ndtri

from vedette.evidence.summary import FloatArray
from vedette.kernel.errors import InvalidInput
from vedette.stats.finding import tail
from vedette.stats.sequential import Side

Ends = tuple[FloatArray, FloatArray]
"""Lower and upper ends of intervals."""

_LARGEST_Z = 40.0  # its p-value is no longer a float
_BISECTIONS = 60


@dataclass(frozen=True, slots=True, eq=False, init=False)
class Counts:
    """How many of how many: successes and trials of an arm, or of many arms at once.

    They need not be whole numbers (weighted counts), except for exact tests.

    Attributes:
        successes: Trials that succeeded.
        trials: All trials.

    Raises:
        InvalidInput: Counts are not finite, negative, or more succeeded than were tried.
    """

    successes: FloatArray
    trials: FloatArray

    def __init__(self, successes: ArrayLike, trials: ArrayLike) -> None:
        x, n = np.broadcast_arrays(np.asarray(successes, np.float64), np.asarray(trials, np.float64))
        if not (np.isfinite(n).all() and (x >= 0).all() and (x <= n).all()):
            raise InvalidInput(
                f"{successes!r} successes in {trials!r} trials is impossible",
                hint="successes lie between 0 and the number of trials, and both are finite",
            )
        object.__setattr__(self, "successes", x)
        object.__setattr__(self, "trials", n)

    @property
    def failures(self) -> FloatArray:
        """Trials that did not succeed."""
        return self.trials - self.successes

    @property
    def known_trials(self) -> FloatArray:
        """The trials, not a number where there are none: what to divide by."""
        return np.where(self.trials > 0, self.trials, np.nan)

    @property
    def share(self) -> FloatArray:
        """Observed proportion; not a number without trials."""
        return np.asarray(self.successes / self.known_trials)


def critical_value(alpha: float, side: Side) -> float:
    """Z-score that is significant at `alpha`.

    Raises:
        InvalidInput: `alpha` is not between 0 and 0.5.
    """
    return float(-ndtri(tail(alpha, side)))


def normal_p_value(z: ArrayLike, side: Side) -> FloatArray:
    """p-value of a z-score, from the survival side: z = 10.6 gives 3e-26, not 0."""
    z = np.asarray(z, np.float64)
    return np.asarray(2.0 * ndtr(-np.abs(z)) if side is Side.BOTH else ndtr(-z if side is Side.GREATER else z))


def wilson(counts: Counts, z: ArrayLike) -> Ends:
    """Wilson's score interval of a proportion: all p that the z-test with the variance of p does not reject."""
    n, share, square = counts.known_trials, counts.share, np.square(z)
    centre = (share + square / (2.0 * n)) / (1.0 + square / n)
    half = np.sqrt(square * (share * (1.0 - share) / n + square / (4.0 * n * n))) / (1.0 + square / n)
    return _touching(counts, centre - half, centre + half)


def wilson_continuity(counts: Counts, z: ArrayLike) -> Ends:
    """Wilson's interval with continuity correction (Newcombe 1998, method 4; R's prop.test of one sample)."""
    n, share, square = counts.known_trials, counts.share, np.square(z)

    def end(sign: float) -> FloatArray:
        moved = np.clip(share + sign / (2.0 * n), 0.0, 1.0)
        half = np.sqrt(square * (moved * (1.0 - moved) / n + square / (4.0 * n * n)))
        return np.asarray((moved + square / (2.0 * n) + sign * half) / (1.0 + square / n))

    return _touching(counts, end(-1.0), end(1.0))


def score_z(counts: Counts, null: ArrayLike, *, continuity: bool = False) -> FloatArray:
    """Z-score of a proportion with the variance it has at `null`: Wilson's test, and R's prop.test if corrected."""
    null, away = np.asarray(null, np.float64), counts.share - null
    if continuity:
        away = np.sign(away) * np.maximum(np.abs(away) - 0.5 / counts.known_trials, 0.0)
    return np.asarray(away / np.sqrt(null * (1.0 - null) / counts.known_trials))


def agresti_coull(counts: Counts, z: ArrayLike) -> Ends:
    """Agresti and Coull's interval of a proportion: Wald's after z²/2 more successes and failures; may leave [0, 1]."""
    square = np.square(z)
    n = counts.known_trials + square
    share = (counts.successes + square / 2.0) / n
    half = np.sqrt(square * share * (1.0 - share) / n)
    return share - half, share + half


def clopper_pearson(counts: Counts, tail: ArrayLike) -> Ends:
    """Clopper and Pearson's exact interval of a proportion, with probability `tail` beyond each end at most."""
    x, failures = counts.successes, counts.failures
    low = np.where(x > 0, betaincinv(np.maximum(x, 0.5), failures + 1.0, tail), 0.0)
    high = np.where(failures > 0, betainccinv(x + 1.0, np.maximum(failures, 0.5), tail), 1.0)
    known = counts.trials > 0
    return np.where(known, low, np.nan), np.where(known, high, np.nan)


def binomial_tails(counts: Counts, null: ArrayLike) -> Ends:
    """Probability of so few successes or fewer, and of so many or more, if the proportion is `null`."""
    x, failures = counts.successes, counts.failures
    at_most = np.where(failures > 0, betaincc(x + 1.0, np.maximum(failures, 0.5), null), 1.0)
    at_least = np.where(x > 0, betainc(np.maximum(x, 0.5), failures + 1.0, null), 1.0)
    return at_most, at_least


def wald_difference(treatment: Counts, control: Counts) -> Ends:
    """Treatment's share minus control's, and its unpooled standard error; not a number where that is 0."""
    variance = sum(arm.share * (1.0 - arm.share) / arm.known_trials for arm in (treatment, control))
    return treatment.share - control.share, np.sqrt(np.where(variance > 0, variance, np.nan))


def agresti_caffo_difference(treatment: Counts, control: Counts) -> Ends:
    """Wald's difference and standard error after one more success and one more failure in each arm."""
    effect, error = wald_difference(*(Counts(arm.successes + 1.0, arm.trials + 2.0) for arm in (treatment, control)))
    known = (treatment.trials > 0) & (control.trials > 0)
    return np.where(known, effect, np.nan), np.where(known, error, np.nan)


def yates_difference(treatment: Counts, control: Counts, z: FloatArray | float) -> tuple[FloatArray, Ends]:
    """Z-score of no difference with Yates' correction, and Wald's interval widened by it, as R's prop.test does.

    The square of the z-score is Yates' chi-square. The test pools the variance and the interval does not.
    """
    effect, error = wald_difference(treatment, control)
    sizes = 1.0 / treatment.known_trials + 1.0 / control.known_trials
    correction = np.minimum(0.5 * sizes, np.abs(effect))
    pooled = (treatment.successes + control.successes) / (treatment.known_trials + control.known_trials)
    variance = pooled * (1.0 - pooled) * sizes
    score = np.sign(effect) * (np.abs(effect) - correction) / np.sqrt(np.where(variance > 0, variance, np.nan))
    half = z * error + correction
    return score, (effect - half, effect + half)


def newcombe_difference(treatment: Counts, control: Counts, z: ArrayLike) -> Ends:
    """Newcombe's hybrid score interval of a difference (method 10): Wilson's ends of both arms, squared and added."""
    effect = treatment.share - control.share
    (low_1, high_1), (low_0, high_0) = wilson(treatment, z), wilson(control, z)
    return (
        effect - np.hypot(treatment.share - low_1, high_0 - control.share),
        effect + np.hypot(high_1 - treatment.share, control.share - low_0),
    )


def z_by_inversion(interval: Callable[[FloatArray], Ends], estimate: ArrayLike, null: ArrayLike) -> FloatArray:
    """Signed z-score at which an interval, growing with z, just reaches `null`; ±40 if it still does not there."""
    estimate, null = np.broadcast_arrays(np.asarray(estimate, np.float64), np.asarray(null, np.float64))
    above = estimate > null
    low, high = np.zeros(estimate.shape), np.full(estimate.shape, _LARGEST_Z)
    for _ in range(_BISECTIONS):
        middle = 0.5 * (low + high)
        lower, upper = interval(middle)
        excluded = np.where(above, lower > null, upper < null)
        low, high = np.where(excluded, middle, low), np.where(excluded, high, middle)
    signed = np.where(estimate == null, 0.0, np.where(above, high, -high))
    return np.where(np.isnan(estimate), np.nan, signed)


def _touching(counts: Counts, low: FloatArray, high: FloatArray) -> Ends:
    """Ends made exact: without successes an interval starts at 0, without failures it ends at 1."""
    known = counts.trials > 0
    return (
        np.where(known & (counts.successes == 0), 0.0, low),
        np.where(known & (counts.failures == 0), 1.0, high),
    )
