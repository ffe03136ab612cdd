"""Layers and experiments that could not be served as they were meant are refused; places are given out exactly."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.routing.plans import layer, running

from vedette.kernel.errors import InvalidInput
from vedette.routing.layers import PLACES, ArmSlice, Stretch, reserve, slices_of
from vedette.routing.override import Override


@pytest.mark.parametrize(("begin", "end"), [(-1, 5), (5, 5), (7, 5), (0, PLACES + 1)])
def test_a_stretch_lies_within_the_layer(begin, end):
    """A stretch is neither empty nor outside of the million places."""
    with pytest.raises(InvalidInput, match="stretch"):
        Stretch(begin=begin, end=end)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"slices": (ArmSlice(arm="control", begin=0, end=6), ArmSlice(arm="control", begin=5, end=9))}, "overlap"),
        ({"slices": (ArmSlice(arm="control", begin=0, end=PLACES + 1),)}, "overlap"),
        ({"slices": (ArmSlice(arm="other", begin=0, end=5),)}, "lacks the override of other"),
        ({"name": "x, y"}, "cannot name a running experiment"),
        ({"overrides": {"control": Override(), "treatment": Override(), "a, b": Override()}}, "cannot name a variant"),
        ({"exposed": PLACES + 1}, "exposes 1000001 of the 1000000 places"),
        ({"exposed": -1}, "exposes -1"),
        ({"dimensions": ("x-country", "authorization")}, "authorization cannot be a dimension"),
    ],
)
def test_an_experiment_that_cannot_run_is_refused(fields, said):
    """Overlapping arms, unknown arms, names that break a header, impossible exposure and secrets are refused."""
    with pytest.raises(InvalidInput, match=said):
        running(**fields)


def test_two_experiments_never_hold_the_same_places():
    """A layer whose experiments overlap is refused, by one place already."""
    one = running("a", stretches=(Stretch(begin=0, end=500),), exposed=0)
    two = running("b", stretches=(Stretch(begin=499, end=600),), exposed=0)
    with pytest.raises(InvalidInput, match="same places of layer 'prompts'"):
        layer(one, two)


@given(st.lists(st.integers(0, 400_000), max_size=8))
def test_reserved_places_are_free_and_as_many_as_asked_for(sizes):
    """Whatever was taken before, what is reserved is free, of the size asked for, and refused only when too much."""
    taken: list[Stretch] = []
    free = PLACES
    for size in sizes:
        found = reserve(taken, size)
        if found is None:
            assert size > free
            continue
        assert sum(part.end - part.begin for part in found) == size
        assert size <= free
        taken += found
        free -= size
    ordered = sorted(taken, key=lambda part: part.begin)
    assert all(one.end <= two.begin for one, two in itertools.pairwise(ordered))


@pytest.mark.parametrize("weights", [{}, {"a": 0.0}, {"a": -1.0, "b": 2.0}, {"a": float("nan")}, {"a": float("inf")}])
def test_weights_that_are_none_are_refused(weights):
    """Weights are numbers of 0 or more, and not all of them 0."""
    with pytest.raises(InvalidInput, match="weights"):
        slices_of(weights)


@given(
    st.dictionaries(st.sampled_from("abcdefgh"), st.floats(0, 1e6), min_size=1).filter(lambda w: sum(w.values()) > 0)
)
def test_slices_cover_the_space_of_arms(weights):
    """Arms lie end to end over all the million places, in their order, and one without weight has none."""
    slices = slices_of(weights)
    assert (slices[0].begin, slices[-1].end) == (0, PLACES)
    assert all(one.end == two.begin for one, two in itertools.pairwise(slices))
    assert not {piece.arm for piece in slices} & {name for name, weight in weights.items() if not weight}
