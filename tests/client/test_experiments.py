"""Experiments by the SDK: what the plane says and refuses, over HTTP."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from vedette.client import experiments
from vedette.control.plane import ControlPlane
from vedette.evidence.outcome import Outcome, OutcomeStatus
from vedette.experiments.machine import Phase
from vedette.experiments.metrics import MetricUse
from vedette.experiments.monitoring import AnytimeValid
from vedette.experiments.spec import ExperimentSpec, Variant
from vedette.kernel.errors import Conflict, InvalidInput, NotFound, Refused, StaleRevision, VedetteError
from vedette.routing.override import Override, Prompt

SPEC = ExperimentSpec(
    domain="payments",
    variants=(Variant(name="v1"), Variant(name="v2", override=Override(version="v2"))),
    metrics=(MetricUse(metric="errors", role="primary"),),
    dimensions=("x-plan",),
)
OFFLINE: dict[str, Any] = {"metrics": ["errors"], "offline": True, "min_units": 2}


def serve(plane: ControlPlane, users: int = 600) -> None:
    """Record what users saw by the plan in force."""
    compiled = plane.traffic.compiled("payments")
    made = []
    for user in range(users):
        choice, seen = compiled.assign(f"user-{user}", {"x-plan": "pro" if user % 2 else "free"})
        made.append(
            Outcome(
                id=f"o{user}",
                domain="payments",
                at=datetime.now(UTC),
                assigned=choice.version,
                served=choice.version,
                plan_revision=0 if choice.arm == "experiment" else compiled.plan.revision,
                bucket=choice.bucket,
                status=OutcomeStatus.OK,
                measures={"error": float(user % 7 == 0)},
                exposures=seen.exposures,
                dimensions=dict(seen.dimensions),
            )
        )
    plane.lake.ship("batch", made)


def test_every_form_of_an_experiment_is_read_as_the_plane_reads_it(both):
    """Names, mappings, objects, splits and a whole spec give the same experiment here and there."""
    plane, client = both
    brief = Variant(name="brief", weight=3.0, override=Override(prompt=Prompt(system="Be brief.")))
    asked: list[tuple[Any, Any, dict[str, Any]]] = [
        (["v1", "v2"], [50, 50], {"metrics": ["errors"]}),
        (["base", "v2"], {"v2": 0.25, "base": 0.75}, {"metrics": ["errors", "latency-mean"], "coverage": "20%"}),
        (
            ["v1", brief, {"name": "hot", "override": {"parameters": {"temperature": 0.9}}}],
            None,
            {"metrics": SPEC.metrics},
        ),
        (["a", "b"], None, {**OFFLINE, "monitoring": AnytimeValid(tune_at=500.0)}),
        (SPEC, None, {}),
    ]
    for number, (variants, splits, design) in enumerate(asked):
        there = client.experiments.create_test("payments", variants, splits, name=f"there-{number}", **design)
        here = plane.experiments.create_test("payments", variants, splits, name=f"here-{number}", actor="ada", **design)
        assert there.spec == here.spec
        assert there == plane.experiments.get(f"there-{number}")
    assert client.experiments.create_test("payments", SPEC, name="dry", dry_run=True).spec == SPEC
    with pytest.raises(NotFound):
        client.experiments.get("dry")


def test_an_experiment_is_started_steered_and_understood(both):
    """It goes its way by the client's verbs, and everything read is what the plane gives."""
    plane, client = both
    client.experiments.create_test("payments", SPEC, name="tone", request_id="r-1")
    begun = client.experiments.start("tone", "30%", why="go", expected=1)
    assert (begun.status.phase, begun.status.exposed) == (Phase.RUNNING, 300_000)
    assert client.experiments.ramp("tone", 100).status.exposed == 1_000_000
    other = ["base", {"name": "hot", "override": {"values": {"a": 1}}}]
    client.experiments.create_test("payments", other, name="other", layer="second", metrics=["errors"])
    client.experiments.start("other")
    serve(plane)
    plane.reconciler.tick()
    asked: list[Callable[[Any], object]] = [
        lambda it: it.page(domain="payments", phase=Phase.RUNNING, limit=1),
        lambda it: it.results("tone"),
        lambda it: it.looks("tone", newest_first=True),
        lambda it: it.decisions("tone", limit=1),
        lambda it: it.assignment("tone", "user-1", {"x-plan": "pro=1"}),
        lambda it: it.breakdown("tone", "x-plan"),
        lambda it: it.interactions("tone"),
        lambda it: it.interactions("tone", "other"),
        lambda it: it.explain("tone", "user-1", {"x-plan": "pro"}).assignment,
        lambda it: it.explain("tone").report,
        lambda it: it.plan(SPEC, mde=0.2, baseline=0.1, units_per_day=5000.0, question="control"),
    ]
    for ask in asked:
        assert ask(client.experiments) == ask(plane.experiments)
    assert client.traffic.choose("payments", "user-1") == plane.traffic.choose("payments", "user-1")
    assert client.experiments.stop("tone", why="enough").status.phase is Phase.STOPPED
    assert client.experiments.decide("tone", "v2").status.conclusion.winner == "v2"
    assert client.experiments.promote("tone").spec.version == "v2"
    assert client.experiments.archive("tone").status.phase is Phase.ARCHIVED
    assert client.experiments.stop_arm("other", "hot").status.phase is Phase.STOPPED
    entries = plane.governance.entries(action="experiment.create").items
    assert next(it.request_id for it in entries) == "r-1"


def test_many_scores_travel_in_several_requests_and_count_once(both, monkeypatch):
    """Rows of a prompt, and of a cluster, stay together however large the upload is, and the answer is that of all."""
    plane, client = both
    monkeypatch.setattr(experiments, "_BATCH", 400)
    rows: list[dict[str, Any]] = [
        {
            "prompt": f"p{n}",
            "variant": arm,
            "error": np.float64(n % 3 == 0),
            "cluster": f"c{n // 5}" if n < 30 else None,
        }
        for arm in "ab"
        for n in range(60)
    ]
    rows[-1] = {**rows[-1], "error": np.nan}
    for name in ("there", "here"):
        plane.experiments.create_test("payments", ["a", "b"], name=name, actor="ada", **OFFLINE)
    sent = client.experiments.record_scores("there", iter(rows))
    kept = plane.experiments.record_scores("here", rows, actor="ada")
    assert (sent.prompts, sent.total, sent.incomplete) == (kept.prompts, kept.total, kept.incomplete) == (59, 59, 1)
    assert sent.verdict is not None
    there, here = (plane.experiments.results(name) for name in ("there", "here"))
    assert there.estimates[0].mean == pytest.approx(here.estimates[0].mean)
    assert there.estimates[0].standard_error == pytest.approx(here.estimates[0].standard_error)
    again = client.experiments.record_scores("there", rows)
    assert (again.prompts, again.total, again.seen_before) == (0, 59, 59)
    assert client.experiments.record_scores("there", []).total == 59


def test_errors_are_those_of_the_plane(both):
    """What the plane refuses, the client raises: the same class, message and hint, and nothing is written."""
    plane, client = both
    plane.experiments.create_test("payments", SPEC, name="tone", actor="ada")
    plane.experiments.start("tone", 50, actor="ada")
    entries = plane.governance.head()
    pair = {"metrics": ["errors"], "actor": "ada"}
    asked: list[tuple[type[VedetteError], Callable[[Any], object]]] = [
        (NotFound, lambda it: it.get("none")),
        (NotFound, lambda it: it.create_test("payments", ["v1", "v9"], **pair)),
        (NotFound, lambda it: it.create_test("payments", ["v1", "v2"], metrics=["nonsense"], actor="ada")),
        (InvalidInput, lambda it: it.create_test("payments", ["v1", "v2"], [50, 40], **pair)),
        (InvalidInput, lambda it: it.create_test("payments", ["v1", "v2"], [1.5, -0.5], **pair)),
        (InvalidInput, lambda it: it.create_test("payments", SPEC, [50, 50], actor="ada")),
        (InvalidInput, lambda it: it.create_test("legal", SPEC, actor="ada")),
        (Conflict, lambda it: it.create_test("payments", SPEC, name="tone", actor="ada")),
        (Refused, lambda it: it.ramp("tone", 10, actor="ada")),
        (InvalidInput, lambda it: it.stop_arm("tone", "v9", actor="ada")),
        (Refused, lambda it: it.stop_arm("tone", "v1", actor="ada")),
        (StaleRevision, lambda it: it.stop("tone", actor="ada", expected=1)),
        (InvalidInput, lambda it: it.decide("tone", "v9", actor="ada")),
        (Refused, lambda it: it.promote("tone", actor="ada")),
        (Refused, lambda it: it.record_scores("tone", [], actor="ada")),
        (InvalidInput, lambda it: it.breakdown("tone", "country")),
        (InvalidInput, lambda it: it.interactions("tone", "tone")),
        (InvalidInput, lambda it: it.plan(SPEC, mde=0.2)),
    ]
    for kind, ask in asked:
        with pytest.raises(kind) as here:
            ask(plane.experiments)
        with pytest.raises(kind) as there:
            ask(client.experiments)
        assert type(there.value) is kind
        assert (there.value.message, there.value.hint) == (here.value.message, here.value.hint)
    for odd in ({"coverage": float("nan")}, {"alpha": float("inf")}):
        with pytest.raises(InvalidInput, match="no number that can be sent"):
            client.experiments.create_test("payments", ["v1", "v2"], metrics=["errors"], **odd)
    assert plane.governance.head() == entries
