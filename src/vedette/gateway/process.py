"""One worker as its supervisor sees it: a process, what it is told, and what it says."""

import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, BinaryIO

from vedette.gateway.channel import Answers, Beginning, answer
from vedette.gateway.metrics import Metrics
from vedette.gateway.settings import GatewaySettings


class WorkerProcess:
    """A worker from its start to its end; ``gone`` is told of the end, once, when all about it is known."""

    def __init__(
        self,
        name: str,
        listening: socket.socket,
        loads: BinaryIO,
        answers: Answers,
        total: "Callable[[WorkerProcess, Metrics], Metrics]",
        gone: "Callable[[WorkerProcess], None]",
    ) -> None:
        self.name = name
        self.figures = Metrics()
        self.complaint = ""
        self.drain_timeout = 0.0
        self._listening, self._loads, self._gone = listening, loads, gone
        self._answers: Mapping[str, Answers] = {
            "feed": answers,
            "figures": {"figures": lambda figures: total(self, figures)},
        }
        self._ready, self._ended = threading.Event(), threading.Event()

    def start(self, settings: GatewaySettings, folder: Path, place: int) -> None:
        """Start the process, at its place in the table of loads.

        Raises:
            OSError: there can be no more processes, or descriptors.
        """
        pairs = [socket.socketpair() for _ in range(3)]
        ours, theirs = zip(*pairs, strict=True)
        # Ours may be closed before the process has begun.
        shared = [os.dup(each.fileno()) for each in (self._listening, self._loads)]
        descriptors = [*shared, *(end.fileno() for end in theirs)]
        try:
            # A session of its own: signals of the terminal are for the supervisor, who passes on what they mean.
            self._process = subprocess.Popen(  # noqa: S603 - this program itself
                [sys.executable, "-m", "vedette.gateway.worker", *map(str, descriptors)],
                pass_fds=descriptors,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        finally:
            for descriptor in shared:
                os.close(descriptor)
            for end in theirs:
                end.close()
        self._since, self.drain_timeout = time.monotonic(), settings.drain_timeout
        self._life, *others = (Connection(end.detach()) for end in ours)
        level = logging.getLogger().getEffectiveLevel()
        self.tell(Beginning(settings=settings, folder=str(folder), place=place, level=level))
        for kind, connection in zip(self._answers, others, strict=True):
            self._thread(f"{self.name} {kind}", answer, connection, self._answers[kind])
        self._thread(f"{self.name} life", self._listen)

    def _thread(self, name: str, work: Callable[..., None], *values: Any) -> None:  # noqa: ANN401 - as it comes
        threading.Thread(target=work, args=values, name=f"vedette-{name}", daemon=True).start()

    def _listen(self) -> None:
        """Hear how far it has come, until it has ended."""
        while True:
            try:
                word = self._life.recv()
            except (EOFError, OSError):
                break
            if word == "ready":
                self._ready.set()
            elif word.startswith("failed: "):
                self.complaint = word.removeprefix("failed: ")
        self._process.wait()
        self._gone(self)
        self._ended.set()
        self._ready.set()  # whoever waits for it need not wait any longer

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def age(self) -> float:
        """Seconds since it was started."""
        return time.monotonic() - self._since

    @property
    def cause(self) -> str:
        """How it ended."""
        code = self._process.returncode
        return f"signal {signal.Signals(-code).name}" if code and code < 0 else self.complaint or f"exit code {code}"

    def tell(self, word: object) -> None:
        """Tell it something; one that is gone hears nothing."""
        try:
            self._life.send(word)
        except OSError:
            return

    def kill(self) -> None:
        """End it now."""
        self._process.kill()

    def wait_ready(self, seconds: float) -> bool:
        """Wait until it takes requests; False when it did not get there."""
        return self._ready.wait(seconds) and not self._ended.is_set()

    def wait(self, seconds: float) -> bool:
        """Wait for its end; False when it is still there."""
        return self._ended.wait(seconds)
