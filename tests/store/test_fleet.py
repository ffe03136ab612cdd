"""All domains at a glance, and a rollout's looks thinned to what a chart shows, alike on both engines."""

from tests.store.things import after, domain, rollout, version

from vedette.catalog.lifecycle import DomainState
from vedette.rollouts.machine import Pause, PauseReason, Phase
from vedette.store import domains, fleet, rollout_history, rollouts, versions
from vedette.store.rollouts import StoredLook


def furnish(connection, *names):
    """Make domains with a stable version and another."""
    for name in names:
        domains.create(connection, domain(name), actor="ada")
        for one in ("v1", "v2"):
            versions.create(connection, version(name, one))
        versions.install_stable(connection, name, "v1", at=after(1), cause="first")


def test_every_domain_has_its_stable_version_and_newest_rollout(store):
    """Deleted domains are left out; of several rollouts the newest is shown, with why it stands still."""
    with store.transaction() as connection:
        furnish(connection, "pay", "law")
        domains.create(connection, domain("gone", state=DomainState.DELETED), actor="ada")
        rollouts.create(connection, rollout(1, phase=Phase.ABORTED, because="worse", ended_at=after(9)))
        pauses = (Pause(reason=PauseReason.APPROVAL, since=after(5)),)
        rollouts.create(connection, rollout(2, phase=Phase.PAUSED, weight=10.0, step=1, pauses=pauses))
        found = {it.id: it for it in fleet.fleet(connection)}
        assert list(found) == ["law", "pay"]
        assert found["law"].rollout is None
        newest = found["pay"].rollout
        assert newest is not None
        assert (newest.id, newest.phase, newest.weight, newest.step, newest.steps) == (
            "0000-0002",
            "paused",
            10.0,
            1,
            4,
        )
        assert newest.pauses == ("approval",)
        assert found["pay"].stable == "v1"
        assert [it.id for it in fleet.fleet(connection, only={"law"})] == ["law"]


def test_names_are_found_by_a_part_taken_literally(store):
    """The shortest first, and a sign of the pattern language is only a sign."""
    with store.transaction() as connection:
        furnish(connection, "pay", "payments")
        assert [name for kind, name, _ in fleet.names(connection, "pay", limit=5) if kind == "domain"] == [
            "pay",
            "payments",
        ]
        assert list(fleet.names(connection, "%", limit=5)) == []


def test_looks_are_thinned_and_the_ends_are_kept(store):
    """Of many looks an even part comes in order, of this attempt alone; the last of each attempt can be had."""
    with store.transaction() as connection:
        furnish(connection, "pay")
        rollouts.create(connection, rollout(1))
        for number in range(103):
            look = StoredLook(
                rollout="0000-0001",
                attempt=1 + (number >= 100),
                step=0,
                at=after(number),
                watched=float(number),
                weight=10.0,
                observations={"metrics": {}, "exposures": []},
                verdicts=({"metric": "errors"},),
            )
            rollouts.add_look(connection, look)
        points = rollout_history.track(connection, "0000-0001", 1, at_most=10)
        assert [point.watched for point in points] == [0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 99]
        assert len(rollout_history.track(connection, "0000-0001", 1, at_most=1000)) == 100
        assert rollout_history.track(connection, "0000-0001", 7, at_most=10) == ()
        assert rollout_history.count(connection, "0000-0001", 2) == 3
        assert [look.watched for look in rollout_history.last_looks(connection, "0000-0001")] == [99, 102]
