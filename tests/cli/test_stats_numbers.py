"""``vedette stats srm`` and ``power``, and how metrics, looks and splits are said on the command line."""

import pytest
from tests.cli.test_stats import found, run

from vedette.cli.metric_words import read_metric, read_monitoring
from vedette.cli.numbers import read_weights
from vedette.experiments.monitoring import AnytimeValid, Fixed, GroupSequential
from vedette.kernel.errors import InvalidInput
from vedette.stats.srm import Split, fixed_check


def test_splits_are_checked():
    """Pearson's chi-square for one look, a sequential test for many; a broken split is an answer: 0."""
    once = found("srm", 5000, 5230)
    assert once["pValue"] == pytest.approx(fixed_check(Split((5000, 5230), (0.5, 0.5))).p_value)
    assert not once["broken"]
    assert once["low"][0] < 5000 / 10230 < once["high"][0]
    assert found("srm", 9000, 1300, "--weights", "90,10", "--repeated")["broken"]
    assert run("srm", 9000, 1300, "--weights", "90,10").stdout.startswith("The split is broken")
    assert "add up to 90" in run("srm", 1, 1, "--weights", "50,40", code=2).stderr
    assert "two arms or more" in run("srm", 1, code=2).stderr
    assert "nothing was counted" in run("srm", 0, 0, code=2).stderr


def test_sizes_of_every_design():
    """Power says n, days and the convention, what each design costs, and a table of effects and powers."""
    asked = ("power", "--baseline", 0.5, "--mde", "50%", "--power", 0.9)
    answer = found(*asked)
    assert answer["plan"]["nPerArm"] == [77, 77]  # R 4.2.2 power.prop.test(.5, .75, power = .9): 76.7
    assert [plan["design"] for plan in answer["designs"]] == ["fixed", "group-sequential", "anytime"]
    assert [row["mde"] for row in answer["needed"]] == pytest.approx([0.25, 0.4, 0.5, 0.75])
    said = run(*asked, "--units-per-day", 50, "--design", "anytime", "--arms", 3).stdout
    for part in (
        "in each of 3 arms",
        "days",
        "UNITS IN ALL (anytime)",
        "POWER 90%",
        "beats all others",
        "power.prop.test",
    ):
        assert part in said
    mean = found("power", "--kind", "mean", "--sd", 2, "--mde", 0.1, "--absolute", "--correlation", 0.6, "--lower")
    assert mean["plan"]["effect"] == -0.1
    assert "variances times 0.64" in mean["plan"]["convention"]


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--mde", "5%"), "baseline is missing"),
        (("--mde", "5x", "--baseline", 0.2), "5% or 0.05"),
        (("--mde", "5%", "--baseline", 1.2), "between 0 and 1"),
        (("--mde", "5%", "--baseline", 0.2, "--power", 2), "power lies between"),
        (("--mde", "5%", "--baseline", 2, "--kind", "mean"), "give sd"),
        (("--mde", "50%", "--baseline", 0.9), "take a smaller mde"),
        (("--mde", "5%", "--baseline", 0.2, "--weights", "60,30"), "add up to 90"),
    ],
)
def test_plans_that_cannot_be(flags, said):
    """A plan that lacks a number, or has an impossible one, ends with 2 and says which."""
    assert said in run("power", *flags, code=2).stderr


def test_the_grammar_of_metrics():
    """Columns are known by their names first; words after them say role, margin and which way is better."""
    columns = ("a", "b", "a/b", "odd:name", "cost")
    assert read_metric("a/b", columns).column == "a/b"
    assert read_metric("odd:name:primary", columns).role == "primary"
    words = read_metric("Price=cost/b:guardrail:2%:higher", columns)
    assert (words.called, words.column, words.denominator) == ("Price", "cost", "b")
    assert (words.role, words.margin, words.better) == ("guardrail", 0.02, "higher")
    assert read_metric("cost", columns).better == "lower"
    assert read_metric("a@p99.9:0.1", columns).quantile == pytest.approx(0.999)
    for wrong in ("c", "a/c", "a@c", "a@p100", "a:x"):
        with pytest.raises(InvalidInput):
            read_metric(wrong, columns)


def test_the_grammar_of_looks_and_splits():
    """Designs and splits are read as people write them."""
    assert read_monitoring("fixed") == Fixed()
    assert read_monitoring("anytime:20,000") == AnytimeValid(tune_at=20_000)
    assert read_monitoring("sequential:20000:5") == GroupSequential(units=20_000, looks=5)
    assert read_weights("0.9,0.1") == pytest.approx((0.9, 0.1))
    assert read_weights("b=10%,a=90%", ("a", "b")) == pytest.approx((0.9, 0.1))
    assert read_weights("50,50", ("a", "b")) == (0.5, 0.5)
    for wrong in ("fixed:3", "anytime:x", "sequential", "sequential:1.5", "sequential:100:5:2"):
        with pytest.raises(InvalidInput):
            read_monitoring(wrong)
