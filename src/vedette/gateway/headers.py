"""Which header fields pass through the gateway, in either direction."""

from collections.abc import Iterable

from vedette.gateway.upstream import Headers

_HOP_BY_HOP = frozenset(  # RFC 9110 §7.6.1, and the one browsers invented
    {
        b"connection", b"keep-alive", b"proxy-connection", b"proxy-authenticate", b"proxy-authorization", b"te",
        b"trailer", b"transfer-encoding", b"upgrade",
    }
)  # fmt: skip
_REWRITTEN = frozenset({b"host", b"content-length", b"content-type", b"expect", b"accept-encoding"})
_CREDENTIALS = frozenset(  # for the gateway and nobody behind it
    {b"authorization", b"cookie", b"x-api-key", b"api-key", b"openai-organization", b"openai-project"}
)
_NOT_FORWARDED = _HOP_BY_HOP | _REWRITTEN | _CREDENTIALS
_NOT_RETURNED = _HOP_BY_HOP | {b"content-length", b"content-type", b"date", b"set-cookie"}
_OURS = b"x-vedette-"


def value_of(headers: Headers, name: bytes) -> bytes | None:
    """Give the first value of a field, or None."""
    for key, value in headers:
        if key == name:
            return value
    return None


def held_back(own: Iterable[bytes]) -> frozenset[bytes]:
    """Name the client's fields no backend may see, with those in ``own``, which the gateway sets itself."""
    return _NOT_FORWARDED.union(own)


def forwarded(headers: Headers, dropped: frozenset[bytes]) -> bytes:
    """Write the client's fields a backend may see: all but those that are `held_back`."""
    return _pass(headers, dropped)


def returned(headers: Headers) -> bytes:
    """Write the backend's fields a client may see."""
    return _pass(headers, _NOT_RETURNED)


def _pass(headers: Headers, dropped: frozenset[bytes]) -> bytes:
    for key, value in headers:
        if key == b"connection":
            dropped |= {name.strip().lower() for name in value.split(b",")}
    return b"".join(
        [b"%b: %b\r\n" % field for field in headers if field[0] not in dropped and not field[0].startswith(_OURS)]
    )
