"""Which of several arms is the best, looked at again and again: vedette's winner, and what peers would declare.

An arm's state at a look is its size, mean and sample variance, in arrays of shape (runs, looks, arms). A rule says of
each run which arm it declares the only best one (-1 for none) and at which look; "any" rules say whether any arm is
called different from the first.

Peers: the share of posterior draws in which an arm is best, stopped at 95 % (the habit of bandit dashboards);
TensorZero's stopping rule (check_stopping.rs); GrowthBook's sequential test of each arm against the control; Dunnett's
test (JASA 50, 1955) with the critical values vedette has; and the leader against all others, one-sided, by the
asymptotic confidence sequence (Waudby-Smith et al. 2024, equation 134) and by O'Brien & Fleming's boundary.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from bench.validity_rules.growthbook import halfwidth_in_errors, one_sided_in_errors
from bench.validity_rules.pair import Array
from bench.validity_rules.planned import levels
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from vedette.stats.contrasts import Rule as ProductRule
from vedette.stats.contrasts import all_pairs, contrasts
from vedette.stats.estimates import Estimates
from vedette.stats.group_sequential import Design
from vedette.stats.largest import sharing_one
from vedette.stats.sequential import Side
from vedette.stats.spending import Family

Declared = tuple[NDArray[np.int64], Array]
"""By run: the arm declared, -1 for none, and the look (counted from 0) at which it was, infinite for none."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Several:
    """Arms of equal size at each look.

    Attributes:
        n: Units of each arm, shape (looks,).
        mean: Means so far, shape (runs, looks, arms).
        variance: Sample variances of a unit so far.
    """

    n: Array
    mean: Array
    variance: Array

    def at(self, sizes: Array) -> "Several":
        """Keep the looks at these sizes."""
        kept = np.searchsorted(self.n, sizes)
        return Several(n=self.n[kept], mean=self.mean[:, kept], variance=self.variance[:, kept])

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the arms."""
        return tuple(f"arm {place}" for place in range(self.mean.shape[2]))

    def estimates(self, look: int) -> Estimates:
        """Give the estimates of one look of all runs, the runs along the axis of metrics."""
        mean, n = self.mean[:, look], np.full(self.mean[:, look].shape, self.n[look])
        variance = self.variance[:, look] / self.n[look]
        return Estimates(metrics=(), arms=self.names, mean=mean, variance=variance, n=n, plain=mean, clock=n)


def simulated(draw: np.random.Generator, means: Array, runs: int, *, every: int, first: int, last: int) -> Several:
    """Draw normal arms of variance 1 at looks after `first` units of each, then after every so many more."""
    sizes = np.arange(first, last + 1, every, dtype=np.float64)
    blocks = np.diff(sizes, prepend=0.0)
    shape = (runs, sizes.size, means.size)
    block_means = means + draw.standard_normal(shape) / np.sqrt(blocks)[:, None]
    within = draw.chisquare(np.broadcast_to(blocks[:, None] - 1.0, shape))
    count = sizes[:, None]
    mean = (block_means * blocks[:, None]).cumsum(axis=1) / count
    squares = (within + block_means**2 * blocks[:, None]).cumsum(axis=1) - count * mean**2
    return Several(n=sizes, mean=mean, variance=squares / (count - 1.0))


def ours(seen: Several, rules: Callable[[int], ProductRule], *, sign: float = 1.0) -> Declared:
    """Declare the arm that beats all others by vedette's contrasts; what a look settles stays settled (see `verdict`).

    `rules` gives the rule of each look; with `sign` -1 the lowest arm is the best.
    """
    pairs = all_pairs(seen.names)
    places = {name: place for place, name in enumerate(seen.names)}
    state = np.zeros((seen.mean.shape[0], len(pairs)), np.int64)
    declared = np.full(seen.mean.shape[0], -1)
    when = np.full(seen.mean.shape[0], np.inf)
    for look in range(seen.n.size):
        made = contrasts(seen.estimates(look), pairs, rules(look))
        with np.errstate(invalid="ignore"):
            beyond = np.abs(made.z) >= made.critical
        now = np.where(beyond, np.sign(sign * made.z), 0).astype(np.int64)
        # A pair is kept, or newly settled, or taken out where the look says the opposite.
        state = np.where(now == 0, state, np.where(state == 0, now, np.where(state == now, state, 0)))
        wins = np.zeros((state.shape[0], len(places)), np.int64)
        for column, (treatment, reference) in enumerate(pairs):
            wins[:, places[treatment]] += state[:, column] == 1
            wins[:, places[reference]] += state[:, column] == -1
        won = (wins == len(places) - 1).any(axis=1) & (declared < 0)
        declared[won], when[won] = wins[won].argmax(axis=1), look
    return declared, when


def probability_best(seen: Several, *, certainty: float = 0.95) -> Declared:
    """Declare the arm whose posterior probability to be the best is above a certainty, under a flat prior."""
    places, weights = np.polynomial.hermite_e.hermegauss(24)
    error = np.sqrt(seen.variance / seen.n[:, None])
    best = np.empty(seen.mean.shape)
    for arm in range(seen.mean.shape[2]):
        value = seen.mean[:, :, arm, None] + error[:, :, arm, None] * places
        below = ndtr((value[:, :, None, :] - seen.mean[:, :, :, None]) / error[:, :, :, None])
        below[:, :, arm] = 1.0
        best[:, :, arm] = below.prod(axis=2) @ weights / weights.sum()
    return _first(best > certainty)


def likelihood_ratio(seen: Several, *, delta: float = 0.05) -> Declared:
    """Declare TensorZero's winner."""
    threshold = np.log((1.0 + np.log(seen.n * seen.mean.shape[2])) / delta)
    return _leader(seen, np.sqrt(2.0 * threshold))


def leader_by_sequence(seen: Several, *, alpha: float) -> Declared:
    """Declare the leader where one-sided asymptotic confidence sequences put it above all others."""
    return _leader(seen, one_sided_in_errors(2.0 * seen.n, alpha))


def leader_by_obrien_fleming(seen: Several, *, alpha: float) -> Declared:
    """Declare the leader where O'Brien & Fleming's one-sided boundary puts it above all others."""
    design = Design(family=Family.OBRIEN_FLEMING, alpha=alpha, side=Side.GREATER)
    return _leader(seen, np.asarray(levels(design, seen.n.size)))


def any_sequential(seen: Several, *, corrected: bool) -> Array:
    """Say whether GrowthBook's sequential test ever calls an arm different from the first, Bonferroni or not."""
    others = seen.mean.shape[2] - 1
    level = halfwidth_in_errors(2.0 * seen.n, 0.05 / others if corrected else 0.05)
    return _ever(_against_first(seen) > level[:, None])


def any_fixed(seen: Several, level: float) -> Array:
    """Say whether any arm is called different from the first at any of the looks by a critical value."""
    return _ever(_against_first(seen) > level)


def fixed_levels(others: int, alpha: float = 0.05) -> dict[str, float]:
    """Critical values of several comparisons with one control, in large samples."""
    return {
        "unadjusted": -float(ndtri(alpha / 2.0)),
        "Bonferroni": -float(ndtri(alpha / (2.0 * others))),
        "Dunnett": float(sharing_one(np.full(others, np.sqrt(0.5))).critical(alpha)),
    }


def _ever(claims: NDArray[np.bool_]) -> Array:
    return np.asarray(claims.any(axis=(1, 2)), np.float64)


def _against_first(seen: Several) -> Array:
    variance = (seen.variance[:, :, 1:] + seen.variance[:, :, :1]) / seen.n[:, None]
    return np.asarray(np.abs(seen.mean[:, :, 1:] - seen.mean[:, :, :1]) / np.sqrt(variance))


def _leader(seen: Several, level: Array) -> Declared:
    """Declare the leader once it is ahead of each other arm by so many standard errors."""
    order = np.argmax(seen.mean, axis=2)[:, :, None]
    top = np.take_along_axis(seen.mean, order, axis=2)
    spread = (np.take_along_axis(seen.variance, order, axis=2) + seen.variance) / seen.n[:, None]
    ahead = (top - seen.mean) / np.sqrt(spread)
    np.put_along_axis(ahead, order, np.inf, axis=2)
    claims = np.zeros(seen.mean.shape, bool)
    np.put_along_axis(claims, order, (ahead.min(axis=2) > level)[:, :, None], axis=2)
    return _first(claims)


def _first(claims: NDArray[np.bool_]) -> Declared:
    """Give the first arm claimed in each run, and when."""
    looks: NDArray[np.bool_] = np.asarray(claims.any(axis=2))
    when = np.where(looks.any(axis=1), looks.argmax(axis=1), np.inf)
    place = looks.argmax(axis=1)
    arm = claims[np.arange(claims.shape[0]), place].argmax(axis=1)
    return np.where(np.isfinite(when), arm, -1), when
