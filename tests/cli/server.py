"""A control API on a port of its own, over a data folder; nothing reconciles behind it."""

import socket
import threading
from contextlib import contextmanager

import uvicorn

from vedette.api.app import create_app
from vedette.control.plane import open_plane


@contextmanager
def serving(folder):
    """Serve the control API of a folder as long as the block runs; gives its address."""
    with open_plane(folder) as plane, socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(uvicorn.Config(create_app(plane), log_config=None, access_log=False))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            while not server.started and thread.is_alive():
                thread.join(0.01)
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()
