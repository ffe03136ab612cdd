"""Quantiles compared at any look: published digits, honest bins, false alarms and power."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from vedette.evidence.histogram import OVERFLOW, Histogram, upper_edge
from vedette.kernel.errors import InvalidInput
from vedette.stats.boundaries import beta_binomial_log_mixture
from vedette.stats.quantiles import (
    cdf_band_radius,
    distribution_exceeds,
    quantile_ab_p_value,
    quantile_exceeds,
    quantile_sequence,
    quantiles_differ,
)

IntArray = NDArray[np.int64]
LOOKS = [100, 200, 400, 800, 1600, 3200]


def latency_bins(seed: int, size: int, factor: float = 1.0) -> IntArray:
    """Draw log-normal latencies with a median of 100 ms times a factor, and give their bins as `index_of` does."""
    logs = np.random.default_rng(seed).normal(math.log(100.0 * factor), 0.5, size)
    return np.floor(logs / math.log(1.04)).astype(np.int64)


def histogram(bins: IntArray) -> Histogram:
    """Build a histogram from bins."""
    index, count = np.unique(bins, return_counts=True)
    return Histogram({int(i): int(c) for i, c in zip(index, count, strict=True)})


@pytest.mark.parametrize(
    ("q", "shift", "p"), [(0.5, 70, 0.814704), (0.5, 85, 0.0838055), (0.5, 100, 0.0054947), (0.9, 55, 0.0340463)]
)
def test_confseq_quantile_ab(q, shift, p):
    """QuantileABTest of gostevehoward/confseq, test/uniform_boundaries_unittest.cpp at 70b1ef3: 1..1000 and shifted."""
    values = np.arange(1, 1001)
    assert quantile_ab_p_value(values, values + shift, q, tuning=100) == pytest.approx(p, abs=1e-5)


def test_confseq_band():
    """EmpiricalProcessLILTest of the same file: t = 1000, t_min = 100, A = 0.85, alpha = 0.05 gives 0.08204769.

    That is within its tolerance of 1e-5; a search on a fine grid of eta gives 0.08204779.
    """
    assert cdf_band_radius(1000, alpha=0.05, start=100) == pytest.approx(0.08204769, abs=2e-7)


def test_a_band_begins_at_its_start_and_narrows():
    """Before its start a band says nothing; from there on more values always make it narrower."""
    radius = cdf_band_radius([50, 99, 100, 200, 10_000, 1e6], alpha=0.05)
    assert np.isinf(radius[:2]).all()
    assert (np.diff(radius[2:]) < 0).all()


def test_quantile_sequences_hold_the_truth_at_all_looks():
    """The median and the p95 stay inside the sequence at every look in at least 95 % of the runs."""
    truth = {0.5: 100.0, 0.95: 100.0 * math.exp(0.5 * 1.6448536)}
    missed = dict.fromkeys(truth, 0)
    for run in range(150):
        bins = latency_bins(run, LOOKS[-1])
        for q, value in truth.items():
            looks = [quantile_sequence(histogram(bins[:n]), q, alpha=0.05, tuning=200) for n in LOOKS]
            missed[q] += any(not at.low <= value <= (at.high or math.inf) for at in looks)
    assert max(missed.values()) <= 0.05 * 150


def test_a_quantile_sequence_narrows_around_its_estimate():
    """The interval encloses the estimate and gets narrower with more values; its upper end may be missing at first."""
    bins = latency_bins(5, 5000)
    early, middle, late = (quantile_sequence(histogram(bins[:n]), 0.95, alpha=0.05) for n in (10, 500, 5000))
    assert early.high is None
    assert middle.high is not None
    assert late.high is not None
    assert late.estimate is not None
    assert middle.low < late.low < late.estimate < late.high < middle.high


def test_without_values_nothing_is_known():
    """An empty histogram has no estimate and no bounds, and an empty arm gives no evidence."""
    empty, full = Histogram({}), Histogram.of([1.0] * 500)
    got = quantile_sequence(empty, 0.5, alpha=0.05)
    assert (got.estimate, got.low, got.high) == (None, 0.0, None)
    assert quantiles_differ(empty, empty, 0.5) == 1.0
    for sample, reference in ((empty, empty), (empty, full), (full, empty)):
        assert quantile_exceeds(sample, reference, 0.5, alpha=0.05).p_value == 1.0
        assert distribution_exceeds(sample, reference, alpha=0.05).p_value == 1.0


def test_regression_beyond_the_tolerance_is_found_and_within_it_is_not():
    """At 10 % tolerance a canary 50 % slower exceeds, one 8 % slower does not; equals are proven non-inferior."""
    stable, equal, slower, slow = (
        histogram(latency_bins(seed, n, factor))
        for seed, n, factor in ((1, 20_000, 1.0), (2, 8000, 1.0), (3, 2000, 1.08), (4, 2000, 1.5))
    )
    found = quantile_exceeds(slow, stable, 0.95, alpha=0.05, factor=1.1)
    assert found.exceeds
    assert found.sample.low > (found.reference.high or math.inf)
    assert not quantile_exceeds(slower, stable, 0.95, alpha=0.05, factor=1.1).exceeds
    assert quantile_exceeds(stable, equal, 0.95, alpha=0.05, factor=1 / 1.3).exceeds
    assert not quantile_exceeds(stable, slow, 0.95, alpha=0.05, factor=1 / 1.3).exceeds


@pytest.mark.parametrize(("true_factor", "share"), [(1.0, 0.5), (1.04**3, 0.1)])
def test_false_regressions_at_all_looks_together(true_factor, share):
    """A canary exactly at the tolerance is ever called worse in at most 5 % of the runs, by either test."""
    alarms, band_alarms = 0, 0
    for run in range(150):
        canary = latency_bins(2 * run, int(2 * LOOKS[-1] * share), true_factor)
        stable = latency_bins(2 * run + 1, 2 * LOOKS[-1])
        looks = [(histogram(canary[: int(2 * n * share)]), histogram(stable[: 2 * n])) for n in LOOKS]
        alarms += any(
            quantile_exceeds(a, b, 0.95, alpha=0.05, factor=true_factor, tuning=200).exceeds for a, b in looks
        )
        band_alarms += any(distribution_exceeds(a, b, alpha=0.05, factor=true_factor).exceeds for a, b in looks)
    assert alarms <= 0.05 * 150
    assert band_alarms <= 0.05 * 150


values_lists = st.lists(st.sampled_from([0.0, 0.9, 1.0, 1.01, 1.05, 1.1, 1.2, 2.0, 3.0, math.inf]), min_size=1)


@given(values_lists, values_lists, st.sampled_from([0.5, 0.8, 1.0, 1.04, 1.1, 2.0]), st.sampled_from([0.5, 0.9]))
def test_bins_never_add_evidence(sample, reference, factor, q):
    """The e-value from two histograms is at most the one from the values themselves, at any factor."""
    repeated, candidates = 20, {0.0, 1e-6, 1e6, *reference, *(value / factor for value in sample)}
    candidates |= {value * (1 + tiny) for value in candidates for tiny in (-1e-9, 1e-9)}
    v, exact = q * (1 - q), math.inf
    for y in candidates:
        few = sum(q - (x <= y * factor) for x in sample) * repeated
        many = sum((x < y) - q for x in reference) * repeated
        exact = min(
            exact,
            float(_mixture(few, len(sample) * repeated * v, 1 - q) + _mixture(many, len(reference) * repeated * v, q)),
        )
    got = quantile_exceeds(
        Histogram.of(sample * repeated), Histogram.of(reference * repeated), q, alpha=0.05, factor=factor
    )
    assert got.log_e_value <= exact + 1e-9


def _mixture(s: float, v: float, low: float) -> float:
    v_opt = 1000.0 * low * (1 - low)
    return float(beta_binomial_log_mixture(s, v, v_opt=v_opt, low=low, high=1 - low, one_sided=True))


def test_a_million_values_give_overwhelming_evidence():
    """With very many values the e-value is huge; nothing underflows into "no evidence"."""
    canary, stable = Histogram({100: 2_000_000, 120: 90_000}), Histogram({80: 2_000_000, 90: 90_000})
    assert quantile_exceeds(canary, stable, 0.95, alpha=0.05).log_e_value > 1000
    assert quantile_exceeds(canary, stable, 0.5, alpha=0.05, factor=1.5).p_value < 1e-300


def test_values_beyond_the_range_can_be_worse_than_all_others():
    """Zeros and overflowed values take part: an overflow exceeds all that is finite, and never another overflow."""
    zeros, overflow, some = Histogram.of([0.0] * 900), Histogram({OVERFLOW: 900}), Histogram.of([5.0] * 900)
    assert quantile_exceeds(overflow, some, 0.5, alpha=0.05, factor=2.0).exceeds
    assert quantile_exceeds(some, zeros, 0.5, alpha=0.05).exceeds
    assert not quantile_exceeds(overflow, overflow, 0.5, alpha=0.05, factor=0.5).exceeds
    assert quantile_sequence(overflow, 0.5, alpha=0.05).high is None
    assert quantile_sequence(zeros, 0.5, alpha=0.05).low == 0.0
    assert distribution_exceeds(overflow, some, alpha=0.05, factor=2.0).exceeds
    assert not distribution_exceeds(overflow, overflow, alpha=0.05, factor=0.5).exceeds


def test_clustered_values_count_for_less():
    """A design effect widens the intervals and weakens the evidence of all tests."""
    stable, slow = (histogram(latency_bins(seed, 3000, factor)) for seed, factor in ((1, 1.0), (2, 1.3)))
    evidence = [quantile_exceeds(slow, stable, 0.9, alpha=0.05, design_effect=d).log_e_value for d in (1.0, 5.0, 40.0)]
    assert evidence[0] > evidence[1] > evidence[2]
    assert distribution_exceeds(slow, stable, alpha=0.05).exceeds
    assert not distribution_exceeds(slow, stable, alpha=0.05, design_effect=40.0).exceeds
    alone, clustered = (quantile_sequence(stable, 0.5, alpha=0.05, design_effect=d) for d in (1.0, 10.0))
    assert clustered.low < alone.low


def test_two_arms_of_one_histogram_do_not_differ():
    """The two-sided test sees a shifted median and not an equal one."""
    first, second, shifted = (histogram(latency_bins(s, 3000, f)) for s, f in ((1, 1.0), (2, 1.0), (3, 1.3)))
    assert quantiles_differ(first, second, 0.5) > 0.05
    assert quantiles_differ(first, shifted, 0.5) < 1e-6


@pytest.mark.parametrize("size", [400, 1000, 1500, 2500])
def test_the_order_test_is_the_parting_of_two_bands(size):
    """Its p-value is at most alpha exactly when the gap exceeds both radii of level alpha / 2 together."""
    stable, slow = (histogram(latency_bins(seed, size, factor)) for seed, factor in ((1, 1.0), (2, 1.25)))
    got = distribution_exceeds(slow, stable, alpha=0.05)
    for alpha in (1e-6, 1e-4, 1e-3, 0.01, 0.05, 0.2, 0.5):
        parts = got.gap > 2 * float(cdf_band_radius(size, alpha=alpha / 2))
        assert parts == (got.p_value < alpha)
    assert got.at in {upper_edge(index) for index in {*slow.counts, *stable.counts}}


def test_misuse_is_refused():
    """Impossible quantiles, levels and factors are refused."""
    some = Histogram.of([1.0])
    with pytest.raises(InvalidInput, match="between 0 and 1"):
        quantile_sequence(some, 1.0, alpha=0.05)
    with pytest.raises(InvalidInput, match="between 0 and 1"):
        distribution_exceeds(some, some, alpha=0.0)
    with pytest.raises(InvalidInput, match="positive"):
        quantile_exceeds(some, some, 0.5, alpha=0.05, factor=0.0)
