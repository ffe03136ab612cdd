"""Two replicas and a gateway outlast an outage by themselves, each doing its share once."""

from collections import Counter

import pytest
from tests import standby
from tests.database.replicas import DOMAINS, LOOPS, NAMES, STEPS, outlast

from vedette.kernel.records import evolve
from vedette.rollouts.machine import Phase

_THREADS = [f"{name}-{loop}" for name in NAMES for loop in LOOPS]


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    """What was seen."""
    with standby.pair() as pair:
        yield outlast(pair, tmp_path_factory.mktemp("replicas"))


def test_requests_are_answered_all_along_and_their_outcomes_arrive_once(seen):
    """Each answer of every time is one outcome in the end, the sums count as many, and all of them are sealed."""
    assert all({status for status, _ in seen.answers[time]} == {200} for time in ("before", "headless", "after"))
    answered = [request for time in seen.answers.values() for _, request in time]
    stored = Counter(it.id for it in seen.stored)
    assert set(stored.values()) == {1}
    assert set(stored) == set(answered)
    assert seen.counted == len(answered)
    assert set(seen.other) == {200}
    assert seen.sealed == len(answered) + len(seen.other)


def test_no_file_is_left_that_nobody_lists(seen):
    """Of two sealers that were cut off and took turns, the files that are listed are those there are."""
    there, listed = seen.files
    assert there == listed
    assert there


@pytest.mark.parametrize("thread", _THREADS)
def test_every_loop_comes_back_and_tells_of_the_outage_in_three_lines(seen, thread):
    """It says when failing begins, a minute later that it lasts, and, once and for all, that it is over."""
    told = [line for line in seen.told(thread, "WARNING") if "the evidence of" not in line]  # cut off in a look
    assert len(told) == 2, told
    begins, lasts = told
    assert "failed and is tried again: " in begins
    assert "has failed for " in lasts
    over = [line for line in seen.told(thread, "INFO") if "succeeds again" in line and "the evidence of" not in line]
    assert len(over) == 1


def test_the_gateway_tells_of_the_outage_when_it_begins_and_when_it_is_over(seen):
    """Plans and outcomes each have one line for either, however often they were tried."""
    told = [(it.levelname, it.getMessage()) for it in seen.log if it.name == "vedette.gateway"]
    for what in ("asking for plans", "shipping outcomes"):
        assert [level for level, line in told if line.startswith(what)] == ["WARNING", "INFO"], what


def test_each_lease_is_held_by_one_replica(seen):
    """Who has one knows it, and no other believes to; one that changed hands, and back perhaps, has a higher epoch."""
    assert seen.holders
    assert all(sum(believing) == 1 for believing in seen.holders)
    assert len(seen.before) == len(DOMAINS)
    assert len({lease.holder for lease in seen.before.values()}) == len(NAMES)
    for name, before in seen.before.items():
        after = seen.after[name]
        assert after.epoch > before.epoch or after == evolve(before, held=after.held)


def test_both_rollouts_end_as_they_were_told_each_step_taken_once(seen):
    """What is promoted after is promoted, by whoever holds it; the record is whole and tells each thing once."""
    assert seen.phases == [Phase.PROMOTED] * len(DOMAINS)
    assert seen.faults == ()
    once = ("rollout.create", "rollout.start", "rollout.promote")
    for domain in DOMAINS:
        count = Counter(seen.actions[domain])
        assert [count[action] for action in once] == [1, 1, 1]
        assert (count["rollout.confirm"], count["rollout.advance"]) == (len(STEPS), len(STEPS))
