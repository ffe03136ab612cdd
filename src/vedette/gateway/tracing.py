"""Traces of requests: W3C trace context taken from callers and passed on, and spans of a share of the requests.

Without a tracer the caller's context reaches the backend as it came. With one, a request whose caller records it, or
one of the share of those without a context, becomes a span: the backend sees it as its parent. What is asked and what
is answered is in no span.

Names are those of the semantic conventions for generative AI, which still move: they all stand in the table below.

Sources: W3C Trace Context (2021); OpenTelemetry semantic conventions for generative AI (in development, 2026).
"""

import os
import random
import re
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from vedette.evidence.outcome import OutcomeStatus
from vedette.gateway.openai import CHAT, COMPLETIONS, EMBEDDINGS, RESPONSES
from vedette.gateway.upstream import Headers
from vedette.routing.choose import Choice
from vedette.routing.plan import TrafficPlan

OPERATION: Final = {CHAT: "chat", COMPLETIONS: "text_completion", EMBEDDINGS: "embeddings", RESPONSES: "chat"}
NAMES: Final = {
    "operation": "gen_ai.operation.name",
    "provider": "gen_ai.provider.name",
    "domain": "gen_ai.request.model",
    "served": "gen_ai.response.model",
    "tokens_in": "gen_ai.usage.input_tokens",
    "tokens_out": "gen_ai.usage.output_tokens",
    "error": "error.type",
    "assigned": "vedette.version.assigned",
    "revision": "vedette.plan.revision",
    "request": "vedette.request.id",
    "ttft_ms": "vedette.time_to_first_token_ms",
    "fallback": "vedette.fallback",
    "cached": "vedette.cached",
    "cost": "vedette.cost",
}
"""What each attribute of a span is called."""

_CONTEXT = re.compile(rb"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_MOST = 4096  # spans under way, and as many that wait for the exporter; more are dropped and counted
_MEASURED = ("tokens_in", "tokens_out", "ttft_ms", "cost", "fallback", "cached")


@dataclass(frozen=True, slots=True)
class Span:
    """One request of a trace; times in nanoseconds since 1970."""

    trace: str
    id: str
    parent: str
    state: str
    name: str
    begun: int
    ended: int
    attributes: Mapping[str, str | int | float]
    failed: bool


class _Begun:
    __slots__ = ("at", "id", "operation", "parent", "state", "trace")

    def __init__(self, path: str, trace: str, parent: str, state: str) -> None:
        self.operation, self.trace, self.parent, self.state = OPERATION[path], trace, parent, state
        self.id = os.urandom(8).hex()
        self.at = time.time_ns()


class Tracer:
    """The spans of one worker: those of requests under way, and those that wait to be exported."""

    def __init__(self, share: float) -> None:
        self._share = share
        self._under_way: dict[str, _Begun] = {}
        self._ended: deque[Span] = deque()
        self.dropped = 0

    def begin(self, request_id: str, path: str, headers: Headers) -> Headers:
        """Begin a span, if the request is to have one; gives the header fields as the backend shall see them."""
        parent = next((_CONTEXT.fullmatch(value) for name, value in headers if name == b"traceparent"), None)
        if parent is not None and not any(parent[1].strip(b"0")):
            parent = None
        if parent is None:
            if random.random() >= self._share:  # noqa: S311 - a share, not a secret
                return headers
            begun = _Begun(path, os.urandom(16).hex(), "", "")
        elif int(parent[3], 16) & 1:
            state = b",".join(value for name, value in headers if name == b"tracestate").decode("latin-1")
            begun = _Begun(path, parent[1].decode(), parent[2].decode(), state)
        else:
            return headers
        if len(self._under_way) >= _MOST:
            self.dropped += 1
            return headers
        self._under_way[request_id] = begun
        own = f"00-{begun.trace}-{begun.id}-01".encode()
        return [field for field in headers if field[0] != b"traceparent"] + [(b"traceparent", own)]

    def end(
        self,
        request_id: str,
        plan: TrafficPlan,
        choice: Choice,
        *,
        served: str,
        status: OutcomeStatus,
        measures: Mapping[str, float],
    ) -> None:
        """End the span of a request, if it has one."""
        begun = self._under_way.pop(request_id, None)
        if begun is None:
            return
        if len(self._ended) >= _MOST:
            self.dropped += 1
            return
        said: dict[str, str | int | float] = {
            "operation": begun.operation,
            "provider": "vedette",
            "domain": plan.domain,
            "served": served,
            "assigned": choice.version,
            "revision": plan.revision,
            "request": request_id,
        }
        said |= {name: measures[name] for name in _MEASURED if name in measures}
        if status is not OutcomeStatus.OK:
            said["error"] = status.value
        self._ended.append(
            Span(
                trace=begun.trace,
                id=begun.id,
                parent=begun.parent,
                state=begun.state,
                name=f"{begun.operation} {plan.domain}",
                begun=begun.at,
                ended=max(begun.at, time.time_ns()),
                attributes={NAMES[name]: value for name, value in said.items()},
                failed=status is OutcomeStatus.ERROR,
            )
        )

    def take(self) -> list[Span]:
        """Take the spans that wait."""
        ended: list[Span] = []
        while self._ended:
            ended.append(self._ended.popleft())
        return ended
