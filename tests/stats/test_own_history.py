"""Whole tenants change arms: judged against their own history, a healthy rollout goes on and a bad one is stopped."""

import numpy as np
import pytest
from bench.rules.vedette_rule import own_history, request_share
from bench.traffic import Array, Scenario
from hypothesis import given
from hypothesis import strategies as st

from vedette.stats.own_history import against_history, estimate_dispersion, past_rate
from vedette.stats.rate_ratio import log_e_regression

HEALTHY = Scenario(1000, 1.0, sticky=True)


@pytest.fixture(scope="module")
def healthy():
    """Healthy rollouts on sticky tenants."""
    return HEALTHY.simulate(150, 1)


def caught(stops: Array) -> float:
    """The share of stopped runs."""
    return float(np.isfinite(stops).mean())


def test_the_request_share_stops_healthy_rollouts_of_sticky_tenants(healthy):
    """Treating tenants as if requests were alike breaks the promise several times over."""
    assert caught(request_share(healthy.total)) > 0.2


def test_a_day_of_history_keeps_the_promise(healthy):
    """Against their own past, healthy tenants are stopped at most alpha of the time."""
    assert caught(own_history(healthy, past=True)) <= 0.03


def test_the_ramp_is_a_history_too(healthy):
    """Without any past, what buckets did on stable before they moved keeps the promise as well."""
    assert caught(own_history(healthy, past=False)) <= 0.05


def test_bursts_inside_tenants_are_taken_for_what_they_are():
    """Tenants whose errors come in bursts do not stop a healthy rollout more often than promised."""
    bursts = Scenario(1000, 1.0, sticky=True, burst_share=0.02).simulate(100, 2)
    assert caught(own_history(bursts, past=True)) <= 0.06


def test_a_bad_canary_is_found_in_spite_of_the_tenants():
    """A fourfold is stopped with a day of history in every run, and from the ramp's own history in nearly every run."""
    fourfold = Scenario(1000, 4.0, sticky=True).simulate(40, 3)
    assert caught(own_history(fourfold, past=True)) == 1.0
    assert caught(own_history(fourfold, past=False)) > 0.9


def test_a_first_cell_without_a_past_says_nothing():
    """Where no bucket has a history nothing is counted: no coverage, no bad events, no evidence."""
    counts = [[[5.0, 0.0]]], [[[4.0, 0.0]]], [[[0.0, 900.0]]], [[[0.0, 1.0]]]
    cells = against_history(*counts, [0.0, 0.0], [0.0, 0.0])
    assert cells.covered.tolist() == [0.0]
    assert cells.bad_total.tolist() == [[0.0]]
    log_e = log_e_regression(cells.bad_canary, cells.bad_total, cells.expected_share)
    assert float(log_e[0, 0]) == pytest.approx(0.0, abs=1e-12)


def test_an_unknown_bucket_is_left_out_of_both_arms():
    """Only buckets with at least twenty past requests count; `covered` says how much of the canary that is."""
    canary = [[30.0, 70.0, 0.0]], [[3.0, 60.0, 0.0]]
    stable = [[0.0, 0.0, 100.0]], [[0.0, 0.0, 1.0]]
    cells = against_history(*canary, *stable, [500.0, 0.0, 500.0], [5.0, 0.0, 5.0])
    assert cells.covered == pytest.approx(0.3)
    assert cells.bad_canary.tolist() == [3.0]
    assert cells.bad_total.tolist() == [4.0]


def test_a_bucket_that_moved_is_judged_by_what_it_did_on_stable():
    """Two cells, no past: in the second, the bad bucket's own rate makes its share of bad events expected."""
    requests, bad = np.array([10_000.0, 10_000.0]), np.array([1000.0, 10.0])
    first, second = np.array([1.0, 0.0]), np.array([0.0, 1.0])
    cells = against_history(
        np.stack([0 * first, requests * first]),
        np.stack([0 * first, bad * first]),
        np.stack([requests, requests * second]),
        np.stack([bad, bad * second]),
        np.zeros(2),
        np.zeros(2),
    )
    assert cells.bad_total.tolist() == [0.0, 1010.0]
    assert cells.expected_share[1] == pytest.approx(1000 / 1010, rel=0.01)


def test_a_bad_hour_of_the_whole_domain_is_not_held_against_the_canary():
    """After an incident seen by all, buckets on the canary since before it are still expected to do as the others."""
    on_canary, on_stable = np.repeat([1.0, 0.0], 50), np.repeat([0.0, 1.0], 50)
    requests = 1000.0
    rate = np.array([0.01, 0.10, 0.01])[:, None]  # before, during and after the incident
    cells = against_history(
        np.tile(requests * on_canary, (3, 1)),
        requests * on_canary * rate,
        np.tile(requests * on_stable, (3, 1)),
        requests * on_stable * rate,
        np.full(100, 1000.0),
        np.full(100, 10.0),
    )
    assert cells.expected_share == pytest.approx([0.5, 0.5, 0.5], abs=0.01)


def test_a_short_history_widens_the_dispersion():
    """The shorter the histories of buckets that differ, the less they vouch for what to expect."""
    generator = np.random.default_rng(5)
    rates = generator.beta(0.5, 20.0, 60)
    arm = np.arange(60) < 30

    def dispersion(days: float) -> float:
        past = np.full(60, 1000.0 * days)
        now = np.full(60, 1000.0)
        cells = against_history(
            [now * arm], [now * arm * rates], [now * ~arm], [now * ~arm * rates], past, past * rates
        )
        return float(cells.dispersion)

    assert 1.0 <= dispersion(100.0) < 1.05 < dispersion(1.0) < dispersion(0.2)


def test_without_requests_there_is_no_share():
    """An empty cell has an expected share of 0 and no evidence."""
    nothing = np.zeros((1, 3))
    cells = against_history(nothing, nothing, nothing, nothing, np.full(3, 100.0), np.ones(3))
    assert cells.expected_share.tolist() == [0.0]
    assert cells.dispersion == 1.0


def test_the_expected_share_follows_the_buckets_rates():
    """A tenant that fails ten times as often takes its weight of bad events with it."""
    cells = against_history([[1000.0, 0.0]], [[0.0, 0.0]], [[0.0, 1000.0]], [[0.0, 0.0]], [1e7, 1e7], [1e6, 1e5])
    assert float(cells.expected_share[0]) == pytest.approx(10 / 11, rel=1e-3)


def test_buckets_that_do_not_differ_get_the_domains_rate():
    """Differences no larger than chance are taken for chance; large ones are kept once there is data enough."""
    generator = np.random.default_rng(11)
    requests = np.full(200, 500.0)
    alike = past_rate(requests, generator.binomial(500, 0.01, 200))
    assert alike.std() < 0.1 * alike.mean()
    rates = generator.beta(0.1, 19.9, 200)
    own = past_rate(requests * 100, generator.binomial(50_000, rates))
    assert np.abs(own - rates).max() < 0.01


@given(st.lists(st.tuples(st.integers(0, 1000), st.floats(0.0, 1.0)), min_size=1, max_size=8))
def test_a_past_rate_is_always_a_rate_above_zero(buckets):
    """Whatever the counts, each bucket's rate lies strictly above 0 and at most at 1."""
    requests = np.array([n for n, _ in buckets], dtype=float)
    bad = np.floor(requests * np.array([part for _, part in buckets]))
    rate = past_rate(requests, bad)
    assert np.all((rate > 0.0) & (rate <= 1.0))


def test_dispersion_is_one_for_independent_events_and_grows_with_bursts():
    """Poisson buckets have dispersion near 1; buckets whose minutes burst have more."""
    generator = np.random.default_rng(12)
    expected = np.full((200, 100), 20.0)
    independent = estimate_dispersion(generator.poisson(expected), expected)
    bursts = estimate_dispersion(generator.poisson(expected * generator.gamma(2.0, 0.5, expected.shape)), expected)
    assert 1.0 <= independent.mean() < 1.1
    assert bursts.mean() > 5.0


def test_a_bad_day_of_the_whole_domain_is_no_dispersion():
    """A factor common to all buckets is taken out before what is left counts as dispersion."""
    expected = np.linspace(5.0, 50.0, 40)
    assert estimate_dispersion(7.0 * expected, expected) == 1.0


def test_dispersion_without_data_is_what_it_is_known_to_be_at_least():
    """No bucket, or no bad event, leaves the given floor."""
    assert estimate_dispersion(np.zeros(4), np.zeros(4), least=1.5) == 1.5
    assert estimate_dispersion(np.zeros(4), np.ones(4)) == 1.0
