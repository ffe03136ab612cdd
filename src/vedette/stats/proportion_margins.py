"""No worse than, and as good as: proportions of two arms against a margin, by score tests.

The p-value and the interval come from one score test, so that they cannot disagree: non-inferiority has p ≤ alpha
exactly when the one-sided interval at 1 - alpha stays clear of the margin, equivalence when the two-sided interval at
1 - 2 alpha lies between its margins. On the ratio the margin is tested as a contrast, without dividing by the control.

References:
    Farrington & Manning, Statistics in Medicine 9 (1990) 1447.
    Schuirmann, Journal of Pharmacokinetics and Biopharmaceutics 15 (1987) 657: two one-sided tests.
"""

from dataclasses import dataclass
from enum import StrEnum

from vedette.kernel.errors import InvalidInput
from vedette.kernel.tables import Shown
from vedette.stats.cautions import Caution
from vedette.stats.finding import Finding
from vedette.stats.proportion_intervals import Counts
from vedette.stats.proportions import DifferenceMethod, RatioMethod, difference, ratio
from vedette.stats.sequential import Side


class Scale(StrEnum):
    """On which scale two arms are compared."""

    DIFFERENCE = "difference"
    RATIO = "ratio"


@dataclass(frozen=True, slots=True, kw_only=True)
class Equivalence(Shown):
    """Two one-sided tests of a contrast between two margins; None where unknown, and `warnings` say why.

    Attributes:
        estimate: Observed contrast.
        low: Lower end of the interval at 1 - 2 alpha.
        high: Upper end; p ≤ alpha exactly when both ends lie between the margins.
        p_value: The larger of the two p-values.
        above: Test that the contrast is above the lower margin.
        below: Test that it is below the upper margin.
        method: Named convention.
        warnings: Those of both tests.
    """

    estimate: float | None
    low: float | None
    high: float | None
    p_value: float | None
    above: Finding
    below: Finding
    method: str
    warnings: tuple[Caution, ...] = ()


def non_inferiority(
    treatment: Counts,
    control: Counts,
    *,
    margin: float,
    better: Side = Side.GREATER,
    scale: Scale = Scale.DIFFERENCE,
    alpha: float = 0.025,
    corrected: bool = True,
) -> Finding:
    """Is treatment worse than control by less than a margin? A small p-value says it is.

    Args:
        treatment: The new arm.
        control: The arm it is held against.
        margin: Tolerated loss: in shares on the scale of the difference, as a fraction of control's on the ratio.
        better: `GREATER` if success is good, `LESS` if the counts are of something bad.
        scale: Where the margin lives.
        alpha: One-sided level; 0.025 is the usual one.
        corrected: Miettinen and Nurminen's variance; False for Farrington and Manning's, and Koopman's.

    Raises:
        InvalidInput: the margin is not between 0 and 1, or `better` is both sides.
    """
    if not 0.0 <= margin < 1.0:
        raise InvalidInput(
            f"a margin lies between 0 and 1, not at {margin}", hint="give the tolerated loss without a sign"
        )
    if better is Side.BOTH:
        raise InvalidInput("either more or fewer successes are better, not both", hint="better=Side.GREATER or LESS")
    loss = -margin if better is Side.GREATER else margin
    return _one_sided(treatment, control, loss + _neutral(scale), better, scale, alpha, corrected=corrected)


def equivalence(
    treatment: Counts,
    control: Counts,
    *,
    between: tuple[float, float],
    scale: Scale = Scale.DIFFERENCE,
    alpha: float = 0.05,
    corrected: bool = True,
) -> Equivalence:
    """Does the contrast of treatment and control lie between two margins? A small p-value says it does.

    Args:
        treatment: The new arm.
        control: The arm it is held against.
        between: Lower and upper margin on the scale: (-0.05, 0.05) of a difference, (0.8, 1.25) of a ratio.
        scale: Where the margins live.
        alpha: Level of each of the two one-sided tests, and so of both together.
        corrected: Miettinen and Nurminen's variance; False for Farrington and Manning's, and Koopman's.

    Raises:
        InvalidInput: the margins are not in order around "no difference", or impossible.
    """
    lower, upper = between
    if not lower < _neutral(scale) < upper:
        raise InvalidInput(
            f"margins {lower} and {upper} do not lie on both sides of {_neutral(scale):g}",
            hint="a difference takes (-0.05, 0.05), a ratio (0.8, 1.25)",
        )
    above = _one_sided(treatment, control, lower, Side.GREATER, scale, alpha, corrected=corrected)
    below = _one_sided(treatment, control, upper, Side.LESS, scale, alpha, corrected=corrected)
    unknown = above.p_value is None or below.p_value is None
    return Equivalence(
        estimate=above.estimate,
        low=above.low,
        high=below.high,
        p_value=None if unknown else max(above.p_value or 0.0, below.p_value or 0.0),
        above=above,
        below=below,
        method=f"two one-sided tests, {above.method}",
        warnings=tuple(dict.fromkeys(above.warnings + below.warnings)),
    )


def _neutral(scale: Scale) -> float:
    return 0.0 if Scale(scale) is Scale.DIFFERENCE else 1.0


def _one_sided(
    treatment: Counts, control: Counts, null: float, side: Side, scale: Scale, alpha: float, *, corrected: bool
) -> Finding:
    if Scale(scale) is Scale.RATIO:
        on_ratio = RatioMethod.MIETTINEN_NURMINEN if corrected else RatioMethod.KOOPMAN
        return ratio(treatment, control, null=null, alpha=alpha, side=side, method=on_ratio)
    method = DifferenceMethod.MIETTINEN_NURMINEN if corrected else DifferenceMethod.FARRINGTON_MANNING
    return difference(treatment, control, null=null, alpha=alpha, side=side, method=method)
