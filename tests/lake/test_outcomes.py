"""The lake takes in every outcome once, and its sums are those of the outcomes."""

import itertools
import threading
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.lake.making import (
    CANARY,
    NOON,
    STABLE,
    assert_arms_are_those_of,
    assert_sums_are_those_of,
    exposed,
    outcome,
)

from vedette.evidence.outcome import Feedback, Outcome, OutcomeStatus
from vedette.kernel.errors import InvalidInput
from vedette.lake.outcomes import Lake

_numbers = itertools.count()

_values = st.one_of(st.sampled_from([0.0, 1.0, 1e6 + 0.1]), st.floats(0, 1e4, allow_subnormal=False))
_measures = st.dictionaries(st.sampled_from(["error", "latency_ms", "tokens_out", "margin"]), _values, max_size=4)
_judgements = st.dictionaries(st.sampled_from(["correct", "score", "error"]), _values, min_size=1, max_size=3)
_fields = st.fixed_dictionaries(
    {
        "at": st.integers(0, 3 * 3600).map(lambda seconds: NOON + timedelta(seconds=seconds)),
        "assigned": st.sampled_from([CANARY, STABLE]),
        "plan_revision": st.integers(1, 3),
        "bucket": st.sampled_from([-1, 0, 1, 1023]),
        "status": st.sampled_from(OutcomeStatus),
        "measures": _measures,
        "exposures": st.lists(
            st.builds(exposed, st.sampled_from(["tone", "size", "model"]), st.sampled_from("ab"), st.integers(0, 1)),
            max_size=3,
            unique_by=lambda exposure: exposure.experiment,
        ).map(tuple),
    }
)


@pytest.fixture
def merging_often(monkeypatch):
    """The parts of a cell are merged every few batches, so that small examples merge too."""
    monkeypatch.setattr("vedette.lake.rollups.MOST_PARTS", 3)


def _expected(event: Outcome, judgements: list[dict[str, float]]) -> dict[str, float]:
    own = {} if event.status is OutcomeStatus.CLIENT_CLOSED else event.measures
    late: dict[str, float] = {}
    for judgement in judgements:
        late = {name: value for name, value in judgement.items() if name not in event.measures} | late
    return {**own, **late}


@pytest.mark.usefixtures("merging_often")
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    events=st.lists(st.tuples(_fields, st.lists(_judgements, max_size=2)), min_size=1, max_size=25),
    data=st.data(),
)
def test_sums_equal_the_events_however_they_arrive(lake, events, data):
    """Whatever the order, the batches, the repetitions and the moment feedback comes, sums are those of the events."""
    example = f"example-{next(_numbers)}"
    outcomes = [outcome(**{**fields, "domain": example}) for fields, _ in events]
    sent = data.draw(st.permutations([*outcomes, *data.draw(st.lists(st.sampled_from(outcomes), max_size=10))]))
    steps, position = [], 0
    while position < len(sent):
        size = data.draw(st.integers(1, 8))
        steps.append(("batch", sent[position : position + size]))
        position += size
    for made, (_, judgements) in zip(outcomes, events, strict=True):
        place = data.draw(st.integers(0, len(steps)))
        steps[place:place] = [("feedback", Feedback(outcome_id=made.id, measures=measures)) for measures in judgements]

    stored = 0
    for number, (what, item) in enumerate(steps):
        for _ in range(data.draw(st.integers(1, 2))):
            if what == "batch":
                stored += lake.ship(f"{example}-{number}", item)
            else:
                lake.feedback([item])

    assert stored == len(outcomes)
    counted = [(made, _expected(made, judged)) for made, (_, judged) in zip(outcomes, events, strict=True)]
    assert_sums_are_those_of(lake, example, counted)
    assert_arms_are_those_of(lake, example, counted)


def test_a_large_mean_loses_no_digit_of_the_spread(lake):
    """Values that differ by one beside a mean of 1e9 keep their variance, over any number of batches and merges."""
    made = [outcome({"cost": 1e9 + number % 2}) for number in range(120)]
    for number, single in enumerate(made):
        lake.ship(f"batch-{number}", [single])
    cell = lake.evidence("payments", canary=CANARY, stable=STABLE, plan_revisions=[7]).cells[0]
    assert cell.stable.of("cost").m2[3] == pytest.approx(30.0, rel=1e-6)
    minute = lake.minutes("payments", NOON, NOON + timedelta(minutes=1))[0]
    assert minute.measures["cost"].m2 == pytest.approx(30.0, rel=1e-6)


def test_a_batch_shipped_twice_counts_once(lake):
    """Shipping a batch again, or its outcomes in another batch, adds nothing."""
    made = [outcome() for _ in range(5)]
    assert lake.ship("first", made) == 5
    assert lake.ship("first", made) == 0
    assert lake.ship("second", [*made, outcome()]) == 1
    assert lake.requests_by_revision("payments", [7]) == {7: {STABLE: 6}}


def test_an_outcome_twice_in_one_batch_counts_once(lake):
    """The first of two outcomes of one id stands."""
    twice = outcome({"error": 1.0})
    assert lake.ship("first", [twice, outcome({"error": 0.0}, id=twice.id)]) == 1
    assert lake.outcome(twice.id) == twice


def test_two_shippers_at_once_count_once(lake_url, lake):
    """Two processes that ship the same outcomes in different batches at the same time store each of them once."""
    made = [outcome(at=NOON + timedelta(seconds=number)) for number in range(400)]
    batches = [made[start : start + 40] for start in range(0, 400, 40)]
    started = threading.Barrier(3)
    stored: list[int] = []

    def ship(name, mine):
        own = Lake(lake_url)
        started.wait()
        stored.extend(own.ship(f"{name}-{number}", batch) for number, batch in enumerate(mine))
        own.close()

    shippers = [
        threading.Thread(target=ship, args=("forward", batches)),
        threading.Thread(target=ship, args=("backward", [batch[::-1] for batch in batches[::-1]])),
        threading.Thread(target=ship, args=("odd", [made[5:300], made[200:400]])),
    ]
    for shipper in shippers:
        shipper.start()
    for shipper in shippers:
        shipper.join()

    assert len(stored) == 22
    assert sum(stored) == 400
    assert_sums_are_those_of(lake, "payments", [(event, event.measures) for event in made])


def test_feedback_that_races_its_outcome_is_joined(lake_url, lake):
    """Feedback sent while its outcome is being shipped is joined, whoever of the two is first."""
    made = [outcome() for _ in range(60)]
    started = threading.Barrier(2)

    def judge():
        own = Lake(lake_url)
        started.wait()
        for event in made:
            own.feedback([Feedback(outcome_id=event.id, measures={"correct": 1.0})])
        own.close()

    judging = threading.Thread(target=judge)
    judging.start()
    started.wait()
    for number, event in enumerate(made):
        lake.ship(f"batch-{number}", [event])
    judging.join()

    assert_sums_are_those_of(lake, "payments", [(event, {**event.measures, "correct": 1.0}) for event in made])


def test_feedback_says_what_became_of_it(lake):
    """Each item is accepted, a duplicate, or of an outcome not known yet, and the first judgement stands."""
    known, later = outcome({"error": 0.0}), outcome()
    lake.ship("first", [known])
    right = Feedback(outcome_id=known.id, measures={"correct": 1.0})
    result = lake.feedback(
        [
            right,
            right,
            Feedback(outcome_id=known.id, measures={"correct": 0.0, "error": 1.0}),
            Feedback(outcome_id=later.id, measures={"correct": 0.5}),
            Feedback(outcome_id=later.id, measures={"correct": 0.6}),
        ]
    )
    assert (result.accepted, result.duplicate, result.unknown) == (1, 2, (later.id,))
    assert lake.outcome(known.id).measures == {"error": 0.0, "correct": 1.0}
    lake.ship("second", [later])
    assert lake.outcome(later.id).measures["correct"] == 0.5
    assert lake.feedback([Feedback(outcome_id=later.id, measures={"correct": 0.7})]).duplicate == 1


def test_feedback_counts_where_its_outcome_happened(lake):
    """A judgement days later counts under the plan revision, in the hour and the bucket of its outcome."""
    early = outcome({"error": 0.0}, plan_revision=2, bucket=9, at=NOON - timedelta(days=3))
    later = outcome(plan_revision=8)
    lake.ship("first", [early])
    lake.ship("second", [later])
    lake.feedback([Feedback(outcome_id=early.id, measures={"correct": 1.0})])
    counted = [(early, {"error": 0.0, "correct": 1.0}), (later, later.measures)]
    assert_sums_are_those_of(lake, "payments", counted)


def test_a_client_that_left_is_a_request_and_nothing_else(lake):
    """An outcome whose client closed is exposure; what was measured until then is kept but not counted."""
    left = outcome({"error": 1.0, "latency_ms": 9.0}, status=OutcomeStatus.CLIENT_CLOSED)
    lake.ship("first", [left])
    assert_sums_are_those_of(lake, "payments", [(left, {})])
    assert lake.outcome(left.id).measures == {"error": 1.0, "latency_ms": 9.0}


@pytest.mark.parametrize(
    "wrong",
    [
        {"measures": {"latency_ms": -1.0}},
        {"measures": {"error": float("nan")}},
        {"measures": {"error": float("inf")}},
        {"measures": {"cost": 1e200}},
        {"measures": {"requests": 2.0}},
        {"measures": {"Not a name": 1.0}},
        {"bucket": 1024},
        {"plan_revision": -1},
        {"plan_revision": 2**40},
        {"at": NOON.replace(tzinfo=None)},
        {"id": ""},
        {"id": "null\x00byte"},
        {"domain": "lone \ud800 surrogate"},
        {"exposures": (exposed(arm=""),)},
        {"exposures": (exposed("a\nb"),)},
        {"exposures": (exposed(epoch=-1),)},
        {"exposures": (exposed(epoch=2**40),)},
        {"exposures": (exposed(arm="a"), exposed(arm="b"))},
        {"exposures": tuple(exposed(f"x{number}") for number in range(65))},
        {"dimensions": {"x-country": ""}},
        {"dimensions": {"x-country": "D\x00"}},
        {"dimensions": {"x-country": "D" * 65}},
        {"dimensions": {f"x-{number}": "y" for number in range(65)}},
    ],
)
def test_what_cannot_be_counted_is_refused_whole(local_lake, wrong):
    """One outcome that cannot be counted refuses its batch, and nothing of it is stored."""
    with pytest.raises(InvalidInput):
        local_lake.ship("first", [outcome(), outcome(**wrong)])
    assert local_lake.outcomes("payments").items == ()
    assert local_lake.ship("first", [outcome()]) == 1


@pytest.mark.parametrize("wrong", [{}, {"correct": float("nan")}, {"requests": 1.0}])
def test_feedback_that_cannot_be_counted_is_refused_whole(local_lake, wrong):
    """One item that cannot be counted refuses them all."""
    known = outcome()
    local_lake.ship("first", [known])
    good = Feedback(outcome_id=known.id, measures={"correct": 1.0})
    with pytest.raises(InvalidInput):
        local_lake.feedback([good, Feedback(outcome_id=known.id, measures=wrong)])
    assert "correct" not in local_lake.outcome(known.id).measures


def test_more_than_a_batch_at_once_is_refused(local_lake):
    """A batch has a largest size, so that no transaction is without bounds."""
    with pytest.raises(InvalidInput, match="5000 at a time"):
        local_lake.ship("first", [outcome()] * 5_001)
