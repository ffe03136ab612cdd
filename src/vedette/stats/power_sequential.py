"""What looking more than once costs and saves, how many days it takes, and how much more a running test needs.

Both kinds of design start from the answer about a fixed test (a `Power`), whose convention they keep: it says by how
many standard errors the effect is expected to stand out at its sample size, and that is all that is needed. If its size
was asked for, the design's size at the same power is given; else its power at the same size. Nothing is simulated: the
chance to stop at each look is computed (`brownian`).

References:
    Jennison & Turnbull, Group sequential methods with applications to clinical trials (2000), chapters 2 and 7.
    Siegmund, Sequential analysis (1985), chapter X: how far a path overshoots between looks.
    Robbins, Ann. Math. Statist. 41 (1970): mixtures, the boundary of the always-valid design (`effect_mixture`).
    Spiegelhalter, Abrams & Myles, Bayesian approaches to clinical trials (2004), chapter 6: power with a prior.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import ndtr, ndtri

from vedette.evidence.summary import FloatArray
from vedette.kernel.errors import InvalidInput
from vedette.stats.brownian import Corridor, passage, root
from vedette.stats.effect_mixture import mixture_critical
from vedette.stats.group_sequential import (
    RECOMMENDED,
    RECOMMENDED_LOOKS,
    Design,
    Looks,
    boundaries,
    drift_for_power,
    equally_spaced,
    operate,
)
from vedette.stats.planning import Power, positive, round_up
from vedette.stats.sequential import TUNING, MeanEstimate, Side, balanced_size, critical_value

_OVERSHOOT = 0.5825971579390106
"""Mean overshoot of a Brownian path seen at unit steps: minus zeta(1/2) / sqrt(2 pi)."""
_STEP = 0.03
"""Step between looks, relative to the size, with which looks that are closer are stood for."""
_REFINEMENTS = 3
_LARGEST_FACTOR = 1000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SequentialPlan:
    """A design with several looks that answers the same question as a fixed test.

    Attributes:
        solved: `n` or `power`: which was found.
        n: Exact size of each arm at the last look, control first.
        power: Probability to reject by then.
        expected_n: Mean size of all arms together when it stops, if the effect is there.
        expected_n_null: … if there is no effect.
        inflation: Size at the last look over that of the fixed test.
        n_by_look: Size of all arms together at each look, for a group sequential design.
        looks: Its critical values; None for an always-valid design, whose looks need no plan.
        power_curve: Pairs of size (all arms) and power by then.
        convention: What is planned, in words.
        method: How it was computed, in words.
    """

    solved: str
    n: tuple[float, ...]
    power: float
    expected_n: float
    expected_n_null: float
    inflation: float
    n_by_look: tuple[int, ...]
    looks: Looks | None
    power_curve: tuple[tuple[float, float], ...]
    convention: str
    method: str

    @property
    def n_per_arm(self) -> tuple[int, ...]:
        """Size of each arm at the last look, rounded up."""
        return tuple(round_up(size) for size in self.n)

    @property
    def n_total(self) -> int:
        """Size of all arms together at the last look."""
        return sum(self.n_per_arm)


def group_sequential(
    fixed: Power, *, design: Design = RECOMMENDED, information: Sequence[float] | int = RECOMMENDED_LOOKS
) -> SequentialPlan:
    """The fixed test with looks on the way: its size at the same power, or its power at the same size.

    Args:
        fixed: Answer about the fixed test; its alpha and side are taken.
        design: How the error is shared out, and when to give up.
        information: Number of equally spaced looks, or information of each (any unit).

    Raises:
        InvalidInput: as `boundaries`.
    """
    at = equally_spaced(information) if isinstance(information, int) else tuple(information)
    looks = boundaries(replace(design, alpha=fixed.alpha, side=fixed.side), at)
    last = looks.information[-1]
    standing_out = _standing_out(fixed)
    drift, inflation = standing_out / math.sqrt(last), 1.0
    if fixed.solved == "n":
        drift = drift_for_power(looks, fixed.power)
        inflation = drift * drift * last / (standing_out * standing_out)
    sign = -1.0 if fixed.side == Side.LESS else 1.0
    there, absent = operate(looks, sign * drift), operate(looks, 0.0)
    n = tuple(size * inflation for size in fixed.n)
    total = math.fsum(n)
    sizes = [total * time / last for time in looks.information]
    return SequentialPlan(
        solved="n" if fixed.solved == "n" else "power",
        n=n,
        power=there.power,
        expected_n=total * there.expected_fraction,
        expected_n_null=total * absent.expected_fraction,
        inflation=inflation,
        n_by_look=tuple(round_up(size) for size in sizes),
        looks=looks,
        power_curve=tuple(zip(sizes, np.cumsum(there.reject).tolist(), strict=True)),
        convention=f"group sequential, {len(at)} looks, {_words(design)}; as a fixed test: {fixed.convention}",
        method="exit probabilities by recursive integration, rejections in the wrong direction not counted",
    )


def always_valid(fixed: Power, *, tuning: float = TUNING, start: float = 40.0, every: float = 2.0) -> SequentialPlan:
    """The sequence experiments are judged by, looked at continuously: its size at the fixed test's power, or its power.

    The boundary is `effect_mixture.mixture_critical`. Looks that are closer than 3 % of the size are stood for by looks
    3 % apart, with the boundary moved by what a path overshoots in between (Siegmund): power is right to .01 or better.

    Args:
        fixed: Answer about the fixed test of one or two arms; its alpha and side are taken.
        tuning: The planned size the sequence is made for, in all arms (`AnytimeValid.tune_at`).
        start: Intrinsic time (balanced size of all arms) of the first look.
        every: Intrinsic time between looks.

    Raises:
        InvalidInput: The fixed test has no single z-value, `start` or `every` is not above 0, or no size up to a
            thousand times the fixed test's has that power.
    """
    positive("start", start)
    positive("every", every)
    positive("tuning", tuning)
    standing_out = _standing_out(fixed)
    whole = fixed.n[0] if len(fixed.n) == 1 else balanced_size(*fixed.n)
    drift, horizon = standing_out / math.sqrt(whole), whole

    def passed(horizon: float, drift: float = drift) -> _Passage:
        return _first_passage(drift, horizon, fixed, tuning, start, every)

    there = passed(horizon)
    if fixed.solved == "n":
        while there.rejected[-1] < fixed.power:
            horizon *= 2.0
            if horizon > _LARGEST_FACTOR * whole:
                raise InvalidInput("no size has that power", hint="look at the effect: it may be as good as none")
            there = passed(horizon)
        if there.rejected[0] >= fixed.power:  # one look is enough, before the first there was to be
            horizon = root(lambda time: passed(time).rejected[0] - fixed.power, 1e-6 * whole, float(there.times[0]))
            there = passed(horizon)
        else:
            for _ in range(_REFINEMENTS):  # the curve up to another horizon differs a little in its last steps
                horizon = there.time_of(fixed.power)
                there = passed(horizon)
    per_time = math.fsum(fixed.n) / whole
    return SequentialPlan(
        solved="n" if fixed.solved == "n" else "power",
        n=tuple(size * horizon / whole for size in fixed.n),
        power=float(there.rejected[-1]),
        expected_n=there.mean_time() * per_time,
        expected_n_null=passed(horizon, 0.0).mean_time() * per_time,
        inflation=horizon / whole,
        n_by_look=(),
        looks=None,
        power_curve=tuple(zip((there.times * per_time).tolist(), there.rejected.tolist(), strict=True)),
        convention=f"always valid, mixture over effects planned for {tuning:g} units, looked at from {start:g} on "
        f"every {every:g}; as a fixed test: {fixed.convention}",
        method="first passage by recursive integration at looks 3 % apart, moved by the overshoot in between",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Duration:
    """How long it takes to collect a sample.

    Attributes:
        days: Exactly, as if traffic came evenly.
        whole_days: Rounded up.
        whole_weeks: Rounded up: an experiment of whole weeks sees each weekday equally often.
        convention: What was assumed, in words.
    """

    days: float
    whole_days: int
    whole_weeks: int
    convention: str


def duration(
    n_total: float, units_per_day: float, *, share: float = 1.0, ramp: Sequence[tuple[float, float]] = ()
) -> Duration:
    """Days until all arms together have `n_total` units.

    Args:
        n_total: Units of all arms; 0 or more.
        units_per_day: New units a day, in the experiment or not.
        share: Part of them that enters the experiment once it is fully ramped up.
        ramp: Stages before that, each as (days, share).

    Raises:
        InvalidInput: A number is out of range.
    """
    positive("units_per_day", units_per_day)
    stages = [*ramp, (math.inf, share)]
    for days, part in stages:
        if not (days > 0.0 and 0.0 < part <= 1.0):
            raise InvalidInput(
                f"a stage of {days} days with {part} of the traffic is impossible",
                hint="days are above 0; a share is above 0 and at most 1",
            )
    if not (math.isfinite(n_total) and n_total >= 0.0):
        raise InvalidInput(f"a sample of {n_total} units cannot be collected", hint="0 or more")
    left, spent = float(n_total), 0.0
    for days, part in stages:
        needed = left / (units_per_day * part)
        if needed <= days:
            spent += needed
            break
        left, spent = left - days * units_per_day * part, spent + days
    stretch = "".join(f"{days:g} days at {part:.0%}, then " for days, part in ramp)
    return Duration(
        days=spent,
        whole_days=round_up(spent),
        whole_weeks=round_up(spent / 7.0),
        convention=f"{stretch}{share:.0%} of {units_per_day:g} new units a day, evenly over the week",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class AdditionalSample:
    """How much more a running experiment needs.

    Attributes:
        factor: Units still to come over units so far, in the same split; 0 if there are enough.
        power_now: Power with the units so far.
        power: Power that was asked for.
        convention: What was computed, in words.
    """

    factor: float
    power_now: float
    power: float
    convention: str


def additional_sample(
    *,
    standard_error: float,
    mde: float,
    power: float = 0.8,
    alpha: float = 0.05,
    comparisons: int = 1,
    prior: tuple[float, float] | None = None,
    n: float | None = None,
    tuning: float = TUNING,
) -> AdditionalSample:
    """How many times the sample so far must still come for the test of an effect `mde` to have a power.

    The variance per unit is what it was so far. For a relative effect give `relative_standard_error`.

    Args:
        standard_error: Of the effect so far.
        mde: Effect to be found, on the scale of the standard error; its size counts.
        power: Wanted.
        alpha: Two-sided level.
        comparisons: The level is divided by (Bonferroni).
        prior: Mean and variance of a normal prior of the effect; then significant is a posterior mean that lies as many
            posterior standard deviations from 0 as the level says.
        n: Units so far, where the test is the always-valid one at that look; not together with a prior.
        tuning: Of that test.

    Raises:
        InvalidInput: A number is out of range, or there is both a prior and `n`.
    """
    positive("standard_error", standard_error)
    size = abs(mde)
    positive("mde", size)
    if not (0.0 < power < 1.0 and 0.0 < alpha < 1.0 and comparisons >= 1):
        raise InvalidInput("power and alpha lie between 0 and 1, with 1 comparison or more", hint="0.8, 0.05 and 1")
    if prior is not None and n is not None:
        raise InvalidInput("a prior belongs to the Bayesian analysis, n to the sequential one", hint="leave one out")
    if prior is not None:
        positive("the prior's variance", prior[1])
    centre, weight = (0.0, 0.0) if prior is None else (prior[0], 1.0 / prior[1])
    level = alpha / comparisons

    def power_of(factor: float) -> float:
        variance = standard_error**2 / (1.0 + factor)
        z = -float(ndtri(level / 2.0))
        if n is not None:
            z = float(critical_value(n * (1.0 + factor), level, Side.BOTH, tuning))
        half = variance * math.sqrt(weight + 1.0 / variance) * z
        pull = variance * centre * weight
        error = math.sqrt(variance)
        return float(ndtr((pull + size - half) / error) + ndtr((-pull - size - half) / error))

    now = power_of(0.0)
    factor = 0.0 if now >= power else root(lambda factor: power_of(factor) - power, 0.0, 1.0)
    kind = "two-sided z test" if n is None else f"always-valid test at that look, tightest at {tuning:g}"
    if prior is not None:
        kind = f"posterior with prior N({prior[0]:g}, {prior[1]:g}) against 0"
    return AdditionalSample(
        factor=factor,
        power_now=now,
        power=power,
        convention=f"{kind} at level {level:g}, both tails counted, variance per unit as so far",
    )


def relative_standard_error(treatment: MeanEstimate, control: MeanEstimate) -> float:
    """Standard error of `treatment / control - 1` by the delta method, for independent arms.

    Raises:
        InvalidInput: The control's mean is 0.
    """
    if control.mean == 0.0:
        raise InvalidInput("an effect relative to a mean of 0 is not defined", hint="plan an absolute effect")
    share = treatment.mean / control.mean
    return math.sqrt(treatment.variance + share * share * control.variance) / abs(control.mean)


def _standing_out(fixed: Power) -> float:
    if fixed.drift is None:
        raise InvalidInput(
            f"there is no single z-value to look at repeatedly in: {fixed.convention}",
            hint="plan one comparison of two arms, at alpha divided by the number of comparisons",
        )
    return fixed.drift


def _words(design: Design) -> str:
    name = str(design.family) if design.parameter is None else f"{design.family} {design.parameter:g}"
    return name if design.futility is None else f"{name}, {type(design.futility).__name__} futility"


@dataclass(frozen=True, slots=True)
class _Passage:
    """Looks up to a horizon; by each, the probabilities of having rejected rightly, and of having stopped."""

    times: FloatArray
    rejected: FloatArray
    stopped: FloatArray

    def mean_time(self) -> float:
        """Mean of the time of stopping, at the horizon at the latest."""
        return float(np.diff(self.stopped, prepend=0.0) @ self.times + (1.0 - self.stopped[-1]) * self.times[-1])

    def time_of(self, power: float) -> float:
        """Time after the first look by which a power is reached, drawn on from the last looks if it is not."""
        later = min(int(np.searchsorted(self.rejected, power)), self.times.size - 1)
        part = (power - self.rejected[later - 1]) / (self.rejected[later] - self.rejected[later - 1])
        return float(self.times[later - 1] + part * (self.times[later] - self.times[later - 1]))


def _first_passage(drift: float, horizon: float, fixed: Power, tuning: float, start: float, every: float) -> _Passage:
    first, knee = min(start, horizon), min(max(every / _STEP, start), horizon)
    early = np.arange(
        first, knee * (1.0 - 1e-3), every
    )  # looks that are rarer than the grid is fine are taken one by one
    many = max(math.ceil(math.log(horizon / knee) / math.log1p(_STEP)), 0)
    grid = np.append(early, np.geomspace(knee, horizon, many + 1))
    gaps = np.diff(grid, prepend=grid[0] - every)  # nothing was missed before the first look
    shift = _OVERSHOOT * (np.sqrt(np.maximum(gaps, every)) - math.sqrt(every))
    levels = mixture_critical(grid, fixed.alpha, fixed.side, tuning) * np.sqrt(grid) - shift
    two_sided = fixed.side == Side.BOTH
    corridors = [Corridor(low=-level if two_sided else -math.inf, high=level) for level in levels.tolist()]
    above, below, _ = np.cumsum(passage(grid.tolist(), corridors, drift), axis=0).T
    return _Passage(times=grid, rejected=above, stopped=above + below)
