"""The loop: a quiet pass writes nothing, one replica moves a rollout at a time, one broken rollout stops no other."""

import logging

from sqlalchemy import update
from tests.control.world import World

from vedette.control import reconcile
from vedette.control.reconcile import Reconciler
from vedette.rollouts.advance import advance
from vedette.rollouts.machine import Phase
from vedette.store import leases
from vedette.store.tables import leases as lease_table


def replica(world: World) -> Reconciler:
    """Make another reconciler on the same store."""
    return Reconciler(world.plane.changes, world.plane.traffic, world.plane.lake, world.clock)


def lapse(world: World) -> None:
    """Let every lease run out."""
    with world.plane.store.transaction() as connection:
        connection.execute(update(lease_table).values(expires=0.0))


def test_01_quiet_pass_writes_nothing(pay):
    """Looks at which nothing new was seen and nothing follows leave the store as it was, leases apart."""
    pay.deploy(steps=[{"weight": 10, "bake": "1h"}, {"weight": 100}])
    pay.reach(0)
    pay.plane.reconciler.tick()
    before = pay.everything()
    for _ in range(5):
        assert pay.plane.reconciler.tick() == 0
        pay.go()
    assert pay.everything() == before


def test_03_step_waits_for_every_live_gateway(pay):
    """A step begins to bake when all live gateways serve its plan; nobody waits for those that fell silent or left."""
    pay.deploy()
    for gateway in ("g1", "g2", "g3"):
        pay.plane.traffic.confirm(gateway, {"pay": 1})
    pay.plane.reconciler.tick()
    revision = pay.plane.traffic.plan("pay").revision
    pay.plane.traffic.confirm("g1", {"pay": revision})
    pay.plane.traffic.confirm("g2", {"pay": revision})
    pay.plane.reconciler.tick()
    assert pay.status().step_since is None
    pay.plane.traffic.goodbye("g3")
    pay.plane.reconciler.tick()
    assert pay.status().step_since is not None
    pay.plane.traffic.confirm("g4", {})
    pay.go(16)
    pay.plane.traffic.confirm("g1", {"pay": revision})
    with pay.plane.changes.reading() as connection:
        assert pay.plane.traffic.confirmed(connection, "pay") == revision


def test_03_no_gateway_no_step(pay):
    """Without any gateway a rollout begins its first step and stays there for ever."""
    pay.deploy(steps=[{"weight": 10, "bake": 0}, {"weight": 100}])
    for _ in range(10):
        pay.plane.reconciler.tick()
        pay.go()
    assert (pay.status().step, pay.status().step_since) == (0, None)


def test_06_replica_that_lost_its_lease_writes_nothing(pay, monkeypatch):
    """What a replica decided is not written once another one took over; the other has decided it, once."""
    pay.deploy()
    other = replica(pay)

    def meanwhile(*arguments):
        monkeypatch.setattr(reconcile, "advance", advance)
        lapse(pay)
        assert other.tick() == 1
        return advance(*arguments)

    monkeypatch.setattr(reconcile, "advance", meanwhile)
    assert pay.plane.reconciler.tick() == 0
    assert pay.actions() == ["start"]
    assert [plan.plan.weight for plan in pay.plane.traffic.history("pay").items] == [100_000, 0, 0]
    assert pay.plane.governance.verify() == ()


def test_06_two_replicas_decide_each_step_once(pay):
    """Two replicas that look in turn, while leases run out at any time, come to the end of one."""
    other = replica(pay)
    pay.deploy()
    for number in range(60):
        (other if number % 3 else pay.plane.reconciler).tick()
        if number % 4 == 0:
            lapse(pay)
        pay.serve()
        pay.go()
    assert pay.status().phase is Phase.PROMOTED
    assert pay.actions() == ["start", "advance", "advance", "promote"]
    weights = [plan.plan.weight for plan in pay.plane.traffic.history("pay").items]
    assert weights == [0, 990_000, 500_000, 100_000, 0, 0]
    assert pay.plane.governance.verify() == ()


def test_06_verb_between_look_and_write_wins(pay, monkeypatch):
    """A person who aborts while the reconciler decides to climb is not overtaken by it."""
    pay.deploy()
    pay.reach(0)

    def meanwhile(*arguments):
        found = advance(*arguments)
        if found.decision.action == "advance":
            monkeypatch.setattr(reconcile, "advance", advance)
            pay.plane.canary.abort("pay", actor="ada")
        return found

    monkeypatch.setattr(reconcile, "advance", meanwhile)
    pay.until(Phase.ABORTED)
    assert pay.actions() == ["start", "abort"]
    assert pay.plane.traffic.plan("pay").canary is None


def test_rollout_that_breaks_stops_no_other(quick, monkeypatch, caplog):
    """A rollout whose look fails in a way nobody thought of is logged as far as it is news; the others are moved."""
    quick.domain("legal")
    quick.domain("pay")
    quick.deploy("legal")
    quick.deploy("pay")

    def broken(spec, *rest):
        if spec.domain == "legal":
            raise ZeroDivisionError("nobody thought of this")
        return advance(spec, *rest)

    monkeypatch.setattr(reconcile, "advance", broken)
    quick.until(Phase.PROMOTED)
    assert quick.status("legal").phase is Phase.PENDING
    assert "nobody thought of this" in caplog.text
    monkeypatch.undo()
    with caplog.at_level(logging.INFO, "vedette.control.reconcile"):
        quick.plane.reconciler.tick()
    told = [it for it in caplog.records if it.message.startswith("moving rollout")]
    assert [(it.levelname, bool(it.exc_info)) for it in told] == [("ERROR", True), ("ERROR", True), ("INFO", False)]
    assert "has failed for 1m now, 13 times" in told[1].message


def test_16_outage_is_no_bake(quick):
    """Hours without a reconciler count as no more than one lease."""
    quick.domain()
    quick.deploy(steps=[{"weight": 10, "bake": 60}, {"weight": 100}])
    quick.reach(0)
    quick.go(7200)
    lapse(quick)
    fresh = replica(quick)
    fresh.tick()
    quick.serve()
    assert quick.status().step == 0
    with quick.plane.store.reading() as connection:
        name = f"rollout/{quick.plane.canary.get('pay').id}"
        assert leases.watched(connection, [name])[name] <= 30


def test_26_freeze_holds_the_advance_and_not_the_abort(quick):
    """In a freeze a rollout stays at its step and is still taken back by a regression."""
    quick.domain()
    freeze = {"begin": "2026-11-23T12:00:20+00:00", "end": "2026-11-24T00:00:00+00:00"}
    quick.deploy(calendar={"freezes": [freeze]})
    for _ in range(12):
        quick.turn()
    assert (quick.status().phase, quick.status().step) == (Phase.PROGRESSING, 0)
    quick.until(Phase.ABORTED, canary=0.5)
