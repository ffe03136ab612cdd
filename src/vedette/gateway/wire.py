"""Bytes of HTTP answers that are always the same."""

import time
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from typing import Final

JSON: Final = b"application/json"
_PHRASES = {status.value: status.phrase for status in HTTPStatus}


@lru_cache(maxsize=64)
def _head_at(status: int, second: int) -> bytes:
    date = formatdate(second, usegmt=True)
    return f"HTTP/1.1 {status} {_PHRASES.get(status, 'Unknown')}\r\ndate: {date}\r\n".encode()


def head(status: int) -> bytes:
    """Write the status line and the date."""
    return _head_at(status, int(time.time()))


def content(kind: bytes, body: bytes) -> bytes:
    """Write type and length, the blank line, and the body; an answer without a type has neither."""
    if not kind:
        return b"\r\n"
    return b"content-type: %b\r\ncontent-length: %d\r\n\r\n%b" % (kind, len(body), body)
