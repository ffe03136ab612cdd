"""Outcomes are moved to segments in the background."""

import logging
import threading
import time

from tests.lake.making import outcome

from vedette.control.plane import open_plane
from vedette.kernel.errors import Unavailable


def _until(true):
    for _ in range(500):
        if true():
            return
        time.sleep(0.01)
    raise AssertionError("it never came true")


def test_outcomes_are_sealed_now_and_then_and_failures_are_tried_again(tmp_path, monkeypatch, caplog):
    """What is spooled is in segments soon after; a pass that fails is told, and the next one does it."""
    stop, failures = threading.Event(), [Unavailable("the disk is full")]
    with open_plane(tmp_path) as plane, caplog.at_level(logging.INFO, "vedette.control.jobs"):
        seal = plane.lake.seal

        def failing(asked_to_stop):
            assert asked_to_stop is stop
            if failures:
                raise failures.pop()
            return seal(asked_to_stop)

        monkeypatch.setattr(plane.lake, "seal", failing)
        plane.lake.ship("first", [outcome() for _ in range(3)])
        worker = threading.Thread(target=plane.archivist.run, args=(stop, 0.01))
        worker.start()
        _until(lambda: plane.lake.holdings().sealed == 3)
        stop.set()
        worker.join()
        assert [item.domain for item in plane.lake.outcomes("payments", limit=10).items] == ["payments"] * 3
    assert "the disk is full" in caplog.text
    assert "3 outcomes sealed" in caplog.text


def test_segments_may_be_elsewhere(tmp_path):
    """A plane that is told a folder for segments keeps them there."""
    with open_plane(tmp_path / "data", segments=tmp_path / "elsewhere") as plane:
        plane.lake.ship("first", [outcome()])
        plane.lake.seal()
        assert len(list((tmp_path / "elsewhere").glob("*.parquet"))) == 1
        assert plane.lake.outcomes("payments", limit=10).items
