"""Planned looks: critical values of a group sequential design, what it costs, and what it buys.

A look compares a z-value with a critical value that depends on the *information* `1 / standard_error**2`, in any unit;
a sample size will do while variance and split stay the same. Only its fraction of the planned maximum counts. A drift
is the expected z-value at information 1, in that unit: where information is given as fractions of the maximum, it is
the expected z-value at the end.

With a spending function looks may come when they like, provided that *when* does not depend on what was seen. If more
information than planned has come in (overrun), the look spends what is left; nothing is left for looks after it.
`Overrun.RESCALE` puts all looks on the scale of what came in instead, which changes the critical values of past looks,
so that it is a rule for reporting a finished test, not for stopping one.

References:
    Jennison & Turnbull, Group sequential methods with applications to clinical trials (2000), chapters 2, 7 and 19.
    Lan & DeMets, Biometrika 70 (1983). The other papers stand at `spending`, `futility` and `brownian`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from scipy.special import ndtr, ndtri

from vedette.evidence.summary import FloatArray
from vedette.kernel.errors import InvalidInput
from vedette.stats.brownian import Corridor, Walk, passage, root
from vedette.stats.futility import Futility, LowConditionalPower, futility_levels
from vedette.stats.sequential import Side
from vedette.stats.spending import SHAPES, Family, check_parameter, shape, spent

_CLOSEST = 1e-4
"""Smallest step of information, relative to what is there, that counts as a new look."""


class Overrun(StrEnum):
    """What happens when more information than planned has come in."""

    SPEND_REST = "spend_rest"
    RESCALE = "rescale"


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """A way of looking several times at error probability `alpha` in all.

    Attributes:
        family: How the error is shared out.
        parameter: Δ of Wang-Tsiatis, ρ of the power family, γ of Hwang-Shih-DeCani.
        alpha: Probability of ever rejecting without an effect, of both sides together if there are two.
        side: Which departures count; boundaries of two sides are symmetric.
        futility: When to give up; never binding.
    """

    family: Family = Family.LAN_DEMETS_OBRIEN_FLEMING
    parameter: float | None = None
    alpha: float = 0.05
    side: Side = Side.BOTH
    futility: Futility | None = None

    def __post_init__(self) -> None:
        check_parameter(self.family, self.parameter)
        if not 0.0 < self.alpha < 1.0:
            raise InvalidInput(f"alpha lies between 0 and 1, not at {self.alpha}", hint="0.05 is usual")

    @property
    def two_sided(self) -> bool:
        """Whether departures in both directions count."""
        return self.side == Side.BOTH

    @property
    def level(self) -> float:
        """Error probability of one side."""
        return self.alpha / 2.0 if self.two_sided else self.alpha


RECOMMENDED_LOOKS = 20
RECOMMENDED = Design(family=Family.HWANG_SHIH_DECANI, parameter=-4.25)
"""Two-sided at 5 %, for twenty equally spaced looks: where a fixed test has power .806 it has .791, and it stops after
.749 of the sample on average. No other family here stops sooner at that power (computed, not simulated)."""

RECOMMENDED_WITH_FUTILITY = Design(
    family=Family.HWANG_SHIH_DECANI, parameter=-5.0, futility=LowConditionalPower(threshold=0.05, drift=3.24)
)
"""The same, giving up where even the effect of a fixed test's power .9 is past hope: .793, and .745 of the sample; .814
of it where there is no effect, instead of .990."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What a look compares its z-value with.

    Attributes:
        information: As it was given.
        fraction: Of the planned maximum; more than 1 in an overrun.
        boundary_z: Critical value of z in the direction that counts (of its size, if both do); infinite if the look
            may not reject.
        nominal_p: The p-value of a fixed test that is as strict.
        alpha_spent: Error probability used up to and with this look.
        futility_z: Give up below it (two-sided: where z is smaller in size); None if the look does not give up.
        beta_spent: Error of the second kind used up to and with this look, where it is spent.
    """

    information: float
    fraction: float
    boundary_z: float
    nominal_p: float
    alpha_spent: float
    futility_z: float | None = None
    beta_spent: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Looks:
    """The looks of a design, in their order."""

    design: Design
    maximum: float
    looks: tuple[Look, ...]

    @property
    def information(self) -> tuple[float, ...]:
        """Information at each look."""
        return tuple(look.information for look in self.looks)

    @property
    def boundary_z(self) -> tuple[float, ...]:
        """Critical value of each look."""
        return tuple(look.boundary_z for look in self.looks)

    @property
    def alpha_spent(self) -> tuple[float, ...]:
        """Cumulative error probability of each look."""
        return tuple(look.alpha_spent for look in self.looks)

    def corridors(self, *, futility: bool = True) -> tuple[Corridor, ...]:
        """Where each look goes on, on the score scale and for the upward direction."""
        return tuple(_corridor(look, two_sided=self.design.two_sided, futility=futility) for look in self.looks)


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """How a design behaves under a drift.

    Attributes:
        drift: The drift.
        reject: Probability that each look is the one that rejects in the direction of the design (two-sided: of the
            drift; upwards without one).
        reject_other: … in the other direction; zeros for a one-sided design.
        give_up: … stops for futility. The last look's is what is left.
        power: Sum of `reject`.
        expected_information: Mean information at which it stops.
        expected_fraction: … as a fraction of the last look's.
    """

    drift: float
    reject: tuple[float, ...]
    reject_other: tuple[float, ...]
    give_up: tuple[float, ...]
    power: float
    expected_information: float
    expected_fraction: float


def equally_spaced(looks: int) -> tuple[float, ...]:
    """Information fractions of a number of equally spaced looks.

    Raises:
        InvalidInput: Fewer than one look.
    """
    if looks < 1:
        raise InvalidInput(f"a design needs at least one look, not {looks}", hint="looks=1 is a fixed test")
    return tuple(float(k) / looks for k in range(1, looks + 1))


def boundaries(
    design: Design,
    information: Sequence[float],
    *,
    maximum: float | None = None,
    final: bool = False,
    overrun: Overrun = Overrun.SPEND_REST,
) -> Looks:
    """Critical values of looks at the given information.

    Args:
        design: How the error is shared out.
        information: Of each look so far (or of each planned look), increasing, in any unit.
        maximum: Planned maximum; the last look's unless given. A design that is a shape needs all its planned looks,
            and the last at the maximum.
        final: The last look is the last there will be, whatever its information: it spends what is left.
        overrun: What to do when there is more information than planned.

    Raises:
        InvalidInput: No looks, information that is not positive and increasing, a shape without its plan.
    """
    times = _checked(information)
    planned = times[-1] if maximum is None else float(maximum)
    if not planned > 0.0:
        raise InvalidInput(f"the planned maximum is above 0, not {planned}", hint="leave it out if the looks are all")
    if overrun == Overrun.RESCALE:
        planned = max(planned, times[-1])
    fractions = np.asarray(times) / planned
    scores = _shape_scores(design, fractions) if design.family in SHAPES else None
    if scores is None:
        budget = spent(design.family, design.parameter, design.level, fractions)
        if final:
            budget[-1] = design.level
        scores = _spending_scores(design, fractions, np.diff(budget, prepend=0.0))
        used = budget * (2.0 if design.two_sided else 1.0)
    else:
        used = _used(design, fractions, scores)
    return _assemble(design, times, planned, scores, used, final=final)


def operate(looks: Looks, drift: float, *, obey_futility: bool = True) -> Operation:
    """Exit probabilities, power and mean information under a drift (expected z at information 1).

    Raises:
        InvalidInput: The drift is not finite.
    """
    if not math.isfinite(drift):
        raise InvalidInput(f"a drift is a finite number, not {drift}", hint="effect / standard error at information 1")
    toward = {Side.GREATER: drift, Side.LESS: -drift, Side.BOTH: abs(drift)}[looks.design.side]
    information = np.asarray(looks.information)
    exits = passage(looks.information, looks.corridors(futility=obey_futility), toward)
    above, below, inside = exits.T
    if looks.design.two_sided:
        other, give_up = below.copy(), inside.copy()
    else:
        other, give_up = np.zeros_like(above), below.copy()
    give_up[-1] = max(1.0 - above.sum() - other.sum() - give_up[:-1].sum(), 0.0)
    mean = float((above + other + give_up) @ information)
    return Operation(
        drift=drift,
        reject=tuple(above.tolist()),
        reject_other=tuple(other.tolist()),
        give_up=tuple(give_up.tolist()),
        power=float(above.sum()),
        expected_information=mean,
        expected_fraction=mean / looks.information[-1],
    )


def crossing_probabilities(looks: Looks, drift: float) -> tuple[float, ...]:
    """Probability that each look is the first to reject, in either direction that counts, futility not obeyed."""
    exits = operate(looks, drift, obey_futility=False)
    return tuple(a + b for a, b in zip(exits.reject, exits.reject_other, strict=True))


def drift_for_power(looks: Looks, power: float, *, obey_futility: bool = True) -> float:
    """Drift (size of the expected z at information 1) at which the looks reject with a probability.

    Rejection in the wrong direction is not counted, as in Jennison & Turnbull's tables.

    Raises:
        InvalidInput: The power is not above the level of one side and below 1.
    """
    level = looks.design.level
    if not level < power < 1.0:
        raise InvalidInput(f"power lies between {level} and 1, not at {power}", hint="0.8 is usual")
    sign = -1.0 if looks.design.side == Side.LESS else 1.0

    def short(drift: float) -> float:
        return operate(looks, sign * drift, obey_futility=obey_futility).power - power

    unit = 1.0 / math.sqrt(looks.information[-1])
    fixed = float(ndtri(power) - ndtri(level))
    return root(short, 0.2 * fixed * unit, 1.3 * fixed * unit)


def inflation(design: Design, information: Sequence[float], power: float, *, obey_futility: bool = True) -> float:
    """Maximum information of the design over that of a fixed test of the same level and power.

    Multiply a fixed test's sample size by it to have the size at the last look.
    """
    looks = boundaries(design, information)
    drift = drift_for_power(looks, power, obey_futility=obey_futility)
    fixed = float(ndtri(power) - ndtri(design.level))
    return drift * drift * looks.information[-1] / (fixed * fixed)


def _checked(information: Sequence[float]) -> tuple[float, ...]:
    times = tuple(float(value) for value in information)
    if not times:
        raise InvalidInput("a design needs at least one look", hint="one look at information 1 is a fixed test")
    last = 0.0
    for time in times:
        if not (math.isfinite(time) and time > last * (1.0 + _CLOSEST)):
            raise InvalidInput(
                f"information increases from look to look, and {time} does not follow {last}",
                hint="leave out a look that brought nothing new",
            )
        last = time
    return times


def _corridor(look: Look, *, two_sided: bool, futility: bool) -> Corridor:
    root_time = math.sqrt(look.information)
    high, give_up = look.boundary_z * root_time, look.futility_z if futility else None
    if two_sided:
        half = give_up * root_time if give_up else None
        return Corridor(low=-high, high=high, inner=None if half is None else (-half, half))
    return Corridor(low=-math.inf if give_up is None else give_up * root_time, high=high)


def _wall(level: float, *, two_sided: bool) -> Corridor:
    return Corridor(low=-level if two_sided else -math.inf, high=level)


def _spending_scores(design: Design, fractions: FloatArray, increments: FloatArray) -> FloatArray:
    walk, scores = Walk.start(), np.empty_like(fractions)
    for look, (time, increment) in enumerate(zip(fractions.tolist(), increments.tolist(), strict=True)):
        scores[look] = walk.level_above(time, increment)
        if look + 1 < fractions.size:
            walk = walk.go_on(time, _wall(float(scores[look]), two_sided=design.two_sided).regions)
    return scores


def _shape_scores(design: Design, fractions: FloatArray) -> FloatArray:
    if abs(fractions[-1] - 1.0) > 1e-9:
        raise InvalidInput(
            f"{design.family} needs all planned looks, the last at the planned maximum",
            hint="take lan_demets_obrien_fleming or lan_demets_pocock for looks that are not planned",
        )
    scores = shape(design.family, design.parameter, fractions) * np.sqrt(fractions)
    target = float(ndtri(design.alpha))

    def excess(constant: float) -> float:
        return float(ndtri(min(_used(design, fractions, constant * scores)[-1], 1.0 - 1e-16))) - target

    low, high = -float(ndtri(design.level)), -float(ndtri(design.level / fractions.size))
    if excess(low) <= 0.0:  # one look, or none but the last matters
        return np.asarray(low * scores)
    return np.asarray(scores * root(excess, low, high))


def _used(design: Design, fractions: FloatArray, scores: FloatArray) -> FloatArray:
    walls = [_wall(score, two_sided=design.two_sided) for score in scores.tolist()]
    return np.asarray(np.cumsum(passage(fractions.tolist(), walls)[:, :2].sum(axis=1)))


def _assemble(
    design: Design, times: tuple[float, ...], planned: float, scores: FloatArray, used: FloatArray, *, final: bool
) -> Looks:
    fractions = np.asarray(times) / planned
    critical = scores / np.sqrt(fractions)
    nominal = ndtr(-critical) * (2.0 if design.two_sided else 1.0)
    give_up, missed = _futility(design, fractions, scores, final=final)
    looks = tuple(
        Look(
            information=time,
            fraction=float(fractions[k]),
            boundary_z=float(critical[k]),
            nominal_p=float(nominal[k]),
            alpha_spent=float(used[k]),
            futility_z=give_up[k],
            beta_spent=missed[k],
        )
        for k, time in enumerate(times)
    )
    return Looks(design=design, maximum=planned, looks=looks)


def _futility(
    design: Design, fractions: FloatArray, scores: FloatArray, *, final: bool
) -> tuple[list[float | None], list[float | None]]:
    """Futility boundary and error spent of each look; None where there is none, as after the end."""
    if design.futility is None:
        nothing: list[float | None] = [None] * fractions.size
        return nothing, nothing
    over = np.flatnonzero(fractions >= 1.0 - 1e-9)
    if over.size or final:
        end = int(over[0]) + 1 if over.size else fractions.size
        whole, levels = fractions[:end] / fractions[end - 1], scores[:end] / math.sqrt(fractions[end - 1])
    else:  # the look that is still to come decides how far this one is from hope
        end, whole = fractions.size, np.append(fractions, 1.0)
        budget = spent(design.family, design.parameter, design.level, whole)
        levels = _spending_scores(design, whole, np.diff(budget, prepend=0.0))
    found, beta = futility_levels(design.futility, whole.tolist(), levels.tolist(), two_sided=design.two_sided)
    known = [float(z) for z in (found / np.sqrt(whole))[:end]]
    rest: list[float | None] = [None] * (fractions.size - end)
    shown = [z if math.isfinite(z) and (z > 0.0 or not design.two_sided) else None for z in known]
    return shown + rest, ([None] * end if beta is None else [float(b) for b in beta[:end]]) + rest
