"""Taking the winner of an experiment live, by a rollout of its version.

The verdict is written first and the rollout begins in a transaction of its own, which also notes it in the experiment:
a rollout that cannot begin yet (another one is active) must not keep a verdict from being written, and because the
rollout and the note of it are one transaction, dying anywhere starts it exactly once.
"""

from vedette.control.change import Changes
from vedette.control.experiment_admission import rollout_of
from vedette.control.experiment_commit import commit
from vedette.control.rollouts import CanaryDeployment
from vedette.control.traffic import Traffic
from vedette.experiments.machine import Phase
from vedette.kernel.decision import Action, Decision, reason
from vedette.kernel.errors import Refused
from vedette.kernel.records import evolve
from vedette.rollouts.spec import RolloutSpec
from vedette.store.experiments import StoredExperiment
from vedette.store.leases import Lease
from vedette.store.rollouts import StoredRollout


def winners_rollout(stored: StoredExperiment) -> RolloutSpec:
    """Give the rollout that takes the winner of a decided experiment live.

    Raises:
        Refused: nothing was decided, nobody or the control won, the winner changes more than the version, or its
            rollout was started already.
    """
    status, conclusion = stored.status, stored.status.conclusion
    if status.phase is not Phase.DECIDED or conclusion is None:
        raise Refused(f"experiment {stored.name!r} is {status.phase}", hint="decide on a winner first")
    if conclusion.winner in {"", stored.spec.control_name}:
        won = "the control" if conclusion.winner else "nobody"
        raise Refused(f"{won} won {stored.name!r}: there is nothing to take live")
    if status.rollout:
        raise Refused(f"rollout {status.rollout!r} took the winner up already", hint="vedette rollout retry, or undo")
    return rollout_of(stored.spec, conclusion.winner)


def rollout_name(stored: StoredExperiment, version: str) -> str:
    """Name the rollout of an experiment's winner."""
    return f"{stored.name}-{version}"[:63].rstrip("-_.")


def take_live(
    changes: Changes,
    traffic: Traffic,
    canary: CanaryDeployment,
    stored: StoredExperiment,
    *,
    actor: str,
    why: str = "",
    request_id: str = "",
    lease: Lease | None = None,
) -> StoredRollout:
    """Start the rollout of the winner's version and note it in the experiment, in one transaction.

    Raises:
        Refused: as `winners_rollout`, or the rollout is.
        Conflict: the domain has a rollout that is not at its end, or the experiment was changed since it was read.
        LeaseLost: another replica holds the experiment now.
    """
    asked = winners_rollout(stored)
    with changes.together():
        rollout = canary.deploy_with_rollout(
            stored.domain,
            asked.version,
            asked,
            actor=actor,
            name=rollout_name(stored, asked.version),
            request_id=request_id,
        )
        said = reason("taken-up", why or f"rollout {rollout.name} takes {asked.version} live", rollout=rollout.id)
        with changes.begin(actor, request_id) as change:
            status = evolve(stored.status, awaiting_rollout="", rollout=rollout.id)
            commit(change, traffic, stored, status, Decision(action=Action.PROMOTE, reasons=(said,)), lease=lease)
    return rollout
