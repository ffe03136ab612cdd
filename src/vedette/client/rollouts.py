"""Rollouts of a server: the same methods as `vedette.control.rollouts.CanaryDeployment`."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from vedette.client.wire import Wire, named
from vedette.kernel.documents import dump, load
from vedette.kernel.errors import InvalidInput
from vedette.rollouts.spec import RolloutSpec
from vedette.store.pages import Page
from vedette.store.rollouts import StoredDecision, StoredLook, StoredRollout

if TYPE_CHECKING:
    from vedette.control.insight import Analytics, Explanation
    from vedette.rollouts.planning import RolloutPlan
    from vedette.rollouts.replay import Replay

Schedule = RolloutSpec | Mapping[str, Any] | Sequence[float | str]


class Rollouts:
    """Rollouts of all domains of a server."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def deploy_with_rollout(
        self,
        domain_id: str,
        model_version: str,
        rollout_schedule: Schedule | None = None,
        *,
        actor: str = "",
        name: str = "",
        dry_run: bool = False,
        request_id: str = "",
    ) -> StoredRollout:
        """Begin to take ``model_version`` of ``domain_id`` live; see `vedette.CanaryDeployment.deploy_with_rollout`."""
        body = {"name": name, "spec": _spec(domain_id, model_version, rollout_schedule)}
        return self._wire.send(
            StoredRollout, "POST", "/rollouts", body, actor=actor, request_id=request_id, dryRun=dry_run
        )

    def get(self, ref: str) -> StoredRollout:
        """Give a rollout by its id, its name, or the id of its domain (then the newest one)."""
        return self._wire.get(StoredRollout, f"/rollouts/{named(ref)}")

    def page(
        self, *, domain: str | None = None, active: bool = False, after: str | None = None, limit: int = 50
    ) -> Page[StoredRollout]:
        """List rollouts, the newest first; of one domain, or only those not at their end, when asked."""
        return self._wire.page(StoredRollout, "/rollouts", domain=domain, active=active, after=after, limit=limit)

    def decisions(self, ref: str, *, after: str | None = None, limit: int = 50) -> Page[StoredDecision]:
        """List what was decided about a rollout, in order."""
        return self._wire.page(StoredDecision, f"/rollouts/{named(ref)}/decisions", after=after, limit=limit)

    def looks(
        self, ref: str, *, after: str | None = None, limit: int = 50, newest_first: bool = False
    ) -> Page[StoredLook]:
        """List what was seen of a rollout, in order."""
        return self._wire.page(
            StoredLook, f"/rollouts/{named(ref)}/looks", after=after, limit=limit, newestFirst=newest_first
        )

    def plan(
        self,
        domain_id: str,
        model_version: str,
        rollout_schedule: Schedule | None = None,
        *,
        metric: str = "",
        requests_per_minute: float | None = None,
        bad_rate: float | None = None,
        ratio: float = 2.0,
        power: float = 0.9,
    ) -> "RolloutPlan":
        """Say, before starting, how long each step must last to see a metric get ``ratio`` times worse."""
        from vedette.rollouts.planning import RolloutPlan

        body = {
            "spec": _spec(domain_id, model_version, rollout_schedule),
            "metric": metric,
            "requestsPerMinute": requests_per_minute,
            "badRate": bad_rate,
            "ratio": ratio,
            "power": power,
        }
        return self._wire.ask(RolloutPlan, "/rollouts/plan", body)

    def explain(self, ref: str) -> "Explanation":
        """Say why a rollout is where it is, and what a look at this moment decides; writes nothing."""
        from vedette.control.insight import Explanation

        return self._wire.get(Explanation, f"/rollouts/{named(ref)}/explanation")

    def analytics(self, ref: str) -> "Analytics":
        """Say how long each step took, what the canary served, and how much exposure was saved."""
        from vedette.control.insight import Analytics

        return self._wire.get(Analytics, f"/rollouts/{named(ref)}/analytics")

    def replay(self, ref: str, rollout_schedule: Schedule | None = None, *, attempt: int | None = None) -> "Replay":
        """Run a rollout's recorded evidence through another schedule or other guardrails; writes nothing."""
        from vedette.rollouts.replay import Replay

        body: dict[str, object] = {"attempt": attempt}
        if rollout_schedule is not None:
            known = self.get(ref)
            if isinstance(rollout_schedule, Mapping):
                rollout_schedule = {**dump(known.spec), **rollout_schedule}
            body["spec"] = _spec(known.domain, known.spec.version, rollout_schedule)
        return self._wire.ask(Replay, f"/rollouts/{named(ref)}/replay", body)

    def pause(self, ref: str, *, actor: str = "", why: str = "", expected: int | None = None) -> StoredRollout:
        """Stand still until a person resumes; the evidence is judged on and may abort."""
        return self._do(ref, "pause", actor, expected, why=why)

    def resume(self, ref: str, *, actor: str = "", why: str = "", expected: int | None = None) -> StoredRollout:
        """Go on from a pause."""
        return self._do(ref, "resume", actor, expected, why=why)

    def promote(
        self, ref: str, *, actor: str = "", why: str = "", full: bool = False, expected: int | None = None
    ) -> StoredRollout:
        """Be done with this step; with ``full``, make the version stable at once."""
        return self._do(ref, "promote", actor, expected, why=why, full=full)

    def abort(self, ref: str, *, actor: str = "", why: str = "", expected: int | None = None) -> StoredRollout:
        """Take the version back at once; nothing outranks this."""
        return self._do(ref, "abort", actor, expected, why=why)

    def retry(self, ref: str, *, actor: str = "", why: str = "", expected: int | None = None) -> StoredRollout:
        """Begin again at step 0 with new evidence."""
        return self._do(ref, "retry", actor, expected, why=why)

    def undo(self, ref: str, *, actor: str = "", why: str = "", expected: int | None = None) -> StoredRollout:
        """Return to the version that was stable before a promotion, at once."""
        return self._do(ref, "undo", actor, expected, why=why)

    def set_weight(
        self, ref: str, weight: float, *, actor: str = "", why: str = "", expected: int | None = None
    ) -> StoredRollout:
        """Give the canary another weight now, in percent, up to that of its step."""
        return self._do(ref, "set-weight", actor, expected, why=why, weight=weight)

    def _do(self, ref: str, verb: str, actor: str, expected: int | None, **body: object) -> StoredRollout:
        path = f"/rollouts/{named(ref)}/{verb}"
        return self._wire.send(StoredRollout, "POST", path, body, actor=actor, expected=expected)


def _spec(domain: str, version: str, schedule: Schedule | None) -> dict[str, Any]:
    """Read a schedule in any of its forms, as the control plane does, and write it as the plain data of a spec."""
    if isinstance(schedule, RolloutSpec):
        if (schedule.domain, schedule.version) != (domain, version):
            raise InvalidInput(f"the schedule is for {schedule.domain}/{schedule.version}, not {domain}/{version}")
        return dict(dump(schedule))
    fields: dict[str, Any] = dict(schedule) if isinstance(schedule, Mapping) else {}
    if schedule is not None and not isinstance(schedule, Mapping):
        fields = {"steps": [{"weight": weight} for weight in schedule]}
    return dict(dump(load(RolloutSpec, {**fields, "domain": domain, "version": version})))
