"""Which arm is best: probabilities and losses are exact, allocations optimal, stopping honest."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.optimize import minimize
from scipy.special import betaln
from scipy.stats import beta, norm

from vedette.kernel.errors import InvalidInput
from vedette.stats.best_arm import (
    beta_best,
    expected_losses,
    glr_threshold,
    may_stop,
    normal_best,
    optimal_allocation,
)


def chance_of_second(a: int, b: int, c: int, d: int) -> float:
    """Evan Miller, "Formulas for Bayesian A/B testing" (2013): P(Beta(c, d) > Beta(a, b)) for whole parameters."""
    i = np.arange(c)
    return float(np.exp(betaln(a + i, b + d) - np.log(d + i) - betaln(1 + i, d) - betaln(a, b)).sum())


def worst_cost(w, means, variances, epsilon):
    """The longer of the times that telling leader and challenger apart takes, per unit of confidence."""
    leader = int(np.argmax(means))
    others = [arm for arm in range(len(means)) if arm != leader]
    gap = means[leader] - means[others] + epsilon
    return float((2 * (variances[leader] / w[leader] + variances[others] / w[others]) / gap**2).max())


@pytest.mark.parametrize("mirror", [False, True])
def test_normal_arms_agree_with_adaptive_integration(mirror):
    """P(best) and expected loss of Normal arms are their defining integrals, in either direction."""
    mean, sd = np.array([1.0, 1.2, 0.4, 1.1, -3.0]), np.array([0.3, 0.2, 0.9, 0.01, 2.0])
    p_best, loss = normal_best(-mean if mirror else mean, sd, "lower" if mirror else "higher")
    for arm in range(5):
        rest = [j for j in range(5) if j != arm]

        def others(x, rest=rest):
            return norm.cdf(x, mean[rest], sd[rest]).prod()

        def best(x, arm=arm, others=others):
            return norm.pdf(x, mean[arm], sd[arm]) * others(x)

        def lost(x, arm=arm, others=others):
            return norm.cdf(x, mean[arm], sd[arm]) * (1 - others(x))

        points = [0.5, 1.0, 1.05, 1.1, 1.15, 1.2, 2.0]
        assert p_best[arm] == pytest.approx(quad(best, -20, 20, points=points, limit=500)[0], abs=1e-9)
        assert loss[arm] == pytest.approx(quad(lost, -20, 20, points=points, limit=500)[0], abs=1e-8)


def test_normal_arms_agree_with_simulation():
    """P(best) and expected loss of five Normal arms are what a million draws show."""
    mean, sd = np.array([0.0, 0.3, 0.1, 0.25, -0.2]), np.array([0.2, 0.1, 0.4, 0.15, 0.6])
    draws = mean + sd * np.random.default_rng(11).standard_normal((1_000_000, 5))
    p_best, loss = normal_best(mean, sd)
    assert p_best == pytest.approx(np.bincount(draws.argmax(axis=1), minlength=5) / 1e6, abs=0.002)
    assert loss == pytest.approx((draws.max(axis=1, keepdims=True) - draws).mean(axis=0), abs=0.002)


def test_two_normal_arms_are_the_case_of_three_in_which_one_cannot_win():
    """The closed form for two arms and the integral for more agree."""
    two, three = normal_best([0.3, 0.1], [0.2, 0.4]), normal_best([0.3, 0.1, -50.0], [0.2, 0.4, 0.1])
    assert two[0] == pytest.approx(three[0][:2], abs=1e-11)
    assert two[1] == pytest.approx(three[1][:2], abs=1e-11)


def test_questions_are_answered_side_by_side():
    """Leading axes are separate questions: each row is answered as if it stood alone."""
    generator = np.random.default_rng(3)
    mean, sd = generator.normal(size=(4, 3)), generator.uniform(0.1, 2, size=(4, 3))
    together = normal_best(mean, sd)
    for row in range(4):
        alone = normal_best(mean[row], sd[row])
        assert together[0][row] == pytest.approx(alone[0], rel=1e-12)
        assert together[1][row] == pytest.approx(alone[1], rel=1e-12)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.floats(-1e3, 1e3), st.floats(1e-3, 1e3)), min_size=2, max_size=25))
def test_probabilities_of_normal_arms_sum_to_one(arms):
    """Whatever the arms, exactly one is best, and the arm with the best mean loses least."""
    mean, sd = np.array(arms).T
    p_best, loss = normal_best(mean, sd)
    assert p_best.sum() == pytest.approx(1.0, abs=1e-12)
    assert loss.min() >= 0.0
    assert loss[np.argmax(mean)] == pytest.approx(loss.min(), rel=1e-9, abs=1e-12)
    assert loss - loss[0] == pytest.approx(mean[0] - mean, abs=1e-8 * (1 + float(np.abs(mean).max() + sd.max())))


def test_beliefs_without_spread_are_refused():
    """A standard deviation that is not positive is an error, not a division by zero."""
    with pytest.raises(InvalidInput):
        normal_best([0.0, 1.0], [1.0, 0.0])


@pytest.mark.parametrize(
    ("control", "treatment"),
    [((1, 1), (1, 1)), ((81, 21), (161, 41)), ((5, 96), (9, 92)), ((1, 200), (3, 200)), ((1001, 9001), (1080, 8950))],
)
def test_two_beta_arms_agree_with_the_closed_form(control, treatment):
    """P(B > A) of Beta arms is Evan Miller's exact sum (Cook 2005), and expected losses are Stucchio's (2015)."""
    (a, b), (c, d) = control, treatment
    p_best, loss = beta_best([a, c], [b, d])
    exact = chance_of_second(a, b, c, d)
    assert p_best[1] == pytest.approx(exact, abs=1e-10)
    assert beta_best([a, c], [b, d], "lower")[0][0] == pytest.approx(exact, abs=1e-10)
    gain = c / (c + d) * chance_of_second(a, b, c + 1, d) - a / (a + b) * chance_of_second(a + 1, b, c, d)
    assert loss[0] == pytest.approx(gain, abs=1e-11)


def test_beta_arms_with_poles_agree_with_simulation():
    """Beliefs under Jeffreys' prior with nothing but failures, or nothing at all, are integrated right."""
    a, b = np.array([0.5, 0.5, 3.5, 10.5]), np.array([10.5, 0.5, 0.5, 0.5])
    draws = np.random.default_rng(5).beta(a, b, size=(1_000_000, 4))
    p_best, loss = beta_best(a, b)
    assert p_best == pytest.approx(np.bincount(draws.argmax(axis=1), minlength=4) / 1e6, abs=0.002)
    assert loss == pytest.approx((draws.max(axis=1, keepdims=True) - draws).mean(axis=0), abs=0.002)


def test_beta_arms_agree_with_adaptive_integration():
    """P(best) of three Beta arms is its defining integral."""
    a, b = np.array([0.5, 2.0, 30.0]), np.array([0.5, 5.0, 70.0])
    p_best, _ = beta_best(a, b)
    for arm in range(3):
        rest = [j for j in range(3) if j != arm]

        def best(level, arm=arm, rest=rest):
            return beta.cdf(beta.ppf(level, a[arm], b[arm]), a[rest], b[rest]).prod()

        assert p_best[arm] == pytest.approx(quad(best, 0, 1, limit=500, epsabs=1e-10)[0], abs=1e-8)


@pytest.mark.parametrize("trials", [1e6, 1e9, 1e12, 1e14])
def test_beta_arms_keep_their_digits_at_any_count(trials):
    """Billions of trials are judged like the Normal arms that they then are."""
    rates = 0.3 + np.array([0.0, 0.5, -0.7]) * math.sqrt(0.21 / trials)
    a, b = rates * trials, (1 - rates) * trials
    exact, near = beta_best(a, b), normal_best(rates, np.sqrt(rates * (1 - rates) / (trials + 1)))
    assert exact[0] == pytest.approx(near[0], abs=0.3 / math.sqrt(trials) + 1e-6)
    assert exact[1] == pytest.approx(near[1], rel=1.0 / math.sqrt(trials) + 1e-5)


def test_twenty_five_beta_arms_of_any_size():
    """Twenty-five arms whose sizes differ a thousandfold: probabilities sum to 1 and losses differ as means do."""
    total = np.geomspace(50, 50_000, 25)
    a = total * np.linspace(0.08, 0.12, 25) + 1
    b = total + 2 - a
    p_best, loss = beta_best(a, b)
    draws = np.random.default_rng(8).beta(a, b, size=(200_000, 25))
    assert p_best.sum() == pytest.approx(1.0, abs=1e-12)
    assert loss - loss[0] == pytest.approx((a / (a + b))[0] - a / (a + b), abs=1e-11)
    assert p_best == pytest.approx(np.bincount(draws.argmax(axis=1), minlength=25) / 2e5, abs=0.005)


def test_losses_of_a_nearly_certain_effect_do_not_overflow():
    """GrowthBook 8f1db44 test_extreme_mu_over_sigma_no_overflow: an effect of two million deviations."""
    assert expected_losses(0.01, 4.5e-09) == pytest.approx((0.01, 0.0), abs=1e-12)
    assert expected_losses(1e30, 1e-300) == (1e30, 0.0)


def test_losses_turn_with_the_direction():
    """Where lower is better, keeping the control risks what choosing the treatment risked before."""
    assert expected_losses(0.2, 0.3, "lower") == expected_losses(0.2, 0.3)[::-1]
    assert expected_losses(-0.2, 0.3) == expected_losses(0.2, 0.3)[::-1]
    with pytest.raises(InvalidInput):
        expected_losses(0.2, 0.0)


@pytest.mark.parametrize(
    ("pulls", "means", "variances", "epsilon", "minimum", "regularisation", "better", "expected"),
    [
        (10, [0.5, 0.51, 0.3], [0.1, 0.1, 0.1], 0.01, 0.01, 0.0, "higher", [0.494996, 0.495004, 0.01]),
        (10, [0.2, 0.6, 0.4], [0.1, 0.2, 0.15], 0.02, 0.05, 0.5, "higher", [0.05, 0.509055, 0.440945]),
        (20, [10.0, 12.0, 11.0], [2.0, 3.5, 2.5], 0.5, 0.05, 0.1, "lower", [0.411818, 0.144184, 0.443998]),
    ],
)
def test_allocations_are_those_of_tensorzero(
    pulls, means, variances, epsilon, minimum, regularisation, better, expected
):
    """Shares are those that cvxpy finds for tensorzero@7a6159a, estimate_optimal_probabilities.rs."""
    found = optimal_allocation(
        [pulls] * 3,
        means,
        variances,
        epsilon=epsilon,
        minimum=minimum,
        regularisation=regularisation,
        better=better,
    )
    assert found == pytest.approx(expected, abs=1e-4)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 8), st.sampled_from([0.0, 0.02]), st.sampled_from([0.0, 0.5]))
def test_no_other_allocation_is_better(seed, arms, epsilon, regularisation):
    """A general-purpose optimiser (SLSQP) started from the answer, or from anywhere, finds nothing better."""
    generator = np.random.default_rng(seed)
    means, variances = generator.uniform(0, 1, arms), generator.uniform(0.05, 0.5, arms)
    minimum, pulls = 0.3 / arms, np.full(arms, 25)
    found = optimal_allocation(pulls, means, variances, epsilon=epsilon, minimum=minimum, regularisation=regularisation)
    strength = regularisation / math.sqrt(pulls.sum())

    def objective(w):
        return worst_cost(w, means, variances, epsilon) + strength * float(((w - 1 / arms) ** 2).sum())

    assert found.sum() == pytest.approx(1.0, abs=1e-12)
    assert found.min() >= minimum - 1e-12
    for start in (found, np.full(arms, 1 / arms), generator.dirichlet(np.full(arms, 5.0))):
        other = minimize(
            objective,
            start,
            bounds=[(minimum, 1.0)] * arms,
            constraints={"type": "eq", "fun": lambda w: w.sum() - 1},
            method="SLSQP",
        )
        excess = np.maximum(other.x - minimum, 0.0)  # a comparator must keep every arm's minimum too
        fair = minimum + excess / excess.sum() * (1.0 - minimum * excess.size)
        assert objective(found) <= objective(fair) * (1 + 1e-7) + 1e-12


def test_two_arms_are_divided_by_their_deviations():
    """Two arms without penalty share traffic as their standard deviations (Neyman 1934), whatever their gap."""
    assert optimal_allocation([9, 9], [0.5, 0.9], [0.1, 0.4], regularisation=0.0) == pytest.approx([1 / 3, 2 / 3])
    assert optimal_allocation([9, 9], [5e-9, 9e-9], [1e-19, 4e-19], regularisation=0.0, least_variance=1e-30) == (
        pytest.approx([1 / 3, 2 / 3])
    )


def test_arms_that_cannot_be_told_apart_are_treated_alike():
    """Arms that tie for the lead get the same share, whichever comes first."""
    assert optimal_allocation([5] * 3, [0.5] * 3, [0.1] * 3) == pytest.approx([1 / 3] * 3, abs=1e-6)
    shares = optimal_allocation([5] * 3, [0.5, 0.4, 0.5], [0.1] * 3, minimum=0.1)
    assert shares == pytest.approx([0.45, 0.1, 0.45], abs=1e-6)


def test_penalty_fades_with_observations():
    """A penalty holds the first shares near equal, and lets go as observations come in."""
    spread = [
        np.ptp(optimal_allocation([pulls] * 3, [0.1, 0.9, 0.85], [0.1] * 3, regularisation=1e5))
        for pulls in (1, 10**4, 10**8, 10**12)
    ]
    assert spread == sorted(spread)
    assert spread[0] < 0.02
    assert spread[-1] > 0.45


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        (([1], [0.1], [0.1]), {}),
        (([1, 1], [0.1], [0.1, 0.1]), {}),
        (([1, 1], [0.1, math.nan], [0.1, 0.1]), {}),
        (([1, 1], [0.1, 0.2], [0.1, -0.1]), {}),
        (([-1, 1], [0.1, 0.2], [0.1, 0.1]), {}),
        (([1, 1], [0.1, 0.2], [0.1, 0.1]), {"minimum": 0.6}),
        (([1, 1], [0.1, 0.2], [0.1, 0.1]), {"epsilon": -1.0}),
        (([1, 1], [0.1, 0.2], [0.1, 0.1]), {"better": "up"}),
    ],
)
def test_impossible_allocations_are_refused(arguments, options):
    """What cannot be allocated is an error that says why."""
    with pytest.raises(InvalidInput):
        optimal_allocation(*arguments, **options)


def test_a_minimum_that_leaves_nothing_gives_equal_shares():
    """Where the minimum is all there is, every arm has it."""
    assert optimal_allocation([1, 1], [0.1, 0.2], [0.1, 0.1], minimum=0.5) == pytest.approx([0.5, 0.5])


def test_stopping_names_the_leader_once_evidence_is_enough():
    """The leader is the best arm in the direction asked for, and stops when its nearest challenger is far enough."""
    early = may_stop([20] * 3, [0.2, 0.6, 0.3], [0.2] * 3, alpha=0.05)
    late = may_stop([2000] * 3, [0.2, 0.6, 0.3], [0.2] * 3, alpha=0.05)
    assert (early.leader, early.stop, late.leader, late.stop) == (1, False, 1, True)
    assert late.statistic == pytest.approx(0.5 * 0.3**2 / (0.4 / 2000))  # against arm 2, the nearer one
    assert late.threshold == glr_threshold(2000, 2000, 3, 0.05)
    assert may_stop([2000] * 3, [0.2, 0.6, 0.3], [0.2] * 3, alpha=0.05, better="lower").leader == 0


def test_a_tolerance_makes_stopping_easier():
    """Whoever is content with an arm within epsilon of the best may stop sooner."""
    strict = may_stop([2000] * 2, [0.5, 0.5], [0.2] * 2, alpha=0.05)
    lenient = may_stop([2000] * 2, [0.5, 0.5], [0.2] * 2, alpha=0.05, epsilon=0.1)
    assert (strict.stop, lenient.stop) == (False, True)


def test_stopping_needs_every_arm():
    """An arm without observations or spread cannot be judged."""
    with pytest.raises(InvalidInput):
        may_stop([5, 0], [0.1, 0.2], [0.1, 0.1], alpha=0.05)
    with pytest.raises(InvalidInput):
        may_stop([5, 5], [0.1, 0.2], [0.1, 0.0], alpha=0.05)
    with pytest.raises(InvalidInput):
        may_stop([5, 5], [0.1, 0.2], [0.1, 0.1], alpha=0.0)


def test_stopping_is_honest_at_all_looks_together():
    """With three equal arms some arm is called best in far fewer than 5 % of 2,000 runs of 100 looks each."""
    generator = np.random.default_rng(17)
    runs, looks, step = 2000, 100, 10
    sums = generator.standard_normal((runs, 3, looks)).cumsum(axis=-1) * math.sqrt(step)
    n = step * np.arange(1.0, looks + 1)
    ordered = np.sort(sums / n, axis=1)
    ratio = 0.5 * (ordered[:, 2] - ordered[:, 1]) ** 2 / (2 / n)
    threshold = np.array([glr_threshold(size, size, 3, 0.05) for size in n])
    assert (ratio > threshold).any(axis=1).mean() < 0.05
    assert (ratio > 1.0).any(axis=1).mean() > 0.5  # the runs do wander: a lower threshold would be crossed
