"""Looks of a planned design: p-values and intervals turn significant together, and are the design's own."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.stats.group_sequential import Design, boundaries
from vedette.stats.group_sequential_inference import sequential_p_value
from vedette.stats.look_rule import LookRule
from vedette.stats.sequential import Side
from vedette.stats.spending import Family

INFINITE = np.array([np.inf])


def _p(rule, z, df=np.inf):
    return float(rule.p_value(np.array([z]), np.array([df]), INFINITE)[0])


@given(st.floats(-7, 7), st.sampled_from(list(Side)), st.sampled_from([np.inf, 12.0]))
def test_p_value_and_boundary_turn_significant_together(z, side, df):
    """The p-value is alpha or less exactly when the z-score is at the boundary or beyond, on each side."""
    rule = LookRule(design=Design(family=Family.POWER, parameter=2.0, side=side), information=(0.3, 0.6))
    level = float(rule.critical(np.array([df]), INFINITE)[0])
    signed = {Side.GREATER: z, Side.LESS: -z, Side.BOTH: abs(z)}[side]
    if abs(signed - level) > 1e-6:
        assert (_p(rule, z, df) <= 0.05) == (signed > level)


@pytest.mark.parametrize("z", [1.0, 2.0, 3.0, 4.5])
def test_p_value_is_the_smallest_alpha_that_rejects_at_this_look(z):
    """The repeated p-value is the level at which this look's boundary is the z-score."""
    design = Design(family=Family.LAN_DEMETS_OBRIEN_FLEMING)
    rule = LookRule(design=design, information=(0.5, 0.75, 1.0), final=True)
    exact = sequential_p_value(design, (0.5, 0.75, 1.0), (0.0, 0.0, z), maximum=1.0, final=True)
    assert _p(rule, z) == pytest.approx(exact, rel=0.002)


def test_boundary_is_the_designs():
    """The critical value is the newest boundary of the design at these looks."""
    design = Design(family=Family.POWER, parameter=2.0)
    rule = LookRule(design=design, information=(0.25, 0.5))
    assert rule.boundary == boundaries(design, (0.25, 0.5), maximum=1.0).boundary_z[-1]


def test_far_out_p_values_keep_falling():
    """Beyond the grid p-values go on falling as the normal tail does, never to 0."""
    rule = LookRule(design=Design(), information=(0.5,))
    assert 0 < _p(rule, 16.0) < _p(rule, 14.0) < _p(rule, 12.0) < 1e-12
    assert np.isnan(_p(rule, float("nan")))
