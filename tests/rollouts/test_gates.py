"""Evidence becomes a verdict: which way is worse, how much is tolerated, and when there is too little to say."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.rollouts.things import BAD, FINE, NO_DATA, exposure, rate, spec

from vedette.evidence.histogram import Histogram
from vedette.kernel.records import evolve
from vedette.rollouts.gates import Finding, Verdict, check_split, judge, judge_all
from vedette.rollouts.observation import ArmEstimate, MeanObservation, Observation, QuantileObservation
from vedette.rollouts.spec import Guardrail
from vedette.stats.rate_ratio import log_e_regression


def mean(
    canary: float, stable: float, *, n: float = 5000, better: str = "lower", basis: str = "requests"
) -> Observation:
    """Make the means of two arms of ``n`` units each, with a standard deviation of 1."""
    arms = [ArmEstimate(mean=value, variance=1 / n, units=n, samples=n) for value in (canary, stable)]
    return MeanObservation(basis=basis, better=better, canary=arms[0], stable=arms[1])  # type: ignore[arg-type]  # literals


def latency(canary: float, stable: float, *, n: int = 5000, design_effect: float = 1.0) -> Observation:
    """Make latencies spread between half and one and a half times a value."""
    counts = [dict(Histogram.of(value * np.linspace(0.5, 1.5, n)).counts) for value in (canary, stable)]
    return QuantileObservation(
        better="lower", quantile=0.95, canary=counts[0], stable=counts[1], design_effect=design_effect
    )


def found(seen: Observation | None, *, alpha: float = 0.05, steps: int = 3, **rail: object) -> Verdict:
    """Judge what was seen by one guardrail."""
    return judge(Guardrail(metric="m", **rail), seen, alpha, steps)  # type: ignore[arg-type]  # by name


@pytest.mark.parametrize(
    ("seen", "rail", "finding"),
    [
        (FINE, {}, Finding.CLEAR),
        (BAD, {}, Finding.REGRESSION),
        (NO_DATA, {}, Finding.INSUFFICIENT),
        (None, {}, Finding.INSUFFICIENT),
        (BAD, {"min_samples": 1001}, Finding.INSUFFICIENT),
        (rate(bad_canary=6), {"tolerance": 0.5}, Finding.CLEAR),
        (rate(canary=1e5, stable=1e5, bad_canary=900, bad_stable=1000), {"tolerance": 0.2}, Finding.NON_INFERIOR),
        (rate(canary=1e5, stable=1e5, bad_canary=1300, bad_stable=1000), {"tolerance": 0.9}, Finding.NON_INFERIOR),
        (rate(canary=1e5, stable=1e5, bad_canary=1300, bad_stable=1000), {"tolerance": 0.1}, Finding.REGRESSION),
        (mean(10.0, 10.0), {}, Finding.CLEAR),
        (mean(11.0, 10.0), {}, Finding.REGRESSION),
        (mean(9.0, 10.0), {}, Finding.CLEAR),
        (mean(11.0, 10.0), {"tolerance": 0.2}, Finding.NON_INFERIOR),
        (mean(9.0, 10.0, better="higher"), {}, Finding.REGRESSION),
        (mean(11.0, 10.0, better="higher"), {}, Finding.CLEAR),
        (mean(9.0, 10.0, better="higher"), {"tolerance": 0.2}, Finding.NON_INFERIOR),
        (mean(11.0, 10.0, n=7, basis="clusters"), {}, Finding.INSUFFICIENT),
        (latency(100, 100), {}, Finding.CLEAR),
        (latency(200, 100), {}, Finding.REGRESSION),
        (latency(50, 100), {}, Finding.CLEAR),
        (latency(110, 100), {"tolerance": 0.5}, Finding.NON_INFERIOR),
        (latency(200, 100, n=10), {}, Finding.INSUFFICIENT),
        (latency(200, 100, design_effect=1000.0), {}, Finding.INSUFFICIENT),
    ],
    ids=str,
)
def test_finding(seen, rail, finding):
    """Each kind of metric is worse, clear, proven fine or insufficient, in the direction that is better for it."""
    verdict = found(seen, **rail)
    assert verdict.finding is finding
    assert verdict.sentence.startswith("m ")
    assert (verdict.log_e is not None and verdict.log_e >= math.log(1 / verdict.alpha)) == (
        finding is Finding.REGRESSION
    ) or isinstance(seen, (MeanObservation, QuantileObservation))


def test_12_a_metric_without_any_spread_gives_no_verdict_from_noise():
    """Constant measures in both arms neither regress nor prove anything by a variance of zero."""
    constant = ArmEstimate(mean=1.0, variance=0.0, units=50.0, samples=50.0)
    seen = MeanObservation(basis="requests", better="lower", canary=constant, stable=constant)
    assert found(seen).finding in {Finding.INSUFFICIENT, Finding.CLEAR}


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    arms=st.tuples(st.integers(1, 5000), st.integers(1, 5000)),
    rates=st.tuples(st.floats(0, 1), st.floats(0, 1)),
    tolerance=st.sampled_from([0.0, 0.1, 0.5]),
    alpha=st.floats(0.001, 0.2),
)
def test_rate_is_judged_by_the_published_e_process(arms, rates, tolerance, alpha):
    """The verdict is a regression exactly when the e-process of the statistics reaches 1/α."""
    (canary, stable), (bad_canary, bad_stable) = arms, (int(n * share) for n, share in zip(arms, rates, strict=True))
    seen = rate(canary=canary, stable=stable, bad_canary=bad_canary, bad_stable=bad_stable)
    verdict = found(seen, alpha=alpha, tolerance=tolerance)
    log_e = log_e_regression([bad_canary], [bad_canary + bad_stable], [canary / (canary + stable)], tolerance=tolerance)
    assert verdict.log_e == pytest.approx(float(log_e[-1]))
    assert (verdict.finding is Finding.REGRESSION) == (float(log_e[-1]) >= math.log(1 / alpha))


def test_verdicts_are_given_in_the_order_of_the_guardrails():
    """Each guardrail has one verdict at its share of α, with its figures as plain data."""
    asked = spec(guardrails=(Guardrail(metric="errors"), Guardrail(metric="fallbacks", weight=3)), alpha=0.04)
    verdicts = judge_all(asked, {"fallbacks": BAD, "errors": FINE, "other": BAD})
    assert [(v.metric, v.finding) for v in verdicts] == [("errors", Finding.CLEAR), ("fallbacks", Finding.REGRESSION)]
    assert [v.alpha for v in verdicts] == pytest.approx([0.01, 0.03])
    figures = verdicts[1].figures()
    assert (figures["finding"], figures["samples"], figures["dryRun"]) == ("regression", 1000, False)


@pytest.mark.parametrize(
    ("canary", "stable", "mismatch"), [(1000, 9000, False), (1100, 8900, False), (1500, 8500, True)]
)
def test_split_check_says_what_was_intended_and_what_came(canary, stable, mismatch):
    """The split check tells both shares, and calls a mismatch only what chance does not do."""
    checked = check_split([exposure(canary=canary, stable=stable)])
    assert checked is not None
    assert (checked.mismatch, checked.intended, checked.realised) == (mismatch, 10.0, canary / 100)


def test_units_without_a_history_are_called_fine_by_nobody():
    """A rate known of too few of the canary's units is insufficient; a regression among those known still counts."""
    assert found(evolve(FINE, covered=0.5)).finding is Finding.INSUFFICIENT
    assert "50%" in found(evolve(FINE, covered=0.5)).sentence
    assert found(evolve(BAD, covered=0.5)).finding is Finding.REGRESSION
