"""Estimates from joint moments: ratios, adjustment, strata, clusters and pairs, against published figures."""

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given
from hypothesis import strategies as st

from vedette.evidence.joint import JointMoments, joint_moments, joint_moments_by
from vedette.kernel.errors import InvalidInput
from vedette.stats.contrasts import FixedRule, contrasts
from vedette.stats.estimates import Quantity, estimates, paired_estimates, stratified_estimates
from vedette.stats.sequential import Side

COLUMNS = ("o", "s", "oc", "sc")
# tea-tasting 90306f1, make_users_data(n_users=100, covariates=True, rng=42), as its own tests aggregate it.
CONTROL = JointMoments(
    COLUMNS,
    53.0,
    np.array([0.5660377358490566, 1.9811320754716981, 0.5283018867924528, 1.9245283018867925]),
    52
    * np.array(
        [
            [0.7888243831640053, 0.39550072568940503, 0.772133526850509, 0.6973875181422351],
            [0.39550072568940503, 0.9804063860667634, 0.39477503628447047, 1.1139332365747463],
            [0.772133526850509, 0.39477503628447047, 1.4462989840348324, 1.2329462989840345],
            [0.6973875181422351, 1.1139332365747463, 1.2329462989840345, 3.532656023222061],
        ]
    ),
)
TREATMENT = JointMoments(
    COLUMNS,
    47.0,
    np.array([0.3829787234042553, 1.8936170212765957, 0.3191489361702128, 1.9574468085106382]),
    46
    * np.array(
        [
            [0.5023126734505092, 0.15032377428307112, 0.3751156336725257, 0.1470860314523589],
            [0.15032377428307112, 0.7927844588344127, 0.1651248843663275, 0.8432007400555043],
            [0.3751156336725257, 0.1651248843663275, 0.5698427382053655, 0.2747456059204441],
            [0.1470860314523589, 0.8432007400555043, 0.2747456059204441, 2.3894542090656814],
        ]
    ),
)
ARMS = {"control": CONTROL, "treatment": TREATMENT}
PAIR = [("treatment", "control")]


def test_ratio_of_means_is_tea_tastings():
    """The one-sided pooled test of a ratio is that of tea-tasting's test_ratio_of_means_analyze_ratio_greater."""
    found = estimates(ARMS, [Quantity(name="r", column="o", denominator="s")])
    assert found.mean[0].tolist() == pytest.approx([0.2857142857142857, 0.20224719101123595], rel=1e-9)
    made = contrasts(found, PAIR, FixedRule(side=Side.GREATER), variance="pooled")
    assert made.effect[0, 0] == pytest.approx(-0.08346709470304975, rel=1e-9)
    assert made.low[0, 0] == pytest.approx(-0.21187246704082818, rel=1e-9)
    assert made.p_value[0, 0] == pytest.approx(0.8584716347525132, rel=1e-9)


def test_adjusted_ratio_is_tea_tastings():
    """CUPED of a ratio by a ratio, one-sided and normal, is that of tea-tasting's tests/metrics/test_mean.py."""
    found = estimates(ARMS, [Quantity(name="r", column="o", denominator="s", covariates=(("oc", "sc"),))])
    assert found.mean[0].tolist() == pytest.approx([0.25572348175909004, 0.23549786496156158], rel=1e-8)
    made = contrasts(found, PAIR, FixedRule(side=Side.LESS), variance="z")
    assert made.effect[0, 0] == pytest.approx(-0.020225616797528462, rel=1e-8)
    assert made.high[0, 0] == pytest.approx(0.07287939184944564, rel=1e-8)
    assert made.p_value[0, 0] == pytest.approx(0.3604265417728255, rel=1e-8)


def _experiment(seed, arms=4, n=4000, effect=0.0):
    draw = np.random.default_rng(seed)
    arm = draw.integers(0, arms, n)
    before = draw.normal(10, 2, n)
    after = 0.8 * before + draw.normal(5, 1, n) + effect * (arm == 1)
    sessions = draw.poisson(4, n) + 1.0
    return arm, {"after": after, "before": before, "sessions": sessions, "orders": sessions * draw.gamma(2, 0.1, n)}


def test_defect_1_an_adjusted_control_is_the_same_in_every_pair():
    """Of four arms, all effects are differences to one adjusted control mean (tea-tasting has one for each pair)."""
    arm, columns = _experiment(1)
    moments = joint_moments_by(arm, columns)
    quantity = Quantity(name="m", column="after", covariates=(("before", ""),))
    whole = estimates(moments, [quantity])
    every = contrasts(whole, [(other, "0") for other in "123"], FixedRule())
    assert every.effect[0] == pytest.approx(whole.mean[0, 1:] - whole.mean[0, 0], rel=1e-12)
    # The adjustment of all arms is one regression line: residuals of the covariate are taken about one point.
    centre, theta = columns["before"].mean(), whole.theta[0][0]
    for place, name in enumerate("0123"):
        own = arm == int(name)
        by_hand = columns["after"][own].mean() - theta * (columns["before"][own].mean() - centre)
        assert whole.mean[0, place] == pytest.approx(by_hand, rel=1e-12)
    by_pair = {
        round(estimates({name: moments[name] for name in ("0", other)}, [quantity]).mean[0, 0], 6) for other in "123"
    }
    assert len(by_pair) == 3, "adjusting pair by pair would give another control each time"


def test_adjustment_is_least_squares():
    """With one covariate the adjusted difference and its error are those of a regression, to the order of 1/n."""
    arm, columns = _experiment(2, arms=2, n=20_000, effect=0.1)
    found = estimates(
        joint_moments_by(arm, columns), [Quantity(name="m", column="after", covariates=(("before", ""),))]
    )
    made = contrasts(found, [("1", "0")], FixedRule())
    design = np.column_stack([np.ones(arm.size), arm == 1, columns["before"] - columns["before"].mean()])
    fitted = sm.OLS(columns["after"], design).fit(cov_type="HC2")
    assert made.effect[0, 0] == pytest.approx(fitted.params[1], rel=1e-3)
    assert made.standard_error[0, 0] == pytest.approx(fitted.bse[1], rel=1e-2)


def test_several_covariates_even_equal_ones_adjust_once():
    """Naming a covariate twice changes nothing, and one that does not vary is left out."""
    arm, columns = _experiment(3)
    columns |= {"same": columns["before"] * 3 + 1, "flat": np.ones_like(columns["before"])}
    moments = joint_moments_by(arm, columns)
    once = estimates(moments, [Quantity(name="m", column="after", covariates=(("before", ""),))])
    more = (("before", ""), ("same", ""), ("flat", ""))
    twice = estimates(moments, [Quantity(name="m", column="after", covariates=more)])
    assert twice.mean == pytest.approx(once.mean, rel=1e-9)
    assert twice.variance == pytest.approx(once.variance, rel=1e-6)
    flat = estimates(moments, [Quantity(name="m", column="after", covariates=(("flat", ""),))])
    assert flat.theta == ((0.0,),)
    assert flat.mean == pytest.approx(flat.plain)


def test_strata_take_out_imbalance_between_arms():
    """Post-stratified arms have the strata's common shares, and a smaller variance than plain ones."""
    draw = np.random.default_rng(4)
    n = 6000
    stratum = draw.integers(0, 3, n)
    arm = (draw.random(n) < 0.4 + 0.05 * stratum).astype(int)
    value = 5.0 * stratum + draw.normal(0, 1, n)
    strata = {str(s): joint_moments_by(arm[stratum == s], {"v": value[stratum == s]}) for s in range(3)}
    quantity = [Quantity(name="m", column="v")]
    found = stratified_estimates(strata, quantity)
    plain = estimates(joint_moments_by(arm, {"v": value}), quantity)
    assert abs(contrasts(found, [("1", "0")], FixedRule()).effect[0, 0]) < 0.1
    assert abs(contrasts(plain, [("1", "0")], FixedRule()).effect[0, 0]) > 0.3
    assert (found.variance < plain.variance / 5).all()


def test_rows_of_clusters_give_the_cluster_robust_variance():
    """Totals of clusters as rows give the variance of a ratio that a cluster-robust regression through 0 gives."""
    draw = np.random.default_rng(5)
    size = draw.integers(1, 30, 400).astype(float)
    level = draw.normal(1, 0.5, 400)
    total = size * level
    found = estimates({"a": joint_moments({"t": total, "n": size})}, [Quantity(name="r", column="t", denominator="n")])
    values, groups = np.repeat(level, size.astype(int)), np.repeat(np.arange(400), size.astype(int))
    fitted = sm.OLS(values, np.ones_like(values)).fit(cov_type="cluster", cov_kwds={"groups": groups})
    assert found.mean[0, 0] == pytest.approx(fitted.params[0])
    assert found.variance[0, 0] == pytest.approx(fitted.bse[0] ** 2, rel=0.01)


def test_few_clusters_widen_and_fewer_are_unknown():
    """Variances grow for small numbers of clusters and are unknown for three or fewer, as those of Student's t."""
    for count, known in ((4, True), (3, False)):
        rows = joint_moments({"t": np.arange(count, dtype=float), "n": np.ones(count)})
        quantity = [Quantity(name="r", column="t", denominator="n")]
        plain, wide = (estimates({"a": rows}, quantity, clustered=it).variance[0, 0] for it in (False, True))
        assert np.isfinite(wide) == known
        assert not known or wide == pytest.approx(plain * (count - 1) / (count - 3))


def test_pairs_judge_differences_of_the_same_units():
    """Two models on the same prompts are compared by their differences: R's paired t of the sleep data, t = -4.0621."""
    first = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]
    second = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]
    rows = joint_moments({"a:hours": first, "b:hours": second})
    found = paired_estimates(
        rows, {"a": {"hours": "a:hours"}, "b": {"hours": "b:hours"}}, [Quantity(name="h", column="hours")]
    )
    made = contrasts(found, [("a", "b")], FixedRule())
    assert made.z[0, 0] == pytest.approx(-4.062128, abs=1e-5)
    assert made.df[0, 0] == 9
    assert made.p_value[0, 0] == pytest.approx(0.002833, abs=1e-6)


@given(st.floats(-50, 50), st.floats(0.1, 20))
def test_estimates_move_with_the_unit_of_measurement(shift, scale):
    """Shifting and scaling a column shifts and scales its mean, and scales its standard error."""
    values = np.array([1.0, 4.0, 2.0, 8.0, 5.0])
    quantity = [Quantity(name="m", column="x")]
    plain = estimates({"a": joint_moments({"x": values})}, quantity)
    moved = estimates({"a": joint_moments({"x": scale * values + shift})}, quantity)
    assert moved.mean[0, 0] == pytest.approx(scale * plain.mean[0, 0] + shift, rel=1e-9, abs=1e-9)
    assert moved.variance[0, 0] == pytest.approx(scale**2 * plain.variance[0, 0], rel=1e-9)


def test_what_cannot_be_estimated_is_refused_or_unknown():
    """Missing columns and arms are refused; an empty arm and one of a single row are unknown, never 0."""
    one, none = joint_moments({"x": [1.0]}), joint_moments({"x": []})
    with pytest.raises(InvalidInput, match="no column 'y'"):
        estimates({"a": one}, [Quantity(name="m", column="y")])
    with pytest.raises(InvalidInput, match="nothing to estimate"):
        estimates({}, [Quantity(name="m", column="x")])
    found = estimates({"a": one, "b": none}, [Quantity(name="m", column="x")])
    assert found.mean[0, 0] == 1.0
    assert np.isnan(found.variance).all()
    assert np.isnan(found.mean[0, 1])
    with pytest.raises(InvalidInput, match="merge small strata"):
        stratified_estimates({"s": {"a": one}}, [Quantity(name="m", column="x")])
    with pytest.raises(InvalidInput, match="no covariates"):
        paired_estimates(one, {"a": {"x": "x"}}, [Quantity(name="m", column="x", covariates=(("x", ""),))])


def test_a_ratio_that_is_the_same_in_every_unit_has_no_variance():
    """What rounding leaves of two sums that cancel is no spread, and equal ratios differ by nothing."""
    draw = np.random.default_rng(4)
    arms = {}
    for name in ("a", "b"):
        requests = draw.integers(1, 30, 500).astype(float)
        arms[name] = joint_moments({"tokens": 5.1 * requests, "requests": requests})
    found = estimates(arms, [Quantity(name="tokens", column="tokens", denominator="requests")])
    assert found.variance.tolist() == [[0.0, 0.0]]
    made = contrasts(found, (("b", "a"),), FixedRule())
    assert (made.effect.item(), made.relative.item()) == (0.0, 0.0)
    assert np.isnan([made.p_value, made.low, made.high, made.relative_low, made.relative_high]).all()
