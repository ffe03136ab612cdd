"""When an experiment may be looked at: once, at planned looks, or at any time; and how its traffic is split."""

from typing import Annotated, Literal

from pydantic import Discriminator

from vedette.kernel.errors import InvalidInput
from vedette.kernel.fields import Seconds
from vedette.kernel.records import record


@record
class Fixed:
    """One analysis, when ``units`` units were seen in all arms together (0: whenever a person stops it)."""

    kind: Literal["fixed"] = "fixed"
    units: int = 0

    def __post_init__(self) -> None:
        """Refuse negative sizes."""
        if self.units < 0:
            raise InvalidInput("units must not be negative")


@record
class GroupSequential:
    """A planned number of looks, spread evenly over ``units`` units in all arms together.

    ``spending`` says how much of α each look may use: ``hwang-shih-decani`` (``parameter`` is gamma, -4.25 unless
    given: with 20 looks it keeps .79 of a fixed design's .81 power and stops at three quarters of its size), ``power``
    (α·t^``parameter``), ``obrien-fleming`` or ``pocock`` (Lan & DeMets 1983). A look may come later than planned, and
    the last one after more units than planned: what is spent follows the units that were really there. With
    ``futility`` (a conditional power, such as 0.1) an experiment that can hardly succeed any more may stop; following
    it is optional, as α is spent as if it were not there.
    """

    kind: Literal["group-sequential"] = "group-sequential"
    units: int
    looks: int = 20
    spending: Literal["hwang-shih-decani", "power", "obrien-fleming", "pocock"] = "hwang-shih-decani"
    parameter: float | None = None
    futility: float = 0.0

    def __post_init__(self) -> None:
        """Refuse designs that cannot be."""
        if self.units <= 0:
            raise InvalidInput("a group-sequential design needs the units it plans for", hint="vedette experiment plan")
        if not 1 <= self.looks <= 100:
            raise InvalidInput(f"looks must be 1 to 100, not {self.looks}")
        if not 0.0 <= self.futility < 0.5:
            raise InvalidInput(f"futility is a conditional power below 0.5, not {self.futility}")


@record
class AnytimeValid:
    """Looks at any time, as often as one likes, with no planned end; tightest at ``tune_at`` units in two arms."""

    kind: Literal["anytime"] = "anytime"
    tune_at: float = 10_000.0

    def __post_init__(self) -> None:
        """Refuse a size without meaning."""
        if not 0 < self.tune_at < float("inf"):
            raise InvalidInput(f"tuneAt must be above 0, not {self.tune_at}")


Monitoring = Annotated[Fixed | GroupSequential | AnytimeValid, Discriminator("kind")]
"""When an experiment may be looked at."""


@record
class EvenSplit:
    """The split the variants' weights say, for as long as the experiment runs."""

    kind: Literal["weights"] = "weights"


@record
class TopTwo:
    """A bandit: the split follows top-two Thompson sampling (Russo 2020), moved every ``every`` at most.

    No arm gets less than ``minimum`` of the traffic, so that intervals stay valid and every arm can come back. Where
    units are sticky, those at the edge of an arm that shrinks change arms.
    """

    kind: Literal["top-two"] = "top-two"
    every: Seconds = 3600.0
    minimum: float = 0.05
    burn_in: int = 200

    def __post_init__(self) -> None:
        """Refuse floors that leave nothing to move."""
        if not 0.0 < self.minimum <= 0.5:
            raise InvalidInput(f"minimum is a share of the traffic up to 0.5, not {self.minimum}")
        if self.burn_in < 2:
            raise InvalidInput("burnIn must be 2 or more", hint="a spread needs two observations")


Allocation = Annotated[EvenSplit | TopTwo, Discriminator("kind")]
"""How traffic is split between arms."""
