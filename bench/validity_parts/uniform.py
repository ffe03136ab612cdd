"""Intervals of all looks together, and checks of the split: is the truth ever outside, is a fair split blamed?"""

from collections.abc import Mapping

import numpy as np
from bench.validity_parts.figures import ALPHA, PLANNED
from bench.validity_parts.kinds import Kind
from bench.validity_parts.peeking import TUNE_AT
from bench.validity_rules.pair import Claims, Looks, judged, running
from bench.validity_rules.planned import sizes

from vedette.experiments.analysis import design_of
from vedette.experiments.monitoring import GroupSequential
from vedette.stats.contrasts import Contrasts, SequenceRule
from vedette.stats.group_sequential import equally_spaced
from vedette.stats.look_rule import LookRule
from vedette.stats.srm import Split, clustered_check, fixed_check, sequential_check

FIRST = 20
EFFECT = 0.2
SPLIT = (0.5, 0.3, 0.2)
_BATCH = 50


def ever_outside(made: Contrasts, shape: tuple[int, ...], truth: float, *, relative: bool) -> Claims:
    """Say of each run whether the truth was outside the interval at any look."""
    low, high = (made.relative_low, made.relative_high) if relative else (made.low, made.high)
    with np.errstate(invalid="ignore"):
        outside = (low > truth) | (high < truth)
    return np.asarray(outside.reshape(shape).any(axis=1))


def _looks(draw: np.random.Generator, runs: int) -> Looks:
    """Draw skewed values with mean 1 in the control and an effect of a fifth of it."""
    values = draw.standard_gamma(2.0, (2, runs, PLANNED)) / 2.0
    values[1] += EFFECT
    return running(values, FIRST)


def _sequence(draw: np.random.Generator, runs: int, *, relative: bool) -> Claims:
    held = []
    for start in range(0, runs, _BATCH):
        looks = _looks(draw, min(_BATCH, runs - start))
        made = judged(looks, SequenceRule(alpha=ALPHA, tuning=TUNE_AT))
        held.append(~ever_outside(made, looks.effect.shape, EFFECT, relative=relative))
    return np.concatenate(held)


def sequence(draw: np.random.Generator, runs: int) -> Claims:
    """The confidence sequence of a difference, at every look from 20 to 5000 units an arm."""
    return _sequence(draw, runs, relative=False)


def relative_sequence(draw: np.random.Generator, runs: int) -> Claims:
    """The same of the relative effect."""
    return _sequence(draw, runs, relative=True)


def repeated(draw: np.random.Generator, runs: int) -> Claims:
    """The repeated interval at all looks of the default design."""
    plan = GroupSequential(units=2 * PLANNED)
    design, fractions = design_of(plan, ALPHA), equally_spaced(plan.looks)
    outside = np.zeros(runs, bool)
    for start in range(0, runs, _BATCH):
        batch = slice(start, min(start + _BATCH, runs))
        looks = _looks(draw, batch.stop - start)
        for place, size in enumerate(sizes(plan.looks, PLANNED)):
            rule = LookRule(design=design, information=fractions[: place + 1], final=place + 1 == plan.looks)
            made = judged(looks.at(np.array([size])), rule)
            outside[batch] |= ever_outside(made, (batch.stop - start, 1), EFFECT, relative=False)
    return ~outside


def fair_split_once(draw: np.random.Generator, runs: int) -> Claims:
    """A fair split of 2000 units over three arms is not blamed at 5 % (chi-square)."""
    counts = draw.multinomial(2000, SPLIT, runs)
    return np.array([fixed_check(Split(row, SPLIT)).p_value > ALPHA for row in counts.tolist()])


def fair_split_always(draw: np.random.Generator, runs: int) -> Claims:
    """A fair split is never blamed at 5 % at any of 100 looks (Dirichlet-multinomial)."""
    counts = draw.multinomial(100, SPLIT, (runs, 100)).cumsum(axis=1)
    return np.array(
        [all(sequential_check([Split(look, SPLIT)]).p_value > ALPHA for look in run) for run in counts.tolist()]
    )


def fair_clustered_split(draw: np.random.Generator, runs: int) -> Claims:
    """A fair split of sticky users whose traffic differs is never blamed at 5 % at any of ten looks."""
    held = []
    for _ in range(runs):
        arm = draw.choice(3, 600, p=SPLIT)
        rate = draw.pareto(2.2, 600) + 0.2
        seen, fair = np.zeros((600, 3)), True
        for _look in range(10):
            seen[np.arange(600), arm] += draw.poisson(rate)
            fair &= clustered_check(seen, SPLIT).p_value > ALPHA
        held.append(fair)
    return np.array(held)


UNIFORM: Mapping[str, Kind] = {
    "confidence sequence, all looks": sequence,
    "relative confidence sequence, all looks": relative_sequence,
    "repeated interval, all planned looks": repeated,
    "fair split, once": fair_split_once,
    "fair split, 100 looks": fair_split_always,
    "fair split of sticky users, 10 looks": fair_clustered_split,
}
"""Every promise about all looks together."""
