"""The load: wrk on kept connections as fast as answers come, and single requests at a steady pace for latency."""

import asyncio
import json
import re
import statistics
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from bench.gateway_parts.processes import BESIDE

PATH = "/v1/chat/completions"
_MARK = "@@@@@@@@"
_SYSTEM = "You answer questions about insurance claims, briefly, and cite the paragraph of the policy. " * 5
_QUESTION = "Hail has dented the roof of my car and cracked a window while it was parked. What is covered? " * 9
_SCRIPT = """
local head, tail, path = [==[%s]==], [==[%s]==], "%s"
local asked = 0
wrk.method = "POST"
wrk.headers["content-type"] = "application/json"
local key = "%s"
if key ~= "" then wrk.headers["authorization"] = "Bearer " .. key end
request = function()
  asked = asked + 1
  local user = string.format("%%08d", asked)
  wrk.headers["x-user"] = user
  return wrk.format(nil, path, nil, head .. user .. tail)
end
"""


@dataclass(frozen=True)
class Address:
    """Where a gateway takes chats, what it calls the model, and the key it wants, if any."""

    port: int
    model: str = "claims"
    path: str = PATH
    key: str = ""


def body(model: str, *, stream: bool, user: str = _MARK) -> bytes:
    """Write a request of some 1.4 KB."""
    messages = [{"role": "system", "content": _SYSTEM}, {"role": "user", "content": _QUESTION}]
    fields = {"model": model, "messages": messages, "temperature": 0.2, "max_tokens": 256, "stream": stream}
    options = {"stream_options": {"include_usage": True}} if stream else {}
    return json.dumps({**fields, **options, "user": f"u{user}"}).encode()


def saturate(address: Address, folder: Path, *, stream: bool, connections: int, seconds: float) -> tuple[int, float]:
    """Ask as fast as answers come, a new user each time; gives how many answers in how many seconds.

    Raises:
        RuntimeError: an answer was no success.
    """
    head, tail = body(address.model, stream=stream).decode().split(_MARK)
    script = folder / f"load-{address.port}-{stream}.lua"
    script.write_text(_SCRIPT % (head, tail, address.path, address.key))
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds:.0f}s", "--timeout", "30s", "-s", str(script)]
    said = subprocess.run(  # noqa: S603 - Debian's wrk
        ["taskset", "-c", str(BESIDE), *command, f"http://127.0.0.1:{address.port}"],  # noqa: S607 - as installed
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    if bad := re.search(r"Non-2xx or 3xx responses: (\d+)|Socket errors: .*", said):
        raise RuntimeError(f"{bad[0]}\n{said}")
    found = re.search(r"(\d+) requests in ([\d.]+)(m?s)", said)
    if found is None or found[1] == "0":
        raise RuntimeError(f"no answer within {seconds:.0f} s\n{said}")
    return int(found[1]), float(found[2]) * (0.001 if found[3] == "ms" else 1)


class _Client(asyncio.Protocol):
    """One connection that is told when an answer with a length is whole."""

    def __init__(self) -> None:
        self.busy: asyncio.Future[float] | None = None
        self._read = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def ask(self, request: bytes) -> "asyncio.Future[float]":
        self._read = b""
        self.busy = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return self.busy

    def data_received(self, data: bytes) -> None:
        self._read += data
        head, _, rest = self._read.partition(b"\r\n\r\n")
        length = re.search(rb"content-length: *(\d+)", head, re.IGNORECASE)
        whole = len(rest) >= int(length[1]) if length else rest.endswith(b"0\r\n\r\n")
        if whole and self.busy and not self.busy.done():
            self.busy.set_result(time.perf_counter())


_EARLY = 0.0025
"""Seconds before a request is due to be awake: the loop's timers are late by more than a millisecond."""


def latencies(address: Address, *, rate: float, seconds: float) -> tuple[float, float]:
    """Ask at a steady rate; gives the median and the 99th percentile in microseconds, from the intended times on."""
    return asyncio.run(_latencies(address, rate, seconds))


async def _latencies(address: Address, rate: float, seconds: float) -> tuple[float, float]:
    loop = asyncio.get_running_loop()
    clients: list[_Client] = []
    for _ in range(8):
        _, client = await loop.create_connection(_Client, "127.0.0.1", address.port)
        clients.append(client)
    taken: list[float] = []
    begin = time.perf_counter() + 0.05
    for number in range(round(rate * seconds)):
        intended = begin + number / rate
        client = clients[number % len(clients)]
        content = body(address.model, stream=False, user=f"{number:08d}")
        key = f"authorization: Bearer {address.key}\r\n" if address.key else ""
        head = f"POST {address.path} HTTP/1.1\r\n{key}host: a\r\ncontent-type: application/json\r\nx-user: {number}\r\n"
        request = f"{head}content-length: {len(content)}\r\n\r\n".encode() + content
        await asyncio.sleep(max(0.0, intended - time.perf_counter() - _EARLY))
        while time.perf_counter() < intended:
            pass
        answered = await client.ask(request)
        taken.append((answered - intended) * 1e6)
    return statistics.median(taken), statistics.quantiles(taken, n=100)[98]
