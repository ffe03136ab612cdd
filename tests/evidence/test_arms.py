"""Arms and evidence add up, and leave out what is no evidence."""

import numpy as np

from vedette.evidence.arms import BUCKET_ROWS, NOTHING, ArmSums, Cell, Evidence
from vedette.evidence.histogram import Histogram
from vedette.evidence.summary import moments_by_bucket


def _arm(*buckets: int) -> ArmSums:
    seen = moments_by_bucket(np.ones(len(buckets)), buckets, BUCKET_ROWS)
    return ArmSums(measures={"requests": seen}, histograms={"latency_ms": Histogram(counts={3: len(buckets)})})


def test_two_arms_add_up():
    """What two arms did together is the sum of both, measure by measure and bin by bin."""
    both = _arm(1, 1, 1024) + _arm(1, 7)
    assert both.requests == 5
    assert both.of("requests").n[1] == 3
    assert both.histogram("latency_ms").counts == {3: 5}
    assert (both + NOTHING).requests == 5


def test_a_measure_never_seen_is_empty():
    """Asking for what was never measured gives nothing, not an error."""
    assert _arm(1).of("cost").n.sum() == 0
    assert _arm(1).histogram("cost").n == 0


def test_requests_without_a_unit_can_be_left_out():
    """Where requests without a unit are sent to stable, they are left out of both arms and of the history."""
    arm = _arm(1, 2, 1024, 1024)
    evidence = Evidence(cells=(Cell(revision=3, hour=9, canary=arm, stable=arm),), history=arm).with_units()
    assert evidence.cells[0].canary.requests == 2
    assert evidence.cells[0].stable.requests == 2
    assert evidence.history.requests == 2
