"""What the lake answers about experiments: sums of arms, hour by hour, and cuts of the outcomes themselves.

Sums are kept of every arm, so evidence costs by arms and hours, never by requests. Cuts that nobody keeps sums of (by a
dimension, or of two experiments at once) are counted from the stored outcomes when they are asked for, in SQL (see
`lake.queries`), in memory that does not grow with their number but for the limit.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import groupby
from operator import attrgetter
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, Row, select

from vedette.evidence.arms import BUCKET_ROWS, ArmSums
from vedette.evidence.experiment import ExperimentEvidence, ExperimentHour
from vedette.evidence.histogram import Histogram
from vedette.evidence.summary import Moments
from vedette.kernel.errors import InvalidInput
from vedette.lake.admission import REQUESTS
from vedette.lake.cells import MOST_PARTS, arm_of, merged
from vedette.lake.clock import HOUR, microseconds
from vedette.lake.engines import Engine
from vedette.lake.history import Snapshot
from vedette.lake.queries import Cut
from vedette.lake.tables import Tables

MOST_OUTCOMES = 1_000_000
"""The outcomes a cut counts, unless told otherwise: the newest ones."""

MOST_VALUES = 100
"""Values of a dimension that are told apart, those seen last; all others are counted as `OTHERS`."""

OTHERS = "(others)"

Key = tuple[str, ...]
Columns = Mapping[str, NDArray[Any]]

_PARTS = 64


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
    engine: Engine, taken: Snapshot, domain: str, experiment: str, dimension: str, limit: int
) -> dict[str, ExperimentEvidence]:
    """Cut what was seen of an experiment by the values of a dimension; "" is where it was not said."""
    cut = Cut(
        domain=domain,
        experiments=(experiment,),
        dimension=dimension,
        limit=limit,
        values=MOST_VALUES,
        others=msgspec.json.encode(OTHERS).decode(),
    )
    found: dict[str, dict[int, dict[str, ArmSums]]] = {}
    for (arm, value), sums in count(engine, taken, cut).items():
        name, epoch = _arm(arm)
        found.setdefault(msgspec.json.decode(value) if value else "", {}).setdefault(epoch, {})[name] = sums
    return {value: _evidence(epochs) for value, epochs in sorted(found.items())}


def recounted(
    engine: Engine, taken: Snapshot, domain: str, experiment: str, since: datetime | None, until: datetime | None
) -> ExperimentEvidence:
    """Count an experiment from the stored outcomes, all of them."""
    cut = Cut(
        domain=domain,
        experiments=(experiment,),
        since=microseconds(since) if since else None,
        until=microseconds(until) if until else None,
    )
    epochs: dict[int, dict[str, ArmSums]] = {}
    for (arm,), sums in count(engine, taken, cut).items():
        name, epoch = _arm(arm)
        epochs.setdefault(epoch, {})[name] = sums
    return _evidence(epochs)


def overlap(
    engine: Engine, taken: Snapshot, domain: str, first: str, second: str, limit: int
) -> dict[tuple[str, str], ArmSums]:
    """Cut what was seen of two experiments by both arms, of requests that both had, in the newest epochs of both."""
    if first == second:
        raise InvalidInput("an experiment does not overlap with itself", hint="name two")
    cut = Cut(domain=domain, experiments=(first, second), limit=limit)
    found = {(_arm(one), _arm(other)): sums for (one, other), sums in count(engine, taken, cut).items()}
    newest = max(((one[1], other[1]) for one, other in found), default=None)
    return {(one[0], other[0]): sums for (one, other), sums in sorted(found.items()) if (one[1], other[1]) == newest}


def count(engine: Engine, taken: Snapshot, cut: Cut) -> dict[Key, ArmSums]:
    """Count a cut: by the text of its keys, what was done."""
    measures = taken.measures
    with engine.over(taken, cut) as asked:
        asked.keep("cut", cut.cut(asked.dialect, "outcomes", measures), stored=cut.limit is not None)
        moments = asked.columns(cut.moments(asked.dialect, "cut", measures))
        bins = {name: asked.columns(cut.bins(asked.dialect, "cut", name)) for name in measures}
    return assembled(cut.keys, measures, moments, bins)


def assembled(
    keys: Sequence[str], measures: Sequence[str], moments: Columns, bins: Mapping[str, Columns]
) -> dict[Key, ArmSums]:
    """Make sums of arms from the columns that a cut's `moments` and `bins` gave."""
    sums: dict[Key, dict[str, Moments[NDArray[np.float64]]]] = {}
    for key, rows in _groups(keys, moments):
        cluster = moments["cluster"][rows].astype(np.intp)
        found = sums.setdefault(key, {})
        found[REQUESTS] = _spread(cluster, moments["n"][rows])
        for place, name in enumerate(measures):
            n = moments[f"n_{place}"][rows]
            seen = n > 0
            if seen.any():
                mean, centred = (moments[f"{what}_{place}"][rows][seen] for what in ("mean", "centred"))
                found[name] = _spread(cluster[seen], n[seen], mean, centred)
    histograms: dict[Key, dict[str, Histogram]] = {key: {} for key in sums}
    for name, columns in bins.items():
        for key, rows in _groups(keys, columns):
            counts = zip(columns["bin"][rows].tolist(), columns["n"][rows].tolist(), strict=True)
            histograms[key][name] = Histogram(dict(counts))
    return {key: ArmSums(measures=measured, histograms=histograms[key]) for key, measured in sums.items()}


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


def _groups(keys: Sequence[str], columns: Columns) -> Iterator[tuple[Key, NDArray[np.intp]]]:
    """Give the rows of each group; what the search found that only looks like an exposure has no arm, and no group."""
    codes = np.zeros(len(columns[keys[0]]), np.intp)
    for column in keys:
        values, place = np.unique(columns[column].astype(str), return_inverse=True)
        codes = codes * max(len(values), 1) + place
    order = np.argsort(codes, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(codes[order])) + 1):
        if rows.size:
            key = tuple(str(columns[name][rows[0]]) for name in keys)
            if all(text for name, text in zip(keys, key, strict=True) if name != "value"):
                yield key, rows


def _spread(
    cluster: NDArray[np.intp], n: NDArray[Any], mean: NDArray[Any] | None = None, centred: NDArray[Any] | None = None
) -> Moments[NDArray[np.float64]]:
    """Lay sums out by bucket; without a mean they are of a measure that is always 1."""
    columns = []
    for values in (n, np.ones(n.size) if mean is None else mean, np.zeros(n.size) if centred is None else centred):
        column = np.zeros(BUCKET_ROWS)
        column[cluster] = values
        columns.append(column)
    return Moments(*columns)


def _arm(text: str) -> tuple[str, int]:
    """Read the name and the epoch of an arm as a cut names it."""
    name, epoch = msgspec.json.decode(f"[{text}]", type=tuple[str, int])
    return name, epoch


def _evidence(epochs: Mapping[int, Mapping[str, ArmSums]]) -> ExperimentEvidence:
    return ExperimentEvidence(epochs={epoch: dict(sorted(arms.items())) for epoch, arms in sorted(epochs.items())})


def _keep(parts: list[bytes], part: bytes, most: int) -> None:
    """Add a part; when there are many they are merged into one."""
    parts.append(part)
    if len(parts) > most:
        parts[:] = [merged(parts)]
