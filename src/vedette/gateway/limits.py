"""Limits on the request path: token buckets for domains and for keys, and requests at once.

A request is let in when every bucket it draws from has a request left and is not out of tokens. What it takes is known
only at its end, so a guess by its size is taken first and put right then; a bucket may so go below nothing, and
whoever comes next waits for it to come back.

Several workers of a gateway each keep buckets of their own and tell each other once a second what they took, so over a
minute a limit holds for the gateway as a whole, however unevenly clients are spread; within one second each worker may
hand out what it thinks is left. Requests at once are divided evenly among the workers.
"""

import math
from typing import Final

from vedette.catalog.key import AdmittedKey
from vedette.catalog.limits import Rates
from vedette.gateway.buckets import Account, Bucket, Gate
from vedette.gateway.metrics import Drawn, Metrics
from vedette.gateway.turning import TurnedAway
from vedette.routing.plan import TrafficPlan

_BYTES_A_TOKEN: Final = 4  # of English text, and near enough for a guess
_MOST_GATES: Final = 4096
_NOTHING: Final = Drawn()


class Ticket:
    """One request that was let in: what it holds until it leaves, and what its caller is told of the limits."""

    __slots__ = ("_domain", "_gate", "_guess", "_left", "_limiter")

    def __init__(self, limiter: "Limiter", domain: str, gate: Gate, guess: float) -> None:
        self._limiter, self._domain, self._gate, self._guess = limiter, domain, gate, guess
        self._left = False

    def fields(self, now: float) -> str:
        """Write the header lines OpenAI's clients read: of the tightest limit of each kind."""
        return self._gate.told(now)

    def leave(self, tokens: int | None, now: float) -> None:
        """Give back the place, once, and put the guess right; None when nobody counted the tokens."""
        if self._left:
            return
        self._left = True
        self._limiter.leave(self._domain, self._gate, 0.0 if tokens is None else tokens - self._guess, now)


class Limiter:
    """All buckets of one worker, and how many requests of each domain it answers now."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._buckets: dict[Account, Bucket] = {}
        self._gates: dict[tuple[str, str], Gate] = {}  # by domain and key
        self._inside: dict[str, int] = {}
        self._others: dict[Account, float] | None = None  # what other workers had taken when they last told
        self.workers = 1

    def enter(self, plan: TrafficPlan, key: AdmittedKey | None, size: int, now: float) -> Ticket | None:
        """Let a request of ``size`` bytes in; None when nothing limits it.

        Raises:
            TurnedAway: 429, with the seconds until it is worth to come again.
        """
        domain = plan.domain
        gate = self._gates.get((domain, key.id if key is not None else ""))
        if gate is None or gate.limits is not plan.config.limits or gate.key is not key:
            gate = self._build(plan, key, now)
        if not gate.whole and not gate.concurrency:
            return None
        inside = self._inside.get(domain, 0)
        if gate.concurrency and inside * self.workers >= gate.concurrency:
            self._metrics.limit(domain, "concurrency")
            message = f"the model {domain!r} answers {gate.concurrency} requests at once, and not more"
            raise _too_many(message, "requests", 1.0, gate, now, "concurrency_limit_exceeded")
        for bucket in gate.whole:
            if not bucket.has_one(now):
                whose, name, what = bucket.account
                self._metrics.limit(domain, f"{whose}-{what}")
                message = f"rate limit reached for {whose} {name!r}: {bucket.limit} {what} a minute"
                raise _too_many(message, what, bucket.wait(1.0, now), gate, now)
        guess = size / _BYTES_A_TOKEN
        for bucket in gate.requests:
            bucket.draw(1.0, now)
        for bucket in gate.tokens:
            bucket.draw(guess, now)
        self._inside[domain] = inside + 1
        return Ticket(self, domain, gate, guess)

    def leave(self, domain: str, gate: Gate, tokens: float, now: float) -> None:
        """Take note that a request is over, and how many tokens it took beyond the guess."""
        self._inside[domain] -= 1
        for bucket in gate.tokens:
            bucket.draw(tokens, now)

    def _build(self, plan: TrafficPlan, key: AdmittedKey | None, now: float) -> Gate:
        if len(self._gates) >= _MOST_GATES:
            self._gates.clear()
        limits = plan.config.limits
        buckets = self._drawn("domain", plan.domain, limits, now)
        if key is not None:
            buckets += self._drawn("key", key.name, key.spec.limits, now)
        gate = self._gates[plan.domain, key.id if key is not None else ""] = Gate(limits, key, buckets)
        return gate

    def _drawn(self, whose: str, name: str, rates: Rates, now: float) -> list[Bucket]:
        found: list[Bucket] = []
        for what, limit in (("requests", rates.requests_per_minute), ("tokens", rates.tokens_per_minute)):
            if limit:
                account = (whose, name, what)
                bucket = self._buckets.get(account)
                if bucket is None or bucket.limit != limit:
                    drawn = self._metrics.spent.setdefault(account, Drawn())
                    before, bucket = bucket, Bucket(limit, now, account, drawn)
                    if before is not None:  # another limit is no new minute
                        bucket.take(max(0.0, before.limit - before.left(now)), now)
                    self._buckets[account] = bucket
                found.append(bucket)
        return found

    def hear(self, total: Metrics, own: Metrics, now: float) -> None:
        """Take what the other workers took since they last told; ``own`` is this one's part of the total."""
        self.workers = max(1, total.workers)
        mine = own.spent
        others = {account: drawn.amount - mine.get(account, _NOTHING).amount for account, drawn in total.spent.items()}
        before, self._others = self._others, others
        if before is None:
            return  # what was taken before this worker began is no debt of its buckets
        for account, spent in others.items():
            if bucket := self._buckets.get(account):
                bucket.take(spent - before.get(account, 0.0), now)


def _too_many(
    message: str, kind: str, wait: float, gate: Gate, now: float, code: str = "rate_limit_exceeded"
) -> TurnedAway:
    seconds = math.ceil(wait)
    fields = f"retry-after: {seconds}\r\n{gate.told(now)}".encode()
    return TurnedAway(429, f"{message}; try again in {seconds} s", code, kind=kind, fields=fields)
