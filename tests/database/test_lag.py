"""The primary dies with a standby that lagged: an epoch of the lake is lost, given out again, and held by one."""

import threading
from contextlib import closing

import pytest
from tests import standby
from tests.lake.making import an_hour_later, assert_sums_are_those_of, outcome

from vedette.lake import erasure, sealer
from vedette.lake.outcomes import Lake

_DOMAINS = ("payments", "legal")


@pytest.fixture
def lagging():
    """A primary that waits for no standby."""
    with standby.pair() as pair:
        pair.primary.set("synchronous_standby_names", "")
        yield pair


def test_a_merge_that_dies_with_the_primary_loses_no_outcome(lagging, tmp_path, monkeypatch):
    """The standby lists the files of before, and they are there: none is missing or there twice, also merged anew."""
    made = [outcome() for _ in range(6)]
    lake = Lake(lagging.url, segments=tmp_path / "segments")
    with closing(lake):
        lake.migrate()
        for begin in (0, 1):
            lake.ship(f"batch-{begin}", made[begin::2])
            lake.seal()
        standby.until(lagging.on_standby)
        lagging.cut_off()
        monkeypatch.setattr(sealer, "_FAN", 2)
        assert lake.seal().merged == 2
        lagging.primary.kill()
        lagging.standby.promote()
        assert (lake.holdings().segments, lake.holdings().missing) == (2, ())
        assert sorted(it.id for it in lake.outcomes("payments").items) == sorted(it.id for it in made)
        assert lake.seal().merged == 2
        assert sorted(it.id for it in lake.outcomes("payments").items) == sorted(it.id for it in made)
        assert_sums_are_those_of(lake, "payments", [(it, it.measures) for it in made])


def test_an_erasure_outlasts_a_failover_that_gives_its_epoch_to_a_sealer(lagging, tmp_path, monkeypatch):
    """Its old epoch is refused though its number is in force: the domain goes, and no other outcome goes or doubles."""
    made = [outcome(domain=domain) for domain in _DOMAINS for _ in range(3)]
    stays = [it for it in made if it.domain == "legal"]
    writing, failed_over = threading.Event(), threading.Event()
    epochs: list[int] = []
    rewritten = erasure._rewritten

    def held_up(folder, *arguments):
        done = rewritten(folder, *arguments)
        epochs.append(folder._epoch)
        if not writing.is_set():
            writing.set()
            assert failed_over.wait(standby.PATIENCE)
        return done

    monkeypatch.setattr(erasure, "_rewritten", held_up)
    one, other = (Lake(lagging.url, segments=tmp_path / "segments") for _ in range(2))
    with closing(one), closing(other):
        one.migrate()
        for begin in (0, 1):
            one.ship(f"batch-{begin}", made[begin::2])
            one.seal()
        standby.until(lagging.on_standby)
        lagging.cut_off()
        erasing = threading.Thread(target=one.erase, args=("payments",))
        erasing.start()
        try:
            assert writing.wait(standby.PATIENCE)
            lagging.primary.kill()
            lagging.standby.promote()
            monkeypatch.setattr(sealer, "_FAN", 2)
            assert other.seal().merged == 2
            with other._database.reading() as connection:
                assert connection.scalar(other._tables.sealing.select()) == epochs[0]
        finally:
            failed_over.set()
            erasing.join()
        an_hour_later(other)
        with other._database.reading() as connection:
            names = other._tables.segments.c.name
            listed = set(connection.scalars(other._tables.segments.select().with_only_columns(names)))
        assert {path.name for path in (tmp_path / "segments").iterdir()} == listed
        assert other.outcomes("payments").items == ()
        assert sorted(it.id for it in other.outcomes("legal").items) == sorted(it.id for it in stays)
        assert_sums_are_those_of(other, "legal", [(it, it.measures) for it in stays])
        assert len(epochs) == 2
