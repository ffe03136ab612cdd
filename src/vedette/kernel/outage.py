"""What is tried again and again, and fails for a while: which of its failures are worth a line in a log.

A database that is away for ten minutes fails a loop that passes every second six hundred times. Whoever reads the log
wants to know when that began, that it lasts, and when it was over.
"""

from vedette.kernel.clock import say_duration

EVERY = 60.0
"""Seconds between two lines while it lasts."""


class Outage:
    """Says in words that something fails, that it still does, and that it succeeds again; most times nothing.

    For one thread, or one event loop.

    Args:
        what: is tried, as a noun: "a pass of the reconciler".
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._failures = 0
        self._began = self._told = 0.0

    @property
    def lasts(self) -> bool:
        """Whether the last try failed."""
        return self._failures > 0

    def failed(self, error: object, now: float) -> str:
        """Book a failure; give what to warn of, which is nothing when that was done less than a minute ago.

        Args:
            error: why; where it says nothing, its type is told.
            now: seconds on a clock that only grows.
        """
        self._failures += 1
        said = str(error) or type(error).__name__
        if self._failures == 1:
            self._began = self._told = now
            return f"{self._what} failed and is tried again: {said}"
        if now - self._told < EVERY:
            return ""
        self._told = now
        return f"{self._what} has failed for {self._lasted(now)} now, {self._failures} times: {said}"

    def succeeded(self, now: float) -> str:
        """Book a success; give what to tell, which is nothing but after a failure."""
        if not self._failures:
            return ""
        failures, self._failures = self._failures, 0
        times = "once" if failures == 1 else f"{failures} times"
        return f"{self._what} succeeds again; it failed {times} within {self._lasted(now)}"

    def _lasted(self, now: float) -> str:
        return say_duration(now - self._began)
