"""Many comparisons in one analysis: corrected p-values, and intervals that hold together.

Methods of p-values work under every design. Their intervals are built at the level the method asks of each (Bonferroni
or Šidák, which hold for whole sequences of looks too: Šidák's by the Gaussian correlation inequality, Royen 2014).
Dunnett's, Tukey's and Games-Howell's methods use the correlation between comparisons, and belong to a single analysis.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from vedette.evidence.summary import FloatArray
from vedette.kernel.errors import InvalidInput
from vedette.stats.contrasts import Contrasts, Rule, contrasts
from vedette.stats.estimates import Estimates
from vedette.stats.many_means import ManyComparisons, Means, all_pairs, dunnett
from vedette.stats.multiplicity import Multiplicity, adjust, simultaneous_alpha

AtLevel = Callable[[float], Rule]
"""Gives the design's rule at another alpha."""


def corrected(
    found: Estimates, made: Contrasts, choice: Multiplicity, *, alpha: float, at_level: AtLevel
) -> tuple[FloatArray, Contrasts]:
    """Give corrected p-values, shape (metrics, pairs), and contrasts at simultaneous critical values.

    Args:
        found: The estimates compared.
        made: Their contrasts at `alpha`.
        choice: Method and scope.
        alpha: Error rate of the promise.
        at_level: The design's rule at another alpha.
    """
    if made.p_value.shape[1] == 1 and choice.scope == "metric":
        return made.p_value, made
    if not choice.of_p_values:
        return _by_estimates(found, made, choice, alpha=alpha, rule=at_level(alpha))
    if choice.method == "none":
        return made.p_value, made
    whole = choice.scope == "family"
    p_value = np.atleast_2d(made.p_value.ravel()) if whole else made.p_value
    adjusted = adjust(p_value, choice.method)
    sizes = np.maximum((~np.isnan(p_value)).sum(axis=1), 1)
    chosen = (adjusted <= alpha).sum(axis=1)
    levels = [
        simultaneous_alpha(alpha, int(size), choice.method, selected=int(count))
        for size, count in zip(sizes, chosen, strict=True)
    ]
    rows = np.zeros(made.p_value.shape[0], np.intp) if whole else np.arange(made.p_value.shape[0])
    critical = np.empty_like(made.critical)
    for level in set(levels):
        of_level = np.array([levels[row] == level for row in rows])
        critical[of_level] = at_level(level).critical(made.df[of_level], made.clock[of_level])
    return adjusted.reshape(made.p_value.shape), contrasts(found, made.pairs, at_level(alpha), critical=critical)


def check(choice: Multiplicity, *, comparisons: str, fixed: bool) -> None:
    """Refuse a method that does not belong to what is compared.

    Raises:
        InvalidInput: Dunnett's without a control, Tukey's without all pairs, or either at several looks.
    """
    if choice.of_p_values:
        return
    if not fixed:
        raise InvalidInput(
            f"{choice.method} belongs to one analysis, not to several looks", hint="use holm, sidak or hommel"
        )
    wanted = "control" if choice.method == "dunnett" else "all-pairs"
    if comparisons != wanted:
        raise InvalidInput(f"{choice.method} is for comparisons={wanted!r}, not {comparisons!r}")


def _by_estimates(
    found: Estimates, made: Contrasts, choice: Multiplicity, *, alpha: float, rule: Rule
) -> tuple[FloatArray, Contrasts]:
    p_value, critical = np.empty_like(made.p_value), np.empty_like(made.critical)
    variance = np.empty_like(found.variance)
    for row in range(len(found.metrics)):
        means = _means(found, row, choice)
        variance[row] = means.variance  # the intervals are of the variances that the p-values are of
        together = _compared(means, found, made, choice, alpha)
        places = {pair: place for place, pair in enumerate(together.pairs)}
        for column, (treatment, reference) in enumerate(made.pairs):
            pair = (found.arms.index(treatment), found.arms.index(reference))
            place = places[pair]
            p_value[row, column], critical[row, column] = together.p_value[place], together.critical[place]
    return p_value, contrasts(replace(found, variance=variance), made.pairs, rule, critical=critical)


def _means(found: Estimates, row: int, choice: Multiplicity) -> Means:
    """Give the arms of one metric, with one variance for all where the method is Tukey's."""
    n, mean, variance = found.n[row], found.mean[row], found.variance[row]
    if choice.method == "tukey":
        return Means.pooled(n, mean, variance * n)
    return Means(estimate=mean, variance=variance, degrees=np.maximum(n - 1.0, 0.0))


def _compared(means: Means, found: Estimates, made: Contrasts, choice: Multiplicity, alpha: float) -> ManyComparisons:
    if choice.method == "dunnett":
        return dunnett(means, control=found.arms.index(made.pairs[0][1]), alpha=alpha)
    return all_pairs(means, alpha=alpha)
