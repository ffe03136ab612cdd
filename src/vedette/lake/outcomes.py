"""What the lake takes in: batches of outcomes, and feedback on them."""

import time
from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec
from sqlalchemy import Connection, bindparam, delete, select

from vedette.evidence.outcome import Feedback, Outcome
from vedette.kernel.errors import InvalidInput
from vedette.kernel.records import record
from vedette.lake.admission import check_feedback, check_outcome
from vedette.lake.evidence import LakeReader, outcome_of
from vedette.lake.journal import LARGEST_BATCH
from vedette.lake.retention import Retention, erase, prune
from vedette.lake.rollups import Deltas, counted, insert_rows, microseconds
from vedette.lake.tables import migrate


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

    def migrate(self) -> None:
        """Create the tables that are missing; to be called once before anything else.

        Raises:
            Refused: A newer vedette made them.
            Unavailable: The database does not answer.
        """
        migrate(self._database, self._tables)

    def ship(self, batch_id: str, outcomes: Sequence[Outcome]) -> int:
        """Store the outcomes that are new and add them to the sums, all or none; gives how many were new.

        A batch already shipped does nothing, and neither does an outcome that came in another batch. Feedback that
        arrived first is joined.

        Raises:
            InvalidInput: An outcome cannot be counted, or the batch has more than 5,000; nothing was stored.
            Unavailable: The database does not answer or is full; nothing was stored.
        """
        _check_size(outcomes)
        for outcome in outcomes:
            check_outcome(outcome)
        tables = self._tables
        with self._database.writing() as connection:
            if connection.scalar(select(tables.batches.c.id).where(tables.batches.c.id == batch_id)):
                return 0
            insert_rows(connection, tables.batches, [(batch_id, _now())])
            first = {outcome.id: outcome for outcome in reversed(outcomes)}
            stored = connection.scalars(select(tables.outcomes.c.id).where(tables.outcomes.c.id.in_(first)))
            for outcome_id in stored.all():
                del first[outcome_id]
            self._store(connection, sorted(first.values(), key=lambda outcome: outcome.id))
        return len(first)

    def feedback(self, items: Sequence[Feedback]) -> FeedbackResult:
        """Add late judgements to outcomes, and to the sums of the plan, the bucket and the hour they happened in.

        Raises:
            InvalidInput: An item cannot be counted, or there are more than 5,000; nothing was stored.
            Unavailable: The database does not answer or is full; nothing was stored.
        """
        _check_size(items)
        for item in items:
            check_feedback(item)
        table, deltas = self._tables.outcomes, Deltas()
        accepted, unknown = 0, dict[str, None]()
        judged: dict[str, dict[str, float]] = {}
        with self._database.writing() as connection:
            query = table.select().where(table.c.id.in_({item.outcome_id for item in items}))
            outcomes = {row.id: outcome_of(row) for row in connection.execute(query)}
            for item in items:
                outcome = outcomes.get(item.outcome_id)
                if outcome is None:
                    unknown[item.outcome_id] = None
                    continue
                measures = judged.get(outcome.id) or dict(outcome.measures)
                if fresh := {name: value for name, value in item.measures.items() if name not in measures}:
                    deltas.add(outcome, fresh)
                    judged[outcome.id] = measures | fresh
                    accepted += 1
            self._rewrite_measures(connection, judged)
            deltas.merge_into(self._tables, connection)
            waiting = [item for item in items if item.outcome_id in unknown]
            self._await_outcomes(connection, waiting)
        return FeedbackResult(accepted=accepted, duplicate=len(items) - accepted - len(waiting), unknown=tuple(unknown))

    def prune(self, now: datetime, retention: Retention | None = None) -> int:
        """Drop what is older than it is kept; gives how many outcomes that were.

        Raises:
            Unavailable: The database does not answer; what was not dropped is dropped next time.
        """
        return prune(self._database, self._tables, now, retention or Retention())

    def erase(self, domain: str) -> None:
        """Drop everything about a domain.

        Raises:
            Unavailable: The database does not answer; nothing was dropped.
        """
        erase(self._database, self._tables, domain)

    def _store(self, connection: Connection, outcomes: Sequence[Outcome]) -> None:
        """Insert outcomes known to be new, with the feedback that waited for them, and add them to the sums."""
        judged = self._take_pending(connection, outcomes)
        deltas, rows = Deltas(), []
        for outcome in outcomes:
            late = {name: value for name, value in judged.get(outcome.id, {}).items() if name not in outcome.measures}
            deltas.add(outcome, counted(outcome) | late)
            rows.append(_row(outcome, {**outcome.measures, **late}))
        insert_rows(connection, self._tables.outcomes, rows)
        deltas.merge_into(self._tables, connection)

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

    def _rewrite_measures(self, connection: Connection, judged: Mapping[str, Mapping[str, float]]) -> None:
        table = self._tables.outcomes
        if judged:
            connection.execute(
                table.update().where(table.c.id == bindparam("key")).values(measures=bindparam("value")),
                [{"key": outcome_id, "value": _json(judged[outcome_id])} for outcome_id in sorted(judged)],
            )


def _row(outcome: Outcome, measures: Mapping[str, float]) -> tuple[object, ...]:
    """Lay an outcome out in the order of its table's columns."""
    return (
        outcome.id,
        outcome.domain,
        microseconds(outcome.at),
        outcome.assigned,
        outcome.served,
        outcome.plan_revision,
        outcome.bucket,
        outcome.status.value,
        _json(measures),
        _json([(each.experiment, each.arm, each.epoch) for each in outcome.exposures]) if outcome.exposures else None,
        _json(outcome.dimensions) if outcome.dimensions else None,
    )


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _check_size(items: Sequence[object]) -> None:
    if len(items) > LARGEST_BATCH:
        raise InvalidInput(f"{len(items)} at once are too many", hint=f"send them {LARGEST_BATCH} at a time")


def _now() -> int:
    return time.time_ns() // 1000
