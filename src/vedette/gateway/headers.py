"""Which header fields pass through the gateway, in either direction."""

from collections.abc import Iterable

from vedette.gateway.upstream import Headers

_HOP_BY_HOP = frozenset(  # RFC 9110 §7.6.1, and the one browsers invented
    {
        b"connection",
        b"keep-alive",
        b"proxy-connection",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
_REWRITTEN = frozenset({b"host", b"content-length", b"content-type", b"expect", b"accept-encoding"})
_CREDENTIALS = frozenset(  # for the gateway and nobody behind it
    {b"authorization", b"cookie", b"x-api-key", b"api-key", b"openai-organization", b"openai-project"}
)
_NOT_FORWARDED = _HOP_BY_HOP | _REWRITTEN | _CREDENTIALS
_NOT_RETURNED = _HOP_BY_HOP | {b"content-length", b"content-type", b"date", b"set-cookie"}
_OURS = b"x-vedette-"
_MOST_NAMES = 256


def value_of(headers: Headers, name: bytes) -> bytes | None:
    """Give the first value of a field, or None."""
    for key, value in headers:
        if key == name:
            return value
    return None


class Sieve(dict[bytes, bool]):
    """Which fields pass, by name; each name is thought about once."""

    def __init__(self, dropped: Iterable[bytes]) -> None:
        super().__init__()
        self._dropped = frozenset(dropped)

    def __missing__(self, name: bytes) -> bool:
        """Say whether a field of this name passes, and remember it as long as there is room."""
        passes = name not in self._dropped and not name.startswith(_OURS)
        if len(self) < _MOST_NAMES:
            self[name] = passes
        return passes

    def passed(self, headers: Headers) -> bytes:
        """Write the fields that pass; those that a `Connection` field names are for one hop only."""
        if b"connection" in dict(headers):
            headers = _without_hop(headers)
        return b"".join([b"%b: %b\r\n" % field for field in headers if self[field[0]]])


def _without_hop(headers: Headers) -> Headers:
    named = b",".join([value for key, value in headers if key == b"connection"])
    hop = {name.strip().lower() for name in named.split(b",")}
    return [field for field in headers if field[0] not in hop]


def held_back(own: Iterable[bytes]) -> Sieve:
    """Let the client's fields pass that a backend may see: none of those in ``own``, which the gateway sets itself."""
    return Sieve(_NOT_FORWARDED.union(own))


_RETURNED = Sieve(_NOT_RETURNED)


def returned(headers: Headers) -> bytes:
    """Write the backend's fields a client may see."""
    return _RETURNED.passed(headers)
