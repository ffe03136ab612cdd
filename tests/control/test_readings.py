"""Guardrails on counters of others: judged like any rate, never trusted when silent, never waited for."""

from concurrent.futures import Executor, Future

import pytest
from tests.connectors.fake_prometheus import FakePrometheus, serving
from tests.control.world import TICK, World

from vedette.control.readings import Readings
from vedette.rollouts.machine import Phase

ALL = 'http_requests_total{service="$domain",version="$version"}'
BAD = 'http_requests_total{service="$domain",version="$version",code=~"5.."}'
GUARDED = [{"metric": "errors"}, {"metric": "mesh-errors"}]


class AtOnce(Executor):
    """Reads while it is asked, so that a look sees what is there now."""

    def submit(self, call, /, *arguments, **named):  # type: ignore[override]  # the result is always there
        """Do it, and give what came of it."""
        done: Future[object] = Future()
        done.set_result(call(*arguments, **named))
        return done


class Mesh:
    """A service mesh that counts every request of both versions, and is scraped between two looks."""

    def __init__(self, prometheus: FakePrometheus, world: World) -> None:
        self.prometheus = prometheus
        self._world = world
        self._counted = {"v1": [0, 0], "v2": [0, 0]}
        self._now = 0.0

    def serve(self, *, canary: float, stable: float, n: int = 400) -> None:
        """Count ``n`` requests split as the plan in force says, with these shares of errors, and be scraped."""
        weight = self._world.plane.traffic.plan("pay").weight / 1e6
        exposed = round(n * weight)
        for version, requests, bad in (("v1", n - exposed, stable), ("v2", exposed, canary)):
            failed = round(requests * bad)
            self._counted[version][0] += requests - failed
            self._counted[version][1] += failed
        self.scrape()

    def scrape(self) -> None:
        """Sample what was counted so far."""
        now = self._world.clock.now().timestamp()
        for version, counts in self._counted.items():
            for code, value in zip(("200", "500"), counts, strict=True):
                labels = {"service": "pay", "version": version, "code": code}
                self.prometheus.scrape(now, "http_requests_total", value, instance="mesh:9090", job="mesh", **labels)


@pytest.fixture
def mesh(quick):
    """A world whose domain is also counted by a mesh; what is asked is answered at once."""
    with serving() as prometheus:
        source = {"prometheus": prometheus.url, "bad": BAD, "total": ALL, "settle": 5, "stale": "30s"}
        quick.domain(metrics=[{"name": "mesh-errors", "kind": "rate", "source": source}])
        quick.plane.reconciler._readings = Readings(quick.clock, pool=AtOnce)
        yield Mesh(prometheus, quick)


def turn(world: World, mesh: Mesh, *, scraped: bool = True, **rates: float) -> None:
    """Let one look and one moment of traffic pass, in which the gateway itself sees no error."""
    world.plane.reconciler.tick()
    world.serve("pay")
    if scraped:
        mesh.serve(**({"canary": 0.05, "stable": 0.05} | rates))
    world.go(TICK)


def until(world: World, mesh: Mesh, phase: Phase, **rates: float) -> None:
    """Let time pass until the rollout is in this phase."""
    for _ in range(80):
        if world.status().phase is phase:
            return
        turn(world, mesh, **rates)
    raise AssertionError(world.status())


def test_version_that_only_the_mesh_sees_fail_is_taken_back(quick, mesh):
    """Errors that no gateway sees take a version back, and the record says by how much and explains it again."""
    quick.deploy(guardrails=GUARDED)
    until(quick, mesh, Phase.ABORTED, canary=0.4)
    assert quick.status().because.startswith("mesh-errors is worse")
    told = quick.plane.canary.explain("pay")
    assert told.rederived is True
    assert told.verdicts[1].finding == "regression"
    assert quick.plane.canary.replay("pay").phase is Phase.ABORTED


def test_version_that_the_mesh_sees_no_worse_is_promoted(quick, mesh):
    """Equal rates of errors in the mesh let a version climb to the end, and a replay of the record climbs too."""
    quick.deploy(guardrails=GUARDED)
    until(quick, mesh, Phase.PROMOTED)
    assert quick.plane.canary.replay("pay").phase is Phase.PROMOTED
