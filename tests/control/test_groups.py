"""Groups through the plane: lockstep, coming back together, and no more in flight than allowed."""

import pytest
from tests.control.world import STEPS, World

from vedette.control import reconcile
from vedette.control.reconcile import Reconciler
from vedette.kernel.errors import Refused
from vedette.rollouts.advance import advance
from vedette.rollouts.machine import Phase

DOMAINS = ("hr", "legal", "pay")


def group(world: World, *, most: int = 0, domains: tuple[str, ...] = DOMAINS) -> None:
    """Make three domains and begin a rollout of one group on each."""
    for domain in domains:
        world.domain(domain)
    for domain in domains:
        world.deploy(domain, group={"name": "wave", "maxInFlight": most})


def phases(world: World) -> list[Phase]:
    """Give the phase of each domain's rollout."""
    return [world.status(domain).phase for domain in DOMAINS]


def until_promoted(world: World) -> None:
    """Let time pass until every rollout of the group is promoted."""
    for _ in range(60):
        if phases(world) == [Phase.PROMOTED] * 3:
            return
        world.turn(*DOMAINS)
    raise AssertionError(phases(world))


def test_26_group_climbs_in_lockstep(quick):
    """No rollout of a group is ever more than one step ahead of another, and all end."""
    group(quick)
    for number in range(80):
        quick.plane.reconciler.tick()
        for place, domain in enumerate(DOMAINS):
            if number % (place + 1) == 0:  # the gateways of some domains are slow
                quick.serve(domain)
        quick.go()
        steps = [quick.status(domain).step for domain in DOMAINS]
        assert max(steps) - min(steps) <= 1
        if set(phases(quick)) == {Phase.PROMOTED}:
            break
    assert phases(quick) == [Phase.PROMOTED] * 3


def test_26_one_abort_takes_all_back(world):
    """When one domain regresses the whole group comes back, the waiting and the paused too."""
    group(world)
    for _ in range(3):
        world.turn(*DOMAINS)
    world.plane.canary.pause("hr", actor="ada")
    while phases(world) != [Phase.ABORTED] * 3:
        world.plane.reconciler.tick()
        world.serve("hr")
        world.serve("legal")
        world.serve("pay", canary=0.5)
        world.go()
    assert all(world.plane.traffic.plan(domain).canary is None for domain in DOMAINS)
    assert "pay" in world.status("hr").because


def test_26_abort_by_hand_takes_all_back(world):
    """A person who aborts one domain of a group takes back all of them."""
    group(world)
    world.turn(*DOMAINS)
    world.plane.canary.abort("legal", actor="ada")
    world.turn(*DOMAINS)
    assert phases(world) == [Phase.ABORTED] * 3


def test_26_retry_waits_until_all_came_back(quick):
    """A rollout cannot begin again while others of its group still have to come back; afterwards the group can."""
    group(quick)
    quick.turn(*DOMAINS)
    quick.plane.canary.abort("legal", actor="ada")
    with pytest.raises(Refused, match="still comes back"):
        quick.plane.canary.retry("legal", actor="ada")
    quick.turn(*DOMAINS)
    for domain in DOMAINS:
        quick.go()
        quick.plane.canary.retry(domain, actor="ada")
    until_promoted(quick)


def test_26_no_more_in_flight_than_allowed(quick):
    """With at most one in flight the domains go one after the other, each to its end."""
    group(quick, most=1)
    flying = []
    while phases(quick) != [Phase.PROMOTED] * 3:
        quick.turn(*DOMAINS)
        now = [domain for domain in DOMAINS if quick.status(domain).phase is Phase.PROGRESSING]
        assert len(now) <= 1
        flying += [domain for domain in now if domain not in flying]
    assert sorted(flying) == list(DOMAINS)


def test_26_two_replicas_do_not_start_more_than_allowed(world, monkeypatch):
    """A group is moved by one replica at a time, so two replicas cannot both start the last one allowed."""
    world.domain("pay")
    group(world, most=1, domains=("hr",))
    other = Reconciler(world.plane.changes, world.plane.traffic, world.plane.lake, world.clock)

    def meanwhile(*arguments: object) -> object:
        monkeypatch.setattr(reconcile, "advance", advance)
        world.deploy("pay", group={"name": "wave", "maxInFlight": 1})
        other.tick()
        return advance(*arguments)  # type: ignore[arg-type]  # as they came

    monkeypatch.setattr(reconcile, "advance", meanwhile)
    world.plane.reconciler.tick()
    world.plane.reconciler.tick()
    assert [world.status(domain).phase for domain in ("hr", "pay")] == [Phase.PROGRESSING, Phase.PENDING]


def test_26_group_that_waits_for_approval_holds_all(quick):
    """Where one domain's step wants approval, the others wait for it at that step."""
    group(quick)
    quick.plane.canary.abort("pay", actor="ada")
    quick.turn(*DOMAINS)
    asking = [{**STEPS[0], "approval": True}, *STEPS[1:]]
    for domain in DOMAINS:
        quick.go()
        steps = asking if domain == "pay" else STEPS
        quick.deploy(domain, group={"name": "wave"}, steps=steps, name=f"{domain}-again")
    for _ in range(8):
        quick.turn(*DOMAINS)
    assert [quick.status(domain).step for domain in DOMAINS] == [0, 0, 0]
    quick.plane.canary.promote("pay", actor="ada")
    until_promoted(quick)
