"""Two arms compared from their raw values, with as little supposed about them as can be: ranks, bootstrap, permutation.

Ranks ask how often a value of the treatment beats one of the control. The bootstrap puts an interval around *any*
statistic by drawing the data, or whole clusters of them, again. The permutation test asks how often mere relabelling
does as much. Seeds come in as values: one seed, one answer.

References:
    Mann & Whitney, Ann. Math. Statist. 18 (1947); DeLong, DeLong & Clarke-Pearson, Biometrics 44 (1988).
    Brunner & Munzel, "The nonparametric Behrens-Fisher problem", Biometrical Journal 42 (2000).
    Efron, "Better bootstrap confidence intervals", JASA 82 (1987): BCa.
    Field & Welsh, "Bootstrapping clustered data", JRSS B 69 (2007).
    Hesterberg, "What teachers should know about the bootstrap", American Statistician 69 (2015): expanded levels.
    Phipson & Smyth, "Permutation p-values should never be zero", Stat. Appl. Genet. Mol. Biol. 9 (2010).
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, logit, ndtr, ndtri, stdtr, stdtrit
from scipy.stats import mannwhitneyu, rankdata

from vedette.evidence.summary import FloatArray
from vedette.kernel.errors import InvalidInput
from vedette.stats.cautions import Caution
from vedette.stats.clusters import MINIMUM_CLUSTERS
from vedette.stats.finding import Finding, also, observed, p_value_of, student, tail
from vedette.stats.sequential import Side, ends

Statistic = Callable[..., Any]
"""What is computed of one arm, as numpy's `mean` and `median` do: `statistic(values, axis=-1)`, over the last axis."""

_CELLS = 2_000_000  # numbers drawn at a time: bounds memory, not the answer
_JACKKNIFE = 500  # more units than this are left out in as many groups


class Scale(StrEnum):
    """How two arms' statistics are set against each other."""

    DIFFERENCE = "difference"
    RELATIVE = "relative"


class Bootstrap(StrEnum):
    """How an interval is read from the resamples."""

    BCA = "bca"
    PERCENTILE = "percentile"


def mann_whitney(treatment: ArrayLike, control: ArrayLike, *, alpha: float = 0.05, side: Side = Side.BOTH) -> Finding:
    """Test whether two distributions differ by ranks; the estimate is P(treatment > control), ties counting half.

    The p-value is against equal distributions: exact where scipy can count them out, else by the normal with correction
    for ties and continuity. The interval is for the probability itself (DeLong's variance, on the logit), so the two
    answer different questions and may disagree a little; `brunner_munzel` answers one question with both. Where every
    value of one arm beats every one of the other there is no interval (`SEPARATED`). The statistic is U. NaN is left
    out.

    Raises:
        InvalidInput: `alpha` is out of range, or a value is infinite.
    """
    first, second, warnings = _arms(treatment, control)
    outside = tail(alpha, side)
    plain = Finding(
        estimate=None,
        n=float(first.size + second.size),
        null=0.5,
        side=side,
        method="Mann-Whitney U, DeLong logit interval",
        warnings=warnings,
    )
    if not min(first.size, second.size):
        return also(plain, Caution.TOO_FEW)
    effect, variance = _superiority(first, second)
    plain = replace(plain, estimate=effect)
    if np.ptp(np.concatenate([first, second])) == 0.0:
        return also(plain, Caution.NO_VARIANCE)
    found = mannwhitneyu(first, second, alternative="two-sided" if side is Side.BOTH else side.value)
    plain = replace(plain, statistic=float(found.statistic), p_value=float(found.pvalue))
    if min(first.size, second.size) < 2:
        return also(plain, Caution.TOO_FEW)
    if effect in {0.0, 1.0}:
        return also(plain, Caution.SEPARATED)
    reach = -float(ndtri(outside)) * math.sqrt(sum(variance)) / (effect * (1.0 - effect))
    centre = float(logit(effect))
    low, high = ends(float(expit(centre - reach)), float(expit(centre + reach)), side)
    return replace(plain, low=low, high=high)


def brunner_munzel(treatment: ArrayLike, control: ArrayLike, *, alpha: float = 0.05, side: Side = Side.BOTH) -> Finding:
    """Test whether values of the treatment beat the control's as often as not; the estimate is P(treatment > control).

    Unlike `mann_whitney` it allows unequal spreads: the p-value is against a probability of 1/2, and the interval, cut
    off at 0 and 1, holds the probabilities that the same t-test does not reject. NaN is left out.

    Raises:
        InvalidInput: `alpha` is out of range, or a value is infinite.
    """
    first, second, warnings = _arms(treatment, control)
    n, method = float(first.size + second.size), "Brunner-Munzel t"
    plain = Finding(estimate=None, n=n, null=0.5, side=side, method=method, warnings=warnings)
    if not min(first.size, second.size):
        return also(plain, Caution.TOO_FEW)
    effect, parts = _superiority(first, second)
    if effect in {0.0, 1.0}:
        return also(replace(plain, estimate=effect), Caution.SEPARATED)
    variance = sum(parts)
    weight = parts[0] ** 2 / (first.size - 1) + parts[1] ** 2 / (second.size - 1) if variance > 0 else 1.0
    judged = student(
        effect,
        math.sqrt(variance),
        variance**2 / weight if variance > 0 else 1.0,
        n=n,
        method=method,
        alpha=alpha,
        side=side,
        null=0.5,
        warnings=warnings,
    )
    low = None if judged.low is None else max(judged.low, 0.0)
    return replace(judged, low=low, high=None if judged.high is None else min(judged.high, 1.0))


def bootstrap(
    treatment: ArrayLike,
    control: ArrayLike,
    statistic: Statistic = np.mean,
    *,
    seed: int,
    clusters: tuple[ArrayLike, ArrayLike] | None = None,
    together: bool = False,
    scale: Scale = Scale.DIFFERENCE,
    method: Bootstrap = Bootstrap.BCA,
    resamples: int = 9999,
    alpha: float = 0.05,
    side: Side = Side.BOTH,
    margin: float = 0.0,
) -> Finding:
    """Compare any statistic of two arms, by drawing each arm's values, or whole clusters of them, again.

    The p-value is that of the interval which just leaves the margin out, so the two never disagree; it is never below
    1 / (resamples + 1). `RESAMPLES_UNDEFINED` says that a resample has no statistic, or that all lie on one side.

    With clusters the levels are widened as Student's t is beside the normal, for the effective number of clusters of
    the smaller arm (Hesterberg 2015); fewer than 8 give an effect and no verdict. `n` counts values or clusters.

    Args:
        treatment: Values of the new version; NaN is left out.
        control: Values of the version it is compared with.
        statistic: What is computed of an arm, called as `statistic(values, axis=-1)`: `np.mean`, `np.median`, …
        seed: One seed, one answer.
        clusters: The cluster of each of the treatment's values, and of each of the control's: any labels.
        together: Both arms have the same clusters (models judged on the same topics), which are drawn together.
        scale: The effect is the statistics' difference, or that as a fraction of the control's size.
        method: How the interval is read from the resamples.
        resamples: How often the data are drawn, 100 or more.
        alpha: Probability that the interval misses, in large samples.
        side: Which departures count.
        margin: Effect tested.

    Raises:
        InvalidInput: `alpha` or `resamples` is out of range, a value is infinite or has no cluster, or `together` and
            the arms' clusters differ.
    """
    outside = tail(alpha, side)
    _enough(resamples)
    labels = clusters or (None, None)
    arms = (_Units.of(treatment, labels[0]), _Units.of(control, labels[1]))
    if together and not (clusters and np.array_equal(arms[0].labels, arms[1].labels)):
        raise InvalidInput("clusters drawn together must be the same in both arms", hint="or say together=False")
    units = min(arm.effective for arm in arms)
    name = f"{'cluster ' if clusters else ''}bootstrap, {method}, {resamples} resamples, {scale}"
    warnings = tuple(dict.fromkeys(arms[0].warnings + arms[1].warnings))
    n = float(sum(arm.sizes.size for arm in arms))
    plain = Finding(estimate=None, n=n, null=margin, side=side, method=name, warnings=warnings)
    if units < 2:
        return also(plain, Caution.TOO_FEW)
    first, second = (arm.of_each(np.arange(arm.sizes.size)[None], statistic) for arm in arms)
    effect = float(_set_against(first, second, scale)[0])
    if not math.isfinite(effect):
        return also(plain, Caution.UNBOUNDED if scale is Scale.RELATIVE else Caution.RESAMPLES_UNDEFINED)
    plain = replace(plain, estimate=effect)
    if clusters and units < MINIMUM_CLUSTERS - 1e-9:
        return also(plain, Caution.FEW_CLUSTERS)
    drawn = np.sort(np.concatenate(list(_resamples(arms, statistic, scale, resamples, seed, together=together))))
    levels = _Levels(0.0, 0.0, units if clusters else math.inf)
    if method is Bootstrap.BCA:
        skew = _acceleration(arms, (first, second), statistic, scale, together=together)
        levels = replace(levels, bias=float(ndtri(_share_below(drawn, effect))), skew=skew)
    return _read(plain, drawn, levels, outside, margin)


def permutation_test(
    treatment: ArrayLike,
    control: ArrayLike,
    statistic: Statistic = np.mean,
    *,
    seed: int,
    resamples: int = 9999,
    side: Side = Side.BOTH,
) -> Finding:
    """Test whether two arms are alike: how often relabelling their values makes a difference as large as the one seen.

    Exact when there are no more arrangements than `resamples`, which is then every one of them; else
    (b + 1) / (m + 1) over m random ones, so never zero. The estimate is the statistics' difference, without interval.

    Args:
        treatment: Values of the new version; NaN is left out.
        control: Values of the version it is compared with.
        statistic: As for `bootstrap`.
        seed: One seed, one answer.
        resamples: Number of random arrangements, 100 or more.
        side: Which departures count; for both, twice the smaller p-value.

    Raises:
        InvalidInput: A value is infinite, or there are fewer than 100 resamples.
    """
    _enough(resamples)
    first, second, warnings = _arms(treatment, control)
    pooled, k = np.concatenate([first, second]), first.size
    exact = math.comb(pooled.size, k) <= resamples
    method = "permutation, " + ("exact" if exact else f"{resamples} random arrangements")
    plain = Finding(estimate=None, n=float(pooled.size), null=0.0, side=side, method=method, warnings=warnings)
    if not min(k, second.size):
        return also(plain, Caution.TOO_FEW)
    effect = float(statistic(first, axis=-1)) - float(statistic(second, axis=-1))
    plain = replace(plain, estimate=effect, statistic=effect)
    if np.ptp(pooled) == 0.0:
        return also(plain, Caution.NO_VARIANCE)
    arranged = _arrangements(pooled, k) if exact else _shuffles(pooled, resamples, seed)
    found = np.concatenate([statistic(rows[:, :k], axis=-1) - statistic(rows[:, k:], axis=-1) for rows in arranged])
    if not np.isfinite(found).all():
        return also(plain, Caution.RESAMPLES_UNDEFINED)
    same = 8.0 * np.finfo(np.float64).eps * float(np.abs(pooled).max())  # sums in another order differ in rounding
    counts = (int((found <= effect + same).sum()), int((found >= effect - same).sum()))
    less, greater = ((count + (not exact)) / (found.size + (not exact)) for count in counts)
    return also(replace(plain, p_value=p_value_of(less, greater, side)), Caution.NO_INTERVAL)


@dataclass(frozen=True, slots=True)
class _Units:
    """Values sorted by the unit that is drawn as a whole, and where each unit begins."""

    values: FloatArray
    labels: NDArray[Any]
    starts: NDArray[np.intp]
    sizes: NDArray[np.intp]
    warnings: tuple[Caution, ...] = ()

    @classmethod
    def of(cls, values: ArrayLike, clusters: ArrayLike | None) -> "_Units":
        array, warnings = observed(values)
        every = np.asarray(values, np.float64).ravel()
        named = np.arange(every.size) if clusters is None else np.asarray(clusters).ravel()
        if every.shape != named.shape:
            raise InvalidInput(f"every value needs one cluster: {every.size} values, {named.size} clusters")
        labels, index, sizes = np.unique(named[~np.isnan(every)], return_inverse=True, return_counts=True)
        return cls(array[np.argsort(index, kind="stable")], labels, np.cumsum(sizes) - sizes, sizes, warnings)

    @property
    def effective(self) -> float:
        """Effective number of units (Kish 1965)."""
        squares = float((self.sizes.astype(np.float64) ** 2).sum())
        return float(self.sizes.sum()) ** 2 / squares if squares else 0.0

    def of_each(self, picks: NDArray[np.intp], statistic: Statistic) -> FloatArray:
        """Give the statistic of each row of units, shape (rows, units)."""
        if self.sizes.min() == self.sizes.max():
            drawn = self.values.reshape(self.sizes.size, -1)[picks]
            return np.asarray(statistic(drawn.reshape(len(picks), -1), axis=-1), np.float64)
        return np.array([float(statistic(self.values[self._rows(pick)], axis=-1)) for pick in picks])

    def without(self, groups: list[NDArray[np.intp]], statistic: Statistic) -> FloatArray:
        """Give the statistic with each group of units left out."""
        kept = [np.delete(np.arange(self.sizes.size), group) for group in groups]
        small = len(groups) * self.values.size <= _CELLS and len({pick.size for pick in kept}) == 1
        rows = [np.stack(kept)] if small else [pick[None] for pick in kept]
        return np.concatenate([self.of_each(picks, statistic) for picks in rows])

    def _rows(self, pick: NDArray[np.intp]) -> NDArray[np.intp]:
        sizes = self.sizes[pick]
        begins = np.repeat(self.starts[pick] - (np.cumsum(sizes) - sizes), sizes)
        return begins + np.arange(begins.size)


@dataclass(frozen=True, slots=True)
class _Levels:
    """Where among the resamples an interval ends (Efron 1987); bias and skew 0 are the percentile interval."""

    bias: float
    skew: float
    units: float

    def of(self, level: float) -> float:
        z = self.bias + float(stdtrit(self.units - 1.0, level)) / math.sqrt(1.0 - 1.0 / self.units)
        return float(ndtr(self.bias + z / max(1.0 - self.skew * z, 1e-3)))

    def inverse(self, share: float) -> tuple[float, float]:
        """Levels at which a lower, and an upper, bound lies where this share of the resamples ends, upper first."""
        w = float(ndtri(share)) - self.bias
        z = (w / max(1.0 + self.skew * w, 1e-3) - self.bias) * math.sqrt(1.0 - 1.0 / self.units)
        return float(stdtr(self.units - 1.0, -z)), float(stdtr(self.units - 1.0, z))


def _read(plain: Finding, drawn: FloatArray, levels: _Levels, outside: float, margin: float) -> Finding:
    """Read interval and p-value from sorted resamples."""
    if not (np.isfinite(drawn).all() and math.isfinite(levels.bias + levels.skew)):
        return also(plain, Caution.RESAMPLES_UNDEFINED)
    if drawn[-1] - drawn[0] <= 1e-14 * abs(plain.estimate or 0.0):
        return also(plain, Caution.NO_VARIANCE)
    low, high = (float(np.quantile(drawn, levels.of(level))) for level in (outside, 1.0 - outside))
    edge = 1.0 / (drawn.size + 1.0)
    less, greater = levels.inverse(min(max(_share_below(drawn, margin), edge), 1.0 - edge))
    low_end, high_end = ends(low, high, plain.side)
    return replace(plain, low=low_end, high=high_end, p_value=max(p_value_of(less, greater, plain.side), edge))


def _resamples(
    arms: tuple[_Units, _Units], statistic: Statistic, scale: Scale, resamples: int, seed: int, *, together: bool
) -> Iterator[FloatArray]:
    generator, first, second = _generator(seed), *(arm.sizes.size for arm in arms)
    block = max(_CELLS // sum(arm.values.size for arm in arms), 1)
    for done in range(0, resamples, block):
        rows = min(block, resamples - done)
        picks = generator.integers(0, first, (rows, first))
        others = picks if together else generator.integers(0, second, (rows, second))
        yield _set_against(arms[0].of_each(picks, statistic), arms[1].of_each(others, statistic), scale)


def _set_against(treatment: FloatArray, control: FloatArray, scale: Scale) -> FloatArray:
    if scale is Scale.DIFFERENCE:
        return treatment - control
    with np.errstate(divide="ignore", invalid="ignore"):  # what is not finite is found and named by the caller
        return np.asarray((treatment - control) / np.abs(control))


def _acceleration(
    arms: tuple[_Units, _Units], whole: tuple[FloatArray, ...], statistic: Statistic, scale: Scale, *, together: bool
) -> float:
    """Skewness of the influence of the units, a sixth of it, from leaving out each, or each of 500 groups of them."""
    groups = [np.array_split(np.arange(arm.sizes.size), min(arm.sizes.size, _JACKKNIFE)) for arm in arms]
    left = [arm.without(group, statistic) for arm, group in zip(arms, groups, strict=True)]
    cases = [(left[0], left[1])] if together else [(left[0], whole[1]), (whole[0], left[1])]
    cubes = squares = 0.0
    for case in cases:
        found = _set_against(*case, scale)
        if not np.isfinite(found).all():
            return math.nan
        influence = (found.mean() - found) * (found.size - 1.0) / found.size
        cubes, squares = cubes + float((influence**3).sum()), squares + float((influence**2).sum())
    return cubes / (6.0 * squares**1.5) if squares > 0.0 else 0.0


def _share_below(drawn: FloatArray, point: float) -> float:
    """Share of sorted values below a point, those at it counting half."""
    return float(sum(np.searchsorted(drawn, point, side=side) for side in ("left", "right"))) / (2.0 * drawn.size)


def _superiority(first: FloatArray, second: FloatArray) -> tuple[float, tuple[float, float]]:
    """Give P(first > second) and the two parts of its variance, from the placements of each arm in the other."""
    pooled = rankdata(np.concatenate([first, second]))
    above = (pooled[: first.size] - rankdata(first)) / second.size
    below = (pooled[first.size :] - rankdata(second)) / first.size
    variance = [float(it.var(ddof=1)) / it.size if it.size > 1 else math.nan for it in (above, below)]
    return float(above.mean()), (variance[0], variance[1])


def _arrangements(pooled: FloatArray, k: int) -> Iterator[FloatArray]:
    every = range(pooled.size)
    yield pooled[np.array([(*chosen, *sorted(set(every) - set(chosen))) for chosen in combinations(every, k)])]


def _shuffles(pooled: FloatArray, resamples: int, seed: int) -> Iterator[FloatArray]:
    generator, block = _generator(seed), max(_CELLS // pooled.size, 1)
    for done in range(0, resamples, block):
        yield generator.permuted(np.tile(pooled, (min(block, resamples - done), 1)), axis=1)


def _arms(treatment: ArrayLike, control: ArrayLike) -> tuple[FloatArray, FloatArray, tuple[Caution, ...]]:
    (first, one), (second, other) = observed(treatment), observed(control)
    return first, second, tuple(dict.fromkeys(one + other))


def _enough(resamples: int) -> None:
    if resamples < 100:
        raise InvalidInput(f"{resamples} resamples say nothing about a tail", hint="100 or more; 9999 is usual")


def _generator(seed: int) -> np.random.Generator:  # noqa: TID251 - the seed is a value: one seed, one answer
    return np.random.default_rng(seed)  # noqa: TID251 - the seed is a value
