"""What arms of experiments did, as the lake keeps it and as it is cut when somebody asks."""

from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pytest
from msgspec import msgpack
from tests.lake.making import (
    CANARY,
    NOON,
    STABLE,
    assert_arms_are_those_of,
    assert_sums_are_those_of,
    cluster,
    exposed,
    outcome,
)

from vedette.evidence.arms import ArmSums
from vedette.evidence.histogram import Histogram
from vedette.evidence.outcome import Feedback, Outcome, OutcomeStatus
from vedette.kernel.errors import InvalidInput
from vedette.lake.evidence import LakeReader
from vedette.lake.experiments import OTHERS
from vedette.lake.outcomes import Lake
from vedette.lake.retention import Retention

A, B = exposed(arm="a"), exposed(arm="b")
DAY, HOUR = timedelta(days=1), timedelta(hours=1)


def mean(sums: ArmSums, measure: str) -> float:
    """The mean of a measure over all buckets."""
    return sums.of(measure).pooled().mean


def test_arms_are_kept_by_epoch(lake):
    """Requests count for the arm and the epoch they were exposed under, and for no other experiment."""
    lake.ship(
        "first",
        [
            outcome({"score": 1.0}, exposures=(A,)),
            outcome({"score": 3.0}, exposures=(A, exposed("size", "small"))),
            outcome({"score": 5.0}, exposures=(B,)),
            outcome({"score": 7.0}, exposures=(exposed(arm="a", epoch=1),)),
            outcome({"score": 9.0}),
            outcome({"score": 11.0}, exposures=(A,), domain="legal"),
        ],
    )
    evidence = lake.experiment("payments", "tone")
    assert list(evidence.epochs) == [0, 1]
    assert evidence.arms == ("a", "b")
    assert [mean(evidence.epochs[0][arm], "score") for arm in "ab"] == [2.0, 5.0]
    assert mean(evidence.epochs[1]["a"], "score") == 7.0
    assert evidence.epochs[0]["a"].histogram("score") == Histogram.of([1.0, 3.0])
    assert lake.exposed_requests("payments", "tone") == {0: {"a": 2, "b": 1}, 1: {"a": 1}}
    assert lake.experiment("payments", "size").requests == {0: {"small": 1}}


def test_an_experiment_nobody_saw_has_no_epochs(lake):
    """Evidence of nothing is empty, not zero."""
    assert lake.experiment("payments", "tone").epochs == {}
    assert lake.exposed_requests("payments", "tone") == {}
    assert list(lake.experiment_hours("payments", "tone")) == []
    assert lake.by_dimension("payments", "tone", "x-country") == {}
    assert lake.overlap("payments", "tone", "size") == {}


def test_requests_without_a_unit_are_clusters_of_their_own(lake):
    """Every request of an arm is in one of the 1,024 buckets: without a unit, in one by its id."""
    made = [outcome({"score": float(n)}, exposures=(A,), bucket=-1) for n in range(200)]
    lake.ship("first", made)
    sums = lake.experiment("payments", "tone").epochs[0]["a"].of("requests")
    assert (sums.n.sum(), sums.n[1024]) == (200.0, 0.0)
    assert set(np.flatnonzero(sums.n)) == {cluster(event) for event in made}
    assert np.count_nonzero(sums.n) > 100
    assert_arms_are_those_of(lake, "payments", [(event, event.measures) for event in made])


def test_ten_experiments_count_a_request_each(lake):
    """A request in ten experiments counts in full for each of them, over batches and merges."""
    names = [f"x{number}" for number in range(10)]
    made = [
        outcome(
            {"error": float(n % 3 == 0), "latency_ms": 10.0 + n},
            exposures=tuple(exposed(name, "ab"[(n >> place) & 1]) for place, name in enumerate(names)),
            bucket=n % 40 - 1,
            at=NOON + timedelta(minutes=n),
        )
        for n in range(150)
    ]
    for start in range(0, 150, 3):
        lake.ship(f"batch-{start}", made[start : start + 3])
    assert_arms_are_those_of(lake, "payments", [(event, event.measures) for event in made])


def test_late_feedback_counts_for_every_arm(lake):
    """A judgement days later joins the arms its outcome was exposed to, in their hour and bucket, once."""
    early = outcome({"error": 0.0}, exposures=(A, exposed("size")), at=NOON - 3 * DAY, bucket=9)
    lake.ship("first", [early])
    judged = Feedback(outcome_id=early.id, measures={"correct": 1.0})
    lake.feedback([judged])
    lake.feedback([judged])
    assert_arms_are_those_of(lake, "payments", [(early, {"error": 0.0, "correct": 1.0})])
    (hour,) = lake.experiment_hours("payments", "size")
    assert hour.arms["treatment"].of("correct").n[9] == 1.0


def test_hours_and_until_cut_time(lake):
    """Hours come in order with the epoch and the arms of each; ``until`` leaves out what came from its hour on."""
    lake.ship("first", [outcome(exposures=(A,), at=NOON + n * HOUR) for n in range(4)])
    lake.ship("second", [outcome(exposures=(exposed(arm="b", epoch=1),), at=NOON + 3 * HOUR)])
    noon = int(NOON.timestamp()) // 3600
    found = [
        (hour.hour - noon, hour.epoch, {name: sums.requests for name, sums in hour.arms.items()})
        for hour in lake.experiment_hours("payments", "tone", since=NOON + HOUR)
    ]
    assert found == [(1, 0, {"a": 1}), (2, 0, {"a": 1}), (3, 0, {"a": 1}), (3, 1, {"b": 1})]
    until = NOON + 2 * HOUR + timedelta(minutes=59)
    assert lake.experiment("payments", "tone", until=until).requests == {0: {"a": 2}}
    assert [hour.hour - noon for hour in lake.experiment_hours("payments", "tone", until=until)] == [0, 1]


def _in(country: str | None, score: float, **fields: Any) -> Outcome:
    dimensions = {"x-country": country} if country else {}
    return outcome({"score": score}, dimensions=dimensions, **{"exposures": (A,), **fields})


def test_dimensions_cut_the_evidence(lake):
    """Values of a dimension have their own evidence, by epoch and arm; where it was not said it is ""."""
    lake.ship(
        "first",
        [
            _in("DE", 1.0),
            _in("DE", 2.0, exposures=(B,)),
            _in("FR", 3.0, exposures=(exposed(arm="a", epoch=1),)),
            _in(None, 4.0, bucket=-1),
            _in("DE", 5.0, exposures=(exposed("size"),)),
            _in("DE", 6.0, exposures=()),
            _in("DE", 7.0, domain="legal"),
        ],
    )
    cut = lake.by_dimension("payments", "tone", "x-country")
    assert {value: evidence.requests for value, evidence in cut.items()} == {
        "": {0: {"a": 1}},
        "DE": {0: {"a": 1, "b": 1}},
        "FR": {1: {"a": 1}},
    }
    assert mean(cut["DE"].epochs[0]["b"], "score") == 2.0
    assert lake.by_dimension("payments", "tone", "x-other")[""].requests == lake.exposed_requests("payments", "tone")


def test_cuts_of_a_dimension_add_up_to_the_evidence(lake, monkeypatch):
    """Over all values, cuts add up to what the sums of arms say, late judgements included."""
    monkeypatch.setattr("vedette.lake.experiments.MOST_VALUES", 3)
    made = [
        _in(f"c{n % 5}", float(n), exposures=((A, B)[n % 2],), bucket=n % 9 - 1, at=NOON + n * HOUR) for n in range(60)
    ]
    left = outcome({"error": 1.0, "latency_ms": 5.0}, exposures=(A,), status=OutcomeStatus.CLIENT_CLOSED)
    lake.ship("first", [*made, left])
    lake.feedback([Feedback(outcome_id=each.id, measures={"correct": 1.0}) for each in (*made[::4], left)])
    cut = lake.by_dimension("payments", "tone", "x-country")
    assert list(cut) == [OTHERS, "c2", "c3", "c4"]
    total = cut.pop(OTHERS)
    for evidence in cut.values():
        total += evidence
    whole = lake.experiment("payments", "tone")
    assert total.requests == whole.requests
    for arm, sums in whole.epochs[0].items():
        assert total.epochs[0][arm].histograms == sums.histograms
        assert total.epochs[0][arm].measures.keys() == sums.measures.keys()
        for name in sums.measures:
            for mine, its in zip(_parts(total.epochs[0][arm], name), _parts(sums, name), strict=True):
                np.testing.assert_allclose(mine, its, rtol=1e-9, atol=1e-9)


def _parts(sums: ArmSums, name: str) -> tuple[np.ndarray, ...]:
    moments = sums.of(name)
    return moments.n, moments.mean, moments.m2


def test_a_cut_takes_the_newest_outcomes(lake):
    """A limit counts the newest outcomes the experiment had, and passes over those of others."""
    lake.ship("first", [_in("DE", float(n), at=NOON + n * HOUR) for n in range(5)])
    lake.ship("second", [outcome(at=NOON + 9 * HOUR), outcome(at=NOON + 9 * HOUR, exposures=(exposed("size"),))])
    cut = lake.by_dimension("payments", "tone", "x-country", limit=2)
    assert mean(cut["DE"].epochs[0]["a"], "score") == 3.5
    assert cut["DE"].requests == {0: {"a": 2}}


@pytest.mark.parametrize("name", ["50%", "a_b", 'say "hi"', "a\\b", "a/b", "Łódź"])
def test_any_name_finds_its_own_outcomes(lake, name):
    """Whatever signs an experiment's id has, a cut finds its outcomes, not those of one that looks alike."""
    lookalikes = ["501", "axb", "tone", name.upper(), name + "x"]
    made = [outcome(exposures=(exposed(other, arm=name),)) for other in lookalikes if other != name]
    lake.ship("first", [outcome(exposures=(exposed(name),)), *made])
    assert lake.by_dimension("payments", name, "x-country")[""].requests == {0: {"treatment": 1}}


def test_overlap_is_by_both_arms_in_the_newest_epochs(lake):
    """Requests that two experiments had are cut by both arms; older epochs and requests of one only are left out."""
    small, large = exposed("size", "small", 2), exposed("size", "large", 2)
    older = exposed("size", "large", 1)
    lake.ship(
        "first",
        [
            outcome({"score": 1.0}, exposures=(A, small)),
            outcome({"score": 3.0}, exposures=(small, A)),
            outcome({"score": 5.0}, exposures=(A, large)),
            outcome({"score": 7.0}, exposures=(B, large)),
            outcome({"score": 9.0}, exposures=(B, older), at=NOON - HOUR),
            outcome({"score": 11.0}, exposures=(B,)),
        ],
    )
    found = lake.overlap("payments", "tone", "size")
    assert {arms: mean(sums, "score") for arms, sums in found.items()} == {
        ("a", "large"): 5.0,
        ("a", "small"): 2.0,
        ("b", "large"): 7.0,
    }
    assert found["a", "small"].requests == 2
    assert set(lake.overlap("payments", "size", "tone")) == {("large", "a"), ("small", "a"), ("large", "b")}
    with pytest.raises(InvalidInput, match="itself"):
        lake.overlap("payments", "tone", "tone")


def test_versions_that_experiments_decided_are_no_evidence_of_a_rollout(lake):
    """Requests of plan revision 0 are in no cell, no history and no count by revision, even when they are asked for."""
    decided = [
        outcome({"error": 1.0}, plan_revision=0, assigned=version, exposures=(A,), at=at)
        for version in (CANARY, STABLE)
        for at in (NOON, NOON - DAY)
    ]
    counted = [outcome({"error": 0.0}, plan_revision=7), outcome({"error": 0.0}, plan_revision=3, at=NOON - DAY)]
    lake.ship("first", [*decided, *counted])
    evidence = lake.evidence(
        "payments",
        canary=CANARY,
        stable=STABLE,
        plan_revisions=[0, 7],
        history_versions=[STABLE, CANARY],
        history_since=NOON - 2 * DAY,
        history_until=NOON,
    )
    assert [cell.revision for cell in evidence.cells] == [7]
    assert (evidence.cells[0].canary.requests, evidence.cells[0].stable.requests) == (0, 1)
    assert (evidence.history.requests, evidence.history.of("error").sum.sum()) == (1, 0.0)
    assert lake.requests_by_revision("payments", [0, 7]) == {7: {STABLE: 1}}
    assert lake.exposed_requests("payments", "tone") == {0: {"a": 4}}
    minutes = lake.minutes("payments", NOON, NOON + HOUR)
    assert sum(row.measures["requests"].n for row in minutes) == 3.0


def _ship_hours(lake: Lake, days: int) -> list[Outcome]:
    made = [
        outcome({"score": float(n)}, exposures=((A, B)[n % 2], exposed("size", epoch=n % 3)), bucket=n % 7, at=at)
        for n in range(24 * days)
        for at in [NOON.replace(hour=0) - days * DAY + n * HOUR]
    ]
    lake.ship("hours", made)
    return made


def _hours(lake: LakeReader) -> list[int]:
    return sorted({hour.hour for hour in lake.experiment_hours("payments", "tone")})


def test_hours_of_days_gone_by_are_merged(lake):
    """After two days the hours of a day become one entry at its beginning; every sum stays as it was."""
    made = _ship_hours(lake, 5)
    counted: list[tuple[Outcome, dict[str, float]]] = [(event, dict(event.measures)) for event in made]
    assert_arms_are_those_of(lake, "payments", counted)
    first = _hours(lake)[0]
    lake.prune(NOON)
    assert _hours(lake) == [first, first + 24, first + 48, *range(first + 72, first + 120)]
    assert_arms_are_those_of(lake, "payments", counted)
    lake.feedback([Feedback(outcome_id=made[30].id, measures={"correct": 1.0})])
    counted[30][1]["correct"] = 1.0
    assert_arms_are_those_of(lake, "payments", counted)
    lake.prune(NOON)
    assert len(_hours(lake)) == 3 + 48
    assert_arms_are_those_of(lake, "payments", counted)
    assert_sums_are_those_of(lake, "payments", counted)


def test_sums_of_arms_are_kept_as_long_as_other_bucket_sums(lake):
    """What is older than bucket sums are kept goes, a merged day not before its last hour is due."""
    _ship_hours(lake, 5)
    lake.prune(NOON)
    first = _hours(lake)[0]
    kept = Retention(outcomes=DAY, bucket_sums=3 * DAY, minute_sums=3 * DAY)
    lake.prune(NOON, kept)
    assert _hours(lake)[0] == first + 48, "its last hour is younger than three days"
    lake.prune(NOON + 12 * HOUR, kept)
    assert _hours(lake)[0] == first + 72


def test_erasing_a_domain_erases_its_experiments(lake):
    """Nothing of an erased domain's experiments is left, and nothing of any other is lost."""
    lake.ship("first", [outcome(exposures=(A,)), outcome(exposures=(A,), domain="legal")])
    lake.erase("payments")
    assert lake.experiment("payments", "tone").epochs == {}
    assert lake.experiment("legal", "tone").requests == {0: {"a": 1}}


def test_exposures_and_dimensions_come_back_as_they_were_recorded(lake):
    """An outcome keeps its exposures in their order and its dimensions, whatever signs they have."""
    recorded = outcome(
        exposures=(exposed('say "hi"', "Łódź", 3), A), dimensions={"x-country": "DE", "user": '渋谷 "quoted"'}
    )
    lake.ship("first", [recorded])
    assert lake.outcome(recorded.id) == recorded


def test_outcomes_journalled_before_experiments_are_read():
    """A record an older gateway left in its journal has no exposures, and is whole."""
    now = outcome()
    old = {name: getattr(now, name) for name in now.__dataclass_fields__ if name not in {"exposures", "dimensions"}}
    assert msgpack.decode(msgpack.encode(old), type=Outcome) == now


def test_until_of_a_time_before_everything_is_empty(lake):
    """A cut before the first request has seen nothing."""
    lake.ship("first", [outcome(exposures=(A,))])
    assert lake.experiment("payments", "tone", until=datetime(2000, 1, 1, tzinfo=NOON.tzinfo)).epochs == {}
