"""Evidence of an experiment adds within an epoch and an arm, and nowhere else."""

import numpy as np

from vedette.evidence.arms import ArmSums
from vedette.evidence.experiment import ExperimentEvidence
from vedette.evidence.summary import moments_by_bucket


def did(*values: float) -> ArmSums:
    """What an arm did whose requests had these scores, all in bucket 3."""
    buckets = np.full(len(values), 3)
    measures = {"requests": np.ones(len(values)), "score": np.array(values)}
    return ArmSums(
        measures={name: moments_by_bucket(each, buckets, 1025) for name, each in measures.items()}, histograms={}
    )


def test_evidence_adds_by_epoch_and_arm():
    """Two halves of what was seen are the whole: sums of one epoch and arm add, others stay apart."""
    one = ExperimentEvidence(epochs={1: {"b": did(1.0)}, 0: {"a": did(2.0, 4.0)}})
    two = ExperimentEvidence(epochs={1: {"a": did(5.0), "b": did(3.0)}})
    whole = one + two
    assert list(whole.epochs) == [0, 1]
    assert whole.requests == {0: {"a": 2}, 1: {"a": 1, "b": 2}}
    score = whole.epochs[1]["b"].of("score")
    assert (score.n[3], score.mean[3], score.m2[3]) == (2.0, 2.0, 2.0)
    assert (two + one).requests == whole.requests


def test_arms_are_those_of_all_epochs():
    """An arm that came later or was stopped is named too, once."""
    evidence = ExperimentEvidence(epochs={0: {"b": did(1.0), "a": did(1.0)}, 2: {"c": did(1.0), "a": did(1.0)}})
    assert evidence.arms == ("a", "b", "c")
    assert ExperimentEvidence(epochs={}).arms == ()
