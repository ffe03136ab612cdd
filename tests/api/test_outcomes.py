"""Outcomes and feedback over HTTP."""

import json
from typing import Any

import pytest
from tests.api.people import ACTOR

from vedette.catalog.domain import DomainSpec
from vedette.kernel.documents import load

ADDRESS = "/api/v1/outcomes"


def outcome(number: int, **changes: Any) -> dict[str, Any]:
    """An outcome as a client writes it."""
    return {
        "id": f"o-{number}",
        "domain": "support",
        "at": f"2026-11-23T12:00:{number:02}Z",
        "assigned": "v1",
        "served": "v1",
        "planRevision": 2,
        "bucket": 7,
        "status": "ok",
        "measures": {"error": 0, "latency_ms": 12.5},
    } | changes


@pytest.fixture
def recorded(client, furnished):  # noqa: ARG001 - it has to be there first
    """Five outcomes of the domain, brought from elsewhere."""
    items = [outcome(n, assigned="v1" if n < 4 else "v2") for n in range(5)]
    assert client.post(ADDRESS, json={"items": items}).json() == {"stored": 5, "duplicate": 0}
    return items


def test_outcomes_from_elsewhere_are_counted_once(client, recorded):
    """The same outcome sent again changes nothing."""
    again = client.post(ADDRESS, json={"items": [*recorded, outcome(9)]})
    assert again.json() == {"stored": 1, "duplicate": 5}


@pytest.mark.usefixtures("furnished")
def test_an_outcome_of_no_domain_is_refused_with_all_beside_it(client):
    """A batch is stored whole or not at all."""
    items = [outcome(1), outcome(2, domain="none")]
    assert client.post(ADDRESS, json={"items": items}).status_code == 404
    assert client.get(f"{ADDRESS}/o-1").status_code == 404
    assert client.post(ADDRESS, json={"items": [outcome(1, bucket=5000)]}).status_code == 422


@pytest.mark.usefixtures("recorded")
def test_outcomes_are_listed_by_version_and_time_a_page_at_a_time(client):
    """The newest comes first; filters and pages compose."""
    address = "/api/v1/domains/support/outcomes"
    first = client.get(f"{address}?limit=2").json()
    rest = client.get(address, params={"limit": 10, "after": first["next"]}).json()
    assert [it["id"] for it in (*first["items"], *rest["items"])] == ["o-4", "o-3", "o-2", "o-1", "o-0"]
    assert rest["next"] is None
    assert [it["id"] for it in client.get(f"{address}?version=v2").json()["items"]] == ["o-4"]
    window = {"since": "2026-11-23T13:00:01+01:00", "until": "2026-11-23T12:00:03Z"}
    assert [it["id"] for it in client.get(address, params=window).json()["items"]] == ["o-2", "o-1"]
    assert client.get(f"{address}?after=bm9uZQ").status_code == 422
    assert client.get("/api/v1/domains/none/outcomes").status_code == 404


@pytest.mark.usefixtures("recorded")
def test_a_late_judgement_joins_its_outcome(client):
    """Feedback needs no actor; the first judgement by a measure stands, and an unknown outcome is waited for."""
    address = f"{ADDRESS}/o-1/feedback"
    before = client.get(f"{ADDRESS}/o-1").headers["etag"]
    assert client.post(address, json={"measures": {"correct": 1}}).json()["accepted"] == 1
    assert client.post(address, json={"measures": {"correct": 0}}).json()["duplicate"] == 1
    judged = client.get(f"{ADDRESS}/o-1")
    assert judged.json()["measures"]["correct"] == 1.0
    assert judged.headers["etag"] != before
    assert client.post(f"{ADDRESS}/later/feedback", json={"measures": {"correct": 1}}).json()["unknown"] == ["later"]
    client.post(ADDRESS, json={"items": [outcome(7, id="later")]})
    assert client.get(f"{ADDRESS}/later").json()["measures"]["correct"] == 1.0


@pytest.mark.usefixtures("recorded")
def test_judgements_come_in_batches_too(client):
    """A batch tells what became of its items."""
    items = [{"outcomeId": f"o-{n}", "measures": {"score": n / 10}} for n in range(7)]
    answer = client.post(f"{ADDRESS}/feedback", json={"items": items}).json()
    assert answer == {"accepted": 5, "duplicate": 0, "unknown": ["o-5", "o-6"]}


@pytest.mark.usefixtures("recorded")
@pytest.mark.parametrize(
    "measures", [{}, {"correct": True}, {"correct": "1"}, {"Bad Name": 1}, {"requests": 1}, {"latency_ms": -1}]
)
def test_a_judgement_that_cannot_be_counted_is_refused(client, measures):
    """Measures are numbers under good names, and at least one."""
    response = client.post(f"{ADDRESS}/o-1/feedback", json={"measures": measures}, headers=ACTOR)
    assert response.status_code == 422


@pytest.mark.usefixtures("furnished")
def test_outcomes_come_a_line_each_too(client):
    """A body of one JSON document a line is the same batch, and a line that is none is named."""
    lines = "\n".join(json.dumps(outcome(number)) for number in range(3))
    sent = {"content": lines, "headers": {"Content-Type": "application/x-ndjson"}}
    assert client.post(f"{ADDRESS}?remember=true", **sent).json() == {"stored": 3, "duplicate": 0}
    assert client.post(ADDRESS, **sent).json() == {"stored": 0, "duplicate": 3}
    broken = client.post(ADDRESS, **(sent | {"content": f'{lines}\n{{"id": }}'}))
    assert (broken.status_code, broken.json()["details"]["line"]) == (400, 4)


@pytest.fixture
def keeping(client, furnished, monkeypatch):
    """The domain keeps units, and has two outcomes of ann that name her and no bucket, and one of bob."""
    monkeypatch.setenv("VEDETTE_KEY_PEPPER", "a pepper for tests")
    furnished.domains.update("support", load(DomainSpec, {"config": {"keepUnits": True}}), actor="ann")
    items = [outcome(n, unit=unit) for n, unit in enumerate(("ann", "bob", "ann"))]
    for item in items:
        del item["bucket"]
    assert client.post(ADDRESS, json={"items": items}).json() == {"stored": 3, "duplicate": 0}
    return furnished


def test_an_outcome_with_a_unit_needs_no_bucket(client, keeping):
    """What names its unit alone is in that unit's bucket, and is shown by it."""
    bucket = keeping.traffic.choose("support", "ann").bucket
    shown = client.post("/api/v1/domains/support/units/show", json={"unit": "ann"}).json()["items"]
    assert [(it["id"], it["bucket"]) for it in shown] == [("o-2", bucket), ("o-0", bucket)]
    assert bucket >= 0


def test_an_erasure_sent_twice_is_done_and_recorded_once(client, keeping):
    """With a key a repeat is answered alike, marked, and leaves no second entry; a dry run under it keeps nothing."""
    address, keyed = "/api/v1/domains/support/units/erase", ACTOR | {"Idempotency-Key": "k"}
    counted = client.post(address, json={"unit": "ann", "dryRun": True}, headers=keyed)
    assert counted.json() == {"domain": "support", "outcomes": 2, "dryRun": True}
    first, again = (client.post(address, json={"unit": "ann"}, headers=keyed) for _ in range(2))
    assert first.json() == {"domain": "support", "outcomes": 2, "dryRun": False}
    assert (again.status_code, again.content, again.headers["etag"]) == (200, first.content, first.headers["etag"])
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    assert client.post(address, json={"unit": "bob"}, headers=keyed).status_code == 409
    bare = client.post(address, json={"unit": "ann"}, headers=ACTOR)
    assert (bare.json()["outcomes"], "idempotency-replayed" in bare.headers) == (0, False)
    entries = keeping.governance.entries(action="outcomes.erase").items
    assert [it.details["outcomes"] for it in entries] == [2, 0]
