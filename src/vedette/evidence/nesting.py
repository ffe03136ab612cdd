"""Which spans are around others of the same call: those of one domain and one operation, one inside the other.

A framework, a client's library and a proxy may each make a span of the same call. Spans beside each other are different
calls, whatever they share; so are those inside and outside of an agent or a tool.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from vedette.evidence.otlp import ReceivedSpan

Key = tuple[str, str]
"""The ids of a trace and of a span."""

_FARTHEST = 32  # spans between a call and one around it


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What a span of a call says that others of the same call say as well; an empty operation may be any."""

    domain: str
    operation: str
    recorded: bool = False  # by the gateway

    def may_be(self, other: "Call") -> bool:
        """Say whether both may be the same."""
        unsaid = not self.operation or not other.operation
        return self.domain == other.domain and (unsaid or self.operation == other.operation)


def around(spans: Iterable[ReceivedSpan], calls: Mapping[Key, Call]) -> dict[Key, list[Key]]:
    """Give for each call the spans around it that tell of the same call, the nearest one first.

    Args:
        spans: What may stand between, those of calls among them; nothing is followed beyond a span that is not here.
        calls: Those of them that are of calls.
    """
    parents = {(span.trace, span.id): (span.trace, span.parent) for span in spans if span.parent}
    return {key: [above for above in _outwards(key, parents) if _is_same(key, above, parents, calls)] for key in calls}


def _is_same(key: Key, above: Key, parents: Mapping[Key, Key], calls: Mapping[Key, Call]) -> bool:
    call, other = calls[key], calls.get(above)
    # What called the gateway may know the domain by another name, or not at all: the gateway may have found it.
    return other is not None and (call.may_be(other) or (call.recorded and above == parents[key]))


def _outwards(key: Key, parents: Mapping[Key, Key]) -> list[Key]:
    """Give the spans around one; ids that lead back to one of them are made up, and not followed."""
    found = {key: None}
    for _ in range(_FARTHEST):
        above = parents.get(key)
        if above is None or above in found:
            break
        found[above] = None
        key = above
    return list(found)[1:]
