"""Each bucket against its own history: the comparison that whole tenants changing arms cannot spoil.

Arms made of whole tenants differ before anything is deployed: one tenant fails a hundred times as often as another. But
a tenant resembles itself. Given the total of bad events, those on the canary are Binomial(total, ρ) if nothing changed,
with ρ the canary's share of what the buckets' own past rates lead one to expect, whatever the mix of tenants. What this
does not know, the *dispersion* covers: bursts inside a tenant and tenants that drift, seen in the stable arm, which the
release does not touch; and histories that are short.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from vedette.evidence.summary import FloatArray
from vedette.stats.rate_ratio import estimate_dispersion, past_rate, pseudo_requests_of, quotient

_LEAST_HISTORY = 20.0


@dataclass(frozen=True, slots=True)
class HistoryCells:
    """Counts of buckets that have a history, ready for `log_e_regression`; arrays of shape (..., cells) unless said.

    Attributes:
        bad_canary: bad events on the canary.
        bad_total: bad events on both arms.
        expected_share: the canary's share of them if nothing changed.
        dispersion: shape (...), from the stable arm's residuals and from how short the canary's histories are.
        covered: shape (...), the part of the canary's requests that is from buckets with a history.
    """

    bad_canary: FloatArray
    bad_total: FloatArray
    expected_share: FloatArray
    dispersion: FloatArray
    covered: FloatArray


def against_history(
    canary_requests: ArrayLike,
    canary_bad: ArrayLike,
    stable_requests: ArrayLike,
    stable_bad: ArrayLike,
    history_requests: ArrayLike,
    history_bad: ArrayLike,
) -> HistoryCells:
    """Set each bucket against what it did on stable before: in the past, and in earlier cells of this rollout.

    A ramp gives its own history: while the canary holds 1 %, the other 99 % show how they do on stable. So a domain
    without a past is judged from the second step on. What a cell adds to the history is put on the past's level (by
    the stable arm's ratio of seen to expected), so that a bad hour of the whole domain, which buckets already on the
    canary do not have in their histories, does not count against them. Buckets with fewer than 20 past requests are
    left out on both arms.

    Args:
        canary_requests: requests per cell and bucket on the canary, shape (..., cells, buckets), cells in time's order.
        canary_bad: bad events among those; same shape, as are the next two.
        stable_requests: requests on stable.
        stable_bad: bad events among those.
        history_requests: requests per bucket before the rollout, shape (..., buckets); zeros where there is no past.
        history_bad: bad events among those.

    Returns:
        What `log_e_regression` takes, with `dispersion[..., None]`; `covered` of 0 says that there was no history.
    """
    canary_n, canary_y, stable_n, stable_y = np.broadcast_arrays(
        *(np.asarray(x, dtype=np.float64) for x in (canary_requests, canary_bad, stable_requests, stable_bad))
    )
    buckets = (*canary_n.shape[:-2], canary_n.shape[-1])
    past_n = np.broadcast_to(np.asarray(history_requests, dtype=np.float64), buckets)
    past_y = np.broadcast_to(np.asarray(history_bad, dtype=np.float64), buckets)
    on_canary, on_stable, covered = [], [], []
    observed, expected, exposed, owed = (np.zeros(buckets) for _ in range(4))
    for cell in range(canary_n.shape[-2]):
        c, y, s, z = (x[..., cell, :] for x in (canary_n, canary_y, stable_n, stable_y))
        known = past_n >= _LEAST_HISTORY
        kappa = pseudo_requests_of(past_n, past_y)
        rate = past_rate(past_n, past_y, pseudo_requests=kappa)
        seen, due = (z * known).sum(axis=-1), (s * rate * known).sum(axis=-1)
        level = ((seen + 0.5) / (due + 0.5))[..., None]
        on_canary.append(((y * known).sum(axis=-1), (c * rate * known).sum(axis=-1)))
        on_stable.append((seen, due))
        covered.append((c * known).sum(axis=-1))
        observed = observed + z * known
        expected = expected + s * rate * known * level
        exposed = exposed + c * known * level
        owed = owed + c * rate * known * level
        noise = quotient((owed * exposed / (past_n + kappa)).sum(axis=-1), owed.sum(axis=-1), otherwise=0.0)
        past_n, past_y = past_n + s * level, past_y + z
    bad_canary, due_canary = (np.stack(x, axis=-1) for x in zip(*on_canary, strict=True))
    bad_stable, due_stable = (np.stack(x, axis=-1) for x in zip(*on_stable, strict=True))
    return HistoryCells(
        bad_canary=bad_canary,
        bad_total=bad_canary + bad_stable,
        expected_share=quotient(due_canary, due_canary + due_stable, otherwise=0.0),
        dispersion=estimate_dispersion(observed, expected, least=1.0 + noise),
        covered=quotient(np.sum(covered, axis=0), canary_n.sum(axis=(-2, -1)), otherwise=0.0),
    )
