"""Adjusted p-values and simultaneous levels: published figures, orderings that always hold, and families."""

import math
from itertools import combinations, pairwise
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import ndtr, ndtri
from statsmodels.stats.multitest import multipletests

from vedette.evidence.summary import FloatArray
from vedette.kernel.errors import InvalidInput
from vedette.stats.multiplicity import (
    Multiplicity,
    PValueMethod,
    adjust,
    adjust_families,
    simultaneous_alpha,
)

METHODS: tuple[PValueMethod, ...] = get_args(PValueMethod)
# Benjamini & Hochberg 1995, JRSS B 57, §3.2.
BH_1995 = [
    *(0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459),
    *(0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0000),
]
FAMILY = st.lists(st.floats(0.0, 1.0), min_size=1, max_size=12)


def test_benjamini_hochberg_1995():
    """R 4.2.2 p.adjust of the 15 p-values of §3.2: BH rejects 4 at .05, Bonferroni 3; Holm, Hochberg, Hommel."""
    bh = [0.0015, 0.003, 0.0095, 0.035625, 0.0603, 0.0638571428571, 0.0638571428571, 0.0645, 0.0765, 0.486]
    bh += [0.581181818182, 0.714875, 0.753230769231, 0.813214285714, 1.0]
    holm = [0.0015, 0.0056, 0.0247, 0.114, 0.2211, 0.278, 0.278, 0.278, 0.3213, *[1.0] * 6]
    hochberg = [0.0015, 0.0056, 0.0247, 0.114, 0.2211, 0.2682, 0.2682, 0.2752, 0.3213, *[1.0] * 6]
    hommel = [0.0015, 0.0056, 0.0247, 0.095, 0.1608, 0.1946, 0.2086, 0.2408, 0.3213, *[1.0] * 6]
    hochberg[9:], hommel[9:] = [1.0] * 6, [1.0] * 6
    assert adjust(BH_1995, "bh") == pytest.approx(bh, abs=1e-9)
    assert adjust(BH_1995, "holm") == pytest.approx(holm, abs=1e-9)
    assert adjust(BH_1995, "hochberg") == pytest.approx(hochberg, abs=1e-9)
    assert adjust(BH_1995, "hommel") == pytest.approx(hommel, abs=1e-9)
    assert (adjust(BH_1995, "bh") <= 0.05).sum() == 4
    assert (adjust(BH_1995, "bonferroni") <= 0.05).sum() == 3


def test_tea_tasting_six():
    """e10v/tea-tasting at 90306f1, tests/test_multiplicity.py, test_adjust_fdr_default."""
    got = adjust([0.005, 0.06, 0.007, 0.04, 0.01, 0.03], "bh")
    assert got == pytest.approx([0.02, 0.06, 0.02, 0.048, 0.02, 0.045], rel=1e-9)


@pytest.mark.parametrize("size", [1, 2, 5, 14])
def test_statsmodels_gives_the_same(size):
    """Every method agrees with statsmodels' multipletests, ties and certain nulls included."""
    p = np.round(np.random.default_rng(size).uniform(size=size) ** 3, 2)
    p[-1] = 1.0
    theirs = {"holm": "holm", "hochberg": "simes-hochberg", "hommel": "hommel", "bh": "fdr_bh", "by": "fdr_by"}
    theirs |= {name: name for name in ("bonferroni", "sidak", "holm-sidak")}
    for method in METHODS[1:]:
        with np.errstate(divide="ignore"):  # statsmodels takes log(0) where p is 1
            expected = multipletests(p, method=theirs[method])[1]
        assert adjust(p, method) == pytest.approx(expected, abs=1e-12)


@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=6))
def test_hommel_is_closed_testing_with_simes(p):
    """Hommel's adjusted p-value is the largest Simes p-value of all the sets that a hypothesis is in."""
    expected = np.zeros(len(p))
    for size in range(1, len(p) + 1):
        for members in combinations(range(len(p)), size):
            simes = min(size * value / (rank + 1) for rank, value in enumerate(sorted(p[i] for i in members)))
            expected[list(members)] = np.maximum(expected[list(members)], simes)
    assert adjust(p, "hommel") == pytest.approx(np.minimum(expected, 1.0), abs=1e-12)


@given(FAMILY)
def test_stronger_assumptions_never_cost(p):
    """Raw p ≤ Hommel ≤ Hochberg ≤ Holm ≤ Bonferroni ≤ 1, Šidák ≤ Bonferroni, BH ≤ BY, and BH ≤ Hochberg."""
    got: dict[str, FloatArray] = {method: adjust(p, method) for method in METHODS}
    chains = (("none", "hommel", "hochberg", "holm", "bonferroni"), ("none", "holm-sidak", "sidak", "bonferroni"))
    for chain in (*chains, ("none", "bh", "by"), ("bh", "hochberg"), ("holm-sidak", "holm")):
        for smaller, larger in pairwise(chain):
            assert (got[smaller] <= got[larger] + 1e-12).all(), (smaller, larger)
    assert all((values >= np.asarray(p)).all() and (values <= 1.0).all() for values in got.values())


@given(FAMILY, st.randoms())
def test_order_in_order_out(p, random):
    """Shuffling the p-values shuffles the adjusted ones, and a smaller p never has a larger adjusted p."""
    shuffle = random.sample(range(len(p)), len(p))
    for method in METHODS:
        whole = adjust(p, method)
        assert adjust(np.asarray(p)[shuffle], method).tolist() == whole[shuffle].tolist()
        assert (np.diff(whole[np.argsort(p, kind="stable")]) >= 0.0).all()


@pytest.mark.parametrize("method", METHODS)
def test_undefined_p_values_are_no_part_of_the_family(method):
    """None and NaN stay NaN and do not count; an undefined family is undefined; an empty one is empty."""
    got = adjust([0.01, None, 0.04, math.nan, 0.03], method)
    assert np.isnan(got).tolist() == [False, True, False, True, False]
    assert got[[0, 2, 4]].tolist() == adjust([0.01, 0.04, 0.03], method).tolist()
    assert np.isnan(adjust(np.array([None, np.nan], float), method)).all()
    assert adjust([], method).size == 0


def test_rows_are_families():
    """An array of families is adjusted row by row, and a lone p-value is a family of one."""
    rows = adjust([[0.01, 0.02, 0.5], [0.04, math.nan, 0.03]], "holm")
    assert rows[0].tolist() == adjust([0.01, 0.02, 0.5], "holm").tolist()
    assert rows[1, [0, 2]].tolist() == adjust([0.04, 0.03], "holm").tolist()
    assert float(adjust(0.02, "bonferroni")) == 0.02


def test_small_p_values_keep_their_digits():
    """Šidák of p = 1e-30 in a family of 20 is 2e-29, not 0."""
    assert adjust([1e-30, *[0.5] * 19], "sidak")[0] == pytest.approx(2e-29, rel=1e-12)


def test_scope_says_what_a_family_is():
    """Within metrics each metric has its own correction; across them all comparisons share one."""
    p, metrics = [0.01, 0.02, 0.03, 0.04], ["clicks", "cost", "clicks", "cost"]
    assert adjust_families(p, metrics, "bonferroni", "metric").tolist() == [0.02, 0.04, 0.06, 0.08]
    assert adjust_families(p, metrics, "bonferroni", "family").tolist() == [0.04, 0.08, 0.12, 0.16]
    with pytest.raises(InvalidInput, match="needs its metric"):
        adjust_families(p, ["clicks"], "holm", "metric")


def test_levels_of_simultaneous_intervals():
    """Levels: alpha/m, Šidák's, and for the R selected intervals the false coverage rate's R·alpha/m."""
    assert simultaneous_alpha(0.05, 4, "none") == 0.05
    assert simultaneous_alpha(0.05, 4, "holm") == simultaneous_alpha(0.05, 4, "bonferroni") == 0.0125
    assert (1.0 - simultaneous_alpha(0.05, 4, "sidak")) ** 4 == pytest.approx(0.95)
    assert simultaneous_alpha(0.05, 10, "bh", selected=3) == pytest.approx(0.015)
    assert simultaneous_alpha(0.05, 10, "bh", selected=0) == pytest.approx(0.005)
    assert simultaneous_alpha(0.05, 4, "by", selected=4) == pytest.approx(0.05 / (1 + 1 / 2 + 1 / 3 + 1 / 4))


def test_false_coverage_rate():
    """Intervals of what BH selects, at their level, miss a share of at most alpha; unadjusted ones miss more."""
    random = np.random.default_rng(8)
    truth = np.repeat([0.0, 2.0], [15, 5])
    x = truth + random.normal(size=(3000, 20))
    selected = adjust(2.0 * ndtr(-np.abs(x)), "bh") <= 0.1
    count = selected.sum(axis=1)
    level = np.array([simultaneous_alpha(0.1, 20, "bh", selected=int(number)) for number in count])
    missed = np.abs(x - truth) > -ndtri(level / 2.0)[:, None]
    naive = np.abs(x - truth) > -ndtri(0.05)
    rates = [((m & selected).sum(axis=1) / np.maximum(count, 1)).mean() for m in (missed, naive)]
    assert rates[0] < 0.1
    assert rates[1] > 0.15


def test_family_wise_error_is_kept():
    """With seven independent true nulls the smallest adjusted p-value is .05 or less one time in twenty, or less."""
    p = np.random.default_rng(3).uniform(size=(4000, 7))
    share = {method: (adjust(p, method).min(axis=1) <= 0.05).mean() for method in METHODS}
    assert share.pop("none") > 0.25
    assert share["holm-sidak"] == pytest.approx(0.05, abs=4 * (0.05 * 0.95 / 4000) ** 0.5)
    assert max(share.values()) <= 0.05 + 4 * (0.05 * 0.95 / 4000) ** 0.5


def test_bad_input_says_what_is_wrong():
    """p-values outside [0, 1], unknown words and methods without the numbers they need are refused, with a hint."""
    with pytest.raises(InvalidInput, match="between 0 and 1"):
        adjust([0.2, 1.2], "holm")
    with pytest.raises(InvalidInput, match="many_means"):
        adjust([0.2], "dunnett")
    with pytest.raises(InvalidInput, match="give selected"):
        simultaneous_alpha(0.05, 3, "bh")
    with pytest.raises(InvalidInput, match="many_means"):
        simultaneous_alpha(0.05, 3, "tukey")
    with pytest.raises(InvalidInput, match="at least one"):
        simultaneous_alpha(0.05, 0, "holm")
    with pytest.raises(InvalidInput, match="alpha"):
        simultaneous_alpha(1.0, 2, "holm")


def test_a_choice_is_checked_when_it_is_made():
    """Unknown words are refused at once; Dunnett cannot span metrics, as it knows only one metric's correlations."""
    assert Multiplicity() == Multiplicity(method="holm", scope="metric")
    assert not Multiplicity(method="dunnett").of_p_values
    with pytest.raises(InvalidInput, match="unknown correction"):
        Multiplicity(method="bonferoni")  # type: ignore[arg-type]  # a typing error, as in a YAML file
    with pytest.raises(InvalidInput, match="unknown scope"):
        Multiplicity(scope="all")  # type: ignore[arg-type]  # a typing error, as in a YAML file
    with pytest.raises(InvalidInput, match="cannot span metrics"):
        Multiplicity(method="dunnett", scope="family")
