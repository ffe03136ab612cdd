"""Whole tenants change arms: judged against their own history, a healthy rollout goes on and a bad one is stopped."""

import numpy as np
import pytest
from bench.rules.vedette_rule import own_history, request_share
from bench.traffic import Array, Scenario

from vedette.stats.own_history import against_history
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
