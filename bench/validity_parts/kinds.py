"""Intervals of a single analysis, each on data where the truth is known: did they hold it?

A kind draws data sets, has vedette's own code state its interval for each, and says of each whether the truth is
inside; of simultaneous intervals, whether all truths are. An end without bound holds everything on its side.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

import numpy as np
from bench.validity_rules.pair import PAIR, Claims
from numpy.typing import ArrayLike

from vedette.evidence.arms import BUCKET_ROWS, ArmSums
from vedette.evidence.experiment import ExperimentEvidence
from vedette.evidence.joint import JointMoments, joint_moments
from vedette.evidence.summary import Moments
from vedette.experiments.design import Experiment
from vedette.experiments.machine import Epoch
from vedette.experiments.metrics import Mean, Ratio, counted
from vedette.experiments.spec import Comparisons
from vedette.experiments.traffic import observe
from vedette.routing.layers import PLACES
from vedette.stats.contrasts import Contrasts, FixedRule, contrasts
from vedette.stats.estimates import Estimates, Quantity, estimates, paired_estimates, stratified_estimates
from vedette.stats.multiplicity import Method, Multiplicity
from vedette.stats.order import quantile_estimate
from vedette.stats.paired import paired_clusters
from vedette.stats.proportion_intervals import Counts, critical_value, newcombe_difference, wilson
from vedette.stats.proportion_scores import difference_interval
from vedette.stats.sequential import MeanEstimate, Side

Kind = Callable[[np.random.Generator, int], Claims]
"""Gives, for so many data sets, whether the interval held the truth."""
RULE = FixedRule(alpha=0.05)
NAMES = ("control", "treatment")


def absolute(made: Contrasts, truth: float) -> Claims:
    """Say of each row whether the absolute interval of its only pair holds the truth."""
    return np.asarray((made.low[:, 0] <= truth) & (truth <= made.high[:, 0]))


def relative(made: Contrasts, truth: float) -> Claims:
    """Say the same of the relative interval; one without bound holds everything."""
    low = np.nan_to_num(made.relative_low[:, 0], nan=-np.inf)
    high = np.nan_to_num(made.relative_high[:, 0], nan=np.inf)
    return np.asarray((low <= truth) & (truth <= high))


def stacked(arms: Sequence[Sequence[MeanEstimate]]) -> Estimates:
    """Lay the estimates of many data sets, each of all arms, along the axis of metrics."""
    mean, variance, n = (
        np.array([[getattr(arm, field) for arm in each] for each in arms], np.float64)
        for field in ("mean", "variance", "n")
    )
    return Estimates(metrics=(), arms=NAMES, mean=mean, variance=variance, n=n, plain=mean, clock=n)


def one_by_one(runs: int, look: Callable[[], Estimates], truth: float) -> Claims:
    """Judge data sets one at a time."""
    return np.concatenate([absolute(contrasts(look(), PAIR, RULE), truth) for _ in range(runs)])


def _two_samples(draw: np.random.Generator, runs: int, base: float, effect: float, sizes: tuple[int, int]) -> Contrasts:
    """Compare normal arms of unequal size and spread."""
    control = draw.normal(base, 1.0, (runs, sizes[0]))
    treatment = draw.normal(base + effect, 2.0, (runs, sizes[1]))
    mean = np.column_stack([control.mean(axis=1), treatment.mean(axis=1)])
    spread = np.column_stack([control.var(axis=1, ddof=1), treatment.var(axis=1, ddof=1)])
    n = np.broadcast_to(np.asarray(sizes, np.float64), mean.shape)
    found = Estimates(metrics=(), arms=NAMES, mean=mean, variance=spread / n, n=n, plain=mean, clock=n)
    return contrasts(found, PAIR, RULE)


def welch(draw: np.random.Generator, runs: int) -> Claims:
    """Means of 20 and 60 units, variances 1 and 4."""
    return absolute(_two_samples(draw, runs, 3.0, 0.4, (20, 60)), 0.4)


def fieller(draw: np.random.Generator, runs: int) -> Claims:
    """The relative effect of 60 and 90 units, control mean 3."""
    return relative(_two_samples(draw, runs, 3.0, 0.6, (60, 90)), 0.2)


def fieller_near_zero(draw: np.random.Generator, runs: int) -> Claims:
    """The same where the control's mean is about one standard error from 0: often without bound."""
    return relative(_two_samples(draw, runs, 0.1, 0.02, (60, 90)), 0.2)


def _users(draw: np.random.Generator, effect: float, size: int = 400) -> dict[str, ArrayLike]:
    """Sessions and successes of users, who differ, and the same of the month before."""
    person = draw.normal(0.0, 0.15, size)
    sessions, before = 1.0 + draw.poisson(3.0, size), 1.0 + draw.poisson(3.0, size)
    return {
        "y": draw.normal((0.5 + person + effect) * sessions, 0.3 * np.sqrt(sessions)),
        "x": sessions,
        "y0": draw.normal((0.5 + person) * before, 0.3 * np.sqrt(before)),
        "x0": before,
    }


def _of_users(draw: np.random.Generator, runs: int, quantity: Quantity, truth: float, effect: float) -> Claims:
    def look() -> Estimates:
        arms = {name: joint_moments(_users(draw, effect * place)) for place, name in enumerate(NAMES)}
        return estimates(arms, [quantity])

    return one_by_one(runs, look, truth)


def ratio(draw: np.random.Generator, runs: int) -> Claims:
    """A ratio of two sums over 400 users, by the delta method."""
    return _of_users(draw, runs, Quantity(name="r", column="y", denominator="x"), 0.05, 0.05)


def cuped_mean(draw: np.random.Generator, runs: int) -> Claims:
    """A mean adjusted by the month before; users have four sessions on average."""
    return _of_users(draw, runs, Quantity(name="m", column="y", covariates=(("y0", ""),)), 0.2, 0.05)


def cuped_ratio(draw: np.random.Generator, runs: int) -> Claims:
    """A ratio adjusted by the same ratio of the month before."""
    quantity = Quantity(name="r", column="y", denominator="x", covariates=(("y0", "x0"),))
    return _of_users(draw, runs, quantity, 0.05, 0.05)


def post_stratified(draw: np.random.Generator, runs: int) -> Claims:
    """A mean over three strata that differ, whose sizes are chance."""
    levels = np.array([0.0, 2.0, 5.0])

    def look() -> Estimates:
        strata: dict[str, dict[str, JointMoments]] = {str(place): {} for place in range(3)}
        for arm, name in enumerate(NAMES):
            stratum = draw.choice(3, 300, p=[0.5, 0.3, 0.2])
            values = levels[stratum] + 0.1 * arm + draw.standard_normal(300)
            for place in range(3):
                strata[str(place)][name] = joint_moments({"y": values[stratum == place]})
        return stratified_estimates(strata, [Quantity(name="m", column="y")])

    return one_by_one(runs, look, 0.1)


def _clusters(draw: np.random.Generator, runs: int, count: int) -> Claims:
    """Requests of unequal clusters with a level of their own each, analysed as live traffic is: a cluster a bucket."""
    epoch = Epoch(number=1, since=datetime(2026, 1, 1, tzinfo=UTC), shares=dict.fromkeys(NAMES, PLACES // 2))
    asked = Experiment(variants=NAMES, metrics=[Ratio("y", counted("y"))])

    def arm(effect: float) -> ArmSums:
        sizes, level = np.zeros(BUCKET_ROWS), np.zeros(BUCKET_ROWS)
        sizes[:count] = np.ceil(draw.lognormal(3.0, 0.6, count))
        level[:count] = 1.0 + effect + draw.normal(0.0, 0.3, count)
        mean = draw.normal(level, 1.0 / np.sqrt(np.maximum(sizes, 1.0))) * (sizes > 0)
        requests = Moments(sizes, (sizes > 0).astype(np.float64), np.zeros(BUCKET_ROWS))
        return ArmSums(measures={"requests": requests, "y": Moments(sizes, mean, sizes)}, histograms={})

    held = []
    for _ in range(runs):
        seen = ExperimentEvidence(epochs={1: {"control": arm(0.0), "treatment": arm(0.1)}})
        row = asked.judge(observe(asked.metrics, seen, [epoch], NAMES)).comparisons[0]
        held.append(row.low is not None and row.high is not None and row.low <= 0.1 <= row.high)
    return np.array(held)


def few_clusters(draw: np.random.Generator, runs: int) -> Claims:
    """Twenty clusters of unequal size in each arm."""
    return _clusters(draw, runs, 20)


def many_clusters(draw: np.random.Generator, runs: int) -> Claims:
    """Two hundred of them."""
    return _clusters(draw, runs, 200)


def paired(draw: np.random.Generator, runs: int) -> Claims:
    """Two models on the same 40 prompts."""
    names = {name: {"y": name} for name in NAMES}

    def look() -> Estimates:
        hard = draw.normal(0.0, 1.0, 40)
        rows = {name: hard + 0.1 * place + draw.normal(0.0, 0.4, 40) for place, name in enumerate(NAMES)}
        return paired_estimates(joint_moments(rows), names, [Quantity(name="m", column="y")])

    return one_by_one(runs, look, 0.1)


def paired_topics(draw: np.random.Generator, runs: int) -> Claims:
    """Two models on prompts of 15 topics, which differ in how well each does."""
    held = []
    for _ in range(runs):
        topic = np.repeat(np.arange(15), draw.integers(5, 20, 15))
        hard = draw.normal(0.0, 1.0, 15)[topic] + draw.normal(0.0, 0.5, topic.size)
        gain = 0.1 + draw.normal(0.0, 0.3, 15)[topic] + draw.normal(0.0, 0.5, topic.size)
        found = paired_clusters(hard + gain, hard, topic)
        held.append(found.low is not None and found.high is not None and found.low <= 0.1 <= found.high)
    return np.array(held)


def quantile(draw: np.random.Generator, runs: int) -> Claims:
    """The 95th percentile of 1000 latencies an arm, by Woodruff's method."""
    top = float(np.exp(0.5 * 1.6448536269514722))
    arms = [
        tuple(quantile_estimate(scale * draw.lognormal(0.0, 0.5, 1000), 0.95) for scale in (1.0, 1.1))
        for _ in range(runs)
    ]
    return absolute(contrasts(stacked(arms), PAIR, RULE), 0.1 * top)


def _shares(draw: np.random.Generator, runs: int) -> tuple[Counts, Counts]:
    """Shares of .15 and .25 of 80 and 60 units: an interval's coverage is that of these sizes, which counts decide."""
    return Counts(draw.binomial(80, 0.15, runs), 80), Counts(draw.binomial(60, 0.25, runs), 60)


def newcombe(draw: np.random.Generator, runs: int) -> Claims:
    """A difference of proportions by Newcombe's hybrid score interval."""
    control, treatment = _shares(draw, runs)
    low, high = newcombe_difference(treatment, control, critical_value(0.05, Side.BOTH))
    return np.asarray((low <= 0.1) & (high >= 0.1))


def miettinen_nurminen(draw: np.random.Generator, runs: int) -> Claims:
    """The same by Miettinen and Nurminen's score interval."""
    control, treatment = _shares(draw, runs)
    low, high = difference_interval(treatment, control, critical_value(0.05, Side.BOTH), corrected=True)
    return np.asarray((low <= 0.1) & (high >= 0.1))


def one_share(draw: np.random.Generator, runs: int) -> Claims:
    """One proportion by Wilson's interval, averaged over true shares from .05 to .95, as its coverage jumps."""
    true = draw.uniform(0.05, 0.95, runs)
    low, high = wilson(Counts(draw.binomial(50, true), 50), critical_value(0.05, Side.BOTH))
    return np.asarray((low <= true) & (true <= high))


def _together(
    draw: np.random.Generator, runs: int, method: Method, comparisons: Comparisons, spreads: Sequence[float]
) -> Claims:
    """Whether all simultaneous intervals of four arms of unequal size hold their truths."""
    names, means = ("a", "b", "c", "d"), np.array([1.0, 1.0, 1.3, 0.8])
    sizes = (20, 30, 40, 25)
    asked = Experiment(
        variants=names,
        metrics=[Mean("y")],
        weights=None,
        comparisons=comparisons,
        multiplicity=Multiplicity(method=method),
    )
    held = []
    for _ in range(runs):
        arms = {
            name: joint_moments({"y": draw.normal(means[place], spreads[place], sizes[place])})
            for place, name in enumerate(names)
        }
        rows = asked.analyze(arms).comparisons
        truths = [means[names.index(row.treatment)] - means[names.index(row.reference)] for row in rows]
        held.append(
            all(
                row.simultaneous_low is not None
                and row.simultaneous_high is not None
                and row.simultaneous_low <= truth <= row.simultaneous_high
                for row, truth in zip(rows, truths, strict=True)
            )
        )
    return np.array(held)


def dunnett(draw: np.random.Generator, runs: int) -> Claims:
    """Three arms against a control, variances unequal: jointly, by Dunnett."""
    return _together(draw, runs, "dunnett", "control", (1.0, 1.5, 1.0, 2.0))


def tukey(draw: np.random.Generator, runs: int) -> Claims:
    """All six pairs of four arms with one variance: jointly, by Tukey (Kramer's for unequal sizes)."""
    return _together(draw, runs, "tukey", "all-pairs", (1.0, 1.0, 1.0, 1.0))


def games_howell(draw: np.random.Generator, runs: int) -> Claims:
    """All six pairs of four arms with variances of their own: jointly, by Games and Howell."""
    return _together(draw, runs, "games-howell", "all-pairs", (1.0, 1.5, 1.0, 2.0))


def bonferroni(draw: np.random.Generator, runs: int) -> Claims:
    """Three arms against a control: jointly, by Bonferroni."""
    return _together(draw, runs, "bonferroni", "control", (1.0, 1.5, 1.0, 2.0))


KINDS: Mapping[str, Kind] = {
    "mean, Welch": welch,
    "relative, Fieller": fieller,
    "relative, Fieller, control near 0": fieller_near_zero,
    "ratio, delta method": ratio,
    "mean, CUPED": cuped_mean,
    "ratio, CUPED": cuped_ratio,
    "mean, post-stratified": post_stratified,
    "20 unequal clusters an arm": few_clusters,
    "200 unequal clusters an arm": many_clusters,
    "paired, 40 prompts": paired,
    "paired, 15 topics": paired_topics,
    "95th percentile, Woodruff": quantile,
    "proportions, Newcombe": newcombe,
    "proportions, Miettinen-Nurminen": miettinen_nurminen,
    "one proportion, Wilson": one_share,
    "simultaneous, Dunnett": dunnett,
    "simultaneous, Tukey": tukey,
    "simultaneous, Games-Howell": games_howell,
    "simultaneous, Bonferroni": bonferroni,
}
"""Every kind of interval of a single analysis."""
