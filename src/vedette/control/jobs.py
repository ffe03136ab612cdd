"""What has to be done now and then: forget what is older than it is kept, and seal what was spooled.

Idempotent, so every replica may do it.
"""

import logging
import threading
from dataclasses import astuple
from datetime import timedelta

from vedette.control.change import Changes
from vedette.control.instruments import Instruments
from vedette.control.passes import passing
from vedette.kernel.documents import dump
from vedette.kernel.outage import Outage
from vedette.lake.outcomes import Lake
from vedette.lake.retention import Retention
from vedette.store import audit, idempotency, outbox, people

log = logging.getLogger(__name__)

ACTOR = "vedette/housekeeper"
RETENTION_SET = "retention.set"
"""An entry of the audit log: how long things are kept from now on, where that is not what the last one says."""
EFFECTS = timedelta(days=7)
"""How long performed effects are remembered."""


class Archivist:
    """Moves outcomes from the lake's spool to segments, where there is a folder for those; one replica at a time."""

    def __init__(self, lake: Lake, instruments: Instruments) -> None:
        self._lake = lake
        self._instruments = instruments

    def run(self, stop: threading.Event, interval: float = 60.0) -> None:
        """Seal every ``interval`` seconds until ``stop`` is set; what fails stays spooled and is tried again."""
        outage = Outage("sealing outcomes")
        while not stop.wait(interval):
            with passing(outage, self._instruments, log):
                done = self._lake.seal(stop)
                if done.outcomes or done.merged or done.orphans:
                    log.info("%d outcomes sealed, %d segments merged, %d orphans removed", *astuple(done))


class Housekeeper:
    """Keeps the store and the lake from growing for ever, by its ``retention``; nothing leaves the audit log.

    Before anything goes by another retention than the last one, the audit log tells of it.
    """

    def __init__(self, changes: Changes, lake: Lake, instruments: Instruments) -> None:
        self._changes = changes
        self._lake = lake
        self._instruments = instruments
        self.retention = Retention()

    def run(self, stop: threading.Event, interval: float = 3600.0) -> None:
        """Tidy now and every ``interval`` seconds until ``stop`` is set."""
        outage = Outage("tidying up")
        while not stop.is_set():
            with passing(outage, self._instruments, log):
                self.tidy()
            stop.wait(interval)

    def tidy(self) -> int:
        """Forget what is older than it is kept; give how many outcomes that were."""
        now, retention = self._instruments.now(), self.retention
        self._record(retention)
        with self._changes.store.transaction() as connection:
            outbox.prune(connection, before=now - EFFECTS)
            idempotency.prune(connection, now=now)
            people.prune(connection, now=now)
        return self._lake.prune(now, retention)

    def _record(self, retention: Retention) -> None:
        with self._changes.together() as connection:
            audit.head(connection, lock=True)  # replicas that find a new one at once record it once
            last = audit.page(connection, action=RETENTION_SET, limit=1, newest_first=True).items
            if dump(retention) != (last[0].details if last else dump(Retention())):
                with self._changes.begin(ACTOR) as change:
                    change.record(RETENTION_SET, domain="", resource="retention", **dump(retention))
