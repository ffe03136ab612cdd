"""What to believe about arms and their differences, given a stated prior: no sampling, the same figures every time.

Two models. **Beta-Binomial**: each arm's probability has a Beta prior, the same for all arms. **Normal**: an arm's
mean, or the effect of a treatment, has a Normal prior (flat unless given), and its estimate a known standard error.
Figures are closed forms, or integrals by fixed rules good to about 1e-11 (`vedette.stats.best_arm`).

A prior on an effect is stated on the absolute or on the relative scale and is carried over to the scale in use by the
control's mean, so that both scales tell one story.

A belief is not protected against peeking: acting as soon as one exceeds 95 % misleads far more often than 5 %
(`vedette.stats.sequential` is what may be read at any time).

References:
    Cook, "Exact calculation of Beta inequalities", technical report (2005); Miller, "Formulas for Bayesian A/B
    testing" (2013); Stucchio, "Bayesian A/B testing at VWO" (2015): expected loss.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq
from scipy.special import betainc, betainccinv, betaincinv, expit, logit, ndtr, ndtri

from vedette.evidence.summary import FloatArray
from vedette.kernel.errors import InvalidInput
from vedette.stats.best_arm import Better, beta_best, beta_density, beta_log_odds, expected_losses, normal_best, panels
from vedette.stats.cautions import Caution
from vedette.stats.sequential import MeanEstimate


class Scale(StrEnum):
    """What an effect, and the prior on it, is measured in."""

    ABSOLUTE = "absolute"  # the metric's own unit
    RELATIVE = "relative"  # fractions of the control's size


@dataclass(frozen=True, slots=True, kw_only=True)
class BetaPrior:
    """Prior of a probability, told as successes and failures seen before; 1 and 1 is the uniform one."""

    successes: float = 1.0
    failures: float = 1.0

    def __post_init__(self) -> None:
        """Refuse a prior that is none, or whose mass lies nearer to 0 or 1 than floats reach."""
        if not (0.05 <= self.successes < math.inf and 0.05 <= self.failures < math.inf):
            raise InvalidInput(
                f"a Beta prior needs counts of 0.05 or more, not {self.successes} and {self.failures}",
                hint="1 and 1 is the uniform prior, 0.5 and 0.5 is Jeffreys'",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class NormalPrior:
    """Prior of a mean or an effect, and the scale it is stated on; an infinite variance is the flat prior."""

    mean: float = 0.0
    variance: float = math.inf
    scale: Scale = Scale.ABSOLUTE

    def __post_init__(self) -> None:
        """Refuse a prior that is none."""
        if not (math.isfinite(self.mean) and self.variance > 0.0):
            raise InvalidInput(f"a Normal prior needs a finite mean and a positive variance, not {self}")

    def on(self, scale: Scale, control: float) -> "NormalPrior":
        """Give the same prior on another scale; relative effects are fractions of `control`, a mean that is not 0."""
        if scale is self.scale:
            return self
        factor = abs(control) if scale is Scale.ABSOLUTE else 1.0 / abs(control)
        return NormalPrior(mean=self.mean * factor, variance=self.variance * factor * factor, scale=scale)

    def update(self, mean: float, variance: float) -> tuple[float, float]:
        """Give posterior mean and variance after an estimate with this squared standard error."""
        share = 0.0 if math.isinf(self.variance) else variance / (variance + self.variance)
        return mean + share * (self.mean - mean), variance * (1.0 - share)


UNIFORM = BetaPrior()
FLAT = NormalPrior()


@dataclass(frozen=True, slots=True, kw_only=True)
class Lift:
    """An arm beside the control: arm minus control, with the credible interval of that; None where warnings say why.

    Attributes:
        chance_to_win: Probability that the arm is better than the control.
        absolute: Expected difference.
        low: Lower end of the difference's interval.
        high: Upper end.
        relative: Median of the difference as a fraction of the control's size.
        relative_low: Lower end of that fraction's interval.
        relative_high: Upper end.
    """

    chance_to_win: float
    absolute: float
    low: float
    high: float
    relative: float | None
    relative_low: float | None
    relative_high: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmBelief:
    """What to believe of one arm among all; None where warnings say why.

    Attributes:
        mean: Expected value of the arm's mean or probability.
        low: Lower end of its credible interval (equal tails).
        high: Upper end.
        p_best: Probability that no other arm is better.
        expected_loss: What choosing this arm is expected to lose, in the metric's unit.
        lift: The arm beside the control; None for the control itself, and where no control was named.
    """

    mean: float | None
    low: float | None = None
    high: float | None = None
    p_best: float | None = None
    expected_loss: float | None = None
    lift: Lift | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Beliefs:
    """Beliefs about all arms in the order given, the prior each arm had, and why numbers are None."""

    arms: tuple[ArmBelief, ...]
    prior: BetaPrior | NormalPrior
    better: Better
    level: float
    warnings: tuple[Caution, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectBelief:
    """What to believe of the effect of a treatment; None where `warnings` say why.

    Attributes:
        scale: What the figures are measured in.
        better: Which way is better.
        level: Posterior probability of the credible interval.
        prior: The prior, on the scale in use where it could be carried over.
        mean: Posterior mean.
        sd: Posterior standard deviation.
        low: Lower end of the credible interval.
        high: Upper end.
        chance_to_win: Probability that the treatment is better.
        risk_control: What keeping the control is expected to lose.
        risk_treatment: What choosing the treatment is expected to lose.
        warnings: Why numbers are None.
    """

    scale: Scale
    better: Better
    level: float
    prior: NormalPrior
    mean: float | None = None
    sd: float | None = None
    low: float | None = None
    high: float | None = None
    chance_to_win: float | None = None
    risk_control: float | None = None
    risk_treatment: float | None = None
    warnings: tuple[Caution, ...] = ()


def beta_binomial(
    successes: ArrayLike,
    trials: ArrayLike,
    *,
    prior: BetaPrior = UNIFORM,
    better: Better = "higher",
    control: int | None = None,
    level: float = 0.95,
) -> Beliefs:
    """Beliefs about the success probabilities of two arms or more, from counts of shape (arms,).

    An arm that was never tried keeps its prior.

    Args:
        successes: Successes of each arm.
        trials: Trials of each arm.
        prior: Prior of each arm's probability.
        better: Whether a higher or a lower probability is better.
        control: Index of the arm that the others are set beside, if any.
        level: Posterior probability of the credible intervals.

    Raises:
        InvalidInput: Fewer than two arms, shapes that differ, impossible counts, an unknown control or level.
    """
    good, total = np.asarray(successes, np.float64), np.asarray(trials, np.float64)
    if good.shape != total.shape or not np.all((good >= 0.0) & (good <= total) & np.isfinite(total)):
        raise InvalidInput("each arm needs successes between 0 and its trials", hint=f"got {good} of {total}")
    _check(good.shape, better, control, level)
    a, b = prior.successes + good, prior.failures + total - good
    p_best, loss = beta_best(a, b, better)
    tail = 0.5 - 0.5 * level
    low, high, mean = betaincinv(a, b, tail), betainccinv(a, b, tail), a / (a + b)

    def lift(arm: int) -> Lift | None:
        if control is None or arm == control:
            return None
        pair = np.array([arm, control])
        return _beta_lift(a[pair], b[pair], float(beta_best(a[pair], b[pair], better)[0][0]), tail)

    return Beliefs(arms=_arms(mean, low, high, p_best, loss, lift), prior=prior, better=better, level=level)


def normal_means(
    estimates: Sequence[MeanEstimate],
    *,
    prior: NormalPrior = FLAT,
    better: Better = "higher",
    control: int | None = None,
    level: float = 0.95,
) -> Beliefs:
    """Beliefs about the means of two independent arms or more, each with a known squared standard error.

    Where one arm's standard error is unknown or zero, which arm is best is unknown too: those figures are None.

    Args:
        estimates: Mean and squared standard error of each arm.
        prior: Prior of each arm's mean.
        better: Whether a higher or a lower mean is better.
        control: Index of the arm that the others are set beside, if any.
        level: Posterior probability of the credible intervals.

    Raises:
        InvalidInput: Fewer than two arms, a relative prior, an unknown control or level.
    """
    _check((len(estimates),), better, control, level)
    if prior.scale is not Scale.ABSOLUTE:
        raise InvalidInput("the prior of an arm's mean is absolute", hint="a relative prior is for `normal_effect`")
    if warnings := tuple(dict.fromkeys(reason for each in estimates for reason in _unusable(each.n, each.variance))):
        seen = tuple(ArmBelief(mean=each.mean if each.n > 0 else None) for each in estimates)
        return Beliefs(arms=seen, prior=prior, better=better, level=level, warnings=warnings)
    mean, variance = np.array([prior.update(each.mean, each.variance) for each in estimates]).T
    sd, z, reasons = np.sqrt(variance), -float(ndtri(0.5 - 0.5 * level)), set[Caution]()
    p_best, loss = normal_best(mean, sd, better)

    def lift(arm: int) -> Lift | None:
        if control is None or arm == control:
            return None
        beliefs = [MeanEstimate(float(mean[i]), float(variance[i]), estimates[i].n) for i in (arm, control)]
        relative = normal_effect(*beliefs, scale=Scale.RELATIVE, better=better, level=level)
        reasons.update(relative.warnings)
        effect, error = float(mean[arm] - mean[control]), math.hypot(sd[arm], sd[control])
        return Lift(
            chance_to_win=_chance(effect, error, better),
            absolute=effect,
            low=effect - z * error,
            high=effect + z * error,
            relative=relative.mean,
            relative_low=relative.low,
            relative_high=relative.high,
        )

    arms = _arms(mean, mean - z * sd, mean + z * sd, p_best, loss, lift)
    return Beliefs(arms=arms, prior=prior, better=better, level=level, warnings=tuple(sorted(reasons)))


def normal_effect(
    treatment: MeanEstimate,
    control: MeanEstimate,
    *,
    prior: NormalPrior = FLAT,
    scale: Scale = Scale.ABSOLUTE,
    better: Better = "higher",
    level: float = 0.95,
    covariance: float = 0.0,
) -> EffectBelief:
    """Belief about the difference of two means, with a Normal prior on that difference.

    The relative effect is judged by the delta method, and only where the control's own interval excludes 0.

    Args:
        treatment: Mean of the new version.
        control: Mean of the version it is compared with.
        prior: Prior of the effect; it is rescaled by the control's mean where it is stated on the other scale.
        scale: What to measure the effect in.
        better: Whether a higher or a lower mean is better.
        level: Posterior probability of the credible interval.
        covariance: Covariance of the two means, where the same units are in both.

    Raises:
        InvalidInput: A mean is not finite, or the level or the direction is none.
    """
    _check((2,), better, None, level)
    if not (math.isfinite(treatment.mean) and math.isfinite(control.mean)):
        raise InvalidInput(f"the means to compare must be finite, not {treatment.mean} and {control.mean}")
    unknown = EffectBelief(scale=scale, better=better, level=level, prior=prior)
    variance = treatment.variance + control.variance - 2.0 * covariance
    if warnings := _unusable(min(treatment.n, control.n), variance):
        return replace(unknown, warnings=warnings)
    z, effect = -float(ndtri(0.5 - 0.5 * level)), treatment.mean - control.mean
    if Scale.RELATIVE in {scale, prior.scale} and control.mean**2 <= z * z * control.variance:
        return replace(unknown, warnings=(Caution.UNBOUNDED,))
    if scale is Scale.RELATIVE:
        ratio = treatment.mean / control.mean
        variance = treatment.variance - 2.0 * ratio * covariance + ratio * ratio * control.variance
        effect, variance = effect / abs(control.mean), variance / control.mean**2
    scaled = prior.on(scale, control.mean)
    mean, posterior = scaled.update(effect, variance)
    sd = math.sqrt(max(posterior, 0.0))
    if not sd:
        return replace(unknown, warnings=(Caution.NO_VARIANCE,))
    risk_control, risk_treatment = expected_losses(mean, sd, better)
    return replace(
        unknown,
        prior=scaled,
        mean=mean,
        sd=sd,
        low=mean - z * sd,
        high=mean + z * sd,
        chance_to_win=_chance(mean, sd, better),
        risk_control=risk_control,
        risk_treatment=risk_treatment,
    )


def _check(shape: tuple[int, ...], better: Better, control: int | None, level: float) -> None:
    if len(shape) != 1 or shape[0] < 2:
        raise InvalidInput("beliefs compare two arms or more", hint=f"got shape {shape}")
    if better not in {"lower", "higher"}:
        raise InvalidInput(f"better is 'lower' or 'higher', not {better!r}")
    if control is not None and not 0 <= control < shape[0]:
        raise InvalidInput(f"there is no arm {control}", hint=f"arms are counted 0 to {shape[0] - 1}")
    if not 0.0 < level < 1.0:
        raise InvalidInput(f"the level of an interval lies between 0 and 1, not at {level}")


def _unusable(n: float, variance: float) -> tuple[Caution, ...]:
    if n <= 1 or math.isnan(variance):
        return (Caution.TOO_FEW,)
    return () if variance > 0.0 else (Caution.NO_VARIANCE,)


def _arms(
    mean: FloatArray,
    low: FloatArray,
    high: FloatArray,
    p_best: FloatArray,
    loss: FloatArray,
    lift: Callable[[int], Lift | None],
) -> tuple[ArmBelief, ...]:
    columns = zip(*(values.tolist() for values in (mean, low, high, p_best, loss)), strict=True)
    return tuple(
        ArmBelief(mean=centre, low=below, high=above, p_best=best, expected_loss=lost, lift=lift(arm))
        for arm, (centre, below, above, best, lost) in enumerate(columns)
    )


def _chance(effect: float, sd: float, better: Better) -> float:
    return float(ndtr((effect if better == "higher" else -effect) / sd))


def _beta_lift(a: FloatArray, b: FloatArray, chance: float, tail: float) -> Lift:
    """The lift of the first of two Beta beliefs over the second; quantiles of difference and ratio are roots."""
    edges = beta_log_odds(a[:, None], b[:, None])
    arm, control = expit(edges)

    def below(limit: Callable[[FloatArray], FloatArray], inverse: FloatArray) -> float:
        """Probability that the arm lies below a limit that moves with the control."""
        meeting = logit(np.clip(inverse, 1e-300, 1.0 - 1e-16))
        nodes, weights = panels(np.append(edges[1], np.clip(meeting, edges[1, 0], edges[1, -1])))
        mass = beta_density(nodes, a[1], b[1]) * weights
        return float(np.sum(mass * betainc(a[0], b[0], np.clip(limit(expit(nodes)), 0.0, 1.0))))

    def difference(p: float) -> float:
        def excess(d: float) -> float:
            return below(lambda x: x + d, arm - d) - p

        return float(brentq(excess, arm[0] - control[-1], arm[-1] - control[0], xtol=1e-14))

    def fraction(p: float) -> float:
        def excess(log_ratio: float) -> float:
            ratio = math.exp(log_ratio)
            return below(lambda x: x * ratio, arm / ratio) - p

        ends = np.log(arm[[0, -1]]) - np.log(control[[-1, 0]])
        return math.expm1(brentq(excess, *ends, xtol=1e-13))

    return Lift(
        chance_to_win=chance,
        absolute=float(a[0] / (a[0] + b[0]) - a[1] / (a[1] + b[1])),
        low=difference(tail),
        high=difference(1.0 - tail),
        relative=fraction(0.5),
        relative_low=fraction(tail),
        relative_high=fraction(1.0 - tail),
    )
