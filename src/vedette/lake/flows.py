"""How traffic goes, domain by domain: requests, errors and latency, summed from the figures of minutes."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, func, select

from vedette.kernel.records import record
from vedette.lake.admission import REQUESTS
from vedette.lake.rollups import MINUTE, microseconds
from vedette.lake.tables import Tables

_MEASURES = (REQUESTS, "error", "latency_ms")
_MOST = 500  # names in one query


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


def flows(connection: Connection, tables: Tables, since: datetime, until: datetime) -> Mapping[str, Flow]:
    """Give each domain's traffic from the minute of ``since`` to before ``until``."""
    series = tables.series.c
    rows = _summed(connection, tables, (series.domain,), since, until, [])
    return _made((row.domain, row) for row in rows)


def flows_by_minute(
    connection: Connection, tables: Tables, since: datetime, until: datetime, domains: Collection[str]
) -> Mapping[tuple[str, int], Flow]:
    """Give the traffic of some domains by domain and minute since 1970."""
    series, sums = tables.series.c, tables.minute_sums.c
    names, found = sorted(domains), []
    for first in range(0, len(names), _MOST):
        some = [series.domain.in_(names[first : first + _MOST])]
        found += _summed(connection, tables, (series.domain, sums.minute), since, until, some)
    return _made(((row.domain, row.minute), row) for row in found)


def _summed(
    connection: Connection,
    tables: Tables,
    keys: tuple[ColumnElement[Any], ...],
    since: datetime,
    until: datetime,
    conditions: Collection[ColumnElement[bool]],
) -> list[Any]:
    sums, series = tables.minute_sums.c, tables.series.c
    query = (
        select(*keys, series.measure, func.sum(sums.n).label("n"), func.sum(sums.n * sums.mean).label("total"))
        .join_from(tables.series, tables.minute_sums, series.id == sums.series)
        .where(
            series.measure.in_(_MEASURES),
            sums.minute.between(microseconds(since) // MINUTE, (microseconds(until) - 1) // MINUTE),
            *conditions,
        )
        .group_by(*keys, series.measure)
    )
    return list(connection.execute(query))


def _made(rows: Any) -> dict[Any, Flow]:  # noqa: ANN401 - pairs of a key and a row
    parts: dict[Any, dict[str, float]] = {}
    for key, row in rows:
        part = parts.setdefault(key, {})
        match row.measure:
            case "error":
                part |= {"judged": row.n, "errors": row.total}
            case "latency_ms":
                part |= {"timed": row.n, "milliseconds": row.total}
            case _:
                part |= {"requests": row.n}
    return {key: Flow(**part) for key, part in parts.items()}
