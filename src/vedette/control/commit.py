"""Committing what a rollout does next: status, aliases, decision, audit entry, traffic plan and outbox, together."""

from collections.abc import Mapping
from typing import Any

from vedette.control.change import Change
from vedette.control.notices import tell
from vedette.control.traffic import Traffic
from vedette.kernel.decision import Action, Decision
from vedette.kernel.documents import dump
from vedette.kernel.errors import StaleRevision
from vedette.kernel.records import evolve
from vedette.rollouts.machine import Phase, RolloutStatus
from vedette.store import rollouts, versions
from vedette.store.leases import Lease
from vedette.store.rollouts import StoredDecision, StoredRollout

UNDO = "undo of "
"""How the cause of a tenure begins that ended another one by undo."""


def commit(
    change: Change,
    traffic: Traffic,
    stored: StoredRollout,
    status: RolloutStatus,
    decision: Decision,
    *,
    watched: float = 0.0,
    lease: Lease | None = None,
) -> StoredRollout:
    """Write where a rollout is now and everything that follows from it, inside ``change``.

    Raises:
        StaleRevision: the rollout, or its domain's traffic plan, was changed since it was read; nothing is written.
        LeaseLost: another replica holds the rollout now; nothing is written.
    """
    revision = rollouts.save(change.connection, stored.id, status, expected_revision=stored.revision, lease=lease)
    return settle(change, traffic, evolve(stored, status=status, revision=revision), stored.status, decision, watched)


def settle(
    change: Change,
    traffic: Traffic,
    stored: StoredRollout,
    before: RolloutStatus,
    decision: Decision,
    watched: float = 0.0,
) -> StoredRollout:
    """Do what follows from a status that was just saved: aliases, record, plan, notifications."""
    status = stored.status
    _set_aliases(change, stored, before)
    if decision.action is not Action.HOLD:
        rollouts.add_decision(
            change.connection,
            StoredDecision(
                rollout=stored.id,
                attempt=status.attempt,
                step=status.step,
                at=change.at,
                watched=watched,
                weight=status.weight,
                phase=status.phase,
                actor=change.actor,
                decision=decision,
            ),
        )
    change.record(
        f"rollout.{'confirm' if decision.action is Action.HOLD else decision.action}",
        domain=stored.domain,
        resource=f"rollout/{stored.id}",
        phase=status.phase,
        attempt=status.attempt,
        step=status.step,
        weight=status.weight,
        decision=dump(decision),
    )
    plan = traffic.publish(change, stored.domain)
    if status.step_plan != before.step_plan and status.weight > 0 and plan.revision != status.step_plan:
        raise StaleRevision(f"the traffic plan of {stored.domain!r} was changed meanwhile", hint="look again")
    if decision.action is not Action.HOLD:
        tell(change, f"{stored.id}/{stored.revision}", stored.spec.webhooks, _news(change, stored, decision))
    return stored


def _set_aliases(change: Change, stored: StoredRollout, before: RolloutStatus) -> None:
    connection, domain, status = change.connection, stored.domain, stored.status
    if status.phase is before.phase and status.attempt == before.attempt:
        return
    if status.phase is Phase.PROMOTED:
        versions.install_stable(connection, domain, stored.spec.version, at=change.at, cause=f"rollout {stored.id}")
        versions.clear_alias(connection, domain, "candidate")
    elif status.phase is Phase.UNDONE:
        versions.install_stable(connection, domain, status.previous_stable, at=change.at, cause=f"{UNDO}{stored.id}")
    elif status.phase is Phase.ABORTED:
        versions.clear_alias(connection, domain, "candidate")
    else:
        versions.set_alias(connection, domain, "candidate", stored.spec.version)


def _news(change: Change, stored: StoredRollout, decision: Decision) -> Mapping[str, Any]:
    """Say what happened, for the people and machines that asked to be told."""
    status = stored.status
    return {
        "event": f"rollout.{decision.action}",
        "rollout": stored.id,
        "name": stored.name,
        "domain": stored.domain,
        "version": stored.spec.version,
        "phase": status.phase,
        "attempt": status.attempt,
        "step": status.step,
        "weight": status.weight,
        "at": change.at.isoformat(),
        "actor": change.actor,
        "reasons": [dump(item) for item in decision.reasons],
    }
