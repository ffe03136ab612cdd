"""Files whose place others took are spared for a while: a list that went back in time still finds them."""

import os
import time

import duckdb
import pytest
from tests.lake.making import NOON, assert_sums_are_those_of, outcome

from vedette.catalog.unit import key_of, pseudonym
from vedette.lake import sealer, segments
from vedette.lake.outcomes import Lake
from vedette.lake.sealer import Sealed

pytestmark = pytest.mark.parametrize("lake_url", ["sqlite", "postgresql"], indirect=True)

ANN = pseudonym(key_of(b"a pepper for tests", "payments"), "ann")


@pytest.fixture
def folder(tmp_path):
    """Where segments are."""
    return tmp_path / "segments"


@pytest.fixture
def lake(lake_url, folder, monkeypatch):
    """An empty lake whose segments are merged as soon as a day has two."""
    monkeypatch.setattr(sealer, "_FAN", 2)
    opened = Lake(lake_url, segments=folder)
    opened.migrate()
    yield opened
    opened.close()


class Standby:
    """Has what the tables held when it was made, and nothing of what was committed after that."""

    def __init__(self, lake):
        self._lake, self._tables = lake, lake._tables.metadata.sorted_tables
        with lake._database.reading() as connection:
            self._rows = [[dict(row) for row in connection.execute(it.select()).mappings()] for it in self._tables]

    def promote(self):
        """Take the place of the primary."""
        with self._lake._database.writing() as connection:
            for table in reversed(self._tables):
                connection.execute(table.delete())
            for table, rows in zip(self._tables, self._rows, strict=True):
                if rows:
                    connection.execute(table.insert(), rows)


def _two_segments(lake, **each):
    """Make two segments of three outcomes each, one of them of the unit."""
    made = [[outcome(**each), outcome(), outcome(domain="legal")] for _ in range(2)]
    for number, batch in enumerate(made):
        lake.ship(f"batch-{number}", batch)
        lake.seal()
    return made[0] + made[1]


def _names(lake):
    with lake._database.reading() as connection:
        return set(connection.scalars(lake._tables.segments.select().with_only_columns(lake._tables.segments.c.name)))


def _files(folder):
    return {path.name for path in folder.iterdir()}


def _merge(lake, monkeypatch):
    """Make two segments that a third one has taken the place of; gives the outcomes, and the names of the two."""
    with monkeypatch.context() as patch:
        patch.setattr(sealer, "_FAN", 99)
        made = _two_segments(lake, unit=ANN)
    names = _names(lake)
    assert lake.seal() == Sealed(merged=2)
    return made, names


def _in_files(folder, unit):
    found = f"SELECT count(*) FROM read_parquet('{folder}/*.parquet', union_by_name = true) WHERE unit = ?"  # noqa: S608 - a folder of the test's own
    with duckdb.connect() as engine:
        return engine.execute(found, [unit]).fetchall()[0][0]


def _assert_all_are_there_once(lake, made):
    for domain in ("payments", "legal"):
        its_own = [it for it in made if it.domain == domain]
        assert sorted(it.id for it in lake.outcomes(domain).items) == sorted(it.id for it in its_own)


def test_a_merge_that_a_failover_lost_loses_no_outcome(lake, folder, monkeypatch):
    """The list names the files of before again, and they are there; they are merged anew, and none is there twice."""
    with monkeypatch.context() as patch:
        patch.setattr(sealer, "_FAN", 99)
        made = _two_segments(lake)
    standby = Standby(lake)
    assert lake.seal().merged == 2
    standby.promote()
    assert lake.holdings().missing == ()
    _assert_all_are_there_once(lake, made)
    monkeypatch.setattr(segments, "SPARED", 0.0)
    assert lake.seal().merged == 2
    while lake.seal() != Sealed():
        pass
    assert (_files(folder), len(_names(lake))) == (_names(lake), 1)
    _assert_all_are_there_once(lake, made)


def test_an_erasure_that_a_failover_lost_loses_nobody_elses_outcome(lake, folder, monkeypatch):
    """What the list names again are files without the unit; asked for again the erasure is one, and sums are right."""
    monkeypatch.setattr(sealer, "_FAN", 99)
    made = _two_segments(lake, unit=ANN)
    stays = [it for it in made if it.unit != ANN]
    standby = Standby(lake)
    assert lake.erase_unit("payments", ANN, NOON, lambda _: None) == 2
    standby.promote()
    assert lake.holdings().missing == ()
    _assert_all_are_there_once(lake, stays)
    assert _in_files(folder, ANN) == 0
    lake.erase_unit("payments", ANN, NOON, lambda _: None)
    assert lake.ship("late", [it for it in made if it.unit == ANN]) == 0
    _assert_all_are_there_once(lake, stays)
    assert_sums_are_those_of(lake, "payments", [(it, it.measures) for it in made if it.domain == "payments"])


@pytest.mark.parametrize("ahead", [-1.0, 2 * segments.SPARED], ids=["over", "the clock jumped"])
def test_spared_files_go_when_their_time_is_over(lake, folder, monkeypatch, ahead):
    """Until then they stay; a time further ahead than any is spared for does not keep them."""
    _, names = _merge(lake, monkeypatch)
    assert lake.seal() == Sealed()
    assert _files(folder) == names | _names(lake)
    for name in names:
        os.utime(folder / name, (0, time.time() + ahead))
    assert lake.seal() == Sealed(orphans=2)
    assert _files(folder) == _names(lake)


def test_an_erasure_spares_no_file(lake, folder, monkeypatch):
    """When a unit has been erased no file holds any of it, listed or not; nor when nothing of it is listed any more."""
    _, names = _merge(lake, monkeypatch)
    assert _in_files(folder, ANN) == 4
    lake.erase_unit("payments", ANN, NOON, lambda _: None)
    assert _in_files(folder, ANN) == 0
    assert not names & _files(folder)
