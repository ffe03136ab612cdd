"""Many comparisons, one promise: p-values and levels that account for how often one looked.

Two promises are on offer. The *family-wise error rate* is the probability of any false finding (Bonferroni, Šidák,
Holm, Hochberg, Hommel). The *false discovery rate* is the expected share of false findings among the findings
(Benjamini-Hochberg, Benjamini-Yekutieli). Which p-values form a family is said by the scope: the comparisons of each
metric, or all comparisons of all metrics.

| method | promise | holds for p-values that are |
|---|---|---|
| `bonferroni`, `holm` | family-wise | any |
| `sidak`, `holm-sidak` | family-wise | independent, or of two-sided normal statistics |
| `hochberg`, `hommel` | family-wise | independent or positively dependent (Simes's inequality) |
| `bh` | false discovery | independent or positively dependent |
| `by` | false discovery | any |
| `none` | none | any |

Dunnett's, Tukey's and Games-Howell's methods need the estimates, not only p-values: see `many_means`.

References:
    Holm, Scandinavian Journal of Statistics 6 (1979). Hochberg, Biometrika 75 (1988). Hommel, Biometrika 75 (1988).
    Benjamini & Hochberg, JRSS B 57 (1995). Benjamini & Yekutieli, Annals of Statistics 29 (2001).
    Benjamini & Yekutieli, "False discovery rate-adjusted multiple confidence intervals for selected parameters",
    JASA 100 (2005).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, cast, get_args

import numpy as np
from numpy.typing import ArrayLike

from vedette.evidence.summary import FloatArray
from vedette.kernel.errors import InvalidInput
from vedette.kernel.records import record

PValueMethod = Literal["none", "bonferroni", "sidak", "holm", "holm-sidak", "hochberg", "hommel", "bh", "by"]
"""Methods that need no more than the p-values."""

Method = Literal[PValueMethod, "dunnett", "tukey", "games-howell"]
"""Those, and the methods of `many_means` for the comparisons of one metric."""

Scope = Literal["metric", "family"]
"""The comparisons of each metric are a family of their own, or all comparisons of all metrics are one."""


@record
class Multiplicity:
    """How an experiment accounts for its many comparisons.

    Attributes:
        method: The correction.
        scope: What it corrects for together.
    """

    method: Method = "holm"
    scope: Scope = "metric"

    def __post_init__(self) -> None:
        """Refuse unknown words, and methods that know nothing of the correlation between metrics."""
        if self.method not in get_args(Method):
            raise InvalidInput(f"unknown correction {self.method!r}", hint=f"known: {', '.join(get_args(Method))}")
        if self.scope not in get_args(Scope):
            raise InvalidInput(f"unknown scope {self.scope!r}", hint=f"known: {', '.join(get_args(Scope))}")
        if self.scope == "family" and not self.of_p_values:
            raise InvalidInput(
                f"{self.method} corrects for the comparisons of one metric and cannot span metrics",
                hint="use scope 'metric', or holm, hommel or bh for scope 'family'",
            )

    @property
    def of_p_values(self) -> bool:
        """Whether `adjust` can do it: it needs no more than the p-values."""
        return self.method in get_args(PValueMethod)


def adjust(p: ArrayLike | Sequence[float | None], method: Method) -> FloatArray:
    """Adjust p-values for the size of their family; reject at alpha what is alpha or less.

    Args:
        p: p-values, shape (..., family). None and NaN are undefined: they are no part of the family and stay NaN.
        method: A method of p-values.

    Returns:
        Adjusted p-values of the same shape, none smaller than the p-value it is of, none above 1.

    Raises:
        InvalidInput: A p-value is not between 0 and 1, or the method is unknown or needs more than p-values.
    """
    values = _p_values(p)
    if method not in _ADJUSTMENTS:
        raise InvalidInput(
            f"{method!r} does not adjust p-values alone",
            hint=f"one of {', '.join(_ADJUSTMENTS)}; dunnett, tukey and games-howell are in many_means",
        )
    step = _ADJUSTMENTS[method]
    if values.ndim == 0:
        return values.copy()
    return np.apply_along_axis(_adjusted, -1, values, step) if values.size else values.copy()


def adjust_families(
    p: ArrayLike | Sequence[float | None], metrics: Sequence[str], method: Method, scope: Scope
) -> FloatArray:
    """Adjust the p-values of an experiment within each metric, or all together.

    Args:
        p: One p-value a comparison, shape (comparisons,); None and NaN are undefined.
        metrics: The metric of each comparison.
        method: A method of p-values.
        scope: Whether each metric is a family of its own.

    Raises:
        InvalidInput: As for `adjust`, or there is not one metric for each p-value.
    """
    choice = Multiplicity(method=method, scope=scope)
    values = _p_values(p)
    if values.shape != (len(metrics),):
        raise InvalidInput(f"every p-value needs its metric: {values.size} p-values, {len(metrics)} metrics")
    if choice.scope == "family":
        return adjust(values, method)
    adjusted = np.full_like(values, np.nan)
    names = np.asarray(metrics, object)
    for metric in dict.fromkeys(metrics):
        own = names == metric
        adjusted[own] = adjust(values[own], method)
    return adjusted


def simultaneous_alpha(alpha: float, comparisons: int, method: Method, *, selected: int | None = None) -> float:
    """Give the level at which each interval must be built so that together they keep the method's promise.

    For the step-wise methods (Holm, Hochberg, Hommel) the intervals are Bonferroni's, for Holm-Šidák Šidák's: they
    hold together, and are wide enough that one may include a null value that its adjusted p-value rejects. For `bh` and
    `by` they are the intervals of what was selected, whose expected share of misses is alpha at most (the false
    coverage rate, Benjamini & Yekutieli 2005); when nothing was selected, those of a selection of one.

    Args:
        alpha: Error rate of the promise, between 0 and 1.
        comparisons: Size of the family, undefined ones left out; at least 1.
        method: A method of p-values.
        selected: How many were rejected; needed by `bh` and `by` only.

    Raises:
        InvalidInput: A number is out of its range, `selected` is missing, or the method is not one of p-values.
    """
    if not 0.0 < alpha < 1.0:
        raise InvalidInput(f"alpha lies between 0 and 1, not at {alpha}")
    if comparisons < 1:
        raise InvalidInput("a family has at least one comparison")
    if method in ("bh", "by"):
        if selected is None or not 0 <= selected <= comparisons:
            raise InvalidInput(
                f"intervals for {method} depend on how many comparisons were selected",
                hint=f"give selected, from 0 to {comparisons}",
            )
        harmonic = sum(1.0 / rank for rank in range(1, comparisons + 1)) if method == "by" else 1.0
        return alpha * max(selected, 1) / (comparisons * harmonic)
    if method in ("sidak", "holm-sidak"):
        return float(-np.expm1(np.log1p(-alpha) / comparisons))
    if method in ("bonferroni", "holm", "hochberg", "hommel"):
        return alpha / comparisons
    if method == "none":
        return alpha
    raise InvalidInput(f"{method!r} has critical values of its own", hint="see many_means")


def _p_values(p: ArrayLike | Sequence[float | None]) -> FloatArray:
    values = np.array(p, np.float64)
    known = values[~np.isnan(values)]
    if ((known < 0.0) | (known > 1.0)).any():
        raise InvalidInput("p-values lie between 0 and 1", hint="None or NaN stands for an undefined one")
    return values


Step = Callable[[FloatArray], FloatArray]
"""From a family's p-values in ascending order to its adjusted ones, in the same order."""


def _adjusted(p: FloatArray, step: Step) -> FloatArray:
    known = np.flatnonzero(~np.isnan(p))
    order = known[np.argsort(p[known], kind="stable")]
    adjusted = np.full(p.shape, np.nan)
    if order.size:
        adjusted[order] = np.clip(step(p[order]), p[order], 1.0)
    return adjusted


def _remaining(p: FloatArray) -> FloatArray:
    """How many hypotheses are left when those with smaller p-values are rejected."""
    return np.arange(p.size, 0, -1, dtype=np.float64)


def _any_of(p: FloatArray, size: FloatArray | float) -> FloatArray:
    """Probability that the smallest of `size` independent p-values is p or less (Šidák)."""
    with np.errstate(divide="ignore"):  # p = 1 has log(0) of not being reached
        return np.asarray(-np.expm1(size * np.log1p(-p)))


def _step_down(raw: FloatArray) -> FloatArray:
    return np.asarray(np.maximum.accumulate(raw))


def _step_up(raw: FloatArray) -> FloatArray:
    return np.asarray(np.minimum.accumulate(raw[::-1])[::-1])


def _discovery(p: FloatArray) -> FloatArray:
    return _step_up(p * p.size / np.arange(1, p.size + 1))


def _hommel(p: FloatArray) -> FloatArray:
    """Adjust by closed testing with Simes's test: over set sizes, the hardest set that holds each hypothesis.

    For a hypothesis it is the one that joins to it the largest of the others.
    """
    m = p.size
    adjusted = p.copy()
    for size in range(2, m + 1):
        largest = p[m - size + 1 :]
        of_others = float((size * largest / np.arange(2, size + 1)).min())
        simes = np.minimum(size * p, of_others)
        simes[m - size + 1 :] = simes[m - size]  # these are in the set of the largest, as the one before them is
        adjusted = np.maximum(adjusted, simes)
    return adjusted


_ADJUSTMENTS: Mapping[str, Step] = {
    "none": lambda p: p,
    "bonferroni": lambda p: p * p.size,
    "sidak": lambda p: _any_of(p, float(p.size)),
    "holm": lambda p: _step_down(p * _remaining(p)),
    "holm-sidak": lambda p: _step_down(_any_of(p, _remaining(p))),
    "hochberg": lambda p: _step_up(p * _remaining(p)),
    "hommel": _hommel,
    "bh": _discovery,
    "by": lambda p: _discovery(p) * cast("float", (1.0 / np.arange(1, p.size + 1)).sum()),
}
