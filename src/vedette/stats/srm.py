"""Does each version get the traffic it was promised? Sample-ratio mismatch, at any look and at a planned end.

A split that is not what was asked for means broken assignment, lost events or redirects: then no comparison of the arms
means anything. Count what is assigned: units if assignment is sticky, requests if it is not.

The test of one split sets the multinomial likelihood under the intended shares against its average over a Dirichlet
prior centred on them. Their ratio, the Bayes factor, is an e-value: it may be read after every request, and reaches
`1 / alpha` with probability at most alpha. Where the split changes from step to step, the factors of the steps
multiply. All of it stays in logarithms, so no count is too large.

Source: Lindon & Malek, "Anytime-valid inference for multinomial count data", NeurIPS 35 (2022).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq
from scipy.special import chdtrc, gammaln, logsumexp, xlog1py, xlogy

from vedette.evidence.summary import FloatArray
from vedette.kernel.errors import InvalidInput
from vedette.stats.clusters import MINIMUM_CLUSTERS
from vedette.stats.sequential import Side, log_e_value

CONCENTRATION = 10_000.0
"""How many prior counts the alternative has: the larger, the smaller the mismatches it looks for."""


@dataclass(frozen=True, slots=True)
class Split:
    """What was assigned while the intended split did not change.

    Attributes:
        counts: Number of units (or requests) by arm.
        weights: Intended split by arm, in any unit; an arm of weight 0 is meant to get nothing.
    """

    counts: Sequence[float]
    weights: Sequence[float]


@dataclass(frozen=True, slots=True, kw_only=True)
class RatioCheck:
    """Evidence that the realised split is not the intended one.

    Attributes:
        log_bayes_factor: Logarithm of the Bayes factor (an e-value) of a mismatch; None for the fixed-horizon test.
        p_value: p-value of the intended split; 1 when nothing was counted.
        degrees: Degrees of freedom: one less than the number of arms that are meant to get something, over all splits.
        stray: Counts of arms that were meant to get nothing; any makes the mismatch certain.
    """

    log_bayes_factor: float | None
    p_value: float
    degrees: int
    stray: float


def sequential_check(splits: Sequence[Split], *, concentration: float = CONCENTRATION) -> RatioCheck:
    """Test the intended split at any look, with one `Split` of totals so far for each stretch of constant weights.

    Raises:
        InvalidInput: Counts and weights do not match, are negative or not finite, or all weights are 0.
    """
    parts = [_promised(split) for split in splits]
    stray = sum(left for _, _, left in parts)
    factors = (_log_bayes_factor(counts, share, concentration) for counts, share, _ in parts)
    log_factor = math.inf if stray else sum(factors)
    return RatioCheck(
        log_bayes_factor=log_factor,
        p_value=math.exp(min(-log_factor, 0.0)),
        degrees=sum(share.size - 1 for _, share, _ in parts),
        stray=stray,
    )


def fixed_check(split: Split) -> RatioCheck:
    """Test the intended split once, at a planned end (Pearson's chi-square); not valid when looked at repeatedly.

    Raises:
        InvalidInput: Counts and weights do not match, are negative or not finite, or all weights are 0.
    """
    counts, share, stray = _promised(split)
    expected, degrees = share * counts.sum(), share.size - 1
    p_value = 0.0 if stray else 1.0
    if not stray and degrees and counts.any():
        p_value = float(chdtrc(degrees, ((counts - expected) ** 2 / expected).sum()))
    return RatioCheck(log_bayes_factor=None, p_value=p_value, degrees=degrees, stray=stray)


def clustered_check(counts: ArrayLike, weights: ArrayLike, *, tuning: float = CONCENTRATION) -> RatioCheck:
    """Test the intended split at any look where requests come in clusters that vary in size (users, tenants).

    Requests of one unit all go to one arm, so their counts vary far more than a multinomial says. Each cluster's
    surplus over its promised share has mean zero whatever the cluster's size; their sum is set against their own
    spread, by arm, and the arms' e-values are averaged, which is an e-value again. Below eight effective clusters
    there is no evidence either way.

    Args:
        counts: Requests by cluster and arm, shape (clusters, arms).
        weights: Intended split by arm, or by cluster and arm where it changed.
        tuning: Requests at which it is most sensitive.

    Raises:
        InvalidInput: Shapes do not fit, a number is negative or not finite, or all weights are 0.
    """
    table, promised = np.asarray(counts, np.float64), np.asarray(weights, np.float64)
    if table.ndim != 2 or promised.shape not in {table.shape, table.shape[1:]}:
        raise InvalidInput("counts are by cluster and arm, and weights by arm (or by cluster and arm)")
    if not all(np.isfinite(part).all() and (part >= 0).all() for part in (table, promised)) or not promised.any():
        raise InvalidInput("counts and weights are finite, none negative, and not all weights are 0")
    promised = np.broadcast_to(promised, table.shape)
    stray = float(table[promised == 0].sum())
    sizes, whole = table.sum(axis=1), promised.sum(axis=1, keepdims=True)
    arms = int((promised > 0).any(axis=0).sum())
    nothing = RatioCheck(log_bayes_factor=0.0, p_value=1.0, degrees=arms - 1, stray=stray)
    if stray:
        return RatioCheck(log_bayes_factor=math.inf, p_value=0.0, degrees=arms - 1, stray=stray)
    if arms < 2 or not sizes.any() or sizes.sum() ** 2 / (sizes**2).sum() < MINIMUM_CLUSTERS:
        return nothing
    surplus = table - sizes[:, None] * promised / np.where(whole > 0, whole, 1.0)
    spread = np.sqrt((surplus**2).sum(axis=0))
    used = spread > 0
    if not used.any():
        return nothing
    log_e = log_e_value(surplus.sum(axis=0)[used] / spread[used], sizes.sum(), 0.01, Side.BOTH, tuning)
    log_factor = float(logsumexp(log_e) - math.log(log_e.size))
    return RatioCheck(
        log_bayes_factor=log_factor, p_value=math.exp(min(-log_factor, 0.0)), degrees=arms - 1, stray=stray
    )


def log_marginal_likelihood(counts: ArrayLike, prior: ArrayLike) -> float:
    """Log probability of counts whose shares are drawn from a Dirichlet distribution: the alternative."""
    counts, prior = np.asarray(counts, np.float64), np.asarray(prior, np.float64)
    return _log_arrangements(counts) + _log_dirichlet(prior + counts) - _log_dirichlet(prior)


def log_likelihood(counts: ArrayLike, share: ArrayLike) -> float:
    """Log probability of counts under given shares: the intended split."""
    counts = np.asarray(counts, np.float64)
    return _log_arrangements(counts) + float(xlogy(counts, share).sum())


def share_sequence(split: Split, *, alpha: float, concentration: float = CONCENTRATION) -> list[tuple[float, float]]:
    """Confidence sequences of the realised shares of the arms that are meant to get something.

    They hold together, at all looks: an arm's interval has the shares that the sequential test does not reject,
    whatever the shares of the other arms.
    """
    counts, share, _ = _promised(split)
    prior, total, own = concentration * share, counts.sum(), xlogy(counts, counts)
    level = _log_dirichlet(prior + counts) - _log_dirichlet(prior) + math.log(alpha)
    others = total - counts
    # The others' shares are at their likeliest when they are as the others' counts.
    floors = level - (own.sum() - own - xlogy(others, others))
    return [_likely(*arm) for arm in zip(counts.tolist(), others.tolist(), floors.tolist(), strict=True)]


def _promised(split: Split) -> tuple[FloatArray, FloatArray, float]:
    """Counts and shares of the arms that are meant to get something, and what the other arms got."""
    counts, weights = (np.asarray(values, np.float64) for values in (split.counts, split.weights))
    if counts.shape != weights.shape or counts.ndim != 1:
        raise InvalidInput("a split has one count and one weight for each arm")
    both = np.concatenate([counts, weights])
    if not (np.isfinite(both).all() and (both >= 0).all() and weights.any()):
        raise InvalidInput("counts and weights of a split are finite, none negative, and not all weights are 0")
    meant = weights > 0
    return counts[meant], weights[meant] / weights.sum(), float(counts[~meant].sum())


def _log_bayes_factor(counts: FloatArray, share: FloatArray, concentration: float) -> float:
    prior = concentration * share
    return _log_dirichlet(prior + counts) - _log_dirichlet(prior) - float(xlogy(counts, share).sum())


def _log_dirichlet(parameters: FloatArray) -> float:
    """Log normalising constant of a Dirichlet density."""
    return float(gammaln(parameters).sum() - gammaln(parameters.sum()))


def _log_arrangements(counts: FloatArray) -> float:
    """Log number of orders in which the counts can come about."""
    return float(gammaln(counts.sum() + 1.0) - gammaln(counts + 1.0).sum())


def _likely(count: float, others: float, floor: float) -> tuple[float, float]:
    """Shares p at which `count * log(p) + others * log(1 - p)` is no less than a floor."""

    def excess(p: float) -> float:
        return float(xlogy(count, p) + xlog1py(others, -p)) - floor

    best = count / (count + others) if count + others else 0.5
    low = float(brentq(excess, 0.0, best)) if excess(0.0) < 0 else 0.0
    high = float(brentq(excess, best, 1.0)) if excess(1.0) < 0 else 1.0
    return low, high
