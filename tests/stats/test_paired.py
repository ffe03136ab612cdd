"""Models judged on the same prompts: published digits, one verdict for p and interval, honest clusters."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import ndtr
from scipy.stats import friedmanchisquare, ttest_rel, wilcoxon

from vedette.evidence.summary import moments
from vedette.kernel.errors import InvalidInput
from vedette.stats.cautions import Caution
from vedette.stats.paired import (
    McNemar,
    cochran_q,
    friedman,
    mcnemar,
    paired_cluster_sums,
    paired_clusters,
    paired_t,
    paired_t_moments,
    paired_table,
    signed_rank,
)
from vedette.stats.sequential import Side

SLEEP = (
    [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0],
    [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4],
)
APPROVAL = [[794, 150], [86, 570]]
TABLES = st.lists(st.integers(0, 40), min_size=4, max_size=4).filter(lambda cells: cells[1] + cells[2] > 0)
DEPRESSION = (
    [1.83, 0.50, 1.62, 2.48, 1.68, 1.88, 1.55, 3.06, 1.30],
    [0.878, 0.647, 0.598, 2.05, 1.06, 1.29, 1.06, 3.14, 1.29],
)
UNTIED = st.lists(st.integers(-10_000, 10_000), min_size=6, max_size=25, unique_by=abs).filter(lambda it: 0 not in it)


def missed(found):
    """Share of the intervals that do not hold zero."""
    return np.mean([not it.low <= 0.0 <= it.high for it in found])


@pytest.mark.parametrize(
    ("method", "chi_square", "p_value"),
    [
        (McNemar.CHI_SQUARE, 17.3559322034, 3.09929344105e-05),
        (McNemar.CORRECTED, 16.8177966102, 4.11456228135e-05),
    ],
)
def test_approval_ratings(method, chi_square, p_value):
    """R 4.2.2 mcnemar.test on Agresti 1990, p. 350: without and with continuity correction."""
    found: Any = mcnemar(APPROVAL, method=method)
    assert found.statistic == pytest.approx(chi_square, rel=1e-8)
    assert found.p_value == pytest.approx(p_value, rel=1e-8)
    assert (found.df, found.n, found.estimate) == (1.0, 1600.0, pytest.approx(0.04))


@pytest.mark.parametrize(
    ("method", "p_value"),
    [
        (McNemar.SCORE, 0.0339),
        (McNemar.CHI_SQUARE, 0.0339),
        (McNemar.CORRECTED, 0.0771),
        (McNemar.EXACT, 0.0703),
        (McNemar.MID_P, 0.0391),
    ],
)
def test_airway_responsiveness(method, p_value):
    """Fagerland, Lydersen & Laake 2013, the data of Bentur et al. 2009: [[1, 1], [7, 12]] by each method."""
    assert mcnemar([[1, 1], [7, 12]], method=method).p_value == pytest.approx(p_value, abs=6e-5)


@pytest.mark.parametrize(
    ("table", "alpha", "low", "high", "digits"),
    [
        ([[4, 9], [3, 16]], 0.05, -0.027, 0.390, 3),  # Tango 1998, as in the tests of R's ratesci
        ([[43, 0], [1, 0]], 0.10, -0.096, 0.037, 3),  # same
        ([[53, 16], [8, 9]], 0.05, -0.020, 0.207, 3),  # Agresti & Min 2005, same
        ([[1, 1], [7, 12]], 0.05, -0.517, -0.026, 3),  # Fagerland, Lydersen & Laake 2014, data of Bentur et al. 2009
    ],
)
def test_tango_intervals(table, alpha, low, high, digits):
    """Published score intervals for the difference of paired shares."""
    found: Any = mcnemar(table, alpha=alpha)
    assert (round(found.low, digits), round(found.high, digits)) == (low, high)


def test_unpaired_z_misses_what_the_pairs_show():
    """EleutherAI/lm-evaluation-harness#3868: on the same 220 answers unpaired z gives .080 and McNemar .008.

    The counts behind these two figures are not published; these have the same n and the same two p-values.
    """
    both, treatment_alone, control_alone, neither = 110, 30, 12, 68
    n = both + treatment_alone + control_alone + neither
    shares = np.array([both + treatment_alone, both + control_alone]) / n
    z = (shares[0] - shares[1]) / math.sqrt((shares * (1 - shares) / (n - 1)).sum())
    assert n == 220
    assert 2.0 * ndtr(-z) == pytest.approx(0.080, abs=5e-4)
    found: Any = mcnemar([[both, treatment_alone], [control_alone, neither]], method=McNemar.EXACT)
    assert found.p_value == pytest.approx(0.008, abs=5e-4)
    assert found.low > 0.0


@given(TABLES, st.sampled_from(list(Side)), st.floats(-0.6, 0.6))
def test_score_p_value_and_interval_never_disagree(cells, side, margin):
    """The p-value against a margin is alpha or less exactly when the interval leaves the margin out."""
    found: Any = mcnemar(np.reshape(cells, (2, 2)), side=side, margin=margin)
    out = (found.low is not None and margin < found.low) or (found.high is not None and margin > found.high)
    near = any(end is not None and abs(margin - end) < 1e-6 for end in (found.low, found.high))
    assert near or out == (found.p_value < 0.05)


@given(TABLES)
def test_exchanging_the_models_mirrors_everything(cells):
    """Treatment against control is control against treatment with all signs turned."""
    both, won, lost, neither = cells
    there: Any = mcnemar([[both, won], [lost, neither]])
    back: Any = mcnemar([[both, lost], [won, neither]])
    assert there.estimate == pytest.approx(-back.estimate)
    assert (there.low, there.high) == (pytest.approx(-back.high, abs=1e-9), pytest.approx(-back.low, abs=1e-9))
    assert there.p_value == pytest.approx(back.p_value)


def test_mcnemar_holds_its_level():
    """Two equal models with half their answers in common: the score interval misses zero in 5 % of 4,000 runs."""
    generator = np.random.default_rng(11)
    tables = generator.multinomial(150, [0.45, 0.15, 0.15, 0.25], 4000)
    assert 0.04 <= missed([mcnemar(table.reshape(2, 2)) for table in tables]) <= 0.06


def test_far_tails_keep_their_digits():
    """A z-score of 10.6 has a p-value of 3e-26, not zero."""
    won = int((10.6 * math.sqrt(400.0) + 400.0) / 2.0)
    found: Any = mcnemar([[0, won], [400 - won, 0]])
    assert found.statistic == pytest.approx(10.6)
    assert found.p_value == pytest.approx(2.98e-26, rel=0.01)


def test_missing_and_equal_answers_are_named():
    """Prompts without an answer are left out; without discordant pairs there is an interval and no p-value."""
    assert paired_table([1, 1, 0, np.nan], [1, 0, 0, 1]).tolist() == [[1.0, 1.0], [0.0, 1.0]]
    same: Any = mcnemar([[7, 0], [0, 3]])
    assert (same.p_value, same.warnings) == (None, (Caution.NO_VARIANCE,))
    assert same.high == pytest.approx(1.959964**2 / (10 + 1.959964**2))  # solves n D = z sqrt(n D (1 - D))
    nothing = mcnemar(paired_table([np.nan], [1.0]))
    assert (nothing.estimate, nothing.low, nothing.p_value, nothing.warnings) == (None, None, None, (Caution.TOO_FEW,))


WRONG = {
    "three columns": lambda: mcnemar([[1, 2, 3], [4, 5, 6]]),
    "negative count": lambda: mcnemar([[1, -2], [3, 4]]),
    "part of a pair": lambda: mcnemar([[1.0, 2.5], [3.0, 4.0]]),
    "alpha above a half": lambda: mcnemar(APPROVAL, alpha=0.7),
    "margin by an exact test": lambda: mcnemar(APPROVAL, margin=0.1, method=McNemar.EXACT),
    "lengths differ": lambda: paired_table([1, 0], [1]),
    "half right": lambda: paired_table([1, 0.5], [1, 0]),
    "infinite score": lambda: paired_t([1, math.inf], [1, 0]),
    "lengths of ranks differ": lambda: signed_rank([1.0], [1.0, 2.0]),
    "no cluster": lambda: paired_clusters([1, 0], [1, 1], ["a"]),
    "negative size": lambda: paired_cluster_sums([1.0, 2.0], [1.0, -1.0]),
    "one model": lambda: friedman([[1.0], [2.0]]),
    "half right of k": lambda: cochran_q([[1.0, 0.5], [0.0, 1.0]]),
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG.keys())
def test_bad_input_says_what_to_do(wrong):
    """Tables, lengths, values and levels that make no sense are refused."""
    with pytest.raises(InvalidInput):
        wrong()


def test_sleep():
    """R datasets::sleep, t.test(extra ~ group, paired = TRUE): t = -4.0621, df = 9, p = 0.002833."""
    found: Any = paired_t(*SLEEP)
    assert (found.statistic, found.df) == (pytest.approx(-4.0621, abs=5e-5), 9.0)
    assert found.p_value == pytest.approx(0.002833, abs=5e-7)
    assert (found.low, found.high) == (pytest.approx(-2.4598858, abs=1e-7), pytest.approx(-0.7001142, abs=1e-7))


@given(st.lists(st.floats(-100, 100), min_size=3, max_size=30), st.sampled_from(list(Side)))
def test_paired_t_is_scipys(values, side):
    """p-value of each side as scipy.stats.ttest_rel, and the same from the moments of the differences."""
    first = np.asarray(values) + np.linspace(0.0, 1.0, len(values)) ** 2
    second = np.cos(np.arange(len(values)))
    found: Any = paired_t(first, second, side=side)
    oracle = ttest_rel(first, second, alternative="two-sided" if side is Side.BOTH else side.value)
    assert found.p_value == pytest.approx(oracle.pvalue, rel=1e-6, abs=1e-300)
    assert paired_t_moments(moments(first - second), side=side).low == pytest.approx(found.low)


def test_undefined_paired_means_are_none():
    """No pairs, one pair, equal differences (up to rounding): the numbers are None and a warning says why."""
    assert paired_t([np.nan], [1.0]).warnings == (Caution.TOO_FEW, Caution.PARTLY_OBSERVED)
    one: Any = paired_t([2.0], [1.0])
    assert (one.estimate, one.p_value, one.warnings) == (1.0, None, (Caution.TOO_FEW,))
    same: Any = paired_t([0.3, 0.4, 0.5], [0.2, 0.3, 0.4])
    assert (same.p_value, same.low, same.warnings) == (None, None, (Caution.NO_VARIANCE,))


def test_equal_clusters_are_the_t_test_of_their_means():
    """Topics of one size: exactly Student's t on the topics' mean differences, with G - 1 degrees of freedom."""
    generator = np.random.default_rng(2)
    scores = generator.normal(size=(12, 5)) + generator.normal(size=(12, 1))
    found: Any = paired_clusters(scores, np.zeros((12, 5)), np.repeat([f"topic {i}" for i in range(12)], 5))
    plain: Any = paired_t(scores.mean(axis=1), np.zeros(12))
    assert (found.df, found.n) == (pytest.approx(11.0), pytest.approx(12.0))
    assert (found.estimate, found.low) == (pytest.approx(plain.estimate), pytest.approx(plain.low))
    assert found.p_value == pytest.approx(plain.p_value)


@pytest.mark.parametrize("alike", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("sizes", [np.full(8, 10.0), 1.0 + np.random.default_rng(0).geometric(0.1, 25)])
def test_clustered_coverage(sizes, alike):
    """8 equal topics, or 25 very unequal ones, however alike their prompts: the 95 % interval holds zero in 95 %."""
    generator = np.random.default_rng(7)
    shape = (2000, sizes.size)
    totals = sizes * math.sqrt(alike) * generator.normal(size=shape)
    totals += np.sqrt(sizes * (1.0 - alike)) * generator.normal(size=shape)
    found = [paired_cluster_sums(row, sizes) for row in totals]
    assert missed(found) == pytest.approx(0.05, abs=0.015)  # three Monte-Carlo errors


def test_ignoring_topics_is_not_an_option():
    """Ten prompts from each of 20 topics that agree: plain paired t is wrong in over a third of null runs, not 5 %."""
    generator = np.random.default_rng(3)
    topics = np.repeat(np.arange(20), 10)
    runs = generator.normal(size=(300, 20)).repeat(10, axis=1) + 0.3 * generator.normal(size=(300, 200))
    zero = np.zeros(200)
    assert missed([paired_t(run, zero) for run in runs]) > 0.35
    assert missed([paired_clusters(run, zero, topics) for run in runs]) < 0.09


def test_few_clusters_give_no_verdict():
    """Seven topics, or many beside one that outweighs them: an effect, a warning, and no verdict."""
    for sizes in (np.full(7, 100.0), np.array([1000.0, *[10.0] * 20])):
        found: Any = paired_cluster_sums(sizes * 0.5, sizes)
        assert found.estimate == pytest.approx(0.5)
        assert (found.low, found.high, found.p_value) == (None, None, None)
        assert found.warnings == (Caution.FEW_CLUSTERS,)
    assert paired_cluster_sums([], []).warnings == (Caution.TOO_FEW,)
    assert paired_cluster_sums(np.full(9, 2.0), np.full(9, 4.0)).warnings == (Caution.NO_VARIANCE,)


def test_answers_missing_in_one_model_leave_their_topic_smaller():
    """Pairs with NaN are left out and named, and the rest of the topic counts."""
    generator = np.random.default_rng(4)
    first, topics = generator.normal(size=40), np.arange(40) % 10
    second = np.where(np.arange(40) == 7, np.nan, 0.0)
    found: Any = paired_clusters(first, second, topics)
    assert found.estimate == pytest.approx(np.delete(first, 7).mean())
    assert found.warnings == (Caution.PARTLY_OBSERVED,)


def test_friedman_is_scipys():
    """Chi-square and p-value as scipy.stats.friedmanchisquare, ties and all."""
    scores = np.random.default_rng(5).integers(0, 4, (30, 4)).astype(float)
    found: Any = friedman(scores)
    oracle = friedmanchisquare(*scores.T)
    assert (found.statistic, found.p_value) == (pytest.approx(oracle.statistic), pytest.approx(oracle.pvalue))
    assert found.df == 3.0


def test_cochran_q_worked_by_hand():
    """Cochran 1950: Q = (k - 1) (k sum of C² - T²) / (k T - sum of R²), for models right on 5, 3 and 1 of 6 prompts."""
    table = [[1, 1, 0], [1, 0, 0], [1, 1, 0], [1, 1, 1], [1, 0, 0], [0, 0, 0]]
    # T = 9, sum of C² = 35, rows 2 1 2 3 1 0 with sum of R² = 19: 2 * (105 - 81) / (27 - 19) = 6.
    found: Any = cochran_q(table)
    assert (found.statistic, found.df, found.estimate) == (pytest.approx(6.0), 2.0, None)
    assert found.p_value == pytest.approx(math.exp(-3.0))


@given(TABLES)
def test_cochran_q_of_two_models_is_mcnemar(cells):
    """With two models Cochran's Q is McNemar's chi-square without correction."""
    pairs = [[1, 1]] * cells[0] + [[1, 0]] * cells[1] + [[0, 1]] * cells[2] + [[0, 0]] * cells[3]
    judged: Any = mcnemar(np.reshape(cells, (2, 2)), method=McNemar.CHI_SQUARE)
    assert cochran_q(pairs).statistic == pytest.approx(judged.statistic)


def test_undefined_omnibus_tests_are_none():
    """No prompts, or every model alike on each: None and a warning."""
    assert friedman(np.full((3, 2), np.nan)).warnings == (Caution.PARTLY_OBSERVED, Caution.TOO_FEW)
    assert cochran_q([[1, 1], [0, 0]]).warnings == (Caution.NO_VARIANCE,)


def test_depression():
    """R wilcox.test(x, y, paired = TRUE, alternative = "greater"), Hollander & Wolfe 1973: V = 40, p = 0.01953."""
    found: Any = signed_rank(*DEPRESSION, side=Side.GREATER)
    assert (found.statistic, found.high) == (40.0, None)
    assert found.p_value == pytest.approx(0.01953125, rel=1e-12)


def test_hodges_lehmann_by_hand():
    """The estimate is the median of the 45 Walsh averages, the ends the 6th from either end: qsignrank(.025, 9) = 6."""
    differences = np.subtract(*DEPRESSION)
    i, j = np.triu_indices(9)
    averages = np.sort((differences[i] + differences[j]) / 2.0)
    found: Any = signed_rank(*DEPRESSION)
    assert found.estimate == pytest.approx(averages[22], rel=1e-12)
    assert (found.low, found.high) == (pytest.approx(averages[5]), pytest.approx(averages[39]))


@given(UNTIED, st.integers(-10_000, 10_000), st.sampled_from(list(Side)))
def test_signed_rank_p_value_and_interval_never_disagree(values, margin, side):
    """Without ties the p-value against a margin is alpha or less exactly when the interval leaves it out."""
    shift = margin + 0.25  # no difference is the margin
    found: Any = signed_rank(values, np.zeros(len(values)), margin=shift, side=side)
    if Caution.TIES in found.warnings:
        return
    out = (found.low is not None and shift < found.low) or (found.high is not None and shift > found.high)
    assert out == (found.p_value <= 0.05)


@pytest.mark.parametrize("rounding", [0, 6])
def test_many_pairs_are_scipys_normal(rounding):
    """With ties or more than 50 pairs: p-value as scipy.stats.wilcoxon without correction, ties named."""
    values = np.random.default_rng(1).normal(0.3, 2.0, 200).round(rounding)
    found: Any = signed_rank(values, np.zeros(200))
    oracle = wilcoxon(values, method="asymptotic", correction=False)
    assert found.p_value == pytest.approx(oracle.pvalue, rel=1e-9)
    assert (Caution.TIES in found.warnings) == (rounding == 0)
    i, j = np.triu_indices(200)
    assert found.estimate == pytest.approx(np.median((values[i] + values[j]) / 2.0))


def test_undefined_signed_ranks_are_none():
    """No pairs, equal pairs, too few pairs for an interval: None and a warning."""
    assert signed_rank([], []).warnings == (Caution.TOO_FEW,)
    same: Any = signed_rank([1.0, 2.0, 3.0], [1.0, 2.0, 3.0])
    assert (same.p_value, same.low, same.warnings) == (None, None, (Caution.NO_VARIANCE,))
    few: Any = signed_rank([1.0, 2.5, 4.0], [0.0, 0.0, 0.0])
    assert (few.p_value, few.low, few.warnings) == (0.25, None, (Caution.TOO_FEW,))
