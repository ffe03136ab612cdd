"""A real Redis for tests, on a socket in a temporary folder: started, stopped, killed and made slow at will.

Without a redis-server on this machine a root on CI installs Debian's; anywhere else on CI the tests fail, and on a
user's machine they are skipped and say so.
"""

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

_PATIENCE = 20.0


class RedisServer:
    """One Redis that keeps nothing on disk."""

    def __init__(self, program: str, folder: Path) -> None:
        self._program, self._folder = program, folder
        self._socket = folder / "redis.sock"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Its address."""
        return f"unix://{self._socket}?db=0"

    def start(self) -> None:
        """Begin empty."""
        arguments = ("--port", "0", "--unixsocket", str(self._socket), "--save", "", "--appendonly", "no")
        self._process = subprocess.Popen(
            [self._program, *arguments], cwd=self._folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + _PATIENCE
        while not self._answers():
            if time.monotonic() > deadline or self._process.poll() is not None:
                pytest.fail("redis-server did not start", pytrace=False)
            time.sleep(0.01)

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as connection:
            try:
                connection.connect(str(self._socket))
                connection.sendall(b"PING\r\n")
                return connection.recv(16).startswith(b"+PONG")
            except OSError:
                return False

    def kill(self) -> None:
        """End it at once, with all it has."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.kill()
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        """Let it answer nobody, though it is there."""
        if self._process is not None:
            self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)

    @contextmanager
    def client(self) -> Iterator[Any]:
        """Look into it."""
        from redis import Redis

        with Redis.from_url(self.url) as client:
            yield client


@contextmanager
def server() -> Iterator[RedisServer]:
    """Give a running Redis, for as long as the block lasts."""
    if importlib.util.find_spec("redis") is None:
        _missing("redis-py is missing: pip install 'redis[hiredis]'")
    program = _program()
    folder = Path(tempfile.mkdtemp(prefix="vedette-redis-"))
    found = RedisServer(program, folder)
    try:
        found.start()
        yield found
    finally:
        found.kill()
        shutil.rmtree(folder, ignore_errors=True)


def _program() -> str:
    if found := shutil.which("redis-server"):
        return found
    if os.environ.get("CI") and os.geteuid() == 0 and shutil.which("apt-get"):
        quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for arguments in (["update", "-q"], ["install", "-qy", "--no-install-recommends", "redis-server"]):
            subprocess.run(["apt-get", *arguments], check=True, env=quiet)
        if found := shutil.which("redis-server"):
            return found
    return _missing("redis-server is missing: install it")


def _missing(message: str) -> str:
    if os.environ.get("CI"):
        pytest.fail(message, pytrace=False)
    pytest.skip(f"{message}. THE TESTS ON REDIS DID NOT RUN")
