"""Epochs of a lake's segments: one number in two hands, as after a failover that lost the last commits, is harmless."""

from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta

import pytest
from tests.lake.making import NOON, an_hour_later, assert_sums_are_those_of, outcome

from vedette.kernel.errors import LeaseLost
from vedette.lake import erasure, lease, sealer
from vedette.lake.outcomes import Lake
from vedette.lake.segments import SegmentFolder

pytestmark = pytest.mark.parametrize("lake_url", ["sqlite", "postgresql"], indirect=True)


@pytest.fixture
def folder(tmp_path):
    """Where segments are."""
    return tmp_path / "segments"


@pytest.fixture
def lakes(lake_url, folder):
    """One empty lake, opened by two processes."""
    opened = [Lake(lake_url, segments=folder) for _ in range(2)]
    opened[0].migrate()
    yield opened
    for lake in opened:
        lake.close()


class Primary:
    """Knows which epochs had reached the standby, and takes back those that had not."""

    def __init__(self, lake):
        self._lake, self._sealing = lake, lake._tables.sealing
        with lake._database.reading() as connection:
            self._replicated = connection.execute(self._sealing.select()).mappings().one_or_none()

    def die(self):
        """Let the standby take its place."""
        with self._lake._database.writing() as connection:
            connection.execute(self._sealing.delete())
            if self._replicated:
                connection.execute(self._sealing.insert(), dict(self._replicated))


def _listed(lake):
    with lake._database.reading() as connection:
        return set(connection.scalars(lake._tables.segments.select().with_only_columns(lake._tables.segments.c.name)))


def _writing(lake, act, *arguments):
    with lake._database.writing() as connection:
        return act(connection, lake._tables, *arguments)


@pytest.mark.parametrize("holders", [("one", "other"), ("one", "one")], ids=["two processes", "one process"])
def test_of_two_holders_of_one_number_the_later_one_has_it(lakes, holders):
    """Whoever took it before the failover is refused, and cannot give it back, even in the same process."""
    one, other = lakes
    primary = Primary(one)
    before = _writing(one, lease.take, holders[0])
    primary.die()
    after = _writing(other, lease.take, holders[1])
    assert before.number == after.number
    with pytest.raises(LeaseLost):
        _writing(one, lease.fence, before)
    _writing(one, lease.release, before)
    assert _writing(one, lease.take, "third") is None
    _writing(other, lease.fence, after)


def test_an_erasure_whose_epoch_was_lost_and_given_out_again_begins_anew(lakes, folder, monkeypatch):
    """While files are written without a domain another one merges the old ones: the domain goes, no outcome doubles."""
    one, other = lakes
    made = [outcome(domain=domain) for domain in ("payments", "legal") for _ in range(3)]
    stays = made[3:]
    for begin in (0, 1):
        one.ship(f"batch-{begin}", made[begin::2])
        one.seal()
    monkeypatch.setattr(sealer, "_FAN", 2)
    primary, rewritten = Primary(one), erasure._rewritten
    deaths: list[int] = []

    def slow(*arguments):
        done = rewritten(*arguments)
        if not deaths:
            primary.die()
            deaths.append(other.seal().merged)
        return done

    monkeypatch.setattr(erasure, "_rewritten", slow)
    one.erase("payments")
    assert deaths == [2]
    assert other.outcomes("payments").items == ()
    assert sorted(it.id for it in other.outcomes("legal").items) == sorted(it.id for it in stays)
    assert_sums_are_those_of(other, "legal", [(it, it.measures) for it in stays])
    an_hour_later(other)
    assert {path.name for path in folder.iterdir()} == _listed(other)


def test_a_sealer_whose_epochs_were_lost_removes_no_file_of_its_successor(lakes, monkeypatch):
    """Ahead of it in numbers, it takes none of the files for orphans that are about to be listed."""
    one, other = lakes
    primary = Primary(one)
    for _ in range(3):
        one.seal()
    made = [outcome(at=NOON + timedelta(seconds=each)) for each in range(5)]
    one.ship("first", made)
    write, collect = SegmentFolder.write, sealer.collect
    left: list[Callable[[], int]] = []

    def late(*arguments):
        if not left:
            left.append(lambda: collect(*arguments))
            primary.die()
            other.seal()
            return 0
        return collect(*arguments)

    def meddled(self, *arguments, **more):
        segment = write(self, *arguments, **more)
        with suppress(LeaseLost):
            left[0]()
        return segment

    monkeypatch.setattr(sealer, "collect", late)
    monkeypatch.setattr(SegmentFolder, "write", meddled)
    one.seal()
    assert other.holdings().missing == ()
    assert sorted(it.id for it in other.outcomes("payments").items) == sorted(it.id for it in made)


def test_two_engines_of_one_number_spill_apart(lakes, folder):
    """Each has a folder of its own for what does not fit into memory, which goes when it ends."""
    assert lakes
    folders = [SegmentFolder(folder, 7) for _ in range(2)]
    with folders[0].engine() as first, folders[1].engine() as second:
        places = [engine.execute("SELECT current_setting('temp_directory')").fetchone() for engine in (first, second)]
        assert places[0] != places[1]
    assert list(folder.iterdir()) == []
