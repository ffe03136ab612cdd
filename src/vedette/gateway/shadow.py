"""Shadow traffic: a share of the requests is asked of a candidate too, after the fact and for the record alone.

Clients notice nothing: a copy is begun when their own request is on its way, its answer goes nowhere, and neither they
nor the end of the gateway wait for it. Its outcome stands under the candidate with the measure ``shadow`` 1; it has
no bucket and no plan revision, so it is evidence in no rollout and no experiment.
"""

import asyncio
import os
import random
import time
from collections.abc import Callable, Mapping
from time import monotonic

from vedette.evidence.outcome import OutcomeStatus
from vedette.gateway import retry
from vedette.gateway.answer import EVENTS
from vedette.gateway.deadlines import Deadlines
from vedette.gateway.headers import value_of
from vedette.gateway.measures import measured
from vedette.gateway.metrics import Metrics
from vedette.gateway.openai import Ask
from vedette.gateway.plans import ServedPlan
from vedette.gateway.recorder import Recorder
from vedette.gateway.responses import events_of, says_failed, usage_in
from vedette.gateway.settings import GatewaySettings
from vedette.gateway.sse import EventStream, Usage
from vedette.gateway.upstream import Call, Failure, Headers
from vedette.kernel.errors import InvalidInput
from vedette.kernel.ids import uuid7
from vedette.lake.admission import SHADOW

Judge = Callable[[bytes], Mapping[str, float]]
"""Measures the answer of a copy."""

_CHECKS = 8  # of answers from a domain's cache that are under way in a worker


class Shadows:
    """The copies under way in one worker."""

    def __init__(self, settings: GatewaySettings, metrics: Metrics, recorder: Recorder) -> None:
        self.settings, self._metrics, self._recorder = settings, metrics, recorder
        self.under_way: set[Copy] = set()
        self._deadlines = Deadlines(self.under_way)
        self._counts: dict[str, int] = {}
        self._checks: dict[str, int] = {}
        self._stopped = False

    def mirror(self, served: ServedPlan, ask: Ask, headers: Headers) -> None:
        """Copy a request, if it is one of the share, once the loop has nothing more urgent to do."""
        policy, domain = served.plan.config.shadow, served.plan.domain
        if policy is None or policy.version not in served.targets:
            return
        if random.random() * 100 >= policy.share:  # noqa: S311 - a share, not a secret
            return
        count = self._counts.get(domain, 0)
        if count >= policy.concurrency or not served.targets[policy.version].idle:
            self._metrics.shadow(domain, policy.version, "skipped")
            return
        self._counts[domain] = count + 1
        asyncio.get_running_loop().call_soon(self._begin, served, ask, headers, policy.version)

    def check(self, served: ServedPlan, ask: Ask, headers: Headers, version: str, judge: Judge) -> None:
        """Ask a version what was answered from a cache, once the loop has nothing more urgent to do.

        ``judge`` measures its answer. What would be too much at once is not asked.
        """
        domain = served.plan.domain
        if self._checks.get(domain, 0) < _CHECKS and served.targets[version].idle:
            self._checks[domain] = self._checks.get(domain, 0) + 1
            asyncio.get_running_loop().call_soon(self._begin, served, ask, headers, version, judge)

    def _begin(self, served: ServedPlan, ask: Ask, headers: Headers, version: str, judge: Judge | None = None) -> None:
        if self._stopped:
            return
        copy = Copy(self, served, version, judge)
        self.under_way.add(copy)
        self._deadlines.watch()
        copy.start(ask, headers)

    def ended(self, copy: "Copy", status: OutcomeStatus, measures: dict[str, float]) -> None:
        """Write down what became of a copy."""
        self.under_way.discard(copy)
        plan = copy.served.plan
        if copy.judge is None:
            self._counts[plan.domain] -= 1
            self._metrics.shadow(plan.domain, copy.version, status)
        else:
            self._checks[plan.domain] -= 1
        del measures["fallback"]  # a copy has nobody to fall back to
        self._recorder.record_shadow(copy.id, plan, copy.version, status, {**measures, SHADOW: 1})

    def stop(self) -> None:
        """Drop all copies; nobody waits for them."""
        self._stopped = True
        for copy in tuple(self.under_way):
            copy.drop()


class Copy:
    """One copied request; told of its backend by a `Call`."""

    def __init__(self, shadows: Shadows, served: ServedPlan, version: str, judge: Judge | None) -> None:
        self.served, self.version, self.judge = served, version, judge
        self.id = uuid7(time.time_ns() // 1_000_000, os.urandom(10))
        self._shadows = shadows
        self._started = monotonic()
        self._target = served.targets[version]
        self.due = self._started + min(served.plan.config.timeout, self._target.timeout)
        self._status, self._size = 0, 0
        self._body: list[bytes] = []
        self._events: EventStream | None = None
        self._first: float | None = None
        self._call: Call | None = None

    def start(self, ask: Ask, headers: Headers) -> None:
        """Ask the candidate, as the client wrote it."""
        self._ask = ask
        self._call = self._target.call(self, ask, headers, self.id, fresh=False)

    def time_out(self) -> None:
        """Give up."""
        self._fail()

    def drop(self) -> None:
        """Forget it: the gateway stops, which says nothing about the candidate."""
        if self._call:
            self._call.abort()
        self._shadows.under_way.discard(self)

    # What the backend says.

    def whole(self, status: int, headers: Headers, body: bytes) -> bool:  # noqa: ARG002 - the protocol's
        """Take answers piece by piece."""
        return False

    def head(self, status: int, headers: Headers) -> None:
        """Take status and header."""
        self._status = status
        if status == 200 and (value_of(headers, b"content-type") or b"").lower().startswith(EVENTS):
            self._events = events_of(self._ask, keep_usage=True, limit=self._shadows.settings.event_limit)

    def data(self, data: bytes) -> None:
        """Take a piece: of a stream what it means, of an answer all, for its usage comes last."""
        settings, now = self._shadows.settings, monotonic()
        if self._events is None:
            self._body.append(data)
            self._size += len(data)
            if self._size > settings.response_limit:
                self._fail()
            return
        try:
            self._events.feed(data)
        except InvalidInput:
            self._fail()
            return
        if self._first is None and self._events.started:
            self._first = now - self._started
        self.due = min(self._started + settings.stream_timeout, now + settings.idle_timeout)
        if self._events.finished or self._events.error is not None:
            self.done()

    def done(self) -> None:
        """Take the end of the answer."""
        events = self._events
        if events is None:
            body = b"".join(self._body)
            usage = usage_in(self._ask, body) if self._status < 300 else None
            self._end(usage, failed=retry.is_failure(self._status) or says_failed(self._ask, self._status, body))
            return
        events.flush()
        self._end(events.usage, failed=not events.finished or events.error is not None)

    def failed(self, failure: Failure, message: str) -> None:  # noqa: ARG002 - the protocol's
        """Take the failure; a copy is not tried again."""
        self._end(None, failed=True)

    def _fail(self) -> None:
        if self._call:
            self._call.abort()
            self._call = None
        self._end(self._events.usage if self._events else None, failed=True)

    def _end(self, usage: Usage | None, *, failed: bool) -> None:
        if self._call:
            self._call.let_go()
        seconds = monotonic() - self._started
        measures = measured(seconds, self._first, self._status, usage, failed, False)
        if self.judge is not None and self._status == 200 and not failed:
            measures |= self.judge(b"".join(self._body))
        self._shadows.ended(self, OutcomeStatus.ERROR if failed else OutcomeStatus.OK, measures)
