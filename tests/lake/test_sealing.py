"""From the spool to segments: whoever dies, is overtaken or runs out of room, no outcome is lost or there twice."""

import itertools
import multiprocessing
import random
import signal
from datetime import timedelta

import pytest
from sqlalchemy import select
from tests.lake.dying import lapse, seal_until
from tests.lake.making import NOON, an_hour_later, assert_sums_are_those_of, files_no_larger_than, outcome

from vedette.evidence.outcome import Feedback, Outcome
from vedette.kernel.errors import Unavailable
from vedette.lake.outcomes import Lake
from vedette.lake.segments import SegmentFolder

_FEWEST_DEATHS = 30
Stored = dict[str, dict[str, float]]
_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload(["tests.lake.dying"])


@pytest.fixture
def folder(tmp_path):
    """Where segments are."""
    return tmp_path / "segments"


@pytest.fixture
def sealing(lake_url, folder):
    """An empty lake with a folder for segments, on both databases."""
    opened = Lake(lake_url, segments=folder)
    opened.migrate()
    yield opened
    opened.close()


@pytest.fixture
def local(tmp_path, folder):
    """The same in a file."""
    opened = Lake(f"sqlite:///{tmp_path / 'outcomes.db'}", segments=folder)
    opened.migrate()
    yield opened
    opened.close()


def stored(lake):
    """Every outcome with its measures, by id; none twice."""
    items = lake.outcomes("payments", limit=1_000_000).items
    found = {item.id: dict(item.measures) for item in items}
    assert len(found) == len(items)
    return found


def files(lake, folder):
    """Files there are, and those that are listed."""
    with lake._database.reading() as connection:
        listed = connection.scalars(select(lake._tables.segments.c.name)).all()
    return {path.name for path in folder.iterdir()}, set(listed)


def made(count, day=0, **measures):
    """Ordinary outcomes of a day."""
    return [outcome({"error": 0.0, **measures}, at=NOON + timedelta(days=day, seconds=each)) for each in range(count)]


@pytest.mark.parametrize("lake_url", ["sqlite", "postgresql"], indirect=True)
def test_a_sealer_killed_at_any_step_loses_and_repeats_nothing(lake_url, sealing, folder):
    """Killed before any write, one after the other: every outcome is there once, with what was judged late."""
    expected: Stored = {}
    judged: list[Outcome] = []
    deaths, pace = 0, 2 if lake_url.startswith("sqlite") else 5
    for step in itertools.count(1, pace):
        batches = [made(5, day) for day in (0, 1)] + [made(3)]
        for place, batch in enumerate(batches):
            sealing.ship(f"batch-{step}-{place}", batch)
            expected |= {item.id: dict(item.measures) for item in batch}
            judged += batch
        if len(judged) >= 20:
            late = judged[-20]
            sealing.feedback([Feedback(outcome_id=late.id, measures={"correct": 1.0})])
            expected[late.id]["correct"] = 1.0
        process = _PROCESSES.Process(target=seal_until, args=(lake_url, folder, step))
        process.start()
        process.join()
        assert stored(sealing) == expected
        lapse(sealing)
        if process.exitcode == 0:
            break
        assert process.exitcode == -signal.SIGKILL
        deaths += 1
    assert deaths >= _FEWEST_DEATHS // pace
    sealing.seal()
    there, listed = files(sealing, folder)
    assert there == listed
    assert sealing.holdings().spooled == 0
    assert stored(sealing) == expected
    assert_sums_are_those_of(sealing, "payments", [(item, expected[item.id]) for item in judged])


@pytest.mark.parametrize("lake_url", ["sqlite", "postgresql"], indirect=True)
def test_a_sealer_that_was_overtaken_undoes_only_its_own(lake_url, sealing, folder, monkeypatch):
    """While one writes its files another seals everything: the first changes nothing, and its files go."""
    batch = made(200)
    sealing.ship("first", batch)
    other, write = Lake(lake_url, segments=folder), SegmentFolder.write
    overtaken: list[str] = []

    def slow(self, *arguments, **more):
        segment = write(self, *arguments, **more)
        if not overtaken:
            overtaken.append(segment.name)
            lapse(sealing)
            assert other.seal().outcomes == 200
        return segment

    monkeypatch.setattr(SegmentFolder, "write", slow)
    assert sealing.seal().outcomes == 0
    there, listed = files(sealing, folder)
    assert there == listed
    assert overtaken[0] not in there
    assert stored(sealing) == {item.id: dict(item.measures) for item in batch}
    other.close()


def test_a_pass_ends_while_batches_keep_coming(sealing, folder, monkeypatch):
    """It seals what is spooled when it begins, in one file, and leaves what comes meanwhile to the next pass."""
    sealing.ship("first", made(3))
    sealing.ship("second", made(3))
    write, number = SegmentFolder.write, itertools.count()

    def busy(self, *arguments, **more):
        for _ in range(2):
            sealing.ship(f"meanwhile-{next(number)}", made(1))
        return write(self, *arguments, **more)

    with monkeypatch.context() as patch:
        patch.setattr(SegmentFolder, "write", busy)
        assert sealing.seal().outcomes == 6
    assert (sealing.holdings().spooled, len(list(folder.iterdir()))) == (2, 1)
    assert sealing.seal().outcomes == 2


def test_one_sealer_at_a_time_unless_the_clock_jumped(local, folder):
    """Another one waits for the lease to end; one that ends further ahead than it is long counts as ended."""
    other = Lake(local._database.url.render_as_string(), segments=folder)
    sealing = local._tables.sealing

    def held_until(seconds):
        with local._database.writing() as connection:
            now = connection.exec_driver_sql("SELECT unixepoch('subsec')").scalar_one()
            connection.execute(sealing.update().values(holder="somebody", expires=now + seconds))

    local.ship("first", made(3))
    local.seal()
    local.ship("second", made(3))
    held_until(30)
    assert other.seal().outcomes == 0
    held_until(86_400)
    assert other.seal().outcomes == 3
    other.close()


def test_a_full_disk_leaves_what_was_spooled_where_it_is(local, folder):
    """A segment that cannot be written is told, leaves no file behind, and is sealed once there is room."""
    draw = random.Random(1)  # noqa: S311 - figures that no codec makes smaller
    batch = [outcome({"latency_ms": draw.random(), "ttft_ms": draw.random()}) for _ in range(5000)]
    local.ship("first", batch)
    local.close()
    expected = {item.id: dict(item.measures) for item in batch}
    with files_no_larger_than(60_000), pytest.raises(Unavailable, match="stored outcomes"):
        local.seal()
    assert [path for path in folder.iterdir() if path.is_file()] == []
    assert stored(local) == expected
    lapse(local)
    assert local.seal().outcomes == 5000
    assert stored(local) == expected


def test_many_small_segments_become_few(local, folder):
    """A day's segments are merged as they grow many, so there are never many files, and nothing is lost."""
    expected: Stored = {}
    for place in range(20):
        batch = made(10)
        expected |= {item.id: dict(item.measures) for item in batch}
        local.ship(f"batch-{place}", batch)
        local.seal()
    an_hour_later(local)
    there, listed = files(local, folder)
    assert there == listed
    assert len(there) < 8
    assert stored(local) == expected


def test_holdings_say_what_is_where_and_what_is_missing(local, folder):
    """Spooled and sealed outcomes are counted, and a segment whose file is gone is named."""
    local.ship("first", made(4))
    assert (local.holdings().spooled, local.holdings().sealed) == (4, 0)
    local.seal()
    held = local.holdings()
    assert (held.spooled, held.sealed, held.segments, held.missing) == (0, 4, 1, ())
    (file,) = folder.iterdir()
    file.unlink()
    assert local.holdings().missing == (file.name,)
