"""Experiments on the way through the gateway: what backends are asked, what clients and outcomes are told."""

from collections import Counter
from typing import Any

import pytest
from tests.gateway.stage import Answer, Stage
from tests.routing.plans import layer, running

from vedette.catalog.domain import Assignment
from vedette.evidence.outcome import Exposure, Outcome
from vedette.routing.choose import CompiledPlan
from vedette.routing.layers import Layer, slices_of
from vedette.routing.override import Override, Prompt, Route, Rule

ALL = slices_of({"treatment": 1})
TREATED = (Exposure(experiment="id-of-tone", arm="treatment", epoch=3),)


def treating(override: Override, name: str = "tone", **fields: object) -> Layer:
    """Make a layer whose one experiment gives everybody this override."""
    overrides = {"control": Override(), "treatment": override}
    experiment = running(name, **({"slices": ALL, "overrides": overrides, "epoch": 3} | fields))
    return layer(experiment, name=f"layer-{name}")


def sent(stage: Stage) -> Any:
    """The body of the last request a backend has seen."""
    return stage.upstream.asked[-1].json


def changed(stage: Stage, override: Override, body: dict[str, object], path: str = "/v1/chat/completions") -> Any:
    """Send a request under an override and give what the backend saw, without the model's name."""
    stage.publish(stage.plan(layers=[treating(override)]))
    assert stage.ask({"model": "payments", "user": "u1", **body}, path=path).status == 200
    seen = sent(stage)
    assert seen.pop("model") == "ok"
    assert seen.pop("user") == "u1"
    return seen


USER = {"role": "user", "content": "hi"}
OWN = {"role": "system", "content": "own"}
DEVELOPER = {"role": "developer", "content": "more"}
OURS = {"role": "system", "content": "ours"}
ANSWER = {"role": "assistant", "content": "hello"}


@pytest.mark.parametrize(
    ("place", "given", "expected"),
    [
        ("replace", [USER], [OURS, USER]),
        ("replace", [OWN, DEVELOPER, USER, OWN, ANSWER, USER], [OURS, USER, ANSWER, USER]),
        ("before", [USER], [OURS, USER]),
        ("before", [OWN, USER], [OURS, OWN, USER]),
        ("after", [USER], [OURS, USER]),
        ("after", [OWN, DEVELOPER, USER, OWN], [OWN, DEVELOPER, OURS, USER, OWN]),
    ],
)
def test_system_message_of_an_arm(stage, place, given, expected):
    """A system message takes the place of the client's own, or stands before or after it; the rest keeps its order."""
    prompt = Prompt(system="ours", place=place)
    assert changed(stage, Override(prompt=prompt), {"messages": given}) == {"messages": expected}
    assert stage.outcome().measures["override_failed"] == 0


def test_template_wraps_the_last_user_message(stage):
    """Only the last thing the user said is wrapped; earlier turns and other fields of the message stay."""
    messages = [USER, ANSWER, {**USER, "name": "ann", "content": 'a "quoted" {query}\n'}, ANSWER]
    seen = changed(stage, Override(prompt=Prompt(template="Briefly: {query} Thanks.")), {"messages": messages})
    wrapped = {**messages[2], "content": 'Briefly: a "quoted" {query}\n Thanks.'}
    assert seen == {"messages": [USER, ANSWER, wrapped, ANSWER]}


def test_template_around_parts(stage):
    """A message of parts is wrapped before its first and after its last text; images stay where they are."""
    image = {"type": "image_url", "image_url": {"url": "data:,x"}}
    one, two = {"type": "text", "text": "one", "x": 1}, {"type": "text", "text": "two"}
    override = Override(prompt=Prompt(template="<{query}>"))
    seen = changed(stage, override, {"messages": [{"role": "user", "content": [image, one, image, two]}]})
    parts = [image, {**one, "text": "<one"}, image, {**two, "text": "two>"}]
    assert seen == {"messages": [{"role": "user", "content": parts}]}
    seen = changed(stage, override, {"messages": [{"role": "user", "content": [one]}]})
    assert seen["messages"][0]["content"] == [{**one, "text": "<one>"}]


@pytest.mark.parametrize(("given", "expected"), [("hi", "<hi>"), (["a", "b"], ["<a>", "<b>"])])
def test_template_around_the_prompt_of_a_completion(stage, given, expected):
    """The prompt of a completion is wrapped, and each of several."""
    override = Override(prompt=Prompt(template="<{query}>"))
    assert changed(stage, override, {"prompt": given}, "/v1/completions") == {"prompt": expected}


def test_parameters_of_an_arm(stage):
    """Decoding parameters are set in the body, over the client's own; others stay."""
    override = Override(parameters={"temperature": 0.1, "stop": ["x"], "seed": None})
    seen = changed(stage, override, {"messages": [USER], "temperature": 1.9, "top_p": 0.5})
    assert seen == {"messages": [USER], "temperature": 0.1, "top_p": 0.5, "stop": ["x"], "seed": None}


def test_what_an_arm_does_not_change_is_sent_byte_for_byte(stage):
    """Beside the words of the arm, messages and fields reach the backend as the client wrote them."""
    stage.publish(stage.plan(layers=[treating(Override(prompt=Prompt(system="ours", template="{query}?")))]))
    kept = b'{"content" :  "\\u00e4\\/", "role":"assistant", "x": 1e400}'
    body = b'{"model":"payments", "x_new": [ 1.00 ], "messages":[%b, {"role":"user","content":"hi","y": 2.50}]}' % kept
    assert stage.ask(body).status == 200
    seen = stage.upstream.asked[0].body
    for part in (kept, b"[ 1.00 ]", b"2.50", b'"hi?"'):
        assert part in seen


@pytest.mark.parametrize(
    ("path", "body", "prompt"),
    [
        ("chat/completions", {"messages": [ANSWER]}, Prompt(template="<{query}>")),
        ("chat/completions", {"messages": []}, Prompt(template="<{query}>", system="ours")),
        ("chat/completions", {"messages": "hi"}, Prompt(system="ours")),
        ("chat/completions", {}, Prompt(system="ours")),
        ("chat/completions", {"messages": [{"role": "user"}]}, Prompt(template="<{query}>")),
        (
            "chat/completions",
            {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
            Prompt(template="<{query}>"),
        ),
        ("completions", {"prompt": [1, 2]}, Prompt(template="<{query}>")),
        ("completions", {"prompt": []}, Prompt(template="<{query}>")),
        ("completions", {"prompt": "hi"}, Prompt(template="<{query}>", system="ours")),
        ("embeddings", {"input": "hi"}, Prompt(template="<{query}>")),
        ("embeddings", {"input": "hi"}, None),
        ("responses", {"input": "hi"}, Prompt(template="<{query}>")),
    ],
)
def test_a_change_that_cannot_be_made_leaves_the_request_as_it_came(stage, path, body, prompt):
    """The body reaches the backend unchanged, the exposure stays, and the outcome says that the override failed."""
    override = Override(prompt=prompt, parameters={"temperature": 0.1})
    assert changed(stage, override, body, f"/v1/{path}") == body
    outcome = stage.outcome()
    assert outcome.exposures == TREATED
    assert outcome.measures["override_failed"] == 1


def test_version_of_an_arm(stage):
    """An arm's version answers whatever the rollout says; the outcome counts for no rollout's plan revision."""
    plan = stage.plan(canary="500", percent=100, revision=7, backends={"v3": stage.backend("third")})
    stage.publish(_with(plan, treating(Override(version="v3"))))
    answer = stage.chat()
    assert answer.json["choices"][0]["message"]["content"] == "from third"
    assert (answer.headers["x-vedette-assigned"], answer.headers["x-vedette-version"]) == ("v3", "v3")
    assert answer.headers["x-vedette-plan-revision"] == "7"
    outcome = stage.outcome()
    assert (outcome.assigned, outcome.served, outcome.plan_revision) == ("v3", "v3", 0)
    assert outcome.bucket == CompiledPlan(plan).choose("u1").bucket
    assert "override_failed" not in outcome.measures


def _with(plan: Any, *layers: Layer) -> Any:
    return type(plan)(**{name: getattr(plan, name) for name in plan.__dataclass_fields__} | {"layers": layers})


@pytest.mark.parametrize("model", ["500", "429", "404", "hang-up", "garbage"])
@pytest.mark.parametrize("stream", [False, True])
def test_failing_version_of_an_arm_falls_back_to_stable(stage, model, stream):
    """Stable answers with the client's own request before the first byte; exposure and error stay with the arm."""
    override = Override(version="v3", prompt=Prompt(system="for v3 only"), parameters={"seed": 1})
    stage.publish(stage.plan(backends={"v3": stage.backend(model)}, layers=[treating(override)], retries=0))
    answer = stage.chat(stream=stream)
    assert answer.status == 200
    assert (answer.headers["x-vedette-assigned"], answer.headers["x-vedette-version"]) == ("v3", "v1")
    assert answer.headers["x-vedette-experiments"] == "tone=treatment"
    assert sent(stage)["messages"] == [USER]
    assert "seed" not in sent(stage)
    outcome = stage.outcome()
    assert (outcome.assigned, outcome.served, outcome.status, outcome.plan_revision) == ("v3", "v1", "ok", 0)
    assert (outcome.measures["error"], outcome.measures["fallback"]) == (1, 1)
    assert outcome.exposures == TREATED


def test_canary_that_falls_back_keeps_what_experiments_say(stage):
    """A prompt experiment beside a rollout is independent of it: stable is asked with the arm's words too."""
    stage.publish(stage.plan(canary="500", percent=100, layers=[treating(Override(prompt=Prompt(system="ours")))]))
    assert stage.chat().headers["x-vedette-version"] == "v1"
    assert sent(stage)["messages"] == [OURS, USER]
    assert stage.outcome().plan_revision == 1


def test_arm_that_names_stable_has_nobody_to_fall_back_to(stage):
    """An arm may name the stable version for a control; when that fails it is not asked again."""
    stage.publish(stage.plan(stable="500", layers=[treating(Override(version="v1"))]))
    assert stage.chat().status == 500
    assert len(stage.upstream.asked) == 1
    assert (stage.outcome().plan_revision, stage.outcome().measures["fallback"]) == (0, 0)


def test_route_of_an_arm(stage):
    """An arm's retries, timeout and fallback hold instead of the domain's; what it leaves open is the domain's."""
    stage.publish(stage.plan(stable="503", retries=0, layers=[treating(Override(route=Route(retries=2)))]))
    assert stage.chat().status == 503
    assert len(stage.upstream.asked) == 3
    slow = [treating(Override(route=Route(timeout=0.1)))]
    stage.publish(stage.plan(stable="hang", revision=2, layers=slow))
    assert stage.chat().json["error"]["code"] == "upstream_timeout"
    alone = [treating(Override(route=Route(fallback=False)))]
    stage.publish(stage.plan(canary="500", percent=100, revision=3, layers=alone))
    assert stage.chat().status == 500


def test_overlapping_experiments_all_apply(stage):
    """Experiments of three layers change one request together, and header and outcome name them all."""
    layers = [
        treating(Override(prompt=Prompt(template="<{query}>")), "words"),
        treating(Override(parameters={"seed": 1}), "decoding", slices=slices_of({"control": 1})),
        treating(Override(parameters={"top_p": 0.5}), "sampling"),
    ]
    stage.publish(stage.plan(layers=layers))
    answer = stage.chat()
    assert answer.headers["x-vedette-experiments"] == "words=treatment, decoding=control, sampling=treatment"
    seen = sent(stage)
    assert (seen["messages"], seen["top_p"], "seed" in seen) == ([{**USER, "content": "<hi>"}], 0.5, False)
    arms = [(exposure.experiment, exposure.arm, exposure.epoch) for exposure in stage.outcome().exposures]
    assert arms == [
        ("id-of-words", "treatment", 3),
        ("id-of-decoding", "control", 3),
        ("id-of-sampling", "treatment", 3),
    ]
    metric = b'vedette_experiment_exposures_total{domain="payments",experiment="words",arm="treatment"} 1\n'
    assert metric in stage.get("/metrics").body


def test_arms_and_outcomes_agree_with_the_plan(stage):
    """Requests of many users have the arms the plan gives them, and the outcomes say which."""
    plan = stage.plan(layers=[layer(running("tone", exposed=600_000))], hold_out=200_000)
    stage.publish(plan)
    compiled = CompiledPlan(plan)
    users = [f"unit-{number}" for number in range(40)]
    expected = [dict(compiled.assign(user)[1].names) for user in users]
    told = [stage.chat(user=user).headers.get("x-vedette-experiments", "") for user in users]
    assert told == [f"tone={names['tone']}" if names else "" for names in expected]
    assert len(set(told)) == 3
    arms = Counter(exposure.arm for outcome in stage.outcomes(40) for exposure in outcome.exposures)
    assert arms == Counter(names["tone"] for names in expected if names)


def test_targeting_and_dimensions_by_headers_and_user(stage):
    """Rules read headers and the user field; dimensions of the exposed are recorded, and of nobody else."""
    rules = (Rule(attribute="x-plan", values=("gold",)), Rule(attribute="user", test="begins-with", values=("u",)))
    experiment = treating(Override(), targeting=rules, dimensions=("x-country", "x-app"))
    stage.publish(stage.plan(layers=[experiment]))

    def ask(user: str, **headers: str) -> Answer:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        answer: Answer = stage.ask({"model": "payments", "user": user, "messages": [USER]}, headers=named)
        return answer

    assert "x-vedette-experiments" in ask("u1", X_Plan="gold", X_Country="DE").headers
    assert "x-vedette-experiments" not in ask("u1", X_Plan="silver", X_Country="DE").headers
    assert "x-vedette-experiments" not in ask("t1", X_Plan="gold", X_Country="DE").headers
    by_exposure: dict[bool, list[Outcome]] = {True: [], False: []}
    for outcome in stage.outcomes(3):
        by_exposure[bool(outcome.exposures)].append(outcome)
    assert [outcome.dimensions for outcome in by_exposure[True]] == [{"x-country": "DE"}]
    assert [outcome.dimensions for outcome in by_exposure[False]] == [{}, {}]


@pytest.mark.parametrize("unit", ["user", "request"])
def test_requests_without_a_unit_are_their_own(stage, unit):
    """Where chance assigns, each request has an arm of its own, recoverable from its id, and no bucket."""
    plan = stage.plan(layers=[layer(running("tone"))], assignment=Assignment(unit=unit))
    stage.publish(plan)
    for _ in range(30):
        stage.chat(user="" if unit == "user" else "always the same")
    outcomes = stage.outcomes(30)
    arms = [outcome.exposures[0].arm for outcome in outcomes]
    compiled = CompiledPlan(plan)
    assert arms == [compiled.assign(outcome.id)[1].names["tone"] for outcome in outcomes]
    assert set(arms) == {"control", "treatment"}
    assert {outcome.bucket for outcome in outcomes} == {-1}


def test_requests_without_a_unit_that_chance_gives_an_experiments_version(stage):
    """A version of an arm overrules the draw between stable and canary."""
    overriding = treating(Override(version="v3"))
    stage.publish(stage.plan(canary="ok", percent=50, backends={"v3": stage.backend("ok")}, layers=[overriding]))
    assert {stage.chat(user=None).headers["x-vedette-version"] for _ in range(10)} == {"v3"}


def test_requests_without_a_unit_that_stable_serves_are_in_no_experiment(stage):
    """Where the domain serves them stable, they are served as it is."""
    stage.publish(
        stage.plan(layers=[treating(Override(parameters={"seed": 1}))], assignment=Assignment(missing="stable"))
    )
    answer = stage.chat(user=None)
    assert "x-vedette-experiments" not in answer.headers
    assert "seed" not in sent(stage)
    assert stage.outcome().exposures == ()


def test_without_experiments_nothing_changes(stage):
    """A domain without experiments, and a unit that none has, see nothing of them in any answer or outcome."""
    empty = [layer(running("tone", exposed=0))]
    for revision, layers in enumerate(([], empty), start=1):
        stage.publish(stage.plan(revision=revision, layers=layers))
        answer = stage.chat()
        assert "x-vedette-experiments" not in answer.headers
        assert sent(stage) == {"model": "ok", "user": "u1", "messages": [USER]}
    for outcome in stage.outcomes(2):
        assert (outcome.exposures, outcome.dimensions) == ((), {})
        assert set(outcome.measures) == {"error", "fallback", "rejected", "latency_ms", "tokens_in", "tokens_out"}
    assert b"vedette_experiment_exposures_total{" not in stage.get("/metrics").body
