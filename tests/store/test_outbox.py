"""Effects are asked for once by id, taken by one at a time, and tried until they are done."""

from tests.store.things import after

from vedette.store import outbox
from vedette.store.engine import Store


def _taken(store: Store, seconds: float, *, limit: int = 100, hold: float = 60.0) -> list[str]:
    with store.transaction() as connection:
        return [item.effect_id for item in outbox.take(connection, now=after(seconds), limit=limit, hold=hold)]


def _add(store: Store, *names: str) -> None:
    with store.transaction() as connection:
        for name in names:
            outbox.add(connection, name, "webhook", {"url": name}, at=after(0))


def test_effect_is_asked_for_once(store):
    """Deciding the same thing twice, in one transaction or two, leaves one effect: the first."""
    _add(store, "e1", "e2", "e1")
    with store.transaction() as connection:
        outbox.add(connection, "e1", "webhook", {"url": "other"}, at=after(5))
        (first, second) = outbox.take(connection, now=after(5))
    assert (first.effect_id, first.kind, first.payload, first.created_at) == ("e1", "webhook", {"url": "e1"}, after(0))
    assert second.effect_id == "e2"


def test_done_effect_stays_done(store):
    """An effect that was performed is never due again, even when it is asked for again."""
    _add(store, "e1")
    with store.transaction() as connection:
        outbox.done(connection, "e1", at=after(1))
    _add(store, "e1")
    assert _taken(store, 10_000) == []
    with store.reading() as connection:
        assert outbox.waiting(connection) == ()


def test_taken_effect_comes_back_when_its_taker_dies(store):
    """While an effect is being performed nobody else takes it; when nothing was heard after its hold, somebody does."""
    _add(store, "e1")
    assert _taken(store, 1, hold=60) == ["e1"]
    assert _taken(store, 60.9) == []
    assert _taken(store, 61) == ["e1"]


def test_failed_effect_waits_longer_each_time(store):
    """After each failure an effect waits twice as long, at most an hour, and never leaves the outbox."""
    _add(store, "e1")
    waits, now = [], 0.0
    for _ in range(16):
        with store.transaction() as connection:
            (item,) = outbox.take(connection, now=after(now))
            due = outbox.failed(connection, item, at=after(now), error="HTTP 503")
        waits.append((due - after(now)).total_seconds())
        assert _taken(store, now + waits[-1] - 0.001) == []
        now += waits[-1]
    assert waits == [2.0**n for n in range(12)] + [3600.0] * 4
    with store.reading() as connection:
        (item,) = outbox.waiting(connection)
    assert (item.attempts, item.error) == (16, "HTTP 503")


def test_clock_that_jumped_back_delays_nothing(store):
    """An effect scheduled by a clock that was an hour ahead is due at once when the clock is right again."""
    with store.transaction() as connection:
        outbox.add(connection, "ahead", "webhook", {}, at=after(3600))
    assert _taken(store, 0, hold=60) == ["ahead"]
    assert _taken(store, 1) == []
    assert _taken(store, -3600) == ["ahead"]


def test_effects_are_taken_in_order_and_in_portions(store):
    """The oldest effects are taken first, no more than asked for."""
    _add(store, "e1", "e2", "e3")
    assert _taken(store, 1, limit=2) == ["e1", "e2"]
    assert _taken(store, 1, limit=2) == ["e3"]


def test_two_takers_share_and_never_overlap(store, second):
    """Two replicas that take at the same moment get different effects, and neither waits for long."""
    _add(store, "e1", "e2")
    if store.is_sqlite:
        assert _taken(store, 1, limit=1) + _taken(second, 1, limit=2) == ["e1", "e2"]
        return
    with store.transaction() as connection:
        mine = outbox.take(connection, now=after(1), limit=1)
        assert _taken(second, 1, limit=2) == ["e2"]
    assert [item.effect_id for item in mine] == ["e1"]


def test_late_failure_does_not_undo_success(store):
    """When one taker succeeded after another gave up, the effect stays done."""
    _add(store, "e1")
    with store.transaction() as connection:
        (item,) = outbox.take(connection, now=after(1))
        outbox.done(connection, "e1", at=after(2))
        outbox.failed(connection, item, at=after(3), error="timeout")
    assert _taken(store, 10_000) == []


def test_old_done_effects_are_removed(store):
    """Pruning removes what was done before a moment and nothing that still waits."""
    _add(store, "old", "new", "open")
    with store.transaction() as connection:
        outbox.done(connection, "old", at=after(1))
        outbox.done(connection, "new", at=after(10))
        assert outbox.prune(connection, before=after(5)) == 1
        assert [item.effect_id for item in outbox.waiting(connection)] == ["open"]
    _add(store, "new")
    assert _taken(store, 10_000) == ["open"]
