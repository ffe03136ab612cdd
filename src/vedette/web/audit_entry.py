"""One audit entry: what it is about, what it changed, and whether it still is what its hash and its neighbours say."""

from collections.abc import Mapping
from typing import Any

from vedette.control.plane import ControlPlane
from vedette.governance.audit import GENESIS, AuditEntry, hash_of
from vedette.kernel.documents import dump
from vedette.kernel.errors import NotFound
from vedette.kernel.records import record
from vedette.web.differences import Difference, differences, recorded

_NO_STATE = frozenset({"decision", "why", "reasons", "request_id"})
"""What an entry says beside the state that it left its resource in."""


@record
class Proof:
    """What can be proven of one entry: that it is what its hash says, and that its neighbours are chained to it.

    ``before`` and ``after`` are None where there is no such neighbour.
    """

    whole: bool
    before: bool | None
    after: bool | None


def proof_of(plane: ControlPlane, entry: AuditEntry) -> Proof:
    """Check one entry against its hash and its neighbours."""
    before, after = _near(plane, entry.sequence - 1), _near(plane, entry.sequence + 1)
    first = entry.sequence == 1
    chained = entry.previous_hash == (GENESIS if first else before.entry_hash if before else "")
    return Proof(
        whole=hash_of(entry) == entry.entry_hash,
        before=chained if before or first else None,
        after=after.previous_hash == entry.entry_hash if after else None,
    )


def _near(plane: ControlPlane, sequence: int) -> AuditEntry | None:
    try:
        return plane.governance.entry(sequence) if sequence > 0 else None
    except NotFound:
        return None


def changes_of(plane: ControlPlane, entry: AuditEntry) -> tuple[Difference, ...]:
    """Say what an entry changed: as it says itself, or against the entry before about the same thing."""
    if said := recorded(entry.details):
        return said
    if entry.action == "traffic.publish":
        return _plans(plane, entry)
    earlier = plane.governance.before(entry)
    if earlier is None:
        return ()
    old, new = _state(earlier.details), _state(entry.details)
    shared = old.keys() & new.keys()
    return differences(
        {name: old[name] for name in old if name in shared}, {name: new[name] for name in new if name in shared}
    )


def _state(details: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in details.items() if name not in _NO_STATE}


def _plans(plane: ControlPlane, entry: AuditEntry) -> tuple[Difference, ...]:
    """Compare a traffic plan with the one before it."""
    _, _, name = entry.resource.partition("/")
    domain, _, said = name.rpartition("/")
    number = int(said) if said.isdigit() else 0
    if number < 2:
        return ()
    try:
        old, new = (dump(plane.traffic.revision(domain, it).plan) for it in (number - 1, number))
    except NotFound:
        return ()
    return tuple(it for it in differences(old, new) if not it.path.startswith(("revision", "backends")))


def address(resource: str) -> str:
    """Give the page of what an entry is about; empty when it has none."""
    kind, _, name = resource.partition("/")
    match kind:
        case "rollout" | "experiment" | "domain":
            return f"/{kind}s/{name}"
        case "plan" | "version":
            return f"/domains/{name.partition('/')[0]}"
    return ""


def name_of(entry: AuditEntry) -> str:
    """Say what an entry is about as short as it stays clear: by its name if it has one, else the end of its id."""
    kind, _, place = entry.resource.partition("/")
    name = entry.details.get("name")
    if kind in {"rollout", "experiment"}:
        return f"{kind} {name if isinstance(name, str) and name else '…' + place[-6:]}"
    if kind == "plan":
        return f"plan {place.rpartition('/')[2]}"
    return f"{kind} {place.rpartition('/')[2]}" if kind else ""
