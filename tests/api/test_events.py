"""Server-sent events: what happens, as it happens, and nothing twice."""

import json
import threading
import time
from datetime import UTC, datetime

import httpx
import pytest
import uvicorn
from tests.api.people import ACTOR

from vedette.api.app import create_app
from vedette.api.events import StreamLimits, event
from vedette.governance.audit import Head, chain

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def read(text: str) -> list[dict[str, str]]:
    """Take an event stream apart into events as ``{field: value}``."""
    blocks = [dict(line.split(": ", 1) for line in block.splitlines()) for block in text.split("\n\n") if block]
    return [block for block in blocks if "data" in block]


def test_every_entry_is_an_event_with_its_sequence(client, furnished):
    """From the beginning, ids are the sequences, types the actions, data the entries, with nothing left out."""
    response = client.get("/api/v1/events?after=0")
    assert response.headers["content-type"].startswith("text/event-stream")
    events = read(response.text)
    assert [int(it["id"]) for it in events] == list(range(1, furnished.governance.head().sequence + 1))
    for it in events:
        assert json.loads(it["data"])["action"] == it["event"]


@pytest.mark.usefixtures("furnished")
def test_a_stream_resumes_after_the_last_id_seen(client):
    """Wherever a client left off, the rest follows without a gap and without a repetition."""
    everything = read(client.get("/api/v1/events", headers={"Last-Event-ID": "0"}).text)
    for seen in range(len(everything) + 1):
        rest = read(client.get("/api/v1/events", headers={"Last-Event-ID": str(seen)}).text)
        assert rest == everything[seen:]


@pytest.mark.usefixtures("furnished")
def test_without_a_place_a_stream_begins_now(client):
    """What was before is not told again to who does not ask."""
    assert read(client.get("/api/v1/events").text) == []


def test_the_header_of_a_browser_wins_over_the_address(client, furnished):
    """A browser that reconnects repeats the address it began with, so its own header says more."""
    sequence = furnished.governance.head().sequence
    response = client.get("/api/v1/events?after=0", headers={"Last-Event-ID": str(sequence)})
    assert read(response.text) == []


def test_a_rollouts_events_are_its_own(client, furnished):
    """A rollout's stream tells its decisions and where it is; a domain's stream tells of that domain only."""
    furnished.canary.deploy_with_rollout("support", "v2", actor="ann", name="next")
    client.post("/api/v1/domains", json={"id": "other"}, headers=ACTOR)
    client.post("/api/v1/rollouts/next/pause", json={"why": "lunch"}, headers=ACTOR)
    events = read(client.get("/api/v1/rollouts/next/events?after=0").text)
    assert [it["event"] for it in events] == ["rollout.create", "rollout.pause"]
    assert json.loads(events[1]["data"])["details"]["decision"]["reasons"][0]["message"] == "lunch"
    other = read(client.get("/api/v1/events?after=0&domain=other").text)
    assert {json.loads(it["data"])["domain"] for it in other} == {"other"}
    assert client.get("/api/v1/rollouts/none/events").status_code == 404


@pytest.mark.parametrize("place", ["x", "-1", "1.5"])
def test_a_place_that_is_none_is_refused(client, place):
    """An id no stream ever gave is wrong input."""
    assert client.get("/api/v1/events", headers={"Last-Event-ID": place}).status_code == 422


def test_an_action_cannot_begin_another_field():
    """Whatever an entry of somebody's own is called, it stays one field of one event."""
    entry = chain(Head(), at=NOON, actor="ann", action="a\nid: 99\n\nb")
    assert [it["id"] for it in read(event(entry).decode())] == ["1"]


@pytest.fixture
def server(furnished):
    """A real server over the furnished plane."""
    app = create_app(furnished, stream_limits=StreamLimits(lifetime=30.0, poll=0.02))
    config = uvicorn.Config(app, port=0, log_level="error", lifespan="off", timeout_graceful_shutdown=1)
    running = uvicorn.Server(config)
    thread = threading.Thread(target=running.run, daemon=True)
    thread.start()
    while not running.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{running.servers[0].sockets[0].getsockname()[1]}"
    running.should_exit = True
    thread.join()


def test_events_come_while_the_stream_is_open(server, furnished):
    """What happens after a stream was opened comes on that stream, over a real connection."""
    with (
        httpx.Client(base_url=server, timeout=60) as reader,
        reader.stream("GET", "/api/v1/events") as stream,
    ):
        lines = stream.iter_lines()
        assert next(lines).startswith("retry")
        furnished.domains.archive("support", actor="ben")
        told = [next(line for line in lines if line.startswith("event: ")) for _ in range(2)]
    assert told == ["event: domain.archive", "event: traffic.publish"]
