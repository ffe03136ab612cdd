"""What is known of each arm, by metric: estimates and their variances, from joint moments alone.

Every estimate here is a smooth function of the columns' means, so its variance is that of a weighted sum of columns
(the delta method): the weights are its gradient. A mean has weight 1 on its column; a ratio y / x has (1, -ratio) / x;
regression adjustment (CUPED) subtracts theta times the covariate's own weights. One small product of matrices then
gives all metrics of all arms at once, whatever the number of rows.

**One adjustment for all arms.** Theta and the point the covariate is centred on come from all arms together. So an
arm's adjusted mean is the same in every comparison, and differences of adjusted means stay unbiased.

References:
    Deng, Knoblich & Lu, "Applying the delta method in metric analytics", KDD 2018 (ratios).
    Deng, Xu, Kohavi & Walker, "Improving the sensitivity of online controlled experiments by utilizing pre-experiment
    data", WSDM 2013 (CUPED); Lin, Annals of Applied Statistics 7 (2013).
    Miratrix, Sekhon & Yu, "Adjusting treatment effect estimates by post-stratification", JRSS B 75 (2013).
    Kish, Survey Sampling (1965), §8.2 (effective number of unequal clusters).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from vedette.evidence.joint import JointMoments
from vedette.evidence.summary import FloatArray
from vedette.kernel.errors import InvalidInput

ROUNDING = 1e-12
"""A variance below this part of the terms that cancel in it is rounding: one of joint moments keeps about 14 digits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantity:
    """What to estimate: the mean of a column, or the ratio of two columns' sums, adjusted by others or not.

    Attributes:
        name: What it is called.
        column: The column whose mean it is, or the ratio's numerator.
        denominator: The ratio's denominator; empty for a mean.
        covariates: Pairs of a column and its denominator (empty for a mean) that adjust it: observed before the
            experiment, or otherwise untouched by it.
    """

    name: str
    column: str
    denominator: str = ""
    covariates: tuple[tuple[str, str], ...] = ()

    def columns(self) -> tuple[str, ...]:
        """Name every column it needs."""
        pairs = ((self.column, self.denominator), *self.covariates)
        return tuple(dict.fromkeys(name for pair in pairs for name in pair if name))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Estimates:
    """Estimates of each metric in each arm; arrays of shape (metrics, arms), NaN where undefined.

    Attributes:
        metrics: Names of the metrics.
        arms: Names of the arms.
        mean: Estimates, adjusted where covariates were given.
        variance: Squared standard errors.
        n: Units behind them: rows, or the effective number of clusters.
        plain: Estimates without adjustment.
        clock: Intrinsic time of each for tests at any look: grows as the information does.
        covariance: Covariances of the estimates of two arms, shape (metrics, arms, arms), where the same units are in
            both (models judged on the same prompts); None where arms have units of their own.
        theta: Weights of the covariates by metric, empty where there are none.
    """

    metrics: tuple[str, ...]
    arms: tuple[str, ...]
    mean: FloatArray
    variance: FloatArray
    n: FloatArray
    plain: FloatArray
    clock: FloatArray
    covariance: FloatArray | None = None
    theta: tuple[tuple[float, ...], ...] = ()

    def of(self, metric: str) -> "Estimates":
        """Give the estimates of one metric alone."""
        place = [self.metrics.index(metric)]
        return replace(
            self,
            metrics=(metric,),
            mean=self.mean[place],
            variance=self.variance[place],
            n=self.n[place],
            plain=self.plain[place],
            clock=self.clock[place],
            covariance=None if self.covariance is None else self.covariance[place],
            theta=tuple(self.theta[it] for it in place if it < len(self.theta)),
        )


@dataclass(frozen=True, slots=True, eq=False)
class _Stack:
    """Means (arms, k) and the covariance of those means (arms, k, k); rows or clusters by arm."""

    columns: tuple[str, ...]
    n: FloatArray
    mean: FloatArray
    spread: FloatArray

    def pooled(self) -> tuple[FloatArray, FloatArray]:
        """Means over the rows of all arms, and their covariances, as one sample would have them."""
        total = self.n.sum()
        share = self.n / total
        mean = share @ self.mean
        shift = self.mean - mean
        within = np.einsum("a,aij->ij", self.n * (self.n - 1.0), self.spread)
        return mean, (within + np.einsum("a,ai,aj->ij", self.n, shift, shift)) / max(total - 1.0, 1.0)


def estimates(
    arms: Mapping[str, JointMoments], quantities: Sequence[Quantity], *, clustered: bool = False
) -> Estimates:
    """Estimate every quantity in every arm.

    Args:
        arms: Joint moments by arm; rows are units, or clusters of units when `clustered`.
        quantities: What to estimate.
        clustered: Rows are totals of clusters (users' sessions, buckets of tenants): the number of units is then the
            effective number of clusters, and variances are widened for small numbers of them, as Student's t is.

    Raises:
        InvalidInput: There is no arm or no quantity, or a column is missing.
    """
    stack = _stacked(arms, quantities)
    return _estimated(tuple(arms), stack, quantities, clustered=clustered)


def stratified_estimates(strata: Mapping[str, Mapping[str, JointMoments]], quantities: Sequence[Quantity]) -> Estimates:
    """Post-stratified estimates: every arm is reweighted to the strata's shares among the units of all arms.

    Args:
        strata: Joint moments by stratum, then by arm; each arm needs two units or more in each stratum.
        quantities: What to estimate.

    Raises:
        InvalidInput: The strata have other arms, or an arm has fewer than two units in a stratum.
    """
    if not strata:
        raise InvalidInput("post-stratification needs at least one stratum")
    names = tuple(dict.fromkeys(arm for arms in strata.values() for arm in arms))
    for stratum, arms in strata.items():
        if short := [name for name in names if name not in arms or arms[name].n < 2]:
            raise InvalidInput(
                f"stratum {stratum!r} has fewer than two units in {', '.join(short)}",
                hint="merge small strata, or leave post-stratification out",
            )
    stacks = [_stacked({name: arms[name] for name in names}, quantities) for arms in strata.values()]
    sizes = np.array([stack.n.sum() for stack in stacks])
    share = sizes / sizes.sum()
    stack = _Stack(
        stacks[0].columns,
        np.sum([stack.n for stack in stacks], axis=0),
        np.einsum("s,sai->ai", share, [stack.mean for stack in stacks]),
        np.einsum("s,saij->aij", share * share, [stack.spread for stack in stacks]),
    )
    return _estimated(names, stack, quantities, clustered=False)


def paired_estimates(
    rows: JointMoments, arms: Mapping[str, Mapping[str, str]], quantities: Sequence[Quantity]
) -> Estimates:
    """Estimates of arms observed on the same units, such as models judged on the same prompts.

    Args:
        rows: Joint moments of the units, with one column for each arm's value of each column.
        arms: By arm, the name in `rows` of each column that the quantities name.
        quantities: What to estimate; covariates are not supported, as pairing takes out more than they could.

    Raises:
        InvalidInput: A column is missing, or a quantity has covariates.
    """
    if any(quantity.covariates for quantity in quantities):
        raise InvalidInput("paired comparisons take no covariates", hint="each unit is its own control already")
    size, n = len(rows.columns), rows.n
    gradient = np.zeros((len(quantities), len(arms), size))
    mean = np.empty((len(quantities), len(arms)))
    for m, quantity in enumerate(quantities):
        for a, names in enumerate(arms.values()):
            y = rows.index(names[quantity.column])
            x = rows.index(names[quantity.denominator]) if quantity.denominator else None
            mean[m, a] = _gradient(rows.mean, y, x, gradient[m, a])
    spread = rows.covariance / max(n, 1.0)
    covariance = gradient @ spread @ gradient.transpose(0, 2, 1)
    counts = np.full(mean.shape, n)
    return Estimates(
        metrics=tuple(quantity.name for quantity in quantities),
        arms=tuple(arms),
        mean=mean,
        variance=np.ascontiguousarray(np.diagonal(covariance, axis1=1, axis2=2)),
        n=counts,
        plain=mean,
        clock=counts,
        covariance=covariance,
    )


def share_variance(successes: ArrayLike, trials: ArrayLike) -> FloatArray:
    """Least variance that a share of independent trials may be given, also where all of them came out alike.

    That of Agresti & Caffo (The American Statistician 54, 2000): one more success and one more failure. Without it an
    arm of which every request failed would have no spread, and could not be judged.
    """
    n = np.asarray(trials, np.float64) + 2.0
    share = (np.asarray(successes, np.float64) + 1.0) / n
    return np.asarray(share * (1.0 - share) / n)


def _stacked(arms: Mapping[str, JointMoments], quantities: Sequence[Quantity]) -> _Stack:
    if not arms or not quantities:
        raise InvalidInput("there is nothing to estimate", hint="give at least one arm and one metric")
    columns = next(iter(arms.values())).columns
    parts = [part if part.columns == columns else part.select(columns) for part in arms.values()]
    n = np.array([part.n for part in parts])
    # Fewer than two rows tell nothing of a variance.
    divisor = np.where(n > 1, n * (n - 1.0), np.nan)
    spread = np.array([part.cross for part in parts]) / divisor[:, None, None]
    mean = np.array([part.mean for part in parts])
    return _Stack(columns, n, mean if n.all() else np.where(n[:, None] > 0, mean, np.nan), spread)


def _estimated(names: tuple[str, ...], stack: _Stack, quantities: Sequence[Quantity], *, clustered: bool) -> Estimates:
    places = {column: place for place, column in enumerate(stack.columns)}

    def place(column: str) -> int:
        if column not in places:
            raise InvalidInput(f"there is no column {column!r}", hint=f"known: {', '.join(stack.columns)}")
        return places[column]

    shape = (len(quantities), len(names))
    plain, gradient = np.empty(shape), np.zeros((*shape, len(stack.columns)))
    mean, n = np.empty(shape), np.empty(shape)
    thetas: list[tuple[float, ...]] = []
    total: tuple[FloatArray, FloatArray] | None = None
    for m, quantity in enumerate(quantities):
        y, x = place(quantity.column), place(quantity.denominator) if quantity.denominator else None
        plain[m] = _gradients(stack.mean, y, x, gradient[m])
        mean[m] = plain[m]
        theta: tuple[float, ...] = ()
        if quantity.covariates:
            total = total or stack.pooled()
            pairs = [(place(c), place(d) if d else None) for c, d in quantity.covariates]
            mean[m], theta = _adjusted(stack, total, (y, x), pairs, plain[m], gradient[m])
        n[m] = _effective(stack, x) if clustered and x is not None else stack.n
        thetas.append(theta)
    variance = _cleared(_square(gradient, stack.spread), _square(np.abs(gradient), np.abs(stack.spread)))
    if clustered:
        variance = np.where(n > 3.0, variance * (n - 1.0) / np.where(n > 3.0, n - 3.0, 1.0), np.nan)
    return Estimates(
        metrics=tuple(quantity.name for quantity in quantities),
        arms=names,
        mean=mean,
        variance=variance,
        n=n,
        plain=plain,
        clock=n,
        theta=tuple(thetas),
    )


def _square(gradient: FloatArray, spread: FloatArray) -> FloatArray:
    """Give the variance of each weighted sum of columns."""
    return np.asarray(np.einsum("mai,aij,maj->ma", gradient, spread, gradient, optimize=False))


def _cleared(variance: FloatArray, terms: FloatArray) -> FloatArray:
    """Take a variance for 0 where it is no more than what rounding leaves of terms that cancel.

    A ratio that is the same in every unit has none; its numerator and denominator do.
    """
    return np.where(variance > ROUNDING * terms, variance, np.where(np.isnan(variance), variance, 0.0))


def _gradients(mean: FloatArray, y: int, x: int | None, into: FloatArray) -> FloatArray:
    """Write the gradient of a mean or a ratio for each arm, shape (arms, k), and give the estimates."""
    if x is None:
        into[:, y] = 1.0
        return mean[:, y]
    below = np.where(mean[:, x] == 0.0, np.nan, mean[:, x])
    ratio = mean[:, y] / below
    into[:, y] += 1.0 / below
    into[:, x] -= ratio / below
    return ratio


def _gradient(mean: FloatArray, y: int, x: int | None, into: FloatArray) -> float:
    return float(_gradients(mean[None], y, x, into[None])[0])


def _adjusted(
    stack: _Stack,
    total: tuple[FloatArray, FloatArray],
    outcome: tuple[int, int | None],
    covariates: Sequence[tuple[int, int | None]],
    plain: FloatArray,
    gradient: FloatArray,
) -> tuple[FloatArray, tuple[float, ...]]:
    """Adjust the estimates of one quantity, changing its gradient in place; give them and theta."""
    means, covariances = total
    size = len(stack.columns)
    lines = np.zeros((1 + len(covariates), size))  # what each is, as a weighted sum of columns, over all arms
    centre = np.empty(len(covariates))
    _gradient(means, *outcome, lines[0])
    for j, pair in enumerate(covariates):
        centre[j] = _gradient(means, *pair, lines[1 + j])
    square = lines @ covariances @ lines.T
    inner, outer = square[1:, 1:], square[1:, 0]
    scale = np.sqrt(np.diagonal(inner))
    if not np.isfinite(square).all() or not (scale > 0).any():
        return plain, (0.0,) * len(covariates)
    # Standardised, so that covariates of very different sizes, or saying the same twice, do no harm.
    usable = np.where(scale > 0, scale, np.inf)
    theta = np.linalg.pinv(inner / np.outer(usable, usable), rcond=1e-10, hermitian=True) @ (outer / usable) / usable
    adjusted = plain.copy()
    for j, pair in enumerate(covariates):
        own = np.zeros_like(gradient)
        adjusted -= theta[j] * (_gradients(stack.mean, *pair, own) - centre[j])
        gradient -= theta[j] * own
    return adjusted, tuple(theta.tolist())


def _effective(stack: _Stack, x: int) -> FloatArray:
    """Effective number of clusters of unequal size: (sum of sizes)^2 / sum of squared sizes."""
    squares = stack.spread[:, x, x] * (stack.n - 1.0) + stack.mean[:, x] ** 2
    return np.where(squares > 0, stack.n * stack.mean[:, x] ** 2 / np.where(squares > 0, squares, 1.0), 0.0)
