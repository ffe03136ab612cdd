"""Rollouts are saved by compare-and-swap under a lease, one active on a domain, with all they decided and saw."""

import threading
from typing import Any

import pytest
from tests.store.things import after, domain, rollout, status, version

from vedette.kernel.decision import Action, Decision, reason
from vedette.kernel.errors import Conflict, LeaseLost, NotFound, StaleRevision
from vedette.rollouts import machine
from vedette.rollouts.machine import Pause, PauseReason, Phase
from vedette.rollouts.spec import Group, RolloutSpec
from vedette.store import domains, leases, rollouts, tables, versions
from vedette.store.rollouts import StoredDecision, StoredLook


def test_rollout_reads_back_as_it_was_stored(catalogue):
    """Spec and status are read back equal, moments and weights to their last digit."""
    made = rollout(1, group=Group(name="wave"), weight=0.0001, pauses=(Pause(reason=PauseReason.USER, since=after(5)),))
    with catalogue.transaction() as connection:
        rollouts.create(connection, made)
    with catalogue.reading() as connection:
        assert rollouts.get(connection, made.id) == made
        assert rollouts.named(connection, "ship") == made
        assert rollouts.latest(connection, "pay") == made
        assert rollouts.active(connection) == (made,)
        assert rollouts.named(connection, "other") is None
        with pytest.raises(NotFound, match="'nope'"):
            rollouts.get(connection, "nope")


def test_rollout_needs_its_version(catalogue):
    """A rollout of a version there is none of is refused."""
    with pytest.raises(NotFound, match="no version 'v9'"), catalogue.transaction() as connection:
        rollouts.create(connection, rollout(1, to="v9"))


def test_index_knows_the_active_phases(store):
    """The phases the database guards are those the state machine calls active."""
    assert {phase for phase in Phase if f"'{phase}'" in str(tables.ACTIVE)} == machine.ACTIVE
    assert store.is_sqlite or store.url.drivername == "postgresql+psycopg"


@pytest.mark.parametrize("phase", sorted(machine.ACTIVE))
def test_second_active_rollout_of_a_domain_is_refused(catalogue, phase):
    """While a rollout is in any active phase, its domain takes no second one; afterwards it does."""
    with catalogue.transaction() as connection:
        rollouts.create(connection, rollout(1, phase=phase))
    with pytest.raises(Conflict, match="active rollout already"), catalogue.transaction() as connection:
        rollouts.create(connection, rollout(2))
    with catalogue.transaction() as connection:
        rollouts.save(connection, "0000-0001", status(phase=Phase.ABORTED), expected_revision=1, lease=None)
        rollouts.create(connection, rollout(2))
    with pytest.raises(Conflict, match="active rollout already"), catalogue.transaction() as connection:
        rollouts.save(connection, "0000-0001", status(attempt=2), expected_revision=2, lease=None)


def test_two_at_once_on_one_domain(catalogue, second):
    """Of two rollouts begun at the same moment on one domain, exactly one is stored."""
    barrier = threading.Barrier(2)
    outcomes = []

    def begin(store, number):
        barrier.wait()
        try:
            with store.transaction() as connection:
                rollouts.create(connection, rollout(number))
            outcomes.append("stored")
        except Conflict:
            outcomes.append("refused")

    threads = [threading.Thread(target=begin, args=pair) for pair in ((catalogue, 1), (second, 2))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["refused", "stored"]
    with catalogue.reading() as connection:
        assert len(rollouts.active(connection)) == 1


def test_save_is_compare_and_swap(catalogue):
    """A status decided from an old reading is refused and changes nothing."""
    with catalogue.transaction() as connection:
        rollouts.create(connection, rollout(1))
        assert rollouts.save(connection, "0000-0001", status(weight=1.0), expected_revision=1, lease=None) == 2
    with pytest.raises(StaleRevision, match="revision 2, not 1"), catalogue.transaction() as connection:
        rollouts.save(connection, "0000-0001", status(weight=50.0), expected_revision=1, lease=None)
    with pytest.raises(NotFound), catalogue.transaction() as connection:
        rollouts.save(connection, "nope", status(), expected_revision=1, lease=None)
    with catalogue.reading() as connection:
        stored = rollouts.get(connection, "0000-0001")
        assert (stored.revision, stored.status.weight) == (2, 1.0)


def test_save_needs_the_lease_it_was_decided_under(catalogue):
    """What was decided under a lease that another holder took over is not written, revision right or not."""
    with catalogue.transaction() as connection:
        rollouts.create(connection, rollout(1))
        (old,) = leases.acquire(connection, ["rollout"], "a", ttl=60)
        assert rollouts.save(connection, "0000-0001", status(), expected_revision=1, lease=old) == 2
        leases.release(connection, [old])
        (new,) = leases.acquire(connection, ["rollout"], "b", ttl=60)
    with pytest.raises(LeaseLost), catalogue.transaction() as connection:
        rollouts.save(connection, "0000-0001", status(weight=50.0), expected_revision=2, lease=old)
    with catalogue.transaction() as connection:
        assert rollouts.save(connection, "0000-0001", status(weight=1.0), expected_revision=2, lease=new) == 3


def test_searchable_columns_follow_thestatus(catalogue):
    """Phase and traffic percentage of the table users query are those of the status."""
    with catalogue.transaction() as connection:
        rollouts.create(connection, rollout(1))
        promoted = status(phase=Phase.PROMOTED, weight=99.0, started_at=after(1), ended_at=after(2))
        rollouts.save(connection, "0000-0001", promoted, expected_revision=1, lease=None)
        row = connection.execute(tables.canary_deployments.select()).one()
    assert (row.phase, row.traffic_percentage, row.model_version) == ("promoted", 99.0, "v2")
    assert (row.started_at, row.ended_at) == (after(1), after(2))


def test_revising_keeps_every_spec(catalogue):
    """A new spec is a new revision beside the old one, with who asked for it; the version may change."""
    revised = RolloutSpec(domain="pay", version="v3", alpha=0.01)
    with catalogue.transaction() as connection:
        made = rollout(1)
        rollouts.create(connection, made)
        rollouts.revise(connection, made.id, revised, status(attempt=2), expected_revision=1, at=after(9), actor="bob")
        stored = rollouts.get(connection, made.id)
        assert (stored.spec, stored.spec_revision, stored.revision) == (revised, 2, 2)
        kept = [(one.spec_revision, one.spec, one.actor) for one in rollouts.specs(connection, made.id)]
        assert kept == [(1, made.spec, "ada"), (2, revised, "bob")]
    with pytest.raises(StaleRevision), catalogue.transaction() as connection:
        rollouts.revise(connection, made.id, revised, status(attempt=3), expected_revision=1, at=after(9), actor="bob")
    unknown = RolloutSpec(domain="pay", version="v9")
    with pytest.raises(NotFound, match="'v9'"), catalogue.transaction() as connection:
        rollouts.revise(connection, made.id, unknown, status(), expected_revision=2, at=after(9), actor="bob")


def test_group_is_the_newest_rollout_of_each_domain(catalogue):
    """A group's members are the newest rollout of each of its domains, whatever its phase."""
    wave = Group(name="wave")
    with catalogue.transaction() as connection:
        domains.create(connection, domain("law"), actor="ada")
        versions.create(connection, version("law", "v2"))
        rollouts.create(connection, rollout(1, group=wave, phase=Phase.ABORTED))
        rollouts.create(connection, rollout(2, group=wave))
        rollouts.create(connection, rollout(3, "law", group=wave, phase=Phase.PROMOTED))
        rollouts.create(connection, rollout(4, "law"))
        assert [one.id for one in rollouts.in_group(connection, "wave")] == ["0000-0003", "0000-0002"]
        assert rollouts.in_group(connection, "other") == ()


def test_listing_filters_by_domain_and_phase(catalogue):
    """Rollouts are listed newest first, of one domain or in some phases when asked."""
    with catalogue.transaction() as connection:
        for number, phase in enumerate((Phase.ABORTED, Phase.PROMOTED, Phase.PENDING), start=1):
            rollouts.create(connection, rollout(number, phase=phase))
        listed = rollouts.page(connection, domain="pay", limit=2)
        assert [one.id for one in listed.items] == ["0000-0003", "0000-0002"]
        rest = rollouts.page(connection, domain="pay", after=listed.next, limit=2)
        assert ([one.id for one in rest.items], rest.next) == (["0000-0001"], None)
        phases = [Phase.ABORTED, Phase.PENDING]
        assert [one.id for one in rollouts.page(connection, phases=phases).items] == ["0000-0003", "0000-0001"]
        assert rollouts.page(connection, domain="nope").items == ()


def test_decisions_and_looks_read_back_in_order(catalogue):
    """Decisions carry their evidence, looks what was observed; both come back equal and in order."""
    place: dict[str, Any] = {"rollout": "0000-0001", "attempt": 1, "step": 2, "at": after(1), "weight": 10.0}
    evidence = reason("regression", guardrail="errors", e_value=1e22, p=5e-324, counts=[1, 2, 2**53 - 1])
    decision = Decision(action=Action.ABORT, reasons=(evidence, reason("by-hand")))
    with catalogue.transaction() as connection:
        rollouts.create(connection, rollout(1))
        for watched in (1.25, 2.5):
            rollouts.add_decision(
                connection,
                StoredDecision(
                    **place, watched=watched, phase=Phase.PROGRESSING, actor="reconciler", decision=decision
                ),
            )
            rollouts.add_look(
                connection,
                StoredLook(
                    **place, watched=watched, observations={"metric": "errors", "bad": 3}, verdicts=({"ok": True},)
                ),
            )
        made = rollouts.decisions(connection, "0000-0001").items
        assert [(one.watched, one.decision) for one in made] == [(1.25, decision), (2.5, decision)]
        taken = rollouts.looks(connection, "0000-0001", newest_first=True).items
        assert [one.watched for one in taken] == [2.5, 1.25]
        assert (taken[0].observations, taken[0].verdicts) == ({"metric": "errors", "bad": 3}, ({"ok": True},))
        assert taken[0].id > taken[1].id > 0


def test_infinite_evidence_is_stored(catalogue):
    """Evidence beyond all numbers does not stop the abort it proves from being written."""
    overwhelming = Decision(action=Action.ABORT, reasons=(reason("regression", e_value=float("inf")),))
    with catalogue.transaction() as connection:
        rollouts.create(connection, rollout(1))
        rollouts.add_decision(
            connection,
            StoredDecision(
                rollout="0000-0001",
                attempt=1,
                step=0,
                at=after(1),
                watched=1.0,
                weight=1.0,
                phase=Phase.ABORTED,
                actor="reconciler",
                decision=overwhelming,
            ),
        )
        (made,) = rollouts.decisions(connection, "0000-0001").items
    assert made.decision.reasons[0].evidence == {"e_value": "Infinity"}
