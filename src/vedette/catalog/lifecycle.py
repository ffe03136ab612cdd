"""The life of a domain as a table: what may follow what, and nothing else.

An archived domain serves nothing and loses nothing. A deleted domain keeps its audit entries, for ever.
"""

from collections.abc import Mapping
from enum import StrEnum

from vedette.kernel.errors import Refused


class DomainState(StrEnum):
    """Where a domain is in its life."""

    ACTIVE = "active"
    ARCHIVED = "archived"
    DELETED = "deleted"


class DomainEvent(StrEnum):
    """What may happen to a domain."""

    UPDATE = "update"
    ARCHIVE = "archive"
    RESTORE = "restore"
    DELETE = "delete"


LIFECYCLE: Mapping[tuple[DomainState, DomainEvent], DomainState] = {
    (DomainState.ACTIVE, DomainEvent.UPDATE): DomainState.ACTIVE,
    (DomainState.ACTIVE, DomainEvent.ARCHIVE): DomainState.ARCHIVED,
    (DomainState.ACTIVE, DomainEvent.DELETE): DomainState.DELETED,
    (DomainState.ARCHIVED, DomainEvent.RESTORE): DomainState.ACTIVE,
    (DomainState.ARCHIVED, DomainEvent.DELETE): DomainState.DELETED,
}


def follow(state: DomainState, event: DomainEvent) -> DomainState:
    """Give the state after ``event``.

    Raises:
        Refused: the event is not allowed in this state.
    """
    try:
        return LIFECYCLE[state, event]
    except KeyError:
        legal = ", ".join(sorted(e for s, e in LIFECYCLE if s == state)) or "nothing"
        raise Refused(f"cannot {event} a domain that is {state}", hint=f"allowed now: {legal}") from None
