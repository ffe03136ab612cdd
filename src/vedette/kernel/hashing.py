"""Hashes that are the same in every process, language and version: buckets, fractions, canonical digests.

Assignment uses xxh3_64 of the UTF-8 bytes, seeded with the xxh3_64 of the salt. The algorithm's name stands in every
traffic plan, so a plan can never be read with another one by accident. ``docs/reference`` has its text and vectors.
"""

import hashlib
from functools import cache

import xxhash

ALGORITHM = "xxh3-64/1024"
BUCKETS = 1024
BUCKET_SHIFT = 54
"""A unit's bucket is its 64-bit hash, shifted right by so many bits."""

_EXACT = float(1 << 53)


@cache
def seed_of(salt: str) -> int:
    """Give the 64-bit seed that stands for ``salt``."""
    return xxhash.xxh3_64_intdigest(salt.encode())


def bucket_of(seed: int, unit: str) -> int:
    """Put ``unit`` into one of 1,024 buckets, always the same one for the same seed."""
    return xxhash.xxh3_64_intdigest(unit.encode(), seed) >> BUCKET_SHIFT


def fraction_of(seed: int, unit: str) -> float:
    """Give ``unit`` a number in [0, 1), uniform over units and independent between seeds."""
    return (xxhash.xxh3_64_intdigest(unit.encode(), seed) >> 11) / _EXACT  # more bits than a float holds round to 1


@cache
def ranks_of(salt: str) -> tuple[int, ...]:
    """Permute the 1,024 buckets by ``salt``: entry ``b`` is the place of bucket ``b`` in the order of being exposed."""
    seed = seed_of(salt)
    order = sorted(range(BUCKETS), key=lambda bucket: xxhash.xxh3_64_intdigest(bucket.to_bytes(2), seed))
    ranks = [0] * BUCKETS
    for rank, bucket in enumerate(order):
        ranks[bucket] = rank
    return tuple(ranks)


def canonical(value: object) -> bytes:
    """Write a JSON value as RFC 8785 canonical bytes, so that equal values have equal digests."""
    import rfc8785  # gateways hash no documents

    return rfc8785.dumps(value)  # type: ignore[arg-type]  # rfc8785 refuses what is not JSON, at run time


def digest(value: object) -> str:
    """Give the SHA-256 of the canonical bytes of a JSON value, in hex."""
    return hashlib.sha256(canonical(value)).hexdigest()
