"""Who sees what: sticky, monotone, the same in every process, and explicit about requests without a unit."""

import json
import os
import subprocess
import sys

import pytest
from tests.gateway.stage import wait_for

from vedette.catalog.domain import Assignment
from vedette.catalog.key import mark_of
from vedette.catalog.unit import key_of, pseudonym
from vedette.gateway.feed import PlanFile
from vedette.kernel.documents import dump
from vedette.kernel.records import evolve
from vedette.routing.choose import CompiledPlan
from vedette.routing.plan import TrafficPlan

UNITS = 50_000
ELSEWHERE = """
import json, sys
from vedette.kernel.documents import load
from vedette.routing.choose import CompiledPlan
from vedette.routing.plan import TrafficPlan
plan = CompiledPlan(load(TrafficPlan, json.load(sys.stdin)))
print("".join(plan.choose(f"unit-{n}").arm[0] for n in range(50_000)))
"""


def arms_elsewhere(plan: TrafficPlan, hash_seed: str) -> str:
    """Choose for every unit in another process."""
    done = subprocess.run(
        [sys.executable, "-c", ELSEWHERE],
        input=json.dumps(dump(plan)),
        env=os.environ | {"PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def test_sticky_and_monotone_over_50000_units_in_any_process(make_stage):
    """Growing 1 → 10 → 50 → 100 % moves nobody back, each in a process of its own; the shares are as intended."""
    before, stage = "s" * UNITS, make_stage()
    for seed, percent in enumerate((1, 10, 50, 100), start=1):
        plan = stage.plan(canary="ok", percent=percent)
        arms = arms_elsewhere(plan, str(seed))
        assert not any(old == "c" and new == "s" for old, new in zip(before, arms, strict=True))
        share, deviation = percent / 100, (percent / 100 * (1 - percent / 100) / UNITS) ** 0.5
        assert abs(arms.count("c") / UNITS - share) <= 4 * deviation
        before = arms


def test_gateway_and_flags_agree_with_the_plan(stage):
    """A chat, an OFREP evaluation and the plan itself give a unit the same version, before and after a restart."""
    plan = stage.plan(canary="ok", percent=30)
    compiled = CompiledPlan(plan)
    stage.publish(plan)

    def served(unit: str) -> tuple[str, str]:
        flag = stage.ask({"context": {"targetingKey": unit}}, path="/ofrep/v1/evaluate/flags/payments").json
        return stage.chat(user=unit).headers["x-vedette-version"], flag["value"]

    units = [f"unit-{number}" for number in range(25)]
    expected = [(version := compiled.choose(unit).version, version) for unit in units]
    assert [served(unit) for unit in units] == expected
    stage.stop()
    stage.start()
    assert [served(unit) for unit in units] == expected
    assert len(set(expected)) == 2


def test_unit_from_a_header(stage):
    """A domain may name the header that carries the unit; the user field is then only passed on."""
    assignment = Assignment(unit="header", header="X-Tenant", missing="reject")
    plan = stage.plan(canary="ok", percent=50, assignment=assignment)
    stage.publish(plan)
    for tenant in ("a", "b", "c", "d", "äö"):
        body = {"model": "payments", "user": "someone", "messages": []}
        answer = stage.ask(body, headers={"X-Tenant": tenant.encode()})
        assert answer.headers["x-vedette-version"] == CompiledPlan(plan).choose(tenant).version
        assert stage.upstream.asked[-1].json["user"] == "someone"


@pytest.mark.parametrize("user", [None, ""])
def test_missing_unit_policy_reject(stage, user):
    """Without its unit a request is refused when the domain says so, and nothing is recorded."""
    stage.publish(stage.plan(assignment=Assignment(missing="reject")))
    answer = stage.chat(user=user)
    assert (answer.status, answer.json["error"]["code"]) == (400, "unit_missing")
    assert stage.upstream.asked == []


@pytest.mark.parametrize("user", [None, ""])
def test_missing_unit_policy_stable(stage, user):
    """Without its unit a request is served by stable when the domain says so, in no bucket."""
    stage.publish(stage.plan(canary="ok", percent=100, assignment=Assignment(missing="stable")))
    assert stage.chat(user=user).headers["x-vedette-version"] == "v1"
    assert stage.outcome().bucket == -1


@pytest.mark.parametrize("unit", ["user", "request"])
def test_missing_unit_policy_random_is_not_sticky(stage, unit):
    """Without a unit, requests are assigned by chance, each anew, in no bucket: the empty text is never hashed."""
    stage.publish(stage.plan(canary="ok", percent=50, assignment=Assignment(unit=unit)))
    user = "" if unit == "user" else "always the same"
    versions = [stage.chat(user=user).headers["x-vedette-version"] for _ in range(40)]
    assert set(versions) == {"v1", "v2"}
    assert {outcome.bucket for outcome in stage.outcomes(40)} == {-1}


def test_a_domain_that_keeps_units_keeps_their_pseudonyms(stage):
    """Each outcome has its unit's pseudonym there, none without a unit, and none at all where units are not kept."""
    ann = pseudonym(key_of(b"a pepper for tests", "payments"), "ann")
    stage.publish(stage.plan(keep_units=True))
    stage.chat(user="ann")
    assert stage.outcome().unit == ann
    stage.chat(user="")
    assert [it.unit for it in stage.outcomes(2)] == [ann, ""]
    stage.publish(stage.plan(revision=2))
    stage.chat(user="ann")
    assert [it.unit for it in stage.outcomes(3)] == [ann, "", ""]


def test_a_plan_that_keeps_units_is_refused_without_a_pepper(stage):
    """A gateway that cannot make pseudonyms keeps the plan before, and says what is missing."""
    stage.publish(stage.plan())
    del stage.environment["VEDETTE_KEY_PEPPER"]
    stage.feed.publish(stage.plan(revision=2, keep_units=True))
    wait_for(lambda: stage.gateway.app.table.refused)
    assert "has no pepper" in stage.gateway.app.table.refused["payments"].reason
    stage.chat(user="ann")
    assert stage.outcome().unit == ""


def test_a_plan_of_another_pepper_is_refused_whole_and_loudly(stage, caplog):
    """A gateway with another pepper keeps the plan before, says why aloud, and goes on once it has the right one."""
    stage.publish(stage.plan())
    stage.environment["VEDETTE_KEY_PEPPER"] = "quite another pepper"
    named = evolve(stage.plan(revision=2, keep_units=True), pepper=mark_of(b"a pepper for tests"))
    stage.feed.publish(named)
    wait_for(lambda: stage.gateway.app.table.refused)
    said = stage.get("/readyz").json["refused"]["payments"]
    for told in (said["reason"] if isinstance(said, dict) else said, caplog.text):
        assert "another pepper" in told
        assert "set VEDETTE_KEY_PEPPER to the one of the control plane" in told
    answer = stage.chat(user="ann")
    assert (answer.status, answer.headers["x-vedette-plan-revision"]) == (200, "1")
    assert stage.outcome().unit == ""
    stage.environment["VEDETTE_KEY_PEPPER"] = "a pepper for tests"
    stage.publish(named)
    stage.chat(user="ann")
    assert stage.outcomes(2)[1].unit == pseudonym(key_of(b"a pepper for tests", "payments"), "ann")


def test_a_kept_plan_that_names_no_pepper_is_served(stage):
    """A plan that an older vedette left on the disk is served as it was then, with whatever pepper there is."""
    stage.folder.mkdir(parents=True)
    old = {key: value for key, value in dump(stage.plan(keep_units=True)).items() if key != "pepper"}
    (stage.folder / "plans.json").write_text(json.dumps([old]))
    stage.feed.down = True
    stage.start()
    stage.chat(user="ann")
    assert stage.outcome().unit == pseudonym(key_of(b"a pepper for tests", "payments"), "ann")


def test_a_kept_plan_of_another_pepper_is_not_served(stage):
    """A plan on the disk is looked at as one from the feed is: a new pepper with an old plan makes no pseudonyms."""
    stage.folder.mkdir(parents=True)
    other = evolve(stage.plan(keep_units=True), pepper=mark_of(b"quite another pepper"))
    PlanFile(stage.folder / "plans.json").save([other, stage.plan(domain="legal")])
    stage.feed.down = True
    stage.start()
    assert stage.chat(model="legal").status == 200
    assert stage.chat(user="ann").status >= 400
    assert "another pepper" in stage.gateway.app.table.refused["payments"].reason
