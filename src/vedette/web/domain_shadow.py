"""The version in a domain's shadow on its page: how copies of requests fared, beside the answers callers got."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from vedette.catalog.domain import Domain
from vedette.lake.flows import Flow
from vedette.web.ask import Ask

_DAY, _MINUTE = timedelta(days=1), timedelta(minutes=1)


def figures(ask: Ask, domain: Domain) -> Mapping[str, Any]:
    """Give what the domain's template says of its shadow, and of callers' answers meanwhile."""
    policy = domain.config.shadow
    if policy is None:
        return {"shadow": None}
    now, lake = ask.plane.instruments.now(), ask.plane.lake
    span = now - _DAY, now + _MINUTE
    return {
        "shadow": policy,
        "copied": lake.copied(domain.id, *span).get(policy.version, Flow()),
        "called": lake.flows(*span, {domain.id}).get(domain.id, Flow()),
    }
