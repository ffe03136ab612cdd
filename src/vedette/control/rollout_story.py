"""The whole story of one rollout, read at one moment: where it is and why, how it came there, what may be done."""

from collections.abc import Callable, Mapping
from datetime import datetime

from sqlalchemy import Connection

from vedette.control import insight
from vedette.control.admission import admit, find
from vedette.control.foundation import Foundation
from vedette.control.insight import Analytics, Explanation
from vedette.kernel.errors import Unavailable, VedetteError
from vedette.kernel.records import record
from vedette.rollouts import commands
from vedette.rollouts.machine import ACTIVE
from vedette.rollouts.outlook import seconds_left
from vedette.store import rollout_history, rollouts, versions
from vedette.store.rollout_history import TrackPoint
from vedette.store.rollouts import StoredDecision, StoredRollout

POINTS = 240
"""Looks a chart shows; more would share pixels."""
DECISIONS = 100


@record
class Story:
    """Everything a page about one rollout shows.

    ``explanation`` is None while the outcomes cannot be read, and ``trouble`` says why. ``refused`` says of each verb
    why it is not allowed now, and is empty where it is. ``looks`` counts those of this attempt, ``track`` is a part of
    them. ``seconds_left`` is None when something other than time holds it, or it is at its end.
    """

    rollout: StoredRollout
    stable: str
    explanation: Explanation | None
    trouble: str
    analytics: Analytics
    track: tuple[TrackPoint, ...]
    looks: int
    decisions: tuple[StoredDecision, ...]
    refused: Mapping[str, str]
    seconds_left: float | None


def story(plane: Foundation, ref: str) -> Story:
    """Tell the story of a rollout.

    Raises:
        NotFound: there is none.
    """
    now = plane.instruments.now()
    with plane.changes.reading() as connection:
        it = find(connection, ref)
        explanation, trouble = None, ""
        try:
            explanation = insight.explain(connection, plane.lake, plane.traffic, it, now)
        except Unavailable as error:
            trouble = str(error)
        left = None
        if explanation is not None and it.status.phase in ACTIVE:
            left = seconds_left(it.spec, it.status, explanation.now.reasons)
        return Story(
            rollout=it,
            stable=versions.aliases(connection, it.domain).get("stable", ""),
            explanation=explanation,
            trouble=trouble,
            analytics=insight.analyse(connection, it),
            track=rollout_history.track(connection, it.id, it.status.attempt, at_most=POINTS),
            looks=rollout_history.count(connection, it.id, it.status.attempt),
            decisions=rollouts.decisions(connection, it.id, limit=DECISIONS, newest_first=True).items,
            refused=_refused(connection, it, now),
            seconds_left=left,
        )


def tracks(plane: Foundation, ref: str) -> tuple[TrackPoint, ...]:
    """Give every look of a rollout's present attempt, as a table of figures needs them."""
    with plane.changes.reading() as connection:
        it = find(connection, ref)
        return rollout_history.track(connection, it.id, it.status.attempt, at_most=10**9)


def _refused(connection: Connection, it: StoredRollout, now: datetime) -> dict[str, str]:
    """Ask every verb whether it would go; they are pure, so nothing happens."""
    spec, status = it.spec, it.status
    stable = versions.aliases(connection, it.domain).get("stable", "")

    def retry() -> None:
        commands.retry(status, now)
        admit(connection, it)

    def undo() -> None:
        commands.undo(spec, status, now)
        newest = rollouts.latest(connection, it.domain)
        if stable != spec.version or (newest is not None and newest.status.phase in ACTIVE):
            raise commands.moved_on(it.domain, stable)

    tries: Mapping[str, Callable[[], object]] = {
        "promote": lambda: commands.promote(spec, status, now),
        "promote-fully": lambda: commands.promote_fully(spec, status, stable, now),
        "pause": lambda: commands.pause(status, now),
        "resume": lambda: commands.resume(status),
        "abort": lambda: commands.abort(status, now),
        "retry": retry,
        "undo": undo,
        "set-weight": lambda: commands.set_weight(
            spec, status, min(status.weight, spec.weight_of(status.step)), 0, now
        ),
    }
    return {verb: _why_not(act) for verb, act in tries.items()}


def _why_not(act: Callable[[], object]) -> str:
    try:
        act()
    except VedetteError as error:
        return error.message
    return ""
