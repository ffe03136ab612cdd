"""What the lake takes in: batches of outcomes, and feedback on them."""

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from threading import Event

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, delete, select

from vedette.evidence.outcome import Feedback, Outcome
from vedette.kernel.errors import Corrupt, InvalidInput
from vedette.kernel.ids import uuid7
from vedette.kernel.records import evolve, record
from vedette.lake import spool
from vedette.lake.admission import SHADOW, check_feedback, check_stored
from vedette.lake.clock import microseconds
from vedette.lake.columns import Columns, by_measure, joined
from vedette.lake.erasure import count_unit, erase_domain, erase_unit, withhold
from vedette.lake.evidence import LakeReader
from vedette.lake.history import FileGone
from vedette.lake.inserting import insert_rows
from vedette.lake.journal import LARGEST_BATCH
from vedette.lake.migration import migrate
from vedette.lake.reading import located
from vedette.lake.retention import Retention, prune
from vedette.lake.rollups import Deltas, counted
from vedette.lake.sealer import Sealed, Sealer

_SNAPSHOTS = 5


@record
class FeedbackResult:
    """What became of feedback, item by item.

    ``accepted`` items added a judgement; ``duplicate`` ones said nothing new: the first judgement of an outcome by a
    measure stands. ``unknown`` outcomes have not been shipped yet, or never will be: their judgements wait.
    """

    accepted: int
    duplicate: int
    unknown: tuple[str, ...]


class Lake(LakeReader):
    """The lake, to be asked and to be added to; any number of processes may do both at once."""

    def __init__(self, url: str, *, patience: float = 10.0, segments: Path | None = None, analytics: str = "") -> None:
        super().__init__(url, patience=patience, segments=segments, analytics=analytics)
        self._holder = uuid7(time.time_ns() // 1_000_000, os.urandom(10))

    def migrate(self) -> None:
        """Create the tables that are missing; to be called once before anything else.

        Raises:
            Refused: A newer vedette made them.
            Unavailable: The database does not answer.
        """
        migrate(self._database, self._tables)

    def ship(self, batch_id: str, outcomes: Sequence[Outcome], *, remember: bool = False) -> int:
        """Store the outcomes that are new and add them to the sums, all or none; gives how many were new.

        A batch already shipped does nothing, and neither does an outcome that came in another batch. Feedback that
        arrived first is joined. Outcomes of a unit that happened before it was erased are counted and not kept.

        Once an outcome is dropped for its age, its id is forgotten, and in another batch it would be counted again.
        With `remember` ids are kept for as long as any sums are: history may be brought again, in whatever batches.

        Raises:
            InvalidInput: An outcome cannot be counted, or the batch has more than 5,000; nothing was stored.
            Unavailable: The database does not answer or is full; nothing was stored, unless it died while it committed,
                which the error says. Sent again, what was stored adds nothing.
        """
        _check_size(outcomes)
        for outcome in outcomes:
            check_stored(outcome)
        tables = self._tables
        first = {outcome.id: outcome for outcome in reversed(outcomes)}
        batch = [first[outcome_id] for outcome_id in sorted(first)]
        with self._database.writing() as connection:
            if connection.scalar(select(tables.batches.c.id).where(tables.batches.c.id == batch_id)):
                return 0
            insert_rows(connection, tables.batches, [(batch_id, _now())])
            if remember:
                batch = self._remember(connection, batch)
            if not batch:
                return 0
            columns = Columns.of(batch)
            number, known = spool.note(connection, tables, columns.ids)
            if known:
                batch = [outcome for outcome in batch if outcome.id not in known]
                columns = Columns.of(batch)
            if judged := self._take_pending(connection, batch):
                late = by_measure(
                    {name: value for name, value in judged.get(each.id, {}).items() if name not in each.measures}
                    for each in batch
                )
                measures = joined(counted(columns), late)
                columns = replace(columns, measures=joined(columns.measures, late))
            else:
                measures = counted(columns)
            spool.fill(connection, tables, number, columns)
            Deltas(columns, measures, _copies(batch)).merge_into(tables, connection)
            withhold(connection, tables, number, columns)
        return len(batch)

    def feedback(self, items: Sequence[Feedback]) -> FeedbackResult:
        """Add late judgements to outcomes, and to the sums of the plan, the bucket and the hour they happened in.

        Raises:
            InvalidInput: An item cannot be counted, or there are more than 5,000; nothing was stored.
            Unavailable: The database does not answer or is full; nothing was stored, unless it died while it committed,
                which the error says. Sent again, what was stored adds nothing.
        """
        _check_size(items)
        for item in items:
            check_feedback(item)
        for _ in range(_SNAPSHOTS):
            try:
                with self._database.writing() as connection:
                    return self._judge(connection, items)
            except FileGone as error:
                gone = error
        raise Corrupt(f"a segment is listed and not there: {gone}", hint="restore its folder from a backup") from gone

    def seal(self, stop: Event | None = None) -> Sealed:
        """Move what is spooled to segments, and keep those few.

        Nothing where another process is at it, and where there is no folder for segments. Once `stop` is set, the file
        that is being written is the last one.

        To be called about once a minute by whoever has the time; late is not wrong, only slower to read.

        Raises:
            Unavailable: The database does not answer, or the disk is full; what was not sealed stays in the spool.
        """
        if self._segments is None:
            return Sealed()
        return Sealer(self._database, self._tables, self._segments, self._holder).run(stop or Event())

    def prune(self, now: datetime, retention: Retention | None = None) -> int:
        """Drop what is older than it is kept; gives how many outcomes that were.

        Raises:
            Unavailable: The database does not answer; what was not dropped is dropped next time.
        """
        return prune(self._database, self._tables, self._segments, now, retention or Retention())

    def erase(self, domain: str) -> None:
        """Drop everything about a domain.

        Raises:
            Unavailable: The database does not answer, or a segment cannot be written; nothing was dropped.
            Conflict: Others kept on changing segments meanwhile; nothing was dropped.
        """
        erase_domain(self._database, self._tables, self._segments, domain)

    def count_unit(self, domain: str, unit: str) -> int:
        """Say how many outcomes are stored of a unit, by its pseudonym.

        Raises:
            Unavailable: The database does not answer, or segments cannot be read.
        """
        return self._over(domain, lambda taken: count_unit(self._pages, taken, domain, unit))

    def erase_unit(self, domain: str, unit: str, at: datetime, told: Callable[[int], None]) -> int:
        """Drop every outcome of a unit, by its pseudonym; gives how many those were.

        What comes in later and happened until ``at`` is counted and not kept, for as long as outcomes are. Sums hold no
        unit, and stay. ``told`` is called with the number just before the transaction that drops them commits: should
        it raise, nothing is dropped.

        Raises:
            Unavailable: The database does not answer, or a segment cannot be written; nothing was dropped.
            Conflict: Others kept on changing segments meanwhile; nothing was dropped.
        """
        return erase_unit(self._database, self._tables, self._segments, domain, unit, microseconds(at), told)

    def _judge(self, connection: Connection, items: Sequence[Feedback]) -> FeedbackResult:
        tables = self._tables
        outcomes = located(connection, tables, self._segments, [item.outcome_id for item in items])
        accepted, unknown = 0, dict[str, None]()
        judged: dict[str, dict[str, float]] = {}
        for item in items:
            outcome = outcomes.get(item.outcome_id)
            if outcome is None:
                unknown[item.outcome_id] = None
                continue
            known = outcome.measures.keys() | judged.get(outcome.id, {}).keys()
            if fresh := {name: value for name, value in item.measures.items() if name not in known}:
                judged.setdefault(outcome.id, {}).update(fresh)
                accepted += 1
        late = [evolve(outcomes[outcome_id], measures=measures) for outcome_id, measures in sorted(judged.items())]
        insert_rows(connection, tables.amendments, _amendments(late))
        columns = Columns.of(late)
        copies = _copies(outcomes[outcome_id] for outcome_id in sorted(judged))
        Deltas(columns, columns.measures, copies).merge_into(tables, connection)
        waiting = [item for item in items if item.outcome_id in unknown]
        self._await_outcomes(connection, waiting)
        return FeedbackResult(accepted=accepted, duplicate=len(items) - accepted - len(waiting), unknown=tuple(unknown))

    def _take_pending(self, connection: Connection, outcomes: Sequence[Outcome]) -> dict[str, dict[str, float]]:
        pending = self._tables.pending_feedback
        if connection.scalar(select(pending.c.outcome_id).limit(1)) is None:
            return {}
        judged: dict[str, dict[str, float]] = {}
        of_outcomes = pending.c.outcome_id.in_([outcome.id for outcome in outcomes])
        for row in connection.execute(pending.select().where(of_outcomes)):
            judged.setdefault(row.outcome_id, {})[row.measure] = row.value
        connection.execute(delete(pending).where(of_outcomes))
        return judged

    def _remember(self, connection: Connection, outcomes: Sequence[Outcome]) -> list[Outcome]:
        """Note ids for as long as sums are kept; gives the outcomes that were not noted before."""
        tables, at = self._tables, _now()
        known = spool.remembered(connection, tables, [outcome.id for outcome in outcomes])
        fresh = [outcome for outcome in outcomes if outcome.id not in known]
        insert_rows(connection, tables.remembered, sorted((spool.key_of(it.id), it.domain, at) for it in fresh))
        return fresh

    def _await_outcomes(self, connection: Connection, items: Sequence[Feedback]) -> None:
        """Keep judgements of outcomes that are not there yet; the first one by a measure stands."""
        pending = self._tables.pending_feedback
        waiting = {(item.outcome_id, name): value for item in reversed(items) for name, value in item.measures.items()}
        known = select(pending.c.outcome_id, pending.c.measure).where(
            pending.c.outcome_id.in_({item.outcome_id for item in items})
        )
        for outcome_id, measure in connection.execute(known).all():
            waiting.pop((outcome_id, measure), None)
        at = _now()
        insert_rows(connection, pending, [(*key, value, at) for key, value in sorted(waiting.items())])


def _amendments(late: Iterable[Outcome]) -> Iterator[tuple[object, ...]]:
    """Lay judgements out in the order of their table's columns."""
    for outcome in late:
        for name, value in sorted(outcome.measures.items()):
            yield outcome.id, name, value, outcome.domain, microseconds(outcome.at)


def _copies(outcomes: Iterable[Outcome]) -> NDArray[np.bool_]:
    """Say of each outcome whether it is one of a copy that nobody saw."""
    return np.array([outcome.measures.get(SHADOW) == 1 for outcome in outcomes], np.bool_)


def _check_size(items: Sequence[object]) -> None:
    if len(items) > LARGEST_BATCH:
        raise InvalidInput(f"{len(items)} at once are too many", hint=f"send them {LARGEST_BATCH} at a time")


def _now() -> int:
    return time.time_ns() // 1000
