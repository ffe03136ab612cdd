"""One worker: a gateway in a process of its own, on a socket its supervisor owns; started by `Supervisor`, not by hand.

``python -m vedette.gateway.worker LISTENING LOADS LIFE FEED FIGURES``: five inherited descriptors. LOADS is the table
of who has how many connections. Over LIFE the supervisor says what to begin with and how to end, and is told how far
this has come. When it is gone the worker finishes what it has begun and ends: nobody would ship its outcomes, and the
next supervisor needs the port.
"""

import asyncio
import gc
import logging
import os
import signal
import socket
import sys
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from vedette.gateway.channel import AskedFeed, AskedSum, Beginning, Caller
from vedette.gateway.entrance import SharedSocket
from vedette.gateway.loads import Loads, Seat
from vedette.gateway.server import Gateway, loop_factory
from vedette.gateway.shipping import claim
from vedette.kernel.errors import VedetteError

_log = logging.getLogger("vedette.gateway")
_PATIENCE = 3.0  # seconds to wait for plans before requests are taken all the same


class Worker:
    """The gateway and the wishes of the supervisor."""

    def __init__(self, life: "Connection[Any, Any]", gateway: Gateway) -> None:
        self._life, self._gateway = life, gateway
        self._ending: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Serve until told to end."""
        loop = asyncio.get_running_loop()
        self._ended = asyncio.Event()
        # A signal of the terminal reaches every process of its group; what it means is the supervisor's to say.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        loop.add_signal_handler(signal.SIGTERM, lambda: self._obey("hurry" if self._ending else "stop"))
        loop.add_reader(self._life.fileno(), self._hear)
        await self._gateway.start()
        self._tell("up")
        gc.collect()
        gc.freeze()  # what is there now stays, and need not be looked at again
        await self._gateway.until_ready(_PATIENCE)
        self._gateway.accept()
        self._tell("ready")
        await self._ended.wait()

    def _tell(self, word: str) -> None:
        try:
            self._life.send(word)
        except OSError:
            self._obey("stop")

    def _hear(self) -> None:
        try:
            word = self._life.recv()
        except (EOFError, OSError):
            asyncio.get_running_loop().remove_reader(self._life.fileno())
            _log.warning("the supervisor is gone; finishing what is in flight")
            word = "stop"
        self._obey(word)

    def _obey(self, word: str) -> None:
        if word == "hurry":
            self._gateway.hurry()
        if self._ending is None:
            work = self._gateway.retire() if word == "retire" else self._gateway.stop()
            self._ending = asyncio.get_running_loop().create_task(work)
            self._ending.add_done_callback(lambda _: self._ended.set())
        elif word == "stop":
            self._gateway.stop_retiring()


def main(arguments: Sequence[str]) -> int:
    """Run the worker to its end; gives the exit code."""
    listening, loads, *others = map(int, arguments)
    life, feed, figures = (Connection(descriptor) for descriptor in others)
    begin: Beginning = life.recv()
    logging.basicConfig(level=begin.level, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    gc.set_threshold(10_000, 20, 50)  # requests make no cycles worth looking for often
    claimed = claim(Path(begin.folder))
    gateway = Gateway(
        AskedFeed(Caller(feed)),
        None,
        Path(begin.folder),
        settings=begin.settings,
        shared=SharedSocket(listening=socket.socket(fileno=listening), seat=Seat(Loads(loads), begin.place)),
        total=AskedSum(Caller(figures)),
    )
    try:
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            runner.run(Worker(life, gateway).run())
    except VedetteError as error:
        life.send(f"failed: {error}")
        return 1
    finally:
        os.close(claimed)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
