"""A control API on a port of its own, over one data folder after another; nothing reconciles behind it."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import uvicorn

from vedette.api.app import create_app
from vedette.control.plane import open_plane


class Server:
    """One server for many tests: making the app takes longer than most of them."""

    def __init__(self, folder: Path) -> None:
        self._first = open_plane(folder)
        self._app = create_app(self._first)
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._server = uvicorn.Server(uvicorn.Config(self._app, log_config=None, access_log=False))
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._socket]})

    def __enter__(self) -> Self:
        self._thread.start()
        while not self._server.started and self._thread.is_alive():
            self._thread.join(0.01)
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join()
        self._socket.close()
        self._first.close()

    @contextmanager
    def over(self, folder: Path) -> Iterator[str]:
        """Serve a folder as long as the block runs; gives the address."""
        with open_plane(folder) as plane:
            self._app.state.plane = plane
            yield f"http://127.0.0.1:{self._socket.getsockname()[1]}"
