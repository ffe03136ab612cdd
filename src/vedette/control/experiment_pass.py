"""Moving one experiment: look at it, ask what follows, commit that; and take a winner live that waits for its rollout.

A pass that changes nothing writes nothing. What is remembered here is a cache of what the last kept looks told.
"""

from collections.abc import Collection

from vedette.control.change import Changes
from vedette.control.experiment_commit import commit
from vedette.control.experiment_look import Told, evidence_of, kept, last_told, metrics_of, telling, units_of
from vedette.control.experiment_promotion import rollout_name, take_live, winners_rollout
from vedette.control.instruments import Instruments
from vedette.control.passes import Unread
from vedette.control.rollouts import CanaryDeployment
from vedette.control.traffic import Traffic
from vedette.experiments.advance import RECONCILER, advance
from vedette.experiments.machine import ExperimentStatus
from vedette.kernel.decision import Action, Decision, reason
from vedette.kernel.errors import Conflict, InvalidInput, NotFound, Refused
from vedette.kernel.records import evolve
from vedette.lake.evidence import LakeReader
from vedette.store import experiments, leases, versions
from vedette.store.experiments import StoredExperiment
from vedette.store.leases import Lease

_REFUSED = "rollout-refused"


class ExperimentMover:
    """Moves experiments, one at a time, under the lease the caller holds."""

    def __init__(
        self, changes: Changes, traffic: Traffic, lake: LakeReader, canary: CanaryDeployment, instruments: Instruments
    ) -> None:
        self._changes = changes
        self._traffic = traffic
        self._lake = lake
        self._canary = canary
        self._instruments = instruments
        self._told: dict[str, Told | None] = {}

    def forget(self, but: Collection[str] = ()) -> None:
        """Forget what was told of all experiments but these ids: another replica may have looked since."""
        self._told = {it: told for it, told in self._told.items() if it in but}

    def move(self, stored: StoredExperiment, lease: Lease, unread: Unread) -> bool:
        """Take one look, or try to take a winner live; say whether anything was changed.

        ``unread`` is told why evidence cannot be read; then nothing is done.

        Raises:
            LeaseLost: another replica holds the experiment now; nothing was written.
            Conflict: it was changed meanwhile; nothing was written.
        """
        if stored.status.awaiting_rollout:
            return self._take_live(stored, lease)
        now = self._instruments.now()
        with self._changes.reading() as connection:
            if experiments.get(connection, stored.id).revision != stored.revision:
                return False
            metrics = metrics_of(connection, stored)
            if stored.id not in self._told:
                self._told[stored.id] = last_told(connection, stored)
        evidence = evidence_of(self._lake, stored, unread)
        if evidence is None:
            return False
        step = advance(stored.spec, stored.status, metrics, evidence, now)
        if step.analysis is None:
            return False
        units = units_of(stored, evidence)
        changed = step.status != stored.status
        look = kept(stored, step.analysis, units, self._told[stored.id], at=now, anyway=changed)
        if changed:
            with self._changes.begin(RECONCILER) as change:
                saved = commit(change, self._traffic, stored, step.status, step.decision, lease=lease, look=look)
        elif look:
            with self._changes.store.transaction() as connection:
                leases.fence(connection, lease)
                experiments.add_look(connection, look)
        if look:
            self._told[stored.id] = telling(look.units, step.analysis.verdict)
        if changed and saved.status.awaiting_rollout:
            self._take_live(saved, lease)
        return changed

    def _take_live(self, stored: StoredExperiment, lease: Lease) -> bool:
        """Start the winner's rollout if it may begin; else tell so once, and try again at the next pass."""
        refused = None
        try:
            asked = winners_rollout(stored)
            with self._changes.reading() as connection:
                if versions.aliases(connection, stored.domain).get("stable") == asked.version:
                    said = reason("nothing-to-take-up", f"{asked.version} is stable already")
                    status = evolve(stored.status, awaiting_rollout="")
                    return self._note(stored, status, Decision(action=Action.NOTIFY, reasons=(said,)), lease)
            name = rollout_name(stored, asked.version)
            self._canary.deploy_with_rollout(
                stored.domain, asked.version, asked, actor=RECONCILER, name=name, dry_run=True
            )
        except (Refused, Conflict, NotFound, InvalidInput) as error:
            refused = reason(_REFUSED, f"the rollout of the winner cannot begin yet: {error.message}")
        if refused is None:
            take_live(self._changes, self._traffic, self._canary, stored, actor=RECONCILER, lease=lease)
            return True
        if _REFUSED in stored.status.notified:
            return False
        status = evolve(stored.status, notified=(*stored.status.notified, _REFUSED))
        return self._note(stored, status, Decision(action=Action.NOTIFY, reasons=(refused,)), lease)

    def _note(self, stored: StoredExperiment, status: ExperimentStatus, decision: Decision, lease: Lease) -> bool:
        with self._changes.begin(RECONCILER) as change:
            commit(change, self._traffic, stored, status, decision, lease=lease)
        return True
