"""The e-process on the rate ratio keeps its promise at every look, and finds what is worse."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.evidence.summary import FloatArray
from vedette.kernel.errors import InvalidInput
from vedette.stats.rate_ratio import (
    log_e_non_inferiority,
    log_e_regression,
    p_value,
    ratio_interval,
)

MINUTES = 60
WEIGHT = np.repeat([0.01, 0.10, 0.50], 20)
STOP = np.log(20.0)


def ramp(
    runs: int, ratio: float, *, seed: int, per_minute: int = 1000, rate: float = 0.005
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Bad events of canary and both arms and the realised share of requests, each of shape (runs, minutes)."""
    generator = np.random.default_rng(seed)
    requests = generator.poisson(per_minute, (runs, MINUTES))
    canary = generator.binomial(requests, WEIGHT)
    bad = generator.binomial(canary, rate * ratio).astype(np.float64)
    total = bad + generator.binomial(requests - canary, rate)
    return bad, total, canary / np.maximum(requests, 1)


def pooled(per_minute: FloatArray) -> FloatArray:
    """What each step holds at each look: shape (runs, minutes) to (runs, looks, steps)."""
    looks = np.zeros((*per_minute.shape, 3))
    for step in range(3):
        begin, end = 20 * step, 20 * step + 20
        looks[:, begin:end, step] = per_minute[:, begin:end].cumsum(axis=1)
        looks[:, end:, step] = looks[:, end - 1 : end, step]
    return looks


def stopped(log_e: FloatArray) -> float:
    """The share of runs in which any look stops."""
    return float((log_e >= STOP).any(axis=-1).mean())


def test_a_healthy_canary_is_rarely_stopped_at_any_of_sixty_looks():
    """With realised shares that change by step, at most alpha of the healthy rollouts are ever stopped."""
    bad, total, share = ramp(1000, 1.0, seed=1)
    assert stopped(log_e_regression(bad, total, share)) <= 0.03


def test_totals_so_far_keep_the_same_promise():
    """Cells that grow while one looks, with the share realised so far, are as safe as minutes."""
    generator = np.random.default_rng(3)
    requests = generator.poisson(1000.0, (1000, MINUTES)).astype(np.float64)
    canary = generator.binomial(requests.astype(np.int64), WEIGHT).astype(np.float64)
    bad = generator.binomial(canary.astype(np.int64), 0.005).astype(np.float64)
    total = bad + generator.binomial((requests - canary).astype(np.int64), 0.005)
    share = pooled(canary) / np.maximum(pooled(requests), 1.0)
    assert stopped(log_e_regression(pooled(bad), pooled(total), share)[..., -1]) <= 0.03


def test_frequent_bad_events_keep_the_promise_too():
    """At a bad-event rate of 30 %, and 20 % tolerated and used up, the error stays below alpha: no rarity needed."""
    bad, total, share = ramp(500, 1.2, seed=4, per_minute=100, rate=0.3)
    assert stopped(log_e_regression(bad, total, share, tolerance=0.2)) <= 0.05


def test_the_worse_the_canary_the_sooner_it_is_stopped():
    """Power rises and the median minute falls with the ratio; a doubling is found in nearly every run."""
    power, median = [], []
    for ratio in (1.5, 2.0, 4.0, 10.0):
        stop = log_e_regression(*ramp(300, ratio, seed=5)) >= STOP
        caught = stop.any(axis=-1)
        power.append(caught.mean())
        median.append(np.median(stop.argmax(axis=-1)[caught]) + 1)
    assert power == sorted(power)
    assert median == sorted(median, reverse=True)
    assert power[1] > 0.95
    assert power[2] == power[3] == 1.0


def test_a_tolerated_degradation_is_not_stopped():
    """Half again as many bad events are no regression when half again as many are tolerated."""
    counts = ramp(500, 1.5, seed=6)
    assert stopped(log_e_regression(*counts)) > 0.3
    assert stopped(log_e_regression(*counts, tolerance=0.5)) <= 0.05


def test_non_inferiority_is_proven_for_an_equal_canary_and_not_for_a_worse_one():
    """An equal canary is proven to stay below a doubling; one at the margin is so at most alpha of the time."""
    assert stopped(log_e_non_inferiority(*ramp(300, 1.0, seed=7), tolerance=1.0)) > 0.9
    assert stopped(log_e_non_inferiority(*ramp(500, 2.0, seed=8), tolerance=1.0)) <= 0.05


def test_one_cell_by_hand():
    """A single prior point is the plain binomial likelihood ratio; the mixture lies between its best and its worst."""
    bad, total, share = 12.0, 30.0, 0.2
    ratio = np.exp(np.linspace(np.log(1.02), np.log(40.0), 64))
    moved = share * ratio / (share * ratio + 1 - share)
    plain = bad * np.log(moved / share) + (total - bad) * np.log((1 - moved) / (1 - share))
    found = log_e_regression([bad], [total], [share])[-1]
    assert plain.min() < found < plain.max()
    assert found > 0.0


@given(
    st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50), st.floats(0.001, 0.999)), min_size=1, max_size=6),
    st.floats(1.0, 20.0),
)
def test_more_dispersion_brings_every_verdict_nearer_to_none(cells, dispersion):
    """Dividing by a dispersion never strengthens evidence above 1, and one run is judged as in a batch of runs."""
    bad, good, share = (np.array(column, dtype=float) for column in zip(*cells, strict=True))
    plain = log_e_regression(bad, bad + good, share)
    wider = log_e_regression(bad, bad + good, share, dispersion=dispersion)
    assert np.all(np.maximum(wider, 0.0) <= np.maximum(plain, 0.0) + 1e-9)
    batch = log_e_regression(*(np.stack([x, x]) for x in (bad, bad + good, share)))
    assert np.allclose(batch, [plain, plain])


def test_no_event_is_no_evidence():
    """Without a single bad event E is 1, the p-value is 1 and the ratio is unbounded and unknown."""
    zero = np.zeros(3)
    assert log_e_regression(zero, zero, [0.01, 0.1, 0.5]) == pytest.approx([0.0, 0.0, 0.0], abs=1e-12)
    assert p_value(log_e_regression(zero, zero, [0.01, 0.1, 0.5])).tolist() == pytest.approx([1.0, 1.0, 1.0])
    interval = ratio_interval(zero, zero, [0.01, 0.1, 0.5])
    assert (float(interval.lower), float(interval.upper)) == (0.0, np.inf)
    assert np.isnan(interval.estimate)


def test_the_p_value_never_rises_again():
    """The p-value is 1 over the largest E so far, capped at 1."""
    assert p_value([np.log(0.5), np.log(10.0), np.log(2.0), np.log(40.0)]).tolist() == pytest.approx(
        [1, 0.1, 0.1, 0.025]
    )


def test_the_interval_turns_with_the_verdict():
    """The lower bound passes 1 + tolerance exactly when the e-process at alpha/2 says stop."""
    bad, total, share = ramp(60, 2.0, seed=9)
    last = log_e_regression(bad, total, share, tolerance=0.1)[:, -1]
    lower = ratio_interval(bad, total, share, alpha=0.1).lower
    assert np.array_equal(lower > 1.1, last >= STOP)
    assert 0.2 < (lower > 1.1).mean() < 1.0


def test_the_interval_holds_the_true_ratio_at_all_looks():
    """Over a whole ramp, bounds leave the true ratio in at most alpha of the runs, and hold the estimate."""
    bad, total, _ = ramp(200, 3.0, seed=10)
    steps = pooled(bad), pooled(total), WEIGHT[[0, 20, 40]]
    missed = np.zeros(200, dtype=bool)
    for look in range(9, MINUTES, 10):
        interval = ratio_interval(steps[0][:, look], steps[1][:, look], steps[2])
        missed |= (interval.lower > 3.0) | (interval.upper < 3.0)
        known = ~np.isnan(interval.estimate)
        assert np.all(interval.lower[known] <= interval.estimate[known])
        assert np.all(interval.estimate[known] <= interval.upper[known])
    assert missed.mean() <= 0.05
    assert np.median(interval.estimate) == pytest.approx(3.0, rel=0.05)


@pytest.mark.parametrize(
    ("bad", "total", "share", "dispersion"),
    [(3, 2, 0.1, 1.0), (-1, 2, 0.1, 1.0), (1, 2, 1.1, 1.0), (1, 2, np.nan, 1.0), (1, 2, 0.1, 0.5)],
)
def test_impossible_counts_are_refused(bad, total, share, dispersion):
    """More bad events on the canary than in all, shares outside [0, 1] and dispersions below 1 are errors."""
    with pytest.raises(InvalidInput):
        log_e_regression([bad], [total], [share], dispersion=dispersion)


@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_an_impossible_alpha_is_refused(alpha):
    """An interval needs an alpha strictly between 0 and 1."""
    with pytest.raises(InvalidInput):
        ratio_interval([1], [2], [0.1], alpha=alpha)


def test_a_tolerance_of_minus_one_is_refused():
    """A rate ratio of zero or below cannot be a null hypothesis."""
    with pytest.raises(InvalidInput):
        log_e_regression([1], [2], [0.1], tolerance=-1.0)
