"""Names of requests: UUIDv7s, many a millisecond, without asking the system for randomness each time."""

import os
import re
import time

from vedette.kernel.ids import uuid7

_STOCK = 256  # ends of names made at once
_CHANCE = re.compile("(...)(.)(...)(.{12})")
_BYTES = 19 * _STOCK // 2  # of chance for them, 19 hexadecimal digits each
_VARIANT = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}  # binary 10, then two random bits


class RequestNames:
    """Gives each request its own name: what `uuid7` would, whose beginning stays the same for a millisecond."""

    __slots__ = ("_begin", "_ends", "_millisecond")

    def __init__(self) -> None:
        self._ends: list[str] = []
        self._millisecond, self._begin = -1, ""

    def new(self) -> str:
        """Give a new one."""
        millisecond = time.time_ns() // 1_000_000
        if millisecond != self._millisecond:
            self._millisecond, self._begin = millisecond, uuid7(millisecond, bytes(10))[:15]  # time and version
        if not self._ends:
            chance = _CHANCE.findall(os.urandom(_BYTES).hex())
            self._ends = [f"{a}-{_VARIANT[b]}{c}-{d}" for a, b, c, d in chance]
        return self._begin + self._ends.pop()
