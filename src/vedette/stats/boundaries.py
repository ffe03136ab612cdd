"""Boundaries that a sum of centred observations crosses with probability at most alpha, however long one watches.

Each boundary has an *intrinsic time* `v` (the variance gathered so far) beside the sum `s`. A log mixture is the
logarithm of a test supermartingale, an e-value: under the null hypothesis it ever reaches `log(1 / alpha)` with
probability at most alpha (Ville 1939), so it may be read at any time; the boundary is the `s` at which it does. `rho`
and `v_opt` only say where a boundary is tightest, never whether it is valid.

Source: Howard, Ramdas, McAuliffe & Sekhon, "Time-uniform, nonparametric, nonasymptotic confidence sequences",
Annals of Statistics 49 (2021): propositions 5 to 9 and theorem 1.
"""

from collections.abc import Callable
from typing import cast

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq
from scipy.special import betainc, betaln, expit, gammainc, gammaincc, gammaln, log_ndtr, logit, zeta

from vedette.evidence.summary import FloatArray

LogMixture = Callable[[float], float | FloatArray]


def best_rho(v_opt: float, alpha: float, *, one_sided: bool) -> float:
    """Mixture parameter that makes the normal mixture's boundary at level `alpha` tightest at time `v_opt`."""
    log_odds = -2.0 * np.log(2.0 * alpha if one_sided else alpha)
    return float(v_opt / (log_odds + np.log1p(log_odds)))


def normal_log_mixture(s: ArrayLike, v: ArrayLike, rho: float, *, one_sided: bool) -> FloatArray:
    """Log e-value of sub-Gaussian sums `s` at variance `v`; arrays broadcast."""
    s, total = np.asarray(s, np.float64), np.asarray(v, np.float64) + rho
    two_sided = 0.5 * (np.log(rho / total) + s * s / total)
    return cast("FloatArray", two_sided + np.log(2.0) + log_ndtr(s / np.sqrt(total)) if one_sided else two_sided)


def normal_boundary(v: float, alpha: float, rho: float, *, one_sided: bool) -> float:
    """Boundary of a sub-Gaussian sum at variance `v`."""
    two_sided = float(np.sqrt((v + rho) * (np.log1p(v / rho) - 2.0 * np.log(alpha))))
    if not one_sided:
        return two_sided
    return _crossing(lambda s: normal_log_mixture(s, v, rho, one_sided=True), alpha, two_sided)


def gamma_exponential_log_mixture(s: ArrayLike, v: ArrayLike, rho: float, scale: float) -> FloatArray:
    """Log e-value of sub-exponential sums of scale `scale` (upper tail)."""
    square = scale * scale
    shape, start = (np.asarray(v, np.float64) + rho) / square, rho / square
    rate = np.asarray(s, np.float64) / scale + shape
    lead = start * np.log(start) - gammaln(start) - np.log(gammainc(start, start))
    tail = gammaln(shape) + np.log(gammainc(shape, rate)) - shape * np.log(rate) + rate - start
    return cast("FloatArray", lead + tail)


def gamma_exponential_boundary(v: float, alpha: float, rho: float, scale: float) -> float:
    """Boundary of a sub-exponential sum at variance `v`."""
    return _crossing(lambda s: gamma_exponential_log_mixture(s, v, rho, scale), alpha)


def gamma_poisson_log_mixture(s: ArrayLike, v: ArrayLike, rho: float, scale: float) -> FloatArray:
    """Log e-value of sub-Poisson sums of scale `scale` (upper tail): centred counts, or values bounded above."""
    square = scale * scale
    rate, start = (np.asarray(v, np.float64) + rho) / square, rho / square
    shape = np.asarray(s, np.float64) / scale + rate
    lead = start * np.log(start) - gammaln(start) - np.log(gammaincc(start, start))
    tail = gammaln(shape) + np.log(gammaincc(shape, rate)) - shape * np.log(rate) + rate - start
    return cast("FloatArray", lead + tail)


def gamma_poisson_boundary(v: float, alpha: float, rho: float, scale: float) -> float:
    """Boundary of a sub-Poisson sum at variance `v`."""
    return _crossing(lambda s: gamma_poisson_log_mixture(s, v, rho, scale), alpha)


def beta_binomial_log_mixture(
    s: ArrayLike, v: ArrayLike, *, v_opt: float, low: float, high: float, one_sided: bool, alpha: float = 0.05
) -> FloatArray:
    """Log e-value of sums of centred observations between `-low` and `high`, with `v = low * high * n`.

    For a Bernoulli observation of mean p, centred, `low` is p and `high` is 1 - p. Tightest at `v_opt`, level `alpha`.
    """
    s, v, span = np.asarray(s, np.float64), np.asarray(v, np.float64), low + high
    r = max(best_rho(v_opt, alpha, one_sided=one_sided) - low * high, 1e-3 * low * high)
    # If every observation were either `high` or `-low`, there would be so many of each.
    ups, downs = (v / high + s) / span, (v / low - s) / span
    upper = high / span if one_sided else 1.0
    prior_down, prior_up = r / (low * span), r / (high * span)
    null = v / (low * high) * np.log(span) - ups * np.log(low) - downs * np.log(high)
    mixed = _log_incomplete_beta(prior_down + downs, prior_up + ups, upper)
    return cast("FloatArray", null + mixed - _log_incomplete_beta(prior_down, prior_up, upper))


def beta_binomial_boundary(
    v: float, alpha: float, *, v_opt: float, low: float, high: float, one_sided: bool, alpha_opt: float = 0.05
) -> float:
    """Boundary of a sum of bounded observations; no more than `v / low`, the largest sum there can be."""

    def log_e(s: float) -> FloatArray:
        return beta_binomial_log_mixture(s, v, v_opt=v_opt, low=low, high=high, one_sided=one_sided, alpha=alpha_opt)

    return _crossing(log_e, alpha, v / low)


def stitched_boundary(
    v: ArrayLike, alpha: float, *, v_min: float, scale: float = 0.0, s: float = 1.4, eta: float = 2.0
) -> FloatArray:
    """Closed-form boundary of a sub-gamma sum that grows like the law of the iterated logarithm (theorem 1).

    `s` and `eta` set the exponent and the spacing of the pieces; before `v_min` the boundary stays where it is there.
    """
    v = np.maximum(np.asarray(v, np.float64), v_min)
    level = s * np.log(np.log(eta * v / v_min)) + np.log(zeta(s) / (np.log(eta) ** s * alpha))
    return stitch(v, level, scale, eta)


def double_stitched_boundary(
    q: float, n: ArrayLike, alpha: float, *, n_min: float, delta: float = 0.5, s: float = 1.4, eta: float = 2.0
) -> FloatArray:
    """Boundary of `n * (empirical - true distribution)` at the q-quantile, for all q and all `n` together.

    `delta`, `s` and `eta` set the spacing of the pieces; `n_min` is where they begin. Source: Howard & Ramdas,
    "Sequential estimation of quantiles", Bernoulli 28 (2022).
    """
    n, odds = np.maximum(np.asarray(n, np.float64), n_min), float(logit(q))
    nearest = np.minimum(0.5, expit(odds + 2.0 * delta * np.sqrt(n_min * eta / n))) if q < 0.5 else q
    variance = n * nearest * (1.0 - nearest)
    piece = np.sqrt(n / n_min) * abs(odds) / (2.0 * delta) + 1.0
    pieces = 2.0 * zeta(s) * (2.0 * zeta(s) + 1.0) / (alpha * np.log(eta) ** s)
    level = s * np.log(np.log(eta * n / n_min)) + s * np.log(piece) + np.log(pieces)
    slack = delta * np.sqrt(eta * variance / n_min)
    return cast("FloatArray", slack + stitch(variance, level, (1.0 - 2.0 * q) / 3.0, eta))


def stitch(v: FloatArray, level: ArrayLike, scale: ArrayLike, eta: float) -> FloatArray:
    """Sub-gamma boundary that holds within a factor `eta` of intrinsic time with probability `1 - exp(-level)`."""
    level, scale = np.asarray(level, np.float64), np.asarray(scale, np.float64)
    spread = (eta**0.25 + eta**-0.25) ** 2 / 2.0
    drift = (np.sqrt(eta) + 1.0) / 2.0 * scale * level
    return cast("FloatArray", np.sqrt(spread * v * level + drift * drift) + drift)


def _log_incomplete_beta(a: ArrayLike, b: ArrayLike, upper: float) -> FloatArray:
    if upper >= 1.0:
        return cast("FloatArray", betaln(a, b))
    with np.errstate(divide="ignore"):
        log_share = np.log(betainc(a, b, upper)) + betaln(a, b)
    # A share too small for a float is replaced by the first term of its series: still no more than the truth.
    first_term = np.multiply(a, np.log(upper)) + np.multiply(b, np.log1p(-upper)) - np.log(a)
    return cast("FloatArray", np.maximum(log_share, first_term))


def _crossing(log_mixture: LogMixture, alpha: float, upper: float | None = None) -> float:
    """Sum at which a log mixture, growing with it, reaches the threshold; `upper` where it never does before."""
    threshold = -np.log(alpha)
    if upper is None:
        upper = 1.0
        while log_mixture(upper) < threshold:
            upper *= 2.0
    elif log_mixture(upper) <= threshold:
        return upper
    return float(brentq(lambda s: log_mixture(s) - threshold, 0.0, upper, xtol=1e-12 * upper))
