"""How long things are kept is in the record, before anything goes by it."""

import threading
from datetime import timedelta

import pytest
from tests.lake.making import outcome

from vedette.control.change import Changes
from vedette.control.jobs import RETENTION_SET
from vedette.control.plane import open_plane
from vedette.kernel.errors import Unavailable
from vedette.lake.retention import Retention

LONGER = Retention(outcomes=timedelta(days=60))


def _entries(world):
    return world.plane.governance.entries(resource="retention").items


def test_nothing_is_recorded_while_everything_has_its_default(world):
    """A server without settings leaves no entry of its housekeeping."""
    world.plane.housekeeper.tidy()
    assert world.plane.governance.entries().items == ()


def test_another_retention_is_recorded_once(world):
    """When it changes and when it changes back: by whom, to what, in an entry that the chain proves."""
    keeper = world.plane.housekeeper
    for retention in (LONGER, LONGER, Retention()):
        keeper.retention = retention
        keeper.tidy()
        keeper.tidy()
    assert [(it.actor, it.action, it.details["outcomes"]) for it in _entries(world)] == [
        ("vedette/housekeeper", RETENTION_SET, "P60D"),
        ("vedette/housekeeper", RETENTION_SET, "P30D"),
    ]
    assert _entries(world)[0].details["bucketSums"] == "P90D"
    assert world.plane.governance.verify() == ()


def test_replicas_that_find_another_retention_at_once_record_it_once(world, store_url):
    """Started together with the same settings they leave one entry."""
    with open_plane(store_url, actor="") as second:
        keepers = [world.plane.housekeeper, second.housekeeper]
        for keeper in keepers:
            keeper.retention = LONGER
        threads = [threading.Thread(target=keeper.tidy) for keeper in keepers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(_entries(world)) == 1


def test_nothing_goes_by_a_retention_that_cannot_be_recorded(world, monkeypatch):
    """Without the entry nothing is dropped; with it, what is due."""
    now = world.plane.instruments.now()
    world.plane.lake.ship("old", [outcome(at=now - timedelta(days=3))])
    keeper = world.plane.housekeeper
    keeper.retention = Retention(outcomes=timedelta(days=2))

    def full(*_, **__):
        raise Unavailable("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(Changes, "begin", full)
        with pytest.raises(Unavailable):
            keeper.tidy()
    assert world.plane.lake.holdings().spooled == 1
    keeper.tidy()
    assert (world.plane.lake.holdings().spooled, len(_entries(world))) == (0, 1)
