"""Buckets as clusters: their differences are the noise, and too few of them give no verdict."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.evidence.summary import FloatArray
from vedette.kernel.errors import InvalidInput
from vedette.stats.clusters import MINIMUM_CLUSTERS, cluster_estimate, compare_clusters, residual_estimate
from vedette.stats.sequential import Side

STOP = math.log(20.0)


def tenants(generator: np.random.Generator, count: int = 200) -> tuple[FloatArray, FloatArray]:
    """Sizes of Zipf-distributed tenants, and their means, which differ far more than chance."""
    return 2000.0 / np.arange(1.0, count + 1.0), generator.normal(100.0, 20.0, count)


def test_equal_clusters_are_the_textbook_mean():
    """With equal sizes: the mean of means, s²/G times the t correction, and as many clusters as buckets."""
    means = np.array([3.0, 5.0, 4.0, 8.0, 6.0, 4.0, 5.0, 5.0, 7.0, 3.0])
    found = cluster_estimate(means * 50.0, np.full(10, 50.0))
    assert found.mean == pytest.approx(means.mean())
    assert found.n == pytest.approx(10.0)
    # The jackknife of a mean of equal clusters is exactly s²/G (Tukey 1958); 9/7 is the variance of t with 9 degrees.
    assert found.variance == pytest.approx(means.var(ddof=1) / 10.0 * 9.0 / 7.0)


def test_the_effective_number_of_unequal_clusters_is_kishs():
    """One bucket as large as nine others together counts less than ten: (Σx)²/Σx² (Kish 1965)."""
    sizes = np.array([9.0, *[1.0] * 9])
    assert cluster_estimate(sizes, sizes).n == pytest.approx(18.0**2 / 90.0)


@given(st.lists(st.tuples(st.floats(-1e3, 1e3), st.floats(0.1, 1e3)), min_size=5, max_size=40), st.floats(0.1, 100.0))
def test_units_scale_out_and_empty_buckets_do_not_count(buckets, scale):
    """Measuring in other units scales the mean and its error alike; buckets without traffic change nothing."""
    totals, sizes = (np.array(column) for column in zip(*buckets, strict=True))
    plain = cluster_estimate(totals, sizes)
    scaled = cluster_estimate(np.append(totals * scale, 0.0), np.append(sizes, 0.0))
    assert scaled.mean == pytest.approx(plain.mean * scale, rel=1e-6, abs=1e-6)
    assert scaled.n == pytest.approx(plain.n)
    assert scaled.variance == pytest.approx(plain.variance * scale**2, rel=1e-5, abs=1e-9, nan_ok=True)


def test_few_clusters_are_insufficient():
    """Six tenants give no verdict, however many requests they send and however far apart the arms are."""
    six = cluster_estimate(np.full(6, 1e6), np.full(6, 1e6))
    many = cluster_estimate(np.zeros(100), np.full(100, 1e6))
    assert compare_clusters(six, many, alpha=0.05) is None
    assert six.n < MINIMUM_CLUSTERS <= many.n


def test_three_clusters_have_no_known_variance():
    """With three effective clusters or fewer the t correction has no variance, so none is claimed."""
    assert math.isnan(cluster_estimate([1.0, 2.0, 3.0], [1.0, 1.0, 1.0]).variance)
    assert cluster_estimate([0.0, 0.0], [0.0, 0.0]).n == 0.0


def healthy_and_worse(worse: float, *, seed: int, history: bool, runs: int = 300) -> float:
    """The share of rollouts at 50 % in which the canary, whose means are times `worse`, is called larger."""
    generator = np.random.default_rng(seed)
    stops = 0
    for _ in range(runs):
        sizes, means = tenants(generator)
        arm = generator.random(sizes.size) < 0.5
        noise = generator.normal(0.0, 5.0, (2, sizes.size))
        now = sizes * (means + noise[0]) * np.where(arm, worse, 1.0)
        past = sizes * (means + noise[1])
        arms = [
            residual_estimate(now * side, sizes * side, past, sizes, pseudo_size=10.0)
            if history
            else cluster_estimate(now[side], sizes[side])
            for side in (arm, ~arm)
        ]
        found = compare_clusters(arms[0], arms[1], alpha=0.05, side=Side.GREATER)
        stops += found is not None and (found.log_e_value or 0.0) >= STOP
    return stops / runs


@pytest.mark.parametrize("history", [False, True])
def test_tenants_that_differ_keep_the_promise(history):
    """Whichever tenants the canary gets, at most alpha of equal arms are called different."""
    assert healthy_and_worse(1.0, seed=1, history=history) <= 0.05


def test_each_bucket_against_its_own_history_finds_far_more():
    """A sixth more latency drowns between tenants; against each one's past it is found wherever clusters are enough."""
    assert healthy_and_worse(1.17, seed=2, history=True) > 0.6
    assert healthy_and_worse(1.17, seed=2, history=False) < 0.3


def test_residuals_keep_the_level_of_the_domain():
    """An arm that does as its buckets always did is estimated at the domain's past level."""
    sizes = np.linspace(10.0, 100.0, 30)
    past = sizes * np.linspace(1.0, 5.0, 30)
    found = residual_estimate(past, sizes, past * 100.0, sizes * 100.0, pseudo_size=1e-9)
    assert found.mean == pytest.approx(past.sum() / sizes.sum())
    assert found.variance == pytest.approx(0.0, abs=1e-12)


def test_wrong_shapes_are_refused():
    """Totals and sizes pair up bucket by bucket, sizes are never negative, and residuals need a past."""
    with pytest.raises(InvalidInput):
        cluster_estimate([1.0, 2.0], [1.0])
    with pytest.raises(InvalidInput):
        cluster_estimate([1.0, 2.0], [1.0, -1.0])
    with pytest.raises(InvalidInput):
        residual_estimate([1.0], [1.0], [0.0], [0.0])
