"""Power and sample size: each convention's published figures, and agreement with simulation."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtr, ndtri
from scipy.stats import norm

from vedette.kernel.errors import InvalidInput
from vedette.stats.planning import Power, round_up
from vedette.stats.power import (
    Distribution,
    correlation,
    cuped_factor,
    design_effect,
    equivalence,
    non_inferiority,
    one_mean,
    ratio_sd,
    two_means,
)
from vedette.stats.power_arms import (
    Correction,
    Success,
    anova,
    chi_square,
    cohen_f,
    leader_versus_all,
    pick_the_best,
    versus_control,
)
from vedette.stats.power_proportions import (
    ProportionConvention,
    arcsine_difference,
    cohen_h,
    one_proportion,
    two_proportions,
    two_rates,
)
from vedette.stats.sequential import Side

GREATER, LESS = Side.GREATER, Side.LESS


def test_r_power_t_test():
    """R 4.2.2 example(power.t.test): power .8689528, delta 1.0519927 (R to 4 digits), n 22.02110 and 17.84713."""
    assert two_means(n=20, effect=1).power == pytest.approx(0.8689528, abs=1e-7)
    assert two_means(n=20, power=0.9).effect == pytest.approx(1.05199, abs=1e-4)
    assert two_means(effect=1, power=0.9).n[0] == pytest.approx(22.0211, abs=1e-3)
    assert two_means(effect=1, power=0.9, side=GREATER).n[0] == pytest.approx(17.8471260865, abs=1e-3)


def test_pwr_t_tests():
    """R pwr 1.3: pwr.t2n.test(d=.6, n1=90, n2=60, greater) .973726154629; pwr.t.test one-sample d=.2 n=60 .4555818."""
    assert two_means(n=90, ratio=60 / 90, effect=0.6, side=GREATER).power == pytest.approx(0.973726154629, abs=1e-9)
    assert one_mean(n=60, effect=0.2, alpha=0.1, strict=True).power == pytest.approx(0.4555818, abs=1e-7)


def test_pwr_correlation():
    """R pwr 1.3: pwr.r.test(r=.3, n=50) has power .5715558, and r=.3 at power .8 needs n = 84.07364."""
    assert correlation(effect=0.3, n=50).power == pytest.approx(0.5715558, abs=1e-7)
    assert correlation(effect=0.3, power=0.8).n[0] == pytest.approx(84.07364, abs=1e-4)


def test_pwr_anova():
    """R pwr 1.3: pwr.anova.test(f=.28, k=4, power=.8) needs n = 35.7578944777 an arm."""
    assert anova(arms=4, effect=0.28, power=0.8).n == pytest.approx([35.7578944777] * 4, abs=1e-3)
    assert anova(arms=4, effect=0.28, power=0.8).n_per_arm == (36, 36, 36, 36)


def test_pwr_chi_square():
    """R pwr 1.3: pwr.chisq.test(w=.289, df=3, N=100) has power .6750777; w=.1, df=20, power=.8 needs N = 2096.079."""
    assert chi_square(df=3, n=100, effect=0.289).power == pytest.approx(0.6750777, abs=1e-7)
    assert chi_square(df=20, effect=0.1, power=0.8).n[0] == pytest.approx(2096.079, abs=1e-3)


def test_r_power_prop_test():
    """R 4.2.2 example(power.prop.test): power .740165901331 at n=50, n 76.7 at .9, p2 .8026141, alpha .1789830."""
    assert two_proportions(control=0.5, effect=0.25, n=50).power == pytest.approx(0.740165901331, abs=1e-9)
    assert two_proportions(control=0.5, effect=0.25, power=0.9).n[0] == pytest.approx(76.707, abs=1e-3)
    assert two_proportions(control=0.5, n=50, power=0.9).effect == pytest.approx(0.3026, abs=1e-4)
    alpha = two_proportions(control=0.5, effect=0.25, n=50, power=0.9, alpha=None).alpha
    assert alpha == pytest.approx(0.1789, abs=1e-4)


def test_pwr_two_proportions():
    """R pwr 1.3: pwr.2p.test(h=.3, n=80, greater) has power .599677704546."""
    assert arcsine_difference(effect=0.3, n=80, side=GREATER).power == pytest.approx(0.599677704546, abs=1e-8)
    h = cohen_h(0.5, 0.4)
    by_points = two_proportions(control=0.4, effect=0.1, n=80, convention=ProportionConvention.ARCSINE, strict=True)
    assert by_points.power == pytest.approx(arcsine_difference(effect=h, n=80).power, abs=1e-12)


def test_evan_miller():
    """evanmiller.org/ab-testing/sample-size.html at its defaults: 1,030 an arm; R's convention says 1,094."""
    miller = two_proportions(control=0.2, effect=0.05, power=0.8, convention=ProportionConvention.BASELINE_NULL)
    assert round(miller.n[0]) == 1030
    assert "Evan Miller" in miller.convention
    assert two_proportions(control=0.2, effect=0.05, power=0.8).n_per_arm == (1094, 1094)


@pytest.mark.parametrize(
    ("effect", "alpha", "power", "total"),
    [(0.003, 0.05, 0.85, 897_348), (0.003, 0.14, 0.85, 630_710), (0.003, 0.14, 0.67, 366_424)],
)
def test_g_power_proportions(effect, alpha, power, total):
    """G*Power's figures in spotify/confidence's tests: met by the baseline convention to .5 %, by pooled exactly."""
    asked = {"control": 0.34, "effect": effect, "alpha": alpha, "power": power}
    assert two_proportions(**asked, convention=ProportionConvention.BASELINE).n_total == pytest.approx(total, rel=0.005)
    assert two_proportions(**asked, strict=True).n_total == total


def test_g_power_unequal_arms():
    """G*Power, in spotify/confidence's tests: a control twice as large as each treatment takes 673,157 and 336,578."""
    got = two_proportions(control=0.34, effect=0.003, power=0.85, ratio=0.5, strict=True)
    assert got.n_per_arm == pytest.approx((673_157, 336_578), rel=5e-4)
    assert two_means(effect=0.3, sd=10, power=0.85, ratio=0.5).n_per_arm == pytest.approx((29_929, 14_965), abs=1)


def test_g_power_means():
    """G*Power, in spotify/confidence's tests: .3 at variance 100 and power .85 takes 39,906 in all."""
    assert two_means(effect=0.3, sd=10, power=0.85).n_total == pytest.approx(39_906, abs=4)


ASKERS = {
    "two means": lambda **asked: two_means(**asked, ratio=2.0),
    "two means, Welch": lambda **asked: two_means(**asked, sd_treatment=1.5),
    "two means, z": lambda **asked: two_means(**asked, distribution=Distribution.Z),
    "one mean": one_mean,
    "one mean, z": lambda **asked: one_mean(**asked, distribution=Distribution.Z),
    "correlation": correlation,
    "pooled": lambda **asked: two_proportions(control=0.3, **asked),
    "unpooled": lambda **asked: two_proportions(control=0.3, convention=ProportionConvention.UNPOOLED, **asked),
    "baseline": lambda **asked: two_proportions(control=0.3, convention=ProportionConvention.BASELINE, **asked),
    "arcsine": lambda **asked: two_proportions(control=0.3, convention=ProportionConvention.ARCSINE, **asked),
    "one proportion": lambda **asked: one_proportion(null=0.3, **asked),
    "one proportion, arcsine": lambda **asked: one_proportion(null=0.3, arcsine=True, **asked),
    "rates": lambda **asked: two_rates(control=2.0, dispersion=0.1, **asked),
    "anova": lambda **asked: anova(arms=5, **asked),
    "chi-square": lambda **asked: chi_square(df=4, **asked),
    "Dunnett": lambda **asked: versus_control(arms=3, **asked),
    "Bonferroni": lambda **asked: versus_control(arms=3, correction=Correction.BONFERRONI, **asked),
    "any of three": lambda **asked: versus_control(arms=3, success=Success.ANY, **asked),
    "all of three": lambda **asked: versus_control(arms=3, success=Success.ALL, **asked),
    "leader": lambda **asked: leader_versus_all(arms=4, **asked),
}


@pytest.mark.parametrize("ask", ASKERS.values(), ids=list(ASKERS))
@settings(deadline=None, max_examples=6)
@given(n=st.floats(30.0, 300.0), effect=st.floats(0.15, 0.4), alpha=st.floats(0.01, 0.1))
def test_each_number_follows_from_the_others(ask, n, effect, alpha):
    """Whichever of the four is left out, the others give it back; and more units or a larger effect give more power."""
    first = ask(n=n, effect=effect, alpha=alpha)
    if not 0.001 < first.power < 0.9999:
        return
    asked = {"n": n, "effect": effect, "alpha": alpha, "power": first.power}
    for name in ("n", "effect", "alpha"):
        got = ask(**(asked | {name: None}))
        value = got.n[0] if name == "n" else getattr(got, name)
        assert value == pytest.approx(asked[name], rel=1e-5)
        assert got.solved == name
    assert ask(n=1.2 * n, effect=effect, alpha=alpha).power > first.power
    assert ask(n=n, effect=1.1 * effect, alpha=alpha).power > first.power


@pytest.mark.parametrize(
    "ask",
    [ASKERS["two means"], ASKERS["one mean"], ASKERS["pooled"], ASKERS["one proportion"], ASKERS["rates"]],
    ids=["two means", "one mean", "pooled", "one proportion", "rates"],
)
def test_one_side_at_half_the_level_is_the_right_direction_of_two(ask):
    """Unless both tails are counted, two sides at alpha are one side at alpha / 2; and effects carry their sign."""
    assert ask(n=100, effect=0.2).power == ask(n=100, effect=0.2, alpha=0.025, side=GREATER).power
    assert ask(n=100, effect=-0.2).power == ask(n=100, effect=-0.2, alpha=0.025, side=LESS).power
    assert ask(n=100, effect=0.02, strict=True).power > ask(n=100, effect=0.02).power
    assert ask(n=100, power=0.8, side=LESS).effect < 0.0 < ask(n=100, power=0.8, side=GREATER).effect


def simulated_means(effect: float, n: int, arms: int, seed: int) -> np.ndarray:
    """Means of 20,000 experiments whose last arm is better by an effect; standard deviation 1."""
    means = np.random.default_rng(seed).normal(size=(20_000, arms)) / math.sqrt(n)
    means[:, -1] += effect
    return means


def test_simulated_dunnett_power():
    """Treatments that are all better are found, each, any and all of them, as often as computed."""
    critical = 2.3490  # two-sided, three treatments, correlation one half: Dunnett 1964
    means = np.random.default_rng(1).normal(size=(20_000, 4)) / 10.0
    z = (means[:, 1:] + 0.35 - means[:, :1]) / math.sqrt(2 / 100)
    seen = {Success.EACH: (z[:, 0] > critical), Success.ANY: (z > critical).any(1), Success.ALL: (z > critical).all(1)}
    for success, found in seen.items():
        got = versus_control(arms=3, n=100, effect=0.35, success=success)
        assert got.power == pytest.approx(found.mean(), abs=3.5 * 0.0036)


def test_simulated_leaders():
    """The best of four arms is the largest, and beats each other one significantly, as often as computed."""
    means = simulated_means(0.3, 100, 4, seed=2)
    ahead = means[:, -1] - means[:, :-1].max(axis=1)
    assert pick_the_best(arms=4, n=100, effect=0.3).power == pytest.approx((ahead > 0).mean(), abs=3.5 * 0.0036)
    beaten = (ahead > 1.959964 * math.sqrt(2 / 100)).mean()
    assert leader_versus_all(arms=4, n=100, effect=0.3).power == pytest.approx(beaten, abs=3.5 * 0.0036)


def test_picking_without_data_is_a_guess():
    """Of k arms without data, the best is taken once in k times."""
    assert pick_the_best(arms=5, n=1e-9, effect=0.1).power == pytest.approx(0.2, abs=1e-4)


def test_bechhofer():
    """Bechhofer 1954, table I, P = .9: the best of 2, 3 and 4 takes a scaled difference of 1.8124, 2.2302, 2.4516."""
    for arms, scaled in ((2, 1.8124), (3, 2.2302), (4, 2.4516)):
        assert pick_the_best(arms=arms, n=1.0, power=0.9).effect == pytest.approx(scaled, abs=6e-5)


def test_simulated_rates():
    """A fifth more Poisson events is found as often as computed."""
    rng = np.random.default_rng(3)
    control, treatment = rng.poisson(200.0, 20_000), rng.poisson(240.0, 20_000)
    z = np.log(treatment / control) / np.sqrt(1 / treatment + 1 / control)
    got = two_rates(control=2.0, n=100, effect=0.2)
    assert got.power == pytest.approx((z > 1.959964).mean(), abs=0.015)
    assert two_rates(control=1.0, n=100, effect=0.2, exposure=2.0).power == pytest.approx(got.power)


def test_non_inferiority_is_a_shifted_one_sided_test():
    """A margin plus what is assumed is what a one-sided test must find (Chow et al. 2017: 2 (z + z)² / d²)."""
    n = 2 * (ndtri(0.975) + ndtri(0.8)) ** 2 / 0.15**2
    assert non_inferiority(margin=0.1, true_effect=0.05, power=0.8).n[0] == pytest.approx(n)
    assert non_inferiority(true_effect=0.05, n=n, power=0.8).effect == pytest.approx(0.1)


def test_equivalence_without_an_effect():
    """With no true effect, equivalence takes 2 (z(α) + z(β/2))² / d² an arm (Chow et al. 2017, section 3.2.3)."""
    n = 2 * (ndtri(0.95) + ndtri(0.9)) ** 2 / 0.1**2
    got = equivalence(margin=0.1, power=0.8)
    assert got.n[0] == pytest.approx(n)
    assert got.effect == 0.1
    assert equivalence(n=n, power=0.8).effect == pytest.approx(0.1)
    assert equivalence(margin=0.1, true_effect=0.05, power=0.8).n[0] > n
    assert got.drift is None


def test_variance_factors():
    """CUPED saves the squared correlation; clusters cost 1 + (m - 1) ρ, more if their sizes differ."""
    plain = two_means(effect=0.1, power=0.8, distribution=Distribution.Z)
    cuped = two_means(effect=0.1, power=0.8, distribution=Distribution.Z, variance_factor=cuped_factor(0.6))
    assert cuped.n[0] == pytest.approx(0.64 * plain.n[0])
    assert "variances times 0.64" in cuped.convention
    assert design_effect(20, 0.05) == pytest.approx(1.95)
    assert design_effect(20, 0.05, 0.5) == pytest.approx(1 + (1.25 * 20 - 1) * 0.05)


def test_ratio_sd_by_simulation():
    """The standard deviation of a ratio of means is that of its delta method."""
    rng = np.random.default_rng(4)
    bottom = rng.gamma(4.0, 0.5, size=(4_000, 400))
    top = 0.3 * bottom + rng.normal(size=bottom.shape)
    ratios = top.mean(axis=1) / bottom.mean(axis=1)
    sd = ratio_sd(0.6, 2.0, 0.09 + 1.0, 1.0, 0.3)
    assert ratios.std() * math.sqrt(400) == pytest.approx(sd, rel=0.05)


def test_power_of_t_meets_power_of_z():
    """With many units t is z; with an effect beyond what a noncentral t can be computed for, power goes on to 1."""
    z = two_means(effect=0.002, n=4e6, distribution=Distribution.Z)
    assert two_means(effect=0.002, n=4e6).power == pytest.approx(z.power, abs=1e-6)
    root = math.sqrt(2 / 4)
    below, above = (two_means(n=4, effect=shift * root, alpha=1e-7).power for shift in (36.999, 37.001))
    assert 0.1 < below < above < 0.9
    assert above == pytest.approx(below, abs=1e-4)
    assert two_means(n=4, effect=40.0, alpha=0.7, side=GREATER).power == 1.0
    assert two_means(n=1e6, effect=1.0).power == 1.0
    assert anova(arms=3, n=1e6, effect=1.0).power == 1.0
    assert chi_square(df=2, n=1e6, effect=1.0).power == 1.0


def test_sizes_are_exact_and_rounded_up():
    """Sizes are given as if units could be cut, and rounded up per arm."""
    got = two_means(effect=1, power=0.9, ratio=0.5)
    assert got.n[1] == pytest.approx(got.n[0] / 2)
    assert got.n_per_arm == tuple(math.ceil(size) for size in got.n)
    assert got.n_total == sum(got.n_per_arm)
    assert (round_up(3.0000000000001), round_up(3.001)) == (3, 4)


def test_answers_say_what_they_rest_on():
    """An answer names its convention, how it was solved, and by how many standard errors the effect stands out."""
    got = two_means(effect=0.1, power=0.8)
    assert got.convention == "two means, pooled t test, two-sided, only the right direction counted"
    assert got.method == "n by Brent's method on the power"
    assert got.drift == pytest.approx(norm.ppf(0.8) + norm.ppf(0.975))
    assert isinstance(got, Power)
    assert two_means(effect=9, power=0.8).method == "the smallest sample there is a test for"
    assert two_means(effect=9, power=0.8).power > 0.8
    assert one_mean(effect=1, n=30).method == "closed form"


def test_cohen_f_of_means():
    """Cohen's f is the standard deviation of the arms' means over that within arms."""
    assert cohen_f((1.0, 2.0, 3.0), 2.0) == pytest.approx(math.sqrt(2 / 3) / 2)


def test_optimal_allocation():
    """With k treatments, arms of 1 / sqrt(k) of the control's size need the fewest units in all."""
    totals = {ratio: versus_control(arms=4, effect=0.3, power=0.8, ratio=ratio).n_total for ratio in (0.35, 0.5, 0.7)}
    assert min(totals, key=totals.__getitem__) == 0.5
    assert totals[0.5] < versus_control(arms=4, effect=0.3, power=0.8).n_total


def test_one_treatment_needs_no_correction():
    """One treatment against a control is a plain z test, whatever the correction."""
    plain = two_means(n=100, effect=0.4, distribution=Distribution.Z).power
    for correction in Correction:
        for success in Success:
            got = versus_control(arms=1, n=100, effect=0.4, correction=correction, success=success)
            assert got.power == pytest.approx(plain, abs=1e-12)
    assert plain == pytest.approx(ndtr(0.4 / math.sqrt(2 / 100) - 1.959964), abs=1e-6)


MISTAKES = {
    "nothing left out": lambda: two_means(n=10, effect=1, power=0.8),
    "two left out": lambda: two_means(n=10),
    "no units": lambda: two_means(n=0, effect=1),
    "one unit": lambda: two_means(n=1, effect=1),
    "no effect": lambda: two_means(n=10, effect=0.0),
    "effect of the wrong sign": lambda: two_means(n=10, effect=-1, side=GREATER),
    "unknown effect": lambda: two_means(n=10, effect=math.nan),
    "alpha 0": lambda: two_means(n=10, effect=1, alpha=0.0),
    "power 1": lambda: two_means(effect=1, power=1.0),
    "power below alpha": lambda: two_means(n=10, power=0.01),
    "no variance": lambda: two_means(n=10, effect=1, sd=0.0),
    "no ratio": lambda: two_means(n=10, effect=1, ratio=0.0),
    "an effect past 1": lambda: two_proportions(control=0.9, effect=0.2, power=0.8),
    "no proportion": lambda: two_proportions(control=0.0, effect=0.2, power=0.8),
    "no null": lambda: one_proportion(null=1.0, effect=0.2, power=0.8),
    "no effect can do": lambda: two_proportions(control=0.5, n=3, power=0.999),
    "negative dispersion": lambda: two_rates(control=1, effect=0.2, power=0.8, dispersion=-1),
    "one arm": lambda: anova(arms=1, effect=0.2, power=0.8),
    "no treatment": lambda: versus_control(arms=0, effect=0.2, power=0.8),
    "no degrees of freedom": lambda: chi_square(df=0, effect=0.2, power=0.8),
    "an effect past the margin": lambda: non_inferiority(margin=0.1, true_effect=-0.2, power=0.8),
    "an effect outside equivalence": lambda: equivalence(margin=0.1, true_effect=0.2, power=0.8),
    "a full correlation": lambda: cuped_factor(1.0),
    "clusters of nothing": lambda: design_effect(0.5, 0.1),
    "a ratio over 0": lambda: ratio_sd(1, 0, 1, 1, 0),
}


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=list(MISTAKES))
def test_mistakes_are_refused(mistake):
    """What cannot be meant is refused, with a hint at what to do."""
    with pytest.raises(InvalidInput) as refused:
        mistake()
    assert refused.value.hint
