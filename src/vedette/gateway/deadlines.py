"""Deadlines of requests: one timer for all of them, for a timer each costs more than reading the request."""

import asyncio
from collections.abc import Collection
from time import monotonic
from typing import Protocol

_STEP = 0.01  # seconds between looks while anything is watched, and so how late a deadline may be


class Limited(Protocol):
    """What may be too late."""

    due: float

    def time_out(self) -> None:
        """Take note that ``due`` has passed: be done, or set a later one."""


class Deadlines:
    """Tells each of ``watched`` when it is due, by the monotonic clock."""

    __slots__ = ("_timer", "_watched")

    def __init__(self, watched: Collection[Limited]) -> None:
        self._watched = watched
        self._timer: asyncio.TimerHandle | None = None

    def watch(self) -> None:
        """Look from now on, as long as there is anything to look at."""
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_STEP, self._look)

    def _look(self) -> None:
        self._timer = None
        now = monotonic()
        for each in [each for each in self._watched if each.due <= now]:
            each.time_out()
        if self._watched:
            self.watch()
