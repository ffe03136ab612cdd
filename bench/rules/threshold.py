"""Static limits on the canary alone, as Argo Rollouts and Flagger check them: no comparison with stable.

Argo Rollouts: an AnalysisTemplate measures each minute, `successCondition: result[0] >= 0.99`, `failureLimit: 3`; the
run fails when more measurements than that have failed. A minute without requests gives no measurement here (the usual
query gives NaN, which fails; not counting it is the kinder reading).

Flagger: the built-in `request-success-rate` with `thresholdRange.min: 99`, interval 1 m, `threshold: 5`; the canary is
rolled back when the number of failed checks, which no success resets, reaches it. No data is a failed check.
"""

import numpy as np
from bench.traffic import Arms, Array
from numpy.typing import NDArray

LIMIT = 0.99


def argo(total: Arms, *, failure_limit: int = 3) -> Array:
    """Argo Rollouts: stop at the first minute with more than `failure_limit` failed measurements."""
    failed = (total.canary_requests > 0) & (_success(total) < LIMIT)
    return first_minute(failed.cumsum(axis=-1) > failure_limit)


def flagger(total: Arms, *, threshold: int = 5) -> Array:
    """Flagger: stop at the first minute with `threshold` failed checks."""
    failed = (total.canary_requests == 0) | (_success(total) < LIMIT)
    return first_minute(failed.cumsum(axis=-1) >= threshold)


def first_minute(stop: NDArray[np.bool_]) -> Array:
    """The first minute, counted from 1, at which a rule says stop; infinite if none."""
    return np.where(stop.any(axis=-1), stop.argmax(axis=-1) + 1.0, np.inf)


def _success(total: Arms) -> Array:
    return 1.0 - total.canary_bad / np.maximum(total.canary_requests, 1.0)
