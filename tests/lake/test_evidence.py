"""What the lake answers is what happened, cut as decisions need it."""

from datetime import timedelta

import numpy as np
import pytest
from msgspec import msgpack
from tests.lake.making import CANARY, NOON, STABLE, outcome

from vedette.evidence.arms import NOTHING
from vedette.evidence.histogram import Histogram
from vedette.evidence.summary import Moments
from vedette.kernel.errors import InvalidInput, NotFound
from vedette.lake.evidence import LakeReader
from vedette.lake.rollups import RollupKey, rollup_row, sums_of


def test_cells_are_one_plan_revision_in_one_hour_each(lake):
    """Evidence has a cell for each hour of each revision asked for, in order, with both arms in it."""
    hour_later = NOON + timedelta(hours=1)
    lake.ship(
        "first",
        [
            outcome({"error": 1.0}, plan_revision=8, assigned=CANARY, bucket=5),
            outcome({"error": 0.0}, plan_revision=8, bucket=-1),
            outcome({"error": 0.0}, plan_revision=8, bucket=1023, at=hour_later),
            outcome({"error": 0.0}, plan_revision=9, assigned=CANARY),
            outcome({"error": 0.0}, plan_revision=10),
            outcome({"error": 0.0}, plan_revision=8, assigned="pay-3"),
            outcome({"error": 0.0}, plan_revision=8, domain="legal"),
        ],
    )
    evidence = lake.evidence("payments", canary=CANARY, stable=STABLE, plan_revisions=(9, 8))
    hour = int(NOON.timestamp()) // 3600
    assert [(cell.revision, cell.hour) for cell in evidence.cells] == [(8, hour), (8, hour + 1), (9, hour)]
    assert [(cell.canary.requests, cell.stable.requests) for cell in evidence.cells] == [(1, 1), (0, 1), (1, 0)]
    first, second, _ = evidence.cells
    assert np.flatnonzero(first.canary.of("error").mean).tolist() == [5]
    assert np.flatnonzero(first.stable.of("requests").n).tolist() == [1024]
    assert np.flatnonzero(second.stable.of("requests").n).tolist() == [1023]
    assert evidence.history == NOTHING


def test_quantiles_are_there_for_every_measure(lake):
    """A measure that only this domain has gets a histogram as latency does; what is negative counts as zero in it."""
    lake.ship("first", [outcome({"margin": value}) for value in (-2.0, 5.0, 7.0)])
    cell = lake.evidence("payments", canary=CANARY, stable=STABLE, plan_revisions=[7]).cells[0]
    assert cell.stable.histogram("margin") == Histogram.of([0.0, 5.0, 7.0])
    assert cell.stable.of("margin").mean[3] == pytest.approx(10 / 3)


def test_analysis_is_by_assigned_version(lake):
    """A canary whose request fell back to stable is the canary's outcome."""
    lake.ship("first", [outcome({"error": 0.0, "fallback": 1.0}, assigned=CANARY, served=STABLE)])
    cell = lake.evidence("payments", canary=CANARY, stable=STABLE, plan_revisions=[7]).cells[0]
    assert cell.canary.of("fallback").sum.sum() == 1.0
    assert cell.stable.requests == 0


def test_history_is_what_went_before(lake):
    """History adds up the versions asked for, hours and plans together, and leaves out the attempt's own plans."""
    yesterday = NOON - timedelta(days=1)
    lake.ship(
        "first",
        [
            outcome({"latency_ms": 10.0}, plan_revision=3, at=yesterday, bucket=1),
            outcome({"latency_ms": 30.0}, plan_revision=4, at=NOON - timedelta(hours=2), bucket=1),
            outcome({"latency_ms": 50.0}, plan_revision=4, assigned="pay-0", bucket=2),
            outcome({"latency_ms": 70.0}, plan_revision=4, assigned="pay-9"),
            outcome({"latency_ms": 90.0}, plan_revision=4, at=yesterday - timedelta(hours=1)),
            outcome({"latency_ms": 110.0}, plan_revision=7),
            outcome({"latency_ms": 130.0}, plan_revision=8, at=NOON - timedelta(minutes=1)),
        ],
    )
    history = lake.evidence(
        "payments",
        canary=CANARY,
        stable=STABLE,
        plan_revisions=[7, 8],
        history_versions=[STABLE, "pay-0"],
        history_since=yesterday,
        history_until=NOON,
    ).history
    assert history.requests == 3
    latency = history.of("latency_ms")
    assert (latency.n[1], latency.mean[1], latency.m2[1]) == (2.0, 20.0, 200.0)
    assert (latency.n[2], latency.mean[2], latency.m2[2]) == (1.0, 50.0, 0.0)
    assert history.histogram("latency_ms") == Histogram.of([10.0, 30.0, 50.0])


def test_evidence_of_nothing_is_empty(lake):
    """A domain nobody used has no cells and no history."""
    evidence = lake.evidence(
        "payments",
        canary=CANARY,
        stable=STABLE,
        plan_revisions=[],
        history_versions=[STABLE],
        history_since=NOON,
        history_until=NOON,
    )
    assert evidence.cells == ()
    assert evidence.history.requests == 0


def test_requests_are_counted_by_revision_and_assigned_version(lake):
    """The realised split under each plan revision is there for the sample-ratio check."""
    split = [(7, STABLE, 3), (7, CANARY, 1), (8, STABLE, 2)]
    lake.ship("first", [outcome(plan_revision=r, assigned=v, bucket=n) for r, v, size in split for n in range(size)])
    assert lake.requests_by_revision("payments", [7, 8, 9]) == {7: {STABLE: 3, CANARY: 1}, 8: {STABLE: 2}}


def test_minutes_merge_the_plans_of_a_version(lake):
    """A chart's row is one version in one minute, begin included and end excluded, in the order of time."""
    late = NOON + timedelta(seconds=59)
    lake.ship("first", [outcome({"error": 1.0}, plan_revision=1), outcome({"error": 0.0}, plan_revision=2, at=late)])
    lake.ship("second", [outcome({"error": 0.0}, at=NOON + timedelta(minutes=1)), outcome(assigned=CANARY, at=late)])
    lake.ship("third", [outcome(at=NOON - timedelta(seconds=1)), outcome(at=NOON + timedelta(minutes=2))])
    rows = lake.minutes("payments", NOON, NOON + timedelta(minutes=2))
    next_minute = NOON + timedelta(minutes=1)
    assert [(row.at, row.version) for row in rows] == [(NOON, STABLE), (NOON, CANARY), (next_minute, STABLE)]
    error = rows[0].measures["error"]
    assert (error.n, error.mean, error.m2) == (2.0, 0.5, 0.5)


def test_hours_and_days_of_several_plans_are_their_moments_merged_to_the_last_digit(lake):
    """What a version did under two plans in an hour or a day is the sums of both merged, every digit of them."""
    draw = np.random.default_rng(7)
    for revision in (1, 2):
        measures = [{"latency_ms": draw.lognormal(6, 0.5), "cost": draw.random() / 3} for _ in range(40)]
        for domain in (f"only-{revision}", "both"):
            lake.ship(f"{domain}-{revision}", [outcome(its, domain=domain, plan_revision=revision) for its in measures])
    later = NOON + timedelta(days=1)
    for steps in (lake.hours, lake.days):
        (both,), (first,), (second,) = (steps(name, NOON, later) for name in ("both", "only-1", "only-2"))
        assert both.measures == {name: first.measures[name] + second.measures[name] for name in first.measures}
        assert {*both.measures} == {"requests", "latency_ms", "cost"}
        assert both.measures["cost"].n == 80


def test_sums_are_read_and_written_as_they_always_were():
    """A row is a MessagePack map of measures to arrays of n, mean and centred second moment, in every release."""
    sums = {"requests": (3.0, 1.0, 0.0), "cost": (3.0, 0.1, 0.2)}
    stored = msgpack.encode(sums)
    assert sums_of(stored) == {name: Moments(*figures) for name, figures in sums.items()}
    key = RollupKey("payments", 60, 29_000_000 // 60 * 60, 7, STABLE)
    assert rollup_row(key, sums_of(stored)) == (*key, 3.0, stored)


def test_an_outcome_is_given_as_it_was_recorded(lake):
    """Every field of an outcome comes back, to the microsecond and to the last digit."""
    recorded = outcome(
        {"latency_ms": 0.1 + 0.2, "tokens_in": 12.0}, at=NOON + timedelta(microseconds=1), served=CANARY, bucket=-1
    )
    lake.ship("first", [recorded])
    assert lake.outcome(recorded.id) == recorded


def test_an_outcome_nobody_recorded_is_not_found(lake):
    """Asking for an unknown outcome says so."""
    with pytest.raises(NotFound, match="outcome-of-nobody"):
        lake.outcome("outcome-of-nobody")


def test_paging_gives_each_outcome_once_newest_first(lake):
    """Pages follow each other without gaps or repetitions, also among outcomes of the same moment."""
    made = [outcome(at=NOON + timedelta(seconds=number // 3)) for number in range(10)]
    lake.ship("first", made)
    seen, after = [], ""
    while True:
        page = lake.outcomes("payments", after=after, limit=4)
        seen += page.items
        after = page.after
        if not after:
            break
        lake.ship(f"new after {after}", [outcome(at=NOON + timedelta(hours=1))])
    assert seen == sorted(made, key=lambda item: (item.at, item.id), reverse=True)


def test_outcomes_are_filtered_by_version_and_time(lake):
    """A version and a span of time narrow the outcomes; the end of the span is excluded."""
    wanted = outcome(assigned=CANARY, at=NOON)
    lake.ship("first", [wanted, outcome(at=NOON), outcome(assigned=CANARY, at=NOON + timedelta(minutes=1))])
    lake.ship("second", [outcome(assigned=CANARY, at=NOON - timedelta(microseconds=1)), outcome(domain="legal")])
    page = lake.outcomes("payments", version=CANARY, since=NOON, until=NOON + timedelta(minutes=1))
    assert page.items == (wanted,)


def test_a_made_up_cursor_is_refused(lake):
    """A cursor that no page gave is bad input, not an empty page."""
    with pytest.raises(InvalidInput, match="yesterday"):
        lake.outcomes("payments", after="yesterday")


def test_a_reader_sees_what_another_one_shipped(lake_url, lake):
    """A reader of its own, in another process as far as the database is concerned, sees every shipped batch."""
    lake.ship("first", [outcome()])
    reader = LakeReader(lake_url)
    assert reader.requests_by_revision("payments", [7]) == {7: {STABLE: 1}}
    reader.close()
