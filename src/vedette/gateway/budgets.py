"""Budgets on the request path: what the control plane has summed up, and what was used here since.

The sums come with the plans, every few seconds, and each says as of when it is. What this worker has used since then,
and what its neighbours say they have, is added. So a gateway with all its workers knows its own use within a second;
what other machines use arrives when it has been shipped and summed, and requests that are being answered cost what
they cost. A budget may be overdrawn by that much. Figures near the seam may be counted twice for a few seconds: a
budget errs towards stopping. While the sums cannot be had the last ones stand, and what was used since is added.
"""

import logging
import math
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Final

from vedette.catalog.budget import COUNTED, Budget, Period, Spent, begin_of, end_of
from vedette.gateway.limits import Ticket
from vedette.gateway.metrics import Metrics
from vedette.gateway.turning import TurnedAway
from vedette.routing.plan import TrafficPlan

_log = logging.getLogger("vedette.gateway")

_HOUR = 3600
_APART = 120  # seconds whose use is kept apart; sums are newer than that while all is well
_FOLDED_AT = 1000  # entries
_SEAM: Final = 3  # seconds an outcome may take from being recorded here to being part of the sums
_KINDS: Final = ("tokens", "money")


class _Purse:
    """What one domain has used: here, second by second, since the sums were made."""

    __slots__ = ("figures", "here", "since", "warned")

    def __init__(self) -> None:
        self.figures: dict[Period, Spent] = {}
        self.here: dict[int, list[float]] = {}  # tokens and money, by second
        self.since: dict[Period, tuple[float, float]] = {}  # where a period begins and ends
        self.warned: set[tuple[Budget, float]] = set()

    def add(self, tokens: float, money: float, now: float) -> None:
        held = self.here.get(int(now))
        if held is None:
            if len(self.here) >= _FOLDED_AT:
                self._fold(int(now) - _APART)
            held = self.here[int(now)] = [0.0, 0.0]
        held[0] += tokens
        held[1] += money

    def _fold(self, before: int) -> None:
        """Put what is older under the first second of its hour: sums that stay away for long must cost nothing."""
        folded: dict[int, list[float]] = {}
        for second, (tokens, money) in self.here.items():
            held = folded.setdefault(second if second >= before else second // _HOUR * _HOUR, [0.0, 0.0])
            held[0] += tokens
            held[1] += money
        self.here = folded

    def take(self, figure: Spent) -> None:
        """Take a newer sum, and forget what all sums have in them."""
        self.figures[figure.per] = figure
        oldest = min(each.at.timestamp() for each in self.figures.values()) - _SEAM
        self.here = {second: held for second, held in self.here.items() if second >= oldest}

    def bounds(self, per: Period, now: float) -> tuple[float, float]:
        begin, end = self.since.get(per, (0.0, 0.0))
        if not begin <= now < end:
            moment = datetime.fromtimestamp(now, UTC)
            begin, end = begin_of(per, moment).timestamp(), end_of(per, moment).timestamp()
            self.since[per] = begin, end
        return begin, end

    def used(self, budget: Budget, now: float) -> float:
        begin, _ = self.bounds(budget.per, now)
        kind = _KINDS.index(budget.of)
        figure = self.figures.get(budget.per)
        base, after = 0.0, begin
        if figure is not None and figure.since.timestamp() == begin:
            base = figure.tokens if budget.of == "tokens" else figure.money
            after = max(begin, figure.at.timestamp() - _SEAM)
        return base + sum(held[kind] for second, held in self.here.items() if second >= int(after))


class NotedTicket(Ticket):
    """The ticket of a request whose caller is told something beside the limits."""

    __slots__ = ("_inner", "_note")

    def __init__(self, inner: Ticket | None, note: str) -> None:
        self._inner, self._note = inner, note

    def fields(self, now: float) -> str:
        """Write the note, and what else the caller is told."""
        return self._note + (self._inner.fields(now) if self._inner else "")

    def leave(self, tokens: int | None, now: float) -> None:
        """Leave."""
        if self._inner:
            self._inner.leave(tokens, now)


class Ledger:
    """What all domains with budgets have used, as far as this worker knows."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._purses: dict[str, _Purse] = {}
        self._others: dict[tuple[str, str], float] | None = None

    def enter(self, plan: TrafficPlan) -> str:
        """Let a request in; gives the header line its caller is told, where a budget is nearly or wholly spent.

        Raises:
            TurnedAway: 429 until the next day or month begins.
        """
        note, now = "", time.time()
        purse = self._purse(plan.domain)
        for budget in plan.config.budgets:
            share = purse.used(budget, now) / budget.amount * 100
            if share < budget.warn_at:
                continue
            _, end = purse.bounds(budget.per, now)
            self._warn(purse, plan.domain, budget, end, share)
            if share >= 100 and budget.when_spent == "stop":
                self._metrics.limit(plan.domain, f"budget-{budget.per}-{budget.of}")
                message = f"the budget of the model {plan.domain!r}, {budget.said}, is spent"
                fields = b"retry-after: %d\r\nx-should-retry: false\r\n" % math.ceil(end - now)
                raise TurnedAway(429, message, "insufficient_quota", kind="insufficient_quota", fields=fields)
            note += f"x-vedette-budget: {share:.0f}% of {budget.said}\r\n"
        return note

    def book(self, plan: TrafficPlan, measures: Mapping[str, float]) -> None:
        """Take note of what a request has used."""
        if not plan.config.budgets:
            return
        tokens, money = sum(measures.get(name, 0.0) for name in COUNTED), measures.get("cost", 0.0)
        self._purse(plan.domain).add(tokens, money, time.time())
        for kind, amount in zip(_KINDS, (tokens, money), strict=True):
            account = plan.domain, kind
            self._metrics.used[account] = self._metrics.used.get(account, 0.0) + amount

    def hear(self, total: Metrics, own: Metrics) -> None:
        """Take what the other workers used since they last told; ``own`` is this one's part of the total."""
        others = {account: used - own.used.get(account, 0.0) for account, used in total.used.items()}
        before, self._others = self._others, others
        if before is None:
            return  # what was used before this worker began is in the sums
        for (domain, kind), used in others.items():
            more = used - before.get((domain, kind), 0.0)
            if more > 0:
                self._purse(domain).add(*((more, 0.0) if kind == "tokens" else (0.0, more)), now=time.time())

    def take(self, figures: Iterable[Spent]) -> None:
        """Take what the control plane has summed up."""
        for figure in figures:
            self._purse(figure.domain).take(figure)

    def used(self, plans: Iterable[TrafficPlan]) -> list[tuple[str, Budget, float]]:
        """Give every budget of these plans, and the share of it that is spent."""
        now = time.time()
        return [
            (plan.domain, budget, self._purse(plan.domain).used(budget, now) / budget.amount)
            for plan in plans
            for budget in plan.config.budgets
        ]

    def _purse(self, domain: str) -> _Purse:
        return self._purses.get(domain) or self._purses.setdefault(domain, _Purse())

    @staticmethod
    def _warn(purse: _Purse, domain: str, budget: Budget, end: float, share: float) -> None:
        if (budget, end) not in purse.warned:
            purse.warned.add((budget, end))
            _log.warning("domain %s has used %.0f %% of its budget of %s", domain, share, budget.said)
