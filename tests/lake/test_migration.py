"""Lakes of older versions, brought up to date."""

from collections.abc import Sequence
from datetime import timedelta

import pytest
from sqlalchemy import BigInteger, Column, Connection, Double, Integer, MetaData, Table, Text
from tests.lake.making import (
    NOON,
    assert_arms_are_those_of,
    assert_sums_are_those_of,
    exposed,
    outcome,
)

from vedette.evidence.outcome import Feedback, Outcome
from vedette.lake.clock import microseconds
from vedette.lake.columns import json_text
from vedette.lake.outcomes import Lake
from vedette.lake.tables import SCHEMA_VERSION, Tables

A, B = exposed(arm="a"), exposed(arm="b")
DAY, HOUR = timedelta(days=1), timedelta(hours=1)


def _downgrade(lake: Lake, version: int) -> None:
    """Take a lake back to how it was when every outcome was a row: version 2, or 1, which knew no experiments."""
    tables, kept = lake._tables, lake.outcomes("payments", limit=1000).items
    old = Table(
        "outcomes",
        MetaData(schema=lake._database.schema),
        Column("id", Text, primary_key=True),
        Column("at", BigInteger),
        *(Column(name, Text) for name in ("domain", "assigned", "served", "status", "measures")),
        *(Column(name, Integer) for name in ("plan_revision", "bucket")),
        *(Column(name, Text) for name in ("exposures", "dimensions") if version > 1),
    )
    with lake._database.writing() as connection:
        old.create(connection)
        for event in kept:
            row = {name: getattr(event, name) for name in old.columns.keys()}  # noqa: SIM118 - its columns, not its rows
            row |= {"at": microseconds(event.at), "measures": json_text(event.measures), "status": event.status.value}
            if version > 1:
                exposures = [(each.experiment, each.arm, each.epoch) for each in event.exposures]
                row |= {
                    "exposures": json_text(exposures) if exposures else None,
                    "dimensions": json_text(event.dimensions) if event.dimensions else None,
                }
            connection.execute(old.insert(), row)
        _keep_minutes(connection, tables, kept)
        for table in (tables.spool, tables.seen, tables.amendments, tables.segments, tables.sealing, tables.rollups):
            table.drop(connection)
        if version == 1:
            tables.exposure_cells.drop(connection)
        connection.execute(tables.version.update().values(version=version))


def _keep_minutes(connection: Connection, tables: Tables, kept: Sequence[Outcome]) -> None:
    """Lay sums by minute out as they were, a row for each measure of each series."""
    metadata = MetaData(schema=tables.metadata.schema)
    texts, numbers = ("domain", "version", "measure"), ("n", "mean", "centred")
    series = Table(
        "series",
        metadata,
        Column("id", Integer, primary_key=True),
        Column("plan_revision", Integer),
        *(Column(name, Text) for name in texts),
    )
    minutes = Table(
        "minute_sums",
        metadata,
        *(Column(name, Integer, primary_key=True, autoincrement=False) for name in ("series", "minute")),
        *(Column(name, Double) for name in numbers),
    )
    metadata.create_all(connection)
    made = [(event, name, value) for event in kept for name, value in {"requests": 1.0, **event.measures}.items()]
    for number, (event, name, value) in enumerate(made):
        key = {"domain": event.domain, "version": event.assigned, "plan_revision": event.plan_revision}
        connection.execute(series.insert(), {"id": number, "measure": name, **key})
        sums = {"n": 1.0, "mean": value, "centred": 0.0}
        minute = microseconds(event.at) // 60_000_000
        connection.execute(minutes.insert(), {"series": number, "minute": minute, **sums})


@pytest.mark.parametrize("version", [1, 2])
def test_an_older_lake_is_brought_up_to_date(lake_url, lake, version):
    """Migrating keeps every outcome and every sum, many may do it at once, and all of it goes on counting."""
    exposures = (A, exposed('say "hi"')) if version > 1 else ()
    before = [
        outcome({"error": 1.0}, exposures=exposures, dimensions={"x-country": "DE"} if version > 1 else {}),
        outcome({"error": 0.0, "latency_ms": 0.1 + 0.2}, at=NOON - DAY, bucket=-1),
    ]
    lake.ship("first", before)
    _downgrade(lake, version)
    lake.close()
    for _ in range(2):
        again = Lake(lake_url)
        again.migrate()
        with again._database.reading() as connection:
            assert connection.scalar(again._tables.version.select()) == SCHEMA_VERSION
        assert again.outcomes("payments").items == tuple(before)
        again.close()
    assert again.ship("again", before) == 0
    again.feedback([Feedback(outcome_id=before[0].id, measures={"correct": 1.0})])
    after = outcome({"error": 0.0}, exposures=(A,), dimensions={"x-country": "DE"})
    assert again.ship("second", [after]) == 1
    assert again.outcome(after.id) == after
    judged = [(before[0], {"error": 1.0, "correct": 1.0}), (before[1], before[1].measures), (after, {"error": 0.0})]
    assert_sums_are_those_of(again, "payments", judged)
    assert_arms_are_those_of(again, "payments", judged)
    again.close()
