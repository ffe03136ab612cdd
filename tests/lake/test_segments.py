"""Segments: what is in them reads as it did before, and whatever write is the last one, all goes on from there."""

import errno
import itertools
import os
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from threading import Event

import duckdb
import pytest
from sqlalchemy import func, select
from tests.lake.making import NOON, an_hour_later, assert_sums_are_those_of, outcome

from vedette.evidence.outcome import Feedback
from vedette.kernel.errors import Corrupt, NotFound, Unavailable
from vedette.kernel.records import evolve
from vedette.lake import sealer, segments
from vedette.lake.engine import LakeDatabase
from vedette.lake.outcomes import Lake
from vedette.lake.sealer import Sealed

_YESTERDAY = NOON - timedelta(days=1)


class Dead(BaseException):
    """The process is no more: no handler runs, and none of what it calls does anything."""


class Mortal:
    """Lets the code die before its nth write: to the database, before or after its commit, or to a file."""

    def __init__(self, patch, life):
        self.life = life
        self._count(patch, segments, "_sync")
        self._count(patch, os, "link")
        for name in ("rename", "unlink", "mkdir"):
            self._count(patch, Path, name)
        writing = LakeDatabase.writing

        @contextmanager
        def mortal(database):
            self.step()
            with writing(database) as connection:
                yield connection
                self.step()
            self.step()

        patch.setattr(LakeDatabase, "writing", mortal)

    def step(self):
        """Live on, or die; who is dead stays so."""
        self.life -= 1
        if self.life < 0:
            raise Dead

    def _count(self, patch, owner, name):
        real = getattr(owner, name)

        def mortal(*arguments, **named):
            self.step()
            return real(*arguments, **named)

        patch.setattr(owner, name, mortal)


@pytest.fixture(params=["sqlite", "postgresql"])
def opened(request, tmp_path):
    """Opens lakes over one database and one folder of segments."""
    sqlite = request.param == "sqlite"
    url = f"sqlite:///{tmp_path / 'outcomes.db'}" if sqlite else request.getfixturevalue("postgres_url")
    lakes = []

    def open_lake():
        lakes.append(Lake(url, segments=tmp_path / "segments"))
        lakes[-1].migrate()
        return lakes[-1]

    yield open_lake
    for lake in lakes:
        lake.close()


@pytest.fixture
def local(tmp_path):
    """An empty lake in a file."""
    lake = Lake(f"sqlite:///{tmp_path / 'outcomes.db'}")
    lake.migrate()
    yield lake
    lake.close()


def _files(lake):
    return sorted(path.name for path in lake._segments.iterdir()) if lake._segments.exists() else []


def _listed(lake):
    with lake._database.reading() as connection:
        return sorted(connection.scalars(select(lake._tables.segments.c.name)))


def _count(lake, table):
    with lake._database.reading() as connection:
        return connection.scalar(select(func.count()).select_from(getattr(lake._tables, table)))


def _sealings(lake, **values):
    with lake._database.writing() as connection:
        connection.execute(lake._tables.sealing.update().values(**values))


def test_sealed_outcomes_are_as_they_were(opened):
    """Sealing moves all there is, by day, with late judgements in it; nobody who reads can tell, and it is over."""
    lake = opened()
    made = [outcome(at=at, measures={"error": 0.0, f"score_{n}": n / 7}) for n in range(3) for at in (NOON, _YESTERDAY)]
    lake.ship("first", made)
    lake.feedback([Feedback(outcome_id=made[0].id, measures={"correct": 1.0})])
    before, stock = lake.outcomes("payments"), lake.holdings()
    assert (stock.spooled, stock.sealed) == (6, 0)
    assert lake.seal() == Sealed(outcomes=6)
    assert lake.outcomes("payments") == before
    assert [lake.outcome(item.id) for item in before.items] == list(before.items)
    stock = lake.holdings()
    assert (stock.spooled, stock.sealed, stock.segments, stock.missing) == (0, 6, 2, ())
    assert (_count(lake, "amendments"), _files(lake)) == (0, _listed(lake))
    assert lake.seal() == Sealed()


def test_sealed_outcomes_are_judged_and_known(opened):
    """An outcome in a segment takes its first late judgement, and is not stored again."""
    lake = opened()
    made = outcome({"error": 0.0})
    lake.ship("first", [made])
    lake.seal()
    assert lake.ship("second", [made]) == 0
    judged = [Feedback(outcome_id=made.id, measures={"correct": score}) for score in (1.0, 0.0)]
    assert (lake.feedback(judged).accepted, lake.feedback(judged).duplicate) == (1, 2)
    expected = evolve(made, measures={"error": 0.0, "correct": 1.0})
    assert lake.outcomes("payments").items == (expected,) == (lake.outcome(made.id),)
    assert_sums_are_those_of(lake, "payments", [(made, expected.measures)])


def test_many_late_judgements_are_folded_in(opened, monkeypatch):
    """A day's segments are rewritten once many judgements wait, so that readers need not join them for ever."""
    monkeypatch.setattr(sealer, "_FOLDED", 2)
    lake = opened()
    made = [outcome({"error": 0.0}) for _ in range(3)]
    lake.ship("first", made)
    lake.seal()
    for waiting, item in enumerate(made[:2], 1):
        lake.feedback([Feedback(outcome_id=item.id, measures={"correct": 1.0})])
        assert _count(lake, "amendments") == waiting
        lake.seal()
        assert _count(lake, "amendments") == waiting % 2
    assert [lake.outcome(item.id).measures.get("correct") for item in made] == [1.0, 1.0, None]


def _live(lake):
    """Take in, judge, seal, merge, drop and erase; whatever of it is done already does nothing."""
    old, new = (
        [outcome(id=f"{age}-{n}", at=at, domain=domain) for n, domain in enumerate(("payments", "legal"))]
        for age, at in (("old", NOON - timedelta(days=40)), ("new", NOON))
    )
    more = [outcome(id=f"more-{n}", measures={"error": 1.0}) for n in range(2)]
    lake.ship("first", old + new)
    lake.feedback([Feedback(outcome_id=new[0].id, measures={"correct": 1.0})])
    lake.seal()
    lake.ship("second", more)
    lake.seal()
    lake.prune(NOON)
    lake.erase("legal")
    return [old[0], evolve(new[0], measures={**new[0].measures, "correct": 1.0}), *more]


def test_whatever_write_is_the_last_one_it_goes_on_from_there(opened, monkeypatch, request):
    """Died before any write of shipping, sealing, merging, dropping or erasing: run again, it comes to the same end."""
    monkeypatch.setattr(sealer, "_FAN", 2)
    step = 4 if "sqlite" in request.node.name else 9  # with 1 it takes minutes, and comes to the same end
    for life in itertools.count(0, step):
        lake = opened()
        with lake._database.writing() as connection:
            for table in reversed(lake._tables.metadata.sorted_tables):
                if table.name != "schema_version":
                    connection.execute(table.delete())
        died = False
        with monkeypatch.context() as patch:
            mortal = Mortal(patch, life)
            try:
                _live(lake)
            except Dead:
                died = True
        lake.close()
        heir = opened()
        _sealings(heir, expires=0.0)  # as time will have it
        counted = _live(heir)
        an_hour_later(heir)
        assert {item.id: item for item in heir.outcomes("payments").items} == {item.id: item for item in counted[1:]}
        assert_sums_are_those_of(heir, "payments", [(item, item.measures) for item in counted])
        assert heir.outcomes("legal").items == ()
        assert (_files(heir), heir.holdings().missing) == (_listed(heir), ())
        assert _count(heir, "seen") == len(counted) - 1
        heir.close()
        if not died:
            break
    assert mortal.life >= 0
    assert life > 30


def test_who_reads_while_files_are_merged_takes_a_new_look(opened, monkeypatch):
    """A file that is gone when it is opened is one that was merged meanwhile; one that never comes back is damage."""
    lake = opened()
    made = outcome()
    lake.ship("first", [made])
    lake.seal()
    (name,) = _listed(lake)
    away = lake._segments / "away"
    (lake._segments / name).rename(away)
    for ask in (lambda: lake.outcomes("payments"), lambda: lake.outcome(made.id)):
        with pytest.raises(Corrupt, match="backup"):
            ask()
    assert lake.holdings().missing == (name,)
    connect, looks = duckdb.connect, itertools.count()

    def in_time(*arguments, **named):
        if next(looks) == 1:
            away.rename(lake._segments / name)
        return connect(*arguments, **named)

    monkeypatch.setattr(duckdb, "connect", in_time)
    assert lake.outcome(made.id) == made


def test_what_did_not_reach_the_disk_is_no_segment(local, monkeypatch):
    """When a segment cannot be brought to the disk nothing has moved; with room again all does."""
    made = [outcome() for _ in range(10)]
    local.ship("first", made)

    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(segments, "_sync", full)
        with pytest.raises(Unavailable, match="make room"):
            local.seal()
    assert local.holdings().spooled == 10
    assert local.seal().outcomes == 10
    assert (_files(local), len(local.outcomes("payments", limit=50).items)) == (_listed(local), 10)


def test_a_sealer_that_is_to_stop_finishes_what_it_writes(local, monkeypatch):
    """Stopping waits for one file, not for all of them."""
    monkeypatch.setattr(sealer, "_AT_ONCE", 1)
    for number in range(3):
        local.ship(f"batch-{number}", [outcome()])
    stop, write = Event(), segments.SegmentFolder.write

    def last(*arguments, **named):
        stop.set()
        return write(*arguments, **named)

    monkeypatch.setattr(segments.SegmentFolder, "write", last)
    assert local.seal(stop) == Sealed(outcomes=1)
    assert local.holdings().spooled == 2


def test_foreign_files_are_left_alone(local):
    """What is no segment of a time gone by is none of ours."""
    local.ship("first", [outcome()])
    local.seal()
    kept = [local._segments / name for name in ("notes.txt", "2026-11-23.999999.later.parquet")]
    for path in kept:
        path.touch()
    orphan = local._segments / f"2026-11-23.000001.{'0' * 36}.parquet.unfinished"
    orphan.touch()
    assert local.seal().orphans == 1
    assert all(path.exists() for path in kept)
    assert not orphan.exists()


def test_a_lake_in_a_server_without_a_folder_keeps_its_outcomes_there(postgres_url, tmp_path):
    """Sealing does nothing then; and who does not know the folder of what others sealed says so."""
    lake, knowing = Lake(postgres_url), Lake(postgres_url, segments=tmp_path)
    lake.migrate()
    made = outcome()
    lake.ship("first", [made])
    assert lake.seal() == Sealed()
    assert lake.outcome(made.id) == made
    knowing.seal()
    assert len(lake.holdings().missing) == 1
    with pytest.raises(Unavailable, match="folder"):
        lake.outcome(made.id)
    with pytest.raises(NotFound):
        lake.outcome("another")
    for each in (lake, knowing):
        each.close()
