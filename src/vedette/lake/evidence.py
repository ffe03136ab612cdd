"""What the lake answers: evidence for decisions, minutes for charts, and the outcomes themselves."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime
from itertools import groupby
from operator import itemgetter
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, func, select, tuple_

from vedette.evidence.arms import NOTHING, ArmSums, Cell, Evidence
from vedette.evidence.experiment import ExperimentEvidence, ExperimentHour
from vedette.evidence.outcome import Outcome, OutcomeStatus
from vedette.evidence.summary import Moments
from vedette.kernel.errors import InvalidInput, NotFound
from vedette.kernel.records import record
from vedette.lake import experiments, flows
from vedette.lake.admission import REQUESTS
from vedette.lake.cells import arm_of
from vedette.lake.engine import LakeDatabase
from vedette.lake.exposures import dimensions_of, exposures_of
from vedette.lake.flows import Flow
from vedette.lake.rollups import HOUR, MINUTE, microseconds, moment
from vedette.lake.tables import Tables

NO_REVISION = 0
"""The plan revision of requests whose version an experiment decided: no rollout reads them."""


@record
class Minute:
    """What one version of a domain did in the minute that begins at ``at``: moments by measure."""

    at: datetime
    version: str
    measures: Mapping[str, Moments[float]]


@record
class OutcomePage:
    """Some outcomes, the newest first; ``after`` asks for the next page and is empty on the last one."""

    items: tuple[Outcome, ...]
    after: str


class LakeReader:
    """The lake, to be asked; many may ask at once, and never wait for who writes.

    Args:
        url: ``sqlite:///folder/outcomes.db`` or ``postgresql://user:password@host:5432/name``.
        patience: Seconds a writer waits for another one before it gives up.

    Raises:
        InvalidInput: The URL names neither.
        Unavailable: The driver is missing, or the folder of the file cannot be made.
    """

    def __init__(self, url: str, *, patience: float = 10.0) -> None:
        self._database = LakeDatabase(url, patience=patience)
        self._tables = Tables.of(self._database.schema)

    def close(self) -> None:
        """Close every connection."""
        self._database.close()

    def evidence(
        self,
        domain: str,
        *,
        canary: str,
        stable: str,
        plan_revisions: Collection[int],
        history_versions: Collection[str] = (),
        history_since: datetime | None = None,
        history_until: datetime | None = None,
    ) -> Evidence:
        """Give what both arms did under the plan revisions of an attempt, and what went before.

        Arms are by assigned version. History is what `history_versions` did from the hour of `history_since` to the
        hour of `history_until`, under plans older than the attempt's; it is empty when any of the three is missing.
        Requests whose version an experiment decided have plan revision 0, and are in neither.

        Raises:
            Unavailable: The database does not answer.
        """
        revisions = set(plan_revisions) - {NO_REVISION}
        with self._database.reading() as connection:
            cells = self._cells(connection, domain, canary, stable, revisions)
            history = NOTHING
            if history_versions and history_since and history_until:
                hours = microseconds(history_since) // HOUR, microseconds(history_until) // HOUR
                history = self._history(connection, domain, history_versions, hours, min(revisions, default=None))
        return Evidence(cells=cells, history=history)

    def requests_by_revision(self, domain: str, plan_revisions: Collection[int]) -> dict[int, dict[str, int]]:
        """Count the requests assigned to each version under each plan revision that had any."""
        sums, series = self._tables.minute_sums.c, self._tables.series.c
        query = (
            select(series.plan_revision, series.version, func.sum(sums.n))
            .join_from(self._tables.series, self._tables.minute_sums, series.id == sums.series)
            .where(
                series.domain == domain,
                series.plan_revision.in_(set(plan_revisions) - {NO_REVISION}),
                series.measure == REQUESTS,
            )
            .group_by(series.plan_revision, series.version)
            .order_by(series.plan_revision, series.version)
        )
        counts: dict[int, dict[str, int]] = defaultdict(dict)
        with self._database.reading() as connection:
            for revision, version, n in connection.execute(query):
                counts[revision][version] = int(n)
        return dict(counts)

    def experiment(self, domain: str, experiment: str, *, until: datetime | None = None) -> ExperimentEvidence:
        """Give what each arm of an experiment (by its id) did in each epoch of its split.

        `until` leaves out what happened from its hour on; of days that `prune` has merged it leaves out whole days.

        Raises:
            Unavailable: The database does not answer.
        """
        with self._database.reading() as connection:
            return experiments.evidence(connection, self._tables, domain, experiment, until)

    def experiment_hours(
        self, domain: str, experiment: str, *, since: datetime | None = None, until: datetime | None = None
    ) -> Iterator[ExperimentHour]:
        """Give what the arms did from the hour of `since` to before that of `until`, one after the other.

        The hours of a day that `prune` has merged come as one, at the day's beginning. The database is read while this
        is iterated, so that no more than an hour is in memory at once.

        Raises:
            Unavailable: The database does not answer.
        """
        with self._database.reading() as connection:
            yield from experiments.hours(connection, self._tables, domain, experiment, since, until)

    def exposed_requests(self, domain: str, experiment: str) -> dict[int, dict[str, int]]:
        """Count the requests of each arm in each epoch: the realised split."""
        return self.experiment(domain, experiment).requests

    def by_dimension(
        self, domain: str, experiment: str, dimension: str, *, limit: int = experiments.MOST_OUTCOMES
    ) -> dict[str, ExperimentEvidence]:
        """Cut the evidence of an experiment by the values of a dimension, from its newest `limit` outcomes.

        "" stands for requests that did not say it. More than a hundred values are counted as `experiments.OTHERS`.

        Raises:
            Unavailable: The database does not answer.
        """
        with self._database.reading() as connection:
            return experiments.by_dimension(connection, self._tables, domain, experiment, dimension, limit)

    def overlap(
        self, domain: str, first: str, second: str, *, limit: int = experiments.MOST_OUTCOMES
    ) -> dict[tuple[str, str], ArmSums]:
        """Give what requests did that two experiments had, by both arms, in the newest epochs of both.

        It is counted from the newest `limit` outcomes that both had.

        Raises:
            InvalidInput: The two are the same.
            Unavailable: The database does not answer.
        """
        with self._database.reading() as connection:
            return experiments.overlap(connection, self._tables, domain, first, second, limit)

    def minutes(self, domain: str, since: datetime, until: datetime) -> tuple[Minute, ...]:
        """Give what each version did in each minute from the one of `since` to before `until`, in order of time."""
        sums, series = self._tables.minute_sums.c, self._tables.series.c
        query = (
            select(sums.minute, series.version, series.measure, sums.n, sums.mean, sums.centred)
            .join_from(self._tables.series, self._tables.minute_sums, series.id == sums.series)
            .where(
                series.domain == domain,
                sums.minute.between(microseconds(since) // MINUTE, (microseconds(until) - 1) // MINUTE),
            )
            .order_by(sums.minute, series.version, series.measure, series.plan_revision)
        )
        with self._database.reading() as connection:
            rows = connection.execute(query).all()
        return tuple(
            Minute(at=moment(minute * MINUTE), version=version, measures=_by_measure(of_version))
            for (minute, version), of_version in groupby(rows, key=itemgetter(0, 1))
        )

    def flows(self, since: datetime, until: datetime) -> Mapping[str, Flow]:
        """Give how much traffic each domain had from the minute of `since` to before `until`, and how it went."""
        with self._database.reading() as connection:
            return flows.flows(connection, self._tables, since, until)

    def flows_by_minute(
        self, since: datetime, until: datetime, domains: Collection[str]
    ) -> Mapping[tuple[str, int], Flow]:
        """Give the same of some domains, minute by minute: by domain and minutes since 1970."""
        with self._database.reading() as connection:
            return flows.flows_by_minute(connection, self._tables, since, until, domains)

    def outcome(self, outcome_id: str) -> Outcome:
        """Give one outcome, with whatever feedback has added to it.

        Raises:
            NotFound: It has not been shipped yet, was never recorded, or is older than outcomes are kept.
        """
        table = self._tables.outcomes
        with self._database.reading() as connection:
            row = connection.execute(table.select().where(table.c.id == outcome_id)).one_or_none()
        if row is None:
            raise NotFound(f"there is no outcome {outcome_id!r}", hint="it may not have been shipped yet")
        return outcome_of(row)

    def outcomes(
        self,
        domain: str,
        *,
        version: str = "",
        since: datetime | None = None,
        until: datetime | None = None,
        after: str = "",
        limit: int = 100,
    ) -> OutcomePage:
        """Page through the outcomes of a domain, the newest first: of one version, from `since` to before `until`.

        Raises:
            InvalidInput: `after` is not the end of a page.
        """
        table = self._tables.outcomes
        query = table.select().where(table.c.domain == domain).order_by(table.c.at.desc(), table.c.id.desc())
        if version:
            query = query.where(table.c.assigned == version)
        if since:
            query = query.where(table.c.at >= microseconds(since))
        if until:
            query = query.where(table.c.at < microseconds(until))
        if after:
            query = query.where(tuple_(table.c.at, table.c.id) < tuple_(*_read_cursor(after)))
        with self._database.reading() as connection:
            rows = connection.execute(query.limit(limit + 1)).all()
        items = rows[:limit]
        return OutcomePage(
            items=tuple(map(outcome_of, items)), after=f"{items[-1].at}~{items[-1].id}" if len(rows) > limit else ""
        )

    def _cells(
        self, connection: Connection, domain: str, canary: str, stable: str, revisions: Collection[int]
    ) -> tuple[Cell, ...]:
        cells = self._tables.cells.c
        query = (
            select(cells.plan_revision, cells.hour, cells.version, cells.sums)
            .where(cells.domain == domain, cells.plan_revision.in_(revisions), cells.version.in_({canary, stable}))
            .order_by(cells.plan_revision, cells.hour)
        )
        found = []
        for (revision, hour), parts in groupby(connection.execute(query), key=itemgetter(0, 1)):
            by_version: dict[str, list[bytes]] = {canary: [], stable: []}
            for _, _, version, part in parts:
                by_version[version].append(part)
            arms = {version: arm_of(its_parts) for version, its_parts in by_version.items()}
            found.append(Cell(revision=revision, hour=hour, canary=arms[canary], stable=arms[stable]))
        return tuple(found)

    def _history(
        self,
        connection: Connection,
        domain: str,
        versions: Collection[str],
        hours: tuple[int, int],
        before_revision: int | None,
    ) -> ArmSums:
        cells = self._tables.cells.c
        query = select(cells.sums).where(
            cells.domain == domain,
            cells.version.in_(versions),
            cells.hour.between(*hours),
            cells.plan_revision != NO_REVISION,
        )
        if before_revision is not None:
            query = query.where(cells.plan_revision < before_revision)
        return arm_of(connection.scalars(query))


def outcome_of(row: Row[Any]) -> Outcome:
    """Read an outcome from its row."""
    return Outcome(
        id=row.id,
        domain=row.domain,
        at=moment(row.at),
        assigned=row.assigned,
        served=row.served,
        plan_revision=row.plan_revision,
        bucket=row.bucket,
        status=OutcomeStatus(row.status),
        measures=msgspec.json.decode(row.measures, type=dict[str, float]),
        exposures=exposures_of(row.exposures),
        dimensions=dimensions_of(row.dimensions),
    )


def _by_measure(rows: Iterable[Any]) -> dict[str, Moments[float]]:
    measures: dict[str, Moments[float]] = {}
    for row in rows:
        moments: Moments[float] = Moments(row.n, row.mean, row.centred)
        known = measures.get(row.measure)
        measures[row.measure] = known + moments if known else moments
    return measures


def _read_cursor(after: str) -> tuple[int, str]:
    at, _, outcome_id = after.partition("~")
    try:
        return int(at), outcome_id
    except ValueError as error:
        raise InvalidInput(f"{after!r} is not the end of a page") from error
