"""Assignment is sticky, monotone, exact, and the same in every process: semantics 20 to 22 and acceptance 7."""

import json
import os
import subprocess
import sys
from math import sqrt
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kstest
from tests.routing.plans import compiled

from vedette.routing.plan import FULL, millionths

UNITS = [f"user-{number}" for number in range(50_000)]
RAMP = [10_000, 100_000, 500_000, 1_000_000]
VECTORS = json.loads((Path(__file__).parents[2] / "docs/reference/assignment-vectors.json").read_text("utf-8"))


def exposed(weight: int | None, units: list[str] = UNITS, salt: str = "salt-1") -> set[str]:
    """Give the units that see the canary at a weight."""
    chosen = compiled(weight, salt=salt)
    return {unit for unit in units if chosen.choose(unit).arm == "canary"}


def test_published_vectors_hold():
    """Each published unit sees the canary from exactly the published weight on."""
    for vector in VECTORS["assignments"]:
        domain, salt, unit, begins = (vector[key] for key in ("domain", "salt", "unit", "canaryFrom"))
        arms = [compiled(w, domain=domain, salt=salt).choose(unit).arm for w in (begins - 1, begins, FULL)]
        assert arms == ["stable", "canary", "canary"]


def test_20_growing_a_weight_moves_nobody_back():
    """50,000 units through 1 → 10 → 50 → 100 %: none flips back, and realised shares are within binomial error."""
    before: set[str] = set()
    for weight in RAMP:
        now = exposed(weight)
        share = weight / FULL
        assert before <= now
        assert abs(len(now) - share * len(UNITS)) <= 4 * sqrt(len(UNITS) * share * (1 - share))
        before = now
    assert len(before) == len(UNITS)


@given(st.text(), st.integers(0, FULL), st.integers(0, FULL))
def test_20_every_unit_is_monotone_in_the_weight(unit, one, other):
    """Whatever the unit and the two weights: who sees the canary at the lower one sees it at the higher one."""
    low, high = sorted((one, other))
    if compiled(low).choose(unit).arm == "canary":
        assert compiled(high).choose(unit).arm == "canary"


def test_20_rollback_returns_everyone_and_a_retry_begins_with_the_same():
    """At weight 0, and without a canary, everybody sees stable; the same salt exposes the same units again."""
    assert exposed(0) == set()
    assert exposed(None) == set()
    assert exposed(50_000) == exposed(50_000)


def test_20_another_rollout_begins_with_other_people():
    """Two salts expose groups that overlap as much as chance makes them, not more."""
    one, two = exposed(100_000), exposed(100_000, salt="salt-2")
    both = len(one & two) / len(UNITS)
    assert both == pytest.approx(0.01, abs=0.005)  # buckets, not units, are drawn: some 102 of 1,024


def test_21_a_bucket_stays_the_units_own():
    """A unit keeps its bucket through weights and rollouts, so that its past can be compared with its present."""
    choices = [[compiled(weight, salt=salt).choose(u) for u in UNITS[:500]] for weight in RAMP for salt in ("a", "b")]
    assert len({tuple(choice.bucket for choice in chosen) for chosen in choices}) == 1


def test_21_canary_is_a_prefix_of_the_ranks():
    """Whole buckets are exposed in the order of their ranks, and only the one on the edge is split."""
    chosen = [compiled(123_456).choose(unit) for unit in UNITS]
    by_rank: dict[int, set[str]] = {}
    for choice in chosen:
        by_rank.setdefault(choice.rank, set()).add(choice.arm)
    edge = 123_456 * 1024 // FULL
    assert {rank for rank, arms in by_rank.items() if arms == {"canary"}} == set(range(edge))
    assert [rank for rank, arms in by_rank.items() if len(arms) == 2] == [edge]


def test_22_small_weights_are_exact():
    """Within the first bucket exposure grows uniformly, so weights down to 0.0001 % get their share."""
    plan = compiled(1)
    first = [unit for number in range(400_000) if plan.choose(unit := f"u{number}").rank == 0]
    arms = [compiled(weight) for weight in range(1, 978)]
    begins = [next(w for w, arm in enumerate(arms, 1) if arm.choose(unit).arm == "canary") for unit in first]
    assert len(first) == pytest.approx(400_000 / 1024, rel=0.2)
    assert max(begins) <= 977  # 1,000,000 / 1,024 millionths are one whole bucket
    assert kstest([begin / 977 for begin in begins], "uniform").pvalue > 0.001


@pytest.mark.parametrize("weight", [100, 10_000, 250_000, 999_900])
def test_22_shares_are_those_asked_for(weight):
    """The share of a minority is the weight itself, not a function of it (a fault of score-times-uniform hashing)."""
    share = weight / FULL
    units = [f"{weight}/{number}" for number in range(100_000)]
    assert len(exposed(weight, units)) == pytest.approx(share * 1e5, abs=4 * sqrt(share * (1 - share) * 1e5) + 1)


def test_22_another_process_chooses_the_same():
    """After a restart, and with another PYTHONHASHSEED, every unit sees the version it saw."""
    program = (
        "import sys; sys.path.insert(0, '.')\n"
        "from tests.routing.plans import compiled\n"
        "print([n for n in range(5000) if compiled(123_456).choose(f'user-{n}').arm == 'canary'])"
    )
    mine = sorted(int(unit.removeprefix("user-")) for unit in exposed(123_456, UNITS[:5000]))
    for seed in ("1", "2"):
        answer = subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed},
            cwd=Path(__file__).parents[2],
            capture_output=True,
            text=True,
            check=True,
        )
        assert json.loads(answer.stdout) == mine


@given(st.floats(0, 1, exclude_max=True), st.integers(0, FULL))
def test_request_without_unit_is_assigned_by_its_draw(draw, weight):
    """A draw below the weight sees the canary, any other stable; neither has a bucket."""
    choice = compiled(weight).choose_at_random(draw)
    assert choice.arm == ("canary" if draw * FULL < weight else "stable")
    assert (choice.bucket, choice.rank) == (-1, -1)


@given(st.integers(0, FULL))
def test_millionths_are_exact(weight):
    """Percent to the resolution of weights become millionths without rounding errors."""
    assert millionths(weight / 10_000) == weight
