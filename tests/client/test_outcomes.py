"""Outcomes from elsewhere, brought to a server by its client."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from vedette.catalog.domain import DomainConfig, DomainSpec
from vedette.client.client import Client
from vedette.control.outcomes import Shipped
from vedette.evidence.outcome import Feedback, Outcome, OutcomeStatus
from vedette.kernel.errors import NotFound
from vedette.kernel.records import evolve

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
ERRORS = {"error": 0.0}


def outcome(number: int, *, domain: str = "payments", days: int = 0, measures: Mapping[str, float] = ERRORS) -> Outcome:
    """One outcome, ordinary in all that is not given."""
    return Outcome(
        id=f"o-{number}",
        domain=domain,
        at=NOON + timedelta(seconds=number, days=-days),
        assigned="v1",
        served="v1",
        plan_revision=0,
        bucket=-1,
        status=OutcomeStatus.OK,
        measures=measures,
    )


def test_more_outcomes_than_one_request_takes_are_recorded_once_each(both):
    """A thousand at a time go over the wire; what was there is said to have been there."""
    plane, client = both
    made = [outcome(number) for number in range(1201)]
    assert client.outcomes.record(made) == Shipped(stored=1201, duplicate=0)
    assert client.outcomes.record([*made[:-1], outcome(1201)]) == Shipped(stored=1, duplicate=1200)
    assert plane.lake.outcome("o-1200") == made[1200]


def test_outcomes_that_are_large_go_in_smaller_bodies(both):
    """A batch of many measures is larger than the server takes at once, and arrives all the same."""
    plane, client = both
    wide = {f"measure-with-a-long-name-{place:038}": place / 7 for place in range(60)}
    made = [outcome(number, measures=wide) for number in range(300)]
    assert client.outcomes.record(made).stored == 300
    assert plane.lake.outcome("o-299").measures == wide


def test_history_is_remembered_after_it_was_dropped_for_its_age(both):
    """What was brought to be remembered counts nothing when it comes again, though the outcomes are gone."""
    plane, client = both
    old = [outcome(number, days=60) for number in range(3)]
    assert client.outcomes.record(old, remember=True).stored == 3
    assert plane.lake.prune(NOON) == 3
    assert client.outcomes.record(old, remember=True) == Shipped(stored=0, duplicate=3)


def test_judgements_wait_for_outcomes_and_are_refused_with_them(both):
    """Feedback is counted by the item, and outcomes of a domain there is not are refused."""
    _, client = both
    client.outcomes.record([outcome(1)])
    judged = client.outcomes.judge([Feedback(outcome_id=name, measures={"correct": 1.0}) for name in ("o-1", "o-2")])
    assert (judged.accepted, judged.duplicate, judged.unknown) == (1, 0, ("o-2",))
    with pytest.raises(NotFound, match="nowhere"):
        client.outcomes.record([outcome(2, domain="nowhere")])


class Losing(httpx.HTTPTransport):
    """A network that loses the first answer of the server."""

    lost = 0

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send, and lose what comes back once."""
        answer = super().handle_request(request)
        if not self.lost:
            answer.read()
            self.lost = answer.status_code
            raise httpx.ReadError("the connection broke")
        return answer


def test_an_erasure_whose_answer_is_lost_is_sent_again_and_recorded_once(both, monkeypatch):
    """A client that asks again after a broken connection is told what was erased, by one entry in the record."""
    monkeypatch.setenv("VEDETTE_KEY_PEPPER", "a pepper for tests")
    monkeypatch.setattr("vedette.client.wire._PAUSES", (0.0, 0.0))
    plane, client = both
    plane.domains.update("payments", DomainSpec(config=DomainConfig(keep_units=True)), actor="ada")
    plane.outcomes.record([evolve(outcome(number), unit="ann") for number in range(3)])
    transport = Losing()
    with Client(client.url, actor="ann", transport=transport) as unlucky:
        assert unlucky.outcomes.erase_unit("payments", "ann").outcomes == 3
    assert transport.lost == 200
    assert [it.details["outcomes"] for it in plane.governance.entries(action="outcomes.erase").items] == [3]
