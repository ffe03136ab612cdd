"""Before starting: how long each step must last to see a given regression at this domain's traffic.

No simulation: the e-process is fed the counts a regression would leave on an unlucky day (the canary's bad events at
their lower ``1 - power`` quantile, by the normal approximation of a Poisson count), and is asked when it would stop.
It is the very process that judges the rollout, so the plan cannot promise what the rollout does not do.
"""

import math

import numpy as np
from scipy.special import ndtri

from vedette.kernel.errors import InvalidInput
from vedette.kernel.records import record
from vedette.rollouts.spec import RolloutSpec
from vedette.stats.rate_ratio import log_e_regression

_RATIOS = np.array([1.1, 1.2, 1.3, 1.5, 1.75, 2.0, 2.5, 3.0, 4.0, 5.0, 7.0, 10.0, 15.0, 20.0, 30.0])
_LONGEST = 90 * 86_400.0
"""Ninety days: a step that would have to last longer is said to be too small."""


@record
class StepPlan:
    """What one step can show.

    ``needed`` is how long the step alone must be watched to stop the asked regression with the asked power (None:
    longer than ninety days); ``catches`` is the smallest listed ratio that is stopped by the end of this step, with
    the evidence of the steps before it (None: none up to 30). ``canary_requests`` come at the step's bake.
    """

    weight: float
    bake: float
    canary_requests: float
    needed: float | None
    catches: float | None


@record
class RolloutPlan:
    """What a whole rollout can show, for one rate guardrail, and under which assumptions."""

    metric: str
    ratio: float
    power: float
    alpha: float
    requests_per_minute: float
    bad_rate: float
    steps: tuple[StepPlan, ...]
    duration: float
    sentence: str


def plan(
    spec: RolloutSpec,
    metric: str,
    *,
    requests_per_minute: float,
    bad_rate: float,
    ratio: float = 2.0,
    power: float = 0.9,
) -> RolloutPlan:
    """Say what each step can show of a bad-event rate that becomes ``ratio`` times stable's.

    Args:
        spec: the rollout to be.
        metric: the guardrail, a rate; its α and tolerance are the spec's.
        requests_per_minute: the domain's traffic, above 0.
        bad_rate: stable's share of bad events, between 0 and 1.
        ratio: the regression one wants to see, above 1 + tolerance.
        power: the chance to see it.

    Raises:
        InvalidInput: a figure is out of range, or the metric is no guardrail of the spec.
    """
    guardrail = next((g for g in spec.guardrails if g.metric == metric), None)
    if guardrail is None:
        raise InvalidInput(f"{metric!r} is no guardrail of this rollout")
    if not (requests_per_minute > 0 and 0 < bad_rate < 1 and 0.5 <= power < 1):
        raise InvalidInput("traffic must be above 0, the bad rate between 0 and 1, and power from 0.5 to 1")
    if ratio <= 1 + guardrail.tolerance or ratio * bad_rate > 1:
        raise InvalidInput(f"ratio must be above {1 + guardrail.tolerance:g} and at most {1 / bad_rate:g}")
    alpha = spec.alpha_of(guardrail)
    case = _Case(requests_per_minute / 60 * bad_rate, guardrail.tolerance, math.log(1 / alpha), float(ndtri(power)))
    weights = [spec.weight_of(index) / 100 for index in range(len(spec.steps))]
    bakes = [step.bake for step in spec.steps]
    steps = tuple(
        StepPlan(
            weight=weights[i] * 100,
            bake=bakes[i],
            canary_requests=requests_per_minute / 60 * weights[i] * bakes[i],
            needed=_needed(case, weights[i], ratio),
            catches=next(
                (float(r) for r in _RATIOS if r * bad_rate <= 1 and case.stops(weights[: i + 1], bakes[: i + 1], r)),
                None,
            ),
        )
        for i in range(len(spec.steps))
    )
    caught = next((i for i in range(len(steps)) if case.stops(weights[: i + 1], bakes[: i + 1], ratio)), None)
    seen = (
        f"{metric} at {ratio:g} times stable's rate would be stopped by the end of step {caught + 1}"
        if caught is not None
        else f"{metric} at {ratio:g} times stable's rate would pass these steps unseen"
    )
    return RolloutPlan(
        metric=metric,
        ratio=ratio,
        power=power,
        alpha=alpha,
        requests_per_minute=requests_per_minute,
        bad_rate=bad_rate,
        steps=steps,
        duration=sum(bakes),
        sentence=f"{seen}, with probability {power:.0%} at {requests_per_minute:g} requests a minute",
    )


class _Case:
    """One domain's traffic and one guardrail's bar."""

    def __init__(self, bad_per_second: float, tolerance: float, threshold: float, shortfall: float) -> None:
        self._bad = bad_per_second
        self._tolerance = tolerance
        self._threshold = threshold
        self._shortfall = shortfall

    def stops(self, weights: list[float], seconds: list[float], ratio: float) -> bool:
        """Say whether steps of these weights and lengths stop a regression of that ratio."""
        share = np.array(weights)
        canary = self._bad * share * np.array(seconds) * ratio
        stable = self._bad * (1 - share) * np.array(seconds)
        total = canary.sum()
        unlucky = canary * max(0.0, 1 - self._shortfall / math.sqrt(total)) if total > 0 else canary
        log_e = log_e_regression(unlucky, unlucky + stable, share, tolerance=self._tolerance)
        return bool(log_e[-1] >= self._threshold)


def _needed(case: _Case, weight: float, ratio: float) -> float | None:
    """Find the shortest watch, to a second, that stops ``ratio`` at one weight."""
    if not case.stops([weight], [_LONGEST], ratio):
        return None
    low, high = 0.0, _LONGEST
    while high - low > 1.0:
        middle = (low + high) / 2
        low, high = (low, middle) if case.stops([weight], [middle], ratio) else (middle, high)
    return high
