"""Who is admitted: nobody without a key where keys are wanted, and nobody with one that was taken back."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import openai
import pytest
from openai import OpenAI
from tests.gateway.stage import Stage, wait_for

from vedette.catalog.key import AdmittedKey, KeyRing, KeySpec, digest_of, mark_of, secret_of
from vedette.catalog.limits import Rates
from vedette.gateway.feed import KeyFile
from vedette.kernel.records import evolve

PEPPER = b"a pepper for tests"
MESSAGES: list[Any] = [{"role": "user", "content": "hi"}]
CHAT = {"model": "payments", "user": "u1", "messages": MESSAGES}


def admitted(
    number: int, *domains: str, pepper: bytes = PEPPER, ends: datetime | None = None
) -> tuple[str, AdmittedKey]:
    """Make a secret and the key it opens."""
    key_id = f"{number:012x}"
    secret = secret_of(key_id, "s" * 42 + str(number))
    digest = digest_of(secret.encode(), pepper)
    spec = KeySpec(domains=domains, expires_at=ends)
    return secret, AdmittedKey(id=key_id, name=f"k{number}", spec=spec, digest=digest, pepper=mark_of(pepper))


def hold(stage: Stage, *keys: AdmittedKey) -> None:
    """Have just these keys, and wait until the gateway knows."""
    stage.feed.ring = KeyRing(revision=stage.feed.ring.revision + 1, keys=keys)
    if stage.started:
        wait_for(lambda: stage.gateway.app.admission.ring == stage.feed.ring)


def ask(stage: Stage, secret: str, model: str = "payments"):
    """Ask with a secret."""
    return stage.ask(CHAT | {"model": model}, headers={"Authorization": f"Bearer {secret}"})


def test_a_good_key_is_admitted_and_stays_here(stage):
    """A domain that wants keys answers a caller with a good one, whose secret no backend sees."""
    secret, key = admitted(1)
    hold(stage, key)
    stage.publish(stage.plan(access="keys"))
    assert ask(stage, secret).status == 200
    assert "authorization" not in stage.upstream.asked[0].headers
    assert secret.encode() not in stage.upstream.asked[0].body


@pytest.mark.parametrize("name", ["api-key", "X-API-Key"])
def test_keys_are_read_as_others_send_them(stage, name):
    """Azure's and Anthropic's headers do as well."""
    secret, key = admitted(1)
    hold(stage, key)
    stage.publish(stage.plan(access="keys"))
    assert stage.ask(CHAT, headers={name: secret}).status == 200


def test_the_openai_client_knows_what_is_wrong(stage):
    """Without a good key OpenAI's client raises AuthenticationError, with one for other domains PermissionDenied."""
    secret, key = admitted(1, "legal")
    hold(stage, key)
    stage.publish(stage.plan(access="keys"))
    for wrong, error, code in (
        ("sk-anything", openai.AuthenticationError, "invalid_api_key"),
        (secret[:-1] + "x", openai.AuthenticationError, "invalid_api_key"),
        (admitted(2)[0], openai.AuthenticationError, "invalid_api_key"),
        (secret, openai.PermissionDeniedError, "key_not_allowed"),
    ):
        with (
            OpenAI(base_url=f"{stage.base_url}/v1", api_key=wrong, max_retries=0) as client,
            pytest.raises(error) as raised,
        ):
            client.chat.completions.create(model="payments", messages=MESSAGES)
        assert raised.value.code == code
    assert stage.upstream.asked == []


def test_no_key_is_told_how_to_send_one(stage):
    """A request without a key, or with another scheme, gets 401 and the scheme that is wanted."""
    stage.publish(stage.plan(access="keys"))
    for headers in ({}, {"Authorization": "Basic eDp5"}, {"Authorization": "Bearer "}):
        answer = stage.ask(CHAT, headers=headers)
        assert (answer.status, answer.headers["www-authenticate"]) == (401, "Bearer")
        assert answer.json["error"]["code"] == "missing_api_key"


def test_an_open_domain_asks_nobody(stage):
    """A domain that wants no keys takes whatever clients send, as before."""
    stage.publish(stage.plan())
    assert ask(stage, "sk-anything").status == 200


def test_a_revoked_key_is_refused_at_the_next_look(stage):
    """Once the feed no longer has a key, the gateway's next look refuses it."""
    secret, key = admitted(1)
    hold(stage, key)
    stage.publish(stage.plan(access="keys"))
    assert ask(stage, secret).status == 200
    hold(stage)
    assert ask(stage, secret).status == 401


ENDS = datetime(2027, 1, 31, 12, 30, tzinfo=UTC)


def at(stage: Stage, moment: datetime) -> None:
    """Let the gateway's clock show a moment."""
    stage.gateway.app.admission.clock = moment.timestamp


def test_a_key_ends_by_the_gateways_own_clock(stage):
    """A key is good until its moment has come and refused from then on, with no new ring; the caller is told when."""
    secret, key = admitted(1, ends=ENDS)
    other, lasting = admitted(2)
    hold(stage, key, lasting)
    stage.publish(stage.plan(access="keys"))
    for moment, status in ((ENDS - timedelta(microseconds=1), 200), (ENDS, 401)):
        at(stage, moment)
        assert (ask(stage, secret).status, ask(stage, other).status) == (status, 200)
    with OpenAI(base_url=f"{stage.base_url}/v1", api_key=secret, max_retries=0) as client:
        with pytest.raises(openai.AuthenticationError, match=r"'k1' expired at 2027-01-31 12:30:00 UTC") as raised:
            client.chat.completions.create(model="payments", messages=MESSAGES)
        assert raised.value.code == "key_expired"
        assert client.models.list().data == []


def test_only_its_owner_is_told_that_a_key_has_expired(stage):
    """A secret that is not the key's learns nothing of it, not even that it is over."""
    secret, key = admitted(1, ends=ENDS)
    hold(stage, key)
    stage.publish(stage.plan(access="keys"))
    at(stage, ENDS)
    assert ask(stage, secret[:-1] + "x").json["error"]["code"] == "invalid_api_key"
    assert ask(stage, secret).json["error"]["code"] == "key_expired"


def test_a_clock_that_is_put_back_gives_keys_their_time_back(stage):
    """A key that a wrong clock had ended is good again, and ends at its time, once the clock is right."""
    secret, key = admitted(1, ends=ENDS)
    hold(stage, key)
    stage.publish(stage.plan(access="keys"))
    for moment, status in ((ENDS + timedelta(days=400), 401), (ENDS - timedelta(days=1), 200), (ENDS, 401)):
        at(stage, moment)
        assert ask(stage, secret).status == status


def test_a_changed_key_is_in_force_at_the_next_look(stage):
    """What is said of a key anew holds under the same secret: a later end, other domains, a limit."""
    secret, key = admitted(1, ends=ENDS)
    hold(stage, key)
    stage.publish(stage.plan(access="keys"))
    at(stage, ENDS)
    assert ask(stage, secret).status == 401
    hold(stage, evolve(key, spec=KeySpec(expires_at=ENDS + timedelta(days=90))))
    assert ask(stage, secret).status == 200
    hold(stage, evolve(key, spec=KeySpec(domains=("legal",))))
    assert ask(stage, secret).status == 403
    hold(stage, evolve(key, spec=KeySpec(limits=Rates(requests_per_minute=1))))
    assert [ask(stage, secret).status for _ in range(2)] == [200, 429]


def test_keys_of_an_older_file_have_no_end(tmp_path):
    """A file of keys that was written before keys had an end is read; its keys go on for ever."""
    spec = {"domains": ["legal"], "limits": {"requestsPerMinute": 5, "tokensPerMinute": 0}, "note": ""}
    key = {"id": "0" * 12, "name": "old", "spec": spec, "digest": "a" * 64, "pepper": "0" * 8}
    (tmp_path / "keys.json").write_text(json.dumps({"revision": 3, "keys": [key]}))
    ring = KeyFile(tmp_path / "keys.json").load()
    assert ring is not None
    assert [held.spec for held in ring.keys] == [KeySpec(domains=("legal",), limits=Rates(requests_per_minute=5))]
    ending = KeyRing(revision=4, keys=(evolve(ring.keys[0], spec=KeySpec(expires_at=ENDS)),))
    KeyFile(tmp_path / "keys.json").save(ending)
    assert KeyFile(tmp_path / "keys.json").load() == ending


def test_keys_are_known_while_the_control_plane_is_away(stage):
    """A gateway that starts while its feed is down admits the callers of last time, and nobody else."""
    secret, key = admitted(1)
    hold(stage, key)
    stage.publish(stage.plan(access="keys"))
    kept = stage.folder / "keys.json"
    wait_for(lambda: kept.exists() and json.loads(kept.read_text())["keys"])
    assert secret not in kept.read_text()
    stage.stop()
    stage.feed.down = True
    stage.start()
    assert ask(stage, secret).status == 200
    assert ask(stage, admitted(2)[0]).status == 401


def test_keys_of_another_pepper_are_refused_loudly(stage, caplog):
    """A key made with another pepper opens nothing, and the log says why."""
    secret, key = admitted(1, pepper=b"quite another pepper")
    hold(stage, key)
    stage.publish(stage.plan(access="keys"))
    assert ask(stage, secret).status == 401
    assert "VEDETTE_KEY_PEPPER" in caplog.text


def test_without_a_pepper_nobody_is_admitted(stage):
    """Where no pepper can be found a domain that wants keys answers nobody, whatever the digests are."""
    del stage.environment["VEDETTE_KEY_PEPPER"]
    secret, key = admitted(1, pepper=b"")
    hold(stage, key)
    stage.publish(stage.plan(access="keys"))
    assert ask(stage, secret).status == 401


def test_lists_show_a_caller_what_its_key_is_for(stage):
    """Models and flags of domains that want keys are shown to those who may ask them, and to nobody else."""
    secret, key = admitted(1, "legal")
    hold(stage, key)
    for domain, access in (("legal", "keys"), ("payments", "keys"), ("support", "open")):
        stage.publish(stage.plan(domain=domain, access=access))
    headers = {"Authorization": f"Bearer {secret}"}
    unit = {"context": {"targetingKey": "u1"}}
    for sent, seen in (({}, ["support"]), (headers, ["legal", "support"])):
        models = stage.ask(path="/v1/models", method="GET", headers=sent).json
        assert [model["id"] for model in models["data"]] == seen
        flags = stage.ask(unit, path="/ofrep/v1/evaluate/flags", headers=sent).json
        assert [flag["key"] for flag in flags["flags"]] == seen
    assert stage.ask(path="/v1/models/payments", method="GET", headers=headers).status == 403
    assert stage.ask(unit, path="/ofrep/v1/evaluate/flags/payments").status == 401
    assert stage.ask(unit, path="/ofrep/v1/evaluate/flags/legal", headers=headers).status == 200
