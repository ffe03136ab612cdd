"""The textbook two-proportion z-test, one-sided at 5 %, looked at every minute as if each look were the only one."""

import numpy as np
from bench.rules.threshold import first_minute
from bench.traffic import Arms, Array
from scipy.special import ndtri


def peeked_z_test(total: Arms, *, alpha: float = 0.05) -> Array:
    """Stop at the first minute whose pooled z-score of all counts so far is significant."""
    n_canary, n_stable, canary, stable = (
        counts.cumsum(axis=-1)
        for counts in (total.canary_requests, total.stable_requests, total.canary_bad, total.stable_bad)
    )
    pooled = (canary + stable) / np.maximum(n_canary + n_stable, 1.0)
    variance = pooled * (1.0 - pooled) * (1.0 / np.maximum(n_canary, 1.0) + 1.0 / np.maximum(n_stable, 1.0))
    difference = canary / np.maximum(n_canary, 1.0) - stable / np.maximum(n_stable, 1.0)
    z = np.divide(difference, np.sqrt(variance), out=np.zeros_like(variance), where=variance > 0.0)
    return first_minute(z > ndtri(1.0 - alpha))
