"""The validity benchmark: what stands for vedette in it is vedette, and peers' rules give their published figures."""

import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from bench.validity_parts import arms, peeking, power
from bench.validity_parts import run as command
from bench.validity_parts.figures import D80, Bar, Figure, Report, share
from bench.validity_rules import growthbook, mixtures, planned, several
from bench.validity_rules import peeking as habits
from bench.validity_rules.pair import Looks, both_scales, judged, running
from scipy.stats import ttest_ind

from vedette.evidence.joint import JointMoments, joint_moments
from vedette.experiments.analysis import rule_at
from vedette.experiments.design import Experiment
from vedette.experiments.metrics import Mean
from vedette.experiments.monitoring import AnytimeValid, Fixed, GroupSequential
from vedette.stats.contrasts import FixedRule


def two_arms(seed, runs=3, size=60, effect=0.4):
    """Values of a control and a treatment."""
    values = np.random.default_rng(seed).normal(2.0, 1.0, (2, runs, size))
    values[1] += effect
    return values


def look(n, control, treatment, control_variance, treatment_variance):
    """One look of one run."""
    cells = [np.array([[value]]) for value in (control, treatment, control_variance, treatment_variance)]
    return Looks(
        n=np.array([float(n)]),
        control=cells[0],
        treatment=cells[1],
        control_variance=cells[2],
        treatment_variance=cells[3],
    )


def test_running_looks_are_what_the_product_sees():
    """At any look, the interval is that of an experiment that was given the values so far."""
    values = two_arms(1)
    looks = running(values, 10)
    made = judged(looks, rule_at(_asked(AnytimeValid(tune_at=200)), (), 0.05))
    for run, size in ((0, 10), (1, 33), (2, 60)):
        data = {arm: joint_moments({"x": values[place, run, :size]}) for place, arm in enumerate(("a", "b"))}
        row = _asked(AnytimeValid(tune_at=200)).analyze(data).comparisons[0]
        place = run * looks.n.size + size - 10
        assert (made.low[place, 0], made.high[place, 0]) == pytest.approx((row.low, row.high))
        assert (made.relative_low[place, 0]) == pytest.approx(row.relative_low)


@pytest.mark.parametrize(
    ("monitoring", "sizes"),
    [
        (Fixed(), (400,)),
        (GroupSequential(units=1600, looks=5), (80, 160, 240, 320, 400)),
        (AnytimeValid(tune_at=800), tuple(range(50, 401, 50))),
    ],
)
def test_the_winner_of_many_runs_is_the_verdict_of_each(monitoring, sizes):
    """Judged together or one by one by `Experiment.analyze`, the same arm wins at the same look."""
    names = ("arm 0", "arm 1", "arm 2", "arm 3")
    asked = Experiment(variants=names, metrics=[Mean("x")], monitoring=monitoring)
    draw = np.random.default_rng(3)
    seen = several.simulated(draw, np.array([0.0, 0.25, 0.0, 0.05]), 12, every=sizes[0], first=sizes[0], last=sizes[-1])
    fractions = tuple(size / sizes[-1] for size in sizes)
    declared, when = several.ours(seen, lambda place: rule_at(asked, fractions[: place + 1], 0.05))
    for run in range(12):
        progress, winner, at = None, "", np.inf
        for place, size in enumerate(sizes):
            data = {
                name: JointMoments(
                    ("x",), float(size), seen.mean[run, place, [arm]], seen.variance[run, place, [[arm]]] * (size - 1)
                )
                for arm, name in enumerate(names)
            }
            found = asked.analyze(data, progress=progress)
            progress = found.progress
            if found.verdict.winner:
                winner, at = found.verdict.winner, place
                break
        assert (names[declared[run]] if declared[run] >= 0 else "", when[run]) == (winner, at)
    assert 0 < np.isfinite(when).sum() < 12


def test_growthbook_gives_its_published_intervals():
    """Relative sequence: .40098 to .60675 for 1396 of 3000 and 2422 of 3461; one-sided: -.12656844 (gbstats' tests)."""
    half = float(growthbook.halfwidth_in_errors(np.array([6461.0]), 0.05)[0])
    first, second = 1396 / 3000, 2422 / 3461
    ratio = second / first
    error = np.sqrt(second * (1 - second) / 3461 + ratio**2 * first * (1 - first) / 3000) / first
    assert (ratio - 1 - half * error, ratio - 1 + half * error) == pytest.approx((0.40098, 0.60675), abs=2e-4)
    one_sided = float(growthbook.one_sided_in_errors(np.array([6461.0]), 0.05)[0])
    assert 0.23437666666666668 - one_sided * 0.12983081254184736 == pytest.approx(-0.12656844172804982, rel=1e-8)


def test_growthbook_relative_is_its_delta_method():
    """It claims a difference where the relative interval by hand leaves out 0."""
    n, first, second = 3000, 1.0, 1.12
    ratio = second / first
    error = np.sqrt((4.0 + ratio**2 * 3.0) / n) / first
    claims = abs(ratio - 1) > error * growthbook.halfwidth_in_errors(np.array([2.0 * n]), 0.05)[0]
    assert bool(growthbook.relative(look(n, first, second, 3.0, 4.0))[0, 0]) == bool(claims)
    assert not growthbook.relative(look(n, 0.0, second, 3.0, 4.0))[0, 0]
    assert not growthbook.log_ratio(look(n, -1.0, second, 3.0, 4.0))[0, 0]


@pytest.mark.parametrize(
    ("rule", "z"),
    [
        (mixtures.gavi, 3.0350),
        (mixtures.likelihood_ratio, np.sqrt(2 * np.log((1 + np.log(10_000)) / 0.05))),
        (mixtures.statsig_first, 1.959964),
        (habits.chance_to_win, 1.644854),
    ],
)
def test_peers_claim_exactly_beyond_their_critical_value(rule, z):
    """Just below the critical z-score of 5000 units an arm nothing is claimed, just above it a difference is."""
    for factor, claimed in ((0.999, False), (1.001, True)):
        effect = factor * z * np.sqrt(2 / 5000)
        assert bool(rule(look(5000, 1.0, 1.0 + effect, 1.0, 1.0))[0, 0]) is claimed


def test_a_scale_taken_from_the_data_claims_more_than_a_fixed_one():
    """The mSPRT whose scale follows the observed effect claims wherever one with a fixed scale does."""
    looks = running(two_arms(5, runs=20, size=2000, effect=0.1), 20)
    default, fixed = mixtures.msprt(looks), mixtures.msprt(looks, effect=D80)
    assert default[fixed].all()
    assert default.sum() > fixed.sum()


def test_the_peeked_t_is_welchs():
    """A claim is a p-value of 5 % or less of scipy's Welch test at that look."""
    values = two_arms(7, runs=5, size=40)
    claims = habits.welch(running(values, 5))
    for run in range(5):
        for size in range(5, 41, 7):
            p_value = ttest_ind(values[1, run, :size], values[0, run, :size], equal_var=False).pvalue
            assert bool(claims[run, size - 5]) == (p_value <= 0.05)


def test_planned_designs_have_their_published_boundaries():
    """O'Brien-Fleming, five looks: 4.5617 to 2.0401; Pocock: 2.4132 (Jennison & Turnbull 2000, tables 2.1 and 2.3)."""
    obrien_fleming, pocock = (planned.CLASSICAL[name] for name in ("O'Brien-Fleming, 5 looks", "Pocock, 5 looks"))
    assert planned.levels(*obrien_fleming) == pytest.approx((4.5617, 3.2256, 2.6337, 2.2809, 2.0401), abs=2e-4)
    assert planned.levels(*pocock) == pytest.approx((2.4132,) * 5, abs=2e-4)


def test_undefined_looks_claim_nothing():
    """Where no arm varies yet there is no z-score, and nobody claims anything."""
    nothing = look(20, 0.0, 0.0, 0.0, 0.0)
    assert not any(claims.any() for claims in both_scales(nothing, FixedRule()).values())
    for rule in peeking.PEERS.values():
        assert not rule(nothing).any()


def test_the_share_of_draws_in_which_an_arm_is_best():
    """The probability to be best by quadrature is that of many draws."""
    draw = np.random.default_rng(9)
    mean, sd = np.array([0.0, 0.1, 0.25]), np.array([0.1, 0.05, 0.08])
    drawn = (draw.normal(mean, sd, (200_000, 3)).argmax(axis=1) == 2).mean()
    seen = several.Several(n=np.array([1.0]), mean=mean[None, None], variance=sd[None, None] ** 2)
    for certainty, arm in ((drawn - 0.01, 2), (drawn + 0.01, -1)):
        declared, when = several.probability_best(seen, certainty=certainty)
        assert declared.tolist() == [arm]
        assert np.isfinite(when[0]) == (arm == 2)


def test_simulated_arms_are_a_sample():
    """Means, variances and their growth from look to look are those of units drawn one by one."""
    seen = several.simulated(np.random.default_rng(2), np.array([0.0, 1.0]), 4000, every=50, first=100, last=300)
    assert seen.n.tolist() == [100.0, 150.0, 200.0, 250.0, 300.0]
    assert seen.mean.mean(axis=0)[-1] == pytest.approx([0.0, 1.0], abs=4 / np.sqrt(4000 * 300))
    assert seen.mean[:, :, 0].var(axis=0) == pytest.approx(1 / seen.n, rel=0.1)
    assert np.corrcoef(seen.mean[:, 0, 0], seen.mean[:, -1, 0])[0, 1] == pytest.approx(np.sqrt(1 / 3), abs=0.05)
    assert seen.variance[:, -1].mean() == pytest.approx(1.0, abs=0.005)
    assert seen.variance[:, -1].var() == pytest.approx(2 / 299, rel=0.1)


def test_bars_allow_for_chance_alone(capsys):
    """A figure misses its bar beyond three standard errors; the table marks it and the report lists it."""
    assert Bar("most", 0.05).held(Figure(0.06, 0.004))
    assert not Bar("most", 0.05).held(Figure(0.06, 0.003))
    assert not Bar("about", 0.95).held(Figure(0.93, 0.003))
    assert share([False] * 100).error == pytest.approx(np.sqrt(0.01 * 0.99 / 100))
    report = Report()
    rows = {"ours": {"wrong": Figure(0.2, 0.001)}, "theirs": {"wrong": Figure(0.3, 0.001)}}
    report.table("A. All: more", ["wrong"], rows, {("ours", "wrong"): Bar("most", 0.05)})
    printed = capsys.readouterr().out
    assert ".200 (1)!" in printed
    assert ".300 (1)\n" in printed
    assert report.missed == ["A. All: ours, wrong: .200 (1), asked for at most 0.05"]


def test_a_small_run_prints_its_tables_and_writes_every_figure(tmp_path, capsys, monkeypatch):
    """Each part has a row a rule and a figure a column, the same in the file, and bars that were missed are listed."""
    monkeypatch.setattr(peeking, "POPULATIONS", peeking.POPULATIONS[:1])
    monkeypatch.setattr(peeking, "CHUNK", 10)
    monkeypatch.setattr(power, "CHUNK", 10)
    monkeypatch.setattr(arms, "CHUNK", 10)
    monkeypatch.setattr(arms, "SCENARIOS", dict(list(arms.SCENARIOS.items())[1:2]))
    monkeypatch.setattr(command, "ProcessPoolExecutor", ThreadPoolExecutor)
    monkeypatch.setattr(command, "PARTS", tuple((name, part, 200) for name, part, _ in command.PARTS[:3]))
    results = tmp_path / "results.json"
    command.run(["--quick", "--part", "ABC", "--json", str(results)])
    printed = capsys.readouterr().out
    assert "GrowthBook sequential, relative (its default)" in printed
    assert "Bars missed:" in printed
    figures = json.loads(results.read_text())
    assert len(figures) == 5
    assert all(0.0 <= value <= 2.0 for table in figures.values() for row in table.values() for value, _ in row.values())


def _asked(monitoring):
    return Experiment(variants=("a", "b"), metrics=[Mean("x")], monitoring=monitoring, min_units=2)
