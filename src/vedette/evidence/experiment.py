"""What the arms of an experiment did, by the epochs of its split.

An epoch begins whenever the split between arms changes. Within one, arms are comparable at any moment; over epochs
their requests came at different times in different shares, so raw sums of two epochs are never added: that would let
the hour of the day pass for an effect (Simpson's paradox). Comparisons are made in each epoch, and those are combined.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from vedette.evidence.arms import NOTHING, ArmSums

Arms = Mapping[str, ArmSums]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExperimentEvidence:
    """All that was seen of an experiment; adding two is having seen both.

    Attributes:
        epochs: By epoch, in order, what each arm did. The bucket of a request without a unit is drawn from its id, so
            every request is in one of 1,024 buckets and the last entry, of those without a unit, is empty.
    """

    epochs: Mapping[int, Arms]

    @property
    def arms(self) -> tuple[str, ...]:
        """Name every arm that was seen, in alphabetical order."""
        return tuple(sorted({name for arms in self.epochs.values() for name in arms}))

    @property
    def requests(self) -> dict[int, dict[str, int]]:
        """Count the requests of each arm by epoch: the realised split."""
        return {epoch: {name: sums.requests for name, sums in arms.items()} for epoch, arms in self.epochs.items()}

    def of(self, epoch: int, arm: str) -> ArmSums:
        """Give what an arm did in an epoch; nothing where it was not seen."""
        return self.epochs.get(epoch, {}).get(arm, NOTHING)

    def __add__(self, other: "ExperimentEvidence") -> "ExperimentEvidence":
        """Give what both saw together, epoch by epoch and arm by arm."""
        epochs = sorted({*self.epochs, *other.epochs})
        return ExperimentEvidence(
            epochs={epoch: _together(self.epochs.get(epoch, {}), other.epochs.get(epoch, {})) for epoch in epochs}
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ExperimentHour:
    """What the arms did in one epoch, from the beginning of an hour (hours since 1970) on."""

    hour: int
    epoch: int
    arms: Arms


def _together(one: Arms, other: Arms) -> Arms:
    return {name: one.get(name, NOTHING) + other.get(name, NOTHING) for name in sorted({*one, *other})}
