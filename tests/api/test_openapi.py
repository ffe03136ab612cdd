"""The API against its own OpenAPI document, tried by schemathesis: all its checks, all its phases."""

import pytest
import schemathesis
from schemathesis import engine
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import events
from tests.api.conftest import furnish

from vedette.api.app import create_app
from vedette.api.events import StreamLimits
from vedette.control.plane import open_plane

CONFIG = {
    "seed": 20261123,
    "generation": {"max-examples": 5, "database": "none"},
    "phases": {"stateful": {"max-steps": 8, "generation": {"max-examples": 5}}},
    "checks": {
        # A deleted domain keeps its record, and its record stays readable.
        "use_after_free": {"enabled": False},
        # 412: the document cannot know the revision. 422: `refused_by_a_rule` says when.
        "positive_data_acceptance": {
            "expected-statuses": ["2xx", "3xx", "401", "403", "404", "409", "412", "422", "5xx"]
        },
    },
    "operations": [
        # YAML has more than one way to say no; documents are read as YAML whatever they say they are.
        {"include-operation-id": "apply", "checks": {"negative_data_rejection": {"enabled": False}}},
        # No schema can say which bytes are a message of protobuf.
        {"include-operation-id": "export_traces", "checks": {"positive_data_acceptance": {"enabled": False}}},
    ],
}


@schemathesis.check
def refused_by_a_rule(_, response, case):
    """What the document allows may only be refused by a rule no JSON Schema can say (weights that rise, a cursor)."""
    if response.status_code == 422 and case.meta is not None and case.meta.generation.mode.is_positive:
        errors = response.json()["details"].get("errors", ())
        assert {each["code"] for each in errors} <= {"value_error"}, errors


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    """The API over a plane with a domain, two versions, a rollout, and experiments in every way of being."""
    with open_plane(tmp_path_factory.mktemp("plane")) as plane:
        furnish(plane)
        plane.canary.deploy_with_rollout("support", "v2", actor="ann")
        for name in ("draft", "running"):
            plane.experiments.create_test("support", ["v1", "v2"], metrics=["errors"], name=name, actor="ann")
        plane.experiments.start("running", actor="ann")
        plane.experiments.create_test(
            "support", ["a", "b"], metrics=["errors"], offline=True, name="judged", actor="ann"
        )
        yield create_app(plane, stream_limits=StreamLimits(lifetime=0.0, poll=0.01))


def test_schemathesis_finds_nothing(app):
    """Whatever is sent, in whatever order, the answer is one the document declares, and never a server's failure."""
    schema = schemathesis.openapi.from_asgi("/api/v1/openapi.json", app, config=SchemathesisConfig.from_dict(CONFIG))
    found, phases, answered = {}, {}, 0
    for event in engine.from_schema(schema).execute():
        match event:
            case events.PhaseFinished():
                phases[event.phase.name.value] = event.status.value
            case events.ScenarioFinished():
                for case_id, checks in event.recorder.checks.items():
                    answered += 1
                    for check in checks:
                        if check.failure_info is not None:
                            said = f"{check.failure_info.failure}\n{check.failure_info.code_sample}"
                            answer = event.recorder.interactions[case_id].response
                            found[event.label, check.name] = f"{said}\n{answer and answer.content[:500]!r}"
            case events.NonFatalError() | events.FatalError():
                found[str(event), "error"] = str(getattr(event, "value", event))
    assert not found, "\n\n".join(f"{name}: {what}" for name, what in found.items())
    assert {"coverage", "fuzzing", "stateful"} <= {name for name, status in phases.items() if status == "success"}
    assert answered > 1000


def test_every_operation_is_described(app):
    """The document is OpenAPI 3.1, and every operation has a name of its own, a summary, a tag and its errors."""
    document = app.openapi()
    operations = [way for ways in document["paths"].values() for way in ways.values()]
    assert document["openapi"].startswith("3.1")
    assert len({operation["operationId"] for operation in operations}) == len(operations) >= 50
    for operation in operations:
        assert operation["summary"]
        assert operation["description"]
        assert operation["tags"]
        for status in ("422", "500", "503"):
            assert operation["responses"][status]["content"] == {
                "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}
            }


def test_what_changes_things_names_its_actor(app):
    """Every operation that leaves an audit entry takes the header that says who asks."""
    free = {"plan_rollout", "replay_rollout", "plan_experiment"}
    free |= {"record_outcomes", "judge_outcome", "judge_outcomes", "export_traces"}  # evidence, not changes
    free |= {"show_unit"}  # a question, whose unit stands in no address
    for ways in app.openapi()["paths"].values():
        for method, operation in ways.items():
            headers = {it["name"] for it in operation.get("parameters", ()) if it["in"] == "header"}
            writes = method != "get" and operation["operationId"] not in free
            assert ("X-Vedette-Actor" in headers) is writes, operation["operationId"]
