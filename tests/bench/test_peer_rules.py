"""The peers' rules of the benchmark do what their documentation says, minute by minute."""

import numpy as np
import pytest
from bench.rules.fixed_horizon import peeked_z_test
from bench.rules.sequential import asymptotic, dirichlet_multinomial
from bench.rules.threshold import argo, flagger
from bench.traffic import BASE_RATE, MINUTES, RAMP, Arms, Scenario


def hour(canary_bad: dict[int, int], *, requests: int = 100) -> Arms:
    """One run: so many canary requests a minute, bad ones in the minutes given (1, 2, …)."""
    bad = np.zeros((1, MINUTES))
    for minute, count in canary_bad.items():
        bad[0, minute - 1] = count
    nothing = np.zeros((1, MINUTES))
    return Arms(np.full((1, MINUTES), float(requests)), nothing + 900.0, bad, nothing)


def test_argo_stops_at_the_fourth_failed_measurement():
    """A failureLimit of 3 allows three failed minutes, in a row or not; 99 % itself is no failure."""
    assert argo(hour({1: 2, 5: 2, 9: 2})).tolist() == [np.inf]
    assert argo(hour({1: 2, 5: 2, 9: 2, 30: 2})).tolist() == [30.0]
    assert argo(hour(dict.fromkeys(range(1, 61), 1))).tolist() == [np.inf]


def test_flagger_counts_minutes_without_data_as_failed():
    """Five minutes without canary requests reach the threshold; so do five bad ones."""
    assert flagger(hour({}, requests=0)).tolist() == [5.0]
    assert flagger(hour({1: 2, 5: 2, 9: 2, 30: 2, 44: 2})).tolist() == [44.0]


def test_a_test_looked_at_again_and_again_breaks_its_promise():
    """The peeked z-test stops a third of healthy rollouts although each look is at 5 %."""
    stops = peeked_z_test(Scenario(1000, 1.0).simulate(300, 1).total)
    assert np.isfinite(stops).mean() > 0.25


@pytest.mark.parametrize("rule", [dirichlet_multinomial, asymptotic])
def test_always_valid_rules_keep_it_and_catch_a_fourfold(rule):
    """Both always-valid references stop at most 5 % of healthy rollouts and every fourfold one."""
    assert np.isfinite(rule(Scenario(1000, 1.0).simulate(300, 1).total)).mean() <= 0.05
    assert np.isfinite(rule(Scenario(1000, 4.0).simulate(50, 1).total)).all()


def test_alike_traffic_has_the_ramp_and_the_rates_it_says():
    """The canary's share follows 1, 10 and 50 %, and its bad share is the base rate times the ratio."""
    total = Scenario(1000, 4.0).simulate(200, 3).total
    share = total.canary_requests.sum(0) / (total.canary_requests + total.stable_requests).sum(0)
    assert share.reshape(3, -1).mean(axis=1) == pytest.approx(RAMP, rel=0.02)
    assert total.canary_bad.sum() / total.canary_requests.sum() == pytest.approx(4 * BASE_RATE, rel=0.02)
    assert total.stable_bad.sum() / total.stable_requests.sum() == pytest.approx(BASE_RATE, rel=0.02)


def test_sticky_traffic_keeps_tenants_whole_and_moves_nobody_back():
    """A bucket's canary requests, once begun, go on to the end, but for the one bucket that a step splits."""
    buckets = Scenario(1000, 1.0, sticky=True).simulate(10, 3).tenants.arms
    on_canary = buckets.canary_requests.reshape(10, 3, 20, -1).sum(axis=2)
    on_stable = buckets.stable_requests.reshape(10, 3, 20, -1).sum(axis=2)
    both = ((on_canary > 0) & (on_stable > 0)).sum(axis=-1)
    assert both.max() <= 1
    left = (on_canary[:, :-1] > 0) & (on_canary[:, 1:] == 0) & (on_stable[:, 1:] > 0)
    assert not left.any()


def test_sticky_history_knows_the_buckets():
    """A bucket's past bad rate is its present one, up to chance."""
    tenants = Scenario(1000, 1.0, sticky=True).simulate(5, 4).tenants
    now = tenants.arms.canary_bad + tenants.arms.stable_bad
    expected = tenants.history_bad * MINUTES / 1440
    assert now.sum() == pytest.approx(expected.sum(), rel=0.1)
    assert np.corrcoef(now.sum(axis=1).ravel(), expected.ravel())[0, 1] > 0.98
