"""What looking more than once costs: published inflation, simulated first passages, published additional samples."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vedette.evidence.summary import Moments
from vedette.kernel.errors import InvalidInput
from vedette.stats.effect_mixture import mixture_critical
from vedette.stats.futility import LowConditionalPower
from vedette.stats.group_sequential import RECOMMENDED_WITH_FUTILITY, Design
from vedette.stats.planning import Power
from vedette.stats.power import Distribution, one_mean, two_means
from vedette.stats.power_arms import anova, versus_control
from vedette.stats.power_proportions import two_proportions
from vedette.stats.power_sequential import (
    additional_sample,
    always_valid,
    duration,
    group_sequential,
    relative_standard_error,
)
from vedette.stats.sequential import MeanEstimate, Side
from vedette.stats.spending import Family

# growthbook/growthbook, packages/stats/tests/test_midexperimentpower.py at commit 8f1db44: sums 500 and 525 of 500
# units each, with sums of squares 1500 and 1551.25; a relative effect of .05 is to be found with power .8.
CONTROL = MeanEstimate.of(Moments(500.0, 1.0, 1500.0 - 500.0))
TREATMENT = MeanEstimate.of(Moments(500.0, 1.05, 1551.25 - 525.0**2 / 500.0))
ERROR = relative_standard_error(TREATMENT, CONTROL)


def fixed(**asked) -> Power:
    """A question about two means of standard deviation 1, by z."""
    return two_means(distribution=Distribution.Z, **asked)


def test_growthbook_additional_sample():
    """TestMidExperimentPower: test_calculate_midexperiment_power_freq, _seq, _bayesian, to their bisection's digits."""
    assert additional_sample(standard_error=ERROR, mde=0.05).factor == pytest.approx(25.45703125, rel=1e-4)
    assert additional_sample(standard_error=ERROR, mde=0.05, n=1000).factor == pytest.approx(55.66796875, rel=1e-4)
    bayes = additional_sample(standard_error=ERROR, mde=0.05, prior=(0.05, 0.001))
    assert bayes.factor == pytest.approx(13.9404296875, rel=1e-4)
    assert bayes.convention.startswith("posterior with prior N(0.05, 0.001) against 0 at level 0.05")


def test_additional_sample_that_is_not_needed():
    """Where the sample is large enough already, nothing more must come; more comparisons need more."""
    enough = additional_sample(standard_error=0.01, mde=0.05)
    assert enough.factor == 0.0
    assert enough.power_now > 0.99
    one, three = (additional_sample(standard_error=0.05, mde=-0.05, comparisons=k) for k in (1, 3))
    assert 0.0 < one.factor < three.factor
    plain = (1.959964 + 0.841621) ** 2 - 1.0
    assert one.factor == pytest.approx(plain, rel=1e-4)


def test_group_sequential_size_is_inflated():
    """Rpact 3.3.4: Pocock with five looks at power .9 takes 1.20660320637 times the fixed size, at the last look."""
    question = fixed(effect=0.1, power=0.9)
    plan = group_sequential(question, design=Design(family=Family.POCOCK), information=5)
    assert plan.inflation == pytest.approx(1.20660320637, abs=1e-6)
    assert plan.n == pytest.approx([1.20660320637 * question.n[0]] * 2, rel=1e-6)
    assert plan.power == pytest.approx(0.9)
    assert plan.expected_n < sum(question.n) < plan.n_total
    assert plan.expected_n < plan.expected_n_null
    assert plan.n_by_look[-1] == pytest.approx(plan.n_total, abs=1)
    assert plan.looks is not None
    assert plan.looks.boundary_z == pytest.approx([2.4132] * 5, abs=5e-5)
    assert "pocock" in plan.convention
    assert question.convention in plan.convention


def test_group_sequential_power_at_a_size():
    """At the fixed test's size looks cost power: O'Brien-Fleming with five keeps .789 of .8 and stops after .80."""
    plan = group_sequential(fixed(effect=0.1, n=1569.8), design=Design(family=Family.OBRIEN_FLEMING), information=5)
    assert plan.solved == "power"
    assert plan.power == pytest.approx(0.789, abs=1e-3)
    assert plan.inflation == 1.0
    assert plan.expected_n / sum(plan.n) == pytest.approx(0.80, abs=2e-3)


@pytest.mark.parametrize("side", list(Side))
def test_sides_are_the_question_s(side):
    """The plan takes level and side from the question, whatever the design's."""
    effect = -0.1 if side is Side.LESS else 0.1
    question = two_proportions(control=0.5, effect=effect, power=0.8, alpha=0.01, side=side)
    plan = group_sequential(question, design=RECOMMENDED_WITH_FUTILITY, information=(0.4, 0.8, 1.0))
    assert plan.looks is not None
    assert (plan.looks.design.side, plan.looks.design.alpha) == (side, 0.01)
    assert plan.power == pytest.approx(0.8)
    assert 1.0 < plan.inflation < 1.1
    assert "LowConditionalPower" in plan.convention
    assert always_valid(question).power == pytest.approx(0.8, abs=1e-5)


def test_futility_saves_where_there_is_no_effect():
    """Giving up shortens a test without an effect a good deal."""
    question = fixed(effect=0.1, power=0.8)
    plain = group_sequential(question, design=Design())
    hopeless = group_sequential(question, design=Design(futility=LowConditionalPower(threshold=0.1)))
    assert hopeless.expected_n_null < 0.85 * plain.expected_n_null


def simulated_passages(drift: float, every: int, start: int, horizon: int, tuning: float) -> tuple[float, float]:
    """Part of 3,000 simulated paths that cross upwards, and their mean stopping time."""
    at = np.arange(start, horizon + 1, every, dtype=float)
    level = mixture_critical(at, 0.05, Side.BOTH, tuning) * np.sqrt(at)
    rng, stops, crossed = np.random.default_rng(7), [], 0
    for _ in range(6):
        steps = rng.normal(size=(500, at.size)) * np.sqrt(np.diff(at, prepend=0.0)) + drift * np.diff(at, prepend=0.0)
        score = np.cumsum(steps, axis=1)
        above, out = score >= level, np.abs(score) >= level
        stopped = out.any(axis=1)
        stops.append(np.where(stopped, at[out.argmax(axis=1)], horizon))
        crossed += int((above[np.arange(500), out.argmax(axis=1)] & stopped).sum())
    return crossed / 3000, float(np.mean(stops))


@pytest.mark.parametrize(("every", "start"), [(2, 40), (100, 100)], ids=["each pair", "each hundred"])
def test_always_valid_power_by_simulation(every, start):
    """Computed power and mean stopping time are those of simulated paths, seen after each pair or each hundred."""
    question = fixed(effect=2.8 / math.sqrt(1000), n=2000)
    plan = always_valid(question, tuning=2000, start=start, every=every)
    power, mean = simulated_passages(question.effect / 2, every, start, 4000, 2000)
    assert plan.power == pytest.approx(power, abs=3 * 0.0091 + 0.005)
    assert plan.expected_n == pytest.approx(mean, rel=0.03)


def test_always_valid_size():
    """At the size that is found, an always-valid test has the wanted power: 1.3 to 2 times the fixed test's."""
    question = fixed(effect=0.1, power=0.8)
    plan = always_valid(question, tuning=2000)
    again = always_valid(fixed(effect=0.1, n=plan.n[0]), tuning=2000)
    assert plan.power == pytest.approx(0.8, abs=1e-5)
    assert again.power == pytest.approx(plan.power, abs=1e-6)
    assert 1.3 < plan.inflation < 2.0
    assert plan.expected_n < plan.expected_n_null < plan.n_total
    assert plan.looks is None
    sizes, powers = np.asarray(plan.power_curve).T
    assert (np.diff(sizes) > 0.0).all()
    assert (np.diff(powers) >= 0.0).all()
    assert powers[-1] == plan.power


def test_always_valid_keeps_its_level():
    """Without an effect, it stops in fewer than 5 % of cases, so that hardly anything is saved."""
    plan = always_valid(fixed(effect=0.1, n=5000))
    assert 0.95 * plan.n_total < plan.expected_n_null <= plan.n_total


@settings(deadline=None, max_examples=6)
@given(n=st.floats(300.0, 3000.0), more=st.floats(1.1, 2.0), tuning=st.floats(500.0, 10_000.0))
def test_power_grows_with_size(n, more, tuning):
    """More units never lower the power of a sequential test."""
    less, larger = (always_valid(fixed(effect=0.1, n=size), tuning=tuning, every=20) for size in (n, n * more))
    assert larger.power > less.power
    less, larger = (group_sequential(fixed(effect=0.1, n=size), information=4) for size in (n, n * more))
    assert larger.power > less.power


def test_one_sample_and_unequal_arms():
    """Pairs are their own clock; unequal arms take the balanced size, and their expected size is of both together."""
    pairs = always_valid(one_mean(effect=0.2, n=500, distribution=Distribution.Z), start=20, every=1)
    assert len(pairs.n) == 1
    even = always_valid(fixed(effect=0.2, n=500))
    uneven = always_valid(fixed(effect=0.2, n=375, ratio=2.0))
    assert uneven.power == pytest.approx(even.power, abs=1e-9)
    assert uneven.expected_n == pytest.approx(even.expected_n * 1125 / 1000)


def test_horizon_before_the_first_look():
    """A horizon before the first look is one look at the horizon."""
    plan = always_valid(fixed(effect=1.0, n=10), start=1000)
    assert len(plan.power_curve) == 1
    assert plan.expected_n == 20.0


def test_effects_that_few_looks_show():
    """However large the effect, also where its sample ends before the first look, the size has the wanted power."""
    for effect, start in ((1.2, 60), (3.0, 60), (3.0, 10)):
        plan = always_valid(fixed(effect=effect, power=0.8), start=start)
        assert plan.power == pytest.approx(0.8, abs=2e-3)
    before = always_valid(fixed(effect=4.0, power=0.8), start=60)
    assert before.n_total < 60
    assert len(before.power_curve) == 1


def test_duration():
    """Days are counted through the ramp, and rounded up to days and weeks."""
    got = duration(10_000, 1000, share=0.5, ramp=((2, 0.01), (2, 0.1)))
    assert got.days == pytest.approx(4 + (10_000 - 20 - 200) / 500)
    assert (got.whole_days, got.whole_weeks) == (24, 4)
    assert got.convention.startswith("2 days at 1%, then 2 days at 10%, then 50% of 1000")
    assert duration(5, 1000, ramp=((2, 0.01),)).days == pytest.approx(0.5)
    assert duration(0, 1000).days == 0.0


MISTAKES = {
    "three arms": lambda: group_sequential(versus_control(arms=2, effect=0.1, power=0.8)),
    "an omnibus test": lambda: always_valid(anova(arms=3, effect=0.1, power=0.8)),
    "no looks": lambda: group_sequential(fixed(effect=0.1, power=0.8), information=0),
    "no start": lambda: always_valid(fixed(effect=0.1, power=0.8), start=0.0),
    "no tuning": lambda: always_valid(fixed(effect=0.1, power=0.8), tuning=0.0),
    "out of reach": lambda: always_valid(fixed(effect=1.0, power=0.8), tuning=1e10),
    "no traffic": lambda: duration(100, 0),
    "more than all": lambda: duration(100, 10, share=1.5),
    "no days": lambda: duration(100, 10, ramp=((0, 0.1),)),
    "no sample": lambda: duration(math.nan, 10),
    "no mde": lambda: additional_sample(standard_error=1.0, mde=0.0),
    "no error": lambda: additional_sample(standard_error=0.0, mde=1.0),
    "power 1": lambda: additional_sample(standard_error=1.0, mde=1.0, power=1.0),
    "prior and sequence": lambda: additional_sample(standard_error=1.0, mde=1.0, prior=(0.0, 1.0), n=10),
    "no prior variance": lambda: additional_sample(standard_error=1.0, mde=1.0, prior=(0.0, 0.0)),
    "relative to 0": lambda: relative_standard_error(TREATMENT, MeanEstimate(0.0, 1.0, 10)),
}


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=list(MISTAKES))
def test_mistakes_are_refused(mistake):
    """What cannot be meant is refused, with a hint at what to do."""
    with pytest.raises(InvalidInput) as refused:
        mistake()
    assert refused.value.hint
