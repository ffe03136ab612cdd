"""A commit cut off by the death of a primary, kept or lost: done again, it is done once, and leaves nothing behind."""

from datetime import timedelta

import pytest
from tests import standby
from tests.database.cuts import BARE, KEYED, LAKES, asking, cut, ids, listed, pause
from tests.lake.dying import lapse
from tests.lake.making import NOON, an_hour_later, assert_sums_are_those_of

from vedette.control.plane import open_plane
from vedette.kernel.errors import Unavailable
from vedette.lake.sealer import Sealed

_DUE = NOON - timedelta(days=30)


@pytest.fixture(scope="module", params=["kept", "lost"])
def after(request, tmp_path_factory):
    """What a death left behind, by whether the standby had what was being committed."""
    with standby.pair() as pair:
        yield cut(pair, tmp_path_factory.mktemp("segments"), kept=request.param == "kept")


def test_whoever_was_cut_off_is_told_that_nobody_knows(after):
    """Each error says that the change may have been kept, and the API that a request with its key can be sent again."""
    assert after.errors.keys() == set(LAKES)
    (answer,) = after.answers
    assert answer.status == 503
    assert "Idempotency-Key, may be sent again" in answer.body["hint"]
    for error in after.errors.values():
        assert isinstance(error, Unavailable)
        assert "may have or not" in error.message


def test_a_request_sent_again_with_its_key_happens_once(after):
    """Kept or lost, the same request at another replica, twice, leaves one change, one entry and one answer."""
    with open_plane(after.pair.url) as plane, asking(plane) as client:
        assert plane.canary.get("support").revision == after.revision + after.kept
        again = [pause(client, KEYED) for _ in range(2)]
        assert [(it.status, it.replayed) for it in again] == [(200, after.kept), (200, True)]
        assert {it.body["revision"] for it in again} == {after.revision + 1}
        assert plane.canary.get("support").revision == after.revision + 1
        assert [it.action for it in plane.governance.entries(domain="support").items].count("rollout.pause") == 1
        assert pause(client, BARE).body["revision"] == after.revision + 2
        assert plane.governance.verify() == ()


def test_a_sealer_cut_off_is_followed_by_another_that_seals_the_rest_once(after):
    """Nothing is missing meanwhile; when its lease has run out another takes the next epoch, and removes its files."""
    made = after.made["sealing"]
    with after.lake("sealing") as other:
        assert stored(other) == ids(made)
        assert other.seal() == Sealed()  # the lease of the one that was cut off
        lapse(other)
        done = other.seal()
        assert (done.outcomes, done.orphans) == ((0, 0) if after.kept else (len(made), 2))
        assert after.files("sealing") == listed(other)
        assert len(listed(other)) == 2
        assert other.holdings().spooled == 0
        assert_all_are_there_once(other, made)


def test_an_erasure_cut_off_is_whole_and_can_be_asked_for_again(after):
    """All of the domain is gone, or all is there; asked for again it is gone, from the files too, and no other is."""
    gone, stays = ([it for it in after.made["erasing"] if it.domain == name] for name in ("payments", "legal"))
    with after.lake("erasing") as other:
        assert stored(other) == ids(stays if after.kept else [*gone, *stays])
        other.erase("payments")
        an_hour_later(other)
        assert after.files("erasing") == listed(other)
        assert stored(other) == ids(stays)
        assert_sums_are_those_of(other, "payments", [])
        assert_sums_are_those_of(other, "legal", [(it, it.measures) for it in stays])
        assert other.ship("again", gone) == len(gone)
        assert_all_are_there_once(other, after.made["erasing"])


@pytest.mark.parametrize("name", ["marking", "dropping"])
def test_retention_cut_off_goes_on_and_forgets_what_is_due(after, name):
    """What was due goes, what was not stays, no file is left unlisted, and what is gone can be brought anew."""
    old, young = ([it for it in after.made[name] if (it.at < _DUE) is due] for due in (True, False))
    with after.lake(name) as other:
        again = other.prune(NOON)
        assert again == (len(old) if name == "marking" and not after.kept else 0)
        assert stored(other) == ids(young)
        lapse(other)
        assert other.seal().orphans == (name == "dropping" and after.kept)
        assert after.files(name) == listed(other)
        assert len(listed(other)) == 1
        assert other.ship("again", [*old, *young]) == len(old)


def stored(lake):
    """The ids of all outcomes, as often as they are there."""
    return sorted(item.id for domain in ("payments", "legal") for item in lake.outcomes(domain, limit=1000).items)


def assert_all_are_there_once(lake, made):
    """Compare outcomes and sums with what was shipped."""
    assert stored(lake) == ids(made)
    for domain in ("payments", "legal"):
        assert_sums_are_those_of(lake, domain, [(it, it.measures) for it in made if it.domain == domain])
