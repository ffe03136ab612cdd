"""Rollouts over HTTP: start, steer, understand."""

import pytest
from tests.api.people import ACTOR

from vedette.kernel.documents import dump

ADDRESS = "/api/v1/rollouts"
SPEC = {"domain": "support", "version": "v2"}


@pytest.fixture
def rollout(client, furnished):  # noqa: ARG001 - it has to be there first
    """A rollout of v2, begun over HTTP."""
    response = client.post(ADDRESS, json={"name": "next", "spec": SPEC}, headers=ACTOR)
    assert response.status_code == 201, response.text
    return response.json()


def test_a_rollout_is_begun_and_found_by_every_name_it_has(client, rollout, furnished):
    """Its id, its name and its domain lead to it, and what comes back is the record of the plane."""
    for ref in (rollout["id"], "next", "support"):
        assert client.get(f"{ADDRESS}/{ref}").json() == rollout == dump(furnished.canary.get("next"))
    assert client.get(f"{ADDRESS}?active=true").json()["items"] == [rollout]
    assert client.get(f"{ADDRESS}?domain=other").json()["items"] == []


def test_a_dry_run_checks_everything_and_begins_nothing(client, furnished):
    """It is answered by 200 without a Location, refuses what the start would refuse, and leaves no entry."""
    entries = furnished.governance.head()
    response = client.post(f"{ADDRESS}?dryRun=true", json={"spec": SPEC}, headers=ACTOR)
    assert (response.status_code, response.json()["name"]) == (200, "support-v2")
    assert "location" not in response.headers
    wrong = {"spec": {"domain": "support", "version": "v1"}}
    assert client.post(f"{ADDRESS}?dryRun=true", json=wrong, headers=ACTOR).status_code == 409
    assert furnished.governance.head() == entries


@pytest.mark.usefixtures("rollout")
def test_a_second_rollout_of_a_domain_is_a_conflict(client):
    """One domain has one rollout at a time."""
    response = client.post(ADDRESS, json={"spec": SPEC}, headers=ACTOR)
    assert (response.status_code, response.json()["type"].rpartition(":")[2]) == (409, "conflict")


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        ([{"weight": 1}], "the last step's weight must be 100%"),
        ([{"weight": 10}, {"weight": 5}, {"weight": 100}], "weights must rise"),
        ([{"weight": "1 %", "bake": "soon"}, {"weight": 100}], "no duration"),
        ([], "the last step's weight must be 100%"),
    ],
)
def test_a_ladder_that_does_not_climb_is_refused(client, furnished, steps, said):
    """A wrong schedule is wrong input, said in the words of the kernel, and nothing begins."""
    response = client.post(ADDRESS, json={"spec": {**SPEC, "steps": steps}}, headers=ACTOR)
    assert response.status_code == 422
    assert said in response.json()["detail"]
    assert furnished.canary.page().items == ()


@pytest.mark.usefixtures("rollout")
def test_people_steer_a_rollout_with_reasons(client):
    """Pause, resume, abort, retry and a full promotion and its undoing are decisions with their actor and reason."""
    phases = []
    for verb, body in [
        ("pause", {"why": "lunch"}),
        ("resume", None),
        ("abort", {"why": "no"}),
        ("retry", {}),
        ("promote", {"full": True, "why": "sure"}),
        ("undo", {"why": "not so sure"}),
    ]:
        response = client.post(f"{ADDRESS}/next/{verb}", headers=ACTOR, **({} if body is None else {"json": body}))
        assert response.status_code == 200, response.text
        phases.append(response.json()["status"]["phase"])
    assert phases == ["paused", "pending", "aborted", "pending", "promoted", "undone"]
    decisions = client.get(f"{ADDRESS}/next/decisions").json()["items"]
    assert {it["actor"] for it in decisions} == {"ann"}
    assert [it["decision"]["reasons"][0]["message"] for it in decisions][0::2] == ["lunch", "no", "sure"]
    assert client.get("/api/v1/domains/support/aliases").json()["stable"] == "v1"


@pytest.mark.usefixtures("rollout")
def test_a_verb_the_phase_does_not_allow_is_refused(client):
    """What is right in itself but not now is refused by 409, with what is allowed."""
    response = client.post(f"{ADDRESS}/next/undo", headers=ACTOR)
    assert (response.status_code, response.json()["type"].rpartition(":")[2]) == (409, "refused")
    assert "abort" in response.json()["hint"]


@pytest.mark.usefixtures("rollout")
def test_a_weight_is_set_within_the_step(client):
    """Weights are percent, as text or number; outside of 0 to 100 they are wrong input."""
    for weight in ("101%", -1, True, "much"):
        body = {"weight": weight}
        assert client.post(f"{ADDRESS}/next/set-weight", json=body, headers=ACTOR).status_code == 422
    refused = client.post(f"{ADDRESS}/next/set-weight", json={"weight": "0.5%"}, headers=ACTOR)
    assert (refused.status_code, refused.json()["type"].rpartition(":")[2]) == (409, "refused")  # it is pending


@pytest.mark.usefixtures("rollout")
def test_every_verb_keeps_the_request_id(client):
    """The audit entry of a verb carries what the client called its request."""
    for verb in ("pause", "resume", "abort", "retry"):
        client.post(f"{ADDRESS}/next/{verb}", headers={**ACTOR, "X-Request-Id": f"r-{verb}"})
    entries = client.get("/api/v1/audit?newestFirst=true&limit=1000").json()["items"]
    kept = [entry["requestId"] for entry in entries if entry["requestId"].startswith("r-")]
    assert list(dict.fromkeys(kept)) == ["r-retry", "r-abort", "r-resume", "r-pause"]


def test_a_plan_says_what_the_steps_can_show(client, furnished):
    """Planning needs no actor and writes nothing; what it says is what the plane says."""
    entries = furnished.governance.head()
    body = {"spec": SPEC, "requestsPerMinute": 1000, "badRate": 0.005}
    response = client.post(f"{ADDRESS}/plan", json=body)
    expected = furnished.canary.plan("support", "v2", requests_per_minute=1000, bad_rate=0.005)
    assert response.json() == dump(expected)
    assert client.post(f"{ADDRESS}/plan", json={**body, "ratio": 0.5}).status_code == 422
    assert furnished.governance.head() == entries


def test_a_rollout_is_explained_and_counted(client, rollout, furnished):
    """Explanation and analytics are the records of the plane; a rollout without traffic has nothing to replay."""
    assert client.get(f"{ADDRESS}/next/explanation").json()["rollout"] == rollout["id"]
    assert client.get(f"{ADDRESS}/next/analytics").json() == dump(furnished.canary.analytics("next"))
    assert client.get(f"{ADDRESS}/next/looks").json() == {"items": [], "next": None}
    assert client.post(f"{ADDRESS}/next/replay").status_code == 422
    for address in ("explanation", "analytics", "looks", "decisions"):
        assert client.get(f"{ADDRESS}/none/{address}").status_code == 404
