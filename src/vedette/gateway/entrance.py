"""Where connections come in: a socket of one's own, or one that several workers share.

From a shared socket one connection is taken at a time: whoever is least busy comes back for the next one first. A loop
left to itself would take all that wait, and one worker would serve a whole burst.
"""

import asyncio
import socket
from typing import Protocol

from vedette.gateway.protocol import App, ClientConnection


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


async def enter(app: App, listening: socket.socket | None, host: str, port: int) -> Entrance:
    """Listen on a port of one's own, at once, or share what is listening already, once opened.

    Raises:
        OSError: the port cannot be had.
    """
    if listening is not None:
        return _Shared(app, listening)
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


class _Shared:
    def __init__(self, app: App, listening: socket.socket) -> None:
        self._app, self._listening = app, listening
        self._listening.setblocking(False)
        self.address = _address(listening.getsockname())
        self._loop = asyncio.get_running_loop()
        self._connecting: set[asyncio.Task[object]] = set()
        self._is_open = False

    @property
    def empty(self) -> bool:
        return not self._connecting

    def open(self) -> None:
        self._is_open = True
        self._loop.add_reader(self._listening, self._take_one)

    def close(self) -> None:
        if self._is_open:
            self._loop.remove_reader(self._listening)
            self._is_open = False
        self._listening.close()  # the supervisor's and the other workers' stay

    def _take_one(self) -> None:
        try:
            connection, _ = self._listening.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return  # another worker was quicker, or the client has gone
        except OSError:  # no descriptor is left: let those who wait be taken by others, or later
            self._loop.remove_reader(self._listening)
            self._loop.call_later(0.1, self._open_again)
            return
        connection.setblocking(False)
        work = self._loop.connect_accepted_socket(lambda: ClientConnection(self._app), connection)
        task: asyncio.Task[object] = self._loop.create_task(work)
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    def _open_again(self) -> None:
        if self._is_open:
            self.open()


def _address(name: tuple[object, ...]) -> tuple[str, int]:
    host, port = name[:2]
    return str(host), int(str(port))
