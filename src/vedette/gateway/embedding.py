"""Embeddings from an OpenAI-compatible backend, for as long as a request may wait for one."""

import asyncio
import os
import time
from time import monotonic

import msgspec
import numpy as np

from vedette.catalog.breaker import Breaker
from vedette.gateway.breaker import Circuit
from vedette.gateway.likeness import Vector, unit
from vedette.gateway.openai import EMBEDDINGS, Ask
from vedette.gateway.semantic import Embedded
from vedette.gateway.target import Target
from vedette.gateway.upstream import Call, Failure, Headers
from vedette.kernel.ids import uuid7

_LARGEST = 1 << 20  # bytes of an answer
_BREAKER = Breaker(minimum=5)
_encode = msgspec.json.Encoder().encode


class _One(msgspec.Struct):
    embedding: list[float]


class _Said(msgspec.Struct):
    data: list[_One]


_SAID = msgspec.json.Decoder(_Said)


class RemoteEmbedding:
    """A backend that makes vectors; left alone while it fails."""

    def __init__(self, target: Target, wait: float) -> None:
        self._target, self._wait = target, wait
        self._circuit = Circuit(_BREAKER)

    def embed(self, text: str, told: Embedded) -> "Asked | None":
        """Ask for a vector, and tell it in time or not at all."""
        if not self._circuit.allow(monotonic()):
            told(None)
            return None
        asked = Asked(self._target, self._circuit, told)
        asked.begin(text, self._wait)
        return asked


class Asked:
    """One question to such a backend; told of its answer by a `Call`."""

    def __init__(self, target: Target, circuit: Circuit, told: Embedded) -> None:
        self._target, self._circuit, self._told = target, circuit, told
        self._call: Call | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._status, self._body, self._fresh = 0, bytearray(), False

    def begin(self, text: str, wait: float) -> None:
        """Ask."""
        fields = {"input": msgspec.Raw(_encode(text))}
        self._ask = Ask(path=EMBEDDINGS, fields=fields, model="", user="", stream=False, wants_usage=False)
        self._timer = asyncio.get_running_loop().call_later(wait, self._end, None)
        self._send()

    def _send(self) -> None:
        name = uuid7(time.time_ns() // 1_000_000, os.urandom(10))
        self._call = self._target.call(self, self._ask, [], name, fresh=self._fresh)

    def cancel(self) -> None:
        """Forget it: nobody waits any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            if self._call is not None:
                self._call.abort()

    # What the backend says.

    def whole(self, status: int, headers: Headers, body: bytes) -> bool:  # noqa: ARG002 - the protocol's
        """Take answers piece by piece."""
        return False

    def head(self, status: int, headers: Headers) -> None:  # noqa: ARG002 - the protocol's
        """Take the status."""
        self._status = status

    def data(self, data: bytes) -> None:
        """Take a piece."""
        self._body += data
        if len(self._body) > _LARGEST:
            self._end(None)

    def done(self) -> None:
        """Take the end."""
        self._end(_read(self._status, bytes(self._body)))

    def failed(self, failure: Failure, message: str) -> None:  # noqa: ARG002 - the protocol's
        """Take the failure; a kept connection that was closed meanwhile is none."""
        if failure is Failure.STALE and not self._fresh:
            self._fresh = True
            self._send()
        else:
            self._end(None)

    def _end(self, vector: Vector | None) -> None:
        if self._timer is None:
            return
        if vector is not None and self._call is not None:
            self._call.let_go()  # the answer is whole, and the connection good for the next one
            self._call = None
        self.cancel()
        self._circuit.note(monotonic(), good=vector is not None)
        self._told(vector)


def _read(status: int, body: bytes) -> Vector | None:
    """Read a vector; None where the answer is none."""
    if status != 200:
        return None
    try:
        (one,) = _SAID.decode(body).data
        vector = np.array(one.embedding, np.float32)
    except (msgspec.MsgspecError, RecursionError, ValueError):
        return None
    return unit(vector) if vector.size and np.isfinite(vector).all() and vector.any() else None
