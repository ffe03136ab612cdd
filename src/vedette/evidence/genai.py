"""What OpenTelemetry's spans of generative AI say, as outcomes.

A span is ours when it is of a call of a model and names a domain: by ``vedette.domain`` of its own or of its resource,
or by asking for a model that is called as a domain is. The id is made of those of its trace and itself, so a collector
that sends it again, and whoever judges it later, names the same outcome.

A call may be told of by more than one span, and counts once:

- What the gateway answered it has recorded itself. Its own spans say so, by the id of that outcome; so may the span of
  a caller that copied the id from the answer; and a caller's span says it by naming one of the gateway's addresses as
  the server. None of these is an outcome, whatever else comes with it, before it or after it.
- Of spans of one domain and operation that are one inside the other, with no agent or tool between them
  (`vedette.evidence.nesting`), only the innermost is an outcome, and none is where the gateway has recorded one of
  them. Who was assigned, who served and whom it was for may be said by those around.

The first rule needs nothing but the span. The second sees what comes in one request: a span says who its parent is and
not who its children are, and an outcome once counted is not taken back, so spans of one call that come in several
requests count by each.

Source: OpenTelemetry semantic conventions for generative AI (in development, 2026), and the names of token counts
before version 1.27.
"""

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from vedette.evidence.addresses import Address
from vedette.evidence.nesting import Call, Key, around
from vedette.evidence.otlp import ReceivedSpan, Value
from vedette.evidence.outcome import Outcome, OutcomeStatus
from vedette.evidence.tabular import bucket_of_unit
from vedette.kernel.hashing import BUCKETS
from vedette.kernel.records import record

DOMAIN = "vedette.domain"
VERSION = "vedette.version"
SERVED = "vedette.served"
UNIT = "vedette.unit"
BUCKET = "vedette.bucket"
REQUEST = "vedette.request.id"
"""What the gateway's own spans carry: the id of the outcome that it recorded."""

_SERVED_WHOM = frozenset({VERSION, SERVED, UNIT, BUCKET})
_OPERATION = "gen_ai.operation.name"
_REQUESTED = "gen_ai.request.model"
_ANSWERED = "gen_ai.response.model"
_ERROR = "error.type"
_ID = re.compile(r"[0-9a-f]{32}-[0-9a-f]{16}")
_CALLS = frozenset({"chat", "text_completion", "generate_content", "embeddings"})
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_MEASURES: Mapping[str, tuple[tuple[str, float], ...]] = {
    "tokens_in": (("gen_ai.usage.input_tokens", 1.0), ("gen_ai.usage.prompt_tokens", 1.0)),
    "tokens_out": (("gen_ai.usage.output_tokens", 1.0), ("gen_ai.usage.completion_tokens", 1.0)),
    "ttft_ms": (("gen_ai.response.time_to_first_chunk", 1000.0),),
    "cost": (("vedette.cost", 1.0),),
}
"""Each measure, the attributes that say it, the first one first, and what to multiply them by."""


@record
class Sorted:
    """What some spans are: outcomes; how many only say again what is recorded; how many are none of ours, with why."""

    outcomes: tuple[Outcome, ...]
    recorded: int
    foreign: Mapping[str, int]


def sort_spans(
    spans: Sequence[ReceivedSpan],
    known: Callable[[str], bool],
    check: Callable[[Outcome], None],
    gateways: Collection[Address] = (),
) -> Sorted:
    """Make outcomes of the spans that are ours, and count the others.

    Args:
        spans: As they came in one request.
        known: Says whether there is a domain of a name.
        check: Refuses an outcome that cannot be counted, by a ValueError.
        gateways: Where callers reach the gateway.
    """
    by_key = {(span.trace, span.id): span for span in spans}
    calls: dict[Key, Call] = {}
    found: dict[Key, Outcome] = {}
    foreign: Counter[str] = Counter()
    for span in spans:
        key, operation = (span.trace, span.id), _text(span.attributes, _OPERATION)
        if _is_recorded(span, gateways):
            if _is_call(span.attributes):
                calls[key] = Call(domain=_named(span), operation=operation, recorded=True)
            continue
        made = _outcome(span, known, check)
        if isinstance(made, Outcome):
            found[key], calls[key] = made, Call(domain=made.domain, operation=operation)
        else:
            foreign[made] += 1
    outer = around([span for span in spans if _leads_on(span)], calls)
    told = {above for keys in outer.values() for above in keys}
    outcomes: list[Outcome] = []
    for key, alone in found.items():
        if key in told or any(calls[above].recorded for above in outer[key]):
            continue
        made = _outcome(_completed(by_key[key], [by_key[above] for above in outer[key]]), known, check)
        outcomes.append(made if isinstance(made, Outcome) else alone)
    recorded = len(spans) - len(outcomes) - foreign.total()
    return Sorted(outcomes=tuple(outcomes), recorded=recorded, foreign=dict(foreign))


def _is_recorded(span: ReceivedSpan, gateways: Collection[Address]) -> bool:
    said = span.attributes
    return REQUEST in said or (_is_call(said) and any(address.is_called_by(said) for address in gateways))


def _leads_on(span: ReceivedSpan) -> bool:
    """Say whether what is inside may be the same call as what is around: what an agent or a tool does is another."""
    operation = _text(span.attributes, _OPERATION)
    return not operation or operation in _CALLS


def _completed(span: ReceivedSpan, outer: Sequence[ReceivedSpan]) -> ReceivedSpan:
    """Give a span with what those around it, the nearest one first, say of who served whom, and it does not itself."""
    said: dict[str, Value] = {}
    for it in reversed(outer):
        said |= {name: value for name, value in it.attributes.items() if name in _SERVED_WHOM}
    return replace(span, attributes=said | dict(span.attributes))


def _outcome(span: ReceivedSpan, known: Callable[[str], bool], check: Callable[[Outcome], None]) -> Outcome | str:
    """Give the outcome of a span, or why it is none."""
    found = _read(span, known)
    if isinstance(found, Outcome):
        try:
            check(found)
        except ValueError as error:
            return f"cannot be counted: {error}"
    return found


def _named(span: ReceivedSpan) -> str:
    """Give what a span names as its domain, if it does."""
    said = span.attributes
    return _text(said, DOMAIN) or _text(span.resource, DOMAIN) or _text(said, _REQUESTED)


def _read(span: ReceivedSpan, known: Callable[[str], bool]) -> Outcome | str:
    said = span.attributes
    asked = _text(said, _REQUESTED)
    if why := _unfit(span):
        return why
    domain = _text(said, DOMAIN) or _text(span.resource, DOMAIN)
    if not domain:
        if not asked or not known(asked):
            return f"name no domain: set {DOMAIN} on the span or on its resource"
        domain = asked
    elif not known(domain):
        return f"name domain {domain!r}, which there is not"
    assigned = _text(said, VERSION) or _text(span.resource, VERSION) or _text(said, _ANSWERED) or asked
    if not assigned:
        return f"name no version: set {VERSION}"
    failed = span.failed or bool(_text(said, _ERROR))
    return Outcome(
        id=f"{span.trace}-{span.id}",
        domain=domain,
        at=_EPOCH + timedelta(microseconds=span.ended // 1000),
        assigned=assigned,
        served=_text(said, SERVED) or assigned,
        plan_revision=0,
        bucket=_bucket(said, domain),
        status=OutcomeStatus.ERROR if failed else OutcomeStatus.OK,
        measures={"error": float(failed), **_measures(span)},
        unit=_text(said, UNIT),
    )


def _unfit(span: ReceivedSpan) -> str:
    """Say why a span cannot be an outcome, whatever it names; empty when it can."""
    if not _is_call(span.attributes):
        return "are of no call of a model"
    if not _ID.fullmatch(f"{span.trace}-{span.id}") or not span.trace.strip("0") or not span.id.strip("0"):
        return "have no trace id or no span id"
    return "" if span.ended else "have not ended"


def _is_call(said: Mapping[str, Value]) -> bool:
    """Say whether a span is of one call of a model: not of an agent around it, nor of a tool."""
    operation = _text(said, _OPERATION)
    return operation in _CALLS if operation else bool(_text(said, _REQUESTED) or _text(said, DOMAIN))


def _measures(span: ReceivedSpan) -> dict[str, float]:
    found: dict[str, float] = {}
    if span.ended >= span.begun > 0:
        found["latency_ms"] = (span.ended - span.begun) / 1e6
    for name, sources in _MEASURES.items():
        for attribute, factor in sources:
            value = span.attributes.get(attribute)
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                found[name] = value * factor
                break
    return found


def _bucket(said: Mapping[str, Value], domain: str) -> int:
    bucket = said.get(BUCKET)
    if isinstance(bucket, int) and not isinstance(bucket, bool) and -1 <= bucket < BUCKETS:
        return bucket
    unit = _text(said, UNIT)
    return bucket_of_unit(domain, unit) if unit else -1


def _text(said: Mapping[str, Value], name: str) -> str:
    value = said.get(name, "")
    return value if isinstance(value, str) else "" if isinstance(value, bool) else str(value)


def sentence_of(foreign: Mapping[str, int]) -> str:
    """Say why spans were passed over, the most frequent reason first."""
    return "; ".join(f"{count} {why}" for why, count in sorted(foreign.items(), key=lambda it: (-it[1], it[0])))


def domains_of(spans: Iterable[ReceivedSpan]) -> set[str]:
    """Give every name that may be meant as a domain's."""
    named = (
        _text(said, name)
        for span in spans
        for said, name in ((span.attributes, DOMAIN), (span.resource, DOMAIN), (span.attributes, _REQUESTED))
    )
    return {name for name in named if name}
