"""What most tools show, read again and again: each look is right, their union is not.

- Welch's t at every look: tea-tasting, spotify-confidence's TTest, GrowthBook's frequentist engine without sequential.
- GrowthBook's Bayesian engine with its default, improper prior: the chance to win is a normal probability of the
  effect's z-score, green above 95 % and red below 5 % (its documentation and gbstats/bayesian/tests.py).
"""

import numpy as np
from bench.validity_rules.pair import Claims, Looks
from scipy.special import ndtri, stdtr


def welch(looks: Looks, *, alpha: float = 0.05) -> Claims:
    """Claim a difference where Welch's two-sided p-value is alpha or less."""
    first, second = looks.control_variance / looks.n, looks.treatment_variance / looks.n
    z = np.nan_to_num(np.abs(looks.z))
    claims = z >= -ndtri(alpha / 2.0)  # Student's t asks for more than the normal, so only these need its tail
    a, b = first[claims], second[claims]
    degrees = (a + b) ** 2 / ((a * a + b * b) / (np.broadcast_to(looks.n, z.shape)[claims] - 1.0))
    claims[claims] = 2.0 * stdtr(degrees, -z[claims]) <= alpha
    return np.asarray(claims)


def chance_to_win(looks: Looks, *, certainty: float = 0.95) -> Claims:
    """Claim where the chance to win is above the certainty, or below its complement."""
    return np.asarray(np.abs(np.nan_to_num(looks.z)) >= ndtri(certainty))
