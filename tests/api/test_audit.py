"""The audit log over HTTP."""

import json

import pytest
from sqlalchemy import text
from tests.api.people import ACTOR

from vedette.kernel.documents import dump

ADDRESS = "/api/v1/audit"


@pytest.mark.usefixtures("furnished")
def test_entries_are_filtered_by_domain_actor_and_action(client):
    """Filters narrow the record, which stays in order."""
    client.post("/api/v1/domains", json={"id": "other"}, headers={"X-Vedette-Actor": "ben"})
    everything = client.get(f"{ADDRESS}?limit=1000").json()["items"]
    assert [entry["sequence"] for entry in everything] == list(range(1, len(everything) + 1))
    for name, value in (("domain", "other"), ("actor", "ben"), ("action", "version.register")):
        found = client.get(ADDRESS, params={name: value}).json()["items"]
        assert found == [entry for entry in everything if entry[name] == value] != []
    since = everything[-1]["at"]
    late = client.get(ADDRESS, params={"since": since}).json()["items"]
    assert late == [entry for entry in everything if entry["at"] >= since]


def test_the_export_is_every_entry_one_a_line(client, furnished):
    """NDJSON of the whole record, in order, as the library reads it."""
    response = client.get(f"{ADDRESS}/export")
    assert response.headers["content-type"] == "application/x-ndjson"
    lines = [json.loads(line) for line in response.text.splitlines()]
    assert lines == [dump(entry) for entry in furnished.governance.export()] != []


def test_a_sound_record_verifies_and_a_tampered_one_names_the_entry(client, furnished):
    """Verification says which entry was edited; a checkpoint that was written down shows what was cut off."""
    head = client.get(f"{ADDRESS}/head").json()
    assert client.get(f"{ADDRESS}/verify").json() == {"sound": True, "head": head, "findings": []}
    later = f"{head['sequence'] + 1}:{head['entryHash']}"
    cut = client.get(f"{ADDRESS}/verify", params={"checkpoint": later}).json()
    assert (cut["sound"], cut["findings"][0]["fault"]) == (False, "truncated")
    with furnished.store.transaction() as connection:
        for trigger in connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'trigger'").scalars():
            connection.exec_driver_sql(f'DROP TRIGGER "{trigger}"')
        connection.execute(text("UPDATE domain_audit_logs SET actor = 'eve' WHERE sequence = 2"))
    edited = client.get(f"{ADDRESS}/verify").json()
    assert (edited["sound"], edited["findings"][0]["fault"], edited["findings"][0]["sequence"]) == (False, "edited", 2)
    assert client.get(f"{ADDRESS}/verify?checkpoint=nonsense").status_code == 422


@pytest.mark.usefixtures("furnished")
def test_an_entry_of_ones_own_joins_the_chain(client):
    """What was decided outside of vedette can be kept in the same record, with its actor."""
    body = {"action": "review.approved", "domain": "support", "details": {"ticket": 7}}
    entry = client.post(ADDRESS, json=body, headers=ACTOR)
    assert (entry.status_code, entry.json()["actor"], entry.json()["details"]) == (201, "ann", {"ticket": 7})
    assert client.get(f"{ADDRESS}/verify").json()["sound"]
    assert client.post(ADDRESS, json={**body, "details": {"text": "\0"}}, headers=ACTOR).status_code == 422
