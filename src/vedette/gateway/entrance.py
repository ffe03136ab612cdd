"""Where connections come in: a socket of one's own, or one that several workers share.

From a shared socket a worker takes a connection only when it has not clearly more than another one (`Seat.look`); if it
has, it does not listen for a moment. It takes one at a time, so that it sees after each what the others have, and goes
on with its requests in between.
"""

import asyncio
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from vedette.gateway.loads import MOMENT, Seat
from vedette.gateway.protocol import App, ClientConnection

_NO_DESCRIPTOR = 0.1  # seconds to wait for one


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedSocket:
    """A socket that several workers take connections from, and the place of one of them among the others."""

    listening: socket.socket
    seat: Seat


class Entrance(Protocol):
    """Where connections come in."""

    address: tuple[str, int]

    @property
    def empty(self) -> bool:
        """Whether nobody stands in it: taken, but no connection of ours yet."""

    def open(self) -> None:
        """Take connections."""

    def close(self) -> None:
        """Take no more."""


async def enter(app: App, shared: SharedSocket | None, host: str, port: int) -> Entrance:
    """Listen on a port of one's own, at once, or share what is listening already, once opened.

    Raises:
        OSError: the port cannot be had.
    """
    if shared is not None:
        return _Shared(app, shared)
    server = await asyncio.get_running_loop().create_server(lambda: ClientConnection(app), host, port)
    return _Own(server)


class _Own:
    def __init__(self, server: asyncio.Server) -> None:
        self._server = server
        self.address = _address(server.sockets[0].getsockname())
        self.empty = True

    def open(self) -> None:
        pass  # it has been from the beginning

    def close(self) -> None:
        self._server.close()


class _Counted(ClientConnection):
    """A connection that says when it has ended."""

    def __init__(self, app: App, ended: Callable[[], None]) -> None:
        super().__init__(app)
        self._ended = ended

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        self._ended()


class _Shared:
    def __init__(self, app: App, shared: SharedSocket) -> None:
        self._app, self._listening, self._seat = app, shared.listening, shared.seat
        self._listening.setblocking(False)
        self.address = _address(self._listening.getsockname())
        self._loop = asyncio.get_running_loop()
        self._connecting: set[asyncio.Task[object]] = set()
        self._is_open = False

    @property
    def empty(self) -> bool:
        return not self._connecting

    def open(self) -> None:
        self._is_open = True
        self._seat.take()
        self._loop.add_reader(self._listening, self._look)

    def close(self) -> None:
        if self._is_open:
            self._loop.remove_reader(self._listening)
            self._is_open = False
        self._listening.close()  # the supervisor's and the other workers' stay

    def _look(self) -> None:
        if self._seat.look():
            self._take_one()
        else:
            self._pause(MOMENT)

    def _take_one(self) -> None:
        try:
            connection, _ = self._listening.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return  # another worker was quicker, or the client has gone
        except OSError:  # no descriptor is left: let those who wait be taken by others, or later
            self._seat.rest()
            self._pause(_NO_DESCRIPTOR)
            return
        self._seat.take(1)
        connection.setblocking(False)
        work = self._loop.connect_accepted_socket(lambda: _Counted(self._app, self._one_less), connection)
        task: asyncio.Task[object] = self._loop.create_task(work)
        self._connecting.add(task)
        task.add_done_callback(self._connected)

    def _connected(self, task: "asyncio.Task[object]") -> None:
        self._connecting.discard(task)
        if task.cancelled() or task.exception():  # it never became a connection, which would have said its end
            self._one_less()

    def _one_less(self) -> None:
        if self._is_open:  # otherwise the place in the table is another one's
            self._seat.take(-1)

    def _pause(self, seconds: float) -> None:
        """Leave the socket to others for a while; were it listened to, the loop would not come to rest."""
        self._loop.remove_reader(self._listening)
        self._loop.call_later(seconds, self._open_again)

    def _open_again(self) -> None:
        if self._is_open:
            self.open()


def _address(name: tuple[object, ...]) -> tuple[str, int]:
    host, port = name[:2]
    return str(host), int(str(port))
