"""Tests and intervals of Poisson rates, their ratios and differences, over arrays of events and exposures.

Everything works on `Events` of any shape and broadcasts; where there is no exposure, or a variance is 0, the entry is
not a number, and an end without bound is infinite. `vedette.stats.rates` turns single comparisons into records.

References:
    Garwood, "Fiducial limits for the Poisson distribution", Biometrika 28 (1936).
    Przyborowski & Wilenski, Biometrika 31 (1940): the conditional test of two rates.
    Gu, Ng, Tang & Schucany, "Testing the ratio of two Poisson rates", Biometrical Journal 50 (2008): score and root.
    Li, Tang & Wong, "Confidence intervals for ratio of two Poisson rates using the method of variance estimates
    recovery", Computational Statistics 29 (2014). Donner & Zou, Statistical Methods in Medical Research 21 (2012).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import gammainc, gammaincc, gammainccinv, gammaincinv

from vedette.evidence.summary import FloatArray
from vedette.kernel.errors import InvalidInput
from vedette.stats.proportion_intervals import Counts, Ends, clopper_pearson
from vedette.stats.proportion_scores import crossings

Numbers = FloatArray | float
"""One number, or an array of them."""

_DOUBLINGS = 60


@dataclass(frozen=True, slots=True, eq=False, init=False)
class Events:
    """How many events in how much exposure (time, requests, tokens): of an arm, or of many arms at once.

    Attributes:
        count: Number of events.
        exposure: How long, or among how much, they were counted.

    Raises:
        InvalidInput: numbers are not finite or negative, or events happened in no exposure.
    """

    count: FloatArray
    exposure: FloatArray

    def __init__(self, count: ArrayLike, exposure: ArrayLike) -> None:
        x, t = np.broadcast_arrays(np.asarray(count, np.float64), np.asarray(exposure, np.float64))
        if not (np.isfinite(x).all() and np.isfinite(t).all() and (x >= 0).all() and (t >= 0).all()):
            raise InvalidInput(f"{count!r} events in an exposure of {exposure!r} are impossible")
        if ((x > 0) & (t == 0)).any():
            raise InvalidInput("events without exposure have no rate", hint="give the time or the number of requests")
        object.__setattr__(self, "count", x)
        object.__setattr__(self, "exposure", t)

    @property
    def known_exposure(self) -> FloatArray:
        """The exposure, not a number where there is none: what to divide by."""
        return np.where(self.exposure > 0, self.exposure, np.nan)

    @property
    def rate(self) -> FloatArray:
        """Events per unit of exposure; not a number without exposure."""
        return np.asarray(self.count / self.known_exposure)


def garwood(events: Events, tail: Numbers) -> Ends:
    """Garwood's exact interval of a rate, with probability `tail` beyond each end at most."""
    x, t = events.count, events.known_exposure
    low = np.where(x > 0, gammaincinv(np.maximum(x, 0.5), tail), 0.0)
    return np.asarray(low / t), np.asarray(gammainccinv(x + 1.0, tail) / t)


def poisson_tails(events: Events, null: Numbers) -> Ends:
    """Probability of so few events or fewer, and of so many or more, if the rate is `null`."""
    x, mean = events.count, events.known_exposure * null
    return gammaincc(x + 1.0, mean), np.where(x > 0, gammainc(np.maximum(x, 0.5), mean), 1.0)


def rate_score(events: Events, null: Numbers, dispersion: Numbers = 1.0) -> FloatArray:
    """Z-score of a rate with the variance it has at `null`."""
    mean = events.known_exposure * null
    return np.asarray((events.count - mean) / np.sqrt(mean * dispersion))


def rate_score_interval(events: Events, z: Numbers, dispersion: Numbers = 1.0) -> Ends:
    """Rates that the score test at critical value `z` does not reject."""
    square = np.square(z) * dispersion
    centre = events.count + square / 2.0
    high = centre + np.sqrt(square * (events.count + square / 4.0))
    return events.count**2 / high / events.known_exposure, high / events.known_exposure


def ratio_score(treatment: Events, control: Events, null: Numbers = 1.0, dispersion: Numbers = 1.0) -> FloatArray:
    """Z-score of the ratio of two rates, with the variance it has at the null ratio; not a number without events."""
    ratio = _in_counts(treatment, control, null)
    variance = (treatment.count + control.count) * ratio * dispersion
    return np.asarray((treatment.count - ratio * control.count) / np.sqrt(np.where(variance > 0, variance, np.nan)))


def ratio_score_interval(treatment: Events, control: Events, z: Numbers, dispersion: Numbers = 1.0) -> Ends:
    """Ratios of rates that the score test at critical value `z` does not reject: a quadratic, solved."""
    first, second, square = treatment.count, control.count, np.square(z) * dispersion
    total = first + second
    middle = 2.0 * first * second + square * total
    reach = middle + np.sqrt(square * total * (4.0 * first * second + square * total))
    low = np.where(reach > 0, 2.0 * first**2 / np.where(reach > 0, reach, 1.0), 0.0)
    high = np.where(second > 0, reach / (2.0 * np.where(second > 0, second, 1.0) ** 2), np.inf)
    return _in_rates(treatment, control, low), _in_rates(treatment, control, high)


def ratio_root(treatment: Events, control: Events, null: Numbers = 1.0) -> FloatArray:
    """Z-score of the ratio of two rates on the variance-stabilising square root of the counts (W5 of Gu et al.)."""
    ratio = _in_counts(treatment, control, null)
    contrast = np.sqrt(treatment.count + 0.375) - np.sqrt((control.count + 0.375) * ratio)
    return np.asarray(2.0 * contrast / np.sqrt(1.0 + ratio))


def ratio_root_interval(treatment: Events, control: Events, z: Numbers) -> Ends:
    """Ratios of rates that the test on square roots at critical value `z` does not reject."""
    first, second, square = treatment.count + 0.375, control.count + 0.375, np.square(z)
    over, under = 4.0 * first - square, 4.0 * second - square
    reach = 4.0 * np.sqrt(first * second) + np.sqrt(square * np.maximum(over + under + square, 0.0))
    low = np.where(over > 0, over / reach, 0.0) ** 2
    high = np.where(under > 0, reach / np.where(under > 0, under, 1.0), np.inf) ** 2
    return _in_rates(treatment, control, low), _in_rates(treatment, control, high)


def conditional_counts(treatment: Events, control: Events) -> Counts:
    """Treatment's events among all: binomial, given their total, with a probability that only the ratio decides."""
    return Counts(treatment.count, treatment.count + control.count)


def conditional_share(treatment: Events, control: Events, null: Numbers) -> FloatArray:
    """Probability that an event is treatment's, if the ratio of rates is `null`."""
    ratio = _in_counts(treatment, control, null)
    return np.asarray(ratio / (1.0 + ratio))


def conditional_interval(treatment: Events, control: Events, tail: Numbers) -> Ends:
    """Exact interval of the ratio of two rates, Clopper and Pearson's given the total; 0 to infinity without events."""
    low, high = clopper_pearson(conditional_counts(treatment, control), tail)
    quiet = treatment.count + control.count == 0
    low, high = np.where(quiet, 0.0, low), np.where(quiet, 1.0, high)
    with np.errstate(divide="ignore"):
        return _in_rates(treatment, control, low / (1.0 - low)), _in_rates(treatment, control, high / (1.0 - high))


def difference_score(treatment: Events, control: Events, null: Numbers = 0.0, dispersion: Numbers = 1.0) -> FloatArray:
    """Z-score of the difference of two rates, with both fitted under the null difference; not a number without events.

    Of the two rates the smaller is the root of a quadratic, and the larger exceeds it by the size of the difference.
    """
    d = np.asarray(null, np.float64)
    size, exposure = np.abs(d), treatment.known_exposure + control.known_exposure
    lesser = np.where(d >= 0, control.count, treatment.count)
    surplus = treatment.count + control.count - exposure * size
    root = np.sqrt(surplus**2 + 4.0 * exposure * lesser * size)
    falling = surplus < 0  # then the usual formula would cancel
    small = np.where(
        falling,
        2.0 * lesser * size / np.where(falling, root - surplus, 1.0),
        (surplus + root) / (2.0 * exposure),
    )
    first, second = small + np.maximum(d, 0.0), small + np.maximum(-d, 0.0)
    variance = (first / treatment.known_exposure + second / control.known_exposure) * dispersion
    contrast = treatment.rate - control.rate - d
    return np.asarray(contrast / np.sqrt(np.where(variance > 0, variance, np.nan)))


def difference_score_interval(treatment: Events, control: Events, z: Numbers, dispersion: Numbers = 1.0) -> Ends:
    """Differences of rates that the score test at critical value `z` does not reject."""
    z = np.asarray(z, np.float64)
    estimate = treatment.rate - control.rate

    def score(null: FloatArray) -> FloatArray:
        return difference_score(treatment, control, null, dispersion)

    per_exposure = 1.0 / treatment.known_exposure + 1.0 / control.known_exposure
    reach = (1.0 + z**2 * dispersion) * per_exposure + np.abs(estimate)
    for _ in range(_DOUBLINGS):
        inside = (score(estimate - reach) <= z) | (score(estimate + reach) >= -z)
        if not inside.any():
            break
        reach = np.where(inside, 2.0 * reach, reach)
    return crossings(score, estimate - reach, estimate, estimate + reach, z)


def mover_difference(treatment: Events, control: Events, z: Numbers) -> Ends:
    """Interval of the difference of two rates from the score intervals of both (variance estimates recovery)."""
    effect = treatment.rate - control.rate
    (low_1, high_1), (low_0, high_0) = rate_score_interval(treatment, z), rate_score_interval(control, z)
    return (
        effect - np.hypot(treatment.rate - low_1, high_0 - control.rate),
        effect + np.hypot(high_1 - treatment.rate, control.rate - low_0),
    )


def _in_counts(treatment: Events, control: Events, ratio: Numbers) -> FloatArray:
    """Ratio of expected counts at a ratio of rates."""
    return np.asarray(ratio * treatment.known_exposure / control.known_exposure)


def _in_rates(treatment: Events, control: Events, ratio: FloatArray) -> FloatArray:
    """Ratio of rates at a ratio of expected counts."""
    return np.asarray(ratio * (control.known_exposure / treatment.known_exposure))
