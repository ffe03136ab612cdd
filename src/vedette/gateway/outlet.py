"""What connections send: on a busy gateway everything of one turn of the event loop together, at its end.

A write asks the system, which wakes whoever reads; that costs more than parsing a request. When many connections have
something to say in one turn, their readers are woken once and find work for a while, instead of falling asleep between
one write and the next. A request that is alone waits for nothing: after a turn with one write the next is made at once.
"""

import asyncio
from typing import Final

import msgspec

_MUCH: Final = 1 << 15  # bytes


class Burst(msgspec.Struct, eq=False):
    """What waits for the end of this turn; all connections of an event loop share one."""

    lasts: bool = False  # whether something was written already in this turn
    several: bool = False  # whether there was more than one write in the turn before
    outlets: list["Outlet"] = []

    def begin(self) -> None:
        """Have what follows in this turn wait for its end."""
        self.lasts = True
        asyncio.get_running_loop().call_soon(self.end)

    def end(self) -> None:
        """Send what waits, in the order it was written."""
        outlets, self.outlets, self.lasts = self.outlets, [], False
        self.several = len(outlets) > self.several  # the first is among them only where it had to wait
        for outlet in outlets:
            outlet.flush()


class Outlet(msgspec.Struct, eq=False):
    """The sending side of one connection."""

    transport: asyncio.Transport
    burst: Burst
    waiting: bytes = b""

    def write(self, data: bytes) -> None:
        """Send it within this turn; much of it at once, so that a slow reader is felt before more comes."""
        burst = self.burst
        if self.waiting:
            self.waiting += data
        elif data:
            self.waiting = data
            if burst.lasts:
                burst.outlets.append(self)
            elif burst.several:
                burst.outlets.append(self)
                burst.begin()
            else:
                self.flush()
                burst.begin()
        if len(self.waiting) > _MUCH:
            self.flush()

    def flush(self) -> None:
        """Send what waits now; nothing where the connection is gone."""
        waiting, self.waiting = self.waiting, b""
        if waiting and not self.transport.is_closing():
            self.transport.write(waiting)

    def write_eof(self) -> None:
        """Send what waits, and then no more."""
        self.flush()
        self.transport.write_eof()

    def close(self) -> None:
        """Send what waits, and close."""
        self.flush()
        self.transport.close()
