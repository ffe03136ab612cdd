"""No worse than, and as good as: margins on both scales, agreement of p and interval, and type-I error."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from vedette.kernel.errors import InvalidInput
from vedette.stats.cautions import Caution
from vedette.stats.proportion_intervals import Counts, normal_p_value
from vedette.stats.proportion_margins import Scale, equivalence, non_inferiority
from vedette.stats.proportion_scores import difference_score, ratio_score
from vedette.stats.proportions import DifferenceMethod, difference
from vedette.stats.sequential import Side


@st.composite
def arms(draw):
    """Draw two arms of at least one trial each."""
    sizes = [draw(st.integers(1, 200)) for _ in range(2)]
    return [Counts(draw(st.integers(0, size)), size) for size in sizes]


@settings(max_examples=60)
@given(arms(), st.floats(0.01, 0.5), st.sampled_from([Side.GREATER, Side.LESS]), st.sampled_from(Scale), st.booleans())
def test_non_inferiority_agrees_with_its_interval(pair, margin, better, scale, corrected):
    """P ≤ alpha exactly when the one-sided interval is clear of the margin, on both scales and both directions."""
    got = non_inferiority(*pair, margin=margin, better=better, scale=scale, corrected=corrected)
    if got.p_value is None:
        assert Caution.NO_VARIANCE in got.warnings
        return
    assert got.null is not None
    end = got.low if better is Side.GREATER else got.high
    if end != pytest.approx(got.null, abs=1e-7):
        clear = end is not None and (end > got.null if better is Side.GREATER else end < got.null)
        assert clear == (got.p_value <= 0.025)


@settings(max_examples=60)
@given(arms(), st.sampled_from([(Scale.DIFFERENCE, (-0.1, 0.1)), (Scale.RATIO, (0.8, 1.25))]))
def test_equivalence_agrees_with_its_interval(pair, question):
    """P ≤ alpha exactly when the interval at 1 - 2 alpha lies between the margins."""
    scale, between = question
    got = equivalence(*pair, between=between, scale=scale)
    if got.p_value is None:
        assert Caution.NO_VARIANCE in got.warnings
        return
    inside = got.low is not None and got.high is not None and between[0] < got.low and got.high < between[1]
    if got.p_value != pytest.approx(0.05, abs=1e-7):
        assert inside == (got.p_value <= 0.05)


def test_fewer_is_better_mirrors_more_is_better():
    """Counting failures with `better=LESS` gives the p-value of counting successes with `better=GREATER`."""
    more = non_inferiority(Counts(83, 100), Counts(85, 100), margin=0.1)
    fewer = non_inferiority(Counts(17, 100), Counts(15, 100), margin=0.1, better=Side.LESS)
    assert more.p_value == pytest.approx(fewer.p_value, rel=1e-9)
    assert (more.null, fewer.null) == (-0.1, 0.1)


def test_a_margin_of_nothing_is_the_plain_one_sided_test():
    """Without a margin non-inferiority is superiority, and Farrington and Manning's is the pooled z-test."""
    pair = Counts(60, 100), Counts(45, 100)
    got = non_inferiority(*pair, margin=0.0, corrected=False)
    plain = difference(*pair, side=Side.GREATER, alpha=0.025, method=DifferenceMethod.FARRINGTON_MANNING)
    assert got == plain
    pooled = 0.15 / np.sqrt(0.525 * 0.475 * 0.02)
    assert got.p_value == pytest.approx(stats.norm.sf(pooled), rel=1e-12)


@pytest.mark.parametrize("scale", Scale)
def test_exact_level_of_non_inferiority(scale):
    """At the margin, summed over all outcomes of 80 an arm, a one-sided .025 test misleads with 1.5 to 3.3 %."""
    n, control = 80, 0.7
    treatment, null = (0.6, -0.1) if scale is Scale.DIFFERENCE else (0.63, 0.9)
    x, y = np.meshgrid(np.arange(n + 1), np.arange(n + 1), indexing="ij")
    score = difference_score if scale is Scale.DIFFERENCE else ratio_score
    p = normal_p_value(score(Counts(x, n), Counts(y, n), null, corrected=True), Side.GREATER)
    weight = stats.binom.pmf(x, n, treatment) * stats.binom.pmf(y, n, control)
    assert 0.015 < weight[p <= 0.025].sum() < 0.033


def test_an_empty_arm_is_no_worse_and_no_better():
    """Without trials there is no p-value, and the warning says why."""
    got = equivalence(Counts(0, 0), Counts(5, 9), between=(-0.1, 0.1))
    assert (got.p_value, got.warnings) == (None, (Caution.EMPTY_ARM,))


def test_impossible_margins_are_refused():
    """A negative margin, no direction, and margins on one side of no difference raise."""
    pair = Counts(5, 10), Counts(5, 10)
    with pytest.raises(InvalidInput, match="without a sign"):
        non_inferiority(*pair, margin=-0.1)
    with pytest.raises(InvalidInput, match="not both"):
        non_inferiority(*pair, margin=0.1, better=Side.BOTH)
    with pytest.raises(InvalidInput, match="both sides of 1"):
        equivalence(*pair, between=(0.5, 0.9), scale=Scale.RATIO)
