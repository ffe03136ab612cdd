"""vedette's own rule, by the product's code: each step's totals so far, one e-process over all steps, at every look."""

import numpy as np
from bench.rules.threshold import first_minute
from bench.traffic import MINUTES, RAMP, STEP_MINUTES, Arms, Array, Traffic

from vedette.stats.clusters import cluster_estimate, compare_clusters
from vedette.stats.own_history import against_history
from vedette.stats.rate_ratio import log_e_regression
from vedette.stats.sequential import Side

ALPHA = 0.05


def request_share(total: Arms) -> Array:
    """Units are alike: the canary's realised share of the requests is its expected share of bad events."""
    canary, stable = _by_step(total.canary_requests), _by_step(total.stable_requests)
    bad = _by_step(total.canary_bad)
    share = canary / np.maximum(canary + stable, 1.0)
    log_e = log_e_regression(bad, bad + _by_step(total.stable_bad), share)
    return first_minute(log_e[..., -1] >= np.log(1.0 / ALPHA))


def own_history(traffic: Traffic, *, past: bool) -> Array:
    """Units are sticky: each bucket against its own history, a day of it or, without a `past`, the ramp's own."""
    tenants, arms = traffic.tenants, traffic.tenants.arms
    known = 1.0 if past else 0.0
    cells = against_history(
        _by_step(arms.canary_requests),
        _by_step(arms.canary_bad),
        _by_step(arms.stable_requests),
        _by_step(arms.stable_bad),
        known * tenants.history_requests[:, None],
        known * tenants.history_bad[:, None],
    )
    log_e = log_e_regression(
        cells.bad_canary, cells.bad_total, cells.expected_share, dispersion=cells.dispersion[..., None]
    )
    return first_minute(log_e[..., -1] >= np.log(1.0 / ALPHA))


def cluster_robust(traffic: Traffic) -> Array:
    """Units are sticky and nothing is known of them: arms compared between buckets, each step at its share of alpha."""
    buckets = traffic.tenants.arms
    counts = (buckets.canary_bad, buckets.canary_requests, buckets.stable_bad, buckets.stable_requests)
    arms = [_by_step(per_minute) for per_minute in counts]
    runs = len(buckets.canary_bad)
    stop = np.zeros((runs, MINUTES), dtype=np.bool_)
    for run, minute in np.ndindex(runs, MINUTES):
        step = minute // STEP_MINUTES
        canary_bad, canary, stable_bad, stable = (x[run, minute, step] for x in arms)
        found = compare_clusters(
            cluster_estimate(canary_bad, canary),
            cluster_estimate(stable_bad, stable),
            alpha=ALPHA / len(RAMP),
            side=Side.GREATER,
        )
        stop[run, minute] = found is not None and (found.log_e_value or 0.0) >= np.log(len(RAMP) / ALPHA)
    return first_minute(stop)


def _by_step(per_minute: Array) -> Array:
    """What each step has seen up to each minute: shape (runs, minutes, …) to (runs, minutes, steps, …)."""
    runs, _, *rest = per_minute.shape
    so_far = np.zeros((runs, MINUTES, len(RAMP), *rest))
    for step in range(len(RAMP)):
        begin, end = step * STEP_MINUTES, (step + 1) * STEP_MINUTES
        so_far[:, begin:end, step] = per_minute[:, begin:end].cumsum(axis=1)
        so_far[:, end:, step] = so_far[:, end - 1 : end, step]
    return so_far
