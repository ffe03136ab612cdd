"""Scores of models on one set of prompts: complete prompts alone count, and clusters are summed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.evidence.metric import Metric, MetricKind
from vedette.experiments.metrics import Mean, MetricUse, Ratio
from vedette.experiments.scores import score

ARMS = ("a", "b")
CORRECT = (
    MetricUse(metric="accuracy", role="primary").measured(
        Metric(name="accuracy", kind=MetricKind.RATE, measure="correct", better="higher")
    ),
)


def _rows(values, **more):
    return [
        {"prompt": f"q{number}", "variant": arm, "correct": value, **more}
        for number, pair in enumerate(values)
        for arm, value in zip(ARMS, pair, strict=True)
    ]


@given(st.lists(st.tuples(st.sampled_from([0, 1, None]), st.sampled_from([0, 1, None])), min_size=1, max_size=30))
def test_only_complete_prompts_count(values):
    """Prompts both arms answered are rows; the others are counted as incomplete; the means are those of the pairs."""
    found = score(_rows(values), ARMS, CORRECT)
    complete = [pair for pair in values if None not in pair]
    assert (found.moments.n, found.incomplete) == (len(complete), len(values) - len(complete))
    for place, arm in enumerate(ARMS):
        expected = np.mean([pair[place] for pair in complete]) if complete else 0.0
        assert found.moments.of(f"{arm}:correct").mean == pytest.approx(expected)


def test_what_was_scored_before_is_not_counted_again():
    """Prompts whose digests are known are left out, and a repeated row counts once."""
    first = score(_rows([(1, 0), (0, 1)]), ARMS, CORRECT)
    again = score([*_rows([(1, 0), (0, 1), (1, 1)]), *_rows([(0, 0)])], ARMS, CORRECT, known=first.digests)
    assert (again.moments.n, again.seen_before, again.repeated) == (1, 2, 2)
    assert len(set(first.digests + again.digests)) == 3


def test_prompts_of_a_cluster_are_one_row():
    """Prompts that belong together are summed, with their number, so that their spread is the cluster's."""
    rows = [*_rows([(1, 0), (1, 1), (0, 1)], cluster="document 1"), {"prompt": "alone", "variant": "a", "correct": 1}]
    rows.append({"prompt": "alone", "variant": "b", "correct": 0})
    found = score(rows, ARMS, CORRECT)
    assert found.moments.n == 2
    assert found.moments.of("a:correct#").mean == 2.0
    assert found.moments.of("b:correct").mean == 1.0


def test_every_column_a_metric_needs_is_gathered():
    """Ratios bring their denominators and covariates theirs."""
    metrics = (Ratio("cost", "tokens", role="primary"), Mean("score", covariate="length"))
    rows = [
        {"prompt": prompt, "variant": arm, "cost": 2.0, "tokens": 4, "score": "0.5", "length": 7}
        for prompt in "xy"
        for arm in ARMS
    ]
    found = score(rows, ARMS, metrics)
    assert set(found.moments.columns) == {
        f"{arm}:{name}" for arm in ARMS for name in ("cost", "tokens", "score", "length")
    }
