"""Which experiments have a unit, and with which arm: pure, sticky, and the same in every process.

Each layer hashes units with a salt of its own, and each experiment hashes them over its arms with another one, so that
arms are independent between layers and of any rollout. All a request needs is laid out when a plan is compiled: in
each layer one hash and a search tell the experiment, in it another hash and a search tell the arm, and what the arms
of a request come to together is worked out once for every combination of them.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Self, TypeAlias, TypeVar

from xxhash import xxh3_64_intdigest

from vedette.evidence.outcome import Exposure
from vedette.kernel.hashing import seed_of
from vedette.routing.layers import PLACES, Layer, RunningExperiment, Stretch, hash_of, place_of
from vedette.routing.override import Override
from vedette.routing.plan import TrafficPlan

T = TypeVar("T")

LONGEST_DIMENSION = 64
"""A dimension's value is cut to this many characters."""

_MOST_KNOWN = 4096  # combinations of arms that are remembered; more are worked out anew each time
_EMPTY: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposed:
    """What the experiments of a domain make of one request.

    Attributes:
        exposures: The arms it is served with, in the order of the layers.
        override: What they change, all together; None when nothing.
        names: The arms by the experiments' names.
        dimensions: What kind of request it is, as far as its experiments want to know.
    """

    exposures: tuple[Exposure, ...] = ()
    override: Override | None = None
    names: Mapping[str, str] = field(default_factory=lambda: _EMPTY)
    dimensions: Mapping[str, str] = field(default_factory=dict)


NOT_EXPOSED = Exposed()
"""No experiment has the request."""


class CompiledExperiments:
    """The experiments of a plan with their salts hashed and their places laid out, ready for the request path.

    ``attributes`` are the names of what a caller must know about a request, ``running`` the experiments by name, and
    ``versions`` those that arms serve.
    """

    __slots__ = ("_hold_out", "_layers", "_none", "_remembered", "attributes", "running", "versions")

    def __init__(self, plan: TrafficPlan) -> None:
        self._hold_out: _Spread[bool] | None = None
        if plan.hold_out:
            self._hold_out = _spread(f"hold-out/{plan.domain}", [(0, plan.hold_out, True)])
        self._layers: list[_Spread[_Experiment]] = []
        self._none, self._remembered = _Together(()), 0
        self.running: Mapping[str, RunningExperiment] = {
            experiment.name: experiment for layer in plan.layers for experiment in layer.experiments
        }
        wanted: dict[str, None] = {}
        for layer in plan.layers:
            places: list[tuple[int, int, _Experiment]] = []
            for running in layer.experiments:
                compiled = _Experiment(running)
                places += [(part.begin, part.end, compiled) for part in _first(running.stretches, running.exposed)]
                wanted |= dict.fromkeys((*(rule.attribute for rule in running.targeting), *running.dimensions))
            self._layers.append(_spread(_layer_salt(plan.domain, layer), places))
        self.attributes = tuple(wanted)
        self.versions = plan.versions_on_trial()

    @classmethod
    def of(cls, plan: TrafficPlan) -> Self | None:
        """Compile the experiments of a plan; None when there are none, so that nobody pays for them."""
        return cls(plan) if any(layer.experiments for layer in plan.layers) else None

    def expose(self, unit: str, attributes: Mapping[str, str] = _EMPTY) -> Exposed:
        """Say which experiments have ``unit`` on a request with these attributes, and what that changes."""
        key = unit.encode()
        if self._hold_out is not None:
            ends, held_out, seed = self._hold_out
            if held_out[bisect_right(ends, xxh3_64_intdigest(key, seed))]:
                return NOT_EXPOSED
        together = self._none
        for ends, experiments, seed in self._layers:
            experiment = experiments[bisect_right(ends, xxh3_64_intdigest(key, seed)) if ends else 0]
            if experiment is None:
                continue
            for attribute, values, rule in experiment.targeting:
                if attributes.get(attribute, "") not in values if values else not rule.holds(attributes):
                    break
            else:
                slices, arms, salt = experiment.arms
                arm = arms[bisect_right(slices, xxh3_64_intdigest(key, salt))]
                if arm is not None:
                    together = together.with_each.get(arm) or self._learn(together, arm)
        exposed = together.exposed
        if not together.dimensions:
            return exposed
        return Exposed(
            exposures=exposed.exposures,
            override=exposed.override,
            names=exposed.names,
            dimensions=dict(_said(together.dimensions, attributes)),
        )

    def _learn(self, before: "_Together", arm: "_Arm") -> "_Together":
        """Remember what an arm comes to together with others, as long as there is room for it."""
        together = _Together((*before.arms, arm))
        if self._remembered < _MOST_KNOWN:
            self._remembered += 1
            before.with_each[arm] = together
        return together


class _Together:
    """What some arms come to together; where two change the same thing, the first layer's word stands."""

    __slots__ = ("arms", "dimensions", "exposed", "with_each")

    def __init__(self, arms: "tuple[_Arm, ...]") -> None:
        override = Override()
        for arm in arms:
            override = override.over(arm.override)
        self.arms = arms
        self.exposed = NOT_EXPOSED
        if arms:
            self.exposed = Exposed(
                exposures=tuple(arm.exposure for arm in arms),
                override=override if override.touches() else None,
                names=MappingProxyType({arm.experiment.name: arm.exposure.arm for arm in arms}),
            )
        self.dimensions = tuple(dict.fromkeys(name for arm in arms for name in arm.experiment.dimensions))
        self.with_each: dict[_Arm, _Together] = {}


def place_in_layer(domain: str, layer: Layer, unit: str) -> int:
    """Give the place of a unit in a layer, of a million: whose stretch it is in has it."""
    return place_of(seed_of(_layer_salt(domain, layer)), unit.encode())


def place_among_arms(running: RunningExperiment, unit: str) -> int:
    """Give the place of a unit in an experiment's space of arms, of a million: whose slice it is in is its arm."""
    return place_of(seed_of(_arms_salt(running)), unit.encode())


def _layer_salt(domain: str, layer: Layer) -> str:
    return f"layer/{domain}/{layer.salt}"


def _arms_salt(running: RunningExperiment) -> str:
    return f"arms/{running.salt}"


_Spread: TypeAlias = tuple[list[int], list[T | None], int]
"""A million places, some of which hold something, and a hash that gives each unit one of them: ends, held, seed.

Where parts end is kept as the hash that is the first behind it, so that a search needs no arithmetic. What a unit has
stands at ``bisect_right(ends, hash)`` in ``held``; this is looked up so often that a call would be half of it, and so
would be taking apart anything but a plain tuple. Where one thing has all places there are no ends, and nothing to hash.
"""


def _spread(salt: str, parts: Iterable[tuple[int, int, T]]) -> _Spread[T]:
    ends: list[int] = []
    every: list[T | None] = []
    parts = list(parts)
    if len(parts) == 1 and parts[0][:2] == (0, PLACES):
        return [], [parts[0][2]], seed_of(salt)
    for begin, end, held in sorted(parts, key=lambda part: part[0]):
        ends += [hash_of(begin), hash_of(end)]
        every += [None, held]
    return ends, [*every, None], seed_of(salt)


class _Arm:
    """One arm of one experiment; the same object each time, so that combinations can be told by it."""

    __slots__ = ("experiment", "exposure", "override")

    def __init__(self, experiment: RunningExperiment, name: str) -> None:
        self.experiment = experiment
        self.exposure = Exposure(experiment=experiment.id, arm=name, epoch=experiment.epoch)
        self.override = experiment.overrides[name]


class _Experiment:
    __slots__ = ("arms", "targeting")

    def __init__(self, running: RunningExperiment) -> None:
        arms = {name: _Arm(running, name) for name in running.overrides}
        # What a rule asks of, the values it allows where that is all there is to it, and the rule.
        self.targeting = tuple(
            (rule.attribute, frozenset(rule.values) if rule.test == "is" else None, rule) for rule in running.targeting
        )
        self.arms = _spread(
            _arms_salt(running), [(piece.begin, piece.end, arms[piece.arm]) for piece in running.slices]
        )


def _first(stretches: Iterable[Stretch], places: int) -> Iterator[Stretch]:
    """Give the first so many places of stretches laid end to end."""
    for part in stretches:
        if places <= 0:
            return
        yield Stretch(begin=part.begin, end=min(part.end, part.begin + places))
        places -= part.end - part.begin


def _said(dimensions: Iterable[str], attributes: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Give what a request says of itself, as it can be recorded; what it does not say is left out."""
    for name in dimensions:
        value = "".join(filter(str.isprintable, attributes.get(name, "")[:LONGEST_DIMENSION]))
        if value:
            yield name, value
