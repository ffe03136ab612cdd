"""What a unit sees, as OpenFeature says it: one flag for a domain, and one for each experiment that runs on it.

A domain is a flag: its value is the name of the version and its variant the arm (stable, canary, or experiment where an
experiment decided the version). Each running experiment is a flag too, by its name: its value is an object with the
name of the arm as ``variant`` and the values the arm gives to applications. Where an experiment is called as a domain
is, the flag is the domain's; where two domains have experiments of one name, it is that of the first domain by name.

The targeting key is the unit. It is always asked for, also while nothing is split, so that no client begins to fail on
the day a rollout begins. Other texts, numbers and truths of the context are the attributes that targeting asks for.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from vedette.routing.assign import Exposed
from vedette.routing.choose import Choice, CompiledPlan
from vedette.routing.layers import RunningExperiment
from vedette.routing.plan import FULL

FlagReason = Literal["STATIC", "SPLIT", "TARGETING_MATCH", "DEFAULT", "DISABLED"]

_number = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Unit:
    """Who asks and what is known of them, or the error code that says why nobody can tell."""

    key: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)
    error: str = ""
    details: str = ""


@dataclass(frozen=True, slots=True)
class Flag:
    """What one flag says to a unit; ``value`` None leaves the caller's default in force."""

    key: str
    value: str | Mapping[str, object] | None
    variant: str
    reason: FlagReason
    metadata: Mapping[str, str | int]


def unit_of(key: object, context: Mapping[str, object]) -> Unit:
    """Read who asks from a targeting key and the rest of a context."""
    if not isinstance(key, str):
        return Unit(error="INVALID_CONTEXT", details="context.targetingKey must be text")
    if not key:
        return Unit(error="TARGETING_KEY_MISSING", details="context.targetingKey must name the unit, such as a user")
    return Unit(key=key, attributes={name.lower(): said for name, value in context.items() if (said := _text(value))})


def _text(value: object) -> str:
    """Write a value as a header would say it; "" for one that is no attribute."""
    if isinstance(value, str):
        return value
    return _number(value).decode() if isinstance(value, (bool, int, float)) else ""


def plan_of_experiment(plans: Mapping[str, CompiledPlan], name: str) -> CompiledPlan | None:
    """Give the plan of the first domain that runs an experiment of that name."""
    return next((each for each in plans.values() if each.experiments and name in each.experiments.running), None)


def flag_of(compiled: CompiledPlan, key: str, unit: Unit) -> Flag:
    """Evaluate one flag: of the domain, or of an experiment that runs on it."""
    choice, exposed = _assigned(compiled, unit)
    if key == compiled.plan.domain or compiled.experiments is None:
        return _of_domain(compiled, choice, exposed)
    return _of_experiment(compiled, compiled.experiments.running[key], choice, exposed)


def flags_of(compiled: CompiledPlan, unit: Unit) -> list[Flag]:
    """Say what a unit sees of a domain: the domain's flag, then one for each of its experiments."""
    choice, exposed = _assigned(compiled, unit)
    running = compiled.experiments.running.values() if compiled.experiments else ()
    return [
        _of_domain(compiled, choice, exposed),
        *(_of_experiment(compiled, experiment, choice, exposed) for experiment in running),
    ]


def _assigned(compiled: CompiledPlan, unit: Unit) -> tuple[Choice, Exposed]:
    if compiled.plan.config.assignment.unit == "user":
        return compiled.assign(unit.key, {"user": unit.key, **unit.attributes})
    return compiled.assign(unit.key, unit.attributes)


def _of_domain(compiled: CompiledPlan, choice: Choice, exposed: Exposed) -> Flag:
    plan, experiments = compiled.plan, compiled.experiments
    metadata: dict[str, str | int] = {"planRevision": plan.revision, "bucket": choice.bucket}
    if plan.canary:
        metadata["rollout"], metadata["step"] = plan.canary.rollout, plan.canary.step
    for name, arm in exposed.names.items():
        metadata[f"experiments.{name}"] = arm
    if not plan.serving or not choice.version:
        return Flag(plan.domain, None, "none", "DISABLED", metadata)
    split = 0 < plan.weight < FULL or (experiments is not None and experiments.versions)
    return Flag(plan.domain, choice.version, choice.arm, "SPLIT" if split else "STATIC", metadata)


def _of_experiment(compiled: CompiledPlan, running: RunningExperiment, choice: Choice, exposed: Exposed) -> Flag:
    plan, arm = compiled.plan, exposed.names.get(running.name)
    metadata: dict[str, str | int] = {
        "domain": plan.domain,
        "planRevision": plan.revision,
        "experiment": running.id,
        "bucket": choice.bucket,
    }
    if not plan.serving or not choice.version:
        return Flag(running.name, None, "none", "DISABLED", metadata)
    if arm is None:
        return Flag(running.name, None, "none", "DEFAULT", metadata)
    value = {"variant": arm, **(running.overrides[arm].values or {})}
    return Flag(running.name, value, arm, "TARGETING_MATCH" if running.targeting else "SPLIT", metadata)
