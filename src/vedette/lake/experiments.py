"""What the lake answers about experiments: sums of arms, hour by hour, and cuts of the outcomes themselves.

Sums are kept of every arm, so evidence costs by arms and hours, never by requests. Cuts that nobody keeps sums of (by a
dimension, or of two experiments at once) are counted from the stored outcomes when they are asked for, the newest
first and in one pass, in memory that does not grow with their number.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping
from datetime import datetime
from itertools import groupby
from operator import attrgetter
from typing import Any, TypeVar

import msgspec
from sqlalchemy import Connection, Row, Select, select

from vedette.evidence.arms import ArmSums
from vedette.evidence.experiment import ExperimentEvidence, ExperimentHour
from vedette.evidence.outcome import OutcomeStatus
from vedette.kernel.errors import InvalidInput
from vedette.lake.admission import REQUESTS
from vedette.lake.cells import MOST_PARTS, arm_of, merged
from vedette.lake.exposures import SharedTally, arms_of, cluster_of, dimensions_of
from vedette.lake.rollups import HOUR, microseconds
from vedette.lake.tables import Tables

Key = TypeVar("Key", bound=Hashable)
Arms = Mapping[str, tuple[int, str]]

MOST_OUTCOMES = 1_000_000
"""The outcomes a cut counts, unless told otherwise: the newest ones."""

MOST_VALUES = 100
"""Values of a dimension that are told apart, those seen last; all others are counted as `OTHERS`."""

OTHERS = "(others)"

_CHUNK = 10_000
_PARTS = 64
_MEASURES = msgspec.json.Decoder(dict[str, float])
_MEASURED = frozenset(  # by gateways; of a request whose client left, only what was said later counts
    {
        "error", "fallback", "rejected", "partial", "override_failed", "latency_ms", "ttft_ms", "tokens_in",
        "tokens_out",
    }
)  # fmt: skip


def evidence(
    connection: Connection, tables: Tables, domain: str, experiment: str, until: datetime | None
) -> ExperimentEvidence:
    """Give what each arm did in each epoch, up to before the hour of ``until``."""
    parts: dict[tuple[int, str], list[bytes]] = defaultdict(list)
    for row in _cells(connection, tables, domain, experiment, None, until):
        _keep(parts[row.epoch, row.arm], row.sums, MOST_PARTS)
    epochs: dict[int, dict[str, ArmSums]] = defaultdict(dict)
    for (epoch, arm), its_parts in sorted(parts.items()):
        epochs[epoch][arm] = arm_of(its_parts)
    return ExperimentEvidence(epochs=dict(epochs))


def hours(
    connection: Connection,
    tables: Tables,
    domain: str,
    experiment: str,
    since: datetime | None,
    until: datetime | None,
) -> Iterator[ExperimentHour]:
    """Give what each arm did hour by hour, in the order of time."""
    rows = _cells(connection, tables, domain, experiment, since, until)
    for (hour, epoch), of_hour in groupby(rows, key=attrgetter("hour", "epoch")):
        arms = {name: arm_of([row.sums for row in of_arm]) for name, of_arm in groupby(of_hour, key=attrgetter("arm"))}
        yield ExperimentHour(hour=hour, epoch=epoch, arms=arms)


def by_dimension(
    connection: Connection, tables: Tables, domain: str, experiment: str, dimension: str, limit: int
) -> dict[str, ExperimentEvidence]:
    """Cut what was seen of an experiment by the values of a dimension; "" is where it was not said."""
    known: dict[str, None] = {}

    def keys(row: Row[Any], arms: Arms) -> tuple[str, int, str]:
        value = dimensions_of(row.dimensions).get(dimension, "")
        if value not in known and len(known) < MOST_VALUES:
            known[value] = None
        return value if value in known else OTHERS, *arms[experiment]

    cut: dict[str, dict[int, dict[str, ArmSums]]] = {}
    for (value, epoch, arm), sums in sorted(_scan(connection, tables, domain, (experiment,), limit, keys).items()):
        cut.setdefault(value, {}).setdefault(epoch, {})[arm] = sums
    return {value: ExperimentEvidence(epochs=epochs) for value, epochs in cut.items()}


def overlap(
    connection: Connection, tables: Tables, domain: str, first: str, second: str, limit: int
) -> dict[tuple[str, str], ArmSums]:
    """Cut what was seen of two experiments by both arms, of requests that both had, in the newest epochs of both."""
    if first == second:
        raise InvalidInput("an experiment does not overlap with itself", hint="name two")

    def keys(row: Row[Any], arms: Arms) -> tuple[int, int, str, str]:  # noqa: ARG001 - one shape for all cuts
        (epoch, arm), (other_epoch, other_arm) = arms[first], arms[second]
        return epoch, other_epoch, arm, other_arm

    found = _scan(connection, tables, domain, (first, second), limit, keys)
    newest = max((key[:2] for key in found), default=None)
    return {key[2:]: sums for key, sums in sorted(found.items()) if key[:2] == newest}


def _cells(
    connection: Connection,
    tables: Tables,
    domain: str,
    experiment: str,
    since: datetime | None,
    until: datetime | None,
) -> Iterable[Row[Any]]:
    cells = tables.exposure_cells.c
    query = (
        select(cells.hour, cells.epoch, cells.arm, cells.sums)
        .where(cells.domain == domain, cells.experiment == experiment)
        .order_by(cells.hour, cells.epoch, cells.arm)
    )
    if since:
        query = query.where(cells.hour >= microseconds(since) // HOUR)
    if until:
        query = query.where(cells.hour < microseconds(until) // HOUR)
    return connection.execute(query.execution_options(yield_per=_PARTS))


def _scan(
    connection: Connection,
    tables: Tables,
    domain: str,
    experiments: Collection[str],
    limit: int,
    key_of: Callable[[Row[Any], Arms], Key],
) -> dict[Key, ArmSums]:
    """Count the newest outcomes that all of some experiments had, by the key each of them is given."""
    rows = connection.execute(_exposed(tables, domain, experiments).limit(limit).execution_options(yield_per=_CHUNK))
    parts: dict[Key, list[bytes]] = defaultdict(list)
    wanted = set(experiments)
    for chunk in rows.partitions():
        tally: SharedTally[Key] = SharedTally()
        for row in chunk:
            arms = arms_of(row.exposures)
            if arms.keys() >= wanted:  # the query's search does not tell upper case from lower case everywhere
                tally.add((key_of(row, arms),), cluster_of(row.bucket, row.id), _counted(row))
        for key, part in tally.parts().items():
            _keep(parts[key], part, MOST_PARTS)
    return {key: arm_of(its_parts) for key, its_parts in parts.items()}


def _exposed(tables: Tables, domain: str, experiments: Iterable[str]) -> Select[Any]:
    outcomes = tables.outcomes.c
    query = (
        select(
            outcomes.id, outcomes.bucket, outcomes.status, outcomes.measures, outcomes.exposures, outcomes.dimensions
        )
        .where(outcomes.domain == domain, outcomes.exposures.is_not(None))
        .order_by(outcomes.at.desc(), outcomes.id.desc())
    )
    for experiment in experiments:
        text = msgspec.json.encode(experiment).decode()
        query = query.where(outcomes.exposures.contains(f"[{text},", autoescape=True))
    return query


def _counted(row: Row[Any]) -> dict[str, float]:
    """Give the measures an outcome is counted with, as `rollups.counted` does before late judgements join them."""
    measures = _MEASURES.decode(row.measures)
    if row.status == OutcomeStatus.CLIENT_CLOSED:
        measures = {name: value for name, value in measures.items() if name not in _MEASURED}
    return {REQUESTS: 1.0, **measures}


def _keep(parts: list[bytes], part: bytes, most: int) -> None:
    """Add a part; when there are many they are merged into one."""
    parts.append(part)
    if len(parts) > most:
        parts[:] = [merged(parts)]
