"""Budgets: what was used is known soon enough, said in time, and stops what it should stop."""

import logging
from datetime import UTC, datetime, timedelta
from typing import Any

import openai
import pytest
from tests.gateway.stage import Stage, wait_for

from vedette.catalog.budget import Budget, Price, Spent, begin_of, end_of, price_of
from vedette.catalog.domain import DomainConfig
from vedette.catalog.shadow import Shadow
from vedette.gateway.budgets import Ledger
from vedette.gateway.figures import summed
from vedette.gateway.metrics import Metrics
from vedette.gateway.turning import TurnedAway
from vedette.kernel.documents import load
from vedette.kernel.errors import InvalidInput
from vedette.routing.plan import TrafficPlan

TOKENS = 13
"""What a whole answer of the mock takes: 11 of the prompt, 2 of the answer; 3 more of a stream."""


def spent(tokens: float = 0, money: float = 0, *, days_ago: int = 0, per: Any = "day") -> Spent:
    """A figure of now, or of the day so many days ago."""
    now = datetime.now(UTC) - timedelta(days=days_ago)
    return Spent(domain="payments", per=per, since=begin_of(per, now), at=now, tokens=tokens, money=money)


def told(stage: Stage, *figures: Spent) -> None:
    """Let the control plane say what was used, and wait until the gateway has heard it."""
    purses = stage.gateway.app.ledger._purses
    stage.feed.spent = list(figures)
    wait_for(lambda: all(it.domain in purses and purses[it.domain].figures.get(it.per) == it for it in figures))


@pytest.fixture
def stage(make_stage):
    """A stage whose gateway asks often what was used."""
    return make_stage(budget_interval=0.02)


def test_a_budget_counts_what_is_used_here_at_once(stage):
    """Three answers of 13 to 16 tokens overdraw a budget of 40; the fourth is turned away, before any sum has come."""
    stage.publish(stage.plan(budgets=(Budget(amount=40, of="tokens", per="day"),)))
    assert [stage.chat(user=f"u{n}", stream=n == 1).status for n in range(4)] == [200, 200, 200, 429]
    assert len(stage.upstream.asked) == 3
    assert b'vedette_budget_spent_ratio{domain="payments",per="day",of="tokens"} 1.05\n' in stage.get("/metrics").body


def test_a_spent_budget_stops_until_its_period_is_over(stage):
    """What the control plane has summed up counts; the caller is told why, until when, and not to try again."""
    stage.publish(stage.plan(budgets=(Budget(amount=1000, of="tokens", per="day"),)))
    told(stage, spent(tokens=1000))
    answer = stage.chat()
    error = answer.json["error"]
    assert (answer.status, error["type"], error["code"]) == (429, "insufficient_quota", "insufficient_quota")
    assert "1,000 tokens a day" in error["message"]
    assert answer.headers["x-should-retry"] == "false"
    left = end_of("day", datetime.now(UTC)) - datetime.now(UTC)
    assert abs(int(answer.headers["retry-after"]) - left.total_seconds()) < 5
    assert stage.upstream.asked == []
    stopped = b'vedette_requests_limited_total{domain="payments",limit="budget-day-tokens"} 1\n'
    assert stopped in stage.get("/metrics").body
    with openai.OpenAI(base_url=f"{stage.base_url}/v1", api_key="-", max_retries=3) as client:
        messages: Any = [{"role": "user", "content": "hi"}]
        with pytest.raises(openai.RateLimitError):
            client.chat.completions.create(model="payments", messages=messages)
    assert stage.gateway.app.metrics.turned_away[429] == 2


def test_a_budget_warns_before_it_stops(stage, caplog):
    """From the share it warns at, answers say how much is used, and the log does so once."""
    stage.publish(stage.plan(budgets=(Budget(amount=1000, of="tokens", per="month", warn_at=80.0),)))
    told(stage, spent(tokens=700, per="month"))
    assert "x-vedette-budget" not in stage.chat().headers
    with caplog.at_level(logging.WARNING, "vedette.gateway"):
        told(stage, spent(tokens=900, per="month"))
        for _ in range(2):
            answer = stage.chat()
            assert answer.status == 200
            assert answer.headers["x-vedette-budget"].endswith("% of 1,000 tokens a month")
    assert sum("of its budget" in record.message for record in caplog.records) == 1


def test_a_budget_may_only_warn(stage):
    """With ``when_spent: warn`` an overdrawn budget is told, and stops nobody."""
    stage.publish(stage.plan(budgets=(Budget(amount=10, of="tokens", per="day", when_spent="warn"),)))
    told(stage, spent(tokens=20))
    answer = stage.chat()
    assert (answer.status, answer.headers["x-vedette-budget"]) == (200, "200% of 10 tokens a day")


def test_a_new_period_begins_at_nothing(stage):
    """What was used yesterday says nothing about today."""
    stage.publish(stage.plan(budgets=(Budget(amount=100, of="tokens", per="day"),)))
    told(stage, spent(tokens=100, days_ago=1))
    assert stage.chat().status == 200


def test_money_is_made_of_declared_prices(stage):
    """The cost of each answer is recorded by the price of the version that gave it, and is what a budget counts."""
    prices = {"v1": Price(tokens_in=1_000_000, tokens_out=2_000_000), "*": Price(tokens_in=7, tokens_out=7)}
    stage.publish(stage.plan(prices=prices, budgets=(Budget(amount=22, of="money", per="day"),)))
    assert [stage.chat(user=f"u{n}").status for n in range(3)] == [200, 200, 429]
    assert [outcome.measures["cost"] for outcome in stage.outcomes(2)] == [11 + 2 * 2] * 2


def test_prices_alone_record_costs(stage):
    """Without a budget costs are recorded all the same; a version without a price has none."""
    stage.publish(stage.plan(canary="500", percent=100, prices={"v1": Price(tokens_in=1, tokens_out=1)}))
    stage.chat()
    outcome = stage.outcome()
    assert (outcome.assigned, outcome.served) == ("v2", "v1")
    assert outcome.measures["cost"] == pytest.approx(TOKENS / 1e6)
    assert price_of({"v1": Price(tokens_in=1, tokens_out=1)}, "v2") is None


def test_a_limit_and_a_budget_tell_both(stage):
    """An answer under a limit and a budget carries what both have to say, and its place is given back."""
    limits = {"concurrency": 1, "requestsPerMinute": 100}
    budgets = [{"amount": 10, "of": "tokens", "per": "day", "whenSpent": "warn"}]
    config = _config(limits=limits, budgets=budgets)
    stage.publish(stage.plan(limits=config.limits, budgets=config.budgets))
    told(stage, spent(tokens=9))
    for _ in range(2):
        answer = stage.chat()
        assert answer.status == 200
        assert answer.headers["x-ratelimit-limit-requests"] == "100"
        assert "x-vedette-budget" in answer.headers


def test_sums_that_cannot_be_had_leave_the_last_ones(stage, monkeypatch):
    """While nobody can sum up, plans are followed and confirmed, the last sum stands, and use here is added."""
    stage.publish(stage.plan(budgets=(Budget(amount=100, of="tokens", per="day"),)))
    told(stage, spent(tokens=80))

    def away(_: object) -> list[Spent]:
        raise OSError("the lake is away")

    monkeypatch.setattr(stage.feed, "spending", away)
    wait_for(lambda: "the lake is away" in stage.gateway.app.feed_error)
    confirmed = len(stage.feed.confirmed)
    wait_for(lambda: len(stage.feed.confirmed) > confirmed)
    assert [stage.chat(user=f"u{n}").status for n in range(3)] == [200, 200, 429]


def test_workers_hear_of_each_other_s_use():
    """What another worker has used since we began counts here once it has told, and only once."""
    plan = _plan(Budget(amount=100, of="tokens", per="day"))
    here, there = Metrics(), Metrics()
    ledger, other = Ledger(here), Ledger(there)
    other.book(plan, {"tokens_in": 1000.0})
    ledger.hear(summed([here, there]), here)
    other.book(plan, {"tokens_in": 60.0, "tokens_out": 10.0})
    for _ in range(2):
        ledger.hear(summed([here, there]), here)
    ledger.book(plan, {"tokens_in": 15.0})
    assert ledger.used([plan])[0][2] == pytest.approx(0.85)
    assert ledger.enter(plan) == "x-vedette-budget: 85% of 100 tokens a day\r\n"
    ledger.book(plan, {"tokens_in": 15.0})
    with pytest.raises(TurnedAway, match="is spent"):
        ledger.enter(plan)


def test_a_sum_takes_the_place_of_what_is_in_it():
    """A newer sum replaces what was counted here before it was made."""
    plan = _plan(Budget(amount=100, of="tokens", per="day"))
    ledger = Ledger(Metrics())
    ledger.book(plan, {"tokens_in": 50.0})
    later = datetime.now(UTC) + timedelta(minutes=5)
    figure = Spent(domain="payments", per="day", since=begin_of("day", datetime.now(UTC)), at=later, tokens=60.0)
    ledger.take([figure])
    assert ledger.used([plan])[0][2] == pytest.approx(0.6)


def test_sums_that_stay_away_for_hours_cost_no_more_a_request(monkeypatch):
    """What was used is kept by the second for a while and by the hour before: nothing is lost, and little is kept."""
    budget = Budget(amount=1e9, of="tokens", per="day")
    plan, ledger = _plan(budget), Ledger(Metrics())
    begin = begin_of("day", datetime(2026, 11, 25, 12, tzinfo=UTC)).timestamp()
    now = begin
    monkeypatch.setattr("vedette.gateway.budgets.time.time", lambda: now)
    for second in range(20_000):
        now = begin + second
        ledger.book(plan, {"tokens_in": 3.0})
    assert ledger.used([plan])[0][2] * budget.amount == pytest.approx(60_000)
    assert len(ledger._purses["payments"].here) <= 1000


@pytest.mark.parametrize(
    ("per", "moment", "begin", "end"),
    [
        ("day", "2026-02-28T23:59:59", "2026-02-28", "2026-03-01"),
        ("month", "2026-12-31T12:00:00", "2026-12-01", "2027-01-01"),
        ("month", "2028-02-29T00:00:00", "2028-02-01", "2028-03-01"),
    ],
)
def test_days_and_months_are_those_of_utc(per, moment, begin, end):
    """A period begins at midnight in UTC and ends where the next one begins."""
    now = datetime.fromisoformat(moment).replace(tzinfo=UTC)
    assert (begin_of(per, now).date().isoformat(), end_of(per, now).date().isoformat()) == (begin, end)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"budgets": [{"amount": 0}]}, "more than zero"),
        ({"budgets": [{"amount": 5}]}, "needs prices"),
        ({"prices": {"*": {"tokensIn": -1, "tokensOut": 0}}}, "0 or more"),
    ],
)
def test_a_budget_that_is_none_is_refused(config, said):
    """Nothing to spend, money without prices, and prices below nothing are refused."""
    with pytest.raises(InvalidInput, match=said):
        _config(**config)


def _config(**said: Any) -> DomainConfig:
    return load(DomainConfig, said)


def _plan(*budgets: Budget) -> TrafficPlan:
    config = DomainConfig(budgets=budgets)
    return TrafficPlan(domain="payments", revision=1, stable="", canary=None, backends={}, config=config)


def test_a_shadow_costs_all_the_same(stage):
    """What a copy for a candidate uses is recorded as its cost, and counts against the budget."""
    prices = {"*": Price(tokens_in=1_000_000, tokens_out=1_000_000)}
    shadow = Shadow(version="v2", share=100.0)
    more = {"backends": {"v2": stage.backend("ok")}, "prices": prices, "shadow": shadow}
    stage.publish(stage.plan(budgets=(Budget(amount=26, of="money", per="day"),), **more))
    assert stage.chat().status == 200
    assert sorted(outcome.measures["cost"] for outcome in stage.outcomes(2)) == [TOKENS, TOKENS]
    assert stage.chat().status == 429
