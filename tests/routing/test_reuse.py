"""What is read off the sums of a cache's outcomes."""

import pytest

from vedette.evidence.summary import moments
from vedette.routing.reuse import FalseHits, Reuse, false_hits_of, reuse_of, verdicts_of


def sums(**values):
    """Sum up values by measure."""
    return {name: moments(its) for name, its in values.items()}


def test_hits_are_counted_over_versions_and_save_what_their_own_version_takes():
    """A hit saves its version's mean time less its own: here 3 x 98 ms and 1 x 990 ms; a version may come in parts."""
    quick = sums(cached=[1, 1, 0], cached_ms=[2, 2], latency_ms=[100], similar=[1])
    more = sums(cached=[1], cached_ms=[2], latency_ms=[50, 150])
    slow = sums(cached=[1, 0, 0, 0], cached_ms=[10], latency_ms=[900, 1000, 1100])
    found = reuse_of([("v1", quick), ("v2", slow), ("v1", more)])
    assert (found.asked, found.hits, found.similar, found.hit_rate) == (8, 4, 1, 0.5)
    assert found.hit_ms == pytest.approx(4)
    assert found.answer_ms == pytest.approx((3 * 100 + 1000) / 4)
    assert found.saved == pytest.approx((3 * 98 + 990) / 1000)


def test_hits_of_a_version_that_answered_nothing_save_nothing():
    """What a version would have taken is unknown where it took nothing: those hits are counted and save nothing."""
    alone = sums(cached=[1, 1], cached_ms=[2, 4])
    assert reuse_of([("v1", alone)]) == Reuse(asked=2, hits=2, hit_ms=3.0)
    known = sums(cached=[1], cached_ms=[10], latency_ms=[110])
    assert reuse_of([("v1", alone), ("v2", known)]).saved == pytest.approx(0.1)


def test_a_cache_that_is_slower_than_its_version_saves_less_than_nothing():
    """Time is lost where hits take longer than answers, and it is said so."""
    assert reuse_of([("v1", sums(cached=[1], cached_ms=[30], latency_ms=[10]))]).saved == pytest.approx(-0.02)


def test_without_requests_there_is_no_rate():
    """Nothing asked is no hit rate, and no outcome at all is nothing saved."""
    assert reuse_of([]) == Reuse()
    assert reuse_of([("v1", sums(latency_ms=[5]))]).hit_rate is None


def test_false_hits_have_an_interval_that_holds_at_any_look():
    """Of 100 verified hits 4 false ones: the share lies in the confidence sequence; none verified says nothing."""
    parts = [("v1", sums(false_hit=[1] * 4 + [0] * 36)), ("v2", sums(false_hit=[0] * 60))]
    found = false_hits_of(parts)
    assert (found.verified, found.false) == (100, 4)
    assert 0 < found.low < 0.04 < found.high < 0.2
    assert verdicts_of(parts) == (100, 4)
    assert false_hits_of([]) == FalseHits(verified=0, false=0, low=0.0, high=1.0)
