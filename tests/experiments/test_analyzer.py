"""Two sets of values in, the complete answer out: right, readable, and never silent about what is undefined."""

import math

import numpy as np
import pytest

from vedette.experiments.analyzer import StatisticalAnalyzer
from vedette.kernel.errors import InvalidInput
from vedette.stats.cautions import Caution


def _answer(a, b, **more):
    return StatisticalAnalyzer().analyze_ab_test(a, b, **more)


def _two(seed=1, n=1500, shift=0.0, rate=0.0):
    draw = np.random.default_rng(seed)
    return tuple(
        {
            "accepted": (draw.random(n) < 0.5 + rate * arm).astype(int).tolist(),
            "score": draw.normal(3 + shift * arm, 1, n).tolist(),
        }
        for arm in (0, 1)
    )


def test_the_answer_is_a_mapping_that_says_itself():
    """The answer is read by metric, as a sentence, as a table, as plain data and in a notebook."""
    answer = _answer(*_two(rate=0.1))
    assert set(answer) == {"accepted", "score"}
    assert answer["accepted"].kind == "proportion"
    assert answer["score"].kind == "mean"
    assert answer.sentence.startswith("B is better in accepted (+")
    assert answer.sentence.endswith("No difference is shown in score.")
    assert answer["accepted"].sentence.startswith("B is better than A in accepted (+")
    for text in (answer.to_text(), answer._repr_html_()):
        assert "accepted" in text
    assert answer.to_dict()["metrics"]["score"]["comparison"]["p_value"] == answer["score"].comparison.p_value


def test_proportions_are_judged_by_scores_and_means_by_welch():
    """Zeroes and ones get the score test, other values Welch's: what 16 of 30 and 14 of 28 say is not significant."""
    shares = _answer({"x": [1] * 14 + [0] * 14}, {"x": [1] * 16 + [0] * 14})["x"]
    assert "Miettinen" in shares.comparison.method
    assert shares.comparison.p_value == pytest.approx(0.80, abs=0.02)
    assert shares.comparison.low < 0 < shares.comparison.high
    assert shares.comparison.relative_low < 0 < shares.comparison.relative_high
    means = _answer({"x": [0.5, 1.5, 2.5]}, {"x": [0.4, 1.6, 2.0]})["x"]
    assert "Welch" in means.comparison.method


def test_p_values_are_corrected_over_metrics():
    """With many metrics the smallest p-value is corrected for their number, with one it is not."""
    draw = np.random.default_rng(3)
    a, b = ({f"m{i}": draw.normal(0, 1, 300) for i in range(8)} for _ in range(2))
    answer = _answer(a, b)
    smallest = min(answer.values(), key=lambda it: it.comparison.p_value)
    assert smallest.comparison.p_adjusted == pytest.approx(min(1, 8 * smallest.comparison.p_value))
    alone = _answer({"m": a["m0"]}, {"m": b["m0"]})["m"].comparison
    assert alone.p_adjusted == alone.p_value


def test_false_claims_are_as_rare_as_promised():
    """Without any effect, at most 5 % of answers claim a difference in any of three metrics."""
    draw, claims = np.random.default_rng(4), 0
    for _ in range(300):
        a, b = ({name: draw.exponential(1, 60) for name in "xyz"} for _ in range(2))
        claims += "B is" in _answer(a, b).sentence
    assert claims / 300 <= 0.05 + 2.6 * math.sqrt(0.05 * 0.95 / 300)


def test_less_can_be_better():
    """Latency, cost and errors are better when lower without being told; any metric is when told."""
    draw = np.random.default_rng(5)
    slow, fast = ({"latency_ms": draw.lognormal(level, 0.3, 900)} for level in (5.2, 5.0))
    assert "B is better in latency_ms (−" in _answer(slow, fast).sentence
    assert "B is worse in z" in _answer({"z": slow["latency_ms"]}, {"z": fast["latency_ms"]}).sentence
    told = _answer({"z": slow["latency_ms"]}, {"z": fast["latency_ms"]}, better={"z": "lower"})
    assert "B is better in z" in told.sentence
    assert told["z"].chance_b_is_better > 0.99
    assert told["z"].loss_of_b < told["z"].loss_of_a


def test_what_would_have_been_found_is_said():
    """An answer without a difference says which difference a test of this size would have found."""
    metric = _answer(*_two(n=400))["score"]
    assert metric.detectable == pytest.approx(2.8 * math.sqrt(2 / 400), rel=0.1)
    assert "and more would show" in metric.sentence


def test_a_broken_split_is_said_first():
    """Where units do not fit the intended split, the answer begins with that."""
    a, b = {"x": np.arange(1000.0)}, {"x": np.arange(700.0)}
    assert _answer(a, b, split=(0.5, 0.5)).sentence.startswith("The split is broken")
    assert _answer(a, b).split_p_value is None


def test_missing_values_are_left_out_and_counted():
    """None and NaN are no values: they are left out of their metric, and said."""
    found = _answer({"x": [1.0, None, 3.0, 2.5]}, {"x": [2.0, float("nan"), 4.0]})["x"]
    assert (found.a.n, found.b.n, found.left_out) == (3, 2, 2)


@pytest.mark.parametrize(
    ("a", "b", "caution"),
    [
        ([1, 1, 1], [1, 1, 1], Caution.NO_VARIANCE),
        ([2.0, 2.0, 2.0], [2.0, 2.0, 2.0], Caution.NO_VARIANCE),
        ([None, None], [1, 0, 1], Caution.NOT_OBSERVED),
        ([], [], Caution.NOT_OBSERVED),
        ([2.0, 3.0], [7.0], Caution.TOO_FEW),
    ],
)
def test_undefined_is_none_with_a_reason(a, b, caution):
    """What cannot be judged has no p-value, no interval and no belief, and a caution that says what to do."""
    found = _answer({"x": a}, {"x": b})["x"]
    assert found.comparison.p_value is None
    assert found.comparison.p_adjusted is None
    assert caution in found.comparison.warnings
    assert "cannot be compared" in found.sentence
    assert found.chance_b_is_better is None


@pytest.mark.parametrize(
    ("a", "b", "more", "said"),
    [
        ({}, {}, {}, "no metric"),
        ({"x": [1]}, {"y": [1]}, {}, "variant A only"),
        ({"x": [1]}, {"x": [1], "y": [1]}, {}, "variant B only"),
        ({"x": ["a"]}, {"x": [1]}, {}, "no numbers"),
        ({"x": [math.inf]}, {"x": [1]}, {}, "infinite"),
        ({"x": [1, 0]}, {"x": [1, 0]}, {"split": (0.5, 0.6)}, "add up to 1"),
        ({"x": [1, 0]}, {"x": [1, 0]}, {"better": {"z": "lower"}}, "no metric 'z'"),
    ],
)
def test_input_that_cannot_be_compared_is_refused(a, b, more, said):
    """One-sided data, text, infinities and splits that do not add up are refused with what to do."""
    with pytest.raises(InvalidInput, match=said):
        _answer(a, b, **more)
    with pytest.raises(InvalidInput, match="alpha lies between"):
        StatisticalAnalyzer(alpha=1.5)
