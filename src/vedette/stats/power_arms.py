"""Power, sample size, smallest effect or alpha where there are more than two arms.

References:
    Cohen, Statistical power analysis for the behavioral sciences, 2nd ed. (1988), chapters 7 and 8.
    Dunnett, "A multiple comparison procedure for comparing several treatments with a control", JASA 50 (1955).
    Bechhofer, "A single-sample multiple decision procedure for ranking means of normal populations with known
    variances", Ann. Math. Statist. 25 (1954): the least favourable configuration.
    Berger, "Multiparameter hypothesis testing and acceptance sampling", Technometrics 24 (1982): intersection-union.
"""

import math
from enum import StrEnum

import numpy as np
from scipy.special import chdtri, chndtr, fdtri, ncfdtr, ndtr, ndtri

from vedette.kernel.errors import InvalidInput
from vedette.stats.largest import sharing_one
from vedette.stats.planning import Power, positive, solve
from vedette.stats.sequential import Side

_PLACES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(96)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()


class Correction(StrEnum):
    """How the level of several comparisons with one control is kept."""

    DUNNETT = "dunnett"
    BONFERRONI = "bonferroni"
    NONE = "none"


class Success(StrEnum):
    """What counts as success where several arms have the same effect."""

    EACH = "each"
    ANY = "any"
    ALL = "all"


def anova(
    *,
    arms: int,
    n: float | None = None,
    effect: float | None = None,
    alpha: float | None = 0.05,
    power: float | None = None,
) -> Power:
    """Any difference between arms of equal size, by the noncentral F (pwr.anova.test); leave out one of four (None).

    Args:
        arms: How many, 2 or more.
        n: Size of each arm.
        effect: Cohen's f, the standard deviation of the arms' means over that within arms (`cohen_f`).
        alpha: Level of the test.
        power: Probability to reject.

    Raises:
        InvalidInput: Fewer than two arms, not exactly one is left out, or a number is out of range.
    """
    count = _arms(arms)

    def power_of(size: float, shift: float, level: float) -> float:
        between, within = count - 1.0, (size - 1.0) * count
        return _beyond(ncfdtr(between, within, shift * shift * count * size, fdtri(between, within, 1.0 - level)))

    return solve(
        power_of,
        n=n,
        effect=effect,
        alpha=alpha,
        power=power,
        side=Side.BOTH,
        smallest=2.0,
        arms=(1.0,) * arms,
        convention=f"one-way analysis of variance of {arms} arms, noncentral F, effect is Cohen's f",
        one_statistic=False,
    )


def chi_square(
    *,
    df: int,
    n: float | None = None,
    effect: float | None = None,
    alpha: float | None = 0.05,
    power: float | None = None,
) -> Power:
    """Pearson's chi-square of a table or of shares, by the noncentral chi-square (pwr.chisq.test); leave out one.

    Args:
        df: Degrees of freedom: (rows - 1)(columns - 1), or categories less one.
        n: Units in all.
        effect: Cohen's w, `sqrt(sum((p1 - p0)**2 / p0))` over the cells.
        alpha: Level of the test.
        power: Probability to reject.

    Raises:
        InvalidInput: No degrees of freedom, not exactly one is left out, or a number is out of range.
    """
    if df < 1:
        raise InvalidInput(f"a table has one degree of freedom or more, not {df}", hint="(rows - 1)(columns - 1)")

    def power_of(size: float, shift: float, level: float) -> float:
        return _beyond(chndtr(chdtri(df, level), df, size * shift * shift))

    return solve(
        power_of,
        n=n,
        effect=effect,
        alpha=alpha,
        power=power,
        side=Side.BOTH,
        arms=(1.0,),
        convention=f"Pearson's chi-square with {df} degrees of freedom, noncentral, effect is Cohen's w, n in all",
        one_statistic=False,
    )


def versus_control(
    *,
    arms: int,
    n: float | None = None,
    effect: float | None = None,
    alpha: float | None = 0.05,
    power: float | None = None,
    sd: float = 1.0,
    ratio: float = 1.0,
    side: Side = Side.BOTH,
    correction: Correction = Correction.DUNNETT,
    success: Success = Success.EACH,
) -> Power:
    """Several treatments, all with the same effect, each against one control; leave out one of four (None).

    Args:
        arms: How many treatments, without the control.
        n: Size of the control arm.
        effect: Of every treatment.
        alpha: Probability of any false rejection (of each, without correction).
        power: Probability of success.
        sd: Standard deviation; for proportions the square root of p (1 - p).
        ratio: Size of each treatment arm over that of the control; `1 / sqrt(arms)` needs the fewest units in all.
        side: Which departures count.
        correction: How the level is kept.
        success: A given one is found, any, or all of them.

    Raises:
        InvalidInput: No treatment, not exactly one is left out, or a number is out of range.
    """
    if arms < 1:
        raise InvalidInput(f"there is at least one treatment, not {arms}", hint="arms does not count the control")
    positive("sd", sd)
    positive("ratio", ratio)
    rule, goal = Correction(correction), Success(success)
    loading = math.sqrt(ratio / (1.0 + ratio))
    largest = sharing_one([loading] * arms, side) if rule is Correction.DUNNETT and arms > 1 else None

    def power_of(size: float, shift: float, level: float) -> float:
        if largest is None:
            share = arms if rule is Correction.BONFERRONI else 1
            tail = level / (share * (2.0 if side == Side.BOTH else 1.0))
            limit = -float(ndtri(tail))
        else:
            limit = float(largest.critical(min(level, 0.5 - 1e-9)))
        centre = shift / (sd * math.sqrt((1.0 + 1.0 / ratio) / size))
        found = ndtr((centre - limit - loading * _PLACES) / math.sqrt(1.0 - loading * loading))
        if goal is Success.EACH or arms == 1:
            return float(ndtr(centre - limit))
        success_given = found**arms if goal is Success.ALL else 1.0 - (1.0 - found) ** arms
        return float(_WEIGHTS @ success_given)

    words = {Success.EACH: "a given one", Success.ANY: "any one", Success.ALL: "all"}[goal]
    return solve(
        power_of,
        n=n,
        effect=effect,
        alpha=alpha,
        power=power,
        side=side,
        arms=(1.0,) + (ratio,) * arms,
        convention=f"{arms} treatments against one control, z tests, {rule} level, power to find {words} of them",
        one_statistic=False,
    )


def leader_versus_all(
    *,
    arms: int,
    n: float | None = None,
    effect: float | None = None,
    alpha: float | None = 0.025,
    power: float | None = None,
    sd: float = 1.0,
) -> Power:
    """Declare the best arm the winner if it beats every other one at a one-sided level; leave out one of four (None).

    The least favourable configuration is planned for: one arm is better by `effect`, all others are equal. The level
    needs no correction, because the winner must beat all (an intersection-union test).

    Args:
        arms: How many, 2 or more.
        n: Size of each arm.
        effect: By how much the best is better than the rest.
        alpha: One-sided level of each comparison.
        power: Probability that the best arm is declared the winner.
        sd: Standard deviation within an arm.

    Raises:
        InvalidInput: Fewer than two arms, not exactly one is left out, or a number is out of range.
    """
    count = _arms(arms)
    positive("sd", sd)

    def power_of(size: float, shift: float, level: float) -> float:
        gap = shift * math.sqrt(size) / sd + float(ndtri(level)) * math.sqrt(2.0)
        return float(_WEIGHTS @ ndtr(_PLACES + gap) ** (count - 1.0))

    return solve(
        power_of,
        n=n,
        effect=effect,
        alpha=alpha,
        power=power,
        side=Side.GREATER,
        arms=(1.0,) * arms,
        convention=f"best of {arms} arms beats each other one, one-sided z tests without correction, others all equal",
        one_statistic=False,
    )


def pick_the_best(
    *, arms: int, n: float | None = None, effect: float | None = None, power: float | None = None, sd: float = 1.0
) -> Power:
    """Simply take the arm with the largest mean; leave out one of `n`, `effect` and `power` (None).

    `power` is the probability that it is the best one, where that is better by `effect` and the others are equal (the
    least favourable configuration). Without data it is one in `arms`. Nothing is tested: `alpha` is 0.5, which is what
    taking the larger of two amounts to. Other arguments and errors as for `leader_versus_all`.
    """
    found = leader_versus_all(arms=arms, n=n, effect=effect, alpha=0.5, power=power, sd=sd)
    return found.restated(found.effect, f"the largest of {arms} means is taken, no test, others all equal")


def cohen_f(means: tuple[float, ...], sd: float) -> float:
    """Effect size of arms of equal size: the standard deviation of their means over that within an arm."""
    positive("sd", sd)
    _arms(len(means))
    return float(np.std(np.asarray(means, np.float64))) / sd


def _arms(arms: int) -> float:
    if arms < 2:
        raise InvalidInput(f"a comparison takes two arms or more, not {arms}", hint="count the control too")
    return float(arms)


def _beyond(below: float) -> float:
    """Upper tail of a noncentral distribution; it is 1 where the lower one is too small for the library to say."""
    return 1.0 if math.isnan(below) else 1.0 - float(below)
