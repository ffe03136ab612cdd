"""Whatever dies, and whenever: what was acknowledged is stored, once, and the sums are those of the outcomes."""

import random
import subprocess
import sys
from pathlib import Path

import pytest
from tests.lake.making import assert_sums_are_those_of, files_no_larger_than, outcome

from vedette.evidence.outcome import Feedback, Outcome
from vedette.kernel.errors import Corrupt, Refused, Unavailable
from vedette.lake.journal import Journal
from vedette.lake.outcomes import Lake
from vedette.lake.tables import SCHEMA_VERSION

_ROOT = Path(__file__).parents[2]
_KILLS_OF_EACH = 3


def _all_outcomes(lake: Lake) -> tuple[Outcome, ...]:
    page = lake.outcomes("payments", limit=1_000_000)
    assert page.after == ""
    return page.items


def _acknowledged(gateway: "subprocess.Popen[str]") -> str:
    assert gateway.stdout
    return gateway.stdout.readline().strip()


def test_nothing_acknowledged_is_lost_when_processes_are_killed(lake_url, lake, tmp_path):
    """Two gateways killed again and again: acknowledged outcomes are stored once, and at most one more a kill."""
    rng = random.Random(20261123)  # noqa: S311 - a fixed seed, no secret
    folder, acknowledged = tmp_path / "journal", set()
    for _ in range(_KILLS_OF_EACH):
        gateways = [
            subprocess.Popen(
                [sys.executable, "-m", "tests.lake.shipping", lake_url, str(folder), worker],
                stdout=subprocess.PIPE,
                cwd=_ROOT,
                text=True,
            )
            for worker in ("gateway-1", "gateway-2")
        ]
        for gateway in gateways:
            acknowledged |= {_acknowledged(gateway) for _ in range(rng.randrange(20, 120))}
        for gateway in gateways:
            gateway.kill()
        for gateway in gateways:
            acknowledged |= set(gateway.communicate()[0].split())

    heir = Journal(folder, "gateway-1")
    for batch in heir.unshipped():
        lake.ship(batch.id, batch.outcomes)
        heir.shipped(batch)
    heir.close()
    assert list(folder.glob("*.journal")) == []
    stored = _all_outcomes(lake)
    ids = {item.id for item in stored}
    assert len(ids) == len(stored)
    assert acknowledged <= ids
    assert len(ids - acknowledged) <= 2 * _KILLS_OF_EACH
    assert_sums_are_those_of(lake, "payments", [(item, item.measures) for item in stored])


def test_a_death_between_shipping_and_forgetting_repeats_nothing(lake, tmp_path):
    """A batch that was stored but not forgotten is shipped again by the heir, and adds nothing."""
    journal = Journal(tmp_path, "gateway-1")
    made = [outcome() for _ in range(3)]
    for item in made:
        journal.append(item)
    (batch,) = journal.unshipped()
    assert lake.ship(batch.id, batch.outcomes) == 3
    journal.close()
    (again,) = Journal(tmp_path, "gateway-1").unshipped()
    assert again.id == batch.id
    assert lake.ship(again.id, again.outcomes) == 0
    assert_sums_are_those_of(lake, "payments", [(item, item.measures) for item in made])


@pytest.mark.parametrize("step", ["_take_pending", "merge_into"])
def test_a_failure_inside_a_batch_leaves_nothing_of_it(lake, monkeypatch, step):
    """A batch that fails half-way is not there at all, and can be shipped again."""
    judged = outcome({"error": 0.0})
    lake.feedback([Feedback(outcome_id=judged.id, measures={"correct": 1.0})])

    def fail(*_):
        raise ConnectionError("the machine is gone")

    target = "vedette.lake.outcomes.Lake" if step == "_take_pending" else "vedette.lake.rollups.Deltas"
    with monkeypatch.context() as broken:
        broken.setattr(f"{target}.{step}", fail)
        with pytest.raises(ConnectionError):
            lake.ship("first", [judged])
    assert _all_outcomes(lake) == ()
    assert lake.ship("first", [judged]) == 1
    assert_sums_are_those_of(lake, "payments", [(judged, {"error": 0.0, "correct": 1.0})])


def test_a_full_disk_is_loud_and_leaves_the_lake_sound(tmp_path):
    """When the database cannot grow, shipping fails whole; with room again the same batch is stored."""
    path = tmp_path / "outcomes.db"
    lake = Lake(f"sqlite:///{path}")
    lake.migrate()
    kept, made = outcome(), [outcome() for _ in range(2000)]
    lake.ship("first", [kept])
    with files_no_larger_than(300_000), pytest.raises(Unavailable):
        lake.ship("second", made)
    assert _all_outcomes(lake) == (kept,)
    assert lake.ship("second", made) == 2000
    assert_sums_are_those_of(lake, "payments", [(item, item.measures) for item in (kept, *made)])
    lake.close()


def test_a_damaged_file_is_told_from_an_absent_one(tmp_path):
    """A file that is no database is damage, which waiting does not heal."""
    path = tmp_path / "outcomes.db"
    path.write_bytes(b"no database at all" * 1000)
    lake = Lake(f"sqlite:///{path}")
    with pytest.raises(Corrupt, match=r"outcomes\.db"):
        lake.migrate()
    lake.close()


def test_a_lake_that_is_busy_for_too_long_is_unavailable(tmp_path):
    """A writer does not wait for another one for ever."""
    url = f"sqlite:///{tmp_path / 'outcomes.db'}"
    lake, other = Lake(url), Lake(url, patience=0.01)
    lake.migrate()
    with lake._database.writing(), pytest.raises(Unavailable):
        other.ship("first", [outcome()])
    assert other.ship("first", [outcome()]) == 1
    lake.close()
    other.close()


def test_a_lake_that_was_never_made_is_unavailable(lake_url):
    """Shipping before migrating fails in plain words."""
    lake = Lake(lake_url)
    with pytest.raises(Unavailable, match=r"outcomes|batches"):
        lake.ship("first", [outcome()])
    lake.close()


def test_the_lake_of_a_newer_vedette_is_left_alone(lake_url, lake):
    """A vedette that does not know the tables refuses them."""
    with lake._database.writing() as connection:
        connection.execute(lake._tables.version.update().values(version=SCHEMA_VERSION + 1))
    older = Lake(lake_url)
    with pytest.raises(Refused, match="upgrade"):
        older.migrate()
    older.close()
