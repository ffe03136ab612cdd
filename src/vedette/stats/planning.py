"""What all answers about power have in common: their shape, how they are solved, the tails of z and t.

`power` asks about means, `power_proportions` about proportions and rates, `power_arms` about more than two arms,
`power_sequential` about designs that are looked at more than once.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import brentq
from scipy.special import chdtr, nctdtr, ndtr, ndtri, stdtrit

from vedette.kernel.errors import InvalidInput
from vedette.stats.sequential import Side

PowerFunction = Callable[[float, float, float], float]
"""Power from the size of the first arm, the effect's size in the direction that counts, and alpha."""

_LARGEST_SIZE = 1e13
_LARGEST_NONCENTRALITY = 37.0
_MANY_DEGREES = 1000.0
_SMALLEST_ALPHA = 1e-300


@dataclass(frozen=True, slots=True, kw_only=True)
class Power:
    """An answer, with all that it rests on.

    Attributes:
        solved: Which of the numbers was not given: `n`, `effect`, `alpha` or `power`.
        n: Exact size of each arm, control first (of the one sample, where there is one).
        effect: In the unit of the question; for `LESS` below 0.
        alpha: Level of the test.
        power: Probability to reject.
        side: Which departures count.
        drift: By how many standard errors the effect is expected to stand out, in the direction that counts: what a
            sequential design of the same question rests on. None where no single z-value is tested.
        convention: Of the calculation, in words.
        method: How it was solved, in words.
    """

    solved: str
    n: tuple[float, ...]
    effect: float
    alpha: float
    power: float
    side: Side
    drift: float | None
    convention: str
    method: str

    @property
    def n_per_arm(self) -> tuple[int, ...]:
        """Size of each arm, rounded up (but not for an error of the last digits)."""
        return tuple(round_up(size) for size in self.n)

    @property
    def n_total(self) -> int:
        """Size of all arms together, each rounded up."""
        return sum(self.n_per_arm)

    def restated(self, effect: float, convention: str) -> "Power":
        """The same answer, to a question that was put in other words."""
        return replace(self, effect=effect, convention=convention)


def round_up(size: float) -> int:
    """Whole number that is not smaller, except by an error of the last digits."""
    return math.ceil(size * (1.0 - 1e-10))


def solve(
    power_of: PowerFunction,
    *,
    n: float | None,
    effect: float | None,
    alpha: float | None,
    power: float | None,
    side: Side,
    convention: str,
    arms: tuple[float, ...],
    smallest: float = 1e-9,
    largest: float = 1e12,
    one_statistic: bool = True,
) -> Power:
    """Find the one number that is None from the others; all of them move power in one direction.

    Args:
        power_of: Power from size of the first arm, size of the effect, and alpha.
        n: Size of the first arm.
        effect: Signed for one side.
        alpha: Level.
        power: Probability to reject.
        side: Which departures count.
        convention: Of the answer, in words.
        arms: Size of each arm over that of the first.
        smallest: Size below which there is no test.
        largest: Size of the largest effect there can be.
        one_statistic: A single, about normal statistic is tested at `alpha`.

    Raises:
        InvalidInput: Not exactly one is None, one is out of range, or no value gives that power.
    """
    solved = _left_out(n=n, effect=effect, alpha=alpha, power=power)
    toward = None if effect is None else {Side.BOTH: abs(effect), Side.GREATER: effect, Side.LESS: -effect}[side]
    _check(n, toward, alpha, power, smallest=smallest, largest=largest)
    method, reached = "closed form", power
    values = {name: value or 0.0 for name, value in (("n", n), ("effect", toward), ("alpha", alpha))}
    if power is not None:
        method = f"{solved} by Brent's method on the power"
        low, high = {
            "n": (smallest, _LARGEST_SIZE),
            "effect": (1e-12, largest),
            "alpha": (_SMALLEST_ALPHA, 1.0 - 1e-12),
        }[solved]

        def excess(logarithm: float) -> float:
            return power_of(*(values | {solved: math.exp(logarithm)}).values()) - power

        if solved == "n" and excess(math.log(low)) >= 0.0:
            method, reached, values["n"] = "the smallest sample there is a test for", None, low
        else:
            values[solved] = math.exp(_between(excess, math.log(low), math.log(high), solved))
    if reached is None:
        reached = power_of(*values.values())
    n, toward, alpha = values.values()
    drift = float(ndtri(min(reached, 1.0 - 1e-16)) - ndtri(one_tail(alpha, side)))
    return Power(
        solved=solved,
        n=tuple(n * share for share in arms),
        effect=-toward if side == Side.LESS else toward if effect is None else effect,
        alpha=alpha,
        power=reached,
        side=side,
        drift=drift if one_statistic else None,
        convention=convention,
        method=method,
    )


def z_power(shift: float, null_error: float, error: float, alpha: float, side: Side, *, strict: bool) -> float:
    """Power of a z test: `null_error` is the standard error it is made with, `error` the true one."""
    limit = -float(ndtri(one_tail(alpha, side))) * null_error
    wrong = float(ndtr((-shift - limit) / error)) if strict and side == Side.BOTH else 0.0
    return float(ndtr((shift - limit) / error)) + wrong


def t_power(noncentrality: float, df: float, alpha: float, side: Side, *, strict: bool) -> float:
    """Power of a t test, by the noncentral t distribution."""
    limit = -float(stdtrit(df, one_tail(alpha, side)))
    wrong = _beyond(-noncentrality, df, limit) if strict and side == Side.BOTH else 0.0
    return _beyond(noncentrality, df, limit) + wrong


def one_tail(alpha: float, side: Side) -> float:
    """Level of one tail."""
    return alpha / 2.0 if side == Side.BOTH else alpha


def tails(side: Side, *, strict: bool) -> str:
    """Which rejections count, in words."""
    if side != Side.BOTH:
        return "one-sided"
    return "two-sided, both tails counted" if strict else "two-sided, only the right direction counted"


def positive(name: str, value: float) -> None:
    """Refuse what is not a finite number above 0.

    Raises:
        InvalidInput: as said.
    """
    if not (math.isfinite(value) and value > 0.0):
        raise InvalidInput(f"{name} is a number above 0, not {value}", hint=f"check how {name} was computed")


def _left_out(**values: float | None) -> str:
    missing = [name for name, value in values.items() if value is None]
    if len(missing) != 1:
        raise InvalidInput(
            f"leave out exactly one of {', '.join(values)}, not {' and '.join(missing) or 'none'}",
            hint="the one that is None is what is asked; alpha has a default, pass alpha=None to ask for it",
        )
    return missing[0]


def _check(
    n: float | None, toward: float | None, alpha: float | None, power: float | None, *, smallest: float, largest: float
) -> None:
    if n is not None and not (math.isfinite(n) and n >= smallest):
        raise InvalidInput(f"an arm of {n} is too small for a test", hint=f"it takes {smallest:.6g} or more")
    if toward is not None and not 0.0 < toward <= largest:
        raise InvalidInput(
            f"an effect of size {toward} in the direction that counts is not between 0 and {largest:g}",
            hint="give it the sign of the side: above 0 for GREATER, below 0 for LESS",
        )
    for name, value in (("alpha", alpha), ("power", power)):
        if value is not None and not 0.0 < value < 1.0:
            raise InvalidInput(f"{name} lies between 0 and 1, not at {value}", hint=f"{name} is a probability")


def _between(excess: Callable[[float], float], low: float, high: float, name: str) -> float:
    """Root of an increasing function of a logarithm."""
    if excess(low) > 0.0:
        raise InvalidInput(f"any {name} gives more power than that", hint="ask for a larger power")
    if excess(high) < 0.0:
        raise InvalidInput(f"no {name} gives that power", hint="ask for a larger effect, or for less power")
    return float(brentq(excess, low, high, xtol=1e-13, rtol=1e-14, maxiter=500))


def _beyond(noncentrality: float, df: float, limit: float) -> float:
    """Probability that noncentral t, (Z + noncentrality) / S, exceeds a limit.

    Where the library has no answer (for large noncentralities, and some large df), S is about normal, or, with few
    degrees of freedom, Z is averaged over.
    """
    if abs(noncentrality) <= _LARGEST_NONCENTRALITY:
        below = float(nctdtr(df, noncentrality, limit))
        if not math.isnan(below):
            return 1.0 - below
    if limit <= 0.0:
        return 1.0 - _beyond(-noncentrality, df, -limit) if limit else float(ndtr(noncentrality))
    if df > _MANY_DEGREES:
        return float(ndtr((noncentrality - limit) / math.sqrt(1.0 + limit * limit / (2.0 * df))))
    places, weights = np.polynomial.hermite_e.hermegauss(32)
    reached = np.maximum(places + noncentrality, 0.0) / limit
    return float(weights @ chdtr(df, df * reached * reached) / weights.sum())
