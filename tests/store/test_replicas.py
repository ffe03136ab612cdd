"""Real processes that are killed and stopped: the store stays whole, leases change hands, nobody writes stale."""

import queue
import signal
import subprocess
import sys
import threading

import pytest
from sqlalchemy import text
from tests.store.things import after

from vedette.store import audit
from vedette.store.engine import Store

_PATIENCE = 60.0


class _Replica:
    """A process that competes for the lease, and what it says."""

    def __init__(self, url: str, name: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.store.replica", url, name], stdout=subprocess.PIPE, text=True
        )
        self._said: queue.Queue[str] = queue.Queue()
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._said.put(line.strip())

    def hear(self, word: str) -> int:
        """Wait until the replica says something that begins with ``word``; give the epoch it says."""
        while True:
            said, epoch = self._said.get(timeout=_PATIENCE).split()
            if said == word:
                return int(epoch)

    def end(self) -> None:
        """Kill the process."""
        self.process.kill()
        self.process.wait()
        self._listener.join()
        if self.process.stdout:
            self.process.stdout.close()


@pytest.fixture
def replicas(store_url):
    """Two replicas on one database, the first of which holds the lease."""
    first = _Replica(store_url, "first")
    pair = [first]
    try:
        first.hear("held")
        pair.append(_Replica(store_url, "second"))
        yield pair
    finally:
        for replica in pair:
            replica.end()


def test_lease_passes_on_when_holders_are_stopped_and_killed(replicas, store):
    """A stopped holder is replaced and refused when it wakes; a killed one is replaced; epochs only rise."""
    first, second = replicas
    first.process.send_signal(signal.SIGUSR1)
    taken = second.hear("held")
    assert taken > 1
    first.process.send_signal(signal.SIGCONT)
    assert first.hear("refused") == 1
    second.process.kill()
    assert first.hear("held") > taken
    first.end()
    with store.reading() as connection:
        entries = list(audit.stream(connection))
        assert audit.check(connection) == ()
    epochs = [int(str(entry.details["epoch"])) for entry in entries]
    assert epochs == sorted(epochs)
    assert len(set(epochs)) >= 2
    assert len({(entry.details["epoch"], entry.actor) for entry in entries}) == len(set(epochs))


_HALF = """
import sys, time
from datetime import UTC, datetime
from sqlalchemy import text
from tests.store.things import domain
from vedette.store import audit, domains
from vedette.store.engine import Store

with Store(sys.argv[1]).transaction() as connection:
    domains.create(connection, domain("half"), actor="ada")
    audit.append(connection, at=datetime.now(UTC), actor="ada", action="half")
    connection.execute(text("UPDATE outbox SET error = 'x'"))
    print("ready", flush=True)
    time.sleep(600)
"""


def test_process_killed_inside_a_transaction_leaves_nothing(store_url, store):
    """Kill -9 between the first write and the commit: no row is there, the audit log is whole, others can write."""
    process = subprocess.Popen([sys.executable, "-c", _HALF, store_url], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process.stdout:
        assert process.stdout.readline() == "ready\n"
        process.kill()
        process.wait()
    with store.transaction() as connection:
        assert connection.execute(text("SELECT count(*) FROM domains")).scalar_one() == 0
        assert audit.append(connection, at=after(0), actor="ada", action="next").sequence == 1
        assert audit.check(connection) == ()


def test_stopped_writer_does_not_stop_the_others(postgres_url):
    """On PostgreSQL a replica stopped inside a transaction is cut off by the server after a while, its work undone."""
    stopped, other = Store(postgres_url, patience=0.4), Store(postgres_url, patience=10)
    connection = stopped._writing.connect()
    connection.begin()
    audit.append(connection, at=after(0), actor="stopped", action="look")
    with other.transaction() as free:
        assert audit.append(free, at=after(1), actor="other", action="look").sequence == 1
    connection.invalidate()
    connection.close()
    stopped.close()
    other.close()
