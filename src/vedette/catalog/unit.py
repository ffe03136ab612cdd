"""Pseudonyms of units: what a domain that keeps units knows them by.

A pseudonym is the same for the same unit of the same domain, and another one in every other domain, so that nobody can
join two domains by it. It is made under the pepper of keys: without that nobody can say whose it is, nor try who it
might be. With the pepper anybody can try: it is as secret as the units are.
"""

import hashlib
import hmac
import re

_LENGTH = 16  # bytes: that two of a thousand million units are alike has a chance of 10⁻²¹
_PSEUDONYM = re.compile(r"[0-9a-f]{32}")


def key_of(pepper: bytes, domain: str) -> bytes:
    """Give the key that a domain's pseudonyms are made under; made once, for it costs as much as a pseudonym."""
    return hmac.digest(pepper, b"vedette unit/" + domain.encode(), hashlib.sha256)


def pseudonym(key: bytes, unit: str) -> str:
    """Give the pseudonym of a unit: the first 16 bytes of its HMAC-SHA256, as 32 hexadecimal digits."""
    return hmac.digest(key, unit.encode(), hashlib.sha256)[:_LENGTH].hex()


def is_pseudonym(text: str) -> bool:
    """Say whether a text may be a pseudonym."""
    return _PSEUDONYM.fullmatch(text) is not None
