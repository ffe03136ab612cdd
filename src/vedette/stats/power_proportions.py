"""Power, sample size, smallest effect or alpha for proportions and for rates, in each convention in use.

For 20 % against 25 % at power 0.8 the conventions ask for 1,030 to 1,094 units an arm, so the answer names its own.

References:
    Fleiss, Levin & Paik, Statistical methods for rates and proportions, 3rd ed. (2003), chapter 4.
    Cohen, Statistical power analysis for the behavioral sciences, 2nd ed. (1988), chapter 6 (arcsine).
    Miller, "Sample size calculator", evanmiller.org/ab-testing/sample-size.html.
    Zhu & Lakkis, "Sample size calculation for comparing two negative binomial rates", Stat. in Medicine 33 (2014).
"""

import math
from enum import StrEnum

from vedette.kernel.errors import InvalidInput
from vedette.stats.planning import Power, positive, solve, tails, z_power
from vedette.stats.sequential import Side


class ProportionConvention(StrEnum):
    """Which variances a z test of two proportions is planned with."""

    POOLED = "pooled"
    UNPOOLED = "unpooled"
    BASELINE_NULL = "baseline_null"
    BASELINE = "baseline"
    ARCSINE = "arcsine"


_WORDS = {
    ProportionConvention.POOLED: "pooled variance under the null, unpooled under the alternative "
    "(R power.prop.test; with both tails, G*Power)",
    ProportionConvention.UNPOOLED: "unpooled variance under both (Wald)",
    ProportionConvention.BASELINE_NULL: "the control's variance in both arms under the null, unpooled under the "
    "alternative (Evan Miller)",
    ProportionConvention.BASELINE: "the control's variance in both arms under both (spotify-confidence)",
    ProportionConvention.ARCSINE: "arcsine transformation (Cohen's h; pwr.2p.test)",
}


def two_proportions(
    *,
    control: float,
    n: float | None = None,
    effect: float | None = None,
    alpha: float | None = 0.05,
    power: float | None = None,
    ratio: float = 1.0,
    side: Side = Side.BOTH,
    convention: ProportionConvention = ProportionConvention.POOLED,
    strict: bool = False,
) -> Power:
    """Difference of two proportions; leave out one of `n`, `effect`, `alpha` and `power` (None).

    Args:
        control: Proportion in the control arm, between 0 and 1.
        n: Size of the control arm.
        effect: Treatment minus control, in points (0.05 is from 20 % to 25 %); the sign matters for two sides too,
            as proportions nearer to 0.5 vary more. If asked for, the increase, or for `LESS` the decrease.
        alpha: Level of the test.
        power: Probability to reject.
        ratio: Size of the treatment arm over that of the control arm.
        side: Which departures count.
        convention: Which variances are taken.
        strict: Count rejection in the wrong direction too.

    Raises:
        InvalidInput: Not exactly one is left out, or a number is out of range.
    """
    if not 0.0 < control < 1.0:
        raise InvalidInput(f"a proportion lies between 0 and 1, not at {control}", hint="0.2 is 20 %")
    positive("ratio", ratio)
    known = ProportionConvention(convention)
    falling = side == Side.LESS or (effect is not None and effect < 0.0)
    sign, room = (-1.0, control) if falling else (1.0, 1.0 - control)
    own = control * (1.0 - control)

    def power_of(size: float, shift: float, level: float) -> float:
        treated = min(max(control + sign * shift, 0.0), 1.0)
        other = treated * (1.0 - treated)
        unpooled = math.sqrt((own + other / ratio) / size)
        even = math.sqrt((1.0 + 1.0 / ratio) / size)
        together = (control + ratio * treated) / (1.0 + ratio)
        if known is ProportionConvention.ARCSINE:
            shift, errors = abs(_arcsine(treated) - _arcsine(control)), (even, even)
        else:
            errors = {
                ProportionConvention.POOLED: (math.sqrt(together * (1.0 - together)) * even, unpooled),
                ProportionConvention.UNPOOLED: (unpooled, unpooled),
                ProportionConvention.BASELINE_NULL: (math.sqrt(own) * even, unpooled),
                ProportionConvention.BASELINE: (math.sqrt(own) * even, math.sqrt(own) * even),
            }[known]
        return z_power(shift, *errors, level, side, strict=strict)

    return solve(
        power_of,
        n=n,
        effect=effect,
        alpha=alpha,
        power=power,
        side=side,
        largest=room * (1.0 - 1e-12),
        arms=(1.0, ratio),
        convention=f"two proportions, {_WORDS[known]}, {tails(side, strict=strict)}",
    )


def arcsine_difference(
    *,
    n: float | None = None,
    effect: float | None = None,
    alpha: float | None = 0.05,
    power: float | None = None,
    ratio: float = 1.0,
    side: Side = Side.BOTH,
    strict: bool = True,
) -> Power:
    """Two proportions by Cohen's h alone (`cohen_h`), as pwr.2p.test and pwr.2p2n.test; arguments as `two_means`."""
    positive("ratio", ratio)

    def power_of(size: float, shift: float, level: float) -> float:
        error = math.sqrt((1.0 + 1.0 / ratio) / size)
        return z_power(shift, error, error, level, side, strict=strict)

    return solve(
        power_of,
        n=n,
        effect=effect,
        alpha=alpha,
        power=power,
        side=side,
        largest=math.pi,
        arms=(1.0, ratio),
        convention=f"two proportions, {_WORDS[ProportionConvention.ARCSINE]}, {tails(side, strict=strict)}",
    )


def one_proportion(
    *,
    null: float,
    n: float | None = None,
    effect: float | None = None,
    alpha: float | None = 0.05,
    power: float | None = None,
    side: Side = Side.BOTH,
    arcsine: bool = False,
    strict: bool = False,
) -> Power:
    """A proportion against a fixed one; arguments and errors as for `two_proportions`.

    The z test has the null's variance under the null and the true one under the alternative; with `arcsine` it is
    pwr.p.test's.
    """
    if not 0.0 < null < 1.0:
        raise InvalidInput(f"a proportion lies between 0 and 1, not at {null}", hint="0.2 is 20 %")
    falling = side == Side.LESS or (effect is not None and effect < 0.0)
    sign, room = (-1.0, null) if falling else (1.0, 1.0 - null)

    def power_of(size: float, shift: float, level: float) -> float:
        true = min(max(null + sign * shift, 0.0), 1.0)
        errors = math.sqrt(null * (1.0 - null) / size), math.sqrt(true * (1.0 - true) / size)
        if arcsine:
            shift, errors = abs(_arcsine(true) - _arcsine(null)), (1.0 / math.sqrt(size), 1.0 / math.sqrt(size))
        return z_power(shift, *errors, level, side, strict=strict)

    words = _WORDS[ProportionConvention.ARCSINE] if arcsine else "null variance under the null, true one otherwise"
    return solve(
        power_of,
        n=n,
        effect=effect,
        alpha=alpha,
        power=power,
        side=side,
        largest=room * (1.0 - 1e-12),
        arms=(1.0,),
        convention=f"one proportion, {words}, {tails(side, strict=strict)}",
    )


def two_rates(
    *,
    control: float,
    n: float | None = None,
    effect: float | None = None,
    alpha: float | None = 0.05,
    power: float | None = None,
    ratio: float = 1.0,
    dispersion: float = 0.0,
    exposure: float = 1.0,
    side: Side = Side.BOTH,
    strict: bool = False,
) -> Power:
    """Ratio of two event rates, by a Wald test of its logarithm; leave out one of four (None).

    Args:
        control: Events per unit of exposure in the control arm, above 0.
        n: Units in the control arm.
        effect: Rate ratio minus 1 (0.1 is 10 % more events); above -1.
        alpha: Level of the test.
        power: Probability to reject.
        ratio: Size of the treatment arm over that of the control arm.
        dispersion: Of a negative binomial count, its variance being `mean + dispersion * mean**2`; 0 is Poisson.
        exposure: Of each unit.
        side: Which departures count.
        strict: Count rejection in the wrong direction too.

    Raises:
        InvalidInput: Not exactly one is left out, or a number is out of range.
    """
    for name, value in (("control", control), ("ratio", ratio), ("exposure", exposure)):
        positive(name, value)
    if not dispersion >= 0.0:
        raise InvalidInput(f"a dispersion is 0 or more, not {dispersion}", hint="0 is Poisson")
    falling = side == Side.LESS or (effect is not None and effect < 0.0)

    def power_of(size: float, shift: float, level: float) -> float:
        factor = 1.0 - shift if falling else 1.0 + shift
        mean = control * exposure
        variance = 1.0 / mean + 1.0 / (ratio * mean * factor) + dispersion * (1.0 + 1.0 / ratio)
        error = math.sqrt(variance / size)
        return z_power(abs(math.log(factor)), error, error, level, side, strict=strict)

    # When hardly an event is left, the logarithm varies so much that power falls again: no smallest effect lies there.
    most = 1.0 - math.exp(-2.0) if effect is None else 1.0 - 1e-9
    kind = "Poisson" if dispersion == 0.0 else f"negative binomial, dispersion {dispersion:g}"
    return solve(
        power_of,
        n=n,
        effect=effect,
        alpha=alpha,
        power=power,
        side=side,
        largest=most if falling else 1e6,
        arms=(1.0, ratio),
        convention=f"two rates, {kind}, Wald test of the log rate ratio, unpooled, {tails(side, strict=strict)}",
    )


def cohen_h(first: float, second: float) -> float:
    """Effect size of two proportions on the arcsine scale."""
    return _arcsine(first) - _arcsine(second)


def _arcsine(proportion: float) -> float:
    return 2.0 * math.asin(math.sqrt(proportion))
