"""OpenFeature's remote evaluation (OFREP 0.3.0): "what does this unit see?" for any OpenFeature SDK.

What flags there are and what they say is in `vedette.routing.flags`; here it is read from requests and written to them.

Asking is not exposure: nobody knows whether the application used the answer. Only requests that come through the
gateway, and outcomes that are brought with their exposures, are evidence of an experiment.
"""

from collections.abc import Mapping
from typing import Any

import msgspec
import xxhash

from vedette.routing.choose import CompiledPlan
from vedette.routing.flags import Flag, Unit, flag_of, flags_of, unit_of

_encode = msgspec.json.Encoder().encode


class _Request(msgspec.Struct):
    context: dict[str, Any] | None = None


_REQUEST = msgspec.json.Decoder(_Request)


def read_unit(body: bytes) -> Unit:
    """Read the targeting key and the attributes of an evaluation request."""
    try:
        context = _REQUEST.decode(body).context or {}
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        return Unit(error="PARSE_ERROR", details=f"the request is no evaluation request: {error}")
    return unit_of(context.pop("targetingKey", ""), context)


def success(compiled: CompiledPlan, key: str, unit: Unit) -> bytes:
    """Write the evaluation of one flag: of the domain, or of an experiment that runs on it."""
    return _encode(_laid_out(flag_of(compiled, key, unit)))


def failure(unit: Unit, key: str | None = None) -> bytes:
    """Write why there is no evaluation."""
    body = {"errorCode": unit.error, "errorDetails": unit.details}
    return _encode({"key": key, **body} if key is not None else body)


def bulk(plans: Mapping[str, CompiledPlan], unit: Unit) -> tuple[bytes, bytes]:
    """Write the evaluation of all domains and then of all experiments, and its entity tag."""
    found = [flags_of(compiled, unit) for compiled in plans.values()]
    flags = {flag.key: flag for flag, *_ in found}
    for _, *experiments in found:
        for flag in experiments:
            flags.setdefault(flag.key, flag)
    body = _encode({"flags": [_laid_out(flag) for flag in flags.values()]})
    return body, b'"%b"' % xxhash.xxh3_128_hexdigest(body).encode()


def _laid_out(flag: Flag) -> dict[str, object]:
    said = {} if flag.value is None else {"value": flag.value}
    return {"key": flag.key, **said, "variant": flag.variant, "reason": flag.reason, "metadata": flag.metadata}
