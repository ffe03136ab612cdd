"""Answers that are given again."""

from typing import Literal

from vedette.kernel.errors import InvalidInput
from vedette.kernel.fields import Seconds
from vedette.kernel.records import record


@record
class Cache:
    """Gives an answer again to the same question, for ``ttl``, within ``entries`` and ``bytes`` a worker.

    The same question is one with the same path and parameters, for the same version and arms of experiments. With
    ``scope: caller`` answers are not shared between callers: keys, users and units.
    """

    ttl: Seconds = 300.0
    entries: int = 10_000
    bytes: int = 64 << 20
    scope: Literal["domain", "caller"] = "domain"

    def __post_init__(self) -> None:
        """Refuse a cache that could hold nothing."""
        for name in ("ttl", "entries", "bytes"):
            if getattr(self, name) <= 0:
                raise InvalidInput(f"{name} of a cache must be more than zero, not {getattr(self, name)}")
