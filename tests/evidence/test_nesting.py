"""Which spans tell of one call, what stands between that makes them two, and what the gateway has recorded."""

from dataclasses import replace
from itertools import permutations
from typing import Any

import pytest
from tests.evidence.golden import SPANS
from tests.evidence.test_genai import saying

from vedette.evidence.addresses import Address, address_of
from vedette.evidence.genai import REQUEST, Sorted, sort_spans
from vedette.evidence.otlp import ReceivedSpan, spans_of_protobuf
from vedette.evidence.outcome import Outcome
from vedette.evidence.tabular import bucket_of_unit
from vedette.kernel.errors import InvalidInput
from vedette.lake.admission import check_outcome

CHAT = replace(spans_of_protobuf(SPANS)[0], parent="")
GATEWAY = Address(host="gateway.example", port=8701)


def sorted_of(*spans: ReceivedSpan) -> Sorted:
    """What spans are, where there is one domain and one gateway; the same in whatever order they come."""
    results = [sort_spans(it, "support".__eq__, check_outcome, [GATEWAY]) for it in permutations(spans)]
    first, *rest = results
    for result in rest:
        assert sorted(result.outcomes, key=_id) == sorted(first.outcomes, key=_id)
        assert (result.recorded, result.foreign) == (first.recorded, first.foreign)
    return first


def _id(outcome: Outcome) -> str:
    return outcome.id


def span(number: int, parent: int | None = None, **changes) -> ReceivedSpan:
    """A span of a chat of support, in the one trace."""
    above = "" if parent is None else f"{parent:016x}"
    return replace(saying(CHAT, **changes), id=f"{number:016x}", parent=above)


def other(number: int, parent: int, operation: str = "") -> ReceivedSpan:
    """A span that is of no call of a model."""
    said = {"gen_ai.operation.name": operation} if operation else {"http.request.method": "POST"}
    return replace(CHAT, id=f"{number:016x}", parent=f"{parent:016x}", attributes=said)


def numbers(found: Sorted) -> list[int]:
    """The spans whose ids the outcomes have."""
    return sorted(int(outcome.id[-16:], 16) for outcome in found.outcomes)


def test_spans_one_inside_the_other_are_one_outcome_whatever_their_order():
    """A framework's, a library's and a proxy's span of one call count once, by the innermost one."""
    found = sorted_of(span(1), span(2, 1), other(3, 2), span(4, 3))
    assert numbers(found) == [4]
    assert found.recorded == 2
    assert found.foreign == {"are of no call of a model": 1}


def test_who_served_whom_may_be_said_by_the_span_around():
    """The innermost span's word counts, then that of the nearest one around; figures are its own."""
    outermost = span(1, vedette__version="v8", vedette__unit="bob", vedette__cost=2.0)
    middle = span(2, 1, vedette__version="v7", vedette__unit=None, gen_ai__operation__name=None)
    innermost = span(3, 2, vedette__version=None, vedette__unit=None, gen_ai__usage__output_tokens=None)
    (outcome,) = sorted_of(outermost, middle, innermost).outcomes
    assert (outcome.assigned, outcome.bucket) == ("v7", bucket_of_unit("support", "bob"))
    assert not {"cost", "tokens_out"} & outcome.measures.keys()
    (own,) = sorted_of(span(1, vedette__version="v8"), span(2, 1)).outcomes
    assert own.assigned == "v1"


def test_calls_beside_each_other_are_never_one():
    """An agent's calls, a loop's, and attempts that are repeated each count, and what is around several does not."""
    agent = other(1, 99, "invoke_agent")
    assert numbers(sorted_of(agent, span(2, 1), span(3, 1))) == [2, 3]
    assert numbers(sorted_of(span(1), span(2, 1), span(3, 1))) == [2, 3]
    nested = (span(1), span(2, 1), span(3, 2), span(4, 1))
    assert numbers(sorted_of(*nested)) == [3, 4]


@pytest.mark.parametrize(
    "inner",
    [
        span(3, 2, gen_ai__operation__name="embeddings"),
        replace(span(3, 2), trace="f" * 32),
        span(3),
    ],
)
def test_another_operation_or_another_trace_is_another_call(inner):
    """Spans are of one call only where one is inside the other and both say that they do the same."""
    assert numbers(sorted_of(span(1), other(2, 1), inner)) == [1, 3]


def test_what_a_tool_does_within_a_call_is_another_call():
    """An agent or a tool between two calls keeps them apart, also where the gateway has recorded one."""
    tool = other(2, 1, "execute_tool")
    assert numbers(sorted_of(span(1), tool, span(3, 2))) == [1, 3]
    assert numbers(sorted_of(span(1), tool, span(3, 2, **{REQUEST: "0199-id"}))) == [1]


def test_what_the_gateway_has_recorded_is_no_outcome_at_any_depth():
    """Neither the caller's spans, with others between, nor the backend's are, but what stands beside them is."""
    own = span(4, 3, **{REQUEST: "0199-id", "gen_ai.request.model": "support", "vedette.domain": None})
    found = sorted_of(span(1), other(3, 1), own, span(5, 4))
    assert (numbers(found), found.recorded) == ([], 3)
    again = replace(own, id=f"{6:016x}", parent=f"{1:016x}")
    assert numbers(sorted_of(span(1), other(3, 1), own, again)) == []
    assert numbers(sorted_of(span(1), other(3, 1), own, span(7, 1))) == [7]
    assert numbers(sorted_of(other(3, 1), own, span(7, 3))) == [7]
    detected = replace(again, attributes=dict(own.attributes) | {"gen_ai.request.model": "billing"})
    assert numbers(sorted_of(span(1), detected)) == []
    assert numbers(sorted_of(span(1), detected, span(7, 1))) == [7]


def test_a_span_around_calls_that_names_a_recorded_one_hides_none_of_them():
    """An application may note the gateway's id on a span of its own, which is no call, and make others inside it."""
    noted = replace(other(1, 99), attributes={REQUEST: "0199-id"})
    assert numbers(sorted_of(noted, span(2, 1), span(3, 1, gen_ai__operation__name=None))) == [2, 3]


def test_a_call_of_the_gateways_address_is_no_outcome_with_nothing_else_known():
    """The caller's span alone, in a request of its own, is known by the server it names."""
    called: dict[str, Any] = {"server__address": "Gateway.example", "server__port": 8701}
    assert sorted_of(span(1, **called)).outcomes == ()
    assert sorted_of(span(1), span(2, 1, **called)).recorded == 2
    direct = span(3, server__address="api.openai.com")
    assert numbers(sorted_of(span(1, **called), direct)) == [3]
    assert sorted_of(span(1, gen_ai__request__model="auto", vedette__domain=None, **called)).foreign == {}


@pytest.mark.parametrize(
    ("text", "address", "port", "is_called"),
    [
        ("gateway", "gateway", 8701, True),
        ("gateway", "gateway", None, True),
        ("gateway:8701", "GATEWAY", "8701", True),
        ("gateway:8701", "gateway", 8702, False),
        ("gateway:8701", "gateway", None, False),
        ("gateway:443", "gateway", None, True),
        ("http://gateway:8701/v1", "gateway", 8701, True),
        ("[::1]:8701", "::1", 8701, True),
        ("gateway", "other", 8701, False),
    ],
)
def test_an_address_is_what_callers_name(text, address, port, is_called):
    """A host alone is any port; the ports of HTTP itself need not be said."""
    said = {"server.address": address} | ({} if port is None else {"server.port": port})
    assert address_of(text).is_called_by(said) is is_called


@pytest.mark.parametrize("text", ["", "a b", "gateway:port", ":8701", "http://"])
def test_what_is_no_address_is_refused(text):
    """The hint says what one looks like."""
    with pytest.raises(InvalidInput, match="is no address") as caught:
        address_of(text)
    assert "HOST:PORT" in caught.value.hint


def test_ids_that_lead_in_a_circle_end():
    """Spans that are each other's parents, or their own, are read to an end."""
    assert numbers(sorted_of(span(1, 1))) == [1]
    assert sorted_of(span(1, 2), span(2, 1)).foreign == {}
