"""Domains and versions over HTTP."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.api.people import ACTOR

from vedette.kernel.documents import dump

ADDRESS = "/api/v1/domains"


def test_a_domain_lives_and_ends_over_http(client, plane):
    """Created, read, changed, archived, restored, archived and deleted: each answer is the domain as it is then."""
    made = client.post(ADDRESS, json={"id": "a", "title": "A", "labels": {"team": "x"}}, headers=ACTOR)
    assert (made.status_code, made.headers["location"]) == (201, "/api/v1/domains/a")
    changed = client.put(f"{ADDRESS}/a", json={"title": "B", "config": {"timeout": "30s"}}, headers=ACTOR).json()
    assert (changed["title"], changed["labels"], changed["config"]["timeout"]) == ("B", {"team": "x"}, 30.0)
    states = [client.post(f"{ADDRESS}/a/{verb}", headers=ACTOR).json()["state"] for verb in ("archive", "restore")]
    states.append(client.delete(f"{ADDRESS}/a", headers=ACTOR).json()["state"])
    assert states == ["archived", "active", "deleted"]
    assert client.get(f"{ADDRESS}/a").json() == dump(plane.domains.get("a"))
    assert client.get(ADDRESS).json()["items"] == []
    assert [it["id"] for it in client.get(f"{ADDRESS}?state=deleted").json()["items"]] == ["a"]
    revisions = client.get(f"{ADDRESS}/a/revisions").json()["items"]
    assert [(it["domain"]["revision"], it["actor"]) for it in revisions] == [(n, "ann") for n in (5, 4, 3, 2, 1)]


def test_a_domain_that_exists_is_a_conflict(client, furnished):
    """A second domain of one id is refused and the first stays."""
    assert client.post(ADDRESS, json={"id": "support"}, headers=ACTOR).status_code == 409
    assert furnished.domains.get("support").title == "Support"


def test_a_domain_that_is_depended_on_is_not_deleted(client, furnished):
    """What serves cannot be deleted."""
    refused = client.delete(f"{ADDRESS}/support", headers=ACTOR)
    assert (refused.status_code, refused.json()["type"].rpartition(":")[2]) == (409, "refused")
    assert furnished.domains.get("support").state == "active"


def test_versions_are_registered_listed_and_installed(client, plane):
    """A version is stored once, an equal one is given back, another of its name conflicts, the first is installed."""
    client.post(ADDRESS, json={"id": "a"}, headers=ACTOR)
    spec: dict[str, Any] = {"backend": {"kind": "openai", "url": "http://127.0.0.1:9/v1", "model": "m"}}
    body = {"name": "v1", "spec": spec}
    made = client.post(f"{ADDRESS}/a/versions", json=body, headers=ACTOR)
    assert (made.status_code, made.headers["location"]) == (201, "/api/v1/domains/a/versions/v1")
    assert client.post(f"{ADDRESS}/a/versions", json=body, headers=ACTOR).json() == made.json()
    spec["note"] = "another"
    assert client.post(f"{ADDRESS}/a/versions", json=body, headers=ACTOR).status_code == 409
    tenure = client.post(f"{ADDRESS}/a/versions/v1/install", json={"why": "the first"}, headers=ACTOR).json()
    assert (tenure["version"], tenure["cause"], tenure["until"]) == ("v1", "the first", None)
    assert client.get(f"{ADDRESS}/a/aliases").json() == {"stable": "v1", "candidate": ""}
    assert client.get(f"{ADDRESS}/a/versions/v1").json() == dump(plane.versions.get("a", "v1"))
    assert client.get(f"{ADDRESS}/a/tenures").json()["items"] == [tenure]


@pytest.mark.usefixtures("furnished")
def test_what_served_when_has_an_answer(client):
    """Now it is the stable version; before it was installed nothing served."""
    assert client.get(f"{ADDRESS}/support/serving").json()["version"] == "v1"
    before = (datetime.now(UTC) - timedelta(days=1)).isoformat()
    assert client.get(f"{ADDRESS}/support/serving", params={"at": before}).status_code == 404
    later = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    assert client.get(f"{ADDRESS}/support/serving", params={"at": later}).json()["version"] == "v1"


@pytest.mark.usefixtures("furnished")
@pytest.mark.parametrize("at", ["2026-11-23", "yesterday", "1700000000", "2026-11-23T12:00:00", "2026-13-01T00:00:00Z"])
def test_a_time_without_its_offset_is_no_time(client, at):
    """Times are RFC 3339; what could mean two moments is refused."""
    assert client.get(f"{ADDRESS}/support/serving", params={"at": at}).status_code == 422


@pytest.mark.usefixtures("furnished")
@pytest.mark.parametrize(
    ("at", "status"),
    [("0001-01-01T00:00:00+23:59", 404), ("9999-12-31T23:59:60-23:59", 200), ("2016-12-31T23:59:60Z", 404)],
)
def test_the_ends_of_the_calendar_and_leap_seconds_are_times(client, at, status):
    """Every time RFC 3339 can write is understood."""
    assert client.get(f"{ADDRESS}/support/serving", params={"at": at}).status_code == status
