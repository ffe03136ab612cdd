"""Answers that gateways share in a real Redis: given by each of them, waited for by nobody."""

import time

import msgspec
import pytest
from tests import redis_server
from tests.gateway.stage import Stage, wait_for

from vedette.catalog.cache import Cache
from vedette.gateway.cache import Kept
from vedette.gateway.shared import entry, read
from vedette.kernel.errors import InvalidInput

CACHE = Cache()
KEPT = Kept(100.0, b"application/json", b'{"a":1}', False)


@pytest.fixture
def redis():
    """A Redis of one's own."""
    with redis_server.server() as found:
        yield found


@pytest.fixture
def gateway(tmp_path, redis):
    """Make gateways that share the Redis; all serve plans of the first one's backend."""
    stages: list[Stage] = []

    def make(**settings) -> Stage:
        ordinary = {"cache_url": redis.url, "cache_retry": 0.02, "cache_timeout": 2.0}
        stages.append(Stage(tmp_path / str(len(stages)), **(ordinary | settings)))
        return stages[-1]

    yield make
    for stage in stages:  # first all gateways: they hold connections to the backends of one another
        if stage.started:
            stage.stop(at_once=True)
    for stage in stages:
        stage.close()


def alive(stage: Stage, *, alive: bool = True) -> None:
    """Wait until the gateway finds that Redis answers, or that it does not."""
    wait_for(lambda: shared(stage).alive == alive)


def shared(stage: Stage):
    """Give what a gateway has of the shared cache."""
    return stage.gateway.app.table._shared


def counts(stage: Stage) -> dict[str, int]:
    """Give what the shared cache did for a gateway."""
    found: dict[str, int] = {}
    for (_, result), count in stage.gateway.app.metrics.shared_cache.items():
        found[result] = found.get(result, 0) + count
    return found


def both(gateway, **config) -> tuple[Stage, Stage]:
    """Have two gateways with the same plan."""
    one, two = gateway(), gateway()
    plan = one.plan(**({"cache": CACHE} | config))
    for stage in (one, two):
        stage.publish(plan)
        alive(stage)
    return one, two


def kept(stage: Stage, count: int = 1) -> None:
    """Wait until so many answers lie in Redis."""
    wait_for(lambda: counts(stage).get("kept") == count)


def age(client, key, seconds):
    """Make an entry older than it is."""
    found = msgspec.msgpack.decode(client.get(key))
    found[1] -= seconds
    client.set(key, msgspec.msgpack.encode(found))


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_of_one_gateway_is_given_by_another(gateway, stream):
    """What one gateway was answered another gives again, whole or as a stream, and then from its own memory."""
    one, two = both(gateway)
    first = one.chat(stream=stream)
    kept(one)
    again, third = two.chat(stream=stream), two.chat(stream=stream)
    assert [each.headers["x-vedette-cache"] for each in (first, again, third)] == ["miss", "hit", "hit"]
    assert first.body == again.body == third.body
    assert again.headers["content-type"] == first.headers["content-type"]
    assert again.headers["age"] == "0"
    assert one.upstream.count("ok") == 1
    assert counts(two) == {"hit": 1}
    assert set(two.outcomes(2)[0].measures) == {"cached", "cached_ms"}
    figures = two.get("/metrics").body.decode()
    assert 'vedette_cache_shared_total{domain="payments",result="hit"} 1' in figures
    assert 'vedette_cache_requests_total{domain="payments",result="hit"} 2' in figures


def test_versions_backends_and_domains_keep_apart(gateway, redis):
    """The key carries domain, version and backend: the same question to another of them is asked anew."""
    one, two = both(gateway)
    one.chat()
    kept(one)
    two.publish(two.plan(revision=2, cache=CACHE))  # another backend under the same name
    two.publish(two.plan(domain="legal", cache=CACHE))
    assert two.chat().headers["x-vedette-cache"] == "miss"
    assert two.chat(model="legal").headers["x-vedette-cache"] == "miss"
    two.publish(one.plan("paced", "ok", percent=100.0, revision=3, cache=CACHE))  # the same backend as another version
    assert two.chat().headers["x-vedette-cache"] == "miss"
    kept(two, 3)
    with redis.client() as client:
        assert sorted(key.split(b":")[3:5] for key in client.scan_iter()) == [
            [b"legal", b"v1"],
            [b"payments", b"v1"],
            [b"payments", b"v1"],
            [b"payments", b"v2"],
        ]


def test_redis_forgets_what_is_too_old(gateway, redis):
    """An entry has the policy's time to live in Redis, and is not given beyond what a client or the policy says."""
    one, two = both(gateway, cache=Cache(ttl=60.0))
    one.chat()
    kept(one)
    with redis.client() as client:
        (key,) = client.scan_iter()
        assert 50_000 < client.pttl(key) <= 60_000
        age(client, key, 30)
        body = {"model": "payments", "user": "u1", "messages": [{"role": "user", "content": "hi"}]}
        fresh = two.ask(body, headers={"Cache-Control": "max-age=10, no-store"})
        assert fresh.headers["x-vedette-cache"] == "bypass"
        assert two.ask(body, headers={"Cache-Control": "max-age=10"}).headers["x-vedette-cache"] == "miss"
    assert counts(two)["hit"] == 1  # found, and too old for that client


def test_an_old_entry_keeps_its_age(gateway, redis):
    """An answer is as old at another gateway as it is, and forgotten there when its time is over."""
    one, two = both(gateway, cache=Cache(ttl=60.0))
    one.chat()
    kept(one)
    with redis.client() as client:
        (key,) = client.scan_iter()
        age(client, key, 30)
        assert two.chat().headers["age"] == "30"
        age(client, key, 40)
    three = gateway()
    three.publish(one.plan(cache=Cache(ttl=60.0)))
    alive(three)
    assert three.chat().headers["x-vedette-cache"] == "miss"


@pytest.mark.parametrize("model", ["500", "cut", "error-middle", "no-store"])
def test_what_is_not_kept_in_memory_is_not_kept_there(gateway, redis, model):
    """Failures, broken streams and what a backend forbids never come to Redis."""
    stage = gateway()
    stage.publish(stage.plan(model, cache=CACHE, retries=0))
    alive(stage)
    stage.chat(stream=True)
    stage.publish(stage.plan("ok", revision=2, cache=CACHE))
    stage.chat()
    kept(stage)
    with redis.client() as client:
        assert client.dbsize() == 1


def test_a_large_answer_stays_in_memory(gateway, redis):
    """An answer above the limit of an entry is given again by the worker that got it alone."""
    stage = gateway(cache_entry_limit=10)
    stage.publish(stage.plan(cache=CACHE))
    alive(stage)
    assert [stage.chat().headers["x-vedette-cache"] for _ in range(2)] == ["miss", "hit"]
    with redis.client() as client:
        assert client.dbsize() == 0
    assert counts(stage) == {"miss": 1, "not_kept": 1}


def test_a_redis_that_dies_is_left_alone_and_found_again(gateway, redis):
    """Requests go on when Redis dies; after a few failures it is not asked at all, until it answers again."""
    stage = gateway()
    stage.publish(stage.plan(cache=CACHE))
    alive(stage)
    assert stage.chat(seed=0).status == 200
    kept(stage)
    redis.kill()
    assert [stage.chat(seed=seed).headers["x-vedette-cache"] for seed in (1, 2, 3, 4)] == ["miss"] * 4
    alive(stage, alive=False)
    assert stage.chat(seed=0).headers["x-vedette-cache"] == "hit"  # memory is the first level
    before = counts(stage)
    assert stage.chat(seed=5).headers["x-vedette-cache"] == "miss"
    assert counts(stage) == before | {"skipped": before.get("skipped", 0) + 1, "not_kept": before["not_kept"] + 1}
    assert b"vedette_cache_shared_lost_total 1" in stage.get("/metrics").body
    redis.start()
    alive(stage)
    stage.chat(seed=6)
    kept(stage, 2)


def test_a_slow_redis_keeps_nobody_waiting(gateway, redis):
    """A Redis that does not answer in time is given up for the request, and after a few of them for all."""
    stage = gateway(cache_timeout=0.05)
    stage.publish(stage.plan(cache=CACHE))
    alive(stage)
    redis.freeze()
    answers = [stage.chat(seed=seed) for seed in range(5)]
    assert [(each.status, each.headers["x-vedette-cache"]) for each in answers] == [(200, "miss")] * 5
    alive(stage, alive=False)
    assert counts(stage)["failed"] == 3
    assert counts(stage)["skipped"] == 2
    redis.thaw()
    alive(stage)


def test_a_gateway_starts_without_its_redis(gateway, redis):
    """A gateway whose Redis is not there serves at once, and uses it once it is."""
    redis.kill()
    stage = gateway()
    stage.publish(stage.plan(cache=CACHE))
    assert [stage.chat().headers["x-vedette-cache"] for _ in range(2)] == ["miss", "hit"]
    redis.start()
    alive(stage)
    stage.chat(seed=1)
    kept(stage)


def test_a_client_that_leaves_leaves_nothing_behind(gateway, redis):
    """A client that goes while Redis is asked is recorded as gone, and its backend is not asked."""
    import socket

    stage = gateway(cache_timeout=60.0)
    stage.publish(stage.plan(cache=CACHE))
    alive(stage)
    redis.freeze()
    body = b'{"model":"payments","messages":[{"role":"user","content":"hi"}]}'
    head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n\r\n" % len(body)
    with socket.create_connection(("127.0.0.1", stage.port)) as connection:
        connection.sendall(head + body)
        wait_for(lambda: stage.gateway.app.exchanges)
    assert stage.outcome().status == "client_closed"
    redis.thaw()
    assert stage.upstream.count("ok") == 0
    assert not stage.gateway.app.exchanges


@pytest.mark.parametrize("poison", ["rubbish", "other-key", "changed-body", "header", "huge"])
def test_poison_is_no_answer(gateway, redis, poison):
    """An entry that is damaged, lies in the wrong place, would break a header or is too large is asked anew."""
    one, two = both(gateway)
    said = one.chat().body
    kept(one)
    with redis.client() as client:
        (key,) = client.scan_iter()
        good = msgspec.msgpack.decode(client.get(key))
        bad = {
            "rubbish": b"\xc1 rubbish",
            "other-key": entry(key + b"x", Kept(0.0, good[2], good[4], False), 0.0, time.time()),
            "changed-body": msgspec.msgpack.encode([*good[:4], good[4] + b" ", good[5]]),
            "header": entry(key, Kept(0.0, b"text/plain\r\nset-cookie: a=b", b"{}", False), 0.0, time.time()),
            "huge": entry(key, Kept(0.0, good[2], b"x" * (2 << 20), False), 0.0, time.time()),
        }[poison]
        client.set(key, bad)
    answer = two.chat()
    assert (answer.headers["x-vedette-cache"], answer.body) == ("miss", said)
    assert counts(two)["unreadable"] == 1
    assert "set-cookie" not in answer.headers


def test_a_domain_that_stops_serving_takes_its_answers_along(gateway, redis):
    """When a domain is archived or gone, its answers are taken out of Redis and of memory, and those of others stay."""
    one, two = both(gateway)
    for stage in (one, two):
        stage.publish(one.plan(domain="pay", cache=CACHE))
    one.chat()
    one.chat(model="pay")
    kept(one, 2)
    for stage in (one, two):
        stage.publish(one.plan(revision=2, serving=False, cache=CACHE))
    with redis.client() as client:
        wait_for(lambda: client.dbsize() == 1)
    wait_for(lambda: not shared(one)._erased and not shared(two)._erased)
    for stage in (one, two):
        stage.publish(one.plan(revision=3, cache=CACHE))
    assert one.chat().headers["x-vedette-cache"] == "miss"
    assert two.chat(model="pay").headers["x-vedette-cache"] == "hit"


def test_a_domain_without_a_cache_never_asks(gateway):
    """Where a domain declares no cache Redis is never asked."""
    stage = gateway()
    stage.publish(stage.plan())
    alive(stage)
    assert "x-vedette-cache" not in stage.chat().headers
    assert counts(stage) == {}


def test_entries_are_read_as_they_were_written():
    """An entry has its answer and its age; one from a clock that runs ahead is new."""
    data = entry(b"k", KEPT, 7.0, 1000.0)
    assert read(b"k", data, 50.0, 1003.0) == KEPT._replace(at=40.0)
    assert read(b"k", data, 50.0, 900.0) == KEPT._replace(at=50.0)
    assert read(b"other", data, 50.0, 1003.0) is None


def test_an_address_that_is_none_is_refused(gateway):
    """What is no address of a Redis keeps the gateway from starting, and says what one looks like."""
    stage = gateway(cache_url="http://nobody")
    with pytest.raises(InvalidInput, match="redis://host:6379/0"):
        stage.start()
