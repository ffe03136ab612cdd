"""Traffic that follows the evidence while an experiment runs, and estimates that stay right although it does.

**Weights.** Top-two Thompson sampling: with probability beta the arm believed best is drawn from the beliefs, else a
challenger is drawn from the beliefs about the other arms. Both probabilities are integrals, so weights are the same for
the same evidence: nothing is drawn. Two arms are divided evenly at beta = 1/2, which is how two arms are told apart
soonest; a larger beta prefers the better one. Every arm keeps a floor, without which its estimate would stop improving
while the world moves on, and a re-allocation changes no arm by more than a cap.

**Slices.** Units sit on a line of a million places. A re-allocation moves as few of them as can be: an arm that shrinks
gives places up, an arm that grows takes exactly those.

**Estimates.** When weights and the world change together, an arm's pooled mean compares Mondays with Sundays (Simpson's
paradox). Within an epoch, a period of constant weights, assignment is random and arms are comparable. So each epoch is
compared within itself, and epochs are averaged. The average of a pair is a martingale, whatever moved the weights; its
clock is the variance it has gathered, in units of an experiment with equal arms. With that clock
`vedette.stats.sequential.compare` is valid at every look.

References:
    Russo, "Simple Bayesian algorithms for best-arm identification", Operations Research 68 (2020): top-two sampling.
        The challenger is drawn among the others, not redrawn until it differs: that would rest on far tails.
    Waudby-Smith, Arbour, Sinha, Kennedy & Ramdas, "Time-uniform central limit theory and asymptotic confidence
        sequences", Annals of Statistics 52 (2024): the martingale version.
    Mantel & Haenszel, JNCI 22 (1959): strata weighted by what they know of the difference.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from vedette.evidence.summary import EMPTY, FloatArray, Moments
from vedette.kernel.errors import InvalidInput
from vedette.routing.layers import PLACES, ArmSlice
from vedette.stats.best_arm import Better, normal_best
from vedette.stats.sequential import MeanEstimate

FEW = 30
"""Observations of an arm in an epoch below which its variance is taken from all epochs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reallocation:
    """New weights in millionths, which sum to what was to be divided, and what they follow from.

    Attributes:
        weights: Weight of each arm.
        p_best: Probability that each arm is best among those past their burn-in; None for the others.
        burning_in: Arms that have an equal share because too little, or no variance, is known of them.
    """

    weights: Mapping[str, int]
    p_best: Mapping[str, float | None]
    burning_in: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AdaptivePair:
    """Two arms compared within epochs, for `compare(treatment, control, n=pair.n, alpha=…)`.

    Attributes:
        treatment: Its mean over the epochs in which both arms were observed, and that mean's variance.
        control: The same of the control.
        n: The clock: size of the experiment with equal arms that has gathered as much.
        epochs_left_out: How many epochs did not observe both.
    """

    treatment: MeanEstimate
    control: MeanEstimate
    n: float
    epochs_left_out: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Stratified:
    """Averages over epochs, for one experiment or many (leading axes).

    Attributes:
        mean: Mean of each arm, shape (..., arms); 0 where no epoch counts.
        variance: Squared standard error of that mean; NaN where it is unknown.
        size: Observations, spread over epochs by the weights, that would say as much of each arm.
        clock: Variance that differences have gathered, in units of traffic divided equally, shape (...).
    """

    mean: FloatArray
    variance: FloatArray
    size: FloatArray
    clock: FloatArray

    def estimate(self, arm: int) -> MeanEstimate:
        """Give the estimate of one arm of one experiment."""
        return MeanEstimate(float(self.mean[arm]), float(self.variance[arm]), float(self.size[arm]))


def top_two(mean: ArrayLike, sd: ArrayLike, *, better: Better = "higher", beta: float = 0.5) -> FloatArray:
    """Probability that top-two Thompson sampling draws each arm, from independent Normal beliefs.

    Args:
        mean: Means, shape (..., arms), two arms or more; leading axes are separate experiments.
        sd: Standard deviations, the same shape.
        better: Whether a higher or a lower mean is better.
        beta: Probability that the arm believed best is drawn, not its challenger.
    """
    centre, spread = np.broadcast_arrays(np.asarray(mean, np.float64), np.asarray(sd, np.float64))
    arms = centre.shape[-1] if centre.ndim else 0
    if arms < 2:
        raise InvalidInput("top-two sampling needs two arms or more")
    p_best, _ = normal_best(centre, spread, better)
    weights = beta * p_best
    for leader in range(arms):
        others = np.delete(np.arange(arms), leader)
        challenge = normal_best(centre[..., others], spread[..., others], better)[0] if arms > 2 else 1.0
        weights[..., others] += (1.0 - beta) * p_best[..., [leader]] * challenge
    return np.asarray(weights / weights.sum(axis=-1, keepdims=True))


def allocate(
    arms: Mapping[str, MeanEstimate],
    current: Mapping[str, int] | None = None,
    *,
    better: Better = "higher",
    minimum: int = 50_000,
    burn_in: int = 200,
    max_change: int = 100_000,
    beta: float = 0.5,
    places: int = PLACES,
) -> Reallocation:
    """Weights that a running experiment should have next, given what is known of its arms; all are millionths.

    An arm in its burn-in has an equal share; the others divide the rest. Where `current` names other arms, shares of
    arms that went are divided among those that stayed, and a new arm begins at the minimum.

    Args:
        arms: Mean of each arm and its variance, as `adaptive_estimates` gives them.
        current: Weights in force, from which the cap on changes counts; None where there are none yet.
        better: Whether a higher or a lower mean is better.
        minimum: What every arm keeps.
        burn_in: Observations below which an arm has an equal share.
        max_change: The most that an arm's weight changes.
        beta: Probability that the arm believed best is drawn, not its challenger.
        places: What the weights sum to: less than the whole where stopped arms left a hole.

    Raises:
        InvalidInput: Fewer than two arms, more than have room above the minimum, or values out of range.
    """
    names = tuple(arms)
    if not (minimum > 0 and max_change > 0 and burn_in >= 2 and 0.0 < beta <= 1.0 and places <= PLACES):
        raise InvalidInput("minimum and max_change are above 0, beta above 0 up to 1, the burn-in is 2 or more")
    if len(names) < 2 or len(names) * minimum > places:
        raise InvalidInput(
            f"{len(names)} arms cannot each keep {minimum} millionths",
            hint=f"from 2 to {places // minimum} arms can; lower the minimum for more",
        )
    ready = [i for i, arm in enumerate(arms.values()) if arm.n >= burn_in and 0.0 < arm.variance < math.inf]
    target = np.full(len(names), 1.0 / len(names))
    p_best: dict[str, float | None] = dict.fromkeys(names)
    if len(ready) >= 2:
        known = [arms[names[i]] for i in ready]
        mean, sd = np.array([arm.mean for arm in known]), np.sqrt([arm.variance for arm in known])
        target[ready] = target[ready].sum() * top_two(mean, sd, better=better, beta=beta)
        p_best.update(zip((names[i] for i in ready), normal_best(mean, sd, better)[0].tolist(), strict=True))
    goal = minimum + (places - len(names) * minimum) * target
    if current is not None:
        start = _base(names, current, minimum, places)
        furthest = float(np.abs(goal - start).max())
        goal = start + (goal - start) * min(1.0, max_change / max(furthest, 1.0))
    weights = dict(zip(names, _whole(goal, places), strict=True))
    burning = tuple(name for i, name in enumerate(names) if i not in ready)
    return Reallocation(weights=weights, p_best=p_best, burning_in=burning)


def rebalance(slices: Sequence[ArmSlice], weights: Mapping[str, int], *, hole: bool = False) -> tuple[ArmSlice, ...]:
    """Slices of these sizes that move as few places as possible, in order along the line.

    An arm that shrinks gives up the ends of its last slices; an arm that grows takes places so given up, then those of
    arms that vanished, then places that belonged to nobody. Nothing else moves.

    Args:
        slices: Who has which places now; an arm may have several slices.
        weights: New sizes in millionths; an arm that is missing vanishes.
        hole: Whether places may belong to nobody, as those of an arm that was stopped.

    Raises:
        InvalidInput: Slices overlap or lie outside the line, or sizes are negative or do not sum to the whole.
    """
    held = sorted(slices, key=lambda each: each.begin)
    _check_slices(held)
    total = sum(weights.values())
    if min(weights.values(), default=0) < 0 or total > PLACES or (total < PLACES and not hole):
        raise InvalidInput(
            f"sizes sum to {total} of {PLACES} millionths",
            hint="sizes are 0 or more and sum to the whole, or to less where a hole is allowed",
        )
    growth = dict(weights)
    for each in held:
        growth[each.arm] = growth.get(each.arm, 0) - (each.end - each.begin)
    kept: list[ArmSlice] = []
    given: list[tuple[int, int]] = []
    vanished: list[tuple[int, int]] = []
    for each in reversed(held):
        gives = min(max(-growth[each.arm], 0), each.end - each.begin)
        growth[each.arm] += gives
        if gives:
            (given if weights.get(each.arm) else vanished).append((each.end - gives, each.end))
        if gives < each.end - each.begin:
            kept.append(ArmSlice(arm=each.arm, begin=each.begin, end=each.end - gives))
    free = [*sorted(given), *sorted(vanished), *_gaps(held)]
    for arm in weights:
        needs = growth[arm]
        while needs > 0:
            begin, end = free.pop(0)
            taken = min(needs, end - begin)
            kept.append(ArmSlice(arm=arm, begin=begin, end=begin + taken))
            if taken < end - begin:
                free.insert(0, (begin + taken, end))
            needs -= taken
    return _joined(kept)


def adaptive_estimates(epochs: Sequence[Mapping[str, Moments[float]]]) -> dict[str, MeanEstimate]:
    """Mean of each arm of the last epoch, over the epochs that observed them all, each weighing as much as its traffic.

    For display and for `allocate`; `adaptive_pair` is what tests a difference. Rows must be independent: count a unit
    in the epoch in which it was first exposed. The `n` of an estimate is the number of observations, spread over epochs
    as the traffic was, that would say as much.

    Args:
        epochs: The moments of each arm, of each period of constant weights.

    Raises:
        InvalidInput: There are no epochs.
    """
    if not epochs:
        raise InvalidInput(
            "there are no epochs", hint="one mapping of arms to moments for each period of equal weights"
        )
    names = tuple(epochs[-1])
    table = _table(epochs, names)
    traffic = np.array([sum(arm.n for arm in epoch.values()) for epoch in epochs])
    known = stratified(table, np.where((table.n > 0).all(axis=0), traffic, 0.0))
    return {arm: known.estimate(i) for i, arm in enumerate(names)}


def adaptive_pair(epochs: Sequence[Mapping[str, Moments[float]]], treatment: str, control: str) -> AdaptivePair:
    """Compare two arms within each epoch, for always-valid inference on data whose weights followed the evidence.

    Epochs weigh as much as they know of the difference, so one that observed few of an arm does little harm, and other
    arms may come and go. Rows must be independent: count a unit in the epoch in which it was first exposed.

    Args:
        epochs: The moments of each arm, of each period of constant weights; an arm may be missing from some.
        treatment: Name of the new version.
        control: Name of the version it is compared with.

    Raises:
        InvalidInput: No epoch knows one of the arms.
    """
    for arm in (treatment, control):
        if not any(arm in epoch for epoch in epochs):
            raise InvalidInput(f"no epoch knows the arm {arm!r}", hint=f"{len(epochs)} epochs were given")
    table = _table(epochs, (treatment, control))
    weights = pair_weights(table.n)
    known = stratified(table, weights)
    return AdaptivePair(
        treatment=known.estimate(0),
        control=known.estimate(1),
        n=float(known.clock),
        epochs_left_out=int((weights == 0.0).sum()),
    )


def pair_weights(n: FloatArray) -> FloatArray:
    """What each epoch knows of the difference of two arms, as the size of an experiment with equal arms.

    `n` are the arms' observations, shape (..., 2, epochs); the answer has shape (..., epochs), 0 where one has none.
    """
    first, second = n[..., 0, :], n[..., 1, :]
    return np.asarray(4.0 * first * second / np.maximum(first + second, 1.0))


def stratified(arms: Moments[FloatArray], weights: FloatArray) -> Stratified:
    """Means of arms as averages over epochs of weights common to all arms.

    The variance of an arm in an epoch is its own there, or the arm's in all epochs where it has fewer than `FEW`.

    Args:
        arms: Moments of shape (..., arms, epochs).
        weights: Weights of shape (..., epochs) in units of traffic, 0 where an arm was not observed.
    """
    q, n = weights[..., None, :], arms.n
    total = np.where(weights.any(axis=-1), weights.sum(axis=-1), 1.0)[..., None]
    degrees = np.maximum(n - 1.0, 0.0)
    pooled = np.asarray(arms.m2.sum(axis=-1) / np.where(degrees.any(axis=-1), degrees.sum(axis=-1), np.nan))
    own = np.where(n >= FEW, arms.m2 / np.maximum(degrees, 1.0), pooled[..., None])
    inverse = np.where(q > 0.0, q * q / np.maximum(n, 1.0), 0.0)
    gathered, spent = np.sum(inverse * own, axis=-1), inverse.sum(axis=-1)
    units = n.shape[-2] * np.where(pooled.any(axis=-1), pooled.sum(axis=-1), np.nan)
    return Stratified(
        mean=np.sum(q * arms.mean, axis=-1) / total,
        variance=np.where(spent > 0.0, gathered / total**2, np.nan),
        size=total * total / np.where(spent > 0.0, spent, np.inf),
        clock=np.where(np.isnan(units), spent.sum(axis=-1) / n.shape[-2] ** 2, gathered.sum(axis=-1) / units),
    )


def _table(epochs: Sequence[Mapping[str, Moments[float]]], names: Sequence[str]) -> Moments[FloatArray]:
    """Moments of shape (arms, epochs), empty where an epoch lacks an arm."""
    cells = [[epoch.get(name, EMPTY) for epoch in epochs] for name in names]
    rows = np.array([[(cell.n, cell.mean, cell.m2) for cell in row] for row in cells], np.float64)
    return Moments(rows[..., 0], rows[..., 1], rows[..., 2])


def _base(names: Sequence[str], current: Mapping[str, int], minimum: int, places: int) -> FloatArray:
    """The weights in force as weights of these arms: none below the minimum, the whole in sum."""
    above = np.array([max(current.get(name, 0) - minimum, 0) for name in names], np.float64)
    share = above / above.sum() if above.any() else np.full(above.size, 1.0 / above.size)
    return np.asarray(minimum + (places - minimum * above.size) * share)


def _whole(goal: FloatArray, places: int) -> list[int]:
    """Whole millionths, each less than one from its goal and all in sum: the largest remainders are rounded up."""
    down = np.floor(goal + 1e-6)  # what is whole but for rounding errors is whole
    short = places - int(down.sum())
    largest = np.argsort(down - goal, kind="stable")[: max(short, 0)]
    down[largest] += 1
    return [int(weight) for weight in down]


def _check_slices(held: Sequence[ArmSlice]) -> None:
    end = 0
    for each in held:
        if not (end <= each.begin < each.end <= PLACES):
            raise InvalidInput(f"{each} is empty, overlaps another, or leaves the line of {PLACES} places")
        end = each.end


def _gaps(held: Sequence[ArmSlice]) -> list[tuple[int, int]]:
    begins, ends = [each.begin for each in held], [each.end for each in held]
    return [(end, begin) for end, begin in zip([0, *ends], [*begins, PLACES], strict=True) if end < begin]


def _joined(slices: Sequence[ArmSlice]) -> tuple[ArmSlice, ...]:
    joined: list[ArmSlice] = []
    for each in sorted(slices, key=lambda each: each.begin):
        if joined and joined[-1].arm == each.arm and joined[-1].end == each.begin:
            joined[-1] = ArmSlice(arm=each.arm, begin=joined[-1].begin, end=each.end)
        else:
            joined.append(each)
    return tuple(joined)
