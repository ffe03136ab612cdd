"""Experiments in a traffic plan: layers of units, and who sees which arm of what.

A layer is a hash of its own over units, laid out as a million places. Experiments of one layer hold separate stretches
of it, so no unit is in two of them; experiments of different layers overlap, independently of each other and of
rollouts, because the hashes are independent. Within an experiment a second hash lays its units out over the arms.

Growing an experiment's coverage exposes more of the stretches it holds, in their order, and taking more stretches
adds to their end: nobody who is in it moves. An arm that is stopped leaves a hole in the space of arms: its units are
served as the domain is, and nobody else moves.

Source: Tang, Agarwal, O'Brien & Meyer, "Overlapping experiment infrastructure: more, better, faster experimentation",
KDD 2010.
"""

import itertools
from collections.abc import Mapping, Sequence

import xxhash

from vedette.kernel.errors import InvalidInput
from vedette.kernel.ids import check_name
from vedette.kernel.records import record
from vedette.routing.override import Override, Rule

PLACES = 1_000_000
"""Places of a layer, and of an experiment's space of arms: the resolution of shares."""

_SECRET = frozenset({"authorization", "proxy-authorization", "cookie", "x-api-key", "api-key"})


def place_of(seed: int, unit: bytes) -> int:
    """Give a unit, as its UTF-8 bytes, one of the million places: in integers, so exactly the same everywhere."""
    return (xxhash.xxh3_64_intdigest(unit, seed) >> 11) * PLACES >> 53


def hash_of(place: int) -> int:
    """Give the smallest hash that `place_of` puts at or behind a place; PLACES gives one that no hash reaches."""
    return -(-(place << 53) // PLACES) << 11


@record
class Stretch:
    """Places from ``begin`` to before ``end`` of a layer, or of the space of arms."""

    begin: int
    end: int

    def __post_init__(self) -> None:
        """Refuse an empty stretch, or one outside of the million places."""
        if not 0 <= self.begin < self.end <= PLACES:
            raise InvalidInput(f"a stretch lies within 0 to {PLACES}, not {self.begin} to {self.end}")


@record
class ArmSlice:
    """A stretch of the space of arms that belongs to one arm; an arm may have several."""

    arm: str
    begin: int
    end: int


@record
class RunningExperiment:
    """One experiment as gateways need it.

    ``salt`` spreads its units over the arms and never changes. ``epoch`` grows whenever the split between arms changes;
    evidence of different epochs is never simply added. ``stretches`` are its places in the layer, in the order in
    which they are exposed; the first ``exposed`` of them are.
    """

    id: str
    name: str
    salt: str
    epoch: int
    stretches: tuple[Stretch, ...]
    exposed: int
    slices: tuple[ArmSlice, ...]
    overrides: Mapping[str, Override]
    targeting: tuple[Rule, ...] = ()
    dimensions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse slices that overlap, an arm without its override, and what cannot be shown or kept."""
        check_name(self.name, "running experiment")
        for arm in self.overrides:
            check_name(arm, "variant")
        ends = [(piece.begin, piece.end) for piece in sorted(self.slices, key=lambda piece: piece.begin)]
        bad = any(not 0 <= begin < end <= PLACES for begin, end in ends)
        if bad or any(later[0] < earlier[1] for earlier, later in itertools.pairwise(ends)):
            raise InvalidInput(f"the arms of experiment {self.name!r} overlap")
        if missing := {piece.arm for piece in self.slices} - self.overrides.keys():
            raise InvalidInput(f"experiment {self.name!r} lacks the override of {', '.join(sorted(missing))}")
        if not 0 <= self.exposed <= self.held:
            raise InvalidInput(f"experiment {self.name!r} exposes {self.exposed} of the {self.held} places it holds")
        if secret := _SECRET.intersection(self.dimensions):
            raise InvalidInput(f"{', '.join(sorted(secret))} cannot be a dimension", hint="secrets are never recorded")

    @property
    def held(self) -> int:
        """How many places of its layer it holds."""
        return sum(part.end - part.begin for part in self.stretches)


@record
class Layer:
    """One layer of a domain and the experiments that run in it."""

    name: str
    salt: str
    experiments: tuple[RunningExperiment, ...]

    def __post_init__(self) -> None:
        """Refuse experiments that hold the same places."""
        held = sorted((part.begin, part.end) for it in self.experiments for part in it.stretches)
        if any(later[0] < earlier[1] for earlier, later in itertools.pairwise(held)):
            raise InvalidInput(f"two experiments hold the same places of layer {self.name!r}")


def reserve(taken: Sequence[Stretch], places: int) -> tuple[Stretch, ...] | None:
    """Find that many free places of a layer, the first ones first; None when there are too few."""
    found, begin, left = [], 0, places
    for part in [*sorted(taken, key=lambda part: part.begin), None]:
        end = part.begin if part else PLACES
        if begin < end and left > 0:
            found.append(Stretch(begin=begin, end=min(end, begin + left)))
            left -= found[-1].end - found[-1].begin
        begin = part.end if part else PLACES
    return None if left > 0 else tuple(found)


def slices_of(weights: Mapping[str, float]) -> tuple[ArmSlice, ...]:
    """Lay arms out over their space in proportion to their weights, to the last place.

    Raises:
        InvalidInput: a weight is negative or no number, or all are 0.
    """
    total = sum(weights.values())
    if not (total > 0 and all(0 <= weight < float("inf") for weight in weights.values())):
        raise InvalidInput("weights of arms are 0 or more, and not all 0")
    slices, begin, seen = [], 0, 0.0
    for arm, weight in weights.items():
        seen += weight
        end = round(PLACES * seen / total)
        if end > begin:
            slices.append(ArmSlice(arm=arm, begin=begin, end=end))
            begin = end
    return tuple(slices)
