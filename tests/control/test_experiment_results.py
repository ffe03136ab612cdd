"""What experiments found, for reading: results, cuts, interactions, plans, assignments, and scores without traffic."""

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import ttest_rel
from tests.control.trials import USES, actions, answer, arms_of, audited, draft, parameters, prepare

from vedette.control.apply import apply_text
from vedette.experiments.machine import Phase
from vedette.experiments.spec import ExperimentSpec
from vedette.experiments.verdict import Status
from vedette.kernel.documents import load
from vedette.kernel.errors import InvalidDocument, InvalidInput, NotFound, Refused

EXAMPLES = Path(__file__).parents[2] / "examples"


def _country(user: int) -> dict[str, str]:
    return {"x-country": "de" if user % 10 < 6 else "fr" if user % 10 < 9 else ""}


def test_results_are_those_of_the_outcomes(lab):
    """Results count every request of every arm and find the effect that is there, at any look."""
    draft(lab, "v1", "v2", "v3")
    with pytest.raises(Refused, match="has not started"):
        lab.plane.experiments.results("tone")
    lab.plane.experiments.start("tone", actor="ada")
    counts = answer(lab, correct={"v3": 0.65})
    report = lab.plane.experiments.results("tone")
    assert {it.variant: it.units for it in report.standings} == {
        arm.removeprefix("tone/"): float(count) for arm, count in counts.items()
    }
    assert (report.verdict.status, report.verdict.winner) == (Status.WINNER, "v3")
    (row,) = [it for it in report.comparisons if (it.metric, it.treatment) == ("accuracy", "v3")]
    assert 0.08 < row.effect < 0.22
    assert row.kind == "sequence"
    lab.plane.experiments.stop("tone", actor="ada")
    assert lab.plane.experiments.results("tone") == report


def test_explaining_says_where_it_is_and_what_comes_next(trial):
    """Explain shows coverage, shares, plan and confirmation, the last decision, and what a look decides now."""
    draft(trial, "v1", "v2", "v3", coverage=50)
    assert trial.plane.experiments.explain("tone").now.reasons[0].message == "it has not started"
    trial.plane.experiments.start("tone", actor="ada")
    revision = trial.plane.traffic.plan("pay").revision
    trial.plane.traffic.confirm("gateway", {"pay": revision})
    answer(trial, error={"v3": 0.4})
    before = trial.everything()
    said = trial.plane.experiments.explain("tone")
    assert trial.everything() == before
    assert (said.coverage, said.plan, said.confirmed, said.rederived) == (50.0, revision, revision, None)
    assert said.shares == pytest.approx({"v1": 33.3333, "v2": 33.3334, "v3": 33.3333}, abs=1e-3)
    assert (said.now.action, said.last.decision.action) == ("stop-arm", "start")
    trial.plane.reconciler.tick()
    said = trial.plane.experiments.explain("tone")
    assert (set(said.stopped_arms), said.rederived, said.last.decision.action) == ({"v3"}, True, "stop-arm")
    trial.plane.experiments.decide("tone", "v2", actor="ada")
    said = trial.plane.experiments.explain("tone")
    assert (said.phase, said.conclusion.winner, said.now.reasons[0].code) == (Phase.DECIDED, "v2", "finished")


def test_assignment_says_why_a_unit_has_no_arm(lab):
    """Each reason a unit may have no arm is told: phase, targeting, reserve, another experiment, a lost arm."""
    rule = {"attribute": "x-plan", "values": ("pro",)}
    draft(lab, "v1", "v2", "v3", coverage=20, reserve=50, targeting=(rule,))
    draft(lab, name="second", coverage=30)
    ask = lab.plane.experiments.assignment
    pro = {"x-plan": "pro"}
    assert ask("tone", "user-1", pro).because == "the experiment is draft and exposes nobody"
    for name in ("tone", "second"):
        lab.plane.experiments.start(name, actor="ada")
    lab.plane.experiments.stop_arm("tone", "v3", actor="ada")
    seen = [ask("tone", f"user-{number}", pro) for number in range(300)]
    assert {it.because for it in seen} == {
        "its place in the layer and its hash over the arms",
        "its place in the layer is reserved for it and not exposed yet",
        "its arm was taken out, so it is served as the domain is",
        "it is in second, which runs in the same layer",
        "its place in the layer does not belong to the experiment",
    }
    assert {it.arm for it in seen} == {"v1", "v2", ""}
    mine = next(it for it in seen if it.arm)
    assert mine.exposures == {"tone": mine.arm}
    assert "does not fit the targeting: x-plan is" in ask("tone", mine.unit).because
    assert lab.plane.experiments.explain("tone", mine.unit, pro).assignment == mine


def test_units_held_out_see_no_experiment(lab):
    """The hold-out of a domain is out of every experiment, and is told so."""
    prepare(lab, "law", hold_out="10%")
    draft(lab, domain="law", name="a")
    heat = (parameters("base", temperature=0.7), parameters("cold", temperature=0.0))
    draft(lab, *heat, domain="law", name="b", layer="other")
    for name in ("a", "b"):
        lab.plane.experiments.start(name, actor="ada")
    first, second = arms_of(lab, "a", "law"), arms_of(lab, "b", "law")
    assert first.keys() == second.keys()
    assert 1700 < len(first) < 1900
    out = next(f"user-{number}" for number in range(2000) if f"user-{number}" not in first)
    assert "held out" in lab.plane.experiments.assignment("a", out).because


def test_a_breakdown_finds_where_the_effect_is_and_corrects_for_looking(trial):
    """Results by country show each of them, corrected over all, with small ones and old requests said."""
    draft(trial, dimensions=("x-country",), metrics=USES[:1])
    trial.plane.experiments.start("tone", actor="ada")
    answer(trial, attributes=_country, correct={"v2": 0.65})
    found = trial.plane.experiments.breakdown("tone", "x-country")
    assert [(it.value, it.units, it.too_small) for it in found.values] == [
        ("de", 2700.0, False),
        ("fr", 1350.0, False),
        ("", 450.0, False),
    ]
    assert (found.units, found.left_out) == (4500.0, 0.0)
    rows = [row for it in found.values for row in it.comparisons]
    assert all(row.p_adjusted >= row.p_value for row in rows)
    assert rows[0].p_adjusted < 0.05
    assert rows[0].kind == "sequence"
    assert "3 values of x-country can be compared" in found.sentence
    assert len(found.table().rows) == 3
    for dimension in ("x-city", "user"):
        with pytest.raises(InvalidInput, match="was not recorded"):
            trial.plane.experiments.breakdown("tone", dimension)


def test_a_breakdown_counts_what_it_leaves_out(lab, monkeypatch):
    """Values with too few requests are not compared, and requests older than those counted are said."""
    draft(lab, dimensions=("x-country",), min_units=1000)
    lab.plane.experiments.start("tone", actor="ada")
    draft(lab, name="second", dimensions=("x-country",), coverage=1)
    with pytest.raises(Refused, match="has not started"):
        lab.plane.experiments.breakdown("second", "x-country")
    answer(lab, attributes=_country)
    whole = lab.plane.lake.by_dimension
    monkeypatch.setattr(lab.plane.lake, "by_dimension", lambda *it: whole(*it, limit=4000))
    found = lab.plane.experiments.breakdown("tone", "x-country")
    assert [(it.value, it.too_small) for it in found.values] == [("de", False), ("fr", True), ("", True)]
    assert (found.units, found.left_out) == (4000.0, 500.0)
    assert "2 have fewer than 1000 requests in some arm; 500 requests are older" in found.sentence


def test_interactions_are_tested_between_layers(trial):
    """Where one arm works only beside another experiment's arm, the difference of differences tells."""
    draft(trial, metrics=USES[:1])
    heat = (parameters("warm", temperature=0.7), parameters("cold", temperature=0.0))
    draft(trial, *heat, name="heat", layer="decoding", metrics=USES[:1])
    size = (parameters("many", max_tokens=900), parameters("few", max_tokens=90))
    draft(trial, *size, name="size", layer="size", metrics=USES[:1])
    for name in ("tone", "heat", "size"):
        trial.plane.experiments.start(name, actor="ada")
    answer(trial, users=2000, both={("v2", "cold"): 0.85})
    found = {it.other: it for it in trial.plane.experiments.interactions("tone")}
    assert set(found) == {"heat", "size"}
    assert 0.2 < found["heat"].effect < 0.5
    assert found["heat"].p_value <= found["heat"].p_adjusted < 0.05 < found["size"].p_adjusted
    assert found["heat"].units == 6000
    (alone,) = trial.plane.experiments.interactions("tone", "heat")
    assert alone.p_adjusted == alone.p_value == found["heat"].p_value
    draft(trial, name="second", coverage=1)
    for other, said in (("second", "has not started"), ("tone", "share no unit")):
        with pytest.raises((Refused, InvalidInput), match=said):
            trial.plane.experiments.interactions("tone", other)


def test_interactions_of_few_requests_are_not_judged(lab):
    """A combination of arms that too few requests had is told, not judged."""
    draft(lab, metrics=USES[:1])
    heat = (parameters("warm", temperature=0.7), parameters("cold", temperature=0.0))
    draft(lab, *heat, name="heat", layer="decoding", metrics=USES[:1])
    for name in ("tone", "heat"):
        lab.plane.experiments.start(name, actor="ada")
    answer(lab, users=60)
    (found,) = lab.plane.experiments.interactions("tone")
    assert (found.effect, found.p_value, found.p_adjusted) == (None, None, None)
    assert "of 100 requests" in found.missing


def _spec(**changes) -> ExperimentSpec:
    fields = {
        "domain": "pay",
        "variants": [{"name": "v1"}, {"name": "v2", "override": {"version": "v2"}}],
        "metrics": USES,
        "monitoring": {"kind": "fixed"},
    }
    return load(ExperimentSpec, fields | changes)


def test_a_plan_says_how_many_and_how_long(lab):
    """20 % to 25 % at power 0.8 takes 1,094 requests an arm (R 4.2.2 power.prop.test), and days at a traffic."""
    made = lab.plane.experiments.plan(_spec(coverage=50), baseline=0.2, mde=0.25, units_per_day=1000)
    assert made.n_per_arm == (1094, 1094)
    assert made.days == pytest.approx(2 * 1093.7 / 500, rel=1e-3)
    assert made.monitoring.units == 2188
    three = lab.plane.experiments.plan(
        _spec(variants=[*_spec().variants, {"name": "v3", "override": {"version": "v3"}}]), baseline=0.2, mde=0.25
    )
    assert three.n_per_arm[0] > made.n_per_arm[0]
    wide = lab.plane.experiments.plan(_spec(), baseline=0.2, mde=0.25, design_effect=2.0)
    assert wide.n_per_arm[0] == pytest.approx(2 * 1093.7, abs=1)


def test_a_plan_reads_what_was_not_said_from_the_last_day(lab):
    """Baseline, spread and traffic come from the domain's own outcomes; without any, the plan asks for them."""
    with pytest.raises(InvalidInput, match=r"does not tell what 'accuracy' usually is \(give the baseline"):
        lab.plane.experiments.plan(_spec(), mde=0.1)
    answer(lab, users=500)
    made = lab.plane.experiments.plan(_spec(), mde=0.1)
    assert made.baseline == pytest.approx(0.5, abs=0.05)
    assert made.days is not None
    slow = lab.plane.experiments.plan(_spec(metrics=[{"metric": "latency-mean", "role": "primary"}]), mde=0.01)
    assert (slow.baseline, slow.effect) == (pytest.approx(24.5, abs=0.3), pytest.approx(-0.245, abs=0.003))
    with pytest.raises(NotFound, match="'beauty'"):
        lab.plane.experiments.plan(_spec(metrics=[{"metric": "beauty", "role": "primary"}]), mde=0.1)
    with pytest.raises(InvalidInput, match="does not tell what 'latency-p95' usually is"):
        lab.plane.experiments.plan(_spec(metrics=[{"metric": "latency-p95", "role": "primary"}]), mde=0.1)


def _scores(prompts, draw, *, better: float, arms=("base", "new")):
    for prompt in prompts:
        ability = draw.normal()
        for arm in arms:
            yield {
                "prompt": f"question {prompt}",
                "variant": arm,
                "correct": float(ability + draw.normal() + (better if arm == "new" else 0.0) > 0),
            }


def test_models_judged_on_one_set_of_prompts_are_an_experiment(trial):
    """Scores start an offline experiment; pairs are compared as a paired test does; the domain's plan is untouched."""
    before = trial.plane.traffic.plan("pay")
    draft(trial, "base", "new", offline=True, metrics=USES[:1], on_winner="decide")
    with pytest.raises(Refused, match="starts with its scores"):
        trial.plane.experiments.start("tone", actor="ada")
    draw = np.random.default_rng(5)
    rows = list(_scores(range(400), draw, better=0.1))
    taken = trial.plane.experiments.record_scores("tone", rows, actor="ada")
    assert (taken.prompts, taken.total, taken.incomplete, taken.experiment.status.phase) == (400, 400, 0, Phase.RUNNING)
    report = trial.plane.experiments.results("tone")
    values = {arm: np.array([row["correct"] for row in rows if row["variant"] == arm]) for arm in ("base", "new")}
    (row,) = report.comparisons
    assert row.effect == pytest.approx(float(np.mean(values["new"] - values["base"])), rel=1e-9)
    assert report.units == 800
    assert taken.verdict == report.verdict
    again = trial.plane.experiments.record_scores("tone", rows, actor="ada")
    assert (again.prompts, again.seen_before, again.total) == (0, 400, 400)
    assert trial.plane.experiments.explain("tone").rederived is True
    more = trial.plane.experiments.record_scores("tone", _scores(range(400, 1400), draw, better=0.8), actor="ada")
    assert (more.total, more.verdict.winner, more.experiment.status.phase) == (1400, "new", Phase.DECIDED)
    with pytest.raises(Refused, match="takes no more scores"):
        trial.plane.experiments.record_scores("tone", rows, actor="ada")
    assert (actions(trial)[0], actions(trial)[-1]) == ("start", "decide")
    assert audited(trial)[:3] == ["experiment.create", "experiment.score", "experiment.start"]
    assert trial.plane.traffic.plan("pay") == before
    assert trial.plane.reconciler.tick() == 0
    with pytest.raises(Refused, match="offline"):
        trial.plane.experiments.breakdown("tone", "x-country")


def test_the_paired_answer_is_the_paired_t_test(lab):
    """A single planned analysis of pairs gives the p-value of the paired t test (scipy.stats.ttest_rel)."""
    draft(lab, "base", "new", offline=True, metrics=USES[:1], monitoring={"kind": "fixed"}, min_units=20)
    rows = list(_scores(range(200), np.random.default_rng(8), better=0.4))
    lab.plane.experiments.record_scores("tone", rows, actor="ada")
    (row,) = lab.plane.experiments.results("tone").comparisons
    base, new = ([it["correct"] for it in rows if it["variant"] == arm] for arm in ("base", "new"))
    assert row.p_value == pytest.approx(ttest_rel(new, base).pvalue, rel=1e-6)


def test_scores_that_are_wrong_are_refused_whole(lab):
    """A row without prompt, of an unknown variant or with a figure that is none is refused, and nothing is kept."""
    draft(lab, "base", "new", offline=True, metrics=USES[:1])
    draft(lab, name="live")
    before = lab.everything()
    good = {"prompt": "q", "variant": "base", "correct": 1}
    for bad, said in (
        ({"variant": "base", "correct": 1}, "row 2 names no prompt"),
        ({"prompt": "q", "correct": 1}, "names no variant"),
        ({"prompt": "q", "variant": "old", "correct": 1}, "'old', which is no variant"),
        ({"prompt": "q", "variant": "new", "correct": "good"}, "no finite number"),
        ({"prompt": "q", "variant": "new", "correct": float("inf")}, "no finite number"),
        ({"prompt": "q", "variant": "new", "correct": 1, "cluster": "c"}, "another cluster"),
    ):
        with pytest.raises(InvalidInput, match=said):
            lab.plane.experiments.record_scores("tone", [good, bad], actor="ada")
    half = lab.plane.experiments.record_scores("tone", [good, good], actor="ada")
    assert (half.prompts, half.incomplete, half.repeated, half.verdict) == (0, 1, 1, None)
    with pytest.raises(Refused, match="runs on live traffic"):
        lab.plane.experiments.record_scores("live", [good], actor="ada")
    assert lab.everything() == before


def test_documents_draft_experiments(lab):
    """The examples apply together: the domain, its versions, and a draft; a second time nothing changes."""
    text = "\n---\n".join((EXAMPLES / f"{name}.yaml").read_text() for name in ("experiment", "domain", "version"))
    dry = apply_text(lab.plane, text, actor="ada", dry_run=True)
    made = apply_text(lab.plane, text, actor="ada")
    assert [(it.kind, it.name, it.result) for it in made] == [
        ("Domain", "support", "created"),
        ("ModelVersion", "v1", "created"),
        ("ModelVersion", "v2", "created"),
        ("Experiment", "support-tone", "created"),
    ]
    assert dry == made
    assert lab.plane.experiments.get("support-tone").status.phase is Phase.DRAFT
    assert {it.result for it in apply_text(lab.plane, text, actor="ada")} == {"unchanged"}
    changed = apply_text(lab.plane, text.replace("alpha: 0.05", "alpha: 0.01"), actor="ada")[-1]
    assert (changed.result, changed.changes) == ("changed", {"alpha": [0.05, 0.01]})
    lab.plane.versions.install("support", "v1", actor="ada")
    lab.plane.experiments.start("support-tone", actor="ada")
    with pytest.raises(Refused, match="cannot change any more"):
        apply_text(lab.plane, text, actor="ada")
    labelled = text.replace("name: support-tone", "name: support-tone\n  labels: {a: b}")
    with pytest.raises(InvalidDocument, match="an experiment has no labels"):
        apply_text(lab.plane, labelled, actor="ada")


def test_what_was_found_outlives_the_last_treatment(lab):
    """Once every treatment was taken out there is nothing to compare any more, and the last kept look still stands."""
    draft(lab, "v1", "v2")
    draft(lab, "v1", "v3", name="unseen", metrics=USES)
    lab.plane.experiments.start("tone", actor="ada")
    answer(lab, users=300)
    lab.plane.reconciler.tick()
    lab.plane.experiments.stop_arm("tone", "v2", actor="ada")
    last = lab.plane.experiments.looks("tone", newest_first=True).items[0].report
    assert lab.plane.experiments.results("tone") == last
    assert lab.plane.experiments.explain("tone").report == last
    lab.plane.experiments.start("unseen", actor="ada")
    lab.plane.experiments.stop_arm("unseen", "v3", actor="ada")
    with pytest.raises(Refused, match="before anything was seen"):
        lab.plane.experiments.results("unseen")
