"""Experiments over HTTP: what they found, who sees what, outcomes and scores from elsewhere."""

import json

import pytest
from tests.api.conftest import backend
from tests.api.people import ACTOR
from tests.api.trials import ADDRESS, JUDGED, SPEC, WORDS, create, do, serve

from vedette.catalog.version import VersionSpec
from vedette.kernel.documents import dump


def test_what_an_experiment_found_is_read_and_drawn(client, running, furnished):
    """Results, looks, explanation, breakdown and interactions are the records of the plane, and charts are pictures."""
    assert running["status"]["phase"] == "running"
    create(client, "other", layer="second", variants=["base", {"name": "hot", "override": {"values": {"a": 1}}}])
    do(client, "start", name="other")
    for chart in ("ranks", "sequence"):
        early = client.get(f"{ADDRESS}/trio/charts/{chart}.svg")
        assert (early.status_code, early.json()["hint"]) == (409, "wait for more units")
    serve(client, furnished, failing="v2")
    furnished.reconciler.tick()
    address = f"{ADDRESS}/trio"
    results = client.get(f"{address}/results").json()
    assert results == dump(furnished.experiments.results("trio"))
    assert {it["variant"] for it in results["standings"]} == {"v1", "v2", "brief"}
    assert client.get(f"{address}/looks").json()["items"] == [
        dump(it) for it in furnished.experiments.looks("trio").items
    ]
    explained = client.get(f"{address}/explanation").json()
    assert (explained["phase"], explained["rederived"], explained["assignment"]) == ("running", True, None)
    cuts = client.get(f"{address}/breakdown?dimension=x-plan").json()
    assert cuts == dump(furnished.experiments.breakdown("trio", "x-plan"))
    assert {it["value"] for it in cuts["values"]} == {"pro", "free"}
    assert client.get(f"{address}/breakdown?dimension=country").status_code == 422
    crossed = client.get(f"{address}/interactions").json()["items"]
    assert crossed == [dump(it) for it in furnished.experiments.interactions("trio")]
    assert crossed == client.get(f"{address}/interactions?other=other").json()["items"]
    assert {it["other"] for it in crossed} == {"other"}
    for chart in ("forest", "ranks", "sequence"):
        drawn = client.get(f"{address}/charts/{chart}.svg")
        assert (drawn.status_code, drawn.headers["content-type"].partition(";")[0]) == (200, "image/svg+xml")
        assert drawn.text.startswith("<svg")
    assert client.get(f"{address}/charts/pie.svg").status_code == 422
    assert b"experiment.start" in client.get(f"{address}/events?after=0").content


def test_what_has_not_started_has_no_results(client, drafted):
    """Results of a draft are refused, with how to start it."""
    response = client.get(f"{ADDRESS}/{drafted['id']}/results")
    assert response.status_code == 409
    assert "start" in f"{response.json()['detail']} {response.json()['hint']}"


@pytest.mark.usefixtures("running")
def test_a_unit_is_assigned_and_told_why(client, furnished):
    """Assignment, explanation and choice agree on the arm of every unit, its version, and why."""
    arms = set()
    for user in range(20):
        asked = {"unit": f"user-{user}"}
        assigned = client.get(f"{ADDRESS}/trio/assignment", params=asked).json()
        assert assigned == dump(furnished.experiments.assignment("trio", asked["unit"]))
        assert assigned["because"]
        assert client.get(f"{ADDRESS}/trio/explanation", params=asked).json()["assignment"] == assigned
        choice = client.get("/api/v1/domains/support/choose", params=asked).json()
        (exposed,) = choice["exposures"]
        arms.add(arm := assigned["arm"])
        assert (exposed["arm"], exposed["epoch"], choice["experiments"]) == (arm, 1, {"trio": arm})
        own = arm != "brief"
        assert (choice["layer"], choice["arm"]) == (("experiment",) * 2 if own else ("stable",) * 2)
        assert choice["version"] == (arm if own else "v1")
        assert choice["override"]["prompt"] == (
            None if own else {**WORDS["override"]["prompt"], "place": "replace", "template": ""}
        )
        assert f"{arm} of trio" in choice["sentence"]
    assert arms == {"v1", "v2", "brief"}
    assert client.get(f"{ADDRESS}/trio/assignment").status_code == 422


@pytest.mark.usefixtures("furnished")
def test_targeting_looks_at_attributes(client):
    """A unit has an arm only on requests that fit the targeting, and is told what does not fit."""
    create(client, targeting=[{"attribute": "x-plan", "values": ["pro"]}])
    do(client, "start")
    asked = [("unit", "ann"), ("attribute", "x-plan=free")]
    assert "targeting: x-plan" in client.get(f"{ADDRESS}/tone/assignment", params=asked).json()["because"]
    fits = [("unit", "ann"), ("attribute", "x-plan=pro"), ("attribute", "x-more=a=b")]
    assert client.get(f"{ADDRESS}/tone/assignment", params=fits).json()["arm"] in {"v1", "v2"}
    assert client.get("/api/v1/domains/support/choose", params=fits).json()["experiments"]
    assert not client.get("/api/v1/domains/support/choose", params=asked).json()["experiments"]
    wrong = client.get(f"{ADDRESS}/tone/assignment", params=[("unit", "ann"), ("attribute", "pro")])
    assert wrong.status_code == 422


def test_outcomes_from_elsewhere_count_for_their_arms(client, running, furnished):
    """Exposures name experiments by id or name; an unknown one, arm or epoch is refused, and nothing is stored."""
    items = serve(client, furnished, by="trio")
    assert client.get(f"{ADDRESS}/trio/results").json()["units"] == 900
    entry = furnished.lake.outcome(items[0]["id"])
    assert entry.exposures[0].experiment == running["id"]
    furnished.versions.register("support", "v3", VersionSpec(backend=backend("v3")), actor="ann")
    for changed, status, said in (
        ({"experiment": "none"}, 404, "none"),
        ({"arm": "v3"}, 422, "its arms: v1, v2, brief"),
        ({"epoch": 2}, 422, "has had 1 epochs"),
        ({"epoch": 0}, 422, "has had 1 epochs"),
    ):
        exposures = [{"experiment": "trio", "arm": "v1", "epoch": 1} | changed]
        body = {"items": [{**items[0], "id": "fresh", "exposures": exposures}]}
        refused = client.post("/api/v1/outcomes", json=body)
        assert refused.status_code == status, refused.text
        assert said in f"{refused.json()['detail']} {refused.json()['hint']}"
        assert client.get("/api/v1/outcomes/fresh").status_code == 404
    client.post("/api/v1/domains", json={"id": "legal"}, headers=ACTOR)
    moved = {**items[0], "id": "fresh", "domain": "legal"}
    assert client.post("/api/v1/outcomes", json={"items": [moved]}).status_code == 422


@pytest.mark.usefixtures("furnished")
def test_scores_are_taken_as_a_list_or_a_line_each(client, furnished):
    """Complete prompts count once, the first ones start the experiment, and the rest is told."""
    create(client, "judged", **JUDGED)
    rows = [{"prompt": f"p{n}", "variant": arm, "error": int(n % 4 == 0)} for n in range(40) for arm in "ab"]
    taken = client.post(f"{ADDRESS}/judged/scores", json=rows[:41], headers=ACTOR).json()
    assert (taken["prompts"], taken["incomplete"], taken["experiment"]["status"]["phase"]) == (20, 1, "running")
    lines = "\n\n".join(json.dumps(row | {"cluster": None}) for row in rows)
    headers = {**ACTOR, "Content-Type": "application/x-ndjson"}
    taken = client.post(f"{ADDRESS}/judged/scores", content=lines, headers=headers).json()
    assert (taken["prompts"], taken["total"], taken["seenBefore"]) == (
        20,
        40,
        20,
    )
    assert client.get(f"{ADDRESS}/judged/results").json() == dump(furnished.experiments.results("judged"))


@pytest.mark.usefixtures("drafted")
@pytest.mark.parametrize(
    ("name", "content", "status", "said"),
    [
        ("judged", '{"prompt": "p", "variant": "a", "error": 1}\n{"prompt": "p",', 400, "<body>:2:"),
        ("judged", '{"prompt": "p", "variant": "a", "error": NaN}', 400, "NaN"),
        ("judged", '{"prompt": "p", "variant": "a", "error": "bad"}', 422, "error"),
        ("judged", '{"prompt": "p", "variant": "c", "error": 1}', 422, "variants: a, b"),
        ("judged", '{"variant": "a", "error": 1}', 422, "prompt"),
        ("tone", '{"prompt": "p", "variant": "v1", "error": 1}', 409, "offline: true"),
    ],
)
def test_scores_that_cannot_be_counted_are_refused(client, furnished, name, content, status, said):
    """A wrong line is named, an experiment on live traffic takes no scores, and nothing is kept."""
    create(client, "judged", **JUDGED)
    entries = furnished.governance.head()
    headers = {**ACTOR, "Content-Type": "application/jsonl"}
    refused = client.post(f"{ADDRESS}/{name}/scores", content=content, headers=headers)
    assert refused.status_code == status, refused.text
    assert said in f"{refused.json()['detail']} {refused.json()['hint']}"
    assert furnished.governance.head() == entries


def test_a_plan_says_what_an_experiment_takes(client, furnished):
    """Planning needs no actor and writes nothing; what it says is what the plane says."""
    entries = furnished.governance.head()
    spec = SPEC | {
        "variants": [{"name": "v1"}, {"name": "v2", "override": {"version": "v2"}}],
        "metrics": [{"metric": "errors", "role": "primary"}],
    }
    body = {"spec": spec, "mde": 0.2, "baseline": 0.05, "unitsPerDay": 10_000}
    response = client.post(f"{ADDRESS}/plan", json=body)
    assert response.status_code == 200, response.text
    assert response.json()["nTotal"] > 1000
    assert client.post(f"{ADDRESS}/plan", json={**body, "mde": 0}).status_code == 422
    unknown = client.post(f"{ADDRESS}/plan", json={"spec": spec, "mde": 0.2})
    assert "baseline" in unknown.json()["hint"]
    assert furnished.governance.head() == entries
