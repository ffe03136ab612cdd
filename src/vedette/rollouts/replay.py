"""What would have happened: recorded looks, run again under another spec.

Each stored look is taken apart into what was new since the one before. Under another weight the canary would have had
another share of the same requests, so its counts are scaled by the ratio of the weights, and stable's likewise; under
the recorded weight nothing is scaled, and the same spec comes to the same end. Counts scaled *up* are extrapolated
from fewer requests, and the result says so. Means and quantiles are taken as they were recorded.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from vedette.kernel.clock import Calendar, Moment
from vedette.kernel.decision import Action
from vedette.kernel.records import evolve, record
from vedette.rollouts.advance import Look, advance
from vedette.rollouts.machine import Phase, RolloutStatus
from vedette.rollouts.observation import Exposure, Observation, RateCell, RateObservation, Unmeasured
from vedette.rollouts.spec import RolloutSpec


@record
class RecordedLook:
    """One look as it was stored: when, at which canary weight (percent), and what it saw so far."""

    at: datetime
    watched: float
    weight: float
    observations: Mapping[str, Observation]
    exposures: tuple[Exposure, ...]


@record
class Turn:
    """One thing the replayed rollout did."""

    at: datetime
    watched: float
    action: Action
    weight: float
    sentence: str


@record
class Replay:
    """The replayed rollout: what it did, where it ended, what it cost, and what limits the answer."""

    phase: Phase
    turns: tuple[Turn, ...]
    watched: float
    canary_requests: float
    bad_requests: Mapping[str, float]
    notes: tuple[str, ...]


def replay(spec: RolloutSpec, looks: Iterable[RecordedLook], *, salt: str = "replay") -> Replay:
    """Run recorded looks of one attempt through ``spec``; deterministic, and with no effect on anything.

    Approvals, windows, freezes and groups of ``spec`` are left out: they are people's doing, not the evidence's.
    """
    ladder = tuple(evolve(step, approval=False) for step in spec.steps)
    bare = evolve(spec, steps=ladder, group=None, calendar=Calendar())
    status, tape = RolloutStatus(salt=salt, queued_at=_EPOCH), _Tape()
    turns: list[Turn] = []
    before: RecordedLook | None = None
    for look in looks:
        if before is None:
            status = _settle(bare, status, evolve(look, observations={}, exposures=()), tape, turns)
        tape.take(before, look, status.weight)
        status = _settle(bare, status, look, tape, turns)
        before = look
        if status.phase not in _RUNNING:
            break
    return Replay(
        phase=status.phase,
        turns=tuple(turns),
        watched=before.watched if before else 0.0,
        canary_requests=sum(cell.canary for cell in tape.exposures()),
        bad_requests=tape.bad(),
        notes=_notes(spec, status, tape),
    )


def _settle(
    spec: RolloutSpec, status: RolloutStatus, look: RecordedLook, tape: "_Tape", turns: list[Turn]
) -> RolloutStatus:
    """Advance until this look changes nothing more; a plan made at one look is confirmed by the next one."""
    confirmed = tape.plan
    while status.phase in _RUNNING:
        seen = Look(
            plan=tape.plan,
            confirmed=confirmed,
            stable="",
            observations=tape.observations(look),
            exposures=tape.exposures(),
        )
        step = advance(spec, status, seen, Moment(utc=look.at, watched=look.watched))
        if step.status == status:
            break
        tape.plan = max(tape.plan, step.status.step_plan)
        status = step.status
        if step.decision.action is not Action.HOLD:
            said = step.decision.sentence
            turns.append(
                Turn(at=look.at, watched=look.watched, action=step.decision.action, weight=status.weight, sentence=said)
            )
    return status


def _notes(spec: RolloutSpec, status: RolloutStatus, tape: "_Tape") -> tuple[str, ...]:
    guarded = {guardrail.metric for guardrail in spec.guardrails}
    limits = {
        "the recorded evidence ends before this spec decides": status.phase in _RUNNING,
        "some canary counts are extrapolated from a smaller recorded weight": tape.extrapolated,
        "means and quantiles are taken as recorded, at the recorded weights": bool(guarded & tape.other_kinds),
    }
    return tuple(said for said, holds in limits.items() if holds)


_RUNNING = frozenset({Phase.PENDING, Phase.PROGRESSING})
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NOTHING = dict.fromkeys(
    ("canary", "stable", "bad_canary", "bad_stable", "judged_canary", "judged_total", "expected_share"), 0.0
)
_Key = tuple[int, int]


class _Tape:
    """The replayed world's evidence so far, by replayed plan revision and hour."""

    def __init__(self) -> None:
        self.plan = 0
        self.extrapolated = False
        self.other_kinds: set[str] = set()
        self._homes: dict[int, _Home] = {}
        self._rates: dict[str, dict[_Key, RateCell]] = {}
        self._recorded: dict[str, dict[_Key, RateCell]] = {}
        self._exposures: dict[_Key, Exposure] = {}

    def take(self, before: RecordedLook | None, look: RecordedLook, weight: float) -> None:
        """Add what ``look`` saw since ``before``, had the canary had ``weight`` percent instead of what it had.

        Under the newest recorded plan this is now; what came late of an earlier one belongs where that one ended.
        """
        newest = max((exposure.revision for exposure in look.exposures), default=0)
        for exposure in look.exposures:
            if exposure.revision == newest or exposure.revision not in self._homes:
                scale = _Scale.of(exposure.weight, weight)
                self._homes[exposure.revision] = _Home(plan=self.plan, weight=weight, scale=scale)
        earlier = {(e.revision, e.hour): e for e in before.exposures} if before else {}
        for exposure in look.exposures:
            self._expose(exposure, earlier.get((exposure.revision, exposure.hour)), self._homes[exposure.revision])
        for name, observation in look.observations.items():
            if isinstance(observation, Unmeasured):
                continue  # what was known of it before is known still
            if not isinstance(observation, RateObservation):
                self.other_kinds.add(name)
                continue
            known = self._recorded.get(name, {})
            for cell in observation.cells:
                self._count(name, cell, known.get((cell.revision, cell.hour)), self._home(cell.revision, look, weight))
            self._recorded[name] = {(cell.revision, cell.hour): cell for cell in observation.cells}

    def _home(self, revision: int, look: RecordedLook, weight: float) -> "_Home":
        """Give where a plan's counts belong; a source may have counted under a plan before the gateways shipped any."""
        if revision not in self._homes:
            scale = _Scale.of(look.weight, weight)
            self._homes[revision] = _Home(plan=self.plan, weight=weight, scale=scale)
        return self._homes[revision]

    def _expose(self, now: Exposure, before: Exposure | None, home: "_Home") -> None:
        then = before or evolve(now, canary=0.0, stable=0.0)
        if (now.canary, now.stable) == (then.canary, then.stable):
            return
        scale, key = home.scale, (home.plan, now.hour)
        self.extrapolated |= scale.canary > 1
        old = self._exposures.get(key) or evolve(now, canary=0.0, stable=0.0)
        self._exposures[key] = evolve(
            now,
            revision=home.plan,
            weight=home.weight,
            canary=old.canary + (now.canary - then.canary) * scale.canary,
            stable=old.stable + (now.stable - then.stable) * scale.stable,
        )

    def _count(self, name: str, now: RateCell, before: RateCell | None, home: "_Home") -> None:
        then = before or evolve(now, **_NOTHING)
        if evolve(now, expected_share=0.0) == evolve(then, expected_share=0.0):
            return
        scale, cells = home.scale, self._rates.setdefault(name, {})
        old = cells.get((home.plan, now.hour)) or evolve(now, **_NOTHING)
        canary = (now.judged_canary - then.judged_canary) * scale.canary
        stable = (now.judged_total - now.judged_canary - then.judged_total + then.judged_canary) * scale.stable
        cells[home.plan, now.hour] = RateCell(
            revision=home.plan,
            hour=now.hour,
            canary=old.canary + (now.canary - then.canary) * scale.canary,
            stable=old.stable + (now.stable - then.stable) * scale.stable,
            bad_canary=old.bad_canary + (now.bad_canary - then.bad_canary) * scale.canary,
            bad_stable=old.bad_stable + (now.bad_stable - then.bad_stable) * scale.stable,
            judged_canary=old.judged_canary + canary,
            judged_total=old.judged_total + canary + stable,
            expected_share=scale.share(now.expected_share),
        )

    def exposures(self) -> tuple[Exposure, ...]:
        """Give the replayed traffic so far."""
        return tuple(self._exposures.values())

    def observations(self, look: RecordedLook) -> dict[str, Observation]:
        """Give what the replayed rollout sees now."""
        return {
            name: evolve(seen, cells=tuple(self._rates.get(name, {}).values()))
            if isinstance(seen, RateObservation)
            else seen
            for name, seen in look.observations.items()
        }

    def bad(self) -> dict[str, float]:
        """Count the bad events the replayed canary served, by metric."""
        return {name: sum(cell.bad_canary for cell in cells.values()) for name, cells in self._rates.items()}


@record
class _Scale:
    """By how much each arm's counts change when the canary has another weight."""

    canary: float
    stable: float

    @classmethod
    def of(cls, recorded: float, replayed: float) -> "_Scale":
        return cls(
            canary=replayed / recorded if recorded > 0 else 0.0,
            stable=(100 - replayed) / (100 - recorded) if recorded < 100 else 0.0,
        )

    def share(self, expected: float) -> float:
        if self.canary == self.stable:
            return expected
        canary, stable = expected * self.canary, (1 - expected) * self.stable
        return canary / (canary + stable) if canary + stable > 0 else 0.0


@record
class _Home:
    """Where a recorded plan's traffic belongs in the replayed world: under which plan, at which weight, and scaled."""

    plan: int
    weight: float
    scale: _Scale
