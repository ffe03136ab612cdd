"""Many experiments on one domain through a real gateway, with a rollout beside them, moved by the real reconciler."""

import asyncio
import hashlib
import itertools
import json
import threading
from collections import Counter

import pytest
import uvloop
from scipy.stats import chi2_contingency, chisquare
from tests.gateway.stage import QUICK, wait_for
from tests.gateway.upstream import MockUpstream

from vedette.catalog.domain import Assignment, DomainConfig, DomainSpec
from vedette.catalog.version import VersionSpec
from vedette.control.instruments import Instruments
from vedette.control.plane import open_plane
from vedette.experiments.metrics import MetricUse
from vedette.experiments.spec import ExperimentSpec, Variant
from vedette.gateway.server import Gateway
from vedette.gateway.settings import GatewaySettings
from vedette.kernel.documents import load
from vedette.kernel.ids import uuid7
from vedette.routing.override import Override

DOMAIN = "support"
HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
METRICS = (
    MetricUse(metric="latency-mean", role="primary"),
    MetricUse(metric="errors", role="guardrail", margin=0.5),
)


class Dice(Instruments):
    """Dice that fall the same in every run: who is in which arm follows from the ids of rollouts and experiments."""

    def __init__(self):
        self.made = 0

    def new_id(self, after=""):  # noqa: ARG002 - each is greater than those before
        """Give the next id."""
        self.made += 1
        return uuid7(1_760_000_000_000 + self.made, hashlib.sha256(self.made.to_bytes(8)).digest()[:10])


class World:
    """A plane, a gateway fed by it that ships to it, and a mock backend, all in this process."""

    def __init__(self, folder):
        self.plane = open_plane(folder / "data", actor="ada", instruments=Dice())
        self.upstream = MockUpstream()
        self.loop = uvloop.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self._run(self.upstream.start())
        config = DomainConfig(assignment=Assignment(unit="user"), retries=0, fallback=False)
        self.plane.domains.create(DOMAIN, DomainSpec(config=config))
        for version, model in (("v1", "ok"), ("v2", "ok"), ("bad", "500")):
            backend = {"kind": "openai", "url": self.upstream.url, "model": model}
            self.plane.versions.register(DOMAIN, version, load(VersionSpec, {"backend": backend}))
        self.plane.versions.install(DOMAIN, "v1")
        self.gateway = Gateway(
            self.plane.traffic, self.plane.lake, folder / "gateway", settings=GatewaySettings(**QUICK), environment={}
        )
        self._run(self.gateway.start())
        wait_for(lambda: self.gateway.app.ready)

    def _run(self, work):
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(120)

    def close(self):
        """Stop everything."""
        self._run(self.gateway.stop())
        self._run(self.upstream.stop())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(5)
        self.plane.close()

    def experiment(self, name, layer, arms, coverage=100.0, **changes):
        """Start an experiment whose arms set parameters, or serve versions, and wait until it is served."""
        variants = [Variant(name="base")]
        for arm in arms:
            override = Override(version=arm) if arm == "bad" else Override(parameters={f"p_{layer}": arm})
            variants.append(Variant(name=arm, override=override))
        spec = ExperimentSpec(
            domain=DOMAIN,
            variants=tuple(variants),
            metrics=METRICS,
            layer=layer,
            coverage=coverage,
            min_units=50,
            **changes,
        )
        made = self.plane.experiments.create_test(DOMAIN, spec, name=name)
        self.plane.experiments.start(made.name)
        self.served()
        return made

    def served(self):
        """Wait until the gateway serves the newest plan."""
        newest = self.plane.traffic.plan(DOMAIN).revision
        wait_for(lambda: self.gateway.app.table.serving[DOMAIN].plan.revision >= newest)

    def ask(self, users, per_connection=400):
        """Let users ask once each, over a few kept connections; give each one's status and arms by experiment."""
        return dict(itertools.chain.from_iterable(self._run(self._ask_all(list(users), per_connection))))

    async def _ask_all(self, users, size):
        return await asyncio.gather(*(self._ask(users[at : at + size]) for at in range(0, len(users), size)))

    async def _ask(self, users):
        reader, writer = await asyncio.open_connection("127.0.0.1", self.gateway.address[1])
        found = []
        for user in users:
            body = json.dumps({"model": DOMAIN, "user": user, "messages": [{"role": "user", "content": "hi"}]}).encode()
            writer.write(HEAD % len(body) + body)
            first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
            fields = dict(line.lower().split(": ", 1) for line in lines)
            await reader.readexactly(int(fields["content-length"]))
            arms = dict(part.split("=") for part in fields.get("x-vedette-experiments", "").split(", ") if part)
            found.append((user, (int(first.split()[1]), arms, fields["x-vedette-assigned"])))
        writer.close()
        return found

    def shipped(self, count):
        """Wait until so many outcomes are in the lake, and give them."""

        def all_of_them():
            return self.plane.lake.outcomes(DOMAIN, limit=100_000).items

        wait_for(lambda: len(all_of_them()) >= count, 30)
        return all_of_them()


@pytest.fixture
def world(tmp_path):
    """Give a world that is taken down afterwards."""
    made = World(tmp_path)
    yield made
    made.close()


@pytest.mark.parametrize("number", [3, 10])
def test_experiments_at_once_are_independent_of_each_other_and_of_a_rollout(world, number):
    """Arms of different layers and the canary are independent (chi-square), shares are as promised, each is logged."""
    for place in range(number):
        world.experiment(f"e{place}", f"l{place}", ["x", "y"] if place % 2 else ["x"])
    world.plane.canary.deploy_with_rollout(DOMAIN, "v2", ["30%", "100%"])
    world.plane.reconciler.tick()
    world.served()
    answers = world.ask(f"user-{n}" for n in range(6000))
    seen = {user: {**arms, "rollout": version} for user, (_, arms, version) in answers.items()}
    assert {status for status, _, _ in answers.values()} == {200}
    names = [f"e{place}" for place in range(number)] + ["rollout"]
    for name in names:
        counts = Counter(arms[name] for arms in seen.values())
        shares = {"v1": 0.7, "v2": 0.3} if name == "rollout" else dict.fromkeys(counts, 1 / len(counts))
        assert chisquare(list(counts.values()), [shares[arm] * 6000 for arm in counts]).pvalue > 1e-4
    p_values = []
    for first, second in itertools.combinations(names, 2):
        pairs = Counter((arms[first], arms[second]) for arms in seen.values())
        rows, columns = ({pair[side] for pair in pairs} for side in (0, 1))
        table = [[pairs[row, column] for column in sorted(columns)] for row in sorted(rows)]
        p_values.append(chi2_contingency(table).pvalue)
    assert min(p_values) > 0.001 / len(p_values), "no pair is dependent, whichever one looks at"
    logged = {}
    by_id = {made.id: made.name for made in world.plane.experiments.page(limit=100).items}
    for outcome in world.shipped(6000):
        logged[outcome.id] = {by_id[it.experiment]: it.arm for it in outcome.exposures}
    told, kept = (
        Counter(tuple(sorted(arms.items())) for arms in it)
        for it in ((arms for _, arms, _ in answers.values()), logged.values())
    )
    assert told == kept


def test_no_unit_is_in_two_experiments_of_a_layer_and_ramps_move_nobody(world):
    """Experiments of one layer exclude each other; raising a coverage adds units and changes nobody's arm."""
    world.experiment("first", "shared", ["x"], coverage=20.0, reserve=40.0)
    world.experiment("second", "shared", ["y", "z"], coverage=30.0)
    users = [f"user-{n}" for n in range(3000)]
    before = {user: arms for user, (_, arms, _) in world.ask(users).items()}
    assert max(len(arms) for arms in before.values()) == 1
    shares = Counter(name for arms in before.values() for name in arms)
    assert shares["first"] / 3000 == pytest.approx(0.2, abs=0.03)
    assert shares["second"] / 3000 == pytest.approx(0.3, abs=0.03)
    world.plane.experiments.ramp("first", 40.0)
    world.served()
    after = {user: arms for user, (_, arms, _) in world.ask(users).items()}
    assert all(after[user] == arms for user, arms in before.items() if arms)
    assert Counter(name for arms in after.values() for name in arms)["first"] / 3000 == pytest.approx(0.4, abs=0.03)
    again = {user: arms for user, (_, arms, _) in world.ask(users).items()}
    assert again == after


def test_a_guardrail_breach_stops_one_arm_within_one_pass(world):
    """An arm that fails loses its traffic at the next pass; the other arms and experiments go on, and nobody moves."""
    world.experiment("trial", "models", ["bad"], on_guardrail="stop")
    world.experiment("other", "words", ["x"])
    users = [f"user-{n}" for n in range(1200)]
    before = world.ask(users)
    assert {status for status, arms, _ in before.values() if arms["trial"] == "bad"} == {500}
    world.shipped(1200)
    world.plane.reconciler.tick()
    trial = world.plane.experiments.get("trial")
    assert [stopped.arm for stopped in trial.status.stopped_arms] == ["bad"]
    world.served()
    after = world.ask(users)
    assert {status for status, _, _ in after.values()} == {200}
    assert all("trial" not in arms for _, arms, _ in after.values()), "its last treatment is gone, so it exposes nobody"
    assert {user: arms["other"] for user, (_, arms, _) in after.items()} == {
        user: arms["other"] for user, (_, arms, _) in before.items()
    }
    assert any(
        entry.action == "experiment.stop" or "stop" in entry.action
        for entry in world.plane.governance.entries(domain=DOMAIN, newest_first=True).items
    )
