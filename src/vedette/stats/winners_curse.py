"""How good is the best one really, given that it was picked for looking best?

The estimate of an arm that was chosen for being the largest is too large on average: part of why it won is luck. Two
remedies: `winner_estimate` for the chosen arm alone, which is above the truth as often as below it, and `shrunk` for
all arms, which draws them towards their mean as far as their spread looks like noise.

References:
    Andrews, Kitagawa & McCloskey, "Inference on winners", Quarterly Journal of Economics 139 (2024).
    Efron & Morris, "Data analysis using Stein's estimator and its generalizations", JASA 70 (1975).
    Paule & Mandel, "Consensus values and weighting factors", J. Res. Natl. Bur. Stand. 87 (1982).
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq
from scipy.special import ndtr

from vedette.evidence.summary import FloatArray
from vedette.kernel.errors import InvalidInput
from vedette.stats.largest import correlated
from vedette.stats.ranking import Better, normal_estimates
from vedette.stats.sequential import require_alpha


@dataclass(frozen=True, slots=True, kw_only=True)
class Shrunk:
    """Effects drawn towards their common mean.

    Attributes:
        method: Which estimator it is.
        effect: Shrunk effects, by arm.
        shrinkage: By how much each was drawn to the common mean: 0 not at all, 1 all the way.
        centre: The common mean.
        variance: Estimated variance of the true effects; 0 when their spread is no more than noise.
    """

    method: str
    effect: tuple[float, ...]
    shrinkage: tuple[float, ...]
    centre: float
    variance: float


def shrunk(estimates: ArrayLike, variances: ArrayLike) -> Shrunk:
    """Draw estimates towards their mean as far as their spread looks like noise: less error over all arms together.

    True effects are taken as normal about a common mean; their variance A solves Σ (x_i - μ)² / (v_i + A) = k - 3, and
    arm i is drawn in by v_i / (v_i + A). With equal variances that is, exactly, the positive-part James-Stein
    estimator about the mean, whose total squared error is below that of the estimates whatever the truth. That
    needs four arms; with two or three the right side is k - 1 (Paule & Mandel), a moment estimate of a normal prior.

    Args:
        estimates: Independent estimates, shape (k,), k at least 2.
        variances: Their variances, above 0.

    Raises:
        InvalidInput: Fewer than two arms, or a number that is not finite, or a variance that is not above 0.
    """
    means, matrix, _ = normal_estimates(estimates, np.ravel(np.asarray(variances, np.float64)))
    variance = np.diagonal(matrix)
    if not (np.isfinite(means).all() and np.isfinite(variance).all() and (variance > 0.0).all()):
        raise InvalidInput("shrinking needs finite estimates with variances above 0", hint="leave such arms out")
    k = means.size
    goal = k - 3.0 if k >= 4 else k - 1.0

    def centre(prior: float) -> float:
        return float(np.average(means - means[0], weights=1.0 / (variance + prior))) + float(means[0])

    def excess(prior: float) -> float:
        return float(((means - centre(prior)) ** 2 / (variance + prior)).sum()) - goal

    prior = 0.0
    if excess(0.0) > 0.0:
        # At this prior variance every term is at most 1 / k of the goal.
        enough = k * float(np.ptp(means)) ** 2 / goal
        prior = float(brentq(excess, 0.0, enough, xtol=1e-14 * enough, rtol=1e-13))
    middle, drawn = centre(prior), variance / (variance + prior)
    return Shrunk(
        method="james-stein" if k >= 4 else "normal-prior",
        effect=tuple((means + drawn * (middle - means)).tolist()),
        shrinkage=tuple(drawn.tolist()),
        centre=middle,
        variance=prior,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class WinnerEstimate:
    """What the chosen arm is truly worth, given that it was chosen for being the best.

    Attributes:
        arm: Place of the arm with the best estimate.
        naive: Its estimate, too good on average.
        effect: Median-unbiased estimate (hybrid).
        low: Lower end of the hybrid interval.
        high: Upper end of the hybrid interval.
        bound: What the arm had to pass to be chosen, on the metric's scale; None if there was nothing to pass.
    """

    arm: int
    naive: float
    effect: float
    low: float
    high: float
    bound: float | None


def winner_estimate(
    estimates: ArrayLike, covariance: ArrayLike, *, better: Better = "higher", alpha: float = 0.05
) -> WinnerEstimate:
    """Estimate the arm that looks best without the winner's curse (Andrews, Kitagawa & McCloskey 2024, hybrid).

    Given that it was chosen, and the part of the other estimates that is not its own noise, its estimate is a truncated
    normal value. The effect at which the observed value is the median of that law is above the truth as often as
    below it. Alone, it can run off towards minus infinity when arms are close; so the effect is also held within a
    simultaneous interval of level alpha / 10, at a median bias of at most alpha / 20, and the interval is alpha in all.

    Args:
        estimates: One estimate an arm, shape (k,): means, or effects over a control (whose covariance they share).
        covariance: Their variances, shape (k,), or covariances, shape (k, k).
        better: Which way is better.
        alpha: Probability that the interval misses, between 0 and 0.5.

    Raises:
        InvalidInput: Fewer than two arms, a number that is not finite, a variance that is not above 0, or `alpha` out
            of range.
    """
    require_alpha(alpha)
    means, matrix, _ = normal_estimates(estimates, covariance)
    if not (np.isfinite(means).all() and np.isfinite(matrix).all() and (np.diagonal(matrix) > 0.0).all()):
        raise InvalidInput("a winner is chosen among finite estimates with variances above 0", hint="leave others out")
    sign = 1.0 if better == "higher" else -1.0
    value, error = sign * means, np.sqrt(np.diagonal(matrix))
    arm = int(value.argmax())
    beta = alpha / 10.0
    widest = float(correlated(matrix / np.outer(error, error)).critical(beta))
    law = _Truncated.of(value, matrix, arm, widest)
    tail = 0.5 * (alpha - beta) / (1.0 - beta)
    ends = [sign * law.effect_at(quantile) for quantile in (1.0 - tail, 0.5, tail)]
    low, effect, high = ends if better == "higher" else ends[::-1]
    bound = None if math.isinf(law.above) else sign * law.above
    return WinnerEstimate(arm=arm, naive=float(means[arm]), effect=effect, low=low, high=high, bound=bound)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Truncated:
    """The law of the winner's estimate, given that it won: normal, cut off where another arm would have won.

    Attributes:
        value: What was observed.
        error: Standard error.
        above: The winner's estimate is above this, or another would have won.
        below: … and below this, which estimates in close correlation with it may impose.
        widest: The effect is taken to lie within so many standard errors of the estimate.
    """

    value: float
    error: float
    above: float
    below: float
    widest: float

    @classmethod
    def of(cls, value: FloatArray, matrix: FloatArray, arm: int, widest: float) -> "_Truncated":
        rest = np.arange(value.size) != arm
        own = float(value[arm])
        slope = matrix[rest, arm] / matrix[arm, arm]  # how an arm moves when the winner moves
        fixed = value[rest] - slope * own
        # The winner stays ahead of an arm while (1 - slope) · estimate is more than the arm's fixed part.
        with np.errstate(divide="ignore", invalid="ignore"):
            edge = fixed / (1.0 - slope)
        return cls(
            value=own,
            error=math.sqrt(matrix[arm, arm]),
            above=max(edge[slope < 1.0].tolist(), default=-math.inf),
            below=min(edge[slope > 1.0].tolist(), default=math.inf),
            widest=widest,
        )

    def effect_at(self, quantile: float) -> float:
        """Give the effect at which what was observed is that quantile of the law."""
        reach = self.widest * self.error
        if self.value <= self.above:
            return self.value - reach
        if self.value >= self.below:
            return self.value + reach
        return float(
            brentq(lambda effect: self._share_below(effect) - quantile, self.value - reach, self.value + reach)
        )

    def _share_below(self, effect: float) -> float:
        """Share of the law that is below what was observed, if this were the effect; falls as the effect grows."""
        start = max((self.above - effect) / self.error, -self.widest)
        stop = min((self.below - effect) / self.error, self.widest)
        at = (self.value - effect) / self.error
        if start > 0.0:  # in the upper tail, counted from its end, where the digits are
            start, at, stop = -start, -at, -stop
        whole = ndtr(stop) - ndtr(start)
        if whole == 0.0:
            return 1.0 if effect < self.value else 0.0
        return float(min(max((ndtr(at) - ndtr(start)) / whole, 0.0), 1.0))
