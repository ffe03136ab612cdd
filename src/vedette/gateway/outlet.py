"""What connections send: everything of one turn of the event loop goes out together at its end.

A write asks the system, which wakes whoever reads; on a busy gateway that costs more than parsing a request. When many
connections have something to say in one turn, their readers are woken once and find work for a while, instead of
falling asleep between one write and the next. A single request loses nothing: its turn ends when it is dealt with.
"""

import asyncio
from typing import Final

import msgspec

_MUCH: Final = 1 << 15  # bytes


class Burst(msgspec.Struct, eq=False):
    """The outlets that have something to send at the end of this turn; all connections of an event loop share one."""

    outlets: list["Outlet"] = []

    def add(self, outlet: "Outlet") -> None:
        """Have it send at the end of this turn."""
        if not self.outlets:
            asyncio.get_running_loop().call_soon(self.send)
        self.outlets.append(outlet)

    def send(self) -> None:
        """Send it all, in the order it was written."""
        outlets, self.outlets = self.outlets, []
        for outlet in outlets:
            outlet.flush()


class Outlet(msgspec.Struct, eq=False):
    """The sending side of one connection."""

    transport: asyncio.Transport
    burst: Burst
    waiting: bytes = b""

    def write(self, data: bytes) -> None:
        """Send it at the end of this turn; much of it at once, so that a slow reader is felt before more comes."""
        if self.waiting:
            self.waiting += data
        elif data:
            self.waiting = data
            self.burst.add(self)
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
