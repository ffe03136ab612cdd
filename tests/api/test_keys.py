"""Keys over HTTP."""

from datetime import datetime, timedelta

from tests.api.people import ACTOR


def test_a_secret_is_told_once(client):
    """Making a key tells its secret; nothing that is read afterwards does."""
    made = client.post("/api/v1/keys", json={"name": "mobile", "note": "the app"}, headers=ACTOR)
    assert made.status_code == 201
    assert made.headers["Location"] == "/api/v1/keys/mobile"
    secret = made.json()["secret"]
    assert secret.startswith(f"vdt_{made.json()['key']['id']}_")
    for path in ("/api/v1/keys", "/api/v1/keys/mobile", "/api/v1/audit"):
        answer = client.get(path)
        assert answer.status_code == 200
        assert secret not in answer.text
        assert "digest" not in answer.text


def test_no_answer_with_a_secret_is_kept(client):
    """A key that is made again under one idempotency key is a conflict: its answer was not kept."""
    headers = ACTOR | {"Idempotency-Key": "once"}
    answers = [client.post("/api/v1/keys", json={"name": "mobile"}, headers=headers) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 409]


def test_a_key_ends_by_itself(client):
    """An end is a time, a date or how long from now; lists show it as a time; one in the past is refused."""
    for said, shown in (("2999-01-31", "2999-01-31T00:00:00Z"), ("2999-01-31T02:00:00+02:00", "2999-01-31T00:00:00Z")):
        made = client.post("/api/v1/keys", json={"name": f"k{len(said)}", "expiresAt": said}, headers=ACTOR)
        assert made.json()["key"]["spec"]["expiresAt"] == shown
    client.post("/api/v1/keys", json={"name": "lasting", "expiresAt": "90d"}, headers=ACTOR)
    listed = {key["name"]: key for key in client.get("/api/v1/keys").json()["items"]}
    lasts = _moment(listed["lasting"]["spec"]["expiresAt"]) - _moment(listed["lasting"]["createdAt"])
    assert round(lasts / timedelta(days=1), 2) == 90
    for wrong in ("2020-01-31", "soon", 90, "2999-01-31T00:00:00"):
        answer = client.post("/api/v1/keys", json={"name": "wrong", "expiresAt": wrong}, headers=ACTOR)
        assert answer.status_code == 422, wrong


def _moment(said):
    return datetime.fromisoformat(said)


def test_a_key_is_changed_at_its_revision(client):
    """A PUT replaces what is said of a key, under If-Match if one likes; the secret is in no answer."""
    made = client.post("/api/v1/keys", json={"name": "mobile", "note": "the app"}, headers=ACTOR)
    tag = client.get("/api/v1/keys/mobile").headers["ETag"]
    body = {"domains": [], "limits": {"requestsPerMinute": 60}, "expiresAt": "30d"}
    changed = client.put("/api/v1/keys/mobile", json=body, headers=ACTOR | {"If-Match": tag})
    assert (changed.status_code, changed.headers["ETag"]) == (200, '"2"')
    assert changed.json()["spec"] | {"expiresAt": ""} == {
        "domains": [],
        "limits": {"requestsPerMinute": 60, "tokensPerMinute": 0},
        "note": "",
        "expiresAt": "",
    }
    assert made.json()["secret"] not in changed.text
    stale = client.put("/api/v1/keys/mobile", json={}, headers=ACTOR | {"If-Match": tag})
    assert stale.status_code == 412
    assert client.put("/api/v1/keys/other", json={}, headers=ACTOR).status_code == 404


def test_a_key_is_revoked(client):
    """Revoking says who did it; a second time is refused, and so is a key that is not there."""
    client.post("/api/v1/keys", json={"name": "mobile"}, headers=ACTOR)
    revoked = client.post("/api/v1/keys/mobile/revoke", json={"why": "it leaked"}, headers=ACTOR)
    assert (revoked.status_code, revoked.json()["revokedBy"]) == (200, "ann")
    assert client.post("/api/v1/keys/mobile/revoke", headers=ACTOR).status_code == 409
    assert client.post("/api/v1/keys/other/revoke", headers=ACTOR).status_code == 404
