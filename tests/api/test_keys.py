"""Keys over HTTP."""

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


def test_a_key_is_revoked(client):
    """Revoking says who did it; a second time is refused, and so is a key that is not there."""
    client.post("/api/v1/keys", json={"name": "mobile"}, headers=ACTOR)
    revoked = client.post("/api/v1/keys/mobile/revoke", json={"why": "it leaked"}, headers=ACTOR)
    assert (revoked.status_code, revoked.json()["revokedBy"]) == (200, "ann")
    assert client.post("/api/v1/keys/mobile/revoke", headers=ACTOR).status_code == 409
    assert client.post("/api/v1/keys/other/revoke", headers=ACTOR).status_code == 404
