"""How traffic goes, domain by domain: requests, errors and latency, summed from the figures of minutes."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from datetime import datetime

import msgspec
from sqlalchemy import Connection, select

from vedette.evidence.summary import EMPTY, Moments
from vedette.kernel.records import record
from vedette.lake.clock import MINUTE, microseconds
from vedette.lake.rollups import COPIES, STEPS
from vedette.lake.tables import Tables

_MOST = 500  # names in one query


class _Sums(msgspec.Struct, gc=False):
    """The measures of a roll-up that traffic is said by; others are passed over unread."""

    requests: Moments[float] = EMPTY
    error: Moments[float] = EMPTY
    latency_ms: Moments[float] = EMPTY


_sums_of = msgspec.msgpack.Decoder(_Sums).decode


@record
class Flow:
    """What a domain's traffic was over some time; sums, so that two flows add up."""

    requests: float = 0.0
    judged: float = 0.0
    errors: float = 0.0
    timed: float = 0.0
    milliseconds: float = 0.0

    def __add__(self, other: "Flow") -> "Flow":
        return Flow(
            requests=self.requests + other.requests,
            judged=self.judged + other.judged,
            errors=self.errors + other.errors,
            timed=self.timed + other.timed,
            milliseconds=self.milliseconds + other.milliseconds,
        )

    @property
    def error_rate(self) -> float | None:
        """The share of requests that failed; None without any."""
        return self.errors / self.judged if self.judged else None

    @property
    def latency(self) -> float | None:
        """The mean latency in milliseconds; None without any."""
        return self.milliseconds / self.timed if self.timed else None


def flows(
    connection: Connection, tables: Tables, since: datetime, until: datetime, domains: Collection[str]
) -> Mapping[str, Flow]:
    """Give the traffic of some domains from the minute of ``since`` to before ``until``."""
    found: defaultdict[str, Flow] = defaultdict(Flow)
    for domain, _, _, flow in _minutes(connection, tables, since, until, domains):
        found[domain] += flow
    return dict(found)


def copied(connection: Connection, tables: Tables, since: datetime, until: datetime, domain: str) -> Mapping[str, Flow]:
    """Give by version what copies that nobody saw were, from the minute of ``since`` to before ``until``."""
    found: defaultdict[str, Flow] = defaultdict(Flow)
    for _, _, version, flow in _minutes(connection, tables, since, until, {domain}, copies=True):
        found[version] += flow
    return dict(found)


def flows_by_minute(
    connection: Connection, tables: Tables, since: datetime, until: datetime, domains: Collection[str]
) -> Mapping[tuple[str, int], Flow]:
    """Give the traffic of some domains by domain and minute since 1970."""
    found: defaultdict[tuple[str, int], Flow] = defaultdict(Flow)
    for domain, minute, _, flow in _minutes(connection, tables, since, until, domains):
        found[domain, minute] += flow
    return dict(found)


def _minutes(
    connection: Connection,
    tables: Tables,
    since: datetime,
    until: datetime,
    domains: Collection[str],
    *,
    copies: bool = False,
) -> Iterator[tuple[str, int, str, Flow]]:
    """Give what each version under each plan did in each minute, or its copies; the table's key begins with the domain.

    The result is by domain, minute and version.
    """
    rollups, names = tables.rollups.c, sorted(domains)
    span = rollups.begins.between(microseconds(since) // MINUTE, (microseconds(until) - 1) // MINUTE)
    which = rollups.plan_revision == COPIES if copies else rollups.plan_revision > COPIES
    for first in range(0, len(names), _MOST):
        some = rollups.domain.in_(names[first : first + _MOST])
        query = select(rollups.domain, rollups.begins, rollups.version, rollups.sums)
        query = query.where(some, rollups.step == STEPS[0], span, which)
        for domain, minute, version, stored in connection.execute(query):
            sums = _sums_of(stored)
            error, latency = sums.error, sums.latency_ms
            yield (
                domain,
                minute,
                version,
                Flow(
                    requests=sums.requests.n,
                    judged=error.n,
                    errors=error.sum,
                    timed=latency.n,
                    milliseconds=latency.sum,
                ),
            )
