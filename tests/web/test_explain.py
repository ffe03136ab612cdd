"""Explain on the dashboard: why a request got its answer, and what a unit would get, by which plan."""

import html
from datetime import timedelta

import pytest
from tests.web.lab import BRIEF, Lab

from vedette.evidence.outcome import Outcome, OutcomeStatus
from vedette.routing.assign import CompiledExperiments
from vedette.routing.choose import CompiledPlan

PROBE = "<img src=x onerror=alert(1)>\"'"


@pytest.fixture
def lab(plane):
    """The laboratory, nothing drafted."""
    return Lab(plane)


def read(client, **asked):
    """Ask for an explanation and give its text as people read it."""
    answer = client.get("/explain", params=asked)
    return answer.status_code, html.unescape(answer.text)


def shipped(lab, number=0, **fields):
    """Ship one request of the plan in force."""
    usual = {
        "id": f"request-{number}",
        "domain": "support",
        "at": lab.clock.now(),
        "assigned": "v1",
        "served": "v1",
        "plan_revision": lab.plane.traffic.plan("support").revision,
        "bucket": 7,
        "status": OutcomeStatus.OK,
        "measures": {"latency_ms": 31.0, "correct": 1.0},
    }
    outcome = Outcome(**usual | fields)
    lab.plane.lake.ship(f"batch-{outcome.id}", [outcome])
    return outcome


def test_an_empty_page_teaches_where_ids_come_from(viewer, lab):
    """Nothing asked: the page says where to find an id, and offers the newest requests."""
    assert "x-vedette-request-id" in read(viewer)[1]
    shipped(lab)
    status, page = read(viewer)
    assert status == 200
    assert "/explain?request=request-0" in page


def test_a_unit_sees_what_the_gateway_would_serve(viewer, lab):
    """What the page says of a unit is what the very code of the gateway decides, experiments included."""
    lab.draft()
    lab.draft(name="model", layer="model", variants=("v1", "v2"), coverage=50)
    for name in ("tone", "model"):
        lab.plane.experiments.start(name, actor="oda")
    compiled = lab.plane.traffic.compiled("support")
    for number in range(12):
        unit = f"user-{number}"
        choice, seen = compiled.assign(unit)
        page = read(viewer, domain="support", unit=unit)[1]
        assert f"{unit} sees {choice.version}" in page
        assert f"into bucket {choice.bucket} of 1024" in page
        for name, arm in seen.names.items():
            assert f"Experiment {name} has the unit in arm {arm}." in page
        if "model" not in seen.names:
            assert "nobody has it" in page or "does not belong to the experiment" in page


def test_targeting_looks_at_what_is_said_of_the_request(viewer, lab):
    """A unit whose request does not fit is told which rule it fails; saying more of it lets it in."""
    rule = {"attribute": "x-plan", "test": "is", "values": ["pro"]}
    lab.draft(targeting=[rule])
    lab.plane.experiments.start("tone", actor="oda")
    assert "does not fit the targeting: x-plan" in read(viewer, domain="support", unit="a")[1]
    page = read(viewer, domain="support", unit="a", attributes="X-Plan = pro")[1]
    compiled = CompiledExperiments.of(lab.plane.traffic.plan("support"))
    assert compiled is not None
    arm = compiled.expose("a", {"x-plan": "pro"}).names["tone"]
    assert f"Experiment tone has the unit in arm {arm}." in page


def test_a_rollout_is_explained_by_ranks_and_past_plans_too(viewer, lab):
    """The order of exposure is said and drawn, for the plan in force and for one that is not any more."""
    lab.plane.canary.deploy_with_rollout("support", "v2", [25, 100], actor="oda")
    lab.plane.reconciler.tick()
    plan = lab.plane.traffic.plan("support")
    assert plan.canary is not None
    choice = CompiledPlan(plan).choose("user-1")
    page = read(viewer, domain="support", unit="user-1")[1]
    assert f"that bucket is number {choice.rank} (from 0)" in page
    assert "Rollout of v2" in page
    lab.plane.canary.abort("support", actor="oda")
    assert "No rollout is under way" in read(viewer, domain="support", unit="user-1")[1]
    past = read(viewer, domain="support", unit="user-1", plan=str(plan.revision))[1]
    assert f"user-1 would have seen {choice.version}" in past
    assert read(viewer, domain="support", unit="user-1", plan="999")[0] == 404


def test_a_request_is_told_with_all_that_was_recorded(viewer, lab):
    """Its id brings back who was assigned and who answered, the plan, the arms and what they change, the measures."""
    lab.draft(variants=("base", BRIEF), dimensions=["x-plan"])
    lab.plane.experiments.start("tone", actor="oda")
    lab.run(turns=1, users=40, attributes=lambda _: {"x-plan": "pro"})
    outcome = next(it for it in lab.plane.lake.outcomes("support").items if it.exposures[0].arm == "brief")
    page = read(viewer, request=outcome.id)[1]
    assert f"bucket {outcome.bucket} of 1024, and always was" in page
    assert "Experiment tone had it in arm brief: system prompt “Be brief.”" in page
    assert f"Under plan {outcome.plan_revision} no rollout was under way: everyone saw v1." in page
    assert "x-plan" in page
    assert "latency_ms" in page
    told = viewer.get(f"/explain/{outcome.id}.json").json()
    assert (told["id"], told["exposures"][0]["arm"]) == (outcome.id, "brief")


def test_a_fallback_and_an_experiments_own_version_are_told_apart(viewer, lab):
    """Who failed and who answered in its place is said, and when no plan but an experiment decided."""
    shipped(lab, 1, assigned="v2", served="v1", plan_revision=0, bucket=-1)
    page = read(viewer, request="request-1")[1]
    assert "v2 failed, so v1 answered in its place." in page
    assert "named no unit" in page
    shipped(lab, 2, at=lab.clock.now() - timedelta(days=1), plan_revision=77)
    assert "is not known any more" in read(viewer, request="request-2")[1]


def test_what_is_not_there_is_said_with_its_status(viewer, lab):
    """An unknown request, domain, or one that serves nothing: the reason, and the API's status."""
    assert lab.plane.traffic.plan("support").serving
    assert read(viewer, request="nobody")[0] == 404
    assert read(viewer, domain="none", unit="a")[0] == 404
    lab.plane.domains.archive("support", actor="ann")
    status, page = read(viewer, domain="support", unit="a")
    assert status == 409
    assert "serves nothing now" in page


def test_nothing_that_was_asked_or_recorded_becomes_markup(viewer, lab):
    """Units, attributes, ids and dimensions are text, wherever they are shown."""
    shipped(lab, id="probe", dimensions={"x-plan": PROBE})
    for asked in (
        {},
        {"request": "probe"},
        {"request": PROBE},
        {"domain": PROBE, "unit": PROBE, "attributes": PROBE, "plan": PROBE},
        {"domain": "support", "unit": PROBE, "attributes": f"x-plan={PROBE}"},
    ):
        assert "<img" not in viewer.get("/explain", params=asked).text, asked
