"""A circuit breaker for each version's backend: closed while it works, open once it fails, half open to see.

The state is a worker's own. Tries are counted in two halves of the window, so that what counts is always between half
a window and a whole one old. A probe that nobody hears of again (its client left) is given up after a pause.
"""

import random

from vedette.catalog.breaker import Breaker

_LONGEST = 8  # times the pause
_JITTER = 0.25  # of the pause, so that workers do not probe together


class Circuit:
    """Whether the backend of one version of one domain may be asked."""

    __slots__ = ("_begun", "_good", "_next", "_now", "_pauses", "_policy", "_probe", "_then")

    def __init__(self, policy: Breaker) -> None:
        self._policy = policy
        self._next: float | None = None  # when it may be probed; None while it is closed
        self._reset()

    def _reset(self) -> None:
        self._begun = float("-inf")  # of the half of the window that is being counted
        self._now, self._then = (0, 0), (0, 0)  # tries and failures in this half, and in the one before
        self._next, self._probe = None, float("-inf")
        self._good, self._pauses = 0, 1

    def allow(self, now: float) -> bool:
        """Say whether it may be asked; while it is half open, one at a time."""
        if self._next is None:
            return True
        if now < self._next or now - self._probe < self._policy.pause:
            return False
        self._probe = now
        return True

    def wait(self, now: float) -> float:
        """Give the seconds until it may be asked again, as far as anybody knows."""
        return max(0.0, (self._next or now) - now, self._policy.pause - (now - self._probe))

    def note(self, now: float, *, good: bool) -> bool:
        """Count how a try went; True when that opened the circuit."""
        if self._next is not None:
            return self._probed(now, good=good)
        half = self._policy.window / 2
        if now - self._begun >= half:
            self._then = self._now if now - self._begun < 2 * half else (0, 0)
            self._now, self._begun = (0, 0), now
        self._now = self._now[0] + 1, self._now[1] + (not good)
        tries, failures = self._now[0] + self._then[0], self._now[1] + self._then[1]
        if good or tries < self._policy.minimum or failures * 100 < self._policy.share * tries:
            return False
        self._open(now)
        return True

    def _probed(self, now: float, *, good: bool) -> bool:
        if self._next is None or now < self._next:
            return False  # a try that began before it opened
        self._probe = float("-inf")
        if not good:
            self._pauses = min(_LONGEST, 2 * self._pauses)
            self._open(now)
            return True
        self._good += 1
        if self._good >= self._policy.probes:
            self._reset()
        return False

    def _open(self, now: float) -> None:
        self._good, self._probe = 0, float("-inf")
        jitter = 1 + _JITTER * random.random()  # noqa: S311 - jitter needs no secrecy
        self._next = now + self._policy.pause * self._pauses * jitter
