"""Errors over HTTP: one shape, one table, and nothing of the server's inside leaves."""

import json
from typing import Any

import pytest
from tests.api.people import ACTOR

from vedette.api.problems import KINDS, MEDIA_TYPE, TYPES
from vedette.kernel.errors import (
    Conflict,
    Corrupt,
    Denied,
    InvalidDocument,
    InvalidInput,
    LeaseLost,
    NotFound,
    Refused,
    StaleRevision,
    Unavailable,
    VedetteError,
)

JSON = {"Content-Type": "application/json", **ACTOR}


def problem(response: Any, status: int, kind: str) -> dict[str, Any]:
    """Give the problem document of a response, having seen that it is one."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == MEDIA_TYPE
    body: dict[str, Any] = response.json()
    assert body["status"] == status
    assert body["type"] == TYPES + kind
    assert body["instance"] == response.request.url.path
    assert body["title"]
    assert body["detail"]
    return body


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (InvalidInput("bad"), 422, "invalid-input"),
        (InvalidDocument("bad", source="f", line=1, column=2, path="spec"), 422, "invalid-input"),
        (InvalidDocument("bad", source="f", line=1, column=2), 400, "malformed"),
        (NotFound("none"), 404, "not-found"),
        (Conflict("taken"), 409, "conflict"),
        (StaleRevision("stale"), 412, "stale-revision"),
        (Refused("no"), 409, "refused"),
        (Denied("not you"), 403, "denied"),
        (Corrupt("broken", artefact="model.skops"), 422, "corrupt"),
        (Corrupt("broken"), 500, "corrupt"),
        (LeaseLost("gone"), 409, "lease-lost"),
        (Unavailable("away"), 503, "unavailable"),
        (VedetteError("odd"), 500, "unexpected"),
    ],
)
def test_every_error_of_the_kernel_has_its_status_and_type(client, plane, monkeypatch, error, status, kind):
    """Each class of error is answered by its row of the table, with message, hint and details."""
    error.hint, error.details = "do this", {**error.details, "figure": 7, "odd": object()}

    def fail(_):
        raise error

    monkeypatch.setattr(plane.domains, "get", fail)
    body = problem(client.get("/api/v1/domains/a"), status, kind)
    assert body["detail"] == error.message
    assert body["hint"] == "do this"
    assert str(body["details"]["figure"]) == "7"


def test_the_table_knows_every_error_class():
    """No class of error is answered by the row of something unexpected only because it was forgotten."""
    assert set(VedetteError.__subclasses__()) <= set(KINDS)


def test_unavailable_says_when_to_come_back(client, plane, monkeypatch):
    """503 carries Retry-After."""

    def fail():
        raise Unavailable("away")

    monkeypatch.setattr(plane.governance, "head", fail)
    assert client.get("/readyz").headers["retry-after"] == "1"


def test_an_unexpected_error_tells_nothing_of_the_inside(client, plane, monkeypatch):
    """A defect is answered by 500 without its message or its trace, and with the id that finds it in the log."""

    def fail(_):
        raise RuntimeError("secret at /srv/key")

    monkeypatch.setattr(plane.domains, "get", fail)
    response = client.get("/api/v1/domains/a", headers={"X-Request-Id": "r-1"})
    problem(response, 500, "unexpected")
    assert "secret" not in response.text
    assert "Traceback" not in response.text
    assert response.headers["x-request-id"] == "r-1"


def test_an_unknown_address_is_a_problem_too(client):
    """Where there is no route the answer has the same shape."""
    problem(client.get("/api/v1/nothing"), 404, "no-such-route")


def test_an_unknown_method_names_those_there_are(client):
    """405 carries every method of the address, whichever route has it."""
    response = client.patch("/api/v1/domains/a")
    problem(response, 405, "method-not-allowed")
    assert response.headers["allow"] == "DELETE, GET, PUT"
    assert client.delete("/api/v1/rollouts/plan").headers["allow"] == "POST"


@pytest.mark.parametrize(
    ("body", "line", "column"),
    [
        ('{"id":\n "a",,}', 2, 6),
        ('{"id": "a"', 1, 11),
        ('{"id": "\ud800"}'.encode("utf-8", "surrogatepass"), 1, 9),
        ('{"id": "\\ud800"}', 1, 15),
        ("[" * 100_000, 1, 1),
        ('{"timeout": NaN}', 1, 1),
        ('{"timeout": 1e999}', 1, 1),
    ],
)
def test_malformed_json_is_answered_with_its_place(client, body, line, column):
    """What is no JSON is refused by 400 with line and column, however it is broken."""
    said = problem(client.post("/api/v1/domains", content=body, headers=JSON), 400, "malformed")
    assert (said["details"]["line"], said["details"]["column"]) == (line, column)


@pytest.mark.parametrize("content_type", ["application/x-www-form-urlencoded", "text/plain", "multipart/form-data", ""])
def test_only_json_is_read(client, content_type):
    """A body that does not say it is JSON is refused, so that no form of a foreign page can post."""
    headers = {**ACTOR, "Content-Type": content_type}
    problem(client.post("/api/v1/domains", content=b'{"id": "a"}', headers=headers), 415, "unsupported-media-type")
    assert client.get("/api/v1/domains").json()["items"] == []


@pytest.mark.parametrize("chunked", [True, False])
def test_a_body_too_large_is_refused(client, chunked):
    """Above a megabyte the body is not read to its end, with and without Content-Length."""
    pieces = [b'{"id": "' + b"a" * 600_000, b"a" * 600_000 + b'"}']
    content = iter(pieces) if chunked else b"".join(pieces)
    problem(client.post("/api/v1/domains", content=content, headers=JSON), 413, "too-large")


@pytest.mark.parametrize(
    ("body", "at"),
    [
        ({"id": "a", "titel": "x"}, "body.titel"),
        ({"id": "A B"}, "body.id"),
        ({"id": "a", "config": {"retries": "3"}}, "body.config.retries"),
        ({"id": "a", "config": {"retries": 9}}, "body.config"),
        ({"id": "a", "config": {"fallback": 1}}, "body.config.fallback"),
        ({}, "body.id"),
        ([], "body"),
    ],
)
def test_what_does_not_fit_is_named_by_its_field(client, body, at):
    """A wrong body is refused by 422 with every wrong field's place, and nothing is coerced."""
    said = problem(client.post("/api/v1/domains", json=body, headers=ACTOR), 422, "invalid-input")
    assert at in {each["at"] for each in said["details"]["errors"]}


def test_a_write_without_actor_says_what_to_send(client):
    """Nobody writes anonymously."""
    said = problem(client.post("/api/v1/domains", json={"id": "a"}), 422, "invalid-input")
    assert "X-Vedette-Actor" in said["hint"]
    assert client.get("/api/v1/domains").json()["items"] == []


def test_a_damaged_artefact_is_the_clients_to_mend(client, tmp_path):
    """A local artefact whose digest is another one is refused by 422 and registers nothing."""
    artefact = tmp_path / "model.skops"
    artefact.write_bytes(b"nonsense")
    client.post("/api/v1/domains", json={"id": "a"}, headers=ACTOR)
    spec = {"backend": {"kind": "local", "artefact": str(artefact), "digest": "0" * 64}}
    body = {"name": "v1", "spec": spec}
    problem(client.post("/api/v1/domains/a/versions", json=body, headers=ACTOR), 422, "corrupt")
    spec["backend"]["artefact"] = str(tmp_path)
    problem(client.post("/api/v1/domains/a/versions", json=body, headers=ACTOR), 404, "not-found")
    assert client.get("/api/v1/domains/a/versions").json() == {"items": [], "next": None}


def test_every_answer_has_a_request_id(client):
    """A sound id of the client's own is kept; anything else is replaced."""
    assert client.get("/livez", headers={"X-Request-Id": "mine-1"}).headers["x-request-id"] == "mine-1"
    assert client.get("/livez", headers={"X-Request-Id": "no spaces"}).headers["x-request-id"] != "no spaces"
    first, second = (client.get("/nothing").headers["x-request-id"] for _ in range(2))
    assert first != second


def test_no_foreign_origin_is_let_in(client):
    """There is no CORS: a preflight is refused and no answer allows an origin."""
    asked = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    response = client.options("/api/v1/domains", headers=asked)
    assert response.status_code == 405
    answers = [response, client.get("/api/v1/domains", headers={"Origin": "https://evil.example"})]
    assert not [name for answer in answers for name in answer.headers if name.startswith("access-control")]


def test_the_request_id_is_kept_in_the_audit_entry(client):
    """What a client calls its request stands in the record of what it did."""
    client.post("/api/v1/domains", json={"id": "a"}, headers={**ACTOR, "X-Request-Id": "r-77"})
    entries = client.get("/api/v1/audit").json()["items"]
    assert [(entry["actor"], entry["requestId"]) for entry in entries] == [("ann", "r-77")] * 2
    assert json.dumps(entries)
