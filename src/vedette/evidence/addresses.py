"""Where callers reach the gateway, so that a span that names its server says whether the gateway answered it."""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from vedette.evidence.otlp import Value
from vedette.kernel.errors import InvalidInput

_UNSAID = frozenset({443, 80})  # ports that clients do not mention


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A host as callers name it, and a port; without one, any."""

    host: str
    port: int | None = None

    def is_called_by(self, said: Mapping[str, Value]) -> bool:
        """Say whether a span with these attributes is of a call of this address (`server.address`, `server.port`)."""
        if str(said.get("server.address", "")).lower() != self.host:
            return False
        port = said.get("server.port")
        return self.port is None or (self.port in _UNSAID if port is None else str(port) == str(self.port))


def address_of(text: str) -> Address:
    """Read ``HOST``, ``HOST:PORT``, or the URL that clients are given.

    Raises:
        InvalidInput: It is none of these.
    """
    try:
        parts = urlsplit(text if "://" in text else f"//{text}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or any(sign.isspace() for sign in text):
        raise InvalidInput(f"{text!r} is no address", hint="write HOST or HOST:PORT, as callers name the gateway")
    return Address(host=host, port=port)
