"""The processes beside the demo's own: ``vedette serve`` over its data, and the users who ask the gateway."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, Self

import httpx

from vedette.demo.traffic import Orders
from vedette.kernel.documents import dump
from vedette.kernel.errors import Unavailable

_INTERVAL = "0.4s"
_START = 60.0  # seconds a process may take to start, on a busy machine
_END = 20.0  # and to end


class _Process:
    """A Python process in a session of its own: Ctrl-C reaches the demo, which ends the others in order.

    With ``piped`` one may speak with it, otherwise what it says goes to the log, as its errors do.
    """

    name = ""

    def __init__(self, arguments: list[str], log: Path, *, piped: bool = False) -> None:
        log.parent.mkdir(parents=True, exist_ok=True)
        self._log = log
        with log.open("w") as errors:
            self.process = subprocess.Popen(  # noqa: S603 - our own modules, on paths the demo made
                [sys.executable, "-m", *arguments],
                stdin=subprocess.PIPE if piped else subprocess.DEVNULL,
                stdout=subprocess.PIPE if piped else errors,
                stderr=errors,
                text=True,
                start_new_session=True,
            )

    def check(self) -> None:
        """Raise Unavailable when the process is no more, with the last thing it said."""
        if self.process.poll() is not None:
            lines = self._log.read_text(errors="replace").strip().splitlines()
            raise Unavailable(f"{self.name} died", hint=lines[-1] if lines else f"nothing in {self._log}")

    def wait_until(self, ready: Callable[[], bool]) -> None:
        """Wait for the process to be ready.

        Raises:
            Unavailable: it died, or takes too long.
        """
        deadline = time.monotonic() + _START
        while not ready():
            self.check()
            if time.monotonic() > deadline:
                raise Unavailable(f"{self.name} is not up after {_START:g} seconds", hint=f"see {self._log}")
            time.sleep(0.05)

    def close(self) -> None:
        """End it: ask first, insist later."""
        self.ask_to_end()
        try:
            self.process.wait(_END)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def ask_to_end(self) -> None:
        """Let it finish what it does."""
        self.process.terminate()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Server(_Process):
    """``vedette serve`` over a data folder, on free ports; ``api`` and ``gateway`` are its base URLs.

    Raises:
        Unavailable: it does not come up, or not with all ``domains``.
    """

    name = "vedette serve"

    def __init__(self, folder: Path, domains: Collection[str]) -> None:
        ready = folder / "ready.json"
        super().__init__(
            [
                "vedette",
                "serve",
                "--data",
                str(folder),
                "--port",
                "0",
                "--gateway-port",
                "0",
                "--interval",
                _INTERVAL,
                "--ready-file",
                str(ready),
            ],
            folder / "logs" / "server.log",
        )
        try:
            self.wait_until(ready.exists)
            said = json.loads(ready.read_text())
            self.api, self.gateway = said["api"], f"{said['gateway']}/v1"
            self.wait_until(lambda: set(domains) <= self._models())
        except BaseException:
            self.close()
            raise

    def _models(self) -> set[str]:
        return {model["id"] for model in httpx.get(f"{self.gateway}/models").json()["data"]}


class Traffic(_Process):
    """The users of `vedette.demo.traffic`, who ask until this is closed."""

    name = "the traffic"

    def __init__(self, folder: Path, orders: Orders) -> None:
        file = folder / "traffic.json"
        file.write_text(json.dumps(dump(orders)))
        super().__init__(["vedette.demo.traffic", str(file)], folder / "logs" / "traffic.log", piped=True)
        self.said: Mapping[str, Any] = {}
        self._reading = threading.Thread(target=self._read, name="vedette-traffic", daemon=True)
        self._reading.start()
        try:
            self.wait_until(lambda: bool(self.said))
        except BaseException:
            self.close()
            raise

    def ask_to_end(self) -> None:
        """Let it wait for the answers on their way and tell the last truths."""
        if self.process.stdin:
            self.process.stdin.close()

    def close(self) -> None:
        """End it, and read the last thing it said."""
        super().close()
        self._reading.join()
        if self.process.stdout:
            self.process.stdout.close()

    def _read(self) -> None:
        for line in self.process.stdout or ():
            self.said = json.loads(line)
