"""OpenFeature's remote evaluation (OFREP 0.3.0): "what does this unit see?" for any OpenFeature SDK.

A domain is a flag: its value is the name of the version and its variant the arm (stable, canary, or experiment where an
experiment decided the version). Each running experiment is a flag too, by its name: its value is an object with the
name of the arm as ``variant`` and the values the arm gives to applications. Where an experiment is called as a domain
is, the flag is the domain's; where two domains have experiments of one name, it is that of the first domain by name.

The targeting key is the unit. It is always asked for, also while nothing is split, so that no client begins to fail on
the day a rollout begins. Other texts, numbers and truths of the context are the attributes that targeting asks for.

Asking is not exposure: nobody knows whether the application used the answer. Only requests that come through the
gateway, and outcomes that are brought with their exposures, are evidence of an experiment.
"""

from collections.abc import Mapping
from typing import Any

import msgspec
import xxhash

from vedette.routing.choose import CompiledPlan
from vedette.routing.plan import FULL

_encode = msgspec.json.Encoder().encode
_Flag = dict[str, object]


class _Request(msgspec.Struct):
    context: dict[str, Any] | None = None


_REQUEST = msgspec.json.Decoder(_Request)


class Unit(msgspec.Struct):
    """Who asks and what is known of them, or the error code that says why nobody can tell."""

    key: str = ""
    attributes: dict[str, str] = {}
    error: str = ""
    details: str = ""


def read_unit(body: bytes) -> Unit:
    """Read the targeting key and the attributes of an evaluation request."""
    try:
        context = _REQUEST.decode(body).context or {}
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        return Unit(error="PARSE_ERROR", details=f"the request is no evaluation request: {error}")
    key = context.pop("targetingKey", "")
    if not isinstance(key, str):
        return Unit(error="INVALID_CONTEXT", details="context.targetingKey must be text")
    if not key:
        return Unit(error="TARGETING_KEY_MISSING", details="context.targetingKey must name the unit, such as a user")
    return Unit(key=key, attributes={name.lower(): text for name, value in context.items() if (text := _text(value))})


def _text(value: object) -> str:
    """Write a value as a header would say it; "" for one that is no attribute."""
    if isinstance(value, str):
        return value
    return _encode(value).decode() if isinstance(value, (bool, int, float)) else ""


def plan_of_experiment(plans: Mapping[str, CompiledPlan], name: str) -> CompiledPlan | None:
    """Give the plan of the first domain that runs an experiment of that name."""
    return next((each for each in plans.values() if each.experiments and name in each.experiments.running), None)


def success(compiled: CompiledPlan, key: str, unit: Unit) -> bytes:
    """Write the evaluation of one flag: of the domain, or of an experiment that runs on it."""
    return _encode(next(flag for flag in _evaluate(compiled, unit) if flag["key"] == key))


def failure(unit: Unit, key: str | None = None) -> bytes:
    """Write why there is no evaluation."""
    body = {"errorCode": unit.error, "errorDetails": unit.details}
    return _encode({"key": key, **body} if key is not None else body)


def bulk(plans: Mapping[str, CompiledPlan], unit: Unit) -> tuple[bytes, bytes]:
    """Write the evaluation of all domains and then of all experiments, and its entity tag."""
    found = [_evaluate(compiled, unit) for compiled in plans.values()]
    flags = {flag["key"]: flag for flag, *_ in found}
    for _, *experiments in found:
        for flag in experiments:
            flags.setdefault(flag["key"], flag)
    body = _encode({"flags": list(flags.values())})
    return body, b'"%b"' % xxhash.xxh3_128_hexdigest(body).encode()


def _evaluate(compiled: CompiledPlan, unit: Unit) -> list[_Flag]:
    """Say what a unit sees of a domain: the domain's flag, then one for each of its experiments."""
    plan, experiments = compiled.plan, compiled.experiments
    attributes = {"user": unit.key} | unit.attributes if plan.config.assignment.unit == "user" else unit.attributes
    choice, exposed = compiled.assign(unit.key, attributes)
    serving = plan.serving and bool(choice.version)
    metadata: _Flag = {"planRevision": plan.revision}
    if plan.canary:
        metadata |= {"rollout": plan.canary.rollout, "step": plan.canary.step}
    metadata |= {f"experiments.{name}": arm for name, arm in exposed.names.items()}
    split = 0 < plan.weight < FULL or (experiments is not None and experiments.versions)
    flags = [
        _flag(plan.domain, choice.version, choice.arm, "SPLIT" if split else "STATIC", metadata)
        if serving
        else _flag(plan.domain, None, "none", "DISABLED", metadata)
    ]
    for name, running in experiments.running.items() if experiments else ():
        metadata = {"domain": plan.domain, "planRevision": plan.revision, "experiment": running.id}
        arm = exposed.names.get(name)
        if not serving or arm is None:
            flags.append(_flag(name, None, "none", "DEFAULT" if serving else "DISABLED", metadata))
        else:
            value = {"variant": arm, **(running.overrides[arm].values or {})}
            flags.append(_flag(name, value, arm, "TARGETING_MATCH" if running.targeting else "SPLIT", metadata))
    return flags


def _flag(key: str, value: object, variant: str, reason: str, metadata: _Flag) -> _Flag:
    """Lay out one evaluation; one without a value leaves the caller's default in force."""
    said = {} if value is None else {"value": value}
    return {"key": key, **said, "variant": variant, "reason": reason, "metadata": metadata}
