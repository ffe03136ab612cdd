"""What a rollout must be before it may run: found by whatever people call it, read from a schedule, admitted."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection

from vedette.catalog.lifecycle import DomainState
from vedette.evidence.metric import MetricKind
from vedette.kernel.documents import load
from vedette.kernel.errors import Conflict, InvalidInput, NotFound, Refused
from vedette.rollouts.machine import ACTIVE, Phase
from vedette.rollouts.spec import RolloutSpec
from vedette.store import domains, rollouts, versions
from vedette.store.rollouts import StoredRollout

Schedule = RolloutSpec | Mapping[str, Any] | Sequence[float | str]
"""A spec, a mapping with its fields, or a sequence of weights."""


def find(connection: Connection, ref: str) -> StoredRollout:
    """Give a rollout by its id, its name, or the id of its domain (then the newest one).

    Raises:
        NotFound: there is none.
    """
    try:
        return rollouts.get(connection, ref)
    except NotFound:
        found = rollouts.named(connection, ref) or rollouts.latest(connection, ref)
        if found is None:
            raise NotFound(
                f"there is no rollout {ref!r}",
                hint="name it by its id, its name or its domain; see vedette rollout list",
            ) from None
        return found


def spec_of(domain: str, version: str, schedule: Schedule | None) -> RolloutSpec:
    """Read a schedule as the spec of a rollout of ``version`` in ``domain``.

    Raises:
        InvalidInput: it is none, or it is for another domain or version.
    """
    if isinstance(schedule, RolloutSpec):
        if (schedule.domain, schedule.version) != (domain, version):
            raise InvalidInput(f"the schedule is for {schedule.domain}/{schedule.version}, not {domain}/{version}")
        return schedule
    fields: dict[str, Any] = dict(schedule) if isinstance(schedule, Mapping) else {}
    if schedule is not None and not isinstance(schedule, Mapping):
        fields = {"steps": [{"weight": weight} for weight in schedule]}
    return load(RolloutSpec, {**fields, "domain": domain, "version": version})


def admit(connection: Connection, rollout: StoredRollout) -> None:
    """Refuse a rollout that could not run.

    Raises:
        NotFound: no such domain, version or guardrail metric.
        InvalidInput: a guardrail could never be judged in the last step.
        Conflict: the domain has a rollout that is not at its end.
        Refused: the domain is not active, has no stable version, or the version is stable already.
    """
    spec = rollout.spec
    domain = domains.get(connection, spec.domain)
    if domain.state is not DomainState.ACTIVE:
        raise Refused(f"domain {domain.id!r} is {domain.state}", hint="restore it first")
    versions.get(connection, spec.domain, spec.version)
    for guardrail in spec.guardrails:
        kind = domain.config.metric(guardrail.metric).kind
        unseen = kind is not MetricKind.RATE or len(spec.steps) == 1  # rates remember the stable of earlier steps
        if spec.hold_back == 0 and unseen and not guardrail.dry_run:
            raise InvalidInput(
                f"without a hold-back nothing is left on stable to compare {guardrail.metric} with in the last step",
                hint="keep one, such as holdBack: 1%",
            )
    stable = versions.aliases(connection, spec.domain).get("stable", "")
    if not stable:
        raise Refused(
            f"domain {domain.id!r} has no stable version to compare with",
            hint="make its first version stable: vedette version install",
        )
    if stable == spec.version:
        raise Refused(f"{spec.version!r} is stable already", hint="there is nothing to roll out")
    newest = rollouts.latest(connection, spec.domain)
    if newest is None:
        return
    if newest.id != rollout.id and newest.status.phase in ACTIVE:
        raise Conflict(
            f"domain {domain.id!r} has a rollout already: {newest.name} ({newest.status.phase})",
            hint="wait for it, or abort it; one domain has one rollout at a time",
        )
    if newest.id > rollout.id:  # the newest rollout of a domain is the one that plans and names are about
        raise Refused(f"{rollout.name!r} is over: {newest.name!r} came after it", hint="start a new rollout")
    _refuse_while_group_returns(connection, newest)


def _refuse_while_group_returns(connection: Connection, newest: StoredRollout) -> None:
    """Refuse to begin again on a domain whose abort the others of its group have yet to see."""
    group, aborted = newest.spec.group, newest.status
    if group is None or aborted.phase is not Phase.ABORTED or aborted.ended_at is None:
        return
    peers = rollouts.in_group(connection, group.name)
    left = [it.domain for it in peers if it.status.phase in ACTIVE and it.status.queued_at <= aborted.ended_at]
    if left:
        raise Refused(
            f"group {group.name!r} still comes back: {', '.join(left)}", hint="begin again when all are taken back"
        )
