"""`MultiVariantTestManager`: which of these two to a hundred variants is better, by how much, how sure.

Verbs change an experiment under compare-and-swap and return it as it is then. What moves it between verbs is the
reconciler (`control.experiment_pass`). What an experiment found is read by the other half of the service
(`control.experiment_results`).
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from vedette.control import experiment_scores
from vedette.control.experiment_admission import Splits, Variants, admit, check, find, more_places, places, spec_of
from vedette.control.experiment_commit import commit
from vedette.control.experiment_promotion import take_live
from vedette.control.experiment_results import ExperimentResults
from vedette.control.experiment_scores import ScoresTaken
from vedette.control.foundation import Foundation
from vedette.control.rollouts import CanaryDeployment
from vedette.experiments import commands
from vedette.experiments.machine import Conclusion, Event, ExperimentStatus, Phase, follow
from vedette.experiments.spec import ExperimentSpec
from vedette.experiments.verdict import Status
from vedette.kernel.documents import dump
from vedette.kernel.errors import Conflict, Refused, StaleRevision
from vedette.kernel.fields import percent
from vedette.kernel.ids import check_name
from vedette.kernel.records import evolve
from vedette.routing.plan import millionths
from vedette.store import experiments
from vedette.store.experiments import StoredExperiment
from vedette.store.rollouts import StoredRollout

_Verb = Callable[[Connection, StoredExperiment, datetime], commands.Outcome]


class MultiVariantTestManager(ExperimentResults):
    """Experiments of all domains; ``MultiVariantTestManager(plane)`` makes one from any `ControlPlane`.

    What they found is read by the methods of `ExperimentResults`, which it is.
    """

    def __init__(self, plane: Foundation) -> None:
        super().__init__(plane)
        self._canary = CanaryDeployment(plane)

    def create_test(
        self,
        domain_id: str,
        variants: Variants,
        traffic_splits: Splits | None = None,
        *,
        name: str = "",
        actor: str = "",
        dry_run: bool = False,
        request_id: str = "",
        **design: Any,  # noqa: ANN401 - the other fields of an ExperimentSpec, each of its own type
    ) -> StoredExperiment:
        """Draft an experiment on ``domain_id``; `start` exposes it.

        Args:
            domain_id: the domain.
            variants: two to a hundred: `Variant` objects, mappings with their fields, or names. A name is a version of
                the domain to be served; the control's name may be none, and it is then served as the domain is. Or a
                whole `ExperimentSpec`, without splits and design.
            traffic_splits: each variant's share, in their order or by name: fractions that add up to 1, or percent
                that add up to 100. The variants' own weights (equal ones) unless given.
            name: what to call it; the domain's name and the end of its id unless given.
            actor: who asks; who opened the plane unless given.
            dry_run: check everything and write nothing.
            request_id: kept in the audit entry.
            design: the other fields of `ExperimentSpec`. ``metrics`` takes names too; the first one decides.

        Raises:
            InvalidInput: the design cannot be, or the splits do not add up (it says to what they do).
            NotFound: no such domain, version or metric.
            Conflict: another experiment has the name.
        """
        now = self._instruments.now()
        with self._changes.reading() as connection:
            newest = experiments.page(connection, limit=1).items
            experiment_id = self._instruments.new_id(after=newest[0].id if newest else "")
            spec = spec_of(connection, domain_id, variants, traffic_splits, design)
            stored = StoredExperiment(
                id=experiment_id,
                name=check_name(name or f"{domain_id}-{experiment_id[-12:]}"[:63], "experiment"),
                domain=domain_id,
                spec=spec,
                status=ExperimentStatus(salt=experiment_id, created_at=now),
                created_at=now,
                created_by=self._changes.who(actor),
                updated_at=now,
            )
            check(connection, stored)
        if dry_run:
            return stored
        with self._changes.begin(actor, request_id) as change:
            check(change.connection, stored)
            experiments.create(change.connection, stored)
            resource = f"experiment/{stored.id}"
            change.record("experiment.create", domain=domain_id, resource=resource, name=stored.name, spec=dump(spec))
        return stored

    def apply(self, name: str, spec: ExperimentSpec, *, actor: str = "", request_id: str = "") -> StoredExperiment:
        """Make the experiment of this name be as ``spec`` says: draft it, leave it, or change the draft.

        An unchanged spec changes nothing, whatever the experiment has come to.

        Raises:
            Conflict: the name is that of an experiment of another domain.
            Refused: it is no draft any more: what a running experiment asks cannot change.
        """
        with self._changes.reading() as connection:
            known = experiments.named(connection, name)
        if known is None:
            return self.create_test(spec.domain, spec, name=name, actor=actor, request_id=request_id)
        if known.spec == spec:
            return known
        if known.domain != spec.domain:
            raise Conflict(f"experiment {name!r} is of domain {known.domain!r}", hint="choose another name")
        if known.status.phase is not Phase.DRAFT:
            raise Refused(
                f"experiment {name!r} is {known.status.phase}: what it asks cannot change any more",
                hint="stop it, and draft the changed one under another name",
            )
        with self._changes.begin(actor, request_id) as change:
            follow(known.status.phase, Event.REVISE)
            check(change.connection, evolve(known, spec=spec))
            saved = experiments.revise(change.connection, known, spec, at=change.at)
            resource = f"experiment/{known.id}"
            change.record("experiment.revise", domain=known.domain, resource=resource, name=name, spec=dump(spec))
        return saved

    def start(
        self,
        ref: str,
        coverage: float | str | None = None,
        *,
        actor: str = "",
        why: str = "",
        expected: int | None = None,
        request_id: str = "",
    ) -> StoredExperiment:
        """Expose the experiment to ``coverage`` percent of its layer (what the spec says unless given).

        Raises:
            InvalidInput: more coverage than the spec reserves, or none.
            NotFound: a version or a metric is gone.
            Refused: it cannot start in this phase; the domain is not active or has no stable version; the layer has too
                few free places (it says how many); a running experiment of another layer changes the same thing; or it
                is offline, and starts with its scores.
        """
        wanted = None if coverage is None else percent(coverage)

        def verb(connection: Connection, it: StoredExperiment, now: datetime) -> commands.Outcome:
            follow(it.status.phase, Event.START)
            exposed = millionths(it.spec.coverage if wanted is None else wanted)
            admit(connection, it, exposed)
            return commands.start(it.spec, it.status, places(connection, it), exposed, now, why)

        return self._do(ref, actor, expected, request_id, verb)

    def ramp(
        self,
        ref: str,
        coverage: float | str,
        *,
        actor: str = "",
        why: str = "",
        expected: int | None = None,
        request_id: str = "",
    ) -> StoredExperiment:
        """Raise the coverage to so many percent of the layer; nobody who takes part moves.

        Beyond what the experiment reserved it takes what is free in its layer.

        Raises:
            InvalidInput: the coverage is none.
            Refused: it would shrink (that would move people out of their arms), the layer has too few free places, or
                the experiment does not run.
        """
        wanted = millionths(percent(coverage))

        def verb(connection: Connection, it: StoredExperiment, _: datetime) -> commands.Outcome:
            follow(it.status.phase, Event.RAMP)
            return commands.ramp(it.status, more_places(connection, it, wanted), wanted, why)

        return self._do(ref, actor, expected, request_id, verb)

    def stop_arm(
        self,
        ref: str,
        arm: str,
        *,
        actor: str = "",
        why: str = "",
        expected: int | None = None,
        request_id: str = "",
    ) -> StoredExperiment:
        """Take one arm out at once: its units are served as the domain is; the last treatment taken out ends it all.

        Raises:
            InvalidInput: there is no such arm, or it was taken out already.
            Refused: it is the control, or the experiment does not run.
        """

        def verb(_: Connection, it: StoredExperiment, now: datetime) -> commands.Outcome:
            return commands.stop_arm(it.spec, it.status, arm, now, why)

        return self._do(ref, actor, expected, request_id, verb, again=4)

    def stop(
        self, ref: str, *, actor: str = "", why: str = "", expected: int | None = None, request_id: str = ""
    ) -> StoredExperiment:
        """End the experiment: it exposes nobody any more, and does not start again.

        Raises:
            Refused: it does not run.
        """
        return self._do(
            ref, actor, expected, request_id, lambda _, it, now: commands.stop(it.status, now, why), again=4
        )

    def decide(
        self,
        ref: str,
        winner: str = "",
        *,
        actor: str = "",
        why: str = "",
        expected: int | None = None,
        request_id: str = "",
    ) -> StoredExperiment:
        """Say what follows: that ``winner`` won, or (empty) that nobody did. One that still runs is stopped first.

        Where the spec says ``onWinner: promote``, the reconciler starts the rollout of the winner's version.

        Raises:
            InvalidInput: the winner is no variant.
            Refused: the winner was taken out, or the experiment is a draft or archived.
        """
        by = self._changes.who(actor)

        def verb(connection: Connection, it: StoredExperiment, now: datetime) -> commands.Outcome:
            kept = experiments.looks(connection, it.id, limit=1, newest_first=True).items
            verdict = kept[0].verdict if kept else Status.INSUFFICIENT
            conclusion = Conclusion(verdict=verdict, winner=winner, by=by, because=why, at=now)
            return commands.decide(it.spec, it.status, conclusion, why)

        return self._do(ref, actor, expected, request_id, verb, again=4)

    def archive(
        self, ref: str, *, actor: str = "", why: str = "", expected: int | None = None, request_id: str = ""
    ) -> StoredExperiment:
        """Put an experiment away for good; its record stays. A winner that still waits for its rollout waits no more.

        Raises:
            Refused: it runs.
        """
        return self._do(ref, actor, expected, request_id, lambda _, it, __: commands.archive(it.status, why))

    def promote(self, ref: str, *, actor: str = "", why: str = "", request_id: str = "") -> StoredRollout:
        """Start the rollout of the version of the winner that was decided on, over the spec's ``rollout`` fields.

        Raises:
            Refused: nothing was decided, nobody or the control won, the winner changes more than the version, or its
                rollout was started already.
            Conflict: the domain has a rollout that is not at its end.
        """
        named = self._changes.who(actor)
        with self._changes.reading() as connection:
            it = find(connection, ref)
        return take_live(self._changes, self._traffic, self._canary, it, actor=named, why=why, request_id=request_id)

    def record_scores(
        self, ref: str, rows: Iterable[Mapping[str, Any]], *, actor: str = "", request_id: str = ""
    ) -> ScoresTaken:
        """Take in scores of an offline experiment, whose variants answered the same prompts; the first ones start it.

        Args:
            ref: the experiment.
            rows: one a prompt and variant: ``prompt``, ``variant``, the measures by name, and ``cluster`` where prompts
                belong together (one document, one conversation). Prompts that not all variants answered in all
                measures are left out, and so are those that were scored before; the answer says how many.
            actor: who asks.
            request_id: kept in the audit entry.

        Raises:
            InvalidInput: a row lacks prompt or variant, names an unknown variant, or a measure is no finite number.
            Refused: the experiment is not offline, or neither a draft nor running.
        """
        return experiment_scores.record_scores(
            self._changes, self._traffic, ref, rows, actor=actor, request_id=request_id
        )

    def _do(
        self, ref: str, actor: str, expected: int | None, request_id: str, verb: _Verb, *, again: int = 0
    ) -> StoredExperiment:
        """Run a verb on an experiment; ``again`` says how often to try once more when the reconciler was faster."""
        try:
            with self._changes.begin(actor, request_id) as change:
                it = find(change.connection, ref)
                if expected not in {None, it.revision}:
                    raise StaleRevision(
                        f"experiment {it.name!r} is at revision {it.revision}, not {expected}", hint="read it again"
                    )
                status, decision = verb(change.connection, it, change.at)
                return commit(change, self._traffic, it, status, decision)
        except Conflict:
            if expected is not None or again == 0:
                raise
        return self._do(ref, actor, expected, request_id, verb, again=again - 1)
