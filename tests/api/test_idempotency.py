"""Idempotency-Key: a request that comes twice happens once."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.api.people import ACTOR

from vedette.control.plane import ControlPlane, open_plane

KEYED = {**ACTOR, "Idempotency-Key": "k-1"}


@pytest.fixture
def plane(store_url):
    """An empty control plane, on SQLite and then on PostgreSQL."""
    with open_plane(store_url) as opened:
        yield opened


def counted(plane: ControlPlane) -> int:
    """How many entries the record has."""
    return plane.governance.head().sequence


def test_the_same_request_gets_the_same_answer_and_happens_once(client, plane):
    """Body, status, ETag and Location are those of the first time; the replay is marked, and leaves no entry."""
    first = client.post("/api/v1/domains", json={"id": "a"}, headers=KEYED)
    entries = counted(plane)
    again = client.post("/api/v1/domains", json={"id": "a"}, headers=KEYED)
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.content == first.content
    for name in ("etag", "location"):
        assert again.headers[name] == first.headers[name]
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    assert counted(plane) == entries


def test_without_a_key_it_happens_as_often_as_it_is_asked(client, furnished):
    """A pause asked for twice is entered twice; with a key it is once."""
    furnished.canary.deploy_with_rollout("support", "v2", actor="ann")
    bare = [client.post("/api/v1/rollouts/support/pause", headers=ACTOR).json()["revision"] for _ in range(2)]
    keyed = [client.post("/api/v1/rollouts/support/pause", headers=KEYED).json()["revision"] for _ in range(2)]
    assert bare[1] == bare[0] + 1
    assert keyed[1] == keyed[0] == bare[1] + 1


@pytest.mark.usefixtures("furnished")
def test_a_replay_answers_even_when_the_world_moved_on(client):
    """Starting a rollout again with its key gives the rollout as it was begun, not a conflict with itself."""
    body = {"spec": {"domain": "support", "version": "v2"}}
    first = client.post("/api/v1/rollouts", json=body, headers=KEYED)
    client.post("/api/v1/rollouts/support/pause", headers=ACTOR)
    assert client.post("/api/v1/rollouts", json=body, headers=ACTOR).status_code == 409
    again = client.post("/api/v1/rollouts", json=body, headers=KEYED)
    assert (again.status_code, again.json()) == (201, first.json())


def test_a_key_used_for_another_request_is_a_conflict(client, plane):
    """Another body, or another address, under the same key is refused by 409 and changes nothing."""
    client.post("/api/v1/domains", json={"id": "a"}, headers=KEYED)
    entries = counted(plane)
    assert client.post("/api/v1/domains", json={"id": "b"}, headers=KEYED).status_code == 409
    assert client.post("/api/v1/domains/a/archive", headers=KEYED).status_code == 409
    assert counted(plane) == entries


def test_keys_of_two_actors_are_two_keys(client):
    """Nobody is answered with what somebody else did."""
    assert client.post("/api/v1/domains", json={"id": "a"}, headers=KEYED).status_code == 201
    other = {**KEYED, "X-Vedette-Actor": "ben"}
    assert client.post("/api/v1/domains", json={"id": "b"}, headers=other).status_code == 201


def test_a_request_that_failed_leaves_no_key_behind(client, plane):
    """What was refused can be sent again, mended, under its key."""
    assert client.post("/api/v1/domains/a/archive", headers=KEYED).status_code == 404
    client.post("/api/v1/domains", json={"id": "a"}, headers=ACTOR)
    assert client.post("/api/v1/domains/a/archive", headers=KEYED).status_code == 200
    assert plane.domains.get("a").state == "archived"


def test_the_same_request_at_the_same_moment_happens_once(client, plane):
    """Of eight at once one makes the change, and all get its answer."""

    def ask(_):
        return client.post("/api/v1/domains", json={"id": "a"}, headers=KEYED)

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, range(8)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    assert sum("idempotency-replayed" not in answer.headers for answer in answers) == 1
    assert counted(plane) == 2


@pytest.mark.parametrize("dry_run", ["true", "false"])
def test_applied_documents_can_carry_a_key(client, plane, dry_run):
    """Documents are applied once under a key too; a dry run keeps nothing but its answer."""
    text = "apiVersion: vedette/v1\nkind: Domain\nmetadata: {name: a}\n"
    headers = {**KEYED, "Content-Type": "application/yaml"}
    answers = [client.post(f"/api/v1/apply?dryRun={dry_run}", content=text, headers=headers) for _ in range(2)]
    assert answers[0].json() == answers[1].json()
    assert answers[0].json()["items"][0]["result"] == "created"
    assert answers[1].headers["idempotency-replayed"] == "true"
    assert counted(plane) == (0 if dry_run == "true" else 2)
