"""Reading outcomes themselves: those of some ids, and pages of them."""
# ruff: noqa: S608 - names and values go through `lake.dialect`, which quotes them

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import Connection, and_, or_, select

from vedette.evidence.outcome import Outcome
from vedette.kernel.errors import InvalidInput
from vedette.kernel.records import evolve
from vedette.lake import spool
from vedette.lake.columns import UNIT, outcome_of
from vedette.lake.history import Held, History, Snapshot, connect, paths, reading, translated
from vedette.lake.queries import FIELDS, Page, measure_column
from vedette.lake.tables import Tables

_COLUMN = measure_column("")
_MOST_NUMBERS = 100


def located(
    connection: Connection, tables: Tables, folder: Path | None, outcome_ids: Collection[str]
) -> dict[str, Outcome]:
    """Give outcomes by their ids, with late judgements, wherever they are; those never seen are left out.

    Raises:
        FileGone: A segment was merged or dropped meanwhile.
    """
    numbers = spool.seen(connection, tables, set(outcome_ids))
    found: dict[str, Outcome] = {}
    batches = spool.spooled(connection, tables, set(numbers.values()))
    for number, batch in batches.items():
        rows = [row for row, outcome_id in enumerate(batch.ids) if numbers.get(outcome_id) == number]
        found |= {outcome.id: outcome for outcome in batch.outcomes(rows)}
    sealed = {outcome_id: number for outcome_id, number in numbers.items() if number not in batches}
    if sealed:
        segments = tables.segments.c
        holding = [
            and_(segments.first_spooled <= number, segments.last_spooled >= number)
            for number in sorted(set(sealed.values()))[:_MOST_NUMBERS]
        ]
        listed = select(segments.name).where(~segments.dropped)
        if len(set(sealed.values())) <= _MOST_NUMBERS:
            listed = listed.where(or_(*holding))
        files = paths(folder, connection.scalars(listed))
        found |= {outcome.id: outcome for outcome in _sealed(files, list(sealed))}
    for outcome_id, late in spool.amendments(connection, tables, found).items():
        outcome = found[outcome_id]
        found[outcome_id] = evolve(outcome, measures={**late, **outcome.measures})
    return found


def read_page(history: History, taken: Snapshot, page: Page) -> list[Outcome]:
    """Give the outcomes of a page."""
    page = replace(page, units=True)
    with history.over(taken, page) as asked:
        return [_outcome(row) for row in asked.rows(page.sql(asked.dialect, "outcomes", taken.measures))]


def cursor_of(after: str) -> tuple[int, str]:
    """Read the place a page ends at.

    Raises:
        InvalidInput: It is none.
    """
    at, _, outcome_id = after.partition("~")
    try:
        return int(at), outcome_id
    except ValueError as error:
        raise InvalidInput(f"{after!r} is not the end of a page") from error


def _outcome(row: Mapping[str, Any]) -> Outcome:
    measures = {
        name.removeprefix(_COLUMN): value
        for name, value in row.items()
        if name not in FIELDS and name != UNIT and value is not None
    }
    return outcome_of(row, measures)


def _sealed(files: Sequence[Path], outcome_ids: list[str]) -> list[Outcome]:
    if not files:
        return []
    with connect() as engine, translated():
        engine.register("wanted", {"its_id": np.array(outcome_ids, object)})
        wanted = f"SELECT * FROM {reading(files)} WHERE id IN (SELECT its_id FROM wanted)"
        return [_outcome(row) for row in Held(engine).rows(wanted)]
