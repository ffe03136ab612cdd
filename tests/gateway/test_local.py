"""Models in this process, behind the same path as backends."""

from typing import Any

import numpy as np
import pytest
import skops.io
from openai import OpenAI
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from tests.routing.plans import layer, running

from vedette.catalog.backend import LocalBackend
from vedette.connectors.local import digest_of
from vedette.routing.layers import slices_of
from vedette.routing.override import Override, Prompt


@pytest.fixture(scope="session")
def artefact(tmp_path_factory):
    """A small classifier of texts on disk."""
    model = make_pipeline(CountVectorizer(), LogisticRegression())
    model.fit(["pay my bill", "refund the card", "sue them", "a contract"], np.array(["money", "money", "law", "law"]))
    path = tmp_path_factory.mktemp("models") / "texts.skops"
    skops.io.dump(model, path)
    return LocalBackend(artefact=str(path), digest=digest_of(path))


@pytest.fixture
def local(stage, artefact):
    """A stage whose domain is served by the classifier."""
    stage.publish(stage.plan(None, canary="unused", percent=100, backends={"v2": artefact}))
    return stage


def test_local_model_answers_as_a_chat(local):
    """The openai client asks a model in the gateway's process about the last user message, text or parts of text."""
    with OpenAI(base_url=f"{local.base_url}/v1", api_key="-", max_retries=0) as client:
        parts = [{"type": "text", "text": "refund"}, {"type": "text", "text": "the card"}]
        messages: Any = [{"role": "user", "content": "sue"}, {"role": "user", "content": parts}]
        answer = client.chat.completions.create(model="payments", messages=messages)
        stream = client.chat.completions.create(
            model="payments", messages=[{"role": "user", "content": "contract"}], stream=True
        )
        streamed = [chunk.choices[0].delta.content for chunk in stream]
    assert (answer.choices[0].message.content, answer.choices[0].finish_reason) == ("money", "stop")
    assert streamed == ["law"]
    assert answer.usage is None
    assert all("tokens_in" not in outcome.measures for outcome in local.outcomes(2))


def test_template_of_an_arm_applies_to_the_query(stage, artefact):
    """A model in this process is asked what an experiment's arm makes of the question, in chats and completions."""
    overrides = {"treatment": Override(prompt=Prompt(template="sue {query} contract"))}
    experiment = layer(running(slices=slices_of({"treatment": 1}), overrides=overrides))
    stage.publish(stage.plan(None, canary="unused", percent=100, backends={"v2": artefact}, layers=[experiment]))
    body = {"model": "payments", "user": "u1", "prompt": "a bill"}
    assert stage.chat().json["choices"][0]["message"]["content"] == "law"
    assert stage.ask(body, path="/v1/completions").json["choices"][0]["text"] == "law"
    assert {outcome.measures["override_failed"] for outcome in stage.outcomes(2)} == {0}


def test_local_model_answers_prompts(local):
    """A completion asks with the prompt, or with several, answered in order."""
    body = {"model": "payments", "prompt": ["pay my bill", "a contract"]}
    answer = local.ask(body, path="/v1/completions").json
    assert [choice["text"] for choice in answer["choices"]] == ["money", "law"]
    streamed = local.ask(body | {"stream": True}, path="/v1/completions").body
    assert streamed.endswith(b"data: [DONE]\n\n")


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/v1/chat/completions", {"messages": []}),
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": " "}]}),
        ("/v1/chat/completions", {"messages": "hi"}),
        ("/v1/completions", {"prompt": [1, 2]}),
        ("/v1/completions", {"prompt": []}),
        ("/v1/completions", {}),
        ("/v1/embeddings", {"input": "hi"}),
    ],
)
def test_question_without_text_is_the_clients_mistake(local, path, fields):
    """What a model of texts cannot read is 400 and counts as rejected, not as an error of the version."""
    answer = local.ask({"model": "payments", **fields}, path=path)
    assert (answer.status, answer.json["error"]["type"]) == (400, "invalid_request_error")
    outcome = local.outcome()
    assert (outcome.measures["rejected"], outcome.measures["error"]) == (1, 0)


def test_local_model_that_breaks_falls_back(stage, artefact, monkeypatch):
    """A local canary that raises is answered for by stable."""
    stage.publish(stage.plan(canary="unused", percent=100, backends={"v2": artefact}))
    model = stage.gateway._local.load(artefact)._model
    monkeypatch.setattr(type(model), "predict", lambda *_: 1 / 0)
    assert stage.chat().headers["x-vedette-version"] == "v1"
    assert stage.outcome().measures["error"] == 1


def test_local_queue_is_bounded(make_stage, artefact):
    """More requests than may wait are failed at once instead of piling up."""
    stage = make_stage(local_queue=1, local_threads=1)
    stage.publish(stage.plan(None, canary="unused", percent=100, backends={"v2": artefact}))
    stage.gateway._local._waiting = 1
    answer = stage.chat()
    assert (answer.status, answer.json["error"]["code"]) == (502, "upstream_model")


def test_models_no_plan_names_are_forgotten(stage, artefact):
    """A model is held as long as a plan in force names it."""
    stage.publish(stage.plan(canary="unused", backends={"v2": artefact}))
    assert artefact in stage.gateway._local._lines
    stage.publish(stage.plan(revision=2))
    assert stage.gateway._local._lines == {}
