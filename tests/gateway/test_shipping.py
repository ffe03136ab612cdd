"""The folders of workers' journals: claimed by a worker, cleared away by the supervisor when their worker is gone."""

import os
import threading

from vedette.gateway.shipping import _clear, claim


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
