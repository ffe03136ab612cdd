"""OFREP 0.3.0, by the real OpenFeature SDK and by hand."""

from collections.abc import Mapping

import pytest
from openfeature import api
from openfeature.contrib.provider.ofrep import OFREPProvider
from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import ErrorCode
from tests.gateway.stage import Answer, Stage
from tests.gateway.upstream import Json

from vedette.routing.choose import CompiledPlan

FLAGS = "/ofrep/v1/evaluate/flags"


def flag(stage: Stage, body: object, domain: str = "payments", headers: Mapping[str, str] | None = None) -> Answer:
    """Evaluate one flag."""
    return stage.ask(body, path=f"{FLAGS}/{domain}" if domain else FLAGS, headers=headers)


def unit(name: str = "u1") -> Json:
    """Write an evaluation request."""
    return {"context": {"targetingKey": name, "plan": "gold"}}


def test_openfeature_sdk_asks_which_version(stage):
    """The OpenFeature SDK with its OFREP provider gets the version, the arm and the plan's revision."""
    plan = stage.plan(canary="ok", percent=50, revision=4)
    stage.publish(plan)
    provider = OFREPProvider(stage.base_url)
    api.set_provider(provider)
    try:
        client = api.get_client()
        for name in ("a", "b", "c", "d", "e"):
            found = client.get_string_details("payments", "none", EvaluationContext(targeting_key=name))
            choice = CompiledPlan(plan).choose(name)
            assert (found.value, found.variant, found.reason) == (choice.version, choice.arm, "SPLIT")
            assert found.flag_metadata == {"planRevision": 4, "rollout": "r", "step": 0}
        unknown = client.get_string_details("nobody", "mine", EvaluationContext(targeting_key="a"))
        keyless = client.get_string_details("payments", "mine", EvaluationContext())
    finally:
        api.shutdown()
        provider.session.close()
    assert (unknown.value, unknown.error_code) == ("mine", ErrorCode.FLAG_NOT_FOUND)
    assert (keyless.value, keyless.error_code) == ("mine", ErrorCode.TARGETING_KEY_MISSING)


@pytest.mark.parametrize(("percent", "value"), [(None, "v1"), (0, "v1"), (100, "v2")])
def test_reason_is_static_when_nothing_is_split(stage, percent, value):
    """A domain with one version for all is STATIC."""
    stage.publish(stage.plan(canary=None if percent is None else "ok", percent=percent or 0))
    found = flag(stage, unit()).json
    assert (found["key"], found["value"], found["reason"]) == ("payments", value, "STATIC")
    assert found["variant"] == ("canary" if percent else "stable")


def test_domain_that_serves_nothing_is_disabled(stage):
    """An archived domain is DISABLED and has no value: the caller's default holds."""
    stage.publish(stage.plan(serving=False))
    found = flag(stage, unit())
    assert (found.status, found.json["reason"]) == (200, "DISABLED")
    assert "value" not in found.json


@pytest.mark.parametrize(
    ("body", "domain", "status", "code"),
    [
        (b"{", "payments", 400, "PARSE_ERROR"),
        ({"context": 7}, "payments", 400, "PARSE_ERROR"),
        ({"context": {"targetingKey": 7}}, "payments", 400, "INVALID_CONTEXT"),
        ({"context": {}}, "payments", 400, "TARGETING_KEY_MISSING"),
        ({"context": {"targetingKey": ""}}, "payments", 400, "TARGETING_KEY_MISSING"),
        ({}, "payments", 400, "TARGETING_KEY_MISSING"),
        ({"context": {"targetingKey": "u"}}, "nobody", 404, "FLAG_NOT_FOUND"),
        ({"context": {}}, "", 400, "TARGETING_KEY_MISSING"),
    ],
)
def test_errors_have_ofreps_shape(stage, body, domain, status, code):
    """Each error has the status, the code and the key OFREP gives it."""
    stage.publish(stage.plan())
    answer = flag(stage, body, domain)
    assert (answer.status, answer.json["errorCode"]) == (status, code)
    assert answer.json["errorDetails"]
    assert answer.json.get("key", "") == domain


def test_bulk_has_every_domain_and_an_etag(stage):
    """All flags come at once; nothing new is 304 without a body, and a new plan changes the tag."""
    stage.publish(stage.plan())
    stage.publish(stage.plan(domain="legal"))
    first = flag(stage, unit(), domain="")
    assert [each["key"] for each in first.json["flags"]] == ["legal", "payments"]
    tag = first.headers["etag"]
    same = flag(stage, unit(), domain="", headers={"If-None-Match": f'"other", {tag}'})
    assert (same.status, same.body, same.headers["etag"]) == (304, b"", tag)
    stage.publish(stage.plan(revision=2))
    changed = flag(stage, unit(), domain="", headers={"If-None-Match": tag})
    assert changed.status == 200
    assert changed.headers["etag"] != tag
