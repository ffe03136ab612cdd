"""Plans: published sizes, powers that simulated experiments confirm, and words that say what was assumed."""

import numpy as np
import pytest

from vedette.experiments.analysis import design_of
from vedette.experiments.design import Experiment
from vedette.experiments.metrics import Mean, Proportion, Quantile, Ratio
from vedette.experiments.monitoring import AnytimeValid, Fixed, GroupSequential
from vedette.experiments.planning import plans_table, sizes
from vedette.kernel.errors import InvalidInput
from vedette.stats.effect_mixture import mixture_critical
from vedette.stats.group_sequential import boundaries, equally_spaced
from vedette.stats.multiplicity import Multiplicity
from vedette.stats.sequential import Side

DESIGNS = {"fixed": Fixed(), "group-sequential": GroupSequential(units=1), "anytime": AnytimeValid()}


def asked(arms=2, metric=None, **changes) -> Experiment:
    """An experiment of some arms on a mean, unless another metric is given."""
    return Experiment(**{"variants": [f"v{arm}" for arm in range(arms)], "metrics": [metric or Mean("x")], **changes})


def test_published_sizes():
    """R 4.2.2: power.prop.test(.5, .75, .9) 76.7 an arm, power.t.test(delta 1, sd 1, .9) 22.02; each is rounded up."""
    shares = asked(metric=Proportion("accepted")).plan(mde=0.5, baseline=0.5, power=0.9)
    assert (shares.n_per_arm, shares.n_total) == ((77, 77), 154)
    means = asked().plan(mde=1.0, absolute=True, sd=1.0, power=0.9)
    assert means.n_per_arm == (23, 23)
    assert means.monitoring == Fixed(units=46)
    assert "pooled t test" in means.convention


def simulated(arms: int, effect: float, at: np.ndarray, critical: np.ndarray, runs: int) -> tuple[float, float]:
    """How often the best of some arms is ahead of every other one by the last look, and the units when it is so."""
    draw, steps, won, stopped = np.random.default_rng(5), np.diff(at, prepend=0.0), [], []
    for _ in range(runs // 250):
        sums = np.cumsum(draw.normal(size=(250, arms, at.size)) * np.sqrt(steps), axis=2)
        sums[:, 0] += effect * at
        z = (sums[:, :1] - sums[:, 1:]) / np.sqrt(2.0 * at)
        ahead = np.asarray(np.logical_or.accumulate(z >= critical, axis=2).all(axis=1))
        won.append(ahead[:, -1])
        stopped.append(at[np.where(ahead[:, -1], ahead.argmax(axis=1), at.size - 1)])
    return float(np.mean(won)), float(np.mean(stopped)) * arms


@pytest.mark.parametrize("arms", [2, 4, 10])
@pytest.mark.parametrize("design", DESIGNS)
def test_the_planned_size_has_the_planned_power(arms, design):
    """Simulated experiments of the planned size name the best arm in 80 % of cases, after as many units as planned."""
    found = asked(arms, monitoring=DESIGNS[design]).plan(mde=0.1, absolute=True, sd=1.0)
    size, runs = found.n_total / arms, 4000 if arms < 10 else 2000
    if isinstance(found.monitoring, AnytimeValid):
        at = np.unique(np.round(np.geomspace(20, size, 500)))
        critical = mixture_critical(2.0 * at, 0.05, Side.BOTH, found.monitoring.tune_at)
    elif isinstance(found.monitoring, GroupSequential):
        at = np.array(found.looks) / arms
        critical = np.array(boundaries(design_of(found.monitoring, 0.05), equally_spaced(20)).boundary_z)
    else:
        at, critical = np.array([size]), np.array([1.959964])
    power, mean = simulated(arms, 0.1, at, critical, runs)
    rare_looks = 0.015 if design == "anytime" else 0.0
    assert power == pytest.approx(0.8, abs=3 * np.sqrt(0.16 / runs) + rare_looks)
    assert mean == pytest.approx(found.expected_total, rel=0.04)


def test_an_always_valid_plan_is_tuned_to_itself():
    """The sequence is made for the size it needs: run at that tuning, it has the power by that size, for any effect."""
    for mde in (0.02, 0.1, 0.5):
        found = asked(monitoring=AnytimeValid()).plan(mde=mde, absolute=True, sd=1.0)
        assert isinstance(found.monitoring, AnytimeValid)
        assert found.monitoring.tune_at == pytest.approx(found.n_total, rel=1e-3, abs=2)
        assert 1.35 < found.inflation < 1.5
        assert found.power_curve[-1][1] == pytest.approx(0.8, abs=1e-3)
        assert found.expected_total < found.n_total


def test_looks_cost_little_and_save_much():
    """Twenty looks cost 4 % at the end and save a fifth on average; looking at any time costs 42 % and saves too."""
    plans = {name: asked(monitoring=design).plan(mde=0.05, absolute=True, sd=1.0) for name, design in DESIGNS.items()}
    assert plans["group-sequential"].inflation == pytest.approx(1.039, abs=0.002)
    assert plans["group-sequential"].expected_total / plans["fixed"].n_total == pytest.approx(0.773, abs=0.005)
    assert plans["anytime"].inflation == pytest.approx(1.42, abs=0.02)
    assert plans["anytime"].expected_total / plans["fixed"].n_total == pytest.approx(0.90, abs=0.02)
    assert len(plans["group-sequential"].looks) == 20
    assert plans["group-sequential"].looks[-1] == plans["group-sequential"].n_total
    table = plans_table(list(plans.values()))
    assert [row[0] for row in table.rows] == list(DESIGNS)
    assert table.title == plans["fixed"].sentence


def test_more_arms_ask_for_more():
    """A winner among more arms takes more units in each; the convention says what is planned for."""
    sizes_ = [asked(arms).plan(mde=0.1, absolute=True, sd=1.0).n_per_arm[0] for arms in (2, 3, 5, 20)]
    assert sizes_ == sorted(set(sizes_))
    assert "the best of 4 arms beats all others" in asked(4).plan(mde=0.1, absolute=True, sd=1.0).convention


def test_which_arms_beat_the_control_is_another_question():
    """Against the control the level is the correction's: none asks for least, Dunnett for less than Bonferroni."""
    needed = {
        method: asked(4, multiplicity=Multiplicity(method=method)).plan(
            mde=0.1, absolute=True, sd=1.0, question="control"
        )
        for method in ("none", "dunnett", "holm")
    }
    none, dunnett, holm = (needed[method].n_total for method in ("none", "dunnett", "holm"))
    assert none < dunnett < holm
    assert none == 2 * asked().plan(mde=0.1, absolute=True, sd=1.0).n_total
    assert "alpha / 3" in needed["holm"].convention
    every = asked(4, comparisons="all-pairs").plan(mde=0.1, absolute=True, sd=1.0, question="control")
    assert every.n_total > holm
    assert "alpha / 6" in every.convention


def test_splits_that_are_not_equal():
    """An uneven split takes more in all; each arm gets its share of it."""
    even = asked(weights=(0.5, 0.5)).plan(mde=0.1, absolute=True, sd=1.0)
    uneven = asked(weights=(0.9, 0.1)).plan(mde=0.1, absolute=True, sd=1.0)
    assert uneven.n_total / even.n_total == pytest.approx(0.25 / 0.09, rel=0.01)
    assert uneven.n_per_arm[1] / uneven.n_total == pytest.approx(0.1, rel=0.01)


def test_what_shrinks_or_widens_the_noise():
    """A covariate's part of the variance is saved; clusters multiply what is needed."""
    plain, half, double = (
        asked(metric=Proportion("x")).plan(mde=0.1, baseline=0.3, variance_factor=factor) for factor in (1.0, 0.5, 2.0)
    )
    assert half.n_total == pytest.approx(plain.n_total / 2, abs=2)
    assert double.n_total == pytest.approx(plain.n_total * 2, abs=2)
    assert "variances times 0.5" in half.convention


def test_time_and_direction():
    """Days follow from the traffic that takes part; where less is better the effect is a fall."""
    metric = Ratio("cost", "requests", better="lower")
    found = asked(metric=metric).plan(mde=0.05, baseline=2.0, sd=1.5, units_per_day=1000, coverage=0.5)
    assert (found.effect, found.relative_effect) == pytest.approx((-0.1, -0.05))
    assert found.days == pytest.approx(found.n_total / 500, rel=0.01)
    assert "2 to 1.9" in found.sentence
    assert "days" in found.to_text()
    negative = asked().plan(mde=0.1, baseline=-4.0, sd=1.0)
    assert negative.effect == pytest.approx(0.4)


def test_rates_and_tables_of_sizes():
    """Events are planned by their own convention; a table of sizes falls with the effect and grows with the power."""
    metric = Ratio("errors", "requests", better="lower")
    rate = asked(metric=metric).plan(mde=0.1, baseline=3.0, kind="rate")
    assert "Poisson" in rate.convention
    wider = asked(metric=metric).plan(mde=0.1, baseline=3.0, kind="rate", dispersion=1.0)
    assert wider.n_total > rate.n_total
    looked = asked(monitoring=GroupSequential(units=1))
    found = np.array(sizes(looked, mdes=(0.1, 0.2), powers=(0.8, 0.9), baseline=1, sd=1))
    assert (np.diff(found, axis=0) < 0).all()
    assert (np.diff(found, axis=1) > 0).all()
    exact = looked.plan(mde=0.1, baseline=1, sd=1, power=0.9)
    assert found[0, 1] == pytest.approx(exact.n_total, rel=1e-3)


def test_curves_end_at_the_plan():
    """A power curve passes through the planned size, and never falls."""
    for arms in (2, 4):
        for design in DESIGNS.values():
            found = asked(arms, monitoring=design).plan(mde=0.1, absolute=True, sd=1.0)
            units, power = np.array(found.power_curve).T
            assert np.interp(found.n_total, units, power) == pytest.approx(0.8, abs=5e-3)
            assert (np.diff(power) >= -1e-12).all()
            assert found.to_dict()["monitoring"]["kind"] == found.design


MISTAKES = {
    "no baseline": lambda: asked(metric=Proportion("x")).plan(mde=0.05),
    "no share": lambda: asked(metric=Proportion("x")).plan(mde=0.05, baseline=1.5),
    "beyond all": lambda: asked(metric=Proportion("x")).plan(mde=0.5, baseline=0.9),
    "no sd": lambda: asked().plan(mde=0.05, baseline=1.0),
    "sd of 0": lambda: asked().plan(mde=0.05, baseline=1.0, sd=0.0),
    "relative to 0": lambda: asked().plan(mde=0.05, baseline=0.0, sd=1.0),
    "no effect": lambda: asked().plan(mde=0.0, baseline=1.0, sd=1.0),
    "no noise": lambda: asked().plan(mde=0.1, baseline=1.0, sd=1.0, variance_factor=0.0),
    "a quantile": lambda: asked(metric=Quantile("x")).plan(mde=0.1, baseline=1.0),
    "another question": lambda: asked().plan(mde=0.1, baseline=1.0, sd=1.0, question="why"),
    "power 1": lambda: asked().plan(mde=0.1, baseline=1.0, sd=1.0, power=1.0),
    "no traffic": lambda: asked().plan(mde=0.1, baseline=1.0, sd=1.0, units_per_day=0.0),
    "a table of nothing": lambda: sizes(asked(), mdes=(), powers=(0.8,), baseline=1.0, sd=1.0),
}


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=list(MISTAKES))
def test_mistakes_are_refused(mistake):
    """What cannot be planned is refused, with a hint at what to do."""
    with pytest.raises(InvalidInput) as refused:
        mistake()
    assert refused.value.hint


def test_a_quantile_is_planned_by_its_density():
    """With its standard deviation said, a quantile is planned like a mean."""
    found = asked(metric=Quantile("latency_ms", better="lower")).plan(mde=0.1, baseline=900.0, sd=1500.0, kind="mean")
    assert found.effect == pytest.approx(-90.0)
