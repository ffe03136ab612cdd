"""Experiments in a small world: a domain to try things on, and users who answer by the traffic plan in force."""

import zlib
from typing import Protocol
from weakref import WeakKeyDictionary

import numpy as np
from tests.control.world import World

from vedette.control.instruments import Instruments
from vedette.control.plane import ControlPlane
from vedette.evidence.outcome import Outcome, OutcomeStatus
from vedette.kernel.hashing import bucket_of, seed_of
from vedette.routing.assign import NOT_EXPOSED, CompiledExperiments

METRICS = [{"name": "accuracy", "kind": "rate", "measure": "correct", "better": "higher"}]
USES = [{"metric": "accuracy", "role": "primary"}, {"metric": "errors", "role": "guardrail", "margin": 0.1}]
BUCKET = seed_of("buckets of the tests' users")


class Tried(Protocol):
    """A plane and its clock: a `World`, or any other place to try things."""

    clock: Instruments
    plane: ControlPlane


_ASKED: WeakKeyDictionary[Tried, int] = WeakKeyDictionary()  # how often users of a world have asked


def prepare(world: World, domain: str = "pay", versions: tuple[str, ...] = ("v1", "v2", "v3"), **config) -> None:
    """Make a domain whose users are its units and whose answers may be called correct."""
    world.domain(domain, versions=versions, metrics=METRICS, assignment={"unit": "user"}, **config)


def draft(world: World, *variants, name: str = "tone", domain: str = "pay", **design):
    """Draft an experiment of some versions, the first one of which is the control."""
    asked = {"metrics": USES} | design
    return world.plane.experiments.create_test(domain, variants or ("v1", "v2"), name=name, actor="ada", **asked)


def parameters(name: str, **said):
    """Make a variant that sets decoding parameters."""
    return {"name": name, "override": {"parameters": said}}


def answer(
    world: Tried,
    *,
    domain: str = "pay",
    users: int = 1500,
    requests: int = 3,
    attributes=None,
    correct=None,
    error=None,
    lost=None,
    both=None,
    seed: int | None = None,
) -> dict[str, int]:
    """Let users ask by the plan in force and ship the outcomes; give how many each arm of each experiment had.

    ``correct`` and ``error`` are probabilities by arm, 0.5 and 0.02 for those not named, and ``both`` is that to be
    correct of two arms together; ``lost`` is the share of an arm's users of whom nothing arrives; ``attributes`` gives
    those of a user, by number. Each call has other requests of the same users.
    """
    _ASKED[world] = _ASKED.get(world, 0) + 1
    draw = np.random.default_rng(_ASKED[world] if seed is None else seed)
    plan = world.plane.traffic.plan(domain)
    compiled = CompiledExperiments.of(plan)
    counts: dict[str, int] = {}
    made = []
    stamp = f"{world.clock.now():%H%M%S}-{draw.integers(1 << 40):x}"
    chances = draw.random((users, requests, 2))
    for user in range(users):
        unit = f"user-{user}"
        said = attributes(user) if attributes else {}
        seen = compiled.expose(unit, said) if compiled else NOT_EXPOSED
        right, wrong = 0.5, 0.02
        for arm in seen.names.values():
            right, wrong = (correct or {}).get(arm, right), (error or {}).get(arm, wrong)
        for pair, chance in (both or {}).items():
            if set(pair) <= set(seen.names.values()):
                right = chance
        if any(user % 100 < 100 * (lost or {}).get(arm, 0.0) for arm in seen.names.values()):
            continue
        for experiment, arm in seen.names.items():
            counts[f"{experiment}/{arm}"] = counts.get(f"{experiment}/{arm}", 0) + requests
        version = (seen.override and seen.override.version) or plan.stable
        for number in range(requests):
            failed = bool(chances[user, number, 0] < wrong)
            made.append(
                Outcome(
                    id=f"{domain}-{stamp}-{user}-{number}",
                    domain=domain,
                    at=world.clock.now(),
                    assigned=version,
                    served=version,
                    plan_revision=0 if seen.override and seen.override.version else plan.revision,
                    bucket=bucket_of(BUCKET, unit),
                    status=OutcomeStatus.ERROR if failed else OutcomeStatus.OK,
                    measures={
                        "error": float(failed),
                        "correct": float(chances[user, number, 1] < right),
                        "latency_ms": 20.0 + zlib.crc32(f"{stamp}{user}{number}".encode()) % 10,
                    },
                    exposures=seen.exposures,
                    dimensions=dict(seen.dimensions),
                )
            )
    for begin in range(0, len(made), 5000):
        world.plane.lake.ship(f"{domain}-{stamp}-{begin}", made[begin : begin + 5000])
    return counts


def arms_of(world: World, name: str = "tone", domain: str = "pay", users: int = 2000) -> dict[str, str]:
    """Give the arm of each user who takes part in an experiment, by the plan in force."""
    compiled = CompiledExperiments.of(world.plane.traffic.plan(domain))
    if compiled is None:
        return {}
    seen = {f"user-{user}": compiled.expose(f"user-{user}").names.get(name, "") for user in range(users)}
    return {unit: arm for unit, arm in seen.items() if arm}


def actions(world: World, name: str = "tone") -> list[str]:
    """Give what was decided about an experiment, in order."""
    return [str(it.decision.action) for it in world.plane.experiments.decisions(name, limit=1000).items]


def audited(world: World, domain: str = "pay") -> list[str]:
    """Give what was recorded of experiments of a domain, in order."""
    entries = world.plane.governance.entries(domain=domain, limit=1000).items
    return [it.action for it in entries if it.action.startswith("experiment.")]
