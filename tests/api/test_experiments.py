"""Experiments over HTTP: draft, start, steer."""

import pytest
from tests.api.people import ACTOR
from tests.api.trials import ADDRESS, SPEC, create, do

from vedette.kernel.documents import dump


def test_an_experiment_is_drafted_and_found_by_id_and_name(client, drafted, furnished):
    """What comes back is the record of the plane, with its address and its revision."""
    for ref in (drafted["id"], "tone"):
        found = client.get(f"{ADDRESS}/{ref}")
        assert found.json() == drafted == dump(furnished.experiments.get("tone"))
        assert found.headers["etag"] == '"1"'
    assert client.get(f"{ADDRESS}/{drafted['id']}", headers={"If-None-Match": '"1"'}).status_code == 304
    assert client.get(ADDRESS, params={"domain": "support", "phase": "draft"}).json()["items"] == [drafted]
    assert client.get(f"{ADDRESS}?phase=running").json()["items"] == []
    assert client.get(f"{ADDRESS}?domain=other").json()["items"] == []
    assert client.get(f"{ADDRESS}/none").status_code == 404


@pytest.mark.usefixtures("furnished")
def test_names_stand_for_versions_and_metrics_and_splits_for_weights(client):
    """A name is a version that is served, the first metric decides, splits are percent or fractions, named or not."""
    for number, splits in enumerate(([80, 20], [0.8, 0.2], {"v2": 20, "v1": 80})):
        spec = create(client, f"split-{number}", trafficSplits=splits)["spec"]
        assert [(it["name"], it["weight"], it["override"]["version"]) for it in spec["variants"]] == [
            ("v1", 0.8, "v1"),
            ("v2", 0.2, "v2"),
        ]
        assert [it["role"] for it in spec["metrics"]] == ["primary"]


def test_a_dry_run_checks_everything_and_drafts_nothing(client, furnished):
    """It is answered by 200 without a Location, refuses what drafting would refuse, and leaves no entry."""
    entries = furnished.governance.head()
    response = client.post(f"{ADDRESS}?dryRun=true", json={"name": "tone", "spec": SPEC}, headers=ACTOR)
    assert (response.status_code, response.json()["name"]) == (200, "tone")
    assert "location" not in response.headers
    wrong = {"spec": SPEC | {"variants": ["v1", "v9"]}}
    assert client.post(f"{ADDRESS}?dryRun=true", json=wrong, headers=ACTOR).status_code == 404
    assert furnished.governance.head() == entries


@pytest.mark.parametrize(
    ("changed", "status", "said"),
    [
        ({"trafficSplits": [50, 40]}, 422, "add up to 1 (or 100 %), not 90"),
        ({"trafficSplits": [1.5, -0.5]}, 422, "above 0"),
        ({"trafficSplits": [100]}, 422, "1 splits do not belong to 2 variants"),
        ({"trafficSplits": {"v1": 50, "v3": 50}}, 422, "v3"),
        ({"variants": ["v1", {"name": "v2", "weight": -1}]}, 422, "weight of 'v2' must be above 0"),
        ({"variants": ["v1", "v9"]}, 404, "'v9' is no version"),
        ({"variants": ["v1", {"name": "x", "override": {"version": "v9"}}]}, 404, "v9"),
        ({"variants": ["v1"]}, 422, "2 to 100 variants, not 1"),
        ({"variants": ["v1", "v1"]}, 422, "two variants are called 'v1'"),
        ({"variants": [{"name": "a"}, {"name": "b"}]}, 422, "no variant changes anything"),
        ({"variants": ["v1", {"name": "b", "override": {"parameters": {"messages": []}}}]}, 422, "'messages'"),
        ({"metrics": ["nonsense"]}, 404, "nonsense"),
        ({"metrics": []}, 422, "one metric decides, not 0"),
        ({"metrics": ["errors", "errors"]}, 422, "used twice"),
        ({"metrics": [{"metric": "errors", "role": "primary", "margin": 10}]}, 422, "0.1 is 10 %"),
        ({"control": "v3"}, 422, "the control 'v3' is no variant"),
        ({"coverage": "150%"}, 422, "150%"),
        ({"coverage": 50, "reserve": 10}, 422, "no more than reserve"),
        ({"alpha": 0.7}, 422, "alpha"),
        ({"monitoring": {"kind": "group-sequential", "units": 0}}, 422, "needs the units"),
        ({"monitoring": {"kind": "sometimes"}}, 422, "sometimes"),
        ({"dimensions": ["authorization"]}, 422, "cannot be a dimension"),
        ({"targeting": [{"attribute": "x-plan", "test": "is"}]}, 422, "needs values"),
        ({"domain": "none"}, 404, "none"),
        ({"colour": "red"}, 422, "colour"),
    ],
)
def test_what_cannot_be_an_experiment_is_refused_in_words(client, furnished, changed, status, said):
    """A wrong design is a problem that says what is wrong, with a hint or a place, and nothing is written."""
    entries = furnished.governance.head()
    response = client.post(ADDRESS, json={"name": "tone", "spec": SPEC | changed}, headers=ACTOR)
    assert response.status_code == status, response.text
    problem = response.json()
    assert said in f"{problem['detail']} {problem['hint']}"
    assert furnished.experiments.page().items == ()
    assert furnished.governance.head() == entries


@pytest.mark.usefixtures("drafted")
def test_a_name_is_taken_once_and_a_key_makes_it_once(client, furnished):
    """A second experiment of a name is a conflict; the same request under its key is the first one again."""
    body = {"name": "tone", "spec": SPEC}
    response = client.post(ADDRESS, json=body, headers=ACTOR)
    assert (response.status_code, response.json()["type"].rpartition(":")[2]) == (409, "conflict")
    keyed = {**ACTOR, "Idempotency-Key": "k"}
    made = [client.post(ADDRESS, json={**body, "name": "other"}, headers=keyed) for _ in range(2)]
    assert [it.status_code for it in made] == [201, 201]
    assert made[0].json() == made[1].json()
    assert made[0].headers["location"] == f"{ADDRESS}/{made[0].json()['id']}"
    assert len(furnished.experiments.page().items) == 2


@pytest.mark.usefixtures("running")
def test_people_steer_an_experiment_with_reasons(client, furnished):
    """Start, ramp, stop-arm, stop, decide and archive are decisions with their actor, reason and request id."""
    assert (
        do(client, "stop-arm", name="trio", arm="brief", why="too short")["status"]["stoppedArms"][0]["arm"] == "brief"
    )
    assert do(client, "stop", name="trio", why="enough")["status"]["phase"] == "stopped"
    decided = do(client, "decide", name="trio", winner="v2", why="looks better")
    assert decided["status"]["conclusion"] | {"at": ""} == {
        "verdict": "insufficient",
        "winner": "v2",
        "by": "ann",
        "because": "looks better",
        "at": "",
    }
    promoted = client.post(f"{ADDRESS}/trio/promote", json={}, headers={**ACTOR, "X-Request-Id": "r-1"})
    assert promoted.json() == dump(furnished.canary.get("support"))
    assert promoted.json()["spec"]["version"] == "v2"
    assert do(client, "archive", name="trio")["status"]["phase"] == "archived"
    decisions = client.get(f"{ADDRESS}/trio/decisions").json()["items"]
    assert {it["actor"] for it in decisions} == {"ann"}
    assert [it["decision"]["action"] for it in decisions][:4] == ["start", "stop-arm", "stop", "decide"]
    newest = client.get(f"{ADDRESS}/trio/decisions?newestFirst=true&limit=1").json()
    assert newest["items"][0]["decision"]["action"] == "archive"
    assert newest["next"]
    assert "r-1" in {entry.request_id for entry in furnished.governance.entries(newest_first=True).items}


@pytest.mark.usefixtures("drafted")
def test_coverage_grows_and_never_shrinks(client):
    """Start exposes what is asked for, ramp raises it, and shrinking, or more than is free, is refused with a hint."""
    assert do(client, "start", 422, coverage="90%")["hint"] == "reserve more in the spec"
    assert do(client, "start", coverage="10%")["status"]["exposed"] == 100_000
    assert do(client, "ramp", coverage="55.5%")["status"]["exposed"] == 555_000
    shrunk = do(client, "ramp", 409, coverage=20)
    assert "move people out" in shrunk["detail"]
    assert "stop" in shrunk["hint"]
    assert do(client, "ramp", 422, coverage="much")["type"].rpartition(":")[2] == "invalid-input"
    create(client, "late", coverage=60)
    full = do(client, "start", 409, name="late")
    assert "40 % free, and 60 % are asked for" in full["detail"]


@pytest.mark.usefixtures("running")
@pytest.mark.parametrize(
    ("verb", "body", "status", "said"),
    [
        ("stop-arm", {"arm": "v9"}, 422, "still in it: v1, v2, brief"),
        ("stop-arm", {"arm": "v1"}, 409, "stop the experiment instead"),
        ("stop-arm", {}, 422, "arm"),
        ("decide", {"winner": "v9"}, 422, "leave it out if nobody wins"),
        ("start", {}, 409, "allowed now"),
        ("archive", {}, 409, "allowed now"),
        ("promote", {}, 409, "decide on a winner first"),
    ],
)
def test_a_verb_that_cannot_be_is_refused_and_changes_nothing(client, furnished, verb, body, status, said):
    """What is wrong, or not allowed now, is told with what is, and the record stays as it was."""
    entries = furnished.governance.head()
    problem = do(client, verb, status, name="trio", **body)
    assert said in f"{problem['detail']} {problem['hint']}"
    assert furnished.governance.head() == entries


@pytest.mark.usefixtures("running")
def test_a_change_is_made_at_the_revision_it_was_meant_for(client):
    """If-Match with another revision is 412, and with the one there is the change."""
    for tag, status in (('"1"', 412), ('"2"', 200)):
        response = client.post(f"{ADDRESS}/trio/stop", headers={**ACTOR, "If-Match": tag})
        assert response.status_code == status, response.text


def test_a_running_experiment_cannot_be_asked_something_else(client, running, furnished):
    """Applying the same document changes nothing, and another one is refused with what to do instead."""
    assert running["status"]["phase"] == "running"
    spec = dump(furnished.experiments.get("trio").spec)
    document = {"apiVersion": "vedette/v1", "kind": "Experiment", "metadata": {"name": "trio"}, "spec": spec}
    same = client.post("/api/v1/apply", json=document, headers=ACTOR)
    assert [it["result"] for it in same.json()["items"]] == ["unchanged"]
    other = client.post("/api/v1/apply", json={**document, "spec": {**spec, "alpha": 0.01}}, headers=ACTOR)
    assert other.status_code == 409
    assert "another name" in other.json()["hint"]


def test_documents_draft_experiments(client, furnished):
    """An Experiment in a text is drafted after what it needs, and a wrong field is named by its line."""
    text = (
        "apiVersion: vedette/v1\nkind: Experiment\nmetadata: {name: written}\nspec:\n  domain: support\n"
        "  variants:\n    - name: v1\n    - {name: v2, override: {version: v2}}\n  metrics:\n"
        "    - {metric: errors, role: primary}\n"
    )
    headers = {**ACTOR, "Content-Type": "application/yaml"}
    assert client.post("/api/v1/apply", content=text, headers=headers).json()["items"][0]["result"] == "created"
    assert furnished.experiments.get("written").status.phase == "draft"
    wrong = client.post("/api/v1/apply", content=text.replace("primary", "first"), headers=headers)
    assert (wrong.status_code, wrong.json()["details"]["line"]) == (422, 10)
