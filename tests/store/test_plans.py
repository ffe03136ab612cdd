"""Traffic plans have a revision per domain and one order over all; gateways confirm what they serve."""

import threading

import pytest
from sqlalchemy import Connection
from tests.store.things import after, domain, plan

from vedette.kernel.errors import NotFound, StaleRevision
from vedette.kernel.records import evolve
from vedette.routing.plan import Canary
from vedette.store import domains, plans

CANARY = Canary(version="v2", rollout="r1", attempt=2, step=3, salt="s", weight=10_000)


def _publish(connection: Connection, *revisions: int) -> None:
    for revision in revisions:
        plans.publish(connection, plan(revision), at=after(1))


@pytest.fixture
def two_domains(catalogue):
    """A store with the domains ``pay`` and ``law``."""
    with catalogue.transaction() as connection:
        domains.create(connection, domain("law"), actor="ada")
    return catalogue


def test_plan_reads_back_as_it_was_published(catalogue):
    """A plan is read back equal, with its place in the order and the rollout its canary names."""
    made = plan(1, canary=CANARY)
    with catalogue.transaction() as connection:
        published = plans.publish(connection, made, at=after(1), rollout="ignored")
    with catalogue.reading() as connection:
        assert plans.current(connection, "pay") == plans.get(connection, "pay", 1) == published
        assert published.plan == made
        assert (published.sequence, published.rollout, published.attempt, published.step) == (1, "r1", 2, 3)
        assert plans.current(connection, "law") is None
        with pytest.raises(NotFound, match="no traffic plan 2"):
            plans.get(connection, "pay", 2)


@pytest.mark.parametrize("revision", [1, 3])
def test_plan_must_follow_the_newest(catalogue, revision):
    """A plan compiled from an old one, or skipping one, is refused."""
    with catalogue.transaction() as connection:
        plans.publish(connection, plan(1), at=after(1))
    with pytest.raises(StaleRevision, match="does not follow 1"), catalogue.transaction() as connection:
        plans.publish(connection, plan(revision), at=after(2))


def test_plan_needs_its_domain(catalogue):
    """A plan of an unknown domain is refused."""
    with pytest.raises(NotFound, match="'nope'"), catalogue.transaction() as connection:
        plans.publish(connection, plan(1, "nope"), at=after(1))


def test_gateway_reads_only_what_is_new(two_domains):
    """A gateway that knows a sequence gets the newest plan of each domain that changed since, in order."""
    with two_domains.transaction() as connection:
        for made in (plan(1), plan(1, "law"), plan(2)):
            plans.publish(connection, made, at=after(1))
    with two_domains.reading() as connection:
        assert [(p.plan.domain, p.plan.revision, p.sequence) for p in plans.since(connection, 0)] == [
            ("law", 1, 2),
            ("pay", 2, 3),
        ]
        assert [p.plan.domain for p in plans.since(connection, 2)] == ["pay"]
        assert plans.since(connection, 3) == ()


def test_failed_change_takes_its_sequence_back(two_domains):
    """A plan that was not committed leaves no gap in the order and is never seen."""
    with pytest.raises(StaleRevision), two_domains.transaction() as connection:
        _publish(connection, 1, 9)
    with two_domains.transaction() as connection:
        assert plans.publish(connection, plan(1, "law"), at=after(1)).sequence == 1
        assert [p.plan.domain for p in plans.since(connection, 0)] == ["law"]


def test_plans_appear_in_their_order(two_domains, second):
    """While a plan with a lower sequence is not committed, none with a higher one can be: a poller misses nothing."""
    first_done, began, published = threading.Event(), threading.Event(), []

    def publish_other():
        began.set()
        with second.transaction() as connection:
            stored = plans.publish(connection, plan(1, "law"), at=after(1))
            published.append((stored.sequence, first_done.is_set()))

    thread = threading.Thread(target=publish_other)
    with two_domains.transaction() as connection:
        assert plans.publish(connection, plan(1), at=after(1)).sequence == 1
        thread.start()
        began.wait()
        thread.join(0.3)
        first_done.set()
    thread.join()
    assert published == [(2, True)]


def test_history_is_of_a_domain_or_a_rollout(two_domains):
    """Plans are listed newest first, of one domain, of one rollout, or all."""
    with two_domains.transaction() as connection:
        plans.publish(connection, plan(1), at=after(1))
        plans.publish(connection, plan(2, canary=CANARY), at=after(2))
        plans.publish(connection, plan(1, "law"), at=after(3))
        plans.publish(connection, plan(3), at=after(4), rollout="r1", attempt=2, step=3)
        assert [p.plan.revision for p in plans.history(connection, domain="pay").items] == [3, 2, 1]
        assert [p.plan.weight for p in plans.history(connection, rollout="r1").items] == [0, 10_000]
        listed = plans.history(connection, limit=3)
        assert [p.sequence for p in listed.items] == [4, 3, 2]
        assert [p.sequence for p in plans.history(connection, after=listed.next).items] == [1]


def test_the_newest_pepper_that_was_named_is_known(catalogue):
    """The mark of a pepper is that of the newest plan that names one, of this domain alone; empty where none does."""
    with catalogue.transaction() as connection:
        for revision, mark in enumerate(("", "aaaaaaaa", "bbbbbbbb", ""), start=1):
            assert plans.pepper(connection, "pay") == ("", "", "aaaaaaaa", "bbbbbbbb")[revision - 1]
            plans.publish(connection, evolve(plan(revision), pepper=mark), at=after(revision))
        assert plans.pepper(connection, "pay") == "bbbbbbbb"
        assert plans.pepper(connection, "nowhere") == ""


def test_confirmations_rise_and_know_who_lives(two_domains):
    """A late message of an older plan lowers nothing, and gateways not heard of lately can be left out."""
    with two_domains.transaction() as connection:
        for router, at in (("g1", after(0)), ("g2", after(60))):
            plans.seen(connection, router, kind="gateway", at=at)
            plans.confirm(connection, router, {"pay": 2, "law": 1}, at=at)
        plans.confirm(connection, "g2", {"pay": 1}, at=after(61))
        plans.confirm(connection, "g2", {"law": 4}, at=after(62))
        plans.confirm(connection, "g2", {}, at=after(63))
        everything = plans.confirmations(connection)
        assert [(c.domain, c.router, c.revision) for c in everything] == [
            ("law", "g1", 1),
            ("law", "g2", 4),
            ("pay", "g1", 2),
            ("pay", "g2", 2),
        ]
        assert [c.at for c in everything if c.router == "g2"] == [after(62), after(60)]
        (pay,) = plans.confirmations(connection, domain="pay", live_since=after(30))
        assert (pay.router, pay.last_seen) == ("g2", after(60))


def test_unknown_gateway_confirms_nothing(two_domains):
    """A confirmation by a gateway that was never seen, or of an unknown domain, is refused."""
    with two_domains.transaction() as connection:
        plans.seen(connection, "g1", kind="gateway", at=after(0))
    for router, name in (("g9", "pay"), ("g1", "nope")):
        with pytest.raises(NotFound, match="unknown"), two_domains.transaction() as connection:
            plans.confirm(connection, router, {name: 1}, at=after(1))


def test_gateway_lives_until_it_says_goodbye(two_domains):
    """A gateway heard of again lives on; one that says goodbye is forgotten with its confirmations."""
    with two_domains.transaction() as connection:
        plans.seen(connection, "g1", kind="gateway", at=after(0))
        plans.seen(connection, "g1", kind="sdk", at=after(60))
        plans.confirm(connection, "g1", {"pay": 1}, at=after(60))
        (alive,) = plans.live(connection, since=after(30))
        assert (alive.id, alive.kind, alive.last_seen) == ("g1", "sdk", after(60))
        assert plans.live(connection, since=after(61)) == ()
        plans.forget(connection, "g1")
        assert plans.live(connection, since=after(0)) == ()
        assert plans.confirmations(connection) == ()
