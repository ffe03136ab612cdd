"""Spans of generative AI as outcomes: what is ours, what it says, and what is none of ours."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from tests.evidence.golden import SPANS

from vedette.evidence.genai import REQUEST, sort_spans
from vedette.evidence.otlp import ReceivedSpan, spans_of_json, spans_of_protobuf
from vedette.evidence.outcome import Outcome, OutcomeStatus
from vedette.evidence.tabular import bucket_of_unit
from vedette.kernel.errors import InvalidInput
from vedette.lake.admission import check_outcome

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
CHAT, FAILED, OTHER = spans_of_protobuf(SPANS)


def sorted_of(*spans: ReceivedSpan, known: str = "support"):
    """What spans are, where there is one domain."""
    return sort_spans(spans, known.__eq__, check_outcome)


def saying(span: ReceivedSpan, **changes) -> ReceivedSpan:
    """A span with other attributes; None takes one away, and __ stands for a dot."""
    said = dict(span.attributes) | {name.replace("__", "."): value for name, value in changes.items()}
    return replace(span, attributes={name: value for name, value in said.items() if value is not None})


def test_spans_of_the_sdk_become_outcomes():
    """Ids, times, tokens, the time to the first chunk, unit, version and failure are read from the SDK's own bytes."""
    found = sorted_of(CHAT, FAILED, OTHER)
    trace = "00abcdef000000000000000000000001"
    assert found.outcomes == (
        Outcome(
            id=f"{trace}-00000000000000a2",
            domain="support",
            at=NOON + timedelta(seconds=1.5),
            assigned="v1",
            served="v1",
            plan_revision=0,
            bucket=bucket_of_unit("support", "ann"),
            status=OutcomeStatus.OK,
            measures={"error": 0.0, "latency_ms": 1500.0, "tokens_in": 120.0, "tokens_out": 34.0, "ttft_ms": 250.0},
            unit="ann",
        ),
        Outcome(
            id="00abcdef000000000000000000000003-00000000000000a4",
            domain="support",
            at=NOON + timedelta(seconds=5),
            assigned="gpt-4o",
            served="gpt-4o",
            plan_revision=0,
            bucket=-1,
            status=OutcomeStatus.ERROR,
            measures={"error": 1.0, "latency_ms": 3000.0},
        ),
    )
    assert found.foreign == {"are of no call of a model": 1}
    assert CHAT.attributes["neg"] == -5
    assert "gen_ai.response.finish_reasons" not in CHAT.attributes


def test_json_says_what_protobuf_says():
    """The JSON form of a request is read as the same spans, numbers as text or not."""

    def pair(name, value):
        kinds = {str: "stringValue", bool: "boolValue", int: "intValue", float: "doubleValue"}
        return {"key": name, "value": {kinds[type(value)]: str(value) if type(value) is int else value}}

    def written(span):
        made = {
            "traceId": span.trace.upper(),
            "spanId": span.id,
            "startTimeUnixNano": span.begun if span is CHAT else str(span.begun),
            "endTimeUnixNano": str(span.ended),
            "attributes": [pair(name, value) for name, value in span.attributes.items()],
            "status": {"code": 2} if span.failed else {},
        }
        return made | ({"unknown": [1]} if span is OTHER else {})

    resource = {"attributes": [pair(name, value) for name, value in CHAT.resource.items()]}
    scopes = [{"scope": {}, "spans": [written(span) for span in (CHAT, FAILED, OTHER)]}]
    text = json.dumps({"resourceSpans": [{"resource": resource, "scopeSpans": scopes}]})
    assert spans_of_json(text) == [CHAT, FAILED, OTHER]


def test_a_domain_is_named_by_the_span_its_resource_or_the_model_it_asks_for():
    """The span's own word counts first; a model names a domain only where there is one of its name."""
    (own,) = sorted_of(saying(CHAT, vedette__domain="legal"), known="legal").outcomes
    assert own.domain == "legal"
    bare = replace(saying(CHAT, gen_ai__request__model="legal"), resource={})
    (asked,) = sorted_of(bare, known="legal").outcomes
    assert asked.domain == "legal"
    assert sorted_of(bare).foreign == {"name no domain: set vedette.domain on the span or on its resource": 1}
    assert sorted_of(CHAT, known="legal").foreign == {"name domain 'support', which there is not": 1}


def test_who_was_assigned_and_who_served_are_said_or_the_model_that_answered():
    """Without a version the model that answered is one; who served is who was assigned unless said."""
    (plain,) = sorted_of(saying(CHAT, vedette__version=None)).outcomes
    assert (plain.assigned, plain.served) == ("gpt-4o-2024-08-06",) * 2
    (fallen_back,) = sorted_of(saying(CHAT, vedette__served="v0", vedette__bucket=7)).outcomes
    assert (fallen_back.assigned, fallen_back.served, fallen_back.bucket) == ("v1", "v0", 7)


def test_what_the_gateway_has_recorded_is_not_counted_again():
    """Its own spans, and the caller's span that such a one belongs to, are no outcomes and no reason to complain."""
    own = replace(saying(FAILED, **{REQUEST: "0199-id"}), trace=CHAT.trace, parent=CHAT.id)
    found = sorted_of(CHAT, own)
    assert (found.outcomes, found.recorded, found.foreign) == ((), 2, {})


@pytest.mark.parametrize(
    ("span", "why"),
    [
        (saying(CHAT, gen_ai__operation__name="execute_tool"), "are of no call of a model"),
        (saying(CHAT, gen_ai__operation__name="invoke_agent"), "are of no call of a model"),
        (replace(CHAT, trace="0" * 32), "have no trace id or no span id"),
        (replace(CHAT, ended=0), "have not ended"),
        (saying(CHAT, gen_ai__usage__input_tokens=-4), "tokens_in = -4"),
        (saying(FAILED, gen_ai__request__model=None), "name no version"),
    ],
)
def test_what_is_none_of_ours_is_said_with_why(span, why):
    """A span that is no outcome, or none that can be counted, spoils none beside it."""
    found = sorted_of(span, FAILED)
    assert len(found.outcomes) == 1
    ((said, count),) = found.foreign.items()
    assert why in said
    assert count == 1


@pytest.mark.parametrize("end", range(1, len(SPANS), 7))
def test_bytes_that_end_too_early_are_refused_or_read_as_what_they_are(end):
    """No prefix of a request is anything but spans or a refusal."""
    try:
        found = spans_of_protobuf(SPANS[:end])
    except InvalidInput:
        return
    assert all(isinstance(span, ReceivedSpan) for span in found)


@pytest.mark.parametrize(
    "text", ["", "[]", '{"resourceSpans": 4}', '{"resourceSpans": [{"scopeSpans": [{"spans": [4]}]}]}']
)
def test_json_that_is_no_request_is_refused(text):
    """What is no such document is refused whole."""
    with pytest.raises(InvalidInput):
        spans_of_json(text)
