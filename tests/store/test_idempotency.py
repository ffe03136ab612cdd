"""A request that comes twice with one key is answered once and told the same again."""

import threading

import pytest
from sqlalchemy import Connection
from tests.store.things import after, domain

from vedette.kernel.errors import Conflict
from vedette.store import domains, idempotency

ANSWER = {"status": 201, "headers": {"ETag": '"1"'}, "body": {"id": "pay", "weight": 0.1}}


def _fail(connection: Connection) -> None:
    """Claim a key for a change that cannot be made."""
    assert idempotency.claim(connection, "k", "f", at=after(0)) is None
    domains.create(connection, domain("pay"), actor="ada")


def test_repeated_request_gets_the_first_answer(store):
    """The same key and request give the stored answer, letter for letter."""
    with store.transaction() as connection:
        assert idempotency.claim(connection, "k", "f", at=after(0)) is None
        idempotency.answer(connection, "k", ANSWER)
    with store.transaction() as connection:
        assert idempotency.claim(connection, "k", "f", at=after(1)) == ANSWER


def test_key_of_another_request_is_refused(store):
    """A key that was used for another request is refused, and the first answer stays."""
    with store.transaction() as connection:
        idempotency.claim(connection, "k", "f", at=after(0))
        idempotency.answer(connection, "k", ANSWER)
    with pytest.raises(Conflict, match="another request"), store.transaction() as connection:
        idempotency.claim(connection, "k", "other", at=after(1))
    with store.transaction() as connection:
        assert idempotency.claim(connection, "k", "f", at=after(2)) == ANSWER


def test_failed_request_leaves_no_key(catalogue):
    """A request whose change failed can be sent again with the same key."""
    with pytest.raises(Conflict), catalogue.transaction() as connection:
        _fail(connection)
    with catalogue.transaction() as connection:
        assert idempotency.claim(connection, "k", "f", at=after(1)) is None


def test_key_without_answer_is_not_answered_twice(store):
    """A key that was claimed and never answered refuses the request rather than performing it again."""
    with store.transaction() as connection:
        idempotency.claim(connection, "k", "f", at=after(0))
    with pytest.raises(Conflict, match="no answer"), store.transaction() as connection:
        idempotency.claim(connection, "k", "f", at=after(1))


def test_expired_key_is_new(store):
    """When its lifetime is over a key can be used again, for any request."""
    with store.transaction() as connection:
        idempotency.claim(connection, "k", "f", at=after(0), lifetime=10)
        idempotency.answer(connection, "k", ANSWER)
    with store.transaction() as connection:
        assert idempotency.claim(connection, "k", "f", at=after(9), lifetime=10) == ANSWER
        assert idempotency.claim(connection, "k", "other", at=after(10), lifetime=10) is None


def test_prune_removes_what_expired(store):
    """Pruning removes expired keys and keeps the others."""
    with store.transaction() as connection:
        for key, lifetime in (("short", 1.0), ("long", 100.0)):
            idempotency.claim(connection, key, "f", at=after(0), lifetime=lifetime)
            idempotency.answer(connection, key, ANSWER)
        assert idempotency.prune(connection, now=after(50)) == 1
        assert idempotency.claim(connection, "long", "f", at=after(51)) == ANSWER


def test_same_request_at_the_same_moment_is_performed_once(store, second):
    """The same request on two connections at once: one performs it, the other waits and gets its answer."""
    claimed, answers = threading.Event(), []

    def repeat():
        claimed.wait()
        with second.transaction() as connection:
            answers.append(idempotency.claim(connection, "k", "f", at=after(1)))

    thread = threading.Thread(target=repeat)
    thread.start()
    with store.transaction() as connection:
        assert idempotency.claim(connection, "k", "f", at=after(0)) is None
        claimed.set()
        thread.join(0.3)
        assert answers == []
        idempotency.answer(connection, "k", ANSWER)
    thread.join()
    assert answers == [ANSWER]
