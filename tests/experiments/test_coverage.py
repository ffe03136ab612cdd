"""Statistical promises, kept by simulation with fixed seeds: error rates at all looks, power, and coverage."""

import numpy as np
import pytest
from bench.validity_parts import arms, peeking, power
from bench.validity_parts.figures import ALPHA, D80, PLANNED, joined, share
from bench.validity_parts.kinds import KINDS
from bench.validity_parts.live import OURS, POOLED, WORLDS, chunk
from bench.validity_parts.uniform import UNIFORM
from bench.validity_rules import several
from bench.validity_rules.planned import sizes

from vedette.experiments.analysis import design_of
from vedette.stats.group_sequential import boundaries, equally_spaced, operate

SLOW = frozenset(name for name in KINDS if "simultaneous" in name or "clusters" in name)
CAUTIOUS = frozenset({"relative, Fieller, control near 0", "simultaneous, Bonferroni", "paired, 15 topics"})


def near(held, wanted, errors=3.0):
    """Whether a share is a figure, within its Monte-Carlo error."""
    figure = share(held)
    return abs(figure.value - wanted) <= errors * np.sqrt(wanted * (1 - wanted) / np.size(held))


def at_most(happened, wanted, errors=2.0):
    """Whether a share is at most a figure, within its Monte-Carlo error."""
    return np.mean(happened) <= wanted + errors * np.sqrt(wanted * (1 - wanted) / np.size(happened))


@pytest.mark.parametrize("name", KINDS)
def test_intervals_hold_the_truth_in_95_of_100_data_sets(name):
    """Each kind of interval of a single analysis covers as it says, simultaneous ones jointly."""
    runs = 200 if name in SLOW else 800
    held = KINDS[name](np.random.default_rng(11), runs)
    assert held.shape == (runs,)
    assert near(held, 0.95) or (name in CAUTIOUS and held.mean() >= 0.95)


@pytest.mark.parametrize("name", UNIFORM)
def test_intervals_of_all_looks_hold_together(name):
    """Sequences and repeated intervals hold the truth at all looks at once; a fair split is hardly ever blamed."""
    held = UNIFORM[name](np.random.default_rng(12), 200)
    assert at_most(~held, ALPHA)


@pytest.mark.parametrize("population", range(len(peeking.POPULATIONS)), ids=[it.name for it in peeking.POPULATIONS])
def test_looking_after_every_pair_of_users_costs_no_false_alarms(population):
    """At any look, on both scales, equal arms differ in 5 % of experiments at most; by a peeked t, in many."""
    found = peeking.chunk(population, 200, 13)
    for name in ("vedette AnytimeValid, absolute", "vedette AnytimeValid, relative"):
        assert at_most(found[name], ALPHA)
    assert at_most(found["vedette GroupSequential, default"], ALPHA)
    assert found["Welch's t at every look (most tools)"].mean() > 0.2


def test_an_experiment_without_an_end_finds_what_it_was_planned_for():
    """Tuned at the planned size, it finds a fixed test's effect by then in 57 of 100, by twice that in 87."""
    stops = joined([power.chunk(25, seed)["vedette AnytimeValid, tune_at = N, absolute"] for seed in range(16)])
    assert np.mean(stops <= PLANNED) >= 0.57
    assert np.mean(stops <= 2 * PLANNED) >= 0.87


def test_planned_looks_cost_little_power_and_save_a_quarter():
    """The default design loses less than two points to a fixed test of power 0.8, and stops after 3/4 on average."""
    plan = peeking.default_design()
    known = operate(boundaries(design_of(plan, ALPHA), equally_spaced(plan.looks)), float(power.DRIFT))
    assert known.power >= 0.78
    assert known.expected_fraction <= 0.76


@pytest.mark.parametrize("means", [(0, 0, 0, 0), (D80, D80, 0, 0), (1, 1, 0, 0)])
def test_a_winner_that_is_none_is_rare(means):
    """With equal arms, or two tied for the best by however much, planned looks declare a winner in 5 % at most."""
    plan = peeking.default_design()
    draw = np.random.default_rng(14)
    seen = several.simulated(draw, np.array(means, float), 600, every=250, first=250, last=PLANNED)
    declared, _ = several.ours(seen, arms.look_rules(design_of(plan, ALPHA), plan.looks))
    assert at_most(declared >= 0, ALPHA)


def test_the_best_of_four_arms_is_found():
    """Planned looks find an arm that is better by 1.5 times a fixed test's effect in 95 of 100, and no other."""
    plan = peeking.default_design()
    draw = np.random.default_rng(15)
    seen = several.simulated(draw, np.array([0, 0, 1.5 * D80, 0]), 600, every=250, first=250, last=PLANNED)
    declared, look = several.ours(
        seen.at(sizes(plan.looks, PLANNED)), arms.look_rules(design_of(plan, ALPHA), plan.looks)
    )
    assert set(np.unique(declared)) <= {-1, 2}
    assert np.mean(declared == 2) >= 0.95
    assert np.minimum(look, plan.looks - 1).mean() < 0.7 * plan.looks


@pytest.mark.parametrize("world", WORLDS[:3], ids=[world.name for world in WORLDS[:3]])
def test_live_traffic_under_a_bandit_keeps_its_promise(world):
    """Sticky users, a level that drifts and a split that moves mislead pooled means, and ours in 5 % at most."""
    found = chunk(world, 20, 16)
    assert at_most(found[OURS][1], ALPHA)
    assert found[POOLED][1].mean() > 0.25
