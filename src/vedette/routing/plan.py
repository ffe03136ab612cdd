"""The traffic plan: everything a gateway needs to serve a domain, as one immutable snapshot with a revision.

It is compiled by the control plane from the stable version, the rollout and the domain's configuration, and is the
only thing a gateway reads. A new plan replaces the old one whole, by one reference.
"""

from collections.abc import Mapping

from vedette.catalog.backend import Backend
from vedette.catalog.domain import DomainConfig
from vedette.kernel.errors import InvalidInput
from vedette.kernel.hashing import ALGORITHM
from vedette.kernel.records import forward_compatible, record
from vedette.routing.layers import PLACES, Layer

FULL = 1_000_000
"""All traffic, in millionths: the resolution of weights."""


def millionths(percent: float) -> int:
    """Turn percent into millionths of the traffic, exactly to the resolution of weights."""
    return round(percent * 10_000)


@record
class Canary:
    """The new version and its share of traffic. ``salt`` permutes the buckets and never changes within a rollout."""

    version: str
    rollout: str
    attempt: int
    step: int
    salt: str
    weight: int

    def __post_init__(self) -> None:
        """Refuse weights outside 0..1,000,000."""
        if not 0 <= self.weight <= FULL:
            raise InvalidInput(f"weight must be 0 to {FULL} millionths, not {self.weight}")


@forward_compatible
@record
class TrafficPlan:
    """Who serves a domain, at one revision. ``stable`` is empty while a domain has no version to serve.

    ``layers`` are the experiments that run on it; ``hold_out`` is the share of units, in millionths, that see none.
    ``pepper`` marks the one that pseudonyms of units are made with (`catalog.key.mark_of`): a gateway that has another
    refuses the plan. It is empty where no units are kept, and where nobody said which.
    """

    domain: str
    revision: int
    stable: str
    canary: Canary | None
    backends: Mapping[str, Backend]
    config: DomainConfig
    serving: bool = True
    algorithm: str = ALGORITHM
    layers: tuple[Layer, ...] = ()
    hold_out: int = 0
    pepper: str = ""

    def __post_init__(self) -> None:
        """Refuse a plan this code cannot serve as it was meant."""
        if self.algorithm != ALGORITHM:
            raise InvalidInput(f"plan uses {self.algorithm!r}, this gateway speaks {ALGORITHM!r}", hint="upgrade it")
        needed = {self.stable} - {""} | ({self.canary.version} if self.canary else set()) | self.versions_on_trial()
        if missing := needed - self.backends.keys():
            raise InvalidInput(f"plan of {self.domain!r} lacks the backend of {', '.join(sorted(missing))}")

        if not 0 <= self.hold_out <= PLACES:
            raise InvalidInput(f"a hold-out is 0 to {PLACES} millionths, not {self.hold_out}")
        running = [experiment for layer in self.layers for experiment in layer.experiments]
        for what, names in (
            ("layers are named", [layer.name for layer in self.layers]),
            ("layers have the salt", [layer.salt for layer in self.layers]),
            ("experiments have the id", [experiment.id for experiment in running]),
            ("experiments are named", [experiment.name for experiment in running]),
            ("experiments have the salt", [experiment.salt for experiment in running]),
        ):
            if twice := next((name for name in names if names.count(name) > 1), None):
                raise InvalidInput(f"two {what} {twice!r} in the plan of {self.domain!r}")

    def versions_on_trial(self) -> set[str]:
        """Name the versions that arms of experiments serve."""
        return {
            version
            for layer in self.layers
            for experiment in layer.experiments
            for piece in experiment.slices
            if (version := experiment.overrides[piece.arm].version)
        }

    @property
    def weight(self) -> int:
        """The canary's share in millionths; 0 without one."""
        return self.canary.weight if self.canary else 0
