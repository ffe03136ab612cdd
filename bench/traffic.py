"""Simulated rollouts: what each arm served and got wrong, minute by minute, over a ramp of 1 %, 10 % and 50 %.

Two kinds of traffic. *Alike* requests are assigned one by one and fail with one base rate. *Sticky* requests come from
200 tenants of Zipf-distributed size whose own error rates differ widely; a tenant lives in one of 1,024 buckets, the
rollout permutes the buckets, and the canary takes a prefix of them, so whole tenants change arms.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

RAMP = (0.01, 0.10, 0.50)
STEP_MINUTES = 20
MINUTES = STEP_MINUTES * len(RAMP)
BASE_RATE = 0.005
BUCKETS = 1024
TENANTS = 200
DAY = 1440


@dataclass(frozen=True, slots=True)
class Arms:
    """Requests and bad requests of both arms; every array has the shape (runs, minutes) or (runs, minutes, buckets)."""

    canary_requests: Array
    stable_requests: Array
    canary_bad: Array
    stable_bad: Array


@dataclass(frozen=True, slots=True)
class Tenants:
    """What sticky traffic also knows: both arms by bucket, and each bucket's past day, shape (runs, buckets)."""

    arms: Arms
    history_requests: Array
    history_bad: Array


@dataclass(frozen=True, slots=True)
class Traffic:
    """Many runs of one scenario: both arms' totals and, where units are sticky, their buckets."""

    total: Arms
    sticky: Tenants | None = None

    @property
    def tenants(self) -> Tenants:
        """The buckets of sticky traffic."""
        if self.sticky is None:
            raise ValueError("this traffic has no tenants")
        return self.sticky


@dataclass(frozen=True, slots=True)
class Scenario:
    """One line of the table: how many requests a minute, how bad the canary is, and whether units are sticky."""

    per_minute: int
    ratio: float
    sticky: bool = False
    burst_share: float = 0.0

    @property
    def name(self) -> str:
        """How the table calls it."""
        effect = "A/A" if self.ratio == 1.0 else f"x{self.ratio:g}"
        return f"{effect}, bursts" if self.burst_share else effect

    def simulate(self, runs: int, seed: int) -> Traffic:
        """Draw `runs` independent rollouts."""
        generator = np.random.default_rng(seed)
        return _sticky(self, runs, generator) if self.sticky else _alike(self, runs, generator)


def weights() -> Array:
    """The canary's weight in each minute."""
    return np.repeat(np.array(RAMP), STEP_MINUTES)


def _alike(scenario: Scenario, runs: int, generator: np.random.Generator) -> Traffic:
    requests = generator.poisson(scenario.per_minute, (runs, MINUTES))
    canary = generator.binomial(requests, weights())
    stable = requests - canary
    canary_bad = generator.binomial(canary, min(1.0, BASE_RATE * scenario.ratio))
    stable_bad = generator.binomial(stable, BASE_RATE)
    return Traffic(Arms(*(counts.astype(np.float64) for counts in (canary, stable, canary_bad, stable_bad))))


def _sticky(scenario: Scenario, runs: int, generator: np.random.Generator) -> Traffic:
    size = 1.0 / np.arange(1, TENANTS + 1)
    mean_requests = scenario.per_minute * size / size.sum()
    rate = generator.beta(0.1, 19.9, (runs, 1, TENANTS))
    # A bucket's place in the permutation, and the tenant's place in the bucket: the last bucket is split by the latter.
    bucket = generator.integers(BUCKETS, size=(runs, TENANTS))
    order = generator.permuted(np.tile(np.arange(BUCKETS), (runs, 1)), axis=1)
    place = (np.take_along_axis(order, bucket, axis=1) + generator.random((runs, TENANTS))) / BUCKETS
    on_canary = place[:, None, :] < weights()[:, None]

    bursting = generator.random((runs, MINUTES, TENANTS)) < scenario.burst_share
    failing = np.minimum(rate * np.where(bursting, 10.0, 1.0) * np.where(on_canary, scenario.ratio, 1.0), 1.0)
    # Of a Poisson number of requests the bad and the good are independent Poisson numbers.
    bad = generator.poisson(mean_requests * failing)
    requests = bad + generator.poisson(mean_requests * (1.0 - failing))

    past = generator.poisson(DAY * mean_requests, (runs, TENANTS))
    burst_minutes = generator.binomial(DAY, scenario.burst_share, (runs, TENANTS))
    in_burst = generator.binomial(past, burst_minutes / DAY)
    past_bad = generator.binomial(past - in_burst, rate[:, 0])
    past_bad += generator.binomial(in_burst, np.minimum(10.0 * rate[:, 0], 1.0))

    by_tenant = (requests * on_canary, requests * ~on_canary, bad * on_canary, bad * ~on_canary)
    return Traffic(
        Arms(*(counts.sum(axis=-1).astype(np.float64) for counts in by_tenant)),
        Tenants(
            arms=Arms(*(_by_bucket(counts, bucket) for counts in by_tenant)),
            history_requests=_by_bucket(past, bucket),
            history_bad=_by_bucket(past_bad, bucket),
        ),
    )


def _by_bucket(by_tenant: NDArray[np.int64], bucket: NDArray[np.int64]) -> Array:
    """Add up the tenants of each bucket: shape (runs, …, tenants) in and, with zeros behind, out."""
    added = np.zeros(by_tenant.shape)
    for run, home in enumerate(bucket):
        order = np.argsort(home)
        first = np.flatnonzero(np.diff(home[order], prepend=-1))
        added[run, ..., : first.size] = np.add.reduceat(by_tenant[run][..., order], first, axis=-1)
    return added
