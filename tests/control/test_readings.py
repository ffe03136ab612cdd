"""Guardrails on counters of others: judged like any rate, never trusted when silent, never waited for."""

from collections.abc import Sequence
from concurrent.futures import Executor, Future
from datetime import datetime

import pytest
from tests.connectors.fake_prometheus import FakePrometheus, serving
from tests.control.world import TICK, World

from vedette.catalog.domain import DomainSpec
from vedette.control.readings import Readings, Wanted
from vedette.kernel.documents import load
from vedette.kernel.errors import InvalidInput, Refused, Unavailable
from vedette.rollouts.machine import Phase

ALL = 'http_requests_total{service="$domain",version="$version"}'
BAD = 'http_requests_total{service="$domain",version="$version",code=~"5.."}'
GUARDED = [{"metric": "errors"}, {"metric": "mesh-errors"}]
SHORT = [{"weight": 50, "bake": 10}, {"weight": 100, "bake": 10}]


class AtOnce(Executor):
    """Reads while it is asked, so that a look sees what is there now."""

    def submit(self, call, /, *arguments, **named):
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
    world.serve("pay", n=20)
    if scraped:
        mesh.serve(canary=rates.get("canary", 0.05), stable=rates.get("stable", 0.05))
    world.go(TICK)


def until(world: World, mesh: Mesh, phase: Phase, *, canary: float = 0.05) -> None:
    """Let time pass until the rollout is in this phase."""
    for _ in range(80):
        if world.status().phase is phase:
            return
        turn(world, mesh, canary=canary)
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


def insufficient(world: World) -> str:
    """Give what is said to be missing at the last look."""
    return next(it.sentence for it in world.plane.canary.explain("pay").verdicts if it.metric == "mesh-errors")


def climb(world: World, mesh: Mesh, step: int) -> None:
    """Let a rollout come to a step (from 0) that gateways confirmed, and be scraped there."""
    for _ in range(60):
        status = world.status()
        if status.step == step and status.step_since is not None:
            return
        turn(world, mesh)
    raise AssertionError(world.status())


def test_silent_prometheus_holds_and_says_why(quick, mesh):
    """While a Prometheus answers nothing a rollout neither climbs nor comes back; afterwards it goes on to the end."""
    quick.deploy(guardrails=GUARDED, steps=SHORT)
    climb(quick, mesh, 1)
    mesh.prometheus.answer = (503, b'{"status": "error", "errorType": "unavailable", "error": "out of disk"}')
    for _ in range(12):
        turn(quick, mesh)
    assert (quick.status().phase, quick.status().step) == (Phase.PROGRESSING, 1)
    assert "answered 503: unavailable: out of disk" in insufficient(quick)
    reasons = quick.plane.canary.explain("pay").now.reasons
    assert [reason.code for reason in reasons] == ["insufficient"]
    mesh.prometheus.answer = None
    until(quick, mesh, Phase.PROMOTED)


@pytest.mark.parametrize(("answer", "phase"), [("abort", Phase.ABORTED), ("pause", Phase.PAUSED)])
def test_silence_that_lasts_does_what_on_insufficient_says(quick, mesh, answer, phase):
    """One reading that fails is no news; a source that stays silent aborts or pauses where the spec asks for it."""
    quick.deploy(guardrails=GUARDED, onInsufficient=answer, steps=[{"weight": 50, "bake": 0}, {"weight": 100}])
    mesh.prometheus.answer = (500, b"")
    for _ in range(4):
        turn(quick, mesh)
    assert quick.status().phase is Phase.PROGRESSING
    until(quick, mesh, phase)


def test_restart_does_not_act_on_what_was_not_read_yet(quick, mesh):
    """A replica that takes over while a Prometheus is away waits for it as long as for one that is new."""
    quick.deploy(guardrails=GUARDED, onInsufficient="abort", steps=[{"weight": 50, "bake": 60}, {"weight": 100}])
    climb(quick, mesh, 0)
    for _ in range(10):
        turn(quick, mesh)
    quick.plane.reconciler._readings = Readings(quick.clock, pool=AtOnce)
    mesh.prometheus.answer = (500, b"")
    for _ in range(5):
        turn(quick, mesh)
    assert quick.plane.canary.explain("pay").now.reasons[0].code == "insufficient"
    assert (quick.status().phase, quick.status().step) == (Phase.PROGRESSING, 0)
    mesh.prometheus.answer = None
    climb(quick, mesh, 1)


def test_dry_run_guardrail_holds_nothing_up(quick, mesh):
    """A source that never answers, under a guardrail that only shows its verdict, holds no rollout."""
    quick.deploy(guardrails=[{"metric": "errors"}, {"metric": "mesh-errors", "dryRun": True}], steps=SHORT)
    mesh.prometheus.answer = (500, b"")
    until(quick, mesh, Phase.PROMOTED)


def test_scrapes_that_stop_hold_the_step(quick, mesh):
    """Prometheus that answers, and whose samples have ended, is silent all the same."""
    quick.deploy(guardrails=GUARDED, steps=SHORT)
    climb(quick, mesh, 1)
    for _ in range(9):
        turn(quick, mesh, scraped=False)
    assert (quick.status().phase, quick.status().step) == (Phase.PROGRESSING, 1)
    assert insufficient(quick) == "mesh-errors was not measured: the canary has no sample of the last 30s"


def test_step_in_which_the_mesh_saw_no_canary_is_not_passed(quick, mesh):
    """A canary that was counted in an earlier step, and is not in this one, is not promoted on what it was."""
    quick.deploy(guardrails=GUARDED, steps=SHORT)
    climb(quick, mesh, 1)
    for _ in range(12):
        quick.plane.reconciler.tick()
        quick.serve("pay", n=20)
        mesh.scrape()
        quick.go()
    assert (quick.status().phase, quick.status().step) == (Phase.PROGRESSING, 1)
    assert insufficient(quick).endswith("the canary has no event counted in this step yet")


@pytest.mark.parametrize(
    ("bad", "total", "said"),
    [
        (ALL.replace("http", "grpc"), ALL, "no series of bad events was found of either version"),
        (ALL, BAD, "bad must be a part of total"),
        (BAD, ALL.replace("http", "grpc"), "no series of all events of the canary was found"),
    ],
)
def test_mistakes_in_the_queries_are_loud_and_promote_nothing(quick, bad, total, said):
    """Queries that find nothing, or the two in each other's place, hold the rollout and are called by name."""
    with serving() as prometheus:
        source = {"prometheus": prometheus.url, "bad": bad, "total": total, "settle": 5, "stale": "30s"}
        quick.domain(metrics=[{"name": "mesh-errors", "kind": "rate", "source": source}])
        quick.plane.reconciler._readings = Readings(quick.clock, pool=AtOnce)
        quick.deploy(guardrails=GUARDED, steps=SHORT)
        mesh = Mesh(prometheus, quick)
        for _ in range(9):
            turn(quick, mesh)
        assert (quick.status().phase, quick.status().step) == (Phase.PROGRESSING, 0)
        assert said in insufficient(quick)


def test_prometheus_that_hangs_stalls_nobody(quick):
    """While a Prometheus keeps everybody waiting, another rollout, and its own by other guardrails, are taken back."""
    with serving() as prometheus:
        prometheus.held.clear()
        source = {"prometheus": prometheus.url, "bad": BAD, "total": ALL}
        quick.domain("pay", metrics=[{"name": "mesh-errors", "kind": "rate", "source": source}])
        quick.domain("legal")
        quick.deploy("pay", guardrails=GUARDED)
        quick.deploy("legal")
        quick.reach(0, "legal")
        (reading,) = quick.plane.reconciler._readings._readings.values()
        for _ in range(6):
            quick.turn("pay", "legal", canary=0.5)
        assert [quick.status(domain).phase for domain in ("pay", "legal")] == [Phase.ABORTED] * 2
        assert not reading.task.done()
        quick.plane.reconciler.release()
        prometheus.held.set()


def test_verdict_of_a_reading_does_not_depend_on_when_it_was_read(quick, mesh):
    """What is read bit by bit over a whole rollout, and what is read at its end at once, are the same counts."""
    quick.deploy(guardrails=GUARDED)
    climb(quick, mesh, 2)
    wanted: list[tuple[Sequence[Wanted], datetime]] = []
    readings = quick.plane.reconciler._readings
    inner = readings.of

    def noting(asked, now):
        wanted.append((asked, now))
        return inner(asked, now)

    readings.of = noting
    quick.plane.reconciler.tick()
    ((asked, now),) = wanted
    assert Readings(quick.clock, pool=AtOnce).of(asked, now) == inner(asked, now)
    (window, *_) = asked[0].windows
    assert [it.revision for it in asked[0].windows] == [3, 4, 5]
    assert window.end - window.begin > 0


def test_plan_reads_traffic_and_bad_rate_from_the_source(quick, mesh):
    """Before a rollout, plan shows what the source's counters give for stable, or what is wrong with them."""
    with pytest.raises(InvalidInput, match="0 bad of 0 events of v1"):
        quick.plane.canary.plan("pay", "v2", {"guardrails": GUARDED}, metric="mesh-errors")
    for _ in range(25):
        mesh.serve(canary=0, stable=0.05, n=120)
        quick.go(60)
    planned = quick.plane.canary.plan("pay", "v2", {"guardrails": GUARDED}, metric="mesh-errors")
    assert (planned.requests_per_minute, planned.bad_rate) == (120, 0.05)
    mesh.prometheus.answer = (401, b"")
    with pytest.raises(Unavailable, match="answered 401"):
        quick.plane.canary.plan("pay", "v2", {"guardrails": GUARDED}, metric="mesh-errors")


def test_experiments_refuse_what_knows_no_units(quick, mesh):
    """An experiment on a sourced metric is refused, and so is a source for what a running experiment measures."""
    with pytest.raises(InvalidInput, match="does not know whose requests"):
        quick.plane.experiments.create_test("pay", ["v1", "v2"], metrics=["mesh-errors"], actor="ada", name="trial")
    quick.domain("legal", metrics=[{"name": "quality", "kind": "rate", "measure": "correct"}])
    quick.plane.experiments.create_test("legal", ["v1", "v2"], metrics=["quality"], actor="ada", name="trial")
    quick.plane.experiments.start("trial", actor="ada")
    source = {"prometheus": mesh.prometheus.url, "bad": BAD, "total": ALL}
    changed = load(DomainSpec, {"config": {"metrics": [{"name": "quality", "kind": "rate", "source": source}]}})
    with pytest.raises(Refused, match="measures quality"):
        quick.plane.domains.update("legal", changed, actor="ada")


def test_mistakes_in_a_declaration_are_refused_with_the_domain():
    """A domain with a source that is none, or for what is no rate, is not made."""
    source = {"prometheus": "http://prometheus:9090", "total": ALL}
    for kind, bad, said in (("rate", "rate(x[5m])", "is no selector"), ("mean", BAD, "only a rate can have a source")):
        metric = {"name": "m", "kind": kind, "measure": "m", "source": source | {"bad": bad}}
        with pytest.raises(InvalidInput, match=said):
            load(DomainSpec, {"config": {"metrics": [metric]}})
