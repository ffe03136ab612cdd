"""Names of requests: UUIDv7s, many a millisecond, without asking the system for randomness each time."""

import os
import time

from vedette.kernel.ids import uuid7

_ENTROPY = 10  # bytes a name takes
_STOCK = 256 * _ENTROPY


class RequestNames:
    """Gives each request its own name."""

    __slots__ = ("_place", "_stock")

    def __init__(self) -> None:
        self._stock, self._place = b"", 0

    def new(self) -> str:
        """Give a new one."""
        place = self._place
        if place >= len(self._stock):
            self._stock, place = os.urandom(_STOCK), 0
        self._place = place + _ENTROPY
        return uuid7(time.time_ns() // 1_000_000, self._stock[place : self._place])
