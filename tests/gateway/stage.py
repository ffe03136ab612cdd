"""A gateway on a stage: a loop in a thread, a mock backend, a feed and a sink that can be switched off."""

import asyncio
import http.client
import json
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import uvloop
from tests.gateway.upstream import Json, MockUpstream

from vedette.catalog.backend import Backend, OpenAIBackend
from vedette.catalog.budget import Period, Spent
from vedette.catalog.domain import Assignment, DomainConfig
from vedette.catalog.key import KeyRing
from vedette.evidence.outcome import Outcome
from vedette.gateway.server import Gateway
from vedette.gateway.settings import GatewaySettings
from vedette.gateway.upstream import Origin
from vedette.kernel.errors import Unavailable
from vedette.routing.layers import Layer
from vedette.routing.plan import FULL, Canary, TrafficPlan

QUICK: dict[str, Any] = {
    "poll_interval": 0.02,
    "ship_interval": 0.02,
    "heartbeat": 0.1,
    "connect_timeout": 1.0,
    "drain_timeout": 1.0,
}

LoopFactory = Callable[[], asyncio.AbstractEventLoop]


@dataclass
class Feed:
    """Plans as a control plane would hand them out."""

    plans: dict[str, tuple[int, TrafficPlan]] = field(default_factory=dict)
    ring: KeyRing = KeyRing(revision=0)  # noqa: RUF009 - frozen
    position: int = 0
    down: bool = False
    spent: list[Spent] = field(default_factory=list)
    confirmed: list[tuple[str, dict[str, int]]] = field(default_factory=list)

    def publish(self, plan: TrafficPlan) -> None:
        """Have a newer plan."""
        self.position += 1
        self.plans[plan.domain] = (self.position, plan)

    def poll(self, since: int) -> tuple[int, Sequence[TrafficPlan]]:
        """Give what is newer."""
        if self.down:
            raise Unavailable("the control plane is away")
        return self.position, [plan for position, plan in self.plans.values() if position > since]

    def keys(self, known: int) -> KeyRing | None:
        """Give the keys, if they changed."""
        if self.down:
            raise Unavailable("the control plane is away")
        return None if known == self.ring.revision else self.ring

    def spending(self, asked: Sequence[tuple[str, Period]]) -> list[Spent]:
        """Give what was used."""
        if self.down:
            raise Unavailable("the control plane is away")
        return [figure for figure in self.spent if (figure.domain, figure.per) in asked]

    def confirm(self, router: str, revisions: Mapping[str, int]) -> None:
        """Take note."""
        if self.down:
            raise Unavailable("the control plane is away")
        self.confirmed.append((router, dict(revisions)))


@dataclass
class Sink:
    """Outcomes as a lake would take them: a batch twice counts once."""

    batches: dict[str, list[Outcome]] = field(default_factory=dict)
    down: bool = False

    def ship(self, batch_id: str, outcomes: Sequence[Outcome]) -> None:
        """Take a batch."""
        if self.down:
            raise Unavailable("the lake is away")
        self.batches.setdefault(batch_id, list(outcomes))

    @property
    def outcomes(self) -> list[Outcome]:
        """All that came."""
        return [outcome for batch in self.batches.values() for outcome in batch]


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, read."""
        return json.loads(self.body)


class Stage:
    """A gateway before a mock backend, both in a loop in a thread."""

    def __init__(self, folder: Path, loop_factory: LoopFactory = uvloop.new_event_loop, **settings: Any) -> None:
        self.folder, self.feed, self.sink, self.upstream = folder, Feed(), Sink(), MockUpstream()
        self.settings = GatewaySettings(**(QUICK | settings))
        self.environment = {"BACKEND_KEY": "sk-backend", "VEDETTE_KEY_PEPPER": "a pepper for tests"}
        self.loop = loop_factory()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self.run(self.upstream.start())
        self.started = False

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something in the loop."""
        asyncio.run_coroutine_threadsafe(work, self.loop).result(20)

    def start(self, patience: float = 10.0) -> Self:
        """Start the gateway and wait until it has plans."""
        self.gateway = Gateway(self.feed, self.sink, self.folder, settings=self.settings, environment=self.environment)
        self.run(self.gateway.start())
        self.started = True
        wait_for(lambda: self.gateway.app.ready, patience)
        return self

    def stop(self, *, at_once: bool = False) -> None:
        """Stop the gateway; the backend stays."""
        if at_once:
            self.loop.call_soon_threadsafe(self.gateway.hurry)
        self.run(self.gateway.stop())
        self.started = False

    def close(self) -> None:
        """Stop everything."""
        if self.started:
            self.stop(at_once=True)
        self.run(self.upstream.stop())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(5)
        self.loop.close()

    @property
    def port(self) -> int:
        """Where the gateway listens."""
        return self.gateway.address[1]

    @property
    def base_url(self) -> str:
        """Where the gateway listens."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def origin(self) -> Origin:
        """The gateway's connections to its one backend."""
        (origin,) = self.gateway._pool._origins.values()
        return origin

    def backend(self, model: str, **more: Any) -> OpenAIBackend:
        """Describe the mock as a backend that is asked for ``model``."""
        return OpenAIBackend(**({"url": self.upstream.url, "model": model} | more))

    def plan(
        self,
        stable: str | None = "ok",
        canary: str | None = None,
        *,
        domain: str = "payments",
        revision: int = 1,
        percent: float = 0.0,
        backends: Mapping[str, Backend] | None = None,
        serving: bool = True,
        layers: Sequence[Layer] = (),
        hold_out: int = 0,
        **config: Any,
    ) -> TrafficPlan:
        """Make a plan whose versions v1 (stable, unless it is None) and v2 (canary) are asked for as these models."""
        given = {name: self.backend(model) for name, model in (("v1", stable), ("v2", canary)) if model}
        weight = round(percent / 100 * FULL)
        return TrafficPlan(
            domain=domain,
            revision=revision,
            stable="v1" if stable else "",
            canary=Canary(version="v2", rollout="r", attempt=1, step=0, salt="r/1", weight=weight) if canary else None,
            backends={**given, **(backends or {})},
            serving=serving,
            layers=tuple(layers),
            hold_out=hold_out,
            config=DomainConfig(**({"assignment": Assignment(unit="user")} | config)),
        )

    def publish(self, plan: TrafficPlan) -> None:
        """Publish a plan and wait until it is in force."""
        self.feed.publish(plan)
        if not self.started:
            self.start()
        wait_for(lambda: plan in [served.plan for served in self.gateway.app.table.serving.values()])

    def ask(
        self,
        body: object = None,
        *,
        path: str = "/v1/chat/completions",
        headers: Mapping[str, str | bytes] | None = None,
        method: str = "POST",
    ) -> Answer:
        """Send one request and read the whole answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        payload = None if body is None else body if isinstance(body, bytes) else json.dumps(body)
        connection.request(method, path, payload, {"Content-Type": "application/json", **(headers or {})})
        response = connection.getresponse()
        answer = Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        connection.close()
        return answer

    def get(self, path: str) -> Answer:
        """Read a page."""
        return self.ask(path=path, method="GET")

    def chat(self, model: str = "payments", user: str | None = "u1", **fields: object) -> Answer:
        """Chat with a domain."""
        body: Json = {"model": model, "user": user, "messages": [{"role": "user", "content": "hi"}], **fields}
        return self.ask(body)

    def outcomes(self, count: int) -> list[Outcome]:
        """Wait for that many outcomes in the sink, and no more."""
        wait_for(lambda: len(self.sink.outcomes) >= count)
        time.sleep(0.06)
        assert len(self.sink.outcomes) == count
        return self.sink.outcomes

    def outcome(self) -> Outcome:
        """Wait for the one outcome."""
        return self.outcomes(1)[0]


def wait_for(condition: Callable[[], object], seconds: float = 10.0) -> None:
    """Wait until a condition holds, or fail."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.005)


@contextmanager
def staged(folder: Path, loop_factory: LoopFactory = uvloop.new_event_loop) -> Iterator[Stage]:
    """Set a stage and clear it."""
    stage = Stage(folder, loop_factory)
    try:
        yield stage
    finally:
        stage.close()
