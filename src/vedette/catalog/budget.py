"""Budgets: how much a domain may use in a day or a month, and what tokens cost.

Days and months are those of UTC. What was used is the sum of what was recorded; budgets are checked against it where
requests come in.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Literal

from vedette.kernel.errors import InvalidInput
from vedette.kernel.fields import Percent
from vedette.kernel.records import record

Period = Literal["day", "month"]

COUNTED = ("tokens_in", "tokens_out", "tokens_wasted")
"""Measures that budgets of tokens are made of; those wasted were read by calls that were cut for another's sake."""

OTHERS = "*"
"""The price of versions that have none of their own."""

_MILLION = 1_000_000


@record
class Price:
    """What a million tokens cost, in the currency of your budgets: those of the prompt, and those of the answer."""

    tokens_in: float
    tokens_out: float

    def __post_init__(self) -> None:
        """Refuse what would earn money."""
        if not (0 <= self.tokens_in < float("inf") and 0 <= self.tokens_out < float("inf")):
            raise InvalidInput("a price must be 0 or more")

    def of(self, tokens_in: float, tokens_out: float) -> float:
        """Say what so many tokens cost."""
        return (tokens_in * self.tokens_in + tokens_out * self.tokens_out) / _MILLION


def price_of(prices: Mapping[str, Price], version: str) -> Price | None:
    """Give the price of a version's tokens; None when nobody has said it."""
    return prices.get(version) or prices.get(OTHERS)


@record
class Budget:
    """So many tokens, or so much money, a day or a month.

    From ``warn_at`` of it on answers and the log say so. When it is spent, requests are turned away until the next
    day or month begins (``stop``), or answered all the same (``warn``).
    """

    amount: float
    of: Literal["tokens", "money"] = "money"
    per: Period = "month"
    warn_at: Percent = 80.0
    when_spent: Literal["stop", "warn"] = "stop"

    def __post_init__(self) -> None:
        """Refuse a budget of nothing."""
        if not 0 < self.amount < float("inf"):
            raise InvalidInput(f"the amount of a budget must be more than zero, not {self.amount}")

    @property
    def said(self) -> str:
        """The budget in words."""
        return f"{self.amount:,.10g} {self.of} a {self.per}"


@record
class Spent:
    """What a domain used from ``since``, where its day or month begins, as far as it was known at ``at``."""

    domain: str
    per: Period
    since: datetime
    at: datetime
    tokens: float = 0.0
    money: float = 0.0


def begin_of(per: Period, now: datetime) -> datetime:
    """Give where the day or month of a moment (in UTC) begins."""
    day = now.replace(hour=0, minute=0, second=0, microsecond=0)
    return day if per == "day" else day.replace(day=1)


def end_of(per: Period, now: datetime) -> datetime:
    """Give where the day or month after that of a moment (in UTC) begins."""
    begin = begin_of(per, now)
    return begin + timedelta(days=1) if per == "day" else begin_of("month", begin + timedelta(days=32))
