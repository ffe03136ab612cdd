"""Token buckets, and the few of them that a request of one caller to one domain draws from."""

import math
from collections.abc import Sequence
from typing import Final

from vedette.catalog.key import AdmittedKey
from vedette.catalog.limits import Limits
from vedette.gateway.metrics import Drawn

_MINUTE: Final = 60.0
_HAIR: Final = 1e-6  # seconds that rounding may make of nothing

Account = tuple[str, str, str]
"""Whose limit (``domain`` or ``key``), its name, and what it limits (``requests`` or ``tokens``)."""


class Bucket:
    """Holds a minute's worth and fills up evenly; gives more than it has where the price is known late.

    All it keeps is when it will be full: what is in it follows from that, at any time.
    """

    __slots__ = ("_drawn", "_full_at", "_rate", "_said", "_spare", "account", "limit")

    def __init__(
        self, limit: int, now: float, account: Account = ("", "", "requests"), drawn: Drawn | None = None
    ) -> None:
        self.account, self.limit, what = account, limit, account[2]
        self._drawn = Drawn() if drawn is None else drawn
        self._rate = limit / _MINUTE
        self._full_at = now
        self._spare = (limit - 1) / self._rate + _HAIR  # how far from full it may be to have one in it
        self._said = (
            f"x-ratelimit-limit-{what}: {limit}\r\nx-ratelimit-remaining-{what}: ",
            f"\r\nx-ratelimit-reset-{what}: ",
        )

    def left(self, now: float) -> float:
        """Give what is in it now."""
        missing = (self._full_at - now) * self._rate
        return self.limit - missing if missing > 0 else float(self.limit)

    def has_one(self, now: float) -> bool:
        """Say whether there is enough for one more."""
        return self._full_at - now <= self._spare

    def take(self, amount: float, now: float) -> None:
        """Take, or with a negative amount put back."""
        self._full_at = max(now, self._full_at) + amount / self._rate

    def draw(self, amount: float, now: float) -> None:
        """Take what a request of this worker needs, and count it."""
        self._drawn.amount += amount
        full_at = self._full_at
        self._full_at = (full_at if full_at > now else now) + amount / self._rate  # noqa: FURB136 - max() costs a call

    def wait(self, amount: float, now: float) -> float:
        """Give the seconds until ``amount`` is in it."""
        return max(0.0, (amount - self.left(now)) / self._rate)

    def told(self, now: float) -> str:
        """Write the header lines OpenAI's clients read: the limit, what is left of it, and how long until all is."""
        missing = self._full_at - now
        left = self.limit - missing * self._rate if missing > 0 else self.limit
        before, between = self._said
        return f"{before}{int(left) if left > 0 else 0}{between}{_span(missing)}\r\n"


class Gate:
    """What a request of one caller to one domain draws from, looked up once for as long as nobody changes a limit."""

    __slots__ = ("concurrency", "key", "limits", "requests", "tokens", "whole")

    def __init__(self, limits: Limits, key: AdmittedKey | None, buckets: Sequence[Bucket]) -> None:
        self.limits, self.key, self.concurrency = limits, key, limits.concurrency
        self.whole = tuple(buckets)
        self.requests = tuple(bucket for bucket in buckets if bucket.account[2] == "requests")
        self.tokens = tuple(bucket for bucket in buckets if bucket.account[2] == "tokens")

    def told(self, now: float) -> str:
        """Write the header lines OpenAI's clients read: of the tightest limit of each kind."""
        told = ""
        for buckets in (self.requests, self.tokens):
            if buckets:
                tightest = buckets[0] if len(buckets) == 1 else min(buckets, key=lambda bucket: bucket.left(now))
                told += tightest.told(now)
        return told


def _span(seconds: float) -> str:
    """Write a time as OpenAI does, none if it is past: ``120ms``, ``1.5s``, ``6m0s``."""
    milliseconds = math.ceil(seconds * 1000) if seconds > 0 else 0
    if milliseconds < 1000:
        return f"{milliseconds}ms"
    minutes, rest = divmod(milliseconds / 1000, 60)
    return f"{int(minutes)}m{rest:g}s" if minutes else f"{rest:g}s"
