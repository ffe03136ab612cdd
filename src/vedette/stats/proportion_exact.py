"""Exact tests of two proportions: their level holds at every sample size.

Fisher conditions on the total of successes, and is the most cautious. Barnard and Boschloo maximise over the unknown
common share instead: more power at the price of computing, which grows with the product of the arm sizes and takes
seconds at a thousand per arm. By then the score test of `proportions.difference` is as good.

References:
    Fisher, The Design of Experiments (1935): the lady tasting tea.
    Barnard, "Significance tests for 2 × 2 tables", Biometrika 34 (1947).
    Boschloo, Statistica Neerlandica 24 (1970).
    Mehta & Senchaudhuri, "Conditional versus unconditional exact tests" (2003).
"""

import math
from collections.abc import Callable

import numpy as np
from scipy.optimize import brentq
from scipy.special import gammaln
from scipy.stats import barnard_exact, boschloo_exact, fisher_exact

from vedette.evidence.summary import FloatArray
from vedette.kernel.errors import InvalidInput
from vedette.stats.cautions import Caution
from vedette.stats.finding import Finding, tail
from vedette.stats.proportion_intervals import Counts
from vedette.stats.proportion_results import conclude
from vedette.stats.proportions import empty, require_single, require_whole
from vedette.stats.sequential import Side, require_alpha

_MOST_TABLES = 1_000_000  # product of the arm sizes: some twenty seconds for Boschloo, and two for Barnard

_FARTHEST = 600.0  # the logarithm of an odds ratio that is still a float

_ALTERNATIVE = {Side.GREATER: "greater", Side.LESS: "less", Side.BOTH: "two-sided"}


def fisher(treatment: Counts, control: Counts, *, alpha: float = 0.05, side: Side = Side.BOTH) -> Finding:
    """Fisher's exact test, with the conditional odds ratio and its exact interval, as R's fisher.test gives them.

    The two-sided p-value sums all tables no likelier than the observed one, the interval has alpha / 2 in each tail, so
    near alpha the two may disagree: `UNMATCHED`. One-sided they agree. There is no statistic.

    Raises:
        InvalidInput: counts are not whole, or `alpha` is not between 0 and 0.5.
    """
    table, warnings = _table(treatment, control, alpha)
    n = treatment.trials + control.trials
    if warnings:
        nothing = math.nan
        return conclude(
            nothing, (nothing, nothing), n=n, null=1.0, side=side, method="fisher_conditional", warnings=warnings
        )
    p_value = float(fisher_exact(table, _ALTERNATIVE[side]).pvalue)
    estimate, ends = _conditional_odds(treatment, control, tail(alpha, side))
    return conclude(
        estimate,
        ends,
        n=n,
        null=1.0,
        side=side,
        method="fisher_conditional",
        p_value=p_value,
        warnings=(Caution.UNMATCHED,) if side is Side.BOTH else (),
    )


def barnard(treatment: Counts, control: Counts, *, side: Side = Side.BOTH, pooled: bool = True) -> Finding:
    """Barnard's unconditional exact test of no difference, ordering tables by the pooled (or unpooled) z-score.

    The estimate is the difference of the shares; there is no interval. `statistic` is the z-score.

    Raises:
        InvalidInput: counts are not whole, or the arms too large to enumerate.
    """
    method = "barnard_pooled" if pooled else "barnard_unpooled"
    table, warnings = _table(treatment, control)
    if warnings:
        return _of_difference(treatment, control, side, method, math.nan, math.nan)
    _require_small(treatment, control)
    result = barnard_exact(table, _ALTERNATIVE[side], pooled=pooled)
    return _of_difference(treatment, control, side, method, float(result.pvalue), float(result.statistic))


def boschloo(treatment: Counts, control: Counts, *, side: Side = Side.BOTH) -> Finding:
    """Boschloo's unconditional exact test of no difference, ordering tables by Fisher's p-value.

    The estimate is the difference of the shares; there is no interval. `statistic` is Fisher's p-value of the side (of
    the smaller one, two-sided), and the two-sided p-value twice the smaller one-sided one.

    Raises:
        InvalidInput: counts are not whole, or the arms too large to enumerate.
    """
    table, warnings = _table(treatment, control)
    if warnings:
        return _of_difference(treatment, control, side, "boschloo", math.nan, math.nan)
    _require_small(treatment, control)
    result = boschloo_exact(table, _ALTERNATIVE[side])
    return _of_difference(treatment, control, side, "boschloo", float(result.pvalue), float(result.statistic))


def _table(treatment: Counts, control: Counts, alpha: float = 0.05) -> tuple[list[list[int]], tuple[Caution, ...]]:
    """Give successes and failures by arm, arms in columns, and why no test is possible."""
    require_single(treatment, control)
    require_whole(treatment, control)
    require_alpha(alpha)
    arms = (treatment, control)
    table = [[int(arm.successes) for arm in arms], [int(arm.failures) for arm in arms]]
    return table, empty(*arms) or (() if all(map(sum, table)) else (Caution.NO_VARIANCE,))


def _conditional_odds(treatment: Counts, control: Counts, outside: float) -> tuple[float, tuple[float, float]]:
    """Likeliest odds ratio given all margins, and the ends beyond which the observed table is in a tail of `outside`.

    Treatment's successes then have weights C(n, k) C(m, total - k) times the k-th power of the odds ratio (Fisher's
    noncentral hypergeometric distribution), summed over the whole support.
    """
    observed, total = float(treatment.successes), float(treatment.successes + control.successes)
    least, most = max(0.0, total - float(control.trials)), min(float(treatment.trials), total)
    support = np.arange(least, most + 1.0)
    arrangements = -(
        gammaln(support + 1.0)
        + gammaln(treatment.trials - support + 1.0)
        + gammaln(total - support + 1.0)
        + gammaln(control.trials - total + support + 1.0)
    )

    def expectation(of: FloatArray, log_odds: float) -> float:
        weight = arrangements + support * log_odds
        chance = np.exp(weight - weight.max())
        return float((of * chance).sum() / chance.sum())

    estimate = _odds_where(lambda log_odds: expectation(support - observed, log_odds))
    low = _odds_where(lambda log_odds: expectation(np.where(support >= observed, 1.0, 0.0), log_odds) - outside)
    high = _odds_where(lambda log_odds: outside - expectation(np.where(support <= observed, 1.0, 0.0), log_odds))
    if observed == least:
        estimate, low = 0.0, 0.0
    if observed == most:
        estimate, high = math.inf, math.inf
    return estimate, (low, high)


def _odds_where(rises: Callable[[float], float]) -> float:
    """Odds ratio at which a function that grows with its logarithm passes 0; not a number if it nowhere does."""
    reach = 1.0
    while rises(-reach) > 0 or rises(reach) < 0:
        reach *= 2.0
        if reach > _FARTHEST:
            return math.nan
    return math.exp(brentq(rises, -reach, reach, xtol=1e-14))


def _require_small(treatment: Counts, control: Counts) -> None:
    if treatment.trials * control.trials > _MOST_TABLES:
        raise InvalidInput(
            f"arms of {treatment.trials:g} and {control.trials:g} are too large to enumerate",
            hint="at that size the score test, proportions.difference, is as good; or use fisher",
        )


def _of_difference(
    treatment: Counts, control: Counts, side: Side, method: str, p_value: float, statistic: float
) -> Finding:
    return conclude(
        treatment.share - control.share,
        (math.nan, math.nan),
        n=treatment.trials + control.trials,
        null=0.0,
        side=side,
        method=method,
        p_value=p_value,
        statistic=statistic,
        warnings=(*empty(treatment, control), Caution.NO_INTERVAL),
    )
