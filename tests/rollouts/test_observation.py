"""What a look sees: evidence reduced to a few figures, and on what the comparison rests."""

import numpy as np
import pytest

from vedette.evidence.arms import NOTHING, ArmSums, Cell, Evidence
from vedette.evidence.histogram import Histogram
from vedette.evidence.metric import Metric, MetricKind
from vedette.evidence.summary import moments_by_bucket
from vedette.rollouts.observation import (
    LOOSE,
    MeanObservation,
    QuantileObservation,
    RateObservation,
    exposures,
    observe,
)

ERRORS = Metric(name="errors", kind=MetricKind.RATE, measure="error")
CORRECT = Metric(name="quality", kind=MetricKind.RATE, measure="correct", better="higher")
LATENCY = Metric(name="latency", kind=MetricKind.QUANTILE, measure="latency_ms")
MEAN = Metric(name="mean", kind=MetricKind.MEAN, measure="latency_ms")


def arm(values: np.ndarray, buckets: np.ndarray, measure: str) -> ArmSums:
    """Make what one version did: a value a request, in a bucket."""
    size = LOOSE + 1
    return ArmSums(
        measures={
            "requests": moments_by_bucket(np.ones_like(values), buckets, size),
            measure: moments_by_bucket(values, buckets, size),
        },
        histograms={measure: Histogram.of(values)},
    )


def evidence(measure: str, *cells: tuple[int, np.ndarray, np.ndarray], buckets: int = 0) -> Evidence:
    """Make cells of (revision, canary's values, stable's values), loose or spread over so many buckets."""

    def placed(values: np.ndarray) -> np.ndarray:
        return np.arange(values.size) % buckets if buckets else np.full(values.size, LOOSE)

    made = tuple(
        Cell(
            revision=revision,
            hour=1,
            canary=arm(canary, placed(canary), measure),
            stable=arm(stable, placed(stable), measure),
        )
        for revision, canary, stable in cells
    )
    return Evidence(cells=made, history=NOTHING)


def ones(n: int, bad: int) -> np.ndarray:
    """Make ``n`` values of which ``bad`` are 1."""
    return np.concatenate([np.ones(bad), np.zeros(n - bad)])


def test_rate_is_read_cell_by_cell_over_the_attempt():
    """Rates keep each plan's counts apart; without units the canary's expected share is its share of requests."""
    seen = observe(ERRORS, evidence("error", (2, ones(100, 3), ones(900, 9)), (3, ones(50, 1), ones(50, 2))), 3)
    assert isinstance(seen, RateObservation)
    assert seen.basis == "requests"
    figures = [(c.revision, c.canary, c.stable, c.bad_canary, c.bad_stable, c.expected_share) for c in seen.cells]
    assert figures == [(2, 100, 900, 3, 9, 0.1), (3, 50, 50, 1, 2, 0.5)]


def test_rate_that_is_better_higher_counts_what_was_not_good():
    """Of a rate that should be high, the bad events are those in which the measure is 0."""
    seen = observe(CORRECT, evidence("correct", (2, ones(100, 90), ones(900, 855))), 2)
    assert isinstance(seen, RateObservation)
    assert (seen.cells[0].bad_canary, seen.cells[0].bad_stable) == (10, 45)


def test_17_means_and_quantiles_are_read_in_the_current_step():
    """What was seen under plans before the step does not enter its mean or its histogram."""
    fast, slow = np.full(50, 10.0), np.full(50, 1000.0)
    both = evidence("latency_ms", (2, slow, slow), (3, fast, fast + 1))
    mean, quantile = observe(MEAN, both, 3), observe(LATENCY, both, 3)
    assert isinstance(mean, MeanObservation)
    assert (mean.canary.mean, mean.stable.mean, mean.canary.units) == (10.0, 11.0, 50.0)
    assert isinstance(quantile, QuantileObservation)
    assert sum(quantile.canary.values()) == sum(quantile.stable.values()) == 50


def test_sticky_units_without_a_history_are_not_expected_anything_of():
    """Of units that stick and have no past nothing is expected; their means are compared as whole buckets."""
    rate = observe(ERRORS, evidence("error", (2, ones(400, 4), ones(400, 4)), buckets=20), 2)
    mean = observe(MEAN, evidence("latency_ms", (2, np.arange(400.0), np.arange(400.0)), buckets=20), 2)
    assert isinstance(rate, RateObservation)
    assert (rate.basis, rate.covered) == ("history", 0.0)
    assert sum(cell.judged_total for cell in rate.cells) == 0
    assert isinstance(mean, MeanObservation)
    assert mean.basis == "clusters"
    assert mean.canary.units == pytest.approx(20, rel=0.01)


def test_nothing_seen_is_no_figure():
    """Without cells, or without the measure, there is nothing, and no error."""
    for metric in (ERRORS, MEAN, LATENCY):
        observe(metric, Evidence(cells=(), history=NOTHING), 2)
    unmeasured = observe(CORRECT, evidence("error", (2, ones(9, 1), ones(9, 1))), 2)
    assert isinstance(unmeasured, RateObservation)
    assert sum(cell.canary for cell in unmeasured.cells) == 0


def test_exposure_tells_how_much_less_clustered_requests_count():
    """Single requests count as themselves; those of a few buckets as many fewer."""
    loose, sticky = (
        evidence("error", (2, ones(100, 0), ones(900, 0))),
        evidence("error", (2, ones(100, 0), ones(900, 0)), buckets=10),
    )
    (single,), (clustered,) = exposures(loose, {2: 10.0}), exposures(sticky, {2: 10.0})
    assert (single.canary, single.stable, single.weight, single.design_effect) == (100, 900, 10.0, 1.0)
    assert clustered.design_effect == pytest.approx(100)
