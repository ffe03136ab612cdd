"""Hedging: a backend that is late to begin is asked a second time, and whichever answer begins first is taken.

It is for tail latency: one slow replica behind a balancer, one lost packet. Only the wait for the beginning is hedged;
once an answer has begun there is one call. The other one is cut, so that its backend stops working for nobody; what it
had read of the prompt is booked, what it had written nobody knows.

Source: Dean & Barroso, "The tail at scale", CACM 56(2), 2013.
"""

import asyncio
from typing import Protocol

from vedette.catalog.hedge import Hedge
from vedette.gateway import retry
from vedette.gateway.openai import Ask
from vedette.gateway.target import Target
from vedette.gateway.upstream import Call, Failure, Headers, Receiver

_BURST = 5.0  # requests that may be asked twice at the start, and after a quiet time


class Twice(Receiver, Protocol):
    """Who is told of an answer, and that it was asked for twice."""

    def hedged(self) -> None: ...  # noqa: D102 - the class says it


class HedgedTarget:
    """A version that is asked a second time when it is late."""

    __slots__ = ("_left", "_policy", "_target", "timeout")

    def __init__(self, target: Target, policy: Hedge) -> None:
        self._target, self._policy = target, policy
        self.timeout = target.timeout
        self._left = _BURST

    @property
    def idle(self) -> bool:
        """Whether one more request makes nobody wait."""
        return self._target.idle

    def call(self, receiver: Twice, ask: Ask, headers: Headers, request_id: str, *, fresh: bool) -> Call:
        """Ask it, and again if need be."""
        self._left = min(_BURST, self._left + self._policy.share / 100)
        race = Race(self, receiver, ask, headers, request_id)
        race.begin(self._policy.after, fresh=fresh)
        return race

    def ask(self, race: "Race", runner: "_Runner", *, fresh: bool) -> Call:
        """Begin one of the calls."""
        return self._target.call(runner, race.ask, race.headers, race.request_id, fresh=fresh)

    def spend(self) -> bool:
        """Take one second call, where there is one left and room for it."""
        if self._left < 1 or not self._target.idle:
            return False
        self._left -= 1
        return True


class Race:
    """One try at a version, which may become two calls until one of them begins to answer."""

    __slots__ = ("_running", "_target", "_timer", "_winner", "ask", "headers", "receiver", "request_id")

    def __init__(self, target: HedgedTarget, receiver: Twice, ask: Ask, headers: Headers, request_id: str) -> None:
        self._target, self.receiver = target, receiver
        self.ask, self.headers, self.request_id = ask, headers, request_id
        self._running: list[_Runner] = []
        self._winner: _Runner | None = None
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, after: float, *, fresh: bool) -> None:
        """Make the first call, and wait."""
        self._start(fresh=fresh)
        self._timer = asyncio.get_running_loop().call_later(after, self._again)

    def _start(self, *, fresh: bool) -> None:
        runner = _Runner(self)
        self._running.append(runner)
        runner.call = self._target.ask(self, runner, fresh=fresh)

    def _again(self) -> None:
        self._timer = None
        if self._target.spend():
            self._start(fresh=False)
            self.receiver.hedged()

    def win(self, runner: "_Runner") -> bool:
        """Let a call that has begun be the answer; False when the answer is another one's."""
        if self._winner is None:
            self._winner = runner
            for other in self._running:
                if other is not runner:
                    other.drop()
            self._running = [runner]
            self._stop_waiting()
        return self._winner is runner

    def lose(self, runner: "_Runner") -> bool:
        """Take a call out that failed before it began; False when there is no other that could do better."""
        if len(self._running) < 2 or runner is self._winner:
            self._stop_waiting()
            return False
        self._running.remove(runner)
        return True

    def _stop_waiting(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None

    # What the asker does.

    def abort(self) -> None:
        """Drop all of it now."""
        self._stop_waiting()
        for runner in self._running:
            runner.drop()

    def let_go(self) -> None:
        """Take no interest in the rest."""
        self._stop_waiting()
        for runner in self._running:
            if runner.call:
                runner.call.let_go()

    def pause(self) -> None:
        """Take no more for now."""
        for runner in self._running:
            if runner.call:
                runner.call.pause()

    def resume(self) -> None:
        """Go on."""
        for runner in self._running:
            if runner.call:
                runner.call.resume()


class _Runner:
    """One of the calls: it passes on what it hears once it has won."""

    __slots__ = ("_race", "call")

    def __init__(self, race: Race) -> None:
        self._race = race
        self.call: Call | None = None

    def drop(self) -> None:
        if self.call:
            self.call.abort()

    def whole(self, status: int, headers: Headers, body: bytes) -> bool:
        if retry.is_failure(status):
            return False  # it is told again, piece by piece
        return self._race.win(self) and self._race.receiver.whole(status, headers, body)

    def head(self, status: int, headers: Headers) -> None:
        if retry.is_failure(status) and self._race.lose(self):
            self.drop()
        elif self._race.win(self):
            self._race.receiver.head(status, headers)

    def data(self, data: bytes) -> None:
        self._race.receiver.data(data)

    def done(self) -> None:
        self._race.receiver.done()

    def failed(self, failure: Failure, message: str) -> None:
        if not self._race.lose(self):
            self._race.receiver.failed(failure, message)
