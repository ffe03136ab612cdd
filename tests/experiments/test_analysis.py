"""Analyses: the verdict's error rates, every design, correction, and answers that need no manual."""

import itertools

import numpy as np
import pytest
from statsmodels.stats.multicomp import pairwise_tukeyhsd

from vedette.evidence.joint import JointMoments, joint_moments, joint_moments_by
from vedette.experiments.design import Experiment
from vedette.experiments.metrics import Mean, Proportion, Quantile, Ratio
from vedette.experiments.monitoring import AnytimeValid, Fixed, GroupSequential
from vedette.experiments.verdict import Status
from vedette.kernel.documents import load
from vedette.kernel.errors import InvalidInput
from vedette.stats.cautions import Caution
from vedette.stats.multiplicity import Multiplicity

ARMS = ("base", "a", "b", "c")


def _moments(means, n=5000, sd=1.0, seed=1):
    draw = np.random.default_rng(seed)
    noise = draw.normal(0, sd / np.sqrt(n), len(means))
    return {
        arm: JointMoments(("x",), float(n), np.array([mean + off]), np.array([[sd**2 * (n - 1)]]))
        for arm, mean, off in zip(ARMS, means, noise, strict=False)
    }


def _experiment(arms=4, **changes):
    return Experiment(**{"variants": ARMS[:arms], "metrics": [Mean("x")], **changes})


def test_a_clear_winner_is_named_with_its_lead():
    """The arm that beats all others is the winner, and the sentence says by how much over the control."""
    verdict = _experiment().analyze(_moments([10, 10, 10.2, 10])).verdict
    assert (verdict.status, verdict.winner, verdict.tied) == (Status.WINNER, "b", ("b",))
    assert "b beats all 3 other arms in x: +" in verdict.sentence
    assert "over base (95 % interval" in verdict.sentence


@pytest.mark.parametrize("monitoring", [Fixed(), GroupSequential(units=20_000, looks=5), AnytimeValid(tune_at=10_000)])
@pytest.mark.parametrize("means", [[0, 0, 0, 0], [0.05, 0.05, 0, 0]])
def test_false_winners_are_rare(monitoring, means):
    """With all arms equal, or two tied for the best, a unique winner is claimed in at most 5 % of experiments."""
    asked, runs, false = _experiment(monitoring=monitoring), 300, 0
    draw = np.random.default_rng(7)
    fractions = (0.2, 0.4, 0.6, 0.8, 1.0)
    for _ in range(runs):
        walks = np.cumsum(draw.normal(0, np.sqrt(5000 * 0.2), (4, 5)), axis=1)
        progress = None
        for look, fraction in enumerate(fractions):
            if isinstance(monitoring, Fixed) and fraction < 1:
                continue
            n = 5000 * fraction
            arms = {
                arm: JointMoments(("x",), n, np.array([means[i] + walks[i, look] / n]), np.array([[n - 1.0]]))
                for i, arm in enumerate(ARMS)
            }
            found = asked.analyze(arms, progress=progress)
            progress = found.progress
            if found.verdict.winner:
                false += 1
                break
    assert false / runs <= 0.05 + 2.6 * np.sqrt(0.05 * 0.95 / runs)


def test_defect_3_the_split_of_all_arms_is_checked_at_once():
    """A split of four arms that is off is found as one test over all arms (tea-tasting tests pairs only)."""
    moments = _moments([0, 0, 0, 0])
    moments["c"] = JointMoments(("x",), 4400.0, np.array([0.0]), np.array([[4399.0]]))
    found = _experiment().analyze(moments)
    assert found.split.degrees == 3
    assert found.verdict.status is Status.INVALID_SRM
    assert "c 4,400" in found.verdict.sentence
    trusting = _experiment(weights=None).analyze(moments)
    assert trusting.split is None
    assert trusting.verdict.status is not Status.INVALID_SRM


def test_guardrails_come_first():
    """A guardrail that is worse than tolerated outranks a winner; within its margin it says nothing."""
    draw = np.random.default_rng(3)
    arm = np.repeat(ARMS[:2], 6000)
    columns = {
        "x": draw.normal(0, 1, 12_000) + (arm == "a"),
        "cost": draw.gamma(4, 1, 12_000) * np.where(arm == "a", 1.15, 1.0),
    }
    moments = joint_moments_by(arm, columns)
    for margin, status in ((0.05, Status.GUARDRAIL_BREACH), (0.3, Status.WINNER)):
        metrics = [Mean("x", role="primary"), Mean("cost", better="lower", role="guardrail", margin=margin)]
        verdict = Experiment(variants=ARMS[:2], metrics=metrics).analyze(moments).verdict
        assert verdict.status is status
    assert [breach.metric for breach in verdict.breaches] == []


def test_lower_can_be_better():
    """Where less is better the lowest arm wins, and rows say better for a fall."""
    asked = Experiment(variants=ARMS, metrics=[Mean("x", better="lower")])
    found = asked.analyze(_moments([10, 10, 9.8, 10]))
    assert found.verdict.winner == "b"
    assert found.comparison("x", "b").improved
    assert "better" in found.to_text()


def test_practical_equivalence_is_a_tie():
    """Arms proven to be within the primary metric's margin of each other are tied, also at any look."""
    asked = _experiment(arms=2, metrics=[Mean("x", margin=0.05)], monitoring=AnytimeValid())
    assert asked.analyze(_moments([10, 10.01], n=50_000)).verdict.status is Status.TIED
    assert asked.analyze(_moments([10, 10.01], n=60)).verdict.status is Status.CONTINUE


def test_a_hopeless_design_stops_early():
    """With a futility bound, an experiment without effect half way stops; without one it goes on."""
    moments = _moments([10, 10.001], n=4000, seed=5)
    level = {arm: JointMoments(("x",), part.n, np.array([10.0]), part.cross) for arm, part in moments.items()}
    for futility, status in ((0.2, Status.STOP_FUTILITY), (0.0, Status.CONTINUE)):
        asked = _experiment(arms=2, monitoring=GroupSequential(units=10_000, looks=5, futility=futility))
        assert asked.analyze(level).verdict.status is status


def test_designs_carry_their_looks_along():
    """Each look of a planned design is handed to the next; overrun counts as the last look, and no look comes twice."""
    asked = _experiment(arms=2, monitoring=GroupSequential(units=10_000, looks=5))
    first = asked.analyze(_moments([10, 10], n=1000))
    assert first.progress.looks == (0.2,)
    assert asked.analyze(_moments([10, 10], n=1000), progress=first.progress).progress.looks == (0.2,)
    last = asked.analyze(_moments([10, 10], n=7000), progress=first.progress)
    assert last.progress.looks == (0.2, 1.0)
    assert last.verdict.status is Status.TIED


def test_intervals_of_all_kinds_hold_together():
    """Simultaneous intervals are wider than single ones, and adjusted p-values no smaller, for every method."""
    moments = _moments([10, 10.03, 10.06, 10])
    for comparisons, methods in {
        "control": ("bonferroni", "holm", "hommel", "sidak", "bh", "dunnett"),
        "all-pairs": ("holm", "tukey", "games-howell"),
    }.items():
        for method in methods:
            asked = _experiment(comparisons=comparisons, multiplicity=load(Multiplicity, {"method": method}))
            for row in asked.analyze(moments).comparisons:
                assert row.p_adjusted >= row.p_value - 1e-12
                assert row.simultaneous_low <= row.low
                assert row.simultaneous_high >= row.high


def test_tukeys_intervals_and_p_values_are_of_one_variance():
    """Where all pairs are compared by Tukey's method, p-values and intervals are those of statsmodels' `tukeyhsd`."""
    draw = np.random.default_rng(8)
    names, sizes, spreads = ("a", "b", "c", "d"), (20, 60, 40, 25), (1.0, 2.5, 1.2, 0.8)
    values = [draw.normal(size / 40, spread, size) for size, spread in zip(sizes, spreads, strict=True)]
    tukeys = Multiplicity(method="tukey")
    asked = Experiment(variants=names, metrics=[Mean("y")], weights=None, comparisons="all-pairs", multiplicity=tukeys)
    found = asked.analyze({name: joint_moments({"y": each}) for name, each in zip(names, values, strict=True)})
    theirs = pairwise_tukeyhsd(np.concatenate(values), np.repeat(names, sizes))
    order = list(itertools.combinations(names, 2))
    for row in found.comparisons:
        place = order.index((row.reference, row.treatment))
        assert row.p_adjusted == pytest.approx(theirs.pvalues[place], abs=1e-6)
        assert (row.simultaneous_low, row.simultaneous_high) == pytest.approx(tuple(theirs.confint[place]), abs=1e-4)


def test_correction_can_span_metrics():
    """With scope family the comparisons of all metrics are one family, with scope metric each metric is its own."""
    arm = np.repeat(ARMS, 500)
    draw = np.random.default_rng(2)
    moments = joint_moments_by(arm, {name: draw.normal(0, 1, 2000) for name in "xyz"})
    metrics = [Mean(name) for name in "xyz"]
    for scope, size in (("metric", 3), ("family", 9)):
        choice = load(Multiplicity, {"method": "bonferroni", "scope": scope})
        rows = Experiment(variants=ARMS, metrics=metrics, multiplicity=choice).analyze(moments).comparisons
        for row in rows:
            assert row.p_value is not None
            assert row.p_adjusted == pytest.approx(min(1.0, size * row.p_value))


def test_the_leader_is_compared_with_all_others():
    """With comparisons best, every row has the leading arm as treatment."""
    rows = _experiment(comparisons="best").analyze(_moments([10, 10, 10.2, 10])).comparisons
    assert {row.treatment for row in rows} == {"b"}
    assert {row.reference for row in rows} == {"base", "a", "c"}


def test_quantiles_are_judged_beside_means():
    """A quantile is estimated from raw values and compared like any other metric."""
    draw = np.random.default_rng(4)
    raw = {"base": draw.lognormal(5, 0.5, 4000), "a": draw.lognormal(5.2, 0.5, 4000)}
    moments = {arm: joint_moments({"ms": values}) for arm, values in raw.items()}
    metrics = [Quantile("ms", 0.95, better="lower"), Mean("ms", better="lower")]
    found = Experiment(variants=("base", "a"), metrics=metrics).analyze(moments, values={"ms": raw})
    assert found.verdict.winner == "base"
    row = found.comparison("ms p95", "a")
    assert row.relative_effect == pytest.approx(np.exp(0.2) - 1, abs=0.06)
    with pytest.raises(InvalidInput, match="moments do not hold"):
        Experiment(variants=("base", "a"), metrics=metrics).analyze(moments)


def test_models_judged_on_one_prompt_set_are_compared_in_pairs():
    """On the same prompts a difference shows that the same scores of other prompts would not show."""
    draw = np.random.default_rng(9)
    hard = draw.normal(0, 1, 300)
    scores = {"base:score": hard + draw.normal(0, 0.2, 300), "new:score": hard + 0.1 + draw.normal(0, 0.2, 300)}
    asked = Experiment(variants=("base", "new"), metrics=[Mean("score")], weights=None)
    assert asked.analyze_pairs(joint_moments(scores)).verdict.winner == "new"
    apart = {name.split(":")[0]: joint_moments({"score": values}) for name, values in scores.items()}
    assert asked.analyze(apart).verdict.winner == ""


def test_an_arm_that_is_gone_is_no_part_of_the_verdict():
    """Arms that were taken out are neither compared nor waited for."""
    asked = _experiment()
    observed = asked.analyze(_moments([10, 10, 10.2, 12]))
    assert observed.verdict.winner == "c"
    fewer = asked.over(("base", "a", "b")).analyze({k: v for k, v in _moments([10, 10, 10.2, 12]).items() if k != "c"})
    assert fewer.verdict.winner == "b"


@pytest.mark.parametrize(
    ("columns", "caution"),
    [
        ({"x": [1.0] * 200}, Caution.NO_VARIANCE),
        ({"x": [0.0, 1.0] * 10 + [0.5] * 180}, None),
    ],
)
def test_defect_zero_variance_is_unknown(columns, caution):
    """A metric that does not vary has no p-value and says why (gbstats gives p = 1 and effect 0)."""
    arms = {arm: joint_moments(columns) for arm in ("base", "a")}
    found = Experiment(variants=("base", "a"), metrics=[Mean("x")]).analyze(arms)
    row = found.comparisons[0]
    assert (row.p_value is None) == (caution is not None)
    assert caution is None or caution in row.warnings
    assert caution is None or found.verdict.status is Status.INSUFFICIENT


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"variants": ["a"]}, "two variants or more"),
        ({"variants": ["a", "a"]}, "another name"),
        ({"control": "z"}, "no variant"),
        ({"weights": [0.5, 0.6, 0.1, 0.1]}, "add up to 1.3"),
        ({"weights": [-0.5, 0.5, 0.5, 0.5]}, "above 0"),
        ({"weights": [0.5, 0.5]}, "do not belong to 4"),
        ({"alpha": 0.7}, "between 0 and 0.5"),
        ({"metrics": []}, "needs a metric"),
        ({"metrics": [Mean("x", role="guardrail")]}, "needs a metric"),
        ({"metrics": [Mean("x", role="primary"), Mean("y", role="primary")]}, "one metric decides"),
        ({"metrics": [Mean("x"), Proportion("x")]}, "two metrics"),
        ({"multiplicity": Multiplicity(method="tukey")}, "all-pairs"),
        ({"multiplicity": Multiplicity(method="dunnett"), "monitoring": AnytimeValid()}, "one analysis"),
    ],
)
def test_designs_that_cannot_be_are_refused(changes, said):
    """What cannot be an experiment is refused with what is wrong and what to do."""
    with pytest.raises(InvalidInput, match=said):
        _experiment(**changes)


def test_data_that_do_not_fit_are_refused():
    """Unknown arms, missing arms and missing columns are refused, naming what there is."""
    moments = _moments([0, 0, 0, 0])
    with pytest.raises(InvalidInput, match="'z' that is no variant"):
        _experiment().analyze({**moments, "z": moments["a"]})
    with pytest.raises(InvalidInput, match="nothing of c"):
        _experiment().analyze({arm: part for arm, part in moments.items() if arm != "c"})
    with pytest.raises(InvalidInput, match="no column"):
        _experiment(metrics=[Ratio("x", "requests")]).analyze(moments)
