"""GrowthBook's sequential test, absolute and relative, and the same bound on the logarithm of the ratio.

The asymptotic confidence sequence of Waudby-Smith et al. (2024), equation 9, with equation 161's scale and a tuning
parameter of 5000 (gbstats/frequentist/tests.py and its documentation). Its default scale is relative, by the delta
method on the ratio; the log ratio is what a tool could do in its place.
"""

import math

import numpy as np
from bench.validity_rules.pair import Array, Claims, Looks

TUNING = 5000.0


def halfwidth_in_errors(n: Array, alpha: float, tuning: float = TUNING) -> Array:
    """Give half the interval's length in standard errors when `n` units are in both arms together."""
    log = -2.0 * math.log(alpha)
    time = 1.0 + n * (log + math.log1p(log)) / tuning
    return np.sqrt(2.0 * time / (time - 1.0) * np.log(np.sqrt(time) / alpha))


def one_sided_in_errors(n: Array, alpha: float, tuning: float = TUNING) -> Array:
    """Give the distance of the only end of the one-sided interval (equation 134) from the estimate."""
    log = -2.0 * math.log(2.0 * alpha)
    time = 1.0 + n * (log + math.log1p(log)) / tuning
    return np.asarray(np.sqrt(2.0 * time / (time - 1.0) * np.log1p(np.sqrt(time) / (2.0 * alpha))))


def absolute(looks: Looks, *, alpha: float = 0.05) -> Claims:
    """Claim where the sequence of the difference leaves out 0."""
    return np.abs(np.nan_to_num(looks.z)) > halfwidth_in_errors(2.0 * looks.n, alpha)


def relative(looks: Looks, *, alpha: float = 0.05) -> Claims:
    """Claim where the sequence of the relative difference, by the delta method, leaves out 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = looks.treatment / looks.control
        variance = (looks.treatment_variance + ratio**2 * looks.control_variance) / (looks.n * looks.control**2)
        z = np.abs(ratio - 1.0) / np.sqrt(variance)
    return np.where(np.isfinite(z), z, 0.0) > halfwidth_in_errors(2.0 * looks.n, alpha)


def log_ratio(looks: Looks, *, alpha: float = 0.05) -> Claims:
    """Claim where the sequence of the log ratio leaves out 0; means that are not positive have none."""
    with np.errstate(divide="ignore", invalid="ignore"):
        log = np.log(looks.treatment / looks.control)
        variance = looks.treatment_variance / looks.treatment**2 + looks.control_variance / looks.control**2
        z = np.abs(log) / np.sqrt(variance / looks.n)
    return np.where(np.isfinite(z), z, 0.0) > halfwidth_in_errors(2.0 * looks.n, alpha)
