"""What the lake answers: evidence for decisions, minutes for charts, and the outcomes themselves."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import datetime
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection, func, select

from vedette.evidence.arms import NOTHING, ArmSums, Cell, Evidence
from vedette.evidence.experiment import ExperimentEvidence, ExperimentHour
from vedette.evidence.outcome import Outcome
from vedette.evidence.summary import Moments
from vedette.kernel.errors import Corrupt, NotFound
from vedette.kernel.records import record
from vedette.lake import experiments, flows
from vedette.lake.cells import arm_of
from vedette.lake.clock import HOUR, MINUTE, microseconds, moment
from vedette.lake.engine import LakeDatabase
from vedette.lake.engines import engine_of
from vedette.lake.flows import Flow
from vedette.lake.history import FileGone, History, Snapshot, snapshot
from vedette.lake.queries import Page
from vedette.lake.reading import cursor_of, located, read_page
from vedette.lake.rollups import COPIES, NO_REVISION, STEPS, Sums, add_sums, sums_of
from vedette.lake.tables import Tables

_SNAPSHOTS = 5
"""Snapshots taken before a file that is not there counts as lost."""

Answer = TypeVar("Answer")


@record
class Minute:
    """What one version of a domain did in the minute (or hour, or day) that begins at ``at``: moments by measure."""

    at: datetime
    version: str
    measures: Mapping[str, Moments[float]]


@record
class OutcomePage:
    """Some outcomes, the newest first; ``after`` asks for the next page and is empty on the last one."""

    items: tuple[Outcome, ...]
    after: str


@record
class Holdings:
    """What is stored where: outcomes in the spool and in segments, and segments whose files are not there."""

    spooled: int
    sealed: int
    segments: int
    missing: tuple[str, ...]


class LakeReader:
    """The lake, to be asked; many may ask at once, and never wait for who writes.

    Args:
        url: ``sqlite:///folder/outcomes.db`` or ``postgresql://user:password@host:5432/name``.
        patience: Seconds a writer waits for another one before it gives up.
        segments: The folder of the segments, one that every replica can reach; beside a SQLite file unless given. A
            lake in PostgreSQL that is given none keeps its outcomes in the spool.
        analytics: The URL of the engine that counts what is stored (see `lake.engines`); DuckDB here unless given.

    Raises:
        InvalidInput: A URL names nothing vedette speaks to.
        Unavailable: A driver is missing, or the folder of the file cannot be made.
    """

    def __init__(self, url: str, *, patience: float = 10.0, segments: Path | None = None, analytics: str = "") -> None:
        self._database = LakeDatabase(url, patience=patience)
        self._tables = Tables.of(self._database.schema)
        self._segments = segments or self._database.folder
        self._pages = History()
        self._engine = engine_of(analytics) if analytics else self._pages

    def close(self) -> None:
        """Close every connection."""
        self._database.close()
        self._pages.close()
        self._engine.close()

    def counting(self) -> str:
        """Say which engine counts stored outcomes, having asked whether it answers.

        Raises:
            Unavailable: It does not.
        """
        return self._engine.probe()

    def holdings(self) -> Holdings:
        """Say how many outcomes are stored where, and which segments' files are missing.

        Raises:
            Unavailable: The database does not answer.
        """
        segments, spooled = self._tables.segments.c, self._tables.spool.c
        with self._database.reading() as connection:
            waiting = connection.scalar(select(func.coalesce(func.sum(spooled.outcomes), 0)))
            listed = connection.execute(select(segments.name, segments.outcomes).where(~segments.dropped)).all()
        there = (
            {path.name for path in self._segments.iterdir()} if self._segments and self._segments.is_dir() else set()
        )
        return Holdings(
            spooled=int(waiting or 0),
            sealed=sum(row.outcomes for row in listed),
            segments=len(listed),
            missing=tuple(sorted(row.name for row in listed if row.name not in there)),
        )

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
        rollups = self._tables.rollups.c
        query = (
            select(rollups.plan_revision, rollups.version, func.sum(rollups.requests))
            .where(
                rollups.domain == domain,
                rollups.step == STEPS[-1],
                rollups.plan_revision.in_(set(plan_revisions) - {NO_REVISION}),
            )
            .group_by(rollups.plan_revision, rollups.version)
            .order_by(rollups.plan_revision, rollups.version)
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
        return self._over(
            domain, lambda taken: experiments.by_dimension(self._engine, taken, domain, experiment, dimension, limit)
        )

    def recounted(
        self, domain: str, experiment: str, *, since: datetime | None = None, until: datetime | None = None
    ) -> ExperimentEvidence:
        """Count an experiment anew from the stored outcomes; what `experiment` says, as long as all of them are kept.

        Of a request whose client left, only what was judged later counts.

        Raises:
            Unavailable: The database does not answer, or segments cannot be read.
        """
        span = since, until
        return self._over(
            domain, lambda taken: experiments.recounted(self._engine, taken, domain, experiment, *span), *span
        )

    def overlap(
        self, domain: str, first: str, second: str, *, limit: int = experiments.MOST_OUTCOMES
    ) -> dict[tuple[str, str], ArmSums]:
        """Give what requests did that two experiments had, by both arms, in the newest epochs of both.

        It is counted from the newest `limit` outcomes that both had.

        Raises:
            InvalidInput: The two are the same.
            Unavailable: The database does not answer.
        """
        return self._over(domain, lambda taken: experiments.overlap(self._engine, taken, domain, first, second, limit))

    def minutes(self, domain: str, since: datetime, until: datetime, *, copies: bool = False) -> tuple[Minute, ...]:
        """Give what each version did in each minute from the one of `since` to before `until`, in order of time.

        With `copies` also what it did for nobody, as a shadow or to verify an answer of a cache.
        """
        return self._rollups(domain, STEPS[0], since, until, copies=copies)

    def hours(self, domain: str, since: datetime, until: datetime, *, copies: bool = False) -> tuple[Minute, ...]:
        """Give the same for each hour."""
        return self._rollups(domain, STEPS[1], since, until, copies=copies)

    def days(self, domain: str, since: datetime, until: datetime, *, copies: bool = False) -> tuple[Minute, ...]:
        """Give the same for each day (in UTC)."""
        return self._rollups(domain, STEPS[2], since, until, copies=copies)

    def _rollups(self, domain: str, step: int, since: datetime, until: datetime, *, copies: bool) -> tuple[Minute, ...]:
        rollups, length = self._tables.rollups.c, step * MINUTE
        first, last = microseconds(since) // length * step, (microseconds(until) - 1) // length * step
        query = (
            select(rollups.begins, rollups.version, rollups.sums)
            .where(rollups.domain == domain, rollups.step == step, rollups.begins.between(first, last))
            .where(rollups.plan_revision >= (COPIES if copies else NO_REVISION))
            .order_by(rollups.begins, rollups.plan_revision, rollups.version)
        )
        found: list[Minute] = []
        with self._database.reading() as connection:
            for begins, rows in groupby(connection.execute(query), itemgetter(0)):
                versions: dict[str, Sums] = {}
                for _, version, stored in rows:
                    if known := versions.get(version):  # under another plan revision
                        add_sums(known, sums_of(stored))
                    else:
                        versions[version] = sums_of(stored)
                at = moment(begins * MINUTE)
                found += (Minute(at=at, version=name, measures=versions[name]) for name in sorted(versions))
        return tuple(found)

    def flows(self, since: datetime, until: datetime, domains: Collection[str]) -> Mapping[str, Flow]:
        """Give how much traffic some domains had from the minute of `since` to before `until`, and how it went."""
        with self._database.reading() as connection:
            return flows.flows(connection, self._tables, since, until, domains)

    def copied(self, domain: str, since: datetime, until: datetime) -> Mapping[str, Flow]:
        """Give by version what it did for nobody, as a shadow or to verify answers of a cache."""
        with self._database.reading() as connection:
            return flows.copied(connection, self._tables, since, until, domain)

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
        found = self._again(lambda connection: located(connection, self._tables, self._segments, [outcome_id]))
        if outcome_id not in found:
            raise NotFound(f"there is no outcome {outcome_id!r}", hint="it may not have been shipped yet")
        return found[outcome_id]

    def outcomes(
        self,
        domain: str,
        *,
        version: str = "",
        unit: str = "",
        since: datetime | None = None,
        until: datetime | None = None,
        after: str = "",
        limit: int = 100,
    ) -> OutcomePage:
        """Page through the outcomes of a domain, the newest first: of one version, from `since` to before `until`.

        With ``unit`` only those of one unit, by its pseudonym.

        Raises:
            InvalidInput: `after` is not the end of a page.
        """
        page = Page(
            domain=domain,
            version=version,
            unit=unit,
            since=microseconds(since) if since else None,
            until=microseconds(until) if until else None,
            after=cursor_of(after) if after else None,
            limit=limit + 1,
        )
        found = self._over(domain, lambda taken: read_page(self._pages, taken, page), since, until)
        items = found[:limit]
        more = len(found) > limit and items
        return OutcomePage(items=tuple(items), after=f"{microseconds(items[-1].at)}~{items[-1].id}" if more else "")

    def _over(
        self,
        domain: str,
        ask: Callable[[Snapshot], Answer],
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> Answer:
        """Ask a snapshot of what is stored; another one when its files were merged or dropped meanwhile."""
        span = microseconds(since) if since else None, microseconds(until) if until else None
        for _ in range(_SNAPSHOTS):
            with self._database.reading() as connection:
                taken = snapshot(connection, self._tables, self._segments, domain, *span)
            try:
                return ask(taken)
            except FileGone as error:
                gone = error
        raise Corrupt(f"a segment is listed and not there: {gone}", hint="restore its folder from a backup") from gone

    def _again(self, ask: Callable[[Connection], Answer]) -> Answer:
        """Ask in a reading transaction, and again when a segment was merged or dropped meanwhile."""
        for _ in range(_SNAPSHOTS):
            try:
                with self._database.reading() as connection:
                    return ask(connection)
            except FileGone as error:
                gone = error
        raise Corrupt(f"a segment is listed and not there: {gone}", hint="restore its folder from a backup") from gone

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
