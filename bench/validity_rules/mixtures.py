"""Always-valid tests as seqabpy 0.3.1 and TensorZero have them, two-sided at 5 %.

From seqabpy/gavi.py, with the papers it names: Howard et al. (2022) equations 14 and 21 (Eppo's GAVI), Lindon et al.
(2024) equation 20 (Netflix's mSPRT), Zhao, Liu & Deb (2019) equation 3 (Statsig), and Statsig's first method. It takes
one variance for both arms: here the average of the two. TensorZero's stopping rule is in its Rust gateway
(check_stopping.rs): a generalised likelihood ratio against log((1 + log of all pulls) / delta).
"""

import math

import numpy as np
from bench.validity_rules.pair import Array, Claims, Looks
from scipy.special import ndtri

PLANNED = 5000.0


def gavi(looks: Looks, *, alpha: float = 0.05, tuned_at: float = PLANNED) -> Claims:
    """Claim by the two-sided normal mixture, tightest at a size of each arm."""
    log = -2.0 * math.log(alpha)
    rho = tuned_at / (log + math.log1p(log))
    n = looks.n
    return _beyond(looks, np.sqrt((n + rho) / n * np.log((n + rho) / (rho * alpha**2))))


def msprt(looks: Looks, *, alpha: float = 0.05, effect: float | None = None) -> Claims:
    """Claim by the mixture whose scale suits an effect: the observed one, as is its default, unless given."""
    variance, n = (looks.control_variance + looks.treatment_variance) / 2.0, 2.0 * looks.n
    with np.errstate(divide="ignore", invalid="ignore"):
        phi = 4.0 * variance / (looks.effect**2 if effect is None else effect**2)
    with np.errstate(invalid="ignore"):
        return _beyond(looks, np.sqrt((phi + n) / n * np.log((phi + n) / (np.maximum(phi, 1e-300) * alpha**2))))


def statsig(looks: Looks, *, alpha: float = 0.05) -> Claims:
    """Claim by the mixture whose variance follows the effect's own."""
    times = float(ndtri(1.0 - alpha)) ** 2
    return _beyond(looks, np.sqrt((1.0 + 1.0 / times) * (-2.0 * math.log(alpha) + math.log1p(times))))


def statsig_first(looks: Looks, *, alpha: float = 0.05) -> Claims:
    """Claim where z exceeds its fixed critical value over the fraction of the planned size."""
    return _beyond(looks, -ndtri(alpha / 2.0) * PLANNED / looks.n)


def likelihood_ratio(looks: Looks, *, delta: float = 0.05) -> Claims:
    """Claim where TensorZero would stop two arms; its variances divide by n - 1."""
    threshold = np.log((1.0 + np.log(2.0 * looks.n)) / delta)
    return np.nan_to_num(looks.z) ** 2 / 2.0 > threshold


def _beyond(looks: Looks, level: Array | float) -> Claims:
    with np.errstate(invalid="ignore"):
        return np.asarray(np.abs(np.nan_to_num(looks.z)) > level)
