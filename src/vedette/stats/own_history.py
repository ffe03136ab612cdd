"""Each bucket against its own history: the comparison that whole tenants changing arms cannot spoil.

Arms made of whole tenants differ before anything is deployed: one tenant fails a hundred times as often as another. But
a tenant resembles itself. Given the total of bad events, those on the canary are Binomial(total, ρ) if nothing changed,
with ρ the canary's share of what the buckets' own past rates lead one to expect, whatever the mix of tenants. What this
does not know, the *dispersion* covers: bursts inside a tenant and tenants that drift, seen in the stable arm, which the
release does not touch; and histories that are short. With rates that are estimated and a dispersion, the evidence is a
quasi-likelihood: that it keeps its promise is measured (`bench/rollouts.py`), not proven.

References:
    McCullagh & Nelder (1989), Generalized linear models, 2nd ed., §4.5 and §6.2 (dispersion).
    Kleinman (1973), Proportions with extraneous variance, JASA 68 (how much buckets differ beyond chance).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from vedette.evidence.summary import FloatArray

_LEAST_HISTORY = 20.0
_LEAST_PSEUDO_REQUESTS = 20.0
_PRIOR_BUCKETS = 25.0


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
        canary_requests: requests per cell and bucket on the canary, shape (..., cells, buckets): cells in time's order,
            one at least.
        canary_bad: bad events among those; same shape, as are the next two.
        stable_requests: requests on stable.
        stable_bad: bad events among those.
        history_requests: requests per bucket before the rollout, shape (..., buckets); zeros where there is no past.
        history_bad: bad events among those.

    Returns:
        What `log_e_regression` takes, with `dispersion[..., None]`; `covered` of 0 says that there was no history.
    """
    canary, canary_wrong, stable, stable_wrong = np.broadcast_arrays(
        *(np.asarray(x, dtype=np.float64) for x in (canary_requests, canary_bad, stable_requests, stable_bad))
    )
    shape = (*canary.shape[:-2], canary.shape[-1])
    past = np.broadcast_to(np.asarray(history_requests, dtype=np.float64), shape)
    past_wrong = np.broadcast_to(np.asarray(history_bad, dtype=np.float64), shape)
    seen: list[tuple[FloatArray, FloatArray]] = []  # by cell: bad events on the canary and on stable …
    due: list[tuple[FloatArray, FloatArray]] = []  # … and how many of them the past leads one to expect
    known_requests = np.zeros(shape)
    stable_seen, stable_due, canary_due, canary_exposed = (np.zeros(shape) for _ in range(4))
    noise = np.zeros(shape[:-1])
    for cell in range(canary.shape[-2]):
        known = past >= _LEAST_HISTORY
        pseudo = _pseudo_requests(past, past_wrong)
        rate = past_rate(past, past_wrong, pseudo_requests=pseudo)
        on_canary, on_stable = canary[..., cell, :] * known, stable[..., cell, :] * known
        wrong = stable_wrong[..., cell, :] * known
        seen.append(((canary_wrong[..., cell, :] * known).sum(axis=-1), wrong.sum(axis=-1)))
        due.append(((on_canary * rate).sum(axis=-1), (on_stable * rate).sum(axis=-1)))
        level = ((seen[-1][1] + 0.5) / (due[-1][1] + 0.5))[..., None]
        known_requests = known_requests + on_canary
        stable_seen, stable_due = stable_seen + wrong, stable_due + on_stable * rate * level
        canary_due, canary_exposed = canary_due + on_canary * rate * level, canary_exposed + on_canary * level
        unsure = (canary_due * canary_exposed / (past + pseudo)).sum(axis=-1)
        noise = _quotient(unsure, canary_due.sum(axis=-1), otherwise=0.0)
        past, past_wrong = past + stable[..., cell, :] * level, past_wrong + stable_wrong[..., cell, :]
    bad_canary, bad_stable = (np.stack(counts, axis=-1) for counts in zip(*seen, strict=True))
    due_canary, due_stable = (np.stack(counts, axis=-1) for counts in zip(*due, strict=True))
    return HistoryCells(
        bad_canary=bad_canary,
        bad_total=bad_canary + bad_stable,
        expected_share=_quotient(due_canary, due_canary + due_stable, otherwise=0.0),
        dispersion=estimate_dispersion(stable_seen, stable_due, least=1.0 + noise),
        covered=_quotient(known_requests.sum(axis=-1), canary.sum(axis=(-2, -1)), otherwise=0.0),
    )


def past_rate(
    history_requests: ArrayLike, history_bad: ArrayLike, *, pseudo_requests: ArrayLike | None = None
) -> FloatArray:
    """Each bucket's bad-event rate before the rollout, shrunk towards the domain's; always above 0.

    A bucket's own rate weighs n / (n + κ) after n requests. κ, the `pseudo_requests`, follows from how much the buckets
    differ beyond chance unless given: where they do not differ, all get the domain's rate. Half a bad event in one more
    request keeps that rate above 0. Shape (..., buckets) in and out.
    """
    requests = np.asarray(history_requests, dtype=np.float64)
    bad = np.asarray(history_bad, dtype=np.float64)
    kappa = _pseudo_requests(requests, bad) if pseudo_requests is None else np.asarray(pseudo_requests)
    domain = _domain_rate(requests, bad)
    rate: FloatArray = domain + requests / (requests + kappa) * (_quotient(bad, requests, otherwise=0.0) - domain)
    return rate


def estimate_dispersion(bad: ArrayLike, expected: ArrayLike, *, least: ArrayLike = 1.0) -> FloatArray:
    """How much more bucket counts vary than independent events would: variance over mean, at least `least`.

    Give it the *stable* arm, which the release under test does not touch. Buckets weigh by what they are expected to
    hold, as they do in the arm's total; a change common to all buckets (the domain's bad day) is taken out first. With
    few effective buckets the ratio is noisy, so it is averaged with twenty-five buckets' worth of `least`.

    Args:
        bad: bad events per bucket so far, shape (..., buckets).
        expected: expected bad events per bucket up to a common factor, same shape: requests times `past_rate`.
        least: what it is known to be at least, shape (...).

    Returns:
        Shape (...); `least` where there is nothing to estimate from.
    """
    observed, weight = np.broadcast_arrays(np.asarray(bad, dtype=np.float64), np.asarray(expected, dtype=np.float64))
    floor = np.asarray(least, dtype=np.float64)
    part = _quotient(weight, weight.sum(axis=-1, keepdims=True), otherwise=0.0)
    concentration = (part**2).sum(axis=-1)
    seen = observed.sum(axis=-1)
    residual = ((observed - seen[..., None] * part) ** 2).sum(axis=-1)
    ratio = _quotient(residual, seen * (1.0 - concentration), otherwise=1.0)
    buckets = _quotient(np.ones_like(concentration), concentration, otherwise=0.0)
    return np.maximum((buckets * ratio + _PRIOR_BUCKETS * floor) / (buckets + _PRIOR_BUCKETS), floor)


def _domain_rate(requests: FloatArray, bad: FloatArray) -> FloatArray:
    rate: FloatArray = (bad.sum(axis=-1, keepdims=True) + 0.5) / (requests.sum(axis=-1, keepdims=True) + 1.0)
    return rate


def _pseudo_requests(requests: FloatArray, bad: FloatArray) -> FloatArray:
    """How many requests at the domain's rate a bucket's own history is worth mixing with, shape (..., 1).

    Method of moments for beta-binomial counts (Kleinman 1973): infinite where buckets do not differ.
    """
    n = requests.sum(axis=-1, keepdims=True)
    domain = _domain_rate(requests, bad)
    within = domain * (1.0 - domain)
    differences = (requests * (_quotient(bad, requests, otherwise=0.0) - domain) ** 2).sum(axis=-1, keepdims=True)
    by_chance = ((requests > 0.0).sum(axis=-1, keepdims=True) - 1.0) * within
    effective = n - _quotient((requests**2).sum(axis=-1, keepdims=True), n, otherwise=0.0)
    spread = _quotient(differences - by_chance, effective, otherwise=0.0)
    return np.maximum(_quotient(within, spread, otherwise=np.inf), _LEAST_PSEUDO_REQUESTS)


def _quotient(numerator: FloatArray, denominator: FloatArray, *, otherwise: float) -> FloatArray:
    """Divide; `otherwise` where the denominator is not above 0."""
    shape = np.broadcast_shapes(numerator.shape, denominator.shape)
    ratio: FloatArray = np.divide(numerator, denominator, out=np.full(shape, otherwise), where=denominator > 0.0)
    return ratio
