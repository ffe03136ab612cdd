"""OFREP 0.3.0, by the real OpenFeature SDK and by hand."""

from collections.abc import Mapping

import pytest
from openfeature import api
from openfeature.contrib.provider.ofrep import OFREPProvider
from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import ErrorCode
from tests.gateway.stage import Answer, Stage
from tests.gateway.upstream import Json
from tests.routing.plans import layer, running

from vedette.routing.choose import CompiledPlan
from vedette.routing.layers import slices_of
from vedette.routing.override import Override, Rule

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
            assert found.flag_metadata == {"planRevision": 4, "bucket": choice.bucket, "rollout": "r", "step": 0}
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


VALUES = {"colour": "red", "limits": [1, 2]}
ARMS = {"control": Override(), "treatment": Override(values=VALUES)}


def test_openfeature_sdk_asks_for_an_experiment(stage):
    """The OpenFeature SDK gets an experiment by its name, as an object: the arm, and the values the arm gives."""
    plan = stage.plan(layers=[layer(running("tone", overrides=ARMS, exposed=700_000))])
    stage.publish(plan)
    provider = OFREPProvider(stage.base_url)
    api.set_provider(provider)
    seen = set()
    try:
        client = api.get_client()
        for number in range(20):
            unit = f"unit-{number}"
            choice, exposed = CompiledPlan(plan).assign(unit)
            names, told = exposed.names, {"planRevision": 1, "bucket": choice.bucket}
            context = EvaluationContext(targeting_key=unit, attributes={"plan": "gold"})
            found = client.get_object_details("tone", {"variant": "mine"}, context)
            domain = client.get_string_details("payments", "none", context)
            if not names:
                assert (found.value, found.variant, found.reason) == ({"variant": "mine"}, "none", "DEFAULT")
                assert domain.flag_metadata == told
            else:
                values = VALUES if names["tone"] == "treatment" else {}
                assert found.value == {"variant": names["tone"], **values}
                assert (found.variant, found.reason) == (names["tone"], "SPLIT")
                assert domain.flag_metadata == {**told, "experiments.tone": names["tone"]}
            seen.add(found.variant)
            assert (domain.value, domain.variant) == ("v1", "stable")
    finally:
        api.shutdown()
        provider.session.close()
    assert seen == {"none", "control", "treatment"}
    assert found.flag_metadata == {"domain": "payments", "experiment": "id-of-tone", **told}


def test_asking_for_a_flag_is_no_exposure(stage):
    """However often an application asks, nothing is recorded: only what comes through the gateway is evidence."""
    stage.publish(stage.plan(layers=[layer(running("tone"))]))
    assert flag(stage, unit(), "tone").status == 200
    stage.chat()
    assert len(stage.outcomes(1)) == 1
    assert stage.get("/metrics").body.count(b"vedette_experiment_exposures_total{") == 1


def test_version_of_an_arm_is_what_the_domains_flag_says(stage):
    """Where an experiment decides the version, the domain's flag has it, with the variant experiment."""
    overrides = {"control": Override(), "treatment": Override(version="v2")}
    experiment = layer(running("tone", overrides=overrides))
    plan = stage.plan(backends={"v2": stage.backend("ok")}, layers=[experiment])
    stage.publish(plan)
    seen = set()
    for number in range(10):
        found = flag(stage, unit(f"u{number}")).json
        arm = CompiledPlan(plan).assign(f"u{number}")[1].names["tone"]
        expected = ("v2", "experiment") if arm == "treatment" else ("v1", "stable")
        assert (found["value"], found["variant"], found["reason"]) == (*expected, "SPLIT")
        seen.add(arm)
    assert len(seen) == 2


def test_context_is_what_targeting_asks_for(stage):
    """Texts, numbers and truths of the context are attributes, whatever their case; the key is the user unless said."""
    rules = [
        Rule(attribute="x-plan", values=("gold",)),
        Rule(attribute="x-age", values=("7",)),
        Rule(attribute="x-staff", values=("true",)),
        Rule(attribute="user", values=("u1", "ann")),
    ]
    stage.publish(stage.plan(layers=[layer(running("tone", targeting=tuple(rules)))]))
    whole = {"X-Plan": "gold", "x-age": 7, "x-staff": True, "x-list": [1]}

    def reason(key: str = "u1", **more: object) -> str:
        answer = flag(stage, {"context": {"targetingKey": key, **whole, **more}}, "tone").json["reason"]
        return str(answer)

    assert reason() == "TARGETING_MATCH"
    assert reason("u2") == "DEFAULT"
    assert reason("u2", user="ann") == "TARGETING_MATCH"
    assert reason(user="bob") == "DEFAULT"
    assert flag(stage, unit(), "tone").json["reason"] == "DEFAULT"


def test_bulk_has_experiments_behind_the_domains(stage):
    """All experiments come behind all domains; a domain's name, and then the first domain's experiment, stand."""
    first = [layer(running("tone", slices=slices_of({"control": 1}))), layer(running("payments"), name="b")]
    stage.publish(stage.plan(domain="legal", layers=first))
    stage.publish(
        stage.plan(
            layers=[layer(running("tone", slices=slices_of({"treatment": 1})), running("own", stretches=(), exposed=0))]
        )
    )
    flags = flag(stage, unit(), domain="").json["flags"]
    assert [each["key"] for each in flags] == ["legal", "payments", "tone", "own"]
    by_key = {each["key"]: each for each in flags}
    assert by_key["payments"]["value"] == "v1"
    assert by_key["tone"]["variant"] == "control"
    for key, each in by_key.items():
        assert flag(stage, unit(), key).json == each


def test_experiment_of_a_domain_that_serves_nothing_is_disabled(stage):
    """While its domain is archived an experiment has no value: the caller's default holds."""
    stage.publish(stage.plan(serving=False, layers=[layer(running("tone"))]))
    found = flag(stage, unit(), "tone").json
    assert (found["reason"], found["variant"], "value" in found) == ("DISABLED", "none", False)
