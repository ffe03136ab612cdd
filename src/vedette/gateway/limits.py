"""Limits on the request path: token buckets for domains and for keys, and requests at once.

A request is let in when every bucket it draws from has a request left and is not out of tokens. What it takes is known
only at its end, so a guess by its size is taken first and put right then; a bucket may so go below nothing, and
whoever comes next waits for it to come back.

Several workers of a gateway each keep buckets of their own and tell each other once a second what they took, so over a
minute a limit holds for the gateway as a whole, however unevenly clients are spread; within one second each worker may
hand out what it thinks is left. Requests at once are divided evenly among the workers.
"""

import math
from collections.abc import Mapping
from typing import Final

from vedette.catalog.key import AdmittedKey
from vedette.catalog.limits import Rates
from vedette.gateway.metrics import Metrics
from vedette.gateway.turning import TurnedAway
from vedette.routing.plan import TrafficPlan

_BYTES_A_TOKEN: Final = 4  # of English text, and near enough for a guess
_MINUTE: Final = 60.0

Account = tuple[str, str, str]
"""Whose limit (``domain`` or ``key``), its name, and what it limits (``requests`` or ``tokens``)."""


class Bucket:
    """Holds a minute's worth and fills up evenly; gives more than it has where the price is known late."""

    __slots__ = ("_at", "_left", "limit")

    def __init__(self, limit: int, now: float) -> None:
        self.limit = limit
        self._left, self._at = float(limit), now

    def left(self, now: float) -> float:
        """Give what is in it now."""
        passed, self._at = now - self._at, max(now, self._at)
        self._left = min(float(self.limit), self._left + max(0.0, passed) * self.limit / _MINUTE)
        return self._left

    def take(self, amount: float, now: float) -> None:
        """Take, or with a negative amount put back."""
        self._left = min(float(self.limit), self.left(now) - amount)

    def wait(self, amount: float, now: float) -> float:
        """Give the seconds until ``amount`` is in it."""
        return max(0.0, amount - self.left(now)) * _MINUTE / self.limit


class Ticket:
    """One request that was let in: what it holds until it leaves, and what its caller is told of the limits."""

    __slots__ = ("_domain", "_drawn", "_guess", "_left", "_limiter")

    def __init__(self, limiter: "Limiter", domain: str, drawn: Mapping[Account, Bucket], guess: float) -> None:
        self._limiter, self._domain, self._drawn, self._guess = limiter, domain, drawn, guess
        self._left = False

    def fields(self, now: float) -> str:
        """Write the header lines OpenAI's clients read: of the tightest limit of each kind."""
        return _told(self._drawn, now)

    def leave(self, tokens: int | None, now: float) -> None:
        """Give back the place, once, and put the guess right; None when nobody counted the tokens."""
        if self._left:
            return
        self._left = True
        self._limiter.leave(self._domain, self._drawn, 0.0 if tokens is None else tokens - self._guess, now)


class Limiter:
    """All buckets of one worker, and how many requests of each domain it answers now."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._buckets: dict[Account, Bucket] = {}
        self._inside: dict[str, int] = {}
        self._others: dict[Account, float] | None = None  # what other workers had taken when they last told
        self.workers = 1

    def enter(self, plan: TrafficPlan, key: AdmittedKey | None, size: int, now: float) -> Ticket | None:
        """Let a request of ``size`` bytes in; None when nothing limits it.

        Raises:
            TurnedAway: 429, with the seconds until it is worth to come again.
        """
        limits = plan.config.limits
        drawn = self._drawn("domain", plan.domain, limits, now) if limits.any else {}
        if key is not None and key.spec.limits.any:
            drawn |= self._drawn("key", key.name, key.spec.limits, now)
        if not drawn and not limits.concurrency:
            return None
        inside = self._inside.get(plan.domain, 0)
        if limits.concurrency and inside >= math.ceil(limits.concurrency / self.workers):
            self._metrics.limit(plan.domain, "concurrency")
            message = f"the model {plan.domain!r} answers {limits.concurrency} requests at once, and not more"
            raise _too_many(message, "requests", 1.0, drawn, now, "concurrency_limit_exceeded")
        for account, bucket in drawn.items():
            whose, name, what = account
            if wait := bucket.wait(1.0, now):
                self._metrics.limit(plan.domain, f"{whose}-{what}")
                message = f"rate limit reached for {whose} {name!r}: {bucket.limit} {what} a minute"
                raise _too_many(message, what, wait, drawn, now)
        guess = size / _BYTES_A_TOKEN
        for account, bucket in drawn.items():
            self._take(account, bucket, 1.0 if account[2] == "requests" else guess, now)
        self._inside[plan.domain] = inside + 1
        return Ticket(self, plan.domain, drawn, guess)

    def leave(self, domain: str, drawn: Mapping[Account, Bucket], tokens: float, now: float) -> None:
        """Take note that a request is over, and how many tokens it took beyond the guess."""
        self._inside[domain] -= 1
        for account, bucket in drawn.items():
            if account[2] == "tokens":
                self._take(account, bucket, tokens, now)

    def _drawn(self, whose: str, name: str, rates: Rates, now: float) -> dict[Account, Bucket]:
        found: dict[Account, Bucket] = {}
        for what, limit in (("requests", rates.requests_per_minute), ("tokens", rates.tokens_per_minute)):
            if limit:
                account = (whose, name, what)
                bucket = self._buckets.get(account)
                if bucket is None or bucket.limit != limit:
                    before, bucket = bucket, Bucket(limit, now)
                    if before is not None:  # another limit is no new minute
                        bucket.take(max(0.0, before.limit - before.left(now)), now)
                    self._buckets[account] = bucket
                found[account] = bucket
        return found

    def _take(self, account: Account, bucket: Bucket, amount: float, now: float) -> None:
        bucket.take(amount, now)
        self._metrics.spent[account] = self._metrics.spent.get(account, 0.0) + amount

    def hear(self, total: Metrics, own: Metrics, now: float) -> None:
        """Take what the other workers took since they last told; ``own`` is this one's part of the total."""
        self.workers = max(1, total.workers)
        others = {account: spent - own.spent.get(account, 0.0) for account, spent in total.spent.items()}
        before, self._others = self._others, others
        if before is None:
            return  # what was taken before this worker began is no debt of its buckets
        for account, spent in others.items():
            if bucket := self._buckets.get(account):
                bucket.take(spent - before.get(account, 0.0), now)


def _too_many(
    message: str, kind: str, wait: float, drawn: Mapping[Account, Bucket], now: float, code: str = "rate_limit_exceeded"
) -> TurnedAway:
    seconds = math.ceil(wait)
    fields = f"retry-after: {seconds}\r\n{_told(drawn, now)}".encode()
    return TurnedAway(429, f"{message}; try again in {seconds} s", code, kind=kind, fields=fields)


def _told(drawn: Mapping[Account, Bucket], now: float) -> str:
    told = ""
    for what in ("requests", "tokens"):
        buckets = [bucket for account, bucket in drawn.items() if account[2] == what]
        if buckets:
            tightest = min(buckets, key=lambda bucket: bucket.left(now))
            told += (
                f"x-ratelimit-limit-{what}: {tightest.limit}\r\n"
                f"x-ratelimit-remaining-{what}: {max(0, int(tightest.left(now)))}\r\n"
                f"x-ratelimit-reset-{what}: {_span(tightest.wait(tightest.limit, now))}\r\n"
            )
    return told


def _span(seconds: float) -> str:
    """Write a time as OpenAI does: ``120ms``, ``1.5s``, ``6m0s``."""
    if seconds < 1:
        return f"{math.ceil(seconds * 1000)}ms"
    minutes, rest = divmod(math.ceil(seconds * 1000) / 1000, 60)
    return f"{int(minutes)}m{rest:g}s" if minutes else f"{rest:g}s"
