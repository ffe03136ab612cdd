"""Small specs, statuses and looks for tests of rollouts."""

from datetime import UTC, datetime, timedelta

from vedette.kernel.clock import Moment
from vedette.kernel.records import evolve
from vedette.rollouts.advance import Advance, Look, Peer, advance
from vedette.rollouts.machine import Pause, PauseReason, Phase, RolloutStatus
from vedette.rollouts.observation import Exposure, RateCell, RateObservation
from vedette.rollouts.spec import RolloutSpec, Step

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
HOUR = int(NOON.timestamp()) // 3600
STEPS = (Step(weight=10, bake=60), Step(weight=50, bake=60), Step(weight=100, bake=60))


def spec(*, steps: tuple[Step, ...] = STEPS, **fields: object) -> RolloutSpec:
    """Make a spec of three steps of a minute each."""
    return RolloutSpec(domain="pay", version="v2", steps=steps, **fields)  # type: ignore[arg-type]  # by name


def at(watched: float, *, jump: float = 0.0) -> Moment:
    """Give the moment after so many watched seconds; the calendar may have jumped."""
    return Moment(utc=NOON + timedelta(seconds=watched + jump), watched=watched)


def status(**fields: object) -> RolloutStatus:
    """Make a status; pending unless told otherwise."""
    ordinary: dict[str, object] = {"salt": "s", "queued_at": NOON}
    return RolloutStatus(**(ordinary | fields))  # type: ignore[arg-type]  # by name


def running(step: int = 0, *, weight: float = 10.0, since: float | None = 0.0, **fields: object) -> RolloutStatus:
    """Make the status of a rollout in the middle of a step; plan ``step + 2`` began it, confirmed ``since``."""
    ordinary: dict[str, object] = {
        "phase": Phase.PROGRESSING,
        "step": step,
        "weight": weight,
        "first_plan": 2,
        "step_plan": step + 2,
        "step_since": since,
        "started_at": NOON,
        "step_at": NOON,
        "previous_stable": "v1",
    }
    return status(**(ordinary | fields))


def paused(*reasons: PauseReason, about: tuple[str, ...] = (), **fields: object) -> RolloutStatus:
    """Make the status of a rollout that stands still in its first step."""
    pauses = tuple(Pause(reason=reason, since=NOON, about=about) for reason in reasons)
    return evolve(running(), phase=Phase.PAUSED, pauses=pauses, **fields)


def rate(  # every count by name
    *, canary: float = 1000, stable: float = 9000, bad_canary: float = 5, bad_stable: float = 45, revision: int = 2
) -> RateObservation:
    """Make the rate of one cell; by default both arms are equally bad."""
    cell = RateCell.by_requests(
        revision=revision, hour=HOUR, canary=canary, stable=stable, bad_canary=bad_canary, bad_stable=bad_stable
    )
    return RateObservation(basis="requests", dispersion=1.0, covered=1.0, cells=(cell,))


FINE = rate()
BAD = rate(bad_canary=50)
NO_DATA = RateObservation(basis="requests", dispersion=1.0, covered=1.0, cells=())


def exposure(*, revision: int = 2, weight: float = 10.0, canary: float = 1000, stable: float = 9000) -> Exposure:
    """Make the traffic of one cell."""
    return Exposure(revision=revision, hour=HOUR, weight=weight, canary=canary, stable=stable, design_effect=1.0)


def look(errors: RateObservation = FINE, **fields: object) -> Look:
    """Make a look at a rollout whose plan 2 is confirmed and had traffic at 10 %."""
    ordinary: dict[str, object] = {
        "plan": 2,
        "confirmed": 2,
        "stable": "v1",
        "observations": {"errors": errors},
        "exposures": (exposure(),),
    }
    return Look(**(ordinary | fields))  # type: ignore[arg-type]  # by name


def unseen(**fields: object) -> Look:
    """Make a look that saw no evidence at all."""
    return look(NO_DATA, **({"observations": {}, "exposures": (), "plan": 1, "confirmed": 1} | fields))


def peer(domain: str = "legal", phase: Phase = Phase.PROGRESSING, reached: int = 0) -> Peer:
    """Make another rollout of the group."""
    return Peer(domain=domain, phase=phase, reached=reached)


def codes(found: Advance) -> list[str]:
    """Give the codes of a decision's reasons."""
    return [reason.code for reason in found.decision.reasons]


def climb(asked: RolloutSpec, begun: RolloutStatus, *, seconds: float = 600.0, tick: float = 10.0) -> list[Advance]:
    """Advance a healthy rollout under ever confirmed plans until it ends or the time is over."""
    found: list[Advance] = []
    now, plan = begun, 1
    for number in range(int(seconds / tick)):
        weight, revision = now.weight, now.step_plan
        seen = look(
            rate(revision=revision, canary=100 * weight, stable=100 * (100 - weight), bad_canary=0, bad_stable=0),
            plan=plan,
            confirmed=plan,
            exposures=(exposure(revision=revision, weight=weight, canary=100 * weight, stable=100 * (100 - weight)),)
            if weight
            else (),
        )
        found.append(advance(asked, now, seen, at(number * tick)))
        now = found[-1].status
        plan = max(plan, now.step_plan)
        if now.phase in {Phase.PROMOTED, Phase.ABORTED}:
            break
    return found
