"""``vedette stats compare`` and ``pairs``: experiments and judged items in files, with no data folder."""

import csv
import json
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
from click.testing import CliRunner, Result

from vedette.cli.main import cli
from vedette.evidence.joint import joint_moments_by
from vedette.experiments.design import Experiment
from vedette.experiments.metrics import Mean
from vedette.stats.paired import mcnemar, paired_table


def run(*arguments: object, code: int = 0) -> Result:
    """Run ``vedette stats`` as a user would, and check its exit code."""
    result = CliRunner().invoke(cli, ["stats", *map(str, arguments)], prog_name="vedette")
    assert result.exit_code == code, (arguments, result.exit_code, result.output)
    return result


def found(*arguments: object) -> Any:
    """Run a command and read the JSON it prints."""
    return json.loads(run(*arguments, "-o", "json").stdout)


@pytest.fixture
def write(tmp_path):
    """Write columns as a CSV file and give its path; None is an empty cell."""

    def written(name="events.csv", **columns) -> Path:
        path: Path = tmp_path / name
        with path.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(columns)
            writer.writerows(zip(*(list(values) for values in columns.values()), strict=True))
        return path

    return written


@pytest.fixture
def events(write):
    """Two arms of 400 units: b accepts more and costs less; score_before explains most of score."""
    draw = np.random.default_rng(8)
    arm = np.tile(["a", "b"], 400)
    better = arm == "b"
    before, requests = draw.normal(60, 9, 800), 1 + draw.poisson(3, 800)
    return write(
        variant=arm,
        accepted=(draw.random(800) < np.where(better, 0.7, 0.5)).astype(int),
        score_before=before.round(2),
        score=(0.9 * before + np.where(better, 1.0, 0.0) + draw.normal(0, 3, 800)).round(2),
        cost=(requests * draw.gamma(40, np.where(better, 0.9, 1.0) / 40)).round(3),
        requests=requests,
        latency_ms=draw.lognormal(6, 0.4, 800).round(1),
        country=draw.choice(["de", "fr"], 800),
    )


def test_the_answer_of_a_file_comes_first(events):
    """The verdict's sentence is the first line; comparisons, standings, the split and how it was read follow."""
    said = run("compare", events, "-m", "accepted", "-m", "cost/requests:guardrail:2%", "-m", "latency_ms@p95").stdout
    assert said.startswith("b beats the other arm in accepted: +")
    for part in ("cost/requests", "latency_ms p95", "MAY BE BEST", "Split: as intended", "accepted: only 0 and 1"):
        assert part in said
    assert "Lower is better in cost/requests, latency_ms p95" in said


def test_the_figures_are_those_of_the_notebook(events):
    """The command gives what `Experiment.analyze` gives on the same rows."""
    with events.open() as file:
        rows = list(csv.DictReader(file))
    columns = {name: [float(row[name]) for row in rows] for name in ("score", "score_before")}
    moments = joint_moments_by([row["variant"] for row in rows], columns)
    metric = Mean("score", covariate="score_before")
    expected = Experiment(variants=("a", "b"), metrics=[metric]).analyze(moments).comparisons[0]
    [got] = found("compare", events, "-m", "score", "--covariate", "score=score_before")["report"]["comparisons"]
    assert got["effect"] == pytest.approx(expected.effect, rel=1e-9)
    assert (got["low"], got["pValue"]) == pytest.approx((expected.low, expected.p_value), rel=1e-9)
    [plain] = found("compare", events, "-m", "score")["report"]["comparisons"]
    assert got["high"] - got["low"] < 0.5 * (plain["high"] - plain["low"])


def test_every_kind_of_file_says_the_same(events, tmp_path):
    """Parquet and JSON lines give the answer of CSV, and patterns read several files as one."""
    whole = found("compare", events, "-m", "accepted")["report"]["comparisons"]
    rows = duckdb.read_csv(str(events))
    rows.write_parquet(str(tmp_path / "events.parquet"))
    lines = [json.dumps(dict(zip(rows.columns, row, strict=True))) for row in rows.fetchall()]
    (tmp_path / "events.jsonl").write_text("\n".join(lines))
    for part in (0, 1):
        rows.filter(f"requests % 2 = {part}").write_csv(str(tmp_path / f"part-{part}.csv"))
    for name in ("events.parquet", "events.jsonl", "part-*.csv"):
        [other] = found("compare", tmp_path / name, "-m", "accepted")["report"]["comparisons"]
        assert other["pValue"] == pytest.approx(whole[0]["pValue"], rel=1e-9)


def test_strata_take_out_what_they_explain(write):
    """Reweighting to the same mix narrows the interval where strata differ."""
    draw = np.random.default_rng(2)
    arm, stratum = np.tile(["a", "b"], 300), np.repeat(["de", "fr", "us"], 200)
    x = draw.normal(0, 1, 600) + 5.0 * (stratum == "us") + 10
    path = write(variant=arm, x=x, s=stratum)
    [plain], [within] = (
        found("compare", path, "-m", "x", *more)["report"]["comparisons"] for more in ((), ("--strata", "s"))
    )
    assert within["high"] - within["low"] < 0.6 * (plain["high"] - plain["low"])
    path = write(variant=arm, x=x, s=np.where(arm == "a", "de", "fr"))
    assert "fewer than two units" in run("compare", path, "-m", "x", "--strata", "s", code=2).stderr


def test_sticky_users_are_the_units(write):
    """With a cluster, users vary and not requests: the split counts users, and intervals widen as users differ."""
    draw, rows = np.random.default_rng(4), []
    for user in range(300):
        habit = draw.beta(1, 1)
        rows += [("ab"[user % 2], f"u{user}", int(draw.random() < habit), draw.lognormal()) for _ in range(10)]
    path = write(**dict(zip(("variant", "user", "ok", "wait"), zip(*rows, strict=True), strict=True)))
    asked = ("compare", path, "-m", "ok", "-m", "wait@p90:lower")
    naive, robust = (found(*asked, *more)["report"] for more in ((), ("--cluster", "user")))
    assert (naive["units"], robust["units"]) == (3000, 300)
    assert robust["comparisons"][0]["effect"] == pytest.approx(naive["comparisons"][0]["effect"], abs=1e-9)
    width = [report["comparisons"][0]["high"] - report["comparisons"][0]["low"] for report in (naive, robust)]
    assert 1.7 < width[1] / width[0] < 2.4  # the design effect of ten requests at a correlation of 1/3 is 4
    assert "3,000 rows of 300 units" in run(*asked, "--cluster", "user").stdout
    assert "cannot be asked for together" in run(*asked, "--cluster", "user", "--strata", "user", code=2).stderr


def test_looking_again_and_again_costs(events):
    """At any time and at planned looks intervals are wider than of one analysis, and kinds are named."""
    kinds = {}
    for monitoring in ("fixed", "anytime:800", "sequential:1600:10"):
        [row] = found("compare", events, "-m", "accepted", "--monitoring", monitoring)["report"]["comparisons"]
        kinds[row["kind"]] = row["high"] - row["low"]
    assert kinds["fixed"] < kinds["sequence"]
    assert kinds["fixed"] < kinds["repeated"]
    first = run("compare", events, "-m", "accepted", "--monitoring", "sequential:1600").stdout
    assert "50 % of the planned units" in first or "beats" in first
    assert "first look of the design" in first
    again = ("compare", events, "-m", "accepted", "--monitoring", "sequential:1600", "--earlier-looks", "160,480")
    assert "first look" not in run(*again).stdout
    assert "each larger" in run(*again[:-1], "480,160", code=2).stderr
    assert "sequential design only" in run(*again[:4], "--earlier-looks", "160", code=2).stderr


def test_a_broken_split_withholds_the_verdict(write):
    """600 to 400 is no experiment where equal was meant, and one where it was meant or nobody knows: all end with 0."""
    draw = np.random.default_rng(1)
    path = write(variant=["a"] * 600 + ["b"] * 400, x=draw.normal(0, 1, 1000))
    assert run("compare", path, "-m", "x").stdout.startswith("The split is broken")
    assert "say --weights" in run("compare", path, "-m", "x").stdout
    meant = run("compare", path, "-m", "x", "--weights", "b=40,a=60").stdout
    assert "Split: as intended" in meant
    assert "The split was not checked" in run("compare", path, "-m", "x", "--unknown-split").stdout


def test_a_guardrail_that_is_broken_is_an_answer(write):
    """A breach is the verdict, and ends with 0."""
    draw = np.random.default_rng(6)
    arm = np.tile(["a", "b"], 2000)
    cost = draw.gamma(4, 1, 4000) * np.where(arm == "b", 1.3, 1.0)
    said = run(
        "compare", write(variant=arm, x=draw.normal(0, 1, 4000), cost=cost), "-m", "x", "-m", "cost:guardrail:5%"
    )
    assert said.stdout.startswith("b makes cost")


def test_values_that_are_missing(write):
    """Missing values are refused by name; left out or read as 0 when told so, with a caution where arms differ."""
    draw = np.random.default_rng(9)
    arm = np.tile(["a", "b"], 200)
    x = [None if draw.random() < (0.3 if of == "a" else 0.02) else round(draw.normal(), 3) for of in arm]
    path = write(variant=arm, x=x)
    refused = run("compare", path, "-m", "x", code=2).stderr
    assert "lacks" in refused
    assert "--missing drop" in refused
    dropped = found("compare", path, "-m", "x", "--missing", "drop")
    assert set(dropped["cautions"]) >= {"partly_observed", "missing_differs"}
    assert dropped["report"]["units"] == 400  # the split is of what was assigned
    assert dropped["report"]["splitPValue"] == 1.0
    assert "Rows left out" in run("compare", path, "-m", "x", "--missing", "drop").stdout
    zero = found("compare", path, "-m", "x", "-m", "x@p90", "--missing", "zero")["report"]["estimates"]
    assert {row["n"] for row in zero} == {200}


def test_metrics_that_cannot_be_judged_say_why(write):
    """A value that never varies, too few units, a covariate that is constant: a caution that says what to do."""
    draw = np.random.default_rng(3)
    constant = write(variant=["a", "b"] * 50, x=[7] * 100, y=draw.normal(0, 1, 100), c=[1] * 100)
    answer = found("compare", constant, "-m", "x", "-m", "y", "--covariate", "y=c")
    assert {"no_variance", "covariate_constant"} <= set(answer["cautions"])
    assert answer["report"]["verdict"]["status"] == "insufficient"
    assert answer["report"]["comparisons"][0]["pValue"] is None
    assert "7" in run("compare", constant, "-m", "x").stdout
    few = run("compare", write(variant=["a", "b"] * 6, x=draw.normal(0, 1, 12)), "-m", "x").stdout
    assert few.startswith("Too early to say: a has 6 of 20 units")


REFUSALS = {
    "one arm": (["a"] * 40, list(range(40)), (), "holds one arm only, 'a'"),
    "no arm": (["a", ""] * 20, list(range(40)), (), "name no arm"),
    "far too many arms": ([f"u{i}" for i in range(300)], list(range(300)), (), "can hardly be arms"),
    "text": (["a", "b"] * 20, ["good", "bad"] * 20, (), "holds text, not numbers"),
    "nothing at all": (["a", "b"] * 20, [None] * 40, (), "has no value in any row"),
    "nothing in one arm": (["a", "b"] * 20, [1, None, 2, None] * 10, (), "has no value in any of the 20 rows of b"),
    "infinite": (["a", "b"] * 20, [0.5, 1.5] * 19 + [0.5, float("inf")], (), "infinite"),
    "no rows": ([], [], (), "holds no rows"),
    "weights": (["a", "b"] * 20, list(range(40)), ("--weights", "60,30"), "add up to 90"),
    "negative weights": (["a", "b"] * 20, list(range(40)), ("--weights=-10,110",), "each is above 0"),
    "weights of three": (["a", "b"] * 20, list(range(40)), ("--weights", "40,30,30"), "3 weights for 2 arms"),
    "weights without names": (["a", "b"] * 20, list(range(40)), ("--weights", "60,40"), "a=60,b=40"),
    "weights of others": (["a", "b"] * 20, list(range(40)), ("--weights", "a=60,c=40"), "the arms are a, b"),
    "weights in words": (["a", "b"] * 20, list(range(40)), ("--weights", "half,half"), "is no split"),
    "control": (["a", "b"] * 20, list(range(40)), ("--control", "z"), "the arms are a, b"),
    "column of arms": (["a", "b"] * 20, list(range(40)), ("--by", "arm"), "its columns: variant, x"),
    "metric": (["a", "b"] * 20, list(range(40)), ("-m", "y"), "columns: variant, x"),
    "covariate": (["a", "b"] * 20, list(range(40)), ("--covariate", "x=y"), "has no column 'y'"),
    "covariate of none": (["a", "b"] * 20, list(range(40)), ("--covariate", "z=x"), "no metric 'z'"),
    "of a quantile": (["a", "b"] * 20, list(range(40)), ("-m", "x@p9", "--covariate", "x p9=x"), "no covariate"),
    "monitoring": (["a", "b"] * 20, list(range(40)), ("--monitoring", "often"), "sequential:20000:5"),
    "correction": (["a", "b"] * 20, list(range(40)), ("--correction", "tukey"), "all-pairs"),
    "alpha": (["a", "b"] * 20, list(range(40)), ("--alpha", "2"), "alpha lies between"),
    "looks": (["a", "b"] * 20, list(range(40)), ("--earlier-looks", "x"), "is no list of numbers"),
}


@pytest.mark.parametrize("case", REFUSALS.values(), ids=list(REFUSALS))
def test_wrong_input_says_what_to_do(write, case):
    """What cannot be analysed ends with 2 and one line that says what is wrong and what there is."""
    arm, x, more, said = case
    refused = run("compare", write(variant=arm, x=x), "-m", "x", *more, code=2)
    assert said in refused.stderr
    assert len(refused.stderr.splitlines()) == 1


def test_files_that_cannot_be_read(tmp_path):
    """A file that is not there ends with 3; one that is something else, or a picture nobody can write, says so."""
    assert "there is no file" in run("compare", tmp_path / "no.csv", "-m", "x", code=3).stderr
    (tmp_path / "odd.xlsx").write_text("x")
    assert "no kind that can be read" in run("compare", tmp_path / "odd.xlsx", "-m", "x", code=2).stderr
    (tmp_path / "broken.parquet").write_text("x")
    assert "cannot be read" in run("compare", tmp_path / "broken.parquet", "-m", "x", code=2).stderr
    (tmp_path / "odd.csv").write_text("variant,x\na,1\n")
    (tmp_path / "odd.xlsx").rename(tmp_path / "odd.parquet")
    assert "different kinds" in run("compare", tmp_path / "odd.*", "-m", "x", code=2).stderr
    nowhere = tmp_path / "no" / "power.svg"
    assert "cannot be written" in run("power", "--baseline", 0.2, "--mde", "20%", "--svg", nowhere, code=7).stderr


def test_pictures_are_drawn(events, tmp_path):
    """Comparisons, ranks and power are drawn as SVG that a parser reads."""
    names = [tmp_path / name for name in ("forest.svg", "ranks.svg", "power.svg")]
    drawn = run("compare", events, "-m", "accepted", "--svg", names[0], "--ranks", names[1]).stderr
    assert "forest.svg" in drawn
    run("power", "--baseline", 0.2, "--mde", "10%", "--svg", names[2])
    for name in names:
        assert ET.parse(name).getroot().tag.endswith("svg")  # noqa: S314 - our own output


@pytest.fixture
def judged(write):
    """Three models on 200 prompts of 20 topics; one is right more often; nine answers are missing."""
    draw, rows = np.random.default_rng(12), []
    hard = draw.normal(0, 1.5, 200)
    for prompt in range(200):
        for model, skill in (("base", 0.0), ("large", 1.4), ("small", 0.1)):
            right = int(draw.random() < 1 / (1 + np.exp(hard[prompt] - skill)))
            score = 60 - 8 * hard[prompt] + 3 * skill + draw.normal(0, 2)
            rows.append((f"q{prompt}", model, f"t{prompt // 10}", right, score))
    kept = [row for place, row in enumerate(rows) if place % 10 or place >= 90]
    names = ("prompt", "model", "topic", "correct", "score")
    return write("judged.csv", **dict(zip(names, zip(*kept, strict=True), strict=True)))


def test_models_are_compared_prompt_by_prompt(judged):
    """The verdict is of the prompts all answered; the rest is counted; McNemar's table is that of the same prompts."""
    answer = found("pairs", judged, "-m", "correct")
    assert (answer["items"], answer["incomplete"], answer["control"]) == (191, 9, "base")
    assert answer["report"]["verdict"]["winner"] == "large"
    with judged.open() as file:
        rows = list(csv.DictReader(file))
    by_model = {
        name: {row["prompt"]: float(row["correct"]) for row in rows if row["model"] == name}
        for name in ("base", "large", "small")
    }
    whole = sorted(set.intersection(*(set(of) for of in by_model.values())))
    table = paired_table([by_model["large"][it] for it in whole], [by_model["base"][it] for it in whole])
    [crossed, _] = answer["rightAndWrong"]
    counts = [crossed[name] for name in ("both", "treatmentOnly", "referenceOnly", "neither")]
    assert counts == table.ravel().tolist()
    expected = mcnemar(table)
    assert (crossed["pValue"], crossed["low"]) == pytest.approx((expected.p_value, expected.low))
    said = run("pairs", judged, "-m", "correct", "-m", "score").stdout
    assert "191 items were answered by every model in every metric; 9 others are left out" in said
    assert said.startswith("large beats all 2 other arms")


def test_prompts_of_one_topic_are_one_observation(judged):
    """With clusters the topics are the units, and too few of them are no verdict."""
    answer = found("pairs", judged, "-m", "correct", "--cluster", "topic", "--comparisons", "all-pairs")
    assert answer["clusters"] == 20
    assert answer["rightAndWrong"] == []
    assert len(answer["report"]["comparisons"]) == 3
    assert "20 groups by topic" in run("pairs", judged, "-m", "correct", "--cluster", "topic").stdout


def test_too_few_groups_are_no_verdict(write):
    """Five topics of twenty prompts are five observations: too early to say."""
    draw = np.random.default_rng(0)
    prompt = np.repeat([f"q{place}" for place in range(100)], 2)
    topic = np.repeat([f"t{place % 5}" for place in range(100)], 2)
    path = write("few.csv", prompt=prompt, model=["a", "b"] * 100, topic=topic, x=draw.normal(0, 1, 200))
    assert run("pairs", path, "-m", "x", "--cluster", "topic").stdout.startswith("Too early to say: a has 5 of 8")


def test_pairs_that_are_none(judged, write):
    """Models that share no prompt, a ratio, one model, an unknown control: refused with what to do."""
    apart = write("apart.csv", prompt=["q1", "q2"], model=["a", "b"], x=[1, 2])
    assert "no item" in run("pairs", apart, "-m", "x", code=2).stderr
    assert "item by item" in run("pairs", judged, "-m", "score@p9", code=2).stderr
    assert "names 200 models" in run("pairs", judged, "-m", "score", "--by", "prompt", "--item", "model", code=2).stderr
    assert "the models are" in run("pairs", judged, "-m", "score", "--control", "z", code=2).stderr
    assert "no column 'nope'" in run("pairs", judged, "-m", "score", "--item", "nope", code=2).stderr


def test_a_second_answer_is_left_out(write):
    """Where a model answered a prompt twice the first answer counts, and it is said."""
    draw = np.random.default_rng(0)
    prompt = [f"q{place // 2}" for place in range(60)] + ["q0"]
    path = write("twice.csv", prompt=prompt, model=["a", "b"] * 30 + ["a"], x=draw.normal(0, 1, 61))
    assert "1 later answers of a model to the same item" in run("pairs", path, "-m", "x").stdout


def test_the_guide_shows_what_is_said():
    """The sentence that the guide shows is the one its first command prints."""
    root = Path(__file__).parents[2]
    guide = (root / "docs" / "guides" / "analyse-a-file.md").read_text("utf-8")
    shown = guide.split("```text\n")[1].split("\n```")[0]
    said = run("compare", root / "examples" / "judged.csv", "--by", "variant", "-m", "accepted", "-m", "score").stdout
    assert said.splitlines()[0] == shown
