"""Identifiers: time-ordered UUIDs whose time and randomness come in as values, and the names users choose."""

import re

from vedette.kernel.errors import InvalidInput

NAME = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,61}[a-z0-9])?")


def uuid7(milliseconds: int, entropy: bytes) -> str:
    """Build the UUIDv7 (RFC 9562 §5.7) of a Unix time in milliseconds and ten random bytes, as text.

    Raises:
        InvalidInput: the time does not fit 48 bits or ``entropy`` is not ten bytes.
    """
    if not 0 <= milliseconds < 1 << 48 or len(entropy) != 10:
        raise InvalidInput("a UUIDv7 takes a time of 48 bits and ten random bytes")
    time, random = f"{milliseconds:012x}", entropy.hex()
    variant = "89ab"[entropy[2] >> 4 & 3]  # binary 10, then two random bits
    return f"{time[:8]}-{time[8:]}-7{random[:3]}-{variant}{random[5:8]}-{random[8:]}"


def milliseconds_of(uuid: str) -> int:
    """Give the Unix time in milliseconds that a UUIDv7 begins with."""
    return int(uuid.replace("-", "")[:12], 16)


def check_name(name: str, what: str) -> str:
    """Return ``name`` when it can name a ``what``; names are part of URLs, labels and file names.

    Raises:
        InvalidInput: it is empty, longer than 63, or uses anything but a-z, 0-9, ``-``, ``_`` and ``.``.
    """
    if not NAME.fullmatch(name):
        raise InvalidInput(
            f"{name!r} cannot name a {what}",
            hint="use 1 to 63 of a-z, 0-9, '-', '_', '.', beginning and ending with a letter or digit",
        )
    return name
