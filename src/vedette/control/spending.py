"""Spending: what domains have used of their budgets, from the sums of what was recorded.

The sums are read anew at most every few seconds, however many gateways ask; each figure says as of when it is.
"""

import threading
from collections.abc import Sequence

from vedette.catalog.budget import COUNTED, Period, Spent, begin_of
from vedette.control.instruments import Instruments
from vedette.lake.evidence import LakeReader

FRESH = 5.0
"""Seconds for which a figure is given again."""


class Spending:
    """What domains have used, today and this month."""

    def __init__(self, lake: LakeReader, instruments: Instruments) -> None:
        self._lake, self._instruments = lake, instruments
        self._known: dict[tuple[str, Period], tuple[float, Spent]] = {}
        self._lock = threading.Lock()

    def of(self, asked: Sequence[tuple[str, Period]]) -> tuple[Spent, ...]:
        """Give what each domain used in the day or the month that is now, in UTC; a domain nobody knows used nothing.

        Raises:
            Unavailable: the lake does not answer.
        """
        with self._lock:
            return tuple(self._figure(domain, per) for domain, per in asked)

    def _figure(self, domain: str, per: Period) -> Spent:
        now, tick = self._instruments.now(), self._instruments.monotonic()
        since = begin_of(per, now)
        read, known = self._known.get((domain, per), (0.0, None))
        if known is not None and known.since == since and tick - read < FRESH:
            return known
        tokens = money = 0.0
        for step in self._lake.days(domain, since, now, copies=True):
            sums = {name: moments.n * moments.mean for name, moments in step.measures.items()}
            tokens += sum(sums.get(name, 0.0) for name in COUNTED)
            money += sums.get("cost", 0.0)
        found = Spent(domain=domain, per=per, since=since, at=now, tokens=tokens, money=money)
        self._known[domain, per] = tick, found
        return found
