"""`CanaryDeployment`: take this version live step by step; stop it the moment the evidence says so.

Verbs change a rollout under compare-and-swap and return it as it is then. What moves it between verbs is the
reconciler (`control.reconcile`).
"""

from collections.abc import Callable, Mapping
from datetime import datetime

from sqlalchemy import Connection

from vedette.control import insight, readings
from vedette.control.admission import Schedule, admit, find, spec_of
from vedette.control.commit import commit, settle
from vedette.control.foundation import Foundation
from vedette.control.insight import Analytics, Explanation
from vedette.evidence.metric import MetricKind
from vedette.kernel.documents import dump
from vedette.kernel.errors import Conflict, InvalidInput, StaleRevision
from vedette.kernel.ids import check_name
from vedette.kernel.records import evolve
from vedette.lake.evidence import LakeReader
from vedette.rollouts import commands, planning
from vedette.rollouts.machine import ACTIVE, RolloutStatus
from vedette.rollouts.planning import RolloutPlan
from vedette.rollouts.replay import Replay, replay
from vedette.rollouts.spec import RolloutSpec
from vedette.store import domains, plans, rollouts, versions
from vedette.store.pages import Page
from vedette.store.rollouts import StoredDecision, StoredLook, StoredRollout

_Verb = Callable[[Connection, StoredRollout, datetime], commands.Outcome]


class CanaryDeployment:
    """Rollouts of all domains; ``CanaryDeployment(plane)`` makes one from any `ControlPlane`."""

    def __init__(self, plane: Foundation) -> None:
        self._changes = plane.changes
        self._traffic = plane.traffic
        self._instruments = plane.instruments
        self._lake: LakeReader = plane.lake

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
        """Begin to take ``model_version`` of ``domain_id`` live.

        Args:
            domain_id: the domain.
            model_version: a registered version of it.
            rollout_schedule: a `RolloutSpec`, a mapping with its fields, a sequence of weights such as
                ``["1%", "10%", "50%", "100%"]``, or None for the default 1 % → 10 % → 50 % → 100 %.
            actor: who asks; who opened the plane unless given.
            name: what to call the rollout; ``<domain>-<version>`` unless given.
            dry_run: check everything and write nothing.
            request_id: kept in the audit entry.

        Returns:
            The rollout, pending; a reconciler starts it.

        Raises:
            InvalidInput: the schedule is wrong.
            NotFound: no such domain, version or guardrail metric.
            Conflict: the domain has a rollout that is not at its end.
            Refused: the domain is not active, has no stable version, or the version is stable already.
        """
        spec = spec_of(domain_id, model_version, rollout_schedule)
        now = self._instruments.now()
        with self._changes.reading() as connection:
            newest = rollouts.latest(connection, domain_id)
        rollout_id = self._instruments.new_id(after=newest.id if newest else "")
        stored = StoredRollout(
            id=rollout_id,
            name=check_name(name or f"{domain_id}-{model_version}"[:63], "rollout"),
            domain=domain_id,
            spec=spec,
            status=RolloutStatus(salt=rollout_id, queued_at=now),
            created_at=now,
            created_by=self._changes.who(actor),
        )
        with self._changes.reading() as connection:
            admit(connection, stored)
        if dry_run:
            return stored
        with self._changes.begin(actor, request_id) as change:
            admit(change.connection, stored)
            rollouts.create(change.connection, stored)
            versions.set_alias(change.connection, domain_id, "candidate", spec.version)
            change.record(
                "rollout.create", domain=domain_id, resource=f"rollout/{stored.id}", name=stored.name, spec=dump(spec)
            )
        return stored

    def apply(self, name: str, spec: RolloutSpec, *, actor: str = "", request_id: str = "") -> StoredRollout:
        """Make the rollout of this name be as ``spec`` says: start it, leave it, or begin it again with a changed spec.

        An unchanged spec changes nothing; a changed one begins at step 0 with new evidence and clears an abort.

        Raises:
            Refused: the rollout of this name was promoted or undone; a new one needs a new name.
        """
        with self._changes.reading() as connection:
            known = rollouts.named(connection, name)
        if known is None:
            return self.deploy_with_rollout(
                spec.domain, spec.version, spec, actor=actor, name=name, request_id=request_id
            )
        if known.spec == spec:
            return known
        if known.domain != spec.domain:
            raise Conflict(f"rollout {name!r} is of domain {known.domain!r}", hint="choose another name")
        with self._changes.begin(actor, request_id) as change:
            status, decision = commands.revise(known.status, change.at)
            revised = evolve(known, spec=spec, status=status)
            admit(change.connection, revised)
            revision = rollouts.revise(
                change.connection,
                known.id,
                spec,
                status,
                expected_revision=known.revision,
                at=change.at,
                actor=change.actor,
            )
            saved = evolve(revised, revision=revision, spec_revision=known.spec_revision + 1)
            return settle(change, self._traffic, saved, known.status, decision)

    def get(self, ref: str) -> StoredRollout:
        """Give a rollout by its id, its name, or the id of its domain (then the newest one).

        Raises:
            NotFound: there is none.
        """
        with self._changes.reading() as connection:
            return find(connection, ref)

    def page(
        self, *, domain: str | None = None, active: bool = False, after: str | None = None, limit: int = 50
    ) -> Page[StoredRollout]:
        """List rollouts, the newest first; of one domain, or only those not at their end, when asked."""
        with self._changes.reading() as connection:
            phases = tuple(ACTIVE) if active else ()
            return rollouts.page(connection, domain=domain, phases=phases, after=after, limit=limit)

    def decisions(self, ref: str, *, after: str | None = None, limit: int = 50) -> Page[StoredDecision]:
        """List what was decided about a rollout, in order."""
        with self._changes.reading() as connection:
            return rollouts.decisions(connection, find(connection, ref).id, after=after, limit=limit)

    def looks(
        self, ref: str, *, after: str | None = None, limit: int = 50, newest_first: bool = False
    ) -> Page[StoredLook]:
        """List what was seen of a rollout, in order."""
        with self._changes.reading() as connection:
            found = find(connection, ref)
            return rollouts.looks(connection, found.id, after=after, limit=limit, newest_first=newest_first)

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
    ) -> RolloutPlan:
        """Say, before starting, how long each step must last to see a metric get ``ratio`` times worse.

        Traffic and bad rate are read from the domain's last day unless given (of a metric with a source: from the
        source's last hour); the metric is the first rate guarded.

        Raises:
            Unavailable: the metric's source does not answer.
            InvalidInput: the domain had no traffic and none was given, or a figure is out of range.
        """
        spec = spec_of(domain_id, model_version, rollout_schedule)
        with self._changes.reading() as connection:
            config = domains.get(connection, domain_id).config
            stable = versions.aliases(connection, domain_id).get("stable", "")
        rates = [g.metric for g in spec.guardrails if config.metric(g.metric).kind is MetricKind.RATE]
        if not metric and not rates:
            raise InvalidInput("none of the guardrails is a rate", hint="plan needs a rate, such as errors")
        chosen = config.metric(metric or rates[0])
        if requests_per_minute is None or bad_rate is None:
            now = self._instruments.now()
            if chosen.source is None:
                seen, measured = insight.traffic_of(self._lake, domain_id, chosen, now)
            else:
                seen, measured = readings.traffic_of(chosen, domain_id, stable, now)
            requests_per_minute = seen if requests_per_minute is None else requests_per_minute
            bad_rate = measured if bad_rate is None else bad_rate
        return planning.plan(
            spec, chosen.name, requests_per_minute=requests_per_minute, bad_rate=bad_rate, ratio=ratio, power=power
        )

    def explain(self, ref: str) -> Explanation:
        """Say why a rollout is where it is, and what a look at this moment decides; writes nothing."""
        with self._changes.reading() as connection:
            stored = find(connection, ref)
            return insight.explain(connection, self._lake, self._traffic, stored, self._instruments.now())

    def analytics(self, ref: str) -> Analytics:
        """Say how long each step took, what the canary served, and how much exposure was saved."""
        with self._changes.reading() as connection:
            return insight.analyse(connection, find(connection, ref))

    def replay(self, ref: str, rollout_schedule: Schedule | None = None, *, attempt: int | None = None) -> Replay:
        """Run a rollout's recorded evidence through another schedule or other guardrails; writes nothing.

        Args:
            ref: the rollout whose evidence is replayed.
            rollout_schedule: the other spec; its own unless given. A mapping changes the fields it names.
            attempt: which attempt; the latest unless given.

        Raises:
            InvalidInput: the attempt recorded no evidence.
        """
        with self._changes.reading() as connection:
            stored = find(connection, ref)
            looks = insight.all_looks(connection, stored.id, attempt or stored.status.attempt)
        if isinstance(rollout_schedule, Mapping):
            rollout_schedule = {**dump(stored.spec), **rollout_schedule}
        spec = stored.spec
        if rollout_schedule is not None:
            spec = spec_of(spec.domain, spec.version, rollout_schedule)
        return replay(spec, looks)

    def pause(
        self, ref: str, *, actor: str = "", why: str = "", expected: int | None = None, request_id: str = ""
    ) -> StoredRollout:
        """Stand still until a person resumes; the evidence is judged on and may abort."""
        return self._do(ref, actor, expected, request_id, lambda _, it, now: commands.pause(it.status, now, why))

    def resume(
        self, ref: str, *, actor: str = "", why: str = "", expected: int | None = None, request_id: str = ""
    ) -> StoredRollout:
        """Go on from a pause."""
        return self._do(ref, actor, expected, request_id, lambda _, it, __: commands.resume(it.status, why))

    def promote(
        self,
        ref: str,
        *,
        actor: str = "",
        why: str = "",
        full: bool = False,
        expected: int | None = None,
        request_id: str = "",
    ) -> StoredRollout:
        """Be done with this step; with ``full``, make the version stable at once."""

        def verb(connection: Connection, it: StoredRollout, now: datetime) -> commands.Outcome:
            if not full:
                return commands.promote(it.spec, it.status, now, why)
            stable = versions.aliases(connection, it.domain).get("stable", "")
            return commands.promote_fully(it.spec, it.status, stable, now, why)

        return self._do(ref, actor, expected, request_id, verb)

    def abort(
        self, ref: str, *, actor: str = "", why: str = "", expected: int | None = None, request_id: str = ""
    ) -> StoredRollout:
        """Take the version back at once; nothing outranks this."""
        return self._do(
            ref, actor, expected, request_id, lambda _, it, now: commands.abort(it.status, now, why), again=4
        )

    def retry(
        self, ref: str, *, actor: str = "", why: str = "", expected: int | None = None, request_id: str = ""
    ) -> StoredRollout:
        """Begin again at step 0 with new evidence."""

        def verb(connection: Connection, it: StoredRollout, now: datetime) -> commands.Outcome:
            admit(connection, it)
            return commands.retry(it.status, now, why)

        return self._do(ref, actor, expected, request_id, verb)

    def undo(
        self, ref: str, *, actor: str = "", why: str = "", expected: int | None = None, request_id: str = ""
    ) -> StoredRollout:
        """Return to the version that was stable before a promotion, at once.

        Raises:
            Refused: another version became stable since; undoing an old promotion would take back the newer one.
        """

        def verb(connection: Connection, it: StoredRollout, now: datetime) -> commands.Outcome:
            outcome = commands.undo(it.spec, it.status, now, why)
            newest = rollouts.latest(connection, it.domain)
            stable = versions.aliases(connection, it.domain).get("stable", "")
            if stable != it.spec.version or (newest is not None and newest.status.phase in ACTIVE):
                raise commands.moved_on(it.domain, stable)
            return outcome

        return self._do(ref, actor, expected, request_id, verb)

    def set_weight(
        self,
        ref: str,
        weight: float,
        *,
        actor: str = "",
        why: str = "",
        expected: int | None = None,
        request_id: str = "",
    ) -> StoredRollout:
        """Give the canary another weight now, in percent, up to that of its step."""

        def verb(connection: Connection, it: StoredRollout, now: datetime) -> commands.Outcome:
            newest = plans.current(connection, it.domain)
            return commands.set_weight(it.spec, it.status, weight, newest.plan.revision if newest else 0, now, why)

        return self._do(ref, actor, expected, request_id, verb)

    def _do(
        self, ref: str, actor: str, expected: int | None, request_id: str, verb: _Verb, *, again: int = 0
    ) -> StoredRollout:
        """Run a verb on a rollout; ``again`` says how often to try once more when the reconciler was faster."""
        try:
            with self._changes.begin(actor, request_id) as change:
                it = find(change.connection, ref)
                _expect(it, expected)
                status, decision = verb(change.connection, it, change.at)
                return commit(change, self._traffic, it, status, decision)
        except Conflict:
            if expected is not None or again == 0:
                raise
        return self._do(ref, actor, expected, request_id, verb, again=again - 1)


def _expect(it: StoredRollout, expected: int | None) -> None:
    if expected is not None and expected != it.revision:
        raise StaleRevision(f"rollout {it.name!r} is at revision {it.revision}, not {expected}", hint="read it again")
