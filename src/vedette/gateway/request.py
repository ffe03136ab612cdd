"""A request as it came in, whole."""

from collections.abc import Mapping

import msgspec

from vedette.gateway.upstream import Headers


class Request(msgspec.Struct):
    """One whole request: path without query, header names in lower case."""

    method: str
    path: str
    headers: Headers
    fields: Mapping[bytes, bytes]  # the first value of each
    body: bytes
    keep_alive: bool
    version: str
