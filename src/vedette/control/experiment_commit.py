"""Committing what an experiment does next: status, look, decision, audit entry, traffic plan and outbox, together."""

from vedette.control.change import Change
from vedette.control.notices import tell
from vedette.control.traffic import Traffic
from vedette.experiments.machine import ExperimentStatus, Phase
from vedette.kernel.decision import Action, Decision
from vedette.kernel.documents import dump
from vedette.store import experiments
from vedette.store.experiments import ExperimentDecision, ExperimentLook, StoredExperiment
from vedette.store.leases import Lease


def commit(
    change: Change,
    traffic: Traffic,
    stored: StoredExperiment,
    status: ExperimentStatus,
    decision: Decision,
    *,
    lease: Lease | None = None,
    look: ExperimentLook | None = None,
) -> StoredExperiment:
    """Write where an experiment is now and everything that follows from it, inside ``change``; give it as it is then.

    Raises:
        StaleRevision: the experiment, or its domain's traffic plan, was changed since it was read; nothing is written.
        LeaseLost: another replica holds the experiment now; nothing is written.
    """
    saved = experiments.save(change.connection, stored, status, at=change.at, lease=lease)
    if look:
        experiments.add_look(change.connection, look)
    experiments.add_decision(
        change.connection,
        ExperimentDecision(
            experiment=stored.id,
            at=change.at,
            epoch=status.epoch,
            phase=status.phase,
            actor=change.actor,
            decision=decision,
        ),
    )
    event = f"experiment.{_what(stored.status, status, decision)}"
    change.record(
        event,
        domain=stored.domain,
        resource=f"experiment/{stored.id}",
        name=stored.name,
        phase=status.phase,
        epoch=status.epoch,
        exposed=status.exposed,
        decision=dump(decision),
    )
    traffic.publish(change, stored.domain)
    if decision.action is not Action.HOLD:
        said = {
            "event": event,
            "experiment": stored.id,
            "name": stored.name,
            "domain": stored.domain,
            "phase": status.phase,
            "epoch": status.epoch,
            "winner": status.conclusion.winner if status.conclusion else "",
            "rollout": status.rollout,
            "at": change.at.isoformat(),
            "actor": change.actor,
            "reasons": [dump(item) for item in decision.reasons],
        }
        tell(change, f"{stored.id}/{saved.revision}", stored.spec.webhooks, said)
    return saved


def _what(before: ExperimentStatus, after: ExperimentStatus, decision: Decision) -> str:
    """Name what happened: a verdict that was acted on is a decision, whatever follows from it."""
    if after.phase is Phase.DECIDED and before.phase is not Phase.DECIDED:
        return Action.DECIDE
    return "look" if decision.action is Action.HOLD else decision.action
