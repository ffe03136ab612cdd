"""Omnibus tests: published figures, other tools' figures, size under unequal variances, and what is undefined."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from vedette.kernel.errors import InvalidInput
from vedette.stats.cautions import Caution
from vedette.stats.omnibus import alexander_govern, anova, kruskal_wallis, wald, welch_anova

# R datasets::PlantGrowth.
CTRL = [4.17, 5.58, 5.18, 6.11, 4.50, 4.61, 5.17, 4.53, 5.33, 5.14]
TRT1 = [4.81, 4.17, 4.41, 3.59, 5.87, 3.83, 6.03, 4.89, 4.32, 4.69]
TRT2 = [6.31, 5.12, 5.54, 5.50, 5.37, 5.29, 4.92, 6.15, 5.80, 5.26]
PLANTS = (CTRL, TRT1, TRT2)


def moments(samples):
    """Counts, means and unbiased variances."""
    return tuple(np.array([f(sample) for sample in samples]) for f in (len, np.mean, lambda s: np.var(s, ddof=1)))


def test_anova_of_plant_growth():
    """R 4.2.2 aov(weight ~ group, PlantGrowth): F = 4.846 on 2 and 27 degrees of freedom, p = .01591."""
    got = anova(*moments(PLANTS))
    assert got.statistic == pytest.approx(4.846088, abs=1e-6)
    assert (got.df_between, got.df_within) == (2, 27)
    assert got.p_value == pytest.approx(0.01591, abs=1e-5)


def test_welch_anova_of_plant_growth():
    """R 4.2.2 oneway.test(weight ~ group, PlantGrowth): F = 5.18097, denominator df 17.12843, p = .01739."""
    got = welch_anova(*moments(PLANTS))
    assert (got.statistic, got.df_within, got.p_value) == pytest.approx(
        (5.18097240811, 17.1284186166, 0.0173928214902), abs=1e-8
    )


def test_scipy_agrees_from_raw_values():
    """ANOVA, Alexander-Govern and Kruskal-Wallis give what scipy gives from the raw values."""
    f, ag, kruskal = stats.f_oneway(*PLANTS), stats.alexandergovern(*PLANTS), stats.kruskal(*PLANTS)
    for got, expected in (
        (anova(*moments(PLANTS)), f),
        (alexander_govern(*moments(PLANTS)), ag),
        (kruskal_wallis(PLANTS), kruskal),
    ):
        assert (got.statistic, got.p_value) == pytest.approx((expected.statistic, expected.pvalue), rel=1e-12)


def test_two_arms_are_a_t_test():
    """With two arms Welch's F is the square of Welch's t, and ANOVA's that of the pooled t, with the same p-values."""
    for test, equal in ((anova, True), (welch_anova, False)):
        t = stats.ttest_ind(CTRL[:7], TRT2, equal_var=equal)
        got = test(*moments((CTRL[:7], TRT2)))
        assert (got.statistic, got.p_value) == pytest.approx((t.statistic**2, t.pvalue), rel=1e-10)
        assert got.df_within == pytest.approx(t.df)


def test_wald_of_independent_means_is_the_weighted_spread():
    """With variances alone Wald's chi-square is Σ w (x - x̄_w)², and its F is that over its degrees."""
    x, v = np.array([1.0, 2.0, 4.0]), np.array([0.5, 1.0, 2.0])
    expected = (1 / v * (x - np.average(x, weights=1 / v)) ** 2).sum()
    chi, f = wald(x, v), wald(x, v, df=12)
    assert chi.statistic == pytest.approx(expected)
    assert chi.p_value == pytest.approx(stats.chi2.sf(expected, 2), rel=1e-12)
    assert (chi.df_within, f.df_within) == (None, 12)
    assert f.p_value == pytest.approx(stats.f.sf(expected / 2, 2, 12), rel=1e-12)


def test_hotelling_of_two_paired_arms_is_the_paired_t_test():
    """Two models on the same prompts: Hotelling's F is the square of the paired t, with its p-value."""
    pairs = np.array([CTRL, TRT1])
    got = wald(pairs.mean(axis=1), np.cov(pairs) / 10, df=9, wishart=True)
    t = stats.ttest_rel(CTRL, TRT1)
    assert (got.statistic, got.p_value) == pytest.approx((t.statistic**2, t.pvalue), rel=1e-10)


def test_hotelling_has_its_size_for_few_prompts():
    """Five equal models on ten prompts: 5% of Hotelling's tests reject, where the plain F rejects far more."""
    random = np.random.default_rng(5)
    values = random.normal(size=(2000, 5, 10)) + 2.0 * random.normal(size=(2000, 1, 10))
    found = [
        [wald(x.mean(axis=1), np.cov(x) / 10, df=9, wishart=exact).p_value for exact in (True, False)] for x in values
    ]
    rate = (np.array(found) <= 0.05).mean(axis=0)
    assert rate[0] == pytest.approx(0.05, abs=0.015)
    assert rate[1] > 0.1


def test_welch_keeps_its_size_where_anova_does_not():
    """Equal means, the smallest arm the most variable: Welch and Alexander-Govern reject 5%, ANOVA more than 15%."""
    random = np.random.default_rng(11)
    sizes, sigmas = (10, 20, 40), (4.0, 2.0, 1.0)
    drawn = [moments([random.normal(0, sigma, n) for n, sigma in zip(sizes, sigmas, strict=True)]) for _ in range(2000)]
    tests = (welch_anova, alexander_govern, anova)
    rate = {test: np.mean(np.array([test(*arms).p_value for arms in drawn], float) <= 0.05) for test in tests}
    assert rate[welch_anova] == pytest.approx(0.05, abs=0.016)
    assert rate[alexander_govern] == pytest.approx(0.05, abs=0.016)
    assert rate[anova] > 0.15


@given(st.floats(-1e6, 1e6), st.floats(0.01, 100.0), st.permutations(range(3)))
def test_unit_and_order_do_not_matter(shift, scale, order):
    """Shifting and scaling all values, or naming the arms in another order, leaves every p-value as it is."""
    n, mean, variance = moments((CTRL[:6], TRT1, TRT2))
    turned = (n[order], (mean * scale + shift)[order], (variance * scale**2)[order])
    for test in (anova, welch_anova, alexander_govern):
        assert test(*turned).p_value == pytest.approx(test(n, mean, variance).p_value, rel=1e-5)
    covariance = np.diag(variance / n) + 0.01
    assert wald(mean[order], covariance[np.ix_(order, order)]).p_value == pytest.approx(
        wald(mean, covariance).p_value, rel=1e-9
    )


def test_overwhelming_evidence_is_no_zero():
    """A p-value far out in the tail is small, not 0."""
    assert 0.0 < wald([0.0, 30.0], [1.0, 1.0]).p_value < 1e-90  # type: ignore[operator]  # None fails the test too
    assert 0.0 < anova([50, 50], [0.0, 20.0], [1.0, 1.0]).p_value < 1e-90  # type: ignore[operator]  # None fails the test too


@pytest.mark.parametrize("test", [anova, welch_anova, alexander_govern])
def test_undefined_is_none_with_its_reason(test):
    """An empty arm is too few; arms that do not vary have no variance: never p = 1, 0 or NaN."""
    empty = test([10, 0, 10], [1.0, np.nan, 2.0], [1.0, np.nan, 1.0])
    flat = test([10, 10, 10], [1.0, 1.0, 1.0], [0.0, 0.0, 0.0])
    assert (empty.statistic, empty.p_value, empty.warnings) == (None, None, (Caution.TOO_FEW,))
    assert (flat.statistic, flat.p_value, flat.warnings) == (None, None, (Caution.NO_VARIANCE,))


def test_anova_counts_an_arm_of_one_unit():
    """One unit tells of its mean, if the others tell of the variance; Welch's needs two in each arm."""
    n, mean, variance = moments((CTRL, TRT1))
    arms = ([1, *n], [6.5, *mean], [np.nan, *variance])
    assert anova(*arms).p_value == pytest.approx(stats.f_oneway([6.5], CTRL, TRT1).pvalue, rel=1e-12)
    assert welch_anova(*arms).warnings == (Caution.TOO_FEW,)


def test_wald_says_why_it_is_undefined():
    """A difference without variance, a missing number, and too few degrees of freedom are told apart."""
    assert wald([1.0, 2.0, 3.0], np.ones((3, 3))).warnings == (Caution.NO_VARIANCE,)
    assert wald([1.0, np.nan], [1.0, 1.0]).warnings == (Caution.TOO_FEW,)
    assert wald([1.0, 2.0, 3.0], [1.0, 1.0, 1.0], df=1, wishart=True).warnings == (Caution.TOO_FEW,)


def test_kruskal_wallis_undefined():
    """No values in an arm, or one value everywhere, give no p-value."""
    assert kruskal_wallis([[1.0], []]).warnings == (Caution.TOO_FEW,)
    assert kruskal_wallis([[1.0, 1.0], [1.0]]).warnings == (Caution.NO_VARIANCE,)


def test_bad_input_says_what_is_wrong():
    """Fewer than two arms, shapes that differ, negative variances, infinite values are refused."""
    with pytest.raises(InvalidInput, match="two or more"):
        anova([5], [1.0], [1.0])
    with pytest.raises(InvalidInput, match="two or more"):
        welch_anova([5, 5], [1.0, 2.0, 3.0], [1.0, 1.0])
    with pytest.raises(InvalidInput, match="not negative"):
        anova([5, 5], [1.0, 2.0], [1.0, -1.0])
    with pytest.raises(InvalidInput, match="finite"):
        anova([5, 5], [1.0, np.inf], [1.0, 1.0])
    with pytest.raises(InvalidInput, match="two or more"):
        wald([1.0, 2.0], np.eye(3))
    with pytest.raises(InvalidInput, match="above 0"):
        wald([1.0, 2.0], [1.0, 1.0], df=0)
    with pytest.raises(InvalidInput, match="two or more"):
        kruskal_wallis([[1.0]])
    with pytest.raises(InvalidInput, match="finite"):
        kruskal_wallis([[1.0], [np.nan]])
