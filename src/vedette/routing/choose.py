"""The choice: which version a unit sees. Pure, sticky, monotone in the weight, and the same in every process.

A unit's bucket (1 of 1,024) depends on the domain alone. The rollout's salt permutes the buckets, and the canary has a
prefix of them; the bucket on the edge is split by a second hash, so weights are exact to a millionth of the units.
Growing the weight only adds buckets: nobody moves back. An experiment that serves a version of its own overrules that.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from xxhash import xxh3_64_intdigest

from vedette.kernel.hashing import BUCKET_SHIFT, BUCKETS, bucket_of, fraction_of, ranks_of, seed_of
from vedette.routing.assign import NOT_EXPOSED, CompiledExperiments, Exposed
from vedette.routing.plan import FULL, TrafficPlan

Arm = Literal["stable", "canary", "experiment"]


@dataclass(frozen=True, slots=True)
class Choice:
    """What was chosen for a unit and where it stands: ``rank`` is the bucket's place in the order of exposure.

    The arm is ``experiment`` where an experiment decided the version. ``pseudonym`` is its unit's, where the domain
    keeps units and the request has one.
    """

    version: str
    arm: Arm
    bucket: int
    rank: int
    pseudonym: str = ""

    def overruled(self, exposed: Exposed) -> "Choice":
        """Give the choice as experiments leave it: the same, unless one of them serves a version of its own."""
        if exposed.override is None or not exposed.override.version:
            return self
        return Choice(exposed.override.version, "experiment", self.bucket, self.rank)


class CompiledPlan:
    """A plan with its salts hashed and its permutation laid out, ready for the request path.

    ``experiments`` is None where none run.
    """

    __slots__ = ("_edge", "_known", "_overruled", "_ranks", "_seed", "_split_seed", "_whole", "experiments", "plan")

    def __init__(self, plan: TrafficPlan) -> None:
        self.plan = plan
        self.experiments = CompiledExperiments.of(plan)
        self._seed = seed_of(f"domain/{plan.domain}")
        self._known: list[Choice | None] = [None] * BUCKETS
        self._overruled: dict[tuple[str, int], Choice] = {}  # by the version of an experiment, and bucket
        canary = plan.canary
        self._whole, remainder = divmod((canary.weight if canary else 0) * BUCKETS, FULL)
        self._edge = remainder / FULL
        self._ranks = ranks_of(canary.salt) if canary else ()
        self._split_seed = seed_of(f"edge/{canary.salt}") if canary else 0

    def assign(self, unit: str, attributes: Mapping[str, str] | None = None) -> tuple[Choice, Exposed]:
        """Give the version ``unit`` sees on a request with these attributes, and the experiments that have it."""
        bucket = xxh3_64_intdigest(unit.encode(), self._seed) >> BUCKET_SHIFT
        choice = self._known[bucket] or self._learn(bucket, unit)
        if self.experiments is None:
            return choice, NOT_EXPOSED
        exposed = self.experiments.expose(unit, attributes) if attributes else self.experiments.expose(unit)
        override = exposed.override
        if override is None or not override.version:
            return choice, exposed
        return self._overruled.get((override.version, bucket)) or self._overrule(choice, exposed), exposed

    def _overrule(self, choice: Choice, exposed: Exposed) -> Choice:
        overruled = choice.overruled(exposed)
        self._overruled[overruled.version, overruled.bucket] = overruled
        return overruled

    def choose(self, unit: str) -> Choice:
        """Choose the version of ``unit`` as the rollout has it, experiments left aside."""
        bucket = bucket_of(self._seed, unit)
        return self._known[bucket] or self._learn(bucket, unit)

    def _learn(self, bucket: int, unit: str) -> Choice:
        """Work out the choice of a bucket, and remember it for all its units unless the edge runs through it."""
        canary = self.plan.canary
        if canary is None:
            choice = Choice(self.plan.stable, "stable", bucket, -1)
        else:
            rank = self._ranks[bucket]
            on_edge = rank == self._whole and self._edge > 0
            if rank < self._whole or (on_edge and fraction_of(self._split_seed, unit) < self._edge):
                choice = Choice(canary.version, "canary", bucket, rank)
            else:
                choice = Choice(self.plan.stable, "stable", bucket, rank)
            if on_edge:
                return choice
        self._known[bucket] = choice
        return choice

    def choose_at_random(self, draw: float) -> Choice:
        """Choose for a request without a unit, from a number in [0, 1) that the caller drew."""
        canary = self.plan.canary
        if canary is not None and draw * FULL < canary.weight:
            return Choice(canary.version, "canary", -1, -1)
        return Choice(self.plan.stable, "stable", -1, -1)
