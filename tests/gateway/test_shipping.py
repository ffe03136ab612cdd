"""The folders of workers' journals: claimed by a worker, cleared away by the supervisor when their worker is gone."""

import os
import threading

import pytest

from vedette.gateway.shipping import _clear, claim
from vedette.lake.journal import Journal


def test_a_folder_is_claimed_while_it_is_cleared_away(tmp_path):
    """A worker that begins while the supervisor clears empty folders holds a folder that is there, every time."""
    folder = tmp_path / "journal" / "worker-1"
    stop = threading.Event()

    def clear() -> None:
        while not stop.is_set():
            _clear(folder)

    supervisor = threading.Thread(target=clear)
    supervisor.start()
    try:
        for _ in range(1000):
            held = claim(folder)
            assert os.path.samestat(os.fstat(held), folder.stat())
            os.close(held)
    finally:
        stop.set()
        supervisor.join()


@pytest.mark.parametrize(("settings", "expected"), [({"sync_every": 0.0}, 1), ({}, 0)])
def test_outcomes_wait_for_the_disk_where_that_is_asked(make_stage, monkeypatch, settings, expected):
    """With sync_every 0 a whole answer has its outcome brought to the disk; without it none waits for that."""
    synced = []
    sync = Journal._sync

    def noted(journal, file):
        sync(journal, file)
        synced.append(file.used)

    monkeypatch.setattr(Journal, "_sync", noted)
    stage = make_stage(**settings)
    stage.publish(stage.plan())
    stage.chat()
    assert len(synced) == expected
