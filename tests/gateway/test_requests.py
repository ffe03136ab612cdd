"""What clients get from the endpoints, and what backends get from clients."""

import json

import openai
import pytest
from openai import OpenAI


@pytest.fixture
def stage(stage_on_each_loop):
    """Each event loop has its own transports, so both are tried here."""
    return stage_on_each_loop


@pytest.fixture
def client(stage):
    """The real client of OpenAI, pointed at the gateway."""
    stage.publish(stage.plan())
    with OpenAI(base_url=f"{stage.base_url}/v1", api_key="sk-client", max_retries=0) as client:
        yield client


MESSAGES = [{"role": "user", "content": "hi"}]


def test_openai_client_chat(client):
    """The openai client chats with a domain as it would with a model."""
    answer = client.chat.completions.create(model="payments", messages=MESSAGES, user="u1")
    assert answer.choices[0].message.content == "from ok"
    assert answer.usage.completion_tokens == 2


def test_openai_client_streams(client):
    """The openai client streams, and sees no usage chunk it has not asked for."""
    chunks = list(client.chat.completions.create(model="payments", messages=MESSAGES, stream=True))
    assert "".join(chunk.choices[0].delta.content for chunk in chunks) == "0 1 2 3 4 "
    assert all(chunk.usage is None for chunk in chunks)


def test_openai_client_streams_with_usage(client):
    """A client that asks for usage in its stream gets it."""
    options = {"include_usage": True}
    stream = client.chat.completions.create(model="payments", messages=MESSAGES, stream=True, stream_options=options)
    assert list(stream)[-1].usage.prompt_tokens == 11


def test_openai_client_completions_and_embeddings(client):
    """Completions and embeddings go the same way, and their usage is recorded."""
    assert client.completions.create(model="payments", prompt="hi").choices[0].text == "from ok"
    assert client.embeddings.create(model="payments", input="hi", encoding_format="float").data[0].embedding[1] == -1.5


def test_openai_client_lists_models(client):
    """The models are the domains."""
    assert [model.id for model in client.models.list()] == ["payments"]
    assert client.models.retrieve("payments").owned_by == "vedette"


def test_unknown_model_is_404_in_openais_shape(client):
    """A model that is no domain raises what the openai client raises for OpenAI's own 404."""
    with pytest.raises(openai.NotFoundError) as caught:
        client.chat.completions.create(model="nobody", messages=MESSAGES)
    assert caught.value.code == "model_not_found"
    assert caught.value.param == "model"


def test_archived_domain_serves_nothing(stage):
    """An archived domain is 404 with the reason, one without a version 503, and neither is a model."""
    stage.publish(stage.plan())
    stage.publish(stage.plan(domain="old", serving=False))
    stage.publish(stage.plan(None, domain="new", serving=False))
    archived, empty = stage.chat(model="old"), stage.chat(model="new")
    assert (archived.status, archived.json["error"]["code"]) == (404, "domain_archived")
    assert (empty.status, empty.json["error"]["code"]) == (503, "no_version")
    assert [model["id"] for model in stage.get("/v1/models").json["data"]] == ["payments"]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"{not json", "no JSON object"),
        (b"[1]", "no JSON object"),
        (b'{"messages": []}', "model is missing"),
        (b'{"model": 7}', "model"),
        (b'{"model": "payments", "user": 7}', "user"),
        (b'{"model": "payments", "stream": "yes"}', "stream"),
        (b'{"model": "payments", "stream": true, "stream_options": 1}', "stream_options"),
        (b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "no JSON object"),
    ],
)
def test_malformed_body_is_400(stage, body, said):
    """A body the gateway cannot read is refused with the reason, and reaches no backend."""
    stage.publish(stage.plan())
    answer = stage.ask(body)
    assert answer.status == 400
    assert said in answer.json["error"]["message"]
    assert stage.upstream.asked == []


def test_unknown_fields_pass_byte_for_byte(stage):
    """What the gateway does not know reaches the backend as it was written; only the model's name is another."""
    stage.publish(stage.plan())
    exact = b'"seed": 1e400, "logit_bias": {"50256" : -100.00}, "x_new": "\\u00e4\\/", "messages": [ ]'
    assert stage.ask(b'{"model": "payments", ' + exact + b"}").status == 200
    sent = stage.upstream.asked[0].body
    for field in (b"1e400", b'{"50256" : -100.00}', b'"\\u00e4\\/"', b"[ ]"):
        assert field in sent
    assert json.loads(sent)["model"] == "ok"


def test_clients_key_never_reaches_a_backend(stage):
    """Credentials and hop-by-hop headers end at the gateway, which sends its own key; the rest passes."""
    own = {"v1": stage.backend("ok", api_key_env="BACKEND_KEY", headers={"X-Own": "o", "X-Team": "ours"})}
    stage.publish(stage.plan(backends=own))
    sent = {
        "Authorization": "Bearer sk-client",
        "X-Api-Key": "k",
        "Cookie": "c=1",
        "OpenAI-Organization": "org",
        "Connection": "keep-alive, X-Hop",
        "X-Hop": "1",
        "TE": "trailers",
        "X-Team": "theirs",
        "X-Other": "o",
        "Traceparent": "00-1-2-01",
        "X-Vedette-Version": "v9",
    }
    answer = stage.ask({"model": "payments", "messages": []}, headers=sent)
    seen = stage.upstream.asked[0].headers
    assert seen["authorization"] == "Bearer sk-backend"
    assert not {"x-api-key", "cookie", "openai-organization", "connection", "x-hop", "te", "x-vedette-version"} & set(
        seen
    )
    assert (seen["x-own"], seen["x-team"], seen["x-other"], seen["traceparent"]) == ("o", "ours", "o", "00-1-2-01")
    assert answer.headers["x-upstream"] == "yes"
    assert not {"x-hop", "set-cookie", "keep-alive"} & set(answer.headers)


def test_answer_names_version_and_outcome(stage):
    """Every answer names who was assigned, who served, under which plan, and the id under which it is recorded."""
    stage.publish(stage.plan(revision=7))
    headers, outcome = stage.chat().headers, stage.outcome()
    assert headers["x-vedette-request-id"] == outcome.id
    assert outcome.id[14] == "7", "a UUIDv7"
    assert (headers["x-vedette-domain"], headers["x-vedette-version"]) == ("payments", "v1")
    assert (headers["x-vedette-assigned"], headers["x-vedette-plan-revision"]) == ("v1", "7")


def test_outcome_measures(stage):
    """An outcome holds what was measured: error, fallback and latency always, tokens as the backend counted them."""
    stage.publish(stage.plan())
    stage.chat()
    outcome = stage.outcome()
    assert (outcome.domain, outcome.assigned, outcome.served, outcome.status) == ("payments", "v1", "v1", "ok")
    assert 0 <= outcome.bucket < 1024
    assert outcome.measures["latency_ms"] > 0
    exact = {name: value for name, value in outcome.measures.items() if name != "latency_ms"}
    assert exact == {"error": 0, "fallback": 0, "rejected": 0, "tokens_in": 11, "tokens_out": 2}


def test_tokens_are_never_estimated(stage):
    """A stream whose backend states no usage has no tokens in its outcome."""
    stage.publish(stage.plan(stable="no-done"))
    stage.chat(stream=True)
    assert "tokens_out" not in stage.outcome().measures


def test_answer_without_length(stage):
    """An answer that ends with its connection is whole; one shorter than its length is not."""
    stage.publish(stage.plan(stable="until-close"))
    assert stage.chat().json["choices"][0]["message"]["content"] == "from until-close"
    stage.publish(stage.plan(stable="short", revision=2, retries=0))
    assert stage.chat().status == 502


def test_answer_too_large_is_502(make_stage):
    """An answer larger than the limit is dropped, and counted against its version."""
    stage = make_stage(response_limit=64)
    stage.publish(stage.plan())
    assert stage.chat().status == 502
    assert stage.outcome().measures["error"] == 1


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/chat/completions", 405),
        ("POST", "/livez", 405),
        ("PUT", "/ofrep/v1/evaluate/flags", 405),
        ("GET", "/nowhere", 404),
        ("GET", "/livez", 200),
    ],
)
def test_paths_and_methods(stage, method, path, status):
    """Unknown paths are 404 and wrong methods 405, in OpenAI's shape; the query is no part of the path."""
    stage.start()
    answer = stage.ask(path=f"{path}?a=1", method=method)
    assert answer.status == status
    assert (status < 300) == ("error" not in answer.json)
