"""Two arms of equal size, looked at again and again, and vedette's own rules for them.

A look of a run is a cell of arrays of shape (runs, looks). A rule says of each cell whether it claims a difference;
where nothing is known (no variance yet) it claims nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vedette.stats.contrasts import Contrasts, contrasts
from vedette.stats.contrasts import Rule as ProductRule
from vedette.stats.estimates import Estimates

Array = NDArray[np.float64]
Claims = NDArray[np.bool_]
ARMS = ("control", "treatment")
PAIR = (("treatment", "control"),)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Looks:
    """What was seen of two arms at each look.

    Attributes:
        n: Units of each arm, shape (looks,).
        control: Means so far, shape (runs, looks).
        treatment: The same of the other arm.
        control_variance: Sample variance of a unit so far.
        treatment_variance: The same of the other arm.
    """

    n: Array
    control: Array
    treatment: Array
    control_variance: Array
    treatment_variance: Array

    @property
    def effect(self) -> Array:
        """Treatment minus control."""
        return self.treatment - self.control

    @property
    def standard_error(self) -> Array:
        """Of the effect, each arm with its own variance; not a number where it would be 0."""
        variance = (self.control_variance + self.treatment_variance) / self.n
        return np.sqrt(np.where(variance > 0, variance, np.nan))

    @property
    def z(self) -> Array:
        """The effect in standard errors."""
        return self.effect / self.standard_error

    def at(self, sizes: Array) -> "Looks":
        """Keep the looks at these sizes."""
        kept = np.searchsorted(self.n, sizes)
        return Looks(
            n=self.n[kept],
            control=self.control[:, kept],
            treatment=self.treatment[:, kept],
            control_variance=self.control_variance[:, kept],
            treatment_variance=self.treatment_variance[:, kept],
        )

    def estimates(self) -> Estimates:
        """Lay all looks of all runs along the axis of metrics, so that one call judges them all."""
        mean = np.column_stack([self.control.ravel(), self.treatment.ravel()])
        spread = np.column_stack([self.control_variance.ravel(), self.treatment_variance.ravel()])
        n = np.repeat(np.broadcast_to(self.n, self.control.shape).ravel()[:, None], 2, axis=1)
        return Estimates(metrics=(), arms=ARMS, mean=mean, variance=spread / n, n=n, plain=mean, clock=n)


Rule = Callable[[Looks], dict[str, Claims]]
"""Gives what it claims at each look, by the name of the scale or variant."""


def running(values: Array, first: int) -> Looks:
    """Look after every pair of units from the first look on; values have shape (2, runs, units), control first."""
    pivot = float(values.mean())  # the sums of squares stay near the variance
    away = values - pivot
    n = np.arange(1.0, values.shape[2] + 1)
    total = away.cumsum(axis=2)[:, :, first - 1 :]
    squares = (away * away).cumsum(axis=2)[:, :, first - 1 :]
    n = n[first - 1 :]
    variance = np.maximum(squares - total * total / n, 0.0) / (n - 1.0)
    mean = total / n + pivot
    return Looks(n=n, control=mean[0], treatment=mean[1], control_variance=variance[0], treatment_variance=variance[1])


def judged(looks: Looks, rule: ProductRule) -> Contrasts:
    """Compare the arms at every look by vedette's own code; arrays of shape (runs x looks, 1)."""
    return contrasts(looks.estimates(), PAIR, rule)


def both_scales(looks: Looks, rule: ProductRule) -> dict[str, Claims]:
    """Say where vedette's absolute, and where its relative interval, leaves out 0."""
    made = judged(looks, rule)
    with np.errstate(invalid="ignore"):
        absolute = (made.low > 0) | (made.high < 0)
        relative = (made.relative_low > 0) | (made.relative_high < 0)
    return {"absolute": absolute.reshape(looks.effect.shape), "relative": relative.reshape(looks.effect.shape)}


def first_claim(claims: Claims) -> Array:
    """Give the place of the first claim of each run; infinite where there is none."""
    return np.where(claims.any(axis=1), claims.argmax(axis=1), np.inf)
