"""Is the canary's bad-event rate higher than stable's? An answer that stays valid however often one looks.

Bad events (errors, refusals, wrong labels …) are counted in *cells*: stretches of a rollout with a constant split, one
after the other. Let a cell hold M bad events, C of them on the canary, and let ρ be the share of them that the canary
would have if it were as good as stable. At a rate ratio r (canary to stable) that share is ρr / (ρr + 1 - ρ). The
evidence against a ratio r₀ is the likelihood ratio of k·r₀ to r₀, averaged over a prior π of what bad releases do::

    E = Σ_k π(k) · Π_cells k^C · ((ρ r₀ + 1 - ρ) / (ρ k r₀ + 1 - ρ))^M

**Why one may look at any time.** Let requests fail independently, with probability p on stable and r·p on the canary,
r ≤ r₀; p may differ from cell to cell. Write b = (ρ r₀ + 1 - ρ) / (ρ k r₀ + 1 - ρ). As 1 + x ≤ exp x, a cell of n_c
and n_s requests multiplies a term of E, in expectation, by ::

    (1 + r p (k b - 1))^n_c · (1 + p (b - 1))^n_s  ≤  exp(p (n_c r (k b - 1) + n_s (b - 1)))  ≤  1

The exponent is zero at r = r₀ when ρ = n_c / (n_c + n_s), and below zero for a smaller r because k b > 1. So E is a
test supermartingale at every p, rare events or not, and E ever reaches 1/α with probability α at most (Ville 1939).
Where units differ, with rates μ_b known from their own history, it holds for ρ = Σ_canary n_b μ_b / Σ n_b μ_b: see
`own_history`. For k < 1 all signs turn, and E is evidence that the canary is *better* than r₀.

**Totals so far.** The open cell enters with its totals so far, and E is taken anew from all cells at each look. By
concavity of the logarithm that is no more than the product over the cell's minutes, if ρ weighs the minutes as the bad
events do; the simulation in `tests/stats/test_rate_ratio.py` checks that the promise holds with realised shares.

References:
    Ville (1939), Étude critique de la notion de collectif.
    Robbins (1970), Statistical methods related to the law of the iterated logarithm, Ann. Math. Statist. 41.
    Lindon & Malek (2022), Anytime-valid inference for multinomial count data, NeurIPS 35.
    Howard, Ramdas, McAuliffe & Sekhon (2021), Time-uniform, nonparametric, nonasymptotic confidence sequences,
    Ann. Statist. 49.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vedette.evidence.summary import FloatArray
from vedette.kernel.errors import InvalidInput


def _prior() -> tuple[FloatArray, FloatArray]:
    """Log ratios on a grid from 1.02 to 40, and the log weight of each.

    What bad releases do: a quarter are barely worse, most are about twice as bad, some about tenfold. On simulated
    ramps it stops a doubling and a tenfold a little sooner than a half-normal, at equal false alarms.
    """
    log_ratio = np.linspace(np.log(1.02), np.log(40.0), 64)
    weight = np.zeros_like(log_ratio)
    for mass, centre, scale in ((0.27, 1.0, 0.1), (0.57, 2.0, 0.25), (0.16, 10.0, 0.5)):
        bell = np.exp(-0.5 * ((log_ratio - np.log(centre)) / scale) ** 2)
        weight += mass * bell / bell.sum()
    return log_ratio, np.log(weight)


_LOG_RATIO, _LOG_WEIGHT = _prior()
_SMALLEST_RATIO, _LARGEST_RATIO = 1e-4, 1e4
_BISECTIONS = 45


@dataclass(frozen=True, slots=True)
class RatioInterval:
    """The rate ratio canary to stable: its estimate and a confidence sequence's bounds, arrays of shape (...)."""

    lower: FloatArray
    estimate: FloatArray
    upper: FloatArray


def log_e_regression(
    bad_canary: ArrayLike,
    bad_total: ArrayLike,
    expected_share: ArrayLike,
    *,
    tolerance: float = 0.0,
    dispersion: ArrayLike = 1.0,
) -> FloatArray:
    """Evidence, valid at any look, that the canary's bad-event rate exceeds (1 + tolerance) times stable's.

    Args:
        bad_canary: bad events on the canary, shape (..., cells).
        bad_total: bad events on both arms, same shape.
        expected_share: the canary's share of bad events if it were as good as stable, same shape: its realised share of
            the requests when units are alike, else that of `own_history.against_history`.
        tolerance: the relative degradation the rollout accepts, ≥ 0 for a guardrail.
        dispersion: variance of the counts over their mean, ≥ 1; it divides the log likelihood ratios. Broadcasts.

    Returns:
        log E after each cell, shape (..., cells). Stop when it reaches log(1/α).

    Raises:
        InvalidInput: more bad events on the canary than in total, or a share outside [0, 1].
    """
    counts = _Cells.of(bad_canary, bad_total, expected_share, dispersion)
    return counts.log_e(_null_ratio(tolerance), _LOG_RATIO)


def log_e_non_inferiority(
    bad_canary: ArrayLike,
    bad_total: ArrayLike,
    expected_share: ArrayLike,
    *,
    tolerance: float,
    dispersion: ArrayLike = 1.0,
) -> FloatArray:
    """Evidence, valid at any look, that the canary's bad-event rate is below (1 + tolerance) times stable's.

    The same process as `log_e_regression` looking the other way; arguments, shapes and errors are the same.
    """
    counts = _Cells.of(bad_canary, bad_total, expected_share, dispersion)
    return counts.log_e(_null_ratio(tolerance), -_LOG_RATIO)


def p_value(log_e: ArrayLike) -> FloatArray:
    """Always-valid p-value after each look: min(1, 1 / the largest E so far), over the last axis."""
    largest = np.maximum.accumulate(np.asarray(log_e, dtype=np.float64), axis=-1)
    return np.exp(-np.maximum(largest, 0.0))


def ratio_interval(
    bad_canary: ArrayLike,
    bad_total: ArrayLike,
    expected_share: ArrayLike,
    *,
    alpha: float = 0.05,
    dispersion: ArrayLike = 1.0,
) -> RatioInterval:
    """The rate ratio that all cells together support: P(it ever leaves the bounds, at any look) ≤ alpha.

    Each bound inverts the e-process of its direction at alpha/2, so the lower bound passes 1 + tolerance exactly when
    `log_e_regression` reaches log(2 / alpha). Arguments are those of `log_e_regression`, `dispersion` with shape (...).

    Returns:
        Bounds and maximum-likelihood estimate of shape (...): 0, not a number and infinity without any bad event.
    """
    if not 0.0 < alpha < 1.0:
        raise InvalidInput(f"alpha must be between 0 and 1, got {alpha}")
    cells = _Cells.of(bad_canary, bad_total, expected_share, np.asarray(dispersion, dtype=np.float64)[..., None])
    threshold = np.log(2.0 / alpha)
    any_bad = cells.total.sum(axis=-1) > 0.0
    estimate = _largest(lambda ratio: cells.expected_on_canary(ratio) <= cells.canary.sum(axis=-1), cells.runs)
    return RatioInterval(
        lower=_largest(lambda ratio: cells.log_e(ratio, _LOG_RATIO)[..., -1] >= threshold, cells.runs),
        estimate=np.where(any_bad, estimate, np.nan),
        upper=_largest(lambda ratio: cells.log_e(ratio, -_LOG_RATIO)[..., -1] < threshold, cells.runs),
    )


@dataclass(frozen=True, slots=True)
class _Cells:
    """Checked counts of shape (..., cells) and the processes over them."""

    canary: FloatArray
    total: FloatArray
    share: FloatArray
    dispersion: FloatArray

    @classmethod
    def of(
        cls, bad_canary: ArrayLike, bad_total: ArrayLike, expected_share: ArrayLike, dispersion: ArrayLike
    ) -> "_Cells":
        canary, total, share, phi = np.broadcast_arrays(
            *(np.asarray(values, dtype=np.float64) for values in (bad_canary, bad_total, expected_share, dispersion))
        )
        if not (np.all(canary >= 0.0) and np.all(canary <= total) and np.all(np.isfinite(total))):
            raise InvalidInput("bad events on the canary must lie between 0 and the total of both arms")
        if not (np.all(share >= 0.0) and np.all(share <= 1.0)):
            raise InvalidInput("the expected share must lie between 0 and 1")
        if not np.all(phi >= 1.0):
            raise InvalidInput("a dispersion is at least 1")
        return cls(canary, total, share, phi)

    @property
    def runs(self) -> tuple[int, ...]:
        return self.canary.shape[:-1]

    def log_e(self, null_ratio: ArrayLike, log_factor: FloatArray) -> FloatArray:
        """Log E against `null_ratio` (shape (...) or scalar) for a prior on exp(log_factor) times it."""
        null = np.asarray(null_ratio, dtype=np.float64)[..., None, None]
        share = self.share[..., None]
        log_odds = np.log1p(share * (null * np.exp(log_factor) - 1.0)) - np.log1p(share * (null - 1.0))
        gained = self.canary[..., None] * log_factor - self.total[..., None] * log_odds
        evidence = gained.cumsum(axis=-2) / self.dispersion[..., None]
        log_e: FloatArray = np.logaddexp.reduce(_LOG_WEIGHT + evidence, axis=-1)
        return log_e

    def expected_on_canary(self, ratio: FloatArray) -> FloatArray:
        """Bad events the canary would hold of the total at `ratio` (shape (...))."""
        weighted = self.share * ratio[..., None]
        held: FloatArray = (self.total * weighted / (weighted + 1.0 - self.share)).sum(axis=-1)
        return held


def _null_ratio(tolerance: float) -> float:
    if not tolerance > -1.0:
        raise InvalidInput(f"a tolerance must be above -1, got {tolerance}")
    return 1.0 + tolerance


def _largest(holds: Callable[[FloatArray], NDArray[np.bool_]], runs: tuple[int, ...]) -> FloatArray:
    """The largest ratio for which `holds`, which is true below some ratio and false above it, by bisection."""
    low = np.full(runs, np.log(_SMALLEST_RATIO))
    high = np.full(runs, np.log(_LARGEST_RATIO))
    below = ~holds(np.exp(low))
    above = holds(np.exp(high))
    for _ in range(_BISECTIONS):
        middle = 0.5 * (low + high)
        held = holds(np.exp(middle))
        low, high = np.where(held, middle, low), np.where(held, high, middle)
    return np.where(below, 0.0, np.where(above, np.inf, np.exp(low)))
