"""Verdicts: which is weightiest, and sentences that can be acted on."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.experiments.verdict import STATUSES, Breach, Standing, Status, conclude, established

ARMS = ("base", "a", "b")
WON = (("a", "base"), ("a", "b"))
HARM = Breach(arm="b", metric="errors", harm=0.42, margin=0.1, p_value=1e-6)


@pytest.mark.parametrize(
    ("settled", "standing", "more", "status"),
    [
        (WON, Standing(broken_split="it is", missing="much", finished=True), {"breaches": (HARM,)}, "guardrail_breach"),
        (WON, Standing(broken_split="it is", missing="much", finished=True), {}, "invalid_srm"),
        (WON, Standing(missing="much", finished=True), {}, "insufficient"),
        (WON, Standing(finished=True, hopeless=True), {}, "winner"),
        ((), Standing(finished=True, hopeless=True), {}, "tied"),
        ((), Standing(), {"same": True}, "tied"),
        ((), Standing(hopeless=True), {}, "stop_futility"),
        ((), Standing(), {}, "continue"),
    ],
)
def test_the_weightiest_thing_known_is_the_verdict(settled, standing, more, status):
    """Harm outranks a broken split, that outranks too little, and only then the pairs are heard."""
    verdict = conclude(ARMS, "accepted", settled, standing, **more)
    assert verdict.status == status
    assert verdict.status in STATUSES
    assert verdict.sentence.endswith(".")
    assert verdict.winner == ("a" if status == "winner" else "")


def test_sentences_say_what_to_do():
    """Each sentence names the arms, the metric and what follows."""
    harm = conclude(ARMS, "accepted", (), Standing(), breaches=(HARM,)).sentence
    assert harm == "b makes errors 42 % worse (10 % tolerated): take it out."
    going = conclude(ARMS, "accepted", (("a", "b"),), Standing(waiting="60 % are there")).sentence
    assert going == "base and a cannot be told apart in accepted yet; b can be dropped; 60 % are there."
    won = conclude(ARMS, "accepted", WON, Standing(), lead="+3 % over base").sentence
    assert won == "a beats all 2 other arms in accepted: +3 % over base."


pairs = st.lists(st.tuples(st.sampled_from(ARMS), st.sampled_from(ARMS)).filter(lambda it: it[0] != it[1]), max_size=8)


@given(pairs, pairs)
def test_what_was_settled_stays_and_contradictions_settle_nothing(before, now):
    """Everything said and never contradicted stays; a pair said both ways is in neither."""
    found = established(ARMS, before, now)
    said = {*before, *now}
    assert set(found) == {pair for pair in said if pair[::-1] not in said}
    assert len(found) == len(set(found))


@given(pairs)
def test_at_most_one_arm_wins_and_never_a_beaten_one(settled):
    """Whatever was settled, a winner beats all others, is beaten by none, and is alone in the tied set."""
    verdict = conclude(ARMS, "accepted", established(ARMS, (), settled), Standing())
    if verdict.winner:
        assert verdict.tied == (verdict.winner,)
        assert {worse for better, worse in verdict.established if better == verdict.winner} == {*ARMS} - {
            verdict.winner
        }


def test_arms_that_are_gone_are_not_spoken_of():
    """Pairs of an arm that was taken out no longer count."""
    assert established(("base", "a"), WON, ()) == (("a", "base"),)


def test_many_tied_arms_are_listed_shortly():
    """A sentence names six arms at most."""
    arms = tuple(f"arm-{number}" for number in range(20))
    assert "15 more" in conclude(arms, "x", (), Standing()).sentence
    assert Status.CONTINUE in STATUSES
