"""Clocks that jump, and nights on which they are changed: bakes follow watched time, windows the calendar."""

from collections.abc import Callable
from datetime import UTC, datetime
from itertools import pairwise

import pytest
from sqlalchemy import update
from tests.control.faults import PASS, STEPS, Clock, active, begin, heir, lapse, prepare, serve, story

from vedette.control.plane import ControlPlane, open_plane
from vedette.rollouts.machine import Phase
from vedette.store.tables import leases

HOUR = 3600.0
BAKE = 30.0
LADDER = [{"weight": weight, "bake": BAKE} for weight in (10, 100)]
_MOST_PASSES = 60
_Disturb = Callable[[ControlPlane, int], ControlPlane]


@pytest.fixture
def plane(sqlite_url):
    """A plane with the domains ``pay`` and ``law``."""
    with open_plane(sqlite_url, instruments=Clock()) as opened:
        prepare(opened, "pay", "law")
        yield opened


def _clock(plane: ControlPlane) -> Clock:
    assert isinstance(plane.instruments, Clock)
    return plane.instruments


def _undisturbed(plane: ControlPlane, _: int) -> ControlPlane:
    return plane


def _run(
    plane: ControlPlane, *domains: str, disturb: _Disturb = _undisturbed, bad: str = "", seconds: float = PASS
) -> int:
    """Make pass after pass until the rollouts of these domains end; give how many. A disturbance comes after a look."""
    for number in range(_MOST_PASSES):
        plane.reconciler.tick()
        if not active(plane, *domains):
            return number
        plane = disturb(plane, number)
        _clock(plane).go(seconds)
        serve(plane, *domains, bad=bad)
    raise AssertionError("the rollouts came to no end")


def _jumping(*jumps: float) -> _Disturb:
    def jump(plane: ControlPlane, number: int) -> ControlPlane:
        _clock(plane).jump(jumps[number % len(jumps)])
        return plane

    return jump


def _bakes(plane: ControlPlane, domain: str) -> list[float]:
    """Give the watched seconds from each decision of a rollout to the next."""
    watched = [it.watched for it in plane.canary.decisions(domain).items]
    return [later - earlier for earlier, later in pairwise(watched)]


@pytest.mark.parametrize("jumps", [(HOUR,), (-HOUR,), (HOUR, -HOUR)])
def test_a_bake_is_neither_skipped_nor_lengthened_by_jumps(plane, jumps):
    """With the calendar jumping an hour after every look, all goes as in a rollout whose calendar is right."""
    begin(plane, "law", steps=LADDER)
    calm = _run(plane, "law")
    begin(plane, "pay", steps=LADDER)
    assert _run(plane, "pay", disturb=_jumping(*jumps)) == calm
    assert _bakes(plane, "pay") == _bakes(plane, "law")
    assert story(plane, "pay") == story(plane, "law")
    assert plane.governance.verify() == ()


@pytest.mark.parametrize("jump", [HOUR, -HOUR])
def test_a_jump_between_confirmation_and_look_costs_one_pass(plane, jump):
    """A gateway that said what it serves just before a jump is asked once more, and no longer than that."""
    begin(plane, "law", steps=LADDER)
    calm = _run(plane, "law")
    begin(plane, "pay", steps=LADDER)
    plane.reconciler.tick()
    _clock(plane).go(PASS)
    serve(plane, "pay")
    _clock(plane).jump(jump)
    assert 1 + _run(plane, "pay") in {calm, calm + 1}
    assert story(plane, "pay") == story(plane, "law")


@pytest.mark.parametrize("jump", [HOUR, -HOUR])
@pytest.mark.parametrize("orderly", [True, False])
def test_a_bake_survives_restarts_across_jumps(plane, jump, orderly):
    """Each process goes on where the bake of the one before stood: nothing is skipped, only the gap is not watched."""
    begin(plane, "law", steps=LADDER)
    calm = _run(plane, "law")
    restarts = []

    def restart(plane: ControlPlane, number: int) -> ControlPlane:
        if number % 3 != 2:
            return plane
        restarts.append(number)
        if orderly:
            plane.reconciler.release()
        else:
            lapse(plane)
        _clock(plane).jump(jump)
        return heir(plane, monotonic=1e6 * number)

    begin(plane, "pay", steps=LADDER)
    assert calm <= _run(plane, "pay", disturb=restart) <= calm + len(restarts)
    assert len(restarts) >= 2
    assert min(_bakes(plane, "pay")) >= BAKE
    assert story(plane, "pay") == story(plane, "law")
    plane.store.close()
    plane.lake.close()


def test_windows_follow_the_calendar_while_bakes_go_on(plane):
    """A calendar that jumps out of the window holds the climb and not the bake; jumping in again, it climbs at once."""
    calendar = {"windows": [{"hours": "12:00-13:00"}]}
    begin(plane, "pay", steps=LADDER, calendar=calendar)
    held = 8

    def jump(plane: ControlPlane, number: int) -> ControlPlane:
        status = plane.canary.get("pay").status
        if number == 2:
            _clock(plane).jump(-HOUR)
        elif number == 2 + held:
            reason = plane.canary.explain("pay").now.reasons[0].code
            assert (status.step, status.weight, reason) == (0, 10, "waiting-for-window")
            _clock(plane).jump(HOUR)
        elif number == 3 + held:
            assert status.step == 1
        return plane

    _run(plane, "pay", disturb=jump)
    assert plane.canary.get("pay").status.phase is Phase.PROMOTED


def _utc(month: int, day: int, hour: int, minute: int) -> datetime:
    return datetime(2026 if month > 6 else 2027, month, day, hour, minute, tzinfo=UTC)


@pytest.mark.parametrize(
    ("hours", "begun", "decided"),
    [
        pytest.param(
            "02:30-05:00",  # open in summer time from 00:30 UTC to 01:00, when it is 02:00 again, and from 01:30 on
            _utc(10, 25, 0, 0),
            [_utc(10, 25, 0, 30), _utc(10, 25, 0, 50), _utc(10, 25, 1, 30)],
            id="autumn",
        ),
        pytest.param(
            "02:20-03:30",  # 02:20 is never; open from 03:00 summer time, 01:00 UTC, to 01:30, and from 00:20 next day
            _utc(3, 28, 0, 30),
            [_utc(3, 28, 1, 0), _utc(3, 28, 1, 20), _utc(3, 29, 0, 20)],
            id="spring",
        ),
    ],
)
def test_a_night_on_which_clocks_change_moves_no_window(sqlite_url, hours, begun, decided):
    """On both such nights in Berlin a rollout waits for its window and goes on at the right moment in UTC."""
    calendar = {"time_zone": "Europe/Berlin", "windows": [{"hours": hours}]}
    with open_plane(sqlite_url, instruments=Clock(begun)) as plane:
        prepare(plane, "pay")
        begin(plane, "pay", steps=[{"weight": weight, "bake": 5} for weight in (10, 100)], calendar=calendar)

        def sleep(plane: ControlPlane, _: int) -> ControlPlane:
            if plane.instruments.now() == _utc(3, 28, 1, 40):
                _clock(plane).go((_utc(3, 29, 0, 0) - plane.instruments.now()).total_seconds())
            return plane

        _run(plane, "pay", disturb=sleep, seconds=600)
        assert [it.at for it in plane.canary.decisions("pay").items] == decided


@pytest.mark.parametrize("jump", [HOUR, -HOUR])
def test_a_jump_of_the_databases_clock_costs_a_lease_holder_one_pass(store_url, jump):
    """Leases that run out an hour early, or seem to last an hour too long, are taken anew within a pass."""

    def shift(plane: ControlPlane, number: int) -> ControlPlane:
        if number % 3 == 2:
            with plane.store.transaction() as connection:
                connection.execute(update(leases).values(expires=leases.c.expires + jump))
        return plane

    with open_plane(store_url, instruments=Clock()) as plane:
        prepare(plane, "pay", "law")
        steps = [{"weight": weight, "bake": 5} for weight in (10, 100)]
        begin(plane, "law", steps=steps)
        calm = _run(plane, "law", seconds=2)
        begin(plane, "pay", steps=steps)
        passes = _run(plane, "pay", disturb=shift, seconds=2)
        assert calm <= passes <= calm + passes // 3
        assert story(plane, "pay") == story(plane, "law")


def test_a_dead_gateway_holds_nothing_up_after_a_jump_back(plane):
    """A gateway last heard of before the calendar went back an hour is not taken for a live one for an hour."""
    plane.traffic.confirm("dead", {"pay": 1})
    _clock(plane).jump(-HOUR)
    begin(plane, "pay", steps=LADDER)
    _run(plane, "pay")
    assert plane.canary.get("pay").status.phase is Phase.PROMOTED


@pytest.mark.parametrize("bad", ["pay", ""])
def test_a_rollout_begun_after_a_jump_back_runs(plane, bad):
    """The last rollout begun is the domain's newest, whatever the calendar says, and comes to its end."""
    begin(plane, "pay", steps=LADDER)
    _run(plane, "pay")
    _clock(plane).jump(-HOUR)
    plane.canary.deploy_with_rollout(
        "pay", "v1", {"steps": list(STEPS), "rollback_window": 0}, actor="ada", name="second"
    )
    _run(plane, "pay", bad=bad)
    assert plane.canary.get("pay").name == "second"
    assert plane.versions.aliases("pay") == {"stable": "v2" if bad else "v1"}


def test_a_group_comes_back_together_after_a_jump_back(plane):
    """When the calendar goes back before one of a group is taken back, the others still follow it."""
    for domain in ("pay", "law"):
        begin(plane, domain, group={"name": "all"})
        _clock(plane).go(1)
    _run(plane, "pay", "law", bad="pay", disturb=_jumping(-HOUR))
    assert {domain: plane.canary.get(domain).status.phase for domain in ("pay", "law")} == {
        "pay": Phase.ABORTED,
        "law": Phase.ABORTED,
    }
