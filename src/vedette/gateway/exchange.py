"""One request on its way: asked of its version, asked again or of stable when that fails, answered, written down.

Until the first byte has gone to the client anything can still be made good, and nobody notices; after it nothing can:
a stream that breaks ends with an error event, and two versions are never spliced into one answer.
"""

import asyncio
import logging
import math
from time import monotonic

from vedette.evidence.outcome import OutcomeStatus
from vedette.gateway import retry, wire
from vedette.gateway.answer import EVENTS, Answer, shown
from vedette.gateway.breaker import Circuit
from vedette.gateway.cache import Memo
from vedette.gateway.context import Context
from vedette.gateway.headers import returned, value_of
from vedette.gateway.limits import Ticket
from vedette.gateway.measures import given_again, measured, wasted
from vedette.gateway.openai import Ask, error_body, error_event
from vedette.gateway.override import applied, changes_body, routed
from vedette.gateway.patience import ENDLESS, Patience
from vedette.gateway.plans import ServedPlan
from vedette.gateway.protocol import ClientConnection
from vedette.gateway.responses import events_of, usage_in
from vedette.gateway.sse import EventStream, Usage
from vedette.gateway.upstream import Call, Failure, Headers
from vedette.kernel.errors import InvalidInput
from vedette.routing.assign import Exposed
from vedette.routing.choose import Choice

_log = logging.getLogger("vedette.gateway")


class Exchange:
    """The life of one request to a model; told of its client by `ClientConnection`, of its backend by a `Call`."""

    # As almost every request has them to its end.
    _retries = 0
    _hedges = 0  # second calls
    _stale_once = False  # a kept connection was found closed already
    _failed = False  # the assigned version has
    _fallback = False
    _override_failed: bool | None = None
    _first: float | None = None  # when the first byte went to the client
    _call: Call | None = None
    _timer: asyncio.TimerHandle | None = None
    _wished = False  # whether the deadline is the client's, which says nothing about a version
    _end = math.inf  # when the whole answer must have ended
    _circuit: Circuit | None = None  # of the try that is under way
    _memo: Memo | None = None
    _status = 0  # of the backend's answer
    _events: EventStream | None = None

    def __init__(
        self,
        context: Context,
        client: ClientConnection,
        *,
        ask: Ask,
        headers: Headers,
        served: ServedPlan,
        choice: Choice,
        exposed: Exposed,
        request_id: str,
        ticket: Ticket | None = None,
        patience: Patience = ENDLESS,
        caller: str = "",
    ) -> None:
        self._context, self._client, self._ask, self._request_headers = context, client, ask, headers
        self._served, self._choice, self._exposed, self._request_id = served, choice, exposed, request_id
        self._config = routed(served.plan.config, exposed.override)
        self._sent = ask  # what backends are asked: as the client wrote it, or as experiments have it
        if exposed.override is not None and changes_body(exposed.override):
            changed = applied(ask, exposed.override)
            self._sent, self._override_failed = changed or ask, changed is None
        self._started = self._last = monotonic()  # uvloop's own clock stands still for a millisecond
        self._deadline = self._started + self._config.timeout
        if patience is not ENDLESS:
            self._wished, self._end = patience.wished, self._started + patience.seconds
            self._deadline = min(self._deadline, self._end)
        self.due = self._deadline  # when to look whether it is late
        self._ticket = ticket
        self._version = choice.version  # the one being asked
        if served.cache is not None:
            of = (choice.version, exposed.exposures, caller)
            self._memo = Memo(served.cache, served.shared, self._sent, headers, of, self._started)

    def start(self) -> None:
        """Ask the assigned version, unless its answer is known."""
        self._context.exchanges.add(self)
        if self._memo is not None:
            self._memo.recall(self._recalled)
            return
        self._context.deadlines.watch()
        self._served.budget.earn()
        self._try()

    def _recalled(self) -> None:
        """Answer as was answered before, or ask."""
        if self._memo is not None:
            self._context.metrics.cache(self._served.plan.domain, self._memo.result)
            if self._memo.found is not None:
                self._finish(OutcomeStatus.OK, Usage())  # nobody had to make it
                self._memo.found.give(self._client, self._own_fields(), self._started)
                if judge := self._memo.verifies():
                    self._context.shadows.check(self._served, self._sent, self._request_headers, self._version, judge)
                return
        self._context.deadlines.watch()
        self._served.budget.earn()
        self._try()

    def _try(self, *, fresh: bool = False) -> None:
        self._status, self._size, self._events = 0, 0, None
        self._headers: Headers = []
        self._body: list[bytes] = []
        self._held = b""  # of a stream, until its first event with data
        if self._served.circuits is not None:
            self._circuit = self._served.circuits[self._version]
            if not self._circuit.allow(monotonic()):
                self._spare(self._circuit)
                return
        target = (self._served.hedged or self._served.targets)[self._version]
        self.due = min(self._deadline, monotonic() + target.timeout)
        self._call = target.call(self, self._sent, self._request_headers, self._request_id, fresh=fresh)

    def hedged(self) -> None:
        """Take note that a try became two calls."""
        self._hedges += 1
        self._context.metrics.of(self._served.plan.domain, self._version).hedges += 1

    def _spare(self, circuit: Circuit) -> None:
        """Leave a backend alone that fails; the version has failed all the same."""
        self._circuit = self._call = None
        self._context.metrics.of(self._served.plan.domain, self._version).spared += 1
        body = error_body(f"version {self._version} fails and is left alone", "server_error", "circuit_open")
        answer = Answer(503, body, fields=b"retry-after: %d\r\n" % max(1, math.ceil(circuit.wait(monotonic()))))
        self._recover(answer, retryable=False)

    def _note(self, *, good: bool) -> None:
        """Tell the circuit how a try went, once."""
        circuit, self._circuit = self._circuit, None
        if circuit is not None and circuit.note(monotonic(), good=good):
            domain = self._served.plan.domain
            self._context.metrics.of(domain, self._version).opened += 1
            _log.warning("the backend of version %s of %s fails and is left alone for now", self._version, domain)

    def time_out(self) -> None:
        """Give up, unless a stream is alive or waits for its client."""
        if self._wished and self._end <= monotonic():
            self._give_up(OutcomeStatus.CLIENT_CLOSED, 504, "the deadline of the request has passed", "deadline_passed")
            return
        if self._first is not None and self._stream_deadline() > monotonic():
            self.due = self._stream_deadline()
            return
        self._drop(Failure.TIMEOUT, f"version {self._version} did not answer in time")

    def _stream_deadline(self) -> float:
        limits = self._context.settings
        quiet_since = monotonic() if self._client.paused else self._last
        return min(self._end, self._started + limits.stream_timeout, quiet_since + limits.idle_timeout)

    def _drop(self, failure: Failure, message: str) -> None:
        if self._call:
            self._call.abort()
        self.failed(failure, message)

    # What the backend says.

    def whole(self, status: int, headers: Headers, body: bytes) -> bool:
        """Take an answer that came at once, when that is all there is to it."""
        kind = value_of(headers, b"content-type") or wire.JSON
        if status != 200 or len(body) > self._context.settings.response_limit or kind.lower().startswith(EVENTS):
            return False
        self._status, self._headers = status, headers
        if self._circuit is not None:
            self._note(good=True)
        self._respond(Answer(status, body, kind, returned(headers)), OutcomeStatus.OK)
        return True

    def head(self, status: int, headers: Headers) -> None:
        """Take status and header; what they mean shows when the body is there."""
        self._status, self._headers = status, headers
        coding = value_of(headers, b"content-encoding") or b"identity"
        kind = (value_of(headers, b"content-type") or b"").lower()
        if status == 200 and kind.startswith(EVENTS) and coding.lower() == b"identity":
            self._events = events_of(
                self._ask, keep_usage=self._ask.wants_usage, limit=self._context.settings.event_limit
            )

    def data(self, data: bytes) -> None:
        """Take a piece of the body."""
        self._last = monotonic()
        if self._events is None:
            self._body.append(data)
            self._size += len(data)
            if self._size > self._context.settings.response_limit:
                self._drop(Failure.MALFORMED, f"the answer of version {self._version} is too large")
            return
        try:
            passed = self._events.feed(data)
        except InvalidInput as error:
            self._drop(Failure.MALFORMED, str(error))
            return
        self._pass_on(self._events, passed)

    def done(self) -> None:
        """Take the end of the answer."""
        events = self._events
        if events is not None:
            self._pass_on(events, events.flush())
            if not events.finished and events.error is None:
                self.failed(Failure.CLOSED, f"version {self._version} ended its stream before its time")
        elif retry.is_failure(self._status):
            self._note(good=False)
            self._recover(self._backend_answer(), retryable=self._status in retry.RETRYABLE)
        else:
            self._note(good=True)
            self._respond(self._backend_answer(), OutcomeStatus.OK)

    def failed(self, failure: Failure, message: str) -> None:
        """Take the failure of a try."""
        stale = failure is Failure.STALE and not self._stale_once
        if self._circuit is not None and not stale:
            self._note(good=False)
        if self._first is not None:
            self._failed = True
            self._finish(OutcomeStatus.ERROR, self._events.usage if self._events else None)
            self._client.end_stream(error_event(message), close=True)
        elif stale:
            self._stale_once = True
            self._try(fresh=True)
        else:
            status = 504 if failure is Failure.TIMEOUT else 502
            self._headers = []  # a Retry-After of an answer that never ended says nothing
            answer = Answer(status, error_body(message, "server_error", f"upstream_{failure}"))
            self._recover(answer, retryable=failure is Failure.CONNECT)

    def _backend_answer(self) -> Answer:
        """Give the backend's answer as it may be shown."""
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        return shown(self._version, self._status, self._headers, body)

    # Making it good.

    def _recover(self, answer: Answer, *, retryable: bool) -> None:
        """Ask again, or ask stable, or pass the failure on."""
        wait = self._retry_wait() if retryable else None
        if wait is not None:
            self._retries += 1
            self._context.metrics.of(self._served.plan.domain, self._version).retries += 1
            self.due = math.inf
            self._timer = asyncio.get_running_loop().call_later(wait, self._try)
            return
        self._failed = True
        plan = self._served.plan
        on_trial = self._choice.arm != "stable" and self._version != plan.stable  # and not fallen back yet
        if on_trial and plan.stable and self._config.fallback and monotonic() < self._deadline:
            self._fallback, self._version = True, plan.stable
            if self._memo is not None:
                self._memo.forget()  # what stable says is not the assigned version's answer
            if self._choice.arm == "experiment":
                self._sent = self._ask  # what was said for the arm's version was not meant for stable
            self._retries, self._stale_once = 0, False
            self._try()
        else:
            self._respond(answer, OutcomeStatus.ERROR)

    def _retry_wait(self) -> float | None:
        """Give the seconds to wait before the next try; None when there may be none."""
        return retry.wait(
            self._retries,
            value_of(self._headers, b"retry-after"),
            most=self._config.retries,
            longest=self._context.settings.retry_wait,
            left=self._deadline - monotonic(),
            budget=self._served.budget,
        )

    # Answering. The outcome is kept before the last byte goes out.

    def _respond(self, answer: Answer, status: OutcomeStatus) -> None:
        if self._memo and answer.status == 200:
            self._memo.store(answer.kind, self._headers, monotonic(), answer.body)
        self._finish(status, usage_in(self._ask, answer.body) if answer.status < 300 else None)
        self._client.respond(answer.status, self._own_fields() + answer.fields, answer.kind, answer.body)

    def _pass_on(self, events: EventStream, data: bytes) -> None:
        """Pass events on. What comes before the first with data is held, for it may be an error."""
        if self._first is None:
            self._held += data
            if events.error is not None:
                said = events.error.decode(errors="replace")[:500]
                self._drop(Failure.MALFORMED, f"version {self._version} began its stream with an error: {said}")
                return
            if not events.started:
                return
            self._begin_stream()
            data, self._held = self._held, b""
        if self._memo:
            self._memo.add(data)
        if events.error is None and not events.finished:
            self._client.write(data)
            return
        self._failed |= events.error is not None
        self._note(good=events.error is None)
        if self._memo and events.error is None:
            self._memo.store(value_of(self._headers, b"content-type") or b"", self._headers, monotonic())
        self._finish(OutcomeStatus.OK if events.error is None else OutcomeStatus.ERROR, events.usage)
        self._client.end_stream(data)

    def _begin_stream(self) -> None:
        self._first = monotonic()
        kind = value_of(self._headers, b"content-type") or b""
        fields = b"%b%bcontent-type: %b\r\n" % (self._own_fields(), returned(self._headers), kind)
        self._client.begin_stream(self._status, fields)
        if self._client.paused:
            self.client_paused()
        self.due = self._stream_deadline()

    def _own_fields(self) -> bytes:
        fixed = self._served.told(self._version, self._choice.version)
        names = self._exposed.names
        told = f"x-vedette-experiments: {', '.join(map('='.join, names.items()))}\r\n" if names else ""
        if self._ticket is not None:
            told += self._ticket.fields(monotonic())
        if self._memo is not None:
            told += f"x-vedette-cache: {self._memo.result}\r\n"
        return f"x-vedette-request-id: {self._request_id}\r\n{fixed}{told}".encode()

    def _finish(self, status: OutcomeStatus, usage: Usage | None, *, whole: bool = True, judged: bool = True) -> None:
        """Write down what became of it: ``whole`` if it came to its end, ``judged`` if that end is the version's."""
        if self._timer:
            self._timer.cancel()
        if self._call:
            self._call.let_go()
        self._context.exchanges.discard(self)
        now = monotonic()
        memo, seconds = self._memo, now - self._started
        if memo is not None and memo.let_go() is not None:
            measures = given_again(seconds, similar=memo.result == "similar")
        else:
            first = None if self._first is None else self._first - self._started
            measures = measured(
                seconds, first, self._status, usage, self._failed, self._fallback, whole=whole, judged=judged
            )
            if self._override_failed is not None:
                measures["override_failed"] = int(self._override_failed)
            if memo is not None and memo.result == "miss":
                measures["cached"] = 0
            if self._served.hedged is not None:
                measures |= wasted(self._hedges, measures)
        if self._ticket is not None:
            self._ticket.leave(usage.prompt_tokens + usage.completion_tokens if usage else None, now)
        self._context.recorder.record(
            self._request_id,
            self._served.plan,
            self._choice,
            self._exposed,
            served=self._version,
            status=status,
            seconds=seconds,
            measures=measures,
        )

    # What the client and the server do.

    def client_gone(self) -> None:
        """Stop at once: nobody reads the answer any more."""
        if self._call:
            self._call.abort()
        usage = self._events.usage if self._events else None
        status = OutcomeStatus.ERROR if self._failed else OutcomeStatus.CLIENT_CLOSED
        self._finish(status, usage, whole=False, judged=self._failed)

    def client_paused(self) -> None:
        """Let the backend feel the slow client."""
        if self._call and self._first is not None:
            self._call.pause()

    def client_resumed(self) -> None:
        """Read on."""
        if self._call:
            self._call.resume()

    def cut_off(self) -> None:
        """End it because the gateway stops; that is no fault of the version's."""
        self._give_up(OutcomeStatus.ERROR, 503, "the gateway is shutting down", "shutting_down", b"retry-after: 1\r\n")

    def _give_up(self, outcome: OutcomeStatus, status: int, message: str, code: str, fields: bytes = b"") -> None:
        """End it for a reason that says nothing about the version."""
        if self._call:
            self._call.abort()
        self._finish(outcome, None, whole=False, judged=self._failed)
        if self._first is None:
            fields = self._own_fields() + fields
            self._client.respond(status, fields, wire.JSON, error_body(message, "server_error", code))
        else:
            self._client.end_stream(error_event(message), close=True)
