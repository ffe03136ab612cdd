"""Spans over OTLP/HTTP, as a collector sends them."""

import gzip

import pytest
from starlette.testclient import TestClient
from tests.evidence.golden import SPANS

from vedette.evidence.addresses import address_of
from vedette.gateway.otlp import spans_of
from vedette.gateway.tracing import NAMES, Span
from vedette.governance.roles import Role
from vedette.web.app import create_app

ADDRESS = "/v1/traces"
PROTOBUF = {"Content-Type": "application/x-protobuf"}
TRACE = "00abcdef000000000000000000000001"


@pytest.mark.usefixtures("furnished")
def test_spans_are_counted_once_however_often_and_however_packed(client):
    """A collector that sends again changes nothing, and learns how many spans are none of ours."""
    first = client.post(ADDRESS, content=SPANS, headers=PROTOBUF)
    assert (first.status_code, first.headers["content-type"]) == (200, "application/x-protobuf")
    assert first.content[:4] == bytes([0x0A, len(first.content) - 2, 0x08, 1])
    assert first.content.endswith(b"1 are of no call of a model")
    packed = client.post(ADDRESS, content=gzip.compress(SPANS), headers=PROTOBUF | {"Content-Encoding": "gzip"})
    assert packed.content == first.content
    found = client.get("/api/v1/domains/support/outcomes").json()["items"]
    assert [it["assigned"] for it in found] == ["gpt-4o", "v1"]
    labelled = client.post(f"/api/v1/outcomes/{TRACE}-00000000000000a2/feedback", json={"measures": {"correct": 1}})
    assert labelled.json()["accepted"] == 1


@pytest.mark.usefixtures("furnished")
def test_the_gateways_own_spans_are_taken_and_not_counted_again(client):
    """What the gateway exports says which outcome it recorded; that is no reason to complain."""
    said = {NAMES["operation"]: "chat", NAMES["domain"]: "support", NAMES["served"]: "v1", NAMES["request"]: "r-1"}
    own = Span(
        trace=TRACE,
        id="00000000000000b1",
        parent="",
        state="",
        name="chat support",
        begun=1_795_435_200_000_000_000,
        ended=1_795_435_201_000_000_000,
        attributes=said,
        failed=False,
    )
    answer = client.post(ADDRESS, json=spans_of({"service.name": "vedette-gateway"}, [own]))
    assert answer.json() == {}
    assert client.get("/api/v1/domains/support/outcomes").json()["items"] == []
    foreign = Span(
        **{name: getattr(own, name) for name in Span.__slots__} | {"id": "00000000000000b2", "attributes": {}}
    )
    answer = client.post(ADDRESS, json=spans_of({}, [own, foreign]))
    assert answer.json() == {"partialSuccess": {"rejectedSpans": "1", "errorMessage": "1 are of no call of a model"}}


def _told(number: int, parent: int = 0, **said: str | int) -> Span:
    """A span of a chat of ``support``, in the one trace."""
    attributes = {NAMES["operation"]: "chat", NAMES["domain"]: "support"}
    return Span(
        trace=TRACE,
        id=f"{number:016x}",
        parent=f"{parent:016x}" if parent else "",
        state="",
        name="chat support",
        begun=1_795_435_200_000_000_000,
        ended=1_795_435_201_000_000_000,
        attributes=attributes | {name.replace("__", "."): value for name, value in said.items()},
        failed=False,
    )


BY_ADDRESS = _told(1, server__address="gateway.example", server__port=8701)
BY_ID = _told(1, server__address="proxy.example", vedette__request__id="r-1")
GATEWAY = _told(3, 2, **{NAMES["request"]: "r-1"})
DIRECT = _told(4, server__address="api.openai.com")


@pytest.mark.parametrize("caller", [BY_ADDRESS, BY_ID])
@pytest.mark.parametrize("batches", [(0, 1), (1, 0)])
def test_a_call_told_by_caller_and_gateway_in_two_requests_is_no_outcome_again(furnished, caller, batches):
    """Whichever comes first, and with a span between that never comes; the call beside it counts."""
    sent = [[caller, DIRECT], [GATEWAY]]
    with TestClient(create_app(furnished, gateways=[address_of("http://gateway.example:8701/v1")])) as served:
        for number in batches:
            assert served.post(ADDRESS, json=spans_of({}, sent[number])).json() == {}
    assert [it.id for it in furnished.lake.outcomes("support").items] == [f"{TRACE}-{DIRECT.id}"]


@pytest.mark.parametrize("batches", [(0, 1), (1, 0), (0, 0)])
def test_spans_of_one_call_in_one_request_are_one_outcome_however_often(client, furnished, batches):
    """A framework's span around a library's is the same call; the inner one, sent again alone, adds nothing."""
    inner = _told(2, 1)
    sent = [[inner, _told(1)], [inner]]
    for number in batches:
        client.post(ADDRESS, json=spans_of({}, sent[number]))
    assert [it.id for it in furnished.lake.outcomes("support").items] == [f"{TRACE}-{inner.id}"]


@pytest.mark.usefixtures("furnished")
@pytest.mark.parametrize(
    ("content", "headers", "status"),
    [
        (b"\x0a\x7f", PROTOBUF, 400),
        (b"{", {"Content-Type": "application/json"}, 400),
        (SPANS, {"Content-Type": "text/plain"}, 415),
        (SPANS, PROTOBUF | {"Content-Encoding": "br"}, 415),
        (SPANS, PROTOBUF | {"Content-Encoding": "gzip"}, 400),
        (gzip.compress(bytes(33_000_000)), PROTOBUF | {"Content-Encoding": "gzip"}, 413),
    ],
)
def test_what_cannot_be_read_is_refused_for_good(client, content, headers, status):
    """None of these answers makes a collector try again."""
    answer = client.post(ADDRESS, content=content, headers=headers)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")


def test_a_collector_needs_a_token_that_may_write_once_there_is_one(client, furnished):
    """The address is no way around the door."""
    look, work = (furnished.people.create_token(role.value, role, actor="ann") for role in (Role.VIEWER, Role.OPERATOR))
    for secret, status in (("", 401), (look, 403), (work, 200)):
        headers = PROTOBUF | ({"Authorization": f"Bearer {secret}"} if secret else {})
        assert client.post(ADDRESS, content=SPANS, headers=headers).status_code == status


def test_the_address_is_there_beside_the_dashboard_too(furnished):
    """What `vedette serve` runs sends spans to the API, not to the pages."""
    with TestClient(create_app(furnished)) as served:
        assert served.post(ADDRESS, content=SPANS, headers=PROTOBUF).status_code == 200
    assert len(furnished.lake.outcomes("support").items) == 2
