"""The demo, really run: its models trained, its server and traffic up, its rollouts decided, and more under way."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.web.site import PASSWORD

from vedette.control.plane import ControlPlane, open_plane
from vedette.demo.data import load_domains
from vedette.demo.processes import Server, Traffic
from vedette.demo.scenario import prepare, register
from vedette.demo.story import Course
from vedette.demo.traffic import Orders, Stream
from vedette.governance.roles import Role

PEOPLE = {"ann": Role.ADMIN, "oda": Role.OPERATOR, "vic": Role.VIEWER}
_PATIENCE = 150.0
_LADDER: dict[str, Any] = {
    "steps": [{"weight": "5%", "bake": "10m"}, {"weight": "50%", "bake": "10m"}, {"weight": "100%", "bake": "10m"}],
    "guardrails": [
        {"metric": "accuracy", "tolerance": 0.9},
        {"metric": "errors"},
        {"metric": "latency-p95", "tolerance": 0.9, "dryRun": True},
    ],
    "holdBack": "5%",
    "rollbackWindow": 0,
}


@dataclass
class Living:
    """A running demo: the plane over its data, and where its dashboard is."""

    plane: ControlPlane
    base: str


@contextmanager
def living(folder: Path, *, rate: float = 120.0, told: bool = True) -> Iterator[Living]:
    """Run the demo in ``folder`` until its story is told, start an experiment and rollouts, and leave it up."""
    with ExitStack() as stack:
        plane = stack.enter_context(open_plane(folder, actor="ada"))
        scenarios = [prepare(domain, folder / "models") for domain in load_domains()]
        for scenario in scenarios:
            register(plane, scenario)
        for name, role in PEOPLE.items():
            plane.people.accept(plane.people.invite(name, role), name, PASSWORD)
        token = plane.people.create_token("demo", Role.OPERATOR)
        server = stack.enter_context(Server(folder, [scenario.domain.id for scenario in scenarios]))
        streams = tuple(
            Stream(
                domain=scenario.domain.id,
                rate=rate / len(scenarios),
                questions=tuple((example.query, example.label) for example in scenario.domain.held_out),
                users=scenario.users,
            )
            for scenario in scenarios
        )
        orders = Orders(gateway=server.gateway, api=server.api, token=token, seed=1, streams=streams)
        stack.enter_context(Traffic(folder, orders))
        if told:
            courses = [Course(plane, scenario) for scenario in scenarios]
            deadline = time.monotonic() + _PATIENCE
            done = 0
            while done < len(courses) and time.monotonic() < deadline:
                time.sleep(0.4)
                done = sum(course.go_on().done for course in courses)
        begin(plane)
        yield Living(plane, server.api)


def begin(plane: ControlPlane) -> None:
    """Start what the pages show under way: an experiment with a bandit's split, a slow rollout, one that asks."""
    worse = {"name": "misjoined", "override": {"version": "v2-misjoined-labels"}}
    plane.experiments.create_test(
        "digits",
        [{"name": "curved"}, {"name": "straight", "override": {"version": "v1"}}, worse],
        name="border",
        metrics=[
            {"metric": "accuracy", "role": "primary"},
            {"metric": "errors", "role": "guardrail", "margin": 0.1},
            {"metric": "latency-mean", "role": "secondary"},
        ],
        coverage="50%",
        dimensions=["user"],
        hypothesis="a curved border reads digits better than a straight one",
        allocation={"kind": "top-two", "every": "5s", "burnIn": 60},
        onGuardrail="notify",
        minUnits=50,
    )
    plane.experiments.start("border")
    plane.experiments.create_test("legal", ["v1", "v2-whole-catalogue"], name="catalogue", metrics=["accuracy"])
    for domain in ("legal", "pathology"):
        stable = plane.versions.aliases(domain)["stable"]
        other = (
            "v1" if stable != "v1" else next(it.name for it in plane.versions.page(domain).items if it.name != stable)
        )
        asks = domain == "pathology"
        steps = (
            [{"weight": "25%", "bake": "2s", "approval": True}, *_LADDER["steps"][-1:]] if asks else _LADDER["steps"]
        )
        guarded = [{"metric": "errors"}] if asks else _LADDER["guardrails"]
        name = "pathology-by-hand" if asks else "legal-slowly"
        plane.canary.deploy_with_rollout(domain, other, {**_LADDER, "steps": steps, "guardrails": guarded}, name=name)
