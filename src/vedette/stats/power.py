"""How many units does it take? Power, sample size, smallest effect or alpha: any one from the other three.

Calculators differ by several per cent for the same question, because they differ in convention: t or z, which variance
stands under the null, whether rejecting in the wrong direction counts. So every answer names its convention in words.
By default the wrong direction is not counted, as in R's power.t.test and power.prop.test; `strict` counts it, as the R
package pwr does. Sizes are exact (as if units could be cut) and, per arm, rounded up.

An effect is treatment minus control, signed for the sides `GREATER` and `LESS`, a size for `BOTH`.

References:
    Cohen, Statistical power analysis for the behavioral sciences, 2nd ed. (1988).
    Chow, Shao, Wang & Lokhnygina, Sample size calculations in clinical research, 3rd ed. (2017).
    Kish, Survey sampling (1965); Eldridge, Ashby & Kerry, Int. J. Epidemiology 35 (2006): the design effect.
    Deng, Xu, Kohavi & Walker, "Improving the sensitivity of online controlled experiments …", WSDM 2013 (CUPED).
"""

import math
from enum import StrEnum

from scipy.special import ndtr, ndtri, stdtrit

from vedette.kernel.errors import InvalidInput
from vedette.stats.planning import Power, one_tail, positive, solve, t_power, tails, z_power
from vedette.stats.sequential import Side


class Distribution(StrEnum):
    """What a difference of means is compared with."""

    T = "t"
    Z = "z"


def two_means(
    *,
    n: float | None = None,
    effect: float | None = None,
    alpha: float | None = 0.05,
    power: float | None = None,
    sd: float = 1.0,
    sd_treatment: float | None = None,
    ratio: float = 1.0,
    side: Side = Side.BOTH,
    distribution: Distribution = Distribution.T,
    variance_factor: float = 1.0,
    strict: bool = False,
) -> Power:
    """Difference of two means; leave out one of `n`, `effect`, `alpha` and `power` (None).

    With t and one standard deviation, the noncentral t of the pooled test is exact; with two of them, the degrees of
    freedom are Welch's.

    Args:
        n: Size of the control arm.
        effect: Difference of the means.
        alpha: Level of the test.
        power: Probability to reject.
        sd: Standard deviation; for a ratio metric take `ratio_sd`.
        sd_treatment: That of the treatment, if it differs.
        ratio: Size of the treatment arm over that of the control arm.
        side: Which departures count.
        distribution: `T` for t, `Z` for a known variance (or a large sample).
        variance_factor: Multiplies the variances: `cuped_factor`, `design_effect`, or their product.
        strict: Count rejection in the wrong direction too.

    Raises:
        InvalidInput: Not exactly one is left out, or a number is out of range.
    """
    other = sd if sd_treatment is None else sd_treatment
    for name, value in (("sd", sd), ("sd_treatment", other), ("ratio", ratio), ("variance_factor", variance_factor)):
        positive(name, value)
    first, second = sd * sd * variance_factor, other * other * variance_factor / ratio
    welch = sd_treatment is not None

    def power_of(size: float, shift: float, level: float) -> float:
        error = math.sqrt((first + second) / size)
        if distribution == Distribution.Z:
            return z_power(shift, error, error, level, side, strict=strict)
        df = size * (1.0 + ratio) - 2.0
        if welch:
            df = (first + second) ** 2 / (first * first / (size - 1.0) + second * second / (ratio * size - 1.0))
        return t_power(shift / error, df, level, side, strict=strict)

    smallest = 1e-9 if distribution == Distribution.Z else 2.0 / min(1.0, ratio)
    kind = "z" if distribution == Distribution.Z else "Welch's t" if welch else "pooled t"
    convention = f"two means, {kind} test, {tails(side, strict=strict)}"
    if variance_factor != 1.0:
        convention += f", variances times {variance_factor:g}"
    return solve(
        power_of,
        n=n,
        effect=effect,
        alpha=alpha,
        power=power,
        side=side,
        smallest=smallest,
        arms=(1.0, ratio),
        convention=convention,
    )


def one_mean(
    *,
    n: float | None = None,
    effect: float | None = None,
    alpha: float | None = 0.05,
    power: float | None = None,
    sd: float = 1.0,
    side: Side = Side.BOTH,
    distribution: Distribution = Distribution.T,
    strict: bool = False,
) -> Power:
    """Mean against a fixed value, or of paired differences (`sd` is that of the differences).

    Arguments and errors as for `two_means`; `n` is the number of units or of pairs.
    """
    positive("sd", sd)

    def power_of(size: float, shift: float, level: float) -> float:
        error = sd / math.sqrt(size)
        if distribution == Distribution.Z:
            return z_power(shift, error, error, level, side, strict=strict)
        return t_power(shift / error, size - 1.0, level, side, strict=strict)

    smallest = 1e-9 if distribution == Distribution.Z else 2.0
    convention = f"one mean or paired differences, {distribution} test, {tails(side, strict=strict)}"
    return solve(
        power_of,
        n=n,
        effect=effect,
        alpha=alpha,
        power=power,
        side=side,
        smallest=smallest,
        arms=(1.0,),
        convention=convention,
    )


def correlation(
    *,
    n: float | None = None,
    effect: float | None = None,
    alpha: float | None = 0.05,
    power: float | None = None,
    side: Side = Side.BOTH,
    strict: bool = True,
) -> Power:
    """Correlation against zero, by Fisher's z with Cohen's correction (pwr.r.test of R); arguments as `two_means`."""

    def power_of(size: float, shift: float, level: float) -> float:
        t = -float(stdtrit(size - 2.0, one_tail(level, side)))
        scale = math.sqrt(size - 3.0)
        centre, limit = math.atanh(shift) + shift / (2.0 * (size - 1.0)), math.asinh(t / math.sqrt(size - 2.0))
        wrong = float(ndtr((-centre - limit) * scale)) if strict and side == Side.BOTH else 0.0
        return float(ndtr((centre - limit) * scale)) + wrong

    convention = f"correlation against 0, Fisher's z with Cohen's correction, {tails(side, strict=strict)}"
    return solve(
        power_of,
        n=n,
        effect=effect,
        alpha=alpha,
        power=power,
        side=side,
        smallest=4.0,
        largest=1.0 - 1e-12,
        arms=(1.0,),
        convention=convention,
    )


def non_inferiority(
    *,
    margin: float | None = None,
    true_effect: float = 0.0,
    n: float | None = None,
    alpha: float | None = 0.025,
    power: float | None = None,
    sd: float = 1.0,
    ratio: float = 1.0,
    distribution: Distribution = Distribution.Z,
    variance_factor: float = 1.0,
) -> Power:
    """Show that a mean is worse by less than a margin (one-sided); its effect is the margin, one of four to leave out.

    Args:
        margin: Tolerated worsening, above 0; None to ask for it.
        true_effect: What the effect is assumed to be, counted as improvement.
        n: As for `two_means`, as are the others.
        alpha: One-sided level.
        power: As for `two_means`.
        sd: As for `two_means`.
        ratio: As for `two_means`.
        distribution: As for `two_means`.
        variance_factor: As for `two_means`.

    Raises:
        InvalidInput: The assumed effect lies beyond the margin, or as for `two_means`.
    """
    if margin is not None:
        positive("margin", margin)
        positive("margin + true_effect", margin + true_effect)
    found = two_means(
        n=n,
        effect=None if margin is None else margin + true_effect,
        alpha=alpha,
        power=power,
        sd=sd,
        ratio=ratio,
        side=Side.GREATER,
        distribution=distribution,
        variance_factor=variance_factor,
    )
    convention = f"non-inferiority within a margin, at a true effect of {true_effect:g}; {found.convention}"
    return found.restated(found.effect - true_effect, convention)


def equivalence(
    *,
    margin: float | None = None,
    true_effect: float = 0.0,
    n: float | None = None,
    alpha: float | None = 0.05,
    power: float | None = None,
    sd: float = 1.0,
    ratio: float = 1.0,
    variance_factor: float = 1.0,
) -> Power:
    """Show that two means differ by less than a margin (two one-sided z tests at alpha); effect is the margin.

    Arguments and errors as for `non_inferiority`; `true_effect` lies within the margin.
    """
    for name, value in (("sd", sd), ("ratio", ratio), ("variance_factor", variance_factor)):
        positive(name, value)
    if margin is not None:
        positive("margin - |true_effect|", margin - abs(true_effect))

    def power_of(size: float, shift: float, level: float) -> float:
        error = sd * math.sqrt(variance_factor * (1.0 + 1.0 / ratio) / size)
        z = -float(ndtri(level))
        both = ndtr((shift + true_effect) / error - z) + ndtr((shift - true_effect) / error - z) - 1.0
        return max(float(both), 0.0)

    convention = f"equivalence of two means within a margin, at a true effect of {true_effect:g}, two one-sided z tests"
    return solve(
        power_of,
        n=n,
        effect=margin,
        alpha=alpha,
        power=power,
        side=Side.BOTH,
        smallest=1e-9,
        arms=(1.0, ratio),
        convention=convention,
        one_statistic=False,
    )


def ratio_sd(mean_top: float, mean_bottom: float, var_top: float, var_bottom: float, covariance: float) -> float:
    """Standard deviation per unit of a ratio of two means (delta method), to be the `sd` of `two_means`.

    Raises:
        InvalidInput: The lower mean is 0, or the variances contradict the covariance.
    """
    if mean_bottom == 0.0:
        raise InvalidInput("a ratio over a mean of 0 is not defined", hint="take another denominator")
    share = mean_top / mean_bottom
    variance = (var_top - 2.0 * share * covariance + share * share * var_bottom) / (mean_bottom * mean_bottom)
    positive("variance of the ratio", variance)
    return math.sqrt(variance)


def cuped_factor(correlation: float) -> float:
    """What adjusting for a covariate leaves of the variance: `1 - correlation**2`."""
    if not -1.0 < correlation < 1.0:
        raise InvalidInput(f"a correlation lies between -1 and 1, not at {correlation}", hint="of metric and covariate")
    return 1.0 - correlation * correlation


def design_effect(cluster_size: float, intraclass_correlation: float, size_variation: float = 0.0) -> float:
    """By what assigning whole clusters multiplies the variance: `1 + ((1 + cv²) m - 1) ρ`.

    Args:
        cluster_size: Mean number m of units in a cluster, 1 or more.
        intraclass_correlation: ρ, between 0 and 1.
        size_variation: Coefficient of variation cv of the cluster sizes.
    """
    if not (cluster_size >= 1.0 and 0.0 <= intraclass_correlation <= 1.0 and size_variation >= 0.0):
        raise InvalidInput(
            "a design effect needs clusters of 1 unit or more, a correlation from 0 to 1, a variation of 0 or more",
            hint="with clusters of size 1 there is nothing to correct",
        )
    return 1.0 + ((1.0 + size_variation**2) * cluster_size - 1.0) * intraclass_correlation
