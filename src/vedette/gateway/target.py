"""Versions as the request path asks them: a backend behind HTTP, or a model in this process."""

import math
from collections.abc import Mapping
from typing import Protocol
from urllib.parse import urlsplit

import msgspec

from vedette.catalog.backend import OpenAIBackend
from vedette.gateway.batching import Line
from vedette.gateway.headers import held_back
from vedette.gateway.local import LocalPool
from vedette.gateway.openai import PATHS, Ask
from vedette.gateway.upstream import Call, Headers, Origin, Pool, Receiver
from vedette.kernel.errors import InvalidInput


class Target(Protocol):
    """One version of one domain as the request path needs it."""

    timeout: float

    @property
    def idle(self) -> bool:
        """Whether one more request makes nobody wait."""
        ...

    def call(self, receiver: Receiver, ask: Ask, headers: Headers, request_id: str, *, fresh: bool) -> Call:
        """Ask it."""
        ...


class RemoteTarget:
    """A version behind an OpenAI-compatible endpoint."""

    __slots__ = ("_forwarded", "_heads", "_model", "_origin", "timeout")

    def __init__(self, backend: OpenAIBackend, pool: Pool, environment: Mapping[str, str]) -> None:
        """Prepare the head of each kind of request.

        Raises:
            InvalidInput: the key is not in the environment, or a header cannot be sent.
        """
        parts = urlsplit(backend.url)
        host = parts.hostname or ""
        self._origin: Origin = pool.origin(parts.scheme, host, parts.port or (443 if parts.scheme == "https" else 80))
        self._model = msgspec.Raw(msgspec.json.encode(backend.model))
        own = {name.lower(): value for name, value in (backend.headers or {}).items()}
        if backend.api_key_env:
            key = environment.get(backend.api_key_env, "").strip()
            if not key:
                raise InvalidInput(f"environment variable {backend.api_key_env} holds no key on this gateway")
            own["authorization"] = f"Bearer {key}"
        own |= {"host": parts.netloc.rpartition("@")[2], "accept-encoding": "identity"}
        own |= {"content-type": "application/json"}
        self._forwarded = held_back(name.encode() for name in own).passed
        fields = "".join(f"{name}: {_clean(name, value)}\r\n" for name, value in own.items())
        base = parts.path.rstrip("/")
        self._heads = {
            path: f"POST {base}{path.removeprefix('/v1')} HTTP/1.1\r\n{fields}".encode("latin-1") for path in PATHS
        }
        self.timeout = backend.timeout

    @property
    def idle(self) -> bool:
        """Whether there is a connection for one more."""
        return self._origin.roomy

    def call(self, receiver: Receiver, ask: Ask, headers: Headers, request_id: str, *, fresh: bool) -> Call:
        """Send the request with this version's model name and key, and the client's harmless headers."""
        body = ask.rewritten(self._model)
        head = b"%b%bx-vedette-request-id: %b\r\ncontent-length: %d\r\n\r\n" % (
            self._heads[ask.path],
            self._forwarded(headers),
            request_id.encode(),
            len(body),
        )
        return self._origin.call(receiver, head + body, fresh=fresh)


def _clean(name: str, value: str) -> str:
    if not (name.isascii() and name.replace("-", "").replace("_", "").isalnum()) or not value.isprintable():
        raise InvalidInput(f"header {name!r} cannot be sent")
    return value


class LocalTarget:
    """A version in this process."""

    __slots__ = ("_line", "_pool", "timeout")

    def __init__(self, line: Line, pool: LocalPool) -> None:
        self._line, self._pool = line, pool
        self.timeout = math.inf  # it has as long as the request

    @property
    def idle(self) -> bool:
        """Whether a thread is free."""
        return self._pool.idle

    def call(self, receiver: Receiver, ask: Ask, headers: Headers, request_id: str, *, fresh: bool) -> Call:  # noqa: ARG002 - the protocol's
        """Ask the model on a thread."""
        return self._pool.call(receiver, self._line, ask, request_id)
