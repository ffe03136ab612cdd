"""Uniform boundaries agree with the published reference and are never crossed too often."""

from functools import partial

import numpy as np
import pytest

from vedette.stats.boundaries import (
    best_rho,
    beta_binomial_boundary,
    beta_binomial_log_mixture,
    double_stitched_boundary,
    gamma_exponential_boundary,
    gamma_exponential_log_mixture,
    gamma_poisson_boundary,
    gamma_poisson_log_mixture,
    normal_boundary,
    normal_log_mixture,
    stitched_boundary,
)

ONE_SIDED, TWO_SIDED = best_rho(100, 0.05, one_sided=True), best_rho(100, 0.05, one_sided=False)
bounded = partial(beta_binomial_log_mixture, v_opt=100, low=0.2, high=0.8)
bounded_boundary = partial(beta_binomial_boundary, v_opt=100, low=0.2, high=0.8)

# gostevehoward/confseq, test/uniform_boundaries_unittest.cpp at commit 70b1ef3 ("target values are from a reference
# implementation in R"): s = 10, v = 100, v_opt = 100, alpha = alpha_opt = 0.05.
PUBLISHED = {
    "two-sided normal rho": (TWO_SIDED, 12.60056),
    "two-sided normal mixture": (normal_log_mixture(10, 100, TWO_SIDED, one_sided=False), -0.6510052),
    "two-sided normal bound": (normal_boundary(100, 0.05, TWO_SIDED, one_sided=False), 30.35209),
    "one-sided normal mixture": (normal_log_mixture(10, 100, ONE_SIDED, one_sided=True), -0.06502391),
    "one-sided normal bound": (normal_boundary(100, 0.05, ONE_SIDED, one_sided=True), 27.66071),
    "gamma-exponential mixture": (gamma_exponential_log_mixture(10, 100, ONE_SIDED, 2), -0.2490165),
    "gamma-exponential bound": (gamma_exponential_boundary(100, 0.05, ONE_SIDED, 2), 33.02017),
    "gamma-Poisson mixture": (gamma_poisson_log_mixture(10, 100, ONE_SIDED, 2), -0.06991219),
    "gamma-Poisson bound": (gamma_poisson_boundary(100, 0.05, ONE_SIDED, 2), 30.1949),
    "two-sided beta-binomial mixture": (bounded(10, 100, one_sided=False), -0.6941012),
    "two-sided beta-binomial bound": (bounded_boundary(100, 0.05, one_sided=False), 31.4308),
    "one-sided beta-binomial mixture": (bounded(10, 100, one_sided=True), -0.07134019),
    "one-sided beta-binomial bound": (bounded_boundary(100, 0.05, one_sided=True), 28.41238),
    "beta-binomial bound at the largest sum": (bounded_boundary(0.32, 0.05, one_sided=True), 1.6),
    "stitching, c = 3": (stitched_boundary(100, 0.05, v_min=10, scale=3), 64.48755),
    "stitching, c = -1": (stitched_boundary(100, 0.05, v_min=10, scale=-1), 28.99389),
    "double stitching, median": (double_stitched_boundary(0.5, 1000, 0.05, n_min=100), 68.62803),
    "double stitching, p90": (double_stitched_boundary(0.9, 1000, 0.05, n_min=100), 43.72119),
    "double stitching, p10": (double_stitched_boundary(0.1, 1000, 0.05, n_min=100), 59.96521),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_values_of_confseq_hold(name):
    """Every mixture and boundary equals the reference to its 1e-5."""
    got, expected = PUBLISHED[name]
    assert got == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("one_sided", [True, False])
def test_a_boundary_is_where_the_mixture_reaches_its_threshold(one_sided):
    """The e-value on the boundary is one over alpha, at every level and time."""
    for alpha in (0.001, 0.05, 0.2):
        for v in (1.0, 100.0, 1e5):
            s = normal_boundary(v, alpha, 10.0, one_sided=one_sided)
            assert normal_log_mixture(s, v, 10.0, one_sided=one_sided) == pytest.approx(-np.log(alpha))


def test_before_its_start_the_stitched_boundary_stays_level():
    """Times before `v_min` have the boundary of `v_min`, not a smaller one."""
    early, start, late = stitched_boundary([1.0, 10.0, 11.0], 0.05, v_min=10)
    assert early == start < late


@pytest.mark.parametrize("p", [0.01, 0.5])
def test_bernoulli_sums_rarely_cross(p):
    """Watched at each of 2,000 observations, a Bernoulli sum crosses the 5 % boundaries in at most 5 % of the runs."""
    n = np.arange(1, 2001)
    draws = np.random.default_rng(7).random((400, n.size)) < p
    sums, v = np.cumsum(draws, axis=1) - p * n, p * (1 - p) * n
    one_sided = beta_binomial_log_mixture(sums, v, v_opt=v[500], low=p, high=1 - p, one_sided=True)
    two_sided = beta_binomial_log_mixture(sums, v, v_opt=v[500], low=p, high=1 - p, one_sided=False)
    poisson = gamma_poisson_log_mixture(sums, v, best_rho(v[500], 0.05, one_sided=True), 1.0)
    for log_e in (one_sided, two_sided, poisson):
        assert 0.0 < np.mean(log_e.max(axis=1) >= np.log(20)) <= 0.05


def test_sums_far_on_the_other_side_are_little_evidence_not_an_error():
    """However far a sum lies below zero, the one-sided log e-value is negative, finite and without a warning."""
    for s in (-1e2, -1e4, -2e5):
        for log_e in (
            beta_binomial_log_mixture(s, 250_000.0, v_opt=100, low=0.5, high=0.5, one_sided=True),
            normal_log_mixture(s, 250_000.0, 10.0, one_sided=True),
        ):
            assert -40 < log_e < -3
