"""Webhooks: asked for in the decision's transaction, delivered at least once, known by their id, retried patiently."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from vedette.control.courier import Courier
from vedette.rollouts.machine import Phase
from vedette.store import outbox


class Receiver:
    """A server that takes webhooks and answers as told."""

    def __init__(self) -> None:
        self.answer = 200
        self.got: list[tuple[str, dict[str, Any]]] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                receiver.got.append((self.headers["idempotency-key"], json.loads(body)))
                self.send_response(receiver.answer)
                self.end_headers()

            def log_message(self, *_):
                """Say nothing."""

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def receiver():
    """A server that takes webhooks."""
    made = Receiver()
    yield made
    made.close()


def test_each_decision_is_told_once_and_in_full(pay, receiver):
    """Every decision arrives as one POST with an id of its own, in order, with the evidence behind it."""
    pay.deploy(webhooks=[receiver.url])
    pay.until(Phase.PROMOTED)
    assert receiver.got == []
    assert pay.plane.courier.deliver() == 4
    assert pay.plane.courier.deliver() == 0
    events = [body["event"].removeprefix("rollout.") for _, body in receiver.got]
    assert events == pay.actions() == ["start", "advance", "advance", "promote"]
    assert len({effect for effect, _ in receiver.got}) == 4
    assert all(body["domain"] == "pay" and body["reasons"][0]["message"] for _, body in receiver.got)


def test_receiver_that_fails_is_told_again_under_the_same_id(pay, receiver):
    """A webhook that is refused is tried again, later and later, with its id, until it is taken."""
    pay.deploy(webhooks=[receiver.url])
    pay.plane.reconciler.tick()
    receiver.answer = 503
    for _ in range(3):
        assert pay.plane.courier.deliver() == 0
        pay.go(10)
    receiver.answer = 204
    assert pay.plane.courier.deliver() == 1
    assert len({effect for effect, _ in receiver.got}) == 1
    assert len(receiver.got) == 4
    with pay.plane.store.reading() as connection:
        assert outbox.waiting(connection) == ()


def test_courier_that_died_after_the_post_tells_it_again(pay, receiver, monkeypatch):
    """An effect performed but not noted is performed again by another courier, and its id says it is the same."""
    pay.deploy(webhooks=[receiver.url])
    pay.plane.reconciler.tick()

    def dies(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(outbox, "done", dies)
        with pytest.raises(KeyboardInterrupt):
            pay.plane.courier.deliver()
    other = Courier(pay.plane.store, pay.clock)
    assert other.deliver() == 0
    pay.go(61)
    assert other.deliver() == 1
    assert [effect for effect, _ in receiver.got] == [receiver.got[0][0]] * 2


def test_webhook_nobody_answers_holds_no_rollout_up(quick):
    """A dead webhook delays nothing: the rollout goes on, and the effects wait."""
    quick.domain()
    quick.deploy(webhooks=["http://127.0.0.1:9/nobody"])
    quick.until(Phase.PROMOTED)
    assert quick.plane.courier.deliver() == 0
    with quick.plane.store.reading() as connection:
        assert {item.attempts for item in outbox.waiting(connection)} == {1}


def test_dead_webhook_does_not_keep_others_waiting(quick, receiver):
    """One receiver that is gone does not stop what is for another."""
    quick.domain()
    quick.deploy(webhooks=["http://127.0.0.1:9/nobody", receiver.url])
    quick.plane.reconciler.tick()
    assert quick.plane.courier.deliver() == 1
    assert [body["event"] for _, body in receiver.got] == ["rollout.start"]


def test_effect_that_breaks_in_an_unknown_way_is_tried_again(quick, monkeypatch):
    """A failure nobody thought of leaves the effect due later, and does not end the courier."""
    quick.domain()
    quick.deploy(webhooks=["http://127.0.0.1:9/nobody"])
    quick.plane.reconciler.tick()

    def broken(*_, **__):
        raise ZeroDivisionError("nobody thought of this")

    monkeypatch.setattr("vedette.connectors.webhook.post", broken)
    assert quick.plane.courier.deliver() == 0
    with quick.plane.store.reading() as connection:
        assert [item.attempts for item in outbox.waiting(connection)] == [1]
