"""How traffic goes by domain: sums of minutes add up to what was shipped."""

from datetime import UTC, datetime, timedelta

import pytest

from vedette.evidence.outcome import Feedback, Outcome, OutcomeStatus
from vedette.lake.flows import Flow

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)


@pytest.fixture
def asked(lake):
    """A lake in which two domains were asked for ten minutes."""
    outcomes = [
        Outcome(
            id=f"{domain}-{minute}-{number}",
            domain=domain,
            at=NOON + timedelta(minutes=minute, seconds=number),
            assigned="v1" if number % 2 else "v2",
            served="v1",
            plan_revision=1 + minute // 5,
            bucket=number,
            status=OutcomeStatus.OK,
            measures={"error": float(number == 0), "latency_ms": 10.0 * (number + 1)},
        )
        for domain, count in (("one", 4), ("two", 2))
        for minute in range(10)
        for number in range(count)
    ]
    lake.ship("b", outcomes)
    return lake


def test_every_domain_has_its_requests_errors_and_latency(asked):
    """Versions and plans are added up; rates are shares of what was judged."""
    flows = asked.flows(NOON, NOON + timedelta(minutes=10), {"one", "two", "none"})
    assert {name: flow.requests for name, flow in flows.items()} == {"one": 40, "two": 20}
    assert flows["one"].error_rate == pytest.approx(0.25)
    assert flows["one"].latency == pytest.approx(25.0)
    assert flows["two"].latency == pytest.approx(15.0)


def test_minutes_add_up_to_the_whole_and_only_the_asked_domains_are_read(asked):
    """A domain's minutes sum to its flow, and others are left out."""
    minutes = asked.flows_by_minute(NOON, NOON + timedelta(minutes=10), {"one"})
    assert {domain for domain, _ in minutes} == {"one"}
    whole = Flow()
    for flow in minutes.values():
        whole = whole + flow
    assert whole == asked.flows(NOON, NOON + timedelta(minutes=10), {"one"})["one"]
    assert len(asked.flows_by_minute(NOON, NOON + timedelta(minutes=3), {"one"})) == 3


def test_without_traffic_there_is_no_rate():
    """Nothing is not zero errors."""
    assert Flow().error_rate is None
    assert Flow().latency is None


def test_copies_that_nobody_saw_are_no_traffic(asked):
    """What a shadow did counts in no domain's requests, errors or latency, nor does what is judged of it later."""
    span = NOON, NOON + timedelta(minutes=10)
    before = asked.flows(*span, {"one"})["one"], asked.minutes("one", *span)
    copies = [
        Outcome(
            id=f"copy-{number}",
            domain="one",
            at=NOON + timedelta(minutes=3),
            assigned="v2" if number % 2 else "v3",
            served="v2" if number % 2 else "v3",
            plan_revision=0,
            bucket=-1,
            status=OutcomeStatus.ERROR,
            measures={"error": 1.0, "latency_ms": 900.0, "tokens_in": 7.0, "shadow": 1.0},
        )
        for number in range(6)
    ]
    asked.ship("copies", copies)
    asked.feedback([Feedback(outcome_id="copy-1", measures={"correct": 1.0})])
    assert (asked.flows(*span, {"one"})["one"], asked.minutes("one", *span)) == before
    at_three = {it.version: it.measures for it in asked.minutes("one", *span, copies=True) if it.at == copies[0].at}
    assert {name: its["tokens_in"].n for name, its in at_three.items() if "tokens_in" in its} == {"v2": 3, "v3": 3}
    assert at_three["v2"]["correct"].n == 1
    assert at_three["v2"]["requests"].n == 2 + 3
    for longer in (asked.hours, asked.days):
        assert sum(it.measures["requests"].n for it in longer("one", *span)) == 40
        assert sum(it.measures["requests"].n for it in longer("one", *span, copies=True)) == 46
