"""ETag, If-None-Match and If-Match."""

import pytest
from tests.api.people import ACTOR


@pytest.mark.parametrize(
    "address",
    [
        "domains/support",
        "domains/support/aliases",
        "domains/support/serving",
        "domains/support/plan",
        "domains/support/plans/2",
        "domains/support/versions/v1",
        "rollouts/support-v2",
    ],
)
def test_what_a_client_has_is_not_sent_again(client, furnished, address):
    """Every single thing carries a strong ETag, and If-None-Match with it is answered by 304 without a body."""
    furnished.canary.deploy_with_rollout("support", "v2", actor="ann")
    first = client.get(f"/api/v1/{address}")
    tag = first.headers["etag"]
    assert tag.startswith('"')
    for known in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        again = client.get(f"/api/v1/{address}", headers={"If-None-Match": known})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    assert client.get(f"/api/v1/{address}", headers={"If-None-Match": '"other"'}).json() == first.json()


@pytest.mark.parametrize("tag", ['"1"', 'W/"1"', "*"])
def test_a_write_for_the_revision_that_is_there_happens(client, furnished, tag):
    """If-Match with the revision read, or with a star, lets the write through and names the new revision."""
    response = client.put("/api/v1/domains/support", json={"title": "New"}, headers={**ACTOR, "If-Match": tag})
    assert (response.status_code, response.headers["etag"]) == (200, '"2"')
    assert furnished.domains.get("support").title == "New"


@pytest.mark.usefixtures("furnished")
@pytest.mark.parametrize(
    ("method", "address"),
    [("PUT", ""), ("DELETE", ""), ("POST", "/archive")],
)
def test_a_stale_write_changes_nothing(client, method, address):
    """If-Match with an older revision is answered by 412, whatever the write."""
    client.put("/api/v1/domains/support", json={"title": "New"}, headers=ACTOR)
    before = client.get("/api/v1/domains/support").json()
    content = {"json": {"title": "Newer"}} if method == "PUT" else {}
    headers = {**ACTOR, "If-Match": '"1"'}
    response = client.request(method, f"/api/v1/domains/support{address}", headers=headers, **content)
    assert (response.status_code, response.json()["type"].rpartition(":")[2]) == (412, "stale-revision")
    assert client.get("/api/v1/domains/support").json() == before


def test_a_verb_on_a_rollout_that_moved_on_is_refused(client, furnished):
    """A verb for a revision somebody was faster than is answered by 412; for the one there is it happens."""
    rollout = furnished.canary.deploy_with_rollout("support", "v2", actor="ann")
    stale = {**ACTOR, "If-Match": f'"{rollout.revision + 1}"'}
    assert client.post("/api/v1/rollouts/support-v2/pause", headers=stale).status_code == 412
    tag = client.get("/api/v1/rollouts/support-v2").headers["etag"]
    response = client.post("/api/v1/rollouts/support-v2/pause", headers={**ACTOR, "If-Match": tag})
    assert response.json()["status"]["phase"] == "paused"


def test_an_if_match_that_is_no_tag_is_refused(client, furnished):
    """What cannot be a revision is said to be wrong rather than stale."""
    headers = {**ACTOR, "If-Match": "seven"}
    assert client.delete("/api/v1/domains/support", headers=headers).status_code == 422
    assert furnished.domains.get("support").revision == 1
