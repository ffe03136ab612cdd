"""A lease has one holder at a time, whatever is killed, stopped, or does to the clock; watched time only adds up."""

import pytest
from sqlalchemy import update

from vedette.kernel.errors import InvalidInput, LeaseLost
from vedette.store import leases, tables
from vedette.store.engine import Store
from vedette.store.leases import Lease


def _acquire(store: Store, holder: str, *names: str, ttl: float = 60.0) -> tuple[Lease, ...]:
    with store.transaction() as connection:
        return leases.acquire(connection, names or ("x",), holder, ttl=ttl)


def _holds(store: Store, lease: Lease) -> bool:
    try:
        with store.transaction() as connection:
            leases.fence(connection, lease)
    except LeaseLost:
        return False
    return True


def _clock_jumps(store: Store, seconds: float) -> None:
    """Move the database's clock: a clock set ahead is the same as every stored expiry set back."""
    with store.transaction() as connection:
        connection.execute(update(tables.leases).values(expires=tables.leases.c.expires - seconds))


def test_lease_has_one_holder(store, second):
    """While a lease is held nobody else gets it; released, the next holder has a higher epoch."""
    (mine,) = _acquire(store, "a")
    assert mine == Lease(name="x", holder="a", epoch=1, held=0.0)
    assert _acquire(second, "b") == ()
    assert _holds(second, mine)
    with store.transaction() as connection:
        leases.release(connection, [mine])
    (theirs,) = _acquire(second, "b")
    assert theirs.epoch == 2
    assert _holds(store, theirs)
    assert not _holds(store, mine)


def test_free_leases_of_many_are_gained(store):
    """Of many asked for at once, exactly those that are free or expired are gained, each with its own epoch."""
    _acquire(store, "a", "b", "d")
    gained = _acquire(store, "z", "d", "c", "b", "a", "c")
    assert [(lease.name, lease.epoch) for lease in gained] == [("a", 1), ("c", 1)]
    with store.reading() as connection:
        assert [(lease.name, lease.holder) for lease in leases.current(connection)] == [
            ("a", "z"),
            ("b", "a"),
            ("c", "z"),
            ("d", "a"),
        ]


def test_more_leases_than_one_statement_holds(store):
    """Twelve hundred leases are taken, renewed and released like one."""
    names = [f"rollout/{number:04}" for number in range(1200)]
    gained = _acquire(store, "a", *names)
    assert [lease.name for lease in gained] == names
    with store.transaction() as connection:
        kept = leases.renew(connection, {lease: float(place % 7) for place, lease in enumerate(gained)})
        assert [lease.held for lease in kept] == [float(place % 7) for place in range(1200)]
        assert leases.watched(connection, names) == {lease.name: lease.held for lease in kept}
        leases.release(connection, kept)
        assert leases.current(connection) == ()


def test_stale_epoch_is_rejected(store, second):
    """A holder whose lease expired and was taken can neither write, renew nor release under its old epoch."""
    (old,) = _acquire(store, "a")
    _clock_jumps(store, 61)
    (new,) = _acquire(second, "b")
    assert new.epoch == old.epoch + 1
    assert not _holds(store, old)
    with store.transaction() as connection:
        assert leases.renew(connection, {old: 5.0}) == ()
        leases.release(connection, [old])
    assert _holds(second, new)
    with store.reading() as connection:
        assert leases.watched(connection, ["x"]) == {"x": 0.0}


def test_expired_lease_does_not_hold(store):
    """An expired lease protects no write even before somebody else takes it."""
    (mine,) = _acquire(store, "a")
    _clock_jumps(store, 61)
    assert not _holds(store, mine)
    with store.reading() as connection:
        assert leases.current(connection) == ()


def test_lease_nobody_took_can_be_renewed(store):
    """A holder that was slow keeps its lease and its epoch as long as nobody else took it."""
    (mine,) = _acquire(store, "a")
    _clock_jumps(store, 61)
    with store.transaction() as connection:
        (kept,) = leases.renew(connection, {mine: 3.0})
    assert kept == Lease(name="x", holder="a", epoch=1, held=3.0)
    assert _holds(store, kept)


def test_same_holder_again_voids_its_older_copy(store):
    """A holder that takes what it holds, as after a restart, gets a new epoch, and its older copy cannot write."""
    (old,) = _acquire(store, "a")
    (new,) = _acquire(store, "a")
    assert new.epoch == 2
    assert not _holds(store, old)
    assert _holds(store, new)


@pytest.mark.parametrize("jump", [3600, -3600])
def test_clock_jump_never_makes_two_holders(store, second, jump):
    """When the clock jumps an hour either way a lease can be taken at once, and the old holder is shut out."""
    (old,) = _acquire(store, "a")
    _clock_jumps(store, jump)
    (new,) = _acquire(second, "b")
    assert not _holds(store, old)
    assert _holds(second, new)
    with second.transaction() as connection:
        (renewed,) = leases.renew(connection, {new: 1.0})
    assert _acquire(store, "a") == ()
    assert _holds(second, renewed)


@pytest.mark.parametrize("jump", [3600, -3600])
def test_watched_time_knows_no_clock(store, jump):
    """Watched time is what holders measured themselves: a clock that jumps adds and takes nothing."""
    (mine,) = _acquire(store, "a")
    with store.transaction() as connection:
        (mine,) = leases.renew(connection, {mine: 10.0})
    _clock_jumps(store, jump)
    with store.transaction() as connection:
        (mine,) = leases.renew(connection, {mine: 5.5})
    assert mine.held == 15.5


def test_watched_time_survives_holders(store):
    """Watched time adds up over holders, restarts and pauses between them."""
    for number, holder in enumerate("abc"):
        (lease,) = _acquire(store, holder)
        assert lease.held == 10.0 * number
        with store.transaction() as connection:
            leases.release(connection, leases.renew(connection, {lease: 10.0}))
    with store.reading() as connection:
        assert leases.watched(connection, ["x", "never"]) == {"x": 30.0, "never": 0.0}


@pytest.mark.parametrize(("said", "added"), [(1e9, 60.0), (-5.0, 0.0), (float("inf"), 60.0)])
def test_one_renewal_adds_no_more_than_the_lease_is_long(store, said, added):
    """A process that slept for hours has not watched for hours, and nobody can watch backwards."""
    (mine,) = _acquire(store, "a")
    with store.transaction() as connection:
        (mine,) = leases.renew(connection, {mine: said})
    assert mine.held == added


@pytest.mark.parametrize(
    ("holder", "ttl"), [("", 1.0), ("a", 0.0), ("a", -1.0), ("a", float("inf")), ("a", float("nan"))]
)
def test_lease_needs_a_holder_and_a_length(store, holder, ttl):
    """A lease without holder, without end or of no length is refused."""
    with pytest.raises(InvalidInput):
        _acquire(store, holder, ttl=ttl)


def test_nothing_to_do_is_no_statement(store):
    """Acquiring, renewing and releasing nothing does nothing."""
    with store.transaction() as connection:
        assert leases.acquire(connection, [], "a", ttl=1) == ()
        assert leases.renew(connection, {}) == ()
        leases.release(connection, [])
