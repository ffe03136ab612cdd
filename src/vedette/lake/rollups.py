"""Sums of outcomes: how a batch is added up, and how its sums are added to those in the tables.

Two sums merge as two summaries do (Chan, Golub and LeVeque 1983, see `evidence.summary`), so it makes no difference
in which order and in which batches outcomes arrive.
"""

from collections.abc import Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np
from msgspec import msgpack
from numpy.typing import NDArray
from sqlalchemy import Column, ColumnElement, Connection, Table, delete, func, select

from vedette.evidence.outcome import OutcomeStatus
from vedette.evidence.summary import Moments
from vedette.lake.admission import REQUESTS
from vedette.lake.cells import MOST_PARTS, CellKey, ExposureKey, merged
from vedette.lake.clock import HOUR, MINUTE
from vedette.lake.columns import Columns, Measures, Rows, exposures_of
from vedette.lake.grouping import grouped, moments_by, parts_by
from vedette.lake.inserting import insert_rows, matching
from vedette.lake.tables import Tables


class RollupKey(NamedTuple):
    """One version under one plan revision in a minute, an hour or a day."""

    domain: str
    step: int
    begins: int
    plan_revision: int
    version: str


Sums = dict[str, Moments[float]]
"""Moments by measure."""

_encode = msgpack.Encoder().encode
sums_of = msgpack.Decoder(Sums).decode
"""Read the sums of a row."""

STEPS = (1, 60, 1440)
"""Minutes in a minute, an hour and a day."""


NO_REVISION, COPIES = 0, -1
"""Plan revisions that no plan has: of what no rollout decided, and, in roll-ups, of copies that nobody saw."""


class Deltas:
    """What a batch adds to the tables of sums: some measures of its outcomes, where and when they happened.

    ``copies`` says which of them are copies that nobody saw: they are no traffic, and have roll-ups of their own.
    """

    __slots__ = ("_cells", "_exposed", "_rollups")

    def __init__(self, columns: Columns, measures: Measures, copies: NDArray[np.bool_]) -> None:
        self._cells: dict[CellKey, bytes] = {}
        self._exposed: dict[ExposureKey, bytes] = {}
        self._rollups: dict[RollupKey, Sums] = {}
        if len(columns):
            self._add_versions(columns, measures)
            self._add_rollups(columns, measures, np.where(copies, COPIES, columns.plan_revision))
            self._add_arms(columns, measures)

    def merge_into(self, tables: Tables, connection: Connection) -> None:
        """Add everything counted to the tables."""
        if self._cells:
            _add_parts(tables.cells, CellKey._fields, connection, self._cells)
            _add_parts(tables.exposure_cells, ExposureKey._fields, connection, self._exposed)
            _merge_rollups(tables, connection, self._rollups)

    def _add_versions(self, columns: Columns, measures: Measures) -> None:
        domain, assigned, revision = columns.texts["domain"], columns.texts["assigned"], columns.plan_revision
        hour = columns.at // HOUR
        group, first = grouped(domain.codes, revision, assigned.codes, hour)
        keys = [
            CellKey(domain.values[domain.codes[row]], int(revision[row]), assigned.values[assigned.codes[row]], its)
            for row, its in zip(first.tolist(), hour[first].tolist(), strict=True)
        ]
        parts = parts_by(len(keys), group, np.arange(len(columns)), columns.bucket, measures)
        self._cells = dict(zip(keys, parts, strict=True))

    def _add_rollups(self, columns: Columns, measures: Measures, revision: NDArray[np.int64]) -> None:
        domain, assigned = columns.texts["domain"], columns.texts["assigned"]
        for step in STEPS:
            begins = columns.at // (step * MINUTE)
            group, first = grouped(domain.codes, revision, assigned.codes, begins)
            keys = [
                RollupKey(domain.values[its_domain], step, its_begin * step, its_revision, assigned.values[version])
                for its_domain, its_begin, its_revision, version in zip(
                    *(column[first].tolist() for column in (domain.codes, begins, revision, assigned.codes)),
                    strict=True,
                )
            ]
            sums: list[Sums] = [{} for _ in keys]
            for name, (rows, values) in measures.items():
                places, moments = moments_by(group[rows], values)
                for place, its_moments in zip(places.tolist(), moments.tolist(), strict=True):
                    sums[place][name] = Moments(*its_moments)
            self._rollups.update(zip(keys, sums, strict=True))

    def _add_arms(self, columns: Columns, measures: Measures) -> None:
        texts, codes = columns.texts["exposures"]
        arms: dict[tuple[str, str, int], int] = {}
        rows, which = [np.empty(0, np.intp)], [np.empty(0, np.intp)]
        order = np.argsort(codes, kind="stable")
        bounds = np.searchsorted(codes[order], np.arange(len(texts) + 1))
        for text, begin, end in zip(texts, bounds, bounds[1:], strict=False):
            for exposure in exposures_of(text):
                rows.append(order[begin:end])
                which.append(np.full(end - begin, arms.setdefault(exposure, len(arms))))
        if not arms:
            return
        row, arm, named = np.concatenate(rows), np.concatenate(which), list(arms)
        domain, hour = columns.texts["domain"], columns.at // HOUR
        group, first = grouped(domain.codes[row], arm, hour[row])
        keys = []
        for place in first.tolist():
            experiment, its_arm, epoch = named[arm[place]]
            keys.append(
                ExposureKey(domain.values[domain.codes[row[place]]], experiment, epoch, its_arm, int(hour[row[place]]))
            )
        parts = parts_by(len(keys), group, row, columns.cluster, measures)
        self._exposed = dict(zip(keys, parts, strict=True))


def counted(columns: Columns) -> dict[str, tuple[Rows, np.ndarray[tuple[int], np.dtype[np.float64]]]]:
    """Measures outcomes are counted with: every one is a request; one whose client left is nothing more."""
    every = {REQUESTS: (np.arange(len(columns)), np.ones(len(columns)))}
    statuses, codes = columns.texts["status"]
    if OutcomeStatus.CLIENT_CLOSED not in statuses:
        return {**every, **columns.measures}
    stayed = codes != statuses.index(OutcomeStatus.CLIENT_CLOSED)
    kept = {name: (rows[stayed[rows]], values[stayed[rows]]) for name, (rows, values) in columns.measures.items()}
    return every | {name: measured for name, measured in kept.items() if measured[0].size}


def _add_parts(
    table: Table,
    fields: Sequence[str],
    connection: Connection,
    parts: Mapping[CellKey, bytes] | Mapping[ExposureKey, bytes],
) -> None:
    """Add one part to each cell; those that have many parts already are merged into one before."""
    if not parts:
        return
    columns: list[Column[Any]] = [table.c[name] for name in fields]
    near = [column.in_(set(values)) for column, values in zip(columns, zip(*parts, strict=True), strict=True)]
    full = select(*columns).where(*near).group_by(*columns).having(func.count() >= MOST_PARTS)
    for values in connection.execute(full).all():
        merge_parts(
            table,
            connection,
            [column == value for column, value in zip(columns, values, strict=True)],
            values._asdict(),
        )
    names = [*(column.name for column in columns), "sums"]
    insert_rows(connection, table, [(*tuple(key), part) for key, part in parts.items()], names=names)


def merge_parts(
    table: Table, connection: Connection, here: Iterable[ColumnElement[bool]], key: Mapping[str, object]
) -> None:
    """Replace the parts that are ``here`` by one with this key, where there are several."""
    conditions = list(here)
    parts = connection.scalars(select(table.c.sums).where(*conditions)).all()
    if len(parts) < 2:
        return
    connection.execute(delete(table).where(*conditions))
    connection.execute(table.insert(), {**key, "sums": merged(parts)})


def add_sums(to: Sums, other: Sums) -> None:
    """Add sums to others."""
    for name, moments in other.items():
        known = to.get(name)
        to[name] = known + moments if known else moments


def rollup_row(key: RollupKey, sums: Sums) -> tuple[object, ...]:
    """Lay a roll-up out in the order of its table's columns."""
    return (*key, sums[REQUESTS].n if REQUESTS in sums else 0.0, _encode(sums))


def _merge_rollups(tables: Tables, connection: Connection, rollups: dict[RollupKey, Sums]) -> None:
    """Add sums to the rows that are there; there is one writer, so nobody changes them in between."""
    for domain, step, begins, revision, version, _, stored in matching(connection, tables.rollups, list(rollups)):
        add_sums(rollups[RollupKey(domain, step, begins, revision, version)], sums_of(stored))
    rows = [rollup_row(key, sums) for key, sums in sorted(rollups.items(), key=itemgetter(0))]
    insert_rows(connection, tables.rollups, rows, replace=True)
