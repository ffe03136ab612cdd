"""The lake forgets in time, each kind of thing in its own."""

from datetime import UTC, datetime, timedelta

import pytest
from tests.lake.making import CANARY, NOON, STABLE, assert_sums_are_those_of, outcome

from vedette.evidence.outcome import Feedback, Outcome
from vedette.kernel.errors import InvalidInput, NotFound
from vedette.lake.outcomes import Lake
from vedette.lake.retention import Retention


def _ages(lake: Lake) -> dict[int, Outcome]:
    made = {days: outcome(at=NOON - timedelta(days=days)) for days in (0, 29, 31, 89, 91, 399, 401)}
    lake.ship("all", list(made.values()))
    return made


def _kept(lake: Lake) -> tuple[int, int, int]:
    cells = lake.evidence("payments", canary=CANARY, stable=STABLE, plan_revisions=[7]).cells
    rows = lake.minutes("payments", NOON - timedelta(days=999), NOON + timedelta(days=1))
    return len(lake.outcomes("payments").items), len(cells), len(rows)


def test_outcomes_go_first_then_bucket_sums_then_minutes(lake):
    """By default outcomes are kept for 30 days, their sums by bucket for 90 and their sums by minute for 400."""
    _ages(lake)
    assert _kept(lake) == (7, 7, 7)
    assert lake.prune(NOON) == 5
    assert _kept(lake) == (2, 4, 6)


def test_pruning_again_changes_nothing(lake):
    """What is young enough stays, however often old things are dropped, and goes on counting."""
    made = _ages(lake)
    lake.prune(NOON)
    assert lake.prune(NOON) == 0
    lake.feedback([Feedback(outcome_id=made[29].id, measures={"correct": 1.0})])
    assert lake.outcome(made[29].id).measures["correct"] == 1.0


def test_a_batch_that_comes_again_after_its_outcomes_are_gone_counts_nothing(lake):
    """A batch is remembered for longer than its outcomes, so shipping it again cannot count them twice."""
    made = [outcome(at=NOON - timedelta(days=31))]
    lake.ship("old", made)
    assert lake.prune(NOON) == 1
    assert lake.ship("old", made) == 0
    assert_sums_are_those_of(lake, "payments", [(made[0], made[0].measures)])


def test_what_is_remembered_counts_once_however_old_and_in_whatever_batches(lake):
    """History that was brought, and dropped for its age, counts nothing when it comes again, cut another way."""
    made = [outcome(at=NOON - timedelta(days=days)) for days in (2, 31, 40, 60)]
    assert lake.ship("first", made[:3], remember=True) == 3
    assert lake.prune(NOON) == 2
    assert lake.ship("second", made, remember=True) == 1
    assert lake.ship("third", [made[3], made[1]], remember=True) == 0
    assert_sums_are_those_of(lake, "payments", [(each, each.measures) for each in made])


def test_what_was_shipped_before_it_was_to_be_remembered_still_counts_once(lake):
    """An outcome that is there already counts nothing, and from then on it is remembered as well."""
    made = [outcome(at=NOON - timedelta(days=20))]
    assert lake.ship("live", made) == 1
    assert lake.ship("brought", made, remember=True) == 0
    assert lake.prune(NOON + timedelta(days=20)) == 1
    assert lake.ship("again", made, remember=True) == 0
    assert_sums_are_those_of(lake, "payments", [(made[0], made[0].measures)])


def test_what_is_remembered_is_forgotten_with_its_domain_and_with_its_sums(lake):
    """An erased domain takes the same history anew, and so does one whose last sums were dropped."""
    made = [outcome(at=NOON - timedelta(days=31))]
    lake.ship("first", made, remember=True)
    lake.erase("payments")
    assert lake.ship("second", made, remember=True) == 1
    lake.prune(datetime.now(UTC) + timedelta(days=1831))
    assert lake.ship("third", made, remember=True) == 1


def test_feedback_waits_for_its_outcome_for_a_day(lake):
    """Feedback on an outcome that never comes is dropped, and one that comes later starts afresh."""
    late = outcome({"error": 0.0})
    lake.feedback([Feedback(outcome_id=late.id, measures={"correct": 1.0})])
    lake.prune(datetime.now(UTC) + timedelta(hours=25))
    lake.ship("first", [late])
    assert lake.outcome(late.id).measures == {"error": 0.0}


def test_erasing_a_domain_leaves_the_others(lake):
    """Everything of the domain is gone, and nothing of any other; the name can be used afresh."""
    gone, stays = outcome(), outcome(domain="legal")
    lake.ship("first", [gone, stays])
    lake.erase("payments")
    assert _kept(lake) == (0, 0, 0)
    with pytest.raises(NotFound):
        lake.outcome(gone.id)
    assert_sums_are_those_of(lake, "legal", [(stays, stays.measures)])
    again = outcome()
    lake.ship("second", [again])
    assert_sums_are_those_of(lake, "payments", [(again, again.measures)])


def test_of_a_batch_only_what_is_old_goes(lake):
    """Batches in the spool lose their old outcomes and keep the others; what is gone may come again and counts anew."""
    batches = [[outcome(at=NOON - timedelta(days=31 * (n % 2))) for n in range(7)] for _ in range(3)]
    for number, batch in enumerate(batches):
        lake.ship(f"batch-{number}", batch)
    assert lake.prune(NOON) == 9
    young = [item for batch in batches for item in batch[::2]]
    assert sorted(item.id for item in lake.outcomes("payments").items) == [item.id for item in young]
    assert lake.ship("again", [item for batch in batches for item in batch]) == 9


def test_sums_must_outlive_outcomes():
    """A retention under which late feedback would find its sums gone is refused."""
    with pytest.raises(InvalidInput, match="sums"):
        Retention(outcomes=timedelta(days=100))


def test_outcomes_are_kept_for_a_day_at_least():
    """Minutes written where days were meant are refused before anything is dropped."""
    with pytest.raises(InvalidInput, match="thirty minutes"):
        Retention(outcomes=timedelta(minutes=30))


def test_a_shorter_retention_is_kept_to(lake):
    """Whoever operates the lake chooses how long things stay."""
    _ages(lake)
    day = timedelta(days=1)
    lake.prune(NOON, Retention(outcomes=day, bucket_sums=day, minute_sums=day))
    assert _kept(lake) == (1, 1, 1)


def test_opening_a_lake_again_finds_everything(lake_url, lake):
    """Migrating a lake that is there changes nothing in it."""
    kept = outcome()
    lake.ship("first", [kept])
    lake.close()
    again = Lake(lake_url)
    again.migrate()
    assert again.outcome(kept.id) == kept
    again.close()
