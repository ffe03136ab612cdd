"""Limits: as many requests and tokens a minute as was said, as many at once, and callers are told."""

import threading

import openai
import pytest
from openai import OpenAI
from tests.gateway.stage import wait_for
from tests.gateway.test_keys import MESSAGES, admitted, ask, hold

from vedette.catalog.domain import DomainConfig
from vedette.catalog.key import AdmittedKey
from vedette.catalog.limits import Limits, Rates
from vedette.gateway.buckets import Bucket
from vedette.gateway.figures import summed
from vedette.gateway.limits import Limiter
from vedette.gateway.metrics import Metrics
from vedette.gateway.turning import TurnedAway
from vedette.kernel.errors import InvalidInput
from vedette.kernel.records import evolve
from vedette.routing.plan import TrafficPlan


def plan(**limits: int) -> TrafficPlan:
    """Make a plan with limits and nothing else."""
    config = DomainConfig(limits=Limits(**limits))
    return TrafficPlan(domain="payments", revision=1, stable="", canary=None, backends={}, config=config)


def limited(key: AdmittedKey, **rates: int) -> AdmittedKey:
    """Give the key with limits of its own."""
    return evolve(key, spec=evolve(key.spec, limits=Rates(**rates)))


def admits(limiter: Limiter, made: TrafficPlan, count: int, now: float, key: AdmittedKey | None = None) -> int:
    """Count how many of so many requests at one moment are let in; each leaves at once without a token."""
    inside = 0
    for _ in range(count):
        try:
            ticket = limiter.enter(made, key, 0, now)
        except TurnedAway:
            continue
        inside += 1
        if ticket:
            ticket.leave(0, now)
    return inside


def test_a_bucket_fills_evenly_to_its_brim():
    """A minute's worth is there at first, comes back evenly, and never grows beyond it."""
    bucket = Bucket(60, 0.0)
    bucket.take(60, 0.0)
    assert [bucket.left(now) for now in (0.0, 1.0, 30.5, 1000.0)] == [0.0, 1.0, 30.5, 60.0]
    bucket.take(90, 1000.0)
    assert bucket.wait(1, 1000.0) == 31.0
    bucket.take(-1000, 1000.0)
    assert bucket.left(1000.0) == 60.0


def test_no_more_requests_a_minute_than_said():
    """A minute's worth is let in at once, then one for each that comes back; other domains are not concerned."""
    limiter = Limiter(Metrics())
    assert admits(limiter, plan(requests_per_minute=30), 100, 0.0) == 30
    assert admits(limiter, plan(requests_per_minute=30), 100, 10.0) == 5
    assert admits(limiter, evolve(plan(requests_per_minute=30), domain="other"), 100, 10.0) == 30


def test_tokens_are_taken_when_they_are_known():
    """A guess by size is taken first and put right at the end; who went below nothing is waited for."""
    limiter = Limiter(Metrics())
    made = plan(tokens_per_minute=600)
    first = limiter.enter(made, None, 400, 0.0)
    assert first is not None
    assert "x-ratelimit-remaining-tokens: 500" in first.fields(0.0)
    first.leave(1200, 0.0)
    assert admits(limiter, made, 1, 59.0) == 0
    assert admits(limiter, made, 1, 61.0) == 1


def test_a_guess_stays_where_nobody_counts():
    """A request whose tokens nobody counted costs what its size made one guess."""
    limiter = Limiter(Metrics())
    ticket = limiter.enter(plan(tokens_per_minute=600), None, 400, 0.0)
    assert ticket is not None
    ticket.leave(None, 0.0)
    assert "x-ratelimit-remaining-tokens: 500" in ticket.fields(0.0)


def test_a_key_has_its_own_limit_over_all_domains():
    """What a key may ask is counted over its domains, and does not take from other keys."""
    limiter, key, other = Limiter(Metrics()), limited(admitted(1)[1], requests_per_minute=3), admitted(2)[1]
    assert admits(limiter, plan(), 2, 0.0, key) == 2
    assert admits(limiter, evolve(plan(), domain="legal"), 5, 0.0, key) == 1
    assert admits(limiter, plan(), 5, 0.0, other) == 5


def test_a_refused_request_takes_from_nobody():
    """A request that its key's limit stops costs the domain nothing."""
    limiter, key = Limiter(Metrics()), limited(admitted(1)[1], requests_per_minute=1)
    assert admits(limiter, plan(requests_per_minute=10), 50, 0.0, key) == 1
    assert admits(limiter, plan(requests_per_minute=10), 50, 0.0) == 9


def test_another_limit_is_no_new_minute():
    """A limit that is raised keeps what was taken, so that changing it hands out nothing anew."""
    limiter = Limiter(Metrics())
    assert admits(limiter, plan(requests_per_minute=10), 50, 0.0) == 10
    assert admits(limiter, plan(requests_per_minute=12), 50, 0.0) == 2


def test_workers_share_a_limit_over_time():
    """Four workers that tell each other what they took let in, over ten minutes, what one would, however uneven."""
    figures = [Metrics() for _ in range(4)]
    limiters = [Limiter(each) for each in figures]
    made = plan(requests_per_minute=60)
    let_in = 0
    for second in range(600):
        for number, limiter in enumerate(limiters):
            let_in += admits(limiter, made, 3 if number == 0 else second % 2, float(second))
        total = summed(figures)
        total.workers = 4
        for limiter, own in zip(limiters, figures, strict=True):
            limiter.hear(total, own, float(second))
    assert 600 <= let_in <= 600 + 60 + 3 * 60


def test_a_worker_that_begins_owes_nothing():
    """What others took before a worker began is not taken from its buckets; what they take then is."""
    busy, fresh = Metrics(), Metrics()
    made = plan(requests_per_minute=60)
    limiter = Limiter(fresh)
    assert admits(limiter, made, 10, 0.0) == 10
    admits(Limiter(busy), made, 40, 0.0)
    limiter.hear(summed([busy, fresh]), fresh, 0.0)
    assert admits(limiter, made, 60, 0.0) == 50
    busy.spent["domain", "payments", "requests"].amount += 20
    limiter.hear(summed([busy, fresh]), fresh, 0.0)
    assert admits(limiter, made, 60, 20.0) == 0


def test_places_are_divided_among_workers():
    """Of 5 requests at once each of 2 workers answers 3, and a place is given back at the end."""
    limiter, total = Limiter(Metrics()), Metrics()
    total.workers = 2
    limiter.hear(total, Metrics(), 0.0)
    made = plan(concurrency=5)
    tickets = [limiter.enter(made, None, 0, 0.0) for _ in range(3)]
    with pytest.raises(TurnedAway) as refused:
        limiter.enter(made, None, 0, 0.0)
    assert refused.value.status == 429
    assert tickets[0] is not None
    tickets[0].leave(None, 0.0)
    assert limiter.enter(made, None, 0, 0.0) is not None


def test_limits_below_nothing_are_refused():
    """A limit is 0, which is none, or more."""
    with pytest.raises(InvalidInput, match="concurrency"):
        Limits(concurrency=-1)


def test_callers_are_told(stage):
    """Answers carry OpenAI's headers; the one too many is 429 with Retry-After, and OpenAI's client understands."""
    stage.publish(stage.plan(limits=Limits(requests_per_minute=2, tokens_per_minute=6000)))
    first = stage.chat()
    assert first.headers["x-ratelimit-limit-requests"] == "2"
    assert first.headers["x-ratelimit-remaining-requests"] == "1"
    assert first.headers["x-ratelimit-reset-requests"].startswith(("29", "30"))
    assert 5900 < int(first.headers["x-ratelimit-remaining-tokens"]) < 6000
    assert stage.chat(stream=True).headers["x-ratelimit-remaining-requests"] == "0"
    refused = stage.chat()
    assert (refused.status, refused.json["error"]["code"]) == (429, "rate_limit_exceeded")
    assert 1 <= int(refused.headers["retry-after"]) <= 30
    with (
        OpenAI(base_url=f"{stage.base_url}/v1", api_key="x", max_retries=0) as client,
        pytest.raises(openai.RateLimitError),
    ):
        client.chat.completions.create(model="payments", messages=MESSAGES)
    figures = stage.get("/metrics").body.decode()
    assert 'vedette_requests_limited_total{domain="payments",limit="domain-requests"} 2' in figures
    assert 'vedette_limit_spent_total{of="requests",domain="payments"} 2' in figures
    assert len(stage.outcomes(2)) == 2


def test_tokens_of_streams_count(stage):
    """The usage at the end of a stream is what it costs."""
    stage.publish(stage.plan(limits=Limits(tokens_per_minute=6000)))
    stage.chat(stream=True)
    (spent,) = stage.gateway.app.metrics.spent.values()
    assert spent.amount == 16


def test_a_key_is_limited_through_the_gateway(stage):
    """A caller that used up its key's minute gets 429 while another one is served."""
    (secret, key), (other, free) = admitted(1), admitted(2)
    hold(stage, limited(key, requests_per_minute=1), free)
    stage.publish(stage.plan(access="keys"))
    assert [ask(stage, each).status for each in (secret, secret, other)] == [200, 429, 200]


def test_a_place_is_given_back_however_a_request_ends(stage):
    """Places are taken while requests are answered; failures and clients that leave give them back."""
    stage.publish(stage.plan("slow:0.4", limits=Limits(concurrency=1)))
    thread = threading.Thread(target=stage.chat)
    thread.start()
    wait_for(lambda: stage.gateway.app.exchanges)
    refused = stage.chat()
    assert (refused.status, refused.json["error"]["code"]) == (429, "concurrency_limit_exceeded")
    thread.join()
    for revision, model in enumerate(("500", "garbage", "cut"), start=2):
        stage.publish(stage.plan(model, revision=revision, limits=Limits(concurrency=1), retries=0))
        assert stage.chat(stream=model == "cut").status in {200, 500, 502}
    assert stage.gateway.app.limiter._inside == {"payments": 0}
