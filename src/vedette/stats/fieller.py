"""The relative interval that belongs to an absolute test: which relative effects the test does not reject.

Reference:
    Fieller, "Some problems in interval estimation", JRSS B 16 (1954).
"""

import numpy as np
from numpy.typing import ArrayLike

from vedette.evidence.summary import FloatArray


def fieller(
    treatment: ArrayLike,
    control: ArrayLike,
    treatment_variance: ArrayLike,
    control_variance: ArrayLike,
    *,
    covariance: ArrayLike = 0.0,
    critical: ArrayLike,
) -> tuple[FloatArray, FloatArray]:
    """Ends of the effects, as a fraction of the control's size, that a z-test does not reject; NaN if without bound.

    Solves ``(t - r c)² = critical² var(t - r c)`` for the ratio r. There is no bound where the same test cannot tell
    the control from zero. With a negative control the order of the ends turns. All shapes broadcast.

    Args:
        treatment: Means t of the new version.
        control: Means c of the version it is compared with.
        treatment_variance: Variances of the treatment's means (squared standard errors).
        control_variance: Variances of the control's means.
        covariance: Covariances of the two means, where the same units are in both.
        critical: Z-scores at which the test is significant.
    """
    t, c, square = np.asarray(treatment, np.float64), np.asarray(control, np.float64), np.square(critical)
    leading = c * c - square * control_variance
    middle = t * c - square * covariance
    root = np.sqrt(np.maximum(middle * middle - leading * (t * t - square * treatment_variance), 0.0))
    bounded = np.where(leading > 0, leading, np.nan)
    low, high = (middle - root) / bounded - 1.0, (middle + root) / bounded - 1.0
    return np.where(c > 0, low, -high), np.where(c > 0, high, -low)
