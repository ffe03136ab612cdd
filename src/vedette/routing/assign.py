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
from typing import Generic, Self, TypeVar

from vedette.evidence.outcome import Exposure
from vedette.kernel.hashing import seed_of
from vedette.routing.layers import Layer, RunningExperiment, Stretch, place_of
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

    __slots__ = ("_hold_out", "_known", "_layers", "attributes", "running", "versions")

    def __init__(self, plan: TrafficPlan) -> None:
        self._hold_out: _Spread[bool] | None = None
        if plan.hold_out:
            self._hold_out = _Spread(f"hold-out/{plan.domain}", [(0, plan.hold_out, True)])
        self._layers: list[_Spread[_Experiment]] = []
        self._known: dict[tuple[_Arm, ...], tuple[Exposed, tuple[str, ...]]] = {}
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
            self._layers.append(_Spread(_layer_salt(plan.domain, layer), places))
        self.attributes = tuple(wanted)
        self.versions = plan.versions_on_trial()

    @classmethod
    def of(cls, plan: TrafficPlan) -> Self | None:
        """Compile the experiments of a plan; None when there are none, so that nobody pays for them."""
        return cls(plan) if any(layer.experiments for layer in plan.layers) else None

    def expose(self, unit: str, attributes: Mapping[str, str] = _EMPTY) -> Exposed:
        """Say which experiments have ``unit`` on a request with these attributes, and what that changes."""
        key = unit.encode()
        if self._hold_out is not None and self._hold_out.find(key):
            return NOT_EXPOSED
        arms: tuple[_Arm, ...] = ()
        for layer in self._layers:
            experiment = layer.find(key)
            if experiment is None or not all(rule.holds(attributes) for rule in experiment.targeting):
                continue
            arm = experiment.arms.find(key)
            if arm is not None:
                arms += (arm,)
        if not arms:
            return NOT_EXPOSED
        exposed, dimensions = self._known.get(arms) or self._learn(arms)
        if not dimensions:
            return exposed
        return Exposed(
            exposures=exposed.exposures,
            override=exposed.override,
            names=exposed.names,
            dimensions=dict(_said(dimensions, attributes)),
        )

    def _learn(self, arms: "tuple[_Arm, ...]") -> tuple[Exposed, tuple[str, ...]]:
        """Work out what arms come to together; where two change the same thing, the first layer's word stands."""
        override = Override()
        for arm in arms:
            override = override.over(arm.override)
        exposed = Exposed(
            exposures=tuple(arm.exposure for arm in arms),
            override=override if override.touches() else None,
            names=MappingProxyType({arm.experiment.name: arm.exposure.arm for arm in arms}),
        )
        dimensions = tuple(dict.fromkeys(name for arm in arms for name in arm.experiment.dimensions))
        if len(self._known) < _MOST_KNOWN:
            self._known[arms] = exposed, dimensions
        return exposed, dimensions


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


class _Spread(Generic[T]):
    """A million places, some of which hold something, and a hash that gives each unit one of them."""

    __slots__ = ("_ends", "_held", "_seed")

    def __init__(self, salt: str, parts: Iterable[tuple[int, int, T]]) -> None:
        self._seed = seed_of(salt)
        self._ends: list[int] = []
        self._held: list[T | None] = []
        for begin, end, held in sorted(parts, key=lambda part: part[0]):
            self._ends += [begin, end]
            self._held += [None, held]
        self._held.append(None)

    def find(self, unit: bytes) -> T | None:
        return self._held[bisect_right(self._ends, place_of(self._seed, unit))]


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
        self.targeting = running.targeting
        self.arms = _Spread(
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
