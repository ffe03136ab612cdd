"""Two other always-valid rules, for reference.

- Dirichlet-multinomial mixture on each arm's count of bad events (Lindon & Malek, NeurIPS 2022), with concentration
  100 as in their published code; a new split starts a new factor.
- The asymptotic confidence sequence on the difference of rates (Waudby-Smith et al. 2024), one-sided, tightest at
  20,000 requests of an even split; steps are weighted by what they teach.
"""

import numpy as np
from bench.rules.threshold import first_minute
from bench.traffic import RAMP, STEP_MINUTES, Arms, Array, weights
from scipy.special import betaln

from vedette.stats.sequential import Side, critical_value

CONCENTRATION = 100.0


def dirichlet_multinomial(total: Arms, *, alpha: float = 0.05) -> Array:
    """Stop when the mixture's Bayes factor against the intended split of bad events reaches 1/alpha."""
    log_e = np.zeros(total.canary_bad.shape)
    for step, weight in enumerate(RAMP):
        minutes = slice(step * STEP_MINUTES, (step + 1) * STEP_MINUTES)
        canary, stable = total.canary_bad[:, minutes].cumsum(axis=-1), total.stable_bad[:, minutes].cumsum(axis=-1)
        prior = CONCENTRATION * weight, CONCENTRATION * (1.0 - weight)
        factor = betaln(prior[0] + canary, prior[1] + stable) - betaln(*prior)
        factor -= canary * np.log(weight) + stable * np.log1p(-weight)
        log_e[:, minutes] += factor
        log_e[:, minutes.stop :] += factor[:, -1:]
    return first_minute(log_e >= np.log(1.0 / alpha))


def asymptotic(total: Arms, *, alpha: float = 0.05, tuning: float = 20_000.0) -> Array:
    """Stop when the difference of rates leaves the one-sided asymptotic confidence sequence."""
    weight = weights()
    surplus = (total.canary_bad * (1.0 - weight) - total.stable_bad * weight).cumsum(axis=-1)
    variance = (total.canary_bad * (1.0 - weight) ** 2 + total.stable_bad * weight**2).cumsum(axis=-1)
    requests = total.canary_requests + total.stable_requests
    balanced = np.maximum((4.0 * weight * (1.0 - weight) * requests).cumsum(axis=-1), 1.0)
    z = np.divide(surplus, np.sqrt(variance), out=np.zeros_like(surplus), where=variance > 0.0)
    return first_minute(z >= critical_value(balanced, alpha, Side.GREATER, tuning))
