"""OpenFeature's remote evaluation (OFREP 0.3.0): "which version does this unit see?" for any OpenFeature SDK.

A flag is a domain; its value is the name of the version and its variant the arm. The targeting key is the unit. It is
always asked for, also while nothing is split, so that no client begins to fail on the day a rollout begins.
"""

from collections.abc import Iterable
from typing import Any

import msgspec
import xxhash

from vedette.routing.choose import CompiledPlan
from vedette.routing.plan import FULL

_encode = msgspec.json.Encoder().encode


class _Request(msgspec.Struct):
    context: dict[str, Any] | None = None


_REQUEST = msgspec.json.Decoder(_Request)


class Unit(msgspec.Struct):
    """Who asks, or the error code that says why nobody can tell."""

    key: str = ""
    error: str = ""
    details: str = ""


def read_unit(body: bytes) -> Unit:
    """Read the targeting key of an evaluation request."""
    try:
        context = _REQUEST.decode(body).context
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        return Unit(error="PARSE_ERROR", details=f"the request is no evaluation request: {error}")
    key = (context or {}).get("targetingKey", "")
    if not isinstance(key, str):
        return Unit(error="INVALID_CONTEXT", details="context.targetingKey must be text")
    if not key:
        return Unit(error="TARGETING_KEY_MISSING", details="context.targetingKey must name the unit, such as a user")
    return Unit(key=key)


def evaluate(compiled: CompiledPlan, unit: str) -> dict[str, object]:
    """Say which version ``unit`` sees. A domain that serves nothing is DISABLED: the caller's default holds."""
    plan = compiled.plan
    metadata: dict[str, object] = {"planRevision": plan.revision}
    if plan.canary:
        metadata |= {"rollout": plan.canary.rollout, "step": plan.canary.step}
    choice = compiled.choose(unit)
    if not plan.serving or not choice.version:
        return {"key": plan.domain, "reason": "DISABLED", "variant": "none", "metadata": metadata}
    reason = "SPLIT" if 0 < plan.weight < FULL else "STATIC"
    return {
        "key": plan.domain,
        "value": choice.version,
        "variant": choice.arm,
        "reason": reason,
        "metadata": metadata,
    }


def success(compiled: CompiledPlan, unit: str) -> bytes:
    """Write the evaluation of one domain."""
    return _encode(evaluate(compiled, unit))


def failure(unit: Unit, key: str | None = None) -> bytes:
    """Write why there is no evaluation."""
    body = {"errorCode": unit.error, "errorDetails": unit.details}
    return _encode({"key": key, **body} if key is not None else body)


def bulk(plans: Iterable[CompiledPlan], unit: str) -> tuple[bytes, bytes]:
    """Write the evaluation of all domains, and its entity tag."""
    body = _encode({"flags": [evaluate(compiled, unit) for compiled in plans]})
    return body, b'"%b"' % xxhash.xxh3_128_hexdigest(body).encode()
