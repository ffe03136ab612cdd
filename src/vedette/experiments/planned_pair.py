"""One comparison of two arms, planned: the size it needs for a power, or the power it has at a size.

Every kind of metric has its own convention; which one stands in the answer. Designs and numbers of arms are the matter
of `planning`.
"""

from dataclasses import dataclass, replace
from typing import Any, Literal

from vedette.experiments.metrics import Mean, Measured, Proportion, Ratio
from vedette.kernel.errors import InvalidInput
from vedette.stats.planning import Power, positive
from vedette.stats.power import two_means
from vedette.stats.power_proportions import two_proportions, two_rates

Kind = Literal["proportion", "mean", "ratio", "rate"]
"""What varies how: 0 or 1, any number, a ratio of two sums (its `sd` is `ratio_sd`), or a count of events."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedPair:
    """A comparison to be asked of at several sizes or powers.

    Attributes:
        kind: How the metric varies.
        baseline: What it is today; may be None where the kind does not need it.
        sd: Standard deviation of a mean or a ratio.
        effect: Treatment minus control, signed.
        relative: The same as a fraction of the baseline.
        level: Two-sided level of the test.
        ratio: Size of the second arm over that of the first.
        dispersion: Of a rate.
        factor: What multiplies the variances.
    """

    kind: Kind
    baseline: float | None
    sd: float | None
    effect: float
    relative: float | None
    level: float
    ratio: float
    dispersion: float
    factor: float

    def at(self, *, power: float | None = None, n: float | None = None) -> Power:
        """Give the size for a power, or the power with `n` units in the first arm.

        Raises:
            InvalidInput: A number is out of range, or both or none are given.
        """
        asked: dict[str, Any] = {
            "n": None if n is None else n / self.factor,
            "power": power,
            "alpha": self.level,
            "ratio": self.ratio,
        }
        if self.kind == "proportion":
            found = two_proportions(control=self.baseline or 0.0, effect=self.effect, **asked)
        elif self.kind == "rate":
            found = two_rates(control=self.baseline or 0.0, effect=self.relative, dispersion=self.dispersion, **asked)
        else:
            found = two_means(effect=self.effect, sd=self.sd or 0.0, **asked)
        words = f", variances times {self.factor:g}" if self.factor != 1.0 else ""
        return replace(found, n=tuple(part * self.factor for part in found.n), convention=f"{found.convention}{words}")


def kind_of(metric: Measured) -> Kind:
    """Give how a metric varies.

    Raises:
        InvalidInput: It is a quantile.
    """
    for cls, kind in _KINDS.items():
        if isinstance(metric, cls):
            return kind
    raise InvalidInput(
        f"{metric.name!r} is a quantile, whose spread depends on the density there",
        hint="say kind='mean' and sd = sqrt(q (1 - q)) / density at the quantile",
    )


def effect_of(
    metric: Measured, kind: Kind, mde: float, baseline: float | None, sd: float | None, *, absolute: bool
) -> tuple[float, float | None]:
    """Give an effect in the metric's unit and as a fraction of the baseline, both signed the better way.

    Raises:
        InvalidInput: A number that the kind needs is missing.
    """
    positive("mde", mde)
    if kind in ("mean", "ratio"):
        if sd is None:
            raise InvalidInput(f"a {kind} is planned by its standard deviation", hint="give sd, over units")
        positive("sd", sd)
    if baseline is None and (not absolute or kind in ("proportion", "rate")):
        raise InvalidInput("the baseline is missing", hint=f"give the {kind} as it is today")
    if baseline == 0.0 and not absolute:
        raise InvalidInput("a fraction of a baseline of 0 is no effect", hint="give mde in the metric's own unit")
    sign = -1.0 if metric.better == "lower" else 1.0
    relative = mde if not absolute else mde / abs(baseline) if baseline else None
    effect = sign * (mde if absolute else mde * abs(baseline or 0.0))
    if kind == "proportion" and not 0.0 < (baseline or 0.0) < 1.0:
        raise InvalidInput(f"a proportion lies between 0 and 1, not at {baseline}", hint="0.2 is 20 %")
    if kind == "proportion" and not 0.0 < (baseline or 0.0) + effect < 1.0:
        raise InvalidInput(
            f"a proportion of {baseline} cannot {'fall' if effect < 0 else 'grow'} by {abs(effect):g}",
            hint="take a smaller mde; if less is better, say so",
        )
    return effect, None if relative is None else sign * relative


_KINDS: dict[type[Measured], Kind] = {Proportion: "proportion", Ratio: "ratio", Mean: "mean"}
