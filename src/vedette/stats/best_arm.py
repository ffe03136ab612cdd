"""Which of several arms is best: how probable each is, how to divide traffic to find out, when one may stop.

**How probable.** The probability that arm i is best, and the loss expected of choosing it, are one integral each::

    P(i best) = ∫ f_i(x) Π F_j(x) dx        loss(i) = E max θ - E θ_i = ∫ F_i(x) (1 - Π F_j(x)) dx        (j ≠ i)

Both integrands are positive, so small figures keep their digits. Gauss-Legendre rules on panels between the quantiles
of all arms give them to about 1e-11. Probabilities are integrated over their log-odds, on which a Beta density has no
poles, and that density is written as a deviance from its mean, so that billions of trials lose nothing.

**How to divide traffic.** The share w of each arm for which the worst pair of leader l and challenger a is told apart
soonest: minimise `max_a 2 (v_l / w_l + v_a / w_a) / (gap_a + ε)²` over shares that sum to 1 and stay above a minimum.
A penalty, which fades as observations come in, keeps the first shares near equal. The problem is convex and is solved
by Newton steps inside its constraints (a log barrier), so the answer is the same every time.

**When to stop.** The generalised likelihood ratio of the leader against each challenger, above a threshold that holds
at all times together.

References:
    Garivier & Kaufmann, "Optimal best arm identification with fixed confidence", COLT (2016).
    Kaufmann & Koolen, "Mixture martingales revisited", JMLR 22 (2021): the threshold.
    Boyd & Vandenberghe, "Convex optimization" (2004), chapter 11.
    Loader, "Fast and accurate computation of binomial probabilities" (2000): the deviance form.
"""

import math
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize_scalar
from scipy.special import betainc, betainccinv, betaincinv, erfcx, expit, gammaln, ndtr, zeta

from vedette.evidence.summary import FloatArray
from vedette.kernel.errors import InvalidInput

Better = Literal["lower", "higher"]
"""Which way a quantity is better."""

_HALF = np.array([0.6, 1.2, 1.8, 2.5, 3.2, 4.0, 5.0, 6.5, 8.3])
_LATTICE = np.concatenate([-_HALF[::-1], [0.0], _HALF])  # where panels meet, in standard deviations of each arm
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(8)
_SMALLEST = 1e-300
_TIE = 1e-8  # gaps below this many standard deviations of an observation are a tie


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopping:
    """Whether the leader may be called best, up to the tolerance it was asked with.

    Attributes:
        leader: Index of the arm with the best mean.
        statistic: Smallest generalised likelihood ratio (its logarithm) of the leader against any other arm.
        threshold: What the statistic must exceed.
        stop: Whether it does.
    """

    leader: int
    statistic: float
    threshold: float
    stop: bool


def normal_best(mean: ArrayLike, sd: ArrayLike, better: Better = "higher") -> tuple[FloatArray, FloatArray]:
    """Probability that each arm is best and loss expected of choosing it, from independent Normal beliefs.

    Args:
        mean: Means, shape (..., arms); leading axes are separate questions.
        sd: Standard deviations, the same shape, all positive.
        better: Whether a higher or a lower value is better.

    Raises:
        InvalidInput: A standard deviation is not positive, or a value is not finite.
    """
    location, scale = np.broadcast_arrays(np.asarray(mean, np.float64), np.asarray(sd, np.float64))
    if not (np.isfinite(location).all() and np.isfinite(scale).all() and (scale > 0.0).all()):
        raise InvalidInput("beliefs need finite means and positive standard deviations")
    location = location if better == "higher" else -location
    if location.shape[-1:] == (2,):
        return _best_of_two(location[..., 0] - location[..., 1], np.hypot(scale[..., 0], scale[..., 1]))
    edges = (location[..., None] + scale[..., None] * _LATTICE).reshape(*location.shape[:-1], -1)
    nodes, weights = panels(edges)
    z = (nodes[..., None, :] - location[..., None]) / scale[..., None]
    density = np.exp(-0.5 * z * z) / (math.sqrt(2.0 * math.pi) * scale[..., None])
    return _integrate(ndtr(z), ndtr(-z), density * weights[..., None, :], weights)


def beta_best(a: ArrayLike, b: ArrayLike, better: Better = "higher") -> tuple[FloatArray, FloatArray]:
    """Probability that each arm is best and loss expected of choosing it, from independent Beta beliefs.

    `a` and `b` are the parameters of each arm, shape (arms,), all positive.
    """
    first, second = (np.asarray(values, np.float64)[:, None] for values in ((a, b) if better == "higher" else (b, a)))
    nodes, weights = panels(beta_log_odds(first, second).reshape(-1))
    x, complement = expit(nodes), expit(-nodes)
    density = beta_density(nodes, first, second) * weights
    cdf, survival = betainc(first, second, x), betainc(second, first, complement)
    return _integrate(cdf, survival, density, weights * x * complement)


def expected_losses(mean: float, sd: float, better: Better = "higher") -> tuple[float, float]:
    """Loss expected of keeping the control and of choosing the treatment, from a Normal belief about its effect.

    Raises:
        InvalidInput: The mean is not finite, or the standard deviation not positive.
    """
    if not (math.isfinite(mean) and 0.0 < sd < math.inf):
        raise InvalidInput(f"a belief needs a finite mean and a positive standard deviation, not {mean} and {sd}")
    small = sd * float(_overshoot(np.asarray(abs(mean) / sd)))
    large = abs(mean) + small
    return (large, small) if (mean > 0.0) == (better == "higher") else (small, large)


def panels(edges: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Nodes and weights of a composite Gauss-Legendre rule between edges in any order, along the last axis."""
    ordered = np.sort(edges, axis=-1)
    half = 0.5 * np.diff(ordered, axis=-1)[..., None]
    nodes = ordered[..., :-1, None] + half * (1.0 + _NODES)
    flat = (*ordered.shape[:-1], -1)
    return nodes.reshape(flat), (half * _WEIGHTS).reshape(flat)


def beta_log_odds(a: ArrayLike, b: ArrayLike) -> FloatArray:
    """Quantiles of Beta beliefs as log-odds, where the panels of their integrals meet, along the last axis."""
    tail = ndtr(-np.abs(_LATTICE))
    below = np.maximum(np.where(_LATTICE <= 0.0, betaincinv(a, b, tail), betainccinv(a, b, tail)), _SMALLEST)
    above = np.maximum(np.where(_LATTICE <= 0.0, betainccinv(b, a, tail), betaincinv(b, a, tail)), _SMALLEST)
    return np.asarray(np.log(below) - np.log(above))


def beta_density(log_odds: FloatArray, a: FloatArray, b: FloatArray) -> FloatArray:
    """Density of the log-odds of a Beta belief."""
    n = a + b
    deviance = a * _excess(expit(log_odds), a / n) + b * _excess(expit(-log_odds), b / n)
    constant = 0.5 * np.log(a / (2.0 * np.pi) * b / n) + _stirling(n) - _stirling(a) - _stirling(b)
    return np.asarray(np.exp(constant - deviance))


def optimal_allocation(
    pulls: ArrayLike,
    means: ArrayLike,
    variances: ArrayLike,
    *,
    epsilon: float = 0.0,
    minimum: float = 1e-6,
    regularisation: float = 0.01,
    better: Better = "higher",
    least_variance: float = 1e-12,
) -> FloatArray:
    """Shares of traffic that find an arm within `epsilon` of the best soonest, shape (arms,), summing to 1.

    The penalty is `regularisation / sqrt(total pulls)` times the squared distance from equal shares.

    Args:
        pulls: Observations of each arm so far.
        means: Mean of each arm.
        variances: Variance of one observation of each arm.
        epsilon: How much worse than the best an arm may be and still be good enough.
        minimum: Smallest share of an arm.
        regularisation: Strength of the penalty at one observation; 0 for none.
        better: Whether a higher or a lower mean is better.
        least_variance: Variances below this are raised to it.

    Raises:
        InvalidInput: Fewer than two arms, shapes that differ, values out of range, or a minimum too large for them.
    """
    n, centre, spread = _arms(pulls, means, variances, better)
    arms = centre.size
    if not (epsilon >= 0.0 and regularisation >= 0.0 and least_variance > 0.0):
        raise InvalidInput("epsilon and the regularisation are 0 or more, and the least variance is positive")
    if not 0.0 <= minimum * arms <= 1.0:
        raise InvalidInput(f"{arms} arms cannot each have {minimum}", hint=f"the minimum is at most {1.0 / arms:.6g}")
    if minimum * arms > 1.0 - 1e-9:
        return np.full(arms, 1.0 / arms)
    spread = np.maximum(spread, least_variance)
    gaps = np.maximum(centre.max() - centre + epsilon, _TIE * math.sqrt(spread.mean()))
    penalty = regularisation / math.sqrt(max(float(n.sum()), 1.0))
    leaders = np.flatnonzero(centre == centre.max())  # arms that tie for the lead are treated alike
    shares = [_shares(2.0 * spread / gaps[:, None] ** 2, int(leader), minimum, penalty) for leader in leaders]
    return np.asarray(np.mean(shares, axis=0))


def glr_threshold(first: float, second: float, arms: int, alpha: float) -> float:
    """What the log likelihood ratio of leader and challenger must exceed, at any time, for Gaussian arms.

    With `first` and `second` observations of the two. The leader of `arms` arms is then wrongly called best with
    probability at most `alpha`, whatever the rule that divides the traffic (Kaufmann & Koolen 2021).
    """
    return 2.0 * _cost(0.5 * math.log((arms - 1) / alpha)) + sum(
        2.0 * math.log(4.0 + math.log(max(n, 1.0))) for n in (first, second)
    )


def may_stop(
    pulls: ArrayLike,
    means: ArrayLike,
    variances: ArrayLike,
    *,
    alpha: float,
    epsilon: float = 0.0,
    better: Better = "higher",
) -> Stopping:
    """Judge whether the leader is within `epsilon` of the best arm, wrongly so with probability `alpha` at most.

    Variances are taken as known: let each arm gather some dozens of observations first. The pair nearest to its own
    threshold is reported.

    Raises:
        InvalidInput: Fewer than two arms, shapes that differ, values out of range, or an arm without observations.
    """
    n, centre, spread = _arms(pulls, means, variances, better)
    if not (0.0 < alpha < 1.0 and epsilon >= 0.0):
        raise InvalidInput(f"alpha lies between 0 and 1 and epsilon is 0 or more, not {alpha} and {epsilon}")
    if not ((n > 0).all() and (spread > 0.0).all()):
        raise InvalidInput("every arm needs observations and a positive variance", hint="let all arms burn in first")
    leader = int(np.argmax(centre))
    ratio = 0.5 * (centre[leader] - centre + epsilon) ** 2 / (spread / n + spread[leader] / n[leader])
    pairs = [
        (float(ratio[arm]), glr_threshold(float(n[leader]), float(n[arm]), n.size, alpha))
        for arm in range(n.size)
        if arm != leader
    ]
    statistic, threshold = min(pairs, key=lambda pair: pair[0] - pair[1])
    return Stopping(leader=leader, statistic=statistic, threshold=threshold, stop=statistic > threshold)


@cache
def _cost(level: float) -> float:
    """What all times together cost at this level, for one Gaussian arm (Kaufmann & Koolen 2021)."""

    def bound(rate: float) -> float:
        series = 2.0 * rate * (1.0 - math.log(4.0 * rate)) + math.log(zeta(2.0 * rate)) - 0.5 * math.log1p(-rate)
        return (series + level) / rate

    return float(minimize_scalar(bound, bounds=(0.5 + 1e-9, 1.0 - 1e-9), method="bounded").fun)


def _overshoot(z: FloatArray) -> FloatArray:
    """E max(Z - z, 0) of a standard normal Z, for z of 0 or more: without loss of digits where it is small."""
    z = np.minimum(z, 100.0)  # from 40 on it is below every float
    scaled = 1.0 / math.sqrt(2.0 * math.pi) - 0.5 * z * erfcx(z / math.sqrt(2.0))
    return np.asarray(np.exp(-0.5 * z * z) * np.maximum(scaled, 0.0))


def _integrate(
    cdf: FloatArray, survival: FloatArray, mass: FloatArray, weights: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Probability of being best and expected loss of each arm (axis -2), by a rule along the last axis."""
    with np.errstate(divide="ignore"):  # log(0) is -inf: an arm that is surely above
        log_cdf = np.where(survival < 0.5, np.log1p(-np.minimum(survival, 0.5)), np.log(cdf))
    none = np.zeros_like(log_cdf[..., :1, :])
    before = np.concatenate([none, np.cumsum(log_cdf[..., :-1, :], axis=-2)], axis=-2)
    after = np.concatenate([np.cumsum(log_cdf[..., :0:-1, :], axis=-2)[..., ::-1, :], none], axis=-2)
    others = before + after
    p_best = np.sum(mass * np.exp(others), axis=-1)
    loss = np.sum(weights[..., None, :] * cdf * -np.expm1(others), axis=-1)
    return p_best / p_best.sum(axis=-1, keepdims=True), loss


def _best_of_two(difference: FloatArray, sd: FloatArray) -> tuple[FloatArray, FloatArray]:
    """What `normal_best` gives for two arms, in closed form."""
    z = difference / sd
    small = sd * _overshoot(np.abs(z))
    loss = np.stack([small + np.maximum(-difference, 0.0), small + np.maximum(difference, 0.0)], axis=-1)
    return np.stack([ndtr(z), ndtr(-z)], axis=-1), loss


def _excess(x: FloatArray, mean: FloatArray) -> FloatArray:
    """`x / mean - 1 - log(x / mean)`, to full precision near the mean."""
    excess = x / mean - 1.0
    near = np.abs(excess) < 0.5
    logarithm = np.where(near, np.log1p(np.where(near, excess, 0.0)), np.log(np.maximum(x, _SMALLEST) / mean))
    return np.asarray(excess - logarithm)


def _stirling(x: FloatArray) -> FloatArray:
    """Error of Stirling's formula for the logarithm of the gamma function."""
    large = np.maximum(x, 16.0)
    series = (1.0 / 12.0 - (1.0 / 360.0 - (1.0 / 1260.0 - 1.0 / (1680.0 * large**2)) / large**2) / large**2) / large
    small = np.minimum(x, 16.0)
    direct = gammaln(small) - (small - 0.5) * np.log(small) + small - 0.5 * math.log(2.0 * math.pi)
    return np.asarray(np.where(x < 16.0, direct, series))


def _arms(
    pulls: ArrayLike, means: ArrayLike, variances: ArrayLike, better: Better
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Arrays of one shape, with means turned so that higher is better."""
    n, centre, spread = (np.asarray(values, np.float64) for values in (pulls, means, variances))
    if n.ndim != 1 or n.size < 2 or not n.shape == centre.shape == spread.shape:
        raise InvalidInput(
            "two arms or more each need pulls, a mean and a variance", hint=f"got {n}, {centre}, {spread}"
        )
    if not (np.isfinite([n, centre, spread]).all() and (n >= 0.0).all() and (spread >= 0.0).all()):
        raise InvalidInput("pulls, means and variances must be finite, and pulls and variances 0 or more")
    if better not in {"lower", "higher"}:
        raise InvalidInput(f"better is 'lower' or 'higher', not {better!r}")
    return n, centre if better == "higher" else -centre, spread


def _shares(cost: FloatArray, leader: int, minimum: float, penalty: float) -> FloatArray:
    """Minimise the worst `cost[a, l] / w_l + cost[a, a] / w_a` plus the penalty, over shares above the minimum.

    The unknowns are the shares and the worst cost, in units of what it is at equal shares.
    """
    arms = cost.shape[0]
    challengers = np.array([arm for arm in range(arms) if arm != leader])
    rows = np.arange(arms - 1)
    factor = np.zeros((arms - 1, arms))  # pair a costs factor[a] @ (1 / w)
    factor[rows, leader] = cost[challengers, leader]
    factor[rows, challengers] = cost[challengers, challengers]
    unit = arms * float(factor.sum(axis=1).max())
    total = unit + penalty
    factor = factor / unit

    def value(x: FloatArray, sharpness: float) -> float:
        w, slack = x[:-1], x[-1] - factor @ (1.0 / x[:-1])
        if min(w.min() - minimum, slack.min(), w.min()) <= 0.0:
            return math.inf
        objective = (unit * x[-1] + penalty * float(((w - 1.0 / arms) ** 2).sum())) / total
        return float(sharpness * objective - np.log(slack).sum() - np.log(w - minimum).sum())

    x, sharpness = np.append(np.full(arms, 1.0 / arms), 2.0), 1.0
    while sharpness < 1e11:
        sharpness *= 10.0
        for _ in range(50):
            step, decrement = _newton_step(x, factor, minimum, sharpness * unit / total, sharpness * penalty / total)
            if decrement < 1e-9:
                break
            now, length = value(x, sharpness), 1.0
            while length > 1e-12 and value(x + length * step, sharpness) > now - 0.25 * length * decrement:
                length *= 0.5
            x = x + length * step
    return np.asarray(x[:-1] / x[:-1].sum())


def _newton_step(
    x: FloatArray, factor: FloatArray, minimum: float, linear: float, quadratic: float
) -> tuple[FloatArray, float]:
    """Newton step of the barrier problem that keeps the sum of the shares, and the decrease it promises (doubled)."""
    arms = x.size - 1
    w = x[:-1]
    slack = x[-1] - factor @ (1.0 / w)
    slope = np.column_stack([factor / w**2, np.ones(arms - 1)]) / slack[:, None]
    gradient = np.append(2.0 * quadratic * (w - 1.0 / arms) - 1.0 / (w - minimum), linear) - slope.sum(axis=0)
    curvature = 2.0 * quadratic + 1.0 / (w - minimum) ** 2 + 2.0 * ((1.0 / slack) @ factor) / w**3
    system = np.zeros((arms + 2, arms + 2))
    system[:-1, :-1] = slope.T @ slope
    system[np.arange(arms), np.arange(arms)] += curvature
    system[:arms, -1] = system[-1, :arms] = 1.0
    step = np.linalg.solve(system, np.append(-gradient, 0.0))[:-1]
    return step, float(-gradient @ step)
