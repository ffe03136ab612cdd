"""What a rollout's looks say over time, without reading all of them: thousands of looks, a few hundred points."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, select

from vedette.kernel.records import record
from vedette.store.rollouts import StoredLook, look_of
from vedette.store.tables import rollout_looks


@record
class TrackPoint:
    """One look as a chart needs it: when, at which weight, and the figures of each guardrail."""

    at: datetime
    step: int
    watched: float
    weight: float
    verdicts: tuple[Mapping[str, Any], ...]


def track(connection: Connection, rollout_id: str, attempt: int, *, at_most: int) -> tuple[TrackPoint, ...]:
    """Give looks of one attempt in order, evenly thinned to about ``at_most``; the first and the last are there."""
    looks = rollout_looks.c
    mine = (looks.rollout_id == rollout_id, looks.attempt == attempt)
    ids = list(connection.scalars(select(looks.id).where(*mine).order_by(looks.id)))
    if not ids:
        return ()
    stride = max(1, -(-len(ids) // max(at_most, 1)))
    chosen = sorted({*ids[::stride], ids[-1]})
    columns = (looks.at, looks.step, looks.watched, looks.weight, looks.verdicts)
    rows = connection.execute(select(*columns).where(looks.id.in_(chosen)).order_by(looks.id))
    return tuple(_point(row) for row in rows)


def count(connection: Connection, rollout_id: str, attempt: int) -> int:
    """Count the looks of one attempt."""
    looks = rollout_looks.c
    query = select(func.count()).where(looks.rollout_id == rollout_id, looks.attempt == attempt)
    return int(connection.scalar(query) or 0)


def last_looks(connection: Connection, rollout_id: str) -> tuple[StoredLook, ...]:
    """Give the last look of every attempt, the first attempt first."""
    looks = rollout_looks.c
    last = select(func.max(looks.id)).where(looks.rollout_id == rollout_id).group_by(looks.attempt)
    rows = connection.execute(select(rollout_looks).where(looks.id.in_(last)).order_by(looks.id))
    return tuple(look_of(row) for row in rows)


def _point(row: Any) -> TrackPoint:  # noqa: ANN401 - a row of these columns
    return TrackPoint(at=row.at, step=row.step, watched=row.watched, weight=row.weight, verdicts=tuple(row.verdicts))
